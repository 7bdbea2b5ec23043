/* SPDX-License-Identifier: Apache-2.0 */
/* The start of a daemon that takes a living mount over (protocol 17): the table's records become nodes, names, dirty
 * bytes and handles again, before the kernel asks. What is known of the bucket is as old as can be: each name and
 * each version is asked for before it is believed. */
#include "keep.h"

#include <errno.h>
#include <string.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "idle.h"
#include "stored.h"

#define NUMBERS_AHEAD (UINT64_C(1) << 20) /* of nodes and handles that were given and not written down */

struct takeover {
    struct vfs *v;
    unsigned nodes, handles, dirty, lost;
};

/* With its reference, which take_names() or the end gives back. */
static int add_inode(struct vfs *v, uint64_t node, struct keep_node *n)
{
    struct inode *i = inode_new(v);

    if (i == NULL)
        return -ENOMEM;
    i->node = node;
    i->attr = n->attr;
    i->ino = objattr_ino(&i->attr);
    atomic_store(&i->type, i->attr.mode & S_IFMT);
    i->nlookup = n->nlookup;
    i->etag = n->etag;
    i->obj_size = n->obj_size;
    i->obj_mtime_ns = n->obj_mtime_ns;
    i->nlink = n->nlink;
    i->is_stale = n->is_stale;
    i->is_guessed = n->is_guessed;
    i->has_lost_key = n->has_lost_key;
    i->newer_key = n->newer_key;
    n->newer_key = NULL;
    i->hdrs = n->hdrs;
    n->hdrs = (struct store_hdrs){0};
    i->last_name = n->last_name;
    i->name = i->last_name;
    n->last_name = NULL;
    lock_take(&v->tree);
    map_insert(&v->locked.by_node, &i->by_node, i->node);
    map_insert(&v->locked.by_ino, &i->by_ino, i->ino);
    idle_add_locked(v, i); /* IDLE-1 */
    if (n->is_kernel_behind)
        inode_kernel_behind_locked(v, i);
    if (node >= v->locked.next_node)
        v->locked.next_node = node + 1;
    lock_drop(&v->tree);
    return 0;
}

static int take_node(void *arg, uint64_t node, const void *data, size_t len)
{
    struct takeover *t = arg;
    struct keep_node n;
    int r = keeprec_get_node(data, len, &n);

    if (r == 0)
        r = add_inode(t->v, node, &n);
    keep_node_done(&n);
    t->nodes += r == 0;
    return r;
}

/* Another node has every name of it that was written down: it is not one that we removed, whose bytes are dropped. */
static void note_nameless_locked(const struct keep_node *n, struct inode *i)
{
    if (i != NULL && n->n_names > 0 && i->names == NULL)
        i->is_stale = true;
}

static int take_names(void *arg, uint64_t node, const void *data, size_t len)
{
    struct takeover *t = arg;
    struct vfs *v = t->v;
    struct keep_node n;
    int r = keeprec_get_node(data, len, &n);

    lock_take(&v->tree);
    for (size_t k = 0; k < n.n_names && r == 0; k++) {
        struct inode *i = inode_by_node_locked(v, node), *dir = inode_by_node_locked(v, n.names[k].parent);

        if (i != NULL && dir != NULL && inode_is_dir(dir) && inode_child_locked(v, dir, n.names[k].name) == NULL)
            r = inode_attach_locked(v, i, dir, n.names[k].name);
    }
    note_nameless_locked(&n, inode_by_node_locked(v, node));
    lock_drop(&v->tree);
    keep_node_done(&n);
    return r;
}

/* --- dirty bytes --- */

static int restore_bytes(struct vfs *v, const struct keep_data *d, struct data_file **ret)
{
    const struct outrec *rec = &d->rec;
    const struct store_obj base = {.etag = rec->etag, .size = rec->obj_size, .mtime_ns = rec->obj_mtime_ns};
    bool has_base = store_etag_is_set(&rec->etag);
    struct cache_stage *stage = NULL;
    int r = d->file != 0 ? table_stage_get(v->conf.table, d->file, &stage) : 0;

    return r == 0 ? data_file_restore(v->data, rec->key, has_base ? &base : NULL, stage, &rec->bytes, ret) : r;
}

