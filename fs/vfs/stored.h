/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: a change of a stored file by its name (attributes, extended attributes, truncate)
 * is an entry of the outbox as a close is: of attributes alone one without staged bytes, on the
 * version that is there (outbox.h).
 *
 * STO-1  Several changes are one entry, and one commit. STO-2  Where attributes alone wait, the
 * bytes are the bucket's: an open asks for the newest version as it always does, and where there is
 * one by then, the entry is sent first, onto that. STO-3  Attributes do not change the ETag, so no
 * condition says that a try of an earlier process took effect: who can't know looks first
 * (upload.h). */
#ifndef S3EFS_VFS_STORED_H
#define S3EFS_VFS_STORED_H

#include "outbox.h"

/* Attributes wait for their upload, and nothing else of it does. */
bool stored_attr_waits_locked(const struct inode *i);
/* A change of it by its name is the journal's, if that takes it: not where each write is to be in the bucket, nor where an
 * entry could not say what headers the object has besides. */
bool stored_is_local_locked(const struct vfs *v, const struct inode *i);

/* --- with names (read) and i->io held --- */
/* The inode, which nobody's close brings there, is changed: into the journal, or where that is not
 * to be, the bucket. 0 or what the bucket says. */
_must_check_ int stored_commit(struct vfs *v, struct inode *i);
/* Who opens a file whose attributes alone wait: as inode_check(). */
_must_check_ int stored_check(struct vfs *v, struct inode *i, bool wants_bytes);

#endif
