/* SPDX-License-Identifier: Apache-2.0 */
/* A rename's two names, and the way of a directory (rename_dir.c). */
#ifndef S3EFS_VFS_RENAME_H
#define S3EFS_VFS_RENAME_H

#include "internal.h"

struct rename_names {
    struct inode *dir, *new_dir;
    const char *name, *new_name;
};

/* With names held for writing. over: an inode that stands under the new name (a directory; must be
 * empty), or NULL. */
int rename_dir(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over);
/* Deletes a key if it still is the version that was copied; a newer one stays where it is. */
int rename_delete(struct vfs *v, const char *key, const struct store_etag *etag);

#endif
