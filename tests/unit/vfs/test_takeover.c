/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that dies and is followed by another under the living mount: the kernel goes on with its node numbers and
 * handles, and with the answers that it was given. */
#include "keepmount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "cache/table.h"

static void what_is_written_goes_on(void **state)
{
    uint64_t fh;
    struct stat st;
    int64_t ns;
    struct vfs_entry e;

    (void)state;
    fh = creat_answered("new", O_WRONLY);
    begin();
    assert_int_equal(rig_walk(&rig, "new", &e), 0);
    answer();
    write_answered(fh, 0, "first");
    for (int k = 0; k < 3; k++) {
        die();
        assert_int_equal(memstore_count(rig.store, STORE_PUT), 0);
    }
    write_answered(fh, 5, ", second");
    assert_int_equal(vfs_getattr(rig.vfs, e.node, fh, &st, &ns), 0);
    assert_int_equal(st.st_size, 13);
    assert_int_equal(flush(fh), 0);
    assert_object("new", "first, second");
    vfs_release(rig.vfs, fh);
    answer();
    die();
    assert_file("new", "first, second");
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), -EBADF);
}

static void readers_go_on(void **state)
{
    uint64_t fh;
    char buf[32];

    (void)state;
    assert_int_equal(memstore_put(rig.store, "old", "content", 7, NULL, NULL), 0);
    begin();
    assert_int_equal(rig_open_file(&rig, "old", O_RDONLY, &fh), 0);
    answer();
    die();
    assert_int_equal(vfs_read(rig.vfs, fh, 3, buf, sizeof(buf)), 4);
    assert_memory_equal(buf, "tent", 4);
}

/* The daemon is killed in the notification, and what it had found out is in the table by then. */
static void is_killed_here(struct rig *r, uint64_t node)
{
    (void)node;
    rig_set_on_invalidation(NULL);
    others_are_answered();
    assert_int_equal(rig_snapshot(r), 0);
}

static void open_and_close(const char *path)
{
    uint64_t fh;

    begin();
    assert_int_equal(rig_open_file(&rig, path, O_RDONLY, &fh), 0);
    answer();
    begin();
    vfs_release(rig.vfs, fh);
    answer();
}

/* T1: it believes in the old size until it is told. */
static void the_kernel_is_told_what_the_dead_one_had_not(void **state)
{
    (void)state;
    assert_int_equal(memstore_put(rig.store, "old", "content", 7, NULL, NULL), 0);
    open_and_close("old");
    assert_int_equal(memstore_put(rig.store, "old", "other content", 13, NULL, NULL), 0);
    rig_set_on_invalidation(is_killed_here);
    open_and_close("old");
    assert_int_equal(rig.invalidations, 1);
    die();
    open_and_close("old");
    assert_int_equal(rig.invalidations, 2);
    open_and_close("old");
    die(); /* nor is it told again and again */
    open_and_close("old");
    assert_int_equal(rig.invalidations, 2);
}

/* T24 */
static void lost_bytes_fail(void **state)
{
    uint64_t fh;
    char dir[128], path[512];
    const struct dirent *e;
    unsigned n = 0;
    DIR *d;

    (void)state;
    fh = creat_answered("torn", O_WRONLY);
    write_answered(fh, 0, "some bytes");
    assert_int_equal(rig_snapshot(&rig), 0);
    snprintf(dir, sizeof(dir), "%s/takeover", rig.next_dir);
    d = opendir(dir);
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
        if (e->d_name[0] == 'f') {
            assert_int_equal(unlink(path), 0);
            n++;
        }
    }
    closedir(d);
    assert_int_equal(n, 1);
    die();
    assert_int_equal(vfs_fsync(rig.vfs, fh), -EIO);
    assert_int_equal(flush(fh), -EIO);
    assert_no_object("torn");
}

