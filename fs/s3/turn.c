/* SPDX-License-Identifier: Apache-2.0 */
/* A call's turn to be sent: what all calls to the endpoint share (struct gate), and the queues of
 * those that wait for it, each in order of arrival. Who has failed before lets the others go first,
 * but for one turn in nine: what is sick may be its key only, or its prefix, and calls that could
 * succeed must not wait until each of those has failed once more. What is urgent (a lease depends on
 * it) has every second turn, if it needs that many: an outage that ends, or a prefix that is sick,
 * must not cost a lease, nor may leases keep the rest from its turns; the renewal of the mount's own
 * is the first of these. While anything waits, s3.tick
 * runs ten times an interval: it lets go who may go, and ends those whose deadline has come. A
 * success lets go at once. TURN-1  Something waits <=> the tick is queued or runs. TURN-2  No
 * callback runs under the lock. */
#include "call.h"

#include <errno.h>

#include "base/clock.h"
#include "base/macros.h"
#include "response.h"

#define BACKOFF_BASE_MS 50
#define INTERVAL_FACTOR 20 /* of the first backoff: an outage's probes are a second apart */
#define BACKOFF_CAP_NS (20 * NS_PER_S)
#define TICKS 10
#define PASSED_MAX 8

static void on_tick(struct work *w, bool cancelled);

static int64_t base_ns(const struct s3 *s3)
{
    return (s3->conf.retry_base_ms != 0 ? s3->conf.retry_base_ms : BACKOFF_BASE_MS) * NS_PER_MS;
}

void turn_init(struct s3 *s3)
{
    gate_init(&s3->locked.gate, base_ns(s3) * INTERVAL_FACTOR);
    s3->locked.urgent.end = &s3->locked.urgent.first;
    s3->locked.fresh.end = &s3->locked.fresh.first;
    s3->locked.again.end = &s3->locked.again.first;
    s3->tick.run = on_tick;
}

static void start_tick_locked(struct s3 *s3)
{
    s3->locked.ticking = true;
    workq_add_after(s3->workq, &s3->tick, base_ns(s3) * INTERVAL_FACTOR / TICKS);
}

static void add_locked(struct turn_queue *q, struct call *c)
{
    c->waits = NULL;
    *q->end = c;
    q->end = &c->waits;
}

static void add_first_locked(struct turn_queue *q, struct call *c)
{
    c->waits = q->first;
    if (q->first == NULL)
        q->end = &c->waits;
    q->first = c;
}

static struct call *remove_locked(struct turn_queue *q, struct call **at)
{
    struct call *c = *at;

    *at = c->waits;
    if (c->waits == NULL)
        q->end = at;
    return c;
}

static bool is_any_locked(const struct s3 *s3)
{
    return s3->locked.urgent.first != NULL || s3->locked.fresh.first != NULL ||
           s3->locked.again.first != NULL;
}

static struct turn_queue *next_locked(struct s3 *s3)
{
    bool is_any_other = s3->locked.fresh.first != NULL || s3->locked.again.first != NULL;
    bool is_again = s3->locked.fresh.first == NULL ||
                    (s3->locked.again.first != NULL && s3->locked.passed >= PASSED_MAX);

    if (s3->locked.urgent.first != NULL && !(is_any_other && s3->locked.was_urgent))
        return &s3->locked.urgent;
    return is_again ? &s3->locked.again : &s3->locked.fresh;
}

/* Those that have nothing to wait for any more. */
static void end_locked(struct s3 *s3, struct turn_queue *q, int64_t now_ns, struct turn_queue *go)
{
    struct call **at = &q->first;

    while (*at != NULL) {
        if (s3->locked.stopping || ((*at)->deadline_ns != 0 && now_ns >= (*at)->deadline_ns))
            add_locked(go, remove_locked(q, at));
        else
            at = &(*at)->waits;
    }
}

/* Those that may go now, taken off their queues: a list by call.waits. */
static struct call *let_go_locked(struct s3 *s3, int64_t now_ns)
{
    struct turn_queue go = {.end = &go.first};

