/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of docs/semantics.md, one for each row that has a cost. A path is looked up name
 * by name as the kernel does it with nothing cached; files are small (11 bytes) unless the row says
 * otherwise. */
#include "costs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/lib/memstore.h"

#define TEXT "hello world"
#define MIB (UINT64_C(1) << 20)

static int foreign(struct rig *r, const char *key)
{
    return memstore_put(r->store, key, TEXT, strlen(TEXT), NULL, NULL);
}

/* Nothing is known here any more: another mount, or this one after a restart with an empty cache.
 */
static int forget_all(struct rig *r)
{
    struct rig other;
    int x = rig_open_on(&other, r->store, &r->conf);

    if (x < 0)
        return x;
    other.owns_store = r->owns_store;
    r->owns_store = false;
    rig_close(r);
    *r = other;
    r->conf.invalidate_arg = r;
    return rig_remount(r);
}

static int write_at(struct rig *r, const char *path, int flags, uint64_t off)
{
    uint64_t fh;
    ssize_t n;
    int x = rig_open_file(r, path, flags, &fh);

    if (x < 0)
        return x;
    n = vfs_write(r->vfs, &r->ctx, fh, off, TEXT, strlen(TEXT));
    x = rig_shut(r, fh);
    return n < 0 ? (int)n : x;
}

static int write_big(struct rig *r, uint64_t size)
{
    static char block[1 << 20];
    uint64_t fh;
    int x = rig_open_file(r, "big", O_WRONLY | O_CREAT | O_TRUNC, &fh);
    ssize_t n = 0;

    if (x < 0)
        return x;
    memset(block, 'b', sizeof(block));
    for (uint64_t off = 0; off < size && n >= 0; off += sizeof(block))
        n = vfs_write(r->vfs, &r->ctx, fh, off, block, sizeof(block));
    x = rig_shut(r, fh);
    return n < 0 ? (int)n : x;
}

static int read_file(struct rig *r, const char *path)
{
    char buf[64];
    ssize_t n = rig_get(r, path, buf, sizeof(buf));

    return n == (ssize_t)strlen(TEXT) ? 0 : n < 0 ? (int)n : -EIO;
}

static int expect(int got, int want)
{
    return got == want ? 0 : got != 0 ? got : -EIO;
}

/* --- what a row prepares --- */
static int have_file(struct rig *r)
{
    return rig_put(r, "f", TEXT, strlen(TEXT));
}

static int have_foreign(struct rig *r)
{
    return foreign(r, "f");
}

static int have_foreign_known(struct rig *r)
{
    int x = foreign(r, "f");

    return x < 0 ? x : read_file(r, "f");
}

static int have_expired(struct rig *r)
{
    int x = have_file(r);

    clock_fake_add(61 * NS_PER_S);
    return x;
}

static int have_dir(struct rig *r)
{
    return rig_mkdir(r, "d", 0755);
}

static int fill(struct rig *r, const char *dir, int n)
{
    for (int i = 0; i < n; i++) {
        char key[64];
        int x;

        snprintf(key, sizeof(key), "%sf%02d", dir, i);
        x = rig_put(r, key, TEXT, strlen(TEXT));
        if (x < 0)
            return x;
    }
    return 0;
}

static int have_10(struct rig *r)
{
    int x = have_dir(r);

    return x < 0 ? x : fill(r, "d/", 10);
}

static int have_10_elsewhere(struct rig *r)
{
    int x = have_10(r);

    return x < 0 ? x : forget_all(r);
}

/* Ours, known here before a restart: the cache has their attributes. */
static int have_10_restarted(struct rig *r)
{
    int x = have_10(r);

    clock_fake_add(61 * NS_PER_S);
    return x < 0 ? x : rig_remount(r);
}

static int have_file_elsewhere(struct rig *r)
{
    int x = have_file(r);

    return x < 0 ? x : forget_all(r);
}

static int have_big(struct rig *r)
{
    return write_big(r, 40 * MIB);
}

static int have_symlink(struct rig *r)
{
    struct vfs_entry e;
    int x = vfs_symlink(r->vfs, &r->ctx, "target", VFS_ROOT, "l", &e);

    if (x == 0)
        vfs_forget(r->vfs, e.node, 1);
    return x;
}

static int have_symlink_elsewhere(struct rig *r)
{
    int x = have_symlink(r);

    return x < 0 ? x : forget_all(r);
}

/* f and g, and with three names h. Known to the tree as the kernel would know them. */
static int have_links(struct rig *r)
{
    int x = have_file(r);

    return x < 0 ? x : rig_link(r, "f", "g");
}

