/* SPDX-License-Identifier: Apache-2.0 */
/* Sorted byte ranges. See extents.h. */
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "extents.h"

static uint64_t end_of(const struct data_extent *x)
{
    return x->off + x->len;
}

void extents_done(struct extents *e)
{
    free(e->v);
    *e = (struct extents){0};
}

void extents_clear(struct extents *e)
{
    e->n = 0;
    e->total = 0;
}

int extents_reserve(struct extents *e, size_t more)
{
    if (e->cap - e->n >= more)
        return 0;
    size_t cap = e->cap + e->cap / 2;
    if (cap < e->n + more)
        cap = e->n + more;
    if (cap < 8)
        cap = 8;
    if (cap > SIZE_MAX / sizeof(*e->v))
        return err_set(-ENOMEM, "too many dirty ranges in one file");
    struct data_extent *v = realloc(e->v, cap * sizeof(*v));
    if (!v)
        return err_set(-ENOMEM, "no memory for the ranges of a file");
    e->v = v;
    e->cap = cap;
    return 0;
}

/* The first extent that ends after off. */
static size_t find(const struct extents *e, uint64_t off)
{
    size_t lo = 0, hi = e->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (end_of(&e->v[mid]) > off)
            hi = mid;
        else
            lo = mid + 1;
    }
    return lo;
}

/* Replaces the extents [from, to) by the n in x; the room has been reserved. */
static void splice(struct extents *e, size_t from, size_t to, const struct data_extent *x, size_t n)
{
    for (size_t i = from; i < to; i++)
        e->total -= e->v[i].len;
    if (e->n > to && from + n != to)
        memmove(&e->v[from + n], &e->v[to], (e->n - to) * sizeof(*e->v));
    for (size_t i = 0; i < n; i++) {
        e->v[from + i] = x[i];
        e->total += x[i].len;
    }
    e->n = e->n - (to - from) + n;
}

void extents_add(struct extents *e, uint64_t off, uint64_t len)
{
    if (len == 0)
        return;
    uint64_t end = off + len;
    /* A neighbour that ends exactly at off is joined too. */
    size_t from = off > 0 ? find(e, off - 1) : 0;
    size_t to = from;
    while (to < e->n && e->v[to].off <= end) {
        if (e->v[to].off < off)
            off = e->v[to].off;
        if (end_of(&e->v[to]) > end)
            end = end_of(&e->v[to]);
        to++;
    }
    splice(e, from, to, &(struct data_extent){off, end - off}, 1);
}

void extents_cut(struct extents *e, uint64_t off, uint64_t len)
{
    if (len == 0)
        return;
    uint64_t end = off + len;
    size_t from = find(e, off), to = from, n = 0;
    struct data_extent left[2];
    while (to < e->n && e->v[to].off < end) {
        const struct data_extent *x = &e->v[to++];
        if (x->off < off)
            left[n++] = (struct data_extent){x->off, off - x->off};
        if (end_of(x) > end)
            left[n++] = (struct data_extent){end, end_of(x) - end};
    }
    splice(e, from, to, left, n);
}

void extents_truncate(struct extents *e, uint64_t size)
{
    size_t i = find(e, size);
    if (i == e->n)
        return;
    struct data_extent left = {e->v[i].off, size - e->v[i].off};
    splice(e, i, e->n, &left, e->v[i].off < size ? 1 : 0);
}

uint64_t extents_overlap(const struct extents *e, uint64_t off, uint64_t len)
{
    uint64_t n = 0;
    struct data_extent x;
    for (uint64_t end = off + len; extents_next(e, off, end, &x); off = end_of(&x))
        n += x.len;
    return n;
}

bool extents_next(const struct extents *e, uint64_t off, uint64_t end, struct data_extent *ret)
{
    size_t i = find(e, off);
    if (off >= end || i == e->n || e->v[i].off >= end)
        return false;
    uint64_t from = e->v[i].off > off ? e->v[i].off : off;
    uint64_t to = end_of(&e->v[i]) < end ? end_of(&e->v[i]) : end;
    *ret = (struct data_extent){from, to - from};
    return true;
}

uint64_t extents_end(const struct extents *e)
{
    return e->n ? end_of(&e->v[e->n - 1]) : 0;
}
