/* SPDX-License-Identifier: Apache-2.0 */
/* How a file goes up: one PUT, or the parts of a multipart upload. Pure.
 *
 * PLAN-1  The parts cover [0, size) in order, each byte once, numbered from 1 without gaps, at most PLAN_PARTS_MAX.
 * PLAN-2  Each part but the last has PLAN_PART_MIN bytes or more, none has more than PLAN_PART_MAX.
 * PLAN-3  A copied part has clean bytes only: below base_valid and in no dirty range. Every dirty byte, and every
 *         byte past base_valid, is sent. */
#ifndef S3EFS_UPLOAD_PLAN_H
#define S3EFS_UPLOAD_PLAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "data/data.h"

#define PLAN_PARTS_MAX 10000u
#define PLAN_PART_MIN (UINT64_C(5) << 20)
#define PLAN_PART_MAX (UINT64_C(5) << 30) /* also of a single PUT */
#define PLAN_COPY_SIZE (UINT64_C(128) << 20)

struct plan_in {
    uint64_t size;
    const struct data_extent *dirty; /* sorted, not touching */
    size_t n_dirty;
    uint64_t base_valid;
    bool can_copy;      /* there is a base, and the server honours a part copy's source condition */
    bool can_complete;  /* a multipart upload may be used at all; else one PUT up to PLAN_PART_MAX */
    uint64_t threshold; /* one PUT up to here */
    uint64_t part_size;
};

struct plan_part {
    uint64_t off, len;
    bool is_copy;
};
struct plan {
    struct plan_part *v; /* part i has the number i + 1 */
    size_t n;            /* 0: one PUT of everything */
    uint64_t part_size;  /* as it had to grow */
};
void plan_done(struct plan *p); /* idempotent; legal on a zeroed struct */

/* 0; -EFBIG: larger than DATA_SIZE_MAX, or than a PUT where nothing else may be used; -ENOMEM. */
_must_check_ int plan_build(const struct plan_in *in, struct plan *ret);

#endif
