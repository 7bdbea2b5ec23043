/* SPDX-License-Identifier: Apache-2.0 */
/* See keeprec.h. Written and read on one machine, between two starts of it: numbers are as they are in memory. */
#include "keeprec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "coord/session.h"

#define REC_VERSION 1
#define NAMES_MAX 4096
#define HDRS_MAX 256
#define TEXT_MAX 65536

static void put_u64(struct buf *out, uint64_t n)
{
    buf_add(out, &n, sizeof(n));
}

static void put_str(struct buf *out, const char *s)
{
    put_u64(out, strlen(s));
    buf_add(out, s, strlen(s));
}

struct cursor {
    const unsigned char *p, *end;
    int error; /* sticky */
};

static bool take(struct cursor *c, void *ret, size_t n)
{
    if (c->error != 0 || (size_t)(c->end - c->p) < n) {
        c->error = c->error != 0 ? c->error : -EBADMSG;
        memset(ret, 0, n);
        return false;
    }
    memcpy(ret, c->p, n);
    c->p += n;
    return true;
}

static uint64_t get_u64(struct cursor *c)
{
    uint64_t n = 0;

    take(c, &n, sizeof(n));
    return n;
}

static uint64_t get_count(struct cursor *c, uint64_t max)
{
    uint64_t n = get_u64(c);

    if (n > max)
        c->error = -EBADMSG;
    return c->error == 0 ? n : 0;
}

/* malloc'd; NULL after an error. */
static char *get_str(struct cursor *c)
{
    size_t n = (size_t)get_count(c, TEXT_MAX);
    char *s = c->error == 0 ? calloc(1, n + 1) : NULL;

    if (c->error == 0 && s == NULL)
        c->error = -ENOMEM;
    if (s == NULL)
        return NULL;
    if (take(c, s, n) && strlen(s) == n)
        return s;
    c->error = c->error != 0 ? c->error : -EBADMSG;
    free(s);
    return NULL;
}

static void begin(struct cursor *c, const void *data, size_t len)
{
    *c = (struct cursor){.p = data, .end = (const unsigned char *)data + len};
    if (get_u64(c) != REC_VERSION)
        c->error = -EBADMSG;
}

static int end(const struct cursor *c, const char *what)
{
    if (c->error == -ENOMEM)
        return -ENOMEM;
    if (c->error != 0 || c->p != c->end)
        return err_set(-EBADMSG, "takeover: a broken record of a %s", what);
    return 0;
}

/* --- nodes --- */

static void put_names(const struct inode *i, struct buf *out)
{
    uint64_t n = 0;

    for (const struct dentry *d = i->names; d != NULL; d = d->other)
        n++;
    put_u64(out, n);
    for (const struct dentry *d = i->names; d != NULL; d = d->other) {
        put_u64(out, d->parent->node);
        put_str(out, d->name);
    }
}

int keeprec_put_node(const struct inode *i, struct buf *out)
{
    put_u64(out, REC_VERSION);
    put_u64(out, i->nlookup);
    put_u64(out, i->obj_size);
    buf_add(out, &i->attr, sizeof(i->attr));
    put_str(out, i->etag.s);
    put_u64(out, (uint64_t)i->obj_mtime_ns);
    put_u64(out, i->nlink);
    put_u64(out, (i->is_stale ? 1u : 0u) | (i->is_guessed ? 2u : 0u) | (i->has_lost_key ? 4u : 0u) |
                     (i->is_kernel_behind ? 8u : 0u));
    put_str(out, i->newer_key != NULL ? i->newer_key : "");
    put_names(i, out);
    put_str(out, i->last_name != NULL ? i->last_name : "");
    put_u64(out, i->hdrs.n);
    for (size_t k = 0; k < i->hdrs.n; k++) {
        put_str(out, i->hdrs.v[k].name);
        put_str(out, i->hdrs.v[k].value);
    }
    return buf_failed(out) ? out->error : 0;
}

