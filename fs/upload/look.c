/* SPDX-License-Identifier: Apache-2.0 */
/* One HEAD that tells whose object is at a key: no 412 is believed before it (UPLOAD-2). */
#include <string.h>

#include "internal.h"

static int judge(struct job *j, const struct store_obj *o)
{
    const char *mark = store_hdrs_get(&o->hdrs, COMMIT_HDR);
    if (mark && strcmp(mark, j->mark) == 0)
        return LOOK_OURS;
    bool is_same = j->cond.kind == STORE_IF_MATCH && store_etag_equal(&o->etag, &j->cond.etag);
    if (j->cond.kind == STORE_ALWAYS || is_same)
        return LOOK_UNCHANGED;
    if (mark && doubt_has(j->u, j->req->key, mark)) {
        j->cond = (struct store_cond){.kind = STORE_IF_MATCH, .etag = o->etag};
        return LOOK_UNCHANGED;
    }
    return j->cond.kind == STORE_IF_ABSENT ? LOOK_EXISTS : LOOK_CHANGED;
}

int look(struct job *j, struct store_obj *ret)
{
    struct store_req req = {.op = STORE_HEAD, .key = j->req->key};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    int r = store_call(j->u->store, &req, &rsp);
    if (r == STORE_NOT_FOUND)
        return j->cond.kind == STORE_IF_MATCH ? LOOK_GONE : LOOK_UNCHANGED;
    if (r != 0)
        return err_fold(r);
    r = judge(j, &rsp.obj);
    if (r != LOOK_UNCHANGED) {
        *ret = rsp.obj;
        rsp.obj = (struct store_obj){0};
    }
    return r;
}
