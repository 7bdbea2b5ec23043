/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: a change of a stored file by its name (attributes, extended attributes, truncate)
 * is an entry of the outbox as a close is: of attributes alone one without staged bytes, on the
 * version that is there (outbox.h).
 *
 * STO-1  Several changes are one entry, and one commit. STO-2  Where attributes alone wait, the
 * bytes are the bucket's: an open asks for the newest version as it always does, and where there is
 * one by then, the entry is sent first, onto that. STO-3  Attributes do not change the ETag, so no
 * condition says that a try of an earlier process took effect: who can't know looks first
 * (upload.h). STO-4  What an earlier try has brought into the bucket is not set once more: another
 * mount may have changed it since. An entry says of each kind of attribute how many of the tries in
 * doubt, the newest first, were made since it was set (its age); where the object has the mark of
 * one, what is older than that is the bucket's, and only the rest is set. So it is where that try brought bytes, too: those have
 * landed, and are not written again. */
#ifndef S3EFS_VFS_STORED_H
#define S3EFS_VFS_STORED_H

#include "outbox.h"

/* Kinds beside VFS_SET_*: user attributes; the object's own headers. */
#define STORED_USER 64
#define STORED_HDRS 128
/* The ages of an entry that is made now: since: what was set after the one before it, whose ages these are; is_tried: that
 * one's mark is in doubt from now on. Four bits for each kind. Pure, as the next two. */
uint32_t stored_ages(uint32_t ages, unsigned char since, bool is_tried);
/* Kinds that were set after all but the newest n of those tries; in doubt, too. */
unsigned char stored_since(uint32_t ages, unsigned n);
unsigned char stored_kinds(const struct store_hdrs *edits);

/* Attributes wait for their upload, and nothing else of it does. */
bool stored_attr_waits_locked(const struct inode *i);
/* A change of it by its name is the journal's, if that takes it: not where each write is to be in the bucket, nor where an
 * entry could not say what headers the object has besides. */
bool stored_is_local_locked(const struct vfs *v, const struct inode *i);

/* --- with i->io held --- */
/* Attributes are to be set that a try in doubt may have brought there. */
bool stored_was_tried_locked(const struct inode *i);
/* `there`, a version of its file, is what the entry goes onto: STO-4. */
void stored_settle_locked(struct inode *i, const struct store_obj *there);
/* `there` has what was written here, by a try before the last, and others came on top of that: was anything set since? That alone is
 * what is set after this. */
bool stored_is_left_locked(struct inode *i, const struct store_obj *there);
bool stored_finds_tries(struct vfs *v, struct inode *i); /* upload_req's */

/* --- with names (read) and i->io held --- */
/* The inode, which nobody's close brings there, is changed: into the journal, or where that is not
 * to be, the bucket. 0 or what the bucket says. */
_must_check_ int stored_commit(struct vfs *v, struct inode *i);
/* Who opens a file whose attributes alone wait: as inode_check(). */
_must_check_ int stored_check(struct vfs *v, struct inode *i, bool wants_bytes);

#endif
