/* SPDX-License-Identifier: Apache-2.0 */
/* An outage, seen by the server: how many requests it gets while it is sick, and that all come
 * through after. The clock is moved by the test; what is sent is counted. */
#include "rig.h"

#include <errno.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "base/macros.h"
#include "fs/s3/call.h"

#define CALLS 30
#define PROBES 24
#define EARLY 4 /* failures before it is an outage: so many may be tried again until then */
#define INTERVAL (20 * NS_PER_MS) /* 20 times retry_base_ms */

struct sick {
    const char *only; /* is in the path of what is sick; NULL: all is */
    atomic_bool is_well;
    const char *young, *first; /* counted apart, too */
    atomic_uint seen, seen_young, seen_first, seen_before_first;
    const char *headers;
};

static void answer(void *ctx, const struct httpd_req *req, struct httpd_reply *reply)
{
    struct sick *s = ctx;

    bool is_sick = s->only == NULL || strstr(req->target, s->only) != NULL;

    if (s->young != NULL && strstr(req->target, s->young) != NULL)
        atomic_fetch_add(&s->seen_young, 1);
    if (s->first != NULL && strstr(req->target, s->first) != NULL)
        if (atomic_fetch_add(&s->seen_first, 1) == 0)
            atomic_store(&s->seen_before_first, atomic_load(&s->seen));
    if (is_sick)
        atomic_fetch_add(&s->seen, 1);
    if (!is_sick || atomic_load(&s->is_well)) {
        reply->headers = "ETag: \"x-1\"\r\n";
        reply->body = "hello";
        return;
    }
    reply->status = 503;
    reply->headers = s->headers;
    reply->body = ERROR_BODY("SlowDown");
}

struct calls {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    unsigned good, bad;
    struct store_req reqs[CALLS];
    struct store_rsp rsps[CALLS];
};

static void on_done(void *arg, int result)
{
    struct calls *calls = arg;

    pthread_mutex_lock(&calls->mutex);
    *(result == 0 ? &calls->good : &calls->bad) += 1;
    pthread_cond_signal(&calls->cond);
    pthread_mutex_unlock(&calls->mutex);
}

static void submit(struct rig *rig, struct calls *calls, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        calls->reqs[i] = (struct store_req){.op = STORE_GET, .key = "k"};
        store_submit(rig->store, &calls->reqs[i], &calls->rsps[i], on_done, calls);
    }
}

static void wait_all(struct calls *calls, unsigned n)
{
    pthread_mutex_lock(&calls->mutex);
    while (calls->good + calls->bad < n) {
        struct timespec soon;

        clock_fake_add(INTERVAL / 4);
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_sec += soon.tv_nsec / (999 * NS_PER_MS);
        soon.tv_nsec = (soon.tv_nsec + NS_PER_MS) % NS_PER_S;
        (void)pthread_cond_timedwait(&calls->cond, &calls->mutex, &soon);
    }
    pthread_mutex_unlock(&calls->mutex);
}

#define CALLS_INIT                                                                                 \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER                       \
    }

static void start(struct rig *rig, struct sick *sick)
{
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_init(rig);
    httpd_handle(rig->server, answer, sick);
    rig_start(rig);
}

/* Moves the clock in steps until the server has seen n requests; how far it went. Also where all
 * are sent at once, as a rule: on a slow machine the first ones have failed before the last one
 * comes, which then waits for its turn. */
static int64_t until_seen(struct sick *sick, unsigned n, int64_t step_ns)
{
    int64_t moved_ns = 0;

    while (atomic_load(&sick->seen) < n) {
        clock_fake_add(step_ns);
        moved_ns += step_ns;
        nanosleep(&(struct timespec){.tv_nsec = 2 * NS_PER_MS}, NULL);
    }
    return moved_ns;
}

static void end(struct calls *calls)
{
    for (size_t i = 0; i < CALLS; i++)
        store_rsp_done(&calls->rsps[i]);
    clock_fake_off();
}

/* One probe an interval, whoever waits; a call that comes in the outage waits with the others,
 * unsent. */
