/* SPDX-License-Identifier: Apache-2.0 */
/* The entries of unsent files: made, replaced, dropped (outbox.h). Who sends them is in sending.c,
 * what a start finds in replay.c. */
#include "fold.h"
#include "idle.h"
#include "keep.h"
#include "outbox.h"
#include "relocate.h"
#include "removal.h"
#include "stored.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "cache/journal.h"

int outgoing_set_doubts(struct outgoing *o, const struct outrec *rec)
{
    size_t size = rec->n_doubts * sizeof(rec->doubts[0]);
    void *copy = NULL;

    if (size > 0 && (copy = malloc(size)) == NULL)
        return err_set(-ENOMEM, "no memory for the journal");
    if (copy != NULL)
        memcpy(copy, rec->doubts, size);
    free(o->doubts);
    o->doubts = copy;
    o->n_doubts = rec->n_doubts;
    return 0;
}

void outgoing_free(struct outgoing *o)
{
    if (o == NULL)
        return;
    free(o->doubts);
    free(o->from);
    free(o);
}

static void join_locked(struct vfs *v, struct inode *i, struct outgoing *o)
{
    struct outgoing *after = v->locked.out_last; /* but at a start it is the last one's place */

    while (after != NULL && after->order > o->order)
        after = after->prev;
    o->inode = i;
    o->prev = after;
    o->next = after != NULL ? after->next : v->locked.out_first;
    *(after != NULL ? &after->next : &v->locked.out_first) = o;
    *(o->next != NULL ? &o->next->prev : &v->locked.out_last) = o;
    i->refs++;
    i->out = o;
    idle_charge_locked(v, i);
}

static void leave_locked(struct vfs *v, struct inode *i)
{
    struct outgoing *o = i->out;

    *(o->prev != NULL ? &o->prev->next : &v->locked.out_first) = o->next;
    *(o->next != NULL ? &o->next->prev : &v->locked.out_last) = o->prev;
    budget_give(&v->unsent, o->counted);
    if (o->from != NULL)
        removal_unhold_locked(v, o->from);
    o->from = NULL;
    i->out = NULL;
    i->out_is_behind = false;
    idle_charge_locked(v, i);
    outgoing_free(o);
    inode_unref_locked(v, i);
}

void outbox_join_locked(struct vfs *v, struct inode *i, struct outgoing *o, uint64_t seq)
{
    o->seq = seq;
    if (o->order == 0)
        o->order = seq;
    o->is_tried = o->is_replayed = true;
    o->same_change = o->is_same && i->data != NULL ? data_change(i->data) : UINT64_MAX;
    join_locked(v, i, o);
    if (o->from != NULL)
        removal_hold_locked(v, o->from, i);
}

/* One more mark that may be in the bucket, the oldest forgotten first: what comes to light after
 * that many tries meets a conflict, and the bytes go to lost+found. */
static void add_doubt(struct outrec *r, const char *mark)
{
    if (r->n_doubts == OUTREC_DOUBTS) {
        memmove(r->doubts[0], r->doubts[1], sizeof(r->doubts) - sizeof(r->doubts[0]));
        r->n_doubts--;
    }
    memcpy(r->doubts[r->n_doubts++], mark, UPLOAD_MARK_SIZE);
}

static void add_doubts(struct outrec *r, const struct outgoing *o)
{
    if (o == NULL || o->is_done)
        return;
    for (unsigned k = 0; k < o->n_doubts; k++)
        add_doubt(r, o->doubts[k]);
    if (o->is_tried)
        add_doubt(r, o->mark);
}

/* What it is renamed from stands in the entry, too. Back to that: then its PUT goes over it. */
static void fill_from_locked(const struct inode *i, const struct outbox_place *to, struct outrec *r)
{
    const struct removal *m = to != NULL && to->from != NULL ? to->from : i->out != NULL ? i->out->from : NULL;

    if (m == NULL)
        return;
    if (strcmp(m->key, r->key) == 0) {
        r->etag = m->etag;
        r->obj_size = m->obj_size;
        r->is_trunc = r->is_replacing = true;
        return;
    }
    memcpy(r->from.key, m->key, strlen(m->key) + 1);
    memcpy(r->from.ctime, m->ctime, sizeof(m->ctime));
    r->from.etag = m->etag;
    r->from.obj_size = m->obj_size;
    r->from.is_same = to != NULL && to->from != NULL ? true : relocate_is_same(i);
}

