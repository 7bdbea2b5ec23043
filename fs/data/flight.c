/* SPDX-License-Identifier: Apache-2.0 */
/* GETs of one range of one object version, each shared by everybody who wants its bytes.
 *
 * A flight is FLYING (the request is under way) -> LANDED (its bytes may be copied) or FAILED. A landed one stays
 * in the table until the cache has its bytes; if the cache would not take them (full, failing) it stays as idle
 * memory until room is needed: so a mount without a cache disk still makes one request for each range.
 * FLIGHT-1  Two flights of the same version never overlap.
 * FLIGHT-2  The sum of all buffers is under mem_limit, but for one flight when there is no other. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "flight.h"

static uint64_t hash_of(const char *key, const struct store_etag *etag)
{
    return str_hash(key, strlen(key)) * 31 + str_hash(etag->s, strlen(etag->s));
}

static atomic_uint *epoch_of(struct data *d, const char *key, const struct store_etag *etag)
{
    return &d->epochs[hash_of(key, etag) % EPOCHS];
}

unsigned flight_epoch(struct data *d, const struct cache_id *id)
{
    return atomic_load(epoch_of(d, id->key, id->etag));
}

static struct cache_id id_of(const struct flight *fl)
{
    return (struct cache_id){.key = fl->key, .etag = &fl->etag, .size = fl->size};
}

static bool is_of(const struct flight *fl, const struct cache_id *id)
{
    return fl->size == id->size && strcmp(fl->key, id->key) == 0 &&
           store_etag_equal(&fl->etag, id->etag);
}

void flight_free(struct flight *fl)
{
    if (!fl)
        return;
    struct data *d = fl->d;
    uint64_t len = fl->len;
    store_rsp_done(&fl->rsp);
    cond_done(&fl->landed);
    free(fl->key);
    char *data = fl->data;
    free(fl);
    spare_put(d, data, len);
}

/* Returns the flight if this was its last reference: free it once the lock is dropped. */
static struct flight *unref_locked(struct flight *fl)
{
    return --fl->refs == 0 ? fl : NULL;
}

struct flight *flight_leave_locked(struct flight *fl)
{
    if (fl->is_idle)
        idle_remove_locked(fl->d, fl);
    if (!fl->in_table)
        return NULL;
    fl->in_table = false;
    atomic_fetch_add(epoch_of(fl->d, fl->key, &fl->etag), 1);
    map_remove(&fl->d->locked.flights, &fl->link);
    return unref_locked(fl);
}

struct flight *flight_find_locked(struct data *d, const struct cache_id *id, uint64_t off,
                                  uint64_t *ret_end)
{
    *ret_end = UINT64_MAX;
    struct map_link *l = map_first(&d->locked.flights, hash_of(id->key, id->etag));
    for (; l; l = map_next(l)) {
        struct flight *fl = container_of(l, struct flight, link);
        if (!is_of(fl, id))
            continue;
        if (fl->off <= off && off < fl->off + fl->len)
            return fl;
        if (fl->off > off && fl->off < *ret_end)
            *ret_end = fl->off;
    }
    return NULL;
}

struct flight *flight_make(struct data *d, const struct cache_id *id)
{
    struct flight *fl = calloc(1, sizeof(*fl));
    if (!fl)
        return NULL;
    fl->key = strdup(id->key);
    if (!fl->key) {
        free(fl);
        return NULL;
    }
    fl->d = d;
    fl->etag = *id->etag;
    fl->size = id->size;
    cond_init(&fl->landed);
    return fl;
}

void flight_enter_locked(struct flight *fl, struct flight_range range)
{
    fl->off = range.off;
    fl->len = range.len;
    fl->refs = 1;
    fl->in_table = true;
    fl->d->locked.flying++;
    map_insert(&fl->d->locked.flights, &fl->link, hash_of(fl->key, &fl->etag));
}

/* What a finished request means (DATA-3). */
static int check(const struct flight *fl, int r)
{
    const struct store_obj *o = &fl->rsp.obj;
    if (r == STORE_PRECONDITION || r == STORE_NOT_FOUND || r == STORE_RANGE)
        return err_set(-ESTALE, "%s: the version that was opened is not in the bucket any more",
                       fl->key);
    if (r == -EOVERFLOW) /* more bytes than the version has: a server that looked at the old one and sent the new */
        return err_set(-ESTALE, "%s: the bucket sent another version's bytes", fl->key);
    if (r != 0)
        return err_fold(r);
    if (!store_etag_equal(&o->etag, &fl->etag) || o->size != fl->size)
        return err_set(-ESTALE, "%s: the bucket answered with another version", fl->key);
    if (fl->rsp.body_len != fl->len)
        return err_set(-EIO, "%s: %ju bytes came instead of %ju", fl->key,
                       (uintmax_t)fl->rsp.body_len, (uintmax_t)fl->len);
    return 0;
}

