/* SPDX-License-Identifier: Apache-2.0 */
/* The index's life: believed or begun anew at the start, sealed at the stop, given up when it can't
 * be written. */
#include "priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/sys.h"
#include "layout.h"

#define ROOM_FOR_INDEX                                                                             \
    (UINT64_C(8) << 20) /* freed when the disk is full and the index has to be written */

static void index_paths(const struct cache *c, char state[PATH_MAX], char meta[PATH_MAX])
{
    snprintf(state, PATH_MAX, "%s/state", c->dir);
    snprintf(meta, PATH_MAX, "%s/meta", c->dir);
}

/* For whoever wants to know what happened to it; the one before is removed. */
static int move_aside(struct cache *c)
{
    char from[PATH_MAX], to[PATH_MAX];
    int r;

    snprintf(from, sizeof(from), "%s/meta", c->dir);
    snprintf(to, sizeof(to), "%s/meta.bad", c->dir);
    (void)layout_remove_tree(to);
    r = sys_rename(from, to);
    if (r < 0)
        return layout_discard(c->dir, "meta");
    return sys_mkdirs(from, 0700);
}

static int begin_anew(struct cache *c, enum seal_verdict why)
{
    int r;

    if (c->check == CACHE_CHECK_LOOK)
        return err_set(-EUCLEAN, "the index of cache directory %s %s", c->dir,
                       why == SEAL_BAD ? "is damaged" : "is from before an unclean reboot");
    c->is_anew = true;
    if (why == SEAL_BAD) {
        log_warn("cache.index.damaged", "dir=%s action=rebuild kept=meta.bad", LOG_Q(c->dir));
        r = move_aside(c);
    } else {
        log_info("cache.index.stale", "dir=%s action=rebuild", LOG_Q(c->dir));
        r = layout_discard(c->dir, "meta");
    }
    return r == 0 ? layout_discard(c->dir, "blocks") : r;
}

static int sum_version(struct cache_bytes key, struct cache_bytes val, void *arg)
{
    struct cache *c = arg;
    struct cache_rec_ver rec;

    if (cache_rec_ver_decode(val, key, &rec) == 0) {
        c->used.blocks += rec.alloc;
        c->used.versions++;
    }
    return 0;
}

static int sum_versions(struct meta_txn *t, void *arg)
{
    struct cache_bytes all = {.p = ""};

    return meta_scan(t, META_VER, all, all, sum_version, arg);
}

static int open_index(struct cache *c, const struct seal_paths *p)
{
    int r = seal_break(p, c->boot_id);

    if (r < 0)
        return err_set(r, "cache directory %s: state: %s", c->dir, strerror(-r));
    r = meta_open(p->meta, 0, &c->meta);
    if (r < 0)
        return r;
    c->used.blocks = 0;
    c->used.versions = 0;
    r = meta_read(c->meta, sum_versions, c);
    if (r < 0) {
        meta_close(c->meta);
        c->meta = NULL;
    }
    return r;
}

int cache_index_start(struct cache *c)
{
    char state[PATH_MAX], meta[PATH_MAX];
    struct seal_paths p = {.state = state, .meta = meta};
    enum seal_verdict verdict;
    int r;

    index_paths(c, state, meta);
    verdict = seal_check(&p, c->boot_id);
    r = verdict == SEAL_STALE || verdict == SEAL_BAD ? begin_anew(c, verdict) : 0;
    if (r == 0)
        r = open_index(c, &p);
    if (r == -EBADMSG || r == -EIO) { /* LMDB itself does not like it */
        r = begin_anew(c, SEAL_BAD);
        if (r == 0)
            r = open_index(c, &p);
    }
    if (r < 0 && err_text()[0] == '\0')
        return err_set(r, "cache directory %s: %s", c->dir, strerror(-r));
    return r;
}

void cache_index_stop(struct cache *c)
{
    char state[PATH_MAX], meta[PATH_MAX];
    struct seal_paths p = {.state = state, .meta = meta};
    bool good;

    if (c->meta == NULL)
        return;
    index_paths(c, state, meta);
    good = !meta_failed(c->meta) && meta_sync(c->meta) == 0;
    meta_close(c->meta);
    c->meta = NULL;
    if (!good)
        (void)!sys_unlink(state);
    else if (seal_close(&p, c->boot_id) < 0)
        log_debug("cache.index.unsealed", "dir=%s", LOG_Q(c->dir));
}

static void index_fail(struct cache *c, int why)
{
    char state[PATH_MAX];
    int none = 0;

    cache_health_bad(c, -why, "index");
    meta_fail(c->meta);
    if (atomic_compare_exchange_strong(&c->fail_errno, &none, why)) {
        /* Without a state it is not believed after a kill either. */
        snprintf(state, sizeof(state), "%s/state", c->dir);
        (void)!sys_unlink(state);
        log_warn("cache.index.failed", "dir=%s cause=%s action=rebuild", LOG_Q(c->dir),
                 LOG_Q(strerror(why)));
    }
    cache_evict_kick(c, true);
}

/* LMDB found it damaged, or the disk can't read it: once for each failure. */
static void look_at_failure(struct cache *c)
{
    if (c->meta != NULL && meta_failed(c->meta) && atomic_load(&c->fail_errno) == 0)
        index_fail(c, meta_lost(c->meta) ? EIO : EBADMSG);
}

int cache_index_read(struct cache *c, meta_fn fn, void *arg)
{
    int r = c->meta != NULL ? meta_read(c->meta, fn, arg) : -EIO;

    if (r < 0)
        look_at_failure(c);
    return r;
}

int cache_index_try(struct cache *c, meta_fn fn, void *arg)
{
    int r = c->meta != NULL ? meta_write(c->meta, fn, arg) : -EIO;

    if (r < 0) {
        c->count.errors++;
        look_at_failure(c);
    }
    return r;
}

int cache_index_write(struct cache *c, meta_fn fn, void *arg)
{
    int r = cache_index_try(c, fn, arg);

    if (r == -ENOSPC || r == -EIO) { /* LMDB says EIO to a write that was cut short */
        cache_evict_some(c, ROOM_FOR_INDEX);
        r = cache_index_try(c, fn, arg);
    }
    if (r == -ENOMEM) /* else one moment without memory would cost all that is known */
        r = cache_index_try(c, fn, arg);
    if (r < 0 && c->meta != NULL)
        index_fail(c, -r);
    return r;
}

static int clear(void *arg)
{
    struct cache *c = arg;
    char state[PATH_MAX], meta[PATH_MAX];
    struct seal_paths p = {.state = state, .meta = meta};
    int r, why = atomic_load(&c->fail_errno);

    index_paths(c, state, meta);
    if (why == 0 || why == EBADMSG) {
        r = move_aside(c);
    } else { /* it is sound but out of date, and its bytes may be wanted */
        (void)layout_remove_tree(meta);
        r = sys_mkdirs(meta, 0700);
    }
    if (r == 0)
        r = seal_break(&p, c->boot_id);
    c->used.blocks = 0;
    c->used.versions = 0;
    return r;
}

void cache_index_heal(struct cache *c)
{
    if (!meta_failed(c->meta))
        return;
    if (meta_reset(c->meta, clear, c) == 0) {
        atomic_store(&c->fail_errno, 0);
        log_info("cache.index.rebuilt", "dir=%s", LOG_Q(c->dir));
        cache_evict_kick(c, true);
    }
}
