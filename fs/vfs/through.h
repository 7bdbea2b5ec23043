/* SPDX-License-Identifier: Apache-2.0 */
/* Option passthrough: files that the kernel reads by itself, from the cache's own file (FUSE passthrough, Linux 6.9), at
 * the speed of the local disk. We hear of open and close, of no read.
 *
 * THROUGH-1  The kernel's rule: while one handle of a node is read that way, each open of it is, from the same
 * file (else EIO). So it begins with the first handle alone, and ends with the last. THROUGH-2  Such a node has no
 * writer, and its content does not move: who opens it for writing, or cuts it off by name, is told ESTALE, looks the name up
 * again, and has a node of his own (as a newer version of another client has, protocol 7); who reads keeps the bytes
 * that he opened. For a minute no file of that name is read that way; nor after the name went from such a node by a rename or
 * unlink, or by another client's version. THROUGH-3  Only what is clean and whole here, each
 * block compared with its CRC; not what is locked (its readers go on to newer versions) or a hard link.
 * THROUGH-4  A large file is compared by a thread of its own, and read by us meanwhile. */
#ifndef S3EFS_VFS_THROUGH_H
#define S3EFS_VFS_THROUGH_H

#include "internal.h"

#define THROUGH_AT_ONCE (UINT64_C(32) << 20) /* bytes: an open waits while so many are compared */

_must_check_ int through_new(struct vfs *v); /* 0, also where nothing is to be read that way */
void through_free(struct vfs *v);            /* joins its thread */

/* With i->io held: h, the only handle of i, becomes such a one if it can. */
void through_begin(struct vfs *v, struct inode *i, struct handle *h);
/* With names (read) and i->io held, before somebody changes the file's content by its node: 0: nobody reads it that way; -ESTALE: look it
 * up again; -errno: something of it waits that could not be sent. */
_must_check_ int through_part(struct vfs *v, struct inode *i);

/* --- under v->tree --- */
/* One more handle of i. -ESTALE: THROUGH-2. */
_must_check_ int through_join_locked(struct inode *i, struct handle *h);
/* It goes. > 0: what backing_close() is to be told of, with no lock held. */
int through_leave_locked(struct inode *i, const struct handle *h);
/* i loses this name, whoever's doing that is. Who looked it up before, to write, is told ESTALE once: his second try must
 * not meet another file that is read that way by then. */
void through_parted_locked(struct vfs *v, const struct inode *i, const struct inode *dir, const char *name);

#endif
