/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: nodes (create.c) and directories (makedir.h) that are made before their objects
 * are. */
#include "localmount.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "fs/vfs/makedir.h"

static int make_node(const char *name, mode_t mode, dev_t rdev)
{
    struct vfs_entry e;
    int r = vfs_mknod(rig.vfs, &rig.ctx, VFS_ROOT, name, mode, rdev, &e);

    if (r == 0)
        vfs_forget(rig.vfs, e.node, 1);
    return r;
}

static void assert_node(const char *name, mode_t mode, dev_t rdev)
{
    struct stat st;

    assert_int_equal(rig_stat(&rig, name, &st), 0);
    assert_int_equal(st.st_mode, mode);
    assert_int_equal(st.st_rdev, rdev);
}

static void assert_nodes(void)
{
    assert_node("fifo", S_IFIFO | 0600, 0);
    assert_node("socket", S_IFSOCK | 0644, 0);
    assert_node("null", S_IFCHR | 0644, makedev(1, 3));
    assert_node("loop", S_IFBLK | 0640, makedev(7, 300));
    assert_node("file", S_IFREG | 0644, 0);
}

static void nodes(void **state)
{
    (void)state;
    memstore_count_reset(rig.store);
    assert_int_equal(make_node("fifo", S_IFIFO | 0600, 0), 0);
    assert_int_equal(make_node("socket", S_IFSOCK | 0644, 0), 0);
    assert_int_equal(make_node("null", S_IFCHR | 0644, makedev(1, 3)), 0);
    assert_int_equal(make_node("loop", S_IFBLK | 0640, makedev(7, 300)), 0);
    assert_int_equal(make_node("file", 0644, 0), 0);
    assert_int_equal(make_node("fifo", S_IFIFO | 0600, 0), -EEXIST);
    assert_int_equal(entries(), 5);
    assert_nodes();
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_nodes();
    memstore_count_reset(rig.store);
    send_all(5);
    assert_int_equal(n_puts(), 5);
    assert_nodes();
    assert_int_equal(rig_crash(&rig), 0); /* and now the bucket says it */
    assert_nodes();
    assert_int_equal(kept(), 0);
}

static void a_node_in_the_place_of_a_file(void **state)
{
    (void)state;
    put_text("f", "text");
    send_all(1);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(make_node("f", S_IFIFO | 0600, 0), 0);
    assert_node("f", S_IFIFO | 0600, 0);
    memstore_count_reset(rig.store);
    send_all(1);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 1);
    assert_object("f", "");
    assert_int_equal(make_node("gone", S_IFIFO | 0600, 0), 0);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_unlink(&rig, "gone"), 0);
    send_all(0);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
}

/* Another client's object is never replaced; the log and the status say what did not become of the
 * node. */
static void another_client_was_first(void **state)
{
    struct vfs_stats st;
    struct stat now;

    (void)state;
    assert_int_equal(make_node("o", S_IFIFO | 0600, 0), 0);
    foreign_put("o", "theirs");
    send_all(0);
    assert_object("o", "theirs");
    vfs_stats_get(rig.vfs, &st);
    assert_int_equal(st.commit_errors, 1);
    assert_true(st.last_error[0] != '\0');
    assert_int_equal(rig_stat(&rig, "o", &now), 0);
    assert_true(S_ISREG(now.st_mode));
}

/* Of two makers one hears of the other before his call returns. */
static void strict_names_go_to_the_bucket(void **state)
{
    struct vfs_entry e;

    (void)state;
    rig.conf.excl = VFS_EXCL_STRICT;
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(make_node("fifo", S_IFIFO | 0600, 0), 0);
    assert_object("fifo", "");
    assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, "there", VFS_ROOT, "link", &e), 0);
    vfs_forget(rig.vfs, e.node, 1);
    assert_object("link", "there");
    foreign_put("taken", "theirs");
    assert_int_equal(make_node("taken", S_IFIFO | 0600, 0), -EEXIST);
    assert_int_equal(entries(), 0);
}

