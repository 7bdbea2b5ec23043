/* SPDX-License-Identifier: Apache-2.0 */
/* The file of a version that is here as a whole, for who reads it without asking us about each block. */
#include "priv.h"

#include <errno.h>
#include <fcntl.h>

#include "base/sys.h"

static bool is_whole(struct cache *c, const struct cache_fd *f)
{
    bool whole;

    lock_take(&c->fds.lock);
    whole = f->is_whole;
    lock_drop(&c->fds.lock);
    return whole;
}

/* Compares each block through this descriptor, and no other: what is at the path may be another file by now. */
static int compare(struct cache *c, const struct cache_fd *f)
{
    const uint64_t size = cache_vkey_size(&f->v);
    struct cache_rec_blk map;
    void *buf = cache_buffer_get(c);
    int r = buf == NULL ? -ENOMEM : 0;

    for (uint64_t b = 0; b * CACHE_BLOCK < size && r == 0; b++) {
        const uint32_t at = (uint32_t)(b % CACHE_CHUNK);

        if (at == 0)
            cache_map_get(c, &f->v, b / CACHE_CHUNK, &map);
        r = cache_blk_has(&map, at) ? cache_block_read(f->fd, &f->v, b, map.crc[at], buf) : -ENOENT;
    }
    cache_buffer_put(c, buf);
    return r;
}

static int make_sure(struct cache *c, struct cache_fd *f, uint64_t compare_max)
{
    int r;

    if (is_whole(c, f))
        return 0;
    if (cache_vkey_size(&f->v) > compare_max)
        return -EAGAIN;
    r = compare(c, f);
    if (r < 0) /* a block that is wrong is found, and brought again, by who reads it */
        return r == -ENOMEM ? r : -ENOENT;
    lock_take(&c->fds.lock);
    f->is_whole = true;
    lock_drop(&c->fds.lock);
    return 0;
}

int cache_open_whole(struct cache *c, const struct cache_id *id, uint64_t compare_max)
{
    struct cache_fd *f = NULL;
    struct cache_vkey v;
    uint64_t off, len;
    int r;

    if (id->size == 0 || !store_etag_is_set(id->etag) || cache_missing(c, id, 0, id->size, &off, &len))
        return -ENOENT;
    cache_vkey(id->key, id->etag, id->size, &v);
    r = cache_fd_get(c, &v, &f);
    if (r < 0)
        return r;
    r = make_sure(c, f, compare_max);
    if (r == 0)
        r = fcntl(f->fd, F_DUPFD_CLOEXEC, 3);
    if (r == -1)
        r = -errno;
    cache_fd_put(c, f);
    if (r >= 0)
        cache_touch(c, &v);
    return r;
}
