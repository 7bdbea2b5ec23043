/* SPDX-License-Identifier: Apache-2.0 */
/* A set of byte ranges: sorted, not overlapping, not touching. Pure; the owner's lock guards it.
 * What may need memory is extents_reserve(); after it has promised n more entries, n calls of extents_add() or
 * extents_cut() can't fail. So a caller reserves, does what may fail, and only then changes the set. */
#ifndef S3EFS_DATA_EXTENTS_H
#define S3EFS_DATA_EXTENTS_H

#include "data/data.h"

struct extents {
    struct data_extent *v;
    size_t n, cap;
    uint64_t total; /* bytes in the set */
};

void extents_done(struct extents *e); /* idempotent; legal on a zeroed struct */
void extents_clear(struct extents *e);
_must_check_ int extents_reserve(struct extents *e, size_t more); /* 0 or -ENOMEM */
void extents_add(struct extents *e, uint64_t off, uint64_t len);
void extents_cut(struct extents *e, uint64_t off, uint64_t len);
/* Removes all from size on; never splits, so it needs no reserve. */
void extents_truncate(struct extents *e, uint64_t size);
/* How many bytes of [off, off + len) are in the set. */
uint64_t extents_overlap(const struct extents *e, uint64_t off, uint64_t len);
/* The first run of the set within [off, end): false if there is none. */
bool extents_next(const struct extents *e, uint64_t off, uint64_t end, struct data_extent *ret);
uint64_t extents_end(const struct extents *e); /* one past the last byte; 0 for the empty set */

#endif
