/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: a new file that is likely to be renamed, or removed, in a moment waits for that
 * (vfs_conf.fold_ns), so that the bucket has nothing of the name that it had before.
 *
 * FOLD-1  Likely is a name that looks temporary, and any name in a directory where one that did not
 *         was renamed or removed within a second of its last write, for a minute. They wait for
 *         fold_ns, or where renames came later (many callers take turns at a directory's lock) for
 *         twice what the last ones took, two seconds at most. Other files wait for nothing of their
 *         own; lock files (.lock) never do, as other clients look for them.
 * FOLD-2  What is closed or made while one waits is not sent before it: no name is seen elsewhere
 *         before the bytes that it stands for, and as a fold is short, nothing waits for long. What
 *         asks the bucket at once (a rename of a stored file, a link of one, an fsync under commit=fsync)
 *         makes all that wait due.
 * FOLD-3  What a fold keeps from being sent is sent before its writer changes it again: half of a
 *         new file is never sent, so else it would wait for the next close. Not where every sender is
 *         at work: none would have taken it by now, and a writer waits for no outage but its own file's.
 * FOLD-4  A fold ends with the rename to another name (or with the unlink of the name, where a link has given the file
 *         another, LKD-2), with a drain, and when a close waits for room. An fsync under commit=local is the journal's: who writes a file, its fsync and its
 *         rename gets one PUT, too. */
#ifndef S3EFS_VFS_FOLD_H
#define S3EFS_VFS_FOLD_H

#include "outbox.h"

bool fold_is_temporary(const char *name);
/* o, the inode's new entry, is about to join the queue. */
void fold_begin_locked(struct vfs *v, const struct inode *i, struct outgoing *o);
/* A name of the inode in dir ends here: what that says of the others. */
void fold_learn_locked(struct vfs *v, const struct inode *dir, const struct inode *i,
                       const char *name);
/* An unsent file has its new name. outbox_wake() has to follow. */
void fold_renamed_locked(const struct inode *i);
/* Does this one wait for its rename only, so that nothing goes before it? */
bool fold_stands_locked(const struct outgoing *o, int64_t now);
/* Is anything due sooner or later that a sender may have to wait for? */
bool fold_any(const struct vfs *v);
void fold_end_locked(struct vfs *v);

/* --- with locks of rank below v->tree, or none --- */
void fold_end(struct vfs *v); /* all that wait are due */
/* --- with no lock held --- */
/* Somebody writes to a file, or cuts it off: FOLD-3. What fails is the senders' again. */
void fold_before_change(struct vfs *v, struct inode *i);

#endif
