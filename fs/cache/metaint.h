/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the index share. */
#ifndef S3EFS_CACHE_METAINT_H
#define S3EFS_CACHE_METAINT_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "meta.h"

#define META_KEY_MAX 511u                   /* LMDB's */
#define META_VALUE_MAX (CACHE_REC_MAX + 4u) /* a record and its CRC */
#define META_FIRST_MAP ((size_t)16 << 20)
/* Of address space, and the most that the index may take on the disk. */
#define META_MAX_MAP ((size_t)16 << 30)

struct meta {
    char *path;
    MDB_env
        *env; /* changes only under the gate, held for writing; NULL after a reset that failed */
    MDB_dbi dbi[META_DBS];
    size_t first_map;
    pthread_rwlock_t gate;
    pthread_mutex_t writer;   /* after the gate: MAPPED-3 */
    atomic_bool failed, lost; /* lost: by the disk below the map, so env is not closed either */
    unsigned losses;          /* of env */
};

/* What a transaction gave, until it ends. */
struct copied {
    struct copied *next;
    uint8_t bytes[];
};

struct meta_txn {
    MDB_txn *txn;
    struct meta *meta;
    bool full; /* MDB_MAP_FULL was seen */
    struct copied *copies;
};

extern const char *const meta_db_names[META_DBS];

/* LMDB's codes to errnos; what says that the environment is damaged or lost fails the index. */
_must_check_ int meta_fold(struct meta *m, int rc);
/* What meta_get() copied. */
void meta_free_copies(struct meta_txn *t);

#endif
