/* SPDX-License-Identifier: Apache-2.0 */
/* Extended attributes: user.* in the object's metadata, user.s3efs.* for its headers. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/xattr.h>

#include "fs/vfs/xattr_code.h"

#define CODE_HDR STORE_USER_META "s3efs-xattr"

static uint64_t node_of(const char *path)
{
    struct vfs_entry e;

    assert_int_equal(rig_walk(&rig, path, &e), 0);
    vfs_forget(rig.vfs, e.node, 1);
    return e.node;
}

static int set(const char *path, const char *name, const void *value, size_t len, int flags)
{
    struct vfs_entry e;
    int r = rig_walk(&rig, path, &e);

    if (r == 0) {
        r = vfs_setxattr(rig.vfs, &rig.ctx, e.node, name, value, len, flags);
        vfs_forget(rig.vfs, e.node, 1);
    }
    return r;
}

static int set_text(const char *path, const char *name, const char *text)
{
    return set(path, name, text, strlen(text), 0);
}

static int drop(const char *path, const char *name)
{
    struct vfs_entry e;
    int r = rig_walk(&rig, path, &e);

    if (r == 0) {
        r = vfs_removexattr(rig.vfs, &rig.ctx, e.node, name);
        vfs_forget(rig.vfs, e.node, 1);
    }
    return r;
}

static ssize_t get(const char *path, const char *name, void *buf, size_t size)
{
    struct vfs_entry e;
    ssize_t n = rig_walk(&rig, path, &e);

    if (n == 0) {
        n = name != NULL ? vfs_getxattr(rig.vfs, e.node, name, buf, size)
                         : vfs_listxattr(rig.vfs, e.node, buf, size);
        vfs_forget(rig.vfs, e.node, 1);
    }
    return n;
}

static void assert_text(const char *path, const char *name, const char *text)
{
    char buf[512] = "";

    assert_int_equal(get(path, name, buf, sizeof(buf) - 1), strlen(text));
    assert_string_equal(buf, text);
}

static void assert_header(const char *key, const char *hdr, const char *value)
{
    struct store_obj obj = {0};

    assert_int_equal(memstore_get(rig.store, key, &obj, NULL), 0);
    if (value == NULL)
        assert_null(store_hdrs_get(&obj.hdrs, hdr));
    else
        assert_string_equal(store_hdrs_get(&obj.hdrs, hdr), value);
    store_obj_done(&obj);
}

/* --- the code --- */

static void code_there_and_back(void **state)
{
    static const struct {
        const char *name, *value;
        size_t len;
    } rows[] = {
        {"plain", "text", 4},       {"empty", "", 0},
        {"nul", "a\0b", 3},         {"semi;colon=x", "a;b=c:d", 7},
        {"bytes", "\377\376\1", 3}, {"\303\244rger", "blank at the end ", 17},
    };
    char code[1024] = "";

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf out = BUF_INIT(XATTR_CODE_MAX);

        assert_int_equal(xattr_code_set(code, rows[i].name, rows[i].value, rows[i].len, &out), 0);
        snprintf(code, sizeof(code), "%s", buf_str(&out));
        buf_done(&out);
    }
    for (const char *p = code; *p != '\0'; p++)
        assert_true(*p > ' ' && *p <= '~' && *p != ',');
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf out = BUF_INIT(XATTR_CODE_MAX);

        assert_int_equal(xattr_code_get(code, rows[i].name, &out), 0);
        assert_int_equal(out.len, rows[i].len);
        assert_memory_equal(buf_str(&out), rows[i].value, rows[i].len);
        buf_done(&out);
    }
    assert_non_null(strstr(code, "plain=text"));
}

