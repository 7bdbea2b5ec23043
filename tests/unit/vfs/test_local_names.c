/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: names that are removed before their objects are (removal.h): what the mount shows, what is
 * sent and when, what another client's doing and a crash do to it. */
#include "localmount.h"

#include <sys/stat.h>

#include "fs/vfs/removal.h"

static void put_stored(const char *path, const char *text)
{
    put_text(path, text);
    assert_int_equal(outbox_run(rig.vfs), 1);
}

static void assert_gone_here(const char *path)
{
    struct stat st;

    assert_int_equal(rig_stat(&rig, path, &st), -ENOENT);
}

static void assert_names(const char *dir, const char *want)
{
    char names[128];

    assert_int_equal(rig_ls(&rig, dir, names, sizeof(names)), 0);
    assert_string_equal(names, want);
}

static uint64_t n_deletes(void)
{
    return memstore_count(rig.store, STORE_DELETE);
}

static void forget_attributes(void)
{
    clock_fake_add(120 * NS_PER_S);
}

static void set_weak(void)
{
    struct store_caps weak = rig.conf.caps;

    weak.delete_match = false;
    memstore_set_caps(rig.store, &weak);
    rig.conf.caps = weak;
    assert_int_equal(rig_remount(&rig), 0);
}

static void unlink_asks_nothing_of_the_bucket(void **state)
{
    (void)state;
    put_stored("f", "text");
    put_stored("g", "more");
    memstore_count_reset(rig.store);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_unlink(&rig, "f"), -ENOENT);
    assert_gone_here("f");
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_int_equal(entries(), 1);
    assert_object("f", "text");
    forget_attributes();
    assert_gone_here("f");
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_names("", "g");
    memstore_count_reset(rig.store);
    send_all(1);
    assert_no_object("f");
    assert_int_equal(n_deletes(), 1);
    assert_int_equal(memstore_count(rig.store, STORE_HEAD), 1); /* it is two minutes late */
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 2);
    assert_names("", "g");
    forget_attributes();
    assert_gone_here("f");
    assert_names("", "g");
}

static void *send_now(void *arg)
{
    (void)outbox_run(rig.vfs);
    return arg;
}

/* The DELETE comes after the bucket has listed the name, before the reader has it. */
static void send_after_list(void *arg, struct store *s, const struct store_req *req, int result)
{
    pthread_t t;

    (void)s;
    (void)result;
    if (req->op != STORE_LIST || (*(unsigned *)arg)++ > 0)
        return;
    assert_int_equal(pthread_create(&t, NULL, send_now, NULL), 0);
    pthread_join(t, NULL);
}

static void a_listing_meets_the_delete(void **state)
{
    unsigned n = 0;

    (void)state;
    put_stored("f", "text");
    put_stored("g", "more");
    forget_attributes();
    assert_int_equal(rig_stat(&rig, "f", &(struct stat){0}), 0);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    memstore_set_hooks(rig.store, NULL, send_after_list, &n);
    assert_names("", "g");
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_true(n > 0);
    assert_no_object("f");
    assert_names("", "g");
    assert_int_equal(entries(), 0);
}

/* The newest only: its PUT goes over what was removed. */
static void made_again(void **state)
{
    uint64_t fh;

    (void)state;
    put_stored("f", "old");
    memstore_count_reset(rig.store);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY | O_EXCL, 0600, &fh), 0);
    write_text(fh, 0, "new");
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(entries(), 1);
    assert_file("f", "new");
    assert_names("", "f");
    assert_object("f", "old");
    send_all(1);
    assert_object("f", "new");
    assert_int_equal(n_puts(), 1);
    assert_int_equal(n_deletes(), 0);
    assert_int_equal(kept(), 0);
    assert_file("f", "new");
}

/* The same bytes have the same ETag: neither the late DELETE nor a replay of it takes them. */
static void made_again_with_the_same_bytes(void **state)
{
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        put_stored("f", "same");
        assert_int_equal(rig_unlink(&rig, "f"), 0);
        put_text("f", "same");
        if (crash)
            assert_int_equal(rig_crash(&rig), 0);
        send_all(1);
        assert_object("f", "same");
        assert_int_equal(rig_crash(&rig), 0);
        send_all(0);
        assert_file("f", "same");
        assert_int_equal(rig_unlink(&rig, "f"), 0);
        send_all(1);
    }
    assert_int_equal(kept(), 0);
}

