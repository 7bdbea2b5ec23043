/* SPDX-License-Identifier: Apache-2.0 */
/* Helpers of the store contract: plain values (ETags, headers, objects, listings, replies), the
 * waiting form of a call, and bodies in memory. */
#include "store/store.h"

#include <ctype.h>
#include <errno.h>
#include <semaphore.h>
#include <string.h>
#include <strings.h>
#include "base/err.h"
#include "base/lock.h"

bool store_etag_equal(const struct store_etag *a, const struct store_etag *b)
{
    return strcmp(a->s, b->s) == 0;
}

struct store_etag store_etag_make(const char *s)
{
    struct store_etag e = {.s = ""};
    if (s == NULL)
        return e;
    if (s[0] == 'W' && s[1] == '/')
        s += 2;
    size_t len = strlen(s);
    if (len >= 2 && s[0] == '"' && s[len - 1] == '"') {
        s++;
        len -= 2;
    }
    /* One that does not fit is none: a cut ETag could equal another one. */
    if (len < sizeof(e.s))
        memcpy(e.s, s, len);
    return e;
}

/* --- headers --- */

static struct store_hdr *hdr_find(const struct store_hdrs *h, const char *name)
{
    for (size_t i = 0; i < h->n; i++) {
        if (strcasecmp(h->v[i].name, name) == 0)
            return &h->v[i];
    }
    return NULL;
}

static int hdrs_append(struct store_hdrs *h, char *name, char *value)
{
    if (h->n == h->cap) {
        size_t cap = h->cap == 0 ? 8 : h->cap * 2;
        struct store_hdr *v = realloc(h->v, cap * sizeof(*v));
        if (v == NULL)
            return -ENOMEM;
        h->v = v;
        h->cap = cap;
    }
    h->v[h->n++] = (struct store_hdr){name, value};
    return 0;
}

int store_hdrs_set(struct store_hdrs *h, const char *name, const char *value)
{
    _cleanup_free_ char *v = strdup(value);
    if (v == NULL)
        return -ENOMEM;
    struct store_hdr *old = hdr_find(h, name);
    if (old != NULL) {
        free(old->value);
        old->value = steal(&v);
        return 0;
    }
    _cleanup_free_ char *n = strdup(name);
    if (n == NULL)
        return -ENOMEM;
    for (char *p = n; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    int r = hdrs_append(h, n, v);
    if (r < 0)
        return r;
    (void)steal(&n);
    (void)steal(&v);
    return 0;
}

const char *store_hdrs_get(const struct store_hdrs *h, const char *name)
{
    const struct store_hdr *found = hdr_find(h, name);
    return found == NULL ? NULL : found->value;
}

void store_hdrs_remove(struct store_hdrs *h, const char *name)
{
    struct store_hdr *found = hdr_find(h, name);
    if (found == NULL)
        return;
    free(found->name);
    free(found->value);
    size_t i = (size_t)(found - h->v);
    memmove(found, found + 1, (h->n - i - 1) * sizeof(*found));
    h->n--;
}

int store_hdrs_copy(struct store_hdrs *dst, const struct store_hdrs *src)
{
    struct store_hdrs copy = {0};
    for (size_t i = 0; i < src->n; i++) {
        int r = store_hdrs_set(&copy, src->v[i].name, src->v[i].value);
        if (r < 0) {
            store_hdrs_done(&copy);
            return r;
        }
    }
    *dst = copy;
    return 0;
}

void store_hdrs_done(struct store_hdrs *h)
{
    for (size_t i = 0; i < h->n; i++) {
        free(h->v[i].name);
        free(h->v[i].value);
    }
    free(h->v);
    *h = (struct store_hdrs){0};
}

/* --- objects, listings, replies --- */

void store_obj_done(struct store_obj *o)
{
    store_hdrs_done(&o->hdrs);
    *o = (struct store_obj){0};
}

int store_obj_copy(struct store_obj *dst, const struct store_obj *src)
{
    struct store_hdrs hdrs = {0};
    int r = store_hdrs_copy(&hdrs, &src->hdrs);
    if (r < 0)
        return r;
    *dst = *src;
    dst->hdrs = hdrs;
    return 0;
}

struct store_entry *store_list_add(struct store_list *l, const char *key, size_t key_len)
{
    if (l->n == l->cap) {
        size_t cap = l->cap == 0 ? 64 : l->cap * 2;
        struct store_entry *v = realloc(l->v, cap * sizeof(*v));
        if (v == NULL)
            return NULL;
        l->v = v;
        l->cap = cap;
    }
    char *copy = strndup(key, key_len);
    if (copy == NULL)
        return NULL;
    struct store_entry *e = &l->v[l->n++];
    *e = (struct store_entry){.key = copy};
    return e;
}

void store_list_done(struct store_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].key);
    free(l->v);
    free(l->next);
    *l = (struct store_list){0};
}

