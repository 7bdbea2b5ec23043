/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance rows: copies and their conditions. */
#include <string.h>
#include "conformance_int.h"

static int copy(struct cf *c, const char *from, const char *to, struct store_cond src_cond,
                struct store_cond cond, const struct store_hdrs *replace,
                struct store_etag *ret_etag)
{
    struct store_req req = {.op = STORE_COPY,
                            .key = to,
                            .cond = cond,
                            .src_key = from,
                            .src_cond = src_cond,
                            .hdrs = replace,
                            .replace = replace != NULL};
    struct store_rsp rsp = {0};
    int r = store_call(c->s, &req, &rsp);
    if (r == 0 && ret_etag != NULL)
        *ret_etag = rsp.obj.etag;
    store_rsp_done(&rsp);
    return r;
}

static int source(struct cf *c, const char *key, struct store_etag *ret)
{
    _cleanup_hdrs_ struct store_hdrs h = {0};
    CHECK_IS(c, store_hdrs_set(&h, "content-type", "image/png"), 0, "headers");
    CHECK_IS(c, store_hdrs_set(&h, STORE_USER_META "who", "source"), 0, "headers");
    CHECK_IS(c, cf_put(c, key, "copied", 6, CF_ALWAYS, &h, ret), 0, "PUT of the source");
    return 0;
}

static int expect_hdr(struct cf *c, const char *key, const char *name, const char *want)
{
    _cleanup_obj_ struct store_obj o = {0};
    CHECK_IS(c, cf_head(c, key, CF_ALWAYS, &o), 0, "HEAD");
    const char *got = store_hdrs_get(&o.hdrs, name);
    if (want == NULL)
        CHECK(c, got == NULL, "%s is there: \"%s\"", name, got);
    else
        CHECK(c, got != NULL && strcmp(got, want) == 0, "%s is \"%s\", not \"%s\"", name,
              got == NULL ? "" : got, want);
    return 0;
}

static int copy_keep(struct cf *c)
{
    char from[CF_KEY], to[CF_KEY];
    struct store_etag e, copied;
    if (source(c, cf_key(c, from, "from"), &e) < 0)
        return -1;
    CHECK_IS(c, copy(c, from, cf_key(c, to, "d/to"), CF_ALWAYS, CF_ALWAYS, NULL, &copied), 0,
             "COPY");
    CHECK(c, store_etag_equal(&e, &copied), "the copy's ETag %s is not the source's %s", copied.s,
          e.s);
    if (cf_expect_text(c, to, "copied") < 0 || cf_expect_text(c, from, "copied") < 0)
        return -1;
    if (expect_hdr(c, to, "content-type", "image/png") < 0)
        return -1;
    return expect_hdr(c, to, STORE_USER_META "who", "source");
}

static int copy_replace(struct cf *c)
{
    char from[CF_KEY], to[CF_KEY];
    struct store_etag e;
    _cleanup_hdrs_ struct store_hdrs h = {0};
    if (source(c, cf_key(c, from, "from"), &e) < 0)
        return -1;
    CHECK_IS(c, store_hdrs_set(&h, "content-type", "text/plain"), 0, "headers");
    CHECK_IS(c, store_hdrs_set(&h, STORE_USER_META "new", "1"), 0, "headers");
    CHECK_IS(c, copy(c, from, cf_key(c, to, "to"), CF_ALWAYS, CF_ALWAYS, &h, NULL), 0, "COPY");
    if (cf_expect_text(c, to, "copied") < 0 ||
        expect_hdr(c, to, "content-type", "text/plain") < 0 ||
        expect_hdr(c, to, STORE_USER_META "new", "1") < 0)
        return -1;
    return expect_hdr(c, to, STORE_USER_META "who", NULL);
}

/* How a file's attributes are changed: the bytes and the ETag stay. */
static int copy_self(struct cf *c)
{
    char k[CF_KEY];
    struct store_etag e, copied;
    _cleanup_hdrs_ struct store_hdrs h = {0};
    if (source(c, cf_key(c, k, "self"), &e) < 0)
        return -1;
    CHECK_IS(c, store_hdrs_set(&h, "content-type", "image/png"), 0, "headers");
    CHECK_IS(c, store_hdrs_set(&h, STORE_USER_META "mode", "0100600"), 0, "headers");
    CHECK_IS(c, copy(c, k, k, CF_ALWAYS, CF_ALWAYS, &h, &copied), 0, "COPY onto itself");
    CHECK(c, store_etag_equal(&e, &copied), "the ETag became %s, from %s", copied.s, e.s);
    if (cf_expect_text(c, k, "copied") < 0 ||
        expect_hdr(c, k, STORE_USER_META "mode", "0100600") < 0)
        return -1;
    return expect_hdr(c, k, STORE_USER_META "who", NULL);
}

