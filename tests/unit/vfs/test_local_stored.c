/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: chmod, chown, utimens, setxattr and truncate of a file that the bucket has. They
 * are in the journal when they return, and go to the bucket later, once, also where the mount dies,
 * where a reply is lost, and where another mount was at the file meanwhile. */
#include "localmount.h"


#define MODE "x-amz-meta-file-permissions"

/* Looked up: what follows needs no lookup. */
static void put_stored(const char *path, const char *text)
{
    struct stat st;

    put_text(path, text);
    send_all(1);
    assert_int_equal(rig_stat(&rig, path, &st), 0);
    memstore_count_reset(rig.store);
}

/* The same where a close waits for the bucket. */
static void put_stored_now(const char *path, const char *text)
{
    struct stat st;

    put_text(path, text);
    assert_int_equal(outbox_run(rig.vfs), 0);
    assert_int_equal(rig_stat(&rig, path, &st), 0);
}

static uint64_t n_asked(void)
{
    return memstore_count(rig.store, STORE_OPS);
}

static void assert_header(const char *key, const char *name, const char *value)
{
    struct store_obj obj = {0};

    assert_int_equal(memstore_get(rig.store, key, &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, name), value);
    store_obj_done(&obj);
}

static void assert_mode(const char *path, mode_t mode)
{
    struct stat st;

    assert_int_equal(rig_stat(&rig, path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static void set_mtime(const char *path, time_t at)
{
    struct stat st = {.st_mtim.tv_sec = at}, now;
    struct vfs_entry e;
    int64_t attr_ns;

    assert_int_equal(rig_walk(&rig, path, &e), 0);
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, &st, VFS_SET_MTIME, &now, &attr_ns),
                     0);
    vfs_forget(rig.vfs, e.node, 1);
}

/* Another mount, which has each thing in the bucket when its call returns. */
static void join_other(struct rig *other)
{
    struct rig first = rig;

    first.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_join(other, &first, &first.conf), 0);
}

static void others_append(const char *path, const char *text)
{
    struct rig other;
    uint64_t fh;

    join_other(&other);
    assert_int_equal(rig_open_file(&other, path, O_WRONLY | O_APPEND, &fh), 0);
    assert_int_equal(vfs_write(other.vfs, &other.ctx, fh, 0, text, strlen(text)), strlen(text));
    assert_int_equal(rig_shut(&other, fh), 0);
    rig_close(&other);
}

static void others_chmod(const char *path, mode_t mode)
{
    struct rig other;

    join_other(&other);
    assert_int_equal(rig_chmod(&other, path, mode), 0);
    rig_close(&other);
}

/* rsync -a, where a sender was faster than it. */
static void asks_nothing_and_goes_once(void **state)
{
    struct vfs_unsent u;
    struct stat st;

    (void)state;
    put_text("f", "text");
    set_xattr("f", "user.shape", "round");
    put_stored("f", "text");
    set_mtime("f", 1234567890);
    assert_int_equal(rig_chown(&rig, "f", 7, 8), 0);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    set_xattr("f", "user.color", "red");
    assert_int_equal(n_asked(), 0);
    assert_int_equal(entries(), 1);
    assert_int_equal(vfs_unsent_get(rig.vfs, 1, &u), 0);
    assert_int_equal(u.files, 1);
    assert_int_equal(u.n, 1);
    vfs_unsent_done(&u);
    assert_mode("f", 0600);
    assert_int_equal(rig_crash(&rig), 0);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_uid, 7);
    assert_int_equal(st.st_mtim.tv_sec, 1234567890);
    assert_int_equal(st.st_size, 4);
    assert_xattr("f", "user.color", "red");
    assert_xattr("f", "user.shape", "round"); /* of before: the entry has what the object had */
    set_xattr("f", "user.size", "small");
    assert_int_equal(n_asked(), 0);
    send_all(1);
    assert_int_equal(n_puts() + memstore_count(rig.store, STORE_COPY), 1);
    assert_object("f", "text");
    assert_header("f", MODE, "0100600");
    assert_header("f", "x-amz-meta-file-owner", "7");
    assert_int_equal(rig_remount(&rig), 0);
    assert_xattr("f", "user.color", "red");
    assert_xattr("f", "user.shape", "round");
    assert_xattr("f", "user.size", "small");
    assert_mode("f", 0600);
    assert_int_equal(kept(), 0);
}

/* Nothing was set in them by now, and they are not asked for: the entry has them. */
static void xattrs_outlive_a_crash(void **state)
{
    (void)state;
    put_text("f", "text");
    set_xattr("f", "user.shape", "round");
    put_stored("f", "text");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(rig_crash(&rig), 0);
    memstore_count_reset(rig.store);
    assert_xattr("f", "user.shape", "round");
    set_xattr("f", "user.color", "red");
    assert_int_equal(n_asked(), 0);
    send_all(1);
    assert_int_equal(rig_remount(&rig), 0);
    assert_xattr("f", "user.color", "red");
    assert_xattr("f", "user.shape", "round");
}

