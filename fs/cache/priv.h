/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of cache/ share.
 *
 * - CACHE-1  The bytes of a version never change: two threads that write a block of it write the
 *   same bytes.
 * - CACHE-2  A block is there if the index says so and its CRC agrees; nothing else is believed of
 *   a block file.
 * - CACHE-3  Block file first, index after. A version's file and its records change under its
 *   stripe only.
 * - CACHE-4  used.blocks is the sum of `alloc` over the records in the index; it moves when a
 *   transaction has.
 *
 * Locks, in order: listing stripe, evict, version stripe, the leaves (fds, touch, drops, buffers);
 * the index's gate and LMDB's writer come after all of them but drops. */
#ifndef S3EFS_CACHE_PRIV_H
#define S3EFS_CACHE_PRIV_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "cache/cache.h"
#include "meta.h"
#include "schema.h"
#include "seal.h"

#define CACHE_STRIPES 64u
#define CACHE_FDS 64u
#define CACHE_TOUCHES 1024u
#define CACHE_DROPS 4096u
#define CACHE_BUFFERS 16u
#define CACHE_VICTIMS 256u

enum cache_lock_rank {
    CACHE_LOCK_LIST = LOCK_CACHE,
    CACHE_LOCK_EVICT,
    CACHE_LOCK_VERSION,
    CACHE_LOCK_LEAF,
};

/* A block file that is open for reading. */
struct cache_fd {
    struct cache_vkey v;
    int fd;
    unsigned refs;
    uint64_t tick;
    bool cached;   /* in the table */
    bool is_whole; /* each block was there and agreed with its CRC, through this descriptor; under fds.lock */
};
struct cache_fds {
    struct lock lock;
    struct cache_fd *v[CACHE_FDS];
    uint64_t tick, generation; /* generation: files were unlinked */
};

/* When versions were last read, until the evict thread has written it down. Approximate: an entry
 * may be overwritten by another's. */
struct cache_touches {
    struct lock lock;
    struct cache_touch {
        struct cache_vkey v;
        int64_t used_ns; /* 0: free */
    } v[CACHE_TOUCHES];
};

/* The latest names that were dropped, so that a listing which was asked for before does not bring
 * them back. */
struct cache_drops {
    struct lock lock;
    struct cache_drop {
        struct cache_dir_key dir;
        uint64_t name_hash; /* 0: the listing as such */
        int64_t at_ns;
    } v[CACHE_DROPS];
    size_t n, next;
    int64_t lost_ns; /* the latest of those that were overwritten */
};

struct cache_victim {
    struct cache_vkey v;
    int64_t used_ns;
};
struct cache_evict {
    struct lock lock; /* one chooser at a time; guards victims */
    struct cache_victim victims[CACHE_VICTIMS];
    size_t n, next;

    struct lock wake_lock; /* guards the rest */
    struct cond wake;
    pthread_t thread;
    bool running, stopping, kicked, sweep;
};

struct cache_health {
    struct lock lock;
    int error; /* 0: the disk is well */
    int64_t since_ns, bad_ns, well_ns; /* it began, it failed last, it was over last */
    int64_t hold_ns;                   /* it is not over before so long after the last failure */
    uint64_t times;
};

/* A version may have been replaced unseen for so long: Last-Modified has a grain of a second, and what tells it may have
 * been read a moment before it was dated. */
#define CACHE_RACY_NS (2 * NS_PER_S)

struct cache {
    char *dir;
    uint64_t max_bytes, min_free;
    enum cache_check check;
    bool is_anew; /* the index that was found could not be believed, and was begun anew */
    int lock_fd;
    char boot_id[SEAL_BOOT_MAX];
    uint64_t boot;
    struct meta *meta; /* from cache_start to cache_stop */

    struct lock listing[CACHE_STRIPES], version[CACHE_STRIPES];
    struct cache_fds fds;
    struct cache_touches touches;
    struct cache_drops drops;
    struct {
        struct lock lock;
        struct cache_doubt *first;
    } doubts; /* attr.c */
    struct cache_evict evict;
    struct cache_health health;
    struct {
        struct lock lock;
        void *v[CACHE_BUFFERS];
        size_t n;
    } buffers; /* of CACHE_BLOCK bytes each */

    struct {
        _Atomic uint64_t blocks, staged, pending, versions; /* pending: being written to blocks */
    } used;
    struct {
        _Atomic uint64_t hits, misses, evicted_bytes, errors, corrupt;
    } count;
    atomic_uint stage_fds;     /* descriptors that stages have, */
    unsigned stage_fds_many;   /* and as many as they should have */
    _Atomic uint64_t sequence; /* of staged and kept names */
    atomic_int fail_errno;     /* why the index was given up */
};

/* --- stats.c --- */
/* Takes `from` out and `to` in; never below 0 (the index may have begun anew in between). */
void cache_used_move(_Atomic uint64_t *used, uint64_t from, uint64_t to);

/* --- health.c --- */
/* A call of ours on the disk failed. */
void cache_health_bad(struct cache *c, int error, const char *what);
void cache_health_look(struct cache *c); /* evict thread: is it over? */
void cache_health_get(struct cache *c, struct cache_stats *ret);

