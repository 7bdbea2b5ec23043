/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: a change of a stored file's attributes reached the bucket, its answer was lost, another mount
 * has changed the file since, and then something is changed here once more. Only that is set: what the other
 * mount has set stays (STO-4), and nothing that was acknowledged here is lost. */
#include "fs/vfs/stored.h"
#include "localmount.h"

#define MODE "x-amz-meta-file-permissions"
#define OWNER "x-amz-meta-file-owner"
#define TYPE "content-type"

enum between { GOES_ON, DIES, WAYS };

static struct rig other;

static void others_begin(void)
{
    struct rig first = rig;

    first.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_join(&other, &first, &first.conf), 0);
}

static void others_chmod(mode_t mode)
{
    others_begin();
    assert_int_equal(rig_chmod(&other, "f", mode), 0);
    rig_close(&other);
}

static void others_chown(uid_t uid)
{
    others_begin();
    assert_int_equal(rig_chown(&other, "f", uid, 0), 0);
    rig_close(&other);
}

static void others_xattr(const char *name, const char *value)
{
    struct vfs_entry e;

    others_begin();
    assert_int_equal(rig_walk(&other, "f", &e), 0);
    assert_int_equal(vfs_setxattr(other.vfs, &other.ctx, e.node, name, value, strlen(value), 0), 0);
    vfs_forget(other.vfs, e.node, 1);
    rig_close(&other);
}

static void others_append(const char *text)
{
    uint64_t fh;

    others_begin();
    assert_int_equal(rig_open_file(&other, "f", O_WRONLY | O_APPEND, &fh), 0);
    assert_int_equal(vfs_write(other.vfs, &other.ctx, fh, 0, text, strlen(text)), strlen(text));
    assert_int_equal(rig_shut(&other, fh), 0);
    rig_close(&other);
}

static void chown_here(uid_t uid)
{
    struct stat st = {.st_uid = uid}, now;
    struct vfs_entry e;
    int64_t ns;

    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, &st, VFS_SET_UID, &now, &ns), 0);
    vfs_forget(rig.vfs, e.node, 1);
}

static void assert_header(const char *name, const char *value)
{
    struct store_obj obj = {0};

    assert_int_equal(memstore_get(rig.store, "f", &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, name), value);
    store_obj_done(&obj);
}

static void stored(const char *text)
{
    struct stat st;

    put_text("f", text);
    send_all(1);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
}

/* The bucket answers that often to a HEAD, and takes the change, but nobody hears of it. */
static void send_in_vain(unsigned n_heads)
{
    outbox_hurry(rig.vfs);
    memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
    memstore_lose(rig.store, STORE_COPY, 1, 1, -EIO);
    memstore_fail(rig.store, STORE_HEAD, n_heads + 1, 1000, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0);
    memstore_clear_faults(rig.store);
    assert_int_equal(entries(), 1);
}

/* Nothing reaches it. */
static void send_nothing(void)
{
    outbox_hurry(rig.vfs);
    memstore_fail(rig.store, STORE_PUT, 1, 1000, -EIO);
    memstore_fail(rig.store, STORE_COPY, 1, 1000, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1000, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0);
    memstore_clear_faults(rig.store);
    assert_int_equal(entries(), 1);
}

static void wait_or_die(enum between how)
{
    clock_fake_add(100 * NS_PER_S);
    if (how == DIES)
        assert_int_equal(rig_crash(&rig), 0);
}

static void send_rest(void)
{
    outbox_hurry(rig.vfs);
    send_all(1);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(kept(), 0);
}

static void assert_here(mode_t mode, uid_t uid)
{
    struct stat st;

    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
    assert_int_equal(st.st_uid, uid);
}

static void chmod_then_chown(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        send_in_vain(0);
        assert_header(MODE, "0100600");
        others_chmod(0640);
        wait_or_die(how);
        chown_here(7);
        send_rest();
        assert_header(MODE, "0100640");
        assert_header(OWNER, "7");
        assert_object("f", "text");
        assert_here(0640, 7);
    }
}

