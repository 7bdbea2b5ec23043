/* SPDX-License-Identifier: Apache-2.0 */
#include "coord/lockset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

void lockset_done(struct lockset *s)
{
    free(s->v);
    *s = (struct lockset){0};
}

static bool overlap(struct lock_range a, struct lock_range b)
{
    return a.start <= b.end && b.start <= a.end;
}

static bool is_before(const struct lock_entry *a, const struct lock_entry *b)
{
    return a->owner != b->owner ? a->owner < b->owner : a->range.start < b->range.start;
}

/* a and b are neighbours in the order: are they one lock? */
static bool is_joined(const struct lock_entry *a, const struct lock_entry *b)
{
    return a->owner == b->owner && a->type == b->type && a->pid == b->pid &&
           a->range.end != LOCK_END && a->range.end + 1 >= b->range.start;
}

/* There is room. */
static void insert(struct lockset *s, struct lock_entry e)
{
    size_t at = s->n;

    if (e.range.start > e.range.end)
        return;
    for (; at > 0 && is_before(&e, &s->v[at - 1]); at--)
        s->v[at] = s->v[at - 1];
    s->v[at] = e;
    s->n++;
}

static void join(struct lockset *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n; i++) {
        if (n > 0 && is_joined(&s->v[n - 1], &s->v[i]))
            s->v[n - 1].range.end = s->v[i].range.end;
        else
            s->v[n++] = s->v[i];
    }
    s->n = n;
}

/* Takes the range away from one entry; what is left of it behind the range is given back. */
static struct lock_entry cut(struct lock_entry *e, struct lock_range range)
{
    struct lock_entry rest = *e;

    rest.range.start = range.end == LOCK_END ? LOCK_END : range.end + 1;
    if (range.end == LOCK_END)
        rest.range.end = 0; /* nothing */
    if (range.start > e->range.start) {
        e->range.end = range.start - 1;
    } else {
        e->range.start = 1; /* nothing */
        e->range.end = 0;
    }
    return rest;
}

int lockset_set(struct lockset *s, uint64_t owner, int pid, enum lock_type type,
                struct lock_range range)
{
    struct lockset now = {.cap = s->n + 3};

    now.v = calloc(now.cap, sizeof(*now.v));
    if (now.v == NULL)
        return err_set(-ENOMEM, "no memory for a lock");
    for (size_t i = 0; i < s->n; i++) {
        struct lock_entry e = s->v[i];

        if (e.owner == owner && overlap(e.range, range)) {
            struct lock_entry rest = cut(&e, range);

            if (rest.range.end >= rest.range.start)
                insert(&now, rest);
        }
        insert(&now, e);
    }
    if (type != LOCK_TYPE_NONE)
        insert(&now, (struct lock_entry){owner, range, type, pid});
    join(&now);
    if (now.n > LOCKSET_MAX && now.n > s->n) {
        lockset_done(&now);
        return err_set(-ENOLCK, "more than %d locks on one file", LOCKSET_MAX);
    }
    lockset_done(s);
    *s = now;
    return 0;
}

const struct lock_entry *lockset_conflict(const struct lockset *s, uint64_t owner,
                                          enum lock_type type, struct lock_range range)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct lock_entry *e = &s->v[i];

        if (e->owner != owner && overlap(e->range, range) &&
            (type == LOCK_TYPE_WRITE || e->type == LOCK_TYPE_WRITE))
            return e;
    }
    return NULL;
}

bool lockset_has(const struct lockset *s, uint64_t owner)
{
    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].owner == owner)
            return true;
    return false;
}

bool lockset_covers(const struct lockset *s, uint64_t owner, enum lock_type type,
                    struct lock_range range)
{
    uint64_t at = range.start;

    for (size_t i = 0; i < s->n; i++) {
        const struct lock_entry *e = &s->v[i];

        if (e->owner != owner || e->type < type || e->range.start > at || e->range.end < at)
            continue;
        if (e->range.end >= range.end)
            return true;
        at = e->range.end + 1;
    }
    return false;
}

int lockset_union(const struct lockset *s, uint64_t owner, struct lockset *ret)
{
    static const enum lock_type types[] = {LOCK_TYPE_READ, LOCK_TYPE_WRITE};
    int r = 0;

    for (size_t t = 0; t < ARRAY_LEN(types); t++)
        for (size_t i = 0; i < s->n && r == 0; i++)
            if (s->v[i].type == types[t])
                r = lockset_set(ret, owner, 0, types[t], s->v[i].range);
    if (r < 0)
        lockset_done(ret);
    return r;
}

int lockset_copy(const struct lockset *s, struct lockset *ret)
{
    if (s->n == 0)
        return 0;
    ret->v = calloc(s->n, sizeof(*ret->v));
    if (ret->v == NULL)
        return err_set(-ENOMEM, "no memory for locks");
    memcpy(ret->v, s->v, s->n * sizeof(*s->v));
    ret->n = ret->cap = s->n;
    return 0;
}

bool lockset_equal(const struct lockset *a, const struct lockset *b)
{
    bool is_equal = a->n == b->n;

    for (size_t i = 0; is_equal && i < a->n; i++)
        is_equal = a->v[i].owner == b->v[i].owner && a->v[i].type == b->v[i].type &&
                   a->v[i].range.start == b->v[i].range.start &&
                   a->v[i].range.end == b->v[i].range.end;
    return is_equal;
}
