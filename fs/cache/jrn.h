/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the journal share.
 *
 * - JRN-1  One thread at a time is at work on the index and the folder of files: who has the token
 *   (busy). No mutex is held meanwhile; the rest waits in the queue, and the next to work takes all
 *   of it at once.
 * - JRN-2  Numbers are given when a batch is formed, so records get durable in the order of their
 *   numbers: a file below the index's `next` and without a record belongs to an entry that was
 *   dropped, one above it to a put that nobody was told of.
 * - JRN-3  `live` is what the index is known to hold. */
#ifndef S3EFS_CACHE_JRN_H
#define S3EFS_CACHE_JRN_H

#include "base/lock.h"
#include "cache/journal.h"
#include "jindex.h"
#include "priv.h"

/* An entry, as much of it as stays in memory. */
struct jrn_live {
    uint64_t seq;
    int64_t since_ns;
    uint64_t alloc; /* 0 without a file */
    uint32_t crc;
    bool has_file, gone;
};

/* Sorted by seq; gone ones stay until there are many. */
struct jrn_table {
    struct jrn_live *v;
    size_t n, cap, gone;
};

/* A put or a drop that waits. */
struct jrn_req {
    struct jrn_req *next;
    struct jindex_rec rec; /* of a put */
    const char *from;      /* the staged file's name; NULL: no bytes */
    bool is_put;
    uint64_t drops; /* an entry that goes with it; 0: none */
    int result;
    char *why; /* the cause of a failure, for the waiting thread */
    bool done;
};

struct journal {
    struct cache *cache;
    char dir[PATH_MAX];   /* DIR/journal */
    char files[PATH_MAX]; /* DIR/journal/files */
    int files_fd;
    struct lock lock;
    struct cond changed;
    struct {
        struct jrn_req *first, **last;
        size_t waiting;
        bool busy;
        struct jrn_table live;
        uint64_t entries, bytes, lost;
    } locked;
    /* Only with the token. */
    struct jindex *index;
    uint64_t next;               /* the next number to give */
    struct jindex_state state;   /* what the index is known to say */
    uint64_t left_from, left_to; /* numbers of batches that failed while the index was sick */
};

/* --- jtable.c: the entries in memory --- */
struct jrn_live *jrn_table_find(const struct jrn_table *t, uint64_t seq); /* NULL: none, or gone */
_must_check_ int jrn_table_reserve(struct jrn_table *t, size_t more);
void jrn_table_add(struct jrn_table *t,
                   const struct jrn_live *e); /* reserved; above all there are */
void jrn_table_remove(struct jrn_table *t, struct jrn_live *e);
void jrn_table_done(struct jrn_table *t);

/* --- jbatch.c: one round of the journal's work --- */
/* Queues a request and works, or waits, until it is done. */
_must_check_ int jrn_do(struct journal *j, struct jrn_req *req);
/* The same of n > 0 requests: 0, or what the first of those that failed says. */
_must_check_ int jrn_do_all(struct journal *j, struct jrn_req *reqs, size_t n);
/* The token, for what is no request. */
void jrn_hold(struct journal *j);
void jrn_release(struct journal *j);

/* --- jfiles.c: the folder of bytes --- */
void jrn_file_path(const struct journal *j, uint64_t seq, char ret[PATH_MAX]);
/* The name of one, or false: nothing of ours. */
bool jrn_file_seq(const char *name, uint64_t *ret);
_must_check_ int jrn_make_folders(struct journal *j); /* and opens files_fd */
_must_check_ int jrn_sync_folder(const char *path);
_must_check_ int jrn_sync_folders(const struct journal *j); /* and their names, up to the root */
/* To lost+found, with a note. */
_must_check_ int jrn_keep_file(struct journal *j, const char *path, const char *name,
                               const char *why);
_must_check_ int jrn_keep_bytes(struct journal *j, const void *p, size_t n, const char *name,
                                const char *why);

/* --- jstart.c: what the last process left --- */
_must_check_ int jrn_start(struct journal *j);

#endif
