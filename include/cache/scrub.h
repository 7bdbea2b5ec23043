/* SPDX-License-Identifier: Apache-2.0 */
/* The scrub of a cache: are its blocks what was written, and does the bucket have the versions that
 * they are of? The index knows versions by hashes of key and ETag, so the caller goes through the
 * bucket and tells of each object; what no object is of is stale. Threads: one at a time. */
#ifndef S3EFS_CACHE_SCRUB_H
#define S3EFS_CACHE_SCRUB_H

#include "cache/cache.h"

struct cache_scrub;
/* The versions that are in the index now. 0 or -errno. */
_must_check_ int cache_scrub_new(struct cache *c, struct cache_scrub **ret);
void cache_scrub_free(struct cache_scrub *s); /* NULL is fine */
/* The bucket has this version. 0 or -ENOMEM. */
_must_check_ int cache_scrub_match(struct cache_scrub *s, const struct cache_id *id);

struct cache_scrub_version {
    const char *name; /* the key if the bucket has it, else the hash that stands for it */
    uint64_t size;
    bool is_known;       /* the bucket has this version */
    uint64_t other_size; /* it has, but so large; UINT64_MAX: not so */
    uint64_t blocks, bad_blocks;
};
/* One version after the other, each block read and checked. true: drop what is wrong with it (its
 * bad blocks, or all of it if it is not the bucket's). */
typedef bool (*cache_scrub_fn)(void *arg, const struct cache_scrub_version *v);
/* 0, or -errno of the last drop that failed. */
_must_check_ int cache_scrub_run(struct cache_scrub *s, cache_scrub_fn each, void *arg);
/* The index could not be believed when the cache was opened, and was begun anew. */
bool cache_scrub_is_anew(const struct cache *c);

#endif
