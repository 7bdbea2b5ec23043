/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the bucket did not have when the kernel last asked. A rename looks up its new name and
 * then asks for the rename, within one system call that holds the directory's lock: the second look
 * would be the first one's HEAD and LIST again.
 *
 * ABS-1  Good once, for acregmin, and only while nothing of that name changed on this mount. What
 *        another client makes under the name meanwhile the PUT's condition finds, as it does after a
 *        look of the rename's own; and it is replaced whole (or, with RENAME_NOREPLACE, refused). A
 *        second try of the rename asks.
 *
 * Few are kept, the newest; one that is not there is asked for. Threads: any, with v->tree. */
#ifndef S3EFS_VFS_ABSENT_H
#define S3EFS_VFS_ABSENT_H

#include "internal.h"

void absent_note_locked(struct vfs *v, const struct inode *dir, const char *name, int64_t asked_ns);
/* Was it not there a moment ago? It is to be asked for next time. */
bool absent_take_locked(struct vfs *v, const struct inode *dir, const char *name);
void absent_forget_locked(struct vfs *v, const struct inode *dir, const char *name); /* it changed */
void absent_forget_all_locked(struct vfs *v);

#endif