/* At once: before any attribute time is over. */
static void asks_although_it_just_looked(void **state)
{
    (void)state;
    stored("text");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    send_in_vain(0);
    others_chmod(0640);
    chown_here(7);
    send_rest();
    assert_header(MODE, "0100640");
    assert_header(OWNER, "7");
}

static void chmod_then_chmod(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        chown_here(7);
        send_in_vain(0);
        others_chmod(0640);
        others_chown(9);
        wait_or_die(how);
        assert_int_equal(rig_chmod(&rig, "f", 0604), 0);
        send_rest();
        assert_header(MODE, "0100604");
        assert_header(OWNER, "9");
        assert_here(0604, 9);
    }
}

/* Between the second change and its first try. */
static void dies_after_the_second(void **state)
{
    (void)state;
    stored("text");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    send_in_vain(0);
    others_chmod(0640);
    chown_here(7);
    wait_or_die(DIES);
    send_rest();
    assert_header(MODE, "0100640");
    assert_header(OWNER, "7");
}

static void xattrs(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        set_xattr("f", "user.color", "red");
        set_xattr("f", "user.s3efs.content-type", "text/red");
        send_in_vain(0);
        others_xattr("user.color", "blue");
        others_xattr("user.s3efs.content-type", "text/blue");
        wait_or_die(how);
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        send_rest();
        assert_xattr("f", "user.color", "blue");
        assert_header(TYPE, "text/blue");
        assert_header(MODE, "0100600");
    }
}

/* An object's own headers are one thing, those of users another. */
static void xattr_then_another(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        set_xattr("f", "user.s3efs.content-type", "text/red");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        send_in_vain(0);
        others_xattr("user.s3efs.content-type", "text/blue");
        others_chmod(0640);
        wait_or_die(how);
        set_xattr("f", "user.color", "red");
        send_rest();
        assert_xattr("f", "user.color", "red");
        assert_header(TYPE, "text/blue");
        assert_header(MODE, "0100640");
    }
}

/* The other one has written to it, so it is another version. */
static void an_overwrite(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        send_in_vain(0);
        others_append(", more");
        others_chmod(0640);
        wait_or_die(how);
        chown_here(7);
        send_rest();
        assert_object("f", "text, more");
        assert_header(MODE, "0100640");
        assert_header(OWNER, "7");
        assert_file("f", "text, more");
        assert_here(0640, 7);
    }
}

/* While somebody reads the version that was there. */
static void an_overwrite_beside_a_reader(void **state)
{
    char buf[8] = "";
    uint64_t fh;

    (void)state;
    stored("text");
    fh = open_text("f", O_RDONLY);
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, 2), 2);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    send_in_vain(0);
    others_append(", more");
    others_chmod(0640);
    chown_here(7);
    send_rest();
    assert_object("f", "text, more");
    assert_header(MODE, "0100640");
    assert_header(OWNER, "7");
    assert_int_equal(vfs_read(rig.vfs, fh, 2, buf + 2, 4), 2);
    assert_string_equal(buf, "text");
    assert_int_equal(rig_shut(&rig, fh), 0);
}

/* The bytes that are written since go along. */
static void then_an_append(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        send_in_vain(0);
        others_chmod(0640);
        wait_or_die(how);
        assert_int_equal(append_text("f", ", mine"), 0);
        send_rest();
        assert_object("f", "text, mine");
        assert_header(MODE, "0100640");
    }
}

/* What did not get there is still to be set. */
static void a_try_that_did_nothing(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        send_nothing();
        others_chown(9);
        others_chmod(0640);
        wait_or_die(how);
        set_xattr("f", "user.color", "red");
        send_rest();
        assert_header(MODE, "0100600");
        assert_header(OWNER, "9");
        assert_xattr("f", "user.color", "red");
    }
}

