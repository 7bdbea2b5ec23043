/* SPDX-License-Identifier: Apache-2.0 */
/* Commits by one PUT: what they cost, whom they believe, and what a failure leaves. */
#include "harness.h"

static void a_small_file_is_one_put(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 0, 0);
    const size_t sizes[] = {0, 1, 100 * KIB, 16 * MIB};
    for (unsigned i = 0; i < 4; i++) {
        char key[16];
        snprintf(key, sizeof(key), "img/%u.png", i);
        struct data_file *f = sizes[i] ? up_new(&p, key, sizes[i], i) : fx_file(&p.x, key, NULL);
        memstore_count_reset(p.x.store);
        up_commit_ok(&p, key, f, STORE_IF_ABSENT, NULL);
        assert_int_equal(up_count(&p, STORE_PUT), 1);
        assert_int_equal(up_count(&p, STORE_OPS), 1); /* and nothing else */
        up_expect_fill(&p, key, sizes[i], i);
        data_file_unref(f);
    }
    up_close(&p);
}

static void a_change_goes_up_whole_under_its_etag(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 0, 0);
    struct store_obj base = fx_put(&p.x, "k", 1000, 1);
    struct data_file *f = fx_file(&p.x, "k", &base);
    assert_int_equal(data_write(f, 500, "new", 3), 0);
    assert_int_equal(data_truncate(f, 900), 0);
    up_commit_ok(&p, "k", f, STORE_IF_MATCH, &base.etag);
    char want[900];
    fx_fill(want, 0, 900, 1);
    memcpy(want + 500, "new", 3);
    up_expect(&p, "k", want, 900);
    /* a clean file: its headers change */
    struct store_etag etag = data_base_etag(f);
    up_commit_ok(&p, "k", f, STORE_IF_MATCH, &etag);
    up_expect(&p, "k", want, 900);
    data_file_unref(f);
    up_close(&p);
}

/* T3: a failed flush keeps its list; the next one commits the right bytes. */
static void a_failed_commit_leaves_all_as_it_was(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 0, 0);
    const int errors[] = {-EACCES, -ENOSPC, -EDQUOT, -EIO, -ETIMEDOUT, -ENAMETOOLONG};
    for (unsigned i = 0; i < 6; i++) {
        struct store_obj base = fx_put(&p.x, "k", 1000, 1), now;
        struct data_file *f = fx_file(&p.x, "k", &base);
        assert_int_equal(data_write(f, 10, "mine", 4), 0);
        memstore_fail(p.x.store, STORE_PUT, 1, 1, errors[i]);
        assert_int_equal(up_commit(&p, "k", f, STORE_IF_MATCH, &base.etag, &now), errors[i]);
        assert_true(strlen(err_text()) > 0);
        up_expect_fill(&p, "k", 1000, 1);
        assert_true(data_is_dirty(f));
        assert_int_equal(data_dirty_bytes(f), 4);
        assert_int_equal(data_write(f, 20, "more", 4), 0);
        up_commit_ok(&p, "k", f, STORE_IF_MATCH, &base.etag);
        char want[1000];
        fx_fill(want, 0, 1000, 1);
        memcpy(want + 10, "mine", 4);
        memcpy(want + 20, "more", 4);
        up_expect(&p, "k", want, 1000);
        data_file_unref(f);
    }
    up_close(&p);
}

/* Applied, and then the retry is told 412, 404, or nothing at all: it was us. */
static void a_lost_reply_is_our_own_success(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 0, 0);
    const int results[] = {STORE_PRECONDITION, STORE_CONFLICT, -ETIMEDOUT, -EIO};
    for (unsigned i = 0; i < 4; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%u", i);
        struct data_file *f = up_new(&p, key, 1000, i);
        memstore_count_reset(p.x.store);
        memstore_lose(p.x.store, STORE_PUT, 1, 1, results[i]);
        up_commit_ok(&p, key, f, STORE_IF_ABSENT, NULL);
        assert_int_equal(up_count(&p, STORE_PUT), 1); /* not put twice */
        assert_int_equal(up_count(&p, STORE_HEAD), 1);
        up_expect_fill(&p, key, 1000, i);

        struct store_etag etag = data_base_etag(f);
        assert_int_equal(data_write(f, 0, "x", 1), 0);
        memstore_lose(p.x.store, STORE_PUT, 1, 1, results[i]);
        up_commit_ok(&p, key, f, STORE_IF_MATCH, &etag);
        data_file_unref(f);
    }
    up_close(&p);
}