/* --- index.c --- */
_must_check_ int cache_index_start(struct cache *c);
void cache_index_stop(struct cache *c);
_must_check_ int cache_index_read(struct cache *c, meta_fn fn, void *arg);
/* A write that changes what is true: if it cannot be made, the whole index is given up rather than
 * left wrong. */
_must_check_ int cache_index_write(struct cache *c, meta_fn fn, void *arg);
/* A write that may be lost. */
_must_check_ int cache_index_try(struct cache *c, meta_fn fn, void *arg);
void cache_index_heal(struct cache *c); /* evict thread: begins anew after a failure */
/* A record of the index under a key: bytes of it. */
#define CACHE_BYTES(k) ((struct cache_bytes){.p = (k).b, .n = sizeof((k).b)})
#define CACHE_DENT_BYTES(k) ((struct cache_bytes){.p = (k).b, .n = (k).n})

/* --- drops.c --- */
void cache_drop_note(struct cache *c, const struct cache_dir_key *dir,
                     const struct cache_name *name);
struct cache_drop_set {
    struct cache_drop *v;
    size_t n;
    bool overflow; /* some may be missing: nothing older than now can be believed */
};
_must_check_ int cache_drops_since(struct cache *c, const struct cache_dir_key *dir,
                                   int64_t since_ns, struct cache_drop_set *ret);
bool cache_drop_set_has(const struct cache_drop_set *s,
                        const struct cache_name *name); /* NULL: the listing */
void cache_drop_set_done(struct cache_drop_set *s);

/* --- blocks.c --- */
void cache_block_path(const struct cache *c, const struct cache_vkey *v, char ret[PATH_MAX]);
struct lock *cache_version_lock(struct cache *c, const struct cache_vkey *v);
/* A whole block through its file, compared. 0; -EBADMSG: it does not agree with its CRC; -errno. */
_must_check_ int cache_block_read(int fd, const struct cache_vkey *v, uint64_t block, uint32_t crc, void *buf);
uint32_t cache_block_crc(const struct cache_vkey *v, uint64_t block, const void *data, size_t len);
void *cache_buffer_get(struct cache *c); /* CACHE_BLOCK bytes, NULL: no memory */
void cache_buffer_put(struct cache *c, void *buf);
_must_check_ int cache_block_file_make_dir(const struct cache *c, const struct cache_vkey *v);
uint64_t cache_alloc_of(int fd);

/* --- blockmap.c --- */
/* The map of one chunk; nothing is there if it can't be read. */
void cache_map_get(struct cache *c, const struct cache_vkey *v, uint64_t chunk,
                   struct cache_rec_blk *ret);
/* The rest under the version's stripe. crcs[n] of blocks first.. become present; the file has
 * `alloc` bytes, which are accounted from now on in the place of what *due says (it is then 0). */
struct cache_due {
    _Atomic uint64_t *account; /* of used */
    uint64_t bytes;
};
_must_check_ int cache_map_blocks(struct cache *c, const struct cache_vkey *v, uint64_t first,
                                  const uint32_t *crcs, size_t n, uint64_t alloc,
                                  struct cache_due *due);
int cache_version_known(struct cache *c, const struct cache_vkey *v); /* 0, META_NONE, -errno */
void cache_map_unset(struct cache *c, const struct cache_vkey *v, uint64_t block);
/* Takes the file and the records away: 0 (*ret_freed), META_NONE if there were none, or -errno. */
_must_check_ int cache_version_remove(struct cache *c, const struct cache_vkey *v,
                                      uint64_t *ret_freed);

/* --- fds.c --- */
_must_check_ int cache_fd_get(struct cache *c, const struct cache_vkey *v, struct cache_fd **ret);
void cache_fd_put(struct cache *c, struct cache_fd *f); /* NULL is fine */
void cache_fd_forget(struct cache *c, const struct cache_vkey *v);
void cache_fds_done(struct cache *c);

/* --- touch.c --- */
void cache_touch(struct cache *c, const struct cache_vkey *v);
int64_t cache_touched(struct cache *c, const struct cache_vkey *v); /* 0: not known */
void cache_touch_flush(struct cache *c);

/* A file of this cache, opened. At the limit of descriptors those of block files that nobody uses are closed, and then
 * it waits for others to close theirs, for as long as OPEN_WAIT_MS: with none left over it is -EMFILE or -ENFILE. */
_must_check_ int cache_open_waiting(struct cache *c, const char *path, int flags);

/* --- evict.c --- */
_must_check_ int cache_evict_start(struct cache *c);
void cache_evict_stop(struct cache *c);
void cache_evict_kick(struct cache *c, bool sweep);
bool cache_evict_stopping(struct cache *c);
/* Evicts until what is used (the caller has added its own) is within the limit and the disk has
 * room for bytes more: 0 or -ENOSPC. No version stripe is held. */
_must_check_ int cache_evict_room(struct cache *c, uint64_t bytes);
/* Frees about this many bytes on the disk, if there are any to free. */
void cache_evict_some(struct cache *c, uint64_t bytes);

/* --- sweep.c --- */
void cache_sweep_trash(struct cache *c);
void cache_sweep_orphans(struct cache *c); /* block files that the index does not know */

#endif
