/* SPDX-License-Identifier: Apache-2.0 */
/* Close-to-open's one request: is what we know still so, and if not, what is (with its bytes when it is small).
 *
 * Looks at one key share requests without breaking the promise that an open sees every close before it: a caller
 * never takes the answer of a request that started before it came. While one runs, those who come wait
 * together for the next one: however many open a file at once, two requests answer them. */
#include <errno.h>
#include <string.h>

#include "flight.h"
#include "internal.h"

#define GUESS_MAX (UINT64_C(2) << 20)
#define GUESSES 32 /* as many at once are no more than the memory */

enum look_state { LOOK_WAITING, LOOK_RUNNING, LOOK_DONE };

/* In the list until done; guarded by data's lock, but obj of a done one never changes. */
struct look {
    struct look *next;
    char *key;
    struct store_etag known; /* unset: nothing */
    bool wants_bytes;
    unsigned refs;
    enum look_state state;
    int result;
    struct err_copy err;
    struct store_obj obj;
};

struct body { /* a sink that grows up to max */
    struct data *d;
    char *data;
    uint64_t ticket; /* of d's memory, at least cap */
    size_t len, cap, first, max; /* first: what it has room for at once */
    bool is_too_big;
};

/* The object has grown since its size was told: it may, as far as there is memory. A wait would be one for those who
 * wait like this. */
static bool body_has_room(struct body *b, uint64_t cap)
{
    if (cap <= b->ticket)
        return true;
    if (!budget_try(&b->d->memory, cap - b->ticket, UINT64_MAX))
        return false;
    b->ticket = cap;
    return true;
}

static int body_write(void *ctx, uint64_t off, const void *buf, size_t len)
{
    struct body *b = ctx;
    if (off > b->max || len > b->max - off) {
        b->is_too_big = true;
        return err_set(-EFBIG, "the object has grown");
    }
    size_t end = (size_t)off + len;
    if (end > b->cap) {
        size_t cap = b->cap > 0 ? b->cap * 2 : b->first;
        if (cap < end)
            cap = end;
        if (cap > b->max)
            cap = b->max;
        if (!body_has_room(b, cap)) {
            b->is_too_big = true;
            return err_set(-EFBIG, "the object has grown");
        }
        char *data = realloc(b->data, cap);
        if (!data)
            return err_set(-ENOMEM, "no memory to fetch an object");
        b->data = data;
        b->cap = cap;
    }
    memcpy(b->data + off, buf, len);
    b->len = end;
    return 0;
}

static void body_done(struct body *b)
{
    free(b->data);
    budget_give(&b->d->memory, b->ticket);
}

/* The bytes of a whole object go to the cache, or stay in memory if it does not want them. */
static void keep_bytes(struct data *d, const char *key, const struct store_obj *o, struct body *b)
{
    if (o->size == 0)
        return;
    struct cache_id id = {.key = key, .etag = &o->etag, .size = o->size};
    cache_write(d->cache, &id, 0, b->data, b->len);
    uint64_t off, len;
    if (cache_missing(d->cache, &id, 0, o->size, &off, &len)) {
        b->ticket -= o->size;
        flight_donate(d, &id, steal(&b->data));
    }
}

/* 0 and *ret; STORE_NOT_MODIFIED, STORE_NOT_FOUND; -EFBIG: it is above whole_max, or has grown and there is no memory
 * for that now; -errno. Waits for memory: where known is still what is there as a rule, for what that answer takes. */
static int get_whole(struct data *d, const char *key, const struct store_etag *known, size_t hint,
                     struct store_obj *ret)
{
    uint64_t ticket = hint > CACHE_BLOCK && !known ? hint : CACHE_BLOCK;
    budget_take(&d->memory, ticket);
    _cleanup_(body_done) struct body b = {.d = d,
                                          .ticket = ticket,
                                          .first = hint,
                                          .max = (size_t)d->conf.whole_max};
    struct store_sink sink = {.write = body_write, .ctx = &b};
    struct store_req req = {.op = STORE_GET, .key = key, .sink = &sink};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    if (known)
        req.cond = (struct store_cond){.kind = STORE_IF_CHANGED, .etag = *known};
    int r = store_call(d->store, &req, &rsp);
    if (b.is_too_big)
        return -EFBIG;
    if (r != 0)
        return r;
    if (rsp.body_len != rsp.obj.size || (rsp.obj.size > 0 && b.len != rsp.obj.size))
        return err_set(-EIO, "%s: %ju bytes came instead of %ju", key, (uintmax_t)rsp.body_len,
                       (uintmax_t)rsp.obj.size);
    if (!store_etag_is_set(&rsp.obj.etag))
        return err_set(-EIO, "%s: the bucket sent no ETag", key);
    keep_bytes(d, key, &rsp.obj, &b);
    *ret = rsp.obj;
    rsp.obj = (struct store_obj){0};
    return 0;
}

