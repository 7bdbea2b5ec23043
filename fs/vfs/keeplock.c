/* SPDX-License-Identifier: Apache-2.0 */
/* See keep.h: what the mount's owners have locked (KEEP-6), and the same in the next daemon. Of a change that was cut off the
 * bucket says whether it was made (lockshare_ready): both states are in the record until it is known. */
#include "keepwrite.h"
#include "locks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"

static bool is_needed_locked(const struct lockfile *lf)
{
    if (lf->is_out) /* the other one speaks for the name */
        return false;
    return lf->held[LOCK_POSIX].n + lf->held[LOCK_FLOCK].n > 0 || lf->kept.is_changing || lf->kept.is_loose || lf->kept.is_lost ||
           lf->kept.is_unknown;
}

static int encode_locked(struct vfs *v, struct lockfile *lf, struct buf *out)
{
    struct keep_locks k = {.is_lost = lf->kept.is_lost,
                           .was_taken = lf->kept.was_taken,
                           .is_changing = lf->kept.is_changing,
                           .is_publishing = lf->kept.is_publishing,
                           .change = lf->kept.change,
                           .nodes = lf->kept.nodes,
                           .n_nodes = lf->kept.n};

    if (lf->kept.is_short || lf->kept.n > KEEP_LOCK_NODES)
        return -ENOMEM;
    if (lf->kept.number == 0)
        lf->kept.number = ++v->locks->last_number;
    memcpy(k.name, lf->name, sizeof(k.name));
    memcpy(k.id_name, lf->id_name, sizeof(k.id_name));
    memcpy(k.session, lf->kept.session, sizeof(k.session));
    memcpy(k.held, lf->held, sizeof(k.held));
    return keeprec_put_locks(&k, out);
}

static void write_locks(struct vfs *v, struct lockfile *lf, uint64_t node)
{
    _cleanup_buf_ struct buf text = BUF_INIT(KEEP_ITEM_MAX);
    struct keep_batch b = {0};
    uint64_t number;
    bool is_needed;
    int r;

    lock_take(&v->keep->lock);
    keep_add_nodes(v, &b, node); /* one that the kernel has not heard of yet, too */
    lock_take(&v->locks->lock);
    is_needed = is_needed_locked(lf);
    r = is_needed ? encode_locked(v, lf, &text) : 0;
    number = lf->kept.number;
    if (!is_needed)
        lf->kept.number = 0;
    lock_drop(&v->locks->lock);
    if (r < 0)
        b.error = r;
    else if (number != 0)
        keep_add(&b, KEEP_LOCKS, number, is_needed ? text.data : NULL, text.len);
    (void)!keep_batch_write(v->keep, &b); /* a table that can't be written says so itself (TABLE-2) */
    lock_drop(&v->keep->lock);
    keep_batch_done(&b);
}

void lockkeep_begin(struct vfs *v, struct lockfile *lf, const struct vfs_lock *l)
{
    if (v->keep == NULL)
        return;
    lock_take(&v->locks->lock);
    lf->kept.is_changing = true;
    lf->kept.change = *l;
    lock_drop(&v->locks->lock);
    if (lf->share != NULL)
        write_locks(v, lf, 0);
}

static void note(struct vfs *v, struct lockfile *lf)
{
    if (lf->is_taken) /* what the dead daemon left is what is known */
        return;
    lock_take(&v->locks->lock);
    lf->kept.is_changing = false;
    lf->kept.is_lost = lf->is_lost;
    lf->kept.is_loose = lock_is_unsettled(lf);
    lf->kept.was_taken = lf->share != NULL && share_was_taken(lf->share);
    lf->kept.session[0] = '\0';
    if (lf->share != NULL)
        memcpy(lf->kept.session, share_session(lf->share), sizeof(lf->kept.session));
    lock_drop(&v->locks->lock);
}

void lockkeep_end(struct vfs *v, struct lockfile *lf, const struct inode *i)
{
    if (v->keep == NULL || !(lf->kept.is_changing || lf->is_taken))
        return;
    note(v, lf);
    write_locks(v, lf, i != NULL && i->node > VFS_ROOT ? i->node : 0);
}

void lockkeep_again(struct vfs *v, struct lockfile *lf)
{
    if (v->keep == NULL)
        return;
    note(v, lf);
    write_locks(v, lf, 0);
}

/* --- which inodes --- */