static void somebody_else_was_first(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 0, 0);
    struct data_file *f = up_new(&p, "k", 100, 1);
    struct store_obj other = fx_put(&p.x, "k", 200, 2), now;
    assert_int_equal(up_commit(&p, "k", f, STORE_IF_ABSENT, NULL, &now), UPLOAD_EXISTS);
    assert_true(store_etag_equal(&now.etag, &other.etag));
    assert_int_equal(now.size, 200);
    store_obj_done(&now);
    up_expect_fill(&p, "k", 200, 2);
    assert_true(data_is_dirty(f));
    data_file_unref(f);

    struct store_obj base = other;
    f = fx_file(&p.x, "k", &base);
    assert_int_equal(data_write(f, 0, "whole", 5), 0);
    assert_int_equal(data_truncate(f, 0), 0);
    assert_int_equal(data_write(f, 0, "whole", 5), 0);
    other = fx_put(&p.x, "k", 300, 3);
    assert_int_equal(up_commit(&p, "k", f, STORE_IF_MATCH, &base.etag, &now), UPLOAD_CHANGED);
    assert_true(store_etag_equal(&now.etag, &other.etag));
    store_obj_done(&now);
    up_expect_fill(&p, "k", 300, 3);
    assert_int_equal(memstore_delete(p.x.store, "k"), 0);
    assert_int_equal(up_commit(&p, "k", f, STORE_IF_MATCH, &base.etag, &now), UPLOAD_GONE);
    assert_false(store_etag_is_set(&now.etag));
    up_expect_none(&p, "k"); /* never re-created */
    up_commit_ok(&p, "k", f, STORE_ALWAYS, NULL);
    up_expect(&p, "k", "whole", 5);
    data_file_unref(f);
    up_close(&p);
}

/* The base that a change needs bytes of is gone: that is a conflict and no mere error. */
static void the_base_changed_under_a_range(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 0, 0);
    struct store_obj base = fx_put(&p.x, "k", 1000, 1), now;
    struct data_file *f = fx_file(&p.x, "k", &base);
    assert_int_equal(data_write(f, 10, "mine", 4), 0);
    struct store_obj other = fx_put(&p.x, "k", 1000, 2);
    assert_int_equal(up_commit(&p, "k", f, STORE_IF_MATCH, &base.etag, &now), UPLOAD_CHANGED);
    assert_true(store_etag_equal(&now.etag, &other.etag));
    store_obj_done(&now);
    assert_int_equal(up_count(&p, STORE_PUT), 0);
    assert_int_equal(data_rebase(f, &other), 0);
    up_commit_ok(&p, "k", f, STORE_IF_MATCH, &other.etag);
    char want[1000];
    fx_fill(want, 0, 1000, 2);
    memcpy(want + 10, "mine", 4);
    up_expect(&p, "k", want, 1000);
    data_file_unref(f);

    /* and one that can't be read is an error, the reader's own */
    base = fx_put(&p.x, "k2", 1000, 3);
    f = fx_file(&p.x, "k2", &base);
    assert_int_equal(data_write(f, 10, "mine", 4), 0);
    memstore_fail(p.x.store, STORE_GET, 1, 1, -EACCES);
    assert_int_equal(up_commit(&p, "k2", f, STORE_IF_MATCH, &base.etag, &now), -EACCES);
    up_expect_fill(&p, "k2", 1000, 3);
    up_commit_ok(&p, "k2", f, STORE_IF_MATCH, &base.etag);
    data_file_unref(f);
    up_close(&p);
}

/* The reply is lost and nobody can be asked: the error says so, and the next try knows its own work. */
static void in_doubt_then_again(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 0, 0);
    struct data_file *f = up_new(&p, "k", 1000, 1);
    struct store_obj now;
    memstore_lose(p.x.store, STORE_PUT, 1, 1, -ETIMEDOUT);
    memstore_fail(p.x.store, STORE_HEAD, 1, 1, -EIO);
    assert_int_equal(up_commit(&p, "k", f, STORE_IF_ABSENT, NULL, &now), -ETIMEDOUT);
    assert_non_null(strstr(err_text(), "in doubt"));
    assert_true(data_is_dirty(f));
    assert_int_equal(data_write(f, 0, "later", 5), 0);
    up_commit_ok(&p, "k", f, STORE_IF_ABSENT, NULL);
    char want[1000];
    fx_fill(want, 0, 1000, 1);
    memcpy(want, "later", 5);
    up_expect(&p, "k", want, 1000);
    data_file_unref(f);

    /* a foreign object with no mark of ours stays a conflict */
    f = up_new(&p, "k2", 10, 1);
    memstore_fail(p.x.store, STORE_PUT, 1, 1, -ETIMEDOUT);
    assert_int_equal(up_commit(&p, "k2", f, STORE_IF_ABSENT, NULL, &now), -ETIMEDOUT);
    (void)fx_put(&p.x, "k2", 20, 2);
    assert_int_equal(up_commit(&p, "k2", f, STORE_IF_ABSENT, NULL, &now), UPLOAD_EXISTS);
    store_obj_done(&now);
    up_expect_fill(&p, "k2", 20, 2);
    data_file_unref(f);
    up_close(&p);
}

