/* SPDX-License-Identifier: Apache-2.0 */
/* The journal on a bad disk (tests/lib/baddisk.h): each call to it fails in turn, LMDB's too; the
 * process is killed at each; bits of the index turn over. What was acknowledged is there, or, after
 * damage, in lost+found and said to be. And what 64 threads cost. */
#include "journaltest.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "../../../fs/cache/jrn.h"
#include "baddisk.h"

/* --- each call fails, or is the last --- */

#define ENTRIES 9u

/* What the caller was told of entry n. */
enum word { SILENT, ACKED, FAILED, DROP_ACKED, DROP_FAILED };
struct told {
    enum word word[ENTRIES];
    uint64_t seq[ENTRIES];
    uint64_t highest;
};

/* Told over a pipe too, for who may be killed. */
static void tell(struct told *t, int fd, unsigned n, enum word w)
{
    uint64_t line[3] = {n, w, t->seq[n]};

    t->word[n] = w;
    if (w == ACKED && t->seq[n] > t->highest)
        t->highest = t->seq[n];
    if (fd >= 0 && write(fd, line, sizeof(line)) != (ssize_t)sizeof(line))
        _exit(3);
}

static void put_one(struct cache *c, struct journal *j, struct told *t, int fd, unsigned n,
                    unsigned replaces)
{
    bool replacing = replaces < ENTRIES && t->word[replaces] == ACKED;
    int r;

    err_clear();
    if (replacing) /* from now on it may be gone, if the new one is there */
        tell(t, fd, replaces, DROP_FAILED);
    r = entry_put(c, j, n, replacing ? t->seq[replaces] : 0, &t->seq[n]);
    if (r != 0)
        assert_true(err_text()[0] != '\0' || r == -EIO || r == -ENOSPC);
    tell(t, fd, n, r == 0 ? ACKED : FAILED);
    if (replacing)
        tell(t, fd, replaces, r == 0 ? DROP_ACKED : ACKED);
}

static void drop_one(struct journal *j, struct told *t, int fd, unsigned n)
{
    if (t->word[n] != ACKED)
        return;
    tell(t, fd, n, DROP_FAILED);
    if (journal_drop(j, t->seq[n]) == 0)
        tell(t, fd, n, DROP_ACKED);
}

/* Nine entries: one replaced, two dropped. */
static void work(const char *dir, struct told *t, int fd, uint64_t fail_at, int err,
                 bool persistent)
{
    struct cache_conf conf = {.dir = dir, .source = SOURCE};
    struct cache *c = NULL;
    struct journal *j = NULL;

    if (fail_at > 0)
        baddisk_fail(fail_at, err, persistent);
    if (cache_new(&conf, &c) == 0 && cache_start(c) == 0 && journal_open(c, &j) == 0) {
        for (unsigned n = 0; n < ENTRIES - 1; n++) {
            put_one(c, j, t, fd, n, n == 4 ? 2 : ENTRIES);
            if (n == 3)
                drop_one(j, t, fd, 1);
        }
        drop_one(j, t, fd, 6);
        if (fail_at > 0)
            baddisk_fail(0, 0, false);
        put_one(c, j, t, fd, ENTRIES - 1, ENTRIES); /* on a disk that is well again */
        assert_int_equal(t->word[ENTRIES - 1], ACKED);
    }
    baddisk_fail(0, 0, false);
    journal_close(j);
    cache_free(c);
}

static void check(const char *dir, const struct told *t, bool was_killed)
{
    struct cache *c = cache_open_at(dir, 0);
    struct journal *j = journal_at(c);
    struct entries *e = entries_of(j);
    uint64_t seq;

    for (unsigned n = 0; n < ENTRIES; n++) {
        bool there = entries_have(e, t->seq[n], n) && t->seq[n] != 0;

        if (t->word[n] == ACKED && !there)
            fail_msg("entry %u was acknowledged and is missing", n);
        if ((t->word[n] == DROP_ACKED || (t->word[n] == FAILED && !was_killed)) && there)
            fail_msg("entry %u should not be there (%d)", n, t->word[n]);
    }
    for (size_t i = 0; i < e->n; i++) /* a failed put has no number that we know */
        assert_true(was_killed || (e->v[i].n < ENTRIES && t->word[e->v[i].n] != FAILED));
    assert_int_equal(entry_put(c, j, 5, 0, &seq), 0);
    assert_true(seq > t->highest);
    journal_close(j);
    cache_close(c);
}

