/* SPDX-License-Identifier: Apache-2.0 */
/* See keep.h: nodes, handles, answers. What a file's bytes are is in keepdata.c. */
#include "keepwrite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

/* The call that this thread serves. */
static _Thread_local struct {
    uint64_t unique, answered; /* answered: its record can go */
    uint64_t handles[KEEP_CALL_HANDLES];
    unsigned n_handles;
    bool has_try;   /* a KEEP_TRY record */
    size_t promise; /* of a write that appends */
} call;

/* --- what is to be written --- */

/* Whose records are they? A table that says nothing is new. */
static int check_format(struct table *t)
{
    uint32_t format = VFS_KEEP_FORMAT;
    const struct table_item item = {.kind = KEEP_FORMAT, .data = &format, .len = sizeof(format)};
    _cleanup_free_ void *old = NULL;
    size_t len;
    int r = table_get(t, KEEP_FORMAT, 0, &old, &len);

    if (r == -ENOENT) {
        err_clear();
        return table_write(t, &item, 1);
    }
    if (r == 0 && (len != sizeof(format) || memcmp(old, &format, len) != 0))
        r = err_set(-EBADMSG, "the takeover table is of another format than this program's (%d)", VFS_KEEP_FORMAT);
    return r;
}

int keep_new(struct vfs *v, struct table *t)
{
    struct keep *k;
    int r = check_format(t);

    if (r < 0)
        return r;
    k = calloc(1, sizeof(*k));
    if (k == NULL)
        return err_set(-ENOMEM, "out of memory");
    k->table = t;
    lock_init(&k->lock, LOCK_KEEP);
    lock_init(&k->todo_lock, LOCK_LEAF);
    v->keep = k;
    return 0;
}

void keep_free(struct vfs *v)
{
    struct keep *k = v->keep;

    if (k == NULL)
        return;
    v->keep = NULL;
    lock_done(&k->lock);
    lock_done(&k->todo_lock);
    free(k->todo.nodes.v);
    free(k->todo.files.v);
    free(k->todo.locks.v);
    free(k);
}

static void push(struct keep *k, struct keep_numbers *to, uint64_t number)
{
    if (table_is_lost(k->table))
        return;
    lock_take(&k->todo_lock);
    if (to->n == to->cap) {
        size_t cap = to->cap > 0 ? 2 * to->cap : 64;
        uint64_t *v = reallocarray(to->v, cap, sizeof(*v));

        if (v != NULL) {
            to->v = v;
            to->cap = cap;
        } else {
            to->is_short = true;
        }
    }
    if (to->n < to->cap)
        to->v[to->n++] = number;
    lock_drop(&k->todo_lock);
}

static struct keep_numbers take_all(struct keep *k, struct keep_numbers *from)
{
    struct keep_numbers all;

    lock_take(&k->todo_lock);
    all = *from;
    *from = (struct keep_numbers){0};
    lock_drop(&k->todo_lock);
    return all;
}

void keep_node_locked(struct vfs *v, const struct inode *i)
{
    if (v->keep != NULL && i->node > VFS_ROOT)
        push(v->keep, &v->keep->todo.nodes, i->node);
}

void keep_handle(struct vfs *v, uint64_t fh)
{
    if (v->keep == NULL)
        return;
    for (unsigned k = 0; k < call.n_handles; k++)
        if (call.handles[k] == fh)
            return;
    if (call.n_handles < KEEP_CALL_HANDLES)
        call.handles[call.n_handles++] = fh;
}

void keep_gone_locked(struct vfs *v, struct inode *i)
{
    keep_node_locked(v, i);
    if (v->keep != NULL && i->kept != NULL && i->kept->file != 0)
        push(v->keep, &v->keep->todo.files, i->kept->file);
    free(i->kept);
    i->kept = NULL;
}

void keep_locks_gone_locked(struct vfs *v, uint64_t number)
{
    if (v->keep != NULL)
        push(v->keep, &v->keep->todo.locks, number);
}

void keep_promise_write(struct vfs *v, size_t len)
{
    if (v->keep != NULL)
        call.promise = len;
}

/* --- nodes and handles --- */

static void add_node_locked(struct vfs *v, struct keep_batch *b, uint64_t node)
{
    _cleanup_buf_ struct buf text = BUF_INIT(KEEP_ITEM_MAX);
    const struct inode *i = inode_by_node_locked(v, node);
    int r = i != NULL ? keeprec_put_node(i, &text) : 0;

    if (r < 0)
        b->error = r;
    else
        keep_add(b, KEEP_NODE, node, i != NULL ? text.data : NULL, text.len);
    if (i == NULL)
        keep_add(b, KEEP_DATA, node, NULL, 0);
}

