/* SPDX-License-Identifier: Apache-2.0 */
/* The request ledger: every request that left for the bucket (each attempt, retries too), by kind, by
 * status and by the operation that caused it, and the bytes each way. The kinds are those of the price list, so that a bill can be counted.
 * Threads: any, without locks. */
#ifndef S3EFS_STORE_METER_H
#define S3EFS_STORE_METER_H

#include <stdint.h>
#include "base/origin.h"

enum meter_kind {
    METER_HEAD, METER_GET, METER_PUT, METER_DELETE, METER_DELETE_MULTI, METER_LIST, METER_COPY,
    METER_MPU_CREATE, METER_PUT_PART, METER_COPY_PART, METER_MPU_COMPLETE, METER_MPU_ABORT,
    METER_LIST_MPU, METER_HEAD_BUCKET, METER_KINDS
};
const char *meter_kind_name(enum meter_kind k); /* "HEAD", "PUT", "PUT-part", "DELETE-multi", ... */

/* HTTP statuses 100-599; 0 stands for "no answer" (reset, timeout). */
#define METER_STATUSES 600
struct meter;
struct meter *meter_new(void); /* NULL: no memory */
void meter_free(struct meter *m);
/* origin: for whom it was sent. */
void meter_count(struct meter *m, enum meter_kind kind, enum origin origin, int status, uint64_t up, uint64_t down);

struct meter_snapshot {
    uint64_t requests[METER_KINDS];
    uint64_t by_origin[ORIGIN_N][METER_KINDS];
    uint64_t statuses[METER_STATUSES];
    uint64_t by_kind_status[METER_KINDS][6]; /* 0 = no answer, 1..5 = 1xx..5xx */
    uint64_t bytes_up, bytes_down;           /* bodies */
};
void meter_read(const struct meter *m, struct meter_snapshot *ret);

#endif
