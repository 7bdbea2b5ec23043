/* SPDX-License-Identifier: Apache-2.0 */
/* What the journal's tests share: entries whose records and bytes can be told from a number. */
#ifndef S3EFS_TESTS_JOURNALTEST_H
#define S3EFS_TESTS_JOURNALTEST_H

#include "cachetest.h"

#include <errno.h>

#include "base/err.h"
#include "cache/journal.h"

/* The bad disk's tests make thousands of directories, and what is durable is the model's to say: in memory. */
static inline void scratch_in_memory(void)
{
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
}

/* A directory to work in, with an empty one for a cache. */
struct place {
    char scratch[PATH_MAX];
    char dir[PATH_MAX + 16];
};

static inline void place_make(struct place *p)
{
    scratch_make(p->scratch);
    snprintf(p->dir, sizeof(p->dir), "%s/cache", p->scratch);
    assert_int_equal(mkdir(p->dir, 0700), 0);
}

/* Entry n has bytes unless it is a multiple of 5. */
static inline bool entry_has_bytes(uint64_t n)
{
    return n % 5 != 0;
}

static inline uint64_t entry_size(uint64_t n)
{
    return 1 + n * 977 % 20000;
}

static inline size_t entry_record(uint64_t n, uint8_t ret[400])
{
    size_t len = 16 + n * 31 % 300;

    pattern_fill(n + 1000000, 0, ret, len);
    memcpy(ret, &n, sizeof(n));
    return len;
}

/* The stage of entry n; NULL with an errno in *ret if the disk won't. */
static inline struct cache_stage *entry_stage(struct cache *c, uint64_t n, int *ret)
{
    struct cache_stage *s = NULL;
    uint64_t size = entry_size(n);
    uint8_t *buf = malloc(size);

    assert_non_null(buf);
    pattern_fill(n, 0, buf, size);
    *ret = cache_stage_new(c, &s);
    if (*ret == 0) {
        errno = 0;
        if (pwrite(cache_stage_fd(s), buf, size, 0) != (ssize_t)size) {
            *ret = errno != 0 ? -errno : -ENOSPC;
            cache_stage_free(s);
            s = NULL;
        }
    }
    free(buf);
    return s;
}

static inline int entry_put(struct cache *c, struct journal *j, uint64_t n, uint64_t replaces,
                            uint64_t *ret_seq)
{
    struct cache_stage *s = NULL;
    uint8_t rec[400];
    size_t len = entry_record(n, rec);
    int r = 0;

    if (entry_has_bytes(n))
        s = entry_stage(c, n, &r);
    if (r == 0)
        r = journal_put(j, rec, len, s, s != NULL ? entry_size(n) : 0, replaces, ret_seq);
    cache_stage_free(s);
    return r;
}

/* What a journal has: n of each entry, in order. */
struct entries {
    struct journal *j;
    struct entry_seen {
        uint64_t seq, n;
    } v[4096];
    size_t n;
};

static inline void check_bytes(struct journal *j, uint64_t seq, uint64_t n)
{
    uint64_t size = entry_size(n);
    uint8_t *buf = malloc(size + 1);
    struct cache_stage *s;

    assert_non_null(buf);
    if (journal_stage(j, seq, &s) != 0)
        fail_msg("entry %llu: %s", (unsigned long long)seq, err_text());
    assert_int_equal(pread(cache_stage_fd(s), buf, size + 1, 0), (ssize_t)size);
    assert_true(pattern_is(n, 0, buf, size));
    cache_stage_free(s);
    free(buf);
}

static inline int see_entry(void *arg, uint64_t seq, const void *rec, size_t len, bool has_file)
{
    struct entries *e = arg;
    uint8_t want[400];
    uint64_t n;

    assert_true(len >= sizeof(n) && e->n < 4096);
    memcpy(&n, rec, sizeof(n));
    assert_int_equal(len, entry_record(n, want));
    assert_memory_equal(rec, want, len);
    assert_int_equal(has_file, entry_has_bytes(n));
    assert_true(e->n == 0 || seq > e->v[e->n - 1].seq);
    e->v[e->n].seq = seq;
    e->v[e->n++].n = n;
    if (has_file)
        check_bytes(e->j, seq, n);
    return 0;
}

/* Reads all of it, bytes too; fails on a wrong one. Static: it is large. */
static inline struct entries *entries_of(struct journal *j)
{
    static struct entries e;

    e.j = j;
    e.n = 0;
    assert_int_equal(journal_each(j, see_entry, &e), 0);
    return &e;
}

static inline bool entries_have(const struct entries *e, uint64_t seq, uint64_t n)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->v[i].seq == seq)
            return e->v[i].n == n;
    return false;
}

static inline struct journal *journal_at(struct cache *c)
{
    struct journal *j = NULL;
    int r = journal_open(c, &j);

    if (r != 0)
        fail_msg("journal_open: %d %s", r, err_text());
    return j;
}

static inline uint64_t lost_of(struct journal *j)
{
    struct journal_stats s;

    journal_stats_get(j, &s);
    return s.lost;
}

#endif
