/* SPDX-License-Identifier: Apache-2.0 */
/* What is agreed with the kernel at the start, and why. */
#include "internal.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <sys/uio.h>
#include "base/err.h"

#define MAX_BACKGROUND 128

/* Wanted where the kernel has them:
 *   ATOMIC_O_TRUNC        an open that truncates starts a new content, in one step (docs/design.md, commits)
 *   DONT_MASK             the vfs applies the umask
 *   PARALLEL_DIROPS       lookups in one directory run side by side
 *   READDIRPLUS(_AUTO)    listings bring the attributes that are known
 *   ASYNC_READ, ASYNC_DIO several reads of one file at once */
static const unsigned wanted = FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_DONT_MASK | FUSE_CAP_PARALLEL_DIROPS |
                               FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_ASYNC_READ |
                               FUSE_CAP_ASYNC_DIO;

/* Wanted where the mount was asked to hold locks between mounts, as it is by default: */
static const unsigned wanted_posix = FUSE_CAP_POSIX_LOCKS, wanted_flock = FUSE_CAP_FLOCK_LOCKS;

/* Not wanted, though libfuse would:
 *   AUTO_INVAL_DATA       would drop our own pages at every mtime we make; OPEN (keep_cache) and the invalidations
 *                         of the vfs say when pages are old, and the kernel drops them when the size changes
 *   WRITEBACK_CACHE       takes size and mtime away from us; an error could not reach close()
 *   HANDLE_KILLPRIV       the kernel clears set-id bits by SETATTR, which is right as it is
 *   FLOCK, POSIX_LOCKS    as above: else locks stay the kernel's own, within this mount
 *   EXPORT_SUPPORT        no lookup of "." by a node number of an earlier mount */
static const unsigned unwanted = FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_EXPLICIT_INVAL_DATA |
                                 FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_HANDLE_KILLPRIV |
                                 FUSE_CAP_FLOCK_LOCKS | FUSE_CAP_POSIX_LOCKS | FUSE_CAP_EXPORT_SUPPORT |
                                 FUSE_CAP_POSIX_ACL | FUSE_CAP_NO_OPEN_SUPPORT |
                                 FUSE_CAP_NO_OPENDIR_SUPPORT;

void init_negotiate(const struct front *f, struct fuse_conn_info *conn)
{
    conn->want |= conn->capable & wanted;
    conn->want &= ~unwanted;
    if (f->posix_locks)
        conn->want |= conn->capable & wanted_posix;
    if (f->flock_locks)
        conn->want |= conn->capable & wanted_flock;
    conn->max_write = f->max_request; /* libfuse makes of it how large a read may be, too */
    if (conn->max_readahead < readahead_want(f)) /* what it offered was its default, before readahead_ask() */
        conn->max_readahead = readahead_want(f);
    conn->max_background = MAX_BACKGROUND;
    conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
    conn->time_gran = 1;
}

/* Under libfuse before 3.16.2 the answer to INIT lacks the flag that was wanted (libfuse issue 861), and the kernel
 * then runs all lookups of a directory one at a time. */
void init_patch_answer(struct iovec *iov, int count)
{
    if (FUSE_VERSION < FUSE_MAKE_VERSION(3, 17) && count == 2 && iov[0].iov_len == sizeof(struct fuse_out_header) &&
        iov[1].iov_len >= offsetof(struct fuse_init_out, flags) + sizeof(uint32_t) &&
        ((const struct fuse_out_header *)iov[0].iov_base)->error == 0) {
        struct fuse_init_out *out = iov[1].iov_base;

        out->flags |= FUSE_PARALLEL_DIROPS;
    }
}

#if defined(HAVE_FUSE_SESSION_CUSTOM_IO)
/* Every answer passes here; the first is INIT's. */
static ssize_t patched_writev(int fd, struct iovec *iov, int count, void *userdata)
{
    struct front *f = userdata;

    if (!atomic_exchange(&f->answered, true)) {
        init_patch_answer(iov, count);
        if (f->passthrough && count == 2)
            backing_patch_init(iov[1].iov_base, iov[1].iov_len);
    }
    backing_patch_answer(iov, count);
    return writev(fd, iov, count);
}

static ssize_t plain_read(int fd, void *buf, size_t len, void *userdata)
{
    (void)userdata;
    return read(fd, buf, len);
}

int init_patch(struct front *f)
{
    static const struct fuse_custom_io io = {.writev = patched_writev, .read = plain_read};
    int r;

    if (FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17) && !f->passthrough)
        return 0;
    r = fuse_session_custom_io(f->session, &io, fuse_session_fd(f->session));

    return r == 0 ? 0 : err_set(-EIO, "libfuse did not take our input and output");
}
#else
int init_patch(struct front *f)
{
    f->passthrough = false;
    return 0;
}
#endif