static void outage(void **state)
{
    struct sick sick = {0};
    struct calls calls = CALLS_INIT;
    int64_t moved_ns;
    unsigned sent;
    RIG(rig);

    (void)state;
    start(&rig, &sick);
    submit(&rig, &calls, 0, CALLS - 5);
    moved_ns = until_seen(&sick, CALLS - 5 + EARLY + 1, INTERVAL / 4);
    submit(&rig, &calls, CALLS - 5, CALLS);
    moved_ns += until_seen(&sick, CALLS - 5 + PROBES, INTERVAL / 4);
    sent = atomic_load(&sick.seen);
    assert_true(sent - (CALLS - 5) <= EARLY + 1 + moved_ns / INTERVAL);
    assert_int_equal(calls.good + calls.bad, 0);
    atomic_store(&sick.is_well, true);
    wait_all(&calls, CALLS);
    assert_int_equal(calls.good, CALLS);
    assert_true(atomic_load(&sick.seen) <= sent + 1 + CALLS); /* one may have been under way */
    end(&calls);
}

/* Who waits for its turn is let go by its deadline, and by a stop. */
static void ends_of_waiting(void **state)
{
    struct sick sick = {0};
    struct calls calls = CALLS_INIT;
    struct store_req late = {.op = STORE_GET, .key = "k"};
    struct store_rsp rsp = {0};
    RIG(rig);

    (void)state;
    start(&rig, &sick);
    submit(&rig, &calls, 0, CALLS - 1);
    (void)until_seen(&sick, CALLS - 1, INTERVAL / 4);
    (void)until_seen(&sick, CALLS + 1, INTERVAL / 4);
    late.deadline_ns = clock_boot_ns() + INTERVAL;
    store_submit(rig.store, &late, &rsp, on_done, &calls);
    clock_fake_add(INTERVAL);
    wait_all(&calls, 1);
    assert_int_equal(calls.bad, 1);
    store_stop(rig.store);
    wait_all(&calls, CALLS);
    assert_int_equal(calls.good, 0);
    store_rsp_done(&rsp);
    end(&calls);
}

/* Retry-After holds in an outage, too: with one call there is no probe before it. */
static void asked_to_wait(void **state)
{
    struct sick sick = {.headers = "Retry-After: 30\r\n"};
    struct calls calls = CALLS_INIT;
    RIG(rig);

    (void)state;
    start(&rig, &sick);
    submit(&rig, &calls, 0, 1);
    httpd_wait_requests(rig.server, 1);
    for (unsigned i = 2; i <= 7; i++)
        assert_true(until_seen(&sick, i, NS_PER_S) >= 29 * NS_PER_S);
    atomic_store(&sick.is_well, true);
    (void)until_seen(&sick, 8, NS_PER_S);
    wait_all(&calls, 1);
    assert_int_equal(calls.good, 1);
    end(&calls);
}

static unsigned good(struct calls *calls)
{
    unsigned n;

    pthread_mutex_lock(&calls->mutex);
    n = calls->good;
    pthread_mutex_unlock(&calls->mutex);
    return n;
}

/* Until what the server has seen has been answered, and the answers have come to the calls: an
 * interval that ends before would let nobody go. */
static void settle(struct rig *rig)
{
    struct meter_snapshot snap = {0};

    for (int i = 0; i < 15000 && (i == 0 || snap.requests[METER_GET] < httpd_requests(rig->server));
         i++) {
        nanosleep(&(struct timespec){.tv_nsec = 2 * NS_PER_MS}, NULL);
        meter_read(rig->meter, &snap);
    }
    nanosleep(&(struct timespec){.tv_nsec = 3 * NS_PER_MS}, NULL); /* and queued again */
}

/* One interval, and no more until the server has seen another sick request or `calls` has got n; one
 * more where that does not come: a failure that was told to the gate only now has put the turn off. */