/* --- directories --- */

#define NEVER 10

static char sent[NEVER][16];
static unsigned n_sent;

static void note_put(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if ((req->op == STORE_PUT || req->op == STORE_COPY) && req->key[0] != '.' && n_sent < NEVER)
        snprintf(sent[n_sent++], sizeof(sent[0]), "%s", req->key);
}

/* Each PUT and copy to a user's key is noted as it begins. */
static void note_puts(void)
{
    n_sent = 0;
    memstore_set_hooks(rig.store, note_put, NULL, NULL);
}

static void assert_sent(unsigned n, const char *first, const char *second)
{
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_int_equal(n_sent, n);
    assert_string_equal(sent[0], first);
    assert_string_equal(sent[1], second);
}

static void assert_names(const char *dir, const char *want)
{
    char names[128];

    assert_int_equal(rig_ls(&rig, dir, names, sizeof(names)), 0);
    assert_string_equal(names, want);
}

static void assert_dir(const char *path, mode_t mode)
{
    assert_node(path, S_IFDIR | mode, 0);
}

static void assert_not_there(const char *path)
{
    assert_int_equal(rig_stat(&rig, path, &(struct stat){0}), -ENOENT);
}

/* What the bucket says of a marker. */
static void assert_marker(const char *key, const char *mode)
{
    struct store_obj obj = {0};

    assert_int_equal(memstore_get(rig.store, key, &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, "x-amz-meta-file-permissions"), mode);
    store_obj_done(&obj);
}

static void foreign_dir(const char *key, const char *mode)
{
    struct store_hdrs hdrs = {0};

    assert_int_equal(store_hdrs_set(&hdrs, "x-amz-meta-file-permissions", mode), 0);
    assert_int_equal(
        store_hdrs_set(&hdrs, "x-amz-meta-s3efs-id", "0123456789abcdef0123456789abcdef"), 0);
    assert_int_equal(memstore_put(rig.store, key, "", 0, &hdrs, NULL), 0);
    store_hdrs_done(&hdrs);
}

static uint64_t errors(void)
{
    struct vfs_stats st;

    vfs_stats_get(rig.vfs, &st);
    return st.commit_errors;
}

static void directories(void **state)
{
    struct vfs_unsent u;
    struct vfs_entry e;

    (void)state;
    memstore_count_reset(rig.store);
    assert_int_equal(rig_mkdir(&rig, "d", 0700), 0);
    assert_int_equal(vfs_mkdir(rig.vfs, &rig.ctx, VFS_ROOT, "d", 0700, &e), -EEXIST);
    assert_int_equal(rig_mkdir(&rig, "d/e", 0750), 0);
    put_text("d/e/f", "text");
    assert_names("", "d");
    assert_names("d", "e");
    assert_names("d/e", "f");
    assert_not_there("d/none");
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 1); /* the root's LIST */
    assert_int_equal(entries(), 3);
    assert_int_equal(vfs_unsent_get(rig.vfs, 1, &u), 0);
    assert_int_equal(u.files, 3);
    assert_string_equal(u.keys[0], "d/");
    vfs_unsent_done(&u);
    assert_int_equal(rig_crash(&rig), 0);
    assert_dir("d", 0700);
    assert_dir("d/e", 0750);
    assert_names("d/e", "f");
    memstore_count_reset(rig.store);
    note_puts();
    send_all(3);
    assert_sent(3, "d/", "d/e/");
    assert_int_equal(n_puts(), 3);
    assert_marker("d/", "040700");
    assert_names("", "d");
    assert_names("d", "e");
    assert_int_equal(rig_crash(&rig), 0); /* and now the bucket says it */
    assert_dir("d", 0700);
    assert_dir("d/e", 0750);
    assert_file("d/e/f", "text");
    assert_int_equal(kept() + errors(), 0);
}

