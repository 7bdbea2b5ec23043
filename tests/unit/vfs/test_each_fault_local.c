/* SPDX-License-Identifier: Apache-2.0 */
/* Under commit=local each request and each disk call fails once: of a close, of the sending
 * afterwards, and of a start that finds what is unsent. What was acknowledged arrives, once. */
#include "eachfails.h"
#include "faultgate.h"

#include "cache/journal.h"
#include "tests/lib/baddisk.h"

/* The sanitizers' builds try a part of them: they are slow, and look for something else. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STRIDE 5
#else
#define STRIDE 1
#endif

static void open_a(void)
{
    struct rig through = b;
    struct vfs_conf conf = b.conf;

    set_gate(FAILS_ONCE, 0);
    conf.commit = VFS_COMMIT_LOCAL;
    through.store = &gate.store;
    assert_int_equal(rig_join(&a, &through, &conf), 0);
}

static int set_up(void **state)
{
    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    assert_int_equal(rig_open(&b, NULL), 0);
    gate.store.ops = &gate_ops;
    gate.inner = b.store;
    open_a();
    return 0;
}

static const int closes[] = {CREATE, OVERWRITE, APPEND, CHMOD, RENAME, UNLINK, MKDIR};
static const int unsent[] = {CREATE, OVERWRITE, APPEND, CHMOD, UNLINK, MKDIR};

/* What the unsent ones need to be there. */
static void seed_files(void)
{
    only = OVERWRITE;
    seed();
    only = APPEND;
    seed_file(APPEND, "log", "line 1\n");
    only = CHMOD;
    seed_file(CHMOD, "mode", "same bytes");
    only = UNLINK;
    seed_file(UNLINK, "gone", "doomed");
    only = STEPS;
    send_all();
}

static void close_files(void)
{
    for (size_t i = 0; i < ARRAY_LEN(unsent); i++) {
        results[unsent[i]] = run_step(unsent[i]);
        assert_int_equal(results[unsent[i]], 0);
    }
}

static void check_files(void)
{
    send_all();
    no_lock_is_left();
    settle();
    for (size_t i = 0; i < ARRAY_LEN(unsent); i++)
        check_step(unsent[i]);
    goes_on();
}

/* --- what is tried, before it, and what must hold afterwards --- */

struct trial {
    const char *name;
    int step; /* of closes; STEPS: those of unsent */
    void (*before)(void), (*fn)(void), (*after)(void);
};

static int started;
static bool is_watched; /* by the bad disk, which a copy of the directory would escape */

static void mount_again(void)
{
    assert_int_equal(is_watched ? rig_remount(&a) : rig_crash(&a), 0);
}

static void after_close(void)
{
    no_lock_is_left();
    mount_again();
    send_all();
    look_at_all();
}

static void before_send(void)
{
    seed_files();
    close_files();
}

static void send(void)
{
    (void)outbox_run(a.vfs);
}

static void after_send(void)
{
    check_files();
}

static void after_death(void)
{
    mount_again();
    check_files();
}

static void watch(void)
{
    baddisk_watch(a.dir, false);
    baddisk_quick_syncs(true);
    assert_int_equal(rig_remount(&a), 0); /* so that every descriptor was seen when it was opened */
}

static void unwatch(void)
{
    baddisk_unwatch();
    baddisk_quick_syncs(true);
}

/* A cache of its own for each start: the next one has no more to do. */
static void before_start(void)
{
    if (is_watched)
        unwatch();
    rig_close(&a);
    open_a();
    if (is_watched)
        watch();
    before_send();
}

static void start_again(void)
{
    started = rig_remount(&a);
}

static uint64_t entries(void)
{
    struct journal_stats s;

    journal_stats_get(a.journal, &s);
    return s.entries;
}

/* An entry that can't be taken up now stays in the journal: it is the next start's. */
static void after_start(void)
{
    if (started == 0)
        send_all();
    if (started < 0 || entries() > 0)
        assert_int_equal(rig_remount(&a), 0);
    check_files();
    assert_int_equal(entries(), 0);
}

