/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: files that wait for a rename that is likely (fold.h): which do, what it saves, what
 * ends it, and that nothing overtakes them. */
#include "localmount.h"

#include "fs/vfs/fold.h"

#define FOLD_NS (250 * NS_PER_MS)
#define SENDERS 8

static int fold_setup_as(enum vfs_commit commit)
{
    int r = local_setup_as(commit);

    rig.conf.fold_ns = FOLD_NS;
    return r == 0 ? rig_remount(&rig) : r;
}

static int fold_setup(void **state)
{
    (void)state;
    return fold_setup_as(VFS_COMMIT_LOCAL);
}

static int fsync_setup(void **state)
{
    (void)state;
    return fold_setup_as(VFS_COMMIT_FSYNC);
}

static size_t n_sent(void)
{
    return outbox_run(rig.vfs);
}

static uint64_t n_others(void)
{
    return memstore_count(rig.store, STORE_COPY) + memstore_count(rig.store, STORE_DELETE);
}

static void by_their_names(void **state)
{
    static const char *const temporary[] = {"f.tmp",         "f.TMP",
                                            "f.tmp.4711",    "f.tmpAbC",
                                            ".f.jpg.k3XyZ9", "f~",
                                            "#f#",           ".#f",
                                            "movie.part",    "a.dpkg-new",
                                            "passwd.new",    "tmp_obj_a1b2c3",
                                            "tmpab12cd_f",   ".goutputstream-AB12CD",
                                            "a._COPYING_",   "a.crdownload"};
    static const char *const final[] = {"f",           "photo_001.jpg",   ".htaccess",
                                        "part-00000",  "movie.part1.rar", "tmpfs.jpg",
                                        "temperature", "newest",          "index.lock",
                                        "~",           ".bashrc",         "template.html"};

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(temporary); k++)
        if (!fold_is_temporary(temporary[k]))
            fail_msg("%s", temporary[k]);
    for (size_t k = 0; k < ARRAY_LEN(final); k++)
        if (fold_is_temporary(final[k]))
            fail_msg("%s", final[k]);
}