void keep_add_handle(struct vfs *v, struct keep_batch *b, uint64_t fh)
{
    _cleanup_buf_ struct buf text = BUF_INIT(KEEP_ITEM_MAX);
    struct handle *h = NULL;
    int r = 0;

    lock_take(&v->tree);
    for (struct map_link *l = map_first(&v->locked.handles, fh); l != NULL && h == NULL; l = map_next(l)) {
        h = container_of(l, struct handle, link);
        h = h->fh == fh ? h : NULL;
    }
    if (h != NULL) {
        r = keeprec_put_handle(h, &text);
        h->is_kept = true;
    }
    lock_drop(&v->tree);
    if (r < 0)
        b->error = r;
    else
        keep_add(b, KEEP_HANDLE, fh, h != NULL ? text.data : NULL, text.len);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

void keep_add_nodes(struct vfs *v, struct keep_batch *b, uint64_t too)
{
    struct keep_numbers nodes, locks = take_all(v->keep, &v->keep->todo.locks);

    for (size_t x = 0; x < locks.n; x++)
        keep_add(b, KEEP_LOCKS, locks.v[x], NULL, 0);
    if (locks.is_short)
        b->error = -ENOMEM;
    free(locks.v);
    lock_take(&v->tree);
    nodes = take_all(v->keep, &v->keep->todo.nodes);
    if (nodes.is_short)
        b->error = -ENOMEM;
    if (nodes.n > 1)
        qsort(nodes.v, nodes.n, sizeof(*nodes.v), by_number);
    for (size_t x = 0; x < nodes.n; x++)
        if ((x == 0 || nodes.v[x] != nodes.v[x - 1]) && nodes.v[x] != too)
            add_node_locked(v, b, nodes.v[x]);
    if (too != 0)
        add_node_locked(v, b, too);
    lock_drop(&v->tree);
    free(nodes.v);
}

/* After the write: their records are gone, as they were told of before it (keep_gone_locked). */
static void drop_files(struct keep *k, struct keep_numbers *files)
{
    for (size_t x = 0; x < files->n; x++)
        table_stage_drop(k->table, files->v[x]);
    free(files->v);
}

/* The answer before this one has reached the kernel: its record can go. */
static void add_answered(struct keep_batch *b)
{
    if (call.answered != 0)
        keep_add(b, KEEP_REPLY, call.answered, NULL, 0);
    call.answered = 0;
}

void keep_add_promise(struct keep_batch *b)
{
    const uint32_t body[3] = {0, (uint32_t)call.promise, 0}; /* no error, struct fuse_write_out */

    if (call.promise == 0 || call.unique == 0)
        return;
    add_answered(b);
    keep_add(b, KEEP_REPLY, call.unique, body, sizeof(body));
    call.answered = call.unique;
    call.promise = 0;
}

bool keep_has_promise(void)
{
    return call.promise != 0;
}

void vfs_keep_reply(struct vfs *v, uint64_t unique, const void *reply, size_t len)
{
    struct keep *k = v->keep;
    struct keep_batch b = {0};
    struct keep_numbers files;

    if (k == NULL)
        return;
    lock_take(&k->lock);
    files = take_all(k, &k->todo.files);
    keep_add_nodes(v, &b, 0);
    if (unique == call.unique) {
        for (unsigned n = 0; n < call.n_handles; n++)
            keep_add_handle(v, &b, call.handles[n]);
        call.n_handles = 0;
    }
    if (unique == call.unique && call.has_try) {
        keep_add(&b, KEEP_TRY, unique, NULL, 0);
        call.has_try = false;
    }
    if (call.answered != unique) /* an append's was kept with its bytes, and is not given yet */
        add_answered(&b);
    if (reply != NULL) {
        keep_add(&b, KEEP_REPLY, unique, reply, len);
        if (unique == call.unique)
            call.answered = unique;
    }
    (void)!keep_batch_write(k, &b);
    drop_files(k, &files);
    lock_drop(&k->lock);
    keep_batch_done(&b);
}

uint64_t keep_unique(const struct vfs *v)
{
    return v->keep != NULL ? call.unique : 0;
}

void keep_note_try(void)
{
    call.has_try = true;
}

void vfs_keep_begin(struct vfs *v, uint64_t unique)
{
    if (v->keep == NULL)
        return;
    if (call.n_handles > 0) /* answered by another thread meanwhile */
        vfs_keep_reply(v, call.unique, NULL, 0);
    call.unique = unique;
    call.has_try = false;
    call.promise = 0;
}

int vfs_keep_find(struct vfs *v, uint64_t unique, void **ret, size_t *ret_len)
{
    return v->keep != NULL ? table_get(v->keep->table, KEEP_REPLY, unique, ret, ret_len) : -ENOENT;
}

int vfs_keep_blob(struct vfs *v, unsigned n, const void *data, size_t len)
{
    const struct table_item item = {.kind = KEEP_BLOB, .id = n, .data = data, .len = len};

    return v->keep != NULL ? table_write(v->keep->table, &item, 1) : 0;
}

int vfs_keep_request(struct vfs *v, uint64_t unique, const void *request, size_t len)
{
    const struct table_item item = {.kind = KEEP_REQUEST, .id = unique, .data = request, .len = len};

    return v->keep != NULL ? table_write(v->keep->table, &item, 1) : 0;
}

int vfs_kept_requests(struct vfs *v, int (*fn)(void *arg, uint64_t unique, const void *request, size_t len), void *arg)
{
    return v->keep != NULL ? table_each(v->keep->table, KEEP_REQUEST, fn, arg) : 0;
}

bool vfs_keep_is_lost(struct vfs *v)
{
    return v->keep == NULL || table_is_lost(v->keep->table);
}

int vfs_kept_blob(struct vfs *v, unsigned n, void **ret, size_t *ret_len)
{
    return v->keep != NULL ? table_get(v->keep->table, KEEP_BLOB, n, ret, ret_len) : -ENOENT;
}
