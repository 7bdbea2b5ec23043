/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes that were set here go onto a version that another client has put over the one that is
 * open: who reads that never sees a byte of the other. */
#include "localmount.h"

#define MODE "x-amz-meta-file-permissions"
#define OLD "aaaaaaaaaa"
#define NEW "bbbbbbbbbb"

static void others_put(const char *text)
{
    struct rig other, first = rig;
    uint64_t fh;

    first.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_join(&other, &first, &first.conf), 0);
    assert_int_equal(rig_open_file(&other, "f", O_WRONLY | O_TRUNC, &fh), 0);
    assert_int_equal(vfs_write(other.vfs, &other.ctx, fh, 0, text, strlen(text)), strlen(text));
    assert_int_equal(rig_shut(&other, fh), 0);
    rig_close(&other);
}

/* Half of it has been read; and then it is another here, and in the bucket. */
static uint64_t open_half_read(int flags)
{
    char buf[8] = "";
    struct stat st;
    uint64_t fh;

    put_text("f", OLD);
    if (rig.journal != NULL)
        send_all(1);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    fh = open_text("f", flags);
    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, 5), 5);
    assert_string_equal(buf, "aaaaa");
    return fh;
}

static void assert_old(uint64_t fh)
{
    char buf[16] = "";

    assert_int_equal(vfs_read(rig.vfs, fh, 0, buf, 15), strlen(OLD));
    assert_string_equal(buf, OLD);
}

static void assert_new(const char *text, const char *mode)
{
    struct store_obj obj = {0};
    struct stat st;

    assert_int_equal(memstore_get(rig.store, "f", &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, MODE), mode);
    store_obj_done(&obj);
    assert_object("f", text);
    assert_file("f", text);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_mode, strtoul(mode, NULL, 8));
    assert_int_equal(rig.journal != NULL ? entries() : 0, 0);
    assert_int_equal(kept(), 0);
}

static void a_sender_leaves_them(void **state)
{
    uint64_t fh;

    (void)state;
    fh = open_half_read(O_RDONLY);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    others_put(NEW);
    clock_fake_add(100 * NS_PER_S);
    send_all(1);
    assert_old(fh);
    assert_new(NEW, "0100600");
    assert_old(fh);
    assert_int_equal(rig_shut(&rig, fh), 0);
}

