/* SPDX-License-Identifier: Apache-2.0 */
/* What an operation costs in requests, measured from the ledger on a mount without a kernel. */
#ifndef S3EFS_TESTS_COSTS_H
#define S3EFS_TESTS_COSTS_H

#include <stddef.h>

#include "tests/lib/rig.h"

struct op {
    const char *row;               /* its name in docs/semantics.md */
    int (*prepare)(struct rig *r); /* not measured; NULL: nothing to prepare */
    int (*run)(struct rig *r);     /* 0, or -errno when it did not do its work */
};
extern const struct op costs_ops[];
extern const size_t costs_n_ops;

/* ops_local.c */
int with_local(struct rig *r);
int have_unsent(struct rig *r);
int do_local_create(struct rig *r);
int do_local_again(struct rig *r);
int do_local_rename(struct rig *r);
int do_local_unlink(struct rig *r);
int have_sent(struct rig *r);
int do_local_symlink(struct rig *r);
int do_local_mkdir(struct rig *r);
int do_local_mkdir_only(struct rig *r);
int do_local_unlink_only(struct rig *r);
int do_local_anew(struct rig *r);
int do_local_chmod_only(struct rig *r);
int do_local_attributes(struct rig *r);
int do_local_chmod(struct rig *r);

/* ops_lock.c */
int have_open(struct rig *r);
int have_locked_once(struct rig *r);
int have_lock(struct rig *r);
int do_lock_unlock(struct rig *r);
int do_lock_held_here(struct rig *r);

#define COSTS_TEXT 160
/* Runs one operation on a new bucket: "HEAD + 2 PUT", "none". weak: a server without conditions on
 * DELETE and COPY. 0 or -errno. */
int costs_measure(const struct op *op, int weak, char ret[COSTS_TEXT]);

#endif
