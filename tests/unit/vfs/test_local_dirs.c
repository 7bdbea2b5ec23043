/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: attributes of directories that the bucket has (storeddir.h). */
#include "localmount.h"

#include <sys/stat.h>

#define MODE "x-amz-meta-file-permissions"

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
    assert_int_equal(st.st_mode, S_IFDIR | mode);
}

static void set_mtime(const char *path, time_t at)
{
    struct stat st = {.st_mtim.tv_sec = at}, now;
    struct vfs_entry e;
    int64_t attr_ns;

    assert_int_equal(rig_walk(&rig, path, &e), 0);
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, &st, VFS_SET_MTIME, &now, &attr_ns), 0);
    vfs_forget(rig.vfs, e.node, 1);
}

/* As the kernel does, which has looked it up: it is known from now on. */
static void look_up(const char *path)
{
    struct vfs_entry e;

    assert_int_equal(rig_walk(&rig, path, &e), 0);
    memstore_count_reset(rig.store);
}

/* In the bucket, known here, and no request counted. */
static void make_stored(const char *path)
{
    mkdir_stored(path);
    assert_mode(path, 0755);
    look_up(path);
}

static void join_other(struct rig *other)
{
    struct rig first = rig;

    first.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_join(other, &first, &first.conf), 0);
}

static void others_chmod(const char *path, mode_t mode)
{
    struct rig other;

    join_other(&other);
    assert_int_equal(rig_chmod(&other, path, mode), 0);
    rig_close(&other);
}

static void others_put(const char *path, const char *text)
{
    struct rig other;

    join_other(&other);
    assert_int_equal(rig_put(&other, path, text, strlen(text)), 0);
    rig_close(&other);
}

/* tar, rsync -a, cp -a at the end of a directory. */
static void asks_nothing_and_goes_once(void **state)
{
    struct vfs_unsent u;
    struct stat st;

    (void)state;
    make_stored("d");
    set_mtime("d", 1234567890);
    assert_int_equal(rig_chown(&rig, "d", 7, 8), 0);
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    set_xattr("d", "user.color", "red");
    assert_int_equal(n_asked(), 0);
    assert_int_equal(entries(), 1);
    assert_int_equal(vfs_unsent_get(rig.vfs, 1, &u), 0);
    assert_int_equal(u.files, 1);
    vfs_unsent_done(&u);
    assert_mode("d", 0700);
    for (unsigned n = 0; n < 2; n++) { /* the second time after a crash */
        assert_int_equal(rig_stat(&rig, "d", &st), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0700);
        assert_int_equal(st.st_uid, 7);
        assert_int_equal(st.st_gid, 8);
        assert_int_equal(st.st_mtim.tv_sec, 1234567890);
        assert_xattr("d", "user.color", "red");
        assert_int_equal(n_asked(), 0);
        if (n == 0)
            assert_int_equal(rig_crash(&rig), 0);
        memstore_count_reset(rig.store);
    }
    set_xattr("d", "user.size", "small");
    assert_int_equal(n_asked(), 0);
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_int_equal(n_asked(), 2); /* who has crashed looks */
    assert_header("d/", MODE, "040700");
    assert_header("d/", "x-amz-meta-file-owner", "7");
    assert_header("d/", "x-amz-meta-file-mtime", "1234567890000000000ns");
    assert_int_equal(rig_remount(&rig), 0);
    assert_xattr("d", "user.color", "red");
    assert_xattr("d", "user.size", "small");
    assert_mode("d", 0700);
}

/* Without a crash, and seen a moment ago: one PUT. */
static void is_one_request(void **state)
{
    (void)state;
    make_stored("d");
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    set_mtime("d", 1234567890);
    send_all(1);
    assert_int_equal(n_asked(), 1);
    assert_header("d/", MODE, "040700");
    assert_int_equal(rig_chmod(&rig, "d", 0711), 0);
    assert_int_equal(entries(), 1);
    send_all(1);
    assert_int_equal(n_asked(), 2);
    assert_header("d/", MODE, "040711");
    clock_fake_add(100 * NS_PER_S);
    assert_mode("d", 0711);
}

/* The reply is lost, and then another mount sets what it wants: that stands. */
static void is_not_set_twice(void **state)
{
    (void)state;
    make_stored("d");
    for (unsigned dies = 0; dies < 2; dies++) {
        assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
        memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
        memstore_fail(rig.store, STORE_HEAD, 1, 1000, -EIO);
        assert_int_equal(outbox_run(rig.vfs), 0);
        memstore_clear_faults(rig.store);
        assert_header("d/", MODE, "040700");
        assert_int_equal(entries(), 1);
        others_chmod("d", 0711);
        clock_fake_add(100 * NS_PER_S);
        if (dies == 1)
            assert_int_equal(rig_crash(&rig), 0);
        memstore_count_reset(rig.store);
        send_all(1);
        assert_int_equal(n_puts(), 0);
        assert_header("d/", MODE, "040711");
        clock_fake_add(100 * NS_PER_S);
        assert_mode("d", 0711);
    }
}

