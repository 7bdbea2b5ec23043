/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of unsent files. An inode that has an entry in the journal can't be forgotten, so while
 * the bucket can't be reached their number would grow without bound: a close that would make one
 * more waits for room, holding nothing, while the senders go on. Who replaces an entry of his own
 * needs none, nor does a rename: their files are counted already.
 *
 * A file that is open for writing counts as an open file, not here: what it is changed to is sent
 * only after its next close, and who waits for room must not wait for a file that waits for him. Nor does one that
 * the bucket has: a journal that can't drop entries takes no new ones either, so these grow no more, and closes go
 * by the bucket. */
#include "fold.h"
#include "idle.h"
#include "stored.h"

void outroom_count_locked(struct vfs *v, struct inode *i)
{
    size_t now;

    if (i->out == NULL)
        return;
    now = i->n_writers == 0 && !i->out->is_done ? i->charged : 0;
    if (now > i->out->counted)
        budget_add(&v->unsent, now - i->out->counted);
    else
        budget_give(&v->unsent, i->out->counted - now);
    i->out->counted = now;
}

static uint64_t take(struct vfs *v, struct inode *i, bool will_owe)
{
    uint64_t bytes = 0;

    if (v->conf.journal == NULL || v->conf.unsent_max == 0)
        return 0;
    lock_take(&v->tree);
    if (i->out == NULL && (will_owe || inode_is_owed_locked(v, i)) && outbox_can_wait_locked(v, i)) {
        idle_charge_locked(v, i); /* it was written to */
        bytes = i->charged + OUTROOM_ENTRY;
        i->n_closing++;
    }
    lock_drop(&v->tree);
    if (bytes > 0 && !budget_try(&v->unsent, bytes, UINT64_MAX)) {
        fold_end(v);
        budget_take(&v->unsent, bytes);
    }
    return bytes;
}

uint64_t outroom_take(struct vfs *v, struct inode *i)
{
    return take(v, i, false);
}

uint64_t outroom_take_change(struct vfs *v, struct inode *i)
{
    bool is_due;

    lock_take(&v->tree);
    is_due = stored_is_local_locked(v, i) && i->n_writers == 0 && !i->is_new && i->parent != NULL;
    lock_drop(&v->tree);
    return is_due ? take(v, i, true) : 0;
}

bool outroom_is(struct vfs *v)
{
    return v->conf.unsent_max == 0 || budget_used(&v->unsent) < v->conf.unsent_max;
}

void outroom_give(struct vfs *v, struct inode *i, uint64_t ticket)
{
    if (ticket == 0)
        return;
    lock_take(&v->tree);
    i->n_closing--;
    lock_drop(&v->tree);
    budget_give(&v->unsent, ticket);
}

void vfs_let_closes_go(struct vfs *v)
{
    budget_let_go(&v->unsent);
}