/* What an append came to is kept in one step with it: sent again, it is not made again. */
static void an_append_is_kept_with_its_answer(void **state)
{
    uint32_t *kept;
    uint64_t fh;
    size_t len;

    (void)state;
    fh = creat_answered("log", O_WRONLY | O_APPEND);
    begin();
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "one\n", 4), 4);
    vfs_keep_reply(rig.vfs, last_unique, NULL, 0);
    die(); /* before the answer goes */
    assert_int_equal(vfs_keep_find(rig.vfs, last_unique, (void **)&kept, &len), 0);
    assert_int_equal(len, 12);
    assert_int_equal(kept[0], 0);
    assert_int_equal(kept[1], 4);
    free(kept);
    write_answered(fh, 0, "two\n");
    assert_int_equal(flush(fh), 0);
    assert_object("log", "one\ntwo\n");
}

static void unanswered_calls_leave_nothing(void **state)
{
    uint64_t fh;
    void *kept;
    size_t len;
    struct stat st;

    (void)state;
    begin();
    assert_int_equal(rig_creat(&rig, "never", O_WRONLY, 0644, &fh), 0);
    die();
    assert_int_equal(vfs_keep_find(rig.vfs, last_unique, &kept, &len), -ENOENT);
    assert_int_equal(rig_stat(&rig, "never", &st), -ENOENT);
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), -EBADF);
    fh = creat_answered("never", O_WRONLY | O_EXCL); /* and can be made again */
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), 0);
}

static void an_unheard_create_is_made_again(void **state)
{
    struct vfs_entry e;
    uint64_t fh;

    (void)state;
    begin();
    assert_int_equal(vfs_create(rig.vfs, &rig.ctx, VFS_ROOT, "f", 0644, O_WRONLY | O_EXCL, &e, &fh), 0);
    others_are_answered();
    die();
    fh = creat_answered("f", O_WRONLY | O_EXCL);
    write_answered(fh, 0, "once");
    assert_int_equal(flush(fh), 0);
    assert_object("f", "once");
}

/* Its node's record went with another call's answer, the handle's own did not. */
static void a_release_under_way_is_no_obstacle(void **state)
{
    struct vfs_entry e;
    uint64_t fh;

    (void)state;
    begin();
    assert_int_equal(vfs_create(rig.vfs, &rig.ctx, VFS_ROOT, "f", 0644, O_WRONLY | O_EXCL, &e, &fh), 0);
    answer();
    assert_int_equal(flush(fh), 0);
    begin();
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    answer();
    begin();
    vfs_forget(rig.vfs, e.node, 1);
    vfs_release(rig.vfs, fh);
    others_are_answered();
    die();
    vfs_release(rig.vfs, fh);
    assert_no_object("f");
}

static void names_go_on(void **state)
{
    struct vfs_entry dir, file;
    char key[64];

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "text", 4), 0);
    assert_int_equal(rig_mkdir(&rig, "a", 0755), 0);
    assert_int_equal(rig_mkdir(&rig, "a/b", 0700), 0);
    begin();
    assert_int_equal(rig_walk(&rig, "a/b", &dir), 0);
    assert_int_equal(rig_walk(&rig, "f", &file), 0);
    assert_int_equal(rig_rename(&rig, "f", "a/b/g", 0), 0);
    answer();
    die();
    assert_int_equal(rig_key_of(&rig, file.node, key, sizeof(key)), 0);
    assert_string_equal(key, "a/b/g");
    assert_int_equal(rig_put(&rig, "a/b/h", "more", 4), 0);
    assert_object("a/b/h", "more");
    begin();
    vfs_forget(rig.vfs, file.node, 1000);
    answer();
    die();
    assert_int_equal(rig_key_of(&rig, dir.node, key, sizeof(key)), 0);
    assert_int_equal(rig_key_of(&rig, file.node, key, sizeof(key)), -ESTALE);
}

static void snapshot_after_put(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_PUT)
        assert_int_equal(rig_snapshot(&rig), 0);
}

/* The PUT was done, and the daemon died before it knew: the FLUSH that comes again knows its own. */
static void a_commit_that_landed_is_our_own(void **state)
{
    uint64_t fh;

    (void)state;
    fh = creat_answered("f", O_WRONLY | O_EXCL);
    write_answered(fh, 0, "bytes");
    memstore_set_hooks(rig.store, NULL, snapshot_after_put, NULL);
    begin();
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    die();
    assert_int_equal(flush(fh), 0);
    assert_object("f", "bytes");
}

