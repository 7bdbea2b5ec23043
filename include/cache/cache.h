/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept on the local disk: what is known of objects and listings (LMDB), blocks of object versions
 * (sparse files), and staged bytes of files being written. Survives a restart and kill -9; a block whose
 * checksum does not match is a miss. Knows nothing of FUSE or S3, only the names and validators of store.h.
 *
 * Layout: DIR/lock, DIR/meta/ (LMDB), DIR/blocks/, DIR/stage/ (emptied at the start), DIR/lost+found/ and a few
 * more (fs/cache/README.md). All of it is 0700/0600. One process a directory: the lock is held from cache_new to
 * cache_free (over fork; each side of the fork frees its own).
 * Lifecycle: cache_new (before the fork) -> cache_start (after) -> cache_stop -> cache_free.
 * Threads: any. No call holds a lock while it waits for anything but the local disk.
 * A failing disk: reads answer "miss", writes of clean blocks are dropped (counted in the stats), only staging
 * reports errors: the caller's bytes are at stake there. Each call tries anew, so all goes on when the disk is well; the
 * log has one line when its trouble begins (cache.degraded) and one when it is over (cache.recovered). */
#ifndef S3EFS_CACHE_CACHE_H
#define S3EFS_CACHE_CACHE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/macros.h"
#include "store/store.h"

enum cache_outcome { CACHE_MISS = 1, CACHE_LONGER = 2 };
#define CACHE_BLOCK (128u * 1024u)

struct cache;
/* Not a mount but a check of its directory (cache/scrub.h): nothing is made, emptied or evicted; -ENOENT where there is
 * no cache. With CACHE_CHECK_LOOK an index that can't be believed stays, and cache_start says -EUCLEAN. */
enum cache_check { CACHE_CHECK_NONE, CACHE_CHECK_LOOK, CACHE_CHECK_REPAIR };
struct cache_conf {
    const char *dir;
    const char *source;  /* "s3://bucket/prefix@endpoint": a directory of another source is refused, -EINVAL */
    uint64_t max_bytes;  /* cache_size=: blocks and staged bytes; 0 = only min_free limits */
    uint64_t min_free;   /* cache_free=: bytes of the file system that stay free */
    enum cache_check check;
    int held_fd; /* the lock of this directory, which a process before this one has left (cache_lock_fd); 0: none */
};
/* Makes the directory if need be. -EBUSY: another daemon has it; -EINVAL: another source's; -ENOTEMPTY: it has
 * somebody else's files; -EACCES, -ENOSPC, ...: err_text(). */
_must_check_ int cache_new(const struct cache_conf *conf, struct cache **ret);
/* The directory's lock, borrowed: whoever has a copy keeps the directory from others. */
int cache_lock_fd(const struct cache *c);
_must_check_ int cache_start(struct cache *c);
void cache_stop(struct cache *c);
void cache_free(struct cache *c);

/* --- what is known of objects --- */
struct cache_obj {
    struct store_obj obj;
    bool has_hdrs;      /* obj.hdrs is known (from HEAD, GET or our own PUT), not only what LIST tells */
    int64_t checked_ns; /* CLOCK_BOOTTIME when the bucket last confirmed it; 0: in an earlier boot */
};
void cache_obj_done(struct cache_obj *o);
_must_check_ int cache_obj_get(struct cache *c, const char *key, struct cache_obj *ret); /* 0, CACHE_MISS */
/* Best effort: what cannot be written is forgotten (never the old told for the new). obj->hdrs are all of the
 * object's headers. The key joins its directory's listing, and the directories that it implies join theirs.
 * Keys whose last component is "", ".", ".." or over 255 bytes are not kept. */
void cache_obj_put(struct cache *c, const char *key, const struct store_obj *obj, int64_t checked_ns);
/* What was asked for, which may be old by the time of its answer: nothing is put once *is_old. */
void cache_obj_put_answer(struct cache *c, const char *key, const struct store_obj *obj, int64_t checked_ns,
                          const atomic_bool *is_old);
/* A request that may change the object without its ETag is about to be sent: until it has an answer, and then the next
 * cache_obj_put() comes, no more is known of it than a listing tells (no headers, checked_ns 0), whatever is put. It stays
 * in its directory's listing. Survives kill -9; after a power loss nothing of the index is believed. */
