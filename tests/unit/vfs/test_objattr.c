/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "fs/vfs/mime.h"
#include "fs/vfs/objattr.h"
#include "fs/vfs/validate.h"

static const struct objattr_defaults defaults = {1000, 1001, 0640, 0750};

static struct objattr decode(const char *key, bool is_dir, const char *const (*meta)[2])
{
    struct store_obj obj = {.size = 42, .mtime_ns = 7 * NS_PER_S};
    struct objattr a;

    for (; meta != NULL && (*meta)[0] != NULL; meta++) {
        char name[64] = STORE_USER_META;

        strcat(name, (*meta)[0]);
        assert_int_equal(store_hdrs_set(&obj.hdrs, name, (*meta)[1]), 0);
    }
    objattr_decode(&defaults, key, is_dir, &obj, &a);
    store_obj_done(&obj);
    return a;
}

#define META(...) ((const char *const[][2]){__VA_ARGS__, {NULL, NULL}})

static void nothing_stored(void **state)
{
    struct objattr a = decode("a.jpg", false, NULL), b = decode("b.jpg", false, NULL);

    (void)state;
    assert_int_equal(a.mode, S_IFREG | 0640);
    assert_int_equal(a.uid, 1000);
    assert_int_equal(a.gid, 1001);
    assert_int_equal(a.size, 42);
    assert_true(a.mtime_ns == 7 * NS_PER_S && a.ctime_ns == a.mtime_ns && a.atime_ns == a.mtime_ns);
    assert_string_not_equal(a.id, b.id);
    assert_true(objattr_ino(&a) > 1);
    a = decode("d/", true, NULL);
    assert_int_equal(a.mode, S_IFDIR | 0750);
}

static void datasync(void **state)
{
    struct objattr a =
        decode("a", false,
               META({"file-permissions", "0100600"}, {"file-owner", "5"}, {"file-group", "6"},
                    {"file-mtime", "1595002920123456789ns"}, {"file-atime", "1595002920000"}));

    (void)state;
    assert_int_equal(a.mode, S_IFREG | 0600);
    assert_int_equal(a.uid, 5);
    assert_int_equal(a.gid, 6);
    assert_true(a.mtime_ns == INT64_C(1595002920123456789));
    assert_true(a.atime_ns == INT64_C(1595002920) * NS_PER_S); /* no suffix: milliseconds */
    a = decode("l", false, META({"file-permissions", "0120777"}));
    assert_true(S_ISLNK(a.mode));
    a = decode("a", false, META({"file-permissions", "0644"})); /* type bits may be absent */
    assert_int_equal(a.mode, S_IFREG | 0644);
    a = decode("a", false, META({"file-permissions", "040755"})); /* a file can't be a directory */
    assert_int_equal(a.mode, S_IFREG | 0755);
    a = decode("d/", true, META({"file-permissions", "0100700"}));
    assert_int_equal(a.mode, S_IFDIR | 0700);
}

static void others(void **state)
{
    /* s3fs: decimal; rclone: octal with a leading 0, times with a fraction */
    struct objattr a = decode(
        "a", false, META({"mode", "33184"}, {"uid", "7"}, {"gid", "8"}, {"mtime", "1672531199"}));

    (void)state;
    assert_int_equal(a.mode, S_IFREG | 0640);
    assert_int_equal(a.uid, 7);
    assert_int_equal(a.gid, 8);
    assert_true(a.mtime_ns == INT64_C(1672531199) * NS_PER_S);
    a = decode("a", false, META({"mode", "0100664"}, {"mtime", "1672531199.123456789"}));
    assert_int_equal(a.mode, S_IFREG | 0664);
    assert_true(a.mtime_ns == INT64_C(1672531199123456789));
    a = decode("a", false, META({"mode", "41471"})); /* S_IFLNK | 0777 */
    assert_true(S_ISLNK(a.mode));
    a = decode("a", false, META({"--symlink-target", "x"}));
    assert_true(S_ISLNK(a.mode));
}

static void nonsense(void **state)
{
    struct objattr a =
        decode("a", false,
               META({"file-permissions", "rwx"}, {"file-owner", "-1"}, {"file-group", "4294967295"},
                    {"file-mtime", "soon"}, {"mode", "99999999999"}, {"s3efs-id", "zz"}));

    (void)state;
    assert_int_equal(a.mode, S_IFREG | 0640);
    assert_int_equal(a.uid, 1000);
    assert_int_equal(a.gid, 1001);
    assert_true(a.mtime_ns == 7 * NS_PER_S);
    assert_int_equal(strlen(a.id), 32);
}

