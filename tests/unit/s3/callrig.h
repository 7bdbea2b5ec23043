/* SPDX-License-Identifier: Apache-2.0 */
/* A call on a scripted server, and its troubles. */
#ifndef S3EFS_TESTS_CALLRIG_H
#define S3EFS_TESTS_CALLRIG_H

#include "rig.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"

#define ETAG_OF_HELLO "5d41402abc4b2a76b9719d911017c592"

static struct store_mem hello = {.data = (char[]){"hello"}, .size = 5};

/* One request of this kind with all that its kind needs. */
static inline int run(struct rig *r, enum store_op op, struct store_cond cond,
                      struct store_rsp *rsp)
{
    struct store_src src = store_src_mem(&hello);
    struct store_part part = {.number = 1, .size = 5, .etag = {"e"}};
    struct store_req req = {.op = op,
                            .key = "k",
                            .cond = cond,
                            .src = &src,
                            .src_key = "from",
                            .upload_id = "U",
                            .part_number = 1,
                            .parts = &part,
                            .n_parts = 1};

    err_clear();
    return store_call(r->store, &req, rsp);
}

static inline int run_simple(struct rig *r, enum store_op op)
{
    struct store_rsp rsp = {0};
    int result = run(r, op, (struct store_cond){0}, &rsp);

    store_rsp_done(&rsp);
    return result;
}

#endif
