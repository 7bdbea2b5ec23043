/* SPDX-License-Identifier: Apache-2.0 */
/* The memory store's multipart uploads. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "memstore_int.h"

static struct mpu *mpu_find_locked(const struct memstore *m, const struct store_req *req)
{
    for (struct mpu *u = m->locked.uploads; u != NULL; u = u->next) {
        if (strcmp(u->id, req->upload_id) == 0 && strcmp(u->key, req->key) == 0)
            return u;
    }
    return NULL;
}

static void mpu_parts_done(struct mpu *u)
{
    for (size_t i = 0; i < u->n_parts; i++)
        mem_body_unref(u->parts[i].body);
    free(u->parts);
    u->parts = NULL;
    u->n_parts = 0;
}

void mem_mpu_free(struct mpu *u)
{
    mpu_parts_done(u);
    store_hdrs_done(&u->hdrs);
    free(u->key);
    free(u);
}

int mem_do_mpu_create(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    int r = store_hdrs_check(req->hdrs);
    if (r < 0)
        return r;
    struct mpu *u = calloc(1, sizeof(*u));
    if (u == NULL)
        return err_set(-ENOMEM, "no memory for an upload");
    u->key = strdup(req->key);
    if (u->key == NULL || (req->hdrs != NULL && store_hdrs_copy(&u->hdrs, req->hdrs) < 0)) {
        mem_mpu_free(u);
        return err_set(-ENOMEM, "no memory for an upload");
    }
    lock_take(&m->locked.lk);
    snprintf(u->id, sizeof(u->id), "upload-%llu", (unsigned long long)++m->locked.next_upload);
    u->started_ns = mem_stamp_locked(m);
    u->next = m->locked.uploads;
    rsp->upload_id = strdup(u->id);
    if (rsp->upload_id != NULL)
        m->locked.uploads = u;
    lock_drop(&m->locked.lk);
    if (rsp->upload_id != NULL)
        return 0;
    mem_mpu_free(u);
    return err_set(-ENOMEM, "no memory for an upload");
}

/* Puts the part into its place, in the room of an earlier one of that number. */
static int part_set_locked(struct memstore *m, const struct store_req *req, struct body *b,
                           struct store_rsp *rsp)
{
    struct mpu *u = mpu_find_locked(m, req);
    if (u == NULL || u->is_complete)
        return STORE_NO_UPLOAD;
    struct mpart made = {
        .part = {.number = req->part_number, .size = b->size, .etag = store_etag_md5(b->md5)},
        .body = b,
    };
    size_t i = 0;
    while (i < u->n_parts && u->parts[i].part.number < req->part_number)
        i++;
    if (i < u->n_parts && u->parts[i].part.number == req->part_number) {
        mem_body_unref(u->parts[i].body);
    } else {
        struct mpart *v = realloc(u->parts, (u->n_parts + 1) * sizeof(*v));
        if (v == NULL)
            return err_set(-ENOMEM, "no memory for a part");
        u->parts = v;
        memmove(&v[i + 1], &v[i], (u->n_parts - i) * sizeof(*v));
        u->n_parts++;
    }
    mem_body_ref(b);
    u->parts[i] = made;
    rsp->part = made.part;
    return 0;
}

static int part_number_check(const struct store_req *req)
{
    if (req->part_number >= 1 && req->part_number <= STORE_PARTS_MAX)
        return 0;
    return err_set(-EINVAL, "part number %u is not within 1 to %d", req->part_number,
                   STORE_PARTS_MAX);
}

int mem_do_mpu_part(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    _cleanup_body_ struct body *b = NULL;
    int r = part_number_check(req);
    if (r == 0)
        r = mem_body_read(req->src, &b);
    if (r < 0)
        return r;
    lock_take(&m->locked.lk);
    r = part_set_locked(m, req, b, rsp);
    lock_drop(&m->locked.lk);
    return r;
}

int mem_do_mpu_part_copy(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    const struct object *from = NULL;
    uint64_t off = 0, len = 0;
    int r = part_number_check(req);
    if (r == 0)
        r = store_key_check(req->src_key);
    if (r < 0)
        return r;
    lock_take(&m->locked.lk);
    r = mem_source_locked(m, req, m->locked.caps.part_copy_match, &from);
    if (r == 0)
        r = store_range_clip(req->range.off, req->range.len, from->obj.size, &off, &len);
    if (r == 0) {
        _cleanup_body_ struct body *b = mem_body_new((size_t)len);
        r = b == NULL ? err_set(-ENOMEM, "no memory for a part") : 0;
        if (r == 0) {
            memcpy(b->data, from->body->data + off, (size_t)len);
            r = mem_body_seal(b);
        }
        if (r == 0)
            r = part_set_locked(m, req, b, rsp);
    }
    lock_drop(&m->locked.lk);
    return r;
}

