/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local and a mount that dies: at every step on the way of an acknowledged file to the
 * bucket the disk is kept as it is then, and the next start goes on from there. All of it arrives,
 * once. */
#include "localmount.h"

/* The disk as it was when the n-th request of a kind began or had taken effect. */
static struct {
    enum store_op op;
    unsigned n;
    bool after;
} stop_at;

static void count_to_stop(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == stop_at.op && stop_at.n > 0 && --stop_at.n == 0)
        assert_int_equal(rig_snapshot(&rig), 0);
}

/* Sends, and dies at that moment: what the first process did to the bucket stays done. heads: that
 * it still gets an answer to. */
static void die_at(enum store_op op, unsigned n, bool after, unsigned heads)
{
    stop_at.op = op;
    stop_at.n = n;
    memstore_set_hooks(rig.store, after ? NULL : count_to_stop, after ? count_to_stop : NULL, NULL);
    if (!after) /* what follows did not happen */
        memstore_fail(rig.store, op, n, 1000, -EIO);
    else
        memstore_lose(rig.store, op, n, 1, -EIO);
    memstore_fail(rig.store, STORE_HEAD, heads + 1, 1000, -EIO);
    (void)outbox_run(rig.vfs);
    assert_int_equal(stop_at.n, 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    memstore_clear_faults(rig.store);
    clock_fake_add(NS_PER_S);
    assert_int_equal(rig_crash(&rig), 0);
    memstore_count_reset(rig.store);
}

static void nothing_was_sent(void **state)
{
    char names[64];

    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0750), 0);
    put_text("d/f", "text");
    put_text("g", "");
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(entries(), 3);
    assert_file("d/f", "text"); /* at once, */
    assert_int_equal(rig_ls(&rig, "d", names, sizeof(names)), 0);
    assert_string_equal(names, "f");
    send_all(3);
    assert_object("d/f", "text");
    assert_object("g", "");
    assert_int_equal(n_puts(), 2 + 1); /* and the directory's marker */
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(entries(), 0);
}

