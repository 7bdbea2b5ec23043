/* SPDX-License-Identifier: Apache-2.0 */
/* Staged bytes: DIR/stage/N, one file for each writer. They count against the limits and are never
 * evicted. */
#include "stage.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/sys.h"

void cache_stage_opened(struct cache_stage *s, int fd)
{
    s->fd = fd < 0 ? -1 : fd;
    if (fd >= 0)
        atomic_fetch_add(&s->cache->stage_fds, 1);
}

void cache_stage_close(struct cache_stage *s)
{
    int fd = atomic_exchange(&s->fd, -1);

    if (fd < 0)
        return;
    close(fd);
    atomic_fetch_sub(&s->cache->stage_fds, 1);
}

bool cache_stages_are_many(const struct cache *c)
{
    return atomic_load(&c->stage_fds) > c->stage_fds_many;
}

static int open_stage(struct cache_stage *s, const char *from)
{
    int r;

    if (from == NULL)
        return cache_open_waiting(s->cache, s->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW);
    r = sys_link(from, s->path);
    return r < 0 ? r : cache_open_waiting(s->cache, s->path, O_RDWR | O_NOFOLLOW);
}

/* from: the file whose bytes it has; NULL: a new, empty one. */
static int make_stage(struct cache *c, const char *from, struct cache_stage **ret)
{
    struct cache_stage *s = calloc(1, sizeof(*s));
    int n, fd;

    if (s == NULL)
        return err_set(-ENOMEM, "cache: out of memory");
    s->cache = c;
    n = asprintf(&s->path, "%s/stage/%llu", c->dir, (unsigned long long)++c->sequence);
    if (n < 0) {
        free(s);
        return err_set(-ENOMEM, "cache: out of memory");
    }
    fd = open_stage(s, from);
    if (fd == -ENOSPC) {
        cache_evict_some(c, 1);
        fd = open_stage(s, from);
    }
    if (fd < 0) {
        int r = err_set(fd, "cache: staging file: %s", strerror(-fd));

        c->count.errors++;
        cache_health_bad(c, r, "stage");
        if (from != NULL)
            (void)!sys_unlink(s->path);
        free(s->path);
        free(s);
        return r;
    }
    cache_stage_opened(s, fd);
    crash_point("cache.stage_made");
    *ret = s;
    return 0;
}

int cache_stage_new(struct cache *c, struct cache_stage **ret)
{
    return make_stage(c, NULL, ret);
}

int cache_stage_of(struct cache *c, const char *path, uint64_t alloc, struct cache_stage **ret)
{
    int r = make_stage(c, path, ret);

    if (r == 0)
        (*ret)->shared = alloc;
    return r;
}

static int open_again(struct cache_stage *s, int flags)
{
    int none = -1, fd = cache_open_waiting(s->cache, s->path, flags | O_NOFOLLOW);

    if (fd < 0)
        return fd;
    if (atomic_compare_exchange_strong(&s->fd, &none, fd)) {
        atomic_fetch_add(&s->cache->stage_fds, 1);
        return fd;
    }
    close(fd); /* another reader was faster */
    return none;
}

static int cannot_open(struct cache_stage *s, int error)
{
    s->cache->count.errors++;
    cache_health_bad(s->cache, error, "stage");
    return err_set(error, "cache: staging file: %s", strerror(-error));
}

int cache_stage_fd(struct cache_stage *s)
{
    int fd = atomic_load(&s->fd);

    if (fd >= 0)
        return fd;
    fd = open_again(s, O_RDWR);
    if (fd == -EROFS) { /* to be read and sent it is good enough */
        atomic_store(&s->is_read_only, true);
        fd = open_again(s, O_RDONLY);
    }
    return fd < 0 ? cannot_open(s, fd) : fd;
}

int cache_stage_write_fd(struct cache_stage *s)
{
    int fd;

    if (atomic_exchange(&s->is_read_only, false))
        cache_stage_rest(s);
    fd = atomic_load(&s->fd);
    if (fd < 0)
        fd = open_again(s, O_RDWR);
    return fd < 0 ? cannot_open(s, fd) : fd;
}

void cache_stage_rest(struct cache_stage *s)
{
    if (s->path != NULL)
        cache_stage_close(s);
}

bool cache_stage_is_bad(const struct cache_stage *s)
{
    return s->bad;
}

