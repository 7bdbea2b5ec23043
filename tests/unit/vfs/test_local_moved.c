/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: stored files that are renamed (relocate.h). The journal has it when rename returns; the bucket has the new
 * name before the old one goes, and nothing is lost to refusals, other clients, later renames, or a mount that dies. */
#include "localmount.h"

#include <linux/fs.h>
#include <sys/stat.h>

#include "fs/vfs/relocate.h"

static void put_stored(const char *path, const char *text)
{
    put_text(path, text);
    assert_int_equal(outbox_run(rig.vfs), 1);
}

static void assert_names(const char *want)
{
    char names[128];

    assert_int_equal(rig_ls(&rig, "", names, sizeof(names)), 0);
    assert_string_equal(names, want);
}

static void move(const char *from, const char *to)
{
    assert_int_equal(rig_rename(&rig, from, to, 0), 0);
}

static uint64_t n_deletes(void)
{
    return memstore_count(rig.store, STORE_DELETE) + memstore_count(rig.store, STORE_DELETE_MANY);
}

static uint64_t n_changes(void)
{
    return n_puts() + n_deletes() + memstore_count(rig.store, STORE_COPY);
}

/* As one that was renamed and is not sent, and nobody was asked to change anything. */
static void assert_waits(const char *from, const char *to, const char *text)
{
    struct stat st;

    assert_int_equal(n_changes(), 0);
    assert_int_equal(rig_stat(&rig, from, &st), -ENOENT);
    assert_file(to, text);
}

/* Nothing goes; what was asked in vain is no matter of the test. */
static void outage(bool is)
{
    static const enum store_op ops[] = {STORE_PUT, STORE_DELETE, STORE_DELETE_MANY, STORE_COPY};

    for (size_t k = 0; is && k < ARRAY_LEN(ops); k++)
        memstore_fail(rig.store, ops[k], 1, 1000, -EIO);
    if (!is)
        memstore_clear_faults(rig.store);
    if (!is)
        clock_fake_add(60 * NS_PER_S);
}

/* --- one file --- */

static char order[256];

static void note_order(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_PUT && req->op != STORE_DELETE)
        return;
    strcat(order, req->op == STORE_PUT ? "+" : "-");
    strcat(order, req->key);
    strcat(order, " ");
}

static void note(bool is)
{
    if (is)
        order[0] = '\0';
    memstore_set_hooks(rig.store, is ? note_order : NULL, NULL, NULL);
}

static void one_put_then_one_delete(void **state)
{
    struct stat was, st;

    (void)state;
    put_stored("a", "text");
    assert_int_equal(rig_stat(&rig, "a", &was), 0);
    memstore_count_reset(rig.store);
    move("a", "b");
    assert_waits("a", "b", "text");
    assert_names("b");
    assert_int_equal(entries(), 1);
    note(true);
    send_all(2);
    note(false);
    assert_string_equal(order, "+b -a ");
    assert_object("b", "text");
    assert_no_object("a");
    assert_names("b");
    assert_int_equal(rig_stat(&rig, "b", &st), 0);
    assert_int_equal(st.st_ino, was.st_ino);
    assert_int_equal(st.st_mtim.tv_sec, was.st_mtim.tv_sec);
}

static void in_an_outage(void **state)
{
    struct vfs_unsent u;

    (void)state;
    put_stored("a", "text");
    put_stored("c", "old");
    outage(true);
    move("a", "b");
    for (int k = 0; k < 4; k++) {
        (void)outbox_run(rig.vfs);
        clock_fake_add(31 * NS_PER_S);
        assert_file("b", "text");
        assert_names("b c");
    }
    assert_int_equal(vfs_drain(rig.vfs), -EIO);
    assert_int_equal(vfs_unsent_get(rig.vfs, 8, &u), 0);
    assert_int_equal(u.files, 1);
    assert_string_equal(u.keys[0], "b");
    vfs_unsent_done(&u);
    outage(false);
    memstore_count_reset(rig.store);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_int_equal(entries(), 0);
    assert_int_equal(n_puts(), 1);
    assert_int_equal(n_deletes(), 1);
    assert_object("b", "text");
    assert_no_object("a");
}