static void what_was_cut_is_cut(void **state)
{
    struct stat want = {.st_size = 3}, st;
    uint64_t fh;
    int64_t ns;
    struct vfs_entry e;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "0123456789", 10), 0);
    begin();
    assert_int_equal(rig_open_file(&rig, "f", O_RDWR, &fh), 0);
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    answer();
    begin();
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, fh, &want, VFS_SET_SIZE, &st, &ns), 0);
    answer();
    die();
    write_answered(fh, 5, "x");
    assert_int_equal(flush(fh), 0);
    begin();
    vfs_release(rig.vfs, fh);
    answer();
    {
        char buf[16];

        assert_int_equal(rig_get(&rig, "f", buf, sizeof(buf)), 6);
        assert_memory_equal(buf, "012\0\0x", 6);
    }
}

/* Removed, and open: there is no name and no object to find it by. */
static void removed_files_go_on(void **state)
{
    uint64_t old, temp;
    char buf[32];

    (void)state;
    assert_int_equal(rig_put(&rig, "old", "content", 7), 0);
    begin();
    assert_int_equal(rig_open_file(&rig, "old", O_RDWR, &old), 0);
    assert_int_equal(rig_unlink(&rig, "old"), 0);
    answer();
    temp = creat_answered("temp", O_RDWR | O_EXCL);
    write_answered(temp, 0, "scratch");
    begin();
    assert_int_equal(rig_unlink(&rig, "temp"), 0);
    answer();
    for (int k = 0; k < 2; k++) {
        die();
        assert_int_equal(vfs_read(rig.vfs, old, 3, buf, sizeof(buf)), 4);
        assert_memory_equal(buf, "tent", 4);
        assert_int_equal(vfs_read(rig.vfs, temp, 0, buf, sizeof(buf)), 7);
        assert_memory_equal(buf, "scratch", 7);
    }
    write_answered(old, 7, "ment");
    write_answered(temp, 0, "S");
    die();
    assert_int_equal(vfs_read(rig.vfs, old, 0, buf, sizeof(buf)), 11);
    assert_memory_equal(buf, "contentment", 11);
    assert_int_equal(vfs_read(rig.vfs, temp, 0, buf, sizeof(buf)), 7);
    assert_memory_equal(buf, "Scratch", 7);
    assert_int_equal(flush(old), 0);
    assert_int_equal(flush(temp), 0);
    vfs_release(rig.vfs, old);
    vfs_release(rig.vfs, temp);
    assert_no_object("old");
    assert_no_object("temp");
}

/* --- calls by name whose daemon died after the bucket had done it: hooks copy the state there --- */

static struct {
    enum store_op op;
    unsigned n; /* which of them, from 1 */
} at;

static void snapshot_at(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == at.op && at.n > 0 && --at.n == 0)
        assert_int_equal(rig_snapshot(&rig), 0);
}

/* The call is answered by nobody: the daemon dies after the n-th such request of it, and the call comes again. */
static void die_after(enum store_op op, unsigned n)
{
    at.op = op;
    at.n = n;
    memstore_set_hooks(rig.store, NULL, snapshot_at, NULL);
    begin();
}

static void comes_again(void)
{
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_int_equal(at.n, 0);
    vfs_keep_begin(rig.vfs, 0); /* what this thread knows of the call dies with its daemon */
    die();
    vfs_keep_begin(rig.vfs, last_unique);
}

static void a_directory_is_made_once(void **state)
{
    struct vfs_entry e;

    (void)state;
    die_after(STORE_PUT, 1);
    assert_int_equal(vfs_mkdir(rig.vfs, &rig.ctx, VFS_ROOT, "d", 0700, &e), 0);
    comes_again();
    assert_int_equal(vfs_was_made(rig.vfs, &rig.ctx, VFS_ROOT, "d", &e), 1);
    assert_int_equal(e.st.st_mode, S_IFDIR | 0700);
    answer();
    assert_false(vfs_was_tried(rig.vfs)); /* its record went with the answer */
}

