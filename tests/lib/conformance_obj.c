/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance rows: single objects, their headers and conditions. */
#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/str.h"
#include "conformance_int.h"

static int head_bucket(struct cf *c)
{
    struct store_req req = {.op = STORE_HEAD_BUCKET};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    CHECK_IS(c, store_call(c->s, &req, &rsp), 0, "HEAD of the bucket");
    return 0;
}

static int put_get(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag e;
    _cleanup_obj_ struct store_obj o = {0};
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "a.txt"), "hello", &e), 0, "PUT");
    CHECK(c, store_etag_is_set(&e), "PUT gave no ETag");
    CHECK_IS(c, cf_get(c, k, CF_ALWAYS, 0, 0, 100, &o, NULL), 0, "GET");
    CHECK(c, store_etag_equal(&o.etag, &e), "GET's ETag %s is not PUT's %s", o.etag.s, e.s);
    CHECK(c, o.size == 5, "GET says size %llu", (unsigned long long)o.size);
    return cf_expect_text(c, k, "hello");
}

static int put_binary(struct cf *c)
{
    char k[CF_KEY];
    _cleanup_cf_body_ struct cf_body b = cf_pattern(200000, 3);
    memset(b.data, 0, 100); /* NULs too */
    CHECK_IS(c, cf_put(c, cf_key(c, k, "b"), b.data, b.size, CF_ALWAYS, NULL, NULL), 0, "PUT");
    return cf_expect_body(c, k, &b);
}

static int etag_md5(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag e, want;
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "a"), "hello", &e), 0, "PUT");
    cf_md5_etag("hello", 5, &want);
    CHECK(c, store_etag_equal(&e, &want), "the ETag %s is not the MD5 %s", e.s, want.s);
    return 0;
}

static int put_empty(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag e;
    _cleanup_obj_ struct store_obj o = {0};
    CHECK_IS(c, cf_put(c, cf_key(c, k, "empty"), "", 0, CF_ALWAYS, NULL, &e), 0, "PUT of nothing");
    CHECK_IS(c, cf_head(c, k, CF_ALWAYS, &o), 0, "HEAD");
    CHECK(c, o.size == 0 && store_etag_equal(&o.etag, &e), "HEAD says size %llu, ETag %s",
          (unsigned long long)o.size, o.etag.s);
    return cf_expect_text(c, k, "");
}

static int overwrite(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag one, two, again;
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "a"), "one", &one), 0, "PUT");
    CHECK_IS(c, cf_puts(c, k, "two and more", &two), 0, "PUT over it");
    CHECK(c, !store_etag_equal(&one, &two), "other bytes have the same ETag %s", one.s);
    if (cf_expect_text(c, k, "two and more") < 0)
        return -1;
    CHECK_IS(c, cf_puts(c, k, "one", &again), 0, "PUT of the first bytes");
    return cf_expect_text(c, k, "one");
}

static int head(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag e;
    _cleanup_obj_ struct store_obj o = {0}, g = {0};
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "a"), "hello", &e), 0, "PUT");
    CHECK_IS(c, cf_head(c, k, CF_ALWAYS, &o), 0, "HEAD");
    CHECK(c, o.size == 5 && store_etag_equal(&o.etag, &e), "HEAD says size %llu, ETag %s",
          (unsigned long long)o.size, o.etag.s);
    CHECK(c, o.mtime_ns > 0, "HEAD says no Last-Modified");
    CHECK_IS(c, cf_get(c, k, CF_ALWAYS, 0, 0, 100, &g, NULL), 0, "GET");
    CHECK(c, g.mtime_ns / NS_PER_S == o.mtime_ns / NS_PER_S,
          "HEAD and GET give different Last-Modified");
    return 0;
}

