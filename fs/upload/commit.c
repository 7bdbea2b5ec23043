/* SPDX-License-Identifier: Apache-2.0 */
/* One commit: which way it goes, and what to believe of the answer.
 *
 *   send -> 0                                    committed
 *        -> definite -errno                      nothing was done
 *        -> 412, 404, 409, doubtful -errno       look (HEAD) -> ours: committed
 *                                                            -> somebody else's: an outcome
 *                                                            -> unchanged: again, or the error */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "internal.h"

#define TRIES 5
#define PAUSE_SHIFT_MAX 5
#define USER_META_MAX 2048
#define DEFAULT_THRESHOLD (UINT64_C(16) << 20)
#define DEFAULT_PART_SIZE (UINT64_C(8) << 20)
#define DEFAULT_PARALLEL 8
#define DEFAULT_MEMORY (UINT64_C(128) << 20)

int upload_new(const struct upload_conf *conf, struct store *store, struct upload **ret)
{
    if (strlen(conf->writer) == 0)
        return err_set(-EINVAL, "a mount that uploads needs an id");
    _cleanup_free_ struct upload *u = calloc(1, sizeof(*u));
    if (!u)
        return err_set(-ENOMEM, "no memory for the upload module");
    u->store = store;
    u->conf = *conf;
    if (u->conf.part_threshold == 0)
        u->conf.part_threshold = DEFAULT_THRESHOLD;
    if (u->conf.part_size == 0)
        u->conf.part_size = DEFAULT_PART_SIZE;
    if (u->conf.mem_limit == 0)
        u->conf.mem_limit = DEFAULT_MEMORY;
    if (u->conf.parallel == 0)
        u->conf.parallel = DEFAULT_PARALLEL;
    lock_init(&u->lock, LOCK_UPLOAD);
    budget_init(&u->bodies, u->conf.mem_limit);
    *ret = steal(&u);
    return 0;
}

void upload_free(struct upload *u)
{
    if (!u)
        return;
    doubt_clear(u, NULL);
    budget_done(&u->bodies);
    lock_done(&u->lock);
    free(u);
}

/* What the reply told, with what was sent. Moves both. */
void job_result(struct job *j, struct store_obj *told, struct store_obj *ret)
{
    *ret = *told;
    *told = (struct store_obj){0};
    store_hdrs_done(&ret->hdrs);
    ret->hdrs = j->hdrs;
    store_hdrs_remove(&ret->hdrs, STORE_TAGS); /* others change them without a new version: read again */
    j->hdrs = (struct store_hdrs){0};
    ret->size = j->size;
}

int job_sent(struct job *j, int r, struct store_obj *told, struct store_obj *ret)
{
    if (r != 0)
        return r;
    if (!store_etag_is_set(&told->etag))
        return err_set(-EIO, "%s: the bucket sent no ETag", j->req->key);
    job_result(j, told, ret);
    return 0;
}

void upload_mark(struct upload *u, char ret[UPLOAD_MARK_SIZE])
{
    lock_take(&u->lock);
    uint64_t sequence = ++u->locked.sequence;
    lock_drop(&u->lock);
    snprintf(ret, UPLOAD_MARK_SIZE, "%s.%" PRIu64, u->conf.writer, sequence);
}

bool upload_mark_is_valid(const char *mark)
{
    struct marks m;
    marks_parse(mark, &m);
    return m.n == 1 && !m.is_cut && strcmp(m.v[0], mark) == 0;
}

/* One PUT. 0 and *ret, or what the request ended with. */
static int put_commit(struct job *j, struct store_obj *ret)
{
    struct body b;
    int r = body_init(&b, j->u, j->req->file, 0, j->size, true);
    if (r != 0)
        return r;
    struct store_req req = {.op = STORE_PUT, .key = j->req->key, .src = &b.src, .hdrs = &j->hdrs};
    if (!j->is_weak)
        req.cond = j->cond;
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    crash_point("upload.before_put");
    r = store_call(j->u->store, &req, &rsp);
    job_note_doubt(j, r, &rsp);
    body_done(&b);
    crash_point("upload.after_put");
    return job_sent(j, r, &rsp.obj, ret);
}

/* Errors after which the bucket is as it was, whatever happened on the way. */
static bool is_definite(int r)
{
    static const int errnos[] = {EACCES, EPERM, ENOSPC, EDQUOT, EFBIG,  ENAMETOOLONG,
                                 EINVAL, ENOMEM, EROFS, ENOTSUP, EOPNOTSUPP};
    for (size_t i = 0; i < ARRAY_LEN(errnos); i++)
        if (r == -errnos[i])
            return true;
    return false;
}

