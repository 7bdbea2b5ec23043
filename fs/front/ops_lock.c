/* SPDX-License-Identifier: Apache-2.0 */
/* Locks. A call that has to wait gives its thread back: it is answered when the vfs says so, or when a
 * signal comes (any: fcntl(2) and flock(2) are interrupted by all of them). */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include "base/err.h"

struct parked {
    struct vfs_lock_wait wait; /* first */
    fuse_req_t req;
    struct vfs *vfs;
    uint64_t node;
    const char *op;
};

/* libfuse holds a lock of the request's own here: it must not be answered on this thread. */
static void interrupted(fuse_req_t req, void *arg)
{
    struct parked *p = arg;

    (void)req;
    vfs_lock_interrupt(p->vfs, &p->wait);
}

static void answer(struct parked *p, int r)
{
    struct parked was = *p;

    fuse_req_interrupt_func(p->req, NULL, NULL); /* waits for interrupted(), and it does not come again */
    free(p);
    reply_done(was.req, r, was.op, was.node, NULL);
}

static void answer_later(struct vfs_lock_wait *w, int r)
{
    answer((struct parked *)(void *)w, r);
}

static void set_lock(fuse_req_t req, uint64_t node, const struct vfs_lock *l, bool waits, const char *op)
{
    struct vfs *v = front_begin(req, NULL, ORIGIN_LOCK);
    struct parked *p;
    int r;

    if (!waits || l->type == LOCK_TYPE_NONE) {
        reply_done(req, vfs_lock_set(v, node, l, NULL), op, node, NULL);
        return;
    }
    p = calloc(1, sizeof(*p));
    if (p == NULL) {
        reply_done(req, err_set(-ENOLCK, "no memory to wait for a lock"), op, node, NULL);
        return;
    }
    *p = (struct parked){.wait.done = answer_later, .req = req, .vfs = v, .node = node, .op = op};
    fuse_req_interrupt_func(req, interrupted, p);
    r = vfs_lock_set(v, node, l, &p->wait);
    if (r != VFS_LOCK_WAITS) /* else it may be answered by now */
        answer(p, r);
}

static struct vfs_lock from_flock(const struct flock *fl, uint64_t owner)
{
    struct vfs_lock l = {.kind = LOCK_POSIX, .owner = owner, .pid = fl->l_pid};

    l.type = fl->l_type == F_WRLCK   ? LOCK_TYPE_WRITE
             : fl->l_type == F_RDLCK ? LOCK_TYPE_READ
                                     : LOCK_TYPE_NONE;
    l.range.start = (uint64_t)fl->l_start;
    l.range.end = fl->l_len == 0 ? LOCK_END : (uint64_t)(fl->l_start + fl->l_len - 1);
    return l;
}

static void op_setlk(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi, struct flock *fl, int sleep)
{
    const struct vfs_lock l = from_flock(fl, fi->lock_owner);

    set_lock(req, node, &l, sleep != 0, "setlk");
}

static void op_getlk(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi, struct flock *fl)
{
    struct vfs *v = front_begin(req, NULL, ORIGIN_LOCK);
    struct vfs_lock l = from_flock(fl, fi->lock_owner);
    struct flock found = {.l_type = F_UNLCK, .l_whence = SEEK_SET};
    int r = vfs_lock_get(v, node, &l);

    if (r != 0) {
        reply_done(req, r, "getlk", node, NULL);
        return;
    }
    if (l.type != LOCK_TYPE_NONE) {
        found.l_type = l.type == LOCK_TYPE_WRITE ? F_WRLCK : F_RDLCK;
        found.l_start = (off_t)l.range.start;
        found.l_len = l.range.end == LOCK_END ? 0 : (off_t)(l.range.end - l.range.start + 1);
        found.l_pid = l.pid;
    }
    fuse_reply_lock(req, &found);
}

static void op_flock(fuse_req_t req, fuse_ino_t node, struct fuse_file_info *fi, int op)
{
    const int what = op & ~LOCK_NB;
    const struct vfs_lock l = {
        .kind = LOCK_FLOCK,
        .type = what == LOCK_EX ? LOCK_TYPE_WRITE : what == LOCK_SH ? LOCK_TYPE_READ : LOCK_TYPE_NONE,
        .range = {0, LOCK_END},
        .owner = fi->lock_owner,
    };

    set_lock(req, node, &l, (op & LOCK_NB) == 0, "flock");
}

int lock_close(const struct front *f, uint64_t node, const struct fuse_file_info *fi, enum lock_kind kind)
{
    bool is_ours = kind == LOCK_POSIX ? f->posix_locks : f->flock_locks;

    return is_ours ? vfs_lock_close(f->vfs, node, kind, fi->lock_owner) : 0;
}

void ops_lock_fill(struct fuse_lowlevel_ops *ops)
{
    ops->setlk = op_setlk;
    ops->getlk = op_getlk;
    ops->flock = op_flock;
}