static void account(struct cache_stage *s, uint64_t bytes)
{
    bytes -= bytes < s->shared ? bytes : s->shared;
    s->cache->used.staged += bytes - s->accounted; /* may go down: unsigned arithmetic wraps back */
    s->accounted = bytes;
}

int cache_stage_reserve(struct cache_stage *s, uint64_t bytes)
{
    struct cache *c = s->cache;
    uint64_t alloc = cache_alloc_of(cache_stage_fd(s));

    /* What was reserved before has been written or will not be: the file itself says what it takes.
     */
    account(s, alloc + bytes);
    if (cache_evict_room(c, bytes) == 0)
        return 0;
    account(s, alloc);
    return err_set(-ENOSPC, "cache: no room for %llu bytes more (%llu are staged)",
                   (unsigned long long)bytes, (unsigned long long)c->used.staged);
}

void cache_stage_share(struct cache_stage *s, uint64_t alloc)
{
    s->shared = alloc;
    account(s, cache_alloc_of(cache_stage_fd(s)));
}

/* --- adopt --- */

static int map_chunk(struct cache_stage *s, const struct cache_vkey *v, uint64_t first, void *buf)
{
    struct cache_due due = {.account = &s->cache->used.staged, .bytes = s->accounted};
    uint32_t crcs[CACHE_CHUNK];
    uint64_t size = cache_vkey_size(v);
    size_t n = 0;
    int r;

    for (; n < CACHE_CHUNK && (first + n) * CACHE_BLOCK < size; n++) {
        uint64_t off = (first + n) * CACHE_BLOCK;
        size_t len = size - off < CACHE_BLOCK ? (size_t)(size - off) : CACHE_BLOCK;

        r = sys_pread_all(cache_stage_fd(s), buf, len, off);
        if (r < 0)
            return r;
        crcs[n] = cache_block_crc(v, first + n, buf, len);
    }
    r = cache_map_blocks(s->cache, v, first, crcs, n, cache_alloc_of(cache_stage_fd(s)), &due);
    s->accounted = due.bytes;
    return r;
}

static int move_to_blocks(struct cache_stage *s, const struct cache_vkey *v)
{
    char path[PATH_MAX];
    int r;

    cache_block_path(s->cache, v, path);
    r = sys_rename(s->path, path);
    if (r != -ENOENT)
        return r;
    r = cache_block_file_make_dir(s->cache, v);
    return r < 0 ? r : sys_rename(s->path, path);
}

/* Under the version's stripe. */
static int adopt(struct cache_stage *s, const struct cache_vkey *v, void *buf)
{
    struct cache *c = s->cache;
    uint64_t freed, size = cache_vkey_size(v);
    int r = sys_ftruncate(cache_stage_fd(s), size);

    if (r == 0)
        r = move_to_blocks(s, v);
    if (r < 0)
        return r;
    crash_point("cache.adopted");
    free(s->path);
    s->path = NULL;
    cache_fd_forget(c, v);
    for (uint64_t first = 0; first * CACHE_BLOCK < size && r == 0; first += CACHE_CHUNK)
        r = map_chunk(s, v, first, buf);
    if (r < 0)
        (void)!cache_version_remove(c, v, &freed);
    return r;
}

void cache_stage_adopt(struct cache_stage *s, const struct cache_id *id)
{
    struct cache *c = s->cache;
    struct cache_vkey v;
    void *buf;
    int r;

    if (id->size > 0 && store_etag_is_set(id->etag) && c->meta != NULL && !meta_failed(c->meta)) {
        cache_vkey(id->key, id->etag, id->size, &v);
        buf = cache_buffer_get(c);
        lock_take(cache_version_lock(c, &v));
        r = buf != NULL ? adopt(s, &v, buf) : -ENOMEM;
        lock_drop(cache_version_lock(c, &v));
        cache_buffer_put(c, buf);
        if (r < 0) {
            c->count.errors++;
            cache_health_bad(c, r, "blocks");
        }
    }
    cache_stage_free(s);
}

void cache_stage_free(struct cache_stage *s)
{
    if (s == NULL)
        return;
    account(s, 0);
    cache_stage_close(s);
    if (s->path != NULL)
        (void)!sys_unlink(s->path);
    free(s->path);
    free(s);
}
