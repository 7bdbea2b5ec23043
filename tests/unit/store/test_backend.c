/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, conditions, ranges, ETags, statuses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include "base/str.h"
#include "store/backend.h"

static void test_conditions(void **state)
{
    (void)state;
    struct store_etag x = store_etag_make("x");
    struct store_cond none = {0}, absent = {.kind = STORE_IF_ABSENT};
    struct store_cond match = {.kind = STORE_IF_MATCH, .etag = x},
                      other = {.kind = STORE_IF_MATCH, .etag = {.s = "y"}};
    struct store_cond changed = {.kind = STORE_IF_CHANGED, .etag = x};
    assert_int_equal(store_cond_write(&none, NULL), 0);
    assert_int_equal(store_cond_write(&none, &x), 0);
    assert_int_equal(store_cond_write(&absent, NULL), 0);
    assert_int_equal(store_cond_write(&absent, &x), STORE_PRECONDITION);
    assert_int_equal(store_cond_write(&match, NULL), STORE_NOT_FOUND);
    assert_int_equal(store_cond_write(&match, &x), 0);
    assert_int_equal(store_cond_write(&other, &x), STORE_PRECONDITION);
    assert_int_equal(store_cond_read(&match, NULL), STORE_NOT_FOUND);
    assert_int_equal(store_cond_read(&other, &x), STORE_PRECONDITION);
    assert_int_equal(store_cond_read(&changed, &x), STORE_NOT_MODIFIED);
    changed.etag = other.etag;
    assert_int_equal(store_cond_read(&changed, &x), 0);
}

static void test_ranges(void **state)
{
    (void)state;
    static const struct {
        uint64_t off, len, size;
        int r;
        uint64_t want_off, want_len;
    } rows[] = {
        {0, 0, 0, 0, 0, 0},
        {0, 0, 10, 0, 0, 10},
        {3, 0, 10, 0, 3, 7},
        {3, 4, 10, 0, 3, 4},
        {3, 99, 10, 0, 3, 7},
        {9, UINT64_MAX, 10, 0, 9, 1},
        {10, 0, 10, STORE_RANGE, 0, 0},
        {0, 1, 0, STORE_RANGE, 0, 0},
        {11, 1, 10, STORE_RANGE, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t off = 0, len = 0;
        assert_int_equal(store_range_clip(rows[i].off, rows[i].len, rows[i].size, &off, &len),
                         rows[i].r);
        assert_int_equal(off, rows[i].want_off);
        assert_int_equal(len, rows[i].want_len);
    }
}

static void test_headers(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        int r;
    } rows[] = {
        {"content-type", "image/jpeg", 0},
        {STORE_USER_META "a", "\xc3\xa9\tx", 0},
        {STORE_USER_META "a", "", 0},
        {STORE_USER_META "a", "x\r\ny", -EINVAL},
        {"a b", "x", -EINVAL},
        {"a:b", "x", -EINVAL},
        {"", "x", -EINVAL},
        {"a", "\x7f", -EINVAL},
    };
    assert_int_equal(store_hdrs_check(NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store_hdrs h = {0};
        assert_int_equal(store_hdrs_set(&h, rows[i].name, rows[i].value), 0);
        assert_int_equal(store_hdrs_check(&h), rows[i].r);
        store_hdrs_done(&h);
    }
    char value[STORE_USER_META_MAX + 2];
    for (size_t len = STORE_USER_META_MAX - 1; len <= STORE_USER_META_MAX; len++) {
        struct store_hdrs h = {0};
        memset(value, 'v', len);
        value[len] = '\0';
        assert_int_equal(store_hdrs_set(&h, STORE_USER_META "n", value),
                         0); /* and one byte of name */
        assert_int_equal(store_hdrs_check(&h), len < STORE_USER_META_MAX ? 0 : -ENOSPC);
        store_hdrs_done(&h);
    }
}

static void test_part_etags(void **state)
{
    (void)state;
    /* The MD5s of "a" and of "b"; the wanted one comes from another program. */
    struct store_part parts[] = {{.number = 1, .etag = {.s = "0cc175b9c0f1b6a831c399e269772661"}},
                                 {.number = 2, .etag = {.s = "92eb5ffee6ae2fec3ad71c777531578f"}}};
    struct store_etag e;
    assert_int_equal(store_etag_parts(parts, 2, &e), 0);
    assert_string_equal(e.s, "96e024ba2074fe77e8e965ba43a704be-2");
}

static void test_parts_check(void **state)
{
    (void)state;
    struct store_part parts[] = {{.number = 1}, {.number = 7}, {.number = 7}, {.number = 10001}};
    struct store_etag e;
    assert_int_equal(store_parts_check(parts, 0), -EINVAL);
    assert_int_equal(store_parts_check(parts, 2), 0);
    assert_int_equal(store_parts_check(parts, 3), -EINVAL);
    assert_int_equal(store_parts_check(parts + 3, 1), -EINVAL);
    parts[0].number = 0;
    assert_int_equal(store_parts_check(parts, 2), -EINVAL);
    parts[0].etag = store_etag_make("no md5");
    assert_int_equal(store_etag_parts(parts, 1, &e), -EINVAL);
}

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        struct store_req req;
        int result, status;
    } rows[] = {
        {{.op = STORE_PUT}, 0, 200},
        {{.op = STORE_DELETE}, 0, 204},
        {{.op = STORE_MPU_ABORT}, 0, 204},
        {{.op = STORE_GET}, 0, 200},
        {{.op = STORE_GET, .range = {1, 0}}, 0, 206},
        {{.op = STORE_GET}, STORE_NOT_MODIFIED, 304},
        {{.op = STORE_GET}, STORE_RANGE, 416},
        {{.op = STORE_HEAD}, STORE_NOT_FOUND, 404},
        {{.op = STORE_PUT}, STORE_CONFLICT, 409},
        {{.op = STORE_PUT}, STORE_PRECONDITION, 412},
        {{.op = STORE_MPU_PART}, STORE_NO_UPLOAD, 404},
        {{.op = STORE_PUT}, -EACCES, 403},
        {{.op = STORE_PUT}, -ENAMETOOLONG, 400},
        {{.op = STORE_PUT}, -ENOSPC, 507},
        {{.op = STORE_PUT}, -EIO, 500},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(store_http_status(&rows[i].req, rows[i].result), rows[i].status);
    bool seen[METER_KINDS] = {false};
    for (int op = 0; op < STORE_OPS; op++) {
        enum meter_kind k = store_op_kind((enum store_op)op);
        assert_true(!seen[k] || op == STORE_GET_TAGS); /* which is billed as a GET */
        seen[k] = true;
    }
}

