/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon without root can't do. Any thread. */
#ifndef S3EFS_PRIVILEGES_H
#define S3EFS_PRIVILEGES_H

#include <stddef.h>
#include <stdint.h>

/* CapEff of this process; 0 if the kernel does not say. */
uint64_t privileges_effective(void);
/* What lacks a capability that is not in effective, in words; "" when nothing does. given_fd:
 * /dev/fuse was handed over. */
void privileges_missing(uint64_t effective, int given_fd, char *out, size_t size);

#endif
