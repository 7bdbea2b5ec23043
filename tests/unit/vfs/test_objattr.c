/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
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

/* Headers as the tools write them, and what they mean. */
#define S NS_PER_S
#define DAY (86400 * S)
static const struct {
    const char *tool, *meta[10][2];
    mode_t mode;
    uid_t uid;
    gid_t gid;
    int64_t mtime, atime, ctime;
    dev_t rdev;
} written[] = {
    {"s3fs",
     {{"mode", "33184"},
      {"uid", "501"},
      {"gid", "20"},
      {"mtime", "1600000000.123456789"},
      {"atime", "1600000001.5"},
      {"ctime", "1600000002"}},
     S_IFREG | 0640,
     501,
     20,
     1600000000 * S + 123456789,
     1600000001 * S + S / 2,
     1600000002 * S,
     0},
    {"s3fs, a link",
     {{"mode", "41471"}, {"uid", "0"}, {"gid", "0"}, {"mtime", "1600000000"}},
     S_IFLNK | 0777,
     0,
     0,
     1600000000 * S,
     1600000000 * S,
     7 * S,
     0},
    {"s3sync",
     {{"permissions", "33188"}, {"owner", "7"}, {"group", "8"}},
     S_IFREG | 0644,
     7,
     8,
     7 * S,
     7 * S,
     7 * S,
     0},
    {"rclone",
     {{"mtime", "1672531199.123456789"}},
     S_IFREG | 0640,
     1000,
     1001,
     1672531199 * S + 123456789,
     1672531199 * S + 123456789,
     7 * S,
     0},
    {"rclone --metadata",
     {{"mtime", "1672531199.5"},
      {"mode", "0100664"},
      {"uid", "1"},
      {"gid", "2"},
      {"atime", "2023-01-02T02:00:00.25+01:00"},
      {"btime", "2023-01-01T00:00:00Z"}},
     S_IFREG | 0664,
     1,
     2,
     1672531199 * S + S / 2,
     1672531200 * S + DAY + 3600 * S + S / 4,
     7 * S,
     0},
    {"rclone, without the leading 0",
     {{"mode", "100600"}, {"atime", "2022-12-31T23:30:00-00:30"}},
     S_IFREG | 0600,
     1000,
     1001,
     7 * S,
     1672531200 * S,
     7 * S,
     0},
    {"rclone, a device",
     {{"mode", "020660"}, {"rdev", "1f0a"}},
     S_IFCHR | 0660,
     1000,
     1001,
     7 * S,
     7 * S,
     7 * S,
     0x1f0a},
    {"geesefs",
     {{"mode", "33261"}, {"uid", "3"}, {"gid", "4"}, {"mtime", "1600000000"}},
     S_IFREG | 0755,
     3,
     4,
     1600000000 * S,
     1600000000 * S,
     7 * S,
     0},
    {"geesefs, a device",
     {{"mode", "8624"}, {"rdev", "259"}},
     S_IFCHR | 0660,
     1000,
     1001,
     7 * S,
     7 * S,
     7 * S,
     259},
    {"geesefs, a link",
     {{"--symlink-target", "../a%25b"}},
     S_IFLNK | 0777,
     1000,
     1001,
     7 * S,
     7 * S,
     7 * S,
     0},
    {"DataSync",
     {{"user-agent", "aws-datasync"},
      {"file-permissions", "0100755"},
      {"file-owner", "0"},
      {"file-group", "0"},
      {"file-mtime", "1595002920000000001ns"},
      {"file-atime", "1595002920000000002ns"}},
     S_IFREG | 0755,
     0,
     0,
     1595002920 * S + 1,
     1595002920 * S + 2,
     7 * S,
     0},
    {"DataSync, another",
     {{"file-permissions", "100755"}, {"file-owner", "65534"}, {"file-group", "65534"}},
     S_IFREG | 0755,
     65534,
     65534,
     7 * S,
     7 * S,
     7 * S,
     0},
    {"Storage Gateway",
     {{"file-permissions", "0644"},
      {"file-owner", "5"},
      {"file-group", "6"},
      {"file-mtime", "1595002920123"},
      {"user-agent-id", "sgw-1"}},
     S_IFREG | 0644,
     5,
     6,
     1595002920 * S + 123 * (S / 1000),
     1595002920 * S + 123 * (S / 1000),
     7 * S,
     0},
    {"goofys, aws s3 sync", {{NULL, NULL}}, S_IFREG | 0640, 1000, 1001, 7 * S, 7 * S, 7 * S, 0},
    {"nonsense",
     {{"mode", "rw"},
      {"mtime", "2023-01-01"},
      {"atime", "2023-01-01T00:00:00+1:00"},
      {"rdev", "-1"}},
     S_IFREG | 0640,
     1000,
     1001,
     7 * S,
     7 * S,
     7 * S,
     0},
    {"no such type", {{"mode", "65535"}}, S_IFREG | 0640, 1000, 1001, 7 * S, 7 * S, 7 * S, 0},
};

static void tools(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
        struct objattr a = decode("a", false, written[i].meta);

        if (a.mode != written[i].mode || a.uid != written[i].uid || a.gid != written[i].gid ||
            a.mtime_ns != written[i].mtime || a.atime_ns != written[i].atime ||
            a.ctime_ns != written[i].ctime || a.rdev != written[i].rdev)
            fail_msg("%s: mode %o, owner %u:%u, times %" PRId64 " %" PRId64 " %" PRId64
                     ", device %" PRIu64,
                     written[i].tool, a.mode, a.uid, a.gid, a.mtime_ns, a.atime_ns, a.ctime_ns,
                     (uint64_t)a.rdev);
    }
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

/* Before 1970: 0 for others, the true time for us; and what others write then is what counts. */
static void early_times(void **state)
{
    struct objattr a = {.mode = S_IFREG | 0644, .mtime_ns = -3 * NS_PER_S / 2, .atime_ns = -1}, b;
    struct store_obj obj = {.size = 0};

    (void)state;
    assert_int_equal(objattr_new_id(a.id), 0);
    assert_int_equal(objattr_encode(&a, "k", &obj.hdrs), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, STORE_USER_META "file-mtime"), "0ns");
    objattr_decode(&defaults, "k", false, &obj, &b);
    assert_true(b.mtime_ns == a.mtime_ns);
    assert_true(b.atime_ns == -1);
    assert_int_equal(store_hdrs_set(&obj.hdrs, STORE_USER_META "file-mtime", "5ns"), 0);
    objattr_decode(&defaults, "k", false, &obj, &b);
    assert_true(b.mtime_ns == 5);
    assert_int_equal(store_hdrs_set(&obj.hdrs, STORE_USER_META "file-mtime", "0ns"), 0);
    assert_int_equal(store_hdrs_set(&obj.hdrs, STORE_USER_META "s3efs-mtime", "-5 weeks"), 0);
    objattr_decode(&defaults, "k", false, &obj, &b);
    assert_true(b.mtime_ns == 0);
    a.mtime_ns = 7;
    assert_int_equal(objattr_encode(&a, "k", &obj.hdrs), 0);
    assert_null(store_hdrs_get(&obj.hdrs, STORE_USER_META "s3efs-mtime"));
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
        cmocka_unit_test(tools),          cmocka_unit_test(there_and_back),
        cmocka_unit_test(early_times),
        cmocka_unit_test(types),          cmocka_unit_test(times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