static void a_truncate_by_name_is_journaled(void **state)
{
    (void)state;
    put_stored("f", "0123456789");
    assert_int_equal(rig_truncate(&rig, "f", 4), 0);
    assert_int_equal(n_asked(), 0);
    assert_int_equal(entries(), 1);
    assert_int_equal(rig_crash(&rig), 0);
    assert_file("f", "0123");
    send_all(1);
    assert_object("f", "0123");
    put_stored("g", "text");
    assert_int_equal(rig_truncate(&rig, "g", 0), 0);
    assert_int_equal(rig_truncate(&rig, "g", 2), 0);
    assert_int_equal(n_asked(), 0);
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_int_equal(rig_truncate(&rig, "g", 0), 0);
    send_all(1);
    assert_object("g", "");
}

/* The reply is lost, and then another mount sets what it wants: that stands. */
static void is_not_set_twice(void **state)
{
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        put_stored("f", "text");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
        memstore_lose(rig.store, STORE_COPY, 1, 1, -EIO);
        memstore_fail(rig.store, STORE_HEAD, 1, 1000, -EIO);
        assert_int_equal(outbox_run(rig.vfs), 0);
        memstore_clear_faults(rig.store);
        assert_header("f", MODE, "0100600");
        assert_int_equal(entries(), 1);
        others_chmod("f", 0640);
        clock_fake_add(100 * NS_PER_S);
        if (dies == 1)
            assert_int_equal(rig_crash(&rig), 0);
        memstore_count_reset(rig.store);
        send_all(1);
        assert_int_equal(n_puts() + memstore_count(rig.store, STORE_COPY), 0);
        assert_header("f", MODE, "0100640");
        assert_object("f", "text");
        clock_fake_add(100 * NS_PER_S);
        assert_mode("f", 0640);
        assert_int_equal(kept(), 0);
    }
}

/* Nobody was at it meanwhile: it is found done. */
static void a_lost_reply_alone(void **state)
{
    (void)state;
    put_stored("f", "text");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
    memstore_lose(rig.store, STORE_COPY, 1, 1, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1000, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0);
    memstore_clear_faults(rig.store);
    assert_int_equal(rig_chmod(&rig, "f", 0644), 0); /* and once more, meanwhile */
    clock_fake_add(100 * NS_PER_S);
    send_all(1);
    assert_header("f", MODE, "0100644");
    assert_mode("f", 0644);
}

static void goes_onto_a_newer_version(void **state)
{
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        put_stored("f", "text");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        others_append("f", ", more");
        if (dies == 1)
            assert_int_equal(rig_crash(&rig), 0);
        clock_fake_add(NS_PER_S);
        send_all(1);
        assert_object("f", "text, more");
        assert_header("f", MODE, "0100600");
        assert_file("f", "text, more");
        assert_mode("f", 0600);
        assert_int_equal(kept(), 0);
    }
}

/* Close-to-open: attributes that wait keep nobody from what another mount has closed. */
static void an_open_sees_a_newer_version(void **state)
{
    (void)state;
    put_stored("f", "text");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_file("f", "text");
    assert_int_equal(entries(), 1);
    assert_int_equal(n_asked(), 1); /* as without an entry */
    others_append("f", ", more");
    assert_file("f", "text, more");
    assert_int_equal(entries(), 0);
    assert_header("f", MODE, "0100600");
    assert_int_equal(rig_chmod(&rig, "f", 0640), 0);
    others_append("f", ", yet more");
    assert_int_equal(rig_crash(&rig), 0); /* after a start, too */
    assert_file("f", "text, more, yet more");
    assert_int_equal(entries(), 0);
    assert_int_equal(append_text("f", ", mine"), 0);
    send_all(1);
    assert_object("f", "text, more, yet more, mine");
    assert_header("f", MODE, "0100640");
}

/* What a start finds changed in its attributes alone has no bytes of its own: theirs and their time count, an
 * open sees that it went, and nothing of it is for lost+found. */
static void after_a_start_the_bytes_are_theirs(void **state)
{
    struct stat st;
    uint64_t fh;

    (void)state;
    put_stored("f", "text");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    clock_fake_add(50 * NS_PER_S);
    others_append("f", ", more");
    assert_int_equal(rig_crash(&rig), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_file("f", "text, more");
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_mtime, 1700000050);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(rig_chmod(&rig, "f", 0640), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(memstore_delete(rig.store, "f"), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_open_file(&rig, "f", O_RDONLY, &fh), -ENOENT);
    assert_int_equal(entries(), 0);
    assert_int_equal(kept(), 0);
}

/* An open one goes on in its version, which is the same bytes, whether it was sent or not. */
static void readers_go_on(void **state)
{
    char buf[8] = "";
    uint64_t fh;

    (void)state;
    put_stored("f", "text");
    fh = open_text("f", O_RDONLY);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, 2), 2);
    send_all(1);
    assert_int_equal(vfs_read(rig.vfs, fh, 2, buf + 2, 4), 2);
    assert_string_equal(buf, "text");
    assert_int_equal(rig_shut(&rig, fh), 0);
}