/* Also after an fsync, and with what rsync sets on it before. */
static void one_put_from_the_first(void **state)
{
    uint64_t fh;

    (void)state;
    memstore_count_reset(rig.store);
    assert_int_equal(rig_creat(&rig, "f.tmp", O_WRONLY, 0644, &fh), 0);
    write_text(fh, 0, "text");
    assert_int_equal(vfs_fsync(rig.vfs, fh), 0);
    assert_int_equal(n_sent(), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    put_text("gone.tmp", "text");
    assert_int_equal(rig_chmod(&rig, "f.tmp", 0600), 0);
    assert_int_equal(n_sent(), 0);
    assert_int_equal(rig_rename(&rig, "f.tmp", "f", 0), 0);
    assert_int_equal(rig_unlink(&rig, "gone.tmp"), 0);
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_int_equal(n_others(), 0);
    assert_object("f", "text");
}

static void not_for_long(void **state)
{
    (void)state;
    put_text("f.tmp", "text");
    put_text("g.tmp", "text");
    assert_int_equal(rig_rename(&rig, "g.tmp", "h.tmp", 0), 0); /* that is none yet */
    clock_fake_add(FOLD_NS - 1);
    put_text("f.tmp", "newer"); /* sends the first one, see written_again */
    assert_object("f.tmp", "text");
    put_text("i.tmp", "text");
    clock_fake_add(FOLD_NS);
    send_all(3);
    assert_object("f.tmp", "newer");
    assert_object("h.tmp", "text");
}

static void final_names_do_not_wait(void **state)
{
    (void)state;
    put_text("f", "text");
    send_all(1);
    put_text("f", "newer");
    send_all(1);
}

/* The first one is the price. */
static void a_directory_is_learnt(void **state)
{
    (void)state;
    mkdir_stored("in");
    mkdir_stored("out");
    put_text("in/a", "a");
    send_all(1);
    assert_int_equal(rig_rename(&rig, "in/a", "out/a", 0), 0);
    send_all(2);
    memstore_count_reset(rig.store);
    put_text("in/b", "b");
    assert_int_equal(n_sent(), 0);
    assert_int_equal(rig_rename(&rig, "in/b", "out/b", 0), 0);
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_int_equal(n_others(), 0);
    put_text("out/c", "c");
    send_all(1);
    clock_fake_add(61 * NS_PER_S);
    put_text("in/c", "c");
    send_all(1);
    clock_fake_add(2 * NS_PER_S);
    assert_int_equal(rig_rename(&rig, "in/c", "out/late", 0), 0); /* that one had come to stay */
    send_all(2);
    put_text("in/d", "d");
    send_all(1);
    assert_int_equal(rig_unlink(&rig, "in/d"), 0);
    assert_int_equal(n_sent(), 1);
    put_text("in/x.lock", "e");
    send_all(1);
    put_text("in/e", "e");
    assert_int_equal(n_sent(), 0);
}

/* Where renames come later than is thought of all, files of such names are kept for longer; others
 * are not kept. */
static void renames_that_come_late(void **state)
{
    (void)state;
    put_text("f.tmp", "f");
    clock_fake_add(800 * NS_PER_MS);
    send_all(1);
    assert_int_equal(rig_rename(&rig, "f.tmp", "f", 0), 0);
    put_text("g", "g");
    send_all(3);
    memstore_count_reset(rig.store);
    put_text("h.tmp", "h");
    clock_fake_add(1500 * NS_PER_MS);
    assert_int_equal(n_sent(), 0);
    assert_int_equal(rig_rename(&rig, "h.tmp", "h", 0), 0);
    send_all(1);
    assert_int_equal(n_puts(), 1);
    assert_int_equal(n_others(), 0);
    put_text("i.tmp", "i");
    clock_fake_add(2 * NS_PER_S - 1);
    assert_int_equal(n_sent(), 0); /* no longer than that */
    clock_fake_add(1);
    send_all(1);
    for (int k = 0; k < 20; k++) { /* they come at once again */
        put_text("j.tmp", "j");
        assert_int_equal(rig_rename(&rig, "j.tmp", "j", 0), 0);
    }
    put_text("k.tmp", "k");
    clock_fake_add(FOLD_NS);
    send_all(2);
}

static char order[256];

static void note_order(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_PUT || req->op == STORE_DELETE) {
        strcat(order, req->key);
        strcat(order, " ");
    }
}

/* What stands for bytes is not seen elsewhere before them. */
static void nothing_overtakes(void **state)
{
    struct vfs_entry e;

    (void)state;
    put_text("index", "old");
    put_text("gone", "old");
    send_all(2);
    order[0] = '\0';
    memstore_set_hooks(rig.store, NULL, note_order, NULL);
    put_text("data.tmp", "data");
    put_text("more.tmp", "data");
    put_text("index", "data.tmp");
    assert_int_equal(rig_unlink(&rig, "gone"), 0);
    assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, "data.tmp", VFS_ROOT, "link", &e), 0);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(n_sent(), 0);
    assert_int_equal(rig_rename(&rig, "more.tmp", "more", 0), 0);
    assert_int_equal(n_sent(), 0);
    clock_fake_add(FOLD_NS);
    send_all(5);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_string_equal(order, "data.tmp more index gone link ");
}

/* As soon as those before it have their names. */
static void nobody_waits_without_need(void **state)
{
    (void)state;
    put_text("a.tmp", "text");
    put_text("b", "text");
    assert_int_equal(n_sent(), 0);
    assert_int_equal(rig_rename(&rig, "a.tmp", "a", 0), 0);
    put_text("c.tmp", "text");
    assert_int_equal(n_sent(), 2);
    assert_object("a", "text");
    assert_object("b", "text");
    assert_no_object("c.tmp");
}