/* The removal is sent while the new file is written. */
static void made_again_and_open(void **state)
{
    uint64_t fh;

    (void)state;
    put_stored("f", "old");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_creat(&rig, "f", O_WRONLY, 0644, &fh), 0);
    write_text(fh, 0, "new");
    assert_int_equal(outbox_run(rig.vfs), 1);
    assert_no_object("f");
    assert_names("", "f");
    assert_int_equal(rig_shut(&rig, fh), 0);
    send_all(1);
    assert_object("f", "new");
}

static void again_and_again(void **state)
{
    (void)state;
    put_stored("f", "0");
    memstore_count_reset(rig.store);
    for (int k = 1; k < 5; k++) {
        char text[8];

        assert_int_equal(rig_unlink(&rig, "f"), 0);
        assert_int_equal(entries(), 1);
        snprintf(text, sizeof(text), "%d", k);
        put_text("f", text);
        assert_int_equal(entries(), 1);
    }
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    send_all(1);
    assert_no_object("f");
    assert_int_equal(n_puts(), 0);
    assert_int_equal(n_deletes(), 1);
}

static void renamed_onto_it(void **state)
{
    (void)state;
    put_stored("f", "old");
    put_stored("g", "stored");
    put_text("t", "new");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    memstore_count_reset(rig.store);
    assert_int_equal(rig_rename(&rig, "t", "f", 0), 0);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_int_equal(entries(), 1);
    send_all(1);
    assert_object("f", "new");
    assert_int_equal(n_puts(), 1);
    assert_int_equal(n_deletes(), 0);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    rename_in_bucket("g", "f"); /* that waits for the bucket, as ever */
    assert_object("f", "stored");
    send_all(0);
    assert_object("f", "stored");
    assert_file("f", "stored");
    assert_names("", "f");
}

/* --- what else needs the name --- */

static void what_needs_the_name_waits_for_it(void **state)
{
    (void)state;
    mkdir_stored("d");
    put_stored("d/f", "text");
    put_stored("a", "text");
    put_stored("b", "text");
    put_stored("c", "text");
    assert_int_equal(rig_unlink(&rig, "d/f"), 0);
    assert_object("d/f", "text");
    assert_int_equal(rig_rmdir(&rig, "d"), 0);
    assert_no_object("d/f");
    assert_no_object("d/");
    assert_int_equal(rig_unlink(&rig, "a"), 0);
    mkdir_stored("a");
    assert_no_object("a");
    assert_int_equal(rig_unlink(&rig, "b"), 0);
    assert_int_equal(rig_link(&rig, "c", "b"), 0);
    assert_object("b", "text");
    assert_int_equal(entries(), 0);
    assert_int_equal(rig_unlink(&rig, "b"), 0);
    assert_int_equal(rig_unlink(&rig, "c"), 0);
    assert_int_equal(entries(), 0);
}

/* --- symbolic links --- */

static void make_link(const char *target, const char *name)
{
    struct vfs_entry e;

    assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, target, VFS_ROOT, name, &e), 0);
    assert_true(S_ISLNK(e.st.st_mode));
    vfs_forget(rig.vfs, e.node, 1);
}

static void assert_link(const char *name, const char *target)
{
    struct vfs_entry e;
    char *got = NULL;

    assert_int_equal(rig_walk(&rig, name, &e), 0);
    assert_true(S_ISLNK(e.st.st_mode));
    assert_int_equal(e.st.st_size, strlen(target));
    assert_int_equal(vfs_readlink(rig.vfs, e.node, &got), 0);
    assert_string_equal(got, target);
    free(got);
    vfs_forget(rig.vfs, e.node, 1);
}

static void a_symbolic_link(void **state)
{
    const struct stat st = {.st_uid = 7, .st_gid = 8};
    struct store_obj obj = {0};
    struct vfs_entry e;
    int64_t attr_ns;
    struct stat now;

    (void)state;
    memstore_count_reset(rig.store);
    make_link("to/there", "s");
    assert_int_equal(entries(), 1);
    assert_link("s", "to/there");
    assert_int_equal(rig_walk(&rig, "s", &e), 0);
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, &st, VFS_SET_UID, &now, &attr_ns), 0);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    assert_names("", "s");
    assert_int_equal(rig_rename(&rig, "s", "t", 0), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_names("", "t");
    assert_link("t", "to/there");
    memstore_count_reset(rig.store);
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_object("t", "to/there");
    assert_no_object("s");
    assert_int_equal(memstore_get(rig.store, "t", &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, "x-amz-meta-file-permissions"), "0120777");
    assert_string_equal(store_hdrs_get(&obj.hdrs, "x-amz-meta-file-owner"), "7");
    store_obj_done(&obj);
    assert_link("t", "to/there");
    forget_attributes();
    assert_link("t", "to/there");
    assert_int_equal(kept(), 0);
}

