/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance rows: keys that are no ordinary file names. Each key is put, read, found in the
 * listing under exactly its bytes, copied from, and deleted. */
#include <errno.h>
#include <string.h>
#include "conformance_int.h"

/* Adds to found[i] how often this page shows the i-th name; *total counts its entries. */
static void count_page(struct cf *c, const struct store_list *l, const char *const *names, size_t n,
                       size_t *found, size_t *total)
{
    for (size_t i = 0; i < n; i++) {
        char k[CF_KEY];
        cf_key(c, k, names[i]);
        for (size_t j = 0; j < l->n; j++)
            found[i] += strcmp(l->v[j].key, k) == 0 ? 1 : 0;
    }
    *total += l->n;
}

static int expect_listed(struct cf *c, const char *const *names, size_t n)
{
    _cleanup_free_ char *token = NULL;
    size_t found[32] = {0}, total = 0, pages = 0;
    CHECK(c, n <= ARRAY_LEN(found), "a row with too many names");
    do {
        _cleanup_rsp_ struct store_rsp rsp = {0};
        CHECK_IS(c, cf_list(c, c->prefix, NULL, false, 0, token, &rsp), 0, "LIST");
        count_page(c, &rsp.list, names, n, found, &total);
        CHECK(c, ++pages <= n + 2, "the listing does not end");
        free(token);
        token = steal(&rsp.list.next);
    } while (token != NULL);
    for (size_t i = 0; i < n; i++)
        CHECK(c, found[i] == 1, "LIST shows \"%s\" %zu times", names[i], found[i]);
    CHECK(c, total == n, "LIST shows %zu keys, not %zu", total, n);
    return 0;
}

/* Names below the row's prefix, all there together, each with a body of its own. */
static int keys_live(struct cf *c, const char *const *names, size_t n)
{
    char k[CF_KEY], text[64];
    for (size_t i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "body %zu", i);
        CHECK_IS(c, cf_puts(c, cf_key(c, k, names[i]), text, NULL), 0, "PUT");
    }
    for (size_t i = 0; i < n; i++) {
        snprintf(text, sizeof(text), "body %zu", i);
        if (cf_expect_text(c, cf_key(c, k, names[i]), text) < 0)
            return -1;
    }
    if (expect_listed(c, names, n) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        CHECK_IS(c, cf_delete(c, cf_key(c, k, names[i]), CF_ALWAYS), 0, "DELETE");
        if (cf_expect_missing(c, k) < 0)
            return -1;
    }
    return expect_listed(c, NULL, 0);
}

#define KEY_ROW(function, ...)                                                                     \
    static int function(struct cf *c)                                                              \
    {                                                                                              \
        static const char *const names[] = {__VA_ARGS__};                                          \
        return keys_live(c, names, ARRAY_LEN(names));                                              \
    }

KEY_ROW(key_signs, "a b", "100%", "%41", "%2F", "a&b=c", "a?b", "a#b", "a+b", "a;b", "a'b\"c",
        "a\\b", "a:b|c*d", "~x", "<tag>", "a,b@c$d!(e)[f]{g}^`", " lead", "trail ", "-dash", "x.")
/* The same letter composed and decomposed: two keys. */
KEY_ROW(key_unicode, "\xc3\xa9.jpg", "e\xcc\x81.jpg", "\xf0\x9f\x90\x88/\xf0\x9f\x90\x95.png",
        "\xe6\x97\xa5\xe6\x9c\xac")
KEY_ROW(key_newline, "a\nb", "a\tb", "a\rb")
KEY_ROW(key_control, "a\001b", "a\033[31mb", "a\177b")
KEY_ROW(key_file_and_dir, "a", "a/b", "a/b/c", "a/b/c/d", "z/y/x", "z/y", "z")
KEY_ROW(key_dir_object, "dir/", "dir/sub/", "dir/sub/file", "other/")
KEY_ROW(key_slashes, "a//b", "/lead", "a///", "//")
KEY_ROW(key_dots, ".", "..", "a/.", "a/..", "./a", "../a", "a/./b", "a/../b", "...", ".hidden",
        "a/.hidden/b")
KEY_ROW(key_case, "Readme", "README", "readme")
/* What a back end on a file system might keep for itself. */
KEY_ROW(key_reserved, ".s3efs-dir", ".s3efs-dir/tmp/x", "a/.s3efs-dir", "a/.s3efs-dir/b",
        ".s3efs/x", ".sgwtmp/x", "a/xl.meta", "%2e", "a%2Fb", "odd+/x", "x+")

static int key_longest(struct cf *c)
{
    char k[CF_KEY], more[CF_KEY];
    size_t used = strlen(c->prefix);
    cf_key(c, k, "");
    /* Components of 100 bytes up to the limit of a key. */
    for (size_t i = used; i < 1024; i++)
        k[i] = (i - used) % 101 == 100 && i < 1023 ? '/' : 'k';
    k[1024] = '\0';
    CHECK_IS(c, cf_puts(c, k, "long", NULL), 0, "PUT of a key of 1,024 bytes");
    if (cf_expect_text(c, k, "long") < 0 || expect_listed(c, &(const char *){k + used}, 1) < 0)
        return -1;
    memcpy(more, k, 1024);
    memcpy(more + 1024, "k", 2);
    CHECK_IS(c, cf_puts(c, more, "longer", NULL), -ENAMETOOLONG, "PUT of a key of 1,025 bytes");
    CHECK_IS(c, cf_delete(c, k, CF_ALWAYS), 0, "DELETE");
    return cf_expect_missing(c, k);
}

static int key_long_component(struct cf *c)
{
    char one[257], two[701], three[261];
    memset(one, 'a', sizeof(one) - 1);
    one[sizeof(one) - 1] = '\0';
    memset(two, 'b', sizeof(two) - 1);
    two[sizeof(two) - 1] = '\0';
    memset(three, 'a', sizeof(three) - 1);
    memcpy(three + sizeof(three) - 3, "/c", 3); /* below the first one's name plus a bit */
    const char *const names[] = {one, two, three};
    return keys_live(c, names, ARRAY_LEN(names));
}

const struct cf_row cf_rows_key[] = {
    {"key-signs", key_signs},
    {"key-unicode", key_unicode},
    {"key-newline", key_newline},
    {"key-control", key_control},
    {"key-file-and-dir", key_file_and_dir},
    {"key-dir-object", key_dir_object},
    {"key-slashes", key_slashes},
    {"key-dots", key_dots},
    {"key-case", key_case},
    {"key-reserved", key_reserved},
    {"key-longest", key_longest},
    {"key-long-component", key_long_component},
    {NULL, NULL},
};
