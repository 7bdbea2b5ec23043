/* SPDX-License-Identifier: Apache-2.0 */
/* The memory store's objects: kept sorted by key. Bodies are shared and never change, so that a GET
 * sends its version although another one is put meanwhile. */
#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "memstore_int.h"

/* --- bodies --- */

struct body *mem_body_ref(struct body *b)
{
    atomic_fetch_add(&b->refs, 1);
    return b;
}

void mem_body_unref(struct body *b)
{
    if (b != NULL && atomic_fetch_sub(&b->refs, 1) == 1)
        free(b);
}

void mem_body_unrefp(struct body **b)
{
    mem_body_unref(*b);
}

struct body *mem_body_new(size_t size)
{
    struct body *b = malloc(sizeof(*b) + size + 1);
    if (b == NULL)
        return NULL;
    atomic_init(&b->refs, 1);
    b->size = size;
    b->data[size] = '\0';
    return b;
}

int mem_body_seal(struct body *b)
{
    unsigned len = 0;
    if (EVP_Digest(b->data, b->size, b->md5, &len, EVP_md5(), NULL) != 1)
        return err_set(-ENOMEM, "no memory for a digest");
    return 0;
}

int mem_body_read(const struct store_src *src, struct body **ret)
{
    _cleanup_body_ struct body *b = mem_body_new(src->size);
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
    int r = mem_body_seal(b);
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

struct object *mem_find_locked(const struct memstore *m, const char *key)
{
    size_t i = lower_bound_locked(m, key);
    return i < m->locked.n && strcmp(m->locked.v[i].key, key) == 0 ? &m->locked.v[i] : NULL;
}

static const struct store_etag *etag_locked(const struct memstore *m, const char *key)
{
    const struct object *o = mem_find_locked(m, key);
    return o == NULL ? NULL : &o->obj.etag;
}

void mem_object_done(struct object *o)
{
    free(o->key);
    mem_body_unref(o->body);
    store_obj_done(&o->obj);
}

static void remove_locked(struct memstore *m, struct object *o)
{
    mem_object_done(o);
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

int64_t mem_stamp_locked(const struct memstore *m)
{
    int64_t now = clock_wall_ns() + m->locked.skew_ns;
    return now - now % m->locked.grain_ns;
}

/* Makes this body the current version. */
int mem_publish_locked(struct memstore *m, const char *key, struct body *b,
                       const struct store_etag *etag, const struct store_hdrs *hdrs,
                       struct store_obj *ret)
{
    struct store_hdrs copy = {0};
    int r = hdrs == NULL ? 0 : store_hdrs_copy(&copy, hdrs);
    struct object *o = r < 0 ? NULL : mem_find_locked(m, key);
    if (r == 0 && o == NULL)
        r = insert_locked(m, key, &o);
    if (r < 0) {
        store_hdrs_done(&copy);
        return err_set(r, "no memory for an object");
    }
    mem_body_unref(o->body);
    store_obj_done(&o->obj);
    o->body = mem_body_ref(b);
    o->obj = (struct store_obj){
        .etag = *etag, .size = b->size, .mtime_ns = mem_stamp_locked(m), .hdrs = copy};
    *ret =
        (struct store_obj){.etag = o->obj.etag, .size = o->obj.size, .mtime_ns = o->obj.mtime_ns};
    return 0;
}

/* --- conditions, as far as this server keeps them --- */

int mem_cond_locked(const struct memstore *m, const struct store_req *req, bool absent, bool match)
{
    if ((req->cond.kind == STORE_IF_ABSENT && !absent) ||
        (req->cond.kind == STORE_IF_MATCH && !match))
        return 0;
    if (req->cond.kind == STORE_IF_MATCH && m->locked.caps.etag_unquoted && !m->locked.unquoted)
        return STORE_PRECONDITION;
    return store_cond_write(&req->cond, etag_locked(m, req->key));
}

/* The source of a copy: 0 and a reference to its body. */
int mem_source_locked(const struct memstore *m, const struct store_req *req, bool match,
                      const struct object **ret)
{
    const struct object *o = mem_find_locked(m, req->src_key);
    if (o == NULL)
        return STORE_NOT_FOUND;
    if (match && req->src_cond.kind == STORE_IF_MATCH &&
        !store_etag_equal(&req->src_cond.etag, &o->obj.etag))
        return STORE_PRECONDITION;
    *ret = o;
    return 0;
}

/* --- objects --- */

int mem_do_read(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    _cleanup_body_ struct body *b = NULL;
    uint64_t off = 0, len = 0;
    lock_take(&m->locked.lk);
    const struct object *o = mem_find_locked(m, req->key);
    int r = store_cond_read(&req->cond, o == NULL ? NULL : &o->obj.etag);
    if (r == 0 && req->op == STORE_GET)
        r = store_range_clip(req->range.off, req->range.len, o->obj.size, &off, &len);
    if (r == 0)
        r = store_obj_copy(&rsp->obj, &o->obj);
    if (r == 0)
        rsp->obj.mtime_ns -= rsp->obj.mtime_ns % NS_PER_S; /* a header's date has no fraction */
    if (r == 0)
        r = store_tags_show(&rsp->obj.hdrs);
    if (r == 0)
        b = mem_body_ref(o->body);
    lock_drop(&m->locked.lk);
    if (r != 0 || req->op == STORE_HEAD)
        return r;
    r = body_write(req->sink, b, off, len);
    if (r == 0)
        rsp->body_len = len;
    return r;
}

int mem_do_get_tags(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    lock_take(&m->locked.lk);
    const struct object *o = mem_find_locked(m, req->key);
    int r = o != NULL ? store_tags_get(&o->obj.hdrs, &rsp->tags) : STORE_NOT_FOUND;
    lock_drop(&m->locked.lk);
    return r;
}

int mem_do_put(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    _cleanup_body_ struct body *b = NULL;
    int r = store_hdrs_check(req->hdrs);
    if (r == 0)
        r = mem_body_read(req->src, &b);
    if (r < 0)
        return r;
    struct store_etag etag = store_etag_md5(b->md5);
    lock_take(&m->locked.lk);
    r = mem_cond_locked(m, req, m->locked.caps.put_absent, m->locked.caps.put_match);
    if (r == 0)
        r = mem_publish_locked(m, req->key, b, &etag, req->hdrs, &rsp->obj);
    lock_drop(&m->locked.lk);
    return r;
}

int mem_do_delete(struct memstore *m, struct store_req *req)
{
    lock_take(&m->locked.lk);
    struct object *o = mem_find_locked(m, req->key);
    int r = o == NULL ? 0 : mem_cond_locked(m, req, true, m->locked.caps.delete_match);
    if (r == 0 && o != NULL)
        remove_locked(m, o);
    lock_drop(&m->locked.lk);
    return r;
}

int mem_do_delete_many(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
{
    if (req->n_keys == 0 || req->n_keys > STORE_PAGE_MAX)
        return err_set(-EINVAL, "%zu keys in one multi-object delete", req->n_keys);
    rsp->key_results = calloc(req->n_keys, sizeof(int));
    if (rsp->key_results == NULL)
        return err_set(-ENOMEM, "no memory for the results");
    lock_take(&m->locked.lk);
    for (size_t i = 0; i < req->n_keys; i++) {
        rsp->key_results[i] = store_key_check(req->keys[i]);
        struct object *o = rsp->key_results[i] < 0 ? NULL : mem_find_locked(m, req->keys[i]);
        if (o != NULL && req->etags != NULL && m->locked.caps.delete_many_match &&
            !store_etag_equal(&o->obj.etag, &req->etags[i]))
            rsp->key_results[i] = STORE_PRECONDITION;
        else if (o != NULL)
            remove_locked(m, o);
    }
    lock_drop(&m->locked.lk);
    return 0;
}

int mem_do_list(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
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

int mem_do_copy(struct memstore *m, struct store_req *req, struct store_rsp *rsp)
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
    r = mem_source_locked(m, req, m->locked.caps.copy_src_match, &from);
    if (r == 0)
        r = mem_cond_locked(m, req, m->locked.caps.copy_dst_absent, m->locked.caps.copy_dst_match);
    if (r == 0) {
        /* publish may move the table and frees the old version: both sides are taken out of it
         * first. */
        _cleanup_body_ struct body *b = mem_body_ref(from->body);
        struct store_etag etag = store_etag_md5(b->md5);
        struct store_hdrs hdrs = {0};
        r = req->replace ? 0 : store_hdrs_copy(&hdrs, &from->obj.hdrs);
        if (r == 0)
            r = mem_publish_locked(m, req->key, b, &etag, req->replace ? req->hdrs : &hdrs,
                                   &rsp->obj);
        store_hdrs_done(&hdrs);
    }
    lock_drop(&m->locked.lk);
    return r;
}