static int missing(struct cf *c)
{
    char k[CF_KEY];
    struct store_cond m = cf_match(&cf_wrong_etag);
    cf_key(c, k, "none");
    CHECK_IS(c, cf_head(c, k, CF_ALWAYS, NULL), STORE_NOT_FOUND, "HEAD");
    CHECK_IS(c, cf_get(c, k, CF_ALWAYS, 0, 0, 10, NULL, NULL), STORE_NOT_FOUND, "GET");
    CHECK_IS(c, cf_get(c, k, CF_ALWAYS, 3, 4, 10, NULL, NULL), STORE_NOT_FOUND, "ranged GET");
    CHECK_IS(c, cf_get(c, k, m, 0, 0, 10, NULL, NULL), STORE_NOT_FOUND, "GET If-Match");
    return 0;
}

/* --- ranges --- */

struct range_case {
    const char *what;
    uint64_t off, len;
    const char *want;
};

static int ranges(struct cf *c)
{
    static const struct range_case cases[] = {
        {"middle", 3, 4, "3456"},         {"first byte", 0, 1, "0"},
        {"last byte", 9, 1, "9"},         {"to the end", 6, 0, "6789"},
        {"past the end", 7, 1000, "789"}, {"all of it", 0, 10, "0123456789"},
    };
    char k[CF_KEY];
    struct store_etag e;
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "digits"), "0123456789", &e), 0, "PUT");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_cf_body_ struct cf_body b = {0};
        _cleanup_obj_ struct store_obj o = {0};
        const struct range_case *t = &cases[i];
        CHECK_IS(c, cf_get(c, k, CF_ALWAYS, t->off, t->len, 100, &o, &b), 0, t->what);
        CHECK(c, b.size == strlen(t->want) && memcmp(b.data, t->want, b.size) == 0,
              "%s: got \"%s\"", t->what, b.data);
        CHECK(c, o.size == 10, "%s: the size is the object's, not %llu", t->what,
              (unsigned long long)o.size);
        CHECK(c, store_etag_equal(&o.etag, &e), "%s: ETag %s", t->what, o.etag.s);
    }
    return 0;
}

static int range_past_end(struct cf *c)
{
    char k[CF_KEY];
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "digits"), "0123456789", NULL), 0, "PUT");
    CHECK_IS(c, cf_get(c, k, CF_ALWAYS, 10, 1, 100, NULL, NULL), STORE_RANGE, "GET from the end");
    CHECK_IS(c, cf_get(c, k, CF_ALWAYS, 11, 0, 100, NULL, NULL), STORE_RANGE,
             "GET from past the end");
    return 0;
}

static int range_empty(struct cf *c)
{
    char k[CF_KEY];
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "empty"), "", NULL), 0, "PUT");
    CHECK_IS(c, cf_get(c, k, CF_ALWAYS, 0, 10, 100, NULL, NULL), STORE_RANGE,
             "ranged GET of nothing");
    return 0;
}

static int range_if_match(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag old, now;
    _cleanup_cf_body_ struct cf_body b = {0};
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "a"), "0123456789", &old), 0, "PUT");
    CHECK_IS(c, cf_puts(c, k, "abcdefghij", &now), 0, "PUT over it");
    CHECK_IS(c, cf_get(c, k, cf_match(&old), 2, 3, 100, NULL, NULL), STORE_PRECONDITION,
             "range of the old version");
    CHECK_IS(c, cf_get(c, k, cf_match(&now), 2, 3, 100, NULL, &b), 0, "range of the new version");
    CHECK(c, b.size == 3 && memcmp(b.data, "cde", 3) == 0, "got \"%s\"", b.data);
    return 0;
}

/* --- conditions of reads --- */

