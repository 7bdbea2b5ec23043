/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance rows: listings. */
#include <string.h>
#include "base/clock.h"
#include "conformance_int.h"

static int put_names(struct cf *c, const char *const *names, size_t n)
{
    char k[CF_KEY];
    for (size_t i = 0; i < n; i++)
        CHECK_IS(c, cf_puts(c, cf_key(c, k, names[i]), "x", NULL), 0, "PUT");
    return 0;
}

/* One listing, all pages of at most max_keys, is exactly these names (a common prefix ends in '/'
 * and is written with a '*' before it). */
static int expect_list(struct cf *c, const char *prefix, const char *start_after, bool delimited,
                       uint32_t max_keys, const char *const *want, size_t n)
{
    char full_prefix[CF_KEY], full_after[CF_KEY], k[CF_KEY];
    _cleanup_free_ char *token = NULL;
    size_t i = 0, pages = 0;
    cf_key(c, full_prefix, prefix);
    if (start_after != NULL)
        cf_key(c, full_after, start_after);
    do {
        _cleanup_rsp_ struct store_rsp rsp = {0};
        CHECK_IS(c,
                 cf_list(c, full_prefix, start_after == NULL ? NULL : full_after, delimited,
                         max_keys, token, &rsp),
                 0, "LIST");
        CHECK(c, max_keys == 0 || rsp.list.n <= max_keys, "a page of %zu entries, asked for %u",
              rsp.list.n, max_keys);
        for (size_t j = 0; j < rsp.list.n; j++, i++) {
            const struct store_entry *e = &rsp.list.v[j];
            CHECK(c, i < n, "one too many: %s", e->key + strlen(c->prefix));
            bool is_prefix = want[i][0] == '*';
            cf_key(c, k, is_prefix ? want[i] + 1 : want[i]);
            CHECK(c, strcmp(e->key, k) == 0 && e->is_prefix == is_prefix,
                  "entry %zu is %s%s, not %s", i, e->is_prefix ? "*" : "", e->key, want[i]);
        }
        CHECK(c, ++pages <= n + 2, "the listing does not end");
        free(token);
        token = steal(&rsp.list.next);
    } while (token != NULL);
    CHECK(c, i == n, "the listing ends after %zu of %zu", i, n);
    return 0;
}

static int list_order(struct cf *c)
{
    static const char *const names[] = {"a",   "a/b",   "a-b", "a.b", "A", "B/x",
                                        "a0",  "aa",    "a/c", "Z",   "_", "\xc3\xa9",
                                        "a b", "a/b/c", "b/y", "z"};
    static const char *const want[] = {"A",   "B/x",   "Z",   "_",  "a",  "a b", "a-b", "a.b",
                                       "a/b", "a/b/c", "a/c", "a0", "aa", "b/y", "z",   "\xc3\xa9"};
    if (put_names(c, names, ARRAY_LEN(names)) < 0)
        return -1;
    return expect_list(c, "", NULL, false, 0, want, ARRAY_LEN(want));
}

static int list_fields(struct cf *c)
{
    char k[CF_KEY];
    _cleanup_obj_ struct store_obj o = {0};
    _cleanup_rsp_ struct store_rsp rsp = {0};
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "a.txt"), "twelve bytes", NULL), 0, "PUT");
    CHECK_IS(c, cf_head(c, k, CF_ALWAYS, &o), 0, "HEAD");
    CHECK_IS(c, cf_list(c, c->prefix, NULL, true, 0, NULL, &rsp), 0, "LIST");
    CHECK(c, rsp.list.n == 1 && rsp.list.next == NULL, "%zu entries", rsp.list.n);
    const struct store_entry *e = &rsp.list.v[0];
    CHECK(c, e->size == 12, "LIST says size %llu", (unsigned long long)e->size);
    CHECK(c, store_etag_equal(&e->etag, &o.etag), "LIST says ETag %s, HEAD %s", e->etag.s,
          o.etag.s);
    CHECK(c, e->mtime_ns / NS_PER_S == o.mtime_ns / NS_PER_S,
          "LIST and HEAD give different Last-Modified");
    return 0;
}

static int put_numbers(struct cf *c, int n)
{
    for (int i = 0; i < n; i++) {
        char k[CF_KEY], name[32];
        snprintf(name, sizeof(name), "k%03d", i);
        CHECK_IS(c, cf_puts(c, cf_key(c, k, name), "x", NULL), 0, "PUT");
    }
    return 0;
}

