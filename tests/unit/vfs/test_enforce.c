/* SPDX-License-Identifier: Apache-2.0 */
/* posix_user= and root_creation=: every call is one user's, whoever makes it. One test for each
 * call, with what is allowed and what is not. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int mount_as(const char *prefix, uid_t uid, gid_t gid, gid_t more)
{
    struct vfs_conf *c = &rig.conf;

    c->enforces_user = true;
    c->user = (struct vfs_user){.uid = uid, .gid = gid, .groups = {more}, .n_groups = 1};
    c->prefix = prefix;
    return rig_remount(&rig);
}

/* An access point of user 1000, group 2000 and 3000, at a bucket's top that everybody may write to.
 * The callers are root. */
static int setup_user(void **state)
{
    int r = setup(state);

    if (r == 0)
        r = rig_chmod(&rig, "", 0777);
    return r == 0 ? mount_as(NULL, 1000, 2000, 3000) : r;
}

static void put_as(const char *key, const char *mode, const char *uid, const char *gid)
{
    struct store_hdrs h = {0};

    assert_int_equal(store_hdrs_set(&h, "x-amz-meta-file-permissions", mode), 0);
    assert_int_equal(store_hdrs_set(&h, "x-amz-meta-file-owner", uid), 0);
    assert_int_equal(store_hdrs_set(&h, "x-amz-meta-file-group", gid), 0);
    assert_int_equal(memstore_put(rig.store, key, "theirs", 6, &h, NULL), 0);
    store_hdrs_done(&h);
}

static void assert_owner(const char *path, mode_t mode, uid_t uid, gid_t gid)
{
    struct stat st;

    assert_int_equal(rig_stat(&rig, path, &st), 0);
    assert_int_equal(st.st_mode, mode);
    assert_int_equal(st.st_uid, uid);
    assert_int_equal(st.st_gid, gid);
}

static void new_names_are_the_users(void **state)
{
    struct vfs_entry e;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "1", 1), 0);
    assert_owner("f", S_IFREG | 0644, 1000, 2000);
    assert_int_equal(rig_mkdir(&rig, "d", 0750), 0);
    assert_owner("d", S_IFDIR | 0750, 1000, 2000);
    assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, "f", VFS_ROOT, "l", &e), 0);
    assert_int_equal(e.st.st_uid, 1000);
    vfs_forget(rig.vfs, e.node, 1);
    put_as("setgid/", "042777", "7", "7");
    assert_int_equal(rig_put(&rig, "setgid/f", "1", 1), 0);
    assert_owner("setgid/f", S_IFREG | 0644, 1000, 7);
    assert_int_equal(rig_mkdir(&rig, "setgid/d", 0755), 0);
    assert_owner("setgid/d", S_IFDIR | S_ISGID | 0755, 1000, 7);
}

static int open_close(const char *path, int flags)
{
    uint64_t fh;
    int r = rig_open_file(&rig, path, flags, &fh);

    return r == 0 ? rig_shut(&rig, fh) : r;
}

static void opening(void **state)
{
    (void)state;
    put_as("mine", "0100400", "1000", "7");
    put_as("group", "0100060", "7", "3000");
    put_as("none", "0100600", "0", "0");
    put_as("run", "0100711", "0", "0");
    assert_int_equal(open_close("mine", O_RDONLY), 0);
    assert_int_equal(open_close("mine", O_WRONLY), -EACCES);
    assert_int_equal(open_close("mine", O_RDONLY | O_TRUNC), -EACCES);
    assert_int_equal(open_close("group", O_RDWR), 0);
    assert_int_equal(open_close("none", O_RDONLY), -EACCES); /* though root calls */
    assert_int_equal(open_close("run", O_RDONLY), -EACCES);
    assert_int_equal(open_close("run", O_RDONLY | 040), 0); /* execve(2) */
    assert_object("mine", "theirs");
}