static void empty_files(void **state)
{
    (void)state;
    put_stored("a", "");
    move("a", "b");
    assert_file("b", "");
    assert_int_equal(rig_crash(&rig), 0);
    assert_file("b", "");
    send_all(2);
    assert_object("b", "");
    assert_no_object("a");
}

static void over_a_stored_one(void **state)
{
    uint64_t fh;
    char buf[8] = "";

    (void)state;
    put_stored("a", "new");
    put_stored("b", "old");
    fh = open_text("b", O_RDONLY);
    memstore_count_reset(rig.store);
    move("a", "b");
    assert_waits("a", "b", "new");
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, sizeof(buf)), 3);
    assert_string_equal(buf, "old");
    assert_int_equal(rig_shut(&rig, fh), 0);
    note(true);
    send_all(2);
    note(false);
    assert_string_equal(order, "+b -a ");
    assert_object("b", "new");
    assert_no_object("a");
}

static void over_an_unsent_one(void **state)
{
    (void)state;
    put_stored("a", "new");
    put_text("b", "old");
    memstore_count_reset(rig.store);
    move("a", "b");
    assert_waits("a", "b", "new");
    assert_int_equal(entries(), 1);
    assert_int_equal(rig_rename(&rig, "b", "b2", RENAME_NOREPLACE), 0);
    put_text("b", "x");
    assert_int_equal(rig_rename(&rig, "b2", "b", RENAME_NOREPLACE), -EEXIST);
    send_all(3);
    assert_object("b2", "new");
    assert_object("b", "x");
    assert_no_object("a");
}

/* --- before it is sent --- */

static void twice(void **state)
{
    (void)state;
    put_stored("a", "text");
    memstore_count_reset(rig.store);
    move("a", "b");
    move("b", "c");
    assert_waits("a", "c", "text");
    assert_names("c");
    note(true);
    send_all(2);
    note(false);
    assert_string_equal(order, "+c -a ");
}

static void and_back(void **state)
{
    (void)state;
    put_stored("a", "text");
    memstore_count_reset(rig.store);
    move("a", "b");
    move("b", "a");
    assert_file("a", "text");
    assert_names("a");
    assert_int_equal(rig_snapshot(&rig), 0);
    note(true);
    send_all(1);
    note(false);
    assert_string_equal(order, "+a ");
    assert_object("a", "text");
    assert_int_equal(rig_crash(&rig), 0); /* what was sent is sent again, at most */
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("a", "text");
    assert_int_equal(n_deletes(), 0);
    assert_int_equal(kept(), 0);
}

/* When the new name was sent, and the old one is about to go. */
static void back_after_it_was_sent(void **state)
{
    (void)state;
    put_stored("a", "text");
    memstore_fail(rig.store, STORE_DELETE, 1, 1000, -EIO);
    move("a", "b");
    assert_int_equal(outbox_run(rig.vfs), 2);
    assert_object("b", "text");
    move("b", "a");
    outage(false);
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("a", "text");
    assert_no_object("b");
    assert_names("a");
    assert_int_equal(kept(), 0);
}

