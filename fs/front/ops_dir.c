/* SPDX-License-Identifier: Apache-2.0 */
/* Calls on open directories. */
#include "internal.h"

#include <errno.h>
#include "base/err.h"

static void op_opendir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    struct vfs *v = front_begin(req, NULL, ORIGIN_OPENDIR);
    int r = vfs_opendir(v, node, &fi->fh);

    if (r != 0) {
        reply_done(req, r, "opendir", node, NULL);
        return;
    }
    if (fuse_reply_open(req, fi) != 0)
        vfs_releasedir(v, fi->fh);
}

struct listing {
    fuse_req_t req;
    char *data;
    size_t size, used;
    bool plus;
    uint64_t unwanted; /* node of the entry that did not fit: its reference goes back */
};

/* Under whatever lock the vfs holds: no call back into it here. */
static int emit(void *arg, const char *name, const struct vfs_entry *e, uint64_t next_off)
{
    struct listing *l = arg;
    size_t room = l->size - l->used, need;

    if (l->plus) {
        struct fuse_entry_param p = reply_entry_param(e);

        need = fuse_add_direntry_plus(l->req, l->data + l->used, room, name, &p, (off_t)next_off);
    } else {
        need = fuse_add_direntry(l->req, l->data + l->used, room, name, &e->st, (off_t)next_off);
    }
    if (need > room) {
        l->unwanted = l->plus ? e->node : 0;
        return 1;
    }
    l->used += need;
    return 0;
}

/* The references of entries in a reply that never reached the kernel stay with the vfs until the mount ends:
 * which they were is in the buffer only, and a dead connection needs none. */
static void list(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
    struct front *f = fuse_req_userdata(req);
    struct vfs *v = front_begin(req, NULL, ORIGIN_READDIR);
    const char *op = plus ? "readdirplus" : "readdir";
    struct listing l = {.req = req, .size = size, .plus = plus};
    int r;

    budget_take(&f->replies, size);
    l.data = calloc(1, size > 0 ? size : 1);
    r = l.data == NULL ? err_set(-ENOMEM, "out of memory") : vfs_readdir(v, fi->fh, (uint64_t)off, plus, emit, &l);
    if (l.unwanted != 0)
        vfs_forget(v, l.unwanted, 1);
    if (r != 0 && l.used == 0)
        reply_done(req, r, op, node, NULL);
    else /* an error after some entries comes again with the next call */
        fuse_reply_buf(req, l.data, l.used);
    free(l.data);
    budget_give(&f->replies, size);
}

static void op_readdir(fuse_req_t req, fuse_ino_t node, size_t size, off_t off, struct fuse_file_info *fi)
{
    list(req, node, size, off, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t node, size_t size, off_t off,
                           struct fuse_file_info *fi)
{
    list(req, node, size, off, fi, true);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi)
{
    vfs_releasedir(front_begin(req, NULL, ORIGIN_RELEASEDIR), fi->fh);
    reply_done(req, 0, "releasedir", node, NULL);
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t node, int datasync, struct fuse_file_info *fi)
{
    struct vfs *v = front_begin(req, NULL, ORIGIN_FSYNC);

    (void)datasync;
    reply_done(req, vfs_fsyncdir(v, fi->fh), "fsyncdir", node, NULL);
}

void ops_dir_fill(struct fuse_lowlevel_ops *ops)
{
    ops->opendir = op_opendir;
    ops->readdir = op_readdir;
    ops->readdirplus = op_readdirplus;
    ops->releasedir = op_releasedir;
    ops->fsyncdir = op_fsyncdir;
}
