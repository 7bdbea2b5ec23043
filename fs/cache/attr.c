/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of objects: one dentry for each name. A key that is put joins its directory's
 * listing, and so do the prefixes that it implies; a complete listing stays complete. */
#include "priv.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"

void cache_obj_done(struct cache_obj *o)
{
    store_obj_done(&o->obj);
    *o = (struct cache_obj){0};
}

/* A key's place in the index. -EINVAL: none (a name that is not cached). */
struct place {
    const char *key;
    size_t key_len;
    struct cache_name name;
    struct cache_dir_key dir;
    struct cache_dent_key dent;
};

static int find_place(const char *key, size_t len, struct place *ret)
{
    struct place p = {.key = key, .key_len = len};
    int r = cache_name_split(key, len, &p.name);

    if (r < 0)
        return r;
    cache_dir_key(key, p.name.dir_len, &p.dir);
    p.dent = cache_dent_key(&p.dir, p.name.name, p.name.len, p.name.type);
    *ret = p;
    return 0;
}

/* --- get --- */

struct get {
    struct place place;
    struct cache_rec_dent rec;
};

static int get_dent(struct meta_txn *t, void *arg)
{
    struct get *g = arg;
    struct cache_bytes val, key = CACHE_DENT_BYTES(g->place.dent);
    int r = meta_get(t, META_DENT, key, &val);

    return r != 0 ? r : cache_rec_dent_decode(val, key, true, &g->rec);
}

int cache_obj_get(struct cache *c, const char *key, struct cache_obj *ret)
{
    struct get g;
    int r = find_place(key, strlen(key), &g.place);

    if (r == 0)
        r = cache_index_read(c, get_dent, &g);
    if (r == -EBADMSG)
        c->count.corrupt++;
    if (r != 0)
        return CACHE_MISS;
    if (!g.rec.has_obj) {
        store_obj_done(&g.rec.obj);
        return CACHE_MISS;
    }
    if (g.rec.is_racy)
        g.rec.obj.told_ns = g.rec.obj.mtime_ns; /* for who puts it again */
    *ret = (struct cache_obj){
        .obj = g.rec.obj,
        .has_hdrs = g.rec.has_hdrs,
        .checked_ns = g.rec.boot == c->boot ? g.rec.checked_ns : 0,
    };
    return 0;
}

/* --- put --- */

struct put {
    struct cache *c;
    struct place place;
    const atomic_bool *is_old; /* NULL: it is not */
    struct cache_rec_dent rec;
    struct buf out;
};

static int encode(struct put *p)
{
    struct cache_bytes key = CACHE_DENT_BYTES(p->place.dent);
    int r = cache_rec_dent_encode(&p->out, key, &p->rec);

    if (r != -E2BIG)
        return r;
    p->rec.has_hdrs = false; /* whoever needs them asks again */
    return cache_rec_dent_encode(&p->out, key, &p->rec);
}

/* The directory of a key that exists is in its own parent's listing, and so on up. */
static int put_parents(struct meta_txn *t, const struct put *p)
{
    _cleanup_buf_ struct buf out = BUF_INIT(CACHE_REC_MAX);
    struct cache_rec_dent bare = {.boot = p->rec.boot, .checked_ns = p->rec.checked_ns};
    size_t len = p->place.name.dir_len;

    while (len > 0) {
        struct place up;
        struct cache_bytes key, val;
        int r = find_place(p->place.key, len, &up);

        if (r < 0)
            return r == -EINVAL ? 0 : r;
        key = CACHE_DENT_BYTES(up.dent);
        r = meta_get(t, META_DENT, key, &val);
        if (r <= 0)
            return r;
        r = cache_rec_dent_encode(&out, key, &bare);
        if (r == 0)
            r = meta_put(t, META_DENT, key, (struct cache_bytes){.p = out.data, .n = out.len});
        if (r < 0)
            return r;
        len = up.name.dir_len;
    }
    return 0;
}

static bool is_in_doubt(struct cache *c, const char *key)
{
    const struct cache_doubt *d;

    lock_take(&c->doubts.lock);
    d = c->doubts.first;
    while (d != NULL && strcmp(d->key, key) != 0)
        d = d->next;
    lock_drop(&c->doubts.lock);
    return d != NULL;
}

/* Looked at in the transaction: one that puts before a doubt's is undone by that, one that comes later sees it, or,
 * when it is over, that the answer is old (which was said before). */
static int put_dent(struct meta_txn *t, void *arg)
{
    const struct put *p = arg;
    int r;

    if (is_in_doubt(p->c, p->place.key) || (p->is_old != NULL && atomic_load(p->is_old)))
        return 0;
    r = meta_put(t, META_DENT, CACHE_DENT_BYTES(p->place.dent),
                 (struct cache_bytes){.p = p->out.data, .n = p->out.len});
    return r < 0 ? r : put_parents(t, p);
}

/* What is known of the key, and the listings that it would have to be in, would be wrong now: they go. Needs no memory
 * of its own. */
static int forget_dent(struct meta_txn *t, void *arg)
{
    const struct put *p = arg;
    struct place at = p->place;
    int r = meta_del(t, META_DENT, CACHE_DENT_BYTES(at.dent));

    do {
        if (r == 0)
            r = meta_del(t, META_DIR, CACHE_BYTES(at.dir));
        cache_drop_note(p->c, &at.dir, NULL);
    } while (r == 0 && at.name.dir_len > 0 && find_place(at.key, at.name.dir_len, &at) == 0);
    return r;
}

