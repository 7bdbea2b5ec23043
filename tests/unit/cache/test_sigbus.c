/* SPDX-License-Identifier: Apache-2.0 */
/* A disk that can't read pages of an index: what a read of the map gets is a SIGBUS. The file is
 * made shorter under a running cache, to each length: the pages beyond can't be read, whichever
 * call meets them. Nothing crashes, nothing that was never written is told, the cache begins its
 * index anew, and the journal takes no entry until it has read its own whole. */
#include "journaltest.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <lmdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "../../../fs/cache/mapped.h"
#include "../../../fs/cache/meta.h"

#define PAGE 4096u
#define RECORDS 300u

/* --- the cache's index --- */

struct kv {
    unsigned n;
    uint8_t val[400];
    size_t len;
};

static struct cache_bytes key_of(const struct kv *kv)
{
    return (struct cache_bytes){.p = &kv->n, .n = sizeof(kv->n)};
}

static int put_kv(struct meta_txn *t, void *arg)
{
    const struct kv *kv = arg;

    return meta_put(t, META_DENT, key_of(kv),
                    (struct cache_bytes){.p = kv->val, .n = sizeof(kv->val)});
}

static int del_kv(struct meta_txn *t, void *arg)
{
    return meta_del(t, META_DENT, key_of(arg));
}

static int get_kv(struct meta_txn *t, void *arg)
{
    struct kv *kv = arg;
    struct cache_bytes val;
    int r = meta_get(t, META_DENT, key_of(kv), &val);

    if (r != 0)
        return r;
    assert_int_equal(val.n, sizeof(kv->val));
    assert_true(pattern_is(kv->n, 0, val.p, val.n));
    return 0;
}

static int see_kv(struct cache_bytes key, struct cache_bytes val, void *arg)
{
    unsigned n;

    assert_int_equal(key.n, sizeof(n));
    memcpy(&n, key.p, sizeof(n));
    assert_true(n < RECORDS && pattern_is(n, 0, val.p, val.n));
    ++*(size_t *)arg;
    return 0;
}

static int scan_kv(struct meta_txn *t, void *arg)
{
    struct cache_bytes all = {.p = ""};

    return meta_scan(t, META_DENT, all, all, see_kv, arg);
}

static void fill(struct meta *m)
{
    for (unsigned n = 0; n < RECORDS; n++) {
        struct kv kv = {.n = n};

        pattern_fill(n, 0, kv.val, sizeof(kv.val));
        assert_int_equal(meta_write(m, put_kv, &kv), 0);
    }
}

static off_t size_of(const char *path)
{
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    return st.st_size;
}

static int empty_it(void *arg)
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof(path), "%s/data.mdb", (const char *)arg);
    unlink(path);
    snprintf(path, sizeof(path), "%s/lock.mdb", (const char *)arg);
    unlink(path);
    return 0;
}

enum what { GETS, SCAN, PUTS, DELETES, WHATS };

/* Until one fails; what fails, fails with -EIO. */
static bool goes_on(struct meta *m, enum what what)
{
    size_t seen = 0;
    int r = 0;

    if (what == SCAN) {
        r = meta_read(m, scan_kv, &seen);
        assert_true(r != 0 || seen == RECORDS);
    }
    for (unsigned n = 0; n < RECORDS && r == 0 && what != SCAN; n++) {
        struct kv kv = {.n = n};

        pattern_fill(n, 0, kv.val, sizeof(kv.val));
        r = what == GETS ? meta_read(m, get_kv, &kv)
                         : meta_write(m, what == PUTS ? put_kv : del_kv, &kv);
    }
    assert_true(r == 0 || r == -EIO);
    return r == 0;
}

