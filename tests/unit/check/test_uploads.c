/* SPDX-License-Identifier: Apache-2.0 */
/* Multipart uploads that nobody has ended. */
#include "checktest.h"

#include <errno.h>

static void begin_upload(const char *key)
{
    struct store_req req = {.op = STORE_MPU_CREATE, .key = key};
    struct store_rsp rsp = {0};

    assert_int_equal(store_call(store, &req, &rsp), 0);
    store_rsp_done(&rsp);
}

static void test_old_ones_are_told_and_aborted(void **state)
{
    (void)state;
    begin_upload("big/old");
    begin_upload(".s3efs/probe/0123456789abcdef/mpu");
    clock_fake_add(25 * HOUR_NS);
    begin_upload("big/young");
    check(false);
    assert_found(CHECK_UPLOAD, "big/old", CHECK_REPAIRABLE);
    assert_found(CHECK_UPLOAD, ".s3efs/probe/0123456789abcdef/mpu", CHECK_REPAIRABLE);
    assert_int_equal(result.findings, 2);
    assert_int_equal(memstore_uploads(store), 3);
    check(true);
    assert_found(CHECK_UPLOAD, "big/old", CHECK_REPAIRED);
    assert_int_equal(result.repaired, 2);
    assert_int_equal(memstore_uploads(store), 1);
    check(true);
    assert_clean();
    assert_int_equal(memstore_uploads(store), 1);
    conf.older_ns = 0;
    check(true);
    assert_found(CHECK_UPLOAD, "big/young", CHECK_REPAIRED);
    assert_int_equal(memstore_uploads(store), 0);
}

/* The bucket's clock tells the age, whatever ours says. */
static void test_clocks_that_differ(void **state)
{
    (void)state;
    memstore_set_skew(store, -48 * HOUR_NS);
    begin_upload("a");
    check(true);
    assert_clean();
    assert_int_equal(memstore_uploads(store), 1);
    clock_fake_add(25 * HOUR_NS);
    check(true);
    assert_found(CHECK_UPLOAD, "a", CHECK_REPAIRED);
}

static void test_other_prefixes_are_left(void **state)
{
    (void)state;
    begin_upload("mine/a");
    begin_upload("theirs/a");
    clock_fake_add(25 * HOUR_NS);
    conf.prefix = "mine/";
    check(true);
    assert_found(CHECK_UPLOAD, "mine/a", CHECK_REPAIRED);
    assert_int_equal(seen.n, 1);
    assert_int_equal(memstore_uploads(store), 1);
}

/* More than a page, several of one key, and what is aborted meanwhile is where a page ended. */
static void test_pages(void **state)
{
    static const char *const keys[] = {"a", "b", "b", "b", "c", "d", "d"};

    (void)state;
    memstore_set_page(store, 2);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        begin_upload(keys[i]);
    clock_fake_add(25 * HOUR_NS);
    check(false);
    assert_int_equal(result.findings, ARRAY_LEN(keys));
    check(true);
    assert_int_equal(result.repaired, ARRAY_LEN(keys));
    assert_int_equal(memstore_uploads(store), 0);
}

static void test_abort_fails(void **state)
{
    (void)state;
    begin_upload("a");
    begin_upload("b");
    clock_fake_add(25 * HOUR_NS);
    memstore_fail(store, STORE_MPU_ABORT, 1, 1, -EACCES);
    memstore_fail(store, STORE_MPU_ABORT, 2, 1, STORE_NO_UPLOAD); /* somebody was faster */
    check(true);
    assert_int_equal(result.left, 1);
    assert_int_equal(result.repaired, 1);
    assert_non_null(find_one(CHECK_UPLOAD, NULL));
}

int main(void)
{
#define ONE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ONE(test_old_ones_are_told_and_aborted),
        ONE(test_clocks_that_differ),
        ONE(test_other_prefixes_are_left),
        ONE(test_pages),
        ONE(test_abort_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
