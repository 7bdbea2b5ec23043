/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on names. */
#include "internal.h"

#include <errno.h>
#include "base/err.h"

/* A request that a daemon before this one had read, and may have done before it died (takeover.c). 1: it had; 0: it is to be
 * run; -errno. */
static int was_removed(struct vfs *v, fuse_ino_t dir, const char *name)
{
    return front_is_again() ? vfs_was_removed(v, dir, name) : 0;
}

static int was_made(struct vfs *v, const struct vfs_ctx *x, fuse_ino_t dir, const char *name, struct vfs_entry *e)
{
    return front_is_again() ? vfs_was_made(v, x, dir, name, e) : 0;
}

/* After its run: *r is EEXIST where what the daemon before had sent came late. */
static int made(struct vfs *v, const struct vfs_ctx *x, fuse_ino_t dir, const char *name, struct vfs_entry *e, int r)
{
    int was = r == -EEXIST ? was_made(v, x, dir, name, e) : 0;

    return was > 0 ? 0 : was < 0 ? was : r;
}

static void op_lookup(fuse_req_t req, fuse_ino_t dir, const char *name)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_LOOKUP);
    struct vfs_entry e = {0};
    int r = vfs_lookup(v, &x, dir, name, &e);

    reply_entry(req, r, "lookup", dir, name, &e);
}

static void op_forget(fuse_req_t req, fuse_ino_t node, uint64_t n)
{
    struct vfs *v = front_begin(req, NULL, ORIGIN_FORGET);

    vfs_forget(v, node, n);
    vfs_keep_reply(v, 0, NULL, 0);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    struct vfs *v = front_begin(req, NULL, ORIGIN_FORGET);

    for (size_t i = 0; i < count; i++)
        vfs_forget(v, forgets[i].ino, forgets[i].nlookup);
    vfs_keep_reply(v, 0, NULL, 0);
    fuse_reply_none(req);
}

static void op_mknod(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode, dev_t rdev)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_MKNOD);
    struct vfs_entry e = {0};
    int was = was_made(v, &x, dir, name, &e), r = was > 0 ? 0 : was;

    if (was == 0)
        r = made(v, &x, dir, name, &e, vfs_mknod(v, &x, dir, name, mode, rdev, &e));
    reply_entry(req, r, "mknod", dir, name, &e);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_MKDIR);
    struct vfs_entry e = {0};
    int was = was_made(v, &x, dir, name, &e), r = was > 0 ? 0 : was;

    if (was == 0)
        r = made(v, &x, dir, name, &e, vfs_mkdir(v, &x, dir, name, mode, &e));
    reply_entry(req, r, "mkdir", dir, name, &e);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t dir, const char *name)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_SYMLINK);
    struct vfs_entry e = {0};
    int was = was_made(v, &x, dir, name, &e), r = was > 0 ? 0 : was;

    if (was == 0)
        r = made(v, &x, dir, name, &e, vfs_symlink(v, &x, target, dir, name, &e));
    reply_entry(req, r, "symlink", dir, name, &e);
}

static void op_readlink(fuse_req_t req, fuse_ino_t node)
{
    struct vfs *v = front_begin(req, NULL, ORIGIN_READLINK);
    _cleanup_free_ char *target = NULL;
    int r = vfs_readlink(v, node, &target);

    if (r != 0)
        reply_done(req, r, "readlink", node, NULL);
    else
        fuse_reply_readlink(req, target);
}

static void op_unlink(fuse_req_t req, fuse_ino_t dir, const char *name)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_UNLINK);
    int was = was_removed(v, dir, name);

    reply_done(req, was > 0 ? 0 : was < 0 ? was : vfs_unlink(v, &x, dir, name), "unlink", dir, name);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t dir, const char *name)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_RMDIR);
    int was = was_removed(v, dir, name);

    reply_done(req, was > 0 ? 0 : was < 0 ? was : vfs_rmdir(v, &x, dir, name), "rmdir", dir, name);
}

static void op_rename(fuse_req_t req, fuse_ino_t dir, const char *name, fuse_ino_t new_dir,
                      const char *new_name, unsigned flags)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_RENAME);
    int was = front_is_again() ? vfs_was_renamed(v, dir, name, new_dir, new_name) : 0, r = was > 0 ? 0 : was;

    if (was == 0)
        r = vfs_rename(v, &x, dir, name, new_dir, new_name, flags);
    if (r == -ENOENT && front_is_again() && vfs_was_implied(v, &x, new_dir, new_name))
        r = 0;
    reply_done(req, r, "rename", dir, name);
}

static void op_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t dir, const char *name)
{
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_LINK);
    struct vfs_entry e = {0};
    int r = vfs_link(v, &x, node, dir, name, &e);

    if (r == -EEXIST && front_is_again() && vfs_was_linked(v, &x, node, dir, name, &e))
        r = 0;
    reply_entry(req, r, "link", dir, name, &e);
}

void ops_name_fill(struct fuse_lowlevel_ops *ops)
{
    ops->lookup = op_lookup;
    ops->forget = op_forget;
    ops->forget_multi = op_forget_multi;
    ops->mknod = op_mknod;
    ops->mkdir = op_mkdir;
    ops->symlink = op_symlink;
    ops->readlink = op_readlink;
    ops->unlink = op_unlink;
    ops->rmdir = op_rmdir;
    ops->rename = op_rename;
    ops->link = op_link;
}