static int get_conditions(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag e;
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "a"), "hello", &e), 0, "PUT");
    CHECK_IS(c, cf_get(c, k, cf_match(&e), 0, 0, 100, NULL, NULL), 0, "GET If-Match, right");
    CHECK_IS(c, cf_get(c, k, cf_match(&cf_wrong_etag), 0, 0, 100, NULL, NULL), STORE_PRECONDITION,
             "GET If-Match, wrong");
    CHECK_IS(c, cf_get(c, k, cf_changed(&e), 0, 0, 100, NULL, NULL), STORE_NOT_MODIFIED,
             "GET if changed, same");
    CHECK_IS(c, cf_get(c, k, cf_changed(&cf_wrong_etag), 0, 0, 100, NULL, NULL), 0,
             "GET if changed, other");
    return 0;
}

static int head_conditions(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag e;
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "a"), "hello", &e), 0, "PUT");
    CHECK_IS(c, cf_head(c, k, cf_match(&e), NULL), 0, "HEAD If-Match, right");
    CHECK_IS(c, cf_head(c, k, cf_match(&cf_wrong_etag), NULL), STORE_PRECONDITION,
             "HEAD If-Match, wrong");
    CHECK_IS(c, cf_head(c, k, cf_changed(&e), NULL), STORE_NOT_MODIFIED, "HEAD if changed, same");
    CHECK_IS(c, cf_head(c, k, cf_changed(&cf_wrong_etag), NULL), 0, "HEAD if changed, other");
    return 0;
}

/* --- headers --- */

static int set_all(struct store_hdrs *h, const char *const pairs[][2], size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int r = store_hdrs_set(h, pairs[i][0], pairs[i][1]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int expect_all(struct cf *c, const struct store_hdrs *h, const char *const pairs[][2],
                      size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const char *got = store_hdrs_get(h, pairs[i][0]);
        CHECK(c, got != NULL, "%s was lost", pairs[i][0]);
        CHECK(c, strcmp(got, pairs[i][1]) == 0, "%s is \"%s\", not \"%s\"", pairs[i][0], got,
              pairs[i][1]);
    }
    return 0;
}

static int keeps(struct cf *c, const char *const pairs[][2], size_t n)
{
    char k[CF_KEY];
    _cleanup_hdrs_ struct store_hdrs h = {0};
    _cleanup_obj_ struct store_obj o = {0}, g = {0};
    CHECK_IS(c, set_all(&h, pairs, n), 0, "headers");
    CHECK_IS(c, cf_put(c, cf_key(c, k, "a.jpg"), "x", 1, CF_ALWAYS, &h, NULL), 0, "PUT");
    CHECK_IS(c, cf_head(c, k, CF_ALWAYS, &o), 0, "HEAD");
    CHECK_IS(c, cf_get(c, k, CF_ALWAYS, 0, 0, 10, &g, NULL), 0, "GET");
    return expect_all(c, &o.hdrs, pairs, n) < 0 ? -1 : expect_all(c, &g.hdrs, pairs, n);
}

static int headers(struct cf *c)
{
    static const char *const pairs[][2] = {
        {"content-type", "image/jpeg"},
        {"cache-control", "public, max-age=31536000, immutable"},
        {"content-disposition", "inline; filename=\"a b.jpg\""},
        {"content-language", "de, en"},
        {"expires", "Thu, 01 Dec 2033 16:00:00 GMT"},
    };
    return keeps(c, pairs, ARRAY_LEN(pairs));
}

static int user_meta(struct cf *c)
{
    static const char *const pairs[][2] = {
        {STORE_USER_META "file-permissions", "0100644"},
        {STORE_USER_META "file-mtime", "1595002920000000000ns"},
        {STORE_USER_META "file-owner", "0"},
        {STORE_USER_META "Mixed-Case", "Value Kept, with = and %41"},
        {STORE_USER_META "x", "y"},
    };
    return keeps(c, pairs, ARRAY_LEN(pairs));
}

static int overwrite_drops_headers(struct cf *c)
{
    char k[CF_KEY];
    _cleanup_hdrs_ struct store_hdrs h = {0};
    _cleanup_obj_ struct store_obj o = {0};
    CHECK_IS(c, store_hdrs_set(&h, STORE_USER_META "old", "1"), 0, "headers");
    CHECK_IS(c, cf_put(c, cf_key(c, k, "a"), "x", 1, CF_ALWAYS, &h, NULL), 0, "PUT");
    CHECK_IS(c, cf_puts(c, k, "y", NULL), 0, "PUT over it");
    CHECK_IS(c, cf_head(c, k, CF_ALWAYS, &o), 0, "HEAD");
    CHECK(c, store_hdrs_get(&o.hdrs, STORE_USER_META "old") == NULL,
          "the old version's metadata stayed");
    return 0;
}

static int meta_too_large(struct cf *c)
{
    char k[CF_KEY], value[3001];
    _cleanup_hdrs_ struct store_hdrs h = {0};
    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    CHECK_IS(c, store_hdrs_set(&h, STORE_USER_META "big", value), 0, "headers");
    CHECK_IS(c, cf_put(c, cf_key(c, k, "a"), "x", 1, CF_ALWAYS, &h, NULL), -ENOSPC,
             "PUT with 3,000 bytes of metadata");
    return cf_expect_missing(c, k);
}

/* --- conditions of writes --- */

static int put_if_absent(struct cf *c)
{
    char k[CF_KEY];
    cf_key(c, k, "a");
    CHECK_IS(c, cf_put(c, k, "one", 3, CF_ABSENT, NULL, NULL), 0, "PUT of a new key");
    CHECK_IS(c, cf_put(c, k, "two", 3, CF_ABSENT, NULL, NULL), STORE_PRECONDITION,
             "PUT of an existing key");
    if (cf_expect_text(c, k, "one") < 0)
        return -1;
    CHECK_IS(c, cf_delete(c, k, CF_ALWAYS), 0, "DELETE");
    CHECK_IS(c, cf_put(c, k, "three", 5, CF_ABSENT, NULL, NULL), 0, "PUT of a deleted key");
    return cf_expect_text(c, k, "three");
}

static int put_if_match(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag one, two;
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "a"), "one", &one), 0, "PUT");
    CHECK_IS(c, cf_put(c, k, "two", 3, cf_match(&one), NULL, &two), 0, "PUT If-Match, right");
    CHECK_IS(c, cf_put(c, k, "three", 5, cf_match(&one), NULL, NULL), STORE_PRECONDITION,
             "PUT If-Match, stale");
    return cf_expect_text(c, k, "two");
}

