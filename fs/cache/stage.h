/* SPDX-License-Identifier: Apache-2.0 */
/* A staged file. Threads: one at a time for each. */
#ifndef S3EFS_CACHE_STAGE_H
#define S3EFS_CACHE_STAGE_H

#include "priv.h"

struct cache_stage {
    struct cache *cache;
    char *path; /* NULL: it has been moved away */
    int fd;
    uint64_t accounted; /* its part of used.staged */
};

#endif