void cache_obj_put(struct cache *c, const char *key, const struct store_obj *obj,
                   int64_t checked_ns)
{
    cache_obj_put_answer(c, key, obj, checked_ns, NULL);
}

/* LIST-4. What the two clocks of one server say, by the second: Last-Modified has no finer grain in a HEAD. */
static bool is_racy(const struct store_obj *obj)
{
    return obj->told_ns != 0 && obj->mtime_ns != 0 &&
           obj->told_ns / NS_PER_S < obj->mtime_ns / NS_PER_S + CACHE_RACY_NS / NS_PER_S;
}

void cache_obj_put_answer(struct cache *c, const char *key, const struct store_obj *obj,
                          int64_t checked_ns, const atomic_bool *is_old)
{
    struct put p = {
        .c = c,
        .is_old = is_old,
        .rec = {.has_obj = true,
                .has_hdrs = true,
                .is_racy = is_racy(obj),
                .boot = c->boot,
                .checked_ns = checked_ns,
                .obj = *obj}, /* borrowed */
        .out = BUF_INIT(CACHE_REC_MAX),
    };
    int r;

    if (c->meta == NULL)
        return;
    if (find_place(key, strlen(key), &p.place) < 0)
        return;
    r = encode(&p);
    (void)!cache_index_write(c, r == 0 ? put_dent : forget_dent, &p);
    buf_done(&p.out);
}

/* --- doubt --- */

static int doubt_dent(struct meta_txn *t, void *arg)
{
    struct put *p = arg;
    struct cache_bytes val, key = CACHE_DENT_BYTES(p->place.dent);
    int r = meta_get(t, META_DENT, key, &val);

    if (r == 0)
        r = cache_rec_dent_decode(val, key, false, &p->rec);
    if (r == -EBADMSG || r == META_NONE) /* nothing is known of it */
        return 0;
    if (r == 0 && p->rec.has_hdrs) {
        p->rec.has_hdrs = false;
        p->rec.checked_ns = 0;
        r = cache_rec_dent_encode(&p->out, key, &p->rec);
        if (r == 0)
            r = meta_put(t, META_DENT, key, (struct cache_bytes){.p = p->out.data, .n = p->out.len});
    }
    store_obj_done(&p->rec.obj);
    return r;
}

void cache_obj_doubt(struct cache *c, const char *key, struct cache_doubt *d)
{
    struct put p = {.c = c, .out = BUF_INIT(CACHE_REC_MAX)};

    d->key = key;
    lock_take(&c->doubts.lock);
    d->next = c->doubts.first;
    c->doubts.first = d;
    lock_drop(&c->doubts.lock);
    if (c->meta == NULL || find_place(key, strlen(key), &p.place) < 0)
        return;
    (void)!cache_index_write(c, doubt_dent, &p);
    buf_done(&p.out);
}

void cache_obj_answered(struct cache *c, struct cache_doubt *d)
{
    struct cache_doubt **p = &c->doubts.first;

    lock_take(&c->doubts.lock);
    while (*p != d)
        p = &(*p)->next;
    *p = d->next;
    lock_drop(&c->doubts.lock);
}

/* --- drop --- */

struct drop {
    struct cache *c;
    struct place place;
    struct cache_dir_key children; /* of a prefix: the directory that it is */
    struct buf out;
};

static int found(struct cache_bytes key, struct cache_bytes val, void *arg)
{
    (void)key;
    (void)val;
    (void)arg;
    return META_NONE;
}

/* "dir/" is gone as an object; as a prefix it stays while keys below it are known. */
static int drop_prefix(struct meta_txn *t, struct drop *d, bool *ret_stays)
{
    struct cache_bytes key = CACHE_DENT_BYTES(d->place.dent), children = CACHE_BYTES(d->children);
    struct cache_rec_dent bare = {.boot = d->c->boot};
    int r = meta_scan(t, META_DENT, children, children, found, NULL);

    if (r < 0)
        return r;
    *ret_stays = r == META_NONE;
    if (!*ret_stays) {
        r = meta_del(t, META_DIR, children);
        return r < 0 ? r : meta_del(t, META_DENT, key);
    }
    r = cache_rec_dent_encode(&d->out, key, &bare);
    if (r < 0)
        return r;
    return meta_put(t, META_DENT, key, (struct cache_bytes){.p = d->out.data, .n = d->out.len});
}

static int drop_dent(struct meta_txn *t, void *arg)
{
    struct drop *d = arg;
    bool stays = false;
    int r;

    if (d->place.name.type == CACHE_DENT_PREFIX)
        r = drop_prefix(t, d, &stays);
    else
        r = meta_del(t, META_DENT, CACHE_DENT_BYTES(d->place.dent));
    if (r == 0 && !stays)
        cache_drop_note(d->c, &d->place.dir, &d->place.name);
    return r;
}

void cache_obj_drop(struct cache *c, const char *key)
{
    struct drop d = {.c = c, .out = BUF_INIT(CACHE_REC_MAX)};

    if (c->meta == NULL || find_place(key, strlen(key), &d.place) < 0)
        return;
    if (d.place.name.type == CACHE_DENT_PREFIX)
        cache_dir_key(key, strlen(key), &d.children);
    (void)!cache_index_write(c, drop_dent, &d);
    buf_done(&d.out);
}