static int put_if_match_missing(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag e;
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "a"), "one", &e), 0, "PUT");
    CHECK_IS(c, cf_delete(c, k, CF_ALWAYS), 0, "DELETE");
    CHECK_IS(c, cf_put(c, k, "two", 3, cf_match(&e), NULL, NULL), STORE_NOT_FOUND,
             "PUT If-Match on a missing key");
    return cf_expect_missing(c, k);
}

static int delete_plain(struct cf *c)
{
    char k[CF_KEY];
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "d/a"), "one", NULL), 0, "PUT");
    CHECK_IS(c, cf_delete(c, k, CF_ALWAYS), 0, "DELETE");
    if (cf_expect_missing(c, k) < 0)
        return -1;
    CHECK_IS(c, cf_delete(c, k, CF_ALWAYS), 0, "DELETE of a missing key");
    return 0;
}

static int delete_if_match(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag e;
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "a"), "one", &e), 0, "PUT");
    CHECK_IS(c, cf_delete(c, k, cf_match(&cf_wrong_etag)), STORE_PRECONDITION,
             "DELETE If-Match, wrong");
    if (cf_expect_text(c, k, "one") < 0)
        return -1;
    CHECK_IS(c, cf_delete(c, k, cf_match(&e)), 0, "DELETE If-Match, right");
    return cf_expect_missing(c, k);
}

