/* SPDX-License-Identifier: Apache-2.0 */
/* Hard links, on one mount and between two. */
#include <linux/fs.h>

#include "coord/link.h"

#include "twomounts.h"

static void assert_no_object(const char *key)
{
    assert_int_equal(memstore_get(a.store, key, NULL, NULL), STORE_NOT_FOUND);
}

static void assert_nlink(struct rig *r, const char *path, unsigned n)
{
    struct stat st;

    assert_int_equal(rig_stat(r, path, &st), 0);
    assert_int_equal(st.st_nlink, n);
}

static void assert_one_file(struct rig *r, const char *path, const char *other)
{
    struct stat x, y;

    assert_int_equal(rig_stat(r, path, &x), 0);
    assert_int_equal(rig_stat(r, other, &y), 0);
    assert_int_equal(x.st_ino, y.st_ino);
    assert_int_equal(x.st_nlink, y.st_nlink);
    assert_int_equal(x.st_mode, y.st_mode);
    assert_int_equal(x.st_size, y.st_size);
}

static void pass(int64_t seconds)
{
    clock_fake_add(seconds * NS_PER_S);
}

static void make_pair(void)
{
    assert_int_equal(rig_put(&a, "f", "one", 3), 0);
    assert_int_equal(rig_link(&a, "f", "g"), 0);
}

static void two_names_one_file(void **state)
{
    struct vfs_entry x, y;

    (void)state;
    make_pair();
    assert_object("f", "one");
    assert_object("g", "one");
    assert_nlink(&a, "f", 2);
    assert_nlink(&a, "g", 2);
    assert_int_equal(rig_walk(&a, "f", &x), 0);
    assert_int_equal(rig_walk(&a, "g", &y), 0);
    assert_int_equal(x.node, y.node);
    vfs_forget(a.vfs, x.node, 2);
    assert_int_equal(rig_put(&a, "g", "two two", 7), 0);
    assert_file(&a, "f", "two two");
    assert_object("f", "two two");
    assert_object("g", "two two");
    assert_int_equal(rig_put(&a, "f", "3", 1), 0);
    assert_object("g", "3");
    assert_int_equal(rig_chmod(&a, "f", 0600), 0);
    assert_one_file(&a, "f", "g");
}

static void refused(void **state)
{
    struct vfs_entry e;

    (void)state;
    make_pair();
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_link(&a, "d", "e"), -EPERM);
    assert_int_equal(rig_link(&a, "f", "g"), -EEXIST);
    assert_int_equal(rig_link(&a, "none", "x"), -ENOENT);
    assert_int_equal(rig_link(&a, "f", ".s3efs"), -EPERM);
    assert_int_equal(memstore_put(a.store, "foreign", "F", 1, NULL, NULL), 0);
    assert_int_equal(rig_link(&a, "f", "foreign"), -EEXIST);
    assert_object("foreign", "F");
    assert_nlink(&a, "f", 2);
    assert_int_equal(rig_walk(&a, "f", &e), 0);
    a.conf.read_only = true;
    assert_int_equal(rig_remount(&a), 0);
    assert_int_equal(rig_link(&a, "f", "h"), -EROFS);
}

/* What is being written goes up before it gets a second name. */
static void dirty_source(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&a, "f", O_WRONLY, 0644, &fh), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "abc", 3), 3);
    assert_int_equal(rig_link(&a, "f", "g"), 0);
    assert_object("g", "abc");
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 3, "def", 3), 3);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_object("f", "abcdef");
    assert_object("g", "abcdef");
}

static void unlink_one(void **state)
{
    struct stat before, after;
    uint64_t fh;
    char buf[8] = {0};

    (void)state;
    make_pair();
    assert_int_equal(rig_link(&a, "f", "h"), 0);
    assert_nlink(&a, "g", 3);
    assert_int_equal(rig_open_file(&a, "f", O_RDWR, &fh), 0);
    assert_int_equal(rig_stat(&a, "g", &before), 0);
    pass(1);
    assert_int_equal(rig_unlink(&a, "f"), 0); /* the name whose key the file had */
    assert_no_object("f");
    assert_int_equal(rig_stat(&a, "g", &after), 0);
    assert_int_equal(after.st_nlink, 2);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_true(after.st_ctim.tv_sec > before.st_ctim.tv_sec);
    assert_int_equal(vfs_read(a.vfs, fh, 0, buf, 3), 3);
    assert_string_equal(buf, "one");
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "ONE", 3), 3);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_object("g", "ONE");
    assert_object("h", "ONE");
    assert_int_equal(rig_unlink(&a, "h"), 0);
    assert_nlink(&a, "g", 1);
    assert_int_equal(rig_put(&a, "g", "alone", 5), 0);
    assert_int_equal(rig_unlink(&a, "g"), 0);
    assert_no_object("g");
    assert_int_equal(memstore_objects(a.store), 0); /* the record went with the last name */
}

