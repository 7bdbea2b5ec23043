/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that was killed and does not come to its end: one of its threads waits in the kernel for what only a daemon
 * can give. FUSE_NOTIFY_INVAL_INODE waits, and no signal ends that, for a page that a READ has locked; the READ waits for
 * its answer, and the holder's descriptor keeps the connection. The next daemon answers it, and then the thread can end.
 * None of its threads runs our code any more: a process whose first thread is dead was killed as a whole, and ours never
 * end that one alone. For one thread. */
#ifndef S3EFS_STUCK_H
#define S3EFS_STUCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/clock.h"

#define STUCK_LOOK_MS 1000
#define STUCK_NS (5 * NS_PER_S) /* a large process takes a while to end, and a disk to finish its last write */

struct stuck {
    pid_t pid;
    int64_t since_ns; /* CLOCK_BOOTTIME; 0: its first thread lives */
};

/* A child that waitpid(2) does not give yet. true: it is as good as dead. */
bool stuck_look(struct stuck *s, pid_t pid, int64_t now_ns);

#endif
