/* SPDX-License-Identifier: Apache-2.0 */
/* The probe finds what a server's conditions are worth, and leaves nothing behind. The
 * capabilities' line. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include "base/err.h"
#include "dirtest.h"
#include "memstore.h"
#include "store/probe.h"

#define PREFIX ".s3efs/probe/x/"

static const struct store_caps all = {
    .put_absent = true,
    .put_match = true,
    .complete_absent = true,
    .complete_match = true,
    .delete_match = true,
    .delete_many_match = true,
    .copy_src_match = true,
    .part_copy_match = true,
    .copy_dst_absent = true,
    .copy_dst_match = true,
};

static int setup(void **state)
{
    struct store *s = NULL;
    assert_int_equal(memstore_new(NULL, &s), 0);
    assert_int_equal(memstore_put(s, "a", "the user's", 10, NULL, NULL), 0);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    store_stop(*state);
    store_free(*state);
    return 0;
}

static void expect_clean(struct store *s)
{
    char *data = NULL;
    assert_int_equal(memstore_objects(s), 1);
    assert_int_equal(memstore_uploads(s), 0);
    assert_int_equal(memstore_get(s, "a", NULL, &data), 0);
    assert_string_equal(data, "the user's");
    free(data);
}

static void expect_caps(const struct store_caps *got, const struct store_caps *want)
{
    char a[400], b[400];
    store_caps_format(got, a, sizeof(a));
    store_caps_format(want, b, sizeof(b));
    assert_string_equal(a, b);
}

/* Only keys below the prefix, whatever the outcome. */
static void watch_keys(void *arg, struct store *s, const struct store_req *req, int result)
{
    int *strays = arg;
    (void)s;
    (void)result;
    for (size_t i = 0; i < req->n_keys; i++)
        *strays += strncmp(req->keys[i], PREFIX, strlen(PREFIX)) != 0;
    if (req->n_keys == 0 &&
        (req->key == NULL || strncmp(req->key, PREFIX, strlen(PREFIX)) != 0))
        (*strays)++;
    if (req->src_key != NULL && strncmp(req->src_key, PREFIX, strlen(PREFIX)) != 0)
        (*strays)++;
}

static void test_good_server(void **state)
{
    struct store *s = *state;
    struct store_caps caps = {0};
    int strays = 0;
    memstore_set_hooks(s, watch_keys, NULL, &strays);
    assert_int_equal(store_probe(s, PREFIX, memstore_set_unquoted, &caps), 0);
    expect_caps(&caps, &all);
    expect_clean(s);
    assert_int_equal(strays, 0);
    printf("%llu requests\n", (unsigned long long)memstore_count(s, STORE_OPS));
}

static void test_each_missing_condition_is_seen(void **state)
{
    struct store *s = *state;
    for (size_t i = 0; i < sizeof(all); i++) {
        struct store_caps server = all, caps = {0};
        bool *one = (bool *)&server + i;
        if (one == &server.etag_unquoted)
            continue;
        *one = false;
        memstore_set_caps(s, &server);
        assert_int_equal(store_probe(s, PREFIX, memstore_set_unquoted, &caps), 0);
        if (!server.delete_match) /* of no use alone */
            server.delete_many_match = false;
        expect_caps(&caps, &server);
        expect_clean(s);
    }
}

static void test_server_without_any(void **state)
{
    struct store *s = *state;
    struct store_caps none = {0}, caps = all;
    memstore_set_caps(s, &none);
    assert_int_equal(store_probe(s, PREFIX, memstore_set_unquoted, &caps), 0);
    expect_caps(&caps, &none);
    expect_clean(s);
}

/* Ceph 16: PUT conditions, If-Match without quotes only, nothing else. */
static void test_unquoted(void **state)
{
    struct store *s = *state;
    struct store_caps ceph = {.put_absent = true, .put_match = true, .etag_unquoted = true},
                      caps = {0};
    memstore_set_caps(s, &ceph);
    assert_int_equal(store_probe(s, PREFIX, memstore_set_unquoted, &caps), 0);
    expect_caps(&caps, &ceph);
    /* Without a way to switch, the condition is not there. */
    memstore_set_unquoted(s, false);
    assert_int_equal(store_probe(s, PREFIX, NULL, &caps), 0);
    assert_false(caps.put_match || caps.etag_unquoted);
    expect_clean(s);
}