/* The parts that the request names, in one body. */
static int assemble_locked(const struct memstore *m, const struct mpu *u,
                           const struct store_req *req, struct body **ret)
{
    size_t size = 0, at = 0;
    for (int pass = 0; pass < 2; pass++) {
        size_t k = 0;
        if (pass == 1 && (*ret = mem_body_new(size)) == NULL)
            return err_set(-ENOMEM, "no memory for a body");
        for (size_t i = 0; i < req->n_parts; i++) {
            while (k < u->n_parts && u->parts[k].part.number < req->parts[i].number)
                k++;
            if (k == u->n_parts || u->parts[k].part.number != req->parts[i].number ||
                !store_etag_equal(&u->parts[k].part.etag, &req->parts[i].etag))
                return err_set(-EINVAL, "part %u was not uploaded, or has another ETag",
                               req->parts[i].number);
            const struct body *b = u->parts[k].body;
            if (i + 1 < req->n_parts && b->size < m->locked.part_min)
                return err_set(-EINVAL, "part %u has %zu bytes: too small", req->parts[i].number,
                               b->size);
            if (pass == 1)
                memcpy((*ret)->data + at, b->data, b->size);
            at += pass == 1 ? b->size : 0;
            size += pass == 0 ? b->size : 0;
        }
    }
    return mem_body_seal(*ret);
}

static int complete_locked(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    struct mpu *u = mpu_find_locked(m, req);
    if (u == NULL)
        return STORE_NO_UPLOAD;
    if (u->is_complete) {
        rsp->obj.etag = u->etag;
        return 0;
    }
    _cleanup_body_ struct body *b = NULL;
    struct store_etag etag;
    int r = assemble_locked(m, u, req, &b);
    if (r == 0)
        r = store_etag_parts(req->parts, req->n_parts, &etag);
    if (r == 0)
        r = mem_cond_locked(m, req, m->locked.caps.complete_absent, m->locked.caps.complete_match);
    if (r == 0)
        r = mem_publish_locked(m, req->key, b, &etag, &u->hdrs, &rsp->obj);
    if (r == 0) {
        mpu_parts_done(u);
        u->is_complete = true;
        u->etag = etag;
    }
    return r;
}

int mem_do_mpu_complete(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    int r = store_parts_check(req->parts, req->n_parts);
    if (r < 0)
        return r;
    lock_take(&m->locked.lk);
    r = complete_locked(m, req, rsp);
    lock_drop(&m->locked.lk);
    return r;
}

int mem_do_mpu_abort(struct memstore *m, struct store_req *req)
{
    int r = STORE_NO_UPLOAD;
    lock_take(&m->locked.lk);
    for (struct mpu **p = &m->locked.uploads; *p != NULL; p = &(*p)->next) {
        struct mpu *u = *p;
        if (strcmp(u->id, req->upload_id) == 0 && strcmp(u->key, req->key) == 0 &&
            !u->is_complete) {
            *p = u->next;
            mem_mpu_free(u);
            r = 0;
            break;
        }
    }
    lock_drop(&m->locked.lk);
    return r;
}

int mem_do_mpu_list(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    const char *prefix = req->prefix == NULL ? "" : req->prefix;
    size_t n = 0, limit;
    int r = 0;
    lock_take(&m->locked.lk);
    limit = m->locked.page;
    for (const struct mpu *u = m->locked.uploads; u != NULL; u = u->next)
        n++;
    rsp->uploads.v = calloc(n + 1, sizeof(*rsp->uploads.v));
    if (rsp->uploads.v == NULL)
        r = err_set(-ENOMEM, "no memory for a listing");
    for (const struct mpu *u = m->locked.uploads; r == 0 && u != NULL; u = u->next) {
        if (u->is_complete || strncmp(u->key, prefix, strlen(prefix)) != 0 ||
            !store_uploads_wants(req, u->key, u->id))
            continue;
        struct store_upload *e = &rsp->uploads.v[rsp->uploads.n++];
        e->key = strdup(u->key);
        e->upload_id = strdup(u->id);
        e->started_ns = u->started_ns;
        if (e->key == NULL || e->upload_id == NULL)
            r = err_set(-ENOMEM, "no memory for a listing");
    }
    lock_drop(&m->locked.lk);
    return r == 0 ? store_uploads_cut(req, limit, rsp) : r;
}