static void a_symbolic_link_in_the_place_of_a_file(void **state)
{
    struct vfs_entry e;

    (void)state;
    put_stored("s", "text");
    assert_int_equal(rig_unlink(&rig, "s"), 0);
    make_link("one", "s");
    assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, "two", VFS_ROOT, "s", &e), -EEXIST);
    assert_link("s", "one");
    memstore_count_reset(rig.store);
    send_all(1);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 1);
    assert_object("s", "one");
    make_link("gone", "g");
    memstore_count_reset(rig.store);
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    send_all(0);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    make_link("ours", "o");
    foreign_put("o", "theirs");
    send_all(0);
    assert_object("o", "theirs");
    assert_int_equal(kept(), 1);
    rig.conf.commit = VFS_COMMIT_CLOSE;
    make_link("left", "l");
    assert_int_equal(rig_crash(&rig), 0);
    make_link("now", "n");
    assert_object("n", "now");
    send_all(1);
    assert_object("l", "left");
}

static void a_directory_is_renamed(void **state)
{
    (void)state;
    mkdir_stored("d");
    put_stored("d/f", "text");
    put_stored("d/g", "more");
    assert_int_equal(rig_unlink(&rig, "d/f"), 0);
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    assert_int_equal(entries(), 0);
    assert_no_object("d/f");
    assert_no_object("e/f");
    assert_object("e/g", "more");
    assert_names("e", "g");
}

/* --- order --- */

/* cp a b, rm a: whoever loses this machine then has one of them. */
static void after_the_closes_before_it(void **state)
{
    (void)state;
    put_stored("a", "text");
    put_text("b", "text");
    assert_int_equal(rig_unlink(&rig, "a"), 0);
    put_text("c", "later");
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EIO); /* b's */
    memstore_fail(rig.store, STORE_HEAD, 1, 1, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 1);
    assert_no_object("b");
    assert_object("c", "later");
    assert_object("a", "text");
    put_text("b", "newer"); /* it keeps its place, */
    assert_int_equal(rig_crash(&rig), 0);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0); /* after a crash, too */
    assert_object("a", "text");
    clock_fake_add(60 * NS_PER_S);
    send_all(2);
    assert_no_object("a");
    assert_object("b", "newer");
}

/* Who writes on into a closed file keeps nobody's removal back for as long as he likes. */
static void not_after_what_is_open_again(void **state)
{
    uint64_t fh;

    (void)state;
    put_stored("a", "text");
    put_text("b", "text");
    fh = open_text("b", O_WRONLY | O_TRUNC);
    write_text(fh, 0, "half");
    assert_int_equal(rig_unlink(&rig, "a"), 0);
    assert_int_equal(outbox_run(rig.vfs), 1);
    assert_no_object("a");
    assert_int_equal(rig_shut(&rig, fh), 0);
    send_all(1);
}

/* --- others --- */

static void a_foreign_version_stays(void **state)
{
    (void)state;
    put_stored("f", "ours");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    foreign_put("f", "theirs");
    assert_gone_here("f");
    send_all(1);
    assert_object("f", "theirs");
    assert_file("f", "theirs");
    assert_names("", "f");
    assert_int_equal(kept(), 0);
}

static void a_foreign_version_and_made_again(void **state)
{
    (void)state;
    put_stored("f", "ours");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    put_text("f", "new");
    foreign_put("f", "theirs");
    send_all(0);
    assert_object("f", "theirs");
    assert_int_equal(kept(), 1);
}

static void removed_by_another_client(void **state)
{
    (void)state;
    put_stored("f", "ours");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(memstore_delete(rig.store, "f"), 0);
    send_all(1);
    put_stored("f", "ours");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    put_text("f", "new");
    assert_int_equal(memstore_delete(rig.store, "f"), 0);
    send_all(1);
    assert_object("f", "new");
    assert_int_equal(kept(), 0);
}