/* Only the first of two tries got there: what the second one had is not in the bucket. */
static void the_first_of_two(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        send_in_vain(0);
        others_chmod(0640);
        others_chown(9);
        chown_here(7);
        send_nothing();
        wait_or_die(how);
        set_xattr("f", "user.color", "red");
        wait_or_die(how);
        set_xattr("f", "user.shape", "round");
        send_rest();
        assert_header(MODE, "0100640");
        assert_header(OWNER, "7");
        assert_xattr("f", "user.color", "red");
        assert_xattr("f", "user.shape", "round");
    }
}

/* Both did, and the other one came after the second. */
static void the_second_of_two(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        send_in_vain(0);
        chown_here(7);
        send_in_vain(2);
        assert_header(OWNER, "7");
        others_chmod(0640);
        others_chown(9);
        wait_or_die(how);
        set_xattr("f", "user.color", "red");
        send_rest();
        assert_header(MODE, "0100640");
        assert_header(OWNER, "9");
        assert_xattr("f", "user.color", "red");
    }
}

/* More tries than an entry has room for: the newest are known. */
static void many_tries(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        chown_here(7);
        for (unsigned k = 0; k < 2 * OUTREC_DOUBTS; k++) {
            assert_int_equal(rig_chmod(&rig, "f", 0600 + k % 8), 0);
            send_in_vain(k == 0 ? 0 : 2);
        }
        others_chown(9);
        others_chmod(0640);
        wait_or_die(how);
        set_xattr("f", "user.color", "red");
        send_rest();
        assert_header(MODE, "0100640");
        assert_header(OWNER, "9");
        assert_xattr("f", "user.color", "red");
    }
}

/* Which kinds are set once more, by the tries since and the one that is found, the newest first. */
static void ages(void **state)
{
    uint32_t a = 0;

    (void)state;
    assert_int_equal(stored_since(a, 0), 255); /* of an older s3efs: all */
    a = stored_ages(a, VFS_SET_MODE, false);
    assert_int_equal(stored_since(a, 0), 255);
    a = stored_ages(a, VFS_SET_MODE, true);
    assert_int_equal(stored_since(a, 0), VFS_SET_MODE);
    assert_int_equal(stored_since(a, 1), 255);
    a = stored_ages(a, STORED_HDRS | VFS_SET_UID, false); /* that one was not tried */
    assert_int_equal(stored_since(a, 0), STORED_HDRS | VFS_SET_UID | VFS_SET_MODE);
    a = stored_ages(a, STORED_USER, true);
    assert_int_equal(stored_since(a, 0), STORED_USER);
    assert_int_equal(stored_since(a, 1), STORED_USER | STORED_HDRS | VFS_SET_UID | VFS_SET_MODE);
    for (unsigned k = 0; k < 2 * OUTREC_DOUBTS; k++)
        a = stored_ages(a, VFS_SET_GID, true);
    for (unsigned n = 0; n + 1 < OUTREC_DOUBTS; n++)
        assert_int_equal(stored_since(a, n), VFS_SET_GID);
    assert_int_equal(stored_since(a, OUTREC_DOUBTS - 1), 255); /* nobody knows: what was acknowledged counts */
}

static int keeps_setup(void **state)
{
    rig_set_keeps(true);
    return local_setup(state);
}

static int keeps_teardown(void **state)
{
    rig_set_keeps(false);
    return teardown(state);
}

/* Another daemon takes the mount over between the try and the second change, after that, and after one that a
 * writer's close has yet to acknowledge. */
static void takeovers(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 3; at++) {
        struct stat st = {.st_uid = 7}, now;
        struct vfs_entry e;
        int64_t ns;

        stored("text");
        assert_int_equal(rig_walk(&rig, "f", &e), 0);
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        send_in_vain(0);
        rig_set_keeps(false);
        others_chmod(0640);
        rig_set_keeps(true);
        if (at == 0)
            wait_or_die(DIES);
        assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, 0, &st, VFS_SET_UID, &now, &ns), 0);
        if (at == 1)
            wait_or_die(DIES);
        assert_int_equal(rig_chown(&rig, "f", 8, 0), 0);
        if (at == 2)
            send_nothing();
        if (at == 2)
            wait_or_die(DIES);
        send_rest();
        assert_header(MODE, "0100640");
        assert_header(OWNER, "8");
        vfs_forget(rig.vfs, e.node, 1);
    }
}

