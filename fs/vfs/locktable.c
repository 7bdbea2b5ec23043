/* SPDX-License-Identifier: Apache-2.0 */
/* Which file is locked under which name (protocol 6): its id if the object in the bucket carries
 * it, else its key. */
#include "keep.h"
#include "locks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

int locktable_new(struct locktable **ret)
{
    struct locktable *t = calloc(1, sizeof(*t));

    if (t == NULL)
        return err_set(-ENOMEM, "no memory for locks");
    lock_init(&t->lock, LOCK_LOCK_TABLE);
    cond_init(&t->wake);
    *ret = t;
    return 0;
}

static void lockfile_free(struct lockfile *lf)
{
    for (unsigned k = 0; k < LOCK_KINDS; k++)
        lockset_done(&lf->held[k]);
    share_free(lf->share);
    share_free(lf->id_share);
    free(lf->kept.nodes);
    lock_done(&lf->change);
    free(lf);
}

void locktable_free(struct vfs *v)
{
    struct locktable *t = v->locks;

    if (t == NULL)
        return;
    while (t->files != NULL) {
        struct lockfile *lf = t->files;

        t->files = lf->next;
        lockfile_free(lf);
    }
    cond_done(&t->wake);
    lock_done(&t->lock);
    free(t);
    v->locks = NULL;
}

void lockfile_unref(struct vfs *v, struct lockfile *lf)
{
    struct lockfile **p = &v->locks->files;
    bool is_last;

    if (lf == NULL)
        return;
    lock_take(&v->locks->lock);
    is_last = --lf->refs == 0;
    if (is_last) {
        while (*p != lf)
            p = &(*p)->next;
        *p = lf->next;
    }
    lock_drop(&v->locks->lock);
    if (is_last && lf->kept.number != 0)
        keep_locks_gone_locked(v, lf->kept.number);
    if (is_last)
        lockfile_free(lf);
}

void inode_forget_locks_locked(struct vfs *v, struct inode *i)
{
    if (i->locks != NULL)
        lockkeep_drop_node_locked(v, i->locks, i->node);
    lockfile_unref(v, i->locks);
    i->locks = NULL;
}

bool inode_has_id_locked(const struct inode *i)
{
    const char *s = store_hdrs_get(&i->hdrs, STORE_USER_META "s3efs-id");

    return store_etag_is_set(&i->etag) && s != NULL && str_starts(s, i->attr.id);
}

bool lockfile_is_free_locked(const struct lockfile *lf)
{
    return lf->held[LOCK_POSIX].n + lf->held[LOCK_FLOCK].n == 0 && lf->waiters == NULL;
}

/* name "": of a file that no name leads to. */
static int lockfile_new(struct vfs *v, const char *name, struct lockfile **ret)
{
    struct lockfile *lf = calloc(1, sizeof(*lf));
    int r = lf != NULL ? 0 : err_set(-ENOMEM, "no memory for a lock");

    if (r == 0 && name[0] != '\0')
        r = share_new(v->coord, name, &lf->share);
    if (r == 0)
        r = str_copy(lf->name, sizeof(lf->name), name);
    if (r < 0) {
        if (lf != NULL)
            share_free(lf->share);
        free(lf);
        return r;
    }
    lock_init(&lf->change, LOCK_FILE_LOCKS);
    lf->due_ns = INT64_MAX;
    lf->poll_ns = LOCK_POLL_MIN_NS;
    *ret = lf;
    return 0;
}

static bool goes_by_locked(const struct lockfile *lf, const char *name)
{
    return name[0] != '\0' && !lf->is_out &&
           (strcmp(lf->name, name) == 0 || strcmp(lf->id_name, name) == 0);
}

static uint64_t steal_number(uint64_t *n)
{
    uint64_t was = *n;

    *n = 0;
    return was;
}

int lockfile_take_id(struct vfs *v, struct lockfile *lf, const char *id)
{
    struct lockfile *other;
    bool is_in_use = false;

    lock_take(&v->locks->lock);
    for (other = v->locks->files; other != NULL; other = other->next) {
        if (other == lf || !goes_by_locked(other, id))
            continue;
        is_in_use = other->is_changing || other->kept.is_unknown || !lockfile_is_free_locked(other);
        if (!is_in_use)
            other->is_out = true;
        if (!is_in_use && other->kept.number != 0)
            keep_locks_gone_locked(v, steal_number(&other->kept.number));
        break;
    }
    if (!is_in_use)
        memcpy(lf->id_name, id, strlen(id) + 1);
    lock_drop(&v->locks->lock);
    return is_in_use ? TRY_BUSY_THERE : 0;
}

int lockfile_get(struct vfs *v, const char *name, struct lockfile **ret)
{
    struct lockfile *made = NULL, *lf;
    int r = lockfile_new(v, name, &made);

    if (r < 0)
        return r;
    lock_take(&v->locks->lock);
    lf = v->locks->files;
    while (lf != NULL && !goes_by_locked(lf, name))
        lf = lf->next;
    if (lf == NULL) {
        lf = steal(&made);
        lf->next = v->locks->files;
        v->locks->files = lf;
    }
    lf->refs++;
    lock_drop(&v->locks->lock);
    if (made != NULL)
        lockfile_free(made);
    *ret = lf;
    return 0;
}