/* Made by others before the call that comes again had a chance: who makes a directory as a lock must not believe it his. */
static void anothers_directory_is_not_ours(void **state)
{
    struct vfs_entry e;

    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    die();
    begin();
    assert_int_equal(vfs_was_made(rig.vfs, &rig.ctx, VFS_ROOT, "d", &e), 0);
    assert_int_equal(vfs_mkdir(rig.vfs, &rig.ctx, VFS_ROOT, "d", 0700, &e), -EEXIST);
    assert_int_equal(vfs_was_made(rig.vfs, &rig.ctx, VFS_ROOT, "d", &e), 0);
    answer();
}

static void a_link_is_made_once(void **state)
{
    struct vfs_entry e;

    (void)state;
    die_after(STORE_PUT, 1);
    assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, "target", VFS_ROOT, "l", &e), 0);
    comes_again();
    assert_int_equal(vfs_was_made(rig.vfs, &rig.ctx, VFS_ROOT, "l", &e), 1);
    assert_int_equal(e.st.st_mode & S_IFMT, S_IFLNK);
    answer();
}

/* The call, done or refused, is answered by nobody. */
static void nobody_hears_of_it(void)
{
    assert_int_equal(rig_snapshot(&rig), 0);
    comes_again();
}

static void a_hard_link_is_made_once(void **state)
{
    struct vfs_entry f, e;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "text", 4), 0);
    begin();
    assert_int_equal(vfs_lookup(rig.vfs, &rig.ctx, VFS_ROOT, "f", &f), 0);
    answer();
    begin();
    assert_int_equal(vfs_link(rig.vfs, &rig.ctx, f.node, VFS_ROOT, "g", &e), 0);
    nobody_hears_of_it();
    assert_int_equal(vfs_link(rig.vfs, &rig.ctx, f.node, VFS_ROOT, "g", &e), -EEXIST);
    assert_true(vfs_was_linked(rig.vfs, &rig.ctx, f.node, VFS_ROOT, "g", &e));
    assert_int_equal(e.st.st_nlink, 2);
    answer();
    /* the same again is refused, and so it is when it comes twice */
    begin();
    assert_int_equal(vfs_link(rig.vfs, &rig.ctx, f.node, VFS_ROOT, "g", &e), -EEXIST);
    nobody_hears_of_it();
    assert_int_equal(vfs_link(rig.vfs, &rig.ctx, f.node, VFS_ROOT, "g", &e), -EEXIST);
    assert_false(vfs_was_linked(rig.vfs, &rig.ctx, f.node, VFS_ROOT, "g", &e));
    answer();
}

static void a_file_is_removed_once(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "ours", 4), 0);
    die_after(STORE_DELETE, 1);
    assert_int_equal(vfs_unlink(rig.vfs, &rig.ctx, VFS_ROOT, "f"), 0);
    assert_int_equal(memstore_put(rig.store, "f", "another's", 9, NULL, NULL), 0);
    comes_again();
    assert_int_equal(vfs_was_removed(rig.vfs, VFS_ROOT, "f"), 1);
    answer();
    assert_object("f", "another's");
    begin();
    assert_int_equal(rig_open_file(&rig, "f", O_RDONLY, &fh), 0);
    answer();
    /* one that is still there is removed, and one that is gone already is not asked for twice */
    die_after(STORE_HEAD, 1);
    at.n = 0;
    assert_int_equal(rig_snapshot(&rig), 0);
    comes_again();
    assert_int_equal(vfs_was_removed(rig.vfs, VFS_ROOT, "f"), 0);
    assert_int_equal(vfs_unlink(rig.vfs, &rig.ctx, VFS_ROOT, "f"), 0);
    answer();
    assert_no_object("f");
}

