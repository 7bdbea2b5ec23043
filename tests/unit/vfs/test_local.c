/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: what close promises, what is sent, and when; names of what is unsent (protocol 14).
 */
#include "localmount.h"

static void close_asks_nothing_of_the_bucket(void **state)
{
    struct stat st;

    (void)state;
    memstore_count_reset(rig.store);
    put_text("f", "text");
    assert_int_equal(n_puts(), 0);
    assert_int_equal(entries(), 1);
    assert_no_object("f");
    memstore_count_reset(rig.store);
    assert_int_equal(rig_stat(&rig, "f", &st), 0); /* what was acknowledged is seen here, */
    assert_int_equal(st.st_size, 4);
    assert_file("f", "text");
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    send_all(1);
    assert_object("f", "text");
    assert_int_equal(n_puts(), 1);
    assert_file("f", "text");
}

static void listings_show_it(void **state)
{
    char names[64];

    (void)state;
    put_text("b", "2");
    assert_int_equal(rig_ls(&rig, "", names, sizeof(names)), 0);
    assert_string_equal(names, "b");
    send_all(1);
    assert_int_equal(rig_ls(&rig, "", names, sizeof(names)), 0);
    assert_string_equal(names, "b");
}

/* Many closes of one file: its newest version only. */
static void newest_version_only(void **state)
{
    (void)state;
    for (int k = 0; k < 20; k++) {
        char text[48];

        snprintf(text, sizeof(text), "version %d", k);
        put_text("f", text);
        assert_int_equal(entries(), 1);
    }
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_object("f", "version 19");
}

static void in_the_order_of_closes(void **state)
{
    (void)state;
    put_text("a", "1");
    put_text("b", "1");
    put_text("a", "2"); /* keeps its place: its first close was first */
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 1); /* a failed, and b did not wait for it */
    assert_no_object("a");
    assert_object("b", "1");
    clock_fake_add(60 * NS_PER_S);
    send_all(1);
    assert_object("a", "2");
}

/* A temporary name that is renamed before it was sent costs one PUT, and is never an object. */
static void temp_then_rename(void **state)
{
    (void)state;
    put_text("f.tmp", "text");
    memstore_count_reset(rig.store);
    assert_int_equal(rig_rename(&rig, "f.tmp", "f", 0), 0);
    assert_int_equal(n_puts(), 0);
    assert_int_equal(entries(), 1);
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_int_equal(memstore_count(rig.store, STORE_DELETE), 0);
    assert_object("f", "text");
    assert_int_equal(memstore_user_objects(rig.store), 1);
}

static void temp_over_a_stored_file(void **state)
{
    (void)state;
    put_text("f", "old");
    send_all(1);
    put_text("f.tmp", "new");
    memstore_count_reset(rig.store);
    assert_int_equal(rig_rename(&rig, "f.tmp", "f", 0), 0);
    assert_file("f", "new");
    assert_object("f", "old");
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_int_equal(memstore_count(rig.store, STORE_DELETE), 0);
    assert_object("f", "new");
}

static void temp_over_an_unsent_file(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        char text[48];

        snprintf(text, sizeof(text), "%d", k);
        put_text("f.tmp", text);
        assert_int_equal(rig_rename(&rig, "f.tmp", "f", 0), 0);
        assert_int_equal(entries(), 1);
    }
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_object("f", "2");
}

static void unlink_of_what_was_not_sent(void **state)
{
    (void)state;
    put_text("f", "text");
    memstore_count_reset(rig.store);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_int_equal(entries(), 0);
    send_all(0);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_int_equal(memstore_user_objects(rig.store), 0);
}

static void unlink_of_a_stored_file(void **state)
{
    (void)state;
    put_text("f", "old");
    send_all(1);
    put_text("f", "new");
    memstore_count_reset(rig.store);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(entries(), 1); /* the removal has taken its entry's place */
    send_all(1);
    assert_no_object("f");
    assert_int_equal(n_puts(), 0);
}

/* Its writer has it open again: half of the next version is not sent. */
static void never_half_a_file(void **state)
{
    uint64_t fh;

    (void)state;
    put_text("f", "first");
    fh = open_text("f", O_WRONLY | O_TRUNC);
    write_text(fh, 0, "sec");
    assert_int_equal(outbox_run(rig.vfs), 0);
    assert_no_object("f");
    write_text(fh, 3, "ond");
    assert_int_equal(rig_shut(&rig, fh), 0);
    send_all(1);
    assert_object("f", "second");
}

static void attributes_go_with_it(void **state)
{
    struct store_obj obj = {0};

    (void)state;
    put_text("f", "text");
    memstore_count_reset(rig.store);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(rig_truncate(&rig, "f", 2), 0);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_object("f", "te");
    assert_int_equal(memstore_get(rig.store, "f", &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, "x-amz-meta-file-permissions"), "0100600");
    store_obj_done(&obj);
}

