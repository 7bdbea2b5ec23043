/* SPDX-License-Identifier: Apache-2.0 */
/* Names dropped lately. Notes are made inside the write transaction that drops, and looked at
 * inside the one that puts a listing: LMDB has one writer, so a listing either sees the note or is
 * undone by the drop itself. */
#include "priv.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static uint64_t hash_of(const struct cache_name *name)
{
    uint64_t h;

    if (name == NULL)
        return 0;
    h = str_hash(name->name, name->len) * 31 + (uint64_t)name->type;
    return h != 0 ? h
                  : 1; /* two names of one hash: an entry is forgotten that need not have been */
}

void cache_drop_note(struct cache *c, const struct cache_dir_key *dir,
                     const struct cache_name *name)
{
    struct cache_drops *d = &c->drops;
    struct cache_drop *slot;

    lock_take(&d->lock);
    slot = &d->v[d->next];
    if (d->n == CACHE_DROPS && slot->at_ns > d->lost_ns)
        d->lost_ns = slot->at_ns;
    *slot = (struct cache_drop){.dir = *dir, .name_hash = hash_of(name), .at_ns = clock_boot_ns()};
    d->next = (d->next + 1) % CACHE_DROPS;
    if (d->n < CACHE_DROPS)
        d->n++;
    lock_drop(&d->lock);
}

static bool concerns(const struct cache_drop *d, const struct cache_dir_key *dir, int64_t since_ns)
{
    return d->at_ns >= since_ns && memcmp(&d->dir, dir, sizeof(*dir)) == 0;
}

int cache_drops_since(struct cache *c, const struct cache_dir_key *dir, int64_t since_ns,
                      struct cache_drop_set *ret)
{
    struct cache_drops *d = &c->drops;
    struct cache_drop_set s = {0};
    size_t n = 0;

    lock_take(&d->lock);
    s.overflow = d->lost_ns > since_ns;
    for (size_t i = 0; i < d->n; i++)
        n += concerns(&d->v[i], dir, since_ns);
    s.v = n > 0 ? malloc(n * sizeof(*s.v)) : NULL;
    for (size_t i = 0; i < d->n && s.v != NULL; i++)
        if (concerns(&d->v[i], dir, since_ns))
            s.v[s.n++] = d->v[i];
    lock_drop(&d->lock);
    if (s.n < n)
        return -ENOMEM;
    *ret = s;
    return 0;
}

bool cache_drop_set_has(const struct cache_drop_set *s, const struct cache_name *name)
{
    uint64_t h = hash_of(name);

    for (size_t i = 0; i < s->n; i++)
        if (s->v[i].name_hash == h)
            return true;
    return false;
}

void cache_drop_set_done(struct cache_drop_set *s)
{
    free(s->v);
    *s = (struct cache_drop_set){0};
}
