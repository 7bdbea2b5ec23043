/* SPDX-License-Identifier: Apache-2.0 */
/* A file goes to another version: followed, merged, appended to its new end. */
#include "fixture.h"

#include "base/sys.h"

#define KIB 1024u

static struct fx x;

static int setup(void **state)
{
    (void)state;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fx_close(&x);
    return 0;
}

static struct store_obj put_text(const char *text)
{
    assert_int_equal(memstore_put(x.store, "k", text, strlen(text), NULL, NULL), 0);
    return fx_head(&x, "k");
}

static void write_text(struct data_file *f, uint64_t off, const char *text)
{
    assert_int_equal(data_write(f, off, text, strlen(text)), 0);
}

static void expect_text(struct data_file *f, const char *text)
{
    fx_expect(f, text, strlen(text));
}

static void follow_forgets_what_was_here(void **state)
{
    struct store_obj a = put_text("first version"), b;
    struct data_file *f = fx_file(&x, "k", &a);

    (void)state;
    assert_int_equal(data_localise(f), 0);
    write_text(f, 3, "dirt");
    b = put_text("second");
    assert_int_equal(data_follow(f, "k", &b), 0);
    assert_false(data_is_dirty(f));
    assert_int_equal(data_dirty_bytes(f), 0);
    expect_text(f, "second");
    write_text(f, 6, "!");
    assert_true(data_is_dirty(f));
    expect_text(f, "second!");
    data_file_unref(f);
}

static void appended_bytes_go_to_the_new_end(void **state)
{
    struct store_obj a = put_text("one\n"), b, c;
    struct data_file *f = fx_file(&x, "k", &a);

    (void)state;
    write_text(f, 0, "O");
    write_text(f, 4, "mine\n");
    b = put_text("one\ntheirs, longer\n");
    assert_int_equal(data_merge(f, "k", &b, 4), 0);
    expect_text(f, "One\ntheirs, longer\nmine\n");
    write_text(f, data_size(f), "more\n");
    c = put_text("1\n"); /* and to a nearer one */
    assert_int_equal(data_merge(f, "k", &c, b.size), 0);
    expect_text(f, "O\nmine\nmore\n");
    assert_true(data_is_dirty(f));
    assert_int_equal(data_merge(f, "k", &b, 1), -EINVAL);
    data_file_unref(f);
}

/* The pieces overlap where they were and where they go. */
static void a_long_tail_moves_whole(void **state)
{
    struct store_obj a = fx_put(&x, "k", 1000, 1), b;
    struct data_file *f = fx_file(&x, "k", &a);
    size_t len = 3000 * KIB;
    char *want = malloc(len + 1700);

    (void)state;
    fx_fill(want, 0, 1700, 2);
    fx_fill(want + 1700, 0, len, 7);
    assert_int_equal(data_write(f, 1000, want + 1700, len), 0);
    b = fx_put(&x, "k", 1700, 2);
    assert_int_equal(data_merge(f, "k", &b, 1000), 0);
    fx_expect(f, want, len + 1700);
    free(want);
    data_file_unref(f);
}

/* Two made the same name without O_EXCL. */
static void new_file_joins_the_one_that_is_there(void **state)
{
    struct data_file *f = fx_file(&x, "k", NULL);
    struct store_obj b;

    (void)state;
    write_text(f, 0, "mine");
    b = put_text("theirs");
    assert_int_equal(data_merge(f, "k", &b, 0), 0);
    assert_false(data_is_whole(f));
    expect_text(f, "theirsmine");
    data_file_unref(f);
    f = fx_file(&x, "other", NULL);
    write_text(f, 2, "MI");
    assert_int_equal(data_merge(f, "k", &b, DATA_NO_TAIL), 0);
    expect_text(f, "thMIrs");
    data_file_unref(f);
}

/* Nothing is changed by a merge that fails. */
static void failed_merge_changes_nothing(void **state)
{
    struct store_obj a = put_text("one\n"), b, none = {.size = 9};
    struct data_file *f = fx_file(&x, "k", &a);
    char *path;

    (void)state;
    write_text(f, 4, "mine\n");
    b = put_text("one\ntwo\n");
#ifdef S3EFS_FAULTS
    sys_fault_set(SYS_WRITE, 1, ENOSPC, false);
    assert_int_equal(data_merge(f, "k", &b, 4), -ENOSPC);
    sys_fault_set(SYS_WRITE, 0, 0, false);
#endif
    a = put_text("one\n");
    expect_text(f, "one\nmine\n");
    b = put_text("one\ntwo\n");
    assert_int_equal(data_merge(f, "k", &none, 4), -EINVAL);
    assert_int_equal(data_follow(f, "k", &none), -EINVAL);
    assert_int_equal(data_merge(f, "k", &b, 4), 0);
    assert_int_equal(data_keep(f, "k", "test", &path), 0);
    free(path);
    assert_int_equal(data_merge(f, "k", &b, DATA_NO_TAIL), -ESTALE);
    assert_int_equal(data_follow(f, "k", &b), -ESTALE);
    data_file_unref(f);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(follow_forgets_what_was_here), T(appended_bytes_go_to_the_new_end),
        T(a_long_tail_moves_whole),      T(new_file_joins_the_one_that_is_there),
        T(failed_merge_changes_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
