/* SPDX-License-Identifier: Apache-2.0 */
/* A mount's life from the mount(2) to its end. */
#ifndef S3EFS_RUN_H
#define S3EFS_RUN_H

#include "options.h"
#include "daemon.h"

/* Mounts, serves until unmounted or signalled, drains, and returns the exit code. Failures before the mount is
 * ready go to the terminal through d. Call it in the daemon, before it has threads. */
int run_mount(const struct config *c, struct daemon *d);

#endif
