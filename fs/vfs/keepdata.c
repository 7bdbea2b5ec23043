/* SPDX-License-Identifier: Apache-2.0 */
/* See keep.h: a file's dirty bytes, and the marks of its commits (KEEP-1, KEEP-2). */
#include "keepwrite.h"
#include "stored.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

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
    r->attr_ages = stored_ages(0, i->attr_new, true);
    r->tail_is_on = i->tail.is_on;
    r->tail_is_mixed = i->tail.is_mixed;
    r->tail_off = i->tail.off;
    r->tail_end = i->tail.end;
    d->out_seq = i->out != NULL ? i->out->seq : 0;
    d->out_is_behind = i->out_is_behind;
    d->is_sent = i->is_sent;
    d->is_removed = is_removed_locked(i);
    d->is_barred = i->is_barred;
    d->torn = i->torn;
    d->failed = i->failed;
    if (store_hdrs_copy(&r->edits, &i->edits) < 0)
        d->torn = -ENOMEM;
}

static void add_doubt(struct outrec *r, const char *mark)
{
    for (unsigned k = 0; k < r->n_doubts; k++)
        if (strcmp(r->doubts[k], mark) == 0)
            return;
    if (r->n_doubts == OUTREC_DOUBTS) {
        memmove(r->doubts[0], r->doubts[1], sizeof(r->doubts) - sizeof(r->doubts[0]));
        r->n_doubts--;
    }
    memcpy(r->doubts[r->n_doubts++], mark, UPLOAD_MARK_SIZE);
}

/* The marks that the bucket may have of it once the journal says so no more. */
static void add_entrys_marks(struct keep_data *d, const struct inode *i)
{
    const struct outgoing *o = i->out;

    for (unsigned k = 0; k < o->n_doubts; k++)
        add_doubt(&d->rec, o->doubts[k]);
    if (d->out_is_behind || o->is_done) {
        add_doubt(&d->rec, o->mark);
        return;
    }
    add_doubt(&d->rec, d->rec.mark);
    memcpy(d->rec.mark, o->mark, sizeof(d->rec.mark));
    d->is_trying = true;
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
    if (i->out != NULL)
        add_entrys_marks(d, i);
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

static void add_open_handles(struct vfs *v, struct inode *i, struct keep_batch *b)
{
    uint64_t known[64];
    size_t n = 0;

    lock_take(&v->tree);
    for (const struct handle *h = i->handles; h != NULL && n < ARRAY_LEN(known); h = h->next)
        if (h->is_kept)
            known[n++] = h->fh;
    lock_drop(&v->tree);
    for (size_t x = 0; x < n; x++)
        keep_add_handle(v, b, known[x]);
}

static void write_inode(struct vfs *v, struct inode *i, bool is_dirty)
{
    _cleanup_buf_ struct buf text = BUF_INIT(v->conf.keep_record_max != 0 ? v->conf.keep_record_max : KEEP_ITEM_MAX);
    struct kept *kept = kept_of(v, i);
    struct keep_data d = {0};
    struct keep_batch b = {0};
    uint64_t hash = 0, old = 0;
    int r = kept == NULL ? -ENOMEM : is_dirty ? make_record(v, i, kept, &d, &text) : 0;

    if (r == -E2BIG)
        r = make_lost_record(v, i, kept, &d, &text);
    else if (r == 0)
        kept->is_too_large = false;
    if (r == 0 && is_dirty)
        hash = str_hash(text.data, text.len) | 1;
    b.error = r;
    if (r == 0 && hash == kept->hash && !keep_has_promise()) {
        keep_data_done(&d);
        return;
    }
    keep_add_nodes(v, &b, i->node);
    keep_add(&b, KEEP_DATA, i->node, is_dirty ? text.data : NULL, text.len);
    add_open_handles(v, i, &b);
    keep_add_promise(&b);
    r = keep_batch_write(v->keep, &b);
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
    keep_batch_done(&b);
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
    kept->taken_seq = d->out_seq;
    kept->taken_is_behind = d->out_is_behind;
    kept->hash = 1; /* there is one */
    i->kept = kept;
    return 0;
}
