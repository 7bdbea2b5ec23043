/* SPDX-License-Identifier: Apache-2.0 */
/* One HEAD that tells whose object is at a key: no 412 is believed before it (UPLOAD-2). */
#include <errno.h>
#include <string.h>

#include "internal.h"

/* A commit that waits in a journal would be tried for ever. */
static int errno_of_doubt(const struct job *j)
{
    return j->req->mark ? -ESTALE : -EIO;
}

/* Something else than what the condition wants is there. Did a try of this commit take effect before that came? Only
 * a list that reaches back to the version that was replaced can say that it did not (protocol 3). */
static int judge_other(struct job *j, const struct marks *there)
{
    bool reaches = j->base_marks.n > 0 ? marks_have(there, j->base_marks.v[0]) : !there->is_cut;
    enum doubt_outcome earlier = doubt_find(j, there);
    if (earlier >= DOUBT_SAME && j->req->finds_tries)
        return LOOK_CHANGED;
    if (earlier == DOUBT_SAME)
        return LOOK_LANDED;
    if (earlier == DOUBT_OTHER)
        return err_set(errno_of_doubt(j), "%s: an earlier try of this commit took effect, and others have written since",
                       j->req->key);
    if ((j->is_doubtful || earlier == DOUBT_OPEN) && !reaches && there->n > 0)
        return err_set(errno_of_doubt(j), "%s: others have written so much that it can't be told whether this commit took effect",
                       j->req->key);
    return j->cond.kind == STORE_IF_ABSENT ? LOOK_EXISTS : LOOK_CHANGED;
}

/* Are all versions since the base tries of ours? Else the one on top has what others wrote below it, and what goes out now
 * has not. */
static bool is_on_base(struct job *j, const struct marks *there)
{
    for (unsigned k = 0; k < there->n; k++) {
        if (j->base_marks.n > 0 && strcmp(there->v[k], j->base_marks.v[0]) == 0)
            return true;
        if (!doubt_has(j, there->v[k]))
            return false;
    }
    return j->base_marks.n == 0 && !there->is_cut;
}

static int judge(struct job *j, const struct store_obj *o)
{
    struct marks there;
    marks_parse(store_hdrs_get(&o->hdrs, COMMIT_HDR), &there);
    if (marks_have(&there, j->mark))
        return strcmp(there.v[0], j->mark) == 0 ? LOOK_OURS : LOOK_LANDED;
    bool is_same = j->cond.kind == STORE_IF_MATCH && store_etag_equal(&o->etag, &j->cond.etag);
    if (j->cond.kind == STORE_ALWAYS || is_same)
        return LOOK_UNCHANGED;
    if (doubt_find(j, &there) != DOUBT_TOP)
        return judge_other(j, &there);
    if (is_on_base(j, &there)) {
        j->cond = (struct store_cond){.kind = STORE_IF_MATCH, .etag = o->etag};
        return LOOK_UNCHANGED;
    }
    if (j->req->finds_tries)
        return LOOK_CHANGED;
    return err_set(errno_of_doubt(j), "%s: an earlier try of this commit went onto what others have written", j->req->key);
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
    if (r > 0 && r != LOOK_UNCHANGED) {
        *ret = rsp.obj;
        rsp.obj = (struct store_obj){0};
    }
    return r;
}

bool upload_has_mark(const struct store_hdrs *hdrs, const char *mark)
{
    struct marks there;
    marks_parse(store_hdrs_get(hdrs, COMMIT_HDR), &there);
    return marks_have(&there, mark);
}

int upload_is_below(const struct store_obj *now, const struct store_obj *there)
{
    struct marks ours, theirs;
    marks_parse(store_hdrs_get(&now->hdrs, COMMIT_HDR), &ours);
    marks_parse(store_hdrs_get(&there->hdrs, COMMIT_HDR), &theirs);
    if (ours.n == 0 || theirs.n == 0)
        return 0;
    if (marks_have(&theirs, ours.v[0]))
        return 1;
    bool reaches = ours.n > 1 ? marks_have(&theirs, ours.v[1]) : !theirs.is_cut;
    return reaches ? 0 : err_set(-EIO, "others have written so much that it can't be told whether a commit is in it");
}
