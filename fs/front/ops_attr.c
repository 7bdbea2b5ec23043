/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on attributes. */
#include "internal.h"

#include <errno.h>

static void op_getattr(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct vfs *v = front_begin(req, NULL, ORIGIN_GETATTR);
    struct stat st = {0};
    int64_t attr_ns = 0;
    int r = vfs_getattr(v, node, fi == NULL ? 0 : fi->fh, &st, &attr_ns);

    reply_attr(req, r, "getattr", node, &st, attr_ns);
}

/* The kernel's mask to the vfs's. "now" travels as UTIME_NOW, as in utimensat(2). */
static int translate(int to_set, struct stat *st)
{
    static const struct {
        int kernel, vfs;
    } bits[] = {
        {FUSE_SET_ATTR_MODE, VFS_SET_MODE},   {FUSE_SET_ATTR_UID, VFS_SET_UID},
        {FUSE_SET_ATTR_GID, VFS_SET_GID},     {FUSE_SET_ATTR_SIZE, VFS_SET_SIZE},
        {FUSE_SET_ATTR_ATIME, VFS_SET_ATIME}, {FUSE_SET_ATTR_MTIME, VFS_SET_MTIME},
        {FUSE_SET_ATTR_ATIME_NOW, VFS_SET_ATIME}, {FUSE_SET_ATTR_MTIME_NOW, VFS_SET_MTIME},
    };
    int mask = 0;

    for (size_t i = 0; i < ARRAY_LEN(bits); i++) {
        if ((to_set & bits[i].kernel) != 0)
            mask |= bits[i].vfs;
    }
    if ((to_set & FUSE_SET_ATTR_ATIME_NOW) != 0)
        st->st_atim = (struct timespec){.tv_nsec = UTIME_NOW};
    if ((to_set & FUSE_SET_ATTR_MTIME_NOW) != 0)
        st->st_mtim = (struct timespec){.tv_nsec = UTIME_NOW};
    return mask;
}

static void op_setattr(fuse_req_t req, fuse_ino_t node, struct stat *want, int to_set,
                       struct fuse_file_info *fi)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_SETATTR);
    struct stat wanted = *want, st = {0};
    int64_t attr_ns = 0;
    int mask = translate(to_set, &wanted);
    int r = vfs_setattr(v, &x, node, fi == NULL ? 0 : fi->fh, &wanted, mask, &st, &attr_ns);

    reply_attr(req, r, "setattr", node, &st, attr_ns);
}

/* access(2), chdir(2): asked only where the kernel does not check itself. */
static void op_access(fuse_req_t req, fuse_ino_t node, int mask)
{
    reply_done(req, vfs_access(front_begin(req, NULL, ORIGIN_ACCESS), node, mask), "access", node, NULL);
}

static void op_statfs(fuse_req_t req, fuse_ino_t node)
{
    struct vfs *v = front_begin(req, NULL, ORIGIN_STATFS);
    struct statvfs st = {0};
    int r = vfs_statfs(v, &st);

    if (r != 0)
        reply_done(req, r, "statfs", node, NULL);
    else
        fuse_reply_statfs(req, &st);
}

void ops_attr_fill(struct fuse_lowlevel_ops *ops)
{
    ops->getattr = op_getattr;
    ops->setattr = op_setattr;
    ops->access = op_access;
    ops->statfs = op_statfs;
}