/* MKD-2: all of it without the network. */
static void in_an_outage(void **state)
{
    (void)state;
    assert_names("", "");
    for (enum store_op op = 0; op < STORE_OPS; op++)
        memstore_fail(rig.store, op, 1, 1000000, -EIO);
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(rig_mkdir(&rig, "d/e", 0755), 0);
    put_text("d/e/f", "text");
    assert_int_equal(outbox_run(rig.vfs),
                     0); /* the marker may be there now, the bucket has nothing else */
    assert_int_equal(rig_mkdir(&rig, "d/g", 0755), 0);
    put_text("d/g/h", "more");
    assert_int_equal(rig_rename(&rig, "d/g/h", "d/e/h", 0), 0);
    assert_int_equal(rig_rmdir(&rig, "d/e"), -ENOTEMPTY);
    assert_int_equal(rig_unlink(&rig, "d/e/f"), 0);
    assert_int_equal(rig_rmdir(&rig, "d/g"), 0);
    assert_int_equal(rig_chmod(&rig, "d", 0711), 0);
    assert_names("d", "e");
    assert_names("d/e", "h");
    assert_not_there("d/g");
    memstore_clear_faults(rig.store);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_int_equal(entries(), 0);
    assert_object("d/e/h", "more");
    assert_no_object("d/g/");
    assert_marker("d/", "040711");
}

static void attributes_set_before_it_is_sent(void **state)
{
    (void)state;
    memstore_count_reset(rig.store);
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    for (mode_t k = 0; k < 5; k++)
        assert_int_equal(rig_chmod(&rig, "d", 0700 + k), 0);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_int_equal(entries(), 1);
    assert_int_equal(rig_crash(&rig), 0);
    assert_dir("d", 0704);
    memstore_count_reset(rig.store);
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_marker("d/", "040704");
}

/* The reply was lost, and the marker that is there is not what was acknowledged since. */
static void attributes_set_after_a_lost_reply(void **state)
{
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        const char *dir = crash ? "b" : "a", *key = crash ? "b/" : "a/";

        assert_int_equal(rig_mkdir(&rig, dir, 0755), 0);
        memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
        memstore_fail(rig.store, STORE_HEAD, 1, 1, -EIO);
        assert_int_equal(outbox_run(rig.vfs), 0);
        assert_marker(key, "040755");
        assert_int_equal(rig_chmod(&rig, dir, 0700), 0);
        if (crash)
            assert_int_equal(rig_crash(&rig), 0);
        clock_fake_add(60 * NS_PER_S);
        send_all(1);
        assert_marker(key, "040700");
        assert_dir(dir, 0700);
    }
}

/* MKD-3 */
static void another_client_made_it(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(rig_mkdir(&rig, "e", 0755), 0);
    assert_int_equal(rig_chmod(&rig, "e", 0711), 0);
    put_text("d/ours", "ours");
    foreign_dir("d/", "040750");
    foreign_dir("e/", "040750");
    foreign_put("d/theirs", "theirs");
    assert_names("d", "ours");
    send_all(3);
    assert_marker("d/", "040750");
    assert_dir("d", 0750);
    assert_marker("e/", "040711");
    assert_dir("e", 0711);
    assert_names("d", "ours theirs");
    assert_names("", "d e");
    assert_int_equal(kept() + errors(), 0);
}

/* It is looked for where the directory has waited: a file is not hidden by it, but what was
 * acknowledged below it is never given up for that. */
static void another_client_made_a_file(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(rig_mkdir(&rig, "e", 0755), 0);
    put_text("e/f", "text");
    foreign_put("d", "theirs");
    foreign_put("e", "theirs");
    clock_fake_add(60 * NS_PER_S);
    send_all(2);
    assert_no_object("d/");
    assert_file("d", "theirs");
    assert_object("e/f", "text");
    assert_object("e/", "");
    assert_object("e", "theirs");
    assert_int_equal(errors(), 1);
}