static void removed_by_another_client(void **state)
{
    struct vfs_stats s;

    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        put_stored("f", "text");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        assert_int_equal(memstore_delete(rig.store, "f"), 0);
        if (dies == 1)
            assert_int_equal(rig_crash(&rig), 0);
        assert_int_equal(vfs_drain(rig.vfs), -ESTALE);
        assert_int_equal(entries(), 0);
        assert_no_object("f");
        vfs_stats_get(rig.vfs, &s);
        assert_true(s.commit_errors > 0);
        assert_non_null(strstr(s.last_error, "f: "));
        assert_int_equal(kept(), 0); /* there were no bytes */
        clock_fake_add(100 * NS_PER_S);
        assert_int_equal(rig_chmod(&rig, "f", 0600), -ENOENT);
        assert_int_equal(vfs_drain(rig.vfs), 0);
    }
}

static void refused_for_good(void **state)
{
    (void)state;
    put_stored("f", "text");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    memstore_fail(rig.store, STORE_COPY, 1, 1, -EACCES);
    assert_int_equal(vfs_drain(rig.vfs), -EACCES);
    memstore_clear_faults(rig.store);
    assert_int_equal(entries(), 0);
    assert_mode("f", 0644); /* what the bucket has */
    assert_file("f", "text");
    assert_int_equal(kept(), 0);
}

/* What comes after it takes it along: one entry, one request. */
static void later_changes_take_it_along(void **state)
{
    (void)state;
    put_stored("f", "text");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(append_text("f", ", more"), 0);
    assert_int_equal(rig_chmod(&rig, "f", 0640), 0);
    assert_int_equal(entries(), 1);
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_object("f", "text, more");
    assert_header("f", MODE, "0100640");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    put_text("f", "anew");
    assert_int_equal(entries(), 1);
    send_all(1);
    assert_object("f", "anew");
    assert_header("f", MODE, "0100600");
    assert_int_equal(kept(), 0);
}

static void an_unlink_takes_its_place(void **state)
{
    (void)state;
    put_stored("f", "text");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(entries(), 1);
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_no_object("f");
    assert_int_equal(n_puts(), 0);
}

static void a_rename_takes_it_along(void **state)
{
    (void)state;
    put_stored("f", "text");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(rig_rename(&rig, "f", "g", 0), 0);
    send_all(2);
    assert_no_object("f");
    assert_object("g", "text");
    assert_header("g", MODE, "0100600");
    assert_int_equal(rig_chmod(&rig, "g", 0640), 0);
    put_text("new", "new");
    assert_int_equal(rig_rename(&rig, "new", "g", 0), 0);
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_object("g", "new");
    assert_header("g", MODE, "0100644");
    assert_no_object("new");
    assert_int_equal(kept(), 0);
}

