/* SPDX-License-Identifier: Apache-2.0 */
/* Commits that stand in a journal: one mark over all tries, also by the next process (UPLOAD-2). */
#include "harness.h"

static struct up p;

static int setup(void **state)
{
    (void)state;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 0, 0);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    up_close(&p);
    return 0;
}

/* What was in doubt is forgotten, and the writer is another one. */
static void restart(void)
{
    struct upload_conf conf = up_conf();
    conf.writer[0] = 'f';
    upload_free(p.u);
    assert_int_equal(upload_new(&conf, p.x.store, &p.u), 0);
}

static int commit_marked(struct data_file *f, const char *mark, bool is_retry, struct store_obj *ret)
{
    struct upload_req req = {.key = "k", .file = f, .hdrs = &p.hdrs, .cond = {.kind = STORE_IF_ABSENT},
                             .mark = mark, .is_retry = is_retry};
    *ret = (struct store_obj){0};
    return upload_commit(p.u, &req, ret);
}

/* The PUT takes effect, and the process ends before it knows. */
static void lose_it(struct data_file *f, const char *mark)
{
    struct store_obj now;
    memstore_lose(p.x.store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(p.x.store, STORE_HEAD, 1, 1, -EIO);
    assert_int_equal(commit_marked(f, mark, false, &now), -EIO);
    restart();
}

static void a_restart_finds_its_own(void **state)
{
    (void)state;
    char mark[UPLOAD_MARK_SIZE];
    struct data_file *f = up_new(&p, "k", 1000, 1);
    struct store_obj now, there = {0};
    upload_mark(p.u, mark);
    assert_true(upload_mark_is_valid(mark));
    lose_it(f, mark);
    assert_int_equal(memstore_get(p.x.store, "k", &there, NULL), 0);
    assert_int_equal(commit_marked(f, mark, true, &now), 0);
    assert_true(store_etag_equal(&now.etag, &there.etag));
    assert_string_equal(store_hdrs_get(&now.hdrs, "x-amz-meta-s3efs-commit"), mark);
    up_expect_fill(&p, "k", 1000, 1);
    store_obj_done(&there);
    store_obj_done(&now);
    data_file_unref(f);
}

/* Another client's tool has replaced the object, marks and all: whether the commit came before that, nobody can
 * tell, and waiting does not help. */
static void what_cannot_be_told_is_final(void **state)
{
    (void)state;
    char mark[UPLOAD_MARK_SIZE];
    struct data_file *f = up_new(&p, "k", 1000, 1);
    struct store_hdrs hdrs = {0};
    struct store_obj now;
    upload_mark(p.u, mark);
    assert_int_equal(store_hdrs_set(&hdrs, "x-amz-meta-s3efs-commit", "abc.9,~"), 0);
    assert_int_equal(memstore_put(p.x.store, "k", "theirs", 6, &hdrs, NULL), 0);
    assert_int_equal(commit_marked(f, mark, true, &now), -ESTALE);
    restart();
    assert_int_equal(commit_marked(f, mark, false, &now), UPLOAD_EXISTS); /* never sent: no doubt */
    up_expect(&p, "k", "theirs", 6);
    store_hdrs_done(&hdrs);
    store_obj_done(&now);
    data_file_unref(f);
}

/* A newer version of the file waits, and the older one did go up. */
static void goes_over_an_older_try(void **state)
{
    (void)state;
    char old[UPLOAD_MARK_SIZE], mark[UPLOAD_MARK_SIZE];
    struct data_file *f = up_new(&p, "k", 1000, 1);
    struct store_obj now;
    upload_mark(p.u, old);
    upload_mark(p.u, mark);
    lose_it(f, old);
    assert_int_equal(data_write(f, 1000, "more", 4), 0);
    upload_doubt(p.u, "k", old);
    assert_int_equal(commit_marked(f, mark, true, &now), 0);
    assert_int_equal(now.size, 1004);
    store_obj_done(&now);
    data_file_unref(f);
}

static void marks_are_checked(void **state)
{
    (void)state;
    assert_false(upload_mark_is_valid(""));
    assert_false(upload_mark_is_valid("x.1"));
    assert_false(upload_mark_is_valid("ab.1,ab.2"));
    assert_false(upload_mark_is_valid("ab.1\r\nx: y"));
    assert_true(upload_mark_is_valid("ab.1"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_restart_finds_its_own),
        T(what_cannot_be_told_is_final),
        T(goes_over_an_older_try),
        T(marks_are_checked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
