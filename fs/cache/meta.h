/* SPDX-License-Identifier: Apache-2.0 */
/* The index: five small databases in one LMDB environment. Only meta.c knows LMDB.
 *
 * - META-1  No transaction outlives the call that began it; none is begun inside another (of one
 *   thread).
 * - META-2  The map grows only while no transaction is open: each holds the gate for reading,
 *   growth for writing.
 * - META-3  A write that failed for good leaves the index failed: every later call is -EIO until
 *   meta_reset(), so a record that should have been replaced is never read.
 *
 * - META-4  What the disk can't read fails the index as well (mapped.h): nothing that a failing page
 *   seemed to say is used, and it is begun anew as after any other failure.
 *
 * Threads: any. Values that a transaction gives are borrowed until it ends, those of a scan until
 * its fn returns. */
#ifndef S3EFS_CACHE_META_H
#define S3EFS_CACHE_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macros.h"
#include "schema.h"

enum meta_outcome { META_NONE = 1 };
enum meta_db { META_DENT, META_DIR, META_VER, META_BLK, META_NOTE, META_DBS };

struct meta;
struct meta_txn;

/* The environment is made in the directory `path` (which exists). first_map 0 = 16 MiB. */
_must_check_ int meta_open(const char *path, size_t first_map, struct meta **ret);
_must_check_ int meta_sync(struct meta *m); /* to the disk, whatever the flags say */
void meta_close(struct meta *m);            /* NULL is fine */
bool meta_failed(const struct meta *m);
bool meta_lost(const struct meta *m); /* it failed because the disk can't read a page of it */
/* Every call fails from now on, until meta_reset(). */
void meta_fail(struct meta *m);
/* Waits for the transactions under way, closes, has `clear` empty the directory, and begins again.
 */
_must_check_ int meta_reset(struct meta *m, int (*clear)(void *arg), void *arg);
size_t meta_map_size(struct meta *m);

/* Run fn in a transaction. fn of a write may run several times: it must leave nothing of a run that
 * failed behind. What it returns other than 0 aborts the transaction and is returned. */
typedef int (*meta_fn)(struct meta_txn *t, void *arg);
_must_check_ int meta_read(struct meta *m, meta_fn fn, void *arg);
_must_check_ int meta_write(struct meta *m, meta_fn fn, void *arg);

/* 0, META_NONE, or -errno. */
_must_check_ int meta_get(struct meta_txn *t, enum meta_db db, struct cache_bytes key,
                          struct cache_bytes *ret);
_must_check_ int meta_put(struct meta_txn *t, enum meta_db db, struct cache_bytes key,
                          struct cache_bytes val);
_must_check_ int meta_del(struct meta_txn *t, enum meta_db db,
                          struct cache_bytes key); /* 0 also if there was none */
/* Calls fn for each record whose key starts with prefix, from the first key >= from (from.n 0: from
 * the prefix), in the order of keys. fn must not change the database; what it returns other than 0
 * ends the scan and is returned. */
typedef int (*meta_scan_fn)(struct cache_bytes key, struct cache_bytes val, void *arg);
_must_check_ int meta_scan(struct meta_txn *t, enum meta_db db, struct cache_bytes prefix,
                           struct cache_bytes from, meta_scan_fn fn, void *arg);

/* Copies every record of an environment that nobody has open into a new one, in the directory `to`
 * (which exists): 0, -EBADMSG or -EIO. On a damaged one it may crash: run it in a process of its
 * own. What it has written is sound in any case, because nothing but keys and values goes over. */
_must_check_ int meta_copy(const char *from, const char *to);

#endif
