/* SPDX-License-Identifier: Apache-2.0 */
/* excl=close: a creator's lookup is not asked of the bucket, everybody else's is; and what the PUT
 * then finds decides. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include "base/str.h"
#include "fs/vfs/creator.h"

static const char *call_path; /* NULL: the caller can't be seen */
static uint64_t call_flags;

static int fake_call(pid_t tid, char path[4096], uint64_t *ret_flags)
{
    (void)tid;
    if (call_path == NULL)
        return -EACCES;
    *ret_flags = call_flags;
    return str_copy(path, 4096, call_path);
}

static void calls(const char *path, uint64_t flags)
{
    call_path = path;
    call_flags = flags;
}

static int setup_close(void **state)
{
    int r = setup(state);

    calls(NULL, 0);
    rig.conf.excl = VFS_EXCL_CLOSE;
    rig.conf.proc_open = fake_call;
    return r == 0 ? rig_remount(&rig) : r;
}

static unsigned asked_by_lookup(const char *path, int want)
{
    struct stat st;

    memstore_count_reset(rig.store);
    assert_int_equal(rig_stat(&rig, path, &st), want);
    return (unsigned)memstore_count(rig.store, STORE_OPS);
}

static void only_creators_are_not_asked_for(void **state)
{
    (void)state;
    calls("/images/f", O_CREAT | O_EXCL | O_WRONLY);
    assert_int_equal(asked_by_lookup("f", -ENOENT), 0);
    calls("/images/f", O_CREAT | O_TRUNC | O_WRONLY);
    assert_int_equal(asked_by_lookup("f", -ENOENT), 0);
    calls("/images/f", O_CREAT | O_WRONLY);
    assert_int_equal(asked_by_lookup("f", -ENOENT), 2);
    calls("/images/f", O_RDONLY);
    assert_int_equal(asked_by_lookup("f", -ENOENT), 2);
    calls("/images/f", CREATOR_RENAMES); /* what it would replace is to be known */
    assert_int_equal(asked_by_lookup("f", -ENOENT), 1);
    calls(NULL, 0);
    assert_int_equal(asked_by_lookup("f", -ENOENT), 2);
    calls("/images/f", O_CREAT | O_EXCL | O_WRONLY);
    rig.ctx.pid = 0; /* of another pid namespace */
    assert_int_equal(asked_by_lookup("f", -ENOENT), 2);
    rig.ctx.pid = RIG_PID;
    rig.conf.excl = VFS_EXCL_OPEN; /* the default */
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(asked_by_lookup("f", -ENOENT), 1);
}

/* The directories on the way are looked up by the same system call. */
static void directories_on_the_way_are_asked_for(void **state)
{
    uint64_t fh;

    (void)state;
    foreign_put("d/e/old", "1");
    calls("/images/d/e/new", O_CREAT | O_EXCL | O_WRONLY);
    assert_true(asked_by_lookup("d/e/new", -ENOENT) >= 4);
    assert_int_equal(rig_open_file(&rig, "d/e/new", O_CREAT | O_EXCL | O_WRONLY, &fh), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("d/e/new", "");
    foreign_put("x/old", "1");
    calls("/images/x/x", O_CREAT | O_EXCL | O_WRONLY);
    assert_int_equal(rig_open_file(&rig, "x/x", O_CREAT | O_EXCL | O_WRONLY, &fh), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("x/x", "");
}

static void known_names_are_answered(void **state)
{
    struct vfs_entry e;
    char names[16];
    uint64_t fh;

    (void)state;
    foreign_put("listed", "1");
    foreign_put("known", "1");
    assert_int_equal(rig_walk(&rig, "known", &e), 0);
    assert_int_equal(rig_ls(&rig, "", names, sizeof(names)), 0);
    calls("/images/known", O_CREAT | O_EXCL | O_WRONLY);
    assert_int_equal(rig_open_file(&rig, "known", O_CREAT | O_EXCL | O_WRONLY, &fh), -EEXIST);
    clock_fake_add(10 * NS_PER_S); /* known, but no longer believed: that is asked */
    assert_int_equal(asked_by_lookup("known", 0), 1);
    calls("/images/listed", O_CREAT | O_EXCL | O_WRONLY);
    assert_int_equal(rig_open_file(&rig, "listed", O_CREAT | O_EXCL | O_WRONLY, &fh), -EEXIST);
    vfs_forget(rig.vfs, e.node, 1);
}

/* One PUT in all, and the loser of a race hears of it at close. */
static void the_put_decides(void **state)
{
    uint64_t fh;

    (void)state;
    calls("/images/f", O_CREAT | O_EXCL | O_WRONLY);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_open_file(&rig, "f", O_CREAT | O_EXCL | O_WRONLY, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "one", 3), 3);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 1);
    foreign_put("theirs", "first");
    calls("/images/theirs", O_CREAT | O_EXCL | O_WRONLY);
    assert_int_equal(rig_open_file(&rig, "theirs", O_CREAT | O_EXCL | O_WRONLY, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "second", 6), 6);
    assert_int_equal(rig_shut(&rig, fh), -EEXIST);
    assert_object("theirs", "first");
}

