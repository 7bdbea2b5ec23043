/* SPDX-License-Identifier: Apache-2.0 */
/* Puts a read together: staged bytes, zeros, cached blocks, and what has to be asked of the bucket. */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/sys.h"
#include "internal.h"

struct cache_id file_base_id(const struct data_file *f)
{
    return (struct cache_id){.key = f->key, .etag = &f->etag, .size = f->base_size};
}

struct seg file_seg(const struct data_file *f, uint64_t off, uint64_t end)
{
    const struct extents *sets[2] = {&f->dirty, &f->local};
    struct data_extent x;
    uint64_t limit = end;
    for (unsigned i = 0; i < 2; i++) {
        if (!extents_next(sets[i], off, limit, &x))
            continue;
        if (x.off == off)
            return (struct seg){SEG_STAGE, x.len};
        limit = x.off;
    }
    if (off >= f->base_valid)
        return (struct seg){SEG_ZERO, limit - off};
    return (struct seg){SEG_BASE, (limit < f->base_valid ? limit : f->base_valid) - off};
}

/* The pattern of a reader of a large object, noted once a read. */
struct pattern {
    bool is_on, is_pending;
    struct prefetch_want want;
};

static void pattern_note(struct data *d, struct data_file *f, const struct cache_id *id,
                         uint64_t off, uint64_t len, struct pattern *ret)
{
    *ret = (struct pattern){.want = {.window = CACHE_BLOCK}};
    if (!f || id->size <= d->conf.whole_max)
        return;
    struct prefetch_conf conf = {.unit = d->conf.range_size, .ahead = d->conf.read_ahead};
    lock_take(&f->lock);
    prefetch_note(&f->locked.prefetch, &conf, off, len, id->size, &ret->want);
    lock_drop(&f->lock);
    ret->is_on = true;
    ret->is_pending = ret->want.ahead_len > 0;
}

/* After the request for what is needed now has been sent. */
static void pattern_apply(struct data *d, const struct cache_id *id, struct pattern *p)
{
    if (!p->is_pending)
        return;
    p->is_pending = false;
    uint64_t off = p->want.ahead_off, end = off + p->want.ahead_len;
    for (uint64_t n; off < end; off += n) {
        n = end - off < p->want.chunk ? end - off : p->want.chunk;
        flight_ahead(d, id, (struct flight_range){off, n});
    }
}

/* What to ask for when the byte at off is missing. */
static struct flight_range range_for(struct data *d, const struct cache_id *id, uint64_t off,
                                     const struct pattern *p, size_t len)
{
    if (id->size <= d->conf.whole_max)
        return (struct flight_range){0, id->size};
    uint64_t from = off / CACHE_BLOCK * CACHE_BLOCK;
    uint64_t end = off + (p->want.window > len ? p->want.window : len);
    end = (end + CACHE_BLOCK - 1) / CACHE_BLOCK * CACHE_BLOCK;
    if (end > from + d->conf.range_size)
        end = from + d->conf.range_size;
    if (end > id->size)
        end = id->size;
    struct flight_range gap;
    /* A block that is there and yet could not be read is asked for again. */
    if (!cache_missing(d->cache, id, from, end - from, &gap.off, &gap.len) || gap.off > from)
        return (struct flight_range){from, end - from < CACHE_BLOCK ? end - from : CACHE_BLOCK};
    return gap;
}

/* Some bytes at off, from a request; 0: look into the cache again. A read ahead that failed is not this reader's
 * failure: it asks itself. */
static ssize_t from_bucket(struct data *d, const struct cache_id *id, uint64_t off, unsigned epoch,
                           void *buf, size_t len, struct pattern *p)
{
    struct flight *fl;
    int r = flight_get(d, id, off, epoch, range_for(d, id, off, p, len), &fl);
    if (r == FLIGHT_AGAIN)
        return 0;
    if (r != 0)
        return r;
    pattern_apply(d, id, p);
    r = flight_wait(fl);
    bool is_ahead = flight_is_ahead(fl);
    size_t n = r == 0 ? flight_copy(fl, off, buf, len) : 0;
    flight_unref(fl);
    if (n > 0)
        return (ssize_t)n;
    if (r == 0)
        return err_set(-EIO, "%s: a request did not bring what it was sent for", id->key);
    return is_ahead && r != -ESTALE ? 0 : r;
}

int base_read(struct data *d, struct data_file *f, const struct cache_id *id, uint64_t off,
              void *buf, size_t len)
{
    struct pattern p;
    pattern_note(d, f, id, off, len, &p);
    for (char *to = buf; len > 0;) {
        unsigned epoch = flight_epoch(d, id);
        ssize_t n = cache_read(d->cache, id, off, to, len);
        if (n <= 0)
            n = from_bucket(d, id, off, epoch, to, len, &p);
        if (n < 0)
            return (int)n;
        to += n;
        off += (uint64_t)n;
        len -= (size_t)n;
    }
    pattern_apply(d, id, &p);
    return 0;
}

size_t base_here(struct data *d, const struct cache_id *id, uint64_t off, void *buf, size_t len)
{
    for (;;) {
        unsigned epoch = flight_epoch(d, id);
        ssize_t n = cache_read(d->cache, id, off, buf, len);
        if (n <= 0)
            n = (ssize_t)flight_peek(d, id, off, buf, len);
        if (n > 0)
            return (size_t)n;
        if (epoch == flight_epoch(d, id)) /* none has handed its bytes to the cache in between */
            return 0;
    }
}

static int read_seg(struct data_file *f, struct seg seg, uint64_t off, void *buf, bool plan_ahead)
{
    size_t len = (size_t)seg.len;
    int fd;
    switch (seg.kind) {
    case SEG_STAGE:
        fd = cache_stage_fd(f->stage);
        return fd < 0 ? -EIO : sys_pread_all(fd, buf, len, off);
    case SEG_ZERO:
        memset(buf, 0, len);
        return 0;
    case SEG_BASE:
        break;
    }
    struct cache_id id = file_base_id(f);
    return base_read(f->d, plan_ahead ? f : NULL, &id, off, buf, len);
}

ssize_t file_read(struct data_file *f, uint64_t off, void *buf, size_t len, bool plan_ahead)
{
    if (f->is_kept)
        return err_set(-ESTALE, "%s: its bytes were moved to lost+found", f->key);
    if (off >= f->size)
        return 0;
    if (len > SSIZE_MAX)
        len = SSIZE_MAX;
    if (len > f->size - off)
        len = (size_t)(f->size - off);
    for (size_t done = 0; done < len;) {
        struct seg seg = file_seg(f, off + done, off + len);
        int r = read_seg(f, seg, off + done, (char *)buf + done, plan_ahead);
        if (r != 0)
            return r;
        done += (size_t)seg.len;
    }
    return (ssize_t)len;
}

ssize_t data_read(struct data_file *f, uint64_t off, void *buf, size_t len)
{
    file_read_begin(f);
    ssize_t r = file_read(f, off, buf, len, true);
    file_read_end(f);
    return r;
}

int data_open_whole(struct data_file *f, uint64_t compare_max)
{
    int r = -ENOENT;

    file_read_begin(f);
    if (f->d->cache != NULL && f->has_base && f->change == f->committed && f->size == f->base_size) {
        const struct cache_id id = file_base_id(f);

        r = cache_open_whole(f->d->cache, &id, compare_max);
    }
    file_read_end(f);
    return r;
}