/* In a process of its own: what is lost keeps its map. */
static void cut_index(const char *dir, enum what what, off_t size)
{
    char data[PATH_MAX + 32];
    struct meta *m = NULL;

    snprintf(data, sizeof(data), "%s/data.mdb", dir);
    assert_int_equal(meta_open(dir, 0, &m), 0);
    fill(m);
    assert_true(size_of(data) > size);
    assert_int_equal(truncate(data, size), 0);
    if (!goes_on(m, what)) {
        assert_true(meta_failed(m));
        assert_false(goes_on(m, GETS));
        assert_int_equal(meta_reset(m, empty_it, (void *)(uintptr_t)dir), 0);
        assert_false(meta_failed(m));
        fill(m);
        for (enum what w = GETS; w < WHATS; w++)
            assert_true(goes_on(m, w));
    }
    meta_close(m);
}

/* cmocka's failures of a child are told by its end. */
static void in_child(void (*fn)(const char *dir, enum what what, off_t size), enum what what,
                     off_t size)
{
    char dir[PATH_MAX];
    int status = 0;
    pid_t pid;

    scratch_make(dir);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fn(dir, what, size);
        exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    scratch_remove(dir);
    if (status != 0)
        fail_msg("what %d, cut to %lld: status %d", (int)what, (long long)size, status);
}

static void test_index(void **state)
{
    (void)state;
    for (enum what w = GETS; w < WHATS; w++)
        for (off_t pages = 0; pages <= 20; pages += pages < 5 ? 1 : 5)
            in_child(cut_index, w, pages * PAGE);
}

/* --- many at once --- */

struct crowd {
    struct meta *m;
    atomic_int failed;
};

static void *work(void *arg)
{
    struct crowd *c = arg;

    for (enum what w = GETS; w < WHATS; w++)
        if (!goes_on(c->m, w))
            c->failed++;
    return NULL;
}