static void a_directory_is_removed_once(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    die_after(STORE_DELETE, 1);
    assert_int_equal(vfs_rmdir(rig.vfs, &rig.ctx, VFS_ROOT, "d"), 0);
    comes_again();
    assert_int_equal(vfs_was_removed(rig.vfs, VFS_ROOT, "d"), 1);
    answer();
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
}

/* After the copy: the next daemon ends the rename; after the DELETE of the old name: it is done. The file is open. */
static void renamed_once(unsigned deletes)
{
    uint64_t fh;
    struct vfs_entry e, now;
    char buf[16];

    assert_int_equal(rig_put(&rig, "old", "ours", 4), 0);
    begin();
    assert_int_equal(rig_walk(&rig, "old", &e), 0);
    assert_int_equal(rig_open_file(&rig, "old", O_RDWR, &fh), 0);
    answer();
    die_after(STORE_DELETE, deletes);
    assert_int_equal(vfs_rename(rig.vfs, &rig.ctx, VFS_ROOT, "old", VFS_ROOT, "new", 0), 0);
    assert_int_equal(memstore_put(rig.store, "old", "another's", 9, NULL, NULL), 0);
    comes_again();
    assert_int_equal(vfs_was_renamed(rig.vfs, VFS_ROOT, "old", VFS_ROOT, "new"), 1);
    answer();
    assert_object("old", "another's");
    assert_object("new", "ours");
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, sizeof(buf)), 4);
    write_answered(fh, 4, ", too");
    assert_int_equal(flush(fh), 0);
    assert_object("new", "ours, too");
    begin();
    assert_int_equal(vfs_lookup(rig.vfs, &rig.ctx, VFS_ROOT, "new", &now), 0);
    answer();
    assert_int_equal(now.node, e.node);
}

static void a_file_is_renamed_once(void **state)
{
    (void)state;
    renamed_once(1);
}

static void an_ended_rename_is_not_made_again(void **state)
{
    (void)state;
    renamed_once(2);
}

/* An attribute that is there, or gone: was it this call's doing? */
static void an_attribute_is_changed_once(void **state)
{
    struct vfs_entry e;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "text", 4), 0);
    begin();
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    answer();
    die_after(STORE_PUT, 1);
    assert_int_equal(vfs_setxattr(rig.vfs, &rig.ctx, e.node, "user.a", "1", 1, XATTR_CREATE), 0);
    comes_again();
    assert_int_equal(vfs_setxattr(rig.vfs, &rig.ctx, e.node, "user.a", "1", 1, XATTR_CREATE), -EEXIST);
    assert_true(vfs_was_tried(rig.vfs));
    answer();
    begin();
    assert_int_equal(vfs_setxattr(rig.vfs, &rig.ctx, e.node, "user.a", "2", 1, XATTR_CREATE), -EEXIST);
    assert_false(vfs_was_tried(rig.vfs)); /* this one did nothing */
    answer();
    die_after(STORE_PUT, 1);
    assert_int_equal(vfs_removexattr(rig.vfs, &rig.ctx, e.node, "user.a"), 0);
    comes_again();
    assert_int_equal(vfs_removexattr(rig.vfs, &rig.ctx, e.node, "user.a"), -ENODATA);
    assert_true(vfs_was_tried(rig.vfs));
    answer();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        K(what_is_written_goes_on),
        K(readers_go_on),
        K(the_kernel_is_told_what_the_dead_one_had_not),
        K(lost_bytes_fail),
        K(an_append_is_kept_with_its_answer),
        K(unanswered_calls_leave_nothing),
        K(an_unheard_create_is_made_again),
        K(a_release_under_way_is_no_obstacle),
        K(names_go_on),
        K(a_commit_that_landed_is_our_own),
        K(removed_files_go_on),
        K(a_directory_is_made_once),
        K(anothers_directory_is_not_ours),
        K(a_link_is_made_once),
        K(a_hard_link_is_made_once),
        K(a_file_is_removed_once),
        K(a_directory_is_removed_once),
        K(a_file_is_renamed_once),
        K(an_ended_rename_is_not_made_again),
        K(an_attribute_is_changed_once),
        K(what_was_cut_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
