/* SPDX-License-Identifier: Apache-2.0 */
/* takeover=: a small process that keeps /dev/fuse open and starts the daemon, and one more when that dies (protocol 17).
 * It does nothing else: no threads, no store, no cache, no libcurl. */
#ifndef S3EFS_HOLDER_H
#define S3EFS_HOLDER_H

#include <limits.h>
#include <stdbool.h>
#include "daemon.h"
#include "front/front.h"
#include "options.h"

/* Exit code of a daemon that can't believe what it should take over: there is no use in another. */
#define EXIT_NO_TAKEOVER 33
/* Of one that hands over: the next is the program that it has told. */
#define EXIT_HANDOVER 34
#define HOLD_TOKEN_MAX 33
#define HOLD_MESSAGE_MAX (PATH_MAX + 64)

/* The daemon's end. */
struct hold {
    int sock;    /* to the holder; -1: there is none */
    int fuse_fd; /* of a living mount that is to be taken over; -1: mount anew */
    int lock_fd; /* of its cache_dir; 0: none yet */
    int requests_fd; /* where its unanswered requests stand; 0: nowhere */
    char token[HOLD_TOKEN_MAX]; /* of the upgrade that started it; "" */
    bool is_trial;              /* if it does not come to serve, the program before it goes on */
};

/* In place of run_mount(): starts daemons until one ends in order, or the mount does. Returns the exit code: in the holder
 * the last daemon's, in a daemon its own. */
int holder_run(const struct config *c, struct daemon *d);

/* --- hold.c: from the daemon --- */
/* The mount is there, and these are its descriptor, its cache's lock, which nobody is to have between two daemons, and the
 * memory of its unanswered requests; the mount is served (can_follow: and may be taken over, if this daemon dies). Do nothing without a holder. */
void hold_mounted(const struct hold *h, int fuse_fd, int lock_fd, int requests_fd);
void hold_ready(const struct hold *h, bool can_follow);
void hold_lost(const struct hold *h); /* nothing can be taken over any more */
bool hold_can_follow(void);           /* what the holder was told last; false: nothing yet */
_must_check_ int hold_next(const struct hold *h, const char *program, const char *token);

/* --- handover.c --- */
/* From main(), first: what a new program is started with. */
void hold_remember(char **argv);
/* In a holder, before the mount is there: a working directory that the mount will cover is kept, as it was. */
void hold_pin(const char *mountpoint);
/* In the child that a holder has forked: becomes that program. Returns only if that fails. */
_must_check_ int hold_exec(const struct hold *h, int fd, const char *program, const char *mountpoint);
/* In a program that was started so: 1. 0: this one was not. -errno: it was, and must not go on as if it were not. */
_must_check_ int hold_from_env(struct hold *ret, char **ret_mountpoint);
/* The verb of the control socket; for no more than refusals it returns: -errno. params: what s3efs upgrade sends. */
_must_check_ int handover(const struct hold *h, struct front *f, const char *params);

#endif
