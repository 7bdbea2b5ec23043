/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "http/http.h"

static void test_delay_limits(void **state)
{
    const struct backoff b = {.base_ns = 50 * NS_PER_MS, .cap_ns = 20 * NS_PER_S};
    const int64_t limits[] = {50, 100, 200, 400, 800, 1600, 3200, 6400, 12800, 20000, 20000, 20000};
    (void)state;
    for (unsigned i = 0; i < 12; i++) {
        uint64_t limit = (uint64_t)(limits[i] * NS_PER_MS);
        assert_int_equal(backoff_delay(&b, i, limit), (int64_t)limit); /* the largest draw */
        assert_int_equal(backoff_delay(&b, i, limit + 1), 0);          /* wraps to the least */
        assert_int_equal(backoff_delay(&b, i, 7), 7);
        assert_true(backoff_delay(&b, i, UINT64_MAX) <= (int64_t)limit);
    }
}

static void test_delay_extremes(void **state)
{
    const struct backoff huge = {.base_ns = INT64_MAX / 2 + 1, .cap_ns = INT64_MAX};
    const struct backoff inverted = {.base_ns = 10, .cap_ns = 5};
    const struct backoff none = {0};
    (void)state;
    assert_true(backoff_delay(&huge, UINT32_MAX, UINT64_MAX - 1) >= 0);
    assert_int_equal(backoff_delay(&huge, 3, INT64_MAX), INT64_MAX);
    assert_int_equal(backoff_delay(&inverted, 9, 5), 5);
    assert_int_equal(backoff_delay(&inverted, 0, 6), 0);
    assert_int_equal(backoff_delay(&none, 5, 12345), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_delay_limits),
        cmocka_unit_test(test_delay_extremes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
