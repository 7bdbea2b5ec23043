/* SPDX-License-Identifier: Apache-2.0 */
/* mem_limit= is enough for all of its shares at once, whatever it is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "memplan.h"

#define MIB (UINT64_C(1) << 20)

static void test_shares(void **state)
{
    (void)state;
    for (uint64_t limit = 32 * MIB; limit <= 64 * 1024 * MIB; limit += limit / 3) {
        for (unsigned threads = 2; threads <= limit / MEMPLAN_THREAD_MIN; threads *= 2) {
            struct memplan p;

            memplan(limit, threads, &p);
            assert_true((uint64_t)p.request * threads + p.replies + p.lists + p.fetches + p.bodies + p.names <= limit / 8 * 7);
            assert_true(p.request >= 64 * 1024 && p.request <= MIB && p.request % 4096 == 0);
            assert_true(p.fetch_max >= MIB && p.fetch_max * 4 <= p.fetches && p.fetch_max % (128 * 1024) == 0);
            assert_true(p.lists >= 2 * MIB && p.fetches >= 6 * MIB);
            assert_true(p.replies >= p.request && p.bodies >= 4 * MIB && p.names >= 6 * MIB);
            assert_true(p.unsent < p.names / 4 * 3); /* where names begin to be forgotten */
        }
    }
}

static void test_default(void **state)
{
    struct memplan p;

    (void)state;
    memplan(512 * MIB, 128, &p);
    assert_int_equal(p.request, MIB);
    assert_int_equal(p.replies, 32 * MIB);
    assert_int_equal(p.lists, 32 * MIB);
    assert_int_equal(p.fetches, 96 * MIB);
    assert_int_equal(p.fetch_max, 8 * MIB);
    assert_int_equal(p.bodies, 64 * MIB);
    assert_int_equal(p.names, 96 * MIB);
    assert_int_equal(p.unsent, 64 * MIB);
}

static void test_requests(void **state)
{
    (void)state;
    assert_int_equal(memplan_requests(32 * MIB), 32);
    assert_int_equal(memplan_requests(100 * MIB), 100);
    assert_int_equal(memplan_requests(512 * MIB), 256);
    assert_int_equal(memplan_requests(64 * 1024 * MIB), 256);
}

static void test_connections(void **state)
{
    (void)state;
    assert_int_equal(memplan_connections(256, 4), 64);
    assert_int_equal(memplan_connections(8, 4), 4);
    assert_int_equal(memplan_connections(UINT64_MAX, 4), UINT32_MAX);
}

static void test_heap(void **state)
{
    (void)state;
    assert_int_equal(memplan_heap(32 * MIB).map_from, 128 * 1024);
    assert_int_equal(memplan_heap(32 * MIB).heaps, 2);
    assert_int_equal(memplan_heap(512 * MIB).map_from, 2 * MIB);
    assert_int_equal(memplan_heap(64 * 1024 * MIB).map_from, 2 * MIB);
    assert_int_equal(memplan_heap(64 * 1024 * MIB).heaps, 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_shares), cmocka_unit_test(test_default),
                                       cmocka_unit_test(test_requests), cmocka_unit_test(test_connections),
                                       cmocka_unit_test(test_heap)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
