/* SPDX-License-Identifier: Apache-2.0 */
/* The intrusive hash table: chains, doubled when there are more members than slots. */
#include "base/map.h"

#include <errno.h>
#include <stdlib.h>

int map_init(struct map *m)
{
    m->n = 0;
    m->n_slots = 64;
    m->slots = calloc(m->n_slots, sizeof(*m->slots));
    return m->slots != NULL ? 0 : -ENOMEM;
}

void map_done(struct map *m)
{
    free(m->slots);
    m->slots = NULL;
    m->n = m->n_slots = 0;
}

static size_t slot_of(const struct map *m, uint64_t hash)
{
    return (size_t)(hash ^ hash >> 32) & (m->n_slots - 1);
}

static void grow(struct map *m)
{
    struct map next = {.n_slots = m->n_slots * 2, .n = m->n};

    next.slots = calloc(next.n_slots, sizeof(*next.slots));
    if (next.slots == NULL)
        return;
    for (size_t i = 0; i < m->n_slots; i++) {
        struct map_link *l = m->slots[i];

        while (l != NULL) {
            struct map_link *following = l->next;
            size_t s = slot_of(&next, l->hash);

            l->next = next.slots[s];
            next.slots[s] = l;
            l = following;
        }
    }
    free(m->slots);
    *m = next;
}

void map_insert(struct map *m, struct map_link *l, uint64_t hash)
{
    size_t s;

    if (m->n >= m->n_slots)
        grow(m);
    s = slot_of(m, hash);
    l->hash = hash;
    l->next = m->slots[s];
    m->slots[s] = l;
    m->n++;
}

void map_remove(struct map *m, struct map_link *l)
{
    struct map_link **p = &m->slots[slot_of(m, l->hash)];

    while (*p != NULL && *p != l)
        p = &(*p)->next;
    if (*p == NULL)
        return;
    *p = l->next;
    l->next = NULL;
    m->n--;
}

struct map_link *map_first(const struct map *m, uint64_t hash)
{
    struct map_link *l = m->slots[slot_of(m, hash)];

    while (l != NULL && l->hash != hash)
        l = l->next;
    return l;
}

struct map_link *map_next(const struct map_link *l)
{
    uint64_t hash = l->hash;

    do {
        l = l->next;
    } while (l != NULL && l->hash != hash);
    return (struct map_link *)(uintptr_t)l; /* the table is the caller's to change */
}

void map_each(struct map *m, void (*fn)(struct map_link *l, void *arg), void *arg)
{
    for (size_t i = 0; i < m->n_slots; i++) {
        struct map_link *l = m->slots[i];

        while (l != NULL) {
            struct map_link *following = l->next;

            fn(l, arg);
            l = following;
        }
    }
}
