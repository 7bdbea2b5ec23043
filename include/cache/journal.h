/* SPDX-License-Identifier: Apache-2.0 */
/* The journal: what was acknowledged (commit=local) and is not in the bucket yet. An entry is a record that the caller
 * makes (opaque here, at most JOURNAL_REC_MAX bytes) and, if there are bytes, a file of them.
 *
 * It lives in the cache directory and is not of the cache: nothing in it is evicted, nor given up when the cache's
 * index is. DIR/journal/index is an LMDB environment of its own, with full syncs; DIR/journal/files/SEQ are the bytes
 * (a hard link of the staged file). The directory's lock and stamp guard it: one process, one source.
 *
 * JOURNAL-1  journal_put() that returned 0 outlives kill -9 and power loss: bytes, their name and the record were synced,
 *            in this order. One that failed left nothing that a restart takes for an entry.
 * JOURNAL-2  An entry's number is above those of all entries that were acknowledged before it, also of dropped ones, also
 *            after a restart.
 * JOURNAL-3  A file that the index knows nothing of, a record whose bytes are missing, a damaged record or index: moved to
 *            lost+found with a note and logged (journal.lost), never dropped in silence.
 * Threads: any. A call waits for the disk: no lock of rank >= LOCK_RANK_NO_BLOCK is held over it. puts and drops that are
 *            waiting at the same time share the sync of the directory and of the index.
 * Errors: -ENOSPC (clean blocks were evicted first), -EIO, ...; err_text() has the cause. After an error the entry does
 * not stand and what it should have replaced does. After a failed write the index is opened anew by the next call.
 * A page of the index that the disk can't read while the mount runs (LMDB reads through a map) fails the call with -EIO;
 * no entry is taken until the whole index has been read and has all that was acknowledged (fs/cache/mapped.h). */
#ifndef S3EFS_CACHE_JOURNAL_H
#define S3EFS_CACHE_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macros.h"
#include "cache/cache.h"

#define JOURNAL_REC_MAX ((size_t)16 << 20)

struct journal;
/* After cache_start, in the process that uses it (LMDB is not used over a fork). Puts right what a crash left: see
 * JOURNAL-3. -EINVAL: another format's; -ENOTSUP: the file system has no hard links. */
_must_check_ int journal_open(struct cache *c, struct journal **ret);
void journal_close(struct journal *j); /* before cache_stop; NULL is fine. Entries stay. */

/* Makes an entry. stage: its bytes, borrowed (NULL: none), of which the first stage_len count: nobody makes it shorter
 * than that, or writes to the ranges that the record means, during the call and as long as the entry stands. replaces: an entry that this one stands in for,
 * dropped in the same transaction (0 or one that is not there: none); the new one takes over its age. */
_must_check_ int journal_put(struct journal *j, const void *rec, size_t len, struct cache_stage *stage,
                             uint64_t stage_len, uint64_t replaces, uint64_t *ret_seq);
/* The entry is done: what it says is in the bucket, or its bytes are in lost+found. Durable when it returns 0; after a
 * failure the entry may be there again at the next start. One that is not there: 0. */
_must_check_ int journal_drop(struct journal *j, uint64_t seq);
/* The same of n entries, in as few syncs as their number allows. 0: all of them; -errno: some may stand. */
_must_check_ int journal_drop_many(struct journal *j, const uint64_t *seqs, size_t n);

/* Calls fn for each entry in the order of seq, with no lock held: it may call journal_stage and journal_drop. Entries that
 * are made meanwhile may be met. What fn returns other than 0 ends it and is returned. */
typedef int (*journal_fn)(void *arg, uint64_t seq, const void *rec, size_t len, bool has_file);
_must_check_ int journal_each(struct journal *j, journal_fn fn, void *arg);
/* The entry's bytes as a stage again (the same file: JOURNAL-1's ranges stay untouched while the entry stands).
 * -ENOENT: no such entry, or it has none. */
_must_check_ int journal_stage(struct journal *j, uint64_t seq, struct cache_stage **ret);

struct journal_stats {
    uint64_t entries;
    uint64_t bytes;         /* on the disk, of files; part of the cache's staged_bytes */
    int64_t oldest_wall_ns; /* when what is unsent for longest was acknowledged; 0: nothing is */
    uint64_t lost;          /* entries and files that journal_open moved to lost+found */
};
void journal_stats_get(struct journal *j, struct journal_stats *ret);

/* Without opening it: how many entries stand in the journal of a directory that is open for a check (cache_conf.check),
 * and how many bytes they have. Nothing changes. 0 (none also where there is no journal), -EBADMSG: damaged, -errno. */
_must_check_ int journal_peek(struct cache *c, uint64_t *ret_entries, uint64_t *ret_bytes);

#endif
