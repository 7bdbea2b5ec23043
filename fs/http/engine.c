/* SPDX-License-Identifier: Apache-2.0 */
/* The engine: one thread that owns the curl multi handle, its connections and every call under way.
 *
 * A call goes: submitted (locked.queue; http_submit) -> waiting (http->waiting; take_queue) ->
 * under way (http->active; begin_some) -> done (finish). Only the queue is shared.
 *
 * HTTP-1  At most max_connections calls are under way, and one more that is urgent; the others wait
 * here in order of arrival, urgent ones and the rest in turn, and not inside curl, where their
 * connect timeout would run. HTTP-2  done is called exactly once for
 * each call, with no lock held and after the engine has let go of it. HTTP-3  A call that ends
 * before its answer was read whole takes its connection with it. */
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/lock.h"
#include "base/log.h"
#include "op.h"

enum { URGENT_PLACES = 1, IDLE_OPS_MAX = 64, WAITING_POLL_MS = 50, IDLE_POLL_MS = 60 * 1000 };

struct queue {
    struct http_call *first, *last;
};

struct http {
    struct op_conf conf;
    unsigned max_connections;
    pthread_t thread;
    atomic_uint waking; /* submitters that are about to wake the engine, without the lock */
    struct {
        struct lock lock;
        struct queue queue;
        CURLM *multi; /* NULL: not started, or stopped */
        bool is_stopping, is_stopped;
    } locked;
    /* The engine thread's. */
    CURLM *multi;
    struct queue urgent, waiting;
    struct op *active, *idle;
    unsigned n_active, n_urgent, n_idle; /* n_urgent: of n_active */
    bool was_urgent;                     /* the last that began where both waited */
};

static _Thread_local bool is_engine_thread;

bool op_is_engine_thread(void)
{
    return is_engine_thread;
}

/* Real time, also under a test's fake clock: curl's own limits run on it. */
static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

/* --- queues ------------------------------------------------------------------------------------
 */

static void queue_add(struct queue *q, struct http_call *call)
{
    call->engine.next = NULL;
    if (q->last)
        q->last->engine.next = call;
    else
        q->first = call;
    q->last = call;
}

static void queue_add_first(struct queue *q, struct http_call *call)
{
    call->engine.next = q->first;
    q->first = call;
    if (!q->last)
        q->last = call;
}

static struct http_call *queue_pop(struct queue *q)
{
    struct http_call *call = q->first;
    if (call) {
        q->first = call->engine.next;
        if (!q->first)
            q->last = NULL;
        call->engine.next = NULL;
    }
    return call;
}

static void list_add(struct op **list, struct op *op)
{
    op->prev = NULL;
    op->next = *list;
    if (*list)
        (*list)->prev = op;
    *list = op;
}

static void list_remove(struct op **list, struct op *op)
{
    if (op->prev)
        op->prev->next = op->next;
    else
        *list = op->next;
    if (op->next)
        op->next->prev = op->prev;
    op->prev = op->next = NULL;
}

/* --- calls -------------------------------------------------------------------------------------
 */

static struct op *op_get(struct http *h)
{
    struct op *op = h->idle;
    if (!op)
        return op_new();
    list_remove(&h->idle, op);
    h->n_idle--;
    return op;
}

static void op_put(struct http *h, struct op *op)
{
    bool is_secret = op->call->is_secret; /* its handle's buffers still hold the answer */
    op_end(op);
    if (is_secret || h->n_idle >= IDLE_OPS_MAX) {
        op_free(op);
        return;
    }
    list_add(&h->idle, op);
    h->n_idle++;
}

/* Ends a call that is under way; the op is idle before done runs, which may free the call. */
static void finish(struct http *h, struct op *op, int r)
{
    struct http_call *call = op->call;
    struct err_copy text;
    err_copy(&text);
    curl_multi_remove_handle(h->multi, op->easy);
    list_remove(&h->active, op);
    h->n_active--;
    h->n_urgent -= call->is_urgent;
    op_put(h, op);
    err_restore(&text);
    call->done(call, r);
}

static void begin(struct http *h, struct http_call *call)
{
    int64_t left_ms = 0;
    if (call->engine.deadline_ns) {
        left_ms = (call->engine.deadline_ns - now_ns() + NS_PER_MS - 1) / NS_PER_MS;
        if (left_ms <= 0) {
            call->done(call, err_set(-ETIMEDOUT, "timed out before a connection was free"));
            return;
        }
    }
    struct op *op = op_get(h);
    if (!op) {
        call->done(call, err_set(-ENOMEM, "out of memory for a request"));
        return;
    }
    int r = op_begin(op, &h->conf, call, left_ms);
    if (r == 0) {
        CURLMcode code = curl_multi_add_handle(h->multi, op->easy);
        if (code != CURLM_OK)
            r = err_set(-EIO, "curl: %s", curl_multi_strerror(code));
    }
    call->was_begun = r == 0;
    list_add(&h->active, op);
    h->n_active++;
    h->n_urgent += call->is_urgent;
    if (r < 0)
        finish(h, op, r);
}

