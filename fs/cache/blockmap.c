/* SPDX-License-Identifier: Apache-2.0 */
/* The map of the blocks that are here: which, with what CRC, of versions that take how much of the
 * disk. */
#include "priv.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/sys.h"

struct load {
    struct cache_blk_key key;
    struct cache_rec_blk rec;
};

static int load_chunk(struct meta_txn *t, void *arg)
{
    struct load *l = arg;
    struct cache_bytes val, key = CACHE_BYTES(l->key);
    int r = meta_get(t, META_BLK, key, &val);

    if (r != 0)
        return r;
    r = cache_rec_blk_decode(val, key, &l->rec);
    return r == -EBADMSG ? META_NONE : r;
}

void cache_map_get(struct cache *c, const struct cache_vkey *v, uint64_t chunk,
                   struct cache_rec_blk *ret)
{
    struct load l = {.key = cache_blk_key(v, (uint32_t)chunk)};

    ret->n = 0;
    if (chunk <= UINT32_MAX && cache_index_read(c, load_chunk, &l) == 0)
        *ret = l.rec;
}

struct update {
    const struct cache_vkey *v;
    uint64_t first;
    const uint32_t *crcs; /* NULL: the n blocks are taken out of the map */
    size_t n;
    uint64_t alloc, old_alloc;
    bool is_new;
};

static int update_chunk(struct meta_txn *t, const struct update *u, uint64_t chunk, size_t from,
                        size_t to)
{
    _cleanup_buf_ struct buf out = BUF_INIT(CACHE_REC_MAX);
    struct load l = {.key = cache_blk_key(u->v, (uint32_t)chunk)};
    int r = load_chunk(t, &l);

    if (r < 0)
        return r;
    if (r == META_NONE)
        l.rec.n = 0;
    for (size_t i = from; i < to; i++) {
        uint32_t at = (uint32_t)((u->first + i) % CACHE_CHUNK);

        if (u->crcs != NULL)
            cache_blk_set(&l.rec, at, u->crcs[i]);
        else
            cache_blk_clear(&l.rec, at);
    }
    r = cache_rec_blk_encode(&out, CACHE_BYTES(l.key), &l.rec);
    if (r < 0)
        return r;
    return meta_put(t, META_BLK, CACHE_BYTES(l.key),
                    (struct cache_bytes){.p = out.data, .n = out.len});
}

static int update_version(struct meta_txn *t, struct update *u)
{
    _cleanup_buf_ struct buf out = BUF_INIT(CACHE_REC_MAX);
    struct cache_rec_ver rec = {0};
    struct cache_bytes key = CACHE_BYTES(*u->v), val;
    int r = meta_get(t, META_VER, key, &val);

    if (r < 0)
        return r;
    u->is_new = r == META_NONE;
    u->old_alloc = r == 0 && cache_rec_ver_decode(val, key, &rec) == 0 ? rec.alloc : 0;
    rec.alloc = u->alloc;
    rec.used_ns = clock_wall_ns();
    r = cache_rec_ver_encode(&out, key, &rec);
    if (r < 0)
        return r;
    return meta_put(t, META_VER, key, (struct cache_bytes){.p = out.data, .n = out.len});
}

static int update_map(struct meta_txn *t, void *arg)
{
    struct update *u = arg;
    int r = u->crcs != NULL ? update_version(t, u) : 0;

    for (size_t from = 0, to; from < u->n && r == 0; from = to) {
        uint64_t at = u->first + from;

        to = from + (size_t)(CACHE_CHUNK - at % CACHE_CHUNK);
        if (to > u->n)
            to = u->n;
        r = update_chunk(t, u, at / CACHE_CHUNK, from, to);
    }
    return r;
}

int cache_map_blocks(struct cache *c, const struct cache_vkey *v, uint64_t first,
                     const uint32_t *crcs, size_t n, uint64_t alloc, struct cache_due *due)
{
    struct update u = {.v = v, .first = first, .crcs = crcs, .n = n, .alloc = alloc};
    int r;

    if ((first + n) / CACHE_CHUNK > UINT32_MAX)
        return -EFBIG;
    r = cache_index_try(c, update_map, &u);
    if (r < 0)
        return r;
    /* Side by side: counted twice for any longer, they would have the evictor make room for both.
     */
    *due->account -= due->bytes;
    cache_used_move(&c->used.blocks, u.old_alloc, alloc);
    due->bytes = 0;
    cache_used_move(&c->used.versions, 0, u.is_new ? 1 : 0);
    return 0;
}

