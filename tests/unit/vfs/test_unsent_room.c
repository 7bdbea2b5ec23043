/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: unsent files take no more memory than they may. A close that would make one more
 * waits until some are sent or removed, and does not fail; who makes none does not wait. */
#include "localmount.h"
#include "tests/lib/baddisk.h"

#define ROOM (16 * 1024)
#define ONE (4 * 1024) /* more than a file takes */
#define FILES 20

static struct {
    struct lock lock;
    unsigned n; /* files that were closed */
    bool is_done;
    int error;
} t;

static int setup_limited(void **state)
{
    struct vfs_conf conf;

    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    rig_defaults(&conf);
    conf.commit = VFS_COMMIT_LOCAL;
    conf.unsent_max = ROOM;
    t.n = 0;
    t.is_done = false;
    t.error = 0;
    lock_init(&t.lock, LOCK_LEAF);
    return rig_open(&rig, &conf);
}

static int teardown_limited(void **state)
{
    int r = teardown(state);

    lock_done(&t.lock);
    return r;
}

static const char *name_of(unsigned i)
{
    static _Thread_local char name[16];

    snprintf(name, sizeof(name), "f%03u", i);
    return name;
}

static void *put_all(void *arg)
{
    const unsigned *files = arg;
    int r = 0;

    for (unsigned i = 0; i < *files && r == 0; i++) {
        r = rig_put(&rig, name_of(i), name_of(i), 4);
        lock_take(&t.lock);
        t.n++;
        lock_drop(&t.lock);
    }
    lock_take(&t.lock);
    t.error = r;
    t.is_done = true;
    lock_drop(&t.lock);
    return NULL;
}

static bool is_done(void)
{
    lock_take(&t.lock);
    bool done = t.is_done;
    lock_drop(&t.lock);
    return done;
}

static unsigned closed(void)
{
    lock_take(&t.lock);
    unsigned n = t.n;
    lock_drop(&t.lock);
    return n;
}

static struct vfs_stats stats(void)
{
    struct vfs_stats s;

    vfs_stats_get(rig.vfs, &s);
    return s;
}

static void wait_for_a_wait(void)
{
    while (stats().closes_waiting == 0)
        usleep(1000);
}

static void closes_wait_for_room(void **state)
{
    static const unsigned files = FILES;
    unsigned waits = 0;
    pthread_t thread;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, put_all, (void *)(uintptr_t)&files), 0);
    while (!is_done()) {
        if (stats().closes_waiting == 0) {
            usleep(1000);
            continue;
        }
        waits++;
        assert_true(stats().unsent_memory <= ROOM + ONE); /* what one is grows while it is sent */
        assert_true(stats().unsent_memory > ROOM - ONE);
        assert_true(outbox_run(rig.vfs) > 0);
    }
    pthread_join(thread, NULL);
    assert_int_equal(t.error, 0);
    assert_true(waits > 0); /* once, or again and again: senders and closes run at the same time */
    outbox_run(rig.vfs);
    assert_int_equal(stats().unsent_memory, 0);
    for (unsigned i = 0; i < FILES; i++)
        assert_object(name_of(i), name_of(i));
}

static void *chmod_all(void *arg)
{
    int r = 0;

    (void)arg;
    for (unsigned i = 0; i < FILES && r == 0; i++)
        r = rig_chmod(&rig, name_of(i), 0600);
    lock_take(&t.lock);
    t.error = r;
    t.is_done = true;
    lock_drop(&t.lock);
    return NULL;
}