/* Nobody was at it meanwhile: a look finds it done. */
static void a_lost_reply_alone(void **state)
{
    (void)state;
    make_stored("d");
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
    send_all(1);
    memstore_clear_faults(rig.store);
    assert_int_equal(n_puts(), 1);
    assert_header("d/", MODE, "040700");
    assert_mode("d", 0700);
}

/* What was set after a try in doubt is set, what that has brought there is not. */
static void only_the_rest_is_set(void **state)
{
    struct stat st;

    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        const char *path = dies == 0 ? "d" : "e", *key = dies == 0 ? "d/" : "e/";

        make_stored(path);
        assert_int_equal(rig_chmod(&rig, path, 0700), 0);
        memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
        memstore_fail(rig.store, STORE_HEAD, 1, 1000, -EIO);
        assert_int_equal(outbox_run(rig.vfs), 0);
        memstore_clear_faults(rig.store);
        set_mtime(path, 1234567890);
        others_chmod(path, 0711);
        clock_fake_add(100 * NS_PER_S);
        if (dies == 1)
            assert_int_equal(rig_crash(&rig), 0);
        send_all(1);
        assert_header(key, MODE, "040711");
        assert_header(key, "x-amz-meta-file-mtime", "1234567890000000000ns");
        assert_int_equal(rig_stat(&rig, path, &st), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0711);
        assert_int_equal(st.st_mtim.tv_sec, 1234567890);
    }
}

/* A request that never came there, and another mount's change meanwhile: both hold. */
static void goes_onto_theirs(void **state)
{
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        const char *path = dies == 0 ? "d" : "e", *key = dies == 0 ? "d/" : "e/";

        make_stored(path);
        set_mtime(path, 1234567890);
        others_chmod(path, 0711);
        clock_fake_add(100 * NS_PER_S);
        if (dies == 1)
            assert_int_equal(rig_crash(&rig), 0);
        memstore_fail(rig.store, STORE_PUT, 1, 1, -EIO);
        assert_int_equal(outbox_run(rig.vfs), 0);
        memstore_clear_faults(rig.store);
        clock_fake_add(100 * NS_PER_S);
        send_all(1);
        assert_header(key, MODE, "040711");
        assert_header(key, "x-amz-meta-file-mtime", "1234567890000000000ns");
        assert_mode(path, 0711);
    }
}

/* --- directories that only their keys imply --- */

static void an_implied_one_gets_its_marker(void **state)
{
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        const char *path = dies == 0 ? "d" : "e", *key = dies == 0 ? "d/" : "e/";

        foreign_put(dies == 0 ? "d/f" : "e/f", "text");
        look_up(path);
        assert_int_equal(rig_chmod(&rig, path, 0700), 0);
        assert_int_equal(n_asked(), 0);
        if (dies == 1)
            assert_int_equal(rig_crash(&rig), 0);
        send_all(1);
        assert_header(key, MODE, "040700");
        clock_fake_add(100 * NS_PER_S);
        assert_mode(path, 0700);
    }
}

/* Another client has put one: what it says and was not set here stands. */
static void an_implied_one_has_theirs_by_then(void **state)
{
    (void)state;
    foreign_put("d/f", "text");
    look_up("d");
    set_mtime("d", 1234567890);
    others_chmod("d", 0711);
    send_all(1);
    assert_header("d/", MODE, "040711");
    assert_header("d/", "x-amz-meta-file-mtime", "1234567890000000000ns");
    assert_mode("d", 0711);
}

/* --- who removes, or makes --- */

static void removed_by_another_client(void **state)
{
    struct vfs_stats s;
    struct stat st;

    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        make_stored("d");
        assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
        assert_int_equal(memstore_delete(rig.store, "d/"), 0);
        clock_fake_add(100 * NS_PER_S);
        if (dies == 1)
            assert_int_equal(rig_crash(&rig), 0);
        send_all(1);
        assert_no_object("d/");
        assert_int_equal(rig_stat(&rig, "d", &st), -ENOENT);
        vfs_stats_get(rig.vfs, &s);
        assert_int_equal(s.commit_errors, 0);
    }
}

/* Its marker went, and a file of another client keeps it. */
static void its_marker_was_removed(void **state)
{
    (void)state;
    make_stored("d");
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    others_put("d/f", "theirs");
    assert_int_equal(memstore_delete(rig.store, "d/"), 0);
    clock_fake_add(100 * NS_PER_S);
    send_all(1);
    assert_header("d/", MODE, "040700");
    assert_object("d/f", "theirs");
}

