/* SPDX-License-Identifier: Apache-2.0 */
/* Percentiles against those of all values, sorted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/macros.h"
#include "fs/compare/hist.h"

#define N 20011

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

static uint64_t exact(const uint64_t *sorted, size_t n, unsigned permille)
{
    size_t rank = (n * permille + 999) / 1000;

    return sorted[rank == 0 ? 0 : rank - 1];
}

static void assert_close(uint64_t got, uint64_t want)
{
    assert_true(got >= want);
    assert_true(got - want <= want / 64);
}

static uint64_t value_of(unsigned shape, uint64_t i)
{
    uint64_t v = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

    v ^= v >> 29;
    switch (shape) {
    case 0:
        return v % 128; /* exact */
    case 1:
        return v % 1000000000;
    case 2:
        return v >> (v % 60); /* over all powers of two */
    default:
        return i % 100 == 99 ? UINT64_MAX - i : 1000000; /* a tail of one in a hundred */
    }
}

static void test_against_sorted(void **state)
{
    static const unsigned at[] = {0, 1, 10, 500, 900, 950, 989, 990, 991, 999, 1000};
    static uint64_t all[N];
    static struct hist h;

    (void)state;
    for (unsigned shape = 0; shape < 4; shape++) {
        h = (struct hist){0};
        for (size_t i = 0; i < N; i++) {
            all[i] = value_of(shape, i);
            hist_add(&h, all[i]);
        }
        qsort(all, N, sizeof(all[0]), by_value);
        for (size_t i = 0; i < ARRAY_LEN(at); i++)
            assert_close(hist_at(&h, at[i]), exact(all, N, at[i]));
        assert_true(hist_at(&h, 1000) == all[N - 1]);
    }
}

static void test_small_values_are_exact(void **state)
{
    static struct hist h;

    (void)state;
    h = (struct hist){0};
    for (uint64_t v = 1; v <= 100; v++)
        hist_add(&h, v);
    assert_int_equal(hist_at(&h, 500), 50);
    assert_int_equal(hist_at(&h, 950), 95);
    assert_int_equal(hist_at(&h, 990), 99);
    assert_int_equal(hist_at(&h, 1000), 100);
    assert_int_equal(hist_at(&h, 0), 1);
}

static void test_merge_is_the_same_as_all_in_one(void **state)
{
    static struct hist one, part[3];
    struct hist_summary a, b;

    (void)state;
    one = (struct hist){0};
    memset(part, 0, sizeof(part));
    for (size_t i = 0; i < N; i++) {
        hist_add(&one, value_of(1, i));
        hist_add(&part[i % 3], value_of(1, i));
    }
    hist_merge(&part[0], &part[1]);
    hist_merge(&part[0], &part[2]);
    assert_memory_equal(&one, &part[0], sizeof(one));
    hist_summarize(&one, &a);
    hist_summarize(&part[0], &b);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_int_equal(a.n, N);
    assert_true(a.p50 <= a.p95 && a.p95 <= a.p99 && a.p99 <= a.max);
}

static void test_nothing_and_one(void **state)
{
    static struct hist h;
    struct hist_summary s;

    (void)state;
    h = (struct hist){0};
    hist_summarize(&h, &s);
    assert_int_equal(s.n + s.mean + s.p50 + s.p99 + s.max, 0);
    hist_add(&h, 123456789);
    hist_summarize(&h, &s);
    assert_int_equal(s.p50, 123456789);
    assert_int_equal(s.p99, 123456789);
    assert_int_equal(s.mean, 123456789);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_against_sorted),
        cmocka_unit_test(test_small_values_are_exact),
        cmocka_unit_test(test_merge_is_the_same_as_all_in_one),
        cmocka_unit_test(test_nothing_and_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