static void put_with_mode(const char *key, const char *mode, const char *owner)
{
    struct store_hdrs h = {0};

    assert_int_equal(store_hdrs_set(&h, "x-amz-meta-file-permissions", mode), 0);
    assert_int_equal(store_hdrs_set(&h, "x-amz-meta-file-owner", owner), 0);
    assert_int_equal(store_hdrs_set(&h, "x-amz-meta-file-group", owner), 0);
    assert_int_equal(store_hdrs_set(&h, "cache-control", "max-age=9"), 0);
    assert_int_equal(memstore_put(rig.store, key, "theirs", 6, &h, NULL), 0);
    store_hdrs_done(&h);
}

static int replace(const char *name)
{
    uint64_t fh;

    calls(name, O_CREAT | O_TRUNC | O_WRONLY);
    assert_int_equal(rig_open_file(&rig, name, O_CREAT | O_TRUNC | O_WRONLY, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "ours", 4), 4);
    return rig_shut(&rig, fh);
}

/* O_CREAT|O_TRUNC of a file that was there after all: its bytes are replaced, the rest stays. */
static void an_unseen_file_keeps_its_attributes(void **state)
{
    struct store_obj obj = {0};
    struct stat st;

    (void)state;
    put_with_mode("f", "0100640", "7");
    assert_int_equal(replace("f"), 0);
    assert_object("f", "ours");
    assert_int_equal(memstore_get(rig.store, "f", &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, "cache-control"), "max-age=9");
    store_obj_done(&obj);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0640);
    assert_int_equal(st.st_uid, 7);
}

/* Nobody checked at open that the creator may write to it: close does. */
static void an_unseen_file_is_protected(void **state)
{
    struct cache_stats cs;

    (void)state;
    rig.ctx.uid = rig.ctx.gid = 1000;
    put_with_mode("f", "0100644", "7");
    assert_int_equal(replace("f"), -EACCES);
    assert_object("f", "theirs");
    cache_stats_get(rig.cache, &cs);
    assert_int_equal(cs.lost_found, 1);
    put_with_mode("g", "0100666", "7");
    assert_int_equal(replace("g"), 0);
    assert_object("g", "ours");
    put_with_mode("link", "0120777", "1000");
    assert_int_equal(replace("link"), -EEXIST);
    assert_object("link", "theirs");
}

static void assert_asked(const char *path, int want, unsigned heads, unsigned lists)
{
    char full[64];

    snprintf(full, sizeof(full), "/images/%s", path);
    calls(full, O_CREAT | O_EXCL | O_WRONLY);
    assert_int_equal(asked_by_lookup(path, want), heads + lists);
    assert_int_equal(memstore_count(rig.store, STORE_HEAD), heads);
    assert_int_equal(memstore_count(rig.store, STORE_LIST), lists);
}

