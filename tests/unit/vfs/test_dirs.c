/* SPDX-License-Identifier: Apache-2.0 */
/* What stat(2) says of directories: link counts, and what a rename keeps and changes. */
#include "onemount.h"

#include <errno.h>

static nlink_t links_of(struct rig *r, const char *path)
{
    struct stat st = {0};

    assert_int_equal(rig_stat(r, path, &st), 0);
    return st.st_nlink;
}

/* As the kernel does while the name is in its cache. The reference goes with the mount. */
static void make_and_hold(struct rig *r, const char *path)
{
    struct vfs_entry e;

    assert_int_equal(rig_mkdir(r, path, 0755), 0);
    assert_int_equal(rig_walk(r, path, &e), 0);
}

/* 2, and one for the ".." of each directory in it. */
static void link_count_follows_subdirectories(void **state)
{
    (void)state;
    make_and_hold(&rig, "d");
    assert_int_equal(links_of(&rig, "d"), 2);
    assert_int_equal(rig_mkdir(&rig, "d/a", 0755), 0);
    assert_int_equal(rig_mkdir(&rig, "d/b", 0755), 0);
    assert_int_equal(rig_put(&rig, "d/file", "x", 1), 0);
    assert_int_equal(links_of(&rig, "d"), 4);
    assert_int_equal(rig_rmdir(&rig, "d/a"), 0);
    assert_int_equal(links_of(&rig, "d"), 3);
    make_and_hold(&rig, "e");
    assert_int_equal(rig_rename(&rig, "d/b", "e/b", 0), 0);
    assert_int_equal(links_of(&rig, "d"), 2);
    assert_int_equal(links_of(&rig, "e"), 3);
    /* Over an empty directory: one came, one went. */
    assert_int_equal(rig_mkdir(&rig, "d/b", 0755), 0);
    assert_int_equal(rig_rename(&rig, "d/b", "e/b", 0), 0);
    assert_int_equal(links_of(&rig, "d"), 2);
    assert_int_equal(links_of(&rig, "e"), 3);
}

/* What another client made is counted by the next listing. */
static void link_count_is_corrected_by_a_listing(void **state)
{
    struct vfs_entry e;
    struct rig other;
    char names[64];

    (void)state;
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    make_and_hold(&rig, "d");
    assert_int_equal(rig_mkdir(&rig, "d/a", 0755), 0);
    foreign_put("d/b/file", "x");
    foreign_put("d/file", "x");
    assert_int_equal(links_of(&rig, "d"), 3);
    assert_int_equal(rig_ls(&rig, "d", names, sizeof(names)), 0);
    assert_string_equal(names, "a b file");
    assert_int_equal(links_of(&rig, "d"), 4);
    assert_int_equal(rig_walk(&other, "d", &e), 0);
    assert_int_equal(links_of(&other, "d"), 2);
    assert_int_equal(rig_ls(&other, "d", names, sizeof(names)), 0);
    assert_int_equal(links_of(&other, "d"), 4);
    rig_close(&other);
}

struct meanwhile {
    bool is_done;
};

static void mkdir_meanwhile(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct meanwhile *m = arg;

    (void)s;
    (void)result;
    if (req->op != STORE_LIST || !req->delimited || m->is_done)
        return;
    m->is_done = true;
    assert_int_equal(rig_mkdir(&rig, "d/new", 0755), 0);
}

/* The listing is older than what was made here while it was on its way. */
static void listing_does_not_undo_a_count(void **state)
{
    struct meanwhile m = {false};
    char names[64];

    (void)state;
    make_and_hold(&rig, "d");
    memstore_set_hooks(rig.store, NULL, mkdir_meanwhile, &m);
    assert_int_equal(rig_ls(&rig, "d", names, sizeof(names)), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_true(m.is_done);
    assert_int_equal(links_of(&rig, "d"), 3);
}

static void rename_keeps_number_and_moves_ctime(void **state)
{
    struct stat before, after;

    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0750), 0);
    assert_int_equal(rig_put(&rig, "d/f", "x", 1), 0);
    assert_int_equal(rig_stat(&rig, "d", &before), 0);
    clock_fake_add(5 * NS_PER_S);
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(rig_stat(&rig, "e", &after), 0);
        assert_true(after.st_ino == before.st_ino);
        assert_int_equal(after.st_mode, before.st_mode);
        assert_int_equal(after.st_ctim.tv_sec, before.st_ctim.tv_sec + 5);
        assert_int_equal(rig_remount(&rig), 0); /* and so the bucket says to every mount */
    }
}

struct numbers {
    unsigned n;
    uint64_t ino[8];
};

static int take_number(void *arg, const char *name, const struct vfs_entry *e, uint64_t next_off)
{
    struct numbers *l = arg;

    (void)next_off;
    if (name[0] != '.')
        l->ino[l->n++] = e->st.st_ino;
    return 0;
}

static void assert_numbers(const struct stat *f, const struct stat *s)
{
    struct numbers l = {0};
    uint64_t fh;

    assert_int_equal(vfs_opendir(rig.vfs, VFS_ROOT, &fh), 0);
    assert_int_equal(vfs_readdir(rig.vfs, fh, 0, false, take_number, &l), 0);
    vfs_releasedir(rig.vfs, fh);
    assert_int_equal(l.n, 2);
    assert_true(l.ino[0] == f->st_ino);
    assert_true(s == NULL || l.ino[1] == s->st_ino);
}

/* Also when the attributes that are known have expired, and of a file that only the cache knows. */
static void listed_numbers_are_those_of_stat(void **state)
{
    struct stat f, s;
    struct vfs_entry e;

    (void)state;
    assert_int_equal(rig_put(&rig, "file", "x", 1), 0);
    make_and_hold(&rig, "sub");
    assert_int_equal(rig_walk(&rig, "file", &e), 0);
    assert_int_equal(rig_stat(&rig, "file", &f), 0);
    assert_int_equal(rig_stat(&rig, "sub", &s), 0);
    clock_fake_add(1000 * NS_PER_S);
    assert_numbers(&f, &s);
    assert_int_equal(rig_remount(&rig), 0);
    clock_fake_add(1000 * NS_PER_S);
    assert_numbers(&f, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(link_count_follows_subdirectories),
        T(link_count_is_corrected_by_a_listing),
        T(listing_does_not_undo_a_count),
        T(rename_keeps_number_and_moves_ctime),
        T(listed_numbers_are_those_of_stat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
