/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of files: one struct data_file is one version of an object (its base) plus what was written here on
 * top of it (extents in a staging file). Reads are put together from the extents, the block cache and ranged GETs
 * that carry If-Match: a reader sees one version, never a mixture.
 *
 * DATA-1  A byte of the file is: dirty (in the stage), else of the base if below base_valid, else zero.
 * DATA-2  base_valid only shrinks (truncate) until a commit sets a new base.
 * DATA-3  A base range is read from one ETag only; when the bucket has another, reads say -ESTALE.
 * Threads: any. Calls on one file let many readers or one writer in; only readers wait for the bucket in there, and
 * no mutex is held then (LOCK_DATA_FILE is for the change of fields).
 * Objects up to whole_max are fetched by one GET and verified; larger ones by aligned ranges, read ahead while
 * the access is sequential. */
#ifndef S3EFS_DATA_DATA_H
#define S3EFS_DATA_DATA_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/macros.h"
#include "cache/cache.h"
#include "cache/journal.h"
#include "cache/table.h"
#include "store/store.h"

struct data;
struct data_conf {
    uint64_t whole_max;  /* 0 = 8 MiB */
    uint64_t range_size; /* 0 = 8 MiB: GET unit of larger objects; a multiple of CACHE_BLOCK */
    uint64_t mem_limit;  /* 0 = 512 MiB: fetch buffers wait for room under it */
    unsigned read_ahead; /* ranges ahead of a sequential reader; 0 = 4 */
};
/* Starts two threads at the first fetch, so it may run before a fork; the first read may not. */
_must_check_ int data_new(const struct data_conf *conf, struct store *store, struct cache *cache,
                          struct data **ret);
void data_free(struct data *d); /* waits for reads ahead; every file must be gone. NULL is fine */

struct data_file;
#define DATA_SIZE_MAX UINT64_C(52673613135872) /* EFS's largest file; past it: -EFBIG */
/* base NULL: a new, empty file. Nothing is asked of the bucket. -EINVAL: a base with bytes and no ETag. */
_must_check_ int data_file_new(struct data *d, const char *key, const struct store_obj *base,
                               struct data_file **ret);
struct data_file *data_file_ref(struct data_file *f);
void data_file_unref(struct data_file *f); /* NULL is fine; the last one frees, dirty bytes are then gone */

/* One request for close-to-open: is `known` still the version of key? If not (or known is NULL), what is, and if
 * it is up to whole_max its bytes are in the cache when this returns; larger ones cost a HEAD.
 * size_hint: what is believed of the size (decides GET or HEAD); UINT64_MAX: the bytes are not wanted, a HEAD at
 * any size. A cached version costs one conditional request.
 * Calls for one key that came while a request for it was under way share the next one: none is answered by a
 * request that started before the call did.
 * 0 and *ret; STORE_NOT_MODIFIED; STORE_NOT_FOUND; -errno. */
_must_check_ int data_fetch(struct data *d, const char *key, const struct store_etag *known,
                            uint64_t size_hint, struct store_obj *ret);

/* A lookup's question that brings the bytes that will be read: what is there now, and up to `most` (whole CACHE_BLOCKs, at
 * most whole_max) of its first bytes are here when this returns. *ret_is_ready: data_fetch() would bring nothing
 * more, all of it is here or it is above whole_max. is_sure: they will be read, so it waits for memory.
 * 0 and *ret; STORE_NOT_FOUND; -errno: ask by HEAD (-ENOBUFS: no memory now; -ERANGE: it may be empty). */
_must_check_ int data_first(struct data *d, const char *key, uint64_t most, bool is_sure, struct store_obj *ret,
                            bool *ret_is_ready);
/* What data_first() may be asked for where nothing is known of a file that will be read: 2 MiB, less where memory for
 * many such at once is short. */
uint64_t data_guess(const struct data *d);
/* Every byte of that version is in the cache. */
bool data_is_here(struct data *d, const char *key, const struct store_etag *etag, uint64_t size);

_must_check_ ssize_t data_read(struct data_file *f, uint64_t off, void *buf, size_t len); /* short only at the end */
_must_check_ int data_write(struct data_file *f, uint64_t off, const void *buf, size_t len);
_must_check_ int data_truncate(struct data_file *f, uint64_t size);
/* The range reads as zeros, without space in the cache for them. keep_size: as far as the file goes; else it grows to
 * the range's end. */
_must_check_ int data_zero(struct data_file *f, uint64_t off, uint64_t len, bool keep_size);
/* The first hole (else: data) from off on. What the bucket has counts as data; the end of the file is a hole.
 * -ENXIO: off is at or past the end, or there is no data behind it. */
_must_check_ int data_seek(struct data_file *f, uint64_t off, bool hole, uint64_t *ret);
/* Brings every byte that is only in the bucket here (before the object goes away under an open handle). The file
 * does not become dirty by it. */
_must_check_ int data_localise(struct data_file *f);
/* The same for [off, off + len): a data_source over it then asks nothing of the bucket. */
_must_check_ int data_localise_range(struct data_file *f, uint64_t off, uint64_t len);
/* A clean file, all of it as its base, becomes one without a base: dirty, whole, every byte in the stage. From then on the
 * bucket is asked nothing for it. -EBUSY: it is not clean; -errno: as data_localise. On failure it is as it was. */
_must_check_ int data_own(struct data_file *f);

