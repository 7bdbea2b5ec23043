/* SPDX-License-Identifier: Apache-2.0 */
/* Taking locks and giving them up (protocol 6, LOCKS-1..4 in locks.h). */
#include "locks.h"
#include "outbox.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

static bool is_held(const struct lockfile *lf)
{
    return lf->held[LOCK_POSIX].n + lf->held[LOCK_FLOCK].n > 0;
}

void lock_put_held(struct vfs *v, struct lockfile *lf, enum lock_kind kind, struct lockset *now, bool has_grown)
{
    lock_take(&v->locks->lock);
    lockset_done(&lf->held[kind]);
    lf->held[kind] = *now;
    lf->grown += has_grown;
    lock_drop(&v->locks->lock);
    *now = (struct lockset){0};
}

/* What the bucket has is not what it should be: a thread tries again. */
static void settle_later(struct vfs *v, struct lockfile *lf)
{
    lock_take(&v->locks->lock);
    lock_wake_locked(v, lf, LOCK_POLL_MAX_NS);
    lock_drop(&v->locks->lock);
}

bool lock_is_unsettled(const struct lockfile *lf)
{
    return lf->is_taken || (lf->share != NULL &&
           (!share_is_sure(lf->share) || (lf->id_share != NULL && !share_is_sure(lf->id_share)) ||
            (!is_held(lf) &&
             (share_is_held(lf->share) || (lf->id_share != NULL && share_is_held(lf->id_share))))));
}

/* With change held. */
static int try_once(struct vfs *v, struct lockfile *lf, const struct vfs_lock *l)
{
    struct lockset want = {0};
    bool has_grown = lf->share != NULL && !share_covers(lf->share, l->kind, l->type, l->range);
    int r;

    if (lf->is_lost)
        return err_set(-EIO, "a lock on this file was lost with the lease");
    if (lockset_conflict(&lf->held[l->kind], l->owner, l->type, l->range) != NULL)
        return TRY_BUSY_HERE;
    r = lockset_copy(&lf->held[l->kind], &want);
    if (r == 0)
        r = lockset_set(&want, l->owner, l->pid, l->type, l->range);
    if (r == 0) {
        lockkeep_begin(v, lf, l);
        r = lockshare_set(v, lf, l->kind, &want);
    }
    if (r == 0)
        lock_put_held(v, lf, l->kind, &want, has_grown);
    lockset_done(&want);
    return r;
}

/* false: it must not be used any more. */
static bool begin_change(struct vfs *v, struct lockfile *lf)
{
    bool may;

    lock_take(&v->locks->lock);
    may = !lf->is_out;
    lf->is_changing = may;
    lock_drop(&v->locks->lock);
    return may;
}

static void end_change(struct vfs *v, struct lockfile *lf)
{
    lock_take(&v->locks->lock);
    lf->is_changing = false;
    lock_drop(&v->locks->lock);
}

static int try_held(struct vfs *v, const struct inode *i, struct lockfile *lf, const struct vfs_lock *l)
{
    int r;

    if (!begin_change(v, lf))
        return TRY_MOVED;
    r = lockshare_ready(v, lf);
    while (r == 0) {
        r = try_once(v, lf, l);
        if (r != SHARE_LOST)
            break;
        lockshare_lost(lf); /* where nobody held anything, nobody lost anything: once more */
        r = 0;
    }
    lockkeep_end(v, lf, i);
    if (lock_is_unsettled(lf))
        settle_later(v, lf);
    end_change(v, lf);
    return r == SHARE_BUSY && lf->share != NULL ? TRY_BUSY_THERE : r;
}