struct cache_doubt {
    struct cache_doubt *next; /* the cache's */
    const char *key;
};
void cache_obj_doubt(struct cache *c, const char *key, struct cache_doubt *d); /* both stay until */
void cache_obj_answered(struct cache *c, struct cache_doubt *d);
/* And it leaves its directory's listing; "dir/" stays in it as a prefix while keys below it are known. */
void cache_obj_drop(struct cache *c, const char *key);

/* --- listings. dir is "" or ends in '/'. --- */
/* A directory of a million names is listed in one piece: an entry takes 40 bytes, and its name and ETag as long as they
 * are, not what they might be. */
struct cache_dirent {
    const char *name; /* last component, no '/' */
    const char *etag; /* these three for objects only; "" for a prefix */
    uint64_t size;
    int64_t mtime_ns;
    bool is_prefix, has_hdrs;
};
struct cache_text;
struct cache_listing {
    struct cache_dirent *v; /* of cache_list_get(): by name; an object and a prefix may share one, the object is first */
    size_t n, cap;
    struct cache_text *text; /* what they point into */
    int64_t listed_ns; /* CLOCK_BOOTTIME; 0: in an earlier boot */
};
void cache_listing_done(struct cache_listing *l); /* idempotent; legal on a zeroed struct */
/* Appends an entry with copies of both texts, else zeroed. NULL: no memory. Valid until the next one. */
struct cache_dirent *cache_listing_add(struct cache_listing *l, const char *name, size_t name_len, const char *etag);
size_t cache_listing_memory(const struct cache_listing *l); /* bytes that it takes */
/* Replaces what is kept of a directory by a complete delimited listing. Headers known of an entry stay if its
 * ETag, size and Last-Modified are the same and Last-Modified is older than date_ns by 2 s (git's racily-clean
 * rule; compared by the second where one of the two times is whole seconds), and so it was by the server's clock when
 * they were told (obj.told_ns; where that is not known, they count as told later). listed_ns is the time when the listing
 * was ASKED for: what cache_obj_put was told with a later checked_ns, and what was dropped since, stays as it is.
 * date_ns 0 (unknown): no headers stay. Entries in any order, no two of one name and kind; names that are "", ".", "..",
 * over 255 bytes or have a '/' are left out. */
void cache_list_put(struct cache *c, const char *dir, const struct cache_listing *entries,
                    int64_t listed_ns, int64_t date_ns);
/* The same for a part of a listing, at most some thousand entries (one transaction): what is known of them is replaced
 * or confirmed by the same rules, and no name comes or goes. */
void cache_list_confirm(struct cache *c, const char *dir, const struct cache_listing *part,
                        int64_t listed_ns, int64_t date_ns);
_must_check_ int cache_list_get(struct cache *c, const char *dir, struct cache_listing *ret); /* 0, CACHE_MISS */
/* The same of one that was listed after since_ns, in this boot (else CACHE_MISS), and takes no more than about `most`
 * bytes (0: any; else CACHE_LONGER). */
_must_check_ int cache_list_get_within(struct cache *c, const char *dir, int64_t since_ns, uint64_t most,
                                       struct cache_listing *ret);
/* The names behind this one ("": all), in their order, of a directory that is completely known and was listed after
 * since_ns, in this boot: tells fn of each until it returns false. Within a read of the index: fn does memory work
 * only. 0, CACHE_MISS (also where a damaged entry ends it: those before it were told). */
struct cache_list_name {
    const char *name; /* NUL-terminated; fn's for the call */
    size_t len;
    bool is_prefix, has_hdrs;
    int64_t checked_ns; /* CLOCK_BOOTTIME; 0: in an earlier boot */
};
typedef bool cache_list_fn(void *arg, const struct cache_list_name *n);
_must_check_ int cache_list_after(struct cache *c, const char *dir, int64_t since_ns, const char *name,
                                  cache_list_fn *fn, void *arg);
void cache_list_drop(struct cache *c, const char *dir); /* not complete any more; entries stay known */

/* --- blocks of one object version --- */
struct cache_id {
    const char *key;
    const struct store_etag *etag;
    uint64_t size;
};
/* Bytes that are here from off on (> 0, at most len), 0 = miss. */
_must_check_ ssize_t cache_read(struct cache *c, const struct cache_id *id, uint64_t off, void *buf, size_t len);
/* The first run of missing blocks within [off, off + len): false if all are here. Aligned to CACHE_BLOCK (and
 * the object's end). */