static void removed_under_the_new_name(void **state)
{
    (void)state;
    put_stored("a", "text");
    put_stored("c", "old");
    memstore_count_reset(rig.store);
    move("a", "b");
    assert_int_equal(rig_unlink(&rig, "b"), 0);
    assert_names("c");
    assert_int_equal(n_changes(), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_names("c");
    send_all(1);
    assert_int_equal(n_puts(), 0);
    assert_no_object("a");
    put_stored("a", "text");
    move("a", "c");
    assert_int_equal(rig_unlink(&rig, "c"), 0);
    assert_names("");
    assert_int_equal(rig_crash(&rig), 0);
    assert_names("");
    send_all(2);
    assert_int_equal(memstore_user_objects(rig.store), 0);
}

static void replaced_under_the_new_name(void **state)
{
    (void)state;
    put_stored("a", "text");
    move("a", "b");
    put_text("t", "newer");
    move("t", "b");
    assert_names("b");
    assert_int_equal(rig_crash(&rig), 0);
    assert_file("b", "newer");
    assert_names("b");
    send_all(2);
    assert_object("b", "newer");
    assert_no_object("a");
}

static void changed_under_the_new_name(void **state)
{
    struct stat st;

    (void)state;
    put_stored("a", "text");
    move("a", "b");
    assert_int_equal(append_text("b", " more"), 0);
    assert_int_equal(rig_chmod(&rig, "b", 0600), 0);
    assert_int_equal(rig_crash(&rig), 0);
    assert_file("b", "text more");
    memstore_count_reset(rig.store);
    send_all(2);
    assert_int_equal(n_puts(), 1);
    assert_object("b", "text more");
    assert_int_equal(rig_stat(&rig, "b", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_no_object("a");
}

/* mv f f~, and f is written anew: it is not sent before f~ is. */
static void a_new_file_of_the_old_name(void **state)
{
    (void)state;
    put_stored("f", "old");
    put_text("t", "new"); /* in the queue for longer */
    move("f", "f~");
    move("t", "f");
    assert_names("f f~");
    assert_file("f", "new");
    assert_file("f~", "old");
    note(true);
    (void)outbox_run(rig.vfs);
    note(false);
    assert_string_equal(order, "+f~ +f "); /* over the old one, when that may go */
    assert_int_equal(entries(), 0);
    assert_object("f", "new");
    assert_object("f~", "old");
}

/* What holds it is being written again: the new one waits, and is not lost. */
static void a_holder_that_is_open(void **state)
{
    uint64_t fh;

    (void)state;
    put_stored("f", "old");
    move("f", "g");
    fh = open_text("g", O_WRONLY);
    write_text(fh, 0, "OLD");
    put_text("f", "new");
    assert_int_equal(outbox_run(rig.vfs), 0);
    assert_object("f", "old");
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    assert_int_equal(rig_mkdir(&rig, "f", 0755), -EBUSY);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(rig_mkdir(&rig, "f", 0755), 0);
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("g", "OLD");
    assert_object("f/", "");
    assert_no_object("f");
}

/* Nor does anybody else wait for that writer. */
static void a_holder_that_is_open_holds_up_its_name_alone(void **state)
{
    uint64_t fh;

    (void)state;
    mkdir_stored("d");
    put_stored("d/x", "x");
    put_stored("f", "old");
    move("f", "g");
    fh = open_text("g", O_WRONLY);
    write_text(fh, 0, "OLD");
    put_text("f", "new");
    assert_int_equal(rig_unlink(&rig, "d/x"), 0);
    (void)outbox_run(rig.vfs);
    assert_no_object("d/x");
    assert_int_equal(rig_rmdir(&rig, "d"), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("f", "new");
    assert_object("g", "OLD");
}

/* logrotate */
static void a_chain(void **state)
{
    (void)state;
    put_stored("log.1", "1");
    put_stored("log", "0");
    memstore_count_reset(rig.store);
    move("log.1", "log.2");
    move("log", "log.1");
    put_text("log", "new");
    assert_int_equal(n_changes(), 0);
    assert_names("log log.1 log.2");
    assert_int_equal(rig_crash(&rig), 0);
    assert_names("log log.1 log.2");
    assert_file("log", "new");
    assert_file("log.1", "0");
    assert_file("log.2", "1");
    note(true);
    (void)outbox_run(rig.vfs);
    note(false);
    assert_string_equal(order, "+log.2 -log.1 +log.1 -log +log ");
    assert_int_equal(entries(), 0);
    assert_object("log", "new");
    assert_object("log.1", "0");
    assert_object("log.2", "1");
}

/* Each would wait for the other: the last rename sends the first file. */
static void a_ring(void **state)
{
    (void)state;
    put_stored("a", "A");
    put_stored("b", "B");
    move("a", "t");
    move("b", "a");
    move("t", "b");
    assert_file("a", "B");
    assert_file("b", "A");
    assert_names("a b");
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("a", "B");
    assert_object("b", "A");
    assert_no_object("t");
    assert_int_equal(kept(), 0);
}

static void what_needs_the_name_sends_it(void **state)
{
    (void)state;
    mkdir_stored("d");
    put_stored("d/f", "text");
    put_stored("g", "g");
    move("d/f", "f");
    assert_int_equal(rig_rmdir(&rig, "d"), 0);
    assert_object("f", "text");
    assert_no_object("d/f");
    assert_no_object("d/");
    move("f", "e");
    assert_int_equal(rig_link(&rig, "g", "f"), 0);
    assert_object("e", "text");
    assert_object("f", "g");
    mkdir_stored("d");
    put_stored("d/f", "more");
    move("d/f", "x");
    move("d", "d2");
    assert_object("x", "more");
    assert_no_object("d2/f");
    assert_int_equal(entries(), 0);
}

/* --- others --- */

static void another_version_of_the_old_name(void **state)
{
    (void)state;
    put_stored("a", "text");
    move("a", "b");
    foreign_put("a", "theirs");
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("a", "theirs");
    assert_object("b", "text");
    clock_fake_add(60 * NS_PER_S);
    assert_names("a b");
    assert_file("a", "theirs");
}

/* The same bytes, and the same file: another mount's rename back. Its ctime tells. */
static void the_same_file_is_back(void **state)
{
    struct store_obj obj = {0};
    char *data = NULL;

    (void)state;
    put_stored("a", "text");
    move("a", "b");
    memstore_fail(rig.store, STORE_DELETE, 1, 1, -EIO);
    (void)outbox_run(rig.vfs);
    assert_int_equal(memstore_get(rig.store, "b", &obj, &data), 0);
    assert_int_equal(memstore_put(rig.store, "a", data, 4, &obj.hdrs, NULL), 0);
    store_obj_done(&obj);
    free(data);
    outage(false);
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("a", "text");
    assert_object("b", "text");
}

static void removed_by_another_client(void **state)
{
    (void)state;
    put_stored("a", "text");
    move("a", "b");
    assert_int_equal(memstore_delete(rig.store, "a"), 0);
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("b", "text");
    assert_no_object("a");
}

/* The rename did not happen: what was stored is where it was, and what it would have been is kept. */
static void another_one_at_the_new_name(void **state)
{
    (void)state;
    put_stored("a", "text");
    move("a", "b");
    foreign_put("b", "theirs");
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    clock_fake_add(60 * NS_PER_S);
    assert_object("a", "text");
    assert_object("b", "theirs");
    assert_file("a", "text");
    assert_file("b", "theirs");
    assert_names("a b");
    assert_int_equal(kept(), 1);
    assert_int_equal(rig_remount(&rig), 0);
    (void)outbox_run(rig.vfs);
    assert_object("a", "text");
}

static void refused_for_good(void **state)
{
    (void)state;
    put_stored("a", "text");
    move("a", "b");
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    (void)outbox_run(rig.vfs);
    memstore_clear_faults(rig.store);
    assert_int_equal(entries(), 0);
    assert_object("a", "text");
    assert_no_object("b");
    assert_file("a", "text");
    assert_names("a");
    assert_int_equal(kept(), 1);
}

/* Headers and tags that others set are the file's. */
static void headers_go_with_it(void **state)
{
    struct store_hdrs hdrs = {0};
    struct store_obj obj = {0};
    char buf[16];

    (void)state;
    assert_int_equal(store_hdrs_set(&hdrs, "cache-control", "no-store"), 0);
    assert_int_equal(store_hdrs_set(&hdrs, "content-type", "application/x-mine"), 0);
    assert_int_equal(memstore_put(rig.store, "a", "<html>", 6, &hdrs, NULL), 0);
    store_hdrs_done(&hdrs);
    assert_int_equal(rig_get(&rig, "a", buf, sizeof(buf)), 6);
    memstore_count_reset(rig.store);
    move("a", "b");
    assert_waits("a", "b", "<html>");
    assert_int_equal(rig_crash(&rig), 0);
    send_all(2);
    assert_int_equal(memstore_get(rig.store, "b", &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, "cache-control"), "no-store");
    assert_string_equal(store_hdrs_get(&obj.hdrs, "content-type"), "application/x-mine");
    store_obj_done(&obj);
    assert_no_object("a");
}

/* --- attributes that wait when it is renamed --- */

static void set_attributes(const char *path)
{
    struct stat st = {.st_atim = {1000, 0}, .st_mtim = {2000, 0}}, now;
    struct vfs_entry e;
    int64_t ns;

    assert_int_equal(rig_chmod(&rig, path, 0604), 0);
    assert_int_equal(rig_walk(&rig, path, &e), 0);
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, &st, VFS_SET_ATIME | VFS_SET_MTIME, &now, &ns), 0);
    vfs_forget(rig.vfs, e.node, 1);
    set_xattr(path, "user.color", "red");
}

static void assert_attributes(const char *path)
{
    struct stat st;

    assert_int_equal(rig_stat(&rig, path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0604);
    assert_int_equal(st.st_mtim.tv_sec, 2000);
    assert_xattr(path, "user.color", "red");
}

/* As rsync -a and cp -p leave a file before they rename it: one PUT with all of it, then the old name's DELETE, whoever dies
 * in between. */
static void attributes_go_along(void **state)
{
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        put_stored("a", "text");
        memstore_count_reset(rig.store);
        set_attributes("a");
        move("a", "b");
        assert_waits("a", "b", "text");
        assert_attributes("b");
        assert_int_equal(entries(), 1);
        if (dies)
            assert_int_equal(rig_crash(&rig), 0);
        note(true);
        send_all(2);
        note(false);
        assert_string_equal(order, "+b -a ");
        assert_no_object("a");
        assert_object("b", "text");
        assert_int_equal(rig_remount(&rig), 0);
        assert_attributes("b");
        assert_file("b", "text");
        assert_int_equal(rig_unlink(&rig, "b"), 0);
        (void)outbox_run(rig.vfs);
    }
}

static void attributes_go_along_over_another(void **state)
{
    (void)state;
    put_stored("a", "text");
    put_stored("b", "other");
    memstore_count_reset(rig.store);
    set_attributes("a");
    move("a", "b");
    assert_waits("a", "b", "text");
    send_all(2);
    assert_names("b");
    assert_object("b", "text");
    assert_no_object("a");
    assert_int_equal(rig_remount(&rig), 0);
    assert_attributes("b");
}

static void attributes_go_along_and_back(void **state)
{
    (void)state;
    for (unsigned dies = 0; dies < 2; dies++) {
        put_stored("a", "text");
        memstore_count_reset(rig.store);
        set_attributes("a");
        move("a", "b");
        move("b", "a");
        assert_int_equal(n_changes(), 0);
        assert_int_equal(entries(), 1);
        if (dies)
            assert_int_equal(rig_crash(&rig), 0);
        send_all(1);
        assert_names("a");
        assert_object("a", "text");
        assert_int_equal(rig_remount(&rig), 0);
        assert_attributes("a");
        assert_file("a", "text");
    }
}

/* A try of theirs may have changed what the bucket has under the old name: the bucket moves it. */
static void attributes_that_were_tried_go_first(void **state)
{
    (void)state;
    put_stored("a", "text");
    set_attributes("a");
    outage(true);
    assert_int_equal(outbox_run(rig.vfs), 0);
    outage(false);
    note(true);
    move("a", "b");
    note(false);
    assert_string_equal(strtok(order, " "), "+a");
    assert_no_object("a");
    assert_object("b", "text");
    assert_attributes("b");
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_attributes("b");
}

/* Another mount has changed the file under its old name meanwhile: that stays there. */
static void attributes_of_another_client_stay(void **state)
{
    struct rig first, other;

    (void)state;
    put_stored("a", "text");
    clock_fake_add(5 * NS_PER_S);
    set_attributes("a");
    first = rig;
    first.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_join(&other, &first, &first.conf), 0);
    assert_int_equal(rig_chmod(&other, "a", 0640), 0);
    rig_close(&other);
    move("a", "b");
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("b", "text");
    assert_object("a", "text");
    assert_attributes("b");
}

/* --- a mount that dies --- */

static void died_before_it_was_sent(void **state)
{
    (void)state;
    put_stored("a", "text");
    move("a", "b");
    assert_int_equal(rig_crash(&rig), 0);
    assert_file("b", "text");
    assert_names("b");
    memstore_count_reset(rig.store);
    send_all(2);
    assert_int_equal(n_puts(), 1);
    assert_int_equal(n_deletes(), 1);
    assert_object("b", "text");
    assert_no_object("a");
    move("b", "c");
    assert_int_equal(rig_crash(&rig), 0);
    move("c", "d"); /* it may have been sent by now, for all that is known: so it is */
    assert_object("c", "text");
    assert_int_equal(rig_crash(&rig), 0);
    assert_names("d");
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_int_equal(memstore_user_objects(rig.store), 1);
    assert_object("d", "text");
}

static void snapshot_at(void *arg, struct store *s, const struct store_req *req, int result)
{
    const char *want = arg;

    (void)s;
    (void)result;
    if ((req->op == STORE_PUT || req->op == STORE_DELETE) && strcmp(req->key, want) == 0)
        assert_int_equal(rig_snapshot(&rig), 0);
}

/* After its PUT, and after its DELETE: neither is done again on another's file. */
static void died_after_a_request(void **state)
{
    char keys[][2] = {"b", "a"};

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(keys); k++) {
        put_stored("a", "text");
        move("a", "b");
        memstore_set_hooks(rig.store, NULL, snapshot_at, keys[k]);
        send_all(2);
        memstore_set_hooks(rig.store, NULL, NULL, NULL);
        if (k == 1)
            foreign_put("a", "theirs");
        assert_int_equal(rig_crash(&rig), 0);
        (void)outbox_run(rig.vfs);
        assert_int_equal(entries(), 0);
        assert_object("b", "text");
        if (k == 1)
            assert_object("a", "theirs");
        else
            assert_no_object("a");
        assert_int_equal(kept(), 0);
        assert_int_equal(rig_unlink(&rig, "b"), 0);
        send_all(1);
    }
}

