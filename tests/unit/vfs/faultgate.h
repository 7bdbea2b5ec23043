/* SPDX-License-Identifier: Apache-2.0 */
/* The way from the workload's mount to the bucket: the n-th request on it fails, loses its reply,
 * or is the mount's last. */
#ifndef S3EFS_TESTS_FAULTGATE_H
#define S3EFS_TESTS_FAULTGATE_H

#include "workload.h"

#include <stdatomic.h>

enum fault {
    DIES,       /* from the n-th request on nothing is done */
    DIES_LATER, /* the n-th is done, its reply lost, and then nothing */
    FAILS_ONCE, /* the n-th is not done */
    LOST_ONCE,  /* the n-th is done, its reply lost */
};

static struct {
    struct store store;
    struct store *inner;
    atomic_uint seen;
    unsigned at; /* 0: never */
    enum fault fault;
} gate;

static inline void gate_submit(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    unsigned n = atomic_fetch_add(&gate.seen, 1) + 1;
    bool is_one = gate.fault == FAILS_ONCE || gate.fault == LOST_ONCE;
    bool is_lost = gate.fault == DIES_LATER || gate.fault == LOST_ONCE;
    void (*done)(void *arg, int result) = req->done;
    void *arg = req->done_arg;

    (void)s;
    if (gate.at == 0 || n < gate.at || (is_one && n > gate.at)) {
        store_submit(gate.inner, req, rsp, done, arg);
        return;
    }
    if (is_lost && n == gate.at) {
        if (store_call(gate.inner, req, rsp) < 0)
            err_clear();
        store_rsp_done(rsp);
    }
    done(arg, err_set(-EIO, "request %u does not get through", n));
}

static const struct store_ops gate_ops = {.submit = gate_submit};

static inline void set_gate(enum fault fault, unsigned at)
{
    gate.fault = fault;
    gate.at = at;
    atomic_store(&gate.seen, 0);
}

#endif
