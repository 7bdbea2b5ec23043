/* SPDX-License-Identifier: Apache-2.0 */
/* Is the cache's disk well? Everything that fails on it is told here. Nothing is done otherwise by
 * it: each call tries for itself, so caching goes on as soon as the disk lets it; reads do without,
 * and writers are told. What is here is for people: one line in the log when it begins and one when
 * it is over, and what the status says. */
#include "priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/sys.h"

#define SETTLED_NS (600 * NS_PER_S) /* well for so long: the next trouble is another one */
#define HOLD_MIN_NS (10 * NS_PER_S)

/* Not the disk's: the process has too little of something, or a record was damaged. */
static bool is_of_disk(int error)
{
    return error != -ENOMEM && error != -EMFILE && error != -ENFILE && error != -EBADMSG &&
           error != -ENOENT;
}

void cache_health_bad(struct cache *c, int error, const char *what)
{
    struct cache_health *h = &c->health;
    int64_t now = clock_boot_ns();
    bool begins;

    if (!is_of_disk(error))
        return;
    lock_take(&h->lock);
    begins = h->error == 0;
    h->bad_ns = now;
    if (begins) {
        h->error = error;
        h->since_ns = now;
        h->times++;
        if (h->well_ns == 0 || now - h->well_ns > SETTLED_NS)
            h->hold_ns = 0;
        else if (h->hold_ns < SETTLED_NS) /* it comes and goes: not a line for each time */
            h->hold_ns = h->hold_ns == 0 ? HOLD_MIN_NS : 2 * h->hold_ns;
    }
    lock_drop(&h->lock);
    if (begins)
        log_warn("cache.degraded",
                 "dir=%s at=%s cause=%s effect=\"reads go to the bucket, writes may be refused\"",
                 LOG_Q(c->dir), LOG_Q(what), LOG_Q(strerror(-error)));
}

/* A file can be made, written, synced and read, and there is room for a block. */
static int try_disk(const struct cache *c)
{
    static const char bytes[4096];
    _cleanup_close_ int fd = -1;
    char path[PATH_MAX], back[sizeof(bytes)];
    uint64_t room, total;
    int r;

    if (sys_free_bytes(c->dir, &room, &total) < 0 || room < CACHE_BLOCK ||
        room - CACHE_BLOCK < c->min_free)
        return -ENOSPC;
    snprintf(path, sizeof(path), "%s/stage/probe", c->dir); /* stages have numbers */
    fd = sys_open(path, O_RDWR | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return fd;
    r = sys_pwrite_all(fd, bytes, sizeof(bytes), 0);
    if (r == 0)
        r = sys_fdatasync(fd);
    if (r == 0)
        r = sys_pread_all(fd, back, sizeof(back), 0);
    if (r == 0 && memcmp(back, bytes, sizeof(back)) != 0)
        r = -EIO;
    if (sys_unlink(path) < 0 && r == 0)
        r = -EIO;
    return r;
}

void cache_health_look(struct cache *c)
{
    struct cache_health *h = &c->health;
    int64_t now = clock_boot_ns(), bad_ns, since_ns = 0;
    bool is_due, is_over = false;

    lock_take(&h->lock);
    bad_ns = h->bad_ns;
    is_due = h->error != 0 && now - bad_ns >= h->hold_ns;
    lock_drop(&h->lock);
    if (!is_due || meta_failed(c->meta) || try_disk(c) < 0)
        return;
    lock_take(&h->lock);
    if (h->bad_ns == bad_ns) { /* nothing failed meanwhile */
        is_over = true;
        since_ns = h->since_ns;
        h->error = 0;
        h->well_ns = now;
    }
    lock_drop(&h->lock);
    if (is_over)
        log_info("cache.recovered", "dir=%s after_s=%" PRId64, LOG_Q(c->dir),
                 (now - since_ns) / NS_PER_S);
}

void cache_health_get(struct cache *c, struct cache_stats *ret)
{
    struct cache_health *h = &c->health;

    lock_take(&h->lock);
    ret->degraded = h->error;
    ret->degraded_ns = h->error != 0 ? clock_boot_ns() - h->since_ns : 0;
    ret->degraded_times = h->times;
    lock_drop(&h->lock);
}

void cache_disk_failed(struct cache *c, int error)
{
    cache_health_bad(c, error, "stage");
}