static const struct trial sending = {"sending", STEPS, before_send, send, after_send};
static const struct trial dying = {"sending, then death", STEPS, before_send, send, after_death};
static const struct trial starting = {"start", STEPS, before_start, start_again, after_start};

static void seed_stored(void)
{
    seed();
    send_all();
}

/* k: one past the last of closes is the unlink of a file that the bucket has. */
static struct trial closing(size_t k)
{
    if (k == ARRAY_LEN(closes))
        return (struct trial){"unlink", UNLINK, seed_stored, run_all, after_close};
    return (struct trial){"close", closes[k], seed, run_all, after_close};
}

/* --- requests --- */

static unsigned requests(enum fault fault, const char *name, const struct trial *t)
{
    unsigned n = 0, seen;

    what = name;
    only = t->step;
    do {
        which = ++n;
        t->before();
        set_gate(fault, n);
        t->fn();
        seen = atomic_load(&gate.seen);
        set_gate(fault, 0);
        t->after();
    } while (seen >= n);
    only = STEPS;
    return n - 1;
}

static void each_request_of_a_close(void **state)
{
    unsigned failed = 0, lost = 0;

    (void)state;
    for (size_t i = 0; i <= ARRAY_LEN(closes); i++) {
        struct trial t = closing(i);

        failed += requests(FAILS_ONCE, "failing request of a local close", &t);
        lost += requests(LOST_ONCE, "local close's request without a reply", &t);
    }
    print_message("requests of local closes: %u + %u tried\n", failed, lost);
}

static void each_request_of_sending(void **state)
{
    unsigned failed, lost, before, after;

    (void)state;
    failed = requests(FAILS_ONCE, "failing request while it is sent", &sending);
    lost = requests(LOST_ONCE, "sending request without a reply", &sending);
    before = requests(DIES, "death before a request of sending", &dying);
    after = requests(DIES_LATER, "death after a request of sending", &dying);
    print_message("requests of sending: %u + %u tried, %u + %u deaths\n", failed, lost, before,
                  after);
}

/* --- disk calls, LMDB's too --- */

static unsigned disk_calls(int error, const char *name, const struct trial *t)
{
    only = t->step;
    begin(name, STRIDE);
    while (has_more()) {
        t->before();
        baddisk_fail_each(error);
        one_fails(t->fn);
        baddisk_fail_each(0);
        t->after();
    }
    only = STEPS;
    return each_tried();
}

static const struct {
    int error;
    const char *name;
} bad[] = {{EIO, "failing disk call"}, {ENOSPC, "disk call on a full disk"}};

static int set_up_disk(void **state)
{
    set_up(state);
    is_watched = true;
    watch();
    return 0;
}

static int tear_down_disk(void **state)
{
    is_watched = false;
    baddisk_unwatch();
    return tear_down(state);
}

static void each_disk_call_of_a_close(void **state)
{
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        unsigned tried = 0;

        for (size_t i = 0; i <= ARRAY_LEN(closes); i++) {
            struct trial t = closing(i);

            tried += disk_calls(bad[k].error, bad[k].name, &t);
        }
        print_message("%s of local closes: %u tried\n", bad[k].name, tried);
    }
}

static void each_disk_call_of(const struct trial *t)
{
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        unsigned tried = disk_calls(bad[k].error, bad[k].name, t);

        print_message("%s of %s: %u tried\n", bad[k].name, t->name, tried);
    }
}

static void each_disk_call_of_sending(void **state)
{
    (void)state;
    each_disk_call_of(&sending);
}

static void each_disk_call_of_a_start(void **state)
{
    (void)state;
    each_disk_call_of(&starting);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
#define DISK_TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up_disk, tear_down_disk)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_request_of_a_close),        TEST(each_request_of_sending),
        DISK_TEST(each_disk_call_of_a_close), DISK_TEST(each_disk_call_of_sending),
        DISK_TEST(each_disk_call_of_a_start),
    };

    baddisk_quick_syncs(true);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
