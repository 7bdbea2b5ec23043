/* SPDX-License-Identifier: Apache-2.0 */
/* The bucket in memory. Objects are kept sorted by key; bodies are shared and never change, so that
 * a GET sends its version although another one is put meanwhile. One lock guards the state; bodies
 * are read and written, and hooks and completions run, outside of it. */
#include "memstore.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/lock.h"
#include "base/workq.h"
#include "store/backend.h"

struct body {
    atomic_uint refs;
    size_t size;
    unsigned char md5[STORE_MD5_LEN];
    char data[];
};

struct object {
    char *key;
    struct body *body;
    struct store_obj obj;
};

struct mpart {
    struct store_part part;
    struct body *body;
};

struct mpu {
    struct mpu *next;
    char id[32];
    char *key;
    int64_t started_ns;
    struct store_hdrs hdrs;
    struct mpart *parts; /* ascending */
    size_t n_parts;
    bool is_complete; /* kept, so that a repeated Complete is answered as the first one was */
    struct store_etag etag;
};

struct rule {
    struct rule *next;
    enum store_op op;
    uint64_t first, last; /* of the op's count */
    bool is_lost;
    int result;
};

struct memstore {
    struct store store;
    struct meter *meter;
    struct workq *workers;
    struct {
        struct lock lk;
        struct cond idle;
        unsigned running;
        bool is_stopped, unquoted;
        struct object *v;
        size_t n, cap;
        struct mpu *uploads;
        uint64_t next_upload;
        uint32_t page;
        int64_t grain_ns;
        uint64_t part_min;
        struct store_caps caps;
        struct rule *rules;
        uint64_t counts[STORE_OPS];
        memstore_hook before, after;
        void *hook_arg;
    } locked;
};

static _Thread_local bool is_foreign; /* a hook's, or memstore_put()'s: no counts, faults, hooks */

static struct memstore *mem(struct store *s)
{
    return container_of(s, struct memstore, store);
}

/* --- bodies --- */

static struct body *body_ref(struct body *b)
{
    atomic_fetch_add(&b->refs, 1);
    return b;
}

static void body_unref(struct body *b)
{
    if (b != NULL && atomic_fetch_sub(&b->refs, 1) == 1)
        free(b);
}

static void body_unrefp(struct body **b)
{
    body_unref(*b);
}
#define _cleanup_body_ _cleanup_(body_unrefp)

static struct body *body_new(size_t size)
{
    struct body *b = malloc(sizeof(*b) + size + 1);
    if (b == NULL)
        return NULL;
    atomic_init(&b->refs, 1);
    b->size = size;
    b->data[size] = '\0';
    return b;
}

static int body_seal(struct body *b)
{
    unsigned len = 0;
    if (EVP_Digest(b->data, b->size, b->md5, &len, EVP_md5(), NULL) != 1)
        return err_set(-ENOMEM, "no memory for a digest");
    return 0;
}

static int body_read(const struct store_src *src, struct body **ret)
{
    _cleanup_body_ struct body *b = body_new(src->size);
    if (b == NULL)
        return err_set(-ENOMEM, "no memory for a body");
    /* In pieces, as a real back end does. */
    for (uint64_t off = 0; off < src->size;) {
        uint64_t left = src->size - off;
        size_t len = left < 65536 ? (size_t)left : 65536;
        int r = src->read(src->ctx, off, b->data + off, len);
        if (r < 0)
            return r;
        off += len;
    }
    int r = body_seal(b);
    if (r == 0)
        *ret = steal(&b);
    return r;
}

static int body_write(const struct store_sink *sink, const struct body *b, uint64_t off,
                      uint64_t len)
{
    for (uint64_t done = 0; done < len;) {
        uint64_t left = len - done;
        size_t piece = left < 65536 ? (size_t)left : 65536;
        int r = sink->write(sink->ctx, done, b->data + off + done, piece);
        if (r < 0)
            return r;
        done += piece;
    }
    return 0;
}

/* --- the sorted table --- */