static void fill_locked(struct inode *i, struct keep_data *d)
{
    struct outrec *rec = &d->rec;
    uint64_t link_gen = i->attr.link_gen;

    i->attr = rec->attr;
    i->attr.link_gen = link_gen;
    i->attr.size = rec->bytes.size;
    replay_base_locked(i, rec);
    i->attr_set = rec->attr_set;
    i->attr_new = stored_since(rec->attr_ages, 0); /* what the entry has of it does too */
    i->tail = (struct tail){rec->tail_off, rec->tail_end, rec->tail_is_on, rec->tail_is_mixed};
    i->edits = rec->edits;
    rec->edits = (struct store_hdrs){0};
    i->is_sent = rec->is_new;
    i->is_dirty = !d->is_removed;
    i->dirty_since_ns = d->is_removed ? 0 : clock_boot_ns();
    i->torn = d->torn;
    i->torn_end = d->torn < 0 ? UINT64_MAX : 0;
    i->failed = d->failed;
    i->is_barred = d->is_barred;
}

static void doubt_marks(struct vfs *v, const struct keep_data *d)
{
    const struct outrec *rec = &d->rec;

    for (unsigned k = 0; k < rec->n_doubts; k++)
        upload_doubt(v->upload, rec->key, rec->doubts[k]);
    if (!d->is_trying)
        upload_doubt(v->upload, rec->key, rec->mark);
}

/* T24: who asks whether these bytes are safe is told that they are not. */
static void lose_locked(struct inode *i, int r)
{
    i->torn = -EIO;
    i->torn_off = 0;
    i->torn_end = UINT64_MAX;
    i->is_dirty = true;
    log_error("takeover.lost", "node=%llu error=%d cause=%s effect=\"its close and fsync fail\"",
              (unsigned long long)i->node, -r, LOG_Q(err_text()));
}

static int take_data(void *arg, uint64_t node, const void *data, size_t len)
{
    struct takeover *t = arg;
    struct vfs *v = t->v;
    struct keep_data d = {0};
    struct data_file *f = NULL;
    struct inode *i;
    int r = keeprec_get_data(data, len, &d), lost;

    lock_take(&v->tree);
    i = inode_by_node_locked(v, node);
    lock_drop(&v->tree);
    if (i == NULL || r == -ENOMEM) { /* its making was never answered */
        keep_data_done(&d);
        return r == -ENOMEM ? r : 0;
    }
    lost = r < 0 ? r : restore_bytes(v, &d, &f);
    if (r == 0)
        r = keep_adopt(i, &d);
    if (r == 0)
        doubt_marks(v, &d);
    lock_take(&v->tree);
    if (lost == 0) {
        fill_locked(i, &d);
        i->data = f;
        idle_charge_locked(v, i);
        t->dirty++;
    } else {
        lose_locked(i, lost);
        t->lost++;
    }
    lock_drop(&v->tree);
    keep_data_done(&d);
    return r == -EBADMSG ? 0 : r;
}

/* --- handles --- */

static int take_handle(void *arg, uint64_t fh, const void *data, size_t len)
{
    struct takeover *t = arg;
    struct vfs *v = t->v;
    struct keep_handle k;
    struct handle *h;
    struct inode *i = NULL;
    int r = keeprec_get_handle(data, len, &k);

    if (r == 0)
        r = inode_get(v, k.node, &i);
    if (r == -ESTALE) { /* its release was under way, and comes again to no handle */
        err_clear();
        log_info("takeover.released", "node=%llu", (unsigned long long)k.node);
        return 0;
    }
    if (r < 0)
        return r;
    if (!inode_is_dir(i) && i->data == NULL)
        r = content_open(v, i);
    if (r == -ESTALE) { /* nobody knows where it is by now; who wrote to it had bytes in the table */
        err_clear();
        r = 0;
    }
    if (r == 0)
        r = handle_new(v, i, k.flags, &h);
    lock_take(&v->tree);
    if (r == 0) {
        i->n_writers += (unsigned)k.is_writer - (unsigned)h->is_writer;
        h->is_writer = k.is_writer;
        h->is_fresh = k.is_fresh;
        h->has_written = k.has_written;
        h->n_writers = k.n_writers;
        memcpy(h->writers, k.writers, sizeof(h->writers));
        h->is_kept = true;
        map_remove(&v->locked.handles, &h->link);
        h->fh = fh;
        map_insert(&v->locked.handles, &h->link, fh);
        if (fh >= v->locked.next_fh)
            v->locked.next_fh = fh + 1;
        t->handles++;
    }
    inode_unref_locked(v, i);
    lock_drop(&v->tree);
    return r;
}