static int list_paging(struct cf *c)
{
    enum { N = 25 };
    static char names[N][16];
    static const uint32_t sizes[] = {1, 7, 24, 25, 26};
    const char *want[N];
    for (int i = 0; i < N; i++) {
        snprintf(names[i], sizeof(names[i]), "k%03d", i);
        want[i] = names[i];
    }
    if (put_numbers(c, N) < 0)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        if (expect_list(c, "", NULL, false, sizes[i], want, N) < 0)
            return -1;
    }
    return 0;
}

static int list_prefix(struct cf *c)
{
    static const char *const names[] = {"ab", "abc", "ab/d", "ac", "b", "abd/e"};
    static const char *const want[] = {"ab", "ab/d", "abc", "abd/e"};
    if (put_names(c, names, ARRAY_LEN(names)) < 0 ||
        expect_list(c, "ab", NULL, false, 0, want, ARRAY_LEN(want)) < 0)
        return -1;
    if (expect_list(c, "ab/", NULL, false, 0, want + 1, 1) < 0)
        return -1;
    return expect_list(c, "none/", NULL, true, 0, NULL, 0);
}

static int list_start_after(struct cf *c)
{
    static const char *const names[] = {"a", "b", "b/x", "c", "d"};
    static const char *const after_b[] = {"b/x", "c", "d"};
    if (put_names(c, names, ARRAY_LEN(names)) < 0)
        return -1;
    if (expect_list(c, "", "b", false, 0, after_b, 3) < 0 ||
        expect_list(c, "", "b", false, 1, after_b, 3) < 0)
        return -1;
    /* Needs not be a key. */
    if (expect_list(c, "", "b/w", false, 0, after_b, 3) < 0)
        return -1;
    return expect_list(c, "", "zz", false, 0, NULL, 0);
}

static int list_delimiter(struct cf *c)
{
    static const char *const names[] = {"a",     "d/1", "d/2", "d/e/3", "f",
                                        "g/h/4", "d-5", "i/",  "i/6"};
    static const char *const top[] = {"a", "d-5", "*d/", "f", "*g/", "*i/"};
    static const char *const in_d[] = {"d/1", "d/2", "*d/e/"};
    static const char *const in_i[] = {"i/", "i/6"};
    static const char *const part[] = {"d-5", "*d/"};
    if (put_names(c, names, ARRAY_LEN(names)) < 0 ||
        expect_list(c, "", NULL, true, 0, top, ARRAY_LEN(top)) < 0)
        return -1;
    if (expect_list(c, "d/", NULL, true, 0, in_d, 3) < 0 ||
        expect_list(c, "i/", NULL, true, 0, in_i, 2) < 0)
        return -1;
    return expect_list(c, "d", NULL, true, 0, part, 2);
}

static int list_delimiter_paging(struct cf *c)
{
    static const char *const names[] = {"a/1",   "a/2", "a/3", "b",    "c/1",
                                        "c/2/3", "c/4", "d",   "e/f/g"};
    static const char *const top[] = {"*a/", "b", "*c/", "d", "*e/"};
    if (put_names(c, names, ARRAY_LEN(names)) < 0)
        return -1;
    for (uint32_t max = 1; max <= 6; max++) {
        if (expect_list(c, "", NULL, true, max, top, ARRAY_LEN(top)) < 0)
            return -1;
    }
    return 0;
}

static int list_consistent(struct cf *c)
{
    static const char *const want[] = {"d/k"};
    char k[CF_KEY];
    cf_key(c, k, "d/k");
    for (int i = 0; i < 10; i++) {
        CHECK_IS(c, cf_puts(c, k, "x", NULL), 0, "PUT");
        if (expect_list(c, "", NULL, false, 0, want, 1) < 0)
            return -1;
        CHECK_IS(c, cf_delete(c, k, CF_ALWAYS), 0, "DELETE");
        if (expect_list(c, "", NULL, true, 0, NULL, 0) < 0)
            return -1;
    }
    return 0;
}

const struct cf_row cf_rows_list[] = {
    {"list-order", list_order},
    {"list-fields", list_fields},
    {"list-paging", list_paging},
    {"list-prefix", list_prefix},
    {"list-start-after", list_start_after},
    {"list-delimiter", list_delimiter},
    {"list-delimiter-paging", list_delimiter_paging},
    {"list-consistent", list_consistent},
    {NULL, NULL},
};
