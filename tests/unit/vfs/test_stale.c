/* SPDX-License-Identifier: Apache-2.0 */
/* What is open here while its name changes elsewhere, and what is left of a file that could not be
 * committed: no acknowledged byte is lost without a word, and none is shown that is not there. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_text(uint64_t fh, uint64_t off, const char *text)
{
    ssize_t n = vfs_write(rig.vfs, &rig.ctx, fh, off, text, strlen(text));

    assert_int_equal(n, strlen(text));
}

static uint64_t lost_and_found(void)
{
    struct cache_stats cs;

    cache_stats_get(rig.cache, &cs);
    return cs.lost_found;
}

/* Protocol 2d, also when a stat has seen the stranger's version before the first byte is written.
 */
static void writer_of_a_replaced_file_is_told(void **state)
{
    struct stat st;
    uint64_t fh;

    (void)state;
    foreign_put("f", "base base");
    assert_int_equal(rig_open_file(&rig, "f", O_RDWR, &fh), 0);
    foreign_put("f", "stranger's");
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_size, 10);
    write_text(fh, 0, "MINE");
    assert_int_equal(vfs_fsync(rig.vfs, fh), -ESTALE);
    assert_int_equal(rig_shut(&rig, fh), -ESTALE);
    assert_int_equal(lost_and_found(), 1);
    assert_object("f", "stranger's");
    assert_file("f", "stranger's");
}

static void writer_of_a_removed_file_is_told(void **state)
{
    struct stat st;
    uint64_t fh;

    (void)state;
    foreign_put("f", "base base");
    assert_int_equal(rig_open_file(&rig, "f", O_RDWR, &fh), 0);
    assert_int_equal(memstore_delete(rig.store, "f"), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&rig, "f", &st), -ENOENT);
    write_text(fh, 0, "MINE");
    assert_int_equal(rig_shut(&rig, fh), -ESTALE);
    assert_int_equal(lost_and_found(), 1);
    assert_no_object("f");
}

/* What was removed here is another matter: POSIX lets its writers write, for nobody. */
static void writer_of_a_file_unlinked_here_is_content(void **state)
{
    uint64_t fh;

    (void)state;
    foreign_put("f", "base base");
    assert_int_equal(rig_open_file(&rig, "f", O_RDWR, &fh), 0);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    write_text(fh, 0, "MINE");
    assert_int_equal(vfs_fsync(rig.vfs, fh), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(lost_and_found(), 0);
    assert_no_object("f");
}

/* At the end of the mount the bytes of such a writer are kept, not dropped with its inode. */
static void unmount_keeps_a_stale_writers_bytes(void **state)
{
    struct stat st;
    uint64_t fh;

    (void)state;
    foreign_put("f", "base base");
    assert_int_equal(rig_open_file(&rig, "f", O_RDWR, &fh), 0);
    assert_int_equal(memstore_delete(rig.store, "f"), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&rig, "f", &st), -ENOENT);
    write_text(fh, 0, "MINE");
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(lost_and_found(), 1);
}

struct once {
    enum store_op op;
    bool is_done;
    uint64_t fh;
    void (*run)(struct once *o);
};

static void run_once(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct once *o = arg;

    (void)s;
    (void)result;
    if (req->op != o->op || o->is_done)
        return;
    o->is_done = true;
    o->run(o);
}

static void write_and_chmod(struct once *o)
{
    const struct stat want = {.st_mode = 0600};
    struct vfs_entry e;
    struct stat st;
    int64_t ns;

    assert_int_equal(rig_open_file(&rig, "f", O_RDWR, &o->fh), 0);
    write_text(o->fh, 0, "longer than before");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, o->fh, &want, VFS_SET_MODE, &st, &ns),
                     0);
    vfs_forget(rig.vfs, e.node, 1);
}

