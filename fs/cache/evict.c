/* SPDX-License-Identifier: Apache-2.0 */
/* Room: which versions go when the limits are reached. Least recently used first, approximately:
 * the oldest few hundred are found by one scan of the versions and then taken in turn. Whole
 * versions go; who reads one meanwhile has its file open. Staged bytes are never touched. A thread
 * keeps some room in advance; a writer that finds none evicts by itself. */
#include "priv.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/err.h"
#include "base/sys.h"

#define TICK_MS 2000
#define TRIES 3 /* scans in which all victims turned out to have been used meanwhile */

static bool disk_has(const struct cache *c, uint64_t bytes)
{
    uint64_t free_bytes, total;

    if (sys_free_bytes(c->dir, &free_bytes, &total) < 0)
        return true; /* the write will tell */
    return free_bytes >= bytes && free_bytes - bytes >= c->min_free;
}

/* What is used is within the limit less spare, and the disk has room for bytes more. */
static bool fits(const struct cache *c, uint64_t spare, uint64_t bytes)
{
    uint64_t used = c->used.blocks + c->used.staged + c->used.pending;

    return (c->max_bytes == 0 || used <= c->max_bytes - spare) && disk_has(c, bytes);
}

/* --- the choice --- */

struct choice {
    struct cache *c;
    size_t newest; /* of the victims so far */
};

static void find_newest(struct choice *ch)
{
    struct cache_evict *e = &ch->c->evict;

    ch->newest = 0;
    for (size_t i = 1; i < e->n; i++)
        if (e->victims[i].used_ns > e->victims[ch->newest].used_ns)
            ch->newest = i;
}

static int64_t last_use(struct cache *c, const struct cache_vkey *v,
                        const struct cache_rec_ver *rec)
{
    int64_t touched = cache_touched(c, v);

    return touched > rec->used_ns ? touched : rec->used_ns;
}

static int consider(struct cache_bytes key, struct cache_bytes val, void *arg)
{
    struct choice *ch = arg;
    struct cache_evict *e = &ch->c->evict;
    struct cache_victim v = {.used_ns = INT64_MIN}; /* a damaged record goes first */
    struct cache_rec_ver rec;

    if (key.n != CACHE_VKEY)
        return 0;
    memcpy(v.v.b, key.p, key.n);
    if (cache_rec_ver_decode(val, key, &rec) == 0)
        v.used_ns = last_use(ch->c, &v.v, &rec);
    if (e->n < CACHE_VICTIMS) {
        e->victims[e->n++] = v;
        if (e->n == CACHE_VICTIMS)
            find_newest(ch);
    } else if (v.used_ns < e->victims[ch->newest].used_ns) {
        e->victims[ch->newest] = v;
        find_newest(ch);
    }
    return 0;
}

static int scan_versions(struct meta_txn *t, void *arg)
{
    struct cache_bytes all = {.p = ""};

    return meta_scan(t, META_VER, all, all, consider, arg);
}

static int by_use(const void *a, const void *b)
{
    const struct cache_victim *x = a, *y = b;

    return x->used_ns < y->used_ns ? -1 : x->used_ns > y->used_ns;
}

static void choose_locked(struct cache *c)
{
    struct choice ch = {.c = c};

    c->evict.n = 0;
    c->evict.next = 0;
    if (cache_index_read(c, scan_versions, &ch) < 0)
        c->evict.n = 0;
    qsort(c->evict.victims, c->evict.n, sizeof(c->evict.victims[0]), by_use);
}

struct look {
    const struct cache_vkey *v;
    struct cache_rec_ver rec;
};

static int look_up(struct meta_txn *t, void *arg)
{
    struct look *l = arg;
    struct cache_bytes val, key = CACHE_BYTES(*l->v);
    int r = meta_get(t, META_VER, key, &val);

    if (r != 0)
        return r;
    if (cache_rec_ver_decode(val, key, &l->rec) < 0)
        l->rec = (struct cache_rec_ver){.used_ns = INT64_MIN};
    return 0;
}

static bool still_unused(struct cache *c, const struct cache_victim *v)
{
    struct look l = {.v = &v->v};
    int r = cache_index_read(c, look_up, &l);

    return r < 0 || (r == 0 && last_use(c, &v->v, &l.rec) <= v->used_ns);
}

/* --- evicting --- */

static void evict_victim(struct cache *c, const struct cache_victim *v, uint64_t *ret_freed)
{
    lock_take(cache_version_lock(c, &v->v));
    (void)!cache_version_remove(c, &v->v, ret_freed);
    lock_drop(cache_version_lock(c, &v->v));
    c->count.evicted_bytes += *ret_freed;
}