/* The directory is known by its key alone until somebody asks for it. */
static void directories_keep_their_attributes(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(rig_mkdir(&rig, "d", 0700), 0);
    assert_int_equal(outbox_run(rig.vfs), 1);
    put_text("d/f", "text");
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(rig_stat(&rig, "d", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_file("d/f", "text");
    send_all(1);
}

static void before_the_put(void **state)
{
    (void)state;
    put_text("f", "text");
    die_at(STORE_PUT, 1, false, 0);
    assert_no_object("f");
    send_all(1);
    assert_object("f", "text");
    assert_int_equal(kept(), 0);
}

/* The PUT was done, and nobody here knows: the mark does (protocol 3). */
static void after_the_put(void **state)
{
    struct store_obj first = {0}, now = {0};

    (void)state;
    put_text("f", "text");
    die_at(STORE_PUT, 1, true, 0);
    assert_int_equal(memstore_get(rig.store, "f", &first, NULL), 0);
    send_all(1);
    assert_object("f", "text");
    assert_int_equal(memstore_get(rig.store, "f", &now, NULL), 0);
    assert_int_equal(now.mtime_ns, first.mtime_ns); /* no second one was made */
    assert_int_equal(kept(), 0);
    assert_file("f", "text");
    store_obj_done(&first);
    store_obj_done(&now);
}

static void an_append_is_not_doubled(void **state)
{
    (void)state;
    put_text("log", "one\n");
    send_all(1);
    assert_int_equal(append_text("log", "two\n"), 0);
    die_at(STORE_PUT, 1, true, 0);
    assert_object("log", "one\ntwo\n");
    send_all(1);
    assert_object("log", "one\ntwo\n");
    assert_file("log", "one\ntwo\n");
    assert_int_equal(append_text("log", "three\n"), 0);
    send_all(1);
    assert_object("log", "one\ntwo\nthree\n");
}

/* And another mount has appended on top of it meanwhile. */
static void an_append_below_others_is_not_doubled(void **state)
{
    struct rig other;
    uint64_t fh;

    (void)state;
    put_text("log", "one\n");
    send_all(1);
    assert_int_equal(append_text("log", "two\n"), 0);
    die_at(STORE_PUT, 1, true, 0);
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    assert_int_equal(rig_open_file(&other, "log", O_WRONLY | O_APPEND, &fh), 0);
    assert_int_equal(vfs_write(other.vfs, &other.ctx, fh, 0, "other\n", 6), 6);
    assert_int_equal(vfs_fsync(other.vfs, fh), 0);
    assert_int_equal(rig_shut(&other, fh), 0);
    assert_int_equal(vfs_drain(other.vfs), 0);
    send_all(1);
    assert_object("log", "one\ntwo\nother\n");
    assert_file("log", "one\ntwo\nother\n");
    rig_close(&other);
}

/* It was never sent, and another mount has appended: it goes to the new end, once. */
static void an_append_meets_anothers(void **state)
{
    struct rig other;
    uint64_t fh;

    (void)state;
    put_text("log", "one\n");
    send_all(1);
    assert_int_equal(append_text("log", "two\n"), 0);
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    assert_int_equal(rig_open_file(&other, "log", O_WRONLY | O_APPEND, &fh), 0);
    assert_int_equal(vfs_write(other.vfs, &other.ctx, fh, 0, "other\n", 6), 6);
    assert_int_equal(rig_shut(&other, fh), 0);
    assert_int_equal(vfs_drain(other.vfs), 0);
    assert_int_equal(rig_crash(&rig), 0);
    /* dies once more when the merged version is there */
    die_at(STORE_PUT, 2, true, 2);
    assert_object("log", "one\nother\ntwo\n");
    send_all(1);
    assert_object("log", "one\nother\ntwo\n");
    assert_file("log", "one\nother\ntwo\n");
    rig_close(&other);
}

/* A range that was merged onto another mount's version, as long as before: what the bucket has is
 * read, not what the journal had. */
static void a_merged_range_is_read_as_it_went_up(void **state)
{
    struct rig other;
    uint64_t fh;

    (void)state;
    put_text("f", "0123456789");
    send_all(1);
    fh = open_text("f", O_WRONLY);
    write_text(fh, 0, "xx");
    assert_int_equal(rig_shut(&rig, fh), 0);
    rig.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    assert_int_equal(rig_open_file(&other, "f", O_WRONLY, &fh), 0);
    assert_int_equal(vfs_write(other.vfs, &other.ctx, fh, 5, "yy", 2), 2);
    assert_int_equal(rig_shut(&other, fh), 0);
    rig_close(&other);
    assert_int_equal(rig_crash(&rig), 0);
    die_at(STORE_PUT, 2, true, 2);
    assert_object("f", "xx234yy789");
    assert_file("f", "xx23456789"); /* ours, until it is sent */
    send_all(1);
    assert_object("f", "xx234yy789");
    assert_file("f", "xx234yy789");
}

/* An older version of the file went up before the newer one was journaled. */
static void a_newer_close_after_a_lost_reply(void **state)
{
    (void)state;
    put_text("f", "first");
    memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0);
    assert_object("f", "first");
    put_text("f", "second");
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_object("f", "second");
    assert_int_equal(kept(), 0);
}

static void parts(void **state)
{
    const size_t size = 20 << 20;
    char *bytes = malloc(size);
    char *data = NULL;
    uint64_t fh;

    (void)state;
    for (size_t k = 0; k < size; k++)
        bytes[k] = (char)(k * 31 + (k >> 12));
    assert_int_equal(rig_creat(&rig, "big", O_WRONLY, 0644, &fh), 0);
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, bytes, size), size);
    assert_int_equal(rig_shut(&rig, fh), 0);
    die_at(STORE_MPU_PART, 2, false, 0);
    assert_no_object("big");
    die_at(STORE_MPU_COMPLETE, 1, true, 0);
    send_all(1);
    assert_int_equal(memstore_get(rig.store, "big", NULL, &data), 0);
    assert_memory_equal(data, bytes, size);
    assert_int_equal(kept(), 0);
    free(data);
    free(bytes);
}

