/* SPDX-License-Identifier: Apache-2.0 */
/* The memory store: making one, its knobs, and another writer's hand. */
#include <errno.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"
#include "memstore_int.h"

/* --- making one, and its knobs --- */

int memstore_new(struct meter *meter, struct store **ret)
{
    struct memstore *m = calloc(1, sizeof(*m));
    if (m == NULL)
        return -ENOMEM;
    m->store.ops = &mem_ops;
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
        .delete_many_match = true,
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
    return workq_new("memstore", threads, &mem_of(s)->workers);
}

#define SET_LOCKED(s, field, value)                                                                \
    do {                                                                                           \
        struct memstore *set_m_ = mem_of(s);                                                       \
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

void memstore_set_skew(struct store *s, int64_t ns)
{
    SET_LOCKED(s, skew_ns, ns);
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
    struct memstore *m = mem_of(s);
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
    struct memstore *m = mem_of(s);
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
    struct memstore *m = mem_of(s);
    lock_take(&m->locked.lk);
    m->locked.before = before;
    m->locked.after = after;
    m->locked.hook_arg = arg;
    lock_drop(&m->locked.lk);
}

uint64_t memstore_count(struct store *s, enum store_op op)
{
    struct memstore *m = mem_of(s);
    uint64_t n = 0;
    lock_take(&m->locked.lk);
    for (int i = 0; i < STORE_OPS; i++)
        n += op == STORE_OPS || op == (enum store_op)i ? m->locked.counts[i] : 0;
    lock_drop(&m->locked.lk);
    return n;
}

void memstore_count_reset(struct store *s)
{
    struct memstore *m = mem_of(s);
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
    bool was = mem_is_foreign;
    mem_is_foreign = true;
    int r = store_call(s, req, rsp);
    mem_is_foreign = was;
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
    struct memstore *m = mem_of(s);
    _cleanup_body_ struct body *b = NULL;
    int r = STORE_NOT_FOUND;
    lock_take(&m->locked.lk);
    const struct object *o = mem_find_locked(m, key);
    if (o != NULL) {
        b = mem_body_ref(o->body);
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
    struct memstore *m = mem_of(s);
    lock_take(&m->locked.lk);
    size_t n = m->locked.n;
    lock_drop(&m->locked.lk);
    return n;
}

size_t memstore_user_objects(struct store *s)
{
    struct memstore *m = mem_of(s);
    size_t n = 0;
    lock_take(&m->locked.lk);
    for (size_t i = 0; i < m->locked.n; i++)
        n += strncmp(m->locked.v[i].key, ".s3efs/", 7) != 0;
    lock_drop(&m->locked.lk);
    return n;
}

size_t memstore_uploads(struct store *s)
{
    struct memstore *m = mem_of(s);
    size_t n = 0;
    lock_take(&m->locked.lk);
    for (const struct mpu *u = m->locked.uploads; u != NULL; u = u->next)
        n += u->is_complete ? 0 : 1;
    lock_drop(&m->locked.lk);
    return n;
}