/* A new file has but one object, under its first name's key or where that goes: what else are names of it are links that are to
 * be made. */
static int fill_links_locked(struct vfs *v, const struct inode *i, const struct outbox_names *names, struct outrec *r)
{
    const struct dentry *d = i->is_new && S_ISREG(i->attr.mode) && i->names != NULL ? i->names->other : NULL;
    char key[VFS_KEY_MAX + 2];
    int x = 0;

    for (; d != NULL && x == 0; d = d->other) {
        x = inode_key_locked(v, d->parent, d->name, key);
        if (x < 0 || strcmp(key, r->key) == 0 || (names != NULL && names->drop != NULL && strcmp(key, names->drop) == 0))
            continue;
        if (r->n_links == OUTREC_LINKS)
            return err_set(-EMLINK, "more names than an entry has room for");
        x = str_copy(r->links[r->n_links++], sizeof(r->links[0]), key);
    }
    if (x == 0 && names != NULL && names->add != NULL && r->n_links == OUTREC_LINKS)
        return err_set(-EMLINK, "more names than an entry has room for");
    if (x == 0 && names != NULL && names->add != NULL)
        x = str_copy(r->links[r->n_links++], sizeof(r->links[0]), names->add);
    return x;
}

static int fill_locked(struct vfs *v, struct inode *i, const struct outbox_place *to,
                       struct outrec *r)
{
    const bool is_from = to != NULL && to->from != NULL, keeps_hdrs = i->out != NULL && i->out->keeps_hdrs;
    char key[VFS_KEY_MAX + 2];
    int x = to != NULL ? str_copy(key, sizeof(key), to->key) : inode_key_locked(v, i, NULL, key);

    if (x == 0)
        x = str_copy(r->key, sizeof(r->key), key);
    r->attr = i->attr;
    r->etag = to != NULL ? to->etag : i->etag;
    r->obj_size = inode_is_dir(i) ? 0 : to != NULL ? to->obj_size : i->obj_size; /* a marker's bytes are nobody's */
    r->obj_mtime_ns = to != NULL ? 0 : i->obj_mtime_ns;
    if (to != NULL && to->ctime_ns != 0)
        r->attr.ctime_ns = to->ctime_ns;
    r->is_new = i->is_new || is_from;
    r->is_excl = to != NULL ? to->is_excl : i->is_excl;
    r->is_trunc = to != NULL ? to->is_trunc : i->is_trunc;
    r->is_replacing = to != NULL ? to->is_replacing : i->is_replacing;
    r->attr_set = i->attr_set;
    if (i->out != NULL && !i->out->is_done)
        r->attr_ages = stored_ages(i->out->attr_ages, i->attr_new, i->out->is_tried);
    r->tail_is_on = i->tail.is_on;
    r->tail_is_mixed = i->tail.is_mixed;
    r->tail_off = i->tail.off;
    r->tail_end = i->tail.end;
    fill_from_locked(i, to, r);
    if (x == 0 && (is_from || keeps_hdrs || (to == NULL && store_etag_is_set(&i->etag) && !i->is_replacing)))
        x = store_hdrs_copy(&r->hdrs, &i->hdrs);
    return x == 0 ? store_hdrs_copy(&r->edits, &i->edits) : x;
}

/* A new file whose name was removed here, and not in the bucket yet: its PUT goes over what that removed. */
static struct removal *take_over_locked(struct vfs *v, struct outrec *r)
{
    struct removal *m = NULL;

    if (r->is_new && !store_etag_is_set(&r->etag))
        m = removal_lend_locked(v, r->key);
    if (m == NULL)
        return NULL;
    r->etag = m->etag;
    r->obj_size = m->obj_size;
    r->is_trunc = r->is_replacing = true;
    return m;
}

