/* SPDX-License-Identifier: Apache-2.0 */
/* The request ledger counts exactly, from many threads too. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>
#include "store/meter.h"

static void test_counts(void **state)
{
    (void)state;
    struct meter *m = meter_new();
    struct meter_snapshot s;
    assert_non_null(m);
    meter_count(m, METER_PUT, ORIGIN_OPEN, 200, 100, 0);
    meter_count(m, METER_PUT, ORIGIN_OPEN, 503, 100, 20);
    meter_count(m, METER_GET, ORIGIN_READ, 206, 0, 7);
    meter_count(m, METER_GET, ORIGIN_OPEN, 0, 0, 0);   /* no answer */
    meter_count(m, METER_GET, ORIGIN_OPEN, 600, 0, 0); /* no status */
    meter_count(m, METER_GET, ORIGIN_OPEN, -1, 0, 0);
    meter_count(m, METER_KINDS, ORIGIN_OPEN, 200, 9, 9); /* no kind */
    meter_count(m, METER_GET, ORIGIN_N, 200, 9, 9);      /* nobody's */
    meter_read(m, &s);
    assert_int_equal(s.requests[METER_PUT], 2);
    assert_int_equal(s.requests[METER_GET], 4);
    assert_int_equal(s.by_origin[ORIGIN_OPEN][METER_PUT], 2);
    assert_int_equal(s.by_origin[ORIGIN_OPEN][METER_GET], 3);
    assert_int_equal(s.by_origin[ORIGIN_READ][METER_GET], 1);
    assert_int_equal(s.statuses[200], 1);
    assert_int_equal(s.statuses[503], 1);
    assert_int_equal(s.statuses[0], 3);
    assert_int_equal(s.by_kind_status[METER_PUT][2], 1);
    assert_int_equal(s.by_kind_status[METER_PUT][5], 1);
    assert_int_equal(s.by_kind_status[METER_GET][0], 3);
    assert_int_equal(s.bytes_up, 200);
    assert_int_equal(s.bytes_down, 27);
    meter_free(m);
    meter_free(NULL);
}

static void *count_many(void *arg)
{
    for (int i = 0; i < 10000; i++)
        meter_count(arg, METER_HEAD, ORIGIN_OPEN, 200 + i % 2 * 204, 1, 2);
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    struct meter *m = meter_new();
    struct meter_snapshot s;
    pthread_t t[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&t[i], NULL, count_many, m), 0);
    meter_read(m, &s); /* while they count */
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    meter_read(m, &s);
    assert_int_equal(s.requests[METER_HEAD], 40000);
    assert_int_equal(s.statuses[200], 20000);
    assert_int_equal(s.statuses[404], 20000);
    assert_int_equal(s.bytes_up, 40000);
    assert_int_equal(s.bytes_down, 80000);
    meter_free(m);
}

static void test_names_are_all_there(void **state)
{
    (void)state;
    for (int a = 0; a < ORIGIN_N; a++) {
        assert_string_not_equal(origin_name((enum origin)a), "?");
        for (int b = 0; b < a; b++)
            assert_string_not_equal(origin_name((enum origin)a), origin_name((enum origin)b));
    }
    assert_string_equal(origin_name(ORIGIN_N), "?");
    for (int a = 0; a < METER_KINDS; a++) {
        assert_non_null(meter_kind_name((enum meter_kind)a));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(meter_kind_name((enum meter_kind)a),
                                    meter_kind_name((enum meter_kind)b));
    }
    assert_string_equal(meter_kind_name(METER_PUT_PART), "PUT-part");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counts),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_names_are_all_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