/* Evicts the version that was used longest ago: 0 (what it gave is in *ret_freed), META_NONE if
 * there is none. */
static int evict_one_locked(struct cache *c, uint64_t *ret_freed)
{
    struct cache_evict *e = &c->evict;

    *ret_freed = 0;
    for (unsigned tries = 0; tries <= TRIES; tries++) {
        while (e->next < e->n) {
            const struct cache_victim *v = &e->victims[e->next++];

            if (tries < TRIES && !still_unused(c, v))
                continue;
            evict_victim(c, v, ret_freed);
            return 0;
        }
        choose_locked(c);
        if (e->n == 0)
            return META_NONE;
    }
    return META_NONE;
}

/* Evicts until bytes were freed; false if nothing was. Where the disk refuses to let go of anything
 * it gives up. */
static bool evict_some_locked(struct cache *c, uint64_t bytes)
{
    uint64_t total = 0, freed;
    unsigned futile = 0;

    while (total < bytes && futile < CACHE_VICTIMS && evict_one_locked(c, &freed) == 0) {
        total += freed;
        futile = freed > 0 ? 0 : futile + 1;
    }
    return total > 0;
}

int cache_evict_room(struct cache *c, uint64_t bytes)
{
    bool ok;

    if (fits(c, 0, bytes))
        return 0;
    cache_evict_kick(c, false);
    lock_take(&c->evict.lock);
    while (!(ok = fits(c, 0, bytes)) && evict_some_locked(c, 1))
        ;
    lock_drop(&c->evict.lock);
    if (!ok && !disk_has(c, bytes)) /* somebody else has filled it */
        cache_health_bad(c, -ENOSPC, "room");
    return ok ? 0 : -ENOSPC;
}

void cache_evict_some(struct cache *c, uint64_t bytes)
{
    lock_take(&c->evict.lock);
    (void)evict_some_locked(c, bytes);
    lock_drop(&c->evict.lock);
}

/* --- the thread --- */

bool cache_evict_stopping(struct cache *c)
{
    bool stopping;

    lock_take(&c->evict.wake_lock);
    stopping = c->evict.stopping;
    lock_drop(&c->evict.wake_lock);
    return stopping;
}

void cache_evict_kick(struct cache *c, bool sweep)
{
    lock_take(&c->evict.wake_lock);
    c->evict.kicked = true;
    c->evict.sweep = c->evict.sweep || sweep;
    cond_signal(&c->evict.wake);
    lock_drop(&c->evict.wake_lock);
}

/* A twentieth of the limit is kept free, so that writers seldom have to wait for an eviction. */
static void keep_room(struct cache *c)
{
    uint64_t spare = c->max_bytes / 20;
    bool more = true;

    if (c->used.blocks == 0 || fits(c, spare, spare))
        return;
    while (more && !cache_evict_stopping(c) && !fits(c, 2 * spare, 2 * spare)) {
        lock_take(&c->evict.lock);
        more = evict_some_locked(c, 1);
        lock_drop(&c->evict.lock);
    }
}

static void *run(void *arg)
{
    struct cache *c = arg;
    struct cache_evict *e = &c->evict;

    for (;;) {
        bool sweep, stopping;

        lock_take(&e->wake_lock);
        if (!e->kicked && !e->stopping)
            (void)cond_wait_ms(&e->wake, &e->wake_lock, TICK_MS);
        stopping = e->stopping;
        sweep = e->sweep;
        e->kicked = false;
        e->sweep = false;
        lock_drop(&e->wake_lock);
        if (stopping)
            return NULL;
        cache_index_heal(c);
        cache_health_look(c);
        cache_sweep_trash(c);
        if (sweep)
            cache_sweep_orphans(c);
        cache_touch_flush(c);
        keep_room(c);
    }
}

int cache_evict_start(struct cache *c)
{
    sigset_t all, before;
    int r;

    c->evict.stopping = false;
    c->evict.kicked = true; /* trash and orphans of the last run */
    c->evict.sweep = true;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    r = pthread_create(&c->evict.thread, NULL, run, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r != 0)
        return err_set(-r, "cache: thread: %s", strerror(r));
    pthread_setname_np(c->evict.thread, "cache-evict");
    c->evict.running = true;
    return 0;
}

void cache_evict_stop(struct cache *c)
{
    if (!c->evict.running)
        return;
    lock_take(&c->evict.wake_lock);
    c->evict.stopping = true;
    cond_signal(&c->evict.wake);
    lock_drop(&c->evict.wake_lock);
    pthread_join(c->evict.thread, NULL);
    c->evict.running = false;
}
