/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: attributes and extended attributes that were set on a directory that is in the bucket, and that its marker
 * does not have yet. Each such directory has an entry in the outbox (outbox.h), as one that was made (makedir.h), whose
 * claim and steps it has, too.
 *
 * STD-1  Several changes are one entry, and one PUT of the marker, under If-Match of what it was, or If-None-Match where only
 * keys imply the directory; what was not set here is as the bucket has it: it is looked at first where it was seen longer
 * ago than acregmin, and after a first try. STD-2  A marker's PUT has the entry's mark, as a file's commit has (STO-3, STO-4): what
 * a try has brought there is not set once more. STD-3  While it waits the directory is what it is here, and the bucket is
 * not asked about it (about names in it as ever). Where no marker and no key is there by then, it was removed by
 * another client, and so is the entry. Refused for good, it is as it was stored, and the log and the status say so.
 * STD-4  What was acknowledged after it and is brought to a key below it goes after it (makedir_settle).
 * The mount's root, option takeover and excl=strict go by the bucket. */
#ifndef S3EFS_VFS_STOREDDIR_H
#define S3EFS_VFS_STOREDDIR_H

#include "outbox.h"

/* With names (read) and i->io held: may what is set now be the journal's? Then nobody else changes its entry, if it has
 * one, until storeddir_end(), and the caller sets it and puts the entry. False: it is the bucket's to say. */
bool storeddir_begin(struct vfs *v, struct inode *dir, bool *ret_step);
void storeddir_end(struct vfs *v, struct inode *dir, bool has_step, int r); /* r: of outbox_put() */

/* --- with its claim --- */
/* 0: the bucket has it, or it is gone. -errno: it waits on, or (it does not wait) it was refused for good. */
int storeddir_send(struct vfs *v, struct inode *dir);
/* The bucket has what that entry says; one that was made since waits on. */
void storeddir_sent(struct vfs *v, struct inode *dir, uint64_t seq);
/* It has no entry any more, and is as it was stored, or is not there. */
void storeddir_leave(struct vfs *v, struct inode *dir, bool is_there);
/* What was set of `mine` is the directory's. */
void storeddir_apply_locked(struct inode *dir, const struct objattr *mine);

#endif