static int copy_missing(struct cf *c)
{
    char from[CF_KEY], to[CF_KEY];
    CHECK_IS(
        c, copy(c, cf_key(c, from, "none"), cf_key(c, to, "to"), CF_ALWAYS, CF_ALWAYS, NULL, NULL),
        STORE_NOT_FOUND, "COPY of a missing key");
    return cf_expect_missing(c, to);
}

static int copy_over(struct cf *c)
{
    char from[CF_KEY], to[CF_KEY];
    struct store_etag e;
    CHECK_IS(c, cf_puts(c, cf_key(c, to, "to"), "there before", NULL), 0, "PUT");
    if (source(c, cf_key(c, from, "from"), &e) < 0)
        return -1;
    CHECK_IS(c, copy(c, from, to, CF_ALWAYS, CF_ALWAYS, NULL, NULL), 0, "COPY");
    return cf_expect_text(c, to, "copied");
}

static int copy_odd_key(struct cf *c)
{
    static const char *const names[] = {"a b+c%41&d", "\xc3\xa9?#", "e\xcc\x81"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char from[CF_KEY], to[CF_KEY];
        struct store_etag e;
        if (source(c, cf_key(c, from, names[i]), &e) < 0)
            return -1;
        CHECK_IS(c, copy(c, from, cf_key(c, to, "to"), CF_ALWAYS, CF_ALWAYS, NULL, NULL), 0,
                 "COPY");
        if (cf_expect_text(c, to, "copied") < 0)
            return -1;
    }
    return 0;
}

static int copy_src_if_match(struct cf *c)
{
    char from[CF_KEY], to[CF_KEY];
    struct store_etag e;
    cf_key(c, to, "to");
    if (source(c, cf_key(c, from, "from"), &e) < 0)
        return -1;
    CHECK_IS(c, copy(c, from, to, cf_match(&cf_wrong_etag), CF_ALWAYS, NULL, NULL),
             STORE_PRECONDITION, "COPY of another version");
    if (cf_expect_missing(c, to) < 0)
        return -1;
    CHECK_IS(c, copy(c, from, to, cf_match(&e), CF_ALWAYS, NULL, NULL), 0, "COPY of this version");
    return cf_expect_text(c, to, "copied");
}

static int copy_dst_if_absent(struct cf *c)
{
    char from[CF_KEY], to[CF_KEY];
    struct store_etag e;
    if (source(c, cf_key(c, from, "from"), &e) < 0)
        return -1;
    CHECK_IS(c, cf_puts(c, cf_key(c, to, "to"), "there before", NULL), 0, "PUT");
    CHECK_IS(c, copy(c, from, to, CF_ALWAYS, CF_ABSENT, NULL, NULL), STORE_PRECONDITION,
             "COPY to an existing key");
    if (cf_expect_text(c, to, "there before") < 0)
        return -1;
    CHECK_IS(c, copy(c, from, cf_key(c, to, "new"), CF_ALWAYS, CF_ABSENT, NULL, NULL), 0,
             "COPY to a new key");
    return cf_expect_text(c, to, "copied");
}

static int copy_dst_if_match(struct cf *c)
{
    char from[CF_KEY], to[CF_KEY];
    struct store_etag e, dst;
    if (source(c, cf_key(c, from, "from"), &e) < 0)
        return -1;
    CHECK_IS(c, cf_puts(c, cf_key(c, to, "to"), "there before", &dst), 0, "PUT");
    CHECK_IS(c, copy(c, from, to, CF_ALWAYS, cf_match(&cf_wrong_etag), NULL, NULL),
             STORE_PRECONDITION, "COPY over another version");
    if (cf_expect_text(c, to, "there before") < 0)
        return -1;
    CHECK_IS(c, copy(c, from, to, CF_ALWAYS, cf_match(&dst), NULL, NULL), 0,
             "COPY over this version");
    return cf_expect_text(c, to, "copied");
}

const struct cf_row cf_rows_copy[] = {
    {"copy-keep", copy_keep},
    {"copy-replace", copy_replace},
    {"copy-self", copy_self},
    {"copy-missing", copy_missing},
    {"copy-over", copy_over},
    {"copy-odd-key", copy_odd_key},
    {"copy-src-if-match", copy_src_if_match},
    {"copy-dst-if-absent", copy_dst_if_absent},
    {"copy-dst-if-match", copy_dst_if_match},
    {NULL, NULL},
};