/* rsync, cp -p and tar: owner, mode, times and headers are set after the close. One PUT, and nothing else; each is in the
 * journal when its call returns. */
static void attributes_set_after_the_close(void **state)
{
    const struct stat st = {.st_uid = 7, .st_gid = 8, .st_mode = 0640, .st_mtim.tv_sec = 1234567890};
    const int masks[] = {VFS_SET_UID | VFS_SET_GID, VFS_SET_MODE, VFS_SET_MTIME};
    struct store_obj obj = {0};
    struct vfs_entry e;
    int64_t attr_ns;
    struct stat now;

    (void)state;
    put_text("f.tmp", "text");
    assert_int_equal(rig_walk(&rig, "f.tmp", &e), 0);
    memstore_count_reset(rig.store);
    for (size_t k = 0; k < ARRAY_LEN(masks); k++)
        assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, &st, masks[k], &now, &attr_ns), 0);
    assert_int_equal(vfs_setxattr(rig.vfs, &rig.ctx, e.node, "user.s3efs.cache-control", "no-store", 8, 0), 0);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_int_equal(rig_rename(&rig, "f.tmp", "f", 0), 0);
    assert_int_equal(n_puts(), 0);
    assert_int_equal(entries(), 1);
    assert_int_equal(rig_crash(&rig), 0);
    memstore_count_reset(rig.store);
    send_all(1);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 1);
    assert_int_equal(n_puts(), 1);
    assert_int_equal(memstore_get(rig.store, "f", &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, "x-amz-meta-file-permissions"), "0100640");
    assert_string_equal(store_hdrs_get(&obj.hdrs, "x-amz-meta-file-owner"), "7");
    assert_string_equal(store_hdrs_get(&obj.hdrs, "x-amz-meta-file-group"), "8");
    assert_non_null(strstr(store_hdrs_get(&obj.hdrs, "x-amz-meta-file-mtime"), "1234567890"));
    assert_string_equal(store_hdrs_get(&obj.hdrs, "cache-control"), "no-store");
    store_obj_done(&obj);
}

/* Another client was faster: nobody waits, so its object stays, and the bytes are kept aside. */
static void a_foreign_version_is_not_overwritten(void **state)
{
    (void)state;
    put_text("new", "ours");
    put_text("old", "first");
    assert_int_equal(vfs_drain(rig.vfs), 0);
    put_text("old", "second");
    foreign_put("old", "theirs");
    send_all(0);
    assert_object("old", "theirs");
    assert_int_equal(kept(), 1);
    assert_object("new", "ours");
}

static void a_refusal_is_final(void **state)
{
    struct vfs_stats st;

    (void)state;
    put_text("f", "text");
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    send_all(0);
    assert_int_equal(kept(), 1);
    vfs_stats_get(rig.vfs, &st);
    assert_non_null(strstr(st.last_error, "f: when it was sent after its close"));
}

static void *read_it(void *arg)
{
    char *text = arg;

    return rig_get(&rig, "f", text, 4) == 4 ? NULL : arg;
}

/* While the upload is under way, on a thread of its own: it would wait for it in vain. */
static void read_amid(void *arg, struct store *s, const struct store_req *req, int result)
{
    pthread_t t;
    void *failed;

    (void)s;
    (void)result;
    if (req->op != STORE_PUT)
        return;
    assert_int_equal(pthread_create(&t, NULL, read_it, arg), 0);
    pthread_join(t, &failed);
    assert_null(failed);
}

static void read_while_it_is_sent(void **state)
{
    char text[5] = "";

    (void)state;
    put_text("f", "text");
    memstore_set_hooks(rig.store, read_amid, NULL, text);
    send_all(1);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_string_equal(text, "text");
    assert_object("f", "text");
}

/* An outage: closes go on, and everything is sent once it is over, however often it was tried. */
static void an_outage(void **state)
{
    struct vfs_unsent u;
    uint64_t fh[5];

    (void)state;
    for (int k = 0; k < 5; k++) {
        char name[32];

        snprintf(name, sizeof(name), "f%d", k);
        assert_int_equal(rig_creat(&rig, name, O_WRONLY, 0644, &fh[k]), 0);
    }
    memstore_fail(rig.store, STORE_PUT, 1, 1000, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1000, -EIO);
    for (int k = 0; k < 5; k++) {
        write_text(fh[k], 0, "text");
        assert_int_equal(rig_shut(&rig, fh[k]), 0);
    }
    for (int k = 0; k < 8; k++) {
        assert_int_equal(outbox_run(rig.vfs), 0);
        clock_fake_add(31 * NS_PER_S);
    }
    assert_int_equal(vfs_drain(rig.vfs), -EIO);
    assert_int_equal(vfs_unsent_get(rig.vfs, 2, &u), 0);
    assert_int_equal(u.files, 5);
    assert_int_equal(u.bytes, 20);
    assert_true(u.oldest_ns >= 8 * 31 * NS_PER_S);
    assert_int_equal(u.n, 2);
    assert_string_equal(u.keys[0], "f0");
    vfs_unsent_done(&u);
    memstore_clear_faults(rig.store);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_int_equal(entries(), 0);
    assert_int_equal(kept(), 0);
    assert_int_equal(memstore_user_objects(rig.store), 5);
}