static int outcome_of(int look_outcome)
{
    switch (look_outcome) {
    case LOOK_OURS:
        return 0;
    case LOOK_EXISTS:
        return UPLOAD_EXISTS;
    case LOOK_CHANGED:
        return UPLOAD_CHANGED;
    case LOOK_GONE:
        return UPLOAD_GONE;
    case LOOK_LANDED:
        return UPLOAD_LANDED;
    default:
        return err_fold(look_outcome);
    }
}

/* The error `r` stays, and the file stays dirty; but a late success of this try must be known as our own. */
static int in_doubt(struct job *j, int r, const struct err_copy *cause, int look_result)
{
    doubt_add(j);
    if (look_result >= 0) {
        err_restore(cause);
        return r < 0 ? r : -EIO;
    }
    struct err_copy why;
    err_copy(&why);
    return err_set(r < 0 ? r : look_result, "%s: in doubt: %.200s; asking what is there: %.200s",
                   j->req->key, cause->text, why.text);
}

static void pause_before_retry(unsigned tries)
{
    struct timespec ts = {.tv_nsec = (10 + (long)(clock_boot_ns() % 10)) * 1000000L <<
                                  (tries < PAUSE_SHIFT_MAX ? tries : PAUSE_SHIFT_MAX)};
    nanosleep(&ts, NULL);
}

static const char *name_of(int r)
{
    return r == STORE_CONFLICT ? "another write is under way" : r == STORE_NO_UPLOAD
               ? "the multipart upload was aborted by somebody else"
               : "the condition failed though it holds";
}

/* Attributes alone do not change the ETag of a PUT, so the condition holds also where an earlier try took effect, and others
 * have set theirs since. */
static bool may_be_there_unseen(struct job *j)
{
    const struct marks none = {0};
    return j->is_same && (j->is_doubtful || doubt_find(j, &none) != DOUBT_NONE);
}

static int look_first(struct job *j, struct store_obj *ret)
{
    bool is_weak = j->is_weak && j->plan.n == 0; /* a multipart upload looks before its Complete */
    return is_weak || may_be_there_unseen(j) ? look(j, ret) : LOOK_UNCHANGED;
}

static int send(struct job *j, struct store_obj *ret)
{
    if (j->is_copy)
        return copy_commit(j, ret);
    return j->plan.n > 0 ? multipart_commit(j, ret) : put_commit(j, ret);
}

/* The bucket is as it was. A write of another client that is under way (409) comes to its end, however long a large
 * Complete takes; whatever else there is does not get better for ever. ESTALE: the base's bytes did not come, so nothing
 * was sent; it is still there, or again. */
static bool may_try_again(const struct job *j, int r, unsigned tries, int64_t began_ns)
{
    if (r == STORE_CONFLICT)
        return j->u->conf.soft_ns == 0 || clock_boot_ns() - began_ns < j->u->conf.soft_ns;
    return (r >= 0 || r == -ESTALE) && tries + 1 < TRIES;
}

static int commit(struct job *j, struct store_obj *ret)
{
    const int64_t began_ns = clock_boot_ns();
    for (unsigned tries = 0;; tries++) {
        int w = look_first(j, ret);
        if (w != LOOK_UNCHANGED)
            return outcome_of(w);
        int r = send(j, ret);
        if (r == 0 || r == LOOK_LANDED)
            return r == 0 ? 0 : UPLOAD_LANDED;
        if (r > 0)
            err_set(-EIO, "%s: %s", j->req->key, name_of(r));
        if (r < 0 && is_definite(r))
            return r;
        struct err_copy cause;
        err_copy(&cause);
        int seen = look(j, ret);
        if (seen < 0)
            return in_doubt(j, r, &cause, seen);
        if (seen != LOOK_UNCHANGED)
            return outcome_of(seen);
        if (j->is_copy && (r == STORE_PRECONDITION || r == STORE_NOT_FOUND))
            return err_set(-ESTALE, "%s: what was to be copied has changed", j->src_key);
        if (!may_try_again(j, r, tries, began_ns))
            return in_doubt(j, r, &cause, seen);
        pause_before_retry(tries);
    }
}

/* What the server's word is worth for this commit decides the way it goes. */
/* ETags tell one PUT from parts, and how many parts. */
static void choose_other_etag(const struct job *j, struct plan_in *in)
{
    if (j->size == 0 || !in->can_complete)
        return;
    if (str_ends(j->base.s, "-1") && j->size <= PLAN_PART_MAX) {
        in->threshold = PLAN_PART_MAX;
        return;
    }
    in->threshold = 0;
    in->part_size = 2 * (in->part_size > PLAN_COPY_SIZE ? in->part_size : PLAN_COPY_SIZE);
}

