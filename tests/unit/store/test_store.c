/* SPDX-License-Identifier: Apache-2.0 */
/* The helpers of the contract. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "store/store.h"

static void test_etag(void **state)
{
    (void)state;
    char long_one[200];
    assert_string_equal(store_etag_make("\"abc\"").s, "abc");
    assert_string_equal(store_etag_make("W/\"abc\"").s, "abc");
    assert_string_equal(store_etag_make("abc").s, "abc");
    assert_string_equal(store_etag_make("\"\"").s, "");
    assert_string_equal(store_etag_make("\"").s, "\"");
    assert_string_equal(store_etag_make(NULL).s, "");
    memset(long_one, 'e', sizeof(long_one) - 1);
    long_one[sizeof(long_one) - 1] = '\0';
    struct store_etag none = store_etag_make(long_one), a = store_etag_make("A"),
                      b = store_etag_make("a");
    assert_false(store_etag_is_set(&none));
    assert_false(store_etag_equal(&a, &b));
}

static void test_hdrs(void **state)
{
    (void)state;
    struct store_hdrs h = {0}, copy = {0};
    char name[32];
    for (int i = 0; i < 30; i++) {
        snprintf(name, sizeof(name), "X-Name-%d", i);
        assert_int_equal(store_hdrs_set(&h, name, "1"), 0);
    }
    assert_int_equal(store_hdrs_set(&h, "x-nAME-7", "other"), 0);
    assert_int_equal(h.n, 30);
    assert_string_equal(store_hdrs_get(&h, "X-NAME-7"), "other");
    assert_string_equal(h.v[7].name, "x-name-7");
    store_hdrs_remove(&h, "x-name-7");
    store_hdrs_remove(&h, "x-name-7");
    assert_null(store_hdrs_get(&h, "x-name-7"));
    assert_string_equal(store_hdrs_get(&h, "x-name-8"), "1");
    assert_int_equal(store_hdrs_copy(&copy, &h), 0);
    assert_int_equal(copy.n, 29);
    assert_ptr_not_equal(copy.v[0].value, h.v[0].value);
    store_hdrs_done(&h);
    store_hdrs_done(&h);
    assert_string_equal(store_hdrs_get(&copy, "x-name-29"), "1");
    store_hdrs_done(&copy);
}

static void test_obj_and_list(void **state)
{
    (void)state;
    struct store_obj o = {.size = 3, .mtime_ns = 4}, copy = {0};
    assert_int_equal(store_hdrs_set(&o.hdrs, "content-type", "a/b"), 0);
    assert_int_equal(store_obj_copy(&copy, &o), 0);
    store_obj_done(&o);
    assert_int_equal(copy.size, 3);
    assert_string_equal(store_hdrs_get(&copy.hdrs, "content-type"), "a/b");
    store_obj_done(&copy);
    store_obj_done(&copy);
    struct store_rsp rsp = {0};
    for (int i = 0; i < 200; i++)
        assert_non_null(store_list_add(&rsp.list, "key and more", 3));
    assert_string_equal(rsp.list.v[199].key, "key");
    store_rsp_done(&rsp);
    store_rsp_done(&rsp);
}

static void test_op_names_are_all_there(void **state)
{
    (void)state;
    for (int a = 0; a < STORE_OPS; a++) {
        assert_non_null(store_op_name((enum store_op)a));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(store_op_name((enum store_op)a),
                                    store_op_name((enum store_op)b));
    }
    assert_string_equal(store_op_name(STORE_OPS), "?");
}

static void test_bodies_in_memory(void **state)
{
    (void)state;
    char data[] = "0123456789", got[4] = "";
    struct store_mem m = {.data = data, .size = 10};
    struct store_src src = store_src_mem(&m);
    assert_int_equal(src.read(src.ctx, 7, got, 3), 0);
    assert_string_equal(got, "789");
    assert_int_equal(src.read(src.ctx, 8, got, 3), -EIO);
    assert_int_equal(src.read(src.ctx, UINT64_MAX, got, 3), -EIO);
    struct store_sink sink = store_sink_mem(&m);
    assert_int_equal(sink.write(sink.ctx, 8, "xy", 2), 0);
    assert_string_equal(data, "01234567xy");
    assert_int_equal(sink.write(sink.ctx, 9, "xy", 2), -EOVERFLOW);
    assert_int_equal(sink.write(sink.ctx, 11, "", 0), -EOVERFLOW);
}

/* A back end that answers from another thread. */
struct threaded {
    struct store store;
    pthread_t thread;
    struct store_req *req;
};

static void *answer(void *arg)
{
    struct threaded *t = arg;
    t->req->done(t->req->done_arg, err_set(-ENOSPC, "no room, says the thread"));
    return NULL;
}

static void threaded_submit(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    struct threaded *t = container_of(s, struct threaded, store);
    (void)rsp;
    t->req = req;
    if (pthread_create(&t->thread, NULL, answer, t) != 0)
        abort();
}

static void test_call_waits_and_brings_the_text(void **state)
{
    (void)state;
    static const struct store_ops ops = {.submit = threaded_submit};
    struct threaded t = {.store = {.ops = &ops}};
    struct store_req req = {.op = STORE_HEAD_BUCKET};
    struct store_rsp rsp = {0};
    err_clear();
    assert_int_equal(store_call(&t.store, &req, &rsp), -ENOSPC);
    assert_string_equal(err_text(), "no room, says the thread");
    pthread_join(t.thread, NULL);
    store_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_etag),
        cmocka_unit_test(test_hdrs),
        cmocka_unit_test(test_obj_and_list),
        cmocka_unit_test(test_op_names_are_all_there),
        cmocka_unit_test(test_bodies_in_memory),
        cmocka_unit_test(test_call_waits_and_brings_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
