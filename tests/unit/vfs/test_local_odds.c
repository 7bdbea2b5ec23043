/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local where the journal's disk refuses, where much time lies between a close and its
 * upload, and where others are at the same name meanwhile. */
#include "localmount.h"

#include <signal.h>
#include <sys/resource.h>

static void move_journal(const char *from, const char *to)
{
    char a[128], b[128];

    snprintf(a, sizeof(a), "%s/journal/%s", rig.dir, from);
    snprintf(b, sizeof(b), "%s/journal/%s", rig.dir, to);
    assert_int_equal(rename(a, b), 0);
}

/* The disk that refuses the newer version's entry says nothing about the bucket: that has it when
 * close returns, and a crash finds the older one done. */
static void a_newer_version_that_cant_be_journaled(void **state)
{
    (void)state;
    put_text("f", "one");
    assert_int_equal(rig_snapshot(&rig), 0);
    move_journal("files", "away");
    assert_int_equal(append_text("f", "two"), 0);
    assert_object("f", "onetwo");
    assert_int_equal(kept(), 0);
    move_journal("away", "files");
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_object("f", "onetwo");
    assert_file("f", "onetwo");
    assert_int_equal(kept(), 0);
}

/* Neither the disk nor the bucket: close says so, and nothing is given up. */
static void neither_journal_nor_bucket(void **state)
{
    (void)state;
    put_text("f", "one");
    move_journal("files", "away");
    memstore_fail(rig.store, STORE_PUT, 1, 1000, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1000, -EIO);
    assert_true(append_text("f", "two") < 0);
    memstore_clear_faults(rig.store);
    clock_fake_add(60 * NS_PER_S);
    assert_int_equal(outbox_run(rig.vfs), 0); /* that try may have landed: first the journal */
    assert_int_equal(kept(), 0);
    assert_int_equal(entries(), 1);
    assert_file("f", "onetwo");
    move_journal("away", "files");
    clock_fake_add(60 * NS_PER_S);
    send_all(1);
    assert_object("f", "onetwo");
    assert_int_equal(kept(), 0);
}

/* What the object has and was not changed here is not in the entry: it is read before the commit,
 * however long attributes are believed. */
static void headers_outlive_a_crash(void **state)
{
    (void)state;
    rig.conf.acregmin_ns = rig.conf.acregmax_ns = 7200 * NS_PER_S;
    put_text("f", "old");
    set_xattr("f", "user.color", "red");
    send_all(1);
    assert_int_equal(append_text("f", "new"), 0);
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_object("f", "oldnew");
    assert_xattr("f", "user.color", "red");
}

/* truncate(2) has returned: what another mount appends before it is sent was never seen here. */
static void a_cut_that_waits_takes_nothing_away(void **state)
{
    struct rig other;
    uint64_t fh;

    (void)state;
    put_text("f", "0123456789");
    send_all(1);
    fh = open_text("f", O_WRONLY);
    write_text(fh, 0, "X");
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(rig_truncate(&rig, "f", 5), 0);
    assert_int_equal(entries(), 1);
    rig.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    assert_int_equal(rig_open_file(&other, "f", O_WRONLY | O_APPEND, &fh), 0);
    assert_int_equal(vfs_write(other.vfs, &other.ctx, fh, 0, "abc", 3), 3);
    assert_int_equal(rig_shut(&other, fh), 0);
    rig_close(&other);
    send_all(0);
    assert_object("f", "0123456789abc");
    assert_int_equal(kept(), 1);
}

/* A mount with commit=close promises the bucket, whoever left the file to it. */
static void close_mode_changes_attributes_in_the_bucket(void **state)
{
    struct store_obj obj = {0};

    (void)state;
    put_text("f", "text");
    assert_int_equal(rig_snapshot(&rig), 0);
    rig.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(memstore_get(rig.store, "f", &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, "x-amz-meta-file-permissions"), "0100600");
    store_obj_done(&obj);
    send_all(0);
}

static void snapshot_once(void *arg, struct store *s, const struct store_req *req, int result)
{
    bool *done = arg;

    (void)s;
    (void)result;
    if (*done || req->op != STORE_DELETE || strcmp(req->key, "stored") != 0)
        return;
    *done = true;
    assert_int_equal(rig_snapshot(&rig), 0);
}

/* A stored file takes an unsent one's place. Whenever the mount dies, the bytes of the one never go
 * into the other. */
static void a_stored_file_over_an_unsent_one(void **state)
{
    bool done = false;
    uint64_t fh;

    (void)state;
    put_text("stored", "stored");
    send_all(1);
    assert_int_equal(rig_creat(&rig, "unsent", O_WRONLY, 0644, &fh), 0);
    write_text(fh, 0, "uns");
    assert_int_equal(rig_shut(&rig, fh), 0);
    memstore_set_hooks(rig.store, NULL, snapshot_once, &done);
    rename_in_bucket("stored", "unsent");
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_true(done);
    assert_int_equal(rig_crash(&rig), 0);
    send_all(0);
    assert_object("unsent", "stored");
    assert_file("unsent", "stored");
}

/* The bucket refuses a change of attributes for good while another writer has the file open
 * already: what that one writes is no part of it. */