static int choose_way(struct job *j)
{
    const struct store_caps *caps = &j->u->conf.caps;
    bool is_absent = j->cond.kind == STORE_IF_ABSENT, is_always = j->cond.kind == STORE_ALWAYS;
    bool put_ok = is_always || (is_absent ? caps->put_absent : caps->put_match);
    bool complete_ok = is_always || (is_absent ? caps->complete_absent : caps->complete_match);
    _cleanup_free_ struct data_extent *dirty = NULL;
    struct plan_in in = {
        .size = j->size,
        .can_copy = caps->part_copy_match && store_etag_is_set(&j->base),
        .can_complete = complete_ok || j->size > PLAN_PART_MAX,
        .threshold = j->u->conf.part_threshold,
        .part_size = j->u->conf.part_size,
    };
    int r = data_extents(j->req->file, &dirty, &in.n_dirty, &in.base_valid);
    if (r != 0)
        return r;
    in.dirty = dirty;
    j->is_same = j->cond.kind == STORE_IF_MATCH && in.n_dirty == 0 && in.base_valid == j->size &&
                 !data_is_cut(j->req->file);
    if (j->req->other_etag)
        choose_other_etag(j, &in);
    j->is_copy = copy_is_the_way(j, &in);
    if (j->is_copy)
        return 0;
    r = plan_build(&in, &j->plan);
    if (r != 0)
        return r;
    j->is_weak = j->plan.n > 0 ? !complete_ok : !put_ok;
    if (j->is_weak && j->plan.n > 0 && j->u->conf.weak_refuse)
        return err_set(-EOPNOTSUPP, "%s: the server ignores conditions of multipart uploads, and weak=refuse "
                                    "is set", j->req->key);
    return 0;
}

static void warn_weak(struct job *j)
{
    lock_take(&j->u->lock);
    bool is_first = !j->u->locked.has_warned;
    j->u->locked.has_warned = true;
    lock_drop(&j->u->lock);
    if (is_first)
        log_warn("upload.weak", "key=%s meaning=\"the server ignores conditions of writes: two writers at the "
                                "same moment may overwrite each other\"", LOG_Q(j->req->key));
}

static void job_done(struct job *j)
{
    store_hdrs_done(&j->hdrs);
    plan_done(&j->plan);
}

/* S3 takes 2,048 bytes of user metadata in all, names and values. */
static size_t room_for_marks(const struct store_hdrs *h)
{
    size_t used = strlen(COMMIT_HDR);
    for (size_t i = 0; i < h->n; i++)
        if (strncmp(h->v[i].name, STORE_USER_META, strlen(STORE_USER_META)) == 0)
            used += strlen(h->v[i].name) + strlen(h->v[i].value);
    return used < USER_META_MAX ? USER_META_MAX - used : 0;
}

int upload_set_mark(struct store_hdrs *hdrs, const char *mark)
{
    char text[MARKS_TEXT];
    struct marks base;
    marks_parse(store_hdrs_get(hdrs, COMMIT_HDR), &base);
    store_hdrs_remove(hdrs, COMMIT_HDR);
    marks_format(mark, &base, room_for_marks(hdrs), text);
    return store_hdrs_set(hdrs, COMMIT_HDR, text);
}

static int set_marks(struct job *j)
{
    marks_parse(store_hdrs_get(&j->hdrs, COMMIT_HDR), &j->base_marks);
    return upload_set_mark(&j->hdrs, j->mark);
}

static int job_init(struct job *j, struct upload *u, const struct upload_req *req)
{
    *j = (struct job){.u = u, .req = req, .cond = req->cond};
    j->src_key = req->src_key ? req->src_key : req->key;
    j->size = data_size(req->file);
    j->base = data_base_etag(req->file);
    j->change = data_change(req->file);
    j->is_doubtful = req->is_retry;
    if (req->mark)
        memcpy(j->mark, req->mark, strnlen(req->mark, sizeof(j->mark) - 1));
    else
        upload_mark(u, j->mark);
    int r = req->hdrs ? store_hdrs_copy(&j->hdrs, req->hdrs) : 0;
    if (r == 0)
        r = set_marks(j);
    if (r == 0)
        r = upload_tags(u, req->by_copy && !req->is_move ? req->key : j->src_key, &j->hdrs);
    return r == 0 ? choose_way(j) : r;
}

int upload_commit(struct upload *u, const struct upload_req *req, struct store_obj *ret)
{
    _cleanup_(job_done) struct job j;
    *ret = (struct store_obj){0};
    int r = job_init(&j, u, req);
    if (r != 0)
        return r;
    if (j.is_weak)
        warn_weak(&j);
    r = commit(&j, ret);
    if (r == 0 || r == UPLOAD_LANDED)
        doubt_clear(u, req->key);
    return r;
}