/* REM-5: of the same bytes, but another file. */
static void same_bytes_of_another_client(void **state)
{
    (void)state;
    put_stored("f", "same");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    foreign_put("f", "same");
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_object("f", "same");
    assert_file("f", "same");
}

static void a_server_without_conditions(void **state)
{
    (void)state;
    set_weak();
    put_stored("f", "ours");
    put_stored("g", "ours");
    put_stored("h", "ours");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    assert_int_equal(rig_unlink(&rig, "h"), 0);
    foreign_put("g", "theirs");
    foreign_put("h", "ours");
    memstore_count_reset(rig.store);
    send_all(3);
    assert_no_object("f");
    assert_object("g", "theirs");
    assert_object("h", "ours");
    assert_int_equal(n_deletes(), 1);
    assert_int_equal(memstore_count(rig.store, STORE_HEAD), 3);
}

/* rm -rf: one request for a thousand, where ETags hold there, too. */
static void many_at_once(void **state)
{
    struct vfs_entry e;

    (void)state;
    mkdir_stored("d");
    assert_int_equal(rig_walk(&rig, "d", &e), 0); /* the kernel knows it */
    for (int k = 0; k < 1000; k++) {
        char name[16];

        snprintf(name, sizeof(name), "d/f%d", k);
        put_text(name, "text");
    }
    assert_int_equal(vfs_drain(rig.vfs), 0);
    memstore_count_reset(rig.store);
    for (int k = 0; k < 1000; k++) {
        char name[16];

        snprintf(name, sizeof(name), "d/f%d", k);
        assert_int_equal(rig_unlink(&rig, name), 0);
    }
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 0);
    foreign_put("d/f7", "theirs");
    assert_int_equal(rig_rmdir(&rig, "d"), -ENOTEMPTY);
    assert_int_equal(memstore_count(rig.store, STORE_DELETE_MANY), 1);
    assert_int_equal(n_deletes(), 0);
    assert_object("d/f7", "theirs");
    assert_names("d", "f7");
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(rig_unlink(&rig, "d/f7"), 0);
    assert_int_equal(rig_rmdir(&rig, "d"), 0);
    assert_int_equal(memstore_count(rig.store, STORE_DELETE_MANY), 1);
    assert_int_equal(n_deletes(), 2);
    assert_int_equal(entries(), 0);
    assert_int_equal(memstore_user_objects(rig.store), 0);
}

static void drained(void)
{
    for (int k = 0; k < 6000 && entries() > 0; k++)
        usleep(10000);
    assert_int_equal(entries(), 0);
}

/* The senders wait a moment for more of them. */
static void many_by_the_senders(void **state)
{
    (void)state;
    rig.conf.send_by_hand = false;
    assert_int_equal(rig_remount(&rig), 0);
    for (int k = 0; k < 20; k++) {
        char name[16];

        snprintf(name, sizeof(name), "f%d", k);
        put_text(name, "text");
    }
    drained();
    memstore_count_reset(rig.store);
    for (int k = 0; k < 20; k++) {
        char name[16];

        snprintf(name, sizeof(name), "f%d", k);
        assert_int_equal(rig_unlink(&rig, name), 0);
    }
    clock_fake_add(2 * NS_PER_S);
    drained();
    assert_int_equal(memstore_count(rig.store, STORE_DELETE_MANY), 1);
    assert_int_equal(n_deletes(), 0);
    assert_int_equal(memstore_user_objects(rig.store), 0);
}

/* Some of them are refused; the reply to the request is lost. */
static void many_and_a_lost_reply(void **state)
{
    struct vfs_stats st;

    (void)state;
    for (int k = 0; k < 8; k++) {
        char name[16];

        snprintf(name, sizeof(name), "f%d", k);
        put_text(name, "text");
    }
    assert_int_equal(vfs_drain(rig.vfs), 0);
    for (int k = 0; k < 8; k++) {
        char name[16];

        snprintf(name, sizeof(name), "f%d", k);
        assert_int_equal(rig_unlink(&rig, name), 0);
    }
    memstore_lose(rig.store, STORE_DELETE_MANY, 1, 1, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 8);
    assert_int_equal(entries(), 8);
    foreign_put("f3", "text"); /* the same bytes, another file */
    foreign_put("f4", "theirs");
    memstore_count_reset(rig.store);
    clock_fake_add(60 * NS_PER_S);
    send_all(8);
    assert_int_equal(memstore_count(rig.store, STORE_HEAD), 8);
    assert_int_equal(n_deletes(), 0);
    assert_object("f3", "text");
    assert_object("f4", "theirs");
    assert_int_equal(memstore_user_objects(rig.store), 2);
    put_text("g", "text");
    put_text("h", "text");
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    assert_int_equal(rig_unlink(&rig, "h"), 0);
    memstore_fail(rig.store, STORE_DELETE_MANY, 1, 1, -EACCES);
    send_all(2);
    vfs_stats_get(rig.vfs, &st);
    assert_int_equal(st.removals, 0);
    assert_file("g", "text");
    assert_file("h", "text");
}

