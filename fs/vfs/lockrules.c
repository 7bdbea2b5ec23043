/* SPDX-License-Identifier: Apache-2.0 */
/* What locks have to say about commits (protocol 6): what was written under a lock is sent only
 * while it is held for certain, so of an ex-holder and a new one the second to commit gets EIO. */
#include "locks.h"

#include <errno.h>

#include "base/err.h"

/* The inode's lockfile, referenced; NULL: it was never locked. */
static struct lockfile *lockfile_known(struct vfs *v, struct inode *i)
{
    struct lockfile *lf;

    lock_take(&v->tree);
    lf = i->locks;
    if (lf != NULL) {
        lock_take(&v->locks->lock);
        lf->refs++;
        lock_drop(&v->locks->lock);
    }
    lock_drop(&v->tree);
    return lf;
}

static bool is_shared(const struct lockfile *lf)
{
    return lf->share != NULL && lf->held[LOCK_POSIX].n + lf->held[LOCK_FLOCK].n > 0;
}

/* From now on until it is given up, also when nobody holds the lock any more. */
static int bar(struct vfs *v, struct inode *i, const char *why)
{
    lock_take(&v->tree);
    i->is_barred = true;
    lock_drop(&v->tree);
    return err_set(-EIO, "%s %s", i->name, why);
}

static int lost(struct vfs *v, struct inode *i)
{
    return bar(v, i, "was written under a lock that was lost with the lease");
}

/* With change held. */
static int check_held(struct vfs *v, struct inode *i, struct lockfile *lf)
{
    bool is_barred;
    int r = lockshare_ready(v, lf);

    if (r < 0)
        return r;
    if (lf->is_lost)
        return lost(v, i);
    lock_take(&v->tree);
    is_barred = i->is_barred;
    lock_drop(&v->tree);
    if (is_barred)
        return bar(v, i, "was written under a lock, and another client changed it");
    if (!is_shared(lf))
        return 0;
    r = lockshare_check(lf);
    if (r == 0)
        r = lockshare_publish(v, lf, i->attr.id);
    if (r != SHARE_LOST)
        return r == SHARE_BUSY ? bar(v, i, "is locked by another mount") : r;
    lockshare_lost(lf);
    lockkeep_again(v, lf);
    return lost(v, i);
}

int locks_before_commit(struct vfs *v, struct inode *i)
{
    struct lockfile *lf = lockfile_known(v, i);
    int r;

    if (lf == NULL)
        return 0;
    lock_take(&lf->change);
    r = check_held(v, i, lf);
    lock_drop(&lf->change);
    lockfile_unref(v, lf);
    return r;
}

/* Is all that was written in ranges that are locked for writing? 0, -EIO. */
static int check_range(struct vfs *v, struct inode *i, const struct lockfile *lf)
{
    struct data_extent *e = NULL;
    uint64_t base_valid;
    size_t n = 0;
    int r = data_extents(i->data, &e, &n, &base_valid);

    for (size_t k = 0; k < n && r == 0; k++) {
        const struct lock_range range = {e[k].off, e[k].off + e[k].len - 1};

        if (!share_covers(lf->share, LOCK_POSIX, LOCK_TYPE_WRITE, range) &&
            !share_covers(lf->share, LOCK_FLOCK, LOCK_TYPE_WRITE, range))
            r = bar(v, i, "changed elsewhere while it was locked here for other bytes");
    }
    free(e);
    return r;
}

static int check_rebase(struct vfs *v, struct inode *i, struct lockfile *lf)
{
    int r = lockshare_ready(v, lf);

    if (r < 0)
        return r;
    if (lf->is_lost)
        return lost(v, i);
    if (!is_shared(lf))
        return 0;
    if (share_was_taken(lf->share) || (lf->id_share != NULL && share_was_taken(lf->id_share)))
        return bar(v, i, "was changed by a mount whose lock had expired");
    r = share_verify(lf->share);
    if (r == 0 && lf->id_share != NULL)
        r = share_verify(lf->id_share);
    if (r == SHARE_LOST) {
        lockshare_lost(lf);
        lockkeep_again(v, lf);
        return lost(v, i);
    }
    return r == 0 && !data_is_whole(i->data) ? check_range(v, i, lf) : r;
}

int locks_may_rebase(struct vfs *v, struct inode *i)
{
    struct lockfile *lf = lockfile_known(v, i);
    int r;

    if (lf == NULL)
        return 0;
    lock_take(&lf->change);
    r = check_rebase(v, i, lf);
    lock_drop(&lf->change);
    lockfile_unref(v, lf);
    return r;
}

void locks_gave_up(struct vfs *v, struct inode *i)
{
    struct lockfile *lf = lockfile_known(v, i);
    bool is_clean;

    if (lf == NULL)
        return;
    lock_take(&v->tree);
    is_clean = !i->is_dirty && !i->is_new;
    i->is_barred = i->is_barred && !is_clean;
    lock_drop(&v->tree);
    lock_take(&lf->change);
    if (is_clean && lf->is_lost && lf->held[LOCK_POSIX].n + lf->held[LOCK_FLOCK].n == 0) {
        lf->is_lost = false;
        lockkeep_again(v, lf);
    }
    lock_drop(&lf->change);
    lockfile_unref(v, lf);
}