/* The last use of d by a flight that has ended: data_free() waits for it. */
static void ended(struct data *d)
{
    for (bool is_done = false; !is_done;) {
        lock_take(&d->lock);
        is_done = d->locked.flying > 1 || d->locked.n_spares == 0;
        if (is_done) {
            d->locked.flying--;
            cond_broadcast(&d->changed);
        }
        lock_drop(&d->lock);
        if (!is_done)
            spare_drop_all(d);
    }
}

/* On a worker: the bytes go to the cache, and the flight ends. */
static void to_cache(struct work *w, bool cancelled)
{
    (void)cancelled; /* nothing is timed */
    struct flight *fl = container_of(w, struct flight, work);
    struct data *d = fl->d;
    struct cache_id id = id_of(fl);
    cache_write(d->cache, &id, fl->off, fl->data, fl->len);
    uint64_t off, len;
    bool is_missing = cache_missing(d->cache, &id, fl->off, fl->len, &off, &len);
    lock_take(&d->lock);
    struct flight *dead = NULL;
    if (is_missing)
        idle_append_locked(d, fl);
    else
        dead = flight_leave_locked(fl);
    lock_drop(&d->lock);
    flight_free(dead);
    idle_trim(d);
    ended(d);
}

/* Runs on a thread of the back end, or inside store_submit(). */
static void landed(void *arg, int result)
{
    struct flight *fl = arg;
    struct data *d = fl->d;
    int r = check(fl, result);
    struct err_copy err = {{0}};
    if (r != 0)
        err_copy(&err);
    lock_take(&d->lock);
    fl->state = r == 0 ? LANDED : FAILED;
    fl->result = r;
    fl->err = err;
    cond_broadcast(&fl->landed);
    struct flight *dead = r != 0 ? flight_leave_locked(fl) : NULL;
    struct workq *q = d->locked.workq;
    lock_drop(&d->lock);
    if (r == 0) {
        workq_add(q, &fl->work);
        return;
    }
    flight_free(dead);
    ended(d);
}

/* The workers, made at the first flight (so after any fork). */
static int need_workers(struct data *d)
{
    lock_take(&d->lock);
    bool have = d->locked.workq != NULL;
    lock_drop(&d->lock);
    if (have)
        return 0;
    struct workq *q = NULL;
    int r = workq_new("data", 2, &q);
    if (r != 0)
        return r;
    lock_take(&d->lock);
    if (!d->locked.workq)
        d->locked.workq = steal(&q);
    lock_drop(&d->lock);
    if (q)
        workq_free(q);
    return 0;
}

/* Its buffer: the spare one that it has, if that is not larger than what is left to ask for. */
static bool prepare(struct flight *fl)
{
    struct data *d = fl->d;
    if (fl->data && fl->len == d->conf.range_size)
        return true;
    free(fl->data);
    fl->data = malloc(fl->len);
    lock_take(&d->lock);
    d->locked.n_made++;
    lock_drop(&d->lock);
    return fl->data != NULL;
}

/* A flight that is in the table and has not started; the lock is not held. */
static void launch(struct flight *fl)
{
    fl->work.run = to_cache;
    if (!prepare(fl)) {
        landed(fl, err_set(-ENOMEM, "no memory to fetch %ju bytes", (uintmax_t)fl->len));
        return;
    }
    fl->mem = (struct store_mem){.data = fl->data, .size = fl->len};
    fl->sink = store_sink_mem(&fl->mem);
    fl->req = (struct store_req){
        .op = STORE_GET,
        .key = fl->key,
        .cond = {.kind = STORE_IF_MATCH, .etag = fl->etag},
        .sink = &fl->sink,
    };
    if (fl->off != 0 || fl->len != fl->size) {
        fl->req.range.off = fl->off;
        fl->req.range.len = fl->len;
    }
    store_submit(fl->d->store, &fl->req, &fl->rsp, landed, fl);
}

/* What may be asked for around off without touching another flight (FLIGHT-1), none of which has off. All of them
 * start and end at block boundaries. next: where the one after off begins. */
static struct flight_range trim_locked(struct data *d, const struct cache_id *id, uint64_t off,
                                       uint64_t next, struct flight_range want)
{
    uint64_t end = want.off + want.len, before;
    if (next < end)
        end = next;
    if (want.off < off && (flight_find_locked(d, id, want.off, &before) || before < off))
        want.off = off / CACHE_BLOCK * CACHE_BLOCK;
    return (struct flight_range){want.off, end - want.off};
}

/* FLIGHT_AGAIN; 0 with *ret, who has it already; 0 without: nobody, and `next` and what may be asked for are known. */
static int look_locked(struct data *d, const struct cache_id *id, uint64_t off, unsigned epoch,
                       struct flight_range *want, struct flight **ret)
{
    uint64_t next;
    struct flight *fl = flight_find_locked(d, id, off, &next);
    *ret = fl;
    if (fl)
        fl->refs++;
    else if (flight_epoch(d, id) != epoch)
        return FLIGHT_AGAIN;
    else
        *want = trim_locked(d, id, off, next, *want);
    return 0;
}