/* The owner has nothing of this there any more. With change held. */
static void give_up_held(struct vfs *v, struct lockfile *lf, const struct vfs_lock *l)
{
    struct lockset want = {0};
    int known = lockshare_ready(v, lf), r = lockset_copy(&lf->held[l->kind], &want);

    if (r == 0)
        r = lockset_set(&want, l->owner, 0, LOCK_TYPE_NONE, l->range);
    if (r < 0) { /* no memory to say less: say nothing, and let the next one try */
        lockset_done(&want);
        log_warn("locks.unlock", "name=%s cause=%s", lf->name, LOG_Q(err_text()));
        return;
    }
    r = known;
    if (r == 0) {
        lockkeep_begin(v, lf, l);
        r = lf->is_lost ? 0 : lockshare_set(v, lf, l->kind, &want);
    }
    lock_put_held(v, lf, l->kind, &want, false);
    if (r == SHARE_LOST || r == SHARE_BUSY)
        lockshare_lost(lf);
    else if (r < 0)
        settle_later(v, lf);
    lockkeep_end(v, lf, NULL);
}

/* A new file, nothing written to it, whose name another mount was faster with: its creator opens
 * that one (protocol 2), now that he must see what is in it. */
static int meet_winner(struct vfs *v, struct inode *i)
{
    char key[VFS_KEY_MAX + 2];
    struct store_obj there = {0};
    int64_t asked = clock_boot_ns();
    bool is_blank, is_first;
    int r;

    lock_take(&v->tree);
    is_blank = i->is_new && !i->is_excl && i->parent != NULL && i->data != NULL && i->torn == 0 &&
               data_size(i->data) == 0;
    r = is_blank ? inode_key_locked(v, i, NULL, key) : 0;
    lock_drop(&v->tree);
    if (!is_blank || r < 0)
        return r;
    r = data_fetch(v->data, key, NULL, 0, &there);
    is_first = r == STORE_NOT_FOUND;
    if (r == 0)
        r = winner_adopt(v, i, key, &there) ?: inode_move(v, i, key, &there, asked);
    if (r == 0 && !is_first) {
        lock_take(&v->tree);
        i->is_new = i->is_dirty = false;
        i->dirty_since_ns = 0;
        lock_drop(&v->tree);
    }
    store_obj_done(&there);
    return is_first ? 0 : err_fold(r);
}

static int revalidate(struct vfs *v, struct inode *i)
{
    int r;

    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, i);
    r = meet_winner(v, i);
    inode_io_drop(v, i);
    pthread_rwlock_unlock(&v->names);
    return r < 0 ? r : inode_follow(v, i);
}

/* LOCKS-3: what others did before we had the lock is seen by who gets it. */
static int see_file(struct vfs *v, struct inode *i, struct lockfile *lf)
{
    uint64_t grown;
    bool is_new;
    int r;

    lock_take(&v->locks->lock);
    grown = lf->grown;
    lock_drop(&v->locks->lock);
    lock_take(&v->tree);
    is_new = i->lock_seen < grown;
    lock_drop(&v->tree);
    if (!is_new)
        return 0;
    r = revalidate(v, i);
    if (r < 0)
        return r;
    lock_take(&v->tree);
    if (i->lock_seen < grown)
        i->lock_seen = grown;
    lock_drop(&v->tree);
    return 0;
}

/* Protocol 6: who got the key's lock and finds an id takes that too. */
static int take_id(struct vfs *v, struct inode *i, struct lockfile *lf, bool *ret_taken)
{
    char id[sizeof(i->attr.id)];
    bool is_due;
    int r = 0;

    lock_take(&v->tree);
    memcpy(id, i->attr.id, sizeof(id));
    is_due = lockshare_is_by_key(lf) && inode_has_id_locked(i);
    lock_drop(&v->tree);
    *ret_taken = false;
    if (!is_due)
        return 0;
    lock_take(&lf->change);
    if (lf->id_share == NULL || strcmp(lf->id_name, id) != 0) {
        r = lockshare_publish(v, lf, id);
        *ret_taken = r == 0;
    }
    if (r == SHARE_LOST)
        lockshare_lost(lf);
    lock_drop(&lf->change);
    if (r == SHARE_LOST)
        return err_set(-EIO, "the lease was lost");
    return r == SHARE_BUSY ? TRY_BUSY_THERE : r;
}