static void there_and_back(void **state)
{
    struct objattr a = {.mode = S_IFREG | 04755,
                        .uid = 1,
                        .gid = 2,
                        .mtime_ns = 3,
                        .atime_ns = 4,
                        .ctime_ns = 5},
                   b;
    struct store_obj obj = {.size = 0};

    (void)state;
    assert_int_equal(objattr_new_id(a.id), 0);
    assert_int_equal(store_hdrs_set(&obj.hdrs, STORE_USER_META "mode", "0777"),
                     0); /* another tool's, now wrong */
    assert_int_equal(store_hdrs_set(&obj.hdrs, STORE_USER_META "colour", "blue"), 0);
    assert_int_equal(objattr_encode(&a, "k", &obj.hdrs), 0);
    assert_null(store_hdrs_get(&obj.hdrs, STORE_USER_META "mode"));
    assert_string_equal(store_hdrs_get(&obj.hdrs, STORE_USER_META "colour"), "blue");
    objattr_decode(&defaults, "k", false, &obj, &b);
    assert_int_equal(b.mode, a.mode);
    assert_true(b.uid == 1 && b.gid == 2 && b.mtime_ns == 3 && b.atime_ns == 4 && b.ctime_ns == 5);
    assert_string_equal(b.id, a.id);
    objattr_decode(&defaults, "copy-of-k", false, &obj, &b); /* aws s3 cp: another file */
    assert_string_not_equal(b.id, a.id);
    store_obj_done(&obj);
}

static void types(void **state)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *type;
    } heads[] = {
        {"\xff\xd8\xff\xe0", 4, "image/jpeg"},
        {"\x89PNG\r\n\x1a\n", 8, "image/png"},
        {"GIF89a", 6, "image/gif"},
        {"RIFF\0\0\0\0WEBPVP8 ", 16, "image/webp"},
        {"%PDF-1.4", 8, "application/pdf"},
        {"\0\0\0\x1c"
         "ftypavif",
         12, "image/avif"},
        {" \n<SVG xmlns", 12, "image/svg+xml"},
        {"<!DOCTYPE HTML>", 15, "text/html"},
        {"\x1a\x45\xdf\xa3", 4, "video/webm"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++)
        assert_string_equal(mime_from_bytes((const unsigned char *)heads[i].bytes, heads[i].n),
                            heads[i].type);
    assert_null(mime_from_bytes((const unsigned char *)"BMW is a car", 12));
    assert_null(mime_from_bytes((const unsigned char *)"", 0));
    assert_null(mime_from_bytes((const unsigned char *)"\xff\xd8", 2));
    assert_string_equal(mime_from_name("a.b/c.JPG"), "image/jpeg");
    assert_string_equal(mime_from_name("style.css"), "text/css");
    assert_null(mime_from_name("README"));
    assert_true(mime_is_vague(NULL) && mime_is_vague("binary/octet-stream") &&
                !mime_is_vague("image/png"));
}

static void times(void **state)
{
    const int64_t s = NS_PER_S;

    (void)state;
    assert_true(validate_is_fresh(10 * s, 8 * s, 3 * s));
    assert_false(validate_is_fresh(11 * s, 8 * s, 3 * s));
    assert_false(validate_is_fresh(1 * s, 0, 3 * s)); /* never checked */
    assert_true(validate_next(0, true, 3 * s, 60 * s) == 3 * s);
    assert_true(validate_next(3 * s, true, 3 * s, 60 * s) == 6 * s);
    assert_true(validate_next(40 * s, true, 3 * s, 60 * s) == 60 * s);
    assert_true(validate_next(40 * s, false, 3 * s, 60 * s) == 3 * s);
    assert_true(validate_next(3 * s, true, 0, 0) == 0); /* actimeo=0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_stored), cmocka_unit_test(datasync),
        cmocka_unit_test(others),         cmocka_unit_test(nonsense),
        cmocka_unit_test(there_and_back), cmocka_unit_test(types),
        cmocka_unit_test(times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
