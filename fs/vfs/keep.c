/* SPDX-License-Identifier: Apache-2.0 */
/* See keep.h. One lock orders the writes: what is encoded under it is newer than what went before. */
#include "keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "cache/table.h"

#define HANDLES 8
#define ITEM_MAX ((size_t)8 << 20)

struct numbers {
    uint64_t *v;
    size_t n, cap;
    bool is_short; /* of memory: something was left out */
};

struct keep {
    struct table *table;
    struct lock lock; /* LOCK_KEEP */
    struct lock todo_lock; /* LOCK_LEAF */
    struct {
        struct numbers nodes, files; /* to be written; not needed any more */
    } todo;
};

/* What the table has of a file. */
struct kept {
    uint64_t hash; /* of the record; 0: there is none */
    uint64_t file;
    bool is_too_large; /* its record says that its bytes are lost */
    bool is_tried; /* the mark may be in the bucket */
    bool is_trying, is_retry; /* as keep_data's; a daemon that died was trying */
    char mark[UPLOAD_MARK_SIZE];
    char doubts[OUTREC_DOUBTS][UPLOAD_MARK_SIZE];
    unsigned n_doubts;
};

/* The call that this thread serves. */
static _Thread_local struct {
    uint64_t unique, answered; /* answered: its record can go */
    uint64_t handles[HANDLES];
    unsigned n_handles;
    bool has_try;   /* a KEEP_TRY record */
    size_t promise; /* of a write that appends */
} call;

/* --- one transaction --- */

struct batch {
    struct table_item *v;
    size_t n, cap;
    int error;
};

/* data: copied; NULL: the record goes. */
static void add(struct batch *b, unsigned char kind, uint64_t id, const void *data, size_t len)
{
    void *copy = NULL;

    if (b->n == b->cap) {
        size_t cap = b->cap > 0 ? 2 * b->cap : 16;
        struct table_item *v = reallocarray(b->v, cap, sizeof(*v));

        if (v == NULL) {
            b->error = -ENOMEM;
            return;
        }
        b->v = v;
        b->cap = cap;
    }
    if (data != NULL) {
        copy = malloc(len > 0 ? len : 1);
        if (copy == NULL) {
            b->error = -ENOMEM;
            return;
        }
        memcpy(copy, data, len);
    }
    b->v[b->n++] = (struct table_item){.kind = kind, .id = id, .data = copy, .len = len};
}

static void batch_done(struct batch *b)
{
    for (size_t k = 0; k < b->n; k++)
        free((void *)(uintptr_t)b->v[k].data);
    free(b->v);
    *b = (struct batch){0};
}

/* What could not be written makes the table worthless, and it says so itself (TABLE-2). */
static int batch_write(struct keep *k, const struct batch *b)
{
    if (b->error != 0) {
        table_give_up(k->table, b->error);
        return b->error;
    }
    return b->n > 0 ? table_write(k->table, b->v, b->n) : 0;
}

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
    free(k);
}

static void push(struct keep *k, struct numbers *to, uint64_t number)
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

static struct numbers take_all(struct keep *k, struct numbers *from)
{
    struct numbers all;

