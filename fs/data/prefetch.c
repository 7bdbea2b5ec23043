/* SPDX-License-Identifier: Apache-2.0 */
/* The window policy of reads ahead. See prefetch.h. */
#include <stdbool.h>

#include "prefetch.h"

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static bool continues(const struct prefetch_stream *s, uint64_t off)
{
    return s->run > 0 && off <= s->next + PREFETCH_SLACK && s->next <= off + PREFETCH_SLACK;
}

/* The stream that this read belongs to; else the one that was not used for longest, begun anew. */
static struct prefetch_stream *stream_of(struct prefetch *p, uint64_t off)
{
    struct prefetch_stream *oldest = &p->streams[0];
    for (unsigned i = 0; i < PREFETCH_STREAMS; i++) {
        struct prefetch_stream *s = &p->streams[i];
        if (continues(s, off))
            return s;
        if (s->used < oldest->used)
            oldest = s;
    }
    *oldest = (struct prefetch_stream){.next = off};
    return oldest;
}

/* The largest FIRST * 2^n that is not above limit; at least FIRST, at most the unit. */
static uint64_t step_below(uint64_t limit, uint64_t unit)
{
    uint64_t w = PREFETCH_FIRST;
    while (w * 2 <= limit && w < unit)
        w *= 2;
    return min_u64(w, unit);
}

void prefetch_note(struct prefetch *p, const struct prefetch_conf *c, uint64_t off, uint64_t len,
                   uint64_t size, struct prefetch_want *ret)
{
    struct prefetch_stream *s = stream_of(p, off);
    bool is_first = s->run == 0;
    s->used = ++p->reads;
    s->run += is_first ? len : max_u64(s->next, off + len) - s->next;
    s->next = max_u64(s->next, off + len);
    *ret = (struct prefetch_want){.chunk = step_below(s->run, c->unit)};

    /* A file is most often read from its start to its end; a read elsewhere that follows no other says nothing. */
    ret->window = is_first && off > 0 ? min_u64(PREFETCH_RANDOM, c->unit) : ret->chunk;
    ret->window = max_u64(ret->window, len);
    uint64_t end = (off + ret->window + PREFETCH_ALIGN - 1) / PREFETCH_ALIGN * PREFETCH_ALIGN;
    s->asked = max_u64(s->asked, min_u64(end, size));
    if (is_first)
        return;

    uint64_t reach = min_u64(4 * s->run, c->ahead * c->unit);
    uint64_t to = min_u64((s->next + reach) / PREFETCH_ALIGN * PREFETCH_ALIGN, size);
    if (to <= s->asked || (to - s->asked < ret->chunk && to < size))
        return; /* not before a request of full size is worth it, except for the end of the object */
    ret->ahead_off = s->asked;
    ret->ahead_len = to - s->asked;
    if (to < size) /* whole chunks only */
        ret->ahead_len -= ret->ahead_len % ret->chunk;
    s->asked += ret->ahead_len;
}