static void a_rename_is_as_safe_as_a_close(void **state)
{
    (void)state;
    put_text("f", "old");
    send_all(1);
    put_text("f.tmp", "new");
    assert_int_equal(rig_rename(&rig, "f.tmp", "f", 0), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_file("f", "new");
    send_all(1);
    assert_object("f", "new");
    assert_no_object("f.tmp");
    assert_int_equal(memstore_user_objects(rig.store), 1);
}

static void an_unlink_is_as_safe_as_a_close(void **state)
{
    (void)state;
    put_text("f", "text");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_crash(&rig), 0);
    send_all(0);
    assert_no_object("f");
}

/* Nothing says after a crash whether it was tried: it must not come to light later. */
static void unlink_after_a_lost_reply(void **state)
{
    (void)state;
    put_text("f", "text");
    die_at(STORE_PUT, 1, true, 0);
    assert_object("f", "text");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_no_object("f");
    send_all(0);
}

/* A replay meets a version that it did not start from. */
static void a_foreign_version_meanwhile(void **state)
{
    (void)state;
    put_text("old", "first");
    send_all(1);
    put_text("old", "second");
    put_text("new", "ours");
    foreign_put("old", "theirs");
    foreign_put("new", "theirs");
    assert_int_equal(rig_crash(&rig), 0);
    send_all(0);
    assert_object("old", "theirs");
    assert_object("new", "theirs");
    assert_int_equal(kept(), 2);
}

static void removed_by_another_client(void **state)
{
    (void)state;
    put_text("f", "first");
    send_all(1);
    put_text("f", "second");
    memstore_delete(rig.store, "f");
    assert_int_equal(rig_crash(&rig), 0);
    send_all(0);
    assert_no_object("f"); /* never made again */
    assert_int_equal(kept(), 1);
}

/* A mount with commit=close sends what one with commit=local has left. */
static void another_mode_sends_it(void **state)
{
    (void)state;
    put_text("f", "text");
    assert_int_equal(rig_snapshot(&rig), 0);
    rig.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_crash(&rig), 0);
    assert_file("f", "text");
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_object("f", "text");
    assert_int_equal(entries(), 0);
    put_text("g", "at once");
    assert_object("g", "at once");
}

static void a_read_only_mount_sends_it(void **state)
{
    (void)state;
    put_text("f", "text");
    assert_int_equal(rig_snapshot(&rig), 0);
    rig.conf.commit = VFS_COMMIT_CLOSE;
    rig.conf.read_only = true;
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_object("f", "text");
    assert_int_equal(entries(), 0);
}

/* An orderly end while the bucket is away keeps the journal, too. */
static void an_end_without_the_bucket(void **state)
{
    (void)state;
    put_text("f", "text");
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(entries(), 1);
    send_all(1);
    assert_object("f", "text");
    assert_int_equal(kept(), 0);
}

/* Two starts that die at once, and a third. */
static void again_and_again(void **state)
{
    (void)state;
    put_text("f", "one");
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(append_text("f", "two"), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(append_text("f", "three"), 0);
    die_at(STORE_PUT, 1, true, 0);
    die_at(STORE_PUT, 1, true, 0);
    send_all(1);
    assert_object("f", "onetwothree");
    assert_int_equal(kept(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(nothing_was_sent),
        L(directories_keep_their_attributes),
        L(before_the_put),
        L(after_the_put),
        L(an_append_is_not_doubled),
        L(an_append_below_others_is_not_doubled),
        L(an_append_meets_anothers),
        L(a_merged_range_is_read_as_it_went_up),
        L(a_newer_close_after_a_lost_reply),
        L(parts),
        L(a_rename_is_as_safe_as_a_close),
        L(an_unlink_is_as_safe_as_a_close),
        L(unlink_after_a_lost_reply),
        L(a_foreign_version_meanwhile),
        L(removed_by_another_client),
        L(another_mode_sends_it),
        L(a_read_only_mount_sends_it),
        L(an_end_without_the_bucket),
        L(again_and_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