static void get_etag(struct cursor *c, struct store_etag *ret)
{
    _cleanup_free_ char *s = get_str(c);

    if (s != NULL && strlen(s) < sizeof(ret->s))
        memcpy(ret->s, s, strlen(s) + 1);
    else
        c->error = c->error != 0 ? c->error : -EBADMSG;
}

static void get_names(struct cursor *c, struct keep_node *n)
{
    n->n_names = (size_t)get_count(c, NAMES_MAX);
    n->names = calloc(n->n_names + 1, sizeof(*n->names));
    if (n->names == NULL) {
        n->n_names = 0;
        c->error = -ENOMEM;
    }
    for (size_t k = 0; k < n->n_names; k++) {
        n->names[k].parent = get_u64(c);
        n->names[k].name = get_str(c);
        if (c->error == 0 && (n->names[k].name[0] == '\0' || strchr(n->names[k].name, '/') != NULL))
            c->error = -EBADMSG;
    }
}

static void get_hdrs(struct cursor *c, struct store_hdrs *ret)
{
    uint64_t n = get_count(c, HDRS_MAX);

    for (uint64_t k = 0; k < n && c->error == 0; k++) {
        _cleanup_free_ char *name = get_str(c);
        _cleanup_free_ char *value = name != NULL ? get_str(c) : NULL;

        if (value != NULL && store_hdrs_set(ret, name, value) < 0)
            c->error = -ENOMEM;
    }
}

int keeprec_get_node(const void *data, size_t len, struct keep_node *ret)
{
    struct cursor c;
    uint64_t flags;
    int r;

    *ret = (struct keep_node){0};
    begin(&c, data, len);
    ret->nlookup = get_u64(&c);
    ret->obj_size = get_u64(&c);
    take(&c, &ret->attr, sizeof(ret->attr));
    get_etag(&c, &ret->etag);
    ret->obj_mtime_ns = (int64_t)get_u64(&c);
    ret->nlink = (unsigned)get_u64(&c);
    flags = get_u64(&c);
    ret->is_stale = (flags & 1) != 0;
    ret->is_guessed = (flags & 2) != 0;
    ret->has_lost_key = (flags & 4) != 0;
    ret->is_kernel_behind = (flags & 8) != 0;
    ret->newer_key = get_str(&c);
    get_names(&c, ret);
    ret->last_name = get_str(&c);
    get_hdrs(&c, &ret->hdrs);
    if (ret->newer_key != NULL && ret->newer_key[0] == '\0') {
        free(ret->newer_key);
        ret->newer_key = NULL;
    }
    if (memchr(ret->attr.id, '\0', sizeof(ret->attr.id)) == NULL)
        c.error = -EBADMSG;
    r = end(&c, "node");
    if (r < 0)
        keep_node_done(ret);
    return r;
}

void keep_node_done(struct keep_node *n)
{
    for (size_t k = 0; k < n->n_names; k++)
        free(n->names[k].name);
    free(n->names);
    free(n->last_name);
    free(n->newer_key);
    store_hdrs_done(&n->hdrs);
    *n = (struct keep_node){0};
}

/* --- dirty bytes --- */

int keeprec_put_data(const struct keep_data *d, struct buf *out)
{
    put_u64(out, REC_VERSION);
    put_u64(out, d->file);
    put_u64(out, (d->is_sent ? 1u : 0u) | (d->is_trying ? 2u : 0u) | (d->is_removed ? 4u : 0u) | (d->out_is_behind ? 8u : 0u) |
                     (d->is_barred ? 16u : 0u));
    put_u64(out, d->out_seq);
    put_u64(out, (uint64_t)(int64_t)d->torn);
    put_u64(out, (uint64_t)(int64_t)d->failed);
    return outrec_encode(&d->rec, out);
}