static void code_of_others(void **state)
{
    struct buf out = BUF_INIT(XATTR_CODE_MAX);

    (void)state;
    assert_int_equal(xattr_code_get(NULL, "a", &out), -ENODATA);
    assert_int_equal(xattr_code_get(";;=x;a", "a", &out), -ENODATA);
    assert_int_equal(xattr_code_get("a:???", "a", &out), -ENODATA);
    assert_int_equal(xattr_code_get("a=%zz", "a", &out), -ENODATA);
    assert_int_equal(xattr_code_list("junk;b=1;%00=2;c:AA==", &out), 0);
    assert_int_equal(out.len, 14);
    assert_memory_equal(buf_str(&out), "user.b\0user.c", 14);
    buf_reset(&out);
    assert_int_equal(xattr_code_set("junk;b=1", "b", NULL, 0, &out), 0);
    assert_string_equal(buf_str(&out), "");
    buf_done(&out);
}

/* --- on files --- */

static void set_get_list_remove(void **state)
{
    char buf[64];

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "data", 4), 0);
    assert_int_equal(get("f", "user.colour", buf, sizeof(buf)), -ENODATA);
    assert_int_equal(get("f", NULL, buf, 0), 0);
    memstore_count_reset(rig.store);
    assert_int_equal(set_text("f", "user.colour", "blue"), 0);
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 1);
    assert_header("f", CODE_HDR, "colour=blue");
    assert_text("f", "user.colour", "blue");
    assert_int_equal(get("f", "user.colour", buf, 0), 4);
    assert_int_equal(get("f", "user.colour", buf, 3), -ERANGE);
    assert_int_equal(set_text("f", "user.b", "2"), 0);
    assert_int_equal(get("f", NULL, buf, 0), 19);
    assert_int_equal(get("f", NULL, buf, 18), -ERANGE);
    assert_int_equal(get("f", NULL, buf, sizeof(buf)), 19);
    assert_memory_equal(buf, "user.colour\0user.b", 19);
    assert_int_equal(drop("f", "user.colour"), 0);
    assert_int_equal(drop("f", "user.colour"), -ENODATA);
    assert_int_equal(drop("f", "user.b"), 0);
    assert_header("f", CODE_HDR, NULL);
    assert_object("f", "data");
}

static void flags(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&rig, "f", "data", 4), 0);
    assert_int_equal(set("f", "user.a", "1", 1, XATTR_REPLACE), -ENODATA);
    assert_int_equal(set("f", "user.a", "1", 1, XATTR_CREATE), 0);
    assert_int_equal(set("f", "user.a", "2", 1, XATTR_CREATE), -EEXIST);
    assert_int_equal(set("f", "user.a", "3", 1, XATTR_REPLACE), 0);
    assert_text("f", "user.a", "3");
    assert_int_equal(set("f", "user.empty", NULL, 0, 0), 0);
    assert_text("f", "user.empty", "");
}

static void names(void **state)
{
    static const char *const refused[] = {"security.capability", "trusted.overlay.opaque",
                                          "system.posix_acl_access", "system.nfs4_acl"};
    char name[300] = "user.", buf[8];

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "data", 4), 0);
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_int_equal(set_text("f", refused[i], "x"), -EOPNOTSUPP);
        assert_int_equal(get("f", refused[i], buf, sizeof(buf)), -EOPNOTSUPP);
        assert_int_equal(drop("f", refused[i]), -EOPNOTSUPP);
    }
    memset(name + 5, 'n', 250);
    assert_int_equal(set_text("f", name, "x"), 0);
    assert_text("f", name, "x");
    memset(name + 5, 'n', 251);
    assert_int_equal(set_text("f", name, "x"), -ERANGE);
    assert_int_equal(set_text("f", "user.", "x"), -EINVAL);
}

/* They survive a rewrite, a rename, a chmod and a remount, and an object that another mount sees.
 */
