/* SPDX-License-Identifier: Apache-2.0 */
/* The low-level libfuse API turned into vfs calls and replies; no semantics here. One function turns -errno into a
 * reply and logs the failure once (fs/front/reply.c). Kernel invalidations run on a thread of their own.
 * Lifecycle: front_new (opens /dev/fuse, mounts) -> front_start (notify thread) -> front_run (blocks in the loop until
 * unmounted or front_exit) -> front_free (unmounts). */
#ifndef S3EFS_FRONT_FRONT_H
#define S3EFS_FRONT_FRONT_H

#include <stdbool.h>
#include "base/macros.h"
#include "vfs/vfs.h"

struct front;
struct front_conf {
    const char *mountpoint;
    const char *source;       /* shown by mount(8) and df */
    const char *subtype;      /* "s3efs"; NULL: plain "fuse" */
    bool read_only, allow_other, default_permissions, debug;
    const char *extra_options; /* noexec,nosuid,...: for the kernel, comma-separated; or NULL */
    unsigned threads;         /* 0 = 128: a blocking close needs one each */
};
_must_check_ int front_new(const struct front_conf *conf, struct front **ret);
_must_check_ int front_start(struct front *f, struct vfs *v); /* the vfs may be made after the mount point is known good */
int front_run(struct front *f); /* 0: unmounted or asked to end; -errno */
void front_exit(struct front *f); /* async-signal-safe */
void front_free(struct front *f);
/* For vfs_conf.invalidate: queues, and waits until the kernel has dropped its pages and attributes. */
void front_invalidate(void *front, uint64_t node);

#endif