static int have_3_links(struct rig *r)
{
    int x = have_links(r);

    return x < 0 ? x : rig_link(r, "f", "h");
}

static int have_links_elsewhere(struct rig *r)
{
    int x = have_links(r);

    return x < 0 ? x : forget_all(r);
}

/* --- what a row measures --- */
static int do_link(struct rig *r)
{
    return rig_link(r, "f", "new");
}

static int do_unlink_g(struct rig *r)
{
    return rig_unlink(r, "g");
}

static int do_stat(struct rig *r)
{
    struct stat st;

    return rig_stat(r, "f", &st);
}

static int do_stat_missing(struct rig *r)
{
    struct stat st;

    return expect(rig_stat(r, "nothing", &st), -ENOENT);
}

static int do_stat_dir(struct rig *r)
{
    struct stat st;

    return rig_stat(r, "d", &st);
}

/* The directory is looked up once, as the kernel does it while a reader works in it. */
static int list(struct rig *r, bool with_attributes)
{
    char names[512], *save = NULL;
    struct vfs_entry d;
    int x = rig_walk(r, "d", &d);

    if (x == 0)
        x = rig_ls(r, "d", names, sizeof(names));
    for (char *name = x == 0 ? strtok_r(names, " ", &save) : NULL;
         x == 0 && with_attributes && name != NULL; name = strtok_r(NULL, " ", &save)) {
        struct vfs_entry e;

        x = vfs_lookup(r->vfs, &r->ctx, d.node, name, &e);
        if (x == 0)
            vfs_forget(r->vfs, e.node, 1);
    }
    vfs_forget(r->vfs, d.node, 1);
    return x;
}

static int do_ls(struct rig *r)
{
    return list(r, false);
}

static int do_ls_l(struct rig *r)
{
    return list(r, true);
}

static int do_create(struct rig *r)
{
    uint64_t fh;
    ssize_t n;
    int x = rig_creat(r, "f", O_WRONLY | O_EXCL, 0644, &fh);

    if (x < 0)
        return x;
    n = vfs_write(r->vfs, &r->ctx, fh, 0, TEXT, strlen(TEXT));
    x = rig_shut(r, fh);
    return n < 0 ? (int)n : x;
}

/* Another mount with this option; its session has begun, it knows no names. */
static int mount_with(struct rig *r, enum vfs_excl excl)
{
    r->conf.excl = excl;
    return rig_remount(r);
}

static int do_excl(struct rig *r)
{
    uint64_t fh;
    ssize_t n;
    int x = rig_open_file(r, "f", O_WRONLY | O_CREAT | O_EXCL, &fh);

    if (x < 0)
        return x;
    n = vfs_write(r->vfs, &r->ctx, fh, 0, TEXT, strlen(TEXT));
    x = rig_shut(r, fh);
    return n < 0 ? (int)n : x;
}

static int with_strict(struct rig *r)
{
    uint64_t fh;
    int x = mount_with(r, VFS_EXCL_STRICT);

    if (x == 0)
        x = rig_open_file(r, "first", O_WRONLY | O_CREAT | O_EXCL, &fh);
    return x < 0 ? x : rig_shut(r, fh);
}

static int creates_f(pid_t tid, char path[4096], uint64_t *ret_flags)
{
    (void)tid;
    snprintf(path, 4096, "/images/f");
    *ret_flags = O_WRONLY | O_CREAT | O_EXCL;
    return 0;
}

static int with_seen(struct rig *r)
{
    r->conf.proc_open = creates_f;
    return mount_with(r, VFS_EXCL_OPEN);
}

static int reads_f(pid_t tid, char path[4096], uint64_t *ret_flags)
{
    (void)tid;
    snprintf(path, 4096, "/images/f");
    *ret_flags = O_RDONLY;
    return 0;
}

static int with_reader(struct rig *r)
{
    int x = foreign(r, "f");

    r->conf.proc_open = reads_f;
    return x < 0 ? x : rig_remount(r);
}

static int with_close(struct rig *r)
{
    r->conf.proc_open = creates_f;
    return mount_with(r, VFS_EXCL_CLOSE);
}

static int with_nocto(struct rig *r)
{
    int x;

    r->conf.nocto = true;
    x = rig_remount(r);
    return x < 0 ? x : rig_put(r, "f", TEXT, strlen(TEXT));
}

static int do_put(struct rig *r)
{
    return rig_put(r, "f", TEXT, strlen(TEXT));
}