static void name_of_key(const char *key, char ret[LOCKFILE_NAME_SIZE])
{
    char id[33];

    objattr_id_of_name(key, id);
    snprintf(ret, LOCKFILE_NAME_SIZE, "key-%s", id);
}

int lockfile_key_name_locked(const struct vfs *v, const struct inode *i,
                             char ret[LOCKFILE_NAME_SIZE])
{
    char key[VFS_KEY_MAX + 2];
    int r = inode_key_locked(v, i, NULL, key);

    if (r == 0)
        name_of_key(key, ret);
    return r;
}

static int name_locked(const struct vfs *v, const struct inode *i, char ret[LOCKFILE_NAME_SIZE])
{
    char key[VFS_KEY_MAX + 2];
    int r;

    ret[0] = '\0';
    if (inode_has_id_locked(i))
        return str_copy(ret, LOCKFILE_NAME_SIZE, i->attr.id);
    if (i->newer_key != NULL && inode_is_stale_locked(v, i))
        r = str_copy(key, sizeof(key), i->newer_key);
    else if (inode_is_gone_locked(v, i))
        return inode_is_stale_locked(v, i) ? err_set(-ESTALE, "the file has been replaced") : 0;
    else
        r = inode_key_locked(v, i, NULL, key);
    if (r < 0)
        return r;
    name_of_key(key, ret);
    return 0;
}

static struct lockfile *ref(struct vfs *v, struct lockfile *lf)
{
    lock_take(&v->locks->lock);
    lf->refs++;
    lock_drop(&v->locks->lock);
    return lf;
}

/* The one that it has, unless its name was only the key's and the file has got its own by now. */
static struct lockfile *known_locked(struct vfs *v, struct inode *i)
{
    struct lockfile *lf = i->locks;
    bool is_out;

    if (lf == NULL)
        return NULL;
    lock_take(&v->locks->lock);
    is_out = lf->is_out || (str_starts(lf->name, "key-") && inode_has_id_locked(i) &&
                            lockfile_is_free_locked(lf) && lf->refs == 1);
    lock_drop(&v->locks->lock);
    if (!is_out)
        return lf;
    inode_forget_locks_locked(v, i);
    return NULL;
}

int lockfile_of(struct vfs *v, struct inode *i, struct lockfile **ret)
{
    char name[LOCKFILE_NAME_SIZE];
    struct lockfile *lf;
    int r = 0;

    lock_take(&v->tree);
    lf = known_locked(v, i);
    if (lf != NULL)
        *ret = ref(v, lf);
    else
        r = name_locked(v, i, name);
    lock_drop(&v->tree);
    if (lf != NULL || r < 0)
        return r;
    r = lockfile_get(v, name, &lf);
    if (r < 0)
        return r;
    lock_take(&v->tree);
    if (i->locks == NULL) {
        i->locks = ref(v, lf);
        i->lock_seen = 0;
        lockkeep_add_node_locked(v, lf, i->node);
    } else { /* somebody else was first */
        struct lockfile *ours = lf;

        lf = ref(v, i->locks);
        lockfile_unref(v, ours);
    }
    lock_drop(&v->tree);
    lockkeep_node(v, lf);
    *ret = lf;
    return 0;
}

/* A search through who waits for whom: each wait is looked at once, however many chains lead there. */
struct search {
    struct locktable *t;
    uint64_t owner; /* whose wait would close the circle */
    struct vfs_lock_wait *first, **last;
};

/* What this owner waits for is to be looked at, too. */
static void add_waits_locked(struct search *s, uint64_t owner)
{
    for (struct lockfile *lf = s->t->files; lf != NULL; lf = lf->next)
        for (struct vfs_lock_wait *w = lf->waiters; w != NULL; w = w->next) {
            if (w->want.kind != LOCK_POSIX || w->want.owner != owner || w->searched == s->t->search)
                continue;
            w->searched = s->t->search;
            w->next_searched = NULL;
            *s->last = w;
            s->last = &w->next_searched;
        }
}

/* Does a wait for `want` wait for that owner? */
static bool waits_for_locked(struct search *s, const struct lockfile *lf,
                             const struct vfs_lock *want)
{
    const struct lockset *held = &lf->held[LOCK_POSIX];

    for (size_t n = 0; n < held->n; n++) {
        const struct lockset one = {.v = &held->v[n], .n = 1};

        if (lockset_conflict(&one, want->owner, want->type, want->range) == NULL)
            continue;
        if (one.v->owner == s->owner)
            return true;
        add_waits_locked(s, one.v->owner);
    }
    return false;
}

bool lock_closes_circle_locked(struct locktable *t, const struct lockfile *lf,
                               const struct vfs_lock *l)
{
    struct search s = {.t = t, .owner = l->owner};
    bool closes;

    s.last = &s.first;
    t->search++;
    closes = waits_for_locked(&s, lf, l);
    for (const struct vfs_lock_wait *w = s.first; w != NULL && !closes; w = w->next_searched)
        closes = waits_for_locked(&s, w->file, &w->want);
    return closes;
}