/* VFS-4: a HEAD that was asked before the file was opened and changed here is no news. */
static void late_answer_does_not_undo_what_was_written(void **state)
{
    struct once o = {.op = STORE_HEAD, .run = write_and_chmod};
    struct vfs_entry e;
    struct stat st;

    (void)state;
    foreign_put("f", "before");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    clock_fake_add(100 * NS_PER_S);
    memstore_set_hooks(rig.store, NULL, run_once, &o);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_true(o.is_done);
    assert_int_equal(st.st_size, 18);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(rig_shut(&rig, o.fh), 0);
    assert_object("f", "longer than before");
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    vfs_forget(rig.vfs, e.node, 1);
}

static void replace_and_stat(struct once *o)
{
    struct stat st;

    (void)o;
    foreign_put("l", "another file");
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&rig, "l", &st), 0);
}

/* VFS-2: nobody takes a file's content away from the call that is reading it. */
static void content_stays_while_a_call_uses_it(void **state)
{
    struct once o = {.op = STORE_GET, .run = replace_and_stat};
    struct rig other;
    struct vfs_entry e;
    char *target = NULL;
    int r;

    (void)state;
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    assert_int_equal(vfs_symlink(other.vfs, &other.ctx, "a target", VFS_ROOT, "l", &e), 0);
    rig_close(&other);
    assert_int_equal(rig_walk(&rig, "l", &e), 0);
    memstore_set_hooks(rig.store, NULL, run_once, &o);
    r = vfs_readlink(rig.vfs, e.node, &target);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_true(o.is_done);
    assert_int_equal(r, 0);
    assert_string_equal(target, "a target");
    free(target);
    vfs_forget(rig.vfs, e.node, 1);
}

/* A directory that only its keys implied, and whose last key another client removed: the file that
 * is being made in it here still gets there. */
static void implied_directory_stays_for_its_writers(void **state)
{
    struct stat st;
    uint64_t fh;

    (void)state;
    foreign_put("d/x", "x");
    assert_int_equal(rig_creat(&rig, "d/new", O_WRONLY, 0644, &fh), 0);
    write_text(fh, 0, "bytes");
    assert_int_equal(memstore_delete(rig.store, "d/x"), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&rig, "d", &st), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("d/new", "bytes");
    assert_file("d/new", "bytes");
}

/* Pages written through a mapping come from the kernel, without a process (protocol 1). */
static void mapped_writes_are_committed_by_close(void **state)
{
    const struct vfs_ctx kernel = {.pid = 0};
    uint64_t fh;

    (void)state;
    foreign_put("f", "before");
    assert_int_equal(rig_open_file(&rig, "f", O_RDWR, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &kernel, fh, 0, "mapped", 6), 6);
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), 0);
    assert_object("f", "mapped");
    vfs_release(rig.vfs, fh);
}

/* open(O_RDONLY | O_TRUNC) cuts a file off, on every Linux file system. */
static void truncating_reader_commits(void **state)
{
    uint64_t fh;

    (void)state;
    foreign_put("f", "before");
    assert_int_equal(rig_open_file(&rig, "f", O_RDONLY | O_TRUNC, &fh), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("f", "");
}

/* What close() refused is not what the file holds: not its size, not its mode, not the kernel's
 * pages. */
static void refused_bytes_are_not_shown(void **state)
{
    const struct stat want = {.st_mode = 0600};
    struct vfs_entry e;
    char buf[64] = {0};
    struct stat st;
    uint64_t fh;
    int64_t ns;
    bool keep;

    (void)state;
    foreign_put("f", "abc");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(vfs_open(rig.vfs, &rig.ctx, e.node, O_RDWR, &fh, &keep), 0);
    write_text(fh, 0, "0123456789");
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, fh, &want, VFS_SET_MODE, &st, &ns), 0);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(rig_shut(&rig, fh), -EACCES);
    assert_int_equal(lost_and_found(), 1);
    assert_true(rig.invalidations > 0);
    assert_int_equal(vfs_open(rig.vfs, &rig.ctx, e.node, O_RDONLY, &fh, &keep), 0);
    assert_false(keep);
    assert_int_equal(vfs_getattr(rig.vfs, e.node, fh, &st, &ns), 0);
    assert_int_equal(st.st_size, 3);
    assert_int_equal(st.st_mode & 07777, 0644);
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, sizeof(buf)), 3);
    assert_string_equal(buf, "abc");
    assert_int_equal(rig_shut(&rig, fh), 0);
    vfs_forget(rig.vfs, e.node, 1);
}

