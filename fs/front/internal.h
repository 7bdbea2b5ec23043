/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of front/ share. */
#ifndef S3EFS_FRONT_INTERNAL_H
#define S3EFS_FRONT_INTERNAL_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 312
#endif
#include <fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>
#include "base/budget.h"
#include "base/lock.h"
#include "base/origin.h"
#include "front/front.h"
#include "unanswered.h"

struct iovec;
struct notify;
struct kill;
struct prune;
struct front {
    struct fuse_session *session;
    struct vfs *vfs;
    struct notify *notify;
    struct kill *kill;
    _Atomic(struct prune *) prune;
    struct budget replies; /* memory for what reads answer */
    char *mountpoint;
    int given_fd; /* > 0: mounted by others */
    unsigned threads;
    uint32_t max_request;
    bool posix_locks, flock_locks, drops_names, passthrough;
    bool was_mounted, has_begun; /* has_begun: INIT came */
    atomic_bool mounted; /* front_unmount() comes from any thread */
    void (*ready)(void *arg);
    void *ready_arg;
    pthread_t loop_thread;
    atomic_bool looping, answered; /* answered: INIT was */
    atomic_bool cant_pass;         /* backing.c: the kernel will not, or we may not */
    struct take {
        bool is_on; /* takeover=: what follows is used */
        int fd;     /* /dev/fuse of the living mount; -1: a new one */
        enum take_way { TAKE_NOT, TAKE_RESENT, TAKE_COPIED } way; /* how requests come again: by the kernel, or by us */
        struct unanswered *unanswered;
        struct tellers *tellers;
        uint64_t init_unique;
        struct lock lock;
        struct cond changed;
        enum { TAKE_BEGINS, TAKE_INIT, TAKE_RUNS, TAKE_ENDS } stage;
        unsigned running; /* requests that were read and whose thread has not come back for the next */
    } take;
};

/* The request's vfs, its caller (x may be NULL); this thread works for `call` now, and forgets its last cause. */
struct vfs *front_begin(fuse_req_t req, struct vfs_ctx *x, enum origin call);

/* reply.c: the boundary. op: the name of the call; what it was called with, for the log (name may be NULL).
 * reply_done() ends a request that failed (r < 0) or needs no more than "done" (r == 0). */
void reply_done(fuse_req_t req, int r, const char *op, uint64_t node, const char *name);
void reply_entry(fuse_req_t req, int r, const char *op, uint64_t dir, const char *name, const struct vfs_entry *e);
void reply_attr(fuse_req_t req, int r, const char *op, uint64_t node, const struct stat *st, int64_t attr_ns);
/* e as the kernel wants it. */
struct fuse_entry_param reply_entry_param(const struct vfs_entry *e);

/* The same for a request that is answered already: only the log hears of a failure. */
void reply_too_late(int r, const char *op, uint64_t node);

/* ops_lock.c: the owner closed the file. 0, or -errno of what that committed. */
int lock_close(const struct front *f, uint64_t node, const struct fuse_file_info *fi, enum lock_kind kind);

/* One family of calls each */
void ops_name_fill(struct fuse_lowlevel_ops *ops);
void ops_attr_fill(struct fuse_lowlevel_ops *ops);
void ops_data_fill(struct fuse_lowlevel_ops *ops);
void ops_dir_fill(struct fuse_lowlevel_ops *ops);
void ops_lock_fill(struct fuse_lowlevel_ops *ops);
void ops_range_fill(struct fuse_lowlevel_ops *ops);
void ops_xattr_fill(struct fuse_lowlevel_ops *ops);

/* notify.c */
_must_check_ int notify_new(struct fuse_session *session, struct notify **ret); /* starts its thread */
void notify_stop(struct notify *n);
void notify_free(struct notify *n); /* stops; NULL is fine */

/* prune.c: names that the kernel shall forget. Starts its thread; by_name: as kernels before 6.18 need it. */
_must_check_ int prune_new(struct front *f, bool by_name);
void prune_protocol(struct front *f, unsigned minor); /* in INIT: what the kernel can */
void prune_free(struct front *f);                     /* stops */

/* kill.c: calls on open files whose caller may be killed meanwhile */
struct killable { /* on the stack of the call */
    struct killable *next, **at;
    struct kill *kill;
    fuse_req_t req;
    pid_t pid;
    uint64_t fh;
    bool is_interrupted, is_answered;
};
_must_check_ int kill_new(struct kill **ret); /* starts its thread */
void kill_free(struct kill *kill);            /* NULL is fine */
void kill_watch(struct kill *kill, fuse_req_t req, uint64_t fh, struct killable *k);
/* At the call's end, before its answer. True: it was answered, and its request must not be touched any more. */
_must_check_ bool kill_unwatch(struct killable *k);
/* Returns when no call on the handle runs: before it is released. */
void kill_wait(struct kill *kill, uint64_t fh);

/* init.c */
void init_negotiate(const struct front *f, struct fuse_conn_info *conn);
/* After the mount: libfuse before 3.17 leaves FUSE_PARALLEL_DIROPS out of its answer to INIT. */
_must_check_ int init_patch(struct front *f);
void init_patch_answer(struct iovec *iov, int count);

/* backing.c: option passthrough */
void backing_patch_init(void *init_out, size_t len); /* the answer to INIT; pure */
void backing_answer(int backing); /* the answer that this thread gives next is OPEN's or CREATE's, with this; 0: without */
void backing_patch_answer(struct iovec *iov, int count);

/* readahead.c */
uint32_t readahead_want(const struct front *f); /* bytes */
/* Before INIT is answered: the kernel takes what its device has then, up to what the answer says. */
void readahead_ask(const struct front *f, unsigned major, unsigned minor);

/* takeover.c */
int take_mount(struct front *f); /* as fuse_session_mount() */
/* INIT again, with no flag that its answer did not have. Pure. */
void take_mask_init(void *in, size_t in_len, const void *out, size_t out_len);
_must_check_ int take_start(struct front *f);
/* teller.c: as writev(2). For one thread that tells of pages, and one that tells of names. */
ssize_t tellers_write(struct tellers *all, int fuse_fd, const struct iovec *iov, int count);
/* takeinit.c */
void take_note_init(struct front *f, const void *buf, size_t len); /* the kernel's */
int take_keep_init_answer(struct front *f, const void *body, size_t len);
_must_check_ int take_check_init(struct front *f); /* what was agreed with the kernel when the mount began: -EBADMSG */
/* The kernel's INIT, with what was agreed on. -1 with errno. */
ssize_t take_old_init(struct front *f, void *buf, size_t len);
/* Has the daemon before this one read the request that this thread serves, and is it not known what came of it? */
bool front_is_again(void);

#endif