/* excl=open: one LIST finds nothing that begins with a new name; what is there is found all the same. */
static void a_free_name_takes_one_request(void **state)
{
    struct vfs_entry e;

    (void)state;
    rig.conf.excl = VFS_EXCL_OPEN;
    assert_int_equal(rig_remount(&rig), 0);
    foreign_put("file", "1");
    foreign_put("file.jpg", "1");
    foreign_put("dir-1", "1");
    foreign_put("dir/below", "1");
    foreign_put("lone/below", "1");
    assert_asked("free", -ENOENT, 0, 1);
    assert_asked("file", 0, 1, 1);
    assert_asked("fil", -ENOENT, 1, 2); /* others begin with it */
    assert_asked("file.j", -ENOENT, 1, 2);
    calls("/images/dir", O_CREAT | O_EXCL | O_WRONLY);
    assert_int_equal(rig_walk(&rig, "dir", &e), 0);
    assert_true(S_ISDIR(e.st.st_mode)); /* although "dir-1" comes before "dir/below" */
    vfs_forget(rig.vfs, e.node, 1);
    calls("/images/lone", O_CREAT | O_EXCL | O_WRONLY);
    assert_int_equal(rig_walk(&rig, "lone", &e), 0);
    assert_true(S_ISDIR(e.st.st_mode));
    vfs_forget(rig.vfs, e.node, 1);
}

/* Nor who replaces what there is, by O_TRUNC or by a rename: that is there seldom, if nothing is known of it. */
static void a_likely_free_name_too(void **state)
{
    uint64_t fh;

    (void)state;
    rig.conf.excl = VFS_EXCL_OPEN;
    assert_int_equal(rig_remount(&rig), 0);
    foreign_put("there", "1");
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY, 0644, &fh), 0);
    calls("/images/free", O_CREAT | O_TRUNC | O_WRONLY);
    assert_int_equal(asked_by_lookup("free", -ENOENT), 1);
    calls("/images/there", O_CREAT | O_TRUNC | O_WRONLY);
    assert_int_equal(asked_by_lookup("there", 0), 2);
    clock_fake_add(10 * NS_PER_S);
    assert_int_equal(asked_by_lookup("there", 0), 1); /* it is known by now */
    calls("/images/g", CREATOR_RENAMES);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_rename(&rig, "f", "g", 0), 0);
    assert_int_equal(memstore_count(rig.store, STORE_LIST), 1);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 1); /* for both of its calls */
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("g", "");
}

/* Nothing is free because a question had no answer. */
static void a_name_that_could_not_be_asked_for(void **state)
{
    (void)state;
    rig.conf.excl = VFS_EXCL_OPEN;
    assert_int_equal(rig_remount(&rig), 0);
    memstore_fail(rig.store, STORE_LIST, 1, 1, -EIO); /* then both are asked */
    assert_asked("free", -ENOENT, 1, 2);
    memstore_fail(rig.store, STORE_LIST, 1, 2, -EIO); /* and that LIST once more */
    assert_asked("free", -ENOENT, 2, 3);
    memstore_fail(rig.store, STORE_LIST, 1, 3, -EIO);
    assert_asked("free", -EIO, 1, 3);
    memstore_clear_faults(rig.store);
    foreign_put("file.jpg", "1");
    memstore_fail(rig.store, STORE_HEAD, 1, 1, -EIO);
    assert_asked("file", -EIO, 1, 2);
}

#define C(f) cmocka_unit_test_setup_teardown(f, setup_close, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        C(only_creators_are_not_asked_for),
        C(a_free_name_takes_one_request),
        C(a_likely_free_name_too),
        C(a_name_that_could_not_be_asked_for),
        C(directories_on_the_way_are_asked_for),
        C(known_names_are_answered),
        C(the_put_decides),
        C(an_unseen_file_keeps_its_attributes),
        C(an_unseen_file_is_protected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