static void other_kinds(void **state)
{
    struct vfs_entry e;
    struct stat st;
    char *target;

    (void)state;
    assert_int_equal(vfs_symlink(a.vfs, &a.ctx, "to/here", VFS_ROOT, "s", &e), 0);
    assert_int_equal(rig_link(&a, "s", "t"), 0);
    assert_int_equal(rig_unlink(&a, "s"), 0);
    assert_int_equal(vfs_readlink(a.vfs, e.node, &target), 0);
    assert_string_equal(target, "to/here");
    free(target);
    vfs_forget(a.vfs, e.node, 1);
    assert_int_equal(vfs_mknod(a.vfs, &a.ctx, VFS_ROOT, "p", S_IFIFO | 0600, 0, &e), 0);
    vfs_forget(a.vfs, e.node, 1);
    assert_int_equal(rig_link(&a, "p", "q"), 0);
    assert_int_equal(rig_chmod(&a, "q", 0640), 0);
    assert_int_equal(rig_stat(&b, "p", &st), 0);
    assert_int_equal(st.st_mode, S_IFIFO | 0640);
    assert_int_equal(st.st_nlink, 2);
}

static void seen_elsewhere(void **state)
{
    struct stat x, y;

    (void)state;
    make_pair();
    assert_one_file(&b, "f", "g");
    assert_nlink(&b, "g", 2);
    assert_int_equal(rig_stat(&a, "f", &x), 0);
    assert_int_equal(rig_stat(&b, "g", &y), 0);
    assert_int_equal(x.st_ino, y.st_ino);
    assert_int_equal(rig_put(&b, "g", "from b", 6), 0);
    assert_file(&a, "f", "from b");
    assert_object("f", "from b");
    assert_int_equal(rig_unlink(&b, "f"), 0);
    pass(61);
    assert_nlink(&a, "g", 1);
    assert_int_equal(rig_remount(&a), 0);
    assert_nlink(&a, "g", 1);
    assert_int_equal(rig_link(&b, "g", "again"), 0);
    assert_int_equal(rig_remount(&a), 0);
    assert_int_equal(rig_stat(&a, "again", &y), 0);
    assert_int_equal(x.st_ino, y.st_ino);
    assert_int_equal(y.st_nlink, 2);
}

/* The names that are left are known to the other mount only: what is written on through a handle
 * reaches them. */
static void unlinked_but_open(void **state)
{
    char buf[8] = {0};
    uint64_t fh, other;

    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "f", "one", 3), 0);
    assert_int_equal(rig_open_file(&a, "f", O_RDWR, &fh), 0);
    assert_int_equal(rig_link(&b, "f", "d/g"), 0);
    pass(61);
    assert_int_equal(rig_unlink(&a, "f"), 0);
    assert_no_object("f");
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "TWO", 3), 3);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_object("d/g", "TWO");
    assert_file(&b, "d/g", "TWO");
    assert_nlink(&b, "d/g", 1);
    assert_int_equal(rig_open_file(&a, "d/g", O_RDWR, &fh), 0);
    assert_int_equal(rig_open_file(&a, "d/g", O_RDONLY, &other), 0);
    assert_int_equal(rig_unlink(&a, "d/g"), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "gone", 4), 4);
    assert_int_equal(vfs_read(a.vfs, other, 0, buf, 7), 4);
    assert_string_equal(buf, "gone");
    assert_int_equal(rig_shut(&a, other), 0);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_no_object("d/g");
}

