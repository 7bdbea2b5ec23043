/* SPDX-License-Identifier: Apache-2.0 */
/* The low-level libfuse API turned into vfs calls and replies; no semantics here. One function turns -errno into a
 * reply and logs the failure once (fs/front/reply.c). Kernel invalidations run on a thread of their own.
 * Lifecycle: front_new (a session, nothing mounted yet) -> vfs_new (its invalidate_arg is the front) -> front_start
 * (mounts; the notify thread) -> front_run (blocks in the loop until unmounted or front_exit) -> front_free
 * (unmounts what is still mounted; the vfs must still be there). */
#ifndef S3EFS_FRONT_FRONT_H
#define S3EFS_FRONT_FRONT_H

#include <stdbool.h>
#include "base/macros.h"
#include "vfs/vfs.h"

struct front;
struct tellers;
struct front_conf {
    const char *mountpoint;
    int fd;                   /* > 0: /dev/fuse, opened and mounted by who started us; mountpoint is its name only */
    const char *source;       /* shown by mount(8) and df */
    const char *subtype;      /* "s3efs"; NULL: plain "fuse" */
    bool read_only, allow_other, default_permissions, debug;
    bool no_xattr; /* extended attributes are refused, and the kernel asks for none any more */
    bool posix_locks, flock_locks; /* fcntl's and flock's locks come here; else the kernel keeps them */
    const char *extra_options; /* noexec,nosuid,...: for the kernel, comma-separated; or NULL */
    bool takeover; /* the vfs has a table (vfs_conf.table): this daemon may be followed by another, or follows one */
    int fuse_fd;   /* with takeover: /dev/fuse of the living mount, borrowed; -1: mount anew */
    int requests_fd; /* then: what the daemon before this one had of front_requests_fd(), borrowed; <= 0: nothing */
    struct tellers *tellers; /* with takeover: borrowed; NULL: notifications are written by this process */
    unsigned threads;         /* 0 = 128: a blocking close needs one each */
    uint32_t max_request;     /* bytes of a read or write; 0 = 1 MiB. Each thread has a buffer for one */
    uint64_t replies_max;     /* bytes of answers to reads at once: others wait; 0: any */
    bool drops_names;         /* names that are to be forgotten are dropped one by one, as before Linux 6.18 */
    bool passthrough;         /* front_backing_open() is of use, where the kernel has it; not with takeover */
    void (*ready)(void *arg); /* NULL, or called once, on a loop thread: the kernel's first request came */
    void *ready_arg;
};
/* With takeover, in a process that has no other thread and no descriptor yet which must end with it: processes that write to
 * the kernel what it may wait in, so that this one ends when it is killed (teller.c). Freed after the front. */
_must_check_ int front_tellers_new(struct tellers **ret);
void front_tellers_free(struct tellers *all); /* NULL is fine */
_must_check_ int front_new(const struct front_conf *conf, struct front **ret);
_must_check_ int front_start(struct front *f, struct vfs *v);
/* With takeover, from front_start() on: what the next daemon needs of the kernel's side; from `ready` on: do requests
 * come again, by the kernel (6.9) or by us (4.20), so that there can be a next daemon? */
int front_fd(struct front *f);
int front_requests_fd(const struct front *f); /* where unanswered requests stand; 0: nowhere */
bool front_can_resend(const struct front *f);
/* With takeover, before this process ends as if it were killed: no request is read any more, and those under way have so
 * long to be answered. What is not answered comes again to the next daemon. */
void front_pause(struct front *f, int64_t ms);
void front_go_on(struct front *f); /* after front_pause(), if it does not end after all */
/* 0: unmounted or asked to end; -errno. The thread that calls it gets SIGUSR1 from front_exit(). */
int front_run(struct front *f);
/* Asks the loop to end; again and again until front_run() has returned. Calls being served are waited for. */
void front_exit(struct front *f);
/* Takes the mount away from the tree. lazy: also while it is in use (it stays for those who use it). -EBUSY. */
_must_check_ int front_unmount(struct front *f, bool lazy);
void front_free(struct front *f); /* NULL is fine */
/* For vfs_conf.invalidate: queues, and waits until the kernel has dropped its pages and attributes (for at most 10 s:
 * then it says so in the log and goes on). */
void front_invalidate(void *front, uint64_t node);
/* For vfs_conf.backing_open and backing_close. The first refusal that will stay is logged, and the last one asked. */
int front_backing_open(void *front, int fd);
void front_backing_close(void *front, int backing);
/* For vfs_conf.names_many: wakes the thread that asks the kernel to forget what vfs_idle_get() tells. */
void front_prune(void *front);

#endif
