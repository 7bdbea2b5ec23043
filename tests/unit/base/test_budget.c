/* SPDX-License-Identifier: Apache-2.0 */
/* A share of memory among threads: never more than its maximum is out, everybody gets some. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>

#include "base/budget.h"

#define TAKERS 8
#define ROUNDS 200
#define SIZE 1000

static struct {
    struct budget budget;
    struct lock lock;
    uint64_t now, most;
    unsigned done;
    unsigned asked; /* calls of make_room */
    uint64_t idle;  /* what it may give back */
} t;

static int set_up(void **state)
{
    (void)state;
    lock_init(&t.lock, LOCK_LEAF);
    t.now = t.most = t.idle = 0;
    t.done = t.asked = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(budget_used(&t.budget), 0);
    assert_int_equal(budget_waiting(&t.budget), 0);
    budget_done(&t.budget);
    lock_done(&t.lock);
    return 0;
}

static void hold(uint64_t bytes, bool take)
{
    lock_take(&t.lock);
    t.now = take ? t.now + bytes : t.now - bytes;
    if (t.now > t.most)
        t.most = t.now;
    if (!take)
        t.done++;
    lock_drop(&t.lock);
}

/* Sizes of all kinds, none above max. */
static void *taker(void *arg)
{
    uint64_t seed = (uintptr_t)arg;

    for (unsigned i = 0; i < ROUNDS; i++) {
        uint64_t bytes = 1 + (seed * 7919 + i * 104729) % SIZE;

        budget_take(&t.budget, bytes);
        hold(bytes, true);
        hold(bytes, false);
        budget_give(&t.budget, bytes);
    }
    return NULL;
}

static void never_above_its_maximum(void **state)
{
    pthread_t threads[TAKERS];

    (void)state;
    budget_init(&t.budget, SIZE + SIZE / 2);
    for (unsigned i = 0; i < TAKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, taker, (void *)(uintptr_t)(i + 1)), 0);
    for (unsigned i = 0; i < TAKERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(t.done, TAKERS * ROUNDS);
    assert_true(t.most > 0 && t.most <= SIZE + SIZE / 2);
}

static void without_a_wait(void **state)
{
    (void)state;
    budget_init(&t.budget, SIZE);
    assert_true(budget_try(&t.budget, 10 * SIZE, UINT64_MAX)); /* larger than all of it: alone */
    assert_false(budget_try(&t.budget, 1, UINT64_MAX));
    budget_give(&t.budget, 10 * SIZE);
    assert_false(budget_try(&t.budget, SIZE, SIZE / 2));
    assert_true(budget_try(&t.budget, SIZE / 2, SIZE / 2));
    assert_false(budget_try(&t.budget, 1, SIZE / 2));
    assert_true(budget_try(&t.budget, SIZE / 2, UINT64_MAX));
    assert_false(budget_try(&t.budget, 1, UINT64_MAX));
    assert_int_equal(budget_used(&t.budget), SIZE);
    budget_give(&t.budget, SIZE);
}

static void no_maximum(void **state)
{
    (void)state;
    budget_init(&t.budget, 0);
    budget_take(&t.budget, UINT64_MAX / 2);
    assert_true(budget_try(&t.budget, UINT64_MAX / 2, UINT64_MAX));
    budget_give(&t.budget, UINT64_MAX / 2 * 2);
}

/* One thread that takes, and says so. */
struct one {
    pthread_t thread;
    uint64_t bytes;
    unsigned turn; /* under t.lock: the how-manieth it was; 0: not yet */
};

static void *take_one(void *arg)
{
    struct one *o = arg;

    budget_take(&t.budget, o->bytes);
    lock_take(&t.lock);
    o->turn = ++t.done;
    lock_drop(&t.lock);
    return NULL;
}

static void start(struct one *o, uint64_t bytes, unsigned waiting)
{
    *o = (struct one){.bytes = bytes};
    assert_int_equal(pthread_create(&o->thread, NULL, take_one, o), 0);
    while (budget_waiting(&t.budget) != waiting)
        sched_yield();
}

static unsigned turn_of(struct one *o)
{
    pthread_join(o->thread, NULL);
    return o->turn;
}

static void larger_than_all_goes_alone(void **state)
{
    struct one large;

    (void)state;
    budget_init(&t.budget, SIZE);
    budget_take(&t.budget, 1);
    start(&large, 3 * SIZE, 1);
    budget_give(&t.budget, 1);
    assert_int_equal(turn_of(&large), 1);
    assert_int_equal(budget_used(&t.budget), 3 * SIZE);
    budget_give(&t.budget, 3 * SIZE);
}

