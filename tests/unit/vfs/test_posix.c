/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes and links at their limits, statfs, and directories that are read while names come and go.
 */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int mknod_as(const char *name, mode_t mode, dev_t rdev)
{
    struct vfs_entry e;
    int r = vfs_mknod(rig.vfs, &rig.ctx, VFS_ROOT, name, mode, rdev, &e);

    if (r == 0)
        vfs_forget(rig.vfs, e.node, 1);
    return r;
}

static void nodes(void **state)
{
    static const struct {
        const char *name;
        mode_t mode;
    } rows[] = {{"fifo", S_IFIFO | 0600},
                {"socket", S_IFSOCK | 0640},
                {"char", S_IFCHR | 0644},
                {"block", S_IFBLK | 0600},
                {"file", S_IFREG | 0644}};
    const size_t n = sizeof(rows) / sizeof(rows[0]);
    struct stat st;

    (void)state;
    for (size_t i = 0; i < n; i++)
        assert_int_equal(mknod_as(rows[i].name, rows[i].mode, makedev(259, 70000)), 0);
    assert_int_equal(mknod_as("file", S_IFREG | 0644, 0), -EEXIST);
    assert_int_equal(mknod_as("d", S_IFDIR | 0755, 0), -EINVAL);
    assert_int_equal(rig_remount(&rig), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(rig_stat(&rig, rows[i].name, &st), 0);
        assert_int_equal(st.st_mode, rows[i].mode);
        if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
            assert_true(st.st_rdev == makedev(259, 70000));
    }
    assert_file("file", "");
}

static void devices_refused(void **state)
{
    struct vfs_conf conf = rig.conf;

    (void)state;
    conf.no_devices = true;
    rig_close(&rig);
    assert_int_equal(rig_open(&rig, &conf), 0);
    assert_int_equal(mknod_as("char", S_IFCHR | 0600, makedev(1, 3)), -EPERM);
    assert_int_equal(mknod_as("block", S_IFBLK | 0600, makedev(8, 0)), -EPERM);
    assert_int_equal(mknod_as("fifo", S_IFIFO | 0600, 0), 0);
    assert_int_equal(mknod_as("file", S_IFREG | 0600, 0), 0);
    assert_no_object("char");
}

/* EFS: 4,080 bytes. */
static void long_links(void **state)
{
    static const size_t lengths[] = {1, 4080, 4095};
    struct vfs_entry e;
    char target[4098], name[16], *got;

    (void)state;
    memset(target, 't', sizeof(target));
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        snprintf(name, sizeof(name), "l%zu", i);
        target[lengths[i]] = '\0';
        assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, target, VFS_ROOT, name, &e), 0);
        vfs_forget(rig.vfs, e.node, 1);
        assert_int_equal(rig_remount(&rig), 0);
        assert_int_equal(rig_walk(&rig, name, &e), 0);
        assert_int_equal(e.st.st_size, lengths[i]);
        assert_int_equal(vfs_readlink(rig.vfs, e.node, &got), 0);
        assert_string_equal(got, target);
        free(got);
        vfs_forget(rig.vfs, e.node, 1);
        target[lengths[i]] = 't';
    }
    target[4096] = '\0';
    assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, target, VFS_ROOT, "no", &e), -ENAMETOOLONG);
}

static void room(void **state)
{
    struct statvfs st;

    (void)state;
    assert_int_equal(vfs_statfs(rig.vfs, &st), 0);
    assert_true(st.f_blocks <= INT64_MAX / st.f_frsize); /* a program's signed bytes */
    assert_true(st.f_blocks * st.f_frsize > UINT64_C(7) << 60);
    assert_true(st.f_bavail == st.f_blocks && st.f_bfree == st.f_blocks);
    assert_true(st.f_files > 0 && st.f_ffree == st.f_files);
    assert_int_equal(st.f_namemax, 255);
}

/* --- directories --- */

#define FILES 10000
#define MORE 500

struct reader {
    unsigned char seen[FILES + MORE];
    uint64_t next; /* the offset to go on from: what telldir(3) tells */
    unsigned room, n;
    char last[16];
};

static int take_entry(void *arg, const char *name, const struct vfs_entry *e, uint64_t next)
{
    struct reader *r = arg;

    (void)e;
    if (r->room == 0)
        return 1;
    r->room--;
    r->n++;
    r->next = next;
    snprintf(r->last, sizeof(r->last), "%.15s", name);
    if (name[0] == 'f')
        r->seen[atoi(name + 1)]++;
    return 0;
}

/* One getdents(2) of a few entries; how many came. */
static unsigned getdents_few(uint64_t fh, struct reader *r, unsigned room)
{
    r->room = room;
    r->n = 0;
    assert_int_equal(vfs_readdir(rig.vfs, fh, r->next, false, take_entry, r), 0);
    return r->n;
}