static bool run_with_fault(uint64_t nth, int err, bool persistent)
{
    struct told t = {0};
    struct place p;
    uint64_t calls;

    place_make(&p);
    baddisk_watch(p.dir, false);
    baddisk_quick_syncs(true);
    work(p.dir, &t, -1, nth, err, persistent);
    calls = baddisk_calls();
    check(p.dir, &t, false);
    baddisk_unwatch();
    scratch_remove(p.scratch);
    return calls >= nth;
}

static void test_each_call_fails(void **state)
{
    static const int errs[] = {EIO, ENOSPC};

    (void)state;
    for (size_t e = 0; e < ARRAY_LEN(errs); e++)
        for (int persistent = 0; persistent < 2; persistent++) {
            uint64_t n = 1;

            while (n < 1000 && run_with_fault(n, errs[e], persistent != 0))
                n++;
            print_message("%s%s: %u calls\n", strerror(errs[e]), persistent ? ", all" : "",
                          (unsigned)n - 1);
            assert_true(n > 50 && n < 1000);
        }
}

static bool run_and_kill(uint64_t nth)
{
    struct told t = {0};
    uint64_t line[3];
    struct place p;
    int fds[2], status;
    pid_t pid;

    place_make(&p);
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(fds[0]);
        baddisk_watch(p.dir, false);
        baddisk_quick_syncs(true);
        baddisk_kill(nth);
        work(p.dir, &t, fds[1], 0, 0, false);
        _exit(0);
    }
    close(fds[1]);
    while (read(fds[0], line, sizeof(line)) == (ssize_t)sizeof(line)) {
        t.word[line[0]] = (enum word)line[1];
        t.seq[line[0]] = line[2];
        if (line[1] == ACKED && line[2] > t.highest)
            t.highest = line[2];
    }
    close(fds[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    baddisk_quick_syncs(true);
    check(p.dir, &t, true);
    scratch_remove(p.scratch);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void test_killed_at_each_call(void **state)
{
    uint64_t n = 1;

    (void)state;
    while (n < 1000 && run_and_kill(n))
        n++;
    print_message("killed at %u calls\n", (unsigned)n - 1);
    assert_true(n > 50 && n < 1000);
}

/* --- a start over entries fails, or is killed, at each call: they stay --- */

static void start_and_stop(const char *dir)
{
    struct cache_conf conf = {.dir = dir, .source = SOURCE};
    struct cache *c = NULL;
    struct journal *j = NULL;

    if (cache_new(&conf, &c) == 0 && cache_start(c) == 0 && journal_open(c, &j) != 0)
        assert_true(err_text()[0] != '\0');
    journal_close(j);
    cache_free(c);
}

static void check_all_there(const char *dir, const uint64_t seq[ENTRIES])
{
    struct cache *c = cache_open_at(dir, 0);
    struct journal *j = journal_at(c);
    struct entries *e = entries_of(j);

    assert_int_equal(e->n, ENTRIES);
    for (unsigned n = 0; n < ENTRIES; n++)
        assert_true(entries_have(e, seq[n], n));
    assert_int_equal(lost_of(j), 0);
    journal_close(j);
    cache_close(c);
}

static bool kill_a_start(const char *dir, uint64_t nth)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        baddisk_kill(nth);
        start_and_stop(dir);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void test_start_fails(void **state)
{
    uint64_t seq[ENTRIES], n = 0, calls;
    struct cache *c;
    struct journal *j;
    struct place p;

    (void)state;
    place_make(&p);
    baddisk_watch(p.dir, false);
    baddisk_quick_syncs(true);
    c = cache_open_at(p.dir, 0);
    j = journal_at(c);
    for (unsigned i = 0; i < ENTRIES; i++)
        assert_int_equal(entry_put(c, j, i, 0, &seq[i]), 0);
    journal_close(j);
    cache_close(c);
    do {
        n++;
        calls = baddisk_calls();
        baddisk_fail(n, n % 2 ? EIO : ENOSPC, n % 3 == 0);
        start_and_stop(p.dir);
        baddisk_fail(0, 0, false);
        calls = baddisk_calls() - calls;
        check_all_there(p.dir, seq);
    } while (calls >= n);
    assert_true(n > 20);
    print_message("a start fails at %u calls\n", (unsigned)n - 1);
    for (n = 1; kill_a_start(p.dir, n); n++)
        check_all_there(p.dir, seq);
    assert_true(n > 20);
    print_message("a start is killed at %u calls\n", (unsigned)n - 1);
    baddisk_unwatch();
    scratch_remove(p.scratch);
}

/* --- a sync that failed once --- */

static int fail_bytes(void *arg, const char *path)
{
    (void)arg;
    return strncmp(path, "stage/", 6) == 0 ? EIO : 0;
}

/* The kernel takes the pages for clean after it: a second sync would say that all is well. */
static void test_sync_is_not_asked_twice(void **state)
{
    struct cache_stage *s;
    struct journal *j;
    struct place p;
    struct cache *c;
    uint64_t seq;
    int r;

    (void)state;
    place_make(&p);
    baddisk_watch(p.dir, false);
    c = cache_open_at(p.dir, 0);
    j = journal_at(c);
    s = entry_stage(c, 1, &r);
    baddisk_on_sync(fail_bytes, NULL);
    assert_int_equal(journal_put(j, "r", 1, s, 1, 0, &seq), -EIO);
    baddisk_on_sync(NULL, NULL);
    assert_true(cache_stage_is_bad(s));
    assert_int_equal(journal_put(j, "r", 1, s, 1, 0, &seq), -EIO);
    assert_int_equal(entries_of(j)->n, 0);
    cache_stage_free(s);
    journal_close(j);
    cache_close(c);
    baddisk_unwatch();
    scratch_remove(p.scratch);
}

/* --- what many cost --- */

#define CLOSERS 64u

struct closers {
    struct cache *c;
    struct journal *j;
    struct lock lock;
    unsigned next;
    atomic_bool open;
};

/* The first batch waits at its sync of the index until all others are in the queue. */
static int hold_first(void *arg, const char *path)
{
    struct closers *x = arg;
    size_t n = strlen(path), waiting;

    if (x->open || n < 6 || strcmp(path + n - 6, "/index") != 0)
        return 0;
    do {
        usleep(1000);
        lock_take(&x->j->lock);
        waiting = x->j->locked.waiting;
        lock_drop(&x->j->lock);
    } while (waiting < CLOSERS);
    x->open = true;
    return 0;
}

static void *close_one(void *arg)
{
    struct closers *x = arg;
    unsigned n;
    uint64_t seq;

    lock_take(&x->lock);
    n = 1 + 5 * x->next++;
    lock_drop(&x->lock);
    if (entry_put(x->c, x->j, n, 0, &seq) != 0)
        abort();
    return NULL;
}

static void test_many_share_a_sync(void **state)
{
    struct closers x = {0};
    pthread_t t[CLOSERS];
    uint64_t index, folder, bytes;
    struct place p;

    (void)state;
    place_make(&p);
    baddisk_watch(p.dir, false);
    baddisk_quick_syncs(true);
    x.c = cache_open_at(p.dir, 0);
    x.j = journal_at(x.c);
    lock_init(&x.lock, LOCK_LEAF);
    index = baddisk_syncs("/index");
    folder = baddisk_syncs("/files");
    baddisk_on_sync(hold_first, &x);
    for (unsigned i = 0; i < CLOSERS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, close_one, &x), 0);
    for (unsigned i = 0; i < CLOSERS; i++)
        pthread_join(t[i], NULL);
    baddisk_on_sync(NULL, NULL);
    index = baddisk_syncs("/index") - index;
    folder = baddisk_syncs("/files") - folder;
    bytes = 0;
    for (unsigned i = 0; i < 10; i++) {
        char tail[16];

        snprintf(tail, sizeof(tail), "%u", i);
        bytes += baddisk_syncs(tail);
    }
    print_message("%u closes: %u syncs of bytes, %u of the folder, %u of the index\n", CLOSERS,
                  (unsigned)bytes, (unsigned)folder, (unsigned)index);
    assert_int_equal(bytes, CLOSERS);
    assert_int_equal(folder, 2);
    assert_int_equal(index, 4); /* LMDB syncs its pages, then its root */
    assert_int_equal(entries_of(x.j)->n, CLOSERS);
    lock_done(&x.lock);
    journal_close(x.j);
    cache_close(x.c);
    baddisk_unwatch();
    scratch_remove(p.scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_call_fails),
        cmocka_unit_test(test_killed_at_each_call),
        cmocka_unit_test(test_start_fails),
        cmocka_unit_test(test_sync_is_not_asked_twice),
        cmocka_unit_test(test_many_share_a_sync),
    };

    scratch_in_memory();
    return cmocka_run_group_tests_name("cache/journal_faults", tests, NULL, NULL);
}