static void cut_for_many(const char *dir, enum what what, off_t size)
{
    struct crowd c = {0};
    pthread_t t[6];
    char data[PATH_MAX + 32];

    (void)what;
    snprintf(data, sizeof(data), "%s/data.mdb", dir);
    assert_int_equal(meta_open(dir, 0, &c.m), 0);
    fill(c.m);
    assert_int_equal(truncate(data, size), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        assert_int_equal(pthread_create(&t[i], NULL, work, &c), 0);
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        pthread_join(t[i], NULL);
    assert_true(c.failed > 0);
    assert_int_equal(meta_reset(c.m, empty_it, (void *)(uintptr_t)dir), 0);
    fill(c.m);
    assert_true(goes_on(c.m, SCAN));
    meta_close(c.m);
}

/* None waits for a lock that a lost call has. */
static void test_many(void **state)
{
    (void)state;
    in_child(cut_for_many, GETS, 2 * PAGE);
    in_child(cut_for_many, GETS, 12 * PAGE);
}

/* --- the journal --- */

static void save(const char *from, const char *to)
{
    char cmd[3 * PATH_MAX];

    snprintf(cmd, sizeof(cmd), "cat '%s' > '%s'", from, to);
    assert_int_equal(system(cmd), 0);
}

/* The index is cut, an entry is put or dropped; then the disk has it again, and all is there. */
static void cut_journal(const char *dir, enum what what, off_t size)
{
    char index[PATH_MAX + 32], copy[PATH_MAX + 32];
    struct cache *c = cache_open_at(dir, 0);
    struct journal *j = journal_at(c);
    uint64_t seq[64], more;
    int r;

    snprintf(index, sizeof(index), "%s/journal/index", dir);
    snprintf(copy, sizeof(copy), "%s/copy", dir);
    for (unsigned n = 0; n < 64; n++)
        assert_int_equal(entry_put(c, j, n, 0, &seq[n]), 0);
    if (size_of(index) <= size)
        exit(0);
    save(index, copy);
    assert_int_equal(truncate(index, size), 0);
    r = what == PUTS ? entry_put(c, j, 64, 0, &more) : journal_drop(j, seq[3]);
    assert_true(r == 0 || r == -EIO);
    if (r != 0)
        assert_true(entry_put(c, j, 65, 0, &more) < 0 || what == GETS);
    save(copy, index);
    if (r != 0) {
        assert_int_equal(entry_put(c, j, 66, 0, &more), 0);
        assert_int_equal(entries_of(j)->n, 65);
        for (unsigned n = 0; n < 64; n++)
            assert_true(entries_have(entries_of(j), seq[n], n));
        assert_true(entries_have(entries_of(j), more, 66));
    }
    journal_close(j);
    cache_close(c);
    if (r != 0) {
        c = cache_open_at(dir, 0);
        j = journal_at(c);
        assert_int_equal(entries_of(j)->n, 65);
        assert_true(entries_have(entries_of(j), more, 66));
        journal_close(j);
        cache_close(c);
    }
}

static void test_journal(void **state)
{
    (void)state;
    for (off_t pages = 0; pages <= 12; pages += pages < 4 ? 1 : 4) {
        in_child(cut_journal, PUTS, pages * PAGE);
        in_child(cut_journal, DELETES, pages * PAGE);
    }
}

/* One whose records stay away is not believed: no entry is taken, until the next start has said
 * what is lost. */
static void cut_for_good(const char *dir, enum what what, off_t size)
{
    char index[PATH_MAX + 32];
    struct cache *c = cache_open_at(dir, 0);
    struct journal *j = journal_at(c);
    uint64_t seq, failed = 0;

    (void)what;
    snprintf(index, sizeof(index), "%s/journal/index", dir);
    for (unsigned n = 0; n < 64; n++)
        assert_int_equal(entry_put(c, j, n, 0, &seq), 0);
    assert_int_equal(truncate(index, size), 0);
    for (unsigned n = 64; n < 96; n++)
        failed += entry_put(c, j, n, 0, &seq) != 0;
    assert_int_equal(failed, 32);
    journal_close(j);
    cache_close(c);
    c = cache_open_at(dir, 0);
    j = journal_at(c);
    assert_true(lost_of(j) > 0);
    assert_int_equal(entry_put(c, j, 1, 0, &seq), 0);
    journal_close(j);
    cache_close(c);
}

static void test_journal_for_good(void **state)
{
    (void)state;
    in_child(cut_for_good, PUTS, 2 * PAGE);
    in_child(cut_for_good, PUTS, 4 * PAGE);
}

/* --- a start --- */

/* The child of a start that reads the journal has opened it, and then the disk fails: its pages are
 * gone (here: cut), and whoever reads the file by calls fails (a folder), is well, or is cut, too. */
static struct {
    pid_t parent;
    const char *index;
    unsigned *times; /* shared: how many starts meet it */
    unsigned *full;  /* shared: how many find a disk that is full, before */
    bool is_for_calls, is_for_good;
} trouble;

int mdb_env_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode)
{
    int (*real)(MDB_env *, const char *, unsigned, mdb_mode_t);
    char away[PATH_MAX + 48];
    int r;

    *(void **)&real = dlsym(RTLD_NEXT, "mdb_env_open");
    r = real(env, path, flags, mode);
    if (r != 0 || trouble.parent == 0 || getpid() == trouble.parent)
        return r;
    if (*trouble.full > 0) {
        --*trouble.full;
        return ENOSPC;
    }
    if (*trouble.times == 0)
        return r;
    --*trouble.times;
    snprintf(away, sizeof(away), "%s.away", trouble.index);
    if (!trouble.is_for_good) {
        save(path, away);
        assert_int_equal(truncate(path, 2 * PAGE), 0);
        assert_int_equal(rename(away, path), 0);
    } else {
        assert_int_equal(truncate(path, 2 * PAGE), 0);
    }
    if (trouble.is_for_calls) {
        assert_int_equal(rename(path, away), 0);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    return r;
}

/* What the next start, whose disk is well, has. */
static void check_start(const char *dir, const uint64_t *seq, unsigned n)
{
    struct cache *c = cache_open_at(dir, 0);
    struct journal *j = journal_at(c);

    assert_int_equal(lost_of(j), 0);
    assert_int_equal(entries_of(j)->n, n);
    for (unsigned i = 0; i < n; i++)
        assert_true(entries_have(entries_of(j), seq[i], i));
    journal_close(j);
    cache_close(c);
}

static void no_start_now(const char *dir)
{
    struct cache *c = cache_open_at(dir, 0);
    struct journal *j;

    assert_int_equal(journal_open(c, &j), -EIO);
    cache_close(c);
}

static void start_without(const char *dir, enum what what, off_t times)
{
    enum { N = 64 };
    char index[PATH_MAX + 32], away[PATH_MAX + 48];
    struct cache *c = cache_open_at(dir, 0);
    struct journal *j = journal_at(c);
    uint64_t seq[N];

    snprintf(index, sizeof(index), "%s/journal/index", dir);
    snprintf(away, sizeof(away), "%s.away", index);
    for (unsigned n = 0; n < N; n++)
        assert_int_equal(entry_put(c, j, n, 0, &seq[n]), 0);
    journal_close(j);
    cache_close(c);
    trouble.times = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(trouble.times != MAP_FAILED);
    *trouble.times = (unsigned)times;
    trouble.full = trouble.times + 1;
    *trouble.full = what == DELETES;
    trouble.index = index;
    trouble.is_for_calls = what == GETS;
    trouble.is_for_good = what == PUTS;
    trouble.parent = getpid();
    if (what == GETS) {
        no_start_now(dir);
        assert_int_equal(rmdir(index), 0);
        assert_int_equal(rename(away, index), 0);
        check_start(dir, seq, N);
    } else if (what == SCAN || what == DELETES) {
        if (times == 2)
            no_start_now(dir);
        check_start(dir, seq, N);
        assert_int_equal(*trouble.times, 0);
    } else {
        c = cache_open_at(dir, 0);
        j = journal_at(c);
        assert_true(lost_of(j) > 0);
        journal_close(j);
        cache_close(c);
    }
}

/* A disk that can't read it is no damage: the start fails and nothing is moved, or, when the disk
 * is well again, all of it is there. One that is really cut is. And so it is where the disk was full before. */
static void test_start(void **state)
{
    (void)state;
    in_child(start_without, GETS, 1);
    in_child(start_without, SCAN, 1);
    in_child(start_without, SCAN, 2);
    in_child(start_without, PUTS, 2);
    in_child(start_without, DELETES, 1);
    in_child(start_without, DELETES, 2);
}

/* --- what is none of ours --- */

/* Readers share a lock that this one would keep: none may wait for it. */
static void cut_lock_file(struct meta *m, const char *dir)
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof(path), "%s/lock.mdb", dir);
    assert_int_equal(truncate(path, 0), 0);
    (void)goes_on(m, GETS);
}

static void other_signal(const char *dir, enum what what, off_t size)
{
    struct meta *m = NULL;

    (void)size;
    signal(SIGBUS, SIG_DFL); /* and not cmocka's */
    assert_int_equal(meta_open(dir, 0, &m), 0);
    if (what == GETS)
        raise(SIGBUS);
    else if (what == SCAN)
        cut_lock_file(m, dir);
    else
        *(volatile char *)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
                               open(dir, O_TMPFILE | O_RDWR, 0600), 0) = 1;
    exit(0);
}

/* A SIGBUS that is no read of an index ends the process as ever. */
static void test_others(void **state)
{
    (void)state;
    for (enum what w = GETS; w <= PUTS; w++) {
        char dir[PATH_MAX];
        int status = 0;
        pid_t pid;

        scratch_make(dir);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            other_signal(dir, w, 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        scratch_remove(dir);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGBUS);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_index),   cmocka_unit_test(test_many),
        cmocka_unit_test(test_journal), cmocka_unit_test(test_journal_for_good),
        cmocka_unit_test(test_start),   cmocka_unit_test(test_others),
    };

    scratch_in_memory();
    return cmocka_run_group_tests_name("cache/sigbus", tests, NULL, NULL);
}
