/* SPDX-License-Identifier: Apache-2.0 */
/* What the bucket says of a file's locks, under one name or, while a file gets its id, two. */
#include "locks.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

bool lockshare_is_by_key(const struct lockfile *lf)
{
    return str_starts(lf->name, "key-");
}

static void sets_done(struct lockset sets[LOCK_KINDS])
{
    for (unsigned k = 0; k < LOCK_KINDS; k++)
        lockset_done(&sets[k]);
}

/* What the owners hold together, with `want` in the place of held[kind]. */
static int together(const struct lockfile *lf, enum lock_kind kind, const struct lockset *want,
                    struct lockset ret[LOCK_KINDS])
{
    int r = 0;

    for (unsigned k = 0; k < LOCK_KINDS && r == 0; k++)
        r = lockset_union(k == kind ? want : &lf->held[k], 0, &ret[k]);
    return r;
}

static int set_both(struct lockfile *lf, const struct lockset *sets)
{
    int r = share_set(lf->share, sets);

    if (r == 0 && lf->id_share != NULL)
        r = share_set(lf->id_share, sets);
    return r;
}

/* What a dead daemon's owners held together, and would if its last change had been made. */
static int sets_of(const struct lockfile *lf, struct lockset *ret_now, struct lockset *held, struct lockset *want)
{
    const struct vfs_lock *l = &lf->kept.change;
    int r = lockset_copy(&lf->held[l->kind], ret_now);

    if (r == 0 && lf->kept.is_changing)
        r = lockset_set(ret_now, l->owner, l->pid, l->type, l->range);
    if (r == 0)
        r = together(lf, l->kind, &lf->held[l->kind], held);
    return r == 0 ? together(lf, l->kind, ret_now, want) : r;
}

static void note_publishing(struct vfs *v, struct lockfile *lf, bool is_publishing)
{
    lock_take(&v->locks->lock);
    lf->kept.is_publishing = is_publishing;
    lock_drop(&v->locks->lock);
}

/* The id's record may say it or not, and nobody relies on it: it says nothing, and whoever needs it comes again. */
static int withdraw_id(struct vfs *v, struct lockfile *lf)
{
    const struct lockset none[LOCK_KINDS] = {0};
    bool is_none;
    int r = share_resume(lf->id_share, lf->kept.session, none, none, &is_none);

    if (r != 0)
        return r;
    lock_take(&v->locks->lock);
    lf->kept.is_publishing = false;
    lf->id_name[0] = '\0';
    lock_drop(&v->locks->lock);
    share_free(lf->id_share);
    lf->id_share = NULL;
    return 0;
}

/* 0, SHARE_LOST, -errno. */
static int resume(struct vfs *v, struct lockfile *lf, const struct lockset *held, const struct lockset *want, bool *ret_is_want)
{
    bool is_want = false;
    int r = share_resume(lf->share, lf->kept.session, held, want, ret_is_want);

    if (r == 0 && lf->id_share != NULL) {
        r = lf->kept.is_publishing ? withdraw_id(v, lf) : share_resume(lf->id_share, lf->kept.session, held, want, &is_want);
        *ret_is_want = *ret_is_want || is_want;
        if (r != 0)
            share_forget(lf->share);
    }
    if (r == 0 && lf->kept.was_taken)
        share_note_taken(lf->share);
    return r;
}

int lockshare_ready(struct vfs *v, struct lockfile *lf)
{
    struct lockset held[LOCK_KINDS] = {0}, want[LOCK_KINDS] = {0}, now = {0};
    bool is_want = false;
    int r;

    if (!lf->is_taken)
        return 0;
    r = sets_of(lf, &now, held, want);
    if (r == 0)
        r = resume(v, lf, held, want, &is_want);
    if (r < 0)
        goto out;
    if (is_want)
        lock_put_held(v, lf, lf->kept.change.kind, &now, false);
    lock_take(&v->locks->lock);
    lf->is_taken = lf->kept.is_unknown = lf->kept.is_changing = false;
    lock_drop(&v->locks->lock);
    if (r == 0 && lf->id_share != NULL && set_both(lf, is_want ? want : held) > 0)
        r = SHARE_LOST; /* one of the two was behind, and another mount was faster */
    if (r > 0)
        lockshare_lost(lf);
    lockkeep_again(v, lf);
out:
    sets_done(held);
    sets_done(want);
    lockset_done(&now);
    return r < 0 ? r : 0;
}

