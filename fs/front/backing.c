/* SPDX-License-Identifier: Apache-2.0 */
/* FUSE passthrough (Linux 6.9, fs/fuse/passthrough.c and iomode.c): the kernel reads an open file from a descriptor that it was
 * given. libfuse has it from 3.17 on; Debian 12 and Ubuntu 24.04 have 3.14. So it is done here, for all alike: the flag and
 * the depth in the answer to INIT, the ioctl, and the number in the answer to OPEN, as these pass init_patch()'s output. */
#include "internal.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include "base/err.h"
#include "base/log.h"

/* The kernel's interface (include/uapi/linux/fuse.h), which headers before 6.9 lack. */
struct backing_map {
    int32_t fd;
    uint32_t flags;
    uint64_t padding;
};
#define BACKING_OPEN _IOW(229, 1, struct backing_map)
#define BACKING_CLOSE _IOW(229, 2, uint32_t)
#define INIT_EXT (1u << 30)
#define INIT_PASSTHROUGH2 (1u << (37 - 32)) /* of flags2 */
#define OPEN_PASSTHROUGH (1u << 7)
#define DEPTH 2 /* the cache may be on an overlay (containers): then nothing can be stacked on this mount */

static _Thread_local int answered_backing;

/* major, minor, max_readahead, flags, 2 + 2, max_write, time_gran, 2 + 2, flags2, max_stack_depth */
enum { INIT_FLAGS = 12, INIT_FLAGS2 = 32, INIT_DEPTH = 36, INIT_MIN = 40 };

void backing_patch_init(void *init_out, size_t len)
{
    uint32_t flags, flags2, depth = DEPTH;
    char *out = init_out;

    if (len < INIT_MIN)
        return;
    memcpy(&flags, out + INIT_FLAGS, sizeof(flags));
    memcpy(&flags2, out + INIT_FLAGS2, sizeof(flags2));
    flags |= INIT_EXT; /* what an older kernel does not know it does not look at */
    flags2 |= INIT_PASSTHROUGH2;
    memcpy(out + INIT_FLAGS, &flags, sizeof(flags));
    memcpy(out + INIT_FLAGS2, &flags2, sizeof(flags2));
    memcpy(out + INIT_DEPTH, &depth, sizeof(depth));
}

void backing_answer(int backing)
{
    answered_backing = backing;
}

/* OPEN's answer, or CREATE's, which ends with the same. */
void backing_patch_answer(struct iovec *iov, int count)
{
    const int32_t backing = answered_backing;
    struct fuse_open_out open;
    char *at;

    if (backing <= 0)
        return;
    answered_backing = 0;
    if (count != 2 || iov[1].iov_len < sizeof(open) || ((const struct fuse_out_header *)iov[0].iov_base)->error != 0)
        return;
    at = (char *)iov[1].iov_base + iov[1].iov_len - sizeof(open);
    memcpy(&open, at, sizeof(open));
    open.open_flags = OPEN_PASSTHROUGH; /* with FOPEN_KEEP_CACHE, too, the open would be EIO; nothing reads those pages now */
    memcpy((char *)&open + sizeof(open) - sizeof(backing), &backing, sizeof(backing)); /* `padding` in older headers */
    memcpy(at, &open, sizeof(open));
}

int front_backing_open(void *front, int fd)
{
    struct front *f = front;
    struct backing_map map = {.fd = fd};
    int r;

    if (!f->passthrough || atomic_load(&f->cant_pass))
        return -EOPNOTSUPP;
    r = ioctl(fuse_session_fd(f->session), BACKING_OPEN, &map);
    if (r > 0)
        return r;
    r = r < 0 ? -errno : -EIO;
    if (r != -ENOMEM && r != -EMFILE && r != -ENFILE && !atomic_exchange(&f->cant_pass, true))
        log_warn("front.passthrough",
                 "cause=%s effect=\"files are read through the daemon\" needs=\"kernel 6.9, CAP_SYS_ADMIN, a cache that is "
                 "not on FUSE or on a stack of overlays\"",
                 LOG_Q(strerror(-r)));
    return r;
}

void front_backing_close(void *front, int backing)
{
    struct front *f = front;
    uint32_t id = (uint32_t)backing;

    (void)ioctl(fuse_session_fd(f->session), BACKING_CLOSE, &id);
}
