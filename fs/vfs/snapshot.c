/* SPDX-License-Identifier: Apache-2.0 */
/* The names that an open directory shows, in memory or in a file of the cache. In the file they
 * stand one behind the other, in pages of a fixed number, each with a sum: a disk that has changed
 * them is noticed. */
#include "listroom.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"

#define PAGE_N 64
#define RECORD_MAX (sizeof(struct record) + VFS_KEY_MAX + 1 + sizeof(((struct store_etag *)0)->s))

struct snapshot_page {
    uint64_t off, sum;
};

struct record { /* then the name and the ETag, a NUL behind each */
    uint64_t size;
    int64_t mtime_ns;
    uint16_t name_len, etag_len;
    uint8_t is_prefix, has_hdrs;
    uint16_t zero; /* no hole: all of it is written */
};

static uint64_t bytes_in_file(const struct cache_listing *l)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < l->n; i++)
        sum += sizeof(struct record) + strlen(l->v[i].name) + strlen(l->v[i].etag) + 2;
    return sum;
}

static void add_record(struct buf *b, const struct cache_dirent *d)
{
    struct record rec = {.size = d->size,
                         .mtime_ns = d->mtime_ns,
                         .is_prefix = d->is_prefix,
                         .has_hdrs = d->has_hdrs};

    rec.name_len = (uint16_t)strlen(d->name);
    rec.etag_len = (uint16_t)strlen(d->etag);
    buf_add(b, &rec, sizeof(rec));
    buf_add(b, d->name, (size_t)rec.name_len + 1);
    buf_add(b, d->etag, (size_t)rec.etag_len + 1);
}

static int write_pages(const struct cache_listing *l, int fd, struct snapshot_page *pages)
{
    _cleanup_buf_ struct buf b = BUF_INIT(PAGE_N * RECORD_MAX);
    uint64_t off = 0;
    int r = 0;

    for (size_t i = 0; i < l->n && r == 0; i++) {
        if (i % PAGE_N == 0)
            pages[i / PAGE_N].off = off;
        add_record(&b, &l->v[i]);
        if (b.error != 0)
            return b.error;
        if ((i + 1) % PAGE_N != 0 && i + 1 < l->n)
            continue;
        pages[i / PAGE_N].sum = str_hash(b.data, b.len);
        r = sys_pwrite_all(fd, b.data, b.len, off);
        off += b.len;
        buf_reset(&b);
    }
    pages[(l->n + PAGE_N - 1) / PAGE_N].off = off;
    return r;
}

static int write_file(struct dir_snapshot *s, struct cache_stage *file, struct snapshot_page *pages)
{
    int r = cache_stage_reserve(file, bytes_in_file(&s->list)),
        fd = r == 0 ? cache_stage_write_fd(file) : r;

    if (fd < 0)
        return fd;
    r = write_pages(&s->list, fd, pages);
    if (r < 0 && r != -ENOMEM)
        cache_disk_failed(s->v->cache, r);
    cache_stage_rest(file);
    return r;
}

/* To the file, or nothing has happened. */
static int spill(struct dir_snapshot *s)
{
    size_t n = (s->list.n + PAGE_N - 1) / PAGE_N + 1;
    struct snapshot_page *pages = calloc(n, sizeof(*pages));
    struct cache_stage *file = NULL;
    int r = pages != NULL ? cache_stage_new(s->v->cache, &file) : -ENOMEM;

    if (r == 0)
        r = write_file(s, file, pages);
    if (r < 0) {
        cache_stage_free(file);
        free(pages);
        return r;
    }
    s->file = file;
    s->pages = pages;
    cache_listing_done(&s->list);
    s->counted = n * sizeof(*pages);
    return 0;
}

void snapshot_keep(struct dir_snapshot *s)
{
    uint64_t bytes = cache_listing_memory(&s->list);

    s->n = s->list.n;
    if (!budget_try(&s->v->kept, bytes, s->v->kept.max != 0 ? s->v->kept.max : UINT64_MAX)) {
        if (spill(s) < 0)
            s->counted = bytes;
        budget_add(&s->v->kept, s->counted);
    } else {
        s->counted = bytes;
    }
}

void snapshot_free(struct dir_snapshot *s)
{
    if (s == NULL)
        return;
    budget_give(&s->v->kept, s->counted);
    cache_listing_done(&s->list);
    cache_stage_free(s->file);
    free(s->pages);
    free(s);
}

void snapshot_cursor_done(struct snapshot_cursor *c)
{
    free(c->v);
    free(c->bytes);
    c->v = NULL;
    c->bytes = NULL;
    c->n = 0;
}

/* What was written, its sum says. */
static void take_records(struct snapshot_cursor *c, const char *at)
{
    for (size_t i = 0; i < c->n; i++) {
        struct record rec;

        memcpy(&rec, at, sizeof(rec));
        at += sizeof(rec);
        c->v[i] = (struct cache_dirent){.name = at,
                                        .etag = at + rec.name_len + 1,
                                        .size = rec.size,
                                        .mtime_ns = rec.mtime_ns,
                                        .is_prefix = rec.is_prefix,
                                        .has_hdrs = rec.has_hdrs};
        at += rec.name_len + rec.etag_len + 2;
    }
}

static int read_page(struct snapshot_cursor *c, size_t page)
{
    const struct snapshot_page *p = &c->s->pages[page];
    size_t len = (size_t)(p[1].off - p->off), left = c->s->n - page * PAGE_N;
    int r, fd;

    snapshot_cursor_done(c);
    c->v = calloc(PAGE_N, sizeof(*c->v));
    c->bytes = malloc(len);
    if (c->v == NULL || c->bytes == NULL)
        return err_set(-ENOMEM, "out of memory");
    fd = cache_stage_fd(c->s->file);
    if (fd < 0)
        return fd;
    r = sys_pread_all(fd, c->bytes, len, p->off);
    cache_stage_rest(c->s->file);
    if (r < 0) {
        cache_disk_failed(c->s->v->cache, r);
        return err_set(r, "cache: names of an open directory: %s", strerror(-r));
    }
    if (str_hash(c->bytes, len) != p->sum)
        return err_set(-EIO, "cache: names of an open directory are not what was written");
    c->first = page * PAGE_N;
    c->n = left < PAGE_N ? left : PAGE_N;
    take_records(c, c->bytes);
    return 0;
}

int snapshot_get(struct snapshot_cursor *c, size_t i, const struct cache_dirent **ret)
{
    int r = 0;

    if (c->s->file == NULL) {
        *ret = &c->s->list.v[i];
        return 0;
    }
    if (i < c->first || i >= c->first + c->n)
        r = read_page(c, i / PAGE_N);
    if (r == 0)
        *ret = &c->v[i - c->first];
    else
        snapshot_cursor_done(c);
    return r;
}