int keeprec_get_data(const void *data, size_t len, struct keep_data *ret)
{
    struct cursor c;
    uint64_t flags;
    int r;

    *ret = (struct keep_data){0};
    begin(&c, data, len);
    ret->file = get_u64(&c);
    flags = get_u64(&c);
    ret->is_sent = (flags & 1) != 0;
    ret->is_trying = (flags & 2) != 0;
    ret->is_removed = (flags & 4) != 0;
    ret->out_is_behind = (flags & 8) != 0;
    ret->is_barred = (flags & 16) != 0;
    ret->out_seq = get_u64(&c);
    ret->torn = (int)(int64_t)get_u64(&c);
    ret->failed = (int)(int64_t)get_u64(&c);
    if (c.error != 0 || ret->torn > 0 || ret->failed > 0)
        return err_set(-EBADMSG, "takeover: a broken record of dirty bytes");
    r = outrec_decode(c.p, (size_t)(c.end - c.p), &ret->rec);
    if (r < 0)
        *ret = (struct keep_data){0};
    return r;
}

void keep_data_done(struct keep_data *d)
{
    outrec_done(&d->rec);
    *d = (struct keep_data){0};
}

/* --- handles --- */

int keeprec_put_handle(const struct handle *h, struct buf *out)
{
    put_u64(out, REC_VERSION);
    put_u64(out, h->inode->node);
    put_u64(out, (uint64_t)(int64_t)h->flags);
    put_u64(out, (h->is_writer ? 1u : 0u) | (h->is_fresh ? 2u : 0u) | (h->has_written ? 4u : 0u));
    put_u64(out, h->n_writers);
    for (unsigned k = 0; k < h->n_writers; k++)
        put_u64(out, (uint64_t)(int64_t)h->writers[k]);
    return buf_failed(out) ? out->error : 0;
}

int keeprec_get_handle(const void *data, size_t len, struct keep_handle *ret)
{
    struct cursor c;
    uint64_t flags;
    int r;

    *ret = (struct keep_handle){0};
    begin(&c, data, len);
    ret->node = get_u64(&c);
    ret->flags = (int)(int64_t)get_u64(&c);
    flags = get_u64(&c);
    ret->is_writer = (flags & 1) != 0;
    ret->is_fresh = (flags & 2) != 0;
    ret->has_written = (flags & 4) != 0;
    ret->n_writers = (unsigned)get_count(&c, HANDLE_WRITERS);
    for (unsigned k = 0; k < ret->n_writers; k++)
        ret->writers[k] = (pid_t)(int64_t)get_u64(&c);
    r = end(&c, "handle");
    if (r < 0)
        *ret = (struct keep_handle){0};
    return r;
}

/* --- locks --- */

static void put_set(const struct lockset *s, struct buf *out)
{
    put_u64(out, s->n);
    for (size_t k = 0; k < s->n; k++) {
        put_u64(out, s->v[k].owner);
        put_u64(out, s->v[k].range.start);
        put_u64(out, s->v[k].range.end);
        put_u64(out, s->v[k].type);
        put_u64(out, (uint64_t)(int64_t)s->v[k].pid);
    }
}

int keeprec_put_locks(const struct keep_locks *k, struct buf *out)
{
    put_u64(out, REC_VERSION);
    put_str(out, k->name);
    put_str(out, k->id_name);
    put_str(out, k->session);
    put_u64(out, (k->is_lost ? 1u : 0u) | (k->was_taken ? 2u : 0u) | (k->is_changing ? 4u : 0u) |
                     (k->is_publishing ? 8u : 0u));
    for (unsigned kind = 0; kind < LOCK_KINDS; kind++)
        put_set(&k->held[kind], out);
    put_u64(out, k->change.kind);
    put_u64(out, k->change.type);
    put_u64(out, k->change.range.start);
    put_u64(out, k->change.range.end);
    put_u64(out, k->change.owner);
    put_u64(out, k->n_nodes);
    for (size_t n = 0; n < k->n_nodes; n++)
        put_u64(out, k->nodes[n]);
    return buf_failed(out) ? out->error : 0;
}