/* A chmod writes a new version; it does not vouch for pages that the kernel has of an older one. */
static void chmod_does_not_vouch_for_old_pages(void **state)
{
    struct vfs_entry e;
    uint64_t fh;
    bool keep;

    (void)state;
    foreign_put("f", "one");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(vfs_open(rig.vfs, &rig.ctx, e.node, O_RDONLY, &fh, &keep), 0);
    assert_int_equal(rig_shut(&rig, fh), 0); /* the kernel may have its pages */
    foreign_put("f", "two");
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(vfs_open(rig.vfs, &rig.ctx, e.node, O_RDONLY, &fh, &keep), 0);
    assert_false(keep);
    assert_int_equal(rig_shut(&rig, fh), 0);
    vfs_forget(rig.vfs, e.node, 1);
}

/* The same by a rename. */
static void rename_does_not_vouch_for_old_pages(void **state)
{
    struct vfs_entry e;
    uint64_t fh;
    bool keep;

    (void)state;
    foreign_put("f", "one");
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(vfs_open(rig.vfs, &rig.ctx, e.node, O_RDONLY, &fh, &keep), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    foreign_put("f", "two");
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_rename(&rig, "f", "g", 0), 0);
    assert_int_equal(vfs_open(rig.vfs, &rig.ctx, e.node, O_RDONLY, &fh, &keep), 0);
    assert_false(keep);
    assert_int_equal(rig_shut(&rig, fh), 0);
    vfs_forget(rig.vfs, e.node, 1);
}

/* One file that can't be sent does not keep the others here. */
static void drain_sends_what_it_can(void **state)
{
    uint64_t f[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        char name[8];

        snprintf(name, sizeof(name), "f%d", i);
        assert_int_equal(rig_creat(&rig, name, O_WRONLY, 0644, &f[i]), 0);
        write_text(f[i], 0, "bytes");
    }
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(vfs_drain(rig.vfs), -EACCES);
    assert_int_equal(memstore_objects(rig.store), 2);
    for (int i = 0; i < 3; i++)
        assert_int_equal(rig_shut(&rig, f[i]), 0);
    assert_int_equal(memstore_objects(rig.store), 3);
}

/* A shell stands in a directory that is removed under it, here or elsewhere, and lists it. */
static void removed_directory_has_no_names(void **state)
{
    struct vfs_entry e, none;
    struct stat st;
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(rig_walk(&rig, "d", &e), 0);
    assert_int_equal(rig_rmdir(&rig, "d"), 0);
    assert_int_equal(vfs_opendir(rig.vfs, e.node, &fh), -ESTALE);
    assert_int_equal(vfs_lookup(rig.vfs, &rig.ctx, e.node, "x", &none), -ESTALE);
    vfs_forget(rig.vfs, e.node, 1);
    foreign_put("d/x", "x");
    assert_int_equal(rig_walk(&rig, "d", &e), 0);
    assert_int_equal(memstore_delete(rig.store, "d/x"), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&rig, "d", &st), -ENOENT);
    assert_int_equal(vfs_opendir(rig.vfs, e.node, &fh), -ESTALE);
    vfs_forget(rig.vfs, e.node, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(writer_of_a_replaced_file_is_told),
        T(writer_of_a_removed_file_is_told),
        T(writer_of_a_file_unlinked_here_is_content),
        T(unmount_keeps_a_stale_writers_bytes),
        T(late_answer_does_not_undo_what_was_written),
        T(content_stays_while_a_call_uses_it),
        T(implied_directory_stays_for_its_writers),
        T(mapped_writes_are_committed_by_close),
        T(truncating_reader_commits),
        T(refused_bytes_are_not_shown),
        T(chmod_does_not_vouch_for_old_pages),
        T(rename_does_not_vouch_for_old_pages),
        T(drain_sends_what_it_can),
        T(removed_directory_has_no_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