/* --- pages --- */

/* Feeds the keys to a page; the entries, one a word, prefixes with '*', then the token. */
static const char *page(const struct store_req *req, const char *const *keys, size_t n)
{
    static char out[400];
    struct store_list l = {0};
    struct store_page p;
    assert_int_equal(store_page_init(&p, req, STORE_PAGE_MAX, &l), 0);
    for (size_t i = 0; i < n && !p.full; i++) {
        struct store_entry *e = NULL;
        if (store_page_wants(&p, keys[i]))
            assert_int_equal(store_page_add(&p, keys[i], &e), 0);
    }
    out[0] = '\0';
    for (size_t i = 0; i < l.n; i++) {
        strcat(out, l.v[i].is_prefix ? "*" : "");
        strcat(out, l.v[i].key);
        strcat(out, " ");
    }
    strcat(out, l.next == NULL ? "." : l.next);
    store_list_done(&l);
    return out;
}

static void test_pages(void **state)
{
    (void)state;
    static const char *const keys[] = {"a", "b/1", "b/2", "b/c/3", "d", "e/", "e/4"};
    static const struct {
        struct store_req req;
        const char *want;
    } rows[] = {
        {{.max_keys = 0}, "a b/1 b/2 b/c/3 d e/ e/4 ."},
        {{.max_keys = 2}, "a b/1 kb/1"},
        {{.max_keys = 2, .token = "kb/1"}, "b/2 b/c/3 kb/c/3"},
        {{.max_keys = 7}, "a b/1 b/2 b/c/3 d e/ e/4 ."},
        {{.delimited = true}, "a *b/ d *e/ ."},
        {{.delimited = true, .max_keys = 2}, "a *b/ pb/"},
        {{.delimited = true, .max_keys = 2, .token = "pb/"}, "d *e/ ."},
        {{.delimited = true, .max_keys = 4}, "a *b/ d *e/ ."},
        {{.delimited = true, .prefix = "b/"}, "b/1 b/2 *b/c/ ."},
        {{.delimited = true, .prefix = "e/"}, "e/ e/4 ."},
        {{.delimited = true, .prefix = "b"}, "*b/ ."},
        {{.start_after = "b/1"}, "b/2 b/c/3 d e/ e/4 ."},
        {{.start_after = "b/1", .delimited = true}, "*b/ d *e/ ."},
        {{.start_after = "b/c/3", .delimited = true}, "d *e/ ."},
        {{.start_after = ""}, "a b/1 b/2 b/c/3 d e/ e/4 ."},
        {{.start_after = "zz"}, "."},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(page(&rows[i].req, keys, ARRAY_LEN(keys)), rows[i].want);
}

static void test_page_skips_what_cannot_match(void **state)
{
    (void)state;
    static const struct {
        struct store_req req;
        const char *dir;
        bool wants;
        size_t folds;
    } rows[] = {
        {{.prefix = "a/b"}, "", true, 0},
        {{.prefix = "a/b"}, "a/", true, 0},
        {{.prefix = "a/b"}, "a/bc/", true, 0},
        {{.prefix = "a/b"}, "a/c/", false, 0},
        {{.prefix = "a/b", .delimited = true}, "a/bc/d/", true, 5},
        {{.prefix = "a/", .delimited = true}, "a/", true, 0},
        {{.start_after = "c"}, "b/", false, 0},
        {{.start_after = "b/5"}, "b/", true, 0},
        {{.start_after = "b/"}, "b/", true, 0},
        {{.start_after = "b0"}, "b/", false, 0},
        {{.token = "pb/", .delimited = true}, "b/", false, 2},
        {{.token = "pb/", .delimited = true}, "b/c/", false, 2},
        {{.token = "kb/c", .delimited = true}, "b/c/", true, 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct store_list l = {0};
        struct store_page p;
        assert_int_equal(store_page_init(&p, &rows[i].req, STORE_PAGE_MAX, &l), 0);
        assert_int_equal(store_page_wants_below(&p, rows[i].dir), rows[i].wants);
        assert_int_equal(store_page_folds(&p, rows[i].dir), rows[i].folds);
    }
}

static void test_bad_tokens(void **state)
{
    (void)state;
    static const char *const tokens[] = {"", "x", "k", "p", "zkey"};
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        struct store_req req = {.token = tokens[i]};
        struct store_list l = {0};
        struct store_page p;
        assert_int_equal(store_page_init(&p, &req, 10, &l), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conditions),  cmocka_unit_test(test_ranges),
        cmocka_unit_test(test_headers),     cmocka_unit_test(test_part_etags),
        cmocka_unit_test(test_parts_check), cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_pages),       cmocka_unit_test(test_page_skips_what_cannot_match),
        cmocka_unit_test(test_bad_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