static void a_directory_is_refused(void **state)
{
    struct vfs_stats st;

    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    memstore_fail(rig.store, STORE_HEAD, 1, 1, -EACCES);
    assert_int_equal(vfs_drain(rig.vfs), -EACCES); /* as for a file */
    assert_not_there("d");
    assert_names("", "");
    vfs_stats_get(rig.vfs, &st);
    assert_int_equal(st.commit_errors, 1);
    assert_non_null(strstr(st.last_error, "d/"));
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    send_all(1);
    assert_object("d/", "");
}

/* MKD-1 holds for a copy within the bucket too, which is no commit. */
static void copied_into_it(void **state)
{
    uint64_t in, out;
    char names[16];

    (void)state;
    put_text("f", "text");
    send_all(1);
    assert_int_equal(rig_mkdir(&rig, "d", 0700), 0);
    in = open_text("f", O_RDONLY);
    assert_int_equal(rig_creat(&rig, "d/g", O_WRONLY, 0644, &out), 0);
    assert_int_equal(vfs_copy_range(rig.vfs, &rig.ctx, in, 0, out, 0, 4), 4);
    assert_int_equal(memstore_count(rig.store, STORE_COPY), 1);
    assert_object("d/g", "text");
    assert_object("d/", "");
    assert_int_equal(rig_ls(&rig, "d", names, sizeof(names)), 0);
    assert_string_equal(names, "g");
    assert_int_equal(rig_shut(&rig, in), 0);
    assert_int_equal(rig_shut(&rig, out), 0);
    assert_int_equal(rig_rmdir(&rig, "d"), -ENOTEMPTY);
}

/* It was seen in the bucket, and is gone when its attributes are to be put there. */
static void removed_elsewhere_meanwhile(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0);
    foreign_put("d/", "");
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EIO); /* that of its attributes */
    clock_fake_add(60 * NS_PER_S);
    assert_int_equal(outbox_run(rig.vfs), 0);
    assert_int_equal(entries(), 1);
    assert_int_equal(memstore_delete(rig.store, "d/"), 0);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_object("d/", "");
    assert_int_equal(entries(), 0);
}

static bool is_idle(struct vfs *v)
{
    bool idle;

    lock_take(&v->tree);
    idle = v->locked.out_senders == 1 && v->locked.out_idle == 1;
    lock_drop(&v->tree);
    return idle;
}

/* A sender passes over a directory that is being changed, and sleeps: it is told when it may go on. */
static void a_sender_came_meanwhile(void **state)
{
    struct inode *dir;
    struct vfs_entry e;

    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(rig_walk(&rig, "d", &e), 0);
    assert_int_equal(inode_get(rig.vfs, e.node, &dir), 0);
    assert_true(makedir_claim(rig.vfs, dir));
    rig.vfs->conf.send_by_hand = false;
    outbox_wake(rig.vfs);
    while (!is_idle(rig.vfs))
        usleep(1000);
    makedir_release(rig.vfs, dir);
    while (entries() > 0)
        usleep(1000);
    assert_object("d/", "");
    inode_unref(rig.vfs, dir);
    vfs_forget(rig.vfs, e.node, 1);
}

static void removed_before_it_is_sent(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(rig_mkdir(&rig, "d/e", 0755), 0);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_rmdir(&rig, "d"), -ENOTEMPTY);
    assert_int_equal(rig_rmdir(&rig, "d/e"), 0);
    assert_int_equal(rig_rmdir(&rig, "d"), 0);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_int_equal(entries(), 0);
    send_all(0);
    assert_not_there("d");
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0); /* a try may have made it */
    memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0);
    assert_object("d/", "");
    assert_int_equal(rig_rmdir(&rig, "d"), 0);
    assert_no_object("d/");
    assert_int_equal(entries(), 0);
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0); /* or an earlier process */
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(rig_rmdir(&rig, "d"), 0);
    assert_int_equal(rig_crash(&rig), 0);
    send_all(0);
    assert_not_there("d");
}