/* A new file, not in the bucket yet, takes one of the names. */
static void replaced_by_a_new_file(void **state)
{
    uint64_t fh;

    (void)state;
    make_pair();
    assert_int_equal(rig_creat(&a, "tmp", O_WRONLY, 0644, &fh), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "new", 3), 3);
    assert_int_equal(rig_rename(&a, "tmp", "f", 0), 0);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_object("f", "new");
    assert_object("g", "one");
    assert_nlink(&a, "g", 1);
    assert_nlink(&b, "g", 1);
    assert_nlink(&b, "f", 1);
}

/* A file that this mount has open becomes a hard link by another mount's doing: it is the same node
 * still, and what is written through it reaches both names. */
static void linked_while_open(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "one", 3), 0);
    assert_int_equal(rig_open_file(&a, "f", O_RDWR, &fh), 0);
    assert_int_equal(rig_link(&b, "f", "g"), 0);
    assert_one_file(&a, "g", "f");
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "TWO", 3), 3);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_object("f", "TWO");
    assert_object("g", "TWO");
    assert_file(&b, "g", "TWO");
}

static void renames(void **state)
{
    struct stat x, y;

    (void)state;
    make_pair();
    assert_int_equal(rig_stat(&a, "f", &x), 0);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0); /* POSIX: one file, nothing happens */
    assert_object("f", "one");
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_rename(&a, "g", "d/h", 0), 0);
    assert_no_object("g");
    assert_object("d/h", "one");
    assert_int_equal(rig_stat(&b, "d/h", &y), 0);
    assert_int_equal(x.st_ino, y.st_ino);
    assert_int_equal(y.st_nlink, 2);
    assert_int_equal(rig_put(&a, "f", "new", 3), 0);
    assert_object("d/h", "new");
    assert_int_equal(rig_rename(&a, "f", "e", 0), 0); /* the first name */
    assert_one_file(&a, "e", "d/h");
    assert_int_equal(rig_put(&b, "d/h", "newer", 5), 0);
    assert_file(&a, "e", "newer");
    assert_int_equal(rig_rename(&a, "d/h", "other", 0), 0);
    assert_object("other", "newer");
    assert_one_file(&a, "e", "other");
    assert_nlink(&a, "e", 2);
    assert_int_equal(rig_put(&a, "third", "3", 1), 0);
    assert_int_equal(rig_rename(&a, "third", "other", 0), 0); /* over one of its names */
    assert_object("other", "3");
    assert_object("e", "newer");
    assert_nlink(&a, "e", 1);
    assert_nlink(&a, "other", 1);
    assert_int_equal(rig_link(&a, "e", "x"), 0);
    assert_int_equal(rig_rename(&a, "x", "e2", RENAME_NOREPLACE), 0);
    assert_int_equal(rig_rename(&a, "e2", "other", RENAME_NOREPLACE), -EEXIST);
}

static void directory_moves(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "d/f", "one", 3), 0);
    assert_int_equal(rig_link(&a, "d/f", "out"), 0);
    assert_int_equal(rig_link(&a, "d/f", "d/too"), 0);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    assert_nlink(&a, "out", 3);
    assert_one_file(&a, "e/f", "out");
    assert_one_file(&b, "e/too", "out");
    assert_int_equal(rig_put(&a, "out", "two", 3), 0);
    assert_object("e/f", "two");
    assert_object("e/too", "two");
    assert_no_object("d/f");
    assert_nlink(&b, "e/f", 3);
}

/* LINK-1: what another writer put under one of the names is not written over, and nothing of it
 * spreads. */
static void foreign_overwrite(void **state)
{
    struct stat x, y;

    (void)state;
    make_pair();
    assert_int_equal(rig_link(&a, "f", "h"), 0);
    assert_int_equal(memstore_put(a.store, "g", "foreign", 7, NULL, NULL), 0);
    assert_int_equal(rig_put(&a, "f", "two", 3), 0);
    assert_object("g", "foreign");
    assert_object("h", "two");
    pass(61);
    assert_nlink(&a, "f", 2);
    assert_int_equal(rig_stat(&a, "f", &x), 0);
    assert_int_equal(rig_stat(&a, "g", &y), 0);
    assert_true(x.st_ino != y.st_ino);
    assert_int_equal(y.st_nlink, 1);
    assert_file(&a, "g", "foreign");
    assert_int_equal(rig_put(&a, "g", "mine", 4), 0);
    assert_object("f", "two");
    /* Under the first name too: the file lives on under the other. */
    assert_int_equal(memstore_put(a.store, "f", "foreign", 7, NULL, NULL), 0);
    assert_int_equal(rig_put(&a, "h", "three", 5), 0);
    assert_object("f", "foreign");
    assert_object("h", "three");
    pass(61);
    assert_nlink(&a, "h", 1);
}