static void step(struct rig *rig, struct sick *sick, struct calls *calls, unsigned n)
{
    unsigned seen;

    settle(rig);
    seen = atomic_load(&sick->seen);
    clock_fake_add(INTERVAL);
    for (int i = 1; atomic_load(&sick->seen) == seen && good(calls) < n; i++) {
        nanosleep(&(struct timespec){.tv_nsec = 2 * NS_PER_MS}, NULL);
        if (i % 500 == 0)
            clock_fake_add(INTERVAL);
    }
}

static unsigned length(const struct turn_queue *q)
{
    unsigned n = 0;

    for (const struct call *c = q->first; c != NULL; c = c->waits)
        n++;
    return n;
}

/* How many stand there; and who is the first of them? */
static unsigned queued(struct rig *rig, bool is_urgent, const struct store_req **ret_first)
{
    struct s3 *s3 = container_of(rig->store, struct s3, base);
    const struct turn_queue *q = is_urgent ? &s3->locked.urgent : &s3->locked.fresh;
    unsigned n;

    lock_take(&s3->locked.lk);
    *ret_first = q->first != NULL ? q->first->req : NULL;
    n = length(q);
    lock_drop(&s3->locked.lk);
    return n;
}

/* Until all n calls wait for a turn: none is on its way with one that it had before, or in its backoff. */
static void until_all_wait(struct rig *rig, unsigned n)
{
    struct s3 *s3 = container_of(rig->store, struct s3, base);
    unsigned now = 0;

    for (int i = 1; now < n; i++) {
        if (i % 50 == 0)
            clock_fake_add(INTERVAL / 4); /* that ends a backoff */
        nanosleep(&(struct timespec){.tv_nsec = 2 * NS_PER_MS}, NULL);
        lock_take(&s3->locked.lk);
        now = length(&s3->locked.urgent) + length(&s3->locked.fresh) + length(&s3->locked.again);
        lock_drop(&s3->locked.lk);
    }
}

/* Until n that were submitted stand in their queue, which threads bring them to, or the server has
 * seen them. */
static void until_queued(struct rig *rig, bool is_urgent, unsigned n, const atomic_uint *seen)
{
    const struct store_req *first;

    for (int i = 0; i < 30000 && queued(rig, is_urgent, &first) + (seen != NULL ? atomic_load(seen) : 0) < n; i++)
        nanosleep(&(struct timespec){.tv_nsec = 2 * NS_PER_MS}, NULL);
}

static void until_first(struct rig *rig, const struct store_req *req, const atomic_uint *seen)
{
    const struct store_req *first;

    for (int i = 0; i < 30000 && atomic_load(seen) == 0 && (queued(rig, true, &first) == 0 || first != req); i++)
        nanosleep(&(struct timespec){.tv_nsec = 2 * NS_PER_MS}, NULL);
}

static void submit_key(struct rig *rig, struct calls *calls, const char *key, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        calls->reqs[i] = (struct store_req){.op = STORE_GET, .key = key};
        store_submit(rig->store, &calls->reqs[i], &calls->rsps[i], on_done, calls);
    }
}

static void submit_urgent(struct rig *rig, struct calls *calls, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) {
        calls->reqs[i] = (struct store_req){.op = STORE_GET, .key = "lease", .is_urgent = true};
        store_submit(rig->store, &calls->reqs[i], &calls->rsps[i], on_done, calls);
    }
}

static void sick_keys(struct rig *rig, struct sick *sick, struct calls *calls)
{
    start(rig, sick);
    submit_key(rig, calls, "sick", CALLS);
    (void)until_seen(sick, CALLS, INTERVAL / 4);
    until_all_wait(rig, CALLS);
    while (atomic_load(&sick->seen) < CALLS + 5)
        step(rig, sick, calls, 1);
    until_all_wait(rig, CALLS);
}

/* Only some keys are sick: who asks for another one does not wait until each of them has failed
 * once more. */