/* MKD-1: whoever brings something below it brings its marker first. */
static void its_marker_goes_first(void **state)
{
    struct vfs_entry e;

    (void)state;
    put_text("f", "text");
    put_text("g", "more");
    send_all(2);
    note_puts();
    assert_int_equal(rig_mkdir(&rig, "a", 0700), 0);
    rename_in_bucket("f", "a/f");
    assert_sent(2, "a/", "a/f");
    note_puts();
    assert_int_equal(rig_mkdir(&rig, "a2", 0700), 0);
    assert_int_equal(rig_rename(&rig, "a/f", "a2/f", 0), 0);
    send_all(3);
    assert_sent(2, "a2/", "a2/f");
    note_puts();
    assert_int_equal(rig_mkdir(&rig, "b", 0700), 0);
    assert_int_equal(rig_link(&rig, "g", "b/g"), 0);
    assert_string_equal(sent[0], "b/");
    note_puts();
    assert_int_equal(rig_mkdir(&rig, "c", 0700), 0);
    assert_int_equal(rig_mkdir(&rig, "c/d", 0700), 0);
    put_text("c/d/f", "text");
    assert_int_equal(rig_walk(&rig, "c/d", &e), 0);
    assert_int_equal(vfs_setxattr(rig.vfs, &rig.ctx, e.node, "user.k", "v", 1, 0), 0);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(n_sent, 0); /* its entry has that, too */
    assert_int_equal(entries(), 3);
    assert_int_equal(rig_mkdir(&rig, "x", 0700), 0);
    assert_int_equal(rig_rename(&rig, "c", "x/c", 0), 0);
    assert_string_equal(sent[0], "c/");
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_object("x/", "");
    assert_object("x/c/d/f", "text");
    assert_marker("x/c/d/", "040700");
    assert_no_object("c/");
    assert_int_equal(entries(), 0);
}

static void an_unsent_one_is_renamed(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0700), 0);
    assert_int_equal(rig_mkdir(&rig, "d/e", 0711), 0);
    put_text("d/e/f", "text");
    assert_int_equal(rig_mkdir(&rig, "over", 0755), 0);
    assert_int_equal(rig_rename(&rig, "d", "over", 0), 0);
    assert_int_equal(entries(), 0);
    assert_marker("over/", "040700");
    assert_marker("over/e/", "040711");
    assert_file("over/e/f", "text");
    assert_no_object("d/");
    assert_int_equal(rig_crash(&rig), 0);
    assert_names("", "over");
    assert_dir("over/e", 0711);
}

static void another_mode_sends_them(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0700), 0);
    put_text("d/f", "text");
    rig.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_crash(&rig), 0);
    assert_dir("d", 0700);
    assert_int_equal(rig_chmod(&rig, "d", 0750), 0);
    assert_marker("d/", "040750");
    assert_int_equal(rig_mkdir(&rig, "e", 0700), 0);
    assert_object("e/", "");
    send_all(1);
    assert_file("d/f", "text");
}

static void strict_directories_go_to_the_bucket(void **state)
{
    struct vfs_entry e;

    (void)state;
    rig.conf.excl = VFS_EXCL_STRICT;
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_mkdir(&rig, "d", 0700), 0);
    assert_object("d/", "");
    foreign_dir("lock/", "040755");
    assert_int_equal(vfs_mkdir(rig.vfs, &rig.ctx, VFS_ROOT, "lock", 0700, &e), -EEXIST);
    assert_int_equal(entries(), 0);
}