static void foreign_delete(void **state)
{
    struct vfs_entry e;
    struct stat st;

    (void)state;
    make_pair();
    assert_int_equal(rig_link(&a, "f", "h"), 0);
    assert_int_equal(rig_walk(&a, "f", &e), 0); /* the kernel knows the name */
    assert_int_equal(memstore_delete(a.store, "f"), 0);
    pass(61);
    assert_int_equal(rig_stat(&a, "f", &st), -ENOENT);
    assert_nlink(&a, "g", 2);
    vfs_forget(a.vfs, e.node, 1);
    assert_file(&a, "g", "one");
    assert_int_equal(memstore_delete(a.store, "h"), 0);
    assert_int_equal(rig_put(&a, "g", "two", 3), 0);
    assert_no_object("h");
    assert_no_object("f");
    pass(61);
    assert_nlink(&a, "g", 1);
}

/* A copy made elsewhere carries the headers, but is bound to another key. */
static void foreign_copy(void **state)
{
    struct store_obj obj = {0};
    struct stat x, y;

    (void)state;
    make_pair();
    assert_int_equal(memstore_get(a.store, "f", &obj, NULL), 0);
    assert_int_equal(memstore_put(a.store, "copy", "one", 3, &obj.hdrs, NULL), 0);
    store_obj_done(&obj);
    assert_int_equal(rig_stat(&a, "copy", &x), 0);
    assert_int_equal(rig_stat(&a, "f", &y), 0);
    assert_int_equal(x.st_nlink, 1);
    assert_true(x.st_ino != y.st_ino);
    assert_int_equal(rig_put(&a, "f", "two", 3), 0);
    assert_object("copy", "one");
}

/* Everything below the state prefix may be lost: each name still has its bytes. */
static void lost_record(void **state)
{
    struct store_obj obj = {0};
    char record[64];
    const char *id;

    (void)state;
    make_pair();
    assert_int_equal(memstore_get(a.store, "f", &obj, NULL), 0);
    id = store_hdrs_get(&obj.hdrs, STORE_USER_META "s3efs-link");
    snprintf(record, sizeof(record), ".s3efs/links/%.32s", id);
    store_obj_done(&obj);
    assert_int_equal(memstore_delete(a.store, record), 0);
    assert_int_equal(rig_remount(&a), 0);
    assert_file(&a, "g", "one");
    assert_file(&a, "f", "one");
    assert_int_equal(rig_put(&a, "f", "two", 3), 0);
    assert_object("g", "two");
    assert_one_file(&b, "f", "g");
    assert_int_equal(memstore_put(a.store, record, "nonsense", 8, NULL, NULL), 0);
    assert_int_equal(rig_remount(&b), 0);
    assert_file(&b, "g", "two");
}

/* A creator that another mount was faster with has that mount's file: its second name is found. */
static void linked_by_the_winner(void **state)
{
    struct vfs_entry e, other;
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&a, "f", O_WRONLY, 0644, &fh), 0);
    assert_int_equal(rig_walk(&a, "f", &e), 0);
    assert_int_equal(rig_put(&b, "f", "b", 1), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 0, "aa", 2), 2);
    assert_int_equal(rig_shut(&a, fh), 0);
    pass(61);
    assert_int_equal(rig_link(&b, "f", "g"), 0);
    assert_int_equal(rig_walk(&a, "g", &other), 0);
    assert_int_equal(other.node, e.node);
    vfs_forget(a.vfs, other.node, 1);
    vfs_forget(a.vfs, e.node, 1);
}