static void some_sick_keys(void **state)
{
    struct sick sick = {.only = "sick", .first = "well"};
    struct calls calls = CALLS_INIT, well = CALLS_INIT;
    unsigned seen;
    RIG(rig);

    (void)state;
    sick_keys(&rig, &sick, &calls);
    submit_key(&rig, &well, "well", 1);
    until_queued(&rig, false, 1, &sick.seen_first);
    seen = atomic_load(&sick.seen);
    while (good(&well) == 0)
        step(&rig, &sick, &well, 1);
    assert_true(atomic_load(&sick.seen_before_first) <= seen + 6); /* in order of arrival it were all */
    atomic_store(&sick.is_well, true);
    wait_all(&calls, CALLS);
    assert_int_equal(calls.good, CALLS);
    store_rsp_done(&well.rsps[0]);
    end(&calls);
}

/* And those have their turns, though others come all the time. */
static void nobody_starves(void **state)
{
    struct sick sick = {.young = "new"};
    struct calls calls = CALLS_INIT, young = CALLS_INIT;
    unsigned seen;
    RIG(rig);

    (void)state;
    sick_keys(&rig, &sick, &calls);
    submit_key(&rig, &young, "new", CALLS);
    until_queued(&rig, false, CALLS, &sick.seen_young);
    seen = atomic_load(&sick.seen);
    while (atomic_load(&sick.seen) < seen + 18)
        step(&rig, &sick, &calls, 1);
    assert_in_range(atomic_load(&sick.seen_young), 10, 17); /* all 18 of them it must not be */
    atomic_store(&sick.is_well, true);
    wait_all(&calls, CALLS);
    wait_all(&young, CALLS);
    assert_int_equal(calls.good + young.good, 2 * CALLS);
    for (size_t i = 0; i < CALLS; i++)
        store_rsp_done(&young.rsps[i]);
    end(&calls);
}

#define LEASES 10

/* What a lease depends on is sent with the next probe, whatever waits; and it does not take all of
 * them, though it fails again and again. */
static void urgent(void **state)
{
    struct sick sick = {.young = "lease", .first = "lease-own"};
    struct calls calls = CALLS_INIT, fresh = CALLS_INIT, leases = CALLS_INIT, own = CALLS_INIT;
    unsigned seen, young;
    RIG(rig);

    (void)state;
    sick_keys(&rig, &sick, &calls);
    submit_key(&rig, &fresh, "new", CALLS);
    until_queued(&rig, false, CALLS - 1, NULL); /* one may have been let go */
    submit_urgent(&rig, &leases, 0, 1);
    until_queued(&rig, true, 1, &sick.seen_young);
    seen = atomic_load(&sick.seen);
    while (atomic_load(&sick.seen) < seen + 2) /* one may have been let go before */
        step(&rig, &sick, &calls, 1);
    young = atomic_load(&sick.seen_young);
    assert_true(young >= 1);
    submit_urgent(&rig, &leases, 1, LEASES);
    until_queued(&rig, true, LEASES - 1, NULL);
    seen = atomic_load(&sick.seen);
    while (atomic_load(&sick.seen) < seen + 20)
        step(&rig, &sick, &calls, 1);
    assert_in_range(atomic_load(&sick.seen_young) - young, 8, 12);
    own.reqs[0] = (struct store_req){
        .op = STORE_GET, .key = "lease-own", .is_urgent = true, .is_first = true};
    store_submit(rig.store, &own.reqs[0], &own.rsps[0], on_done, &own);
    until_first(&rig, &own.reqs[0], &sick.seen_first);
    seen = atomic_load(&sick.seen);
    while (atomic_load(&sick.seen) < seen + 4) /* every second one is urgent */
        step(&rig, &sick, &calls, 1);
    assert_true(atomic_load(&sick.seen_first) >= 1);
    atomic_store(&sick.is_well, true);
    wait_all(&own, 1);
    store_rsp_done(&own.rsps[0]);
    wait_all(&calls, CALLS);
    wait_all(&fresh, CALLS);
    wait_all(&leases, LEASES);
    assert_int_equal(calls.good + fresh.good + leases.good, 2 * CALLS + LEASES);
    for (size_t i = 0; i < CALLS; i++) {
        store_rsp_done(&fresh.rsps[i]);
        store_rsp_done(&leases.rsps[i]);
    }
    end(&calls);
}