    lock_take(&k->todo_lock);
    all = *from;
    *from = (struct numbers){0};
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
    if (call.n_handles < HANDLES)
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

void keep_promise_write(struct vfs *v, size_t len)
{
    if (v->keep != NULL)
        call.promise = len;
}

/* --- nodes and handles --- */

static void add_node_locked(struct vfs *v, struct batch *b, uint64_t node)
{
    _cleanup_buf_ struct buf text = BUF_INIT(ITEM_MAX);
    const struct inode *i = inode_by_node_locked(v, node);
    int r = i != NULL ? keeprec_put_node(i, &text) : 0;

    if (r < 0)
        b->error = r;
    else
        add(b, KEEP_NODE, node, i != NULL ? text.data : NULL, text.len);
    if (i == NULL)
        add(b, KEEP_DATA, node, NULL, 0);
}

static void add_handle(struct vfs *v, struct batch *b, uint64_t fh)
{
    _cleanup_buf_ struct buf text = BUF_INIT(ITEM_MAX);
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
        add(b, KEEP_HANDLE, fh, h != NULL ? text.data : NULL, text.len);
}

static int by_number(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* All that is to be written of nodes, as it is at one moment: no two of them have one name. too: also this one; 0: none. */
static void add_nodes(struct vfs *v, struct batch *b, uint64_t too)
{
    struct numbers nodes;

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
static void drop_files(struct keep *k, struct numbers *files)
{
    for (size_t x = 0; x < files->n; x++)
        table_stage_drop(k->table, files->v[x]);
    free(files->v);
}

/* The answer before this one has reached the kernel: its record can go. */
static void add_answered(struct batch *b)
{
    if (call.answered != 0)
        add(b, KEEP_REPLY, call.answered, NULL, 0);
    call.answered = 0;
}

void vfs_keep_reply(struct vfs *v, uint64_t unique, const void *reply, size_t len)
{
    struct keep *k = v->keep;
    struct batch b = {0};
    struct numbers files;

    if (k == NULL)
        return;
    lock_take(&k->lock);
    files = take_all(k, &k->todo.files);
    add_nodes(v, &b, 0);
    if (unique == call.unique) {
        for (unsigned n = 0; n < call.n_handles; n++)
            add_handle(v, &b, call.handles[n]);
        call.n_handles = 0;
    }
    if (unique == call.unique && call.has_try) {
        add(&b, KEEP_TRY, unique, NULL, 0);
        call.has_try = false;
    }
    if (call.answered != unique) /* an append's was kept with its bytes, and is not given yet */
        add_answered(&b);
    if (reply != NULL) {
        add(&b, KEEP_REPLY, unique, reply, len);
        if (unique == call.unique)
            call.answered = unique;
    }
    (void)!batch_write(k, &b);
    drop_files(k, &files);
    lock_drop(&k->lock);
    batch_done(&b);
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

bool vfs_keep_is_lost(struct vfs *v)
{
    return v->keep == NULL || table_is_lost(v->keep->table);
}

int vfs_kept_blob(struct vfs *v, unsigned n, void **ret, size_t *ret_len)
{
    return v->keep != NULL ? table_get(v->keep->table, KEEP_BLOB, n, ret, ret_len) : -ENOENT;
}

/* --- dirty bytes --- */

static struct kept *kept_of(struct vfs *v, struct inode *i)
{
    if (i->kept == NULL) {
        i->kept = calloc(1, sizeof(*i->kept));
        if (i->kept != NULL)
            upload_mark(v->upload, i->kept->mark);
    }
    return i->kept;
}

/* By us; what others did to its name makes it stale. */
static bool is_removed_locked(const struct inode *i)
{
    return i->parent == NULL && !i->is_stale && i->n_open > 0;
}

static void fill_locked(struct vfs *v, const struct inode *i, struct keep_data *d)
{
    struct outrec *r = &d->rec;
    char key[VFS_KEY_MAX + 2];

    if (inode_is_stale_locked(v, i) && i->newer_key != NULL ? str_copy(key, sizeof(key), i->newer_key) < 0
                                                            : inode_key_locked(v, i, NULL, key) < 0)
        key[0] = '\0';
    if (key[0] == '\0' || str_copy(r->key, sizeof(r->key), key) < 0)
        memcpy(r->key, "?", 2); /* removed, and open: nothing of it is ever sent */
    r->attr = i->attr;
    r->etag = i->etag;
    r->obj_size = i->obj_size;
    r->obj_mtime_ns = i->obj_mtime_ns;
    r->is_new = i->is_new;
    r->is_excl = i->is_excl;
    r->is_trunc = i->is_trunc;
    r->is_replacing = i->is_replacing;
    r->attr_set = i->attr_set;
    r->tail_is_on = i->tail.is_on;
    r->tail_is_mixed = i->tail.is_mixed;
    r->tail_off = i->tail.off;
    r->tail_end = i->tail.end;
    d->is_sent = i->is_sent;
    d->is_removed = is_removed_locked(i);
    d->torn = i->torn;
    d->failed = i->failed;
    if (store_hdrs_copy(&r->edits, &i->edits) < 0)
        d->torn = -ENOMEM;
}

/* The record of a file with dirty bytes or attributes, of one that failed, and of one that is only here. */
static int make_record(struct vfs *v, struct inode *i, struct kept *kept, struct keep_data *d, struct buf *out)
{
    int r;

    d->is_trying = kept->is_trying || kept->is_retry;
    memcpy(d->rec.mark, kept->mark, sizeof(d->rec.mark));
    memcpy(d->rec.doubts, kept->doubts, sizeof(d->rec.doubts));
    d->rec.n_doubts = kept->n_doubts;
    lock_take(&v->tree);
    fill_locked(v, i, d);
    lock_drop(&v->tree);
    r = d->is_removed ? data_state_get_own(i->data, &d->rec.bytes) : data_state_get(i->data, &d->rec.bytes);
    if (r == 0 && d->rec.bytes.n > 0)
        r = data_stage_keep(i->data, v->keep->table, &d->file);
    return r == 0 ? keeprec_put_data(d, out) : r;
}

/* Of a file with more dirty ranges than a record has room for: should this daemon die, its close and fsync fail (T24).
 * The others' records stay what they are. */
static int make_lost_record(struct vfs *v, const struct inode *i, struct kept *kept, struct keep_data *d, struct buf *out)
{
    if (!kept->is_too_large)
        log_warn("takeover.too_large", "node=%llu ranges=%zu effect=\"a daemon that dies now takes what is unsent of it along\"",
                 (unsigned long long)i->node, d->rec.bytes.n);
    kept->is_too_large = true;
    if (d->file != kept->file)
        table_stage_drop(v->keep->table, d->file);
    d->file = 0;
    d->rec.bytes.n = 0;
    d->torn = -EIO;
    buf_reset(out);
    return keeprec_put_data(d, out);
}

static void add_open_handles(struct vfs *v, struct inode *i, struct batch *b)
{
    uint64_t known[64];
    size_t n = 0;

    lock_take(&v->tree);
    for (const struct handle *h = i->handles; h != NULL && n < ARRAY_LEN(known); h = h->next)
        if (h->is_kept)
            known[n++] = h->fh;
    lock_drop(&v->tree);
    for (size_t x = 0; x < n; x++)
        add_handle(v, b, known[x]);
}

static void add_promise(struct batch *b)
{
    const uint32_t body[3] = {0, (uint32_t)call.promise, 0}; /* no error, struct fuse_write_out */

    if (call.promise == 0 || call.unique == 0)
        return;
    add_answered(b);
    add(b, KEEP_REPLY, call.unique, body, sizeof(body));
    call.answered = call.unique;
    call.promise = 0;
}

static void write_inode(struct vfs *v, struct inode *i, bool is_dirty)
{
    _cleanup_buf_ struct buf text = BUF_INIT(v->conf.keep_record_max != 0 ? v->conf.keep_record_max : ITEM_MAX);
    struct kept *kept = kept_of(v, i);
    struct keep_data d = {0};
    struct batch b = {0};
    uint64_t hash = 0, old = 0;
    int r = kept == NULL ? -ENOMEM : is_dirty ? make_record(v, i, kept, &d, &text) : 0;

    if (r == -E2BIG)
        r = make_lost_record(v, i, kept, &d, &text);
    else if (r == 0)
        kept->is_too_large = false;
    if (r == 0 && is_dirty)
        hash = str_hash(text.data, text.len) | 1;
    b.error = r;
    if (r == 0 && hash == kept->hash && call.promise == 0) {
        keep_data_done(&d);
        return;
    }
    add_nodes(v, &b, i->node);
    add(&b, KEEP_DATA, i->node, is_dirty ? text.data : NULL, text.len);
    add_open_handles(v, i, &b);
    add_promise(&b);
    r = batch_write(v->keep, &b);
    if (kept != NULL && r == 0) {
        old = kept->file != d.file ? kept->file : 0;
        kept->hash = hash;
        kept->file = d.file;
        if (!is_dirty && kept->is_tried) {
            kept->n_doubts = 0;
            kept->is_tried = false;
            upload_mark(v->upload, kept->mark); /* the next content's */
        }
    }
    if (old != 0)
        table_stage_drop(v->keep->table, old);
    keep_data_done(&d);
    batch_done(&b);
}

/* Most files are written to once, and known for long. */
static void forget_clean(struct inode *i)
{
    if (i->kept == NULL || i->kept->hash != 0 || i->kept->file != 0 || i->kept->is_tried)
        return;
    free(i->kept);
    i->kept = NULL;
}

static void keep(struct vfs *v, struct inode *i, bool is_trying)
{
    bool is_dirty;

    if (v->keep == NULL || i->node <= VFS_ROOT)
        return;
    lock_take(&v->keep->lock);
    if (i->kept != NULL) {
        i->kept->is_trying = is_trying;
        i->kept->is_retry = is_trying && i->kept->is_retry;
    }
    if (table_is_lost(v->keep->table)) {
        lock_drop(&v->keep->lock);
        return;
    }
    lock_take(&v->tree);
    is_dirty = S_ISREG(atomic_load(&i->type)) && i->data != NULL &&
               (i->is_new || i->is_dirty || i->torn != 0 || is_removed_locked(i));
    lock_drop(&v->tree);
    if (is_dirty || (i->kept != NULL && i->kept->hash != 0))
        write_inode(v, i, is_dirty);
    if (!is_trying)
        forget_clean(i);
    lock_drop(&v->keep->lock);
}

void keep_inode(struct vfs *v, struct inode *i)
{
    keep(v, i, false);
}

bool keep_is_retry(const struct inode *i)
{
    return i->kept != NULL && i->kept->is_retry;
}

void keep_retry_begins(struct vfs *v, const struct inode *i)
{
    char key[VFS_KEY_MAX + 2];
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, i, NULL, key);
    lock_drop(&v->tree);
    if (r == 0)
        upload_doubt(v->upload, key, i->kept->mark);
    else
        err_clear();
}

const char *keep_mark(struct vfs *v, struct inode *i, bool *is_retry)
{
    struct kept *kept;

    if (v->keep == NULL || i->node <= VFS_ROOT || !S_ISREG(atomic_load(&i->type)))
        return NULL;
    kept = kept_of(v, i);
    if (kept == NULL)
        return NULL;
    *is_retry = kept->is_retry;
    if (kept->is_tried && !kept->is_retry) { /* a mark goes with one content only */
        if (kept->n_doubts == OUTREC_DOUBTS) {
            memmove(kept->doubts[0], kept->doubts[1], sizeof(kept->doubts) - sizeof(kept->doubts[0]));
            kept->n_doubts--;
        }
        memcpy(kept->doubts[kept->n_doubts++], kept->mark, UPLOAD_MARK_SIZE);
        upload_mark(v->upload, kept->mark);
    }
    kept->is_tried = true;
    keep(v, i, true);
    return kept->mark;
}

int keep_adopt(struct inode *i, const struct keep_data *d)
{
    struct kept *kept = calloc(1, sizeof(*kept));

    if (kept == NULL)
        return -ENOMEM;
    memcpy(kept->mark, d->rec.mark, sizeof(kept->mark));
    memcpy(kept->doubts, d->rec.doubts, sizeof(kept->doubts));
    kept->n_doubts = d->rec.n_doubts;
    kept->is_tried = true; /* who knows */
    kept->is_retry = d->is_trying;
    kept->file = d->file;
    kept->hash = 1; /* there is one */
    i->kept = kept;
    return 0;
}
