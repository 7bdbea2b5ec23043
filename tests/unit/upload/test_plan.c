/* SPDX-License-Identifier: Apache-2.0 */
/* The plan's invariants (plan.h) on edges and at random. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/upload/plan.h"

#define MIB (UINT64_C(1) << 20)
#define GIB (UINT64_C(1) << 30)

static struct plan_in plan_of(uint64_t size)
{
    return (struct plan_in){
        .size = size, .can_complete = true, .threshold = 16 * MIB, .part_size = 8 * MIB};
}

static bool has_dirty(const struct plan_in *in, uint64_t off, uint64_t end)
{
    for (size_t i = 0; i < in->n_dirty; i++)
        if (in->dirty[i].off < end && off < in->dirty[i].off + in->dirty[i].len)
            return true;
    return false;
}

static void check_plan(const struct plan_in *in, const struct plan *p)
{
    uint64_t at = 0;
    assert_true(p->n <= PLAN_PARTS_MAX);
    for (size_t i = 0; i < p->n; i++) {
        const struct plan_part *x = &p->v[i];
        assert_int_equal(x->off, at);
        assert_true(x->len > 0 && x->len <= PLAN_PART_MAX);
        if (i + 1 < p->n)
            assert_true(x->len >= PLAN_PART_MIN);
        if (x->is_copy) {
            assert_true(in->can_copy);
            assert_true(x->off + x->len <= in->base_valid);
            assert_false(has_dirty(in, x->off, x->off + x->len));
        }
        at += x->len;
    }
    if (p->n > 0)
        assert_int_equal(at, in->size);
}

static size_t parts_of(const struct plan_in *in, uint64_t *ret_part_size)
{
    struct plan p;
    assert_int_equal(plan_build(in, &p), 0);
    check_plan(in, &p);
    size_t n = p.n;
    if (ret_part_size)
        *ret_part_size = p.part_size;
    plan_done(&p);
    return n;
}

static void small_is_one_put(void **state)
{
    (void)state;
    const uint64_t sizes[] = {0, 1, 5 * MIB, 16 * MIB - 1, 16 * MIB};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        struct plan_in in = plan_of(sizes[i]);
        assert_int_equal(parts_of(&in, NULL), 0);
    }
    struct plan_in in = plan_of(16 * MIB + 1);
    assert_int_equal(parts_of(&in, NULL), 3);
}

static void exact_multiples_have_no_empty_part(void **state)
{
    (void)state;
    struct plan_in in = plan_of(24 * MIB);
    assert_int_equal(parts_of(&in, NULL), 3);
    in = plan_of(24 * MIB + 1);
    assert_int_equal(parts_of(&in, NULL), 4);
    in = plan_of(24 * MIB - 1);
    assert_int_equal(parts_of(&in, NULL), 3);
}

/* T26 */
static void ten_thousand_parts_and_not_one_more(void **state)
{
    (void)state;
    uint64_t part;
    struct plan_in in = plan_of(10000 * 8 * MIB);
    assert_int_equal(parts_of(&in, &part), 10000);
    assert_int_equal(part, 8 * MIB);
    in = plan_of(10000 * 8 * MIB + 1);
    assert_true(parts_of(&in, &part) <= 10000);
    assert_int_equal(part, 9 * MIB);
    in = plan_of(10000 * 8 * MIB - 1);
    assert_int_equal(parts_of(&in, &part), 10000);
    assert_int_equal(part, 8 * MIB);
    in = plan_of(DATA_SIZE_MAX);
    assert_true(parts_of(&in, &part) <= 10000);
    assert_true(part <= PLAN_PART_MAX);
    struct plan p;
    in = plan_of(DATA_SIZE_MAX + 1);
    assert_int_equal(plan_build(&in, &p), -EFBIG);
}

static void tiny_part_size_is_raised(void **state)
{
    (void)state;
    uint64_t part;
    struct plan_in in = plan_of(100 * MIB);
    in.part_size = 1;
    assert_int_equal(parts_of(&in, &part), 20);
    assert_int_equal(part, PLAN_PART_MIN);
}

