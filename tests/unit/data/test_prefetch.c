/* SPDX-License-Identifier: Apache-2.0 */
/* The window policy: what is asked for, never twice, never past the end, growing only with sequence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "fs/data/prefetch.h"

#define MIB (UINT64_C(1) << 20)
#define KIB UINT64_C(1024)

static const struct prefetch_conf conf = {.unit = 8 * MIB, .ahead = 4};

static void a_stream_grows_to_the_unit(void **state)
{
    (void)state;
    struct prefetch p = {0};
    struct prefetch_want w;
    const uint64_t size = 1000 * MIB;
    uint64_t asked = 0, largest = 0;
    for (uint64_t off = 0; off < 200 * MIB; off += 128 * KIB) {
        prefetch_note(&p, &conf, off, 128 * KIB, size, &w);
        assert_true(w.window >= 128 * KIB && w.window <= conf.unit);
        if (off == 0) {
            assert_int_equal(w.ahead_len, 0); /* one read says nothing yet */
            asked = w.window;
        }
        if (w.ahead_len > 0) {
            assert_int_equal(w.ahead_off % PREFETCH_ALIGN, 0);
            assert_true(w.ahead_off >= asked); /* nothing twice */
            assert_int_equal(w.ahead_len % w.chunk, 0);
            asked = w.ahead_off + w.ahead_len;
            assert_true(asked <= off + 128 * KIB + conf.ahead * conf.unit);
            largest = w.chunk > largest ? w.chunk : largest;
        }
    }
    assert_int_equal(largest, conf.unit);
    assert_true(asked >= 200 * MIB + (conf.ahead - 1) * conf.unit); /* it keeps its distance */
}

static void reads_elsewhere_ask_for_little(void **state)
{
    (void)state;
    struct prefetch p = {0};
    struct prefetch_want w;
    for (uint64_t i = 1; i < 100; i++) {
        uint64_t off = (i * 37 % 100) * 10 * MIB;
        prefetch_note(&p, &conf, off, 4096, 1000 * MIB, &w);
        assert_int_equal(w.ahead_len, 0);
        assert_true(w.window <= (off ? PREFETCH_RANDOM : PREFETCH_FIRST));
    }
}

static void the_same_place_is_no_sequence(void **state)
{
    (void)state;
    struct prefetch p = {0};
    struct prefetch_want w;
    for (int i = 0; i < 10000; i++)
        prefetch_note(&p, &conf, 0, 4096, 1000 * MIB, &w);
    assert_true(w.window <= PREFETCH_FIRST);
    assert_int_equal(w.ahead_len, 0);
}

static void streams_are_told_apart(void **state)
{
    (void)state;
    struct prefetch p = {0};
    struct prefetch_want w[3];
    for (uint64_t i = 0; i < 100; i++)
        for (uint64_t k = 0; k < 3; k++)
            prefetch_note(&p, &conf, k * 300 * MIB + i * 128 * KIB, 128 * KIB, 1000 * MIB, &w[k]);
    for (int k = 0; k < 3; k++)
        assert_int_equal(w[k].window, conf.unit);
}

static void reordered_reads_stay_in_their_stream(void **state)
{
    (void)state;
    struct prefetch p = {0};
    struct prefetch_want w;
    for (uint64_t i = 0; i < 400; i += 2) {
        prefetch_note(&p, &conf, (i + 1) * 128 * KIB, 128 * KIB, 1000 * MIB, &w);
        prefetch_note(&p, &conf, i * 128 * KIB, 128 * KIB, 1000 * MIB, &w);
    }
    assert_int_equal(w.window, conf.unit);
}

static void never_past_the_end(void **state)
{
    (void)state;
    const uint64_t size = 21 * MIB + 12345;
    struct prefetch p = {0};
    struct prefetch_want w;
    uint64_t asked = 0;
    for (uint64_t off = 0; off < size; off += 100000) {
        uint64_t len = size - off < 100000 ? size - off : 100000;
        prefetch_note(&p, &conf, off, len, size, &w);
        if (w.ahead_len > 0)
            asked = w.ahead_off + w.ahead_len;
        assert_true(asked <= size);
    }
    assert_int_equal(asked, size); /* the short tail too */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stream_grows_to_the_unit),
        cmocka_unit_test(reads_elsewhere_ask_for_little),
        cmocka_unit_test(the_same_place_is_no_sequence),
        cmocka_unit_test(streams_are_told_apart),
        cmocka_unit_test(reordered_reads_stay_in_their_stream),
        cmocka_unit_test(never_past_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
