/* SPDX-License-Identifier: Apache-2.0 */
/* Byte-range locks: split, join, upgrade, conflicts; and against a map of single bytes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "coord/lockset.h"

static struct lockset set;

static int tear_down(void **state)
{
    (void)state;
    lockset_done(&set);
    return 0;
}

static void put(uint64_t owner, enum lock_type type, uint64_t start, uint64_t end)
{
    assert_int_equal(lockset_set(&set, owner, 0, type, (struct lock_range){start, end}), 0);
}

/* "1:r0-9 1:w10-end" */
static const char *shown(const struct lockset *s)
{
    static char text[512];
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < s->n; i++) {
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%d:%c%d-", i > 0 ? " " : "",
                                (int)s->v[i].owner, s->v[i].type == LOCK_TYPE_READ ? 'r' : 'w',
                                (int)s->v[i].range.start);
        if (s->v[i].range.end == LOCK_END)
            len += (size_t)snprintf(text + len, sizeof(text) - len, "end");
        else
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%d", (int)s->v[i].range.end);
    }
    return text;
}

static void test_split_and_join(void **state)
{
    (void)state;
    put(1, LOCK_TYPE_WRITE, 0, 99);
    put(1, LOCK_TYPE_NONE, 40, 59);
    assert_string_equal(shown(&set), "1:w0-39 1:w60-99");
    put(1, LOCK_TYPE_READ, 30, 69);
    assert_string_equal(shown(&set), "1:w0-29 1:r30-69 1:w70-99");
    put(1, LOCK_TYPE_WRITE, 30, 69);
    assert_string_equal(shown(&set), "1:w0-99");
    put(1, LOCK_TYPE_READ, 100, LOCK_END);
    put(1, LOCK_TYPE_READ, 0, 99);
    assert_string_equal(shown(&set), "1:r0-end");
    put(1, LOCK_TYPE_NONE, 10, LOCK_END);
    assert_string_equal(shown(&set), "1:r0-9");
    put(2, LOCK_TYPE_READ, 5, 5);
    put(1, LOCK_TYPE_NONE, 0, LOCK_END);
    assert_string_equal(shown(&set), "2:r5-5");
    put(2, LOCK_TYPE_NONE, 0, 4);
    put(2, LOCK_TYPE_NONE, 6, LOCK_END);
    assert_string_equal(shown(&set), "2:r5-5");
}

static void test_conflict(void **state)
{
    const struct lock_range whole = {0, LOCK_END}, tail = {100, LOCK_END}, head = {0, 49};

    (void)state;
    put(1, LOCK_TYPE_READ, 50, 99);
    assert_null(lockset_conflict(&set, 2, LOCK_TYPE_READ, whole));
    assert_null(lockset_conflict(&set, 2, LOCK_TYPE_WRITE, tail));
    assert_null(lockset_conflict(&set, 2, LOCK_TYPE_WRITE, head));
    assert_null(lockset_conflict(&set, 1, LOCK_TYPE_WRITE, whole));
    assert_int_equal(lockset_conflict(&set, 2, LOCK_TYPE_WRITE, whole)->owner, 1);
    put(1, LOCK_TYPE_WRITE, 50, 50);
    assert_non_null(lockset_conflict(&set, 2, LOCK_TYPE_READ, (struct lock_range){50, 50}));
    assert_null(lockset_conflict(&set, 2, LOCK_TYPE_READ, (struct lock_range){51, 51}));
    assert_true(lockset_has(&set, 1));
    assert_false(lockset_has(&set, 2));
}

