/* SPDX-License-Identifier: Apache-2.0 */
/* One multipart upload from Create to Complete, and the abort of whatever does not get there (UPLOAD-3). */
#include <errno.h>

#include "base/log.h"
#include "base/sys.h"
#include "internal.h"

static int create(struct job *j, char **ret_id)
{
    struct store_req req = {.op = STORE_MPU_CREATE, .key = j->req->key, .hdrs = &j->hdrs};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    int r = store_call(j->u->store, &req, &rsp);
    if (r == 0 && !rsp.upload_id)
        return err_set(-EIO, "%s: the bucket sent no upload id", j->req->key);
    *ret_id = steal(&rsp.upload_id);
    crash_point("upload.created");
    return err_fold(r);
}

/* Keeps the thread's error text. Parts that stay behind cost money, so a failure is told. */
static void abort_upload(struct job *j, const char *upload_id)
{
    struct err_copy err;
    err_copy(&err);
    struct store_req req = {.op = STORE_MPU_ABORT, .key = j->req->key, .upload_id = upload_id};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    crash_point("upload.before_abort");
    int r = store_call(j->u->store, &req, &rsp);
    crash_point("upload.after_abort");
    if (r < 0)
        log_warn("upload.abort", "key=%s upload=%s error=%d cause=%s", LOG_Q(j->req->key),
                 LOG_Q(upload_id), -r, LOG_Q(err_text()));
    err_restore(&err);
}

/* 0 and the ETag, or what the request ended with. */
static int complete(struct job *j, const char *upload_id, const struct store_part *parts,
                    struct store_obj *ret)
{
    struct store_req req = {
        .op = STORE_MPU_COMPLETE,
        .key = j->req->key,
        .upload_id = upload_id,
        .parts = parts,
        .n_parts = j->plan.n,
    };
    if (!j->is_weak)
        req.cond = j->cond;
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    int r = store_call(j->u->store, &req, &rsp);
    job_note_doubt(j, r, &rsp);
    if (r == 0) {
        *ret = rsp.obj;
        rsp.obj = (struct store_obj){0};
    }
    return r;
}

/* Complete has said yes: is it our object that is there? `done` is what Complete told of it (consumed). */
static int verify(struct job *j, struct store_obj *done, struct store_obj *ret)
{
    struct store_obj seen = {0};
    int r = look(j, &seen);
    bool is_ours = r == LOOK_OURS || (store_etag_is_set(&done->etag) && store_etag_is_set(&seen.etag) &&
                                      store_etag_equal(&seen.etag, &done->etag));
    if (is_ours) {
        store_obj_done(done);
        *ret = seen;
        return 0;
    }
    /* It was there, since its condition held: what is there now came later, and may know nothing of our marks. */
    if (r == LOOK_LANDED || (!j->is_weak && j->cond.kind != STORE_ALWAYS && r != LOOK_GONE && r > 0 &&
                             r != LOOK_UNCHANGED)) {
        store_obj_done(done);
        *ret = seen;
        return LOOK_LANDED;
    }
    store_obj_done(&seen);
    /* It was there, since a condition held, but it can't be asked for now; or the last writer wins anyway. */
    if ((r < 0 && !j->is_weak && store_etag_is_set(&done->etag)) || j->cond.kind == STORE_ALWAYS) {
        job_result(j, done, ret);
        return 0;
    }
    store_obj_done(done);
    if (r < 0)
        return r;
    return r == LOOK_UNCHANGED
               ? err_set(-EIO, "%s: the bucket completed the upload and does not have it", j->req->key)
               : STORE_PRECONDITION;
}

/* A server that ignores Complete's condition: look just before. */
static int look_first(struct job *j)
{
    struct store_obj seen = {0};
    int r = j->is_weak ? look(j, &seen) : LOOK_UNCHANGED;
    store_obj_done(&seen);
    return r == LOOK_UNCHANGED ? 0 : r < 0 ? r : STORE_PRECONDITION;
}

int multipart_commit(struct job *j, struct store_obj *ret)
{
    _cleanup_free_ struct store_part *parts = calloc(j->plan.n, sizeof(*parts));
    _cleanup_free_ char *upload_id = NULL;
    if (!parts)
        return err_set(-ENOMEM, "no memory for the parts of an upload");
    int r = create(j, &upload_id);
    if (r != 0)
        return r;
    struct store_obj done = {0};
    r = parts_send(j, upload_id, parts);
    if (r == 0)
        r = look_first(j);
    if (r == 0) {
        crash_point("upload.before_complete");
        r = complete(j, upload_id, parts, &done);
        crash_point("upload.after_complete");
    }
    if (r == 0)
        return verify(j, &done, ret);
    abort_upload(j, upload_id);
    return r;
}
