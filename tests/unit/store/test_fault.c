/* SPDX-License-Identifier: Apache-2.0 */
/* The fault decorator: scripts, counting, losing, delaying. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "dirtest.h"
#include "memstore.h"
#include "store/fault.h"

struct fixture {
    struct store *mem, *s;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_int_equal(memstore_new(NULL, &f->mem), 0);
    assert_int_equal(fault_new(f->mem, "", &f->s), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    store_stop(f->s);
    store_free(f->s);
    free(f);
    return 0;
}

static void test_passes_through(void **state)
{
    struct fixture *f = *state;
    char *data = NULL;
    assert_int_equal(dirtest_puts(f->s, "a", "text"), 0);
    assert_int_equal(dirtest_get(f->s, "a", 10, &data, NULL, NULL), 0);
    assert_string_equal(data, "text");
    free(data);
    assert_int_equal(fault_calls(f->s, STORE_PUT), 1);
    assert_int_equal(fault_calls(f->s, STORE_OPS), 2);
}

static void test_which(void **state)
{
    struct fixture *f = *state;
    static const int put[] = {0, 0, -ENOSPC, 0, STORE_CONFLICT, STORE_CONFLICT, 0, -EIO, -EIO};
    assert_int_equal(fault_add(f->s, "PUT:3:ENOSPC,PUT:5-6:409,PUT:8+:EIO"), 0);
    for (size_t i = 0; i < ARRAY_LEN(put); i++)
        assert_int_equal(dirtest_puts(f->s, "a", "text"), put[i]);
    assert_string_equal(err_text(), "injected: PUT fails");
    assert_int_equal(memstore_count(f->mem, STORE_PUT), 4);
    fault_clear(f->s);
    assert_int_equal(dirtest_puts(f->s, "a", "text"), 0);
    /* Any operation, counted over all. */
    assert_int_equal(fault_add(f->s, "*:11:EACCES"), 0);
    assert_int_equal(dirtest_get(f->s, "a", 10, NULL, NULL, NULL), -EACCES);
    assert_int_equal(dirtest_get(f->s, "a", 10, NULL, NULL, NULL), 0);
}

static void test_lost(void **state)
{
    struct fixture *f = *state;
    struct store_cond absent = {.kind = STORE_IF_ABSENT};
    assert_int_equal(fault_add(f->s, "PUT:1:lost,PUT:2+:lost412"), 0);
    assert_int_equal(dirtest_put(f->s, "a", "1", 1, absent, NULL), -EIO);
    assert_int_equal(memstore_get(f->mem, "a", NULL, NULL), 0);
    /* One that was not applied has nothing to lose. */
    struct store_mem m = {.data = NULL, .size = 0};
    struct store_src src = store_src_mem(&m);
    struct store_req req = {.op = STORE_PUT, .key = "a", .src = &src, .cond = absent};
    struct store_rsp rsp = {0};
    assert_int_equal(store_call(f->s, &req, &rsp), STORE_PRECONDITION);
    assert_false(rsp.retried);
    req.key = "b";
    assert_int_equal(store_call(f->s, &req, &rsp), STORE_PRECONDITION);
    assert_true(rsp.retried);
    assert_false(store_etag_is_set(&rsp.obj.etag));
    assert_int_equal(memstore_get(f->mem, "b", NULL, NULL), 0);
    store_rsp_done(&rsp);
}

static void set_result(void *arg, int result)
{
    atomic_store((atomic_int *)arg, result);
}

static void test_delay(void **state)
{
    struct fixture *f = *state;
    struct store_req req = {.op = STORE_HEAD_BUCKET};
    struct store_rsp rsp = {0};
    atomic_int result = 99;
    clock_fake_set(1000 * NS_PER_S, 1000 * NS_PER_S);
    assert_int_equal(fault_add(f->s, "HEAD_BUCKET:1:3600s,HEAD_BUCKET:2:10ms:EIO"), 0);
    store_submit(f->s, &req, &rsp, set_result, &result);
    /* By the tests' clock it can't be over: nothing has come through. */
    assert_int_equal(memstore_count(f->mem, STORE_HEAD_BUCKET), 0);
    assert_int_equal(atomic_load(&result), 99);
    clock_fake_add(3601 * NS_PER_S);
    store_stop(f->s); /* waits for it */
    assert_int_equal(atomic_load(&result), 0);
    clock_fake_off();
}

static void test_delay_then_fail(void **state)
{
    struct fixture *f = *state;
    struct store_req req = {.op = STORE_HEAD_BUCKET};
    struct store_rsp rsp = {0};
    assert_int_equal(fault_add(f->s, "HEAD_BUCKET:1:10ms:ETIMEDOUT,HEAD_BUCKET:2:1ms"), 0);
    assert_int_equal(store_call(f->s, &req, &rsp), -ETIMEDOUT);
    assert_int_equal(memstore_count(f->mem, STORE_HEAD_BUCKET), 0);
    assert_int_equal(store_call(f->s, &req, &rsp), 0);
    assert_int_equal(memstore_count(f->mem, STORE_HEAD_BUCKET), 1);
    store_rsp_done(&rsp);
}

static void test_bad_scripts(void **state)
{
    struct fixture *f = *state;
    static const char *const scripts[] = {
        "PUT",          "PUT:1",          "PUT:0:EIO",       "PUT:x:EIO", "PUT:5-3:EIO",
        "PUT:3-+:EIO",  "put:1:EIO",      "PUT:1:ENONSENSE", "PUT:1:5m",  "PUT:1:500",
        "PUT:1:EIO:1s", "PUT:1:lost:EIO", "PUT:-1:EIO",      "PUT:+:EIO", "PUT:1:EIO,GET",
    };
    for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
        assert_int_equal(fault_add(f->s, scripts[i]), -EINVAL);
        assert_non_null(strstr(err_text(), "fault script"));
    }
    assert_int_equal(dirtest_puts(f->s, "a", "text"), 0);
    struct store *s = NULL;
    assert_int_equal(fault_new(f->mem, "nonsense", &s), -EINVAL);
    assert_int_equal(dirtest_puts(f->mem, "a", "text"), 0); /* still ours */
}

static void test_environment(void **state)
{
    (void)state;
    struct store *mem = NULL, *s = NULL;
    assert_int_equal(setenv(FAULT_ENVIRONMENT, "PUT:2:ENOSPC,GET:1+:EIO", 1), 0);
    assert_int_equal(memstore_new(NULL, &mem), 0);
    assert_int_equal(fault_new(mem, NULL, &s), 0);
    assert_int_equal(unsetenv(FAULT_ENVIRONMENT), 0);
    assert_int_equal(dirtest_puts(s, "a", "text"), 0);
    assert_int_equal(dirtest_puts(s, "a", "text"), -ENOSPC);
    assert_int_equal(dirtest_get(s, "a", 10, NULL, NULL, NULL), -EIO);
    assert_int_equal(dirtest_get(s, "a", 10, NULL, NULL, NULL), -EIO);
    store_stop(s);
    assert_int_equal(dirtest_puts(s, "a", "text"), -ESHUTDOWN);
    store_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_passes_through, setup, teardown),
        cmocka_unit_test_setup_teardown(test_which, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delay, setup, teardown),
        cmocka_unit_test_setup_teardown(test_delay_then_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_bad_scripts, setup, teardown),
        cmocka_unit_test(test_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