/* Attributes of stored files are entries, too. */
static void attributes_wait_for_room(void **state)
{
    unsigned waits = 0;
    pthread_t thread;
    struct stat st;

    (void)state;
    for (unsigned i = 0; i < FILES; i++) {
        put_text(name_of(i), name_of(i));
        send_all(1);
    }
    assert_int_equal(pthread_create(&thread, NULL, chmod_all, NULL), 0);
    while (!is_done()) {
        if (stats().closes_waiting == 0) {
            usleep(1000);
            continue;
        }
        waits++;
        assert_true(stats().unsent_memory <= ROOM + ONE);
        assert_true(outbox_run(rig.vfs) > 0);
    }
    pthread_join(thread, NULL);
    assert_int_equal(t.error, 0);
    assert_true(waits > 0);
    outbox_run(rig.vfs);
    assert_int_equal(stats().unsent_memory, 0);
    assert_int_equal(rig_remount(&rig), 0);
    for (unsigned i = 0; i < FILES; i++) {
        assert_int_equal(rig_stat(&rig, name_of(i), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
}

/* Appends, renames and removals of what is unsent, at the limit. */
static void who_makes_none_does_not_wait(void **state)
{
    static const unsigned files = FILES;
    pthread_t thread;
    unsigned n;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, put_all, (void *)(uintptr_t)&files), 0);
    wait_for_a_wait();
    n = closed();
    assert_int_equal(rig_rename(&rig, "f001", "moved", 0), 0);
    assert_int_equal(stats().closes_waiting, 1);
    assert_int_equal(entries(), n);
    assert_int_equal(append_text("f000", " and more"), 0); /* open, it does not count */
    assert_int_equal(rig_unlink(&rig, "moved"), 0);        /* that makes room for one */
    while (closed() == n)
        usleep(1000);
    while (!is_done())
        if (stats().closes_waiting == 0 || outbox_run(rig.vfs) == 0)
            usleep(1000);
    pthread_join(thread, NULL);
    assert_int_equal(t.error, 0);
    outbox_run(rig.vfs);
    assert_object("f000", "f000 and more");
    assert_object(name_of(FILES - 1), name_of(FILES - 1));
}

/* What a writer has open is sent after his next close: he must not wait for himself. */
static void open_files_do_not_count(void **state)
{
    uint64_t fh[FILES];

    (void)state;
    for (unsigned i = 0; i < FILES; i++) {
        assert_int_equal(rig_creat(&rig, name_of(i), O_WRONLY, 0644, &fh[i]), 0);
        write_text(fh[i], 0, "acknowledged");
        assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh[i]), 0);
        write_text(fh[i], 0, "half written");
    }
    assert_int_equal(entries(), FILES);
    assert_int_equal(stats().unsent_memory, 0);
    put_text("another", "x");
    assert_true(stats().unsent_memory > 0 && stats().unsent_memory < ONE);
    assert_int_equal(outbox_run(rig.vfs), 1);
    for (unsigned i = 0; i < FILES; i++) /* their entries are there: no close makes one more */
        assert_int_equal(rig_shut(&rig, fh[i]), 0);
    assert_true(stats().unsent_memory > ROOM);
    assert_int_equal(outbox_run(rig.vfs), FILES);
    assert_int_equal(stats().unsent_memory, 0);
    assert_object(name_of(0), "half written");
}

/* What a start finds is there, whatever it takes: it counts, and the next close waits for it. */
static void what_a_start_finds_counts(void **state)
{
    static const unsigned files = 1;
    uint64_t fh[FILES];
    pthread_t thread;
    size_t sent;

    (void)state;
    for (unsigned i = 1; i < FILES; i++) {
        assert_int_equal(rig_creat(&rig, name_of(i), O_WRONLY, 0644, &fh[i]), 0);
        write_text(fh[i], 0, "x");
        assert_int_equal(vfs_flush(rig.vfs, &rig.ctx, fh[i]), 0);
    }
    for (unsigned i = 1; i < FILES; i++)
        assert_int_equal(rig_shut(&rig, fh[i]), 0);
    assert_int_equal(rig_remount(&rig), 0);
    assert_true(stats().unsent_memory > ROOM);
    assert_int_equal(pthread_create(&thread, NULL, put_all, (void *)(uintptr_t)&files), 0);
    wait_for_a_wait();
    sent = outbox_run(rig.vfs);
    pthread_join(thread, NULL);
    assert_int_equal(t.error, 0);
    sent += outbox_run(rig.vfs);
    assert_int_equal(sent, FILES);
    assert_object("f000", "f000");
}