/* --- bad days --- */

static void a_crash(void **state)
{
    (void)state;
    put_stored("f", "text");
    put_stored("g", "more");
    put_text("g", "newer");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    assert_int_equal(entries(), 2);
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(entries(), 2);
    assert_gone_here("f");
    assert_gone_here("g");
    assert_names("", "");
    memstore_count_reset(rig.store);
    send_all(2);
    assert_int_equal(memstore_user_objects(rig.store), 0);
    assert_int_equal(n_puts(), 0);
}

static void a_lost_reply(void **state)
{
    (void)state;
    for (int crash = 0; crash < 2; crash++) {
        put_stored("f", "text");
        assert_int_equal(rig_unlink(&rig, "f"), 0);
        memstore_lose(rig.store, STORE_DELETE, 1, 1, -EIO);
        (void)outbox_run(rig.vfs);
        assert_no_object("f");
        assert_int_equal(entries(), 1);
        put_text("f", "text"); /* may not be taken for what was removed */
        if (crash)
            assert_int_equal(rig_crash(&rig), 0);
        (void)outbox_run(rig.vfs); /* its turn has not come: the new file's sends it first */
        assert_int_equal(entries(), 0);
        assert_object("f", "text");
        assert_int_equal(rig_unlink(&rig, "f"), 0);
        send_all(1);
    }
    assert_int_equal(kept(), 0);
}

static void a_refusal_is_told(void **state)
{
    struct vfs_stats st;

    (void)state;
    put_stored("f", "text");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    memstore_fail(rig.store, STORE_DELETE, 1, 1, -EACCES);
    send_all(1);
    assert_object("f", "text");
    assert_file("f", "text");
    assert_names("", "f");
    vfs_stats_get(rig.vfs, &st);
    assert_non_null(strstr(st.last_error, "f: when it was removed after its unlink"));
    assert_int_equal(st.removals, 0);
}

static void an_outage(void **state)
{
    struct vfs_stats st;
    struct vfs_unsent u;

    (void)state;
    put_stored("f", "text");
    put_stored("g", "text");
    memstore_fail(rig.store, STORE_DELETE, 1, 1000, -EIO);
    memstore_fail(rig.store, STORE_DELETE_MANY, 1, 1000, -EIO);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    for (int k = 0; k < 8; k++) {
        (void)outbox_run(rig.vfs);
        clock_fake_add(31 * NS_PER_S);
    }
    assert_int_equal(vfs_drain(rig.vfs), -EIO);
    assert_int_equal(vfs_unsent_get(rig.vfs, 8, &u), 0);
    assert_int_equal(u.removals, 2);
    assert_int_equal(u.files, 0);
    assert_int_equal(u.n, 2);
    assert_string_equal(u.keys[0], "f");
    assert_true(u.oldest_ns >= 8 * 31 * NS_PER_S);
    vfs_unsent_done(&u);
    vfs_stats_get(rig.vfs, &st);
    assert_int_equal(st.removals, 2);
    memstore_clear_faults(rig.store);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_int_equal(entries(), 0);
    assert_int_equal(memstore_user_objects(rig.store), 0);
}

/* What can't be journaled is done in the bucket before unlink returns; what can't be dropped from the journal is tried
 * again, and takes nobody's file then. */
static void a_disk_that_is_full(void **state)
{
    (void)state;
    put_stored("f", "text");
    put_stored("g", "text");
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    disk_is_full(true);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_no_object("f");
    assert_int_equal(outbox_run(rig.vfs), 1);
    disk_is_full(false);
    assert_no_object("g");
    assert_int_equal(entries(), 1);
    assert_gone_here("g");
    foreign_put("g", "text");
    assert_file("g", "text");
    assert_int_equal(rig_crash(&rig), 0);
    send_all(1);
    assert_object("g", "text");
    put_stored("h", "text");
    assert_int_equal(rig_unlink(&rig, "h"), 0);
    disk_is_full(true);
    assert_int_equal(outbox_run(rig.vfs), 1);
    disk_is_full(false);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_int_equal(entries(), 0);
}

