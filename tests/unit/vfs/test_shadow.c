/* SPDX-License-Identifier: Apache-2.0 */
/* A file that was open for long, and a directory that another mount made of its name meanwhile. */
#include "twomounts.h"

static void wait_s(int64_t s)
{
    clock_fake_add(s * NS_PER_S);
}

static void assert_no_object(const char *key)
{
    assert_int_equal(memstore_get(a.store, key, NULL, NULL), STORE_NOT_FOUND);
}

static int create(int flags, const char *meanwhile)
{
    uint64_t fh = open_text(&a, "x", O_CREAT | O_WRONLY | flags);

    write_text(&a, fh, 0, "mine");
    if (meanwhile == NULL)
        assert_int_equal(rig_mkdir(&b, "x", 0755), 0);
    else
        foreign_put(meanwhile, "theirs");
    wait_s(4);
    return rig_shut(&a, fh);
}

static void a_directory_is_noticed_at_close(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(create(O_TRUNC, NULL), -EISDIR);
    assert_no_object("x");
    assert_int_equal(lost_and_found(&a), 1);
    assert_int_equal(rig_stat(&a, "x", &st), 0);
    assert_true(S_ISDIR(st.st_mode));
}

static void exclusive_creators_are_told_that_it_exists(void **state)
{
    (void)state;
    assert_int_equal(create(O_EXCL, NULL), -EEXIST);
    assert_no_object("x");
    assert_int_equal(lost_and_found(&a), 1);
}

static void an_implied_directory_is_one_too(void **state)
{
    (void)state;
    assert_int_equal(create(O_TRUNC, "x/below"), -EISDIR);
    assert_no_object("x");
}

static void names_that_only_begin_alike_are_none(void **state)
{
    (void)state;
    assert_int_equal(create(O_TRUNC, "x-ray"), 0);
    assert_object("x", "mine");
}

/* What is written at once costs what it did, what was open for long one LIST more, and only once.
 */
static void costs(void **state)
{
    uint64_t fh;

    (void)state;
    memstore_count_reset(a.store);
    put_text(&a, "quick", "1");
    assert_int_equal(memstore_count(a.store, STORE_OPS), 3);
    fh = open_text(&a, "slow", O_CREAT | O_WRONLY | O_EXCL);
    write_text(&a, fh, 0, "1");
    wait_s(4);
    memstore_count_reset(a.store);
    assert_int_equal(vfs_fsync(a.vfs, fh), 0);
    assert_int_equal(memstore_count(a.store, STORE_LIST), 1);
    assert_int_equal(memstore_count(a.store, STORE_OPS), 2);
    write_text(&a, fh, 1, "2");
    wait_s(4);
    memstore_count_reset(a.store);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_int_equal(memstore_count(a.store, STORE_LIST), 0);
}

static void a_question_that_fails_is_asked_again(void **state)
{
    uint64_t fh = open_text(&a, "x", O_CREAT | O_WRONLY | O_EXCL);

    (void)state;
    write_text(&a, fh, 0, "mine");
    wait_s(4);
    memstore_fail(a.store, STORE_LIST, 1, 1, -EACCES);
    assert_int_equal(vfs_flush(a.vfs, &a.ctx, fh), -EACCES);
    assert_no_object("x");
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_object("x", "mine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_directory_is_noticed_at_close),
        T(exclusive_creators_are_told_that_it_exists),
        T(an_implied_directory_is_one_too),
        T(names_that_only_begin_alike_are_none),
        T(costs),
        T(a_question_that_fails_is_asked_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