/* While another has it open for writing, and has written nothing yet. */
static void under_a_writer(void **state)
{
    uint64_t fh;

    (void)state;
    put_stored("f", "text");
    fh = open_text("f", O_WRONLY);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(n_asked(), 0);
    assert_int_equal(entries(), 1);
    write_text(fh, 0, "T");
    assert_int_equal(rig_snapshot(&rig), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_object("f", "text");
    assert_header("f", MODE, "0100600");
}

/* What waits is acknowledged, so it is not his who has it open: each change has to be, too. */
static void each_under_a_writer(void **state)
{
    uint64_t fh;

    (void)state;
    put_stored("f", "text");
    fh = open_text("f", O_WRONLY);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(rig_chmod(&rig, "f", 0640), 0);
    set_xattr("f", "user.colour", "red");
    set_mtime("f", 12345);
    assert_int_equal(rig_truncate(&rig, "f", 2), 0);
    assert_int_equal(n_asked(), 0);
    assert_int_equal(entries(), 1);
    assert_int_equal(rig_snapshot(&rig), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_mode("f", 0640);
    assert_xattr("f", "user.colour", "red");
    send_all(1);
    assert_object("f", "te");
    assert_header("f", MODE, "0100640");
}

/* The same of a file that the bucket does not have. */
static void each_under_a_writer_of_a_new_file(void **state)
{
    uint64_t fh;

    (void)state;
    put_text("f", "text");
    fh = open_text("f", O_WRONLY);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    set_xattr("f", "user.colour", "red");
    assert_int_equal(rig_snapshot(&rig), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_mode("f", 0600);
    assert_xattr("f", "user.colour", "red");
    send_all(1);
    assert_object("f", "text");
}

/* The names of a hard link are not the journal's. */
static void a_hard_link_goes_at_once(void **state)
{
    (void)state;
    put_stored("f", "text");
    assert_int_equal(rig_link(&rig, "f", "g"), 0);
    assert_int_equal(rig_chmod(&rig, "g", 0600), 0);
    assert_int_equal(entries(), 0);
    assert_header("f", MODE, "0100600");
}

/* What can't be journaled is in the bucket when the call returns, or fails. */
static void a_disk_that_is_full(void **state)
{
    (void)state;
    put_stored("f", "text");
    disk_is_full(true);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_header("f", MODE, "0100600");
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    memstore_fail(rig.store, STORE_COPY, 1, 1, -EACCES);
    assert_int_equal(rig_chmod(&rig, "f", 0640), -EACCES);
    disk_is_full(false);
    memstore_clear_faults(rig.store);
    assert_int_equal(entries(), 0);
    assert_mode("f", 0600);
}

static int fsync_setup(void **state)
{
    (void)state;
    return local_setup_as(VFS_COMMIT_FSYNC);
}

/* commit=fsync: as a close, it is for an fsync to wait. */
static void an_fsync_waits_for_the_bucket(void **state)
{
    uint64_t fh;

    (void)state;
    put_stored("f", "text");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(n_asked(), 0);
    fh = open_text("f", O_RDONLY);
    assert_int_equal(vfs_fsync(rig.vfs, fh), 0);
    assert_header("f", MODE, "0100600");
    assert_int_equal(entries(), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
}

static int synced_setup(void **state)
{
    struct vfs_conf conf;

    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    rig_defaults(&conf);
    conf.commit = VFS_COMMIT_FSYNC;
    conf.sync_writes = true;
    conf.unsent_max = 1 << 20;
    return rig_open(&rig, &conf);
}

static void note_room(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)s;
    (void)result;
    if (req->op == STORE_PUT || req->op == STORE_COPY)
        *(uint64_t *)arg = budget_used(&rig.vfs->unsent);
}

/* noac: nothing of it is the journal's, so it needs no room there. */
static void what_goes_at_once_takes_no_room(void **state)
{
    uint64_t room = UINT64_MAX;

    (void)state;
    put_stored_now("f", "text");
    memstore_set_hooks(rig.store, note_room, NULL, &room);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_int_equal(room, 0);
    assert_header("f", MODE, "0100600");
    assert_int_equal(entries(), 0);
}

/* Another tool has given it more headers than an entry can say, and of what is no file nobody asks again. */
static void a_symlink_with_headers_past_number(void **state)
{
    struct stat st = {.st_uid = 7}, now;
    struct store_obj obj = {0};
    struct vfs_entry e;
    char name[64];
    int64_t ns;

    (void)state;
    assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, "target", VFS_ROOT, "l", &e), 0);
    send_all(1);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(memstore_get(rig.store, "l", &obj, NULL), 0);
    for (unsigned k = 0; k < 80; k++) {
        snprintf(name, sizeof(name), "x-amz-meta-other-%u", k);
        assert_int_equal(store_hdrs_set(&obj.hdrs, name, "x"), 0);
    }
    assert_int_equal(memstore_put(rig.store, "l", "target", 6, &obj.hdrs, NULL), 0);
    store_obj_done(&obj);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_walk(&rig, "l", &e), 0);
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, &st, VFS_SET_UID, &now, &ns), 0);
    assert_int_equal(rig_crash(&rig), 0);
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_header("l", "x-amz-meta-file-owner", "7");
    assert_header("l", "x-amz-meta-other-79", "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(asks_nothing_and_goes_once),
        L(xattrs_outlive_a_crash),
        L(a_truncate_by_name_is_journaled),
        L(is_not_set_twice),
        L(a_lost_reply_alone),
        L(goes_onto_a_newer_version),
        L(an_open_sees_a_newer_version),
        L(after_a_start_the_bytes_are_theirs),
        L(readers_go_on),
        L(removed_by_another_client),
        L(refused_for_good),
        L(later_changes_take_it_along),
        L(an_unlink_takes_its_place),
        L(a_rename_takes_it_along),
        L(under_a_writer),
        L(each_under_a_writer),
        L(each_under_a_writer_of_a_new_file),
        L(a_hard_link_goes_at_once),
        L(a_disk_that_is_full),
        L(a_symlink_with_headers_past_number),
        cmocka_unit_test_setup_teardown(what_goes_at_once_takes_no_room, synced_setup, teardown),
        cmocka_unit_test_setup_teardown(an_fsync_waits_for_the_bucket, fsync_setup, teardown),
    };

    return cmocka_run_group_tests_name("vfs/local_stored", tests, NULL, NULL);
}