static void refused_for_good(void **state)
{
    struct vfs_stats s;

    (void)state;
    make_stored("d");
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    put_text("d/f", "text");
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    send_all(1); /* what is below it goes on */
    memstore_clear_faults(rig.store);
    assert_object("d/f", "text");
    vfs_stats_get(rig.vfs, &s);
    assert_int_equal(s.commit_errors, 1);
    assert_true(s.last_error[0] != '\0');
    assert_header("d/", MODE, "040755");
    assert_mode("d", 0755);
}

/* --- what depends on it --- */

static char sent[8][16];
static unsigned n_sent;

static void note_put(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_PUT && req->key[0] != '.' && n_sent < 8)
        snprintf(sent[n_sent++], sizeof(sent[0]), "%s", req->key);
}

static void assert_sent(unsigned n, const char *first, const char *second)
{
    assert_int_equal(n_sent, n);
    assert_string_equal(sent[0], first);
    assert_string_equal(sent[1], second);
    n_sent = 0;
}

/* Whoever may not enter it any more is not shown what came later; what was there before does not wait for it. */
static void in_the_order_of_the_calls(void **state)
{
    (void)state;
    make_stored("d");
    memstore_set_hooks(rig.store, note_put, NULL, NULL);
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    put_text("d/f", "text");
    assert_int_equal(vfs_drain(rig.vfs), 0); /* in no order of its own */
    assert_sent(2, "d/", "d/f");
    put_text("d/g", "text");
    assert_int_equal(rig_chmod(&rig, "d", 0711), 0);
    send_all(2);
    assert_sent(2, "d/g", "d/");
}

static void a_rename_sends_it_first(void **state)
{
    (void)state;
    make_stored("d");
    make_stored("d/below");
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    assert_int_equal(rig_chmod(&rig, "d/below", 0711), 0);
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    send_all(0);
    assert_no_object("d/");
    assert_header("e/", MODE, "040700");
    assert_header("e/below/", MODE, "040711");
    assert_int_equal(rig_crash(&rig), 0);
    send_all(0);
    assert_mode("e", 0700);
    assert_mode("e/below", 0711);
}

static void a_rmdir_ends_it(void **state)
{
    struct stat st;

    (void)state;
    make_stored("d");
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    assert_int_equal(rig_rmdir(&rig, "d"), 0);
    send_all(0);
    assert_no_object("d/");
    assert_int_equal(rig_crash(&rig), 0);
    send_all(0);
    assert_int_equal(rig_stat(&rig, "d", &st), -ENOENT);
}

static void an_fsync_of_it_waits_for_the_bucket(void **state)
{
    struct vfs_entry e;
    uint64_t fh;

    (void)state;
    rig.conf.commit = VFS_COMMIT_FSYNC;
    assert_int_equal(rig_remount(&rig), 0);
    make_stored("d");
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    assert_int_equal(n_asked(), 0);
    assert_int_equal(rig_walk(&rig, "d", &e), 0);
    assert_int_equal(vfs_opendir(rig.vfs, e.node, &fh), 0);
    assert_int_equal(vfs_fsyncdir(rig.vfs, fh), 0);
    assert_header("d/", MODE, "040700");
    vfs_releasedir(rig.vfs, fh);
    vfs_forget(rig.vfs, e.node, 1);
    send_all(0);
}

/* --- while it is on its way --- */

static void chmod_amid(void *arg, struct store *s, const struct store_req *req, int result)
{
    int *left = arg;

    (void)s;
    (void)result;
    if (req->op == STORE_PUT && strcmp(req->key, "d/") == 0 && (*left)-- > 0) {
        assert_int_equal(rig_chmod(&rig, "d", 0711), 0); /* of the same thread: it waits for nothing */
        set_xattr("d", "user.color", "red");
    }
}

static void what_is_set_meanwhile_waits_for_no_request(void **state)
{
    (void)state;
    for (unsigned is_made = 0; is_made < 2; is_made++) {
        int left = 1;

        if (is_made == 0) {
            make_stored("d");
            assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
        } else {
            assert_int_equal(rig_mkdir(&rig, "d", 0700), 0);
        }
        memstore_set_hooks(rig.store, chmod_amid, NULL, &left);
        send_all(1);
        memstore_set_hooks(rig.store, NULL, NULL, NULL);
        assert_int_equal(left, -1);
        assert_header("d/", MODE, "040711");
        assert_mode("d", 0711);
        assert_int_equal(rig_remount(&rig), 0);
        assert_xattr("d", "user.color", "red");
        assert_mode("d", 0711);
        assert_int_equal(rig_rmdir(&rig, "d"), 0);
    }
}

