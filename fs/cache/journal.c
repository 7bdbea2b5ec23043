/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's interface. */
#include "cache/journal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/sys.h"
#include "jrn.h"
#include "stage.h"

int journal_open(struct cache *c, struct journal **ret)
{
    struct journal *j = calloc(1, sizeof(*j));
    int r;

    if (j == NULL)
        return err_set(-ENOMEM, "journal: out of memory");
    j->cache = c;
    j->files_fd = -1;
    j->locked.last = &j->locked.first;
    lock_init(&j->lock, (enum lock_rank)CACHE_LOCK_LEAF);
    cond_init(&j->changed);
    snprintf(j->dir, sizeof(j->dir), "%s/journal", c->dir); /* layout.c leaves room for it */
    snprintf(j->files, sizeof(j->files), "%s/journal/files", c->dir);
    r = jrn_start(j);
    if (r < 0) {
        journal_close(j);
        return r;
    }
    *ret = j;
    return 0;
}

void journal_close(struct journal *j)
{
    if (j == NULL)
        return;
    jindex_close(j->index);
    if (j->files_fd >= 0)
        close(j->files_fd);
    cache_used_move(&j->cache->used.staged, j->locked.bytes, 0);
    jrn_table_done(&j->locked.live);
    cond_done(&j->changed);
    lock_done(&j->lock);
    free(j);
}

/* The bytes, before anything tells of them. After a sync that failed the kernel may take the pages
 * for clean, and a second one would lie. */
static int sync_stage(struct cache_stage *s, struct jindex_rec *rec)
{
    struct stat st;
    int r, fd = cache_stage_fd(s);

    if (fd < 0)
        return fd;
    r = s->bad ? -EIO : sys_fdatasync(fd);
    if (r == 0 && fstat(fd, &st) < 0)
        r = -errno;
    if (r < 0) {
        s->bad = true;
        cache_health_bad(s->cache, r, "journal");
        return err_set(r, "journal: the staged bytes can't be synced: %s", strerror(-r));
    }
    if ((uint64_t)st.st_size < rec->size)
        return err_set(-EINVAL, "journal: fewer bytes are staged than the entry has");
    rec->has_file = true;
    rec->alloc = (uint64_t)st.st_blocks * 512;
    crash_point("journal.bytes_synced");
    return 0;
}

int journal_put(struct journal *j, const void *rec, size_t len, struct cache_stage *stage,
                uint64_t stage_len, uint64_t replaces, uint64_t *ret_seq)
{
    struct jrn_req req = {
        .rec = {.body = rec, .len = len},
        .is_put = true,
        .drops = replaces,
    };
    int r;

    lock_assert_may_block();
    if (len > JOURNAL_REC_MAX)
        return err_set(-E2BIG, "journal: a record of %zu bytes", len);
    if (stage != NULL) {
        if (stage->path == NULL)
            return err_set(-EINVAL, "journal: these bytes are staged no more");
        req.rec.size = stage_len;
        r = sync_stage(stage, &req.rec);
        if (r < 0)
            return r;
        req.from = stage->path;
    }
    r = jrn_do(j, &req);
    if (r < 0)
        return r;
    if (stage != NULL)
        cache_stage_share(stage, req.rec.alloc);
    *ret_seq = req.rec.seq;
    return 0;
}

int journal_drop(struct journal *j, uint64_t seq)
{
    struct jrn_req req = {.drops = seq};

    lock_assert_may_block();
    return seq != 0 ? jrn_do(j, &req) : 0;
}

int journal_drop_many(struct journal *j, const uint64_t *seqs, size_t n)
{
    struct jrn_req *reqs = calloc(n > 0 ? n : 1, sizeof(*reqs));
    int r = 0;

    lock_assert_may_block();
    if (reqs == NULL)
        return err_set(-ENOMEM, "journal: out of memory");
    for (size_t k = 0; k < n; k++)
        reqs[k].drops = seqs[k];
    if (n > 0)
        r = jrn_do_all(j, reqs, n);
    free(reqs);
    return r;
}

int journal_each(struct journal *j, journal_fn fn, void *arg)
{
    for (uint64_t from = 1;; from++) {
        _cleanup_free_ void *val = NULL;
        struct jindex_rec rec;
        uint32_t crc;
        size_t len;
        int r;

        jrn_hold(j);
        r = jindex_next(j->index, from, &from, &val, &len);
        jrn_release(j);
        if (r != 0)
            return r == JINDEX_END ? 0 : r;
        if (jindex_decode(from, val, len, &rec, &crc) < 0)
            return err_set(-EIO, "journal: entry %ju is damaged", (uintmax_t)from);
        r = fn(arg, from, rec.body, rec.len, rec.has_file);
        if (r != 0)
            return r;
    }
}

int journal_stage(struct journal *j, uint64_t seq, struct cache_stage **ret)
{
    const struct jrn_live *e;
    char path[PATH_MAX];
    uint64_t alloc = 0;
    bool has_file;

    lock_take(&j->lock);
    e = jrn_table_find(&j->locked.live, seq);
    has_file = e != NULL && e->has_file;
    if (has_file)
        alloc = e->alloc;
    lock_drop(&j->lock);
    if (!has_file)
        return err_set(-ENOENT, "journal: entry %ju has no bytes", (uintmax_t)seq);
    jrn_file_path(j, seq, path);
    return cache_stage_of(j->cache, path, alloc, ret);
}

void journal_stats_get(struct journal *j, struct journal_stats *ret)
{
    const struct jrn_table *t = &j->locked.live;

    lock_take(&j->lock);
    *ret = (struct journal_stats){
        .entries = j->locked.entries,
        .bytes = j->locked.bytes,
        .lost = j->locked.lost,
    };
    for (size_t i = 0; i < t->n; i++)
        if (!t->v[i].gone && (ret->oldest_wall_ns == 0 || t->v[i].since_ns < ret->oldest_wall_ns))
            ret->oldest_wall_ns = t->v[i].since_ns;
    lock_drop(&j->lock);
}
