/* SPDX-License-Identifier: Apache-2.0 */
/* One step on one side: its threads, what each operation took, and whether what was read is what
 * was written. */
#ifndef S3EFS_FS_COMPARE_RUNNER_H
#define S3EFS_FS_COMPARE_RUNNER_H

#include "hist.h"
#include "steps.h"

#define RUNNER_TEXT_MAX 512

/* Reads and all that looks, or writes and all that changes. */
enum run_part { RUN_WRITE, RUN_READ, RUN_PARTS };

struct run_job {
    const struct options *options;
    const struct step *step;
    const char *dir; /* for messages: the path of dirfd */
    int dirfd;       /* of the step's group */
    /* Paints how far it is; called by the thread that called runner_run(). NULL: not wanted. */
    void (*progress)(void *arg, uint64_t done, uint64_t all);
    void *arg;
};

struct run_result {
    struct hist_summary
        took[RUN_PARTS];       /* ns of an operation, without the making and checking of bytes */
    uint64_t files[RUN_PARTS]; /* an operation is one file, but for listings and walks */
    uint64_t bytes[RUN_PARTS];
    uint64_t failed, wrong;
    int64_t ns;                  /* from the first operation to the last */
    char first[RUNNER_TEXT_MAX]; /* the first that failed or was wrong */
};

/* 0 when it came to its end, whatever failed on the way (ret->failed, ret->wrong); without
 * options->keep_going it ends at the first. -EINTR: stop_signal(). -errno: threads or memory. Not
 * for WORK_MAKE. */
_must_check_ int runner_run(const struct run_job *job, struct run_result *ret);

#endif