static void test_covers_and_union(void **state)
{
    struct lockset all = {0}, copy = {0};

    (void)state;
    put(1, LOCK_TYPE_READ, 0, 9);
    put(2, LOCK_TYPE_READ, 5, 19);
    put(3, LOCK_TYPE_WRITE, 20, 29);
    assert_int_equal(lockset_union(&set, 7, &all), 0);
    assert_string_equal(shown(&all), "7:r0-19 7:w20-29");
    assert_true(lockset_covers(&all, 7, LOCK_TYPE_READ, (struct lock_range){0, 29}));
    assert_true(lockset_covers(&all, 7, LOCK_TYPE_WRITE, (struct lock_range){20, 29}));
    assert_false(lockset_covers(&all, 7, LOCK_TYPE_WRITE, (struct lock_range){19, 29}));
    assert_false(lockset_covers(&all, 7, LOCK_TYPE_READ, (struct lock_range){0, 30}));
    assert_false(lockset_covers(&set, 1, LOCK_TYPE_READ, (struct lock_range){0, 10}));
    assert_int_equal(lockset_copy(&all, &copy), 0);
    assert_true(lockset_equal(&all, &copy));
    assert_int_equal(lockset_set(&copy, 7, 0, LOCK_TYPE_NONE, (struct lock_range){3, 3}), 0);
    assert_false(lockset_equal(&all, &copy));
    lockset_done(&all);
    lockset_done(&copy);
}

static void test_bound(void **state)
{
    (void)state;
    for (unsigned i = 0; i < LOCKSET_MAX; i++)
        put(1, LOCK_TYPE_WRITE, 2 * i, 2 * i);
    assert_int_equal(lockset_set(&set, 1, 0, LOCK_TYPE_WRITE,
                                 (struct lock_range){2 * LOCKSET_MAX, 2 * LOCKSET_MAX}),
                     -ENOLCK);
    assert_int_equal(set.n, LOCKSET_MAX);
    put(1, LOCK_TYPE_NONE, 0, LOCK_END);
    assert_int_equal(set.n, 0);
}

/* Random calls of three owners on 24 bytes, against what each byte should be. */
static void test_random(void **state)
{
    enum { BYTES = 24, OWNERS = 3 };
    enum lock_type want[OWNERS][BYTES] = {0};

    (void)state;
    srand(7);
    for (unsigned n = 0; n < 20000; n++) {
        unsigned owner = (unsigned)rand() % OWNERS, a = (unsigned)rand() % BYTES,
                 b = (unsigned)rand() % BYTES;
        enum lock_type type = (enum lock_type)(rand() % 3);
        struct lock_range range = {a < b ? a : b, a < b ? b : a};
        bool conflict = false;

        for (unsigned o = 0; o < OWNERS; o++)
            for (uint64_t i = range.start; i <= range.end; i++)
                conflict |= o != owner && type != LOCK_TYPE_NONE && want[o][i] != LOCK_TYPE_NONE &&
                            (type == LOCK_TYPE_WRITE || want[o][i] == LOCK_TYPE_WRITE);
        if (type != LOCK_TYPE_NONE)
            assert_int_equal(lockset_conflict(&set, owner, type, range) != NULL, conflict);
        if (conflict)
            continue;
        put(owner, type, range.start, range.end);
        for (uint64_t i = range.start; i <= range.end; i++)
            want[owner][i] = type;
        for (unsigned o = 0; o < OWNERS; o++)
            for (uint64_t i = 0; i < BYTES; i++) {
                const struct lock_range byte = {i, i};

                assert_int_equal(lockset_covers(&set, o, LOCK_TYPE_READ, byte),
                                 want[o][i] != LOCK_TYPE_NONE);
                assert_int_equal(lockset_covers(&set, o, LOCK_TYPE_WRITE, byte),
                                 want[o][i] == LOCK_TYPE_WRITE);
            }
        for (size_t i = 1; i < set.n; i++) /* joined as far as can be */
            assert_false(set.v[i - 1].owner == set.v[i].owner &&
                         set.v[i - 1].type == set.v[i].type &&
                         set.v[i - 1].range.end + 1 >= set.v[i].range.start);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_split_and_join, tear_down),
        cmocka_unit_test_teardown(test_conflict, tear_down),
        cmocka_unit_test_teardown(test_covers_and_union, tear_down),
        cmocka_unit_test_teardown(test_bound, tear_down),
        cmocka_unit_test_teardown(test_random, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