/* What the journal's disk refuses goes to the bucket before close returns. */
static void a_disk_that_fails(void **state)
{
    char files[128];

    (void)state;
    snprintf(files, sizeof(files), "%s/journal/files", rig.dir);
    assert_int_equal(rmdir(files), 0);
    put_text("f", "text");
    assert_object("f", "text");
    assert_int_equal(entries(), 0);
}

static int fsync_setup(void **state)
{
    (void)state;
    return local_setup_as(VFS_COMMIT_FSYNC);
}

static void fsync_waits_for_the_bucket(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY, 0644, &fh), 0);
    write_text(fh, 0, "one");
    assert_int_equal(vfs_fsync(rig.vfs, fh), 0);
    assert_object("f", "one");
    assert_int_equal(entries(), 0);
    write_text(fh, 3, "two");
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("f", "one");
    assert_int_equal(entries(), 1);
    send_all(1);
    assert_object("f", "onetwo");
}

/* Who waits for what was acknowledged before waits in vain for another mount's content to be
 * replaced. */
static void an_fsync_after_the_close_replaces_nothing(void **state)
{
    struct rig other;
    uint64_t fh;

    (void)state;
    put_text("f", "first");
    send_all(1);
    put_text("f", "second");
    rig.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    assert_int_equal(rig_put(&other, "f", "theirs", 6), 0);
    fh = open_text("f", O_WRONLY);
    assert_int_equal(vfs_fsync(rig.vfs, fh), -ESTALE);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("f", "theirs");
    send_all(0);
    assert_int_equal(kept(), 1);
    rig_close(&other);
}

/* The mark that was tried is of other bytes than those that are there now (OUT-1). */
static void written_after_a_lost_reply(void **state)
{
    uint64_t fh;

    (void)state;
    put_text("log", "one\n");
    send_all(1);
    fh = open_text("log", O_WRONLY | O_APPEND);
    write_text(fh, 0, "two\n");
    assert_int_equal(vfs_fsync(rig.vfs, fh), 0);
    memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0);
    assert_object("log", "one\ntwo\n");
    write_text(fh, 0, "three\n");
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_object("log", "one\ntwo\nthree\n");
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_file("log", "one\ntwo\nthree\n");
}

static void local_fsync_does_not(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY, 0644, &fh), 0);
    write_text(fh, 0, "one");
    assert_int_equal(vfs_fsync(rig.vfs, fh), 0);
    assert_no_object("f");
    assert_int_equal(rig_crash(&rig), 0); /* the handle dies with the mount */
    send_all(1);
    assert_object("f", "one");
}

/* A directory's rename, a link and a rename of what is in the bucket first send what they are
 * about. */
static void what_depends_on_it_sends_it_first(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    put_text("d/f", "text");
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    assert_int_equal(entries(), 0);
    assert_object("e/f", "text");
    put_text("e/f", "more");
    assert_int_equal(rig_rename(&rig, "e/f", "e/g", 0), 0);
    assert_int_equal(entries(), 0);
    assert_object("e/g", "more");
    assert_no_object("e/f");
    put_text("l", "stored"); /* else the journal has its link: test_local_linked */
    assert_int_equal(outbox_run(rig.vfs), 1);
    put_text("l", "linked");
    assert_int_equal(rig_link(&rig, "l", "m"), 0);
    assert_int_equal(entries(), 0);
    assert_object("m", "linked");
    put_text("e/h", "x");
    assert_int_equal(rig_rmdir(&rig, "e"), -ENOTEMPTY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(close_asks_nothing_of_the_bucket),
        L(listings_show_it),
        L(newest_version_only),
        L(in_the_order_of_closes),
        L(temp_then_rename),
        L(temp_over_a_stored_file),
        L(temp_over_an_unsent_file),
        L(unlink_of_what_was_not_sent),
        L(unlink_of_a_stored_file),
        L(never_half_a_file),
        L(attributes_go_with_it),
        L(attributes_set_after_the_close),
        L(a_foreign_version_is_not_overwritten),
        L(a_refusal_is_final),
        L(read_while_it_is_sent),
        L(an_outage),
        L(a_disk_that_fails),
        cmocka_unit_test_setup_teardown(fsync_waits_for_the_bucket, fsync_setup, teardown),
        cmocka_unit_test_setup_teardown(an_fsync_after_the_close_replaces_nothing, fsync_setup,
                                        teardown),
        L(written_after_a_lost_reply),
        L(local_fsync_does_not),
        L(what_depends_on_it_sends_it_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