struct every {
    struct inode **v;
    size_t n;
};

static void note(struct map_link *l, void *arg)
{
    struct every *all = arg;

    all->v[all->n++] = container_of(l, struct inode, by_node);
}

/* A new file that nobody has open was made by a create that nobody has heard of: it is made again. */
static void drop_unheard_locked(struct vfs *v, struct inode *i)
{
    if (!i->is_new || i->n_open > 0 || i->out != NULL || !S_ISREG(atomic_load(&i->type)))
        return;
    if (i->parent != NULL) {
        names_changed_locked(v, i->parent, i->name, false, false);
        inode_detach_locked(v, i);
    }
    i->is_new = i->is_dirty = false;
    i->nlookup = 0;
}

/* Gives back what add_inode() took: what only an unanswered call knew of goes. */
static int settle(struct vfs *v)
{
    struct every all = {0};

    lock_take(&v->tree);
    all.v = calloc(v->locked.by_node.n, sizeof(struct inode *));
    if (all.v != NULL)
        map_each(&v->locked.by_node, note, &all);
    for (size_t k = 0; k < all.n; k++)
        if (all.v[k] != v->locked.root) {
            drop_unheard_locked(v, all.v[k]);
            inode_unref_locked(v, all.v[k]);
        }
    v->locked.next_node += NUMBERS_AHEAD;
    v->locked.next_fh += NUMBERS_AHEAD;
    lock_drop(&v->tree);
    free(all.v);
    return all.v != NULL ? 0 : -ENOMEM;
}

/* What was being sent is sent, or is found to have arrived, before anybody writes to it: an append on top of its own
 * landed half can't be told from another's. What fails stays dirty: its close or fsync comes again and is told. */
static void finish_commits(struct vfs *v)
{
    struct every all = {0};

    lock_take(&v->tree);
    all.v = calloc(v->locked.by_node.n, sizeof(struct inode *));
    if (all.v != NULL)
        map_each(&v->locked.by_node, note, &all);
    for (size_t k = 0; k < all.n; k++)
        all.v[k]->refs++;
    lock_drop(&v->tree);
    for (size_t k = 0; k < all.n; k++) {
        struct inode *i = all.v[k];

        if (keep_is_retry(i)) {
            pthread_rwlock_rdlock(&v->names);
            inode_io_take(v, i);
            keep_retry_begins(v, i);
            if (commit_inode_unwaited(v, i) < 0)
                log_warn("takeover.commit", "node=%llu cause=%s", (unsigned long long)i->node, LOG_Q(err_text()));
            lock_take(&v->tree);
            i->failed = 0;
            lock_drop(&v->tree);
            inode_io_drop(v, i);
            pthread_rwlock_unlock(&v->names);
        }
        inode_unref(v, i);
    }
    free(all.v);
}

int vfs_takeover(struct vfs *v)
{
    struct takeover t = {.v = v};
    struct table *table = v->conf.table;
    int r = table_each(table, KEEP_NODE, take_node, &t);

    if (r == 0)
        r = table_each(table, KEEP_NODE, take_names, &t);
    if (r == 0)
        r = table_each(table, KEEP_DATA, take_data, &t);
    if (r == 0)
        r = take_journal(v);
    if (r == 0)
        r = table_each(table, KEEP_HANDLE, take_handle, &t);
    if (r == 0)
        r = settle(v);
    if (r == 0)
        r = keep_drop_old(v);
    if (r == 0)
        r = take_locks(v);
    if (r == 0)
        finish_commits(v);
    for (unsigned k = 0; k < VFS_SENDERS && r == 0; k++)
        outbox_wake(v);
    if (r < 0)
        return err_text()[0] != '\0' ? r : err_set(r, "the mount can't be taken over: %s", strerror(-r));
    log_info("takeover.state", "nodes=%u handles=%u dirty=%u lost=%u", t.nodes, t.handles, t.dirty, t.lost);
    return 0;
}
