/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs in order of arrival, and timed ones when they are due (a list sorted by time: few wait at
 * once). */
#include "base/workq.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/lock.h"

struct workq {
    unsigned n_threads;
    pthread_t *threads;
    struct {
        struct lock lk;
        struct cond wake;
        struct work *ready, **ready_end, *timed;
        bool stopping;
    } locked;
};

static void move_due_locked(struct workq *q, int64_t now)
{
    while (q->locked.timed != NULL && q->locked.timed->due_ns <= now) {
        struct work *w = q->locked.timed;

        q->locked.timed = w->next;
        w->next = NULL;
        *q->locked.ready_end = w;
        q->locked.ready_end = &w->next;
    }
}

/* The next job, or NULL when the pool stops and nothing is queued. */
static struct work *take_locked(struct workq *q)
{
    for (;;) {
        int64_t now = clock_boot_ns();
        struct work *w;

        move_due_locked(q, now);
        w = q->locked.ready;
        if (w != NULL) {
            q->locked.ready = w->next;
            if (w->next == NULL)
                q->locked.ready_end = &q->locked.ready;
            return w;
        }
        if (q->locked.stopping)
            return NULL;
        if (q->locked.timed != NULL) {
            int64_t ms = (q->locked.timed->due_ns - now) / NS_PER_MS + 1;

            /* At most a second: a test's clock may be moved by hand. */
            (void)cond_wait_ms(&q->locked.wake, &q->locked.lk, ms < 1000 ? ms : 1000);
        } else {
            cond_wait(&q->locked.wake, &q->locked.lk);
        }
    }
}

static void *run_thread(void *arg)
{
    struct workq *q = arg;

    lock_take(&q->locked.lk);
    for (;;) {
        struct work *w = take_locked(q);

        if (w == NULL)
            break;
        lock_drop(&q->locked.lk);
        origin_set(w->origin);
        w->run(w, false);
        lock_take(&q->locked.lk);
    }
    lock_drop(&q->locked.lk);
    return NULL;
}

int workq_new(const char *name, unsigned threads, struct workq **ret)
{
    struct workq *q = calloc(1, sizeof(*q));

    if (q == NULL)
        return -ENOMEM;
    lock_init(&q->locked.lk, LOCK_LEAF);
    cond_init(&q->locked.wake);
    q->locked.ready_end = &q->locked.ready;
    q->threads = calloc(threads, sizeof(*q->threads));
    while (q->threads != NULL && q->n_threads < threads &&
           pthread_create(&q->threads[q->n_threads], NULL, run_thread, q) == 0) {
        char short_name[16] = {0};

        for (size_t i = 0; i < sizeof(short_name) - 1 && name[i] != '\0'; i++)
            short_name[i] = name[i];
        pthread_setname_np(q->threads[q->n_threads], short_name);
        q->n_threads++;
    }
    if (q->n_threads < threads) {
        workq_free(q);
        return -ENOMEM;
    }
    *ret = q;
    return 0;
}

void workq_free(struct workq *q)
{
    struct work *timed;

    if (q == NULL)
        return;
    lock_take(&q->locked.lk);
    q->locked.stopping = true;
    cond_broadcast(&q->locked.wake);
    lock_drop(&q->locked.lk);
    for (unsigned i = 0; i < q->n_threads; i++)
        pthread_join(q->threads[i], NULL);
    timed = q->locked.timed;
    while (timed != NULL) {
        struct work *w = timed;

        timed = w->next;
        w->run(w, true);
    }
    free(q->threads);
    cond_done(&q->locked.wake);
    lock_done(&q->locked.lk);
    free(q);
}

void workq_add(struct workq *q, struct work *w)
{
    workq_add_after(q, w, 0);
}

void workq_add_after(struct workq *q, struct work *w, int64_t delay_ns)
{
    w->origin = origin_get();
    w->next = NULL;
    lock_take(&q->locked.lk);
    if (delay_ns <= 0) {
        *q->locked.ready_end = w;
        q->locked.ready_end = &w->next;
    } else {
        struct work **p = &q->locked.timed;

        w->due_ns = clock_boot_ns() + delay_ns;
        while (*p != NULL && (*p)->due_ns <= w->due_ns)
            p = &(*p)->next;
        w->next = *p;
        *p = w;
    }
    cond_signal(&q->locked.wake);
    lock_drop(&q->locked.lk);
}