static int do_append(struct rig *r)
{
    return write_at(r, "f", O_WRONLY | O_APPEND, strlen(TEXT));
}

static int do_range(struct rig *r)
{
    return write_at(r, "f", O_RDWR, 3);
}

static int do_big(struct rig *r)
{
    return write_big(r, 40 * MIB);
}

static int do_range_in_big(struct rig *r)
{
    return write_at(r, "big", O_RDWR, 20 * MIB);
}

static int do_read(struct rig *r)
{
    return read_file(r, "f");
}

static int do_fsync_close(struct rig *r)
{
    uint64_t fh;
    ssize_t n;
    int x = rig_creat(r, "f", O_WRONLY | O_EXCL, 0644, &fh), y;

    if (x < 0)
        return x;
    n = vfs_write(r->vfs, &r->ctx, fh, 0, TEXT, strlen(TEXT));
    x = vfs_fsync(r->vfs, fh);
    y = rig_shut(r, fh);
    return n < 0 ? (int)n : x < 0 ? x : y;
}

static int do_truncate(struct rig *r)
{
    return rig_truncate(r, "f", 5);
}

static int do_chmod(struct rig *r)
{
    return rig_chmod(r, "f", 0600);
}

static int do_chmod_big(struct rig *r)
{
    return rig_chmod(r, "big", 0600);
}

static int do_chmod_dir(struct rig *r)
{
    return rig_chmod(r, "d", 0700);
}

static int do_unlink(struct rig *r)
{
    return rig_unlink(r, "f");
}

static int do_mkdir(struct rig *r)
{
    return rig_mkdir(r, "d", 0755);
}

static int do_rmdir(struct rig *r)
{
    return rig_rmdir(r, "d");
}

static int do_rename(struct rig *r)
{
    return rig_rename(r, "f", "g", 0);
}

static int do_rename_link(struct rig *r)
{
    return rig_rename(r, "f", "new", 0);
}

static int do_rename_new(struct rig *r)
{
    uint64_t fh;
    ssize_t n;
    int x = rig_creat(r, "tmp", O_WRONLY | O_EXCL, 0644, &fh), y;

    if (x < 0)
        return x;
    n = vfs_write(r->vfs, &r->ctx, fh, 0, TEXT, strlen(TEXT));
    x = rig_rename(r, "tmp", "f", 0);
    y = rig_shut(r, fh);
    return n < 0 ? (int)n : x < 0 ? x : y;
}

static int do_rename_dir(struct rig *r)
{
    return rig_rename(r, "d", "e", 0);
}

static int do_copy(struct rig *r)
{
    uint64_t in, out;
    ssize_t n = -1;
    int x = rig_open_file(r, "f", O_RDONLY, &in), y = -1;

    if (x == 0)
        y = rig_creat(r, "copy", O_WRONLY | O_EXCL, 0644, &out);
    if (y == 0) {
        n = vfs_copy_range(r->vfs, &r->ctx, in, 0, out, 0, strlen(TEXT));
        y = rig_shut(r, out);
    }
    if (x == 0)
        x = rig_shut(r, in);
    return n < 0 ? -1 : x < 0 ? x : y;
}

static int do_setxattr(struct rig *r)
{
    struct vfs_entry e;
    int x = rig_walk(r, "f", &e);

    if (x < 0)
        return x;
    x = vfs_setxattr(r->vfs, &r->ctx, e.node, "user.colour", "blue", 4, 0);
    vfs_forget(r->vfs, e.node, 1);
    return x;
}

static int do_readlink(struct rig *r)
{
    char *target = NULL;
    struct vfs_entry e;
    int x = rig_walk(r, "l", &e);

    if (x < 0)
        return x;
    x = vfs_readlink(r->vfs, e.node, &target);
    vfs_forget(r->vfs, e.node, 1);
    free(target);
    return x;
}

static int do_mkfifo(struct rig *r)
{
    struct vfs_entry e;
    int x = vfs_mknod(r->vfs, &r->ctx, VFS_ROOT, "p", S_IFIFO | 0644, 0, &e);

    if (x == 0)
        vfs_forget(r->vfs, e.node, 1);
    return x;
}

static int do_statfs(struct rig *r)
{
    struct statvfs st;

    return vfs_statfs(r->vfs, &st);
}