static void in_an_outage(void **state)
{
    (void)state;
    make_stored("d");
    for (enum store_op op = 0; op < STORE_OPS; op++)
        memstore_fail(rig.store, op, 1, 100000, -EIO);
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_mode("d", 0700);
    set_mtime("d", 1234567890);
    assert_int_equal(outbox_run(rig.vfs), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_chmod(&rig, "d", 0711), 0);
    assert_int_equal(outbox_run(rig.vfs), 0);
    assert_mode("d", 0711);
    memstore_clear_faults(rig.store);
    assert_int_equal(rig_crash(&rig), 0);
    assert_mode("d", 0711);
    clock_fake_add(100 * NS_PER_S);
    send_all(1);
    assert_header("d/", MODE, "040711");
    assert_header("d/", "x-amz-meta-file-mtime", "1234567890000000000ns");
}

/* --- the ways around it --- */

static void a_disk_that_is_full(void **state)
{
    (void)state;
    make_stored("d");
    disk_is_full(true);
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    set_xattr("d", "user.color", "red");
    disk_is_full(false);
    assert_int_equal(n_puts(), 2);
    assert_header("d/", MODE, "040700");
    send_all(0);
    assert_xattr("d", "user.color", "red");
    assert_int_equal(rig_chmod(&rig, "d", 0711), 0);
    disk_is_full(true);
    assert_int_equal(rig_chmod(&rig, "d", 0750), -EFBIG); /* the journal would undo it: it can't drop what waits */
    disk_is_full(false);
    assert_mode("d", 0711);
    assert_header("d/", MODE, "040711");
    clock_fake_add(100 * NS_PER_S);
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_int_equal(rig_chmod(&rig, "d", 0750), 0);
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_header("d/", MODE, "040750");
}

static void others_go_by_the_bucket(void **state)
{
    (void)state;
    assert_int_equal(rig_chmod(&rig, "", 0700), 0); /* the root */
    assert_int_equal(entries(), 0);
    rig.conf.excl = VFS_EXCL_STRICT;
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    assert_int_equal(entries(), 0);
    assert_header("d/", MODE, "040700");
}

static void another_mode_sends_it(void **state)
{
    (void)state;
    make_stored("d");
    assert_int_equal(rig_chmod(&rig, "d", 0700), 0);
    rig.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_crash(&rig), 0);
    assert_mode("d", 0700);
    assert_int_equal(rig_chmod(&rig, "d", 0711), 0); /* which sends it first */
    assert_int_equal(entries(), 0);
    assert_header("d/", MODE, "040711");
}

/* --- a mount that dies at each request --- */

/* The first request of that kind, and all that follow, fail or lose their reply; then it dies. */
static void dies_at(enum store_op op, bool is_lost, mode_t mode, time_t at)
{
    char want[16], mtime[32];

    snprintf(want, sizeof(want), "04%04o", (unsigned)mode);
    snprintf(mtime, sizeof(mtime), "%lld000000000ns", (long long)at);
    assert_int_equal(rig_chmod(&rig, "d", mode), 0);
    set_mtime("d", at);
    if (is_lost)
        memstore_lose(rig.store, op, 1, 1000, -EIO);
    else
        memstore_fail(rig.store, op, 1, 1000, -EIO);
    (void)outbox_run(rig.vfs);
    memstore_clear_faults(rig.store);
    assert_int_equal(rig_crash(&rig), 0);
    assert_mode("d", mode);
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_header("d/", MODE, want);
    assert_header("d/", "x-amz-meta-file-mtime", mtime);
    clock_fake_add(100 * NS_PER_S);
    assert_mode("d", mode);
    look_up("d");
}

static void at_each_request(void **state)
{
    time_t at = 1234567890;

    (void)state;
    make_stored("d");
    for (unsigned is_aged = 0; is_aged < 2; is_aged++) /* it is looked at before */
        for (unsigned is_lost = 0; is_lost < 2; is_lost++) {
            dies_at(STORE_HEAD, is_lost, 0700, ++at);
            if (is_aged)
                clock_fake_add(100 * NS_PER_S);
            dies_at(STORE_PUT, is_lost, 0711, ++at);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(asks_nothing_and_goes_once),
        L(is_one_request),
        L(is_not_set_twice),
        L(a_lost_reply_alone),
        L(only_the_rest_is_set),
        L(goes_onto_theirs),
        L(an_implied_one_gets_its_marker),
        L(an_implied_one_has_theirs_by_then),
        L(removed_by_another_client),
        L(its_marker_was_removed),
        L(refused_for_good),
        L(in_the_order_of_the_calls),
        L(a_rename_sends_it_first),
        L(a_rmdir_ends_it),
        L(an_fsync_of_it_waits_for_the_bucket),
        L(what_is_set_meanwhile_waits_for_no_request),
        L(in_an_outage),
        L(a_disk_that_is_full),
        L(others_go_by_the_bucket),
        L(another_mode_sends_it),
        L(at_each_request),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