static void hang_one(void *ctx, const struct httpd_req *req, struct httpd_reply *reply)
{
    (void)ctx;
    reply->hang = strstr(req->target, "hung") != NULL;
    reply->headers = "ETag: \"x-1\"\r\n";
    reply->body = "hello";
}

/* What never got a connection is no request, and no failure of the server: with a probe in 20
 * minutes whoever comes next would see none. */
static void no_connection_in_time(void **state)
{
    struct calls calls = CALLS_INIT;
    struct meter_snapshot snap = {0};
    struct store_req hung = {.op = STORE_GET, .key = "hung"};
    RIG(rig);

    (void)state;
    rig_init(&rig);
    http_free(rig.http);
    assert_int_equal(
        http_new(&(struct http_conf){.max_connections = 1, .stall_timeout_ms = 600000}, &rig.http), 0);
    rig.conf.retry_base_ms = 60 * 1000;
    httpd_handle(rig.server, hang_one, NULL);
    rig_start(&rig);
    store_submit(rig.store, &hung, &calls.rsps[0], on_done, &calls);
    httpd_wait_requests(rig.server, 1);
    for (int i = 0; i < 6; i++) {
        struct store_req late = {
            .op = STORE_GET, .key = "k", .deadline_ns = clock_boot_ns() + 50 * NS_PER_MS};
        struct store_rsp rsp = {0};

        assert_int_equal(store_call(rig.store, &late, &rsp), -ETIMEDOUT);
        assert_non_null(strstr(err_text(), "GET k: given up before it was sent: "));
        store_rsp_done(&rsp);
    }
    meter_read(rig.meter, &snap);
    assert_int_equal(snap.requests[METER_GET], 0);
    httpd_release(rig.server);
    submit(&rig, &calls, 1, 2);
    wait_all(&calls, 2);
    assert_int_equal(calls.good, 2);
    meter_read(rig.meter, &snap);
    assert_int_equal(snap.requests[METER_GET], 2);
    end(&calls);
}

static unsigned set_failing(struct rig *rig, int failing)
{
    unsigned failed;

    pthread_mutex_lock(&rig->cred.mutex);
    rig->cred.failing = failing;
    failed = rig->cred.failed;
    pthread_mutex_unlock(&rig->cred.mutex);
    return failed;
}

/* The way to the credentials is down as well, as when the network is: an attempt that could not be
 * signed was no probe, so who made it waits for as long as its own backoff says. */
static void outage_without_credentials(void **state)
{
    struct sick sick = {0};
    struct calls calls = CALLS_INIT;
    unsigned failed = 0;
    RIG(rig);

    (void)state;
    start(&rig, &sick);
    submit(&rig, &calls, 0, CALLS);
    (void)until_seen(&sick, CALLS, INTERVAL / 4);
    (void)until_seen(&sick, CALLS + EARLY + 1, INTERVAL / 4);
    (void)set_failing(&rig, -ECONNREFUSED);
    while (failed == 0) {
        clock_fake_add(INTERVAL / 4);
        nanosleep(&(struct timespec){.tv_nsec = 2 * NS_PER_MS}, NULL);
        failed = set_failing(&rig, -ECONNREFUSED);
    }
    nanosleep(&(struct timespec){.tv_nsec = 200 * NS_PER_MS}, NULL); /* the clock stands still */
    failed = set_failing(&rig, 0);
    assert_true(failed <= 10 * CALLS);
    atomic_store(&sick.is_well, true);
    wait_all(&calls, CALLS);
    assert_int_equal(calls.good, CALLS);
    end(&calls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outage),         cmocka_unit_test(ends_of_waiting),
        cmocka_unit_test(asked_to_wait),  cmocka_unit_test(some_sick_keys),
        cmocka_unit_test(nobody_starves), cmocka_unit_test(urgent),
        cmocka_unit_test(no_connection_in_time),
        cmocka_unit_test(outage_without_credentials),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
