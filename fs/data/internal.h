/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of data/ share.
 *
 * A file's state is guarded in two steps. Its gate lets many readers or one writer in, for as long as bytes move; no
 * mutex is held then. Readers may ask the store in there, a writer never does: so a reader that runs on the store's
 * own thread (a body being sent) waits for the local disk at most. Fields change only under the gate's writer AND
 * the lock, so a reader in the gate needs no lock, and the getters need only the lock. */
#ifndef S3EFS_DATA_INTERNAL_H
#define S3EFS_DATA_INTERNAL_H

#include <stdatomic.h>

#include "base/budget.h"
#include "base/err.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/workq.h"
#include "data/data.h"
#include "extents.h"
#include "prefetch.h"

#define KEY_MAX 1024 /* S3's limit, in bytes */

#define EPOCHS 64
#define SPARES 8

struct flight;
struct look;
struct data {
    struct store *store;
    struct cache *cache;
    struct data_conf conf; /* with the defaults filled in */
    struct lock lock;      /* LOCK_LEAF: nothing is taken under it */
    struct cond changed;   /* a flight landed, a look ended */
    struct budget memory;  /* mem_limit: flights, idle ones too, and small objects that are fetched whole */
    struct budget firsts;  /* the two thirds of it that lookups may have, for bytes that will be read: waited for before memory */
    atomic_uint epochs[EPOCHS]; /* flights that left the table, by the hash of their version */
    struct {
        struct map flights;
        struct flight *idle_first, *idle_last; /* landed, but the cache would not have them: oldest first */
        uint64_t idle_bytes;
        unsigned flying;
        char *spares[SPARES]; /* spare.c's */
        unsigned n_spares, n_made; /* n_made: buffers of flights that were allocated, ever */
        struct look *looks;
        struct workq *workq;
    } locked;
};

struct data_file {
    struct data *d;
    struct lock lock; /* LOCK_DATA_FILE; held for the length of a field's change only */
    struct cond gate_changed;
    struct {
        unsigned refs;
        unsigned readers, writers_waiting;
        bool writing;
        struct prefetch prefetch;
    } locked;
    /* Read in the gate or under the lock; changed by the gate's writer under the lock. */
    char key[KEY_MAX + 1];   /* the base's */
    struct store_etag etag;  /* the base's */
    uint64_t base_size;
    bool has_base;
    bool whole;              /* new, or truncated to 0 since the last commit */
    bool is_kept;            /* its bytes went to lost+found */
    uint64_t base_valid;     /* DATA-2 */
    uint64_t size;
    uint64_t change, committed;
    struct extents dirty;    /* in the stage, differ from the base */
    struct extents local;    /* in the stage, equal to the base (data_localise) */
    /* Only in the gate. */
    struct cache_stage *stage;
    bool stage_impure; /* bytes outside of dirty and local may not be zero: never adopt it */
    struct extents frozen; /* of the stage, a journal's entry stands on them: they must not change in there */
};

/* The gate. A waiting writer goes before new readers. */
void file_read_begin(struct data_file *f);
void file_read_begin_now(struct data_file *f); /* not behind a waiting writer, who may wait for a reader's request */
void file_read_end(struct data_file *f);
void file_write_begin(struct data_file *f);
void file_write_end(struct data_file *f);
void file_write_to_read(struct data_file *f); /* no other writer gets in between */

/* What a run of the file's bytes is (DATA-1). */
enum seg_kind { SEG_STAGE, SEG_BASE, SEG_ZERO };
struct seg {
    enum seg_kind kind;
    uint64_t len;
};
/* The run that starts at off, at most up to end. In the gate. */
struct seg file_seg(const struct data_file *f, uint64_t off, uint64_t end);
struct cache_id file_base_id(const struct data_file *f);
/* The stage, made at its first use. In the gate, as the writer. */
_must_check_ int file_stage(struct data_file *f, struct cache_stage **ret);
/* Forgets the staged bytes. In the gate, as the writer. */
void file_drop_stage(struct data_file *f);

/* --- freeze.c --- */
/* Before the stage's bytes in [off, off + len) change: gives the file a stage of its own if a journal's entry stands on
 * any of them. keep_to: the bytes from there on are not wanted any more. In the gate, as the writer. */
_must_check_ int file_unfreeze(struct data_file *f, uint64_t off, uint64_t len, uint64_t keep_to);
/* For good: the stage is gone. In the gate, as the writer. */
void file_forget_frozen(struct data_file *f);

/* --- commit.c --- */
/* The same ranges on another version (data_rebase). In the gate, as the writer. */
void file_rebase(struct data_file *f, const struct store_obj *base);

/* --- flight.c: GETs of one range of one version, shared by all who want it --- */

/* The bytes at off: `want` tells how much to ask for around it if nobody is bringing them yet (already aligned as
 * the cache wants it). Takes a reference; the bytes are there after flight_wait(). Waits for memory.
 * FLIGHT_AGAIN: since `epoch` (taken before the cache was looked at) a flight of this version has ended, so the
 * bytes may be in the cache now. */
enum flight_outcome { FLIGHT_AGAIN = 1 };
struct flight_range {
    uint64_t off, len;
};
unsigned flight_epoch(struct data *d, const struct cache_id *id);
_must_check_ int flight_get(struct data *d, const struct cache_id *id, uint64_t off, unsigned epoch,
                            struct flight_range want, struct flight **ret);
/* 0, or the request's error: -ESTALE when the bucket has another version. */
_must_check_ int flight_wait(struct flight *fl);
/* As much as it has of [off, off + len). */
size_t flight_copy(const struct flight *fl, uint64_t off, void *buf, size_t len);
/* What a landed flight that is not in the cache (yet) has at off; 0: none has it. Asks nothing. */
size_t flight_peek(struct data *d, const struct cache_id *id, uint64_t off, void *buf, size_t len);
bool flight_is_ahead(const struct flight *fl);
void flight_unref(struct flight *fl);
/* Starts what is not under way and not in the cache of the range, without waiting for anything; does less, or
 * nothing, when memory is short. */
void flight_ahead(struct data *d, const struct cache_id *id, struct flight_range want);
/* Hands over bytes that came another way (data: malloc'd, consumed; id->size bytes of the memory go with them) for as
 * long as the cache does not have them. */
void flight_donate(struct data *d, const struct cache_id *id, char *data);

void idle_make_room(void *data); /* of data's memory, for who waits: spare and idle buffers go */
void flight_drop_all(struct data *d); /* at the end: waits for what flies, frees what is idle */

/* --- read.c --- */

/* [off, off + len) of one version, from cache or bucket. f: for its reading pattern, NULL for none. */
_must_check_ int base_read(struct data *d, struct data_file *f, const struct cache_id *id, uint64_t off,
                           void *buf, size_t len);
/* Some bytes at off if they are on this machine; 0: not. */
size_t base_here(struct data *d, const struct cache_id *id, uint64_t off, void *buf, size_t len);
/* In the gate: as data_read. */
_must_check_ ssize_t file_read(struct data_file *f, uint64_t off, void *buf, size_t len, bool plan_ahead);

#endif
