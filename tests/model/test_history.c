/* SPDX-License-Identifier: Apache-2.0 */
/* The history checkers themselves: a good history passes, and each kind of fault is seen. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "history.h"

static FILE *out;

static int setup(void **state)
{
    (void)state;
    out = tmpfile();
    return out == NULL;
}

static int teardown(void **state)
{
    (void)state;
    return fclose(out);
}

static void add(struct hist *h, enum hist_kind kind, int64_t begin, int64_t end, uint64_t value,
                int result)
{
    const struct hist_event e = {
        .kind = kind, .begin = begin, .end = end, .object = "o", .value = value, .result = result};

    assert_int_equal(hist_add(h, &e), 0);
}

static void winners(void **state)
{
    struct hist h = {0};

    (void)state;
    add(&h, HIST_CREATE, 1, 9, 7, 0);
    add(&h, HIST_CREATE, 2, 8, 8, -EEXIST);
    assert_int_equal(hist_check_winner(&h, "o", 7, out), 0);
    assert_int_equal(hist_check_winner(&h, "o", 8, out), 1); /* the loser's bytes */
    add(&h, HIST_CREATE, 3, 4, 9, 0);
    assert_int_equal(hist_check_winner(&h, "o", 7, out), 2);
    hist_done(&h);
    add(&h, HIST_CREATE, 1, 2, 7, -EEXIST);
    assert_int_equal(hist_check_winner(&h, "o", 0, out), 1); /* nobody */
    add(&h, HIST_CREATE, 1, 2, 8, -EIO);
    assert_int_equal(hist_check_winner(&h, "o", 8, out), 0); /* the doubtful one has it */
    hist_done(&h);
}

static void appends(void **state)
{
    const uint64_t records[] = {1, 3, 2, 3};
    struct hist h = {0};

    (void)state;
    add(&h, HIST_APPEND, 1, 2, 1, 0);
    add(&h, HIST_APPEND, 1, 2, 2, -EIO);
    add(&h, HIST_APPEND, 1, 2, 3, 0);
    assert_int_equal(hist_check_appends(&h, "o", records, 3, out), 0);
    assert_int_equal(hist_check_appends(&h, "o", records, 4, out), 1); /* twice */
    assert_int_equal(hist_check_appends(&h, "o", records, 1, out), 1); /* lost */
    h.n = 2;
    assert_int_equal(hist_check_appends(&h, "o", records, 3, out), 1); /* whose is it? */
    hist_done(&h);
}

static void counters(void **state)
{
    struct hist h = {0};

    (void)state;
    add(&h, HIST_COUNT, 1, 2, 0, 0);
    add(&h, HIST_COUNT, 1, 2, 1, 0);
    assert_int_equal(hist_check_counter(&h, "o", 2, out), 0);
    assert_int_equal(hist_check_counter(&h, "o", 1, out), 1);
    add(&h, HIST_COUNT, 1, 2, 5, -EIO);
    assert_int_equal(hist_check_counter(&h, "o", 3, out), 0);
    add(&h, HIST_COUNT, 1, 2, 1, 0);
    assert_int_equal(hist_check_counter(&h, "o", 3, out), 1); /* one update lost */
    hist_done(&h);
}

static void reads(void **state)
{
    struct hist h = {0};

    (void)state;
    add(&h, HIST_PUT, 10, 20, 1, 0);
    add(&h, HIST_PUT, 30, 40, 2, 0);
    add(&h, HIST_GET, 5, 15, 0, 0);  /* while it is put: either */
    add(&h, HIST_GET, 35, 36, 2, 0); /* while it is put */
    assert_int_equal(hist_check_reads(&h, "o", out), 0);
    add(&h, HIST_GET, 37, 38, 1, 0); /* goes back */
    assert_int_equal(hist_check_reads(&h, "o", out), 1);
    h.n--;
    add(&h, HIST_GET, 41, 50, 1, 0); /* old, and goes back */
    assert_int_equal(hist_check_reads(&h, "o", out), 2);
    h.n--;
    add(&h, HIST_GET, 41, 50, 3, 0);
    assert_int_equal(hist_check_reads(&h, "o", out), 1);
    h.n--;
    add(&h, HIST_GET, 41, 50, 0, -EILSEQ);
    assert_int_equal(hist_check_reads(&h, "o", out), 1);
    hist_done(&h);
}

static void is_read_as_written(void **state)
{
    const struct hist_event e = {HIST_COUNT, 3, 4, 5, "name", UINT64_MAX, -ESTALE};
    struct hist h = {0};

    (void)state;
    hist_write(out, &e);
    rewind(out);
    assert_int_equal(hist_read(&h, out), 0);
    assert_int_equal(h.n, 1);
    assert_memory_equal(&h.v[0], &e, sizeof(e));
    fputs("count one two\n", out);
    rewind(out);
    assert_int_equal(hist_read(&h, out), -EINVAL);
    hist_done(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(winners, setup, teardown),
        cmocka_unit_test_setup_teardown(appends, setup, teardown),
        cmocka_unit_test_setup_teardown(counters, setup, teardown),
        cmocka_unit_test_setup_teardown(reads, setup, teardown),
        cmocka_unit_test_setup_teardown(is_read_as_written, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
