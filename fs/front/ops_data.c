/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on open files. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include "base/err.h"

static void op_create(fuse_req_t req, fuse_ino_t dir, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    const struct front *f = fuse_req_userdata(req);
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_CREATE);
    struct vfs_entry e = {0};
    struct fuse_entry_param p;
    int r = vfs_create(v, &x, dir, name, mode, fi->flags, &e, &fi->fh);

    if (r != 0) {
        reply_done(req, r, "create", dir, name);
        return;
    }
    p = reply_entry_param(&e);
    if (f->passthrough)
        backing_answer(vfs_backing(v, fi->fh));
    if (fuse_reply_create(req, &p, fi) != 0) { /* the caller was killed meanwhile */
        vfs_release(v, fi->fh);
        vfs_forget(v, e.node, 1);
    }
}

static void op_open(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    const struct front *f = fuse_req_userdata(req);
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_OPEN);
    bool keep_cache = false;
    int r = vfs_open(v, &x, node, fi->flags, &fi->fh, &keep_cache);

    if (r != 0) {
        reply_done(req, r, "open", node, NULL);
        return;
    }
    fi->keep_cache = keep_cache;
    if (f->passthrough)
        backing_answer(vfs_backing(v, fi->fh));
    if (fuse_reply_open(req, fi) != 0)
        vfs_release(v, fi->fh);
}

static void op_read(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi)
{
    struct front *f = fuse_req_userdata(req);
    struct vfs *v = front_begin(req, NULL, ORIGIN_READ);
    struct killable k;
    ssize_t n;
    char *data;

    kill_watch(f->kill, req, fi->fh, &k);
    budget_take(&f->replies, size);
    data = malloc(size > 0 ? size : 1);
    n = data == NULL ? err_set(-ENOMEM, "out of memory") : vfs_read(v, fi->fh, (uint64_t)off, data, size);
    if (kill_unwatch(&k))
        reply_too_late((int)n, "read", node);
    else if (n < 0)
        reply_done(req, (int)n, "read", node, NULL);
    else
        fuse_reply_buf(req, data, (size_t)n);
    free(data);
    budget_give(&f->replies, size);
}

static void op_write(fuse_req_t req, fuse_ino_t node, const char *data, size_t size, off_t off,
                     struct fuse_file_info *fi)
{
    struct front *f = fuse_req_userdata(req);
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_WRITE);
    struct killable k;
    ssize_t n;

    kill_watch(f->kill, req, fi->fh, &k);
    n = vfs_write(v, &x, fi->fh, (uint64_t)off, data, size);
    if (kill_unwatch(&k))
        reply_too_late((int)n, "write", node);
    else if (n < 0)
        reply_done(req, (int)n, "write", node, NULL);
    else
        fuse_reply_write(req, (size_t)n);
}

static void op_flush(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct front *f = fuse_req_userdata(req);
    struct vfs_ctx x;
    struct vfs *v = front_begin(req, &x, ORIGIN_FLUSH);
    struct killable k;
    int r, closed;

    kill_watch(f->kill, req, fi->fh, &k);
    r = vfs_flush(v, &x, fi->fh);
    closed = lock_close(f, node, fi, LOCK_POSIX);
    if (r == 0)
        r = closed;
    if (kill_unwatch(&k))
        reply_too_late(r, "flush", node);
    else
        reply_done(req, r, "flush", node, NULL);
}

static void op_fsync(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi)
{
    struct front *f = fuse_req_userdata(req);
    struct vfs *v = front_begin(req, NULL, ORIGIN_FSYNC);
    struct killable k;
    int r;

    (void)datasync; /* one object holds bytes and attributes: both or neither */
    kill_watch(f->kill, req, fi->fh, &k);
    r = vfs_fsync(v, fi->fh);
    if (kill_unwatch(&k))
        reply_too_late(r, "fsync", node);
    else
        reply_done(req, r, "fsync", node, NULL);
}

static void op_release(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    const struct front *f = fuse_req_userdata(req);
    struct vfs *v = front_begin(req, NULL, ORIGIN_RELEASE);
    int r;

    kill_wait(f->kill, fi->fh);
    r = fi->flock_release ? lock_close(f, node, fi, LOCK_FLOCK) : 0;
    vfs_release(v, fi->fh);
    reply_done(req, r, "release", node, NULL); /* nobody hears it; the log does */
}

void ops_data_fill(struct fuse_lowlevel_ops *ops)
{
    ops->create = op_create;
    ops->open = op_open;
    ops->read = op_read;
    ops->write = op_write;
    ops->flush = op_flush;
    ops->fsync = op_fsync;
    ops->release = op_release;
}
