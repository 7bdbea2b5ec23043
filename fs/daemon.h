/* SPDX-License-Identifier: Apache-2.0 */
/* The process: to the background with a pipe that brings the outcome back to the terminal, limits, signals. */
#ifndef S3EFS_DAEMON_H
#define S3EFS_DAEMON_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include "base/macros.h"

/* Exit codes of mount(8). */
enum { EXIT_USAGE = 1, EXIT_SYSTEM = 2, EXIT_MOUNT = 32 };

struct daemon {
    int status_fd; /* -1: in the foreground, or the outcome is told */
    bool keep_stderr;
    bool is_background;
    const struct hold *hold; /* holder.h; NULL: there is no holder */
};

/* In the child (and in the foreground): 0. In the parent: 1, and *ret_code is what it exits with, after the cause
 * was printed. -errno. */
_must_check_ int daemon_fork(struct daemon *d, bool foreground, bool keep_stderr, int *ret_code);
/* Tells the parent. The first call counts. daemon_ready() gives up the terminal; false: the parent is gone. */
bool daemon_ready(struct daemon *d);
void daemon_failed(struct daemon *d, int code, const char *text);

/* In a holder: its daemon tells the parent; it is mounted, and the terminal is let go. */
void daemon_leave_pipe(struct daemon *d);
void daemon_leave_terminal(const struct daemon *d);

/* Descriptors up to the hard limit, no core files (they would hold secrets), no SIGPIPE, the heap as mem_limit= wants it. */
void daemon_limits(uint64_t mem_limit);
/* TERM, INT and HUP, blocked in this thread and those it starts later. */
void daemon_block_signals(sigset_t *ret);

#endif
