/* SPDX-License-Identifier: Apache-2.0 */
/* The directory that a run makes for itself on a side, and its removal. Threads: one. */
#ifndef S3EFS_FS_COMPARE_PLACE_H
#define S3EFS_FS_COMPARE_PLACE_H

#include <stdint.h>
#include "base/macros.h"

#define PLACE_NAME "s3efs-compare-"
#define PLACE_TRIES 64

struct place {
    char *path; /* NULL: none was made */
    int fd;
};

/* Makes dir/s3efs-compare-N with the first N whose name is free. found (may be NULL) hears of each
 * that is not: of a run that goes on, or that was killed. -EEXIST: all are taken; -ENOSPC: less
 * than room bytes are free there. */
_must_check_ int place_make(const char *dir, uint64_t room,
                            void (*found)(void *arg, const char *path), void *arg,
                            struct place *ret);
/* Removes it with all that is in it. 0 also if there is none. -errno: what is left is at p->path.
 */
_must_check_ int place_remove(struct place *p);
void place_done(struct place *p); /* forgets it */

/* A directory in it for one group of steps: 0, or -errno. */
_must_check_ int place_group_make(const struct place *p, unsigned group);
_must_check_ int place_group_open(const struct place *p, unsigned group, int *ret_fd);
_must_check_ int place_group_remove(const struct place *p, unsigned group);

#endif