int lock_try(struct vfs *v, struct inode *i, struct lockfile *lf, const struct vfs_lock *l)
{
    bool has_taken = false;
    int r;

    lock_take(&lf->change);
    r = lockshare_ask_key(v, i, lf, l);
    r = r == 0 ? try_held(v, i, lf, l) : r == SHARE_BUSY ? TRY_BUSY_THERE : r;
    lock_drop(&lf->change);
    if (r != 0)
        return r;
    r = see_file(v, i, lf);
    if (r == 0)
        r = take_id(v, i, lf, &has_taken);
    if (r == 0 && has_taken)
        r = revalidate(v, i); /* its holder may have written until just now */
    if (r != 0) {
        lock_take(&lf->change);
        give_up_held(v, lf, l);
        lock_drop(&lf->change);
        lock_wake(v, lf);
    }
    return r;
}

int lock_settle(struct vfs *v, struct lockfile *lf)
{
    int r;

    lock_take(&lf->change);
    r = lockshare_ready(v, lf);
    if (r == 0 && lf->share != NULL)
        share_doubt(lf->share);
    if (r == 0 && lf->id_share != NULL)
        share_doubt(lf->id_share);
    if (r == 0 && lock_is_unsettled(lf)) {
        r = lockshare_set(v, lf, LOCK_POSIX, &lf->held[LOCK_POSIX]);
        if (r == SHARE_LOST || r == SHARE_BUSY) {
            lockshare_lost(lf);
            r = 0;
        }
        lockkeep_again(v, lf);
    }
    lock_drop(&lf->change);
    return r;
}

static int commit_now(struct vfs *v, struct inode *i)
{
    int r = outbox_unblock(v, i);

    if (r < 0)
        return r;
    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, i);
    r = commit_inode(v, i);
    inode_io_drop(v, i);
    pthread_rwlock_unlock(&v->names);
    inode_tell_kernel(v, i);
    return r;
}

/* Does the owner have something there? */
static bool has_there(struct vfs *v, struct lockfile *lf, const struct vfs_lock *l,
                      enum lock_type type)
{
    const struct lockset *held = &lf->held[l->kind];
    bool has = false;

    lock_take(&v->locks->lock);
    for (size_t n = 0; n < held->n; n++)
        has = has ||
              (held->v[n].owner == l->owner && held->v[n].type >= type &&
               held->v[n].range.start <= l->range.end && l->range.start <= held->v[n].range.end);
    lock_drop(&v->locks->lock);
    return has;
}

static int unlock(struct vfs *v, struct inode *i, struct lockfile *lf, const struct vfs_lock *l)
{
    int r;

    if (!has_there(v, lf, l, LOCK_TYPE_READ))
        return 0;
    r = commit_now(v, i); /* whoever gets the lock next shall see it */
    lock_take(&lf->change);
    give_up_held(v, lf, l);
    lock_drop(&lf->change);
    locks_gave_up(v, i);
    lock_wake(v, lf);
    return r;
}

/* flock(2) changes a lock's type in two steps: what it had is given up first where the other can't
 * be had at once. */
static bool gives_up_first(struct vfs *v, struct inode *i, struct lockfile *lf,
                           const struct vfs_lock *l)
{
    struct vfs_lock none = *l;

    if (l->kind != LOCK_FLOCK || !has_there(v, lf, l, LOCK_TYPE_READ))
        return false;
    none.type = LOCK_TYPE_NONE;
    if (unlock(v, i, lf, &none) < 0)
        log_debug("locks.convert", "cause=%s", LOG_Q(err_text()));
    return true;
}