/* The bucket can't be reached, and the mount is to end: a close that waits is journaled all the same,
 * its bytes are there for the next mount, and so are those of one that a drain meets before it. */
static void the_end_waits_for_no_room(void **state)
{
    static const unsigned files = FILES;
    pthread_t thread;
    unsigned n;

    (void)state;
    memstore_fail(rig.store, STORE_PUT, 1, 10000, -EIO);
    assert_int_equal(pthread_create(&thread, NULL, put_all, (void *)(uintptr_t)&files), 0);
    wait_for_a_wait();
    n = closed();
    assert_int_equal(entries(), n);
    assert_int_equal(vfs_drain(rig.vfs), -EIO);
    assert_int_equal(entries(), n + 1); /* it still waits */
    assert_int_equal(closed(), n);
    vfs_let_closes_go(rig.vfs);
    while (closed() == n || (!is_done() && stats().closes_waiting == 0))
        usleep(1000);
    assert_int_equal(rig_snapshot(&rig), 0);
    n = closed();
    assert_true(n < FILES);
    while (!is_done()) {
        vfs_let_closes_go(rig.vfs);
        usleep(1000);
    }
    pthread_join(thread, NULL);
    assert_int_equal(t.error, 0);
    assert_int_equal(rig_crash(&rig), 0);
    memstore_clear_faults(rig.store);
    assert_int_equal(outbox_run(rig.vfs), n);
    for (unsigned i = 0; i < n; i++)
        assert_object(name_of(i), name_of(i));
}

static int fail_index(void *arg, const char *path)
{
    size_t n = strlen(path);

    (void)arg;
    return n >= 6 && strcmp(path + n - 6, "/index") == 0 ? EIO : 0;
}

/* The bucket has what waited, and the journal can't say so: closes go by the bucket from then on, none waits. */
static void a_journal_that_drops_nothing(void **state)
{
    static const unsigned files = FILES;
    pthread_t thread;
    unsigned n;

    (void)state;
    baddisk_watch(rig.dir, false);
    assert_int_equal(rig_remount(&rig), 0); /* what is opened from now on is seen */
    assert_int_equal(pthread_create(&thread, NULL, put_all, (void *)(uintptr_t)&files), 0);
    wait_for_a_wait();
    n = closed();
    baddisk_on_sync(fail_index, NULL);
    while (!is_done()) {
        (void)outbox_run(rig.vfs);
        usleep(1000);
    }
    pthread_join(thread, NULL);
    baddisk_on_sync(NULL, NULL);
    baddisk_unwatch();
    assert_int_equal(t.error, 0);
    assert_true(n < FILES && stats().unsent_memory <= ROOM + ONE);
    for (unsigned i = 0; i < FILES; i++)
        assert_object(name_of(i), name_of(i));
}

/* A hard link's commit never gets into the journal. */
static void what_goes_by_the_bucket_does_not_wait(void **state)
{
    static const unsigned files = FILES;
    pthread_t thread;

    (void)state;
    put_text("two", "x");
    outbox_run(rig.vfs);
    assert_int_equal(rig_link(&rig, "two", "names"), 0);
    assert_int_equal(pthread_create(&thread, NULL, put_all, (void *)(uintptr_t)&files), 0);
    wait_for_a_wait();
    put_text("names", "both");
    assert_object("two", "both");
    while (!is_done())
        if (outbox_run(rig.vfs) == 0)
            usleep(1000);
    pthread_join(thread, NULL);
    assert_int_equal(t.error, 0);
}

#define U(f) cmocka_unit_test_setup_teardown(f, setup_limited, teardown_limited)

int main(void)
{
    const struct CMUnitTest tests[] = {
        U(closes_wait_for_room),
        U(attributes_wait_for_room),
        U(who_makes_none_does_not_wait),
        U(open_files_do_not_count),
        U(what_a_start_finds_counts),
        U(the_end_waits_for_no_room),
        U(a_journal_that_drops_nothing),
        U(what_goes_by_the_bucket_does_not_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