static void another_mode_sends_it(void **state)
{
    (void)state;
    put_stored("a", "text");
    move("a", "b");
    rig.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_crash(&rig), 0);
    assert_file("b", "text");
    put_text("a", "new");
    (void)outbox_run(rig.vfs);
    assert_int_equal(entries(), 0);
    assert_object("a", "new");
    assert_object("b", "text");
}

/* --- what the journal does not take --- */

static void full_after_put(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)s;
    (void)result;
    if (req->op == STORE_PUT && strcmp(req->key, arg) == 0)
        disk_is_full(true);
}

/* The bucket has it under both names, and the journal did not take the old one's removal: what is acknowledged then is of a
 * stored file, and a start reads it. */
static void changed_before_its_removal_is_taken(void **state)
{
    char b[] = "b";
    struct stat st;

    (void)state;
    for (int k = 0; k < 2; k++) {
        put_stored("a", "text");
        move("a", "b");
        memstore_set_hooks(rig.store, NULL, full_after_put, b);
        (void)outbox_run(rig.vfs);
        memstore_set_hooks(rig.store, NULL, NULL, NULL);
        disk_is_full(false);
        assert_object("b", "text");
        assert_object("a", "text");
        if (k == 0)
            assert_int_equal(append_text("b", "+"), 0);
        else
            assert_int_equal(rig_chmod(&rig, "b", 0600), 0);
        assert_int_equal(rig_crash(&rig), 0);
        assert_names("b");
        assert_file("b", k == 0 ? "text+" : "text");
        assert_int_equal(rig_stat(&rig, "b", &st), 0);
        assert_int_equal(st.st_mode & 07777, k == 0 ? 0644 : 0600);
        (void)outbox_run(rig.vfs);
        assert_int_equal(entries(), 0);
        assert_no_object("a");
        assert_int_equal(rig_unlink(&rig, "b"), 0);
        send_all(1);
    }
}

