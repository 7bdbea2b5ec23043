/* SPDX-License-Identifier: Apache-2.0 */
#include "cache/scrub.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"
#include "priv.h"

struct version {
    struct cache_vkey v;
    char *key; /* as the bucket has it; NULL: not met there */
    bool is_known;
    uint64_t other_size; /* UINT64_MAX: none */
};
struct cache_scrub {
    struct cache *c;
    struct version *v; /* by vkey */
    size_t n, cap;
};

static int note_version(struct cache_bytes key, struct cache_bytes val, void *arg)
{
    struct cache_scrub *s = arg;

    (void)val;
    if (key.n != CACHE_VKEY)
        return 0;
    if (s->n == s->cap) {
        size_t cap = s->cap != 0 ? 2 * s->cap : 256;
        struct version *v = reallocarray(s->v, cap, sizeof(*v));

        if (v == NULL)
            return -ENOMEM;
        s->v = v;
        s->cap = cap;
    }
    s->v[s->n] = (struct version){.other_size = UINT64_MAX};
    memcpy(s->v[s->n++].v.b, key.p, CACHE_VKEY);
    return 0;
}

static int note_versions(struct meta_txn *t, void *arg)
{
    struct cache_bytes all = {.p = ""};

    return meta_scan(t, META_VER, all, all, note_version, arg);
}

int cache_scrub_new(struct cache *c, struct cache_scrub **ret)
{
    struct cache_scrub *s = calloc(1, sizeof(*s));
    int r = s != NULL ? 0 : -ENOMEM;

    if (r == 0) {
        s->c = c;
        r = cache_index_read(c, note_versions, s);
    }
    if (r < 0) {
        cache_scrub_free(s);
        return err_set(r, "cache directory %s: %s", c->dir, strerror(-r));
    }
    *ret = s;
    return 0;
}

void cache_scrub_free(struct cache_scrub *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++)
        free(s->v[i].key);
    free(s->v);
    free(s);
}

/* The first version of this key and ETag, of any size. */
static size_t find(const struct cache_scrub *s, const struct cache_vkey *v)
{
    size_t low = 0, high = s->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;

        if (memcmp(s->v[mid].v.b, v->b, CACHE_HASH) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

int cache_scrub_match(struct cache_scrub *s, const struct cache_id *id)
{
    struct cache_vkey v;

    cache_vkey(id->key, id->etag, id->size, &v);
    for (size_t i = find(s, &v); i < s->n && memcmp(s->v[i].v.b, v.b, CACHE_HASH) == 0; i++) {
        struct version *one = &s->v[i];

        free(one->key);
        one->key = strdup(id->key);
        if (one->key == NULL)
            return err_set(-ENOMEM, "out of memory");
        one->is_known = memcmp(one->v.b, v.b, CACHE_VKEY) == 0;
        one->other_size = one->is_known ? UINT64_MAX : id->size;
    }
    return 0;
}

static size_t block_len(const struct cache_vkey *v, uint64_t block)
{
    uint64_t size = cache_vkey_size(v), off = block * CACHE_BLOCK;

    if (off >= size)
        return 0;
    return size - off < CACHE_BLOCK ? (size_t)(size - off) : CACHE_BLOCK;
}

struct blocks {
    struct cache *c;
    const struct version *one;
    int fd;
    void *buf;
    bool has_file;
    bool drop; /* those that are bad */
    uint64_t n, bad;
};

static bool is_good(const struct blocks *b, uint64_t block, uint32_t crc)
{
    size_t len = block_len(&b->one->v, block);

    return len > 0 && b->has_file && sys_pread_all(b->fd, b->buf, len, block * CACHE_BLOCK) == 0 &&
           cache_block_crc(&b->one->v, block, b->buf, len) == crc;
}

static void look_at_chunk(struct blocks *b, uint64_t chunk)
{
    struct cache_rec_blk map;

    cache_map_get(b->c, &b->one->v, chunk, &map);
    for (uint32_t i = 0; i < map.n; i++) {
        uint64_t block = chunk * CACHE_CHUNK + i;

        if (!cache_blk_has(&map, i))
            continue;
        b->n++;
        if (is_good(b, block, map.crc[i]))
            continue;
        b->bad++;
        if (b->drop)
            cache_map_unset(b->c, &b->one->v, block);
    }
}

/* Of a map that the disk gave, a chunk may be missing: those of the file's length are looked at. */
static int look_at_blocks(struct cache *c, const struct version *one, bool drop, struct blocks *ret)
{
    _cleanup_close_ int fd = -1;
    uint64_t size = cache_vkey_size(&one->v), span = (uint64_t)CACHE_CHUNK * CACHE_BLOCK, chunks;
    char path[PATH_MAX];
    struct stat st;

    cache_block_path(c, &one->v, path);
    fd = sys_open(path, O_RDONLY | O_NOFOLLOW, 0);
    *ret = (struct blocks){.c = c,
                           .one = one,
                           .fd = fd,
                           .buf = cache_buffer_get(c),
                           .has_file = fd >= 0,
                           .drop = drop};
    if (ret->buf == NULL)
        return err_set(-ENOMEM, "out of memory");
    /* A size that nobody could have written would have us look for ever. */
    if (fd >= 0 && fstat(fd, &st) == 0 && (uint64_t)st.st_size < size)
        size = (uint64_t)st.st_size + span;
    chunks = fd >= 0 ? size / span + 1 : 1;
    for (uint64_t chunk = 0; chunk < chunks && chunk * span < cache_vkey_size(&one->v); chunk++)
        look_at_chunk(ret, chunk);
    cache_buffer_put(c, ret->buf);
    return 0;
}

static int drop_version(struct cache *c, const struct cache_vkey *v)
{
    uint64_t freed;
    int r;

    lock_take(cache_version_lock(c, v));
    r = cache_version_remove(c, v, &freed);
    lock_drop(cache_version_lock(c, v));
    return r < 0 ? err_set(r, "a cached version can't be removed: %s", strerror(-r)) : 0;
}

static int drop_bad(struct cache *c, const struct version *one, const struct blocks *seen)
{
    struct blocks again;
    int r;

    if (!one->is_known || !seen->has_file)
        return drop_version(c, &one->v);
    lock_take(cache_version_lock(c, &one->v));
    cache_fd_forget(c, &one->v);
    r = look_at_blocks(c, one, true, &again);
    lock_drop(cache_version_lock(c, &one->v));
    return r;
}

int cache_scrub_run(struct cache_scrub *s, cache_scrub_fn each, void *arg)
{
    int r = 0;

    for (size_t i = 0; i < s->n; i++) {
        const struct version *one = &s->v[i];
        struct cache_scrub_version v = {.size = cache_vkey_size(&one->v),
                                        .is_known = one->is_known,
                                        .other_size = one->other_size};
        char hex[2 * CACHE_VKEY + 1];
        struct blocks b;
        int s_r = look_at_blocks(s->c, one, false, &b);

        if (s_r < 0)
            return s_r;
        str_hex(one->v.b, sizeof(one->v.b), hex);
        v.name = one->key != NULL ? one->key : hex;
        v.blocks = b.n;
        v.bad_blocks = b.bad;
        if (each(arg, &v) && (b.bad > 0 || !one->is_known)) {
            s_r = drop_bad(s->c, one, &b);
            r = s_r < 0 ? s_r : r;
        }
    }
    return r;
}

bool cache_scrub_is_anew(const struct cache *c)
{
    return c->is_anew;
}
