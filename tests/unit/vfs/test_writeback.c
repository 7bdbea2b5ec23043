/* SPDX-License-Identifier: Apache-2.0 */
/* Files held open go to the bucket after flush_after (protocol 12). The clock is the test's, and
 * the passes are its own, except where the thread is what is tested. */
#include "fs/vfs/internal.h"

#include <stdatomic.h>
#include <time.h>

#include "twomounts.h"

#define AFTER (30 * NS_PER_S)

/* The mount a again, with this flush_after. */
static void set_flush_after(int64_t ns, bool by_hand)
{
    a.conf.flush_after_ns = ns;
    a.conf.flush_by_hand = by_hand;
    assert_int_equal(rig_remount(&a), 0);
}

/* Not a nanosecond early. */
static void expect_after(size_t n)
{
    clock_fake_add(AFTER - 1);
    assert_int_equal(writeback_run(a.vfs), 0);
    clock_fake_add(1);
    assert_int_equal(writeback_run(a.vfs), n);
}

static void an_open_log_is_seen_elsewhere(void **state)
{
    uint64_t fh;

    (void)state;
    set_flush_after(AFTER, true);
    put_text(&a, "log", "old\n");
    fh = open_text(&a, "log", O_WRONLY | O_APPEND);
    write_text(&a, fh, 0, "one\n");
    clock_fake_add(NS_PER_S);
    write_text(&a, fh, 0, "two\n"); /* the oldest byte counts */
    clock_fake_add(AFTER - 2 * NS_PER_S);
    assert_int_equal(writeback_run(a.vfs), 0);
    assert_file(&b, "log", "old\n");
    clock_fake_add(NS_PER_S);
    assert_int_equal(writeback_run(a.vfs), 1);
    assert_file(&b, "log", "old\none\ntwo\n");
    write_text(&a, fh, 0, "three\n");
    assert_int_equal(append_text(&b, "log", "b\n"), 0);
    expect_after(1);
    assert_object("log", "old\none\ntwo\nb\nthree\n");
    memstore_count_reset(a.store);
    expect_after(0); /* clean */
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_int_equal(memstore_count(a.store, STORE_OPS), 0); /* nothing was left to send */
}

static void ranges_of_a_stored_file(void **state)
{
    uint64_t fh;

    (void)state;
    set_flush_after(AFTER, true);
    put_text(&a, "f", "0123");
    fh = open_text(&a, "f", O_RDWR);
    write_text(&a, fh, 1, "xx");
    expect_after(1);
    assert_object("f", "0xx3");
    assert_int_equal(rig_shut(&a, fh), 0);
}

/* Half of a file that is being made is no file. */
static void never_before_the_first_close(void **state)
{
    uint64_t fh, log;

    (void)state;
    set_flush_after(AFTER, true);
    assert_int_equal(rig_creat(&a, "new", O_WRONLY, 0644, &fh), 0);
    assert_int_equal(rig_creat(&a, "log", O_WRONLY | O_APPEND, 0644, &log), 0);
    write_text(&a, fh, 0, "half");
    write_text(&a, log, 0, "half");
    expect_after(0);
    assert_int_equal(vfs_fsync(a.vfs, fh), 0);
    write_text(&a, fh, 4, " and half");
    expect_after(1);
    assert_object("new", "half and half");
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_int_equal(rig_shut(&a, log), 0);
    fh = open_text(&a, "new", O_WRONLY | O_TRUNC);
    write_text(&a, fh, 0, "other");
    expect_after(0);
    assert_object("new", "half and half");
    assert_int_equal(vfs_fsync(a.vfs, fh), 0);
    write_text(&a, fh, 5, "!");
    expect_after(1);
    assert_object("new", "other!");
    assert_int_equal(rig_shut(&a, fh), 0);
}

/* Nobody is told of a failure here, so it is no failure of the close. */
static void failures_are_tried_again(void **state)
{
    uint64_t fh;

    (void)state;
    set_flush_after(AFTER, true);
    put_text(&a, "f", "0123");
    fh = open_text(&a, "f", O_RDWR);
    write_text(&a, fh, 0, "x");
    memstore_fail(a.store, STORE_PUT, 1, 2, -EACCES);
    expect_after(0);
    assert_int_equal(writeback_run(a.vfs), 0); /* not at once */
    assert_int_equal(memstore_count(a.store, STORE_PUT), 2);
    expect_after(0);
    expect_after(1);
    assert_object("f", "x123");
    write_text(&a, fh, 0, "y");
    memstore_fail(a.store, STORE_PUT, 1, 1, -EACCES);
    expect_after(0);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_object("f", "y123");
    assert_int_equal(lost_and_found(&a), 0);
}

