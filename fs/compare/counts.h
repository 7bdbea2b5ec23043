/* SPDX-License-Identifier: Apache-2.0 */
/* What a side was asked: S3 requests by kind, or NFS operations by name, and the bytes of files
 * each way. Pure. */
#ifndef S3EFS_FS_COMPARE_COUNTS_H
#define S3EFS_FS_COMPARE_COUNTS_H

#include <stddef.h>
#include <stdint.h>
#include "base/macros.h"

#define COUNTS_MAX 128
#define COUNTS_NAME_MAX 32

struct counts_op {
    char name[COUNTS_NAME_MAX];
    uint64_t n;
    uint64_t bytes; /* NFS: of calls and replies on the wire, headers too; S3: 0 */
};
struct counts {
    struct counts_op op[COUNTS_MAX];
    size_t n;
    uint64_t bytes_up, bytes_down; /* of files */
};

/* Adds to the operation of that name. -E2BIG: too many names, -ENAMETOOLONG. */
_must_check_ int counts_put(struct counts *c, const char *name, uint64_t n, uint64_t bytes);
uint64_t counts_get(const struct counts *c, const char *name);
uint64_t counts_total(const struct counts *c);
/* What came between two looks; operations that did not are left out. -ESTALE: a counter went back,
 * it was begun anew in between. */
_must_check_ int counts_between(const struct counts *before, const struct counts *after,
                                struct counts *ret);
_must_check_ int counts_sum(struct counts *sum, const struct counts *more);

#endif
