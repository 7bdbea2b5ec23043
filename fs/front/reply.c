/* SPDX-License-Identifier: Apache-2.0 */
/* Errors and answers to the kernel: the one place where a failed call is logged, with its cause. */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

struct vfs *front_begin(fuse_req_t req, struct vfs_ctx *x, enum origin call)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct front *f = fuse_req_userdata(req);

    err_clear();
    origin_set(call);
    if (x != NULL)
        *x = (struct vfs_ctx){.uid = ctx->uid, .gid = ctx->gid, .pid = ctx->pid, .umask = ctx->umask};
    return f->vfs;
}

/* Answers that programs ask for every day are debug; what an operator must know is not. */
static enum log_level level_of(int error, const char *op)
{
    static const int everyday[] = {ENOENT,  EEXIST,       ENOTEMPTY, ENOTDIR, EISDIR, EINVAL, EPERM,
                                   EROFS,   ENAMETOOLONG, EBADF,     EXDEV,   ELOOP,  EINTR,  EBUSY,
                                   ENODATA, EOPNOTSUPP,   ENOSYS,    EILSEQ,  EAGAIN,
                                   ERANGE,  ENXIO,        ETXTBSY, EDEADLK};

    for (size_t i = 0; i < ARRAY_LEN(everyday); i++) {
        if (everyday[i] == error)
            return LOG_LV_DEBUG;
    }
    if (error == ESTALE && (strcmp(op, "open") == 0 || strcmp(op, "getattr") == 0 || strcmp(op, "setattr") == 0))
        return LOG_LV_DEBUG; /* another client's doing: the kernel looks the name up again */
    if (error == EACCES || error == ENOSPC || error == EDQUOT || error == EFBIG)
        return LOG_LV_WARN;
    return LOG_LV_ERROR;
}

static void log_failure(int error, const char *op, uint64_t node, const char *name)
{
    enum log_level level = level_of(error, op);
    const char *cause = err_text();

    if (level > log_max())
        return;
    if (*cause == '\0')
        cause = strerror(error);
    if (name != NULL)
        log_event(level, "front.failed", "op=%s errno=%s node=%" PRIu64 " name=%s cause=%s", op,
                  strerrorname_np(error), node, LOG_Q(name), LOG_Q(cause));
    else
        log_event(level, "front.failed", "op=%s errno=%s node=%" PRIu64 " cause=%s", op,
                  strerrorname_np(error), node, LOG_Q(cause));
}

/* What the kernel may be told; a failure is logged. */
static int settle(int r, const char *op, uint64_t node, const char *name)
{
    r = err_fold(r);
    if (r < -4095 || (r < 0 && strerrorname_np(-r) == NULL))
        r = -EIO;
    if (r < 0)
        log_failure(-r, op, node, name);
    return r;
}

void reply_done(fuse_req_t req, int r, const char *op, uint64_t node, const char *name)
{
    fuse_reply_err(req, -settle(r, op, node, name));
}

void reply_too_late(int r, const char *op, uint64_t node)
{
    if (r < 0)
        (void)settle(r, op, node, NULL);
}

static double seconds(int64_t ns)
{
    return ns <= 0 ? 0 : (double)ns / (double)NS_PER_S;
}

struct fuse_entry_param reply_entry_param(const struct vfs_entry *e)
{
    return (struct fuse_entry_param){
        .ino = e->node,
        .generation = 0,
        .attr = e->st,
        .attr_timeout = seconds(e->attr_ns),
        .entry_timeout = seconds(e->entry_ns),
    };
}

void reply_entry(fuse_req_t req, int r, const char *op, uint64_t dir, const char *name, const struct vfs_entry *e)
{
    struct front *f = fuse_req_userdata(req);
    struct fuse_entry_param p;

    if (r != 0) {
        reply_done(req, r, op, dir, name);
        return;
    }
    p = reply_entry_param(e);
    if (fuse_reply_entry(req, &p) != 0)
        vfs_forget(f->vfs, e->node, 1); /* the caller is gone: the kernel holds no reference */
}

void reply_attr(fuse_req_t req, int r, const char *op, uint64_t node, const struct stat *st, int64_t attr_ns)
{
    if (r != 0)
        reply_done(req, r, op, node, NULL);
    else
        fuse_reply_attr(req, st, seconds(attr_ns));
}
