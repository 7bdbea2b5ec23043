/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on extended attributes. */
#include "internal.h"

#include <errno.h>
#include "base/err.h"

/* name NULL: their list. The kernel asks for the size (0) or brings a buffer. */
static void answer(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
    struct vfs *v = front_begin(req, NULL, ORIGIN_GETXATTR);
    const char *op = name != NULL ? "getxattr" : "listxattr";
    _cleanup_free_ char *data = malloc(size > 0 ? size : 1);
    ssize_t n = data == NULL   ? err_set(-ENOMEM, "out of memory")
                : name != NULL ? vfs_getxattr(v, node, name, data, size)
                               : vfs_listxattr(v, node, data, size);

    if (n < 0)
        reply_done(req, (int)n, op, node, name);
    else if (size == 0)
        fuse_reply_xattr(req, (size_t)n);
    else
        fuse_reply_buf(req, data, (size_t)n);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t node, const char *name, size_t size)
{
    answer(req, node, name, size);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t node, size_t size)
{
    answer(req, node, NULL, size);
}

/* A call that comes again had changed it before its daemon died: what it wants to be there, or gone, is. */
static int changed_before(struct vfs *v, int r, int refused)
{
    return r == refused && front_is_again() && vfs_was_tried(v) ? 0 : r;
}

static void op_setxattr(fuse_req_t req, fuse_ino_t node, const char *name, const char *value,
                        size_t size, int flags)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_SETXATTR);
    int r = vfs_setxattr(v, &x, node, name, value, size, flags);

    reply_done(req, changed_before(v, r, -EEXIST), "setxattr", node, name);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t node, const char *name)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_SETXATTR);
    int r = vfs_removexattr(v, &x, node, name);

    reply_done(req, changed_before(v, r, -ENODATA), "removexattr", node, name);
}

void ops_xattr_fill(struct fuse_lowlevel_ops *ops)
{
    ops->getxattr = op_getxattr;
    ops->listxattr = op_listxattr;
    ops->setxattr = op_setxattr;
    ops->removexattr = op_removexattr;
}
