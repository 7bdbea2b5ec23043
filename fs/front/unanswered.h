/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that were read and are not answered yet, where the next daemon finds them: for kernels before 6.9, which can't
 * send them again (protocol 17). Each thread reads into a slot of its own, in memory that the holder keeps; a slot that is
 * needed again before its request is answered gives that to the takeover table.
 *
 * UNANS-1  A request is in its slot, whole, from the moment that the kernel holds it to be read: it is read to there.
 * UNANS-2  Which of them are unanswered is the kernel's to say: unanswered_take() asks it for each. What the dead daemon had
 *          answered, what the kernel has given up, and what was half read is so told from the rest.
 * Threads: any, but for new, take and free. */
#ifndef S3EFS_FRONT_UNANSWERED_H
#define S3EFS_FRONT_UNANSWERED_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/macros.h"
#include "vfs/vfs.h"

struct unanswered;
/* memory: of the daemon before this one (borrowed); none (<= 0): new. threads: that read; max: bytes of a request. */
_must_check_ int unanswered_new(int memory, unsigned threads, size_t max, struct unanswered **ret);
void unanswered_free(struct unanswered *u); /* no thread reads any more; NULL is fine */
int unanswered_fd(const struct unanswered *u);
/* In a daemon that takes over, before anything is read: what is to be served first. */
_must_check_ int unanswered_take(struct unanswered *u, struct vfs *v, int fd);
/* One of those, into buf; 0: there is none left. */
_must_check_ size_t unanswered_next(struct unanswered *u, void *buf, size_t len);
/* As read(2), by way of this thread's slot. state: the thread may be cancelled meanwhile, if it was so. */
ssize_t unanswered_read(struct unanswered *u, struct vfs *v, int fd, void *buf, size_t len, int state);
/* The kernel has its answer. */
void unanswered_done(struct unanswered *u, struct vfs *v, uint64_t unique);

#endif