static int delete_many(struct cf *c)
{
    enum { N = 200, REAL = 6 };
    static char keys[N][CF_KEY];
    const char *v[N];
    for (int i = 0; i < N; i++) {
        char name[32];
        snprintf(name, sizeof(name), "d%d/k & <%d>", i % 3, i);
        v[i] = cf_key(c, keys[i], name);
        if (i < REAL)
            CHECK_IS(c, cf_puts(c, v[i], "x", NULL), 0, "PUT");
    }
    struct store_req req = {.op = STORE_DELETE_MANY, .keys = v, .n_keys = N};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    CHECK_IS(c, store_call(c->s, &req, &rsp), 0, "DELETE of many");
    CHECK(c, rsp.key_results != NULL, "no results");
    for (int i = 0; i < N; i++)
        CHECK_IS(c, rsp.key_results[i], 0, "result of a key");
    for (int i = 0; i < REAL; i++) {
        if (cf_expect_missing(c, v[i]) < 0)
            return -1;
    }
    return 0;
}

static int delete_many_if_match(struct cf *c)
{
    enum { N = 3 };
    static char keys[N][CF_KEY];
    const char *v[N] = {cf_key(c, keys[0], "a"), cf_key(c, keys[1], "b"), cf_key(c, keys[2], "none")};
    struct store_etag etags[N];
    CHECK_IS(c, cf_puts(c, v[0], "one", &etags[0]), 0, "PUT");
    CHECK_IS(c, cf_puts(c, v[1], "two", NULL), 0, "PUT");
    etags[1] = etags[2] = cf_wrong_etag;
    struct store_req req = {.op = STORE_DELETE_MANY, .keys = v, .etags = etags, .n_keys = N};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    CHECK_IS(c, store_call(c->s, &req, &rsp), 0, "DELETE of many");
    CHECK_IS(c, rsp.key_results[0], 0, "a right ETag");
    CHECK_IS(c, rsp.key_results[1], STORE_PRECONDITION, "a wrong ETag");
    CHECK_IS(c, rsp.key_results[2], 0, "a missing key");
    if (cf_expect_missing(c, v[0]) < 0)
        return -1;
    return cf_expect_text(c, v[1], "two");
}

static int big_body(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag e;
    size_t size = c->conf->big_size == 0 ? 20000000 : (size_t)c->conf->big_size;
    _cleanup_cf_body_ struct cf_body b = cf_pattern(size, 9);
    CHECK_IS(c, cf_put(c, cf_key(c, k, "big"), b.data, b.size, CF_ABSENT, NULL, &e), 0, "PUT");
    if (cf_expect_body(c, k, &b) < 0)
        return -1;
    _cleanup_cf_body_ struct cf_body part = {0};
    CHECK_IS(c, cf_get(c, k, cf_match(&e), size - 100000, 60000, 100000, NULL, &part), 0,
             "ranged GET");
    CHECK(c, part.size == 60000 && memcmp(part.data, b.data + size - 100000, 60000) == 0,
          "the range has other bytes");
    return 0;
}

const struct cf_row cf_rows_obj[] = {
    {"head-bucket", head_bucket},
    {"put-get", put_get},
    {"put-binary", put_binary},
    {"put-empty", put_empty},
    {"etag-md5", etag_md5},
    {"overwrite", overwrite},
    {"head", head},
    {"missing", missing},
    {"ranges", ranges},
    {"range-past-end", range_past_end},
    {"range-empty", range_empty},
    {"range-if-match", range_if_match},
    {"get-conditions", get_conditions},
    {"head-conditions", head_conditions},
    {"headers", headers},
    {"user-meta", user_meta},
    {"overwrite-drops-headers", overwrite_drops_headers},
    {"meta-too-large", meta_too_large},
    {"put-if-absent", put_if_absent},
    {"put-if-match", put_if_match},
    {"put-if-match-missing", put_if_match_missing},
    {"delete", delete_plain},
    {"delete-if-match", delete_if_match},
    {"delete-many", delete_many},
    {"delete-many-if-match", delete_many_if_match},
    {"big-body", big_body},
    {NULL, NULL},
};
