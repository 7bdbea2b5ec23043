/* SPDX-License-Identifier: Apache-2.0 */
/* What s3efs fsck prints: findings and a closing line on stdout, as text or one JSON object a line;
 * how far it is, on stderr if that is a terminal. Threads: one. */
#ifndef S3EFS_FSCK_REPORT_H
#define S3EFS_FSCK_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include "check/check.h"

struct fsck_report {
    bool is_json, has_terminal;
    uint64_t findings, notes, repaired, left;
    bool has_line;      /* of progress, on the terminal */
    int64_t painted_ns; /* when */
};
void fsck_report_init(struct fsck_report *r, bool json);
void fsck_report_finding(struct fsck_report *r, const struct check_finding *f);
void fsck_report_progress(struct fsck_report *r, enum check_stage stage, uint64_t done);
/* The closing line; 0 or -errno of what could not be printed. */
int fsck_report_end(struct fsck_report *r, const struct check_result *result);

#endif
