/* SPDX-License-Identifier: Apache-2.0 */
/* Power loss: of all states that a disk may be left in, by a model which drops, tears and reorders
 * what was not synced (tests/lib/baddisk.h), LMDB's writes included, each has every entry that was
 * acknowledged, with its bytes and its number. And the model is not blind: with one kind of sync
 * taken out it finds a state that has not. S3EFS_RUNS=n: so many states; S3EFS_SEED. */
#include "journaltest.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "baddisk.h"

#define ENTRIES 48u
#define THREADS 3u

/* What the journal said of entry n, and after how many steps of the disk. */
struct told {
    uint64_t seq;
    size_t put_at;    /* put returned; 0: it never did */
    size_t gone_from; /* the drop or replacement began */
    size_t gone_at;   /* it had returned */
};
static struct told told[ENTRIES];

struct writer {
    struct cache *c;
    struct journal *j;
    unsigned first;
};

/* Every third entry replaces the one before it, every seventh drops it later. */
static void *write_some(void *arg)
{
    const struct writer *w = arg;

    for (unsigned n = w->first; n < ENTRIES; n += THREADS) {
        unsigned before = n - THREADS;
        bool replaces = n >= THREADS && n / THREADS % 3 == 0 && told[before].gone_from == 0;

        if (replaces)
            told[before].gone_from = baddisk_position() + 1;
        if (entry_put(w->c, w->j, n, replaces ? told[before].seq : 0, &told[n].seq) != 0)
            fail_msg("put %u: %s", n, err_text());
        told[n].put_at = baddisk_position();
        if (replaces)
            told[before].gone_at = told[n].put_at;
        if (n / THREADS % 7 != 6)
            continue;
        told[n].gone_from = baddisk_position() + 1;
        if (journal_drop(w->j, told[n].seq) != 0)
            fail_msg("drop %u: %s", n, err_text());
        told[n].gone_at = baddisk_position();
    }
    return NULL;
}

/* A life of the journal: two starts, several threads, puts, replacements and drops. */
static void live(const char *dir, enum baddisk_lie lie)
{
    struct cache *c;
    struct writer w[THREADS];
    pthread_t t[THREADS];

    memset(told, 0, sizeof(told));
    baddisk_watch(dir, true);
    baddisk_quick_syncs(true);
    baddisk_lie(lie);
    c = cache_open_at(dir, 0);
    journal_close(journal_at(c));
    cache_close(c);
    c = cache_open_at(dir, 0);
    for (unsigned i = 0; i < THREADS; i++)
        w[i] = (struct writer){.c = c, .first = i};
    w[0].j = w[1].j = w[2].j = journal_at(c);
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, write_some, &w[i]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    journal_close(w[0].j);
    cache_close(c);
}

static bool is_first_start_over(size_t at)
{
    for (unsigned n = 0; n < ENTRIES; n++)
        if (told[n].put_at != 0 && told[n].put_at <= at)
            return true;
    return false;
}

struct found {
    uint64_t seq[ENTRIES]; /* 0: it is not there */
    bool bytes[ENTRIES];
    uint64_t last;
    struct journal *j;
};

static int find_one(void *arg, uint64_t seq, const void *rec, size_t len, bool has_file)
{
    struct found *f = arg;
    struct cache_stage *s;
    uint8_t want[400], buf[20001];
    uint64_t n;

    if (len < sizeof(n) || seq <= f->last)
        return -EBADMSG;
    memcpy(&n, rec, sizeof(n));
    if (n >= ENTRIES || len != entry_record(n, want) || memcmp(rec, want, len) != 0)
        return -EBADMSG;
    f->last = seq;
    f->seq[n] = seq;
    f->bytes[n] = !entry_has_bytes(n);
    if (!has_file || journal_stage(f->j, seq, &s) != 0)
        return 0;
    f->bytes[n] = pread(cache_stage_fd(s), buf, entry_size(n), 0) == (ssize_t)entry_size(n) &&
                  pattern_is(n, 0, buf, entry_size(n));
    cache_stage_free(s);
    return 0;
}

/* What is wrong with entry n after a power loss at `at`; NULL: nothing. */
static const char *judge(const struct found *f, unsigned n, size_t at)
{
    const struct told *t = &told[n];
    bool was_told = t->put_at != 0 && t->put_at <= at;
    bool may_be_gone = t->gone_from != 0 && t->gone_from <= at + 1;

    if (f->seq[n] == 0)
        return was_told && !may_be_gone ? "an acknowledged entry is missing" : NULL;
    if (t->gone_at != 0 && t->gone_at <= at)
        return "a dropped entry is there";
    if (was_told && f->seq[n] != t->seq)
        return "an entry has another number";
    return f->bytes[n] ? NULL : "an entry has wrong bytes";
}

static const char *judge_all(struct cache *c, struct journal *j, size_t at)
{
    static struct found f;
    uint64_t seq, highest = 0;

    f = (struct found){.j = j};
    if (journal_each(j, find_one, &f) != 0)
        return "the journal can't be read";
    for (unsigned n = 0; n < ENTRIES; n++) {
        const char *wrong = judge(&f, n, at);

        if (wrong != NULL)
            return wrong;
        if (told[n].put_at != 0 && told[n].put_at <= at && told[n].seq > highest)
            highest = told[n].seq;
    }
    if (entry_put(c, j, 5, 0, &seq) != 0)
        return "nothing can be put";
    return seq > highest ? NULL : "a number came back";
}

