/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of listings (lists_max, one share of mem_limit=).
 *
 * ROOM-1  Who makes a listing has room for what it takes (three quarters of the share): first come, first served. What
 *         is wanted more, as the directory turns out to be larger, is had at once or not at all; then one directory at a
 *         time goes on apart, with all that it has: what the bucket does to it (a prefix may be sick, and a LIST then
 *         take for ever) is felt only by those who want to go on apart, too. They let go of what they have, wait, and
 *         begin anew.
 * ROOM-2  What an open directory shows is kept in memory only while that has room (the last quarter), else in a file of the
 *         cache: nobody ever waits for a directory to be closed. (Who reads a tree has many open, and opens more.)
 * ROOM-3  Who reads a listing from the cache never waits for a LIST: without room one of them at a time goes on apart.
 *
 * Threads: any. Waits as a store call does. */
#ifndef S3EFS_VFS_LISTROOM_H
#define S3EFS_VFS_LISTROOM_H

#include "internal.h"

#define LISTROOM_PAGE (UINT64_C(640) << 10)  /* a page of a LIST: the reply, and its 1,000 entries */
#define LISTROOM_LIST (UINT64_C(128) << 10)  /* a listing, to begin with */

struct listroom {
    struct vfs *v;
    struct budget *of;
    uint64_t bytes;
};
/* All begin with nothing, and may wait: for room for a page of a LIST, */
void listroom_begin(struct vfs *v, struct listroom *ret);
/* The same, but never waits: false, there is none now. */
_must_check_ bool listroom_begin_now(struct vfs *v, struct listroom *ret);
void listroom_begin_alone(struct vfs *v, struct listroom *ret); /* apart, */
void listroom_begin_cached(struct vfs *v, uint64_t bytes, struct listroom *ret); /* or for what the cache has. */
/* A LIST takes so much altogether. Never waits; false: there is no room, and another goes on apart. */
_must_check_ bool listroom_grow(struct listroom *r, uint64_t bytes);
void listroom_end(struct listroom *r); /* idempotent */

/* --- snapshot.c --- */

/* What an open directory shows. Calls on one exclude each other (the kernel's lock of an open directory). */
struct snapshot_page;
struct dir_snapshot {
    struct vfs *v;
    struct cache_listing list; /* sorted by name, no name twice; empty if they are in the file */
    size_t n;
    int64_t taken_ns;
    uint64_t counted; /* of v->kept */
    struct cache_stage *file;
    struct snapshot_page *pages; /* where they stand in it */
};
/* The list is complete: it stays in memory if that has room, else goes to a file; where that fails it stays. */
void snapshot_keep(struct dir_snapshot *s);
void snapshot_free(struct dir_snapshot *s); /* NULL is fine */
/* Entries one after the other. */
struct snapshot_cursor {
    const struct dir_snapshot *s;
    size_t first, n; /* entries that are here of those in the file */
    struct cache_dirent *v;
    char *bytes;
};
void snapshot_cursor_done(struct snapshot_cursor *c);
/* Number i < s->n, good until the next call: 0, or -errno: the disk would not give it. */
_must_check_ int snapshot_get(struct snapshot_cursor *c, size_t i, const struct cache_dirent **ret);

#endif