/* Part of a key of the bucket's. */
static void get_name(struct cursor *c, char *ret, size_t size)
{
    _cleanup_free_ char *s = get_str(c);

    if (s == NULL || strspn(s, "0123456789abcdefghijklmnopqrstuvwxyz-") != strlen(s) || str_copy(ret, size, s) < 0) {
        ret[0] = '\0';
        c->error = c->error != 0 ? c->error : -EBADMSG;
    }
}

/* As lockset.h has it: by owner, then by start, and an owner's do not overlap. */
static bool is_in_order(const struct lockset *s, const struct lock_entry *e)
{
    const struct lock_entry *last = s->n > 0 ? &s->v[s->n - 1] : NULL;

    return e->range.start <= e->range.end && (e->type == LOCK_TYPE_READ || e->type == LOCK_TYPE_WRITE) &&
           (last == NULL || last->owner < e->owner || (last->owner == e->owner && last->range.end < e->range.start));
}

static void get_set(struct cursor *c, struct lockset *ret)
{
    size_t n = (size_t)get_count(c, LOCKSET_MAX);

    ret->v = n > 0 ? calloc(n, sizeof(*ret->v)) : NULL;
    ret->cap = n;
    if (n > 0 && ret->v == NULL)
        c->error = -ENOMEM;
    while (ret->n < n && c->error == 0) {
        struct lock_entry e;

        e.owner = get_u64(c);
        e.range.start = get_u64(c);
        e.range.end = get_u64(c);
        e.type = (enum lock_type)get_count(c, LOCK_TYPE_WRITE);
        e.pid = (int)(int64_t)get_u64(c);
        if (c->error == 0 && !is_in_order(ret, &e))
            c->error = -EBADMSG;
        if (c->error == 0)
            ret->v[ret->n++] = e;
    }
}

static void get_change(struct cursor *c, struct vfs_lock *ret)
{
    ret->kind = (enum lock_kind)get_count(c, LOCK_KINDS - 1);
    ret->type = (enum lock_type)get_count(c, LOCK_TYPE_WRITE);
    ret->range.start = get_u64(c);
    ret->range.end = get_u64(c);
    ret->owner = get_u64(c);
    if (c->error == 0 && ret->range.end < ret->range.start)
        c->error = -EBADMSG;
}

static void get_nodes(struct cursor *c, struct keep_locks *k)
{
    size_t n = (size_t)get_count(c, KEEP_LOCK_NODES);

    k->nodes = calloc(n + 1, sizeof(*k->nodes));
    if (k->nodes == NULL)
        c->error = -ENOMEM;
    while (k->nodes != NULL && k->n_nodes < n)
        k->nodes[k->n_nodes++] = get_u64(c);
}

int keeprec_get_locks(const void *data, size_t len, struct keep_locks *ret)
{
    struct cursor c;
    uint64_t flags;
    int r;

    *ret = (struct keep_locks){0};
    begin(&c, data, len);
    get_name(&c, ret->name, sizeof(ret->name));
    get_name(&c, ret->id_name, sizeof(ret->id_name));
    get_name(&c, ret->session, sizeof(ret->session));
    if (ret->session[0] != '\0' && !session_id_is_valid(ret->session))
        c.error = -EBADMSG;
    flags = get_u64(&c);
    ret->is_lost = (flags & 1) != 0;
    ret->was_taken = (flags & 2) != 0;
    ret->is_changing = (flags & 4) != 0;
    ret->is_publishing = (flags & 8) != 0;
    for (unsigned kind = 0; kind < LOCK_KINDS; kind++)
        get_set(&c, &ret->held[kind]);
    get_change(&c, &ret->change);
    get_nodes(&c, ret);
    r = end(&c, "file's locks");
    if (r < 0)
        keep_locks_done(ret);
    return r;
}

void keep_locks_done(struct keep_locks *k)
{
    for (unsigned kind = 0; kind < LOCK_KINDS; kind++)
        lockset_done(&k->held[kind]);
    free(k->nodes);
    *k = (struct keep_locks){0};
}