static void took_over_locked(struct inode *i, struct outbox_place *to, const struct outrec *r)
{
    if (to != NULL) { /* the caller's to do */
        to->etag = r->etag;
        to->obj_size = r->obj_size;
        to->is_trunc = to->is_replacing = to->is_over_removed = true;
        return;
    }
    i->etag = r->etag;
    i->obj_size = r->obj_size;
    i->is_trunc = i->is_replacing = i->is_over_removed = true;
}

/* The entry stands: what it is renamed from is held, or, if it is back there, not any more. */
static void hold_from_locked(struct vfs *v, struct inode *i, struct outgoing *o, struct outbox_place *to,
                             const struct outrec *r)
{
    if (to == NULL)
        return;
    if (to->from != NULL) {
        o->from = to->from;
        o->keeps_hdrs = true;
        o->same_change = data_change(i->data);
        removal_hold_locked(v, o->from, i);
    } else if (o->from != NULL && strcmp(o->from->key, r->key) == 0) {
        to->etag = r->etag;
        to->obj_size = r->obj_size;
        to->is_trunc = to->is_replacing = true;
        removal_unhold_locked(v, o->from);
        o->from = NULL;
    }
}

/* The bucket has it under its new name, and the journal would not take the old one's removal: an entry of a stored file can't
 * say that, so the removal's comes first (REL-2). */
static int end_rename(struct vfs *v, struct inode *i)
{
    return i->out != NULL && i->out->is_done && i->out->from != NULL ? outbox_forget(v, i) : 0;
}

/* The inode as it is now, or as it will be at that place, becomes its entry. */
static int put(struct vfs *v, struct inode *i, struct outbox_place *to, const struct outbox_names *names)
{
    _cleanup_buf_ struct buf text = BUF_INIT(OUTREC_MAX);
    _cleanup_(outrec_done) struct outrec rec = {0};
    struct outgoing *o, next = {0};
    struct removal *over = NULL;
    uint64_t seq = 0, replaces;
    int r = end_rename(v, i);

    if (r < 0)
        return r;
    o = i->out != NULL ? i->out : calloc(1, sizeof(*o));
    if (o == NULL)
        return err_set(-ENOMEM, "no memory for the journal");
    add_doubts(&rec, i->out);
    if (to != NULL && to->over != NULL)
        add_doubts(&rec, to->over->out);
    upload_mark(v->upload, rec.mark);
    lock_take(&v->tree);
    r = fill_locked(v, i, to, &rec);
    if (r == 0)
        r = fill_links_locked(v, i, names, &rec);
    if (r == 0)
        over = take_over_locked(v, &rec);
    lock_drop(&v->tree);
    rec.order = o->order;
    replaces = o->seq == 0 && over != NULL ? over->seq : o->seq;
    if (r == 0)
        r = outgoing_set_doubts(&next, &rec); /* after the journal nothing may fail */
    if (r == 0 && !inode_is_dir(i))
        r = data_state_get(i->data, &rec.bytes);
    if (r == 0)
        r = outrec_encode(&rec, &text);
    if (r == 0 && inode_is_dir(i))
        r = journal_put(v->conf.journal, text.data, text.len, NULL, 0, replaces, &seq);
    else if (r == 0)
        r = data_journal(i->data, v->conf.journal, text.data, text.len, replaces, &seq);
    if (r < 0) {
        if (over != NULL)
            removal_took(v, over, false, false);
        free(next.doubts);
        if (i->out == NULL)
            free(o);
        return r;
    }
    crash_point("local.journaled");
    lock_take(&v->tree);
    memcpy(o->mark, rec.mark, sizeof(o->mark));
    free(o->doubts);
    o->doubts = next.doubts;
    o->n_doubts = next.n_doubts;
    o->attr_ages = rec.attr_ages;
    if (!inode_is_dir(i) || !i->is_new) /* that may have been made by a try that had no mark: it looks */
        o->is_tried = o->is_replayed = false;
    if (over != NULL)
        took_over_locked(i, to, &rec);
    hold_from_locked(v, i, o, to, &rec);
    o->seq = seq;
    if (o->order == 0)
        o->order = seq;
    if (o->is_done) { /* it waited for the journal, not for the bucket */
        o->is_done = false;
        outroom_count_locked(v, i);
        o->retry_ns = 0;
        o->tries = 0;
    }
    i->out_is_behind = false;
    i->attr_new = 0;
    if (i->out == NULL) {
        if (to == NULL)
            fold_begin_locked(v, i, o);
        join_locked(v, i, o);
    }
    lock_drop(&v->tree);
    if (over != NULL)
        removal_took(v, over, true, replaces == over->seq);
    return 0;
}