/* The first object whose key is not below `key`. */
static size_t lower_bound_locked(const struct memstore *m, const char *key)
{
    size_t lo = 0, hi = m->locked.n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (strcmp(m->locked.v[mid].key, key) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static struct object *find_locked(const struct memstore *m, const char *key)
{
    size_t i = lower_bound_locked(m, key);
    return i < m->locked.n && strcmp(m->locked.v[i].key, key) == 0 ? &m->locked.v[i] : NULL;
}

static const struct store_etag *etag_locked(const struct memstore *m, const char *key)
{
    const struct object *o = find_locked(m, key);
    return o == NULL ? NULL : &o->obj.etag;
}

static void object_done(struct object *o)
{
    free(o->key);
    body_unref(o->body);
    store_obj_done(&o->obj);
}

static void remove_locked(struct memstore *m, struct object *o)
{
    object_done(o);
    size_t i = (size_t)(o - m->locked.v);
    memmove(o, o + 1, (m->locked.n - i - 1) * sizeof(*o));
    m->locked.n--;
}

static int insert_locked(struct memstore *m, const char *key, struct object **ret)
{
    if (m->locked.n == m->locked.cap) {
        size_t cap = m->locked.cap == 0 ? 64 : m->locked.cap * 2;
        struct object *v = realloc(m->locked.v, cap * sizeof(*v));
        if (v == NULL)
            return -ENOMEM;
        m->locked.v = v;
        m->locked.cap = cap;
    }
    char *copy = strdup(key);
    if (copy == NULL)
        return -ENOMEM;
    size_t i = lower_bound_locked(m, key);
    memmove(&m->locked.v[i + 1], &m->locked.v[i], (m->locked.n - i) * sizeof(*m->locked.v));
    m->locked.v[i] = (struct object){.key = copy};
    m->locked.n++;
    *ret = &m->locked.v[i];
    return 0;
}

static int64_t stamp_locked(const struct memstore *m)
{
    int64_t now = clock_wall_ns();
    return now - now % m->locked.grain_ns;
}

/* Makes this body the current version. */
static int publish_locked(struct memstore *m, const char *key, struct body *b,
                          const struct store_etag *etag, const struct store_hdrs *hdrs,
                          struct store_obj *ret)
{
    struct store_hdrs copy = {0};
    int r = hdrs == NULL ? 0 : store_hdrs_copy(&copy, hdrs);
    struct object *o = r < 0 ? NULL : find_locked(m, key);
    if (r == 0 && o == NULL)
        r = insert_locked(m, key, &o);
    if (r < 0) {
        store_hdrs_done(&copy);
        return err_set(r, "no memory for an object");
    }
    body_unref(o->body);
    store_obj_done(&o->obj);
    o->body = body_ref(b);
    o->obj = (struct store_obj){
        .etag = *etag, .size = b->size, .mtime_ns = stamp_locked(m), .hdrs = copy};
    *ret =
        (struct store_obj){.etag = o->obj.etag, .size = o->obj.size, .mtime_ns = o->obj.mtime_ns};
    return 0;
}

/* --- conditions, as far as this server keeps them --- */

static int cond_locked(const struct memstore *m, const struct store_req *req, bool absent,
                       bool match)
{
    if ((req->cond.kind == STORE_IF_ABSENT && !absent) ||
        (req->cond.kind == STORE_IF_MATCH && !match))
        return 0;
    if (req->cond.kind == STORE_IF_MATCH && m->locked.caps.etag_unquoted && !m->locked.unquoted)
        return STORE_PRECONDITION;
    return store_cond_write(&req->cond, etag_locked(m, req->key));
}

/* The source of a copy: 0 and a reference to its body. */
static int source_locked(const struct memstore *m, const struct store_req *req, bool match,
                         const struct object **ret)
{
    const struct object *o = find_locked(m, req->src_key);
    if (o == NULL)
        return STORE_NOT_FOUND;
    if (match && req->src_cond.kind == STORE_IF_MATCH &&
        !store_etag_equal(&req->src_cond.etag, &o->obj.etag))
        return STORE_PRECONDITION;
    *ret = o;
    return 0;
}

/* --- objects --- */

static int do_read(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    _cleanup_body_ struct body *b = NULL;
    uint64_t off = 0, len = 0;
    lock_take(&m->locked.lk);
    const struct object *o = find_locked(m, req->key);
    int r = store_cond_read(&req->cond, o == NULL ? NULL : &o->obj.etag);
    if (r == 0 && req->op == STORE_GET)
        r = store_range_clip(req->range.off, req->range.len, o->obj.size, &off, &len);
    if (r == 0)
        r = store_obj_copy(&rsp->obj, &o->obj);
    if (r == 0)
        b = body_ref(o->body);
    lock_drop(&m->locked.lk);
    if (r != 0 || req->op == STORE_HEAD)
        return r;
    r = body_write(req->sink, b, off, len);
    if (r == 0)
        rsp->body_len = len;
    return r;
}

static int do_put(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    _cleanup_body_ struct body *b = NULL;
    int r = store_hdrs_check(req->hdrs);
    if (r == 0)
        r = body_read(req->src, &b);
    if (r < 0)
        return r;
    struct store_etag etag = store_etag_md5(b->md5);
    lock_take(&m->locked.lk);
    r = cond_locked(m, req, m->locked.caps.put_absent, m->locked.caps.put_match);
    if (r == 0)
        r = publish_locked(m, req->key, b, &etag, req->hdrs, &rsp->obj);
    lock_drop(&m->locked.lk);
    return r;
}

static int do_delete(struct memstore *m, struct store_req *req)
{
    lock_take(&m->locked.lk);
    struct object *o = find_locked(m, req->key);
    int r = o == NULL ? 0 : cond_locked(m, req, true, m->locked.caps.delete_match);
    if (r == 0 && o != NULL)
        remove_locked(m, o);
    lock_drop(&m->locked.lk);
    return r;
}

static int do_delete_many(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    if (req->n_keys == 0 || req->n_keys > STORE_PAGE_MAX)
        return err_set(-EINVAL, "%zu keys in one multi-object delete", req->n_keys);
    rsp->key_results = calloc(req->n_keys, sizeof(int));
    if (rsp->key_results == NULL)
        return err_set(-ENOMEM, "no memory for the results");
    lock_take(&m->locked.lk);
    for (size_t i = 0; i < req->n_keys; i++) {
        rsp->key_results[i] = store_key_check(req->keys[i]);
        struct object *o = rsp->key_results[i] < 0 ? NULL : find_locked(m, req->keys[i]);
        if (o != NULL)
            remove_locked(m, o);
    }
    lock_drop(&m->locked.lk);
    return 0;
}

static int do_list(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    struct store_page p;
    lock_take(&m->locked.lk);
    int r = store_page_init(&p, req, m->locked.page, &rsp->list);
    size_t i = r < 0 ? m->locked.n : lower_bound_locked(m, p.prefix);
    for (; r == 0 && !p.full && i < m->locked.n; i++) {
        const struct object *o = &m->locked.v[i];
        struct store_entry *e = NULL;
        if (!store_page_wants(&p, o->key))
            continue;
        r = store_page_add(&p, o->key, &e);
        if (e != NULL) {
            e->etag = o->obj.etag;
            e->size = o->obj.size;
            e->mtime_ns = o->obj.mtime_ns;
        }
    }
    lock_drop(&m->locked.lk);
    return r;
}

static int do_copy(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    const struct object *from = NULL;
    int r = store_key_check(req->src_key);
    if (r == 0 && req->replace)
        r = store_hdrs_check(req->hdrs);
    if (r == 0 && !req->replace && strcmp(req->key, req->src_key) == 0)
        r = err_set(-EINVAL, "a copy onto itself that changes nothing");
    if (r < 0)
        return r;
    lock_take(&m->locked.lk);
    r = source_locked(m, req, m->locked.caps.copy_src_match, &from);
    if (r == 0)
        r = cond_locked(m, req, m->locked.caps.copy_dst_absent, m->locked.caps.copy_dst_match);
    if (r == 0) {
        /* publish may move the table and frees the old version: both sides are taken out of it
         * first. */
        _cleanup_body_ struct body *b = body_ref(from->body);
        struct store_etag etag = store_etag_md5(b->md5);
        struct store_hdrs hdrs = {0};
        r = req->replace ? 0 : store_hdrs_copy(&hdrs, &from->obj.hdrs);
        if (r == 0)
            r = publish_locked(m, req->key, b, &etag, req->replace ? req->hdrs : &hdrs, &rsp->obj);
        store_hdrs_done(&hdrs);
    }
    lock_drop(&m->locked.lk);
    return r;
}

/* --- multipart --- */

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
        body_unref(u->parts[i].body);
    free(u->parts);
    u->parts = NULL;
    u->n_parts = 0;
}

static void mpu_free(struct mpu *u)
{
    mpu_parts_done(u);
    store_hdrs_done(&u->hdrs);
    free(u->key);
    free(u);
}

static int do_mpu_create(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    int r = store_hdrs_check(req->hdrs);
    if (r < 0)
        return r;
    struct mpu *u = calloc(1, sizeof(*u));
    if (u == NULL)
        return err_set(-ENOMEM, "no memory for an upload");
    u->key = strdup(req->key);
    if (u->key == NULL || (req->hdrs != NULL && store_hdrs_copy(&u->hdrs, req->hdrs) < 0)) {
        mpu_free(u);
        return err_set(-ENOMEM, "no memory for an upload");
    }
    lock_take(&m->locked.lk);
    snprintf(u->id, sizeof(u->id), "upload-%llu", (unsigned long long)++m->locked.next_upload);
    u->started_ns = stamp_locked(m);
    u->next = m->locked.uploads;
    rsp->upload_id = strdup(u->id);
    if (rsp->upload_id != NULL)
        m->locked.uploads = u;
    lock_drop(&m->locked.lk);
    if (rsp->upload_id != NULL)
        return 0;
    mpu_free(u);
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
        body_unref(u->parts[i].body);
    } else {
        struct mpart *v = realloc(u->parts, (u->n_parts + 1) * sizeof(*v));
        if (v == NULL)
            return err_set(-ENOMEM, "no memory for a part");
        u->parts = v;
        memmove(&v[i + 1], &v[i], (u->n_parts - i) * sizeof(*v));
        u->n_parts++;
    }
    body_ref(b);
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

static int do_mpu_part(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    _cleanup_body_ struct body *b = NULL;
    int r = part_number_check(req);
    if (r == 0)
        r = body_read(req->src, &b);
    if (r < 0)
        return r;
    lock_take(&m->locked.lk);
    r = part_set_locked(m, req, b, rsp);
    lock_drop(&m->locked.lk);
    return r;
}

static int do_mpu_part_copy(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    const struct object *from = NULL;
    uint64_t off = 0, len = 0;
    int r = part_number_check(req);
    if (r == 0)
        r = store_key_check(req->src_key);
    if (r < 0)
        return r;
    lock_take(&m->locked.lk);
    r = source_locked(m, req, m->locked.caps.part_copy_match, &from);
    if (r == 0)
        r = store_range_clip(req->range.off, req->range.len, from->obj.size, &off, &len);
    if (r == 0) {
        _cleanup_body_ struct body *b = body_new((size_t)len);
        r = b == NULL ? err_set(-ENOMEM, "no memory for a part") : 0;
        if (r == 0) {
            memcpy(b->data, from->body->data + off, (size_t)len);
            r = body_seal(b);
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
        if (pass == 1 && (*ret = body_new(size)) == NULL)
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
    return body_seal(*ret);
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
        r = cond_locked(m, req, m->locked.caps.complete_absent, m->locked.caps.complete_match);
    if (r == 0)
        r = publish_locked(m, req->key, b, &etag, &u->hdrs, &rsp->obj);
    if (r == 0) {
        mpu_parts_done(u);
        u->is_complete = true;
        u->etag = etag;
    }
    return r;
}

static int do_mpu_complete(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    int r = store_parts_check(req->parts, req->n_parts);
    if (r < 0)
        return r;
    lock_take(&m->locked.lk);
    r = complete_locked(m, req, rsp);
    lock_drop(&m->locked.lk);
    return r;
}

static int do_mpu_abort(struct memstore *m, struct store_req *req)
{
    int r = STORE_NO_UPLOAD;
    lock_take(&m->locked.lk);
    for (struct mpu **p = &m->locked.uploads; *p != NULL; p = &(*p)->next) {
        struct mpu *u = *p;
        if (strcmp(u->id, req->upload_id) == 0 && strcmp(u->key, req->key) == 0 &&
            !u->is_complete) {
            *p = u->next;
            mpu_free(u);
            r = 0;
            break;
        }
    }
    lock_drop(&m->locked.lk);
    return r;
}

static int upload_cmp(const void *a, const void *b)
{
    const struct store_upload *x = a, *y = b;
    int c = strcmp(x->key, y->key);
    if (c != 0)
        return c;
    return (x->started_ns > y->started_ns) - (x->started_ns < y->started_ns);
}

static int do_mpu_list(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    const char *prefix = req->prefix == NULL ? "" : req->prefix;
    size_t n = 0;
    int r = 0;
    lock_take(&m->locked.lk);
    for (const struct mpu *u = m->locked.uploads; u != NULL; u = u->next)
        n++;
    rsp->uploads.v = calloc(n + 1, sizeof(*rsp->uploads.v));
    if (rsp->uploads.v == NULL)
        r = err_set(-ENOMEM, "no memory for a listing");
    for (const struct mpu *u = m->locked.uploads; r == 0 && u != NULL; u = u->next) {
        if (u->is_complete || strncmp(u->key, prefix, strlen(prefix)) != 0)
            continue;
        struct store_upload *e = &rsp->uploads.v[rsp->uploads.n++];
        e->key = strdup(u->key);
        e->upload_id = strdup(u->id);
        e->started_ns = u->started_ns;
        if (e->key == NULL || e->upload_id == NULL)
            r = err_set(-ENOMEM, "no memory for a listing");
    }
    lock_drop(&m->locked.lk);
    if (r == 0 && rsp->uploads.n > 1)
        qsort(rsp->uploads.v, rsp->uploads.n, sizeof(*rsp->uploads.v), upload_cmp);
    return r;
}

/* --- one request --- */

static bool needs_key(enum store_op op)
{
    return op != STORE_LIST && op != STORE_MPU_LIST && op != STORE_HEAD_BUCKET &&
           op != STORE_DELETE_MANY;
}

static int apply(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    int r = needs_key(req->op) ? store_key_check(req->key) : 0;
    if (r < 0)
        return r;
    switch (req->op) {
    case STORE_HEAD:
    case STORE_GET:
        return do_read(m, req, rsp);
    case STORE_PUT:
        return do_put(m, req, rsp);
    case STORE_DELETE:
        return do_delete(m, req);
    case STORE_DELETE_MANY:
        return do_delete_many(m, req, rsp);
    case STORE_LIST:
        return do_list(m, req, rsp);
    case STORE_COPY:
        return do_copy(m, req, rsp);
    case STORE_MPU_CREATE:
        return do_mpu_create(m, req, rsp);
    case STORE_MPU_PART:
        return do_mpu_part(m, req, rsp);
    case STORE_MPU_PART_COPY:
        return do_mpu_part_copy(m, req, rsp);
    case STORE_MPU_COMPLETE:
        return do_mpu_complete(m, req, rsp);
    case STORE_MPU_ABORT:
        return do_mpu_abort(m, req);
    case STORE_MPU_LIST:
        return do_mpu_list(m, req, rsp);
    case STORE_HEAD_BUCKET:
        return 0;
    case STORE_OPS:
        break;
    }
    return err_set(-EINVAL, "no such operation");
}

/* Counts the request; the rule that it meets is copied to *ret_rule. */
static bool count_and_match(struct memstore *m, enum store_op op, struct rule *ret_rule)
{
    bool found = false;
    lock_take(&m->locked.lk);
    uint64_t k = ++m->locked.counts[op];
    for (const struct rule *r = m->locked.rules; r != NULL && !found; r = r->next) {
        if (r->op == op && k >= r->first && k <= r->last) {
            *ret_rule = *r;
            found = true;
        }
    }
    lock_drop(&m->locked.lk);
    return found;
}

static void run_hook(struct memstore *m, bool is_before, const struct store_req *req, int result)
{
    lock_take(&m->locked.lk);
    memstore_hook hook = is_before ? m->locked.before : m->locked.after;
    void *arg = m->locked.hook_arg;
    lock_drop(&m->locked.lk);
    if (hook == NULL)
        return;
    is_foreign = true;
    hook(arg, &m->store, req, result);
    is_foreign = false;
}

static int fault_result(const struct rule *rule, enum store_op op, struct store_rsp *rsp)
{
    store_rsp_done(rsp);
    rsp->retried = rule->is_lost && rule->result == STORE_PRECONDITION;
    if (rule->result >= 0)
        return rule->result;
    return err_set(rule->result, "the test's fault: %s %s", store_op_name(op),
                   rule->is_lost ? "lost" : "failed");
}

static int run_own(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    struct rule rule = {.result = 0};
    bool has_fault = count_and_match(m, req->op, &rule);
    run_hook(m, true, req, 0);
    int r = has_fault && !rule.is_lost ? fault_result(&rule, req->op, rsp) : apply(m, req, rsp);
    struct err_copy err;
    err_copy(&err);
    run_hook(m, false, req, r);
    err_restore(&err);
    if (has_fault && rule.is_lost && r == 0)
        r = fault_result(&rule, req->op, rsp);
    if (m->meter != NULL) {
        uint64_t up = req->src != NULL && (req->op == STORE_PUT || req->op == STORE_MPU_PART)
                          ? req->src->size
                          : 0;
        meter_count(m->meter, store_op_kind(req->op), store_http_status(req, r), up, rsp->body_len);
    }
    return r;
}

static void run(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    int r = is_foreign ? apply(m, req, rsp) : run_own(m, req, rsp);
    rsp->date_ns = clock_wall_ns();
    req->done(req->done_arg, r);
    /* Whoever waited for done may be in mem_stop() by now: it waits for this. */
    lock_take(&m->locked.lk);
    if (--m->locked.running == 0)
        cond_broadcast(&m->locked.idle);
    lock_drop(&m->locked.lk);
}

struct job {
    struct work work;
    struct memstore *m;
    struct store_req *req;
    struct store_rsp *rsp;
};

static void run_job(struct work *w, bool cancelled)
{
    struct job *j = container_of(w, struct job, work);
    (void)cancelled; /* only timed work is */
    run(j->m, j->req, j->rsp);
    free(j);
}

static void mem_submit(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    struct memstore *m = mem(s);
    lock_take(&m->locked.lk);
    bool refused = m->locked.is_stopped;
    m->locked.running += refused ? 0 : 1;
    lock_drop(&m->locked.lk);
    if (refused) {
        req->done(req->done_arg, err_set(-ESHUTDOWN, "the store is stopped"));
        return;
    }
    struct job *j = m->workers == NULL || is_foreign ? NULL : malloc(sizeof(*j));
    if (j == NULL) {
        run(m, req, rsp);
        return;
    }
    *j = (struct job){.work = {.run = run_job}, .m = m, .req = req, .rsp = rsp};
    workq_add(m->workers, &j->work);
}

static void mem_stop(struct store *s)
{
    struct memstore *m = mem(s);
    lock_take(&m->locked.lk);
    m->locked.is_stopped = true;
    while (m->locked.running > 0)
        cond_wait(&m->locked.idle, &m->locked.lk);
    lock_drop(&m->locked.lk);
    workq_free(m->workers);
    m->workers = NULL;
}

static void mem_free(struct store *s)
{
    struct memstore *m = mem(s);
    workq_free(m->workers);
    for (size_t i = 0; i < m->locked.n; i++)
        object_done(&m->locked.v[i]);
    free(m->locked.v);
    while (m->locked.uploads != NULL) {
        struct mpu *u = m->locked.uploads;
        m->locked.uploads = u->next;
        mpu_free(u);
    }
    memstore_clear_faults(s);
    cond_done(&m->locked.idle);
    lock_done(&m->locked.lk);
    free(m);
}

/* --- making one, and its knobs --- */

int memstore_new(struct meter *meter, struct store **ret)
{
    static const struct store_ops ops = {.submit = mem_submit, .stop = mem_stop, .free = mem_free};
    struct memstore *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return -ENOMEM;
    m->store.ops = &ops;
    m->meter = meter;
    lock_init(&m->locked.lk, LOCK_STORE);
    cond_init(&m->locked.idle);
    m->locked.page = STORE_PAGE_MAX;
    m->locked.grain_ns = NS_PER_S;
    m->locked.part_min = STORE_PART_MIN;
    m->locked.caps = (struct store_caps){
        .put_absent = true,
        .put_match = true,
        .complete_absent = true,
        .complete_match = true,
        .delete_match = true,
        .copy_src_match = true,
        .part_copy_match = true,
        .copy_dst_absent = true,
        .copy_dst_match = true,
    };
    *ret = &m->store;
    return 0;
}

int memstore_set_async(struct store *s, unsigned threads)
{
    return workq_new("memstore", threads, &mem(s)->workers);
}

#define SET_LOCKED(s, field, value)                                                                \
    do {                                                                                           \
        struct memstore *set_m_ = mem(s);                                                          \
        lock_take(&set_m_->locked.lk);                                                             \
        set_m_->locked.field = (value);                                                            \
        lock_drop(&set_m_->locked.lk);                                                             \
    } while (0)

void memstore_set_page(struct store *s, uint32_t max_entries)
{
    SET_LOCKED(s, page, max_entries);
}

void memstore_set_grain(struct store *s, int64_t ns)
{
    SET_LOCKED(s, grain_ns, ns);
}

void memstore_set_part_min(struct store *s, uint64_t bytes)
{
    SET_LOCKED(s, part_min, bytes);
}

void memstore_set_caps(struct store *s, const struct store_caps *caps)
{
    SET_LOCKED(s, caps, *caps);
}

void memstore_set_unquoted(struct store *s, bool unquoted)
{
    SET_LOCKED(s, unquoted, unquoted);
}

static void rule_add(struct store *s, const struct rule *made, unsigned k, unsigned n)
{
    struct memstore *m = mem(s);
    struct rule *r = malloc(sizeof(*r));
    if (r == NULL)
        abort(); /* a test without its fault would pass for the wrong reason */
    *r = *made;
    lock_take(&m->locked.lk);
    r->first = m->locked.counts[made->op] + k;
    r->last = r->first + n - 1;
    r->next = m->locked.rules;
    m->locked.rules = r;
    lock_drop(&m->locked.lk);
}

void memstore_fail(struct store *s, enum store_op op, unsigned k, unsigned n, int result)
{
    rule_add(s, &(struct rule){.op = op, .result = result}, k, n);
}

void memstore_lose(struct store *s, enum store_op op, unsigned k, unsigned n, int result)
{
    rule_add(s, &(struct rule){.op = op, .result = result, .is_lost = true}, k, n);
}

void memstore_clear_faults(struct store *s)
{
    struct memstore *m = mem(s);
    lock_take(&m->locked.lk);
    struct rule *r = m->locked.rules;
    m->locked.rules = NULL;
    lock_drop(&m->locked.lk);
    while (r != NULL) {
        struct rule *next = r->next;
        free(r);
        r = next;
    }
}

void memstore_set_hooks(struct store *s, memstore_hook before, memstore_hook after, void *arg)
{
    struct memstore *m = mem(s);
    lock_take(&m->locked.lk);
    m->locked.before = before;
    m->locked.after = after;
    m->locked.hook_arg = arg;
    lock_drop(&m->locked.lk);
}

uint64_t memstore_count(struct store *s, enum store_op op)
{
    struct memstore *m = mem(s);
    uint64_t n = 0;
    lock_take(&m->locked.lk);
    for (int i = 0; i < STORE_OPS; i++)
        n += op == STORE_OPS || op == (enum store_op)i ? m->locked.counts[i] : 0;
    lock_drop(&m->locked.lk);
    return n;
}

void memstore_count_reset(struct store *s)
{
    struct memstore *m = mem(s);
    lock_take(&m->locked.lk);
    for (struct rule *r = m->locked.rules; r != NULL; r = r->next) {
        /* Rules go on meaning the same requests. */
        uint64_t seen = m->locked.counts[r->op];
        r->first = r->first > seen ? r->first - seen : 1;
        r->last = r->last > seen ? r->last - seen : 0;
    }
    memset(m->locked.counts, 0, sizeof(m->locked.counts));
    lock_drop(&m->locked.lk);
}

/* --- another writer's hand --- */

static int foreign_call(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    bool was = is_foreign;
    is_foreign = true;
    int r = store_call(s, req, rsp);
    is_foreign = was;
    return r;
}

int memstore_put(struct store *s, const char *key, const void *data, size_t size,
                 const struct store_hdrs *hdrs, struct store_etag *ret_etag)
{
    _cleanup_free_ char *copy = malloc(size + 1);
    if (copy == NULL)
        return -ENOMEM;
    if (size > 0)
        memcpy(copy, data, size);
    struct store_mem body = {.data = copy, .size = size};
    struct store_src src = store_src_mem(&body);
    struct store_req req = {.op = STORE_PUT, .key = key, .src = &src, .hdrs = hdrs};
    struct store_rsp rsp = {0};
    int r = foreign_call(s, &req, &rsp);
    if (r == 0 && ret_etag != NULL)
        *ret_etag = rsp.obj.etag;
    store_rsp_done(&rsp);
    return r;
}

int memstore_delete(struct store *s, const char *key)
{
    struct store_req req = {.op = STORE_DELETE, .key = key};
    struct store_rsp rsp = {0};
    int r = foreign_call(s, &req, &rsp);
    store_rsp_done(&rsp);
    return r;
}

int memstore_get(struct store *s, const char *key, struct store_obj *obj, char **ret_data)
{
    struct memstore *m = mem(s);
    _cleanup_body_ struct body *b = NULL;
    int r = STORE_NOT_FOUND;
    lock_take(&m->locked.lk);
    const struct object *o = find_locked(m, key);
    if (o != NULL) {
        b = body_ref(o->body);
        r = obj == NULL ? 0 : store_obj_copy(obj, &o->obj);
    }
    lock_drop(&m->locked.lk);
    if (r != 0 || ret_data == NULL)
        return r;
    char *copy = malloc(b->size + 1);
    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, b->data, b->size + 1);
    *ret_data = copy;
    return 0;
}

size_t memstore_objects(struct store *s)
{
    struct memstore *m = mem(s);
    lock_take(&m->locked.lk);
    size_t n = m->locked.n;
    lock_drop(&m->locked.lk);
    return n;
}

size_t memstore_uploads(struct store *s)
{
    struct memstore *m = mem(s);
    size_t n = 0;
    lock_take(&m->locked.lk);
    for (const struct mpu *u = m->locked.uploads; u != NULL; u = u->next)
        n += u->is_complete ? 0 : 1;
    lock_drop(&m->locked.lk);
    return n;
}