    end_locked(s3, &s3->locked.urgent, now_ns, &go);
    end_locked(s3, &s3->locked.fresh, now_ns, &go);
    end_locked(s3, &s3->locked.again, now_ns, &go);
    while (is_any_locked(s3)) {
        enum gate_turn turn = gate_enter(&s3->locked.gate, now_ns);
        struct turn_queue *q = next_locked(s3);

        if (turn == GATE_WAIT)
            break;
        s3->locked.was_urgent = q == &s3->locked.urgent;
        if (!s3->locked.was_urgent)
            s3->locked.passed = q == &s3->locked.fresh ? s3->locked.passed + 1 : 0;
        q->first->turn = turn;
        add_locked(&go, remove_locked(q, &q->first));
    }
    return go.first;
}

/* On the work queue each, as their credentials may block. err_text() stays what it is. */
static void start_all(struct call *first)
{
    struct err_copy why;

    if (first == NULL)
        return;
    err_copy(&why);
    while (first != NULL) {
        struct call *next = first->waits;

        first->waits = NULL;
        call_again(first, 0);
        first = next;
    }
    err_restore(&why);
}

static void on_tick(struct work *w, bool cancelled)
{
    struct s3 *s3 = container_of(w, struct s3, tick);
    struct call *first;

    lock_take(&s3->locked.lk);
    first = let_go_locked(s3, clock_boot_ns());
    s3->locked.ticking = false;
    if (is_any_locked(s3) && !cancelled)
        start_tick_locked(s3);
    lock_drop(&s3->locked.lk);
    start_all(first);
}

static struct turn_queue *queue_of(struct call *c)
{
    if (c->req->is_urgent)
        return &c->s3->locked.urgent;
    return c->attempts == 0 ? &c->s3->locked.fresh : &c->s3->locked.again;
}

bool turn_take(struct call *c)
{
    struct s3 *s3 = c->s3;
    bool may_go;

    if (c->turn != GATE_WAIT)
        return true; /* it has waited for it */
    lock_take(&s3->locked.lk);
    if (!is_any_locked(s3) || s3->locked.stopping)
        c->turn = gate_enter(&s3->locked.gate, clock_boot_ns());
    may_go = c->turn != GATE_WAIT || s3->locked.stopping;
    if (!may_go) {
        if (c->req->is_first)
            add_first_locked(queue_of(c), c);
        else
            add_locked(queue_of(c), c);
        if (!s3->locked.ticking)
            start_tick_locked(s3);
    }
    lock_drop(&s3->locked.lk);
    return may_go;
}

void turn_end(struct call *c, enum gate_end end)
{
    struct s3 *s3 = c->s3;
    struct call *first = NULL;
    int64_t now_ns = clock_boot_ns();

    if (c->turn == GATE_WAIT)
        return;
    lock_take(&s3->locked.lk);
    gate_leave(&s3->locked.gate, c->turn, end, now_ns);
    c->turn = GATE_WAIT;
    if (end != GATE_FAILURE && is_any_locked(s3))
        first = let_go_locked(s3, now_ns);
    lock_drop(&s3->locked.lk);
    start_all(first);
}

int64_t turn_delay(struct call *c, bool is_throttled, uint64_t random)
{
    struct s3 *s3 = c->s3;
    struct backoff b = {.base_ns = base_ns(s3), .cap_ns = BACKOFF_CAP_NS};
    int64_t delay, asked = response_retry_after_ns(&c->http, clock_wall_ns());
    bool is_outage;

    if (is_throttled)
        b.base_ns *= INTERVAL_FACTOR;
    lock_take(&s3->locked.lk);
    is_outage = gate_is_outage(&s3->locked.gate);
    lock_drop(&s3->locked.lk);
    /* In an outage the probes are the backoff: who waits for them goes on as soon as one comes
     * through. A turn that was not used is no probe, and the next has it at once. */
    delay = is_outage && !c->is_unsigned ? 0 : backoff_delay(&b, c->attempts - 1, random);
    return delay > asked ? delay : asked;
}