int outbox_put(struct vfs *v, struct inode *i)
{
    return put(v, i, NULL, NULL);
}

int outbox_rename_names(struct vfs *v, struct inode *i, struct outbox_place *to, const struct outbox_names *names)
{
    bool is_half;
    int r;

    lock_take(&v->tree);
    is_half = i->n_writers > 0 && i->out_is_behind;
    lock_drop(&v->tree);
    r = put(v, i, to, names);
    lock_take(&v->tree);
    if (r == 0 && is_half)
        i->out_is_behind = true; /* as outbox_move() */
    lock_drop(&v->tree);
    return r;
}

bool outbox_can_wait_locked(const struct vfs *v, const struct inode *i)
{
    return v->conf.journal != NULL && !inode_is_dir(i) && i->attr.link_gen == 0 &&
           !inode_is_stale_locked(v, i) && i->torn == 0 && !i->is_barred && i->strict == NULL;
}

void outbox_keep(struct vfs *v, struct inode *i)
{
    bool is_due;

    lock_take(&v->tree);
    is_due = i->n_closing > 0 && i->out == NULL && inode_is_owed_locked(v, i) &&
             outbox_can_wait_locked(v, i);
    lock_drop(&v->tree);
    if (is_due && (content_open(v, i) < 0 || put(v, i, NULL, NULL) < 0))
        log_debug("journal.put", "cause=%s", LOG_Q(err_text()));
}

int outbox_commit(struct vfs *v, struct inode *i)
{
    bool is_needed, can_wait, is_tried;
    int r;

    if (v->conf.commit == VFS_COMMIT_CLOSE) /* what another mode has left: this one promises S3 */
        return commit_inode(v, i);
    lock_take(&v->tree);
    is_tried = outbox_waits(i) && i->out->is_tried;
    is_needed = inode_is_owed_locked(v, i) && !(i->out != NULL && !i->out_is_behind);
    can_wait = outbox_can_wait_locked(v, i);
    lock_drop(&v->tree);
    if (!is_needed)
        return 0;
    r = can_wait ? content_open(v, i) : 0;
    if (r == 0 && can_wait)
        r = put(v, i, NULL, NULL);
    if (can_wait && r == 0) {
        lock_take(&v->tree);
        i->failed = 0;
        i->is_cut_now = false; /* nobody waits for it any more */
        lock_drop(&v->tree);
        outbox_wake(v);
        return 0;
    }
    if (can_wait && is_tried) /* what was acknowledged before stands, and so does this, in memory */
        return r;
    if (can_wait)
        log_warn("journal.put", "node=%llu error=%d cause=%s effect=\"sent before close returns\"",
                 (unsigned long long)i->node, -r, LOG_Q(err_text()));
    return commit_inode(v, i);
}

bool outbox_holds(struct vfs *v, const struct inode *i)
{
    bool holds;

    lock_take(&v->tree);
    holds = i->out != NULL && i->n_writers == 0 && !i->is_linking;
    lock_drop(&v->tree);
    return holds;
}

/* Where the journal takes no more, a mark that was never sent may go with newer bytes than its entry
 * has: a replay that finds it has nothing left to do, and one that does not sends what the entry
 * has. What the journal's disk says is never the bucket's last word on the file: EIO. */
int outbox_before(struct vfs *v, struct inode *i)
{
    bool is_behind, is_tried;

    lock_take(&v->tree);
    is_behind = i->out != NULL && i->out_is_behind;
    is_tried = outbox_waits(i) && i->out->is_tried;
    lock_drop(&v->tree);
    if (!is_behind)
        return 0;
    if (put(v, i, NULL, NULL) == 0) {
        keep_inode(v, i); /* what is sent now is under the new mark */
        return 0;
    }
    if (!is_tried)
        return 0;
    return err_set(-EIO, "the journal takes no newer entry: %s", err_text());
}

