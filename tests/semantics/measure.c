/* SPDX-License-Identifier: Apache-2.0 */
#include "costs.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "tests/lib/memstore.h"

static const enum meter_kind kinds[] = {
    METER_HEAD,         METER_LIST,       METER_GET,          METER_PUT,
    METER_COPY,         METER_MPU_CREATE, METER_PUT_PART,     METER_COPY_PART,
    METER_MPU_COMPLETE, METER_DELETE,     METER_DELETE_MULTI,
};

static void describe(const struct meter_snapshot *before, const struct meter_snapshot *after,
                     char ret[COSTS_TEXT])
{
    size_t len = 0;

    ret[0] = '\0';
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        uint64_t n = after->requests[kinds[i]] - before->requests[kinds[i]];
        char times[24] = "";

        if (n == 0)
            continue;
        if (n > 1)
            snprintf(times, sizeof(times), "%" PRIu64 " ", n);
        len += (size_t)snprintf(ret + len, len < COSTS_TEXT ? COSTS_TEXT - len : 0, "%s%s%s",
                                len > 0 ? " + " : "", times, meter_kind_name(kinds[i]));
    }
    if (len == 0)
        snprintf(ret, COSTS_TEXT, "none");
}

int costs_measure(const struct op *op, int weak, char ret[COSTS_TEXT])
{
    struct meter *meter = meter_new();
    struct meter_snapshot before, after;
    struct store *store;
    struct vfs_conf conf;
    struct rig r;
    int x;

    if (meter == NULL || memstore_new(meter, &store) < 0)
        return -1;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_defaults(&conf);
    if (weak)
        conf.caps.delete_match = conf.caps.delete_many_match = conf.caps.copy_dst_absent = conf.caps.copy_dst_match = false;
    memstore_set_caps(store, &conf.caps);
    x = rig_open_on(&r, store, &conf);
    if (x == 0 && op->prepare != NULL)
        x = op->prepare(&r);
    meter_read(meter, &before);
    if (x == 0)
        x = op->run(&r);
    meter_read(meter, &after);
    describe(&before, &after, ret);
    rig_close(&r);
    store_stop(store);
    store_free(store);
    meter_free(meter);
    clock_fake_off();
    return x;
}
