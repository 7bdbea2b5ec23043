/* SPDX-License-Identifier: Apache-2.0 */
/* The budget of failures that the calls to one endpoint share, on a clock that the test moves. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "http/http.h"

#define LANES 64

static void well(struct gate *g, unsigned n, int64_t now_ns)
{
    for (unsigned i = 0; i < n; i++) {
        enum gate_turn turn = gate_enter(g, now_ns);

        assert_int_equal(turn, GATE_FREE);
        gate_leave(g, turn, GATE_SUCCESS, now_ns);
    }
}

/* Minutes without an answer: one probe a second, however many ask and however often; then all go
 * on. */
static void outage(void **state)
{
    const int64_t end = 300 * NS_PER_S;
    struct gate g;
    enum gate_turn turn;
    unsigned sent = 0;

    (void)state;
    gate_init(&g, NS_PER_S);
    for (int i = 0; i < LANES; i++)
        assert_int_equal(gate_enter(&g, 0), GATE_FREE);
    for (int i = 0; i < LANES; i++)
        gate_leave(&g, GATE_FREE, GATE_FAILURE, 0);
    assert_true(gate_is_outage(&g));
    for (int64_t now = 0; now < end; now += 10 * NS_PER_MS)
        for (int i = 0; i < LANES; i++) {
            turn = gate_enter(&g, now);
            if (turn == GATE_WAIT)
                continue;
            assert_int_equal(turn, GATE_PROBE);
            gate_leave(&g, turn, GATE_FAILURE, now);
            sent++;
        }
    assert_int_equal(sent, 299);
    /* It is back. The first to get through lets the next one go at once, and not all of them. */
    turn = gate_enter(&g, end);
    assert_int_equal(turn, GATE_PROBE);
    assert_int_equal(gate_enter(&g, end), GATE_WAIT);
    gate_leave(&g, turn, GATE_SUCCESS, end);
    assert_false(gate_is_outage(&g));
    for (int i = 0; g.is_careful; i++) {
        turn = gate_enter(&g, end);
        assert_int_not_equal(turn, GATE_WAIT);
        gate_leave(&g, turn, GATE_SUCCESS, end);
        assert_true(i < 100);
    }
    well(&g, 1000, end);
}

/* A hanging probe holds up nobody for longer than its second. */
static void hanging_probe(void **state)
{
    struct gate g;

    (void)state;
    gate_init(&g, NS_PER_S);
    for (int i = 0; i < 20; i++)
        gate_leave(&g, GATE_FREE, GATE_FAILURE, 0);
    assert_int_equal(gate_enter(&g, NS_PER_S - 1), GATE_WAIT);
    assert_int_equal(gate_enter(&g, NS_PER_S), GATE_PROBE);
    assert_int_equal(gate_enter(&g, 2 * NS_PER_S - 1), GATE_WAIT);
    assert_int_equal(gate_enter(&g, 2 * NS_PER_S), GATE_PROBE);
    /* Late failures of what was sent before don't put the next probe off. */
    gate_leave(&g, GATE_PROBE, GATE_FAILURE, 2 * NS_PER_S + 5);
    gate_leave(&g, GATE_FREE, GATE_FAILURE, 2 * NS_PER_S + 9);
    assert_int_equal(gate_enter(&g, 3 * NS_PER_S), GATE_PROBE);
    /* Not sent after all: the next may. */
    gate_leave(&g, GATE_PROBE, GATE_NOT_SENT, 3 * NS_PER_S + 1);
    assert_int_equal(gate_enter(&g, 3 * NS_PER_S + 2), GATE_PROBE);
}

/* A key that the server never answers well must not slow down the others. */
static void one_sick_key(void **state)
{
    struct gate g;
    unsigned waits = 0;

    (void)state;
    gate_init(&g, NS_PER_S);
    for (int64_t s = 0; s < 600; s++) {
        for (int i = 0; i < 20; i++) {
            enum gate_turn turn = gate_enter(&g, s * NS_PER_S);

            waits += turn == GATE_WAIT;
            gate_leave(&g, turn, GATE_SUCCESS, s * NS_PER_S);
        }
        gate_leave(&g, gate_enter(&g, s * NS_PER_S), GATE_FAILURE, s * NS_PER_S);
    }
    assert_int_equal(waits, 0);
}

struct lane {
    enum gate_turn turn; /* GATE_WAIT: wants one */
    int64_t end_ns;
};

/* One run of a busy mount: 64 at once, 20 ms a request, a share of all attempts fails, for two
 * minutes. Counts what came of them. */
static void run(unsigned percent, unsigned *ret_good, unsigned *ret_bad)
{
    struct lane lanes[LANES] = {0};
    struct gate g;
    uint64_t random = 42;

    *ret_good = *ret_bad = 0;
    gate_init(&g, NS_PER_S);
    for (int64_t now = 0; now < 120 * NS_PER_S; now += 5 * NS_PER_MS)
        for (int i = 0; i < LANES; i++) {
            struct lane *l = &lanes[i];

            if (l->turn != GATE_WAIT && now >= l->end_ns) {
                random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
                bool is_bad = (random >> 33) % 100 < percent;

                gate_leave(&g, l->turn, is_bad ? GATE_FAILURE : GATE_SUCCESS, now);
                *(is_bad ? ret_bad : ret_good) += 1;
                l->turn = GATE_WAIT;
            }
            if (l->turn == GATE_WAIT) {
                l->turn = gate_enter(&g, now);
                l->end_ns = now + 20 * NS_PER_MS;
            }
        }
}

/* The promise, whatever the share of failures: 0.2 of what succeeds, one a second, and what a full
 * gate lets through at the beginning. While the share can be borne, it costs nothing. */
static void share_of_failures(void **state)
{
    unsigned good, bad;

    (void)state;
    for (unsigned percent = 0; percent <= 100; percent += 5) {
        run(percent, &good, &bad);
        if (bad > good / 5 + 120 + LANES + 10)
            fail_msg("%u %%: %u failed of %u", percent, bad, good + bad);
        if (percent <= 15)
            assert_true(good > 100000);
    }
    assert_int_equal(good, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outage),
        cmocka_unit_test(hanging_probe),
        cmocka_unit_test(one_sick_key),
        cmocka_unit_test(share_of_failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