/* The bytes landed unheard of, another mount wrote after them, and then something is set here: it goes onto that. */
static void set_after_bytes_that_landed(void **state)
{
    (void)state;
    for (unsigned at = 0; at < 2; at++) { /* before the other one's write, or after it */
        stored("text");
        assert_int_equal(append_text("f", ", mine"), 0);
        send_in_vain(0);
        assert_object("f", "text, mine");
        if (at == 0)
            assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        others_append(", more");
        others_chown(9);
        if (at == 1)
            assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        set_xattr("f", "user.color", "red");
        send_rest();
        assert_object("f", "text, mine, more");
        assert_header(MODE, "0100600");
        assert_header(OWNER, "9");
        assert_file("f", "text, mine, more");
        assert_xattr("f", "user.color", "red");
        assert_here(0600, 9);
    }
}

/* What went up with them is the bucket's. */
static void set_before_bytes_that_landed(void **state)
{
    (void)state;
    stored("text");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_int_equal(append_text("f", ", mine"), 0);
    send_in_vain(0);
    assert_header(MODE, "0100600");
    others_append(", more");
    others_chmod(0640);
    chown_here(7);
    send_rest();
    assert_object("f", "text, mine, more");
    assert_header(MODE, "0100640");
    assert_header(OWNER, "7");
    assert_here(0640, 7);
}

/* The same of a new file. */
static void set_after_a_new_file_landed(void **state)
{
    (void)state;
    put_text("f", "text");
    outbox_hurry(rig.vfs);
    memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1000, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0);
    memstore_clear_faults(rig.store);
    assert_object("f", "text");
    others_append(", more");
    others_chown(9);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    send_rest();
    assert_object("f", "text, more");
    assert_header(MODE, "0100600");
    assert_header(OWNER, "9");
    assert_file("f", "text, more");
}

/* While somebody has it open: he reads what is there then, as after any commit that meets another mount's. */
static void set_after_bytes_that_landed_beside_a_reader(void **state)
{
    char buf[32] = "";
    uint64_t fh;

    (void)state;
    stored("text");
    assert_int_equal(append_text("f", ", mine"), 0);
    fh = open_text("f", O_RDONLY);
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, 4), 4);
    send_in_vain(0);
    others_append(", more");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    send_rest();
    assert_object("f", "text, mine, more");
    assert_header(MODE, "0100600");
    assert_int_equal(vfs_read(rig.vfs, fh, 4, buf + 4, sizeof(buf) - 5), 12);
    assert_string_equal(buf, "text, mine, more");
    assert_int_equal(rig_shut(&rig, fh), 0);
}

/* The bytes went there by a rename: what is set after that could not be journaled with it, and the log says so. The
 * rename is done all the same. */
static void set_after_a_rename_that_landed(void **state)
{
    struct store_obj obj = {0};

    (void)state;
    put_text("g", "text");
    send_all(1);
    assert_int_equal(rig_rename(&rig, "g", "f", 0), 0);
    send_in_vain(0);
    assert_object("f", "text");
    others_append(", more");
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    clock_fake_add(100 * NS_PER_S);
    outbox_hurry(rig.vfs);
    assert_int_equal(outbox_run(rig.vfs), 2);
    assert_int_equal(entries(), 0);
    assert_object("f", "text, more");
    assert_file("f", "text, more");
    assert_int_not_equal(memstore_get(rig.store, "g", &obj, NULL), 0);
    assert_int_equal(kept(), 0);
}

