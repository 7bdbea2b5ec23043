/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing the blocks of object versions: DIR/blocks/xx/VKEY, sparse, and their map in
 * the index. */
#include "priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "base/sys.h"
#include "crc.h"

void cache_block_path(const struct cache *c, const struct cache_vkey *v, char ret[PATH_MAX])
{
    char hex[2 * CACHE_VKEY + 1];

    str_hex(v->b, sizeof(v->b), hex);
    snprintf(ret, PATH_MAX, "%s/blocks/%.2s/%s", c->dir, hex, hex);
}

int cache_block_file_make_dir(const struct cache *c, const struct cache_vkey *v)
{
    char path[PATH_MAX];

    cache_block_path(c, v, path);
    *strrchr(path, '/') = '\0';
    return sys_mkdirs(path, 0700);
}

struct lock *cache_version_lock(struct cache *c, const struct cache_vkey *v)
{
    return &c->version[v->b[0] % CACHE_STRIPES];
}

/* A block's CRC holds what it is a block of: one that has strayed into another file does not agree.
 */
uint32_t cache_block_crc(const struct cache_vkey *v, uint64_t block, const void *data, size_t len)
{
    return cache_crc(cache_crc(cache_crc(0, v->b, sizeof(v->b)), &block, sizeof(block)), data, len);
}

uint64_t cache_alloc_of(int fd)
{
    struct stat st;

    return fstat(fd, &st) == 0 ? (uint64_t)st.st_blocks * 512u : 0;
}

void *cache_buffer_get(struct cache *c)
{
    void *buf = NULL;

    lock_take(&c->buffers.lock);
    if (c->buffers.n > 0)
        buf = c->buffers.v[--c->buffers.n];
    lock_drop(&c->buffers.lock);
    return buf != NULL ? buf : malloc(CACHE_BLOCK);
}

void cache_buffer_put(struct cache *c, void *buf)
{
    lock_take(&c->buffers.lock);
    if (buf != NULL && c->buffers.n < CACHE_BUFFERS)
        c->buffers.v[c->buffers.n++] = steal(&buf);
    lock_drop(&c->buffers.lock);
    free(buf);
}

/* --- reading --- */

static size_t block_len(const struct cache_vkey *v, uint64_t block)
{
    uint64_t left = cache_vkey_size(v) - block * CACHE_BLOCK;

    return left < CACHE_BLOCK ? (size_t)left : CACHE_BLOCK;
}

int cache_block_read(int fd, const struct cache_vkey *v, uint64_t block, uint32_t crc, void *buf)
{
    size_t len = block_len(v, block);
    int r = sys_pread_all(fd, buf, len, block * CACHE_BLOCK);

    return r == 0 && cache_block_crc(v, block, buf, len) != crc ? -EBADMSG : r;
}

/* A block did not agree with its CRC, or its file is not there: looks again with writers and
 * evictors away (the file may have been replaced meanwhile) and takes out of the map what really is
 * wrong. */
static bool confirm_block(struct cache *c, const struct cache_vkey *v, uint64_t block, void *buf)
{
    struct cache_fd *f = NULL;
    struct cache_rec_blk map;
    uint32_t at = (uint32_t)(block % CACHE_CHUNK);
    uint64_t freed;
    int r = -ENOENT;

    lock_take(cache_version_lock(c, v));
    cache_fd_forget(c, v);
    cache_map_get(c, v, block / CACHE_CHUNK, &map);
    if (cache_blk_has(&map, at)) {
        r = cache_fd_get(c, v, &f);
        if (r == 0)
            r = cache_block_read(f->fd, v, block, map.crc[at], buf);
        cache_fd_put(c, f);
        if (r == -ENOENT) { /* a kill in the middle of an eviction leaves the records */
            (void)!cache_version_remove(c, v, &freed);
        } else if (r < 0) {
            cache_health_bad(c, r, "blocks");
            c->count.corrupt++;
            cache_map_unset(c, v, block);
        }
    }
    lock_drop(cache_version_lock(c, v));
    return r == 0;
}

struct reading {
    struct cache_vkey v;
    struct cache_rec_blk map;
    uint64_t chunk; /* that map is of; UINT64_MAX: none */
    struct cache_fd *f;
    void *scratch;
};

/* Brings a whole block, checked, into buf. */
static bool fetch_block(struct cache *c, struct reading *rd, uint64_t block, void *buf)
{
    uint32_t at = (uint32_t)(block % CACHE_CHUNK);

    if (rd->chunk != block / CACHE_CHUNK) {
        rd->chunk = block / CACHE_CHUNK;
        cache_map_get(c, &rd->v, rd->chunk, &rd->map);
    }
    if (!cache_blk_has(&rd->map, at))
        return false;
    if (rd->f == NULL && cache_fd_get(c, &rd->v, &rd->f) < 0)
        return confirm_block(c, &rd->v, block, buf);
    return cache_block_read(rd->f->fd, &rd->v, block, rd->map.crc[at], buf) == 0 ||
           confirm_block(c, &rd->v, block, buf);
}

static size_t read_blocks(struct cache *c, struct reading *rd, uint64_t off, uint8_t *buf,
                          size_t len)
{
    size_t done = 0;

    while (done < len) {
        uint64_t block = (off + done) / CACHE_BLOCK;
        size_t skip = (size_t)((off + done) % CACHE_BLOCK), whole = block_len(&rd->v, block), n;

        if (skip == 0 && len - done >= whole) {
            if (!fetch_block(c, rd, block, buf + done))
                break;
            done += whole;
            continue;
        }
        if (rd->scratch == NULL)
            rd->scratch = cache_buffer_get(c);
        if (rd->scratch == NULL || !fetch_block(c, rd, block, rd->scratch))
            break;
        n = whole - skip < len - done ? whole - skip : len - done;
        memcpy(buf + done, (uint8_t *)rd->scratch + skip, n);
        done += n;
    }
    return done;
}