/* LINK-4. */
static void costs_nothing_for_others(void **state)
{
    struct vfs_entry e;
    uint64_t before;
    struct stat st;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "one", 3), 0);
    before = memstore_count(a.store, STORE_OPS);
    assert_int_equal(rig_stat(&b, "f", &st), 0);
    assert_int_equal(memstore_count(a.store, STORE_OPS) - before, 1); /* HEAD */
    before = memstore_count(a.store, STORE_OPS);
    assert_file(&b, "f", "one");
    assert_int_equal(memstore_count(a.store, STORE_OPS) - before, 1); /* GET */
    before = memstore_count(a.store, STORE_OPS);
    assert_int_equal(rig_put(&b, "f", "two", 3), 0);
    assert_int_equal(memstore_count(a.store, STORE_OPS) - before, 2); /* HEAD, PUT */
    assert_int_equal(rig_link(&a, "f", "g"), 0);
    pass(61);
    before = memstore_count(a.store, STORE_OPS);
    assert_int_equal(rig_walk(&b, "f", &e), 0);
    assert_int_equal(memstore_count(a.store, STORE_OPS) - before, 2); /* HEAD, GET of the record */
    before = memstore_count(a.store, STORE_OPS);
    assert_int_equal(rig_stat(&b, "f", &st), 0);
    assert_int_equal(memstore_count(a.store, STORE_OPS) - before, 0);
    vfs_forget(b.vfs, e.node, 1);
}

static void too_many(void **state)
{
    char name[16];

    (void)state;
    assert_int_equal(rig_put(&a, "n0", "x", 1), 0);
    for (unsigned i = 1; i < 178; i++) { /* EFS's limit is a minimum */
        snprintf(name, sizeof(name), "n%u", i);
        assert_int_equal(rig_link(&a, "n0", name), 0);
    }
    assert_nlink(&b, "n177", 178);
    assert_int_equal(rig_put(&a, "n100", "y", 1), 0);
    assert_object("n0", "y");
    assert_object("n177", "y");
    for (unsigned i = 178; i < LINK_MEMBERS_MAX; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        assert_int_equal(rig_link(&a, "n0", name), 0);
    }
    assert_int_equal(rig_link(&a, "n0", "one-more"), -EMLINK);
    assert_no_object("one-more");
    assert_nlink(&a, "n0", LINK_MEMBERS_MAX);
}

/* The same, but this mount has never heard of the other name, and knows the file from a moment ago:
 * the source's new ETag tells it. */
static void linked_unawares(void **state)
{
    struct vfs_entry e;
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "one", 3), 0);
    assert_int_equal(rig_walk(&a, "f", &e), 0);
    assert_int_equal(rig_open_file(&a, "f", O_RDWR, &fh), 0);
    assert_int_equal(rig_link(&b, "f", "g"), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fh, 1, "NE", 2), 2);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_object("f", "oNE");
    assert_object("g", "oNE");
    assert_file(&b, "g", "oNE");
    assert_int_equal(rig_link(&b, "f", "h"), 0);
    assert_int_equal(rig_put(&a, "f", "whole", 5), 0);
    assert_object("h", "whole");
    vfs_forget(a.vfs, e.node, 1);
}

/* Two mounts write at once: the one that owns the whole content comes last and wins whole under
 * every name, the other one fails loudly; no mixture. */
static void two_writers(void **state)
{
    uint64_t fa, fb;
    int ra, rb;

    (void)state;
    make_pair();
    assert_file(&b, "g", "one");
    assert_int_equal(rig_open_file(&a, "f", O_RDWR, &fa), 0);
    assert_int_equal(rig_open_file(&b, "g", O_WRONLY | O_TRUNC, &fb), 0);
    assert_int_equal(vfs_write(a.vfs, &a.ctx, fa, 0, "AAA", 3), 3);
    assert_int_equal(vfs_write(b.vfs, &b.ctx, fb, 0, "BBBB", 4), 4);
    ra = rig_shut(&a, fa);
    rb = rig_shut(&b, fb);
    assert_int_equal(ra, 0);
    assert_int_equal(rb, 0);
    assert_object("f", "BBBB");
    assert_object("g", "BBBB");
    assert_file(&a, "f", "BBBB");
    assert_one_file(&b, "f", "g");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(two_names_one_file),
        T(refused),
        T(dirty_source),
        T(unlink_one),
        T(other_kinds),
        T(seen_elsewhere),
        T(linked_while_open),
        T(renames),
        T(directory_moves),
        T(foreign_overwrite),
        T(foreign_delete),
        T(foreign_copy),
        T(lost_record),
        T(linked_by_the_winner),
        T(costs_nothing_for_others),
        T(too_many),
        T(two_writers),
        T(linked_unawares),
        T(unlinked_but_open),
        T(replaced_by_a_new_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