void store_rsp_done(struct store_rsp *r)
{
    store_obj_done(&r->obj);
    store_list_done(&r->list);
    free(r->upload_id);
    free(r->tags);
    free(r->key_results);
    for (size_t i = 0; i < r->uploads.n; i++) {
        free(r->uploads.v[i].key);
        free(r->uploads.v[i].upload_id);
    }
    free(r->uploads.v);
    free(r->uploads.next_key);
    free(r->uploads.next_id);
    *r = (struct store_rsp){0};
}

const char *store_op_name(enum store_op op)
{
    static const char *const names[STORE_OPS] = {
        [STORE_HEAD] = "HEAD",
        [STORE_GET] = "GET",
        [STORE_PUT] = "PUT",
        [STORE_DELETE] = "DELETE",
        [STORE_DELETE_MANY] = "DELETE_MANY",
        [STORE_LIST] = "LIST",
        [STORE_COPY] = "COPY",
        [STORE_MPU_CREATE] = "MPU_CREATE",
        [STORE_MPU_PART] = "MPU_PART",
        [STORE_MPU_PART_COPY] = "MPU_PART_COPY",
        [STORE_MPU_COMPLETE] = "MPU_COMPLETE",
        [STORE_MPU_ABORT] = "MPU_ABORT",
        [STORE_MPU_LIST] = "MPU_LIST",
        [STORE_GET_TAGS] = "GET_TAGS",
        [STORE_HEAD_BUCKET] = "HEAD_BUCKET",
    };
    return (unsigned)op < STORE_OPS ? names[op] : "?";
}

/* --- calls --- */

void store_submit(struct store *s, struct store_req *req, struct store_rsp *rsp,
                  void (*done)(void *arg, int result), void *arg)
{
    req->done = done;
    req->done_arg = arg;
    s->ops->submit(s, req, rsp);
}

/* A semaphore, and no condition variable: who is woken by one goes to sleep again on the mutex that its waker still holds.
 * sem_post() is done with the semaphore when the waiter can see it, so that the waiter's frame may go at once. */
struct waiter {
    sem_t done;
    int result;
    struct err_copy err;
};

static void waiter_done(void *arg, int result)
{
    struct waiter *w = arg;
    if (result < 0)
        err_copy(&w->err);
    w->result = result;
    (void)sem_post(&w->done);
}

int store_call(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    struct waiter w = {.result = 0};
    lock_assert_may_block();
    (void)sem_init(&w.done, 0, 0);
    store_submit(s, req, rsp, waiter_done, &w);
    while (sem_wait(&w.done) < 0) /* a signal's handler has run */
        ;
    (void)sem_destroy(&w.done);
    if (w.result < 0)
        err_restore(&w.err);
    return w.result;
}

void store_stop(struct store *s)
{
    s->ops->stop(s);
}

void store_free(struct store *s)
{
    if (s != NULL)
        s->ops->free(s);
}

/* --- bodies in memory --- */

static int mem_read(void *ctx, uint64_t off, void *buf, size_t len)
{
    const struct store_mem *m = ctx;
    if (off > m->size || len > m->size - off)
        return err_set(-EIO, "read past the end of a body in memory");
    if (len > 0)
        memcpy(buf, m->data + off, len);
    return 0;
}

static int mem_write(void *ctx, uint64_t off, const void *buf, size_t len)
{
    struct store_mem *m = ctx;
    if (off > m->size || len > m->size - off)
        return err_set(-EOVERFLOW, "the body is larger than the %zu bytes there is room for",
                       m->size);
    if (len > 0)
        memcpy(m->data + off, buf, len);
    return 0;
}

struct store_src store_src_mem(struct store_mem *m)
{
    return (struct store_src){.size = m->size, .read = mem_read, .ctx = m};
}

struct store_sink store_sink_mem(struct store_mem *m)
{
    return (struct store_sink){.write = mem_write, .ctx = m};
}
