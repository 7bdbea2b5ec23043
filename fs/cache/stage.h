/* SPDX-License-Identifier: Apache-2.0 */
/* A staged file. Threads: one at a time for each. */
#ifndef S3EFS_CACHE_STAGE_H
#define S3EFS_CACHE_STAGE_H

#include "priv.h"

struct cache_stage {
    struct cache *cache;
    char *path; /* NULL: it has been moved away */
    atomic_int fd; /* -1: resting, to be opened again by path */
    atomic_bool is_read_only; /* fd is: the disk was, when it was opened again */
    uint64_t accounted; /* its part of used.staged */
    uint64_t shared;    /* what a journal's entry accounts for */
    uint64_t kept;      /* its number in the takeover table; 0: not there */
    bool bad;           /* a sync failed: what is on the disk of it is not known */
};

/* It has this descriptor now; -errno: none. */
void cache_stage_opened(struct cache_stage *s, int fd);
/* And none from now on. */
void cache_stage_close(struct cache_stage *s);
/* An entry of the journal, which has `alloc` bytes of this file, accounts for them from now on. */
void cache_stage_share(struct cache_stage *s, uint64_t alloc);
/* A stage over the bytes of a file that stays where it is, too; `alloc` bytes are accounted elsewhere. */
_must_check_ int cache_stage_of(struct cache *c, const char *path, uint64_t alloc,
                                struct cache_stage **ret);

#endif
