/* SPDX-License-Identifier: Apache-2.0 */
/* Locks on the byte ranges of one file, with fcntl(2)'s rules: an owner's later call replaces what it
 * had there, ranges are split and joined. A lock of a whole file (flock) is the range [0, LOCK_END].
 * Pure; the caller guards it. */
#ifndef S3EFS_COORD_LOCKSET_H
#define S3EFS_COORD_LOCKSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macros.h"

#define LOCK_END UINT64_MAX /* "to the end, however far it grows" */

enum lock_type { LOCK_TYPE_NONE, LOCK_TYPE_READ, LOCK_TYPE_WRITE };
struct lock_range {
    uint64_t start, end; /* both in it */
};
struct lock_entry {
    uint64_t owner;
    struct lock_range range;
    enum lock_type type; /* not LOCK_TYPE_NONE */
    int pid;             /* who is to be named by F_GETLK */
};
struct lockset { /* zeroed: empty */
    struct lock_entry *v; /* by owner, then by start; an owner's do not overlap */
    size_t n, cap;
};
#define LOCKSET_MAX 4096 /* entries */

void lockset_done(struct lockset *s); /* idempotent */
/* From now on the owner has type (LOCK_TYPE_NONE: nothing) there. 0, -ENOMEM, -ENOLCK (too many); nothing
 * has changed then. */
_must_check_ int lockset_set(struct lockset *s, uint64_t owner, int pid, enum lock_type type,
                             struct lock_range range);
/* A lock of another owner that does not go together with this; NULL: none. Valid until a change. */
const struct lock_entry *lockset_conflict(const struct lockset *s, uint64_t owner,
                                          enum lock_type type, struct lock_range range);
bool lockset_has(const struct lockset *s, uint64_t owner);
/* Has the owner at least this type everywhere in the range? */
bool lockset_covers(const struct lockset *s, uint64_t owner, enum lock_type type,
                    struct lock_range range);
/* What all owners have together, as of one owner: the stronger lock where there are several.
 * ret must be empty. */
_must_check_ int lockset_union(const struct lockset *s, uint64_t owner, struct lockset *ret);
_must_check_ int lockset_copy(const struct lockset *s, struct lockset *ret); /* ret: empty */
bool lockset_equal(const struct lockset *a, const struct lockset *b); /* pids do not count */

#endif