ssize_t cache_read(struct cache *c, const struct cache_id *id, uint64_t off, void *buf, size_t len)
{
    struct reading rd = {.chunk = UINT64_MAX};
    size_t n = 0;

    if (off >= id->size || len == 0)
        return 0;
    if (len > id->size - off)
        len = (size_t)(id->size - off);
    if (len > SSIZE_MAX)
        len = SSIZE_MAX;
    if (store_etag_is_set(id->etag)) {
        cache_vkey(id->key, id->etag, id->size, &rd.v);
        n = read_blocks(c, &rd, off, buf, len);
    }
    cache_fd_put(c, rd.f);
    cache_buffer_put(c, rd.scratch);
    if (n == 0) {
        c->count.misses++;
        return 0;
    }
    c->count.hits++;
    cache_touch(c, &rd.v);
    return (ssize_t)n;
}

bool cache_missing(struct cache *c, const struct cache_id *id, uint64_t off, uint64_t len,
                   uint64_t *ret_off, uint64_t *ret_len)
{
    struct cache_rec_blk map = {0};
    struct cache_vkey v;
    uint64_t b, end, loaded = UINT64_MAX, start = UINT64_MAX;
    bool known = store_etag_is_set(id->etag);

    if (off >= id->size || len == 0)
        return false;
    if (len > id->size - off)
        len = id->size - off;
    end = (off + len - 1) / CACHE_BLOCK + 1;
    if (known)
        cache_vkey(id->key, id->etag, id->size, &v);
    for (b = off / CACHE_BLOCK; b < end; b++) {
        bool here;

        if (known && loaded != b / CACHE_CHUNK) {
            loaded = b / CACHE_CHUNK;
            cache_map_get(c, &v, loaded, &map);
        }
        here = known && cache_blk_has(&map, (uint32_t)(b % CACHE_CHUNK));
        if (!here && start == UINT64_MAX)
            start = b;
        if (here && start != UINT64_MAX)
            break;
    }
    if (start == UINT64_MAX)
        return false;
    *ret_off = start * CACHE_BLOCK;
    *ret_len = (b * CACHE_BLOCK < id->size ? b * CACHE_BLOCK : id->size) - *ret_off;
    return true;
}

/* --- writing --- */

/* A new file has none of the blocks that the index may know of one before it. */
static int open_for_writing(struct cache *c, const struct cache_vkey *v)
{
    char path[PATH_MAX];
    uint64_t freed;
    int fd;

    cache_block_path(c, v, path);
    fd = sys_open(path, O_RDWR | O_NOFOLLOW, 0600);
    if (fd != -ENOENT)
        return fd;
    if (cache_version_known(c, v) == 0)
        (void)!cache_version_remove(c, v, &freed);
    fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (fd == -ENOENT && cache_block_file_make_dir(c, v) == 0)
        fd = sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    return fd;
}

static uint32_t *crcs_of(const struct cache_vkey *v, uint64_t first, const uint8_t *data,
                         size_t len, size_t *ret_n)
{
    size_t n = (len + CACHE_BLOCK - 1) / CACHE_BLOCK;
    uint32_t *crcs = calloc(n, sizeof(*crcs));

    for (size_t i = 0; i < n && crcs != NULL; i++)
        crcs[i] = cache_block_crc(v, first + i, data + i * CACHE_BLOCK, block_len(v, first + i));
    *ret_n = n;
    return crcs;
}

static int write_version(struct cache *c, const struct cache_vkey *v, uint64_t off, const void *buf,
                         size_t len, struct cache_due *due)
{
    _cleanup_free_ uint32_t *crcs = NULL;
    _cleanup_close_ int fd = -1;
    size_t n;
    int r;

    crcs = crcs_of(v, off / CACHE_BLOCK, buf, len, &n);
    if (crcs == NULL)
        return -ENOMEM;
    fd = open_for_writing(c, v);
    if (fd < 0)
        return fd;
    r = sys_pwrite_all(fd, buf, len, off);
    if (r < 0)
        return r;
    crash_point("cache.block_written");
    return cache_map_blocks(c, v, off / CACHE_BLOCK, crcs, n, cache_alloc_of(fd), due);
}

void cache_write(struct cache *c, const struct cache_id *id, uint64_t off, const void *buf,
                 size_t len)
{
    struct cache_due due = {.account = &c->used.pending, .bytes = len};
    struct cache_vkey v;
    uint64_t freed;
    int r;

    if (len == 0 || off % CACHE_BLOCK != 0 || off >= id->size || len > id->size - off ||
        (len % CACHE_BLOCK != 0 && off + len != id->size) || !store_etag_is_set(id->etag))
        return;
    if (c->meta == NULL || meta_failed(c->meta))
        return;
    cache_vkey(id->key, id->etag, id->size, &v);
    c->used.pending += due.bytes;
    if (cache_evict_room(c, len) ==
        0) { /* else all that is here is staged: clean blocks have to wait */
        lock_take(cache_version_lock(c, &v));
        r = write_version(c, &v, off, buf, len, &due);
        if (r < 0) { /* what it takes of the disk is then in no record */
            c->count.errors++;
            cache_health_bad(c, r, "blocks");
            (void)!cache_version_remove(c, &v, &freed);
        }
        lock_drop(cache_version_lock(c, &v));
    }
    c->used.pending -= due.bytes;
}
