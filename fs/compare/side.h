/* SPDX-License-Identifier: Apache-2.0 */
/* A directory of the comparison: what it is, and what it has been asked so far. Threads: one. */
#ifndef S3EFS_FS_COMPARE_SIDE_H
#define S3EFS_FS_COMPARE_SIDE_H

#include <limits.h>
#include "compare/compare.h"
#include "counts.h"
#include "place.h"
#include "steps.h"
#include "runner.h"

enum side_kind {
    SIDE_S3EFS, /* a mount whose daemon answers: its ledger is read */
    SIDE_NFS,   /* EFS or another: the client's counters are read */
    SIDE_OTHER  /* nobody counts */
};

/* Of one step. */
struct measured {
    bool is_done;
    struct run_result run;
    bool is_counted;
    struct counts counts; /* what came to the server in that time, from whomever */
};

struct side {
    char *path;           /* canonical */
    char shown[PATH_MAX]; /* as it was given, for people */
    enum side_kind kind;
    char fstype[32];       /* "s3efs", "nfs4", "ext4" ... or a number */
    char source[PATH_MAX]; /* the bucket; "" if not known */
    char uncounted[256];   /* SIDE_OTHER: why its daemon can't be asked, if it may be one of ours;
                              else "" */
    char *mountpoint;      /* of SIDE_S3EFS and SIDE_NFS */
    const char *mountstats;
    const struct compare_env *env;
    struct place place;
    struct measured *step;      /* one for each of the steps */
    struct counts first, total; /* before anything was made; from then until all was removed, if it came so far */
    bool has_first, has_total;
    bool is_out; /* it failed: nothing more is begun on it */
    char failure[RUNNER_TEXT_MAX];
    char left[PATH_MAX]; /* what could not be removed */
};

/* mountstats: the file of the NFS counters, or NULL for the kernel's. -ENOTDIR and others: dir is
 * not usable. */
_must_check_ int side_open(struct side *s, const char *dir, const char *mountstats,
                           const struct compare_env *env, size_t n_steps);
void side_close(struct side *s);
/* What it has been asked so far. Of s3efs, after everything unsent has been sent (commit=local).
 * Not for SIDE_OTHER. */
_must_check_ int side_count(struct side *s, struct counts *ret);

#endif