/* A log that is begun and then held open: what its first close said is not kept back until the next
 * one. */
static void written_again(void **state)
{
    uint64_t fh;

    (void)state;
    put_text("log.tmp", "start\n");
    fh = open_text("log.tmp", O_WRONLY | O_APPEND);
    assert_no_object("log.tmp");
    write_text(fh, 6, "more\n");
    assert_object("log.tmp", "start\n");
    assert_int_equal(rig_shut(&rig, fh), 0);
    send_all(1);
    put_text("cut.tmp", "start\n");
    fh = open_text("cut.tmp", O_WRONLY | O_TRUNC);
    assert_object("cut.tmp", "start\n");
    assert_int_equal(rig_shut(&rig, fh), 0);
    send_all(1);
}

static uint64_t begin_again(const char *name)
{
    put_text(name, "start\n");
    return open_text(name, O_RDWR);
}

static void end_again(const char *name, uint64_t fh)
{
    assert_object(name, "start\n");
    assert_int_equal(rig_shut(&rig, fh), 0);
    send_all(1);
}

static void changed_by_other_calls(void **state)
{
    const struct stat st = {.st_size = 2};
    struct vfs_entry e;
    int64_t attr_ns;
    struct stat now;
    uint64_t fh;

    (void)state;
    fh = begin_again("a.tmp");
    assert_int_equal(vfs_fallocate(rig.vfs, &rig.ctx, fh, 0, 0, 100), 0);
    end_again("a.tmp", fh);
    fh = begin_again("b.tmp");
    assert_int_equal(vfs_copy_range(rig.vfs, &rig.ctx, fh, 0, fh, 6, 6), 6);
    end_again("b.tmp", fh);
    fh = begin_again("c.tmp");
    assert_int_equal(rig_walk(&rig, "c.tmp", &e), 0);
    assert_int_equal(vfs_setattr(rig.vfs, &rig.ctx, e.node, fh, &st, VFS_SET_SIZE, &now, &attr_ns),
                     0);
    vfs_forget(rig.vfs, e.node, 1);
    end_again("c.tmp", fh);
}

/* One that has no fold of its own, but another's before it. */
static void written_again_behind_another(void **state)
{
    uint64_t fh;

    (void)state;
    put_text("f.tmp", "text");
    put_text("log", "start\n");
    fh = open_text("log", O_WRONLY | O_APPEND);
    write_text(fh, 6, "more\n");
    assert_object("log", "start\n");
    assert_int_equal(n_sent(), 1);
    assert_object("f.tmp", "text");
    assert_int_equal(rig_shut(&rig, fh), 0);
    send_all(1);
}

static void a_drain_waits_for_none(void **state)
{
    (void)state;
    put_text("f.tmp", "text");
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_object("f.tmp", "text");
    put_text("g.tmp", "text");
    outbox_hurry(rig.vfs);
    send_all(1);
}

/* What goes to the bucket at once does not leave behind what was closed before it. */
static void what_asks_the_bucket_ends_it(void **state)
{
    struct store_obj obj = {0};

    (void)state;
    put_text("old", "text");
    put_text("dir-of-one", "text");
    send_all(2);
    clock_fake_add(5 * NS_PER_S);
    put_text("f.tmp", "text");
    rename_in_bucket("old", "new");
    send_all(1);
    put_text("h.tmp", "text");
    assert_int_equal(rig_link(&rig, "new", "other"), 0);
    send_all(1);
    assert_int_equal(rig_mkdir(&rig, "d", 0755), 0);
    send_all(1);
    put_text("i.tmp", "text");
    assert_int_equal(rig_rename(&rig, "d", "e", 0), 0);
    send_all(1);
    put_text("j.tmp", "text");
    assert_int_equal(rig_rmdir(&rig, "e"), 0);
    send_all(1);
    put_text("k.tmp", "text");
    assert_int_equal(rig_unlink(&rig, "other"), 0); /* of a hard link */
    send_all(1);
    assert_int_equal(memstore_get(rig.store, "new", &obj, NULL), 0);
    store_obj_done(&obj);
}