static void directories(void **state)
{
    struct vfs_entry f, d, e;
    struct stat st;
    char names[32];
    uint64_t fh;

    (void)state;
    put_as("shut/", "040700", "7", "7");
    foreign_put("shut/f", "1");
    put_as("read/", "040744", "7", "7");
    foreign_put("read/f", "1");
    put_as("pass/", "040711", "7", "7");
    foreign_put("pass/f", "1");
    assert_int_equal(rig_stat(&rig, "shut/f", &st), -EACCES);
    assert_int_equal(rig_ls(&rig, "shut", names, sizeof(names)), -EACCES);
    assert_int_equal(rig_stat(&rig, "read/f", &st), -EACCES);
    assert_int_equal(rig_ls(&rig, "read", names, sizeof(names)), 0);
    assert_int_equal(rig_stat(&rig, "pass/f", &st), 0);
    assert_int_equal(rig_ls(&rig, "pass", names, sizeof(names)), -EACCES);
    assert_int_equal(rig_creat(&rig, "pass/new", O_WRONLY, 0644, &fh), -EACCES);
    assert_int_equal(rig_mkdir(&rig, "pass/new", 0755), -EACCES);
    assert_int_equal(rig_unlink(&rig, "pass/f"), -EACCES);
    assert_object("pass/f", "1");
    assert_int_equal(rig_walk(&rig, "pass/f", &f), 0);
    assert_int_equal(rig_walk(&rig, "pass", &d), 0);
    assert_int_equal(vfs_link(rig.vfs, &rig.ctx, f.node, d.node, "new", &e), -EACCES);
    assert_int_equal(vfs_link(rig.vfs, &rig.ctx, f.node, VFS_ROOT, "new", &e), 0);
    vfs_forget(rig.vfs, e.node, 1);
    vfs_forget(rig.vfs, f.node, 1);
    vfs_forget(rig.vfs, d.node, 1);
}

static int no_nodes(void *arg, const char *name, const struct vfs_entry *e, uint64_t next)
{
    (void)arg;
    (void)name;
    (void)next;
    assert_int_equal(e->node, 0);
    return 0;
}

/* A directory that may be read but not searched tells names, and nothing of them. */
static void listing_without_search(void **state)
{
    struct vfs_entry e;
    struct stat st;
    uint64_t fh;

    (void)state;
    put_as("read/", "040755", "7", "7");
    foreign_put("read/f", "1");
    clock_fake_add(10 * NS_PER_S); /* old enough for a listing to confirm it */
    assert_int_equal(rig_stat(&rig, "read/f", &st), 0);
    put_as("read/", "040744", "7", "7");
    clock_fake_add(61 * NS_PER_S);
    assert_int_equal(rig_walk(&rig, "read", &e), 0);
    assert_int_equal(vfs_opendir(rig.vfs, e.node, &fh), 0);
    assert_int_equal(vfs_readdir(rig.vfs, fh, 0, true, no_nodes, NULL), 0);
    vfs_releasedir(rig.vfs, fh);
    vfs_forget(rig.vfs, e.node, 1);
}

static void removing_and_renaming(void **state)
{
    (void)state;
    put_as("tmp/", "041777", "7", "7");
    put_as("tmp/mine", "0100644", "1000", "7");
    put_as("tmp/theirs", "0100666", "7", "7");
    put_as("tmp/theirs-dir/", "040777", "7", "7");
    put_as("tmp/my-dir/", "040500", "1000", "7");
    assert_int_equal(rig_unlink(&rig, "tmp/theirs"), -EPERM);
    assert_int_equal(rig_rmdir(&rig, "tmp/theirs-dir"), -EPERM);
    assert_int_equal(rig_rename(&rig, "tmp/theirs", "tmp/x", 0), -EPERM);
    assert_int_equal(rig_rename(&rig, "tmp/mine", "tmp/theirs", 0),
                     -EPERM); /* it would replace it */
    assert_int_equal(rig_rename(&rig, "tmp/my-dir", "elsewhere", 0),
                     -EACCES); /* ".." would change */
    assert_int_equal(rig_rename(&rig, "tmp/my-dir", "tmp/renamed", 0), 0);
    assert_int_equal(rig_rename(&rig, "tmp/mine", "tmp/y", 0), 0);
    assert_int_equal(rig_unlink(&rig, "tmp/y"), 0);
    assert_int_equal(rig_rmdir(&rig, "tmp/renamed"), 0);
    assert_object("tmp/theirs", "theirs");
}

static int set(const char *path, const struct stat *st, int mask)
{
    struct vfs_entry e;
    struct stat now;
    int64_t ns;
    int r = rig_walk(&rig, path, &e);

    if (r < 0)
        return r;
    r = vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, st, mask, &now, &ns);
    vfs_forget(rig.vfs, e.node, 1);
    return r;
}