/* Another client's write is under way: on a hard mount its end is waited for, on a soft one for a time. */
static void conflicts_are_waited_for(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 0, 0);
    struct data_file *f = up_new(&p, "k", 100, 1);
    memstore_fail(p.x.store, STORE_PUT, 1, 8, STORE_CONFLICT);
    up_commit_ok(&p, "k", f, STORE_IF_ABSENT, NULL);
    assert_int_equal(up_count(&p, STORE_PUT), 9);
    up_expect_fill(&p, "k", 100, 1);
    data_file_unref(f);
    up_close(&p);
}

static void conflicts_on_a_soft_mount(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    conf.soft_ns = 1;
    up_open(&p, &conf, 0, 0);
    struct data_file *f = up_new(&p, "k", 100, 1);
    struct store_obj now;
    memstore_fail(p.x.store, STORE_PUT, 1, 1000, STORE_CONFLICT);
    assert_int_equal(up_commit(&p, "k", f, STORE_IF_ABSENT, NULL, &now), -EIO);
    up_expect_none(&p, "k");
    memstore_clear_faults(p.x.store);
    up_commit_ok(&p, "k", f, STORE_IF_ABSENT, NULL);
    up_expect_fill(&p, "k", 100, 1);
    data_file_unref(f);
    up_close(&p);
}

/* A server that ignores the conditions of a PUT: we look ourselves. */
static void a_weak_server_is_asked_first(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    conf.caps.put_absent = conf.caps.put_match = false;
    up_open(&p, &conf, 0, 0);
    struct data_file *f = up_new(&p, "k", 100, 1);
    struct store_obj now;
    up_commit_ok(&p, "k", f, STORE_IF_ABSENT, NULL);
    assert_int_equal(up_count(&p, STORE_HEAD), 1);
    assert_int_equal(up_count(&p, STORE_PUT), 1);
    struct store_etag etag = data_base_etag(f);
    (void)fx_put(&p.x, "k", 300, 3);
    assert_int_equal(data_write(f, 0, "x", 1), 0);
    assert_int_equal(up_commit(&p, "k", f, STORE_IF_MATCH, &etag, &now), UPLOAD_CHANGED);
    store_obj_done(&now);
    assert_int_equal(up_commit(&p, "k", f, STORE_IF_ABSENT, NULL, &now), UPLOAD_EXISTS);
    store_obj_done(&now);
    up_expect_fill(&p, "k", 300, 3);
    assert_int_equal(memstore_delete(p.x.store, "k"), 0);
    assert_int_equal(up_commit(&p, "k", f, STORE_IF_MATCH, &etag, &now), UPLOAD_GONE);
    up_expect_none(&p, "k");
    data_file_unref(f);
    up_close(&p);
}

static void a_writer_needs_an_id(void **state)
{
    (void)state;
    struct up p;
    struct upload_conf conf = up_conf();
    up_open(&p, &conf, 0, 0);
    struct upload *u;
    conf.writer[0] = '\0';
    assert_int_equal(upload_new(&conf, p.x.store, &u), -EINVAL);
    upload_free(NULL);
    up_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_file_is_one_put),
        cmocka_unit_test(a_change_goes_up_whole_under_its_etag),
        cmocka_unit_test(a_failed_commit_leaves_all_as_it_was),
        cmocka_unit_test(a_lost_reply_is_our_own_success),
        cmocka_unit_test(somebody_else_was_first),
        cmocka_unit_test(the_base_changed_under_a_range),
        cmocka_unit_test(in_doubt_then_again),
        cmocka_unit_test(conflicts_are_waited_for),
        cmocka_unit_test(conflicts_on_a_soft_mount),
        cmocka_unit_test(a_weak_server_is_asked_first),
        cmocka_unit_test(a_writer_needs_an_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