void lockkeep_add_node_locked(struct vfs *v, struct lockfile *lf, uint64_t node)
{
    if (v->keep == NULL || node <= VFS_ROOT)
        return;
    lock_take(&v->locks->lock);
    if (lf->kept.n == lf->kept.cap) {
        size_t cap = lf->kept.cap > 0 ? 2 * lf->kept.cap : 2;
        uint64_t *nodes = reallocarray(lf->kept.nodes, cap, sizeof(*nodes));

        lf->kept.nodes = nodes != NULL ? nodes : lf->kept.nodes;
        lf->kept.cap = nodes != NULL ? cap : lf->kept.cap;
        lf->kept.is_short = lf->kept.is_short || nodes == NULL;
    }
    if (lf->kept.n < lf->kept.cap)
        lf->kept.nodes[lf->kept.n++] = node;
    lock_drop(&v->locks->lock);
}

void lockkeep_drop_node_locked(struct vfs *v, struct lockfile *lf, uint64_t node)
{
    size_t n = 0;

    lock_take(&v->locks->lock);
    for (size_t k = 0; k < lf->kept.n; k++)
        if (lf->kept.nodes[k] != node)
            lf->kept.nodes[n++] = lf->kept.nodes[k];
    lf->kept.n = n;
    lock_drop(&v->locks->lock);
}

void lockkeep_node(struct vfs *v, struct lockfile *lf)
{
    bool is_kept;

    lock_take(&v->locks->lock);
    is_kept = lf->kept.number != 0;
    lock_drop(&v->locks->lock);
    if (v->keep != NULL && is_kept)
        write_locks(v, lf, 0);
}

/* --- a takeover --- */

static bool attach(struct vfs *v, struct lockfile *lf, const struct keep_locks *k)
{
    bool is_attached = false;

    lock_take(&v->tree);
    for (size_t n = 0; n < k->n_nodes; n++) {
        struct inode *i = inode_by_node_locked(v, k->nodes[n]);

        if (i == NULL || i->locks != NULL || !S_ISREG(atomic_load(&i->type)))
            continue;
        lock_take(&v->locks->lock);
        lf->refs++;
        lock_drop(&v->locks->lock);
        i->locks = lf;
        i->lock_seen = 0; /* LOCKS-3: the call that comes again may not have seen the file yet */
        lockkeep_add_node_locked(v, lf, i->node);
        is_attached = true;
    }
    lock_drop(&v->tree);
    return is_attached;
}

/* has_owners: else nobody has the file open any more, and what the bucket says of it goes. */
static void fill(struct vfs *v, struct lockfile *lf, uint64_t number, struct keep_locks *k, bool has_owners)
{
    lock_take(&v->locks->lock);
    for (unsigned kind = 0; kind < LOCK_KINDS && has_owners; kind++) {
        lf->held[kind] = k->held[kind];
        k->held[kind] = (struct lockset){0};
    }
    lf->kept.number = number;
    lf->kept.is_changing = k->is_changing && has_owners;
    lf->kept.change = k->change;
    lf->kept.is_lost = lf->is_lost = k->is_lost && has_owners;
    lf->kept.was_taken = k->was_taken;
    lf->kept.is_publishing = k->is_publishing;
    memcpy(lf->kept.session, k->session, sizeof(lf->kept.session));
    memcpy(lf->id_name, k->id_name, sizeof(lf->id_name));
    lf->is_taken = lf->kept.is_unknown = lf->share != NULL && !k->is_lost;
    lf->grown = 1;
    if (number > v->locks->last_number)
        v->locks->last_number = number;
    lock_drop(&v->locks->lock);
}

static int take_one(void *arg, uint64_t number, const void *data, size_t len)
{
    struct vfs *v = arg;
    struct lockfile *lf = NULL;
    struct keep_locks k;
    int r = keeprec_get_locks(data, len, &k);

    if (r == 0)
        r = lockfile_get(v, k.name, &lf);
    if (r == 0 && lf->kept.number != 0)
        r = err_set(-EBADMSG, "takeover: two records of one file's locks");
    if (r == 0 && k.id_name[0] != '\0')
        r = share_new(v->coord, k.id_name, &lf->id_share);
    if (r == 0) {
        fill(v, lf, number, &k, attach(v, lf, &k));
        log_info("takeover.locks", "name=%s posix=%zu flock=%zu", lf->name, lf->held[LOCK_POSIX].n, lf->held[LOCK_FLOCK].n);
    }
    if (r < 0 || !lf->is_taken) /* else it stays until it is known (take_locks) */
        lockfile_unref(v, lf);
    keep_locks_done(&k);
    return r;
}

/* Each is asked for by who needs it first, or by a thread, so that the start waits for none. */
int take_locks(struct vfs *v)
{
    int r = table_each(v->conf.table, KEEP_LOCKS, take_one, v);

    lock_take(&v->locks->lock);
    for (struct lockfile *lf = v->locks->files; lf != NULL; lf = lf->next)
        if (lf->is_taken) {
            lock_wake_locked(v, lf, 0); /* with a reference of its own */
            lf->refs--;
        }
    lock_drop(&v->locks->lock);
    return r;
}
