/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes alone go onto a version that another client has put over the one that is open here.
 *
 * ASI-1  The commit moves to that version with content of its own; the handles stay on the one they
 * read, which no newer byte gets into (VFS-5), and are told that one's size (inode.aside). ASI-2  Once it is there the name goes to the new
 * version, which a lookup finds, and the node stays what it was for those who have it open; what
 * they write goes to the new one. Until then nothing has changed: the commit is tried again. */
#ifndef S3EFS_VFS_ASIDE_H
#define S3EFS_VFS_ASIDE_H

#include "internal.h"

struct aside {
    struct data_file *data; /* what the handles read; NULL: nothing is aside */
    struct store_etag etag, kernel_etag;
    uint64_t obj_size;
    int64_t obj_mtime_ns;
    struct objattr attr;
    struct store_hdrs hdrs;
    bool was_behind;
};

/* --- with i->io held, around one commit; *a zeroed at first --- */
/* Before the inode goes to `there`, a version of its file. 0; -errno: nothing has changed. */
_must_check_ int aside_begin(struct vfs *v, struct inode *i, const char *key,
                             const struct store_obj *there, struct aside *a);
/* The commit has ended with r, which it gives back. Consumes *a. */
int aside_end(struct vfs *v, struct inode *i, const char *key, struct aside *a, int r);

#endif
