/* SPDX-License-Identifier: Apache-2.0 */
/* What the writers of the takeover table share (keep.h): the table with what is to be written to it, one transaction, and
 * the call that a thread serves. One lock orders the writes: what is encoded under it is newer than what went before. */
#ifndef S3EFS_VFS_KEEPWRITE_H
#define S3EFS_VFS_KEEPWRITE_H

#include "cache/table.h"
#include "keep.h"

#define KEEP_ITEM_MAX ((size_t)8 << 20)
#define KEEP_CALL_HANDLES 8

struct keep_numbers {
    uint64_t *v;
    size_t n, cap;
    bool is_short; /* of memory: something was left out */
};

struct keep {
    struct table *table;
    struct lock lock; /* LOCK_KEEP */
    struct lock todo_lock; /* LOCK_LEAF */
    struct {
        struct keep_numbers nodes, files, locks; /* to be written; not needed any more; to be removed */
    } todo;
};

/* What the table has of a file. */
struct kept {
    uint64_t hash; /* of the record; 0: there is none */
    uint64_t file;
    bool is_too_large; /* its record says that its bytes are lost */
    bool is_tried; /* the mark may be in the bucket */
    uint64_t taken_seq;   /* in a daemon that takes over: the journal's entry that the file waited by; 0: none */
    bool taken_is_behind; /* and was changed since */
    bool is_trying, is_retry; /* as keep_data's; a daemon that died was trying */
    char mark[UPLOAD_MARK_SIZE];
    char doubts[OUTREC_DOUBTS][UPLOAD_MARK_SIZE];
    unsigned n_doubts;
};

struct keep_batch {
    struct table_item *v;
    size_t n, cap;
    int error;
};

/* data: copied; NULL: the record goes. */
void keep_add(struct keep_batch *b, unsigned char kind, uint64_t id, const void *data, size_t len);
void keep_batch_done(struct keep_batch *b);
/* What could not be written makes the table worthless, and it says so itself (TABLE-2). */
_must_check_ int keep_batch_write(struct keep *k, const struct keep_batch *b);

/* --- keep.c; with the lock of keep held --- */
/* All that is to be written of nodes, as it is at one moment: no two of them have one name. too: also this one; 0: none. */
void keep_add_nodes(struct vfs *v, struct keep_batch *b, uint64_t too);
void keep_add_handle(struct vfs *v, struct keep_batch *b, uint64_t fh);
/* The answer of an append that this thread's call has promised, and what that makes superfluous. */
void keep_add_promise(struct keep_batch *b);
/* Has the call of this thread promised one? */
bool keep_has_promise(void);

#endif