static void chmod_and_chown(void **state)
{
    const struct stat to_root = {.st_uid = 0, .st_gid = 0}, to_group = {.st_gid = 3000};
    const struct stat to_strangers = {.st_gid = 4000};

    (void)state;
    put_as("mine", "0104755", "1000", "2000");
    put_as("strange", "0100755", "1000", "7");
    put_as("theirs", "0106777", "7", "7");
    assert_int_equal(set("mine", &to_root, VFS_SET_UID),
                     -EPERM); /* as for any user, though root asks */
    assert_int_equal(set("mine", &to_strangers, VFS_SET_GID), -EPERM);
    assert_int_equal(set("theirs", &to_group, VFS_SET_GID), -EPERM);
    assert_int_equal(set("mine", &to_group, VFS_SET_GID), 0);
    assert_owner("mine", S_IFREG | 0755, 1000, 3000); /* its set-id bits fell */
    assert_int_equal(rig_chmod(&rig, "theirs", 0644), -EPERM);
    assert_int_equal(rig_chmod(&rig, "theirs", 0777), 0); /* as the kernel does before a write */
    assert_owner("theirs", S_IFREG | 0777, 7, 7);
    assert_int_equal(rig_chmod(&rig, "mine", 02755), 0);
    assert_owner("mine", S_IFREG | 02755, 1000, 3000);
    assert_int_equal(rig_chmod(&rig, "strange", 02755), 0);
    assert_owner("strange", S_IFREG | 0755, 1000, 7); /* not in that group */
}

static void sizes_and_times(void **state)
{
    const struct stat then = {.st_mtim = {1, 0}, .st_atim = {1, 0}};
    const struct stat now = {.st_mtim = {0, UTIME_NOW}, .st_atim = {0, UTIME_NOW}};

    (void)state;
    put_as("read", "0100644", "7", "7");
    put_as("write", "0100666", "7", "7");
    put_as("mine", "0100400", "1000", "7");
    assert_int_equal(rig_truncate(&rig, "read", 1), -EACCES);
    assert_int_equal(rig_truncate(&rig, "write", 1), 0);
    assert_int_equal(rig_truncate(&rig, "mine", 1), -EACCES);
    assert_int_equal(set("read", &now, VFS_SET_MTIME | VFS_SET_ATIME), -EACCES);
    assert_int_equal(set("write", &now, VFS_SET_MTIME | VFS_SET_ATIME), 0);
    assert_int_equal(set("write", &then, VFS_SET_MTIME | VFS_SET_ATIME), -EPERM);
    assert_int_equal(set("mine", &then, VFS_SET_MTIME | VFS_SET_ATIME), 0);
}

/* Who opened for writing may cut off, whatever the mode has become. */
static void truncation_by_descriptor(void **state)
{
    const struct stat st = {.st_size = 1};
    struct vfs_entry e;
    struct stat now;
    uint64_t fh;
    int64_t ns;

    (void)state;
    assert_int_equal(
        vfs_create(rig.vfs, &rig.ctx, VFS_ROOT, "f", 0400, O_WRONLY | O_CREAT, &e, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "one", 3), 3);
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, fh, &st, VFS_SET_SIZE, &now, &ns), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("f", "o");
    vfs_forget(rig.vfs, e.node, 1);
}

static void access_call(void **state)
{
    struct vfs_entry e;

    (void)state;
    put_as("f", "0100640", "7", "2000");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(vfs_access(rig.vfs, e.node, F_OK), 0);
    assert_int_equal(vfs_access(rig.vfs, e.node, R_OK), 0);
    assert_int_equal(vfs_access(rig.vfs, e.node, R_OK | W_OK), -EACCES);
    assert_int_equal(vfs_access(rig.vfs, e.node, X_OK), -EACCES);
    vfs_forget(rig.vfs, e.node, 1);
}

static void xattrs(void **state)
{
    struct vfs_entry e;
    char buf[8];

    (void)state;
    put_as("read", "0100644", "7", "7");
    put_as("none", "0100600", "7", "7");
    assert_int_equal(rig_walk(&rig, "read", &e), 0);
    assert_int_equal(vfs_getxattr(rig.vfs, e.node, "user.a", buf, sizeof(buf)), -ENODATA);
    assert_int_equal(vfs_setxattr(rig.vfs, &rig.ctx, e.node, "user.a", "1", 1, 0), -EACCES);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(rig_walk(&rig, "none", &e), 0);
    assert_int_equal(vfs_getxattr(rig.vfs, e.node, "user.a", buf, sizeof(buf)), -EACCES);
    vfs_forget(rig.vfs, e.node, 1);
}