const char *outbox_mark(struct inode *i, bool *ret_is_retry)
{
    *ret_is_retry = outbox_is_replayed(i);
    if (!outbox_waits(i)) /* a newer version than the entry's has a mark of its own, above that */
        return NULL;
    i->out->is_tried = true;
    return i->out->mark;
}

bool outbox_is_replayed(const struct inode *i)
{
    return outbox_waits(i) && i->out->is_replayed;
}

bool outbox_waits(const struct inode *i)
{
    return i->out != NULL && !i->out->is_done;
}

bool outbox_has_all_locked(const struct inode *i)
{
    return outbox_waits(i) && !i->out_is_behind;
}

int outbox_forget(struct vfs *v, struct inode *i)
{
    int r;

    if (i->out == NULL)
        return 0;
    if (i->out->from != NULL)
        r = removal_begin(v, &i->out->from, i->out->seq);
    else
        r = journal_drop(v->conf.journal, i->out->seq);
    if (r == 0)
        outbox_leave(v, i);
    return r;
}

/* Its time is over, whether the journal can drop it now or later. */
static void done_with(struct vfs *v, struct inode *i)
{
    if (outbox_forget(v, i) == 0) {
        crash_point("local.dropped");
        return;
    }
    log_warn("journal.drop", "node=%llu cause=%s effect=\"tried again\"",
             (unsigned long long)i->node, LOG_Q(err_text()));
    lock_take(&v->tree);
    i->out->is_done = true;
    outroom_count_locked(v, i);
    i->out_is_behind = false;
    lock_drop(&v->tree);
}

void outbox_sent(struct vfs *v, struct inode *i)
{
    if (i->out == NULL)
        return;
    if (i->is_linking) /* not yet: its other names are in the entry */
        return;
    crash_point("local.sent");
    done_with(v, i);
}

void outbox_leave(struct vfs *v, struct inode *i)
{
    lock_take(&v->tree);
    leave_locked(v, i);
    lock_drop(&v->tree);
}

void outbox_replaced(struct vfs *v, struct inode *over)
{
    if (over != NULL && over->out != NULL)
        done_with(v, over);
}

int outbox_move(struct vfs *v, struct inode *i, struct outbox_place *to)
{
    bool is_needed = i->out != NULL || to->from != NULL || (to->over != NULL && to->over->out != NULL),
         is_half;
    int r;

    if (!is_needed)
        return 0;
    lock_take(&v->tree);
    is_half = i->n_writers > 0 && (i->out == NULL || i->out_is_behind);
    lock_drop(&v->tree);
    r = put(v, i, to, NULL);
    crash_point("local.moved");
    lock_take(&v->tree);
    if (r == 0 && is_half)
        i->out_is_behind = true; /* its writer goes on: sent at the next close */
    lock_drop(&v->tree);
    return r;
}

/* The threads are gone. */
static void leave_all(struct vfs *v)
{
    lock_take(&v->tree);
    while (v->locked.out_first != NULL) {
        struct inode *i = v->locked.out_first->inode;

        i->is_new = i->is_dirty = i->is_linking = false; /* the journal has it: not for lost+found */
        leave_locked(v, i);
    }
    lock_drop(&v->tree);
}

void outbox_stop(struct vfs *v)
{
    unsigned n;

    lock_take(&v->tree);
    v->locked.out_ends = true;
    n = v->locked.out_senders;
    cond_broadcast(&v->out_due);
    lock_drop(&v->tree);
    for (unsigned k = 0; k < n; k++)
        pthread_join(v->out_threads[k], NULL);
    removal_free_all(v);
    leave_all(v);
}

struct data_file *outbox_resting_locked(const struct inode *i)
{
    bool is_unused = i->out != NULL && !i->out->is_busy && i->n_open == 0 && i->data != NULL;

    return is_unused ? data_file_ref(i->data) : NULL;
}

void outbox_rest(struct data_file *f)
{
    if (f == NULL)
        return;
    data_rest(f);
    data_file_unref(f);
}
