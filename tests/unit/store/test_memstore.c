/* SPDX-License-Identifier: Apache-2.0 */
/* The memory store of the tests keeps the contract, and its knobs do what they say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "conformance.h"
#include "memstore.h"

static int setup(void **state)
{
    struct store *s = NULL;
    assert_int_equal(memstore_new(NULL, &s), 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    store_stop(*state);
    store_free(*state);
    return 0;
}

static int put(struct store *s, const char *key, const char *text, struct store_cond cond,
               struct store_rsp *rsp)
{
    char copy[64];
    snprintf(copy, sizeof(copy), "%s", text);
    struct store_mem m = {.data = copy, .size = strlen(copy)};
    struct store_src src = store_src_mem(&m);
    struct store_req req = {.op = STORE_PUT, .key = key, .src = &src, .cond = cond};
    return store_call(s, &req, rsp);
}

static int put_plain(struct store *s, const char *key, const char *text)
{
    struct store_rsp rsp = {0};
    int r = put(s, key, text, (struct store_cond){0}, &rsp);
    store_rsp_done(&rsp);
    return r;
}

static void test_conformance(void **state)
{
    assert_int_equal(conformance_run(*state, "conf/", NULL, stdout), 0);
    assert_int_equal(memstore_objects(*state), 0);
    assert_int_equal(memstore_uploads(*state), 0);
}

static void test_conformance_async_small_pages(void **state)
{
    assert_int_equal(memstore_set_async(*state, 4), 0);
    memstore_set_page(*state, 3);
    static const char *const skips[] = {"big-body"};
    struct conformance_conf conf = {.skips = skips, .n_skips = ARRAY_LEN(skips)};
    assert_int_equal(conformance_run(*state, "conf/", &conf, stdout), 0);
}

static void test_weak_server_is_seen(void **state)
{
    struct store_caps none = {0};
    memstore_set_caps(*state, &none);
    static const char *const differs[] = {
        "put-if-absent",         "put-if-match",           "put-if-match-missing",
        "delete-if-match",       "delete-many-if-match",   "copy-src-if-match",
        "copy-dst-if-absent",    "copy-dst-if-match",      "mpu-part-copy-if-match",
        "mpu-complete-if-match", "mpu-complete-if-absent", "race-if-absent",
        "race-compare-and-swap"};
    static const char *const unsure[] = {"race-compare-and-swap"};
    struct conformance_conf conf = {
        .differs = differs, .n_differs = ARRAY_LEN(differs) - 1, .unsure = unsure, .n_unsure = 1};
    assert_int_equal(conformance_run(*state, "conf/", &conf, stdout), 0);
    /* A row that passes although it is listed, and a name that is no row, are failures. */
    static const char *const wrong[] = {"put-get", "no-such-row"};
    conf = (struct conformance_conf){.differs = wrong, .n_differs = 2};
    memstore_set_caps(*state, &(struct store_caps){.put_absent = true,
                                                   .put_match = true,
                                                   .complete_absent = true,
                                                   .complete_match = true,
                                                   .delete_match = true,
                                                   .delete_many_match = true,
                                                   .copy_src_match = true,
                                                   .part_copy_match = true,
                                                   .copy_dst_absent = true,
                                                   .copy_dst_match = true});
    assert_int_equal(conformance_run(*state, "conf/", &conf, stdout), 2);
}

static void test_fail(void **state)
{
    struct store *s = *state;
    memstore_fail(s, STORE_PUT, 2, 1, -ENOSPC);
    memstore_fail(s, STORE_HEAD, 1, 2, STORE_CONFLICT);
    assert_int_equal(put_plain(s, "a", "1"), 0);
    assert_int_equal(put_plain(s, "b", "2"), -ENOSPC);
    assert_string_equal(err_text(), "the test's fault: PUT failed");
    assert_int_equal(put_plain(s, "c", "3"), 0);
    assert_int_equal(memstore_objects(s), 2);
    struct store_req req = {.op = STORE_HEAD, .key = "a"};
    for (int i = 0; i < 3; i++) {
        struct store_rsp rsp = {0};
        assert_int_equal(store_call(s, &req, &rsp), i < 2 ? STORE_CONFLICT : 0);
        store_rsp_done(&rsp);
    }
    assert_int_equal(memstore_count(s, STORE_PUT), 3);
    assert_int_equal(memstore_count(s, STORE_OPS), 6);
}