void cache_map_unset(struct cache *c, const struct cache_vkey *v, uint64_t block)
{
    struct update u = {.v = v, .first = block, .n = 1};

    (void)!cache_index_try(c, update_map, &u);
}

/* --- removing --- */

static int get_version(struct meta_txn *t, void *arg)
{
    const struct cache_vkey *v = arg;
    struct cache_bytes val;

    return meta_get(t, META_VER, CACHE_BYTES(*v), &val);
}

int cache_version_known(struct cache *c, const struct cache_vkey *v)
{
    struct cache_vkey copy = *v;

    return cache_index_read(c, get_version, &copy);
}

struct removal {
    struct cache_bytes prefix;
    uint64_t alloc;
    bool found;
    struct cache_blk_key keys[64];
    size_t n;
};

static int collect_key(struct cache_bytes key, struct cache_bytes val, void *arg)
{
    struct removal *rm = arg;

    (void)val;
    if (key.n == sizeof(rm->keys[0].b))
        memcpy(rm->keys[rm->n++].b, key.p, key.n);
    return rm->n == ARRAY_LEN(rm->keys) ? 1 : 0;
}

static int remove_records(struct meta_txn *t, void *arg)
{
    struct removal *rm = arg;
    struct cache_rec_ver rec;
    struct cache_bytes val;
    int r = meta_get(t, META_VER, rm->prefix, &val);

    if (r < 0)
        return r;
    rm->found = r == 0;
    rm->alloc = r == 0 && cache_rec_ver_decode(val, rm->prefix, &rec) == 0 ? rec.alloc : 0;
    r = meta_del(t, META_VER, rm->prefix);
    while (r == 0) {
        rm->n = 0;
        r = meta_scan(t, META_BLK, rm->prefix, rm->prefix, collect_key, rm);
        if (r < 0 || rm->n == 0)
            return r;
        r = 0;
        for (size_t i = 0; i < rm->n && r == 0; i++)
            r = meta_del(t, META_BLK, CACHE_BYTES(rm->keys[i]));
    }
    return r;
}

int cache_version_remove(struct cache *c, const struct cache_vkey *v, uint64_t *ret_freed)
{
    struct removal rm = {.prefix = CACHE_BYTES(*v)};
    char path[PATH_MAX];
    struct stat st;
    int r;

    cache_block_path(c, v, path);
    cache_fd_forget(c, v);
    *ret_freed = lstat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512u : 0;
    r = sys_unlink(path);
    if (r < 0)
        *ret_freed = 0;
    cache_fd_forget(c, v); /* a reader may have opened it in between */
    if (r < 0 && r != -ENOENT)
        return r;
    r = cache_index_try(c, remove_records, &rm);
    if (r < 0)
        return r;
    cache_used_move(&c->used.blocks, rm.alloc, 0);
    cache_used_move(&c->used.versions, rm.found ? 1 : 0, 0);
    return rm.found ? 0 : META_NONE;
}

struct versions {
    struct cache_vkey prefix;
    struct cache_vkey v[16];
    size_t n;
};

static int collect_version(struct cache_bytes key, struct cache_bytes val, void *arg)
{
    struct versions *s = arg;

    (void)val;
    if (key.n == CACHE_VKEY)
        memcpy(s->v[s->n++].b, key.p, key.n);
    return s->n == ARRAY_LEN(s->v) ? 1 : 0;
}

static int find_versions(struct meta_txn *t, void *arg)
{
    struct versions *s = arg;
    struct cache_bytes prefix = {.p = s->prefix.b, .n = CACHE_HASH};

    s->n = 0;
    return meta_scan(t, META_VER, prefix, prefix, collect_version, s);
}

void cache_drop_blocks(struct cache *c, const char *key, const struct store_etag *etag)
{
    struct versions s = {.n = 0};
    uint64_t freed;

    cache_vkey(key, etag, 0, &s.prefix);
    do {
        if (cache_index_read(c, find_versions, &s) < 0)
            return;
        for (size_t i = 0; i < s.n; i++) {
            int r;

            lock_take(cache_version_lock(c, &s.v[i]));
            r = cache_version_remove(c, &s.v[i], &freed);
            lock_drop(cache_version_lock(c, &s.v[i]));
            if (r < 0)
                return;
        }
    } while (s.n == ARRAY_LEN(s.v));
}