/* cache_open_whole() of a clean file's version; -ENOENT, too, where it is not clean or there is no cache. */
_must_check_ int data_open_whole(struct data_file *f, uint64_t compare_max);

/* Nobody will use the file for a while: its staged bytes need no descriptor until somebody does. Waits for nobody: of
 * a file that is in use it does nothing. */
void data_rest(struct data_file *f);

/* Memory that the file takes here: its fields and what it knows of its ranges, not its bytes. */
size_t data_memory(struct data_file *f);
uint64_t data_size(struct data_file *f);
bool data_is_dirty(struct data_file *f);     /* differs from its base, or has none yet */
bool data_is_whole(struct data_file *f);     /* nothing of a base counts: new, or cut to 0 since the last commit */
bool data_is_cut(struct data_file *f);       /* some of its base was cut off, or never counted */
bool data_is_grown(struct data_file *f);     /* its base, every byte of it, and more after that */
uint64_t data_change(struct data_file *f);   /* counts writes and truncates */
uint64_t data_dirty_bytes(struct data_file *f);
struct store_etag data_base_etag(struct data_file *f);

struct data_extent {
    uint64_t off, len;
};
/* The dirty ranges, sorted, not touching (free() them), and how much of the base is still valid. */
_must_check_ int data_extents(struct data_file *f, struct data_extent **ret, size_t *ret_n, uint64_t *ret_base_valid);
/* --- commit=local: files in the journal --- */

/* What a journal's record must keep of a file, beside key, base and attributes, so that data_file_restore() makes it again. */
struct data_state {
    struct data_extent *ext; /* the dirty ranges: sorted, not touching */
    size_t n;
    uint64_t size, base_valid;
    bool whole; /* as data_is_whole */
};
_must_check_ int data_state_get(struct data_file *f, struct data_state *ret);
/* The same of a file that has no name any more: all that was brought here counts as written. */
_must_check_ int data_state_get_own(struct data_file *f, struct data_state *ret);
void data_state_done(struct data_state *s); /* idempotent; legal on a zeroed struct */
/* Makes a journal entry of the file as it is (journal_put with its staged bytes, none if it has none). The caller keeps
 * writers away from data_state_get() on until this returns; readers go on. From then on the staged bytes of its dirty
 * ranges are frozen: a later change of any of them (write, zero, truncate) first gives the file a stage of its own, which
 * may fail with -ENOSPC; writes elsewhere, appends above all, go on in the same staged file. */
_must_check_ int data_journal(struct data_file *f, struct journal *j, const void *rec, size_t len,
                              uint64_t replaces, uint64_t *ret_seq);
/* The file as it was at data_journal, its ranges frozen, and dirty, unless it is as its base. stage: of journal_stage, NULL if the entry has no file;
 * consumed, also on failure. -EBADMSG: state, base and stage do not fit together. */
_must_check_ int data_file_restore(struct data *d, const char *key, const struct store_obj *base,
                                   struct cache_stage *stage, const struct data_state *state, struct data_file **ret);

/* --- takeover (cache/table.h) --- */
/* Keeps the stage of its ranges in the table: its number, 0 if it has none. The caller keeps writers away. */
_must_check_ int data_stage_keep(struct data_file *f, struct table *t, uint64_t *ret_id);

/* A body for uploads: [off, off + len) of the file as it is now. The caller keeps writers away meanwhile and the
 * file referenced. Base bytes are fetched as they are asked for, by a blocking store call: a back end that reads
 * bodies on its one engine thread must only be given ranges that data_localise_range() has brought here. */
struct data_source {
    struct store_src src; /* use &ds->src */
    struct data_file *file;
    uint64_t off;
};
void data_source_init(struct data_source *ds, struct data_file *f, uint64_t off, uint64_t len);

/* The file as it was at `change` is now the object `now` under `key`: it becomes the base, what was staged becomes
 * cached blocks (if all of the file is there). If the file was written since, only the base's name and ETag move:
 * the dirty ranges stay. */
void data_committed(struct data_file *f, const char *key, const struct store_obj *now, uint64_t change);
/* On another version of the same file the same extents (protocol 2b). Where nothing was cut off here, the size is
 * the new version's, or the end of what was written here if that is further; a file that is whole stays as it is. */
_must_check_ int data_rebase(struct data_file *f, const struct store_obj *base);
/* Onto another version of the same file, as data_rebase; but a file without a base counts as if it had started from an
 * empty one, and all from offset `tail` on was appended: it goes to the new version's end. tail: DATA_NO_TAIL, or the
 * size of the base (0 without one), of which nothing was cut off, else -EINVAL. -ESTALE: bytes written before the tail
 * lie past the new version's end, so it has no honest place. On failure (-ENOSPC, -EFBIG, ...) the file is as it was. */
#define DATA_NO_TAIL UINT64_MAX
_must_check_ int data_merge(struct data_file *f, const char *key, const struct store_obj *base, uint64_t tail);
/* The file is that version now, and clean: what was written here is forgotten (there is nothing, or it is in there). */
_must_check_ int data_follow(struct data_file *f, const char *key, const struct store_obj *now);
/* Saves what is here of the file (staged and cached bytes, nothing is fetched; the rest is zeros) in the cache's
 * lost+found (see cache_stage_keep). On success the file is done with: reads and writes say -ESTALE. */
_must_check_ int data_keep(struct data_file *f, const char *key, const char *why, char **ret_path);

#endif