static void root_may_everything(void **state)
{
    const struct stat to = {.st_uid = 5, .st_gid = 6};

    (void)state;
    assert_int_equal(mount_as(NULL, 0, 0, 0), 0);
    rig.ctx.uid = rig.ctx.gid = 1234; /* whoever calls */
    put_as("none", "0100000", "7", "7");
    assert_int_equal(open_close("none", O_RDWR), 0);
    assert_int_equal(set("none", &to, VFS_SET_UID | VFS_SET_GID), 0);
    assert_owner("none", S_IFREG, 5, 6);
    assert_int_equal(rig_put(&rig, "new", "1", 1), 0);
    assert_owner("new", S_IFREG | 0644, 0, 0);
}

/* What another client changed is what counts, after the attribute times. */
static void a_changed_mode_is_noticed(void **state)
{
    struct stat st;

    (void)state;
    put_as("d/", "040755", "7", "7");
    foreign_put("d/f", "1");
    assert_int_equal(rig_stat(&rig, "d/f", &st), 0);
    put_as("d/", "040700", "7", "7");
    clock_fake_add(61 * NS_PER_S);
    assert_int_equal(rig_stat(&rig, "d/f", &st), -EACCES);
}

/* --- root_creation= --- */

static void a_missing_prefix_fails(void **state)
{
    (void)state;
    assert_int_equal(mount_as("team/a/", 1000, 2000, 0), -ENOENT);
    assert_no_object("team/a/");
    rig.conf.enforces_user = false; /* without an access point a prefix is only where keys begin */
    assert_int_equal(rig_remount(&rig), 0);
}

static void creates_root(void)
{
    rig.conf.makes_root = true;
    rig.conf.root_uid = 1000;
    rig.conf.root_gid = 2000;
    rig.conf.root_mode = 02750;
}

static void a_missing_prefix_is_made(void **state)
{
    (void)state;
    creates_root();
    assert_int_equal(mount_as("team/a/", 1000, 2000, 0), 0);
    assert_object("team/a/", "");
    assert_owner("", S_IFDIR | 02750, 1000, 2000);
    assert_int_equal(rig_put(&rig, "f", "1", 1), 0);
    rig.conf.root_mode = 0700; /* it is there now: ignored */
    rig.conf.root_uid = 7;
    assert_int_equal(rig_remount(&rig), 0);
    assert_owner("", S_IFDIR | 02750, 1000, 2000);
}

/* There are keys below it, of another tool: it is there, and has the mount's defaults. */
static void an_implied_prefix_is_there(void **state)
{
    (void)state;
    creates_root();
    foreign_put("team/b/f", "1");
    assert_int_equal(mount_as("team/b/", 1000, 2000, 0), 0);
    assert_no_object("team/b/");
    assert_owner("", S_IFDIR | 0755, 0, 0);
}

static void first(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_PUT && strcmp(req->key, "team/c/") == 0)
        put_as("team/c/", "040711", "8", "8");
}

static void another_mount_was_first(void **state)
{
    (void)state;
    creates_root();
    memstore_set_hooks(rig.store, first, NULL, NULL);
    assert_int_equal(mount_as("team/c/", 1000, 2000, 0), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_owner("", S_IFDIR | 0711, 8, 8);
}

static void a_root_that_cannot_be_made(void **state)
{
    (void)state;
    creates_root();
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(mount_as("team/d/", 1000, 2000, 0), -EACCES);
    rig.conf.read_only = true;
    assert_int_equal(rig_remount(&rig), -ENOENT);
    rig.conf.read_only = false;
    memstore_fail(rig.store, STORE_LIST, 1, 1, -EIO);
    assert_int_equal(rig_remount(&rig), -EIO);
    assert_int_equal(rig_remount(&rig), 0);
}

#define U(f) cmocka_unit_test_setup_teardown(f, setup_user, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        U(new_names_are_the_users),
        U(opening),
        U(directories),
        U(listing_without_search),
        U(removing_and_renaming),
        U(chmod_and_chown),
        U(sizes_and_times),
        U(truncation_by_descriptor),
        U(access_call),
        U(xattrs),
        U(root_may_everything),
        U(a_changed_mode_is_noticed),
        T(a_missing_prefix_fails),
        T(a_missing_prefix_is_made),
        T(an_implied_prefix_is_there),
        T(another_mount_was_first),
        T(a_root_that_cannot_be_made),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
