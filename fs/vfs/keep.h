/* SPDX-License-Identifier: Apache-2.0 */
/* What the next daemon needs of this one, should it die: written to the takeover table as it changes (protocol 17).
 *
 * KEEP-1  What io guards of a file (bytes, version, what is dirty) is in the table before io is dropped.
 * KEEP-2  Before a PUT its mark is in the table: a commit that landed unseen is known as our own.
 * KEEP-3  Nodes' names and the kernel's references are in the table before the answer that tells of them goes
 *         (vfs_keep_reply); a reference too many is a leak, one too few never happens.
 * KEEP-4  A handle, and the answer of a call that must not run twice, are written in one step with it.
 * KEEP-5  The id of what a call by name makes, removes or renames is in the table before the first request that may do it.
 * KEEP-6  What owners have locked is in the table before their calls are answered, and what is being changed before the bucket
 *         is asked for it: of each range that the bucket gives this mount's session the table says whose it is.
 * All are cheap and do nothing where nothing is kept (v->keep NULL). */
#ifndef S3EFS_VFS_KEEP_H
#define S3EFS_VFS_KEEP_H

#include "internal.h"
#include "keeprec.h"

enum keep_kind {
    KEEP_NODE = 'n',
    KEEP_DATA = 'd',
    KEEP_HANDLE = 'h',
    KEEP_LOCKS = 'l',
    KEEP_REPLY = 'r',
    KEEP_BLOB = 'b',
    KEEP_TRY = 't',
    KEEP_REQUEST = 'q',
    KEEP_FORMAT = 'v'
};

int keep_new(struct vfs *v, struct table *t);
void keep_free(struct vfs *v); /* the records stay */
/* Names, references or attributes changed: written with the next answer of any call. Under v->tree. */
void keep_node_locked(struct vfs *v, const struct inode *i);
void keep_gone_locked(struct vfs *v, struct inode *i); /* it is being freed */
/* It came, went or changed: written with the answer of the call that this thread serves. */
void keep_handle(struct vfs *v, uint64_t fh);
void keep_inode(struct vfs *v, struct inode *i); /* io held: KEEP-1 */
/* The call of this thread has appended len bytes: written in one step with that. */
void keep_promise_write(struct vfs *v, size_t len);
/* The mark of the commit that is made now, written down (io held). NULL: none is kept. is_retry: set where a daemon that
 * died was sending just this. */
const char *keep_mark(struct vfs *v, struct inode *i, bool *is_retry);
/* Is it such a commit? What the bucket has under its mark is then what counts. */
bool keep_is_retry(const struct inode *i);
/* Before such a commit: should it fail before it has asked, the next one, under another mark, knows it as our own. */
void keep_retry_begins(struct vfs *v, const struct inode *i);

/* A file's locks that were written down are gone, and so is their record with the next write. Under v->tree. */
void keep_locks_gone_locked(struct vfs *v, uint64_t number);

/* keepold.c: of a takeover. Of answers, and of tries, that are not asked for any more so many stay. */
#define KEEP_ANSWERS_MAX 4096
int keep_drop_old(struct vfs *v);

/* again.c: the call of this thread is about to make, remove or rename this file (KEEP-5). Without v->tree. */
void keep_try(struct vfs *v, const struct inode *i);
/* The number of the call that this thread serves; 0: none, or nothing is kept. */
uint64_t keep_unique(const struct vfs *v);
void keep_note_try(void); /* it has a record of tries, which goes with its answer */

/* keeplock.c: the locks that the mount holds, before anything is committed or asked. */
_must_check_ int take_locks(struct vfs *v);
/* takejournal.c: what waits in the journal waits on. Before handles are there. */
_must_check_ int take_journal(struct vfs *v);
/* takeover.c: of an inode that was taken over; io is nobody's yet */
int keep_adopt(struct inode *i, const struct keep_data *d);

#endif
