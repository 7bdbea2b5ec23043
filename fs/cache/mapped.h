/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB's calls that read its map, each in a guard (base/busguard.h): when the disk fails under it,
 * the call returns MAPPED_LOST, and the environment is lost.
 *
 * - MAPPED-1  After a MAPPED_LOST nothing of that environment is called again, not even to abort or
 *   to close (a lock of it may be held, a list may name what is gone): its parts are buried, and
 *   the owner opens the file anew. So nothing that was read from a failing page is ever used: the
 *   call that met it never returns.
 * - MAPPED-2  What a call gives lies in the map: it is copied in a guard (mapped_copy) before it is
 *   looked at.
 * - MAPPED-3  Nobody waits inside LMDB for a lock that a lost call may hold: the owner lets one
 *   writer in at a time. The lock that readers share is held over the lock file only; if that is
 *   what the disk can't give, the process ends by the SIGBUS (what was acknowledged is in the
 * journal).
 *
 * A commit that is lost may be on the disk or not, as one that failed. */
#ifndef S3EFS_CACHE_MAPPED_H
#define S3EFS_CACHE_MAPPED_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#define MAPPED_LOST (-32000) /* none of LMDB's codes, and no errno */

int mapped_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode);
int mapped_set_size(MDB_env *env, size_t size);
int mapped_info(MDB_env *env, MDB_envinfo *ret);
int mapped_sync(MDB_env *env);
int mapped_begin(MDB_env *env, unsigned flags, MDB_txn **ret);
int mapped_commit(MDB_txn *txn);
int mapped_open_db(MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *ret);
int mapped_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *ret);
int mapped_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *val);
int mapped_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key);
int mapped_cursor(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **ret);
int mapped_cursor_get(MDB_cursor *c, MDB_val *key, MDB_val *val, MDB_cursor_op op);
int mapped_copy(void *to, const MDB_val *v);

/* What is never freed, because it can't be: NULL is fine. */
void mapped_bury(void *part);
/* Closes it, or buries it with an environment that is lost. NULL is fine. */
void mapped_end_cursor(MDB_cursor *c, bool is_lost);
/* How often an owner may lose its environment: each keeps its descriptors and its map. */
#define MAPPED_LOST_MAX 64u
/* The file is read by calls, which fail as they should: 0 if that can be done and there are at
 * least `size` bytes, so that a map of it has a chance; -EIO, -errno. */
int mapped_can_read(const char *path, uint64_t size);

#endif
