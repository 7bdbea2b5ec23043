/* SPDX-License-Identifier: Apache-2.0 */
/* The set of ranges against an array of flags. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "fs/data/extents.h"

#define SPACE 200

static void check_shape(const struct extents *e)
{
    uint64_t total = 0;
    for (size_t i = 0; i < e->n; i++) {
        assert_true(e->v[i].len > 0);
        if (i > 0)
            assert_true(e->v[i].off > e->v[i - 1].off + e->v[i - 1].len);
        total += e->v[i].len;
    }
    assert_int_equal(total, e->total);
}

static void check_same(const struct extents *e, const bool *is_in)
{
    check_shape(e);
    uint64_t end = 0;
    for (uint64_t i = 0; i < SPACE; i++) {
        assert_int_equal(extents_overlap(e, i, 1), is_in[i]);
        if (is_in[i])
            end = i + 1;
    }
    assert_int_equal(extents_end(e), end);
}

/* Every way of asking gives what the flags give. */
static void check_queries(const struct extents *e, const bool *is_in, uint64_t from, uint64_t to)
{
    uint64_t n = 0, first = to, run = 0;
    for (uint64_t i = from; i < to; i++) {
        n += is_in[i];
        if (is_in[i] && first == to)
            first = i;
    }
    while (first + run < to && is_in[first + run])
        run++;
    assert_int_equal(extents_overlap(e, from, to - from), n);
    struct data_extent x;
    bool found = extents_next(e, from, to, &x);
    assert_int_equal(found, n > 0);
    if (found) {
        assert_int_equal(x.off, first);
        assert_int_equal(x.len, run);
    }
}

static uint64_t next_random(uint64_t *s)
{
    *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *s >> 33;
}

static void random_against_flags(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        uint64_t s = seed;
        struct extents e = {0};
        bool is_in[SPACE] = {false};
        for (int i = 0; i < 300; i++) {
            uint64_t off = next_random(&s) % SPACE;
            uint64_t len = next_random(&s) % (1 + (next_random(&s) % 4 ? 12 : SPACE - off));
            if (len > SPACE - off)
                len = SPACE - off;
            assert_int_equal(extents_reserve(&e, 1), 0);
            size_t cap = e.cap;
            switch (next_random(&s) % 8) {
            case 0:
                extents_truncate(&e, off);
                memset(is_in + off, 0, SPACE - off);
                break;
            case 1:
            case 2:
            case 3:
                extents_cut(&e, off, len);
                memset(is_in + off, 0, len);
                break;
            default:
                extents_add(&e, off, len);
                memset(is_in + off, 1, len);
            }
            assert_int_equal(e.cap, cap); /* what was reserved was enough */
            assert_true(e.n <= e.cap);
            check_same(&e, is_in);
            check_queries(&e, is_in, off, off + len);
        }
        extents_done(&e);
    }
}

static void neighbours_join(void **state)
{
    (void)state;
    struct extents e = {0};
    assert_int_equal(extents_reserve(&e, 3), 0);
    extents_add(&e, 10, 10);
    extents_add(&e, 30, 10);
    assert_int_equal(e.n, 2);
    extents_add(&e, 20, 10); /* touches both */
    assert_int_equal(e.n, 1);
    assert_int_equal(e.v[0].off, 10);
    assert_int_equal(e.v[0].len, 30);
    extents_add(&e, 0, 10);
    assert_int_equal(e.n, 1);
    assert_int_equal(e.v[0].off, 0);
    extents_done(&e);
}

static void edges_of_the_number_space(void **state)
{
    (void)state;
    struct extents e = {0};
    assert_int_equal(extents_reserve(&e, 2), 0);
    extents_add(&e, 0, 0);
    assert_int_equal(e.n, 0);
    extents_add(&e, 0, 1);
    extents_add(&e, DATA_SIZE_MAX - 1, 1);
    assert_int_equal(e.n, 2);
    assert_int_equal(extents_end(&e), DATA_SIZE_MAX);
    extents_truncate(&e, DATA_SIZE_MAX); /* nothing to do */
    assert_int_equal(e.n, 2);
    extents_truncate(&e, 1);
    assert_int_equal(e.n, 1);
    extents_truncate(&e, 0);
    assert_int_equal(e.n, 0);
    assert_int_equal(e.total, 0);
    extents_done(&e);
    extents_done(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_against_flags),
        cmocka_unit_test(neighbours_join),
        cmocka_unit_test(edges_of_the_number_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