static void an_open_leaves_them(void **state)
{
    char buf[16] = "";
    uint64_t fh, newer;

    (void)state;
    fh = open_half_read(O_RDONLY);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    others_put(NEW);
    clock_fake_add(100 * NS_PER_S);
    newer = open_text("f", O_RDONLY);
    assert_int_equal(vfs_read(rig.vfs, newer, 0, buf, 15), strlen(NEW));
    assert_string_equal(buf, NEW);
    assert_old(fh);
    assert_int_equal(rig_shut(&rig, newer), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_new(NEW, "0100600");
}

/* The chmod is in the bucket, its answer is lost, and the other's version has come on top. */
static void one_that_had_landed_leaves_them(void **state)
{
    uint64_t fh;

    (void)state;
    fh = open_half_read(O_RDONLY);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    memstore_lose(rig.store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(rig.store, STORE_HEAD, 1, 1000, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0);
    memstore_clear_faults(rig.store);
    others_put(NEW);
    clock_fake_add(100 * NS_PER_S);
    send_all(1);
    assert_old(fh);
    assert_new(NEW, "0100600");
    assert_int_equal(rig_shut(&rig, fh), 0);
}

/* Until the bucket has it, all is here as it was acknowledged. */
static void a_try_that_fails_changes_nothing(void **state)
{
    struct stat st;
    uint64_t fh;

    (void)state;
    fh = open_half_read(O_RDONLY);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    others_put(NEW "b");
    clock_fake_add(100 * NS_PER_S);
    memstore_fail(rig.store, STORE_PUT, 2, 1000, -EIO); /* the first is the one that meets it */
    memstore_fail(rig.store, STORE_COPY, 2, 1000, -EIO);
    assert_int_equal(outbox_run(rig.vfs), 0);
    memstore_clear_faults(rig.store);
    assert_int_equal(entries(), 1);
    assert_old(fh);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    assert_int_equal(st.st_size, strlen(OLD));
    clock_fake_add(100 * NS_PER_S);
    send_all(1);
    assert_old(fh);
    assert_new(NEW "b", "0100600");
    assert_int_equal(rig_shut(&rig, fh), 0);
}

/* Who has it open for writing too writes to the newest one. */
static void what_they_write_goes_to_the_new_one(void **state)
{
    uint64_t fh;

    (void)state;
    fh = open_half_read(O_RDWR);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    others_put(NEW);
    clock_fake_add(100 * NS_PER_S);
    send_all(1);
    assert_old(fh);
    write_text(fh, 0, "X");
    assert_int_equal(rig_shut(&rig, fh), 0);
    (void)outbox_run(rig.vfs);
    clock_fake_add(100 * NS_PER_S);
    assert_new("Xbbbbbbbbb", "0100600");
}

/* What the newer one begins with is all that was read: they go on in it, in the same node. */
static void at_its_end_they_go_on(void **state)
{
    char buf[16] = "";
    struct rig other, first = rig;
    uint64_t fh, theirs;

    (void)state;
    fh = open_half_read(O_RDONLY);
    assert_old(fh);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    first.conf.commit = VFS_COMMIT_CLOSE;
    assert_int_equal(rig_join(&other, &first, &first.conf), 0);
    assert_int_equal(rig_open_file(&other, "f", O_WRONLY | O_APPEND, &theirs), 0);
    assert_int_equal(vfs_write(other.vfs, &other.ctx, theirs, 0, "more", 4), 4);
    assert_int_equal(rig_shut(&other, theirs), 0);
    rig_close(&other);
    clock_fake_add(100 * NS_PER_S);
    send_all(1);
    assert_int_equal(vfs_read(rig.vfs, fh, 10, buf, 5), 4);
    assert_string_equal(buf, "more");
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_new(OLD "more", "0100600");
}

static int close_setup(void **state)
{
    (void)state;
    return local_setup_as(VFS_COMMIT_CLOSE);
}

/* Without a journal: the chmod itself meets it, as it believes what it saw a moment ago. */
static void at_once_too(void **state)
{
    uint64_t fh;

    (void)state;
    fh = open_half_read(O_RDONLY);
    others_put(NEW);
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    assert_old(fh);
    assert_new(NEW, "0100600");
    assert_int_equal(rig_shut(&rig, fh), 0);
}

static struct {
    uint64_t node;
    unsigned puts;
    off_t size;
} seen;

static void look_at_it(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct stat st;
    int64_t ns;

    (void)arg;
    (void)s;
    (void)result;
    if ((req->op != STORE_PUT && req->op != STORE_COPY) || strcmp(req->key, "f") != 0)
        return;
    seen.puts++;
    seen.size = vfs_getattr(rig.vfs, seen.node, 0, &st, &ns) == 0 ? st.st_size : -1;
}

/* Whoever has it open is told the size of what he reads while the attributes go onto another version. */
static void its_size_meanwhile(void **state)
{
    struct vfs_entry e;
    uint64_t fh;

    (void)state;
    memset(&seen, 0, sizeof(seen));
    fh = open_half_read(O_RDONLY);
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    seen.node = e.node;
    assert_int_equal(rig_chmod(&rig, "f", 0600), 0);
    others_put("b");
    clock_fake_add(100 * NS_PER_S);
    memstore_set_hooks(rig.store, look_at_it, NULL, NULL);
    send_all(1);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    vfs_forget(rig.vfs, e.node, 1);
    assert_old(fh);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_true(seen.puts > 1);
    assert_int_equal(seen.size, strlen(OLD));
}

/* What is set through the descriptor of a version that others have replaced goes onto theirs: no close will bring it. */
static void set_through_an_old_one(void **state)
{
    struct stat st, set = {.st_mode = 0600};
    struct store_obj obj = {0};
    struct vfs_entry e;
    int64_t ns;
    uint64_t fh;

    (void)state;
    fh = open_half_read(O_RDONLY);
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    others_put(NEW);
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_stat(&rig, "f", &st), 0);
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, fh, &set, VFS_SET_MODE, &st, &ns), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_int_equal(memstore_get(rig.store, "f", &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, MODE), "0100600");
    store_obj_done(&obj);
    assert_object("f", NEW);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(its_size_meanwhile),
        L(set_through_an_old_one),
        cmocka_unit_test_setup_teardown(set_through_an_old_one, close_setup, teardown),
        L(a_sender_leaves_them),
        L(an_open_leaves_them),
        L(one_that_had_landed_leaves_them),
        L(a_try_that_fails_changes_nothing),
        L(what_they_write_goes_to_the_new_one),
        L(at_its_end_they_go_on),
        cmocka_unit_test_setup_teardown(at_once_too, close_setup, teardown),
    };

    return cmocka_run_group_tests_name("vfs/local_readers", tests, NULL, NULL);
}