static int head(struct data *d, const char *key, const struct store_etag *known,
                struct store_obj *ret)
{
    struct store_req req = {.op = STORE_HEAD, .key = key};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    if (known)
        req.cond = (struct store_cond){.kind = STORE_IF_CHANGED, .etag = *known};
    int r = store_call(d->store, &req, &rsp);
    if (r != 0)
        return r;
    *ret = rsp.obj;
    rsp.obj = (struct store_obj){0};
    return 0;
}

bool data_is_here(struct data *d, const char *key, const struct store_etag *etag, uint64_t size)
{
    struct cache_id id = {.key = key, .etag = etag, .size = size};
    uint64_t off, len;
    return !cache_missing(d->cache, &id, 0, size, &off, &len);
}

/* The answer to a GET of the first `most` bytes is what it must be. */
static int check_first(const char *key, const struct store_rsp *rsp, const struct body *b, uint64_t most)
{
    uint64_t want = rsp->obj.size < most ? rsp->obj.size : most;
    if (rsp->body_len != want || (want > 0 && b->len != want))
        return err_set(-EIO, "%s: %ju bytes came instead of %ju", key, (uintmax_t)rsp->body_len, (uintmax_t)want);
    return store_etag_is_set(&rsp->obj.etag) ? 0 : err_set(-EIO, "%s: the bucket sent no ETag", key);
}

/* Memory for what may be fetched before its size is known. */
static int first_room(struct data *d, uint64_t most, bool is_sure)
{
    if (most == 0 || (!is_sure && !spare_try(d, most, d->conf.mem_limit / 2)))
        return err_set(-ENOBUFS, "no memory to fetch more than is needed");
    if (is_sure) {
        budget_take(&d->firsts, most);
        budget_take(&d->memory, most);
    }
    return 0;
}

uint64_t data_guess(const struct data *d)
{
    uint64_t share = d->conf.mem_limit / GUESSES / CACHE_BLOCK * CACHE_BLOCK;
    return share < GUESS_MAX ? share : GUESS_MAX;
}

/* `most` bytes of the memory were taken for it, and are given back here. */
static int get_first(struct data *d, const char *key, uint64_t most, struct store_obj *ret, bool *ret_is_ready)
{
    _cleanup_(body_done) struct body b = {.d = d, .ticket = most, .first = (size_t)most, .max = (size_t)most};
    struct store_sink sink = {.write = body_write, .ctx = &b};
    struct store_req req = {.op = STORE_GET, .key = key, .sink = &sink, .range = {.off = 0, .len = most}};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    int r = store_call(d->store, &req, &rsp);
    if (r == STORE_NOT_FOUND)
        return r;
    if (r > 0) /* of an empty object there is no range */
        return err_set(-ERANGE, "%s: the bucket would not send its first bytes", key);
    if (r == 0)
        r = check_first(key, &rsp, &b, most);
    if (r != 0)
        return r;
    if (rsp.obj.size <= most) {
        keep_bytes(d, key, &rsp.obj, &b);
    } else {
        struct cache_id id = {.key = key, .etag = &rsp.obj.etag, .size = rsp.obj.size};
        cache_write(d->cache, &id, 0, b.data, b.len);
    }
    *ret_is_ready = rsp.obj.size <= most || rsp.obj.size > d->conf.whole_max;
    *ret = rsp.obj;
    rsp.obj = (struct store_obj){0};
    return 0;
}

int data_first(struct data *d, const char *key, uint64_t most, bool is_sure, struct store_obj *ret, bool *ret_is_ready)
{
    if (most > d->conf.whole_max)
        most = d->conf.whole_max;
    most = most / CACHE_BLOCK * CACHE_BLOCK;
    *ret = (struct store_obj){0};
    *ret_is_ready = false;
    int r = first_room(d, most, is_sure);
    if (r != 0)
        return r;
    r = get_first(d, key, most, ret, ret_is_ready);
    if (is_sure)
        budget_give(&d->firsts, most);
    return r;
}

static int fetch_now(struct data *d, const char *key, const struct store_etag *known,
                     uint64_t size_hint, struct store_obj *ret)
{
    bool is_small = size_hint <= d->conf.whole_max;
    /* With the bytes: unconditional where they are not here, since "not modified" would bring none. */
    bool is_here = is_small && known && data_is_here(d, key, known, size_hint);
    int r = is_small ? get_whole(d, key, is_here ? known : NULL, (size_t)size_hint, ret) : -EFBIG;
    if (r == -EFBIG) {
        bool had_memory = is_small && !is_here;
        r = head(d, key, known, ret);
        if (r == 0 && !had_memory && ret->size <= d->conf.whole_max && size_hint != UINT64_MAX) {
            struct store_obj seen = *ret;
            *ret = (struct store_obj){0};
            r = get_whole(d, key, NULL, (size_t)seen.size, ret);
            if (r == -EFBIG) { /* it has just grown: what HEAD said was true after the call */
                *ret = seen;
                return 0;
            }
            store_obj_done(&seen);
        }
    }
    if (r == 0 && known && store_etag_equal(known, &ret->etag)) {
        store_obj_done(ret);
        *ret = (struct store_obj){0};
        return STORE_NOT_MODIFIED;
    }
    return r == STORE_NOT_MODIFIED || r == STORE_NOT_FOUND ? r : err_fold(r);
}