static bool is_any_waiting(const struct http *h)
{
    return h->urgent.first || h->waiting.first;
}

/* Bodies on a slow link may hold all places for minutes, so what is urgent has one that they never
 * get: to be the first of those that wait would not help it. Nor does it keep the rest from the
 * other places, however much of it comes. */
static struct http_call *next_call(struct http *h)
{
    bool may_other = h->waiting.first && h->n_active - h->n_urgent < h->max_connections;
    if (h->n_active >= h->max_connections + URGENT_PLACES)
        return NULL;
    if (h->urgent.first && may_other)
        h->was_urgent = !h->was_urgent;
    else
        h->was_urgent = h->urgent.first;
    if (h->was_urgent)
        return queue_pop(&h->urgent);
    return may_other ? queue_pop(&h->waiting) : NULL;
}

static void begin_some(struct http *h)
{
    struct http_call *call;
    while ((call = next_call(h)))
        begin(h, call);
}

/* What waits past its time is answered; the rest keeps its order. */
static void expire(struct queue *q)
{
    struct queue rest = {0};
    struct http_call *call;
    int64_t now = now_ns();
    while ((call = queue_pop(q))) {
        if (call->engine.deadline_ns && call->engine.deadline_ns <= now)
            call->done(call, err_set(-ETIMEDOUT, "timed out before a connection was free"));
        else
            queue_add(&rest, call);
    }
    *q = rest;
}

static void finish_some(struct http *h)
{
    CURLMsg *msg;
    int left;
    while ((msg = curl_multi_info_read(h->multi, &left))) {
        struct op *op = NULL;
        if (msg->msg != CURLMSG_DONE)
            continue;
        CURLcode code = msg->data.result; /* msg is gone after remove_handle */
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &op);
        finish(h, op, op_outcome(op, code));
    }
}

static void sort_in(struct http *h, struct queue *q)
{
    struct http_call *call;
    while ((call = queue_pop(q))) {
        if (call->is_first)
            queue_add_first(&h->urgent, call);
        else
            queue_add(call->is_urgent ? &h->urgent : &h->waiting, call);
    }
}

/* Takes what was submitted; false when the engine is to stop. */
static bool take_queue(struct http *h)
{
    lock_take(&h->locked.lock);
    struct queue q = h->locked.queue;
    h->locked.queue = (struct queue){0};
    bool go_on = !h->locked.is_stopping;
    lock_drop(&h->locked.lock);
    sort_in(h, &q);
    return go_on;
}

/* Ends everything, also what the callbacks submit meanwhile; then nothing more is taken. */
static void cancel_all(struct http *h)
{
    struct http_call *call;
    for (;;) {
        while (h->active)
            finish(h, h->active, err_set(-ECANCELED, "the HTTP engine was stopped"));
        while ((call = queue_pop(&h->urgent)) || (call = queue_pop(&h->waiting)))
            call->done(call, err_set(-ECANCELED, "the HTTP engine was stopped"));
        lock_take(&h->locked.lock);
        h->waiting = h->locked.queue;
        h->locked.queue = (struct queue){0};
        h->locked.is_stopped = !h->waiting.first;
        bool is_stopped = h->locked.is_stopped;
        lock_drop(&h->locked.lock);
        if (is_stopped)
            return;
    }
}

static void *engine_main(void *arg)
{
    struct http *h = arg;
    int running = 0;
    is_engine_thread = true;
    pthread_setname_np(pthread_self(), "http");
    while (take_queue(h)) {
        if (h->n_active >= h->max_connections) {
            expire(&h->urgent);
            expire(&h->waiting);
        }
        begin_some(h);
        CURLMcode code = curl_multi_perform(h->multi, &running);
        finish_some(h);
        begin_some(h);
        if (code == CURLM_OK)
            code = curl_multi_poll(h->multi, NULL, 0,
                                   is_any_waiting(h) ? WAITING_POLL_MS : IDLE_POLL_MS, NULL);
        if (code != CURLM_OK)
            log_debug("http.multi", "error=%s", LOG_Q(curl_multi_strerror(code)));
    }
    cancel_all(h);
    return NULL;
}

/* --- life --------------------------------------------------------------------------------------
 */

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static CURLcode curl_ready;

