/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of one multipart upload, several at once, each with its body in memory only while it is under way. */
#include <errno.h>
#include <string.h>

#include "base/sys.h"
#include "internal.h"

struct parts;
struct slot {
    struct parts *p;
    struct store_req req;
    struct store_rsp rsp;
    struct body body;
    size_t index; /* of the part */
    bool is_busy; /* the sender's */
    /* Guarded by parts' lock. */
    bool is_done;
    int result;
    struct err_copy err;
};

struct parts {
    struct job *j;
    const char *upload_id;
    struct store_part *ret;
    struct slot *slots;
    unsigned n_slots, n_busy;
    struct lock lock; /* LOCK_LEAF */
    struct cond done;
};

static void part_done(void *arg, int result)
{
    struct slot *s = arg;
    struct err_copy err = {{0}};
    if (result < 0)
        err_copy(&err);
    lock_take(&s->p->lock);
    s->err = err;
    s->result = result;
    s->is_done = true;
    cond_signal(&s->p->done);
    lock_drop(&s->p->lock);
}

static void request_of(const struct parts *p, struct slot *s, const struct plan_part *part)
{
    const struct job *j = p->j;
    s->req = (struct store_req){
        .op = part->is_copy ? STORE_MPU_PART_COPY : STORE_MPU_PART,
        .key = j->req->key,
        .upload_id = p->upload_id,
        .part_number = (uint32_t)(s->index + 1),
    };
    if (part->is_copy) {
        s->req.src_key = j->src_key;
        s->req.src_cond = (struct store_cond){.kind = STORE_IF_MATCH, .etag = j->base};
        s->req.range.off = part->off;
        s->req.range.len = part->len;
    } else {
        s->req.src = &s->body.src;
    }
}

/* 0, BODY_NO_ROOM, or -errno. */
static int start_part(struct parts *p, size_t index)
{
    struct slot *s = p->slots;
    while (s->is_busy)
        s++;
    const struct plan_part *part = &p->j->plan.v[index];
    *s = (struct slot){.p = p, .index = index};
    if (!part->is_copy) {
        int r = body_init(&s->body, p->j->u, p->j->req->file, part->off, part->len, p->n_busy == 0);
        if (r != 0)
            return r;
    }
    request_of(p, s, part);
    s->is_busy = true;
    p->n_busy++;
    store_submit(p->j->u->store, &s->req, &s->rsp, part_done, s);
    return 0;
}

static int part_result(const struct parts *p, struct slot *s)
{
    bool is_copy = p->j->plan.v[s->index].is_copy;
    int r = s->result;
    if (r < 0) {
        err_restore(&s->err);
        return r;
    }
    if (r == STORE_NO_UPLOAD)
        return r;
    if (is_copy && (r == STORE_PRECONDITION || r == STORE_NOT_FOUND || r == STORE_RANGE))
        return err_set(-ESTALE, "%s: the version that the change was made to is gone", p->j->src_key);
    if (r == 0 && !store_etag_is_set(&s->rsp.part.etag))
        return err_set(-EIO, "%s: part %zu has no ETag", p->j->req->key, s->index + 1);
    return err_fold(r);
}

/* Waits for one part and takes its result. */
static int finish_part(struct parts *p)
{
    struct slot *s = NULL;
    lock_take(&p->lock);
    while (!s) {
        for (unsigned i = 0; i < p->n_slots && !s; i++)
            if (p->slots[i].is_busy && p->slots[i].is_done)
                s = &p->slots[i];
        if (!s)
            cond_wait(&p->done, &p->lock);
    }
    lock_drop(&p->lock);
    int r = part_result(p, s);
    if (r == 0) {
        struct store_part *part = &p->ret[s->index];
        *part = s->rsp.part;
        part->number = (uint32_t)(s->index + 1);
        part->size = p->j->plan.v[s->index].len;
        crash_point("upload.part_sent");
    }
    body_done(&s->body);
    store_rsp_done(&s->rsp);
    s->is_busy = false;
    p->n_busy--;
    return r;
}

static int send_all(struct parts *p)
{
    size_t next = 0;
    int r = 0;
    struct err_copy err = {{0}};
    while (p->n_busy > 0 || (r == 0 && next < p->j->plan.n)) {
        int q = BODY_NO_ROOM;
        if (r == 0 && next < p->j->plan.n && p->n_busy < p->n_slots) {
            q = start_part(p, next);
            if (q == 0) {
                next++;
                continue;
            }
        }
        if (q == BODY_NO_ROOM)
            q = finish_part(p);
        if (q != 0 && r == 0) {
            r = q;
            err_copy(&err);
        }
    }
    if (r < 0)
        err_restore(&err);
    return r;
}

int parts_send(struct job *j, const char *upload_id, struct store_part *ret)
{
    struct parts p = {.j = j, .upload_id = upload_id, .ret = ret, .n_slots = j->u->conf.parallel};
    _cleanup_free_ struct slot *slots = calloc(p.n_slots, sizeof(*slots));
    if (!slots)
        return err_set(-ENOMEM, "no memory for an upload");
    p.slots = slots;
    lock_init(&p.lock, LOCK_LEAF);
    cond_init(&p.done);
    int r = send_all(&p);
    cond_done(&p.done);
    lock_done(&p.lock);
    return r;
}