static void they_stay(void **state)
{
    struct rig other;
    struct vfs_entry e;
    char buf[8] = "";

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "data", 4), 0);
    assert_int_equal(set_text("f", "user.a", "1"), 0);
    assert_int_equal(rig_put(&rig, "f", "other", 5), 0);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(rig_rename(&rig, "f", "g", 0), 0);
    assert_text("g", "user.a", "1");
    assert_int_equal(rig_remount(&rig), 0);
    assert_text("g", "user.a", "1");
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    assert_int_equal(rig_walk(&other, "g", &e), 0);
    assert_int_equal(vfs_getxattr(other.vfs, e.node, "user.a", buf, sizeof(buf)), 1);
    vfs_forget(other.vfs, e.node, 1);
    rig_close(&other);
}

/* What is set on a file that is being written goes up with its bytes: one PUT. */
static void open_file(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY | O_EXCL, 0644, &fh), 0);
    memstore_count_reset(rig.store);
    assert_int_equal(set_text("f", "user.a", "1"), 0);
    assert_text("f", "user.a", "1");
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "x", 1), 1);
    assert_int_equal(set_text("f", "user.s3efs.content-type", "text/x-log"), 0);
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 1);
    assert_header("f", CODE_HDR, "a=1");
    assert_header("f", "content-type", "text/x-log");
}

static void of_an_unlinked_file(void **state)
{
    uint64_t fh, node;
    char buf[8];

    (void)state;
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY | O_EXCL, 0644, &fh), 0);
    node = node_of("f");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(vfs_setxattr(rig.vfs, &rig.ctx, node, "user.a", "1", 1, 0), 0);
    assert_int_equal(vfs_getxattr(rig.vfs, node, "user.a", buf, sizeof(buf)), 1);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_no_object("f");
}

/* Two names, one file: what is set through one is there through the other, here and elsewhere. */
static void of_a_hard_link(void **state)
{
    struct rig other;
    struct vfs_entry e;
    char buf[8];

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "data", 4), 0);
    assert_int_equal(set_text("f", "user.a", "1"), 0);
    assert_int_equal(rig_link(&rig, "f", "g"), 0);
    assert_text("g", "user.a", "1");
    assert_int_equal(set_text("g", "user.b", "22"), 0);
    assert_int_equal(set_text("f", "user.s3efs.content-type", "text/x-mine"), 0);
    assert_text("f", "user.b", "22");
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    for (const char *const *n = (const char *const[]){"f", "g", NULL}; *n != NULL; n++) {
        assert_int_equal(rig_walk(&other, *n, &e), 0);
        assert_int_equal(vfs_getxattr(other.vfs, e.node, "user.b", buf, sizeof(buf)), 2);
        vfs_forget(other.vfs, e.node, 1);
        assert_header(*n, "content-type", "text/x-mine");
    }
    rig_close(&other);
}

static void on_directories(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(set_text("d", "user.a", "1"), 0);
    assert_header("d/", CODE_HDR, "a=1");
    assert_int_equal(set_text("", "user.root", "top"), 0); /* the mount's root */
    foreign_put("implied/f", "x");
    assert_int_equal(set_text("implied", "user.b", "2"), 0);
    assert_int_equal(rig_remount(&rig), 0);
    assert_text("d", "user.a", "1");
    assert_text("implied", "user.b", "2");
    assert_text("", "user.root", "top");
    assert_int_equal(drop("d", "user.a"), 0);
    assert_header("d/", CODE_HDR, NULL);
    assert_int_equal(set_text("d", "user.s3efs.content-type", "a/b"), -EPERM);
}

/* A directory's marker that another client changed meanwhile is read again, once. */
static void directory_changed_elsewhere(void **state)
{
    struct store_hdrs hdrs = {0};

    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    node_of("d");
    assert_int_equal(store_hdrs_set(&hdrs, STORE_USER_META "theirs", "stays"), 0);
    assert_int_equal(memstore_put(rig.store, "d/", "x", 1, &hdrs, NULL), 0);
    store_hdrs_done(&hdrs);
    assert_int_equal(set_text("d", "user.a", "1"), 0);
    assert_header("d/", STORE_USER_META "theirs", "stays");
    assert_header("d/", CODE_HDR, "a=1");
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(set_text("d", "user.b", "2"), -EACCES);
    assert_text("d", "user.a", "1");
    assert_header("d/", CODE_HDR, "a=1");
}

