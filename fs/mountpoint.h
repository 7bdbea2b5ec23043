/* SPDX-License-Identifier: Apache-2.0 */
/* Mount points: their canonical names and what is mounted there. Any thread. */
#ifndef S3EFS_MOUNTPOINT_H
#define S3EFS_MOUNTPOINT_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>
#include "base/macros.h"

/* The absolute name without links and dots (free() it). Works on a mount whose daemon is gone, too;
 * "/proc/PID/fd/N" is canonical. */
_must_check_ int mountpoint_canonical(const char *dir, char **ret);
/* N, if dir is "/dev/fd/N" and that is an open /dev/fuse (which then is closed on exec); 0: dir is another name.
 * -EBADF, -EINVAL: no such descriptor. */
_must_check_ int mountpoint_fd(const char *dir);
/* The name by which `s3efs status` and others reach the daemon that has it: "/proc/PID/fd/N" (free() it). */
_must_check_ int mountpoint_fd_name(int fd, char **ret);
/* A directory that exists, that nothing of ours is mounted on. A mount whose daemon was killed is detached. */
_must_check_ int mountpoint_check(const char *canonical);
/* Is the topmost mount at path an s3efs one? table: /proc/self/mountinfo, or a test's. */
bool mountpoint_find(FILE *table, const char *path);
bool mountpoint_is_ours(const char *canonical);
/* Is path dir, or below it? Both canonical. */
bool path_is_within(const char *path, const char *dir);

#endif
