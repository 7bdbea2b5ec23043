/* SPDX-License-Identifier: Apache-2.0 */
/* The cache's life: new (before the fork), start, stop, free. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/resource.h>

#include "base/err.h"
#include "layout.h"
#include "priv.h"

static void init_locks(struct cache *c)
{
    for (unsigned i = 0; i < CACHE_STRIPES; i++) {
        lock_init(&c->listing[i], (enum lock_rank)CACHE_LOCK_LIST);
        lock_init(&c->version[i], (enum lock_rank)CACHE_LOCK_VERSION);
    }
    lock_init(&c->evict.lock, (enum lock_rank)CACHE_LOCK_EVICT);
    lock_init(&c->evict.wake_lock, (enum lock_rank)CACHE_LOCK_LEAF);
    cond_init(&c->evict.wake);
    lock_init(&c->fds.lock, (enum lock_rank)CACHE_LOCK_LEAF);
    lock_init(&c->touches.lock, (enum lock_rank)CACHE_LOCK_LEAF);
    lock_init(&c->drops.lock, (enum lock_rank)CACHE_LOCK_LEAF);
    lock_init(&c->doubts.lock, (enum lock_rank)CACHE_LOCK_LEAF);
    lock_init(&c->health.lock, (enum lock_rank)CACHE_LOCK_LEAF);
    lock_init(&c->buffers.lock, (enum lock_rank)CACHE_LOCK_LEAF);
}

static void done_locks(struct cache *c)
{
    for (unsigned i = 0; i < CACHE_STRIPES; i++) {
        lock_done(&c->listing[i]);
        lock_done(&c->version[i]);
    }
    lock_done(&c->evict.lock);
    cond_done(&c->evict.wake);
    lock_done(&c->evict.wake_lock);
    lock_done(&c->fds.lock);
    lock_done(&c->touches.lock);
    lock_done(&c->drops.lock);
    lock_done(&c->doubts.lock);
    lock_done(&c->health.lock);
    lock_done(&c->buffers.lock);
}

int cache_new(const struct cache_conf *conf, struct cache **ret)
{
    struct cache *c = calloc(1, sizeof(*c));
    int r;

    if (c == NULL)
        return err_set(-ENOMEM, "cache: out of memory");
    c->max_bytes = conf->max_bytes;
    c->min_free = conf->min_free;
    c->drops.lost_ns = INT64_MIN;
    c->check = conf->check;
    r = c->check == CACHE_CHECK_NONE
            ? layout_open(conf->dir, conf->source, conf->held_fd, &c->dir, &c->lock_fd)
            : layout_open_existing(conf->dir, conf->source, &c->dir, &c->lock_fd);
    if (r < 0) {
        free(c);
        return r;
    }
    init_locks(c);
    *ret = c;
    return 0;
}

int cache_lock_fd(const struct cache *c)
{
    return c->lock_fd;
}

int cache_start(struct cache *c)
{
    struct rlimit files;
    int r;

    err_clear();
    seal_boot_id(c->boot_id);
    c->boot = seal_boot_tag(c->boot_id);
    c->stage_fds_many = getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur / 4 < UINT_MAX
                            ? (unsigned)(files.rlim_cur / 4)
                            : UINT_MAX;
    r = layout_write_pid(c->lock_fd); /* the daemon's own: it has forked since */
    if (r < 0)
        return err_set(r, "cache directory %s: lock: %s", c->dir, strerror(-r));
    r = cache_index_start(c);
    if (r < 0)
        return r;
    if (c->check == CACHE_CHECK_NONE)
        r = cache_evict_start(c);
    if (r < 0)
        cache_index_stop(c);
    return r;
}

void cache_stop(struct cache *c)
{
    cache_evict_stop(c);
    if (c->meta != NULL)
        cache_touch_flush(c);
    cache_index_stop(c);
}

void cache_free(struct cache *c)
{
    if (c == NULL)
        return;
    cache_stop(c);
    cache_fds_done(c);
    for (size_t i = 0; i < c->buffers.n; i++)
        free(c->buffers.v[i]);
    done_locks(c);
    close(c->lock_fd); /* not LOCK_UN: the other side of a fork may go on */
    free(c->dir);
    free(c);
}
