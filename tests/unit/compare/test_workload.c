/* SPDX-License-Identifier: Apache-2.0 */
/* Names, sizes and bytes from a seed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/macros.h"
#include "fs/compare/workload.h"

static void test_any_piece_is_as_the_whole(void **state)
{
    unsigned char whole[5000], piece[5000];

    (void)state;
    workload_fill(7, 3, 0, whole, sizeof(whole));
    for (size_t off = 0; off < 40; off++) {
        for (size_t n = 0; n < 40; n++) {
            workload_fill(7, 3, off, piece, n);
            assert_memory_equal(piece, whole + off, n);
        }
    }
    workload_fill(7, 3, 4093, piece, 900);
    assert_memory_equal(piece, whole + 4093, 900);
    assert_int_equal(workload_wrong(7, 3, 0, whole, sizeof(whole)), -1);
    assert_int_equal(workload_wrong(7, 3, 13, whole + 13, sizeof(whole) - 13), -1);
}

static void test_seed_and_file_decide(void **state)
{
    unsigned char a[64], b[64];

    (void)state;
    workload_fill(1, 1, 0, a, sizeof(a));
    workload_fill(1, 2, 0, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    workload_fill(2, 1, 0, b, sizeof(b));
    assert_memory_not_equal(a, b, sizeof(a));
    /* what is written down must stay: another version reads the same */
    workload_fill(1, 1, 0, b, sizeof(b));
    assert_memory_equal(a, b, sizeof(a));
}

static void test_each_flipped_byte_is_found_where_it_is(void **state)
{
    unsigned char bytes[9000];
    static const size_t at[] = {0, 1, 7, 8, 4095, 4096, 4097, 8191, 8192, 8999};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(at); i++) {
        workload_fill(5, 9, 100, bytes, sizeof(bytes));
        bytes[at[i]] ^= 1;
        assert_int_equal(workload_wrong(5, 9, 100, bytes, sizeof(bytes)), at[i]);
    }
}

static void test_names_are_read_back(void **state)
{
    char name[WORKLOAD_NAME_MAX];
    static const uint64_t numbers[] = {0, 1, 9, 10, 12345, 9999999, 10000000, 999999999};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        workload_name(3, numbers[i], name);
        assert_int_equal(workload_number(3, name), numbers[i]);
        assert_int_equal(workload_number(4, name), -1);
    }
    assert_int_equal(workload_number(3, ""), -1);
    assert_int_equal(workload_number(3, "img-"), -1);
    assert_int_equal(workload_number(3, "img-1.jpg"), -1);
    assert_int_equal(workload_number(3, "img-99999999999999999999-00000000.jpg"), -1);
    assert_int_equal(workload_number(3, ".."), -1);
}

static void test_the_first_size_is_the_most_frequent(void **state)
{
    static const uint64_t sizes[] = {4096, 102400, 2097152};
    uint64_t n[3] = {0};

    (void)state;
    for (uint64_t i = 0; i < 7000; i++) {
        uint64_t s = workload_size(11, i, sizes, 3);

        n[s == 4096 ? 0 : s == 102400 ? 1 : 2]++;
        assert_int_equal(s, workload_size(11, i, sizes, 3));
    }
    assert_in_range(n[0], 3800, 4200);
    assert_in_range(n[1], 1850, 2150);
    assert_in_range(n[2], 900, 1100);
    assert_int_equal(workload_size(11, 5, sizes, 1), 4096);
}

static void test_picks_are_in_range(void **state)
{
    unsigned seen = 0;

    (void)state;
    for (uint64_t k = 0; k < 200; k++) {
        uint64_t one = workload_pick(1, k, 8);

        assert_true(one < 8);
        seen |= 1u << one;
        assert_int_equal(workload_pick(1, k, 1), 0);
    }
    assert_int_equal(seen, 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_piece_is_as_the_whole),
        cmocka_unit_test(test_seed_and_file_decide),
        cmocka_unit_test(test_each_flipped_byte_is_found_where_it_is),
        cmocka_unit_test(test_names_are_read_back),
        cmocka_unit_test(test_the_first_size_is_the_most_frequent),
        cmocka_unit_test(test_picks_are_in_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