/* Starts on what the power loss left. */
static const char *start_after(const char *dir, size_t at)
{
    struct cache_conf conf = {.dir = dir, .source = SOURCE};
    const char *wrong = NULL;
    char path[2 * PATH_MAX];
    struct cache *c = NULL;
    struct journal *j = NULL;

    snprintf(path, sizeof(path), "%s/state", dir); /* it would say: this boot */
    (void)unlink(path);
    if (cache_new(&conf, &c) != 0 || cache_start(c) != 0)
        wrong = is_first_start_over(at) ? "the cache does not start" : NULL;
    else if (journal_open(c, &j) != 0)
        wrong = err_text();
    else
        wrong = judge_all(c, j, at);
    journal_close(j);
    cache_free(c);
    return wrong;
}

static unsigned number_of(const char *name, unsigned fallback)
{
    const char *s = getenv(name);

    return s != NULL ? (unsigned)strtoul(s, NULL, 10) : fallback;
}

/* Tries `states` of them, spread over the whole life; returns how many are wrong, stops at the
 * first if told to. */
static unsigned try_states(const char *scratch, unsigned states, bool stop, const char **ret_wrong)
{
    struct baddisk_replay *r = baddisk_replay_new();
    size_t steps = baddisk_position();
    uint64_t seed = number_of("S3EFS_SEED", 1);
    unsigned bad = 0;
    char dir[PATH_MAX + 16];

    *ret_wrong = "";
    for (unsigned i = 0; i < states && !(stop && bad > 0); i++) {
        size_t at = (size_t)((uint64_t)steps * (i + 1) / states);
        const char *wrong;

        snprintf(dir, sizeof(dir), "%s/after", scratch);
        baddisk_crash(r, at, seed * 1000003 + i, dir);
        wrong = start_after(dir, at);
        if (wrong != NULL) {
            bad++;
            *ret_wrong = wrong;
            if (!stop)
                print_message("state %u (step %zu of %zu): %s\n", i, at, steps, wrong);
        }
        scratch_remove(dir);
    }
    baddisk_replay_free(r);
    return bad;
}

static unsigned run(enum baddisk_lie lie, unsigned states, const char **ret_wrong)
{
    char scratch[PATH_MAX], dir[PATH_MAX + 16];
    unsigned bad;

    scratch_make(scratch);
    snprintf(dir, sizeof(dir), "%s/cache", scratch);
    assert_int_equal(mkdir(dir, 0700), 0);
    live(dir, lie);
    bad = try_states(scratch, states, lie != BADDISK_LIE_NONE, ret_wrong);
    baddisk_unwatch();
    scratch_remove(scratch);
    return bad;
}

static void test_nothing_is_lost(void **state)
{
    const char *wrong;
    unsigned states = number_of("S3EFS_RUNS", 300);

    (void)state;
    assert_int_equal(run(BADDISK_LIE_NONE, states, &wrong), 0);
    print_message("%u states after a power loss\n", states);
}

/* Without one of the syncs, there is a state that shows it. */
static void test_each_sync_counts(void **state)
{
    static const enum baddisk_lie lies[] = {BADDISK_LIE_BYTES, BADDISK_LIE_FOLDER,
                                            BADDISK_LIE_INDEX};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        const char *wrong;

        assert_int_not_equal(run(lies[i], 400, &wrong), 0);
        print_message("without sync %d: %s\n", (int)lies[i], wrong);
    }
}

static void keep_some(const char *dir)
{
    struct cache *c = cache_open_at(dir, 0);

    for (unsigned n = 0; n < 8; n++) {
        struct cache_stage *s;
        char *path;

        assert_int_equal(cache_stage_new(c, &s), 0);
        assert_int_equal(pwrite(cache_stage_fd(s), "bytes", 5, 0), 5);
        assert_int_equal(cache_stage_keep(s, "key", "because", &path), 0);
        free(path);
    }
    cache_close(c);
}

/* Whatever is in lost+found has its note beside it. */
static unsigned kept_without_note(const char *dir)
{
    char folder[PATH_MAX + 32], note[2 * PATH_MAX];
    unsigned bad = 0;
    struct stat st;
    struct dirent *e;
    DIR *d;

    snprintf(folder, sizeof(folder), "%s/lost+found", dir);
    d = opendir(folder);
    while (d != NULL && (e = readdir(d)) != NULL) {
        snprintf(note, sizeof(note), "%s/%s.txt", folder, e->d_name);
        if (e->d_name[0] != '.' && strstr(e->d_name, ".txt") == NULL)
            bad += stat(note, &st) < 0 || st.st_size == 0;
    }
    if (d != NULL)
        closedir(d);
    return bad;
}

static void test_what_is_kept_says_what_it_is(void **state)
{
    char scratch[PATH_MAX], dir[PATH_MAX + 16], after[PATH_MAX + 16];
    struct baddisk_replay *r;
    unsigned bad = 0;
    size_t steps;

    (void)state;
    scratch_make(scratch);
    snprintf(dir, sizeof(dir), "%s/cache", scratch);
    assert_int_equal(mkdir(dir, 0700), 0);
    cache_close(cache_open_at(dir, 0));
    baddisk_watch(dir, true);
    baddisk_quick_syncs(true);
    keep_some(dir);
    steps = baddisk_position();
    r = baddisk_replay_new();
    snprintf(after, sizeof(after), "%s/after", scratch);
    for (unsigned i = 0; i < 100; i++) {
        baddisk_crash(r, steps * (i + 1) / 100, 4711 + i, after);
        bad += kept_without_note(after);
        scratch_remove(after);
    }
    baddisk_replay_free(r);
    baddisk_unwatch();
    scratch_remove(scratch);
    assert_int_equal(bad, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_lost),
        cmocka_unit_test(test_each_sync_counts),
        cmocka_unit_test(test_what_is_kept_says_what_it_is),
    };

    scratch_in_memory();
    return cmocka_run_group_tests_name("cache/power", tests, NULL, NULL);
}