static void attributes_given_up_under_a_writer(void **state)
{
    const struct stat mode = {.st_mode = 0600};
    struct vfs_entry e;
    struct stat st;
    int64_t attr_ns;
    uint64_t fh;

    (void)state;
    put_text("f", "text");
    send_all(1);
    fh = open_text("f", O_WRONLY);
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, fh, &mode, VFS_SET_MODE, &st, &attr_ns),
                     0);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(entries(), 1);
    fh = open_text("f", O_WRONLY);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    memstore_fail(rig.store, STORE_COPY, 1, 1, -EACCES);
    send_all(0);
    memstore_clear_faults(rig.store);
    write_text(fh, 0, "T");
    assert_int_equal(rig_shut(&rig, fh), 0);
    send_all(1);
    assert_object("f", "Text");
    assert_int_equal(kept(), 0);
}

/* From here on no file of this process can be written: the index neither. */
/* It is in the bucket, and its entry can't be dropped: no name goes before that one has. */
static void no_name_goes_before_its_entry(void **state)
{
    struct vfs_unsent u;

    (void)state;
    put_text("f", "text");
    put_text("g", "more");
    disk_is_full(true);
    assert_int_equal(outbox_run(rig.vfs), 2);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    disk_is_full(false);
    assert_object("f", "text");
    assert_int_equal(entries(), 2);
    assert_int_equal(vfs_unsent_get(rig.vfs, 1, &u), 0);
    assert_int_equal(u.files, 0);
    vfs_unsent_done(&u);
    disk_is_full(true);
    assert_true(rig_rename(&rig, "g", "h", 0) < 0);
    assert_true(rig_unlink(&rig, "f") < 0);
    disk_is_full(false);
    assert_object("f", "text");
    assert_object("g", "more");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_rename(&rig, "g", "h", 0), 0);
    assert_int_equal(entries(), 1); /* the removal of f */
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_no_object("f");
    assert_no_object("g");
    assert_object("h", "more");
}

/* The same of directories, which a crash would make again under their old names. */
static void no_directory_goes_before_its_entry(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(rig_mkdir(&rig, "e", 0755), 0);
    assert_int_equal(rig_mkdir(&rig, "e/sub", 0755), 0);
    assert_int_equal(rig_mkdir(&rig, "g", 0755), 0);
    disk_is_full(true);
    assert_int_equal(outbox_run(rig.vfs), 4);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    disk_is_full(false);
    assert_int_equal(entries(), 4);
    disk_is_full(true);
    assert_true(rig_rename(&rig, "e", "f", 0) < 0);
    assert_true(rig_rmdir(&rig, "d") < 0);
    assert_true(rig_chmod(&rig, "g", 0700) < 0);
    disk_is_full(false);
    clock_fake_add(120 * NS_PER_S);
    assert_object("d/", "");
    assert_object("e/sub/", "");
    assert_int_equal(rig_chmod(&rig, "g", 0700), 0);
    assert_int_equal(rig_rename(&rig, "e", "f", 0), 0);
    assert_object("f/sub/", "");
    assert_int_equal(entries(), 2); /* g's is what was set just now */
    assert_int_equal(rig_crash(&rig), 0);
    send_all(2);
    assert_no_object("e/");
    assert_no_object("e/sub/");
    assert_object("d/", "");
}

/* The same, and nobody comes: the sender drops it when it can. */
static void an_entry_is_dropped_later(void **state)
{
    (void)state;
    put_text("f", "text");
    disk_is_full(true);
    assert_int_equal(outbox_run(rig.vfs), 1);
    disk_is_full(false);
    assert_int_equal(entries(), 1);
    put_text("f", "newer");
    assert_int_equal(entries(), 1);
    send_all(1);
    assert_object("f", "newer");
    put_text("f", "newest");
    disk_is_full(true);
    assert_int_equal(outbox_run(rig.vfs), 1);
    disk_is_full(false);
    clock_fake_add(60 * NS_PER_S);
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_null(rig.vfs->locked.out_first);
    assert_object("f", "newest");
    assert_int_equal(kept(), 0);
}

/* An entry of which no file can be made is somebody's acknowledged bytes: nobody is told that all is
 * sent while it stands. */
static void an_entry_that_cant_be_read(void **state)
{
    uint64_t seq;

    (void)state;
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_int_equal(journal_put(rig.journal, "what", 4, NULL, 0, 0, &seq), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(vfs_drain(rig.vfs), -EIO);
    put_text("f", "text");
    assert_int_equal(vfs_drain(rig.vfs), -EIO);
    assert_object("f", "text");
    assert_int_equal(entries(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(an_entry_that_cant_be_read),
        L(a_newer_version_that_cant_be_journaled),
        L(neither_journal_nor_bucket),
        L(headers_outlive_a_crash),
        L(a_cut_that_waits_takes_nothing_away),
        L(close_mode_changes_attributes_in_the_bucket),
        L(a_stored_file_over_an_unsent_one),
        L(attributes_given_up_under_a_writer),
        L(no_name_goes_before_its_entry),
        L(no_directory_goes_before_its_entry),
        L(an_entry_is_dropped_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
