/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on ranges of open files. */
#include "internal.h"

#include <errno.h>
#include "base/err.h"

static void op_fallocate(fuse_req_t req, fuse_ino_t node, int mode, off_t off, off_t len,
                         struct fuse_file_info *fi)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_FALLOCATE);

    reply_done(req, vfs_fallocate(v, &x, fi->fh, mode, (uint64_t)off, (uint64_t)len), "fallocate",
               node, NULL);
}

static void op_lseek(fuse_req_t req, fuse_ino_t node, off_t off, int whence,
                     struct fuse_file_info *fi)
{
    struct vfs *v = front_begin(req, NULL, ORIGIN_LSEEK);
    uint64_t at = 0;
    int r = off < 0 ? -ENXIO : vfs_lseek(v, fi->fh, (uint64_t)off, whence, &at);

    if (r != 0)
        reply_done(req, r, "lseek", node, NULL);
    else
        fuse_reply_lseek(req, (off_t)at);
}

/* The answer counts 32 bits. */
static void op_copy_file_range(fuse_req_t req, fuse_ino_t node, off_t off,
                               struct fuse_file_info *fi, fuse_ino_t node_out, off_t off_out,
                               struct fuse_file_info *fi_out, size_t len, int flags)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_COPY_RANGE);
    ssize_t n = -EINVAL;

    (void)node_out;
    if (flags == 0)
        n = vfs_copy_range(v, &x, fi->fh, (uint64_t)off, fi_out->fh, (uint64_t)off_out,
                           len < UINT32_MAX ? len : UINT32_MAX);
    if (n < 0)
        reply_done(req, (int)n, "copy_file_range", node, NULL);
    else
        fuse_reply_write(req, (size_t)n);
}

void ops_range_fill(struct fuse_lowlevel_ops *ops)
{
    ops->fallocate = op_fallocate;
    ops->lseek = op_lseek;
    ops->copy_file_range = op_copy_file_range;
}