static void a_disk_that_is_full(void **state)
{
    (void)state;
    put_stored("a", "text");
    disk_is_full(true);
    move("a", "b");
    disk_is_full(false);
    assert_object("b", "text");
    assert_no_object("a");
    assert_file("b", "text");
    send_all(0);
    assert_int_equal(append_text("b", "+"), 0);
    send_all(1);
    assert_object("b", "text+");
}

static void by_the_bucket(void **state)
{
    (void)state;
    put_stored("a", "text");
    put_stored("l", "text");
    rename_in_bucket("a", "b"); /* written to */
    assert_object("b", "text");
    assert_no_object("a");
    assert_int_equal(rig_link(&rig, "l", "m"), 0);
    move("l", "n");
    assert_object("n", "text");
    assert_no_object("l");
    foreign_put("far", "never read here");
    move("far", "x");
    assert_object("x", "never read here");
    assert_no_object("far");
    rig.conf.commit = VFS_COMMIT_FSYNC;
    assert_int_equal(rig_remount(&rig), 0);
    assert_file("x", "never read here");
    move("x", "y");
    assert_no_object("x");
    assert_int_equal(entries(), 0);
}

/* A reader goes on, by the new name's file. */
static void who_reads_goes_on(void **state)
{
    char buf[8] = "";
    uint64_t fh;

    (void)state;
    put_stored("a", "text");
    fh = open_text("a", O_RDONLY);
    memstore_count_reset(rig.store);
    move("a", "b");
    assert_waits("a", "b", "text");
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, sizeof(buf)), 4);
    assert_string_equal(buf, "text");
    send_all(2);
    memset(buf, 0, sizeof(buf));
    assert_int_equal(vfs_read(rig.vfs, fh, 2, buf, sizeof(buf)), 2);
    assert_string_equal(buf, "xt");
    assert_int_equal(rig_shut(&rig, fh), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(one_put_then_one_delete),
        L(in_an_outage),
        L(empty_files),
        L(over_a_stored_one),
        L(over_an_unsent_one),
        L(twice),
        L(and_back),
        L(back_after_it_was_sent),
        L(removed_under_the_new_name),
        L(replaced_under_the_new_name),
        L(changed_under_the_new_name),
        L(a_new_file_of_the_old_name),
        L(a_holder_that_is_open),
        L(a_holder_that_is_open_holds_up_its_name_alone),
        L(a_chain),
        L(a_ring),
        L(what_needs_the_name_sends_it),
        L(another_version_of_the_old_name),
        L(the_same_file_is_back),
        L(removed_by_another_client),
        L(another_one_at_the_new_name),
        L(refused_for_good),
        L(headers_go_with_it),
        L(attributes_go_along),
        L(attributes_go_along_over_another),
        L(attributes_go_along_and_back),
        L(attributes_that_were_tried_go_first),
        L(attributes_of_another_client_stay),
        L(died_before_it_was_sent),
        L(died_after_a_request),
        L(another_mode_sends_it),
        L(changed_before_its_removal_is_taken),
        L(a_disk_that_is_full),
        L(by_the_bucket),
        L(who_reads_goes_on),
    };

    return cmocka_run_group_tests_name("vfs/local_moved", tests, NULL, NULL);
}