static void an_fsync_for_the_bucket_ends_it(void **state)
{
    struct vfs_entry e;
    uint64_t fh;

    (void)state;
    put_text("f.tmp", "text");
    assert_int_equal(rig_creat(&rig, "g", O_WRONLY, 0644, &fh), 0);
    write_text(fh, 0, "text");
    assert_int_equal(vfs_fsync(rig.vfs, fh), 0);
    assert_object("g", "text");
    assert_int_equal(n_sent(), 1);
    assert_object("f.tmp", "text");
    assert_int_equal(rig_shut(&rig, fh), 0);
    put_text("h.tmp", "text");
    assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, "h.tmp", VFS_ROOT, "link", &e), 0);
    vfs_forget(rig.vfs, e.node, 1);
    assert_int_equal(n_sent(), 0);
    assert_int_equal(vfs_opendir(rig.vfs, VFS_ROOT, &fh), 0);
    assert_int_equal(vfs_fsyncdir(rig.vfs, fh), 0);
    assert_object("link", "h.tmp");
    assert_int_equal(n_sent(), 1);
    assert_object("h.tmp", "text");
    vfs_releasedir(rig.vfs, fh);
}

static void with_senders(void)
{
    rig.conf.send_by_hand = false;
    assert_int_equal(rig_remount(&rig), 0);
}

static void drained(void)
{
    for (int k = 0; k < 6000 && entries() > 0; k++)
        usleep(10000);
    assert_int_equal(entries(), 0);
}

static bool senders_sleep(void)
{
    bool sleep;

    lock_take(&rig.vfs->tree);
    sleep =
        rig.vfs->locked.out_senders > 0 && rig.vfs->locked.out_idle == rig.vfs->locked.out_senders;
    lock_drop(&rig.vfs->tree);
    return sleep;
}

static void the_senders_wait(void **state)
{
    (void)state;
    with_senders();
    memstore_count_reset(rig.store);
    put_text("f.tmp", "text");
    put_text("gone.tmp", "text");
    while (!senders_sleep())
        usleep(1000);
    assert_int_equal(rig_rename(&rig, "f.tmp", "f", 0), 0);
    assert_int_equal(rig_unlink(&rig, "gone.tmp"), 0);
    drained(); /* the clock stands still: the rename was the end of it */
    put_text("g.tmp", "text");
    clock_fake_add(FOLD_NS);
    drained();
    assert_int_equal(n_puts(), 2);
    assert_int_equal(n_others(), 0);
    assert_object("f", "text");
    assert_object("g.tmp", "text");
}

static struct {
    pthread_mutex_t lock;
    pthread_cond_t all;
    unsigned n;
} held = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

/* None goes on before all of them are there. */
static void hold_puts(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct timespec until;

    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_PUT)
        return;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&held.lock);
    if (++held.n >= SENDERS)
        pthread_cond_broadcast(&held.all);
    while (held.n < SENDERS && pthread_cond_timedwait(&held.all, &held.lock, &until) == 0)
        ;
    pthread_mutex_unlock(&held.lock);
}
/* One close starts or wakes one sender at most, and none of these had anything to do then. */
static void a_burst_has_all_senders(void **state)
{
    (void)state;
    with_senders();
    for (int k = 0; k < SENDERS; k++) {
        char name[16];

        snprintf(name, sizeof(name), "f%d.tmp", k);
        put_text(name, "text");
    }
    while (!senders_sleep())
        usleep(1000);
    assert_int_equal(memstore_user_objects(rig.store), 0);
    held.n = 0;
    memstore_set_hooks(rig.store, hold_puts, NULL, NULL);
    clock_fake_add(FOLD_NS);
    drained();
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    lock_take(&rig.vfs->tree);
    assert_int_equal(rig.vfs->locked.out_senders, SENDERS);
    lock_drop(&rig.vfs->tree);
    assert_int_equal(memstore_user_objects(rig.store), SENDERS);
}

