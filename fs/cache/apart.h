/* SPDX-License-Identifier: Apache-2.0 */
/* A process of its own for what may die of a damaged file: LMDB trusts what it reads. Its word
 * comes over a pipe, so that whoever else waits for children, or ignores them, does not matter.
 * Threads: any. */
#ifndef S3EFS_CACHE_APART_H
#define S3EFS_CACHE_APART_H

#include <stddef.h>
#include <sys/types.h>
#include "base/macros.h"

struct apart {
    pid_t pid;
    int fd;
};
/* Runs fn in a child, which writes to fd and has no other descriptor of the caller's above 2; it
 * is ended after `seconds` (0: never), and with the calling thread. */
_must_check_ int apart_start(struct apart *a, unsigned seconds, void (*fn)(void *arg, int fd),
                             void *arg);
/* Exactly len bytes of what it wrote: 0, -EPIPE at the end, -errno. */
_must_check_ int apart_read(struct apart *a, void *buf, size_t len);
/* Waits for it: 0 if it ended by itself, the signal that ended it, or -errno: not known. */
int apart_end(struct apart *a);

#endif