bool cache_missing(struct cache *c, const struct cache_id *id, uint64_t off, uint64_t len,
                   uint64_t *ret_off, uint64_t *ret_len);
/* A descriptor (the caller's) of the file that is this version, byte by byte, for reading: what is evicted stays readable
 * through it. Each block is compared with its CRC, once as long as the file stays among those that are open here; -EAGAIN:
 * that would be more than compare_max bytes. -ENOENT: not all of it is here, or sound. */
_must_check_ int cache_open_whole(struct cache *c, const struct cache_id *id, uint64_t compare_max);
/* off is a multiple of CACHE_BLOCK; len too, unless it ends at id->size. Best effort. */
void cache_write(struct cache *c, const struct cache_id *id, uint64_t off, const void *buf, size_t len);
/* Of every size that was seen under this key and ETag. */
void cache_drop_blocks(struct cache *c, const char *key, const struct store_etag *etag);

/* --- staged bytes: a sparse file of a writer's. Calls on one stage exclude each other (the caller's lock). --- */
struct cache_stage;
_must_check_ int cache_stage_new(struct cache *c, struct cache_stage **ret);
/* Borrowed, until the stage is rested; read and write with sys_*. Of a stage that was rested it is opened again: -errno
 * when it can't be. At the limit of descriptors this waits (see fds.c). */
int cache_stage_fd(struct cache_stage *s);
/* The same, to be written to: cache_stage_fd's may be for reading alone, where the disk has become read-only meanwhile. */
int cache_stage_write_fd(struct cache_stage *s);
/* Needs no descriptor until the next cache_stage_fd(). Nobody uses the one that it has. */
void cache_stage_rest(struct cache_stage *s);
/* Do staged files have more than a quarter of the process's descriptors (by the limit at cache_start())? Then who is done
 * with one for now rests it. */
bool cache_stages_are_many(const struct cache *c);
bool cache_stage_is_bad(const struct cache_stage *s); /* a sync of it failed: only a copy can be journaled */
/* Before `bytes` more are written: evicts clean blocks to make room; -ENOSPC when nothing more can be freed. */
_must_check_ int cache_stage_reserve(struct cache_stage *s, uint64_t bytes);
/* The staged file, which holds the whole of `id` (holes are zeros), becomes its cached blocks. Consumes the stage,
 * also on failure (it is then only forgotten). */
void cache_stage_adopt(struct cache_stage *s, const struct cache_id *id);
/* Moves the staged file to DIR/lost+found/ under a name made of key and time, with a note beside it that says why.
 * ret_path: where (free() it). Consumes the stage on success. */
_must_check_ int cache_stage_keep(struct cache_stage *s, const char *key, const char *why, char **ret_path);
void cache_stage_free(struct cache_stage *s); /* NULL is fine */
/* The caller's own call on a stage's descriptor failed: for the stats and the log. */
void cache_disk_failed(struct cache *c, int error);

/* What is in DIR/lost+found: the newest `max`, newest first. key and why as the note beside the file has them (control
 * characters as \xHH), "" without one. Reads the folder and those notes. */
struct cache_kept {
    char *file; /* its path */
    char *key, *why;
    uint64_t size;
    int64_t kept_ns; /* wall clock */
};
struct cache_kept_list {
    struct cache_kept *v;
    size_t n;
};
_must_check_ int cache_kept_get(struct cache *c, size_t max, struct cache_kept_list *ret);
void cache_kept_done(struct cache_kept_list *l); /* idempotent; legal on a zeroed struct */

struct cache_stats {
    /* bytes: of blocks and staged, what counts against the limit */
    uint64_t bytes, limit, staged_bytes, versions, hits, misses, evicted_bytes, errors, corrupt;
    uint64_t lost_found; /* files in DIR/lost+found, without their notes */
    int degraded;            /* -errno of what failed first on the disk; 0: it is well */
    int64_t degraded_ns;     /* for how long */
    uint64_t degraded_times; /* how often it began */
};
void cache_stats_get(struct cache *c, struct cache_stats *ret);

/* Small records of other modules (the probe's result): value is a string. */
_must_check_ int cache_note_get(struct cache *c, const char *name, char **ret); /* 0, CACHE_MISS */
void cache_note_put(struct cache *c, const char *name, const char *value);

#endif
