/* SPDX-License-Identifier: Apache-2.0 */
/* An intrusive hash table: the links live in the caller's structs, so insertion can't fail once the
 * table exists (growth that fails for want of memory leaves longer chains, not an error).
 * Not locked: the owner's lock guards it. */
#ifndef S3EFS_BASE_MAP_H
#define S3EFS_BASE_MAP_H

#include <stddef.h>
#include <stdint.h>
#include "base/macros.h"

struct map_link {
    struct map_link *next;
    uint64_t hash;
};

struct map {
    struct map_link **slots;
    size_t n_slots, n;
};

_must_check_ int map_init(struct map *m); /* 0 or -ENOMEM */
void map_done(struct map *m);             /* the members are the caller's to free first */
void map_insert(struct map *m, struct map_link *l, uint64_t hash);
void map_remove(struct map *m, struct map_link *l);
/* First link with this hash, then the next of the same hash: the caller compares its keys. */
struct map_link *map_first(const struct map *m, uint64_t hash);
struct map_link *map_next(const struct map_link *l);
/* Calls fn for every member; fn may remove and free the one it is given. */
void map_each(struct map *m, void (*fn)(struct map_link *l, void *arg), void *arg);

#endif