static int lock_or_wait(struct vfs *v, struct inode *i, struct lockfile *lf,
                        const struct vfs_lock *l, struct vfs_lock_wait *wait)
{
    int r = 0;

    if (l->type == LOCK_TYPE_READ && has_there(v, lf, l, LOCK_TYPE_WRITE))
        r = commit_now(v, i); /* a lock that gets weaker */
    if (r < 0)
        return r;
    lock_take(&lf->change);
    if (lf->share != NULL)
        share_doubt(lf->share);
    if (lf->id_share != NULL)
        share_doubt(lf->id_share);
    lock_drop(&lf->change);
    r = lock_try(v, i, lf, l);
    if ((r == TRY_BUSY_HERE || r == TRY_BUSY_THERE) && gives_up_first(v, i, lf, l))
        r = lock_try(v, i, lf, l);
    if (r != TRY_BUSY_HERE && r != TRY_BUSY_THERE)
        return r;
    if (wait == NULL)
        return err_set(-EAGAIN, r == TRY_BUSY_HERE ? "another process holds the lock"
                                                   : "another mount holds the lock");
    return lock_park(v, i, lf, l, wait, r == TRY_BUSY_THERE);
}

/* Regular files only: what else there is, the kernel locks by itself. */
static int lockable(struct vfs *v, uint64_t node, struct inode **ret_inode,
                    struct lockfile **ret_file)
{
    int r = inode_get(v, node, ret_inode);

    if (r < 0)
        return r;
    r = S_ISREG(atomic_load(&(*ret_inode)->type))
            ? lockfile_of(v, *ret_inode, ret_file)
            : err_set(-EOPNOTSUPP, "only regular files are locked between mounts");
    if (r < 0)
        inode_unref(v, *ret_inode);
    return r;
}

int vfs_lock_set(struct vfs *v, uint64_t node, const struct vfs_lock *l, struct vfs_lock_wait *wait)
{
    struct lockfile *lf;
    struct inode *i;
    int r;

    do {
        r = lockable(v, node, &i, &lf);
        if (r < 0)
            return r;
        r = l->type == LOCK_TYPE_NONE ? unlock(v, i, lf, l) : lock_or_wait(v, i, lf, l, wait);
        lockfile_unref(v, lf);
        inode_unref(v, i);
    } while (r == TRY_MOVED);
    return r;
}

int vfs_lock_get(struct vfs *v, uint64_t node, struct vfs_lock *l)
{
    const struct lock_entry want = {.range = l->range, .type = l->type, .owner = l->owner};
    const struct lock_entry *here;
    struct lock_entry there = {0};
    struct lockfile *lf;
    struct inode *i;
    int r = lockable(v, node, &i, &lf);

    if (r < 0)
        return r;
    lock_take(&lf->change);
    r = lockshare_ready(v, lf);
    here = lockset_conflict(&lf->held[l->kind], l->owner, l->type, l->range);
    if (here != NULL)
        there = *here;
    else if (r == 0 && lf->share != NULL && !share_covers(lf->share, l->kind, l->type, l->range))
        r = share_test(lf->id_share != NULL ? lf->id_share : lf->share, l->kind, &want, &there);
    lock_drop(&lf->change);
    if (r >= 0) {
        l->type = there.type;
        l->range = there.type != LOCK_TYPE_NONE ? there.range : l->range;
        l->pid = there.pid;
        r = 0;
    }
    lockfile_unref(v, lf);
    inode_unref(v, i);
    return r;
}

int vfs_lock_close(struct vfs *v, uint64_t node, enum lock_kind kind, uint64_t owner)
{
    const struct vfs_lock l = {
        .kind = kind, .type = LOCK_TYPE_NONE, .range = {0, LOCK_END}, .owner = owner};
    struct lockfile *lf = NULL;
    struct inode *i;
    int r = inode_get(v, node, &i);

    if (r < 0)
        return 0; /* gone, and its locks with it */
    lock_take(&v->tree);
    if (i->locks != NULL) {
        lock_take(&v->locks->lock);
        lf = i->locks;
        lf->refs++;
        lock_drop(&v->locks->lock);
    }
    lock_drop(&v->tree);
    if (lf != NULL)
        r = unlock(v, i, lf, &l);
    lockfile_unref(v, lf);
    inode_unref(v, i);
    return r;
}
