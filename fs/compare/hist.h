/* SPDX-License-Identifier: Apache-2.0 */
/* Latencies in a table of fixed size: exact below 128, above that in steps of 1/64 of the value.
 * Pure; a histogram is one thread's until it is merged. */
#ifndef S3EFS_FS_COMPARE_HIST_H
#define S3EFS_FS_COMPARE_HIST_H

#include <stdint.h>

#define HIST_SUB_BITS 6
#define HIST_CELLS ((64 - HIST_SUB_BITS + 1) << HIST_SUB_BITS)

struct hist {
    uint64_t n, sum, max;
    uint64_t cells[HIST_CELLS];
};
void hist_add(struct hist *h, uint64_t value);
void hist_merge(struct hist *h, const struct hist *more);
/* The smallest value that permille/1000 of all are not above: never less than the exact one, and at
 * most 1/64 more. 0 if there is none. */
uint64_t hist_at(const struct hist *h, unsigned permille);

/* What is told of many values. */
struct hist_summary {
    uint64_t n, mean, p50, p95, p99, max;
};
void hist_summarize(const struct hist *h, struct hist_summary *ret);

#endif