/* S3 keeps 2,048 bytes of metadata: more is ENOSPC at once, and the object stays as it was. */
static void no_room(void **state)
{
    char big[3000];

    (void)state;
    memset(big, 'x', sizeof(big));
    assert_int_equal(rig_put(&rig, "f", "data", 4), 0);
    assert_int_equal(set("f", "user.a", big, 900, 0), 0);
    memstore_count_reset(rig.store);
    assert_int_equal(set("f", "user.b", big, 900, 0), -ENOSPC);
    assert_int_equal(set("f", "user.a", big, sizeof(big), 0), -ENOSPC);
    assert_int_equal(set("f", "user.a", big, 65536 > sizeof(big) ? sizeof(big) : 65536, 0),
                     -ENOSPC);
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 0);
    assert_int_equal(get("f", "user.a", NULL, 0), 900);
    assert_int_equal(set("f", "user.a", "small", 5, 0), 0);
    assert_int_equal(set("f", "user.b", big, 900, 0), 0);
    assert_int_equal(drop("f", "user.b"), 0);
}

/* An object whose metadata other tools have filled up: an attribute can still be taken away. */
static void full_object(void **state)
{
    struct store_hdrs hdrs = {0};
    char big[1300];

    (void)state;
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    assert_int_equal(store_hdrs_set(&hdrs, STORE_USER_META "theirs", big), 0);
    assert_int_equal(store_hdrs_set(&hdrs, CODE_HDR, "a=1"), 0);
    assert_int_equal(memstore_put(rig.store, "f", "x", 1, &hdrs, NULL), 0);
    store_hdrs_done(&hdrs);
    assert_int_equal(set_text("f", "user.b", "2"), -ENOSPC);
    assert_int_equal(drop("f", "user.a"), 0);
    assert_header("f", STORE_USER_META "theirs", big);
}

static void a_failed_change_is_taken_back(void **state)
{
    char buf[8];

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "data", 4), 0);
    assert_int_equal(set_text("f", "user.a", "1"), 0);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(set_text("f", "user.a", "2"), -EACCES);
    assert_text("f", "user.a", "1");
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(set_text("f", "user.b", "2"), -EACCES);
    assert_int_equal(get("f", "user.b", buf, sizeof(buf)), -ENODATA);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_header("f", CODE_HDR, "a=1");
}

/* The same while somebody has the file open for writing, and has written nothing. */
static void a_failed_change_beside_a_writer(void **state)
{
    char buf[8];
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "data", 4), 0);
    assert_int_equal(rig_open_file(&rig, "f", O_WRONLY, &fh), 0);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(set_text("f", "user.a", "1"), -EACCES);
    assert_int_equal(get("f", "user.a", buf, sizeof(buf)), -ENODATA);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(memstore_count(rig.store, STORE_PUT), 0);
    assert_header("f", CODE_HDR, NULL);
}

/* --- the object's headers --- */

