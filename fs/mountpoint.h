/* SPDX-License-Identifier: Apache-2.0 */
/* Mount points: their canonical names and what is mounted there. Any thread. */
#ifndef S3EFS_MOUNTPOINT_H
#define S3EFS_MOUNTPOINT_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>
#include "base/macros.h"

/* The absolute name without links and dots (free() it). Works on a mount whose daemon is gone, too. */
_must_check_ int mountpoint_canonical(const char *dir, char **ret);
/* A directory that exists, that nothing of ours is mounted on. A mount whose daemon was killed is detached. */
_must_check_ int mountpoint_check(const char *canonical);
/* Is the topmost mount at path an s3efs one? table: /proc/self/mountinfo, or a test's. */
bool mountpoint_find(FILE *table, const char *path);
bool mountpoint_is_ours(const char *canonical);
/* Is path dir, or below it? Both canonical. */
bool path_is_within(const char *path, const char *dir);

#endif