/* Another mount sees it, and what is in it, when it was sent. */
static void other_mounts(void **state)
{
    struct rig other;
    struct stat st;
    char names[16];

    (void)state;
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    assert_int_equal(rig_mkdir(&rig, "d", 0700), 0);
    put_text("d/f", "text");
    assert_int_equal(rig_stat(&other, "d", &st), -ENOENT);
    send_all(2);
    clock_fake_add(60 * NS_PER_S);
    assert_int_equal(rig_stat(&other, "d", &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0700);
    assert_int_equal(rig_ls(&other, "d", names, sizeof(names)), 0);
    assert_string_equal(names, "f");
    rig_close(&other);
}

static int fsync_setup(void **state)
{
    (void)state;
    return local_setup_as(VFS_COMMIT_FSYNC);
}

static void fsync_of_their_directory(void **state)
{
    struct vfs_entry e;
    uint64_t fh;

    (void)state;
    assert_int_equal(vfs_opendir(rig.vfs, VFS_ROOT, &fh), 0);
    assert_int_equal(make_node("fifo", S_IFIFO | 0600, 0), 0);
    assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, "there", VFS_ROOT, "link", &e), 0);
    vfs_forget(rig.vfs, e.node, 1);
    put_text("f", "text");
    assert_int_equal(entries(), 3);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES); /* the first one's */
    memstore_fail(rig.store, STORE_HEAD, 1, 1, -EACCES);
    assert_int_equal(vfs_fsyncdir(rig.vfs, fh), -EIO); /* lost+found has it */
    assert_no_object("fifo");
    assert_int_equal(vfs_fsyncdir(rig.vfs, fh), 0);
    assert_object("link", "there");
    assert_no_object("f");
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    memstore_fail(rig.store, STORE_HEAD, 1, 1, -EACCES);
    assert_int_equal(vfs_fsyncdir(rig.vfs, fh), -EIO);
    assert_not_there("d");
    assert_int_equal(make_node("fifo", S_IFIFO | 0600, 0), 0);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1, -EIO);
    assert_int_equal(vfs_fsyncdir(rig.vfs, fh), -EIO);
    assert_int_equal(vfs_fsyncdir(rig.vfs, fh), 0);
    assert_object("fifo", "");
    vfs_releasedir(rig.vfs, fh);
}

/* MKD-1 */
static void fsync_of_a_file_in_one(void **state)
{
    uint64_t fh, dir;
    struct vfs_entry e;

    (void)state;
    note_puts();
    assert_int_equal(rig_mkdir(&rig, "d", 0700), 0);
    assert_int_equal(rig_creat(&rig, "d/f", O_WRONLY, 0644, &fh), 0);
    write_text(fh, 0, "text");
    assert_int_equal(vfs_fsync(rig.vfs, fh), 0);
    assert_sent(2, "d/", "d/f");
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(rig_mkdir(&rig, "d/e", 0700), 0);
    assert_int_equal(rig_mkdir(&rig, "d/e/sub", 0700), 0);
    assert_int_equal(rig_walk(&rig, "d/e", &e), 0);
    assert_int_equal(vfs_opendir(rig.vfs, e.node, &dir), 0);
    assert_int_equal(vfs_fsyncdir(rig.vfs, dir), 0);
    vfs_releasedir(rig.vfs, dir);
    vfs_forget(rig.vfs, e.node, 1);
    assert_object("d/e/", "");
    assert_object("d/e/sub/", "");
    assert_int_equal(entries(), 0);
}

#define F(f) cmocka_unit_test_setup_teardown(f, fsync_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(nodes),
        L(a_node_in_the_place_of_a_file),
        L(another_client_was_first),
        L(strict_names_go_to_the_bucket),
        L(directories),
        L(in_an_outage),
        L(attributes_set_before_it_is_sent),
        L(attributes_set_after_a_lost_reply),
        L(another_client_made_it),
        L(another_client_made_a_file),
        L(a_directory_is_refused),
        L(copied_into_it),
        L(removed_elsewhere_meanwhile),
        L(a_sender_came_meanwhile),
        L(removed_before_it_is_sent),
        L(its_marker_goes_first),
        L(an_unsent_one_is_renamed),
        L(another_mode_sends_them),
        L(strict_directories_go_to_the_bucket),
        L(other_mounts),
        F(fsync_of_their_directory),
        F(fsync_of_a_file_in_one),
    };

    return cmocka_run_group_tests_name("vfs/local_made", tests, NULL, NULL);
}