int lockshare_set(struct vfs *v, struct lockfile *lf, enum lock_kind kind, const struct lockset *want)
{
    struct lockset sets[LOCK_KINDS] = {0}, before[LOCK_KINDS] = {0};
    int r;

    if (lf->share == NULL)
        return 0;
    r = together(lf, kind, want, sets);
    if (r == 0)
        r = together(lf, kind, &lf->held[kind], before);
    if (r == 0)
        r = set_both(lf, sets);
    if (r == 0 && lf->kept.is_publishing) /* the caller writes it (KEEP-6) */
        note_publishing(v, lf, false);
    /* Half a lock is none. What this can't undo is in doubt, and is settled later. */
    if (r == SHARE_BUSY && lf->id_share != NULL && share_set(lf->share, before) != 0)
        log_debug("locks.undo", "name=%s cause=%s", lf->name, LOG_Q(err_text()));
    sets_done(sets);
    sets_done(before);
    return r;
}

void lockshare_lost(struct lockfile *lf)
{
    log_warn("locks.lost", "name=%s", lf->name);
    share_forget(lf->share);
    if (lf->id_share != NULL)
        share_forget(lf->id_share);
    lf->is_lost = lf->held[LOCK_POSIX].n + lf->held[LOCK_FLOCK].n > 0;
}

int lockshare_publish(struct vfs *v, struct lockfile *lf, const char *id)
{
    struct lockset sets[LOCK_KINDS] = {0};
    int r = 0;

    if (lf->share == NULL || !lockshare_is_by_key(lf))
        return 0;
    if (lf->id_share == NULL || strcmp(lf->id_name, id) != 0) {
        struct share *share;

        r = share_new(v->coord, id, &share);
        if (r < 0)
            return r;
        if (lockfile_take_id(v, lf, id) != 0) {
            share_free(share);
            return SHARE_BUSY; /* of this mount's own, through another node */
        }
        /* An id that was given up for another's (protocol 2) is nobody's: its record can wait. */
        share_free(lf->id_share);
        lf->id_share = share;
        note_publishing(v, lf, true);
        lockkeep_again(v, lf); /* before the bucket says it */
    }
    r = together(lf, LOCK_POSIX, &lf->held[LOCK_POSIX], sets);
    if (r == 0)
        r = share_set(lf->id_share, sets);
    sets_done(sets);
    if (r == 0 && lf->kept.is_publishing) { /* before anything relies on it */
        note_publishing(v, lf, false);
        lockkeep_again(v, lf);
    }
    return r;
}

int lockshare_check(struct lockfile *lf)
{
    int r = lf->share != NULL ? share_check(lf->share) : 0;

    return r == 0 && lf->id_share != NULL ? share_check(lf->id_share) : r;
}

int lockshare_ask_key(struct vfs *v, struct inode *i, struct lockfile *lf, const struct vfs_lock *l)
{
    const struct lock_entry want = {.range = l->range, .type = l->type};
    char name[LOCKFILE_NAME_SIZE];
    struct lock_entry holder;
    struct share *share;
    int r;

    if (l->type == LOCK_TYPE_NONE || lf->share == NULL || lockshare_is_by_key(lf) ||
        lf->is_key_free)
        return 0;
    lock_take(&v->tree);
    r = inode_is_gone_locked(v, i) ? -ENOENT : lockfile_key_name_locked(v, i, name);
    lock_drop(&v->tree);
    if (r < 0) /* no name leads to it: nobody makes it there */
        return 0;
    r = share_new(v->coord, name, &share);
    if (r < 0)
        return r;
    r = share_test(share, l->kind, &want, &holder);
    share_free(share);
    lf->is_key_free = r == 0;
    return r;
}
