/* SPDX-License-Identifier: Apache-2.0 */
/* The directory's history: a workload without reads costs nothing but what was earned before it,
 * and one with them is served after its first file. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "fs/vfs/readhist.h"

#define MIB (1u << 20)

static struct readhist h;

static int setup(void **state)
{
    (void)state;
    memset(&h, 0, sizeof(h));
    return 0;
}

/* n cold lookups, of which every `each`-th is one for a read (0: none); how many brought bytes. */
static unsigned look_up(uint64_t dir, unsigned n, unsigned each)
{
    unsigned bodies = 0;

    for (unsigned i = 0; i < n; i++) {
        if (readhist_expects(&h, dir)) {
            readhist_spend(&h, dir);
            bodies++;
        }
        if (each > 0 && i % each == 0)
            readhist_read(&h, dir);
    }
    return bodies;
}

static void a_walk_costs_nothing(void **state)
{
    (void)state;
    for (uint64_t dir = 1; dir < 1000; dir++)
        assert_int_equal(look_up(dir, 100, 0), 0);
}

static void the_second_read_is_served(void **state)
{
    (void)state;
    assert_int_equal(look_up(5, 100, 1), 99);
}

static void reads_that_end_cost_a_few(void **state)
{
    (void)state;
    (void)look_up(5, 100, 1);
    assert_int_equal(look_up(5, 1000, 0), READHIST_CREDIT);
    assert_int_equal(look_up(5, 1000, 0), 0);
    assert_int_equal(look_up(5, 100, 1), 99); /* and they may begin again */
}

/* Below one in two a body is fetched for nothing too often. */
static void mixed(void **state)
{
    (void)state;
    assert_true(look_up(5, 1000, 2) >= 998);
    assert_true(look_up(6, 1000, 4) <= 510); /* two for each read: half of them are read */
    assert_true(look_up(7, 1000, 10) <= 201);
}

static void failures_stop_it(void **state)
{
    (void)state;
    (void)look_up(5, 100, 1);
    readhist_failed(&h, 5);
    assert_false(readhist_expects(&h, 5));
}

static void directories_are_told_apart(void **state)
{
    (void)state;
    (void)look_up(5, 100, 1);
    readhist_size(&h, 5, MIB);
    assert_false(readhist_expects(&h, 6));
    assert_true(readhist_expects(&h, 5));
    assert_false(readhist_expects(&h, 5 + READHIST_DIRS)); /* takes its place */
    assert_false(readhist_expects(&h, 5));
    assert_int_equal(readhist_window(&h, 5, 0), READHIST_LEAST);
}

/* Only of a directory of which nothing is known, and the first size that is known counts as it is. */
static void a_guess_is_the_first_window(void **state)
{
    (void)state;
    assert_int_equal(readhist_window(&h, 5, 2 * MIB), 2 * MIB);
    readhist_failed(&h, 5);
    assert_int_equal(readhist_window(&h, 5, 2 * MIB), 2 * MIB);
    readhist_size(&h, 5, 100);
    assert_int_equal(readhist_window(&h, 5, 2 * MIB), READHIST_LEAST);
    readhist_size(&h, 6, (uint64_t)READHIST_MOST + 1); /* the next of these is not asked for more */
    assert_int_equal(readhist_window(&h, 6, 2 * MIB), READHIST_LEAST);
    assert_int_equal(readhist_window(&h, 7, 100), READHIST_LEAST);
    readhist_size(&h, 7, MIB + 1);
    assert_int_equal(readhist_window(&h, 7, 2 * MIB), MIB + READHIST_UNIT);
}

static void the_window_is_as_large_as_the_files(void **state)
{
    (void)state;
    readhist_size(&h, 5, 100);
    assert_int_equal(readhist_window(&h, 5, 0), READHIST_LEAST);
    readhist_size(&h, 5, 2 * MIB + 1);
    assert_int_equal(readhist_window(&h, 5, 0), 2 * MIB + READHIST_UNIT);
    readhist_size(&h, 5, (uint64_t)READHIST_MOST + 1); /* goes by ranges */
    assert_int_equal(readhist_window(&h, 5, 0), 2 * MIB + READHIST_UNIT);
    readhist_size(&h, 5, 0);
    assert_int_equal(readhist_window(&h, 5, 0), 2 * MIB);
    for (unsigned i = 0; i < 100; i++)
        readhist_size(&h, 5, 1000);
    assert_int_equal(readhist_window(&h, 5, 0), READHIST_LEAST);
    readhist_size(&h, 5, READHIST_MOST);
    assert_int_equal(readhist_window(&h, 5, 0), READHIST_MOST);
    for (unsigned i = 0; i < 200; i++) {
        readhist_size(&h, 5, 0);
        assert_int_equal(readhist_window(&h, 5, 0) % READHIST_UNIT, 0);
        assert_true(readhist_window(&h, 5, 0) >= READHIST_LEAST);
    }
}

#define T(f) cmocka_unit_test_setup(f, setup)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_walk_costs_nothing),
        T(the_second_read_is_served),
        T(reads_that_end_cost_a_few),
        T(mixed),
        T(failures_stop_it),
        T(directories_are_told_apart),
        T(a_guess_is_the_first_window),
        T(the_window_is_as_large_as_the_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
