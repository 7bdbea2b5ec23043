/* SPDX-License-Identifier: Apache-2.0 */
/* How much memory the names take, and which of them nobody has used for longest. See idle.c. */
#ifndef S3EFS_VFS_IDLE_H
#define S3EFS_VFS_IDLE_H

#include "internal.h"

void idle_add_locked(struct vfs *v, struct inode *i);  /* it has a node number now */
void idle_used_locked(struct vfs *v, struct inode *i); /* the kernel asked for it */
void idle_end_locked(struct vfs *v, struct inode *i);  /* it is about to be freed */
/* Counts what it takes now. */
void idle_charge_locked(struct vfs *v, struct inode *i);
/* More than names_max is known: who can do without one more does. */
bool idle_is_full_locked(const struct vfs *v);

#endif
