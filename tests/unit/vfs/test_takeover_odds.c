/* SPDX-License-Identifier: Apache-2.0 */
/* Daemons that die at odd moments, and what the next one must have all the same. */
#include "keepmount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "cache/table.h"
#include "fs/vfs/keep.h"

static void note_many(void *arg)
{
    unsigned *n = arg;

    ++*n;
}

/* As a kernel that forgets only what it is told to. */
static void look_at_many(unsigned from, unsigned to)
{
    struct vfs_entry e;
    char name[32];

    for (unsigned k = from; k < to; k++) {
        struct vfs_idle idle[16];
        size_t n;

        snprintf(name, sizeof(name), "f%03u", k);
        foreign_put(name, "x");
        begin();
        assert_int_equal(rig_walk(&rig, name, &e), 0);
        answer();
        while ((n = vfs_idle_get(rig.vfs, idle, 16)) > 0)
            for (size_t x = 0; x < n; x++)
                vfs_forget(rig.vfs, idle[x].node, 1);
    }
}

/* IDLE-1: the next daemon has the kernel forget what it was asked for by the one before. */
static void names_are_still_forgotten(void **state)
{
    struct vfs_stats st;
    unsigned many = 0;

    (void)state;
    look_at_many(0, 200);
    rig.conf.names_max = 64 * 1024;
    rig.conf.names_many = note_many;
    rig.conf.names_many_arg = &many;
    die();
    vfs_stats_get(rig.vfs, &st);
    assert_true(st.names_bytes > rig.conf.names_max);
    look_at_many(200, 300);
    assert_true(many > 0);
    vfs_stats_get(rig.vfs, &st);
    assert_true(st.names_bytes < rig.conf.names_max);
}

/* Another mount's version has its name by now; what was written here still meets it. */
static void what_meets_a_newer_version_does_so_later(void **state)
{
    struct vfs_entry e, newer;
    struct rig theirs;
    uint64_t fh, other;
    bool keep;

    (void)state;
    assert_int_equal(rig_put(&rig, "f", "0123456789", 10), 0);
    begin();
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(vfs_open(rig.vfs, &rig.ctx, e.node, O_RDWR, &fh, &keep), 0);
    answer();
    rig_set_keeps(false);
    assert_int_equal(rig_join(&theirs, &rig, NULL), 0);
    assert_int_equal(rig_open_file(&theirs, "f", O_WRONLY, &other), 0);
    assert_int_equal(vfs_write(theirs.vfs, &theirs.ctx, other, 8, "yz", 2), 2);
    assert_int_equal(rig_shut(&theirs, other), 0);
    rig_set_keeps(true);
    clock_fake_add(100 * NS_PER_S);
    begin();
    assert_int_equal(rig_walk(&rig, "f", &newer), 0);
    answer();
    assert_int_not_equal(newer.node, e.node);
    write_answered(fh, 0, "ab");
    die();
    assert_int_equal(flush(fh), 0);
    assert_object("f", "ab234567yz");
    rig_close(&theirs);
}

/* The version that an open has found, and the handle reads, not the one that the kernel's lookup was told of. */
static void an_open_files_version_goes_on(void **state)
{
    struct vfs_entry e;
    char buf[32];
    uint64_t fh;
    bool keep;

    (void)state;
    foreign_put("f", "first");
    begin();
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    answer();
    foreign_put("f", "second version");
    begin();
    assert_int_equal(vfs_open(rig.vfs, &rig.ctx, e.node, O_RDONLY, &fh, &keep), 0);
    answer();
    die();
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, sizeof(buf)), 14);
    assert_memory_equal(buf, "second version", 14);
}

/* The file that is renamed is written down when its bytes are let go, before the answer: so is the one that it replaces. */
static void a_rename_over_a_known_name_is_one_step(void **state)
{
    struct vfs_entry over;
    uint64_t fh;

    (void)state;
    foreign_put("b", "replaced");
    begin();
    assert_int_equal(rig_walk(&rig, "b", &over), 0);
    answer();
    fh = creat_answered("a", O_WRONLY);
    write_answered(fh, 0, "kept");
    begin();
    assert_int_equal(rig_rename(&rig, "a", "b", 0), 0);
    vfs_keep_begin(rig.vfs, 0);
    die(); /* nobody was answered */
    write_answered(fh, 4, " bytes");
    assert_int_equal(flush(fh), 0);
    assert_object("b", "kept bytes");
}