static void make_room(void *arg)
{
    uint64_t bytes;

    (void)arg;
    assert_int_equal(budget_waiting(&t.budget), 1);
    lock_take(&t.lock);
    t.asked++;
    bytes = t.idle;
    t.idle = 0;
    lock_drop(&t.lock);
    budget_give(&t.budget, bytes);
}

static void who_waits_asks_for_what_is_idle(void **state)
{
    (void)state;
    budget_init(&t.budget, SIZE);
    budget_on_wait(&t.budget, make_room, NULL);
    budget_take(&t.budget, SIZE);
    assert_int_equal(t.asked, 0);
    t.idle = SIZE;
    budget_take(&t.budget, SIZE / 2); /* gets what make_room gives back */
    assert_int_equal(t.asked, 1);
    budget_give(&t.budget, SIZE / 2);
}

static void a_large_one_is_not_passed_by(void **state)
{
    struct one large, small;

    (void)state;
    budget_init(&t.budget, SIZE);
    budget_take(&t.budget, SIZE / 2);
    budget_take(&t.budget, SIZE / 2);
    start(&large, SIZE, 1);
    budget_give(&t.budget, SIZE / 2); /* there is room, but not for the one who was first */
    assert_false(budget_try(&t.budget, 1, UINT64_MAX));
    start(&small, 1, 2);
    budget_give(&t.budget, SIZE / 2);
    assert_int_equal(turn_of(&large), 1);
    assert_int_equal(budget_waiting(&t.budget), 1);
    budget_give(&t.budget, SIZE);
    assert_int_equal(turn_of(&small), 2);
    budget_give(&t.budget, 1);
}

static void in_the_order_of_coming(void **state)
{
    struct one ones[TAKERS];

    (void)state;
    budget_init(&t.budget, SIZE);
    budget_take(&t.budget, SIZE);
    for (unsigned i = 0; i < TAKERS; i++)
        start(&ones[i], SIZE, i + 1);
    for (unsigned i = 0; i < TAKERS; i++) {
        budget_give(&t.budget, SIZE);
        assert_int_equal(turn_of(&ones[i]), i + 1);
        assert_int_equal(budget_waiting(&t.budget), TAKERS - 1 - i);
    }
    budget_give(&t.budget, SIZE);
}

static void what_only_counts(void **state)
{
    struct one waits;

    (void)state;
    budget_init(&t.budget, SIZE);
    budget_add(&t.budget, 2 * SIZE);
    assert_int_equal(budget_used(&t.budget), 2 * SIZE);
    start(&waits, 1, 1);
    budget_give(&t.budget, SIZE);
    assert_int_equal(budget_waiting(&t.budget), 1);
    budget_give(&t.budget, 1);
    assert_int_equal(turn_of(&waits), 1);
    budget_give(&t.budget, SIZE);
}

/* What comes back in one piece goes to as many as it is enough for. */
static void one_piece_for_many(void **state)
{
    struct one ones[TAKERS];

    (void)state;
    budget_init(&t.budget, TAKERS);
    budget_take(&t.budget, TAKERS);
    for (unsigned i = 0; i < TAKERS; i++)
        start(&ones[i], 1, i + 1);
    budget_give(&t.budget, TAKERS);
    assert_int_equal(budget_waiting(&t.budget), 0);
    for (unsigned i = 0; i < TAKERS; i++)
        assert_true(turn_of(&ones[i]) > 0);
    budget_give(&t.budget, TAKERS);
}

static void *take_twice(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        budget_take(&t.budget, SIZE);
        hold(SIZE, true);
    }
    return NULL;
}

/* Who waits is let go, and counted; the next one waits again. */
static void let_go(void **state)
{
    pthread_t thread;

    (void)state;
    budget_init(&t.budget, SIZE);
    budget_let_go(&t.budget); /* nobody waits */
    budget_take(&t.budget, SIZE);
    assert_int_equal(pthread_create(&thread, NULL, take_twice, NULL), 0);
    for (unsigned n = 2; n <= 3; n++) {
        while (budget_waiting(&t.budget) == 0)
            sched_yield();
        assert_int_equal(budget_used(&t.budget), (n - 1) * SIZE);
        budget_let_go(&t.budget);
        assert_int_equal(budget_used(&t.budget), n * SIZE);
    }
    pthread_join(thread, NULL);
    assert_false(budget_try(&t.budget, 1, UINT64_MAX));
    budget_give(&t.budget, 3 * SIZE);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(never_above_its_maximum),
        T(without_a_wait),
        T(no_maximum),
        T(larger_than_all_goes_alone),
        T(who_waits_asks_for_what_is_idle),
        T(a_large_one_is_not_passed_by),
        T(in_the_order_of_coming),
        T(one_piece_for_many), T(what_only_counts),
        T(let_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