/* As look_locked; where it gives nobody, `made` is entered for *range. */
static int enter(struct flight *made, const struct cache_id *id, uint64_t off, unsigned epoch,
                 struct flight_range *range, struct flight **ret)
{
    lock_take(&made->d->lock);
    int r = look_locked(made->d, id, off, epoch, range, ret);
    if (r == 0 && !*ret) {
        flight_enter_locked(made, *range);
        made->refs++;
        *ret = made;
    }
    lock_drop(&made->d->lock);
    return r;
}

/* After the wait for memory, which is not given back for a look: who did would wait behind all that came since. */
static bool is_cached_now(struct data *d, const struct cache_id *id, uint64_t off,
                          unsigned *ret_epoch)
{
    uint64_t gap, len;
    *ret_epoch = flight_epoch(d, id);
    return !cache_missing(d->cache, id, off, 1, &gap, &len);
}

int flight_get(struct data *d, const struct cache_id *id, uint64_t off, unsigned epoch,
               struct flight_range want, struct flight **ret)
{
    struct flight_range range = want;
    lock_take(&d->lock);
    int r = look_locked(d, id, off, epoch, &range, ret);
    lock_drop(&d->lock);
    if (r != 0 || *ret)
        return r;
    r = need_workers(d);
    if (r != 0)
        return r;
    struct flight *made = flight_make(d, id);
    if (!made)
        return err_set(-ENOMEM, "no memory for a request");
    /* For all of it: what is trimmed away now may have to be asked for after the wait. */
    if (!spare_take(d, want.len, &made->data))
        budget_take(&d->memory, want.len);
    made->len = want.len;
    range = want;
    r = enter(made, id, off, epoch, &range, ret);
    while (r == FLIGHT_AGAIN && !is_cached_now(d, id, off, &epoch)) {
        range = want;
        r = enter(made, id, off, epoch, &range, ret);
    }
    bool is_new = r == 0 && *ret == made;
    if (is_new) {
        launch(made); /* which frees what of a spare buffer it has too much */
        budget_give(&d->memory, want.len - range.len);
    } else {
        flight_free(made);
    }
    return r;
}

/* Ahead of need only half of the memory is used, and nothing is waited for. */
static bool launch_ahead(struct data *d, const struct cache_id *id, struct flight_range want)
{
    struct flight *made = flight_make(d, id);
    if (!made)
        return false;
    if (!spare_take(d, want.len, &made->data) && !spare_try(d, want.len, d->conf.mem_limit / 2)) {
        flight_free(made);
        return false;
    }
    made->is_ahead = true;
    made->len = want.len;
    uint64_t next;
    lock_take(&d->lock);
    bool is_free = !flight_find_locked(d, id, want.off, &next);
    struct flight_range range = trim_locked(d, id, want.off, next, want);
    if (is_free)
        flight_enter_locked(made, range);
    lock_drop(&d->lock);
    if (is_free) {
        launch(made);
        budget_give(&d->memory, want.len - range.len);
    } else {
        flight_free(made);
    }
    return true;
}

void flight_ahead(struct data *d, const struct cache_id *id, struct flight_range want)
{
    if (need_workers(d) != 0)
        return;
    uint64_t end = want.off + want.len;
    struct flight_range gap;
    for (; want.off < end; want.off = gap.off + gap.len) {
        if (!cache_missing(d->cache, id, want.off, end - want.off, &gap.off, &gap.len))
            return;
        if (!launch_ahead(d, id, gap))
            return;
    }
}

int flight_wait(struct flight *fl)
{
    struct data *d = fl->d;
    lock_take(&d->lock);
    while (fl->state == FLYING)
        cond_wait(&fl->landed, &d->lock);
    int r = fl->result;
    struct err_copy err;
    if (r != 0)
        err = fl->err;
    lock_drop(&d->lock);
    if (r != 0)
        err_restore(&err);
    return r;
}

size_t flight_copy(const struct flight *fl, uint64_t off, void *buf, size_t len)
{
    if (off < fl->off || off >= fl->off + fl->len)
        return 0;
    uint64_t n = fl->off + fl->len - off;
    if (n < len)
        len = (size_t)n;
    memcpy(buf, fl->data + (off - fl->off), len);
    return len;
}

bool flight_is_ahead(const struct flight *fl)
{
    return fl->is_ahead;
}

void flight_unref(struct flight *fl)
{
    struct data *d = fl->d;
    lock_take(&d->lock);
    struct flight *dead = unref_locked(fl);
    lock_drop(&d->lock);
    flight_free(dead);
}

void flight_drop_all(struct data *d)
{
    lock_take(&d->lock);
    while (d->locked.flying > 0)
        cond_wait(&d->changed, &d->lock);
    struct workq *q = steal(&d->locked.workq);
    lock_drop(&d->lock);
    if (q)
        workq_free(q);
    spare_drop_all(d);
    while (idle_drop_oldest(d))
        ;
}