/* The close is told what the background met. */
static void another_file_is_left_alone(void **state)
{
    uint64_t fh;

    (void)state;
    set_flush_after(AFTER, true);
    put_text(&a, "f", "0123");
    fh = open_text(&a, "f", O_RDWR);
    write_text(&a, fh, 0, "x");
    foreign_put("f", "a stranger's");
    expect_after(0);
    assert_object("f", "a stranger's");
    assert_int_equal(rig_shut(&a, fh), -ESTALE);
    assert_int_equal(lost_and_found(&a), 1);
    assert_object("f", "a stranger's");
}

static void zero_means_never(void **state)
{
    uint64_t fh;

    (void)state;
    put_text(&a, "f", "0123");
    fh = open_text(&a, "f", O_RDWR);
    write_text(&a, fh, 0, "x");
    clock_fake_add(1000 * NS_PER_S);
    assert_int_equal(writeback_run(a.vfs), 0);
    assert_object("f", "0123");
    assert_int_equal(rig_shut(&a, fh), 0);
}

static bool is_object(const char *key, const char *text)
{
    char *data = NULL;
    bool is;

    assert_int_equal(memstore_get(a.store, key, NULL, &data), 0);
    is = strcmp(data, text) == 0;
    free(data);
    return is;
}

/* The thread: it finds what is written after it went to sleep, too. */
static void the_thread_does_it(void **state)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    uint64_t fh;

    (void)state;
    set_flush_after(NS_PER_MS, false);
    put_text(&a, "f", "0123");
    fh = open_text(&a, "f", O_RDWR);
    for (int k = 0; k < 3; k++) {
        char text[5] = "0123";

        text[0] = (char)('a' + k);
        write_text(&a, fh, 0, text);
        clock_fake_add(NS_PER_MS);
        while (!is_object("f", text)) /* for as long as the test may run */
            nanosleep(&pause, NULL);
    }
    assert_int_equal(rig_shut(&a, fh), 0);
}

static bool thread_runs(void)
{
    bool runs;

    lock_take(&a.vfs->tree);
    runs = a.vfs->locked.writeback_runs;
    lock_drop(&a.vfs->tree);
    return runs;
}

/* Half of a new file is no file: nothing is due, so its writes wake nobody. */
static void a_new_file_wakes_nobody(void **state)
{
    uint64_t fh;

    (void)state;
    set_flush_after(AFTER, false);
    assert_int_equal(rig_creat(&a, "new", O_WRONLY, 0644, &fh), 0);
    write_text(&a, fh, 0, "0123");
    assert_false(thread_runs());
    assert_int_equal(vfs_fsync(a.vfs, fh), 0);
    write_text(&a, fh, 4, "4"); /* a file that is in the bucket */
    assert_true(thread_runs());
    assert_int_equal(rig_shut(&a, fh), 0);
}

static atomic_bool is_sending, was_sent;

static void send_until_it_ends(void *arg, struct store *s, const struct store_req *req, int result)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    bool ends = false;

    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_PUT)
        return;
    atomic_store(&is_sending, true);
    while (!ends) {
        nanosleep(&pause, NULL);
        lock_take(&a.vfs->tree);
        ends = a.vfs->locked.writeback_ends;
        lock_drop(&a.vfs->tree);
    }
    atomic_store(&was_sent, true);
}

/* The front is freed after that, which a commit may tell what the kernel shall drop. */
static void a_stop_waits_for_the_thread(void **state)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    uint64_t fh;

    (void)state;
    set_flush_after(NS_PER_MS, false);
    put_text(&a, "f", "0123");
    fh = open_text(&a, "f", O_RDWR);
    memstore_set_hooks(a.store, NULL, send_until_it_ends, NULL);
    write_text(&a, fh, 0, "x");
    clock_fake_add(NS_PER_MS);
    while (!atomic_load(&is_sending))
        nanosleep(&pause, NULL);
    vfs_stop(a.vfs);
    assert_true(atomic_load(&was_sent));
    memstore_set_hooks(a.store, NULL, NULL, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_open_log_is_seen_elsewhere),
        T(ranges_of_a_stored_file),
        T(never_before_the_first_close),
        T(failures_are_tried_again),
        T(another_file_is_left_alone),
        T(zero_means_never),
        T(a_new_file_wakes_nobody),
        T(the_thread_does_it),
        T(a_stop_waits_for_the_thread),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
