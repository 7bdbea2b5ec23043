/* SPDX-License-Identifier: Apache-2.0 */
/* How often daemons may die, and how long is waited between them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "fs/deaths.h"

static void sixty_deaths_in_a_minute_are_enough(void **state)
{
    struct deaths d = {0};

    (void)state;
    for (int k = 0; k < DEATHS_MAX; k++) {
        deaths_none(&d);
        assert_false(deaths_add(&d, true, true, NS_PER_S * 1000 + k));
    }
    assert_true(deaths_add(&d, true, true, NS_PER_S * 1060 - 1));
}

static void more_in_a_longer_time_are_not(void **state)
{
    struct deaths d = {0};

    (void)state;
    for (int k = 0; k < 10 * DEATHS_MAX; k++)
        assert_false(deaths_add(&d, true, true, NS_PER_S * (1000 + k)));
}

static void ten_killed_in_a_row_are_enough(void **state)
{
    struct deaths d = {0};

    (void)state;
    for (int k = 1; k < KILLED_MAX; k++)
        assert_false(deaths_add(&d, false, true, NS_PER_S * 10 * k));
    assert_true(deaths_add(&d, false, true, NS_PER_S * 1000));
}

/* One that has served, and one that failed by itself, begin the count anew. */
static void a_row_ends(void **state)
{
    struct deaths d = {0};

    (void)state;
    for (int k = 1; k < 5 * KILLED_MAX; k++)
        assert_false(deaths_add(&d, false, k % (KILLED_MAX - 1) != 0, NS_PER_S * 10 * k));
    d = (struct deaths){0};
    for (int k = 1; k < 5 * KILLED_MAX; k++)
        assert_false(deaths_add(&d, k % (KILLED_MAX - 1) == 0, true, NS_PER_S * 10 * k));
    d = (struct deaths){0};
    for (int k = 1; k < 5 * KILLED_MAX; k++) {
        assert_false(deaths_add(&d, false, true, NS_PER_S * 10 * k));
        if (k % (KILLED_MAX - 1) == 0)
            deaths_none(&d);
    }
}

static void an_outage_is_no_row(void **state)
{
    struct deaths d = {0};

    (void)state;
    for (int k = 0; k < 100; k++)
        assert_false(deaths_add(&d, false, false, NS_PER_S * 5 * k));
    assert_false(deaths_add(&d, false, true, NS_PER_S * 5 * 100));
}

static void the_pause_grows_and_ends(void **state)
{
    static const int64_t ms[] = {100, 200, 400, 800, 1600, 3200, 5000, 5000};
    struct deaths d = {0};

    (void)state;
    assert_int_equal(deaths_pause_ms(&d), 0);
    assert_false(deaths_add(&d, true, true, NS_PER_S));
    assert_int_equal(deaths_pause_ms(&d), 0); /* it served: the next follows at once */
    for (size_t k = 0; k < sizeof(ms) / sizeof(ms[0]); k++) {
        if (k % 2 == 0)
            assert_false(deaths_add(&d, false, false, NS_PER_S));
        else
            deaths_no_start(&d);
        assert_int_equal(deaths_pause_ms(&d), ms[k]);
    }
    deaths_none(&d);
    assert_int_equal(deaths_pause_ms(&d), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixty_deaths_in_a_minute_are_enough),
        cmocka_unit_test(more_in_a_longer_time_are_not),
        cmocka_unit_test(ten_killed_in_a_row_are_enough),
        cmocka_unit_test(a_row_ends),
        cmocka_unit_test(an_outage_is_no_row),
        cmocka_unit_test(the_pause_grows_and_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
