/* SPDX-License-Identifier: Apache-2.0 */
/* One COPY within the bucket, where the server honours the conditions on both of its ends. */
#include <errno.h>

#include "base/sys.h"
#include "internal.h"

static bool can_copy(const struct store_caps *caps, enum store_if kind)
{
    bool dst = kind == STORE_IF_ABSENT ? caps->copy_dst_absent : caps->copy_dst_match;
    return caps->copy_src_match && (kind == STORE_ALWAYS || dst);
}

static bool can_copy_parts(const struct store_caps *caps, enum store_if kind)
{
    bool dst = kind == STORE_IF_ABSENT ? caps->complete_absent : caps->complete_match;
    return caps->part_copy_match && (kind == STORE_ALWAYS || dst);
}

bool upload_can_copy(const struct upload *u, enum store_if kind, uint64_t size)
{
    if (size <= PLAN_PART_MAX && can_copy(&u->conf.caps, kind))
        return true;
    return size > u->conf.part_threshold && can_copy_parts(&u->conf.caps, kind);
}

bool copy_is_the_way(const struct job *j, const struct plan_in *in)
{
    const struct store_caps *caps = &j->u->conf.caps;
    bool is_base = in->n_dirty == 0 && in->base_valid == j->size && !data_is_cut(j->req->file) &&
                   store_etag_is_set(&j->base);
    if (!j->req->by_copy || !is_base || j->size > PLAN_PART_MAX || !can_copy(caps, j->cond.kind))
        return false;
    return j->size <= in->threshold || !can_copy_parts(caps, j->cond.kind); /* parts go side by side */
}

int copy_commit(struct job *j, struct store_obj *ret)
{
    struct store_req req = {
        .op = STORE_COPY,
        .key = j->req->key,
        .cond = j->cond,
        .src_key = j->src_key,
        .src_cond = {STORE_IF_MATCH, j->base},
        .hdrs = &j->hdrs,
        .replace = true,
    };
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    crash_point("upload.before_copy");
    int r = store_call(j->u->store, &req, &rsp);
    job_note_doubt(j, r, &rsp);
    crash_point("upload.after_copy");
    return job_sent(j, r, &rsp.obj, ret);
}
