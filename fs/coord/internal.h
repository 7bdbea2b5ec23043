/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of coord share. */
#ifndef S3EFS_COORD_INTERNAL_H
#define S3EFS_COORD_INTERNAL_H

#include "base/lock.h"
#include "coord/coord.h"

struct coord {
    struct coord_conf conf;
    char *prefix;
    struct store *store;
    struct lock lock;
};

#endif
