/* SPDX-License-Identifier: Apache-2.0 */
/* The takeover table: what a daemon keeps for the one that takes its living mount over after it died (protocol 17).
 * Records by kind and number, opaque here, and staged bytes by number. DIR/takeover/index is an LMDB environment that is
 * never synced: it outlives the process, not the machine, and is emptied where a mount begins anew.
 *
 * TABLE-1  table_write() is one step for kill -9: all of it is there afterwards, or nothing.
 * TABLE-2  After a failed write the table holds nothing any more, nor will it, so that nobody takes over what is not true.
 * Threads: any. The directory's lock (cache_start) guards it: one process. Errors: -ENOSPC, -EIO, ...; err_text(). */
#ifndef S3EFS_CACHE_TABLE_H
#define S3EFS_CACHE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macros.h"
#include "cache/cache.h"

struct table;
/* fresh: what is there is not wanted. After cache_start. */
_must_check_ int table_open(struct cache *c, bool fresh, struct table **ret);
/* What a mount with a table has left, where there is none now. After cache_start. */
void table_remove(struct cache *c);
void table_close(struct table *t); /* records and bytes stay; NULL is fine */

struct table_item {
    unsigned char kind;
    uint64_t id;
    const void *data; /* NULL: the record goes, if it is there */
    size_t len;
};
_must_check_ int table_write(struct table *t, const struct table_item *items, size_t n);
/* What should be written can't be made (-errno): as after a failed write. */
void table_give_up(struct table *t, int error);
bool table_is_lost(const struct table *t);
/* fn is called once it is, or now if it is already; it must not call the table. */
void table_on_lost(struct table *t, void (*fn)(void *arg), void *arg);
/* Calls fn for every record of a kind, by number. What fn returns other than 0 ends it and is returned. fn must not write. */
typedef int (*table_fn)(void *arg, uint64_t id, const void *data, size_t len);
_must_check_ int table_each(struct table *t, unsigned char kind, table_fn fn, void *arg);
/* One record; free() *ret. -ENOENT. */
_must_check_ int table_get(struct table *t, unsigned char kind, uint64_t id, void **ret, size_t *ret_len);

/* Keeps a staged file (by a link) under a new number, or the one that it has. */
_must_check_ int table_stage_keep(struct table *t, struct cache_stage *s, uint64_t *ret_id);
/* Has it been kept? Then what a record says of it must stay in it until the next record. */
bool table_stage_is_kept(const struct cache_stage *s);
/* As a stage again; the kept one stays. -ENOENT. */
_must_check_ int table_stage_get(struct table *t, uint64_t id, struct cache_stage **ret);
void table_stage_drop(struct table *t, uint64_t id); /* one that is not there is fine */

#endif
