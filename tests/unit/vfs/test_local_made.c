/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: nodes that are made before their objects are (create.c). */
#include "localmount.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

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

/* Another client's object is never replaced; the log and the status say what did not become of the node. */
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
    assert_int_equal(vfs_fsyncdir(rig.vfs, fh), 0); /* lost+found has it, the log says so */
    assert_no_object("fifo");
    assert_object("link", "there");
    assert_no_object("f");
    assert_int_equal(make_node("fifo", S_IFIFO | 0600, 0), 0);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1, -EIO);
    assert_int_equal(vfs_fsyncdir(rig.vfs, fh), -EIO);
    assert_int_equal(vfs_fsyncdir(rig.vfs, fh), 0);
    assert_object("fifo", "");
    vfs_releasedir(rig.vfs, fh);
}

#define F(f) cmocka_unit_test_setup_teardown(f, fsync_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(nodes),
        L(a_node_in_the_place_of_a_file),
        L(another_client_was_first),
        L(strict_names_go_to_the_bucket),
        F(fsync_of_their_directory),
    };

    return cmocka_run_group_tests_name("vfs/local_made", tests, NULL, NULL);
}
