/* SPDX-License-Identifier: Apache-2.0 */
/* The request ledger: counters that any thread may add to without a lock. A snapshot is not one
 * instant: each number in it is right, their sums may be apart by the requests that ended
 * meanwhile. */
#include "store/meter.h"

#include <stdatomic.h>
#include <stdlib.h>

struct meter {
    _Atomic uint64_t requests[METER_KINDS];
    _Atomic uint64_t by_origin[ORIGIN_N][METER_KINDS];
    _Atomic uint64_t statuses[METER_STATUSES];
    _Atomic uint64_t by_kind_status[METER_KINDS][6];
    _Atomic uint64_t bytes_up, bytes_down;
};

const char *meter_kind_name(enum meter_kind k)
{
    static const char *const names[METER_KINDS] = {
        [METER_HEAD] = "HEAD",
        [METER_GET] = "GET",
        [METER_PUT] = "PUT",
        [METER_DELETE] = "DELETE",
        [METER_DELETE_MULTI] = "DELETE-multi",
        [METER_LIST] = "LIST",
        [METER_COPY] = "COPY",
        [METER_MPU_CREATE] = "MPU-create",
        [METER_PUT_PART] = "PUT-part",
        [METER_COPY_PART] = "COPY-part",
        [METER_MPU_COMPLETE] = "MPU-complete",
        [METER_MPU_ABORT] = "MPU-abort",
        [METER_LIST_MPU] = "LIST-mpu",
        [METER_HEAD_BUCKET] = "HEAD-bucket",
    };
    return (unsigned)k < METER_KINDS ? names[k] : "?";
}

struct meter *meter_new(void)
{
    return calloc(1, sizeof(struct meter));
}

void meter_free(struct meter *m)
{
    free(m);
}

static void add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void meter_count(struct meter *m, enum meter_kind kind, enum origin origin, int status, uint64_t up,
                 uint64_t down)
{
    if ((unsigned)kind >= METER_KINDS || (unsigned)origin >= ORIGIN_N)
        return;
    /* What is no HTTP status counts as no answer. */
    int known = status >= 100 && status < METER_STATUSES ? status : 0;
    add(&m->requests[kind], 1);
    add(&m->by_origin[origin][kind], 1);
    add(&m->statuses[known], 1);
    add(&m->by_kind_status[kind][known / 100], 1);
    add(&m->bytes_up, up);
    add(&m->bytes_down, down);
}

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void meter_read(const struct meter *m, struct meter_snapshot *ret)
{
    for (int k = 0; k < METER_KINDS; k++) {
        ret->requests[k] = get(&m->requests[k]);
        for (int c = 0; c < 6; c++)
            ret->by_kind_status[k][c] = get(&m->by_kind_status[k][c]);
        for (int o = 0; o < ORIGIN_N; o++)
            ret->by_origin[o][k] = get(&m->by_origin[o][k]);
    }
    for (int s = 0; s < METER_STATUSES; s++)
        ret->statuses[s] = get(&m->statuses[s]);
    ret->bytes_up = get(&m->bytes_up);
    ret->bytes_down = get(&m->bytes_down);
}