static void test_lose(void **state)
{
    struct store *s = *state;
    struct store_cond absent = {.kind = STORE_IF_ABSENT};
    struct store_rsp rsp = {0};
    memstore_lose(s, STORE_PUT, 1, 1, -EIO);
    memstore_lose(s, STORE_PUT, 2, 1, STORE_PRECONDITION);
    assert_int_equal(put(s, "a", "1", absent, &rsp), -EIO);
    assert_int_equal(memstore_get(s, "a", NULL, NULL), 0);
    assert_false(rsp.retried);
    assert_int_equal(put(s, "b", "2", absent, &rsp), STORE_PRECONDITION);
    assert_true(rsp.retried);
    assert_false(store_etag_is_set(&rsp.obj.etag));
    char *data = NULL;
    assert_int_equal(memstore_get(s, "b", NULL, &data), 0);
    assert_string_equal(data, "2");
    free(data);
    store_rsp_done(&rsp);
}

static void foreign_writer(void *arg, struct store *s, const struct store_req *req, int result)
{
    int *calls = arg;
    (void)result;
    if (req->op == STORE_PUT) {
        (*calls)++;
        assert_int_equal(memstore_put(s, req->key, "foreign", 7, NULL, NULL), 0);
    }
}

static void test_hook_lets_another_writer_in(void **state)
{
    struct store *s = *state;
    struct store_rsp rsp = {0};
    int calls = 0;
    memstore_set_hooks(s, foreign_writer, NULL, &calls);
    assert_int_equal(put(s, "a", "mine", (struct store_cond){.kind = STORE_IF_ABSENT}, &rsp),
                     STORE_PRECONDITION);
    store_rsp_done(&rsp);
    assert_int_equal(calls, 1);
    assert_int_equal(memstore_count(s, STORE_PUT), 1);
    memstore_set_hooks(s, NULL, foreign_writer, &calls);
    assert_int_equal(put_plain(s, "a", "mine"), 0);
    char *data = NULL;
    assert_int_equal(memstore_get(s, "a", NULL, &data), 0);
    assert_string_equal(data, "foreign");
    free(data);
}

static void test_grain_follows_the_clock(void **state)
{
    struct store *s = *state;
    struct store_obj o = {0};
    clock_fake_set(0, 1000 * NS_PER_S + 700 * NS_PER_MS);
    assert_int_equal(put_plain(s, "a", "1"), 0);
    assert_int_equal(memstore_get(s, "a", &o, NULL), 0);
    assert_int_equal(o.mtime_ns, 1000 * NS_PER_S);
    store_obj_done(&o);
    memstore_set_grain(s, NS_PER_MS);
    clock_fake_add(2 * NS_PER_MS);
    assert_int_equal(put_plain(s, "a", "2"), 0);
    assert_int_equal(memstore_get(s, "a", &o, NULL), 0);
    assert_int_equal(o.mtime_ns, 1000 * NS_PER_S + 702 * NS_PER_MS);
    store_obj_done(&o);
    clock_fake_off();
}

static void test_stopped_store_refuses(void **state)
{
    struct store *s = *state;
    store_stop(s);
    assert_int_equal(put_plain(s, "a", "1"), -ESHUTDOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_conformance, setup, teardown),
        cmocka_unit_test_setup_teardown(test_conformance_async_small_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weak_server_is_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lose, setup, teardown),
        cmocka_unit_test_setup_teardown(test_hook_lets_another_writer_in, setup, teardown),
        cmocka_unit_test_setup_teardown(test_grain_follows_the_clock, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stopped_store_refuses, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