/* The commit of what is left is lost, too: it is tried again, and what is set then goes along. */
static void what_is_left_is_tried_again(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        assert_int_equal(append_text("f", ", mine"), 0);
        send_in_vain(0);
        others_append(", more");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        outbox_hurry(rig.vfs);
        memstore_fail(rig.store, STORE_PUT, 2, 1000, -EIO); /* the first one meets the other mount's version */
        memstore_fail(rig.store, STORE_COPY, 1, 1000, -EIO);
        assert_int_equal(outbox_run(rig.vfs), 0);
        memstore_clear_faults(rig.store);
        assert_int_equal(entries(), 1);
        others_chown(9);
        wait_or_die(how);
        set_xattr("f", "user.color", "red");
        wait_or_die(how);
        send_rest();
        assert_object("f", "text, mine, more");
        assert_header(MODE, "0100600");
        assert_header(OWNER, "9");
        assert_xattr("f", "user.color", "red");
    }
}

/* What was set here went onto another mount's bytes, and nobody heard of it; the entry still says the version before. The
 * next change here takes neither the bytes nor the attributes of that one along. */
static void what_landed_on_their_bytes_keeps_them(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
        send_nothing();
        others_append(", more");
        others_chown(9);
        send_in_vain(2);
        assert_object("f", "text, more");
        assert_header(MODE, "0100600");
        wait_or_die(how);
        chown_here(7);
        wait_or_die(how);
        send_rest();
        assert_object("f", "text, more");
        assert_header(MODE, "0100600");
        assert_header(OWNER, "7");
    }
}

/* Bytes that landed unheard of, a death, and more bytes: none is written twice. */
static void bytes_that_landed_are_not_written_twice(void **state)
{
    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        assert_int_equal(append_text("f", ", mine"), 0);
        send_in_vain(0);
        assert_object("f", "text, mine");
        wait_or_die(DIES);
        assert_int_equal(append_text("f", ", again"), 0);
        wait_or_die(how);
        outbox_hurry(rig.vfs);
        assert_int_equal(outbox_run(rig.vfs), 1);
        assert_object("f", "text, mine, again");
        assert_int_equal(kept(), 0);
    }
}

/* The same onto bytes of another mount: those stay, and ours are there or in lost+found. */
static void bytes_that_landed_on_theirs(void **state)
{
    size_t before;

    (void)state;
    for (enum between how = 0; how < WAYS; how++) {
        stored("text");
        before = kept();
        assert_int_equal(append_text("f", ", mine"), 0);
        send_nothing();
        others_append(", more");
        outbox_hurry(rig.vfs);
        memstore_lose(rig.store, STORE_PUT, 2, 1, -EIO);
        memstore_fail(rig.store, STORE_HEAD, 2, 1000, -EIO);
        assert_int_equal(outbox_run(rig.vfs), 0);
        memstore_clear_faults(rig.store);
        assert_object("f", "text, more, mine");
        wait_or_die(DIES);
        assert_int_equal(append_text("f", ", again"), 0);
        wait_or_die(how);
        outbox_hurry(rig.vfs);
        (void)outbox_run(rig.vfs);
        assert_object("f", "text, more, mine");
        assert_int_equal(kept(), before + 1);
        assert_int_equal(entries(), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ages),
        L(chmod_then_chown),
        L(asks_although_it_just_looked),
        L(chmod_then_chmod),
        L(dies_after_the_second),
        L(xattrs),
        L(xattr_then_another),
        L(an_overwrite),
        L(an_overwrite_beside_a_reader),
        L(then_an_append),
        L(a_try_that_did_nothing),
        L(the_first_of_two),
        L(the_second_of_two),
        L(many_tries),
        cmocka_unit_test_setup_teardown(takeovers, keeps_setup, keeps_teardown),
        L(set_after_bytes_that_landed),
        L(set_before_bytes_that_landed),
        L(set_after_a_new_file_landed),
        L(set_after_bytes_that_landed_beside_a_reader),
        L(set_after_a_rename_that_landed),
        L(what_is_left_is_tried_again),
        L(what_landed_on_their_bytes_keeps_them),
        L(bytes_that_landed_are_not_written_twice),
        L(bytes_that_landed_on_theirs),
    };

    return cmocka_run_group_tests_name("vfs/local_overtaken", tests, NULL, NULL);
}