static void snapshot_after_put(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_PUT)
        assert_int_equal(rig_snapshot(&rig), 0);
}

static void snapshot_after_delete(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_DELETE)
        assert_int_equal(rig_snapshot(&rig), 0);
}

/* The PUT of an append landed, and the next daemon can't ask at its start whether it did. */
static void an_append_is_made_once_though_the_bucket_is_away(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&rig, "log", "zero\n", 5), 0);
    begin();
    assert_int_equal(rig_open_file(&rig, "log", O_WRONLY | O_APPEND, &fh), 0);
    answer();
    write_answered(fh, 0, "one\n");
    memstore_set_hooks(rig.store, NULL, snapshot_after_put, NULL);
    begin();
    assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    vfs_keep_begin(rig.vfs, 0);
    memstore_fail(rig.store, STORE_HEAD, 2, 1000, -EIO); /* the first is the root's */
    die();
    memstore_clear_faults(rig.store);
    assert_int_equal(flush(fh), 0);
    assert_object("log", "zero\none\n");
}

/* A rename that its daemon did not come to make, and whose source another mount has removed since. */
static void what_was_at_the_new_name_is_not_ours(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&rig, "old", "ours", 4), 0);
    foreign_put("new", "theirs");
    begin();
    memstore_fail(rig.store, STORE_PUT, 1, 1000, -EIO);
    memstore_fail(rig.store, STORE_COPY, 1, 1000, -EIO);
    assert_int_equal(vfs_rename(rig.vfs, &rig.ctx, VFS_ROOT, "old", VFS_ROOT, "new", 0), -EIO);
    memstore_clear_faults(rig.store);
    vfs_keep_begin(rig.vfs, 0);
    assert_int_equal(memstore_delete(rig.store, "old"), 0);
    die();
    vfs_keep_begin(rig.vfs, last_unique);
    assert_true(vfs_was_tried(rig.vfs));
    assert_int_equal(vfs_was_renamed(rig.vfs, VFS_ROOT, "old", VFS_ROOT, "new"), 0);
    assert_int_equal(vfs_rename(rig.vfs, &rig.ctx, VFS_ROOT, "old", VFS_ROOT, "new", 0), -ENOENT);
    assert_false(vfs_was_implied(rig.vfs, &rig.ctx, VFS_ROOT, "new"));
    answer();
    assert_object("new", "theirs");
}