static void without_room_it_waits(void **state)
{
    struct vfs_conf conf = rig.conf;
    unsigned waits = 0;

    (void)state;
    conf.unsent_max = 1000;
    rig.conf = conf;
    for (int k = 0; k < 10; k++) {
        char name[8];

        snprintf(name, sizeof(name), "f%d", k);
        put_stored(name, "text");
    }
    assert_int_equal(rig_remount(&rig), 0);
    for (int k = 0; k < 10; k++) {
        char name[8];

        snprintf(name, sizeof(name), "f%d", k);
        assert_int_equal(rig_unlink(&rig, name), 0);
        assert_gone_here(name);
        waits += memstore_get(rig.store, name, NULL, NULL) == 0;
    }
    assert_in_range(waits, 1, 9);
    assert_int_equal(entries(), waits);
    send_all(waits);
    assert_int_equal(budget_used(&rig.vfs->unsent), 0);
    assert_int_equal(memstore_user_objects(rig.store), 0);
}

static void another_mode_sends_it(void **state)
{
    (void)state;
    put_stored("f", "text");
    put_stored("g", "text");
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    rig.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_crash(&rig), 0);
    assert_names("", "");
    put_text("g", "new"); /* which must be in the bucket when close returns */
    assert_object("g", "new");
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_object("g", "new");
    assert_no_object("f");
    assert_int_equal(entries(), 0);
}

static void who_has_it_open_reads_on(void **state)
{
    char text[8] = "";
    uint64_t fh;

    (void)state;
    put_stored("f", "text");
    fh = open_text("f", O_RDONLY);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    send_all(1);
    assert_int_equal(vfs_read(rig.vfs, fh, 0, text, 4), 4);
    assert_string_equal(text, "text");
    assert_int_equal(rig_shut(&rig, fh), 0);
}

static int fsync_setup(void **state)
{
    (void)state;
    return local_setup_as(VFS_COMMIT_FSYNC);
}

static void fsync_of_a_directory(void **state)
{
    struct vfs_entry e;
    uint64_t fh;

    (void)state;
    mkdir_stored("d");
    put_stored("d/f", "text");
    put_stored("g", "text");
    assert_int_equal(rig_walk(&rig, "d", &e), 0);
    assert_int_equal(vfs_opendir(rig.vfs, e.node, &fh), 0);
    assert_int_equal(rig_unlink(&rig, "d/f"), 0);
    assert_int_equal(rig_unlink(&rig, "g"), 0);
    assert_object("d/f", "text");
    assert_int_equal(vfs_fsyncdir(rig.vfs, fh), 0);
    if (rig.conf.commit == VFS_COMMIT_FSYNC)
        assert_no_object("d/f");
    else
        assert_object("d/f", "text");
    assert_object("g", "text");
    vfs_releasedir(rig.vfs, fh);
    vfs_forget(rig.vfs, e.node, 1);
}

#define F(f) cmocka_unit_test_setup_teardown(f, fsync_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(unlink_asks_nothing_of_the_bucket),
        L(a_listing_meets_the_delete),
        L(made_again),
        L(made_again_with_the_same_bytes),
        L(made_again_and_open),
        L(again_and_again),
        L(renamed_onto_it),
        L(what_needs_the_name_waits_for_it),
        L(a_directory_is_renamed),
        L(a_symbolic_link),
        L(a_symbolic_link_in_the_place_of_a_file),
        L(after_the_closes_before_it),
        L(not_after_what_is_open_again),
        L(a_foreign_version_stays),
        L(a_foreign_version_and_made_again),
        L(removed_by_another_client),
        L(same_bytes_of_another_client),
        L(a_server_without_conditions),
        L(many_at_once),
        L(many_by_the_senders),
        L(many_and_a_lost_reply),
        L(a_crash),
        L(a_lost_reply),
        L(a_refusal_is_told),
        L(an_outage),
        L(a_disk_that_is_full),
        L(without_room_it_waits),
        L(another_mode_sends_it),
        L(who_has_it_open_reads_on),
        L(fsync_of_a_directory),
        F(fsync_of_a_directory),
    };

    return cmocka_run_group_tests_name("vfs/local_names", tests, NULL, NULL);
}