const struct op costs_ops[] = {
    {"stat of a known name", have_file, do_stat},
    {"stat of a name not known here", have_foreign, do_stat},
    {"stat after the attribute times", have_expired, do_stat},
    {"stat of a name that is not there", NULL, do_stat_missing},
    {"stat of a directory not known here", have_10_elsewhere, do_stat_dir},
    {"ls of 10 files not known here", have_10_elsewhere, do_ls},
    {"ls -l of 10 files not known here", have_10_elsewhere, do_ls_l},
    {"ls -l of 10 files after a restart", have_10_restarted, do_ls_l},
    {"open, read, close of a file not known here", have_foreign, do_read},
    {"the same, where the reader's call can be seen", with_reader, do_read},
    {"open, read, close of a cached file", have_foreign_known, do_read},
    {"open, read, close of a file written here", have_file, do_read},
    {"the same under nocto, within acregmin", with_nocto, do_read},
    {"creat, write, close of a new file", NULL, do_put},
    {"the same, where the name is not asked for", NULL, do_create},
    {"creat with O_EXCL, write, close, where the creator's call can be seen", with_seen, do_excl},
    {"creat with O_EXCL, write, close, under excl=strict", with_strict, do_excl},
    {"creat with O_EXCL, write, close, under excl=close", with_close, do_excl},
    {"creat, write, fsync, close", NULL, do_fsync_close},
    {"open(O_TRUNC), write, close of a known file", have_file, do_put},
    {"open(O_TRUNC), write, close of a file not known here", have_file_elsewhere, do_put},
    {"append to a known file", have_file, do_append},
    {"append to a file not known here", have_file_elsewhere, do_append},
    {"write into a known file", have_file, do_range},
    {"creat, write 40 MiB, close", NULL, do_big},
    {"write 11 bytes into 40 MiB", have_big, do_range_in_big},
    {"truncate", have_file, do_truncate},
    {"cp of a stored file within the mount", have_foreign_known, do_copy},
    {"setxattr, removexattr of user.*", have_file, do_setxattr},
    {"chmod, chown, utimens of a file", have_file, do_chmod},
    {"chmod of a file of 40 MiB", have_big, do_chmod_big},
    {"chmod of a directory", have_dir, do_chmod_dir},
    {"unlink", have_file, do_unlink},
    {"link: a second name", have_file, do_link},
    {"link: a third name", have_links, do_link},
    {"stat of a hard link not known here", have_links_elsewhere, do_stat},
    {"open(O_TRUNC), write, close of a file with 3 names", have_3_links, do_put},
    {"chmod of a file with 3 names", have_3_links, do_chmod},
    {"unlink of one of two names", have_links, do_unlink_g},
    {"mkdir", NULL, do_mkdir},
    {"rmdir", have_dir, do_rmdir},
    {"rename of a hard link", have_links, do_rename_link},
    {"rename of a stored file", have_file, do_rename},
    {"creat, write, rename, close", NULL, do_rename_new},
    {"rename of a directory with 10 files", have_10, do_rename_dir},
    {"symlink", NULL, have_symlink},
    {"readlink of a link not known here", have_symlink_elsewhere, do_readlink},
    {"mkfifo, mknod", NULL, do_mkfifo},
    {"statfs", NULL, do_statfs},
    {"creat, write, close under commit=local", with_local, do_local_create},
    {"20 times open(O_TRUNC), write, close of an unsent file, and what is sent", have_unsent, do_local_again},
    {"rename of an unsent file, and what is sent", have_unsent, do_local_rename},
    {"chmod of an unsent file, and what is sent", have_unsent, do_local_chmod},
    {"unlink of an unsent file", have_unsent, do_local_unlink},
    {"symlink under commit=local, and what is sent", with_local, do_local_symlink},
    {"mkdir under commit=local, and creat, write, close and ls in it", with_local, do_local_mkdir_only},
    {"the same of a directory, and what is sent", with_local, do_local_mkdir},
    {"unlink of a stored file under commit=local", have_sent, do_local_unlink_only},
    {"the same, and what is sent", have_sent, do_local_unlink},
    {"unlink of a stored file and creat, write, close of that name, and what is sent", have_sent, do_local_anew},
    {"chmod of a stored file under commit=local", have_sent, do_local_chmod_only},
    {"chown and chmod of a stored file, and what is sent", have_sent, do_local_attributes},
    {"the first lock of a mount, unlock", have_open, do_lock_unlock},
    {"lock, unlock", have_locked_once, do_lock_unlock},
    {"a lock that a process of the same mount holds", have_lock, do_lock_held_here},
};
const size_t costs_n_ops = sizeof(costs_ops) / sizeof(costs_ops[0]);