static void test_not_writable(void **state)
{
    struct store *s = *state;
    struct store_caps caps = all;
    memstore_fail(s, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(store_probe(s, PREFIX, NULL, &caps), -EACCES);
    assert_non_null(strstr(err_text(), "PUT of " PREFIX "a"));
    expect_caps(&caps, &all); /* untouched */
    expect_clean(s);
}

/* One probe of a fresh server whose k-th request of this kind ends so. false: there are not so
 * many. */
static bool probe_with_fault(enum store_op op, unsigned k, int result)
{
    struct store *s = NULL;
    struct store_caps caps = {0};
    assert_int_equal(memstore_new(NULL, &s), 0);
    assert_int_equal(memstore_put(s, "a", "the user's", 10, NULL, NULL), 0);
    memstore_fail(s, op, k, 1, result);
    int r = store_probe(s, PREFIX, memstore_set_unquoted, &caps);
    bool was_met = memstore_count(s, op) >= k;
    assert_true(r == 0 || r == result);
    if (!was_met)
        expect_caps(&caps, &all);
    if (op != STORE_DELETE && op != STORE_MPU_ABORT)
        expect_clean(s); /* else it is the clean-up itself that failed */
    store_stop(s);
    store_free(s);
    return was_met;
}

/* A refusal is "not there", a dead network ends the probe; both leave nothing behind. */
static void test_every_request_may_fail(void **state)
{
    static const int results[] = {-EINVAL, -EOPNOTSUPP, -EACCES, -ETIMEDOUT, -EIO};
    (void)state;
    for (size_t e = 0; e < ARRAY_LEN(results); e++) {
        for (int op = 0; op < STORE_OPS; op++) {
            unsigned k = 1;
            while (probe_with_fault((enum store_op)op, k, results[e]))
                k++;
            assert_true(k < 30);
        }
    }
}

/* No conditional PUT is believed to have been refused because its own first try had worked. */
static void test_lost_replies(void **state)
{
    static const unsigned conditional[] = {3,
                                           5}; /* of a new key, and If-Match with the right ETag */
    struct store *s = *state;
    for (size_t i = 0; i < ARRAY_LEN(conditional); i++) {
        struct store_caps caps = {0};
        memstore_clear_faults(s);
        memstore_lose(s, STORE_PUT, conditional[i], 1, STORE_PRECONDITION);
        assert_int_equal(store_probe(s, PREFIX, memstore_set_unquoted, &caps), 0);
        expect_caps(&caps, &all);
        expect_clean(s);
    }
}

static void test_directory(void **state)
{
    (void)state;
    char dir[256];
    struct store *s = NULL;
    struct store_caps caps = {0};
    struct store_req list = {.op = STORE_LIST};
    struct store_rsp rsp = {0};
    dirtest_make(dir);
    assert_int_equal(store_dir_new(dir, false, NULL, &s), 0);
    assert_int_equal(store_probe(s, PREFIX, NULL, &caps), 0);
    expect_caps(&caps, &all);
    assert_int_equal(store_call(s, &list, &rsp), 0);
    assert_int_equal(rsp.list.n, 0);
    store_rsp_done(&rsp);
    store_stop(s);
    store_free(s);
    dirtest_remove(dir);
}

/* --- the line --- */

static void test_line_and_back(void **state)
{
    (void)state;
    char line[400];
    for (unsigned bits = 0; bits < 1U << sizeof(all); bits++) {
        struct store_caps c = {0}, back = all;
        for (size_t i = 0; i < sizeof(c); i++)
            ((bool *)&c)[i] = (bits >> i & 1) != 0;
        store_caps_format(&c, line, sizeof(line));
        assert_int_equal(store_caps_parse(line, &back), 0);
        assert_memory_equal(&c, &back, sizeof(c));
    }
    store_caps_format(&all, line, sizeof(line));
    assert_string_equal(
        line,
        "put-absent=yes put-match=yes complete-absent=yes complete-match=yes delete-match=yes "
        "delete-many-match=yes copy-src-match=yes part-copy-match=yes copy-dst-absent=yes copy-dst-match=yes "
        "etag-unquoted=no");
    store_caps_format(&all, line, 12);
    assert_string_equal(line, "put-absent=");
}

static void test_bad_lines(void **state)
{
    (void)state;
    static const char *const lines[] = {"", "put-absent=yes", "put-absent=maybe", "put-absent",
                                        "other=yes"};
    struct store_caps c = {0};
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        assert_int_equal(store_caps_parse(lines[i], &c), -EINVAL);
    assert_false(c.put_absent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_good_server, setup, teardown),
        cmocka_unit_test_setup_teardown(test_each_missing_condition_is_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_without_any, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unquoted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_not_writable, setup, teardown),
        cmocka_unit_test_setup_teardown(test_every_request_may_fail, setup, teardown),
        cmocka_unit_test_setup_teardown(test_lost_replies, setup, teardown),
        cmocka_unit_test(test_directory),
        cmocka_unit_test(test_line_and_back),
        cmocka_unit_test(test_bad_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