/* The clock stands still: a close that waits for room gets it all the same. */
static void who_waits_for_room_ends_it(void **state)
{
    (void)state;
    rig.conf.unsent_max = 10000;
    with_senders();
    for (int k = 0; k < 20; k++) {
        char name[16];

        snprintf(name, sizeof(name), "f%02d.tmp", k);
        put_text(name, "text");
    }
    assert_true(memstore_user_objects(rig.store) > 0);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_int_equal(memstore_user_objects(rig.store), 20);
}

static struct {
    struct lock lock;
    struct cond changed;
    unsigned n; /* PUTs under way */
    bool ends;
} outage;

static void hang(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_PUT)
        return;
    lock_take(&outage.lock);
    outage.n++;
    cond_broadcast(&outage.changed);
    while (!outage.ends)
        cond_wait(&outage.changed, &outage.lock);
    lock_drop(&outage.lock);
}

/* The end of a file that is being sent waits for that. */
static void *put_and_hang(void *arg)
{
    char name[16];

    snprintf(name, sizeof(name), "f%u", *(unsigned *)arg);
    *(unsigned *)arg = (unsigned)rig_put(&rig, name, "text", 4);
    return NULL;
}

static pthread_t putters[SENDERS];
static unsigned put_results[SENDERS];

static void all_senders_hang(void)
{
    lock_init(&outage.lock, LOCK_LEAF);
    cond_init(&outage.changed);
    outage.n = 0;
    outage.ends = false;
    memstore_set_hooks(rig.store, hang, NULL, NULL);
    for (unsigned k = 0; k < SENDERS; k++) {
        put_results[k] = k;
        assert_int_equal(pthread_create(&putters[k], NULL, put_and_hang, &put_results[k]), 0);
        lock_take(&outage.lock);
        while (outage.n <= k)
            cond_wait(&outage.changed, &outage.lock);
        lock_drop(&outage.lock);
    }
}

static void the_outage_ends(void)
{
    lock_take(&outage.lock);
    outage.ends = true;
    cond_broadcast(&outage.changed);
    lock_drop(&outage.lock);
    for (int k = 0; k < SENDERS; k++) {
        pthread_join(putters[k], NULL);
        assert_int_equal(put_results[k], 0);
    }
    assert_int_equal(vfs_drain(rig.vfs), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    cond_done(&outage.changed);
    lock_done(&outage.lock);
}

/* Nobody would have sent it before it was written to again. (Else the write here is never over.) */
static void a_write_waits_for_no_outage(void **state)
{
    uint64_t fh;

    (void)state;
    with_senders();
    all_senders_hang();
    put_text("f.tmp", "text");
    fh = open_text("f.tmp", O_WRONLY | O_APPEND);
    write_text(fh, 4, "more");
    assert_no_object("f.tmp");
    the_outage_ends();
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_object("f.tmp", "textmore");
}

#define F(f) cmocka_unit_test_setup_teardown(f, fold_setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_their_names),
        F(one_put_from_the_first),
        F(not_for_long),
        F(final_names_do_not_wait),
        F(a_directory_is_learnt),
        F(renames_that_come_late),
        F(nothing_overtakes),
        F(nobody_waits_without_need),
        F(written_again),
        F(changed_by_other_calls),
        F(written_again_behind_another),
        F(a_drain_waits_for_none),
        F(what_asks_the_bucket_ends_it),
        cmocka_unit_test_setup_teardown(an_fsync_for_the_bucket_ends_it, fsync_setup, teardown),
        F(the_senders_wait),
        F(a_burst_has_all_senders),
        F(who_waits_for_room_ends_it),
        F(a_write_waits_for_no_outage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