static void look_unref_locked(struct look *k)
{
    if (!k || --k->refs > 0)
        return;
    store_obj_done(&k->obj);
    free(k->key);
    free(k);
}

static struct look *look_make(const char *key, const struct store_etag *known, bool wants_bytes)
{
    struct look *k = calloc(1, sizeof(*k));
    char *copy = strdup(key);
    if (!k || !copy) {
        free(k);
        free(copy);
        return NULL;
    }
    k->key = copy;
    if (known)
        k->known = *known;
    k->wants_bytes = wants_bytes;
    k->refs = 1;
    return k;
}

static struct look *find_locked(struct data *d, const struct look *like, enum look_state state)
{
    struct look *k = d->locked.looks;
    while (k && !(k->state == state && k->wants_bytes == like->wants_bytes &&
                  strcmp(k->key, like->key) == 0 && store_etag_equal(&k->known, &like->known)))
        k = k->next;
    return k;
}

static void remove_locked(struct data *d, struct look *k)
{
    struct look **p = &d->locked.looks;
    while (*p != k)
        p = &(*p)->next;
    *p = k->next;
}

/* Someone else's request, which had not started when we came. */
static int follow_locked(struct data *d, struct look *k, struct store_obj *ret)
{
    k->refs++;
    while (k->state != LOOK_DONE)
        cond_wait(&d->changed, &d->lock);
    int r = k->result;
    if (r < 0)
        err_restore(&k->err);
    if (r == 0)
        r = store_obj_copy(ret, &k->obj);
    look_unref_locked(k);
    return r;
}

/* prev: the look that ended just before this one began; NULL or without an object: none. What it brought need not
 * be brought again, only asked for. */
static int run(struct data *d, const struct look *k, const struct look *prev, uint64_t size_hint,
               struct store_obj *ret)
{
    bool has_prev = prev && prev->result == 0;
    const struct store_etag *known = store_etag_is_set(&k->known) ? &k->known : NULL;
    if (!has_prev)
        return fetch_now(d, k->key, known, size_hint, ret);
    uint64_t hint = k->wants_bytes ? prev->obj.size : size_hint;
    int r = fetch_now(d, k->key, &prev->obj.etag, hint, ret);
    if (r == STORE_NOT_MODIFIED)
        return store_obj_copy(ret, &prev->obj);
    if (r == 0 && known && store_etag_equal(known, &ret->etag)) { /* it has changed back */
        store_obj_done(ret);
        *ret = (struct store_obj){0};
        return STORE_NOT_MODIFIED;
    }
    return r;
}

/* Runs the request of a look of ours that is in the list, and publishes its result. */
static int lead(struct data *d, struct look *k, struct look *prev, uint64_t size_hint,
                struct store_obj *ret)
{
    struct store_obj obj = {0}, copy = {0};
    int r = run(d, k, prev, size_hint, &obj);
    struct err_copy err = {{0}};
    if (r < 0)
        err_copy(&err);
    if (r == 0)
        r = store_obj_copy(&copy, &obj);
    lock_take(&d->lock);
    remove_locked(d, k);
    k->state = LOOK_DONE;
    k->result = r;
    k->err = err;
    k->obj = copy;
    cond_broadcast(&d->changed);
    look_unref_locked(k);
    look_unref_locked(prev);
    lock_drop(&d->lock);
    if (r == 0)
        *ret = obj;
    else
        store_obj_done(&obj);
    return r;
}

int data_fetch(struct data *d, const char *key, const struct store_etag *known, uint64_t size_hint,
               struct store_obj *ret)
{
    if (known && !store_etag_is_set(known))
        known = NULL;
    *ret = (struct store_obj){0};
    struct look *k = look_make(key, known, size_hint != UINT64_MAX);
    if (!k)
        return err_set(-ENOMEM, "no memory for a request");
    lock_take(&d->lock);
    struct look *other = find_locked(d, k, LOOK_WAITING);
    if (other) {
        look_unref_locked(k);
        int r = follow_locked(d, other, ret);
        lock_drop(&d->lock);
        return r;
    }
    struct look *prev = find_locked(d, k, LOOK_RUNNING);
    k->next = d->locked.looks;
    d->locked.looks = k;
    if (prev) {
        prev->refs++;
        while (prev->state != LOOK_DONE)
            cond_wait(&d->changed, &d->lock);
    }
    k->state = LOOK_RUNNING;
    lock_drop(&d->lock);
    return lead(d, k, prev, size_hint, ret);
}
