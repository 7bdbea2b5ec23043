/* SPDX-License-Identifier: Apache-2.0 */
/* The operations of a workload on one file or directory. Each returns 0, -errno of a failed call,
 * or OPS_WRONG: what came back is not what was written; err_text() has the path. Threads: any, each
 * with its own struct ops. */
#ifndef S3EFS_FS_COMPARE_OPS_H
#define S3EFS_FS_COMPARE_OPS_H

#include "runner.h"

#define OPS_WRONG 1
#define OPS_BUFFER (256u << 10)

struct ops_part {
    struct hist took;
    uint64_t files, bytes;
};
struct ops {
    const struct run_job *job;
    unsigned char *buffer; /* OPS_BUFFER */
    unsigned char *seen;   /* a bit for each file of a listing */
    struct ops_part part[RUN_PARTS];
};

_must_check_ int ops_upload(struct ops *o, uint64_t i);
_must_check_ int ops_read(struct ops *o, uint64_t i);
_must_check_ int ops_remove(struct ops *o, uint64_t i);
/* All files of the step's directory, each looked at. */
_must_check_ int ops_list(struct ops *o);
/* Directory d of a tree with its files: made, listed, removed. */
_must_check_ int ops_tree_make(struct ops *o, uint64_t d);
_must_check_ int ops_tree_walk(struct ops *o, uint64_t d);
_must_check_ int ops_tree_remove(struct ops *o, uint64_t d);

#endif