static void object_headers(void **state)
{
    struct store_obj obj = {0};
    char buf[64];

    (void)state;
    assert_int_equal(rig_put(&rig, "f.css", "data", 4), 0);
    assert_text("f.css", "user.s3efs.content-type", "text/css");
    assert_text("f.css", "user.s3efs.storage-class", "STANDARD");
    assert_int_equal(memstore_get(rig.store, "f.css", &obj, NULL), 0);
    assert_text("f.css", "user.s3efs.etag", obj.etag.s);
    store_obj_done(&obj);
    assert_int_equal(get("f.css", "user.s3efs.cache-control", buf, sizeof(buf)), -ENODATA);
    assert_int_equal(set_text("f.css", "user.s3efs.cache-control", "max-age=60, public"), 0);
    assert_header("f.css", "cache-control", "max-age=60, public");
    assert_int_equal(set_text("f.css", "user.s3efs.content-language", "de"), 0);
    assert_int_equal(set_text("f.css", "user.s3efs.content-encoding", "gzip"), 0);
    assert_int_equal(set_text("f.css", "user.s3efs.content-disposition", "attachment"), 0);
    assert_int_equal(get("f.css", NULL, buf, 0), 0); /* no tool copies them */
    assert_int_equal(rig_put(&rig, "f.css", "more data", 9), 0);
    assert_header("f.css", "cache-control", "max-age=60, public");
    assert_header("f.css", "content-encoding", "gzip");
    assert_int_equal(drop("f.css", "user.s3efs.cache-control"), 0);
    assert_header("f.css", "cache-control", NULL);
    assert_int_equal(drop("f.css", "user.s3efs.cache-control"), -ENODATA);
    assert_int_equal(set_text("f.css", "user.s3efs.etag", "x"), -EPERM);
    assert_int_equal(set_text("f.css", "user.s3efs.storage-class", "GLACIER"), -EPERM);
    assert_int_equal(set_text("f.css", "user.s3efs.unknown", "x"), -EPERM);
    assert_int_equal(get("f.css", "user.s3efs.unknown", buf, sizeof(buf)), -ENODATA);
    assert_int_equal(set_text("f.css", "user.s3efs.content-type", "text/\r\nx: y"), -EINVAL);
    assert_int_equal(set_text("f.css", "user.s3efs.content-type", " text/css"), -EINVAL);
    assert_int_equal(set_text("f.css", "user.s3efs.content-type", ""), -EINVAL);
}

/* A type set by hand is not undone by a look at the bytes or the name; one that another client set
 * since is not undone by ours. */
static void content_type_stays(void **state)
{
    static const char png[] = "\x89PNG\r\n\x1a\n";
    struct store_hdrs hdrs = {0};
    struct store_obj obj = {0};

    (void)state;
    assert_int_equal(rig_put(&rig, "f.txt", "data", 4), 0);
    assert_int_equal(set_text("f.txt", "user.s3efs.content-type", "application/x-mine"), 0);
    assert_int_equal(rig_put(&rig, "f.txt", png, 8), 0);
    assert_header("f.txt", "content-type", "application/x-mine");
    assert_int_equal(rig_rename(&rig, "f.txt", "g.css", 0), 0);
    assert_header("g.css", "content-type", "application/x-mine");
    assert_int_equal(memstore_get(rig.store, "g.css", &obj, NULL), 0);
    assert_int_equal(store_hdrs_copy(&hdrs, &obj.hdrs), 0);
    store_obj_done(&obj);
    assert_int_equal(store_hdrs_set(&hdrs, "content-type", "text/theirs"), 0);
    assert_int_equal(memstore_put(rig.store, "g.css", "theirs", 6, &hdrs, NULL), 0);
    store_hdrs_done(&hdrs);
    assert_file("g.css", "theirs");
    assert_int_equal(rig_put(&rig, "g.css", png, 8), 0);
    assert_header("g.css", "content-type", "image/png");
    assert_int_equal(set_text("g.css", "user.s3efs.content-type", "application/x-mine"), 0);
    assert_int_equal(drop("g.css", "user.s3efs.content-type"), 0); /* the bytes say again */
    assert_header("g.css", "content-type", "image/png");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(code_there_and_back),
        cmocka_unit_test(code_of_others),
        T(set_get_list_remove),
        T(flags),
        T(names),
        T(they_stay),
        T(open_file),
        T(of_an_unlinked_file),
        T(of_a_hard_link),
        T(on_directories),
        T(directory_changed_elsewhere),
        T(no_room),
        T(full_object),
        T(a_failed_change_is_taken_back),
        T(a_failed_change_beside_a_writer),
        T(object_headers),
        T(content_type_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