static void init_curl(void)
{
    curl_ready = memory_init();
}

int http_new(const struct http_conf *conf, struct http **ret)
{
    pthread_once(&curl_once, init_curl);
    if (curl_ready != CURLE_OK)
        return err_set(-EIO, "libcurl can't start: %s", curl_easy_strerror(curl_ready));
    struct http *h = calloc(1, sizeof(*h));
    if (!h)
        return err_set(-ENOMEM, "out of memory for the HTTP engine");
    lock_init(&h->locked.lock, LOCK_HTTP);
    h->max_connections = conf->max_connections ? conf->max_connections : 256;
    h->conf.connect_timeout_ms = conf->connect_timeout_ms ? conf->connect_timeout_ms : 5000;
    h->conf.stall_timeout_ms = conf->stall_timeout_ms ? conf->stall_timeout_ms : 20000;
    h->conf.user_agent = strdup(conf->user_agent ? conf->user_agent : "s3efs/" PACKAGE_VERSION);
    if (conf->ca_bundle)
        h->conf.ca_bundle = strdup(conf->ca_bundle);
    if (!h->conf.user_agent || (conf->ca_bundle && !h->conf.ca_bundle)) {
        http_free(h);
        return err_set(-ENOMEM, "out of memory for the HTTP engine");
    }
    *ret = h;
    return 0;
}

/* Signals are main's: the thread inherits a mask with all of them blocked. */
static int start_thread(struct http *h)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int r = pthread_create(&h->thread, NULL, engine_main, h);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return r ? err_set(-r, "starting the HTTP thread: %s", strerror(r)) : 0;
}

int http_start(struct http *h)
{
    assert(!h->multi);
    CURLM *multi = curl_multi_init();
    if (!multi)
        return err_set(-ENOMEM, "out of memory for the HTTP engine");
    /* Idle ones to one host make room for those to another (a credential endpoint): HTTP-1 counts
     * calls, and they alone would leave as many idle beside them. */
    curl_multi_setopt(multi, CURLMOPT_MAX_TOTAL_CONNECTIONS,
                      (long)h->max_connections + URGENT_PLACES);
    curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long)h->max_connections);
    curl_multi_setopt(multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    h->multi = multi;
    int r = start_thread(h);
    if (r < 0) {
        h->multi = NULL;
        curl_multi_cleanup(multi);
        return r;
    }
    lock_take(&h->locked.lock);
    h->locked.multi = multi;
    curl_multi_wakeup(multi); /* for what was submitted before */
    lock_drop(&h->locked.lock);
    return 0;
}

void http_stop(struct http *h)
{
    lock_take(&h->locked.lock);
    bool was_running = h->locked.multi && !h->locked.is_stopping;
    h->locked.is_stopping = true;
    if (was_running)
        curl_multi_wakeup(h->locked.multi);
    lock_drop(&h->locked.lock);
    if (was_running)
        pthread_join(h->thread, NULL);
    else
        cancel_all(h);
}

void http_free(struct http *h)
{
    if (!h)
        return;
    http_stop(h);
    while (atomic_load(&h->waking) > 0) /* their calls are done, they are about to return */
        (void)sched_yield();
    while (h->idle) {
        struct op *op = h->idle;
        list_remove(&h->idle, op);
        op_free(op);
    }
    if (h->multi)
        curl_multi_cleanup(h->multi);
    lock_done(&h->locked.lock);
    free(h->conf.ca_bundle);
    free(h->conf.user_agent);
    free(h);
}

void http_submit(struct http *h, struct http_call *call)
{
    http_call_done(call);
    buf_init(&call->body, call->body_max ? call->body_max : 1024 * 1024);
    call->body.is_secret = call->is_secret;
    call->was_begun = false;
    call->engine.deadline_ns = call->timeout_ms > 0 ? now_ns() + call->timeout_ms * NS_PER_MS : 0;
    lock_take(&h->locked.lock);
    bool is_stopped = h->locked.is_stopped, was_empty = !h->locked.queue.first;
    CURLM *multi = h->locked.multi; /* until http_free() */
    bool wakes = !is_stopped && was_empty && multi;
    if (!is_stopped)
        queue_add(&h->locked.queue, call);
    atomic_fetch_add(&h->waking, wakes);
    lock_drop(&h->locked.lock);
    if (wakes) { /* without the lock: the engine takes it first of all, and would sleep again */
        curl_multi_wakeup(multi);
        atomic_fetch_sub(&h->waking, 1);
    }
    if (is_stopped)
        call->done(call, err_set(-ECANCELED, "the HTTP engine was stopped"));
}
