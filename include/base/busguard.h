/* SPDX-License-Identifier: Apache-2.0 */
/* Reading through a map of a file: what the disk can't give comes as a SIGBUS. Inside a guard that
 * is an error of the call; anywhere else it ends the process as ever.
 *
 *     struct bus_guard g;
 *
 *     if (sigsetjmp(*bus_guard_enter(&g), 0) != 0)
 *         return -EIO; (g.addr: where; the guard is left)
 *     rc = a_call_that_reads_the_map();
 *     bus_guard_leave(&g);
 *
 * What runs inside is left at once, wherever it was: what it had allocated or locked stays so. So
 * there is no more inside than the foreign call, and its object is not used again. The signal is
 * the thread's own and comes at one of its reads, never in the middle of malloc or of a lock call
 * (those do not read the map): going on from there is sound.
 * Threads: any; a guard is its thread's. SIGBUS gets unblocked in a thread by its first guard. */
#ifndef S3EFS_BASE_BUSGUARD_H
#define S3EFS_BASE_BUSGUARD_H

#include <setjmp.h>

struct bus_guard {
    sigjmp_buf jump;
    struct bus_guard *outer;
    const void *addr;
};

/* Before the first guard, in each process; more often is fine: 0 or -errno. */
int bus_guard_install(void);
sigjmp_buf *bus_guard_enter(struct bus_guard *g);
void bus_guard_leave(struct bus_guard *g);
/* After a guard was left by a jump, outside any other: SIGBUS as ever, so the process ends unless somebody has made it
 * ignore that. */
void bus_guard_end(void);

#endif