static void fill(unsigned n)
{
    char key[32];

    for (unsigned i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "d/f%05u", i);
        assert_int_equal(memstore_put(rig.store, key, "x", 1, NULL, NULL), 0);
    }
}

static uint64_t open_dir(const char *path)
{
    struct vfs_entry e;
    uint64_t fh;

    assert_int_equal(rig_walk(&rig, path, &e), 0);
    assert_int_equal(vfs_opendir(rig.vfs, e.node, &fh), 0);
    vfs_forget(rig.vfs, e.node, 1);
    return fh;
}

/* Every third file goes and new ones come while the directory is read in small pieces: every
 * survivor is seen exactly once, whatever came or went at most once. */
static void t23_list_while_deleting(void **state)
{
    static struct reader r;
    unsigned gone = 0, made = 0;
    uint64_t fh;
    char path[32];

    (void)state;
    r = (struct reader){0};
    fill(3000);
    fh = open_dir("d");
    while (getdents_few(fh, &r, 100) > 0) {
        for (unsigned n = 0; n < 35 && gone < 3000; n++, gone += 3) {
            /* from the end and from the start in turn: before and behind the reader */
            snprintf(path, sizeof(path), "d/f%05u", n % 2 == 0 ? gone : 2997 - gone);
            (void)!rig_unlink(&rig, path);
        }
        if (made < MORE) {
            snprintf(path, sizeof(path), "d/f%05u", FILES + made++);
            assert_int_equal(rig_put(&rig, path, "new", 3), 0);
        }
    }
    for (unsigned i = 0; i < FILES + MORE; i++) {
        struct stat st;

        assert_true(r.seen[i] <= 1);
        snprintf(path, sizeof(path), "d/f%05u", i);
        if (i < 3000 && r.seen[i] == 0)
            assert_int_equal(rig_stat(&rig, path, &st), -ENOENT);
    }
    vfs_releasedir(rig.vfs, fh);
}

/* 10,000 entries over hundreds of calls; positions that were told lead back to what followed them,
 * also when that has gone meanwhile. */
static void positions(void **state)
{
    static struct reader r, again;
    struct {
        uint64_t at;
        char next[16];
    } told[40] = {{0}};
    unsigned n_told = 0, calls = 0;
    uint64_t fh;

    (void)state;
    r = again = (struct reader){0};
    fill(FILES);
    fh = open_dir("d");
    while (getdents_few(fh, &r, 37) > 0) {
        if (++calls % 8 == 0 && n_told < 40) {
            told[n_told].at = r.next;
            assert_int_equal(getdents_few(fh, &r, 1), 1);
            strcpy(told[n_told++].next, r.last);
        }
    }
    assert_true(calls > 250);
    for (unsigned i = 0; i < FILES; i++)
        assert_int_equal(r.seen[i], 1);
    for (unsigned i = n_told; i-- > 0;) {
        char path[32];

        snprintf(path, sizeof(path), "d/%s", told[i].next);
        if (i % 2 == 0)
            assert_int_equal(rig_unlink(&rig, path), 0);
        again.next = told[i].at;
        assert_int_equal(getdents_few(fh, &again, 1), 1);
        assert_string_equal(again.last, told[i].next);
    }
    again = (struct reader){0};
    while (getdents_few(fh, &again, 1000) > 0) /* rewinddir(3): what is there now */
        ;
    for (unsigned i = 0, gone = 0; i < FILES; i++) {
        gone += again.seen[i] == 0;
        assert_true(again.seen[i] <= 1 && gone <= 20);
    }
    vfs_releasedir(rig.vfs, fh);
}

/* Times before 1970 stay; those that 64 bits of nanoseconds can't hold become the last that they
 * can. */
static void far_times(void **state)
{
    static const struct {
        int64_t set, want;
    } rows[] = {{-3600, -3600},
                {INT64_C(13569465600), INT64_MAX / NS_PER_S},
                {INT64_MIN / 2, -(INT64_MAX / NS_PER_S)}};
    int64_t attr_ns;
    struct stat st, after;
    struct vfs_entry e;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "x", 1), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        st = (struct stat){.st_mtim.tv_sec = rows[i].set};
        assert_int_equal(rig_walk(&rig, "f", &e), 0);
        assert_int_equal(
            vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, &st, VFS_SET_MTIME, &after, &attr_ns), 0);
        assert_true(after.st_mtim.tv_sec == rows[i].want);
        assert_int_equal(rig_remount(&rig), 0);
        assert_int_equal(rig_stat(&rig, "f", &after), 0);
        assert_true(after.st_mtim.tv_sec == rows[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(far_times),
        T(nodes), T(devices_refused),         T(long_links),
        T(room),  T(t23_list_while_deleting), T(positions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
