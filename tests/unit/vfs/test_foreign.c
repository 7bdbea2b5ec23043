/* SPDX-License-Identifier: Apache-2.0 */
/* Other tools' objects: whatever we do to them, they keep what we do not know (T27). */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#define TAGS "class=gold&path%20to=a%3Db"

static const char *const kept[][2] = {
    {"content-type", "application/x-theirs"},
    {"cache-control", "public, max-age=31536000"},
    {"content-disposition", "attachment; filename=\"x.bin\""},
    {"content-language", "de"},
    {"content-encoding", "identity"},
    {"expires", "Thu, 01 Dec 2033 16:00:00 GMT"},
    {"x-amz-storage-class", "STANDARD_IA"},
    {"x-amz-website-redirect-location", "/elsewhere"},
    {STORE_USER_META "unknown", "of another tool"},
    {STORE_USER_META "colour", "blue"},
    {STORE_TAGS, TAGS},
};

static void put_theirs(const char *key, const char *text)
{
    struct store_hdrs hdrs = {0};

    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
        assert_int_equal(store_hdrs_set(&hdrs, kept[i][0], kept[i][1]), 0);
    assert_int_equal(memstore_put(rig.store, key, text, strlen(text), &hdrs, NULL), 0);
    store_hdrs_done(&hdrs);
}

static void assert_all_kept(const char *key, const char *after)
{
    struct store_obj obj = {0};

    assert_int_equal(memstore_get(rig.store, key, &obj, NULL), 0);
    for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
        const char *got = store_hdrs_get(&obj.hdrs, kept[i][0]);

        if (got == NULL || strcmp(got, kept[i][1]) != 0)
            fail_msg("%s: %s is %s after %s", key, kept[i][0], got != NULL ? got : "gone", after);
    }
    store_obj_done(&obj);
}

static int chown_to(const char *path, uid_t uid)
{
    struct stat st = {.st_uid = uid}, now;
    struct vfs_entry e;
    int64_t ns;
    int r = rig_walk(&rig, path, &e);

    if (r < 0)
        return r;
    r = vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, &st, VFS_SET_UID, &now, &ns);
    vfs_forget(rig.vfs, e.node, 1);
    return r;
}

static int set_mtime(const char *path)
{
    struct stat st = {.st_mtim = {1234567890, 12345}}, now;
    struct vfs_entry e;
    int64_t ns;
    int r = rig_walk(&rig, path, &e);

    if (r < 0)
        return r;
    r = vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, &st, VFS_SET_MTIME, &now, &ns);
    vfs_forget(rig.vfs, e.node, 1);
    return r;
}

static void t27_everything_is_kept(void **state)
{
    uint64_t fh;

    (void)state;
    put_theirs("f", "their bytes");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_all_kept("f", "chmod");
    assert_int_equal(chown_to("f", 77), 0);
    assert_all_kept("f", "chown");
    assert_int_equal(set_mtime("f"), 0);
    assert_all_kept("f", "utimens");
    assert_int_equal(rig_open_file(&rig, "f", O_WRONLY | O_APPEND, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 11, ", and ours", 10), 10);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_all_kept("f", "an append");
    assert_object("f", "their bytes, and ours");
    assert_int_equal(rig_put(&rig, "f", "new bytes", 9), 0);
    assert_all_kept("f", "a rewrite");
    assert_int_equal(rig_truncate(&rig, "f", 3), 0);
    assert_all_kept("f", "truncate");
    assert_int_equal(rig_rename(&rig, "f", "g", 0), 0);
    assert_all_kept("g", "rename");
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(rig_rename(&rig, "g", "d/g", 0), 0);
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    assert_all_kept("e/g", "rename of its directory");
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_chmod(&rig, "e/g", 0644), 0);
    assert_all_kept("e/g", "chmod on another day");
    assert_object("e/g", "new");
}

static void t27_directories(void **state)
{
    struct store_obj obj = {0};

    (void)state;
    put_theirs("d/", "");
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    assert_int_equal(memstore_get(rig.store, "d/", &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, STORE_TAGS), TAGS);
    assert_string_equal(store_hdrs_get(&obj.hdrs, STORE_USER_META "colour"), "blue");
    store_obj_done(&obj);
}

/* Tags change without a new version of the object: they are read just before each rewrite, and only
 * where there are any. */
static void tags_are_read_again(void **state)
{
    struct store_hdrs hdrs = {0};
    struct store_obj obj = {0};

    (void)state;
    put_theirs("f", "x");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(memstore_get(rig.store, "f", &obj, NULL), 0);
    assert_int_equal(store_hdrs_copy(&hdrs, &obj.hdrs), 0);
    assert_int_equal(store_hdrs_set(&hdrs, STORE_TAGS, "new=1"), 0);
    store_obj_done(&obj);
    assert_int_equal(memstore_put(rig.store, "f", "x", 1, &hdrs, NULL), 0); /* the same ETag */
    store_hdrs_done(&hdrs);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_chmod(&rig, "f", 0644), 0);
    assert_int_equal(memstore_count(rig.store, STORE_GET_TAGS), 1);
    assert_int_equal(memstore_get(rig.store, "f", &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, STORE_TAGS), "new=1");
    store_obj_done(&obj);
    assert_int_equal(rig_put(&rig, "ours", "x", 1), 0);
    assert_int_equal(rig_chmod(&rig, "ours", 0600), 0);
    assert_int_equal(memstore_count(rig.store, STORE_GET_TAGS), 1);
}

/* Tags that can't be read are not thrown away: the change fails, and says so. */
static void tags_that_cannot_be_read(void **state)
{
    (void)state;
    put_theirs("f", "x");
    memstore_fail(rig.store, STORE_GET_TAGS, 1, 1, -EACCES);
    assert_int_equal(rig_chmod(&rig, "f", 0600), -EACCES);
    assert_all_kept("f", "a chmod that failed");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_all_kept("f", "chmod");
}

/* geesefs's symbolic links have their target in metadata; it stays there. */
static void links_of_geesefs(void **state)
{
    struct store_hdrs hdrs = {0};
    struct vfs_entry e;
    char *target = NULL;

    (void)state;
    assert_int_equal(store_hdrs_set(&hdrs, STORE_USER_META "--symlink-target", "../to/a%25b"), 0);
    assert_int_equal(memstore_put(rig.store, "l", "", 0, &hdrs, NULL), 0);
    store_hdrs_done(&hdrs);
    assert_int_equal(rig_walk(&rig, "l", &e), 0);
    assert_true(S_ISLNK(e.st.st_mode));
    assert_int_equal(e.st.st_size, 9);
    assert_int_equal(vfs_readlink(rig.vfs, e.node, &target), 0);
    assert_string_equal(target, "../to/a%b");
    free(target);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(chown_to("l", 5), 0);
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_walk(&rig, "l", &e), 0);
    assert_int_equal(vfs_readlink(rig.vfs, e.node, &target), 0);
    assert_string_equal(target, "../to/a%b");
    free(target);
    vfs_forget(rig.vfs, e.node, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(t27_everything_is_kept),
        T(t27_directories),
        T(tags_are_read_again),
        T(tags_that_cannot_be_read),
        T(links_of_geesefs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