static void without_complete_one_put_up_to_its_limit(void **state)
{
    (void)state;
    struct plan_in in = plan_of(5 * GIB);
    in.can_complete = false;
    assert_int_equal(parts_of(&in, NULL), 0);
    in.size++;
    struct plan p;
    assert_int_equal(plan_build(&in, &p), -EFBIG);
}

static uint64_t bytes_sent(const struct plan_in *in)
{
    struct plan p;
    assert_int_equal(plan_build(in, &p), 0);
    check_plan(in, &p);
    uint64_t n = 0;
    for (size_t i = 0; i < p.n; i++)
        n += p.v[i].is_copy ? 0 : p.v[i].len;
    plan_done(&p);
    return n;
}

static void clean_ranges_are_copied(void **state)
{
    (void)state;
    struct data_extent dirty[] = {{MIB, 4096}, {15 * MIB, 4096}};
    struct plan_in in = plan_of(20 * MIB);
    in.dirty = dirty;
    in.n_dirty = 2;
    in.base_valid = 20 * MIB;
    assert_int_equal(bytes_sent(&in), 20 * MIB);
    in.can_copy = true;
    assert_true(bytes_sent(&in) < 12 * MIB);
    in.size = in.base_valid = 10 * GIB;
    assert_true(bytes_sent(&in) < 16 * MIB);
    in.n_dirty = 0; /* a metadata change */
    assert_int_equal(bytes_sent(&in), 0);
    in.base_valid = 0; /* truncated to nothing and grown: zeros are sent */
    assert_int_equal(bytes_sent(&in), 10 * GIB);
}

static void an_append_sends_the_end_only(void **state)
{
    (void)state;
    struct data_extent dirty[] = {{1000 * MIB, 100}};
    struct plan_in in = plan_of(1000 * MIB + 100);
    in.dirty = dirty;
    in.n_dirty = 1;
    in.base_valid = 1000 * MIB;
    in.can_copy = true;
    assert_int_equal(bytes_sent(&in), 100);
}

/* Alternating ranges in such numbers that copies must be given up until 10,000 parts do. */
static void many_ranges_still_fit(void **state)
{
    (void)state;
    enum { N = 20000 };
    static struct data_extent dirty[N];
    for (uint64_t i = 0; i < N; i++)
        dirty[i] = (struct data_extent){i * 12 * MIB, 4096};
    struct plan_in in = plan_of(N * 12 * MIB);
    in.dirty = dirty;
    in.n_dirty = N;
    in.base_valid = in.size;
    in.can_copy = true;
    assert_true(bytes_sent(&in) > 0);
}

static uint64_t next_random(uint64_t *s)
{
    *s = *s * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *s >> 33;
}

static void random_plans_keep_the_invariants(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        uint64_t s = seed, at = 0;
        struct data_extent dirty[40];
        struct plan_in in = plan_of(1 + next_random(&s) % (300 * MIB));
        in.part_size = (1 + next_random(&s) % 40) * MIB / 2;
        in.threshold = next_random(&s) % 2 ? 0 : 16 * MIB;
        in.can_copy = next_random(&s) % 4 > 0;
        in.base_valid = next_random(&s) % (2 * in.size);
        if (in.base_valid > in.size)
            in.base_valid = in.size;
        in.dirty = dirty;
        while (in.n_dirty < 40) {
            uint64_t gap = 1 + next_random(&s) % (next_random(&s) % 2 ? 30 * MIB : 6 * MIB);
            uint64_t len = 1 + next_random(&s) % (next_random(&s) % 3 ? 100000 : 20 * MIB);
            if (gap + len > in.size - at)
                break;
            dirty[in.n_dirty++] = (struct data_extent){at + gap, len};
            at += gap + len;
        }
        (void)parts_of(&in, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_is_one_put),
        cmocka_unit_test(exact_multiples_have_no_empty_part),
        cmocka_unit_test(ten_thousand_parts_and_not_one_more),
        cmocka_unit_test(tiny_part_size_is_raised),
        cmocka_unit_test(without_complete_one_put_up_to_its_limit),
        cmocka_unit_test(clean_ranges_are_copied),
        cmocka_unit_test(an_append_sends_the_end_only),
        cmocka_unit_test(many_ranges_still_fit),
        cmocka_unit_test(random_plans_keep_the_invariants),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