static void an_implied_directory_has_moved(void **state)
{
    (void)state;
    foreign_put("d/x", "text");
    begin();
    memstore_set_hooks(rig.store, NULL, snapshot_after_delete, NULL);
    assert_int_equal(vfs_rename(rig.vfs, &rig.ctx, VFS_ROOT, "d", VFS_ROOT, "e", 0), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    vfs_keep_begin(rig.vfs, 0);
    die();
    vfs_keep_begin(rig.vfs, last_unique);
    assert_int_equal(vfs_was_renamed(rig.vfs, VFS_ROOT, "d", VFS_ROOT, "e"), 0);
    assert_int_equal(vfs_rename(rig.vfs, &rig.ctx, VFS_ROOT, "d", VFS_ROOT, "e", 0), -ENOENT);
    assert_true(vfs_was_implied(rig.vfs, &rig.ctx, VFS_ROOT, "e"));
    answer();
    assert_object("e/x", "text");
    assert_no_object("d/x");
}

/* Of one file's dirty ranges a record has no room for: the others' go on, and its own end is told (T24). */
static void a_file_of_too_many_ranges_is_lost_alone(void **state)
{
    uint64_t many, other;

    (void)state;
    rig.conf.keep_record_max = 4096;
    die();
    many = creat_answered("many", O_WRONLY);
    other = creat_answered("other", O_WRONLY);
    write_answered(other, 0, "kept");
    for (unsigned k = 0; k < 300; k++)
        write_answered(many, 2 * k, "x");
    assert_false(vfs_keep_is_lost(rig.vfs));
    die();
    write_answered(other, 4, ", too");
    assert_int_equal(flush(other), 0);
    assert_object("other", "kept, too");
    assert_int_equal(vfs_fsync(rig.vfs, many), -EIO);
    assert_int_equal(flush(many), -EIO);
    assert_no_object("many");
}

/* While its daemon lives it is a file like others. */
static void a_file_of_too_many_ranges_is_sent(void **state)
{
    uint64_t many;

    (void)state;
    rig.conf.keep_record_max = 4096;
    die();
    many = creat_answered("many", O_WRONLY);
    for (unsigned k = 300; k-- > 0;)
        write_answered(many, 2 * k, "x");
    for (unsigned k = 0; k < 300; k++)
        write_answered(many, 2 * k, "yz");
    die(); /* one range by now */
    assert_int_equal(flush(many), 0);
    assert_int_equal(memstore_get(rig.store, "many", NULL, NULL), 0);
}

static unsigned kept_files(void)
{
    char dir[128];
    const struct dirent *e;
    unsigned n = 0;
    DIR *d;

    snprintf(dir, sizeof(dir), "%s/takeover", rig.dir);
    d = opendir(dir);
    assert_non_null(d);
    while ((e = readdir(d)) != NULL)
        n += e->d_name[0] == 'f';
    closedir(d);
    return n;
}

/* A table that could not be written: the mount goes on, and nothing is kept for nobody. */
static void what_nobody_can_take_over_is_not_kept(void **state)
{
    uint64_t before, after;

    (void)state;
    before = creat_answered("before", O_WRONLY);
    write_answered(before, 0, "bytes");
    assert_int_equal(kept_files(), 1);
    assert_false(vfs_keep_is_lost(rig.vfs));
    table_give_up(rig.table, -ENOSPC);
    assert_true(vfs_keep_is_lost(rig.vfs));
    assert_int_equal(kept_files(), 0);
    after = creat_answered("after", O_WRONLY);
    for (unsigned k = 0; k < 3; k++) {
        write_answered(before, 5, ", more");
        write_answered(after, 0, "other");
        assert_int_equal(flush(before), 0);
        assert_int_equal(flush(after), 0);
    }
    assert_int_equal(kept_files(), 0);
    assert_object("before", "bytes, more");
    assert_object("after", "other");
}

#define ANSWERS (KEEP_ANSWERS_MAX + 10)

static bool is_kept(uint64_t unique)
{
    void *got = NULL;
    size_t len;
    int r = vfs_keep_find(rig.vfs, unique, &got, &len);

    free(got);
    return r == 0;
}

/* Answers that the kernel has heard before their daemon died are never asked for; each takeover leaves some. */
static void old_answers_do_not_grow_in_number(void **state)
{
    static struct table_item items[2 * ANSWERS];
    const int32_t ok = 0;
    const char id[33] = "an id";

    (void)state;
    for (size_t k = 0; k < ANSWERS; k++) {
        items[2 * k] = (struct table_item){.kind = KEEP_REPLY, .id = 2 * (k + 1), .data = &ok, .len = sizeof(ok)};
        items[2 * k + 1] = (struct table_item){.kind = KEEP_TRY, .id = 2 * (k + 1), .data = id, .len = sizeof(id)};
    }
    assert_int_equal(table_write(rig.table, items, 2 * ANSWERS), 0);
    die();
    for (uint64_t unique = 2; unique <= 2 * ANSWERS; unique += 2) {
        bool is_old = unique <= 2 * (ANSWERS - KEEP_ANSWERS_MAX);

        assert_int_equal(is_kept(unique), !is_old);
        vfs_keep_begin(rig.vfs, unique);
        assert_int_equal(vfs_was_tried(rig.vfs), !is_old);
    }
    vfs_keep_begin(rig.vfs, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        K(an_open_files_version_goes_on),
        K(a_rename_over_a_known_name_is_one_step),
        K(an_append_is_made_once_though_the_bucket_is_away),
        K(what_nobody_can_take_over_is_not_kept),
        K(what_was_at_the_new_name_is_not_ours),
        K(an_implied_directory_has_moved),
        K(a_file_of_too_many_ranges_is_lost_alone),
        K(a_file_of_too_many_ranges_is_sent),
        K(what_meets_a_newer_version_does_so_later),
        K(names_are_still_forgotten),
        K(old_answers_do_not_grow_in_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
