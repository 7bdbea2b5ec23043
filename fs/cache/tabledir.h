/* SPDX-License-Identifier: Apache-2.0 */
/* The takeover table's own: what table.c (the records) and tablestage.c (the staged files) share. */
#ifndef S3EFS_CACHE_TABLEDIR_H
#define S3EFS_CACHE_TABLEDIR_H

#include <limits.h>
#include <lmdb.h>
#include <stdatomic.h>

#include "base/lock.h"
#include "cache/table.h"

struct table {
    struct cache *cache;
    struct lock lock; /* one writer or reader at a time: the map may move under a write */
    char dir[PATH_MAX];
    MDB_env *env; /* NULL: a write has failed (TABLE-2) */
    MDB_dbi dbi;
    size_t map;
    uint64_t next_file;
    atomic_bool is_lost;
    void (*on_lost)(void *arg);
    void *on_lost_arg;
};

void table_path(const struct table *t, const char *name, char ret[PATH_MAX]); /* of a file in its directory */
/* Every staged file that is kept: removed (fresh), or its number is not given again. */
void table_look_at_stages(struct table *t, bool fresh);

#endif
