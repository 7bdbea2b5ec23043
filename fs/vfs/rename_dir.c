/* SPDX-License-Identifier: Apache-2.0 */
/* Renaming a directory, under an intent (protocol 8): every key below it is copied under the new
 * prefix, in parallel; when all are there the intent says so, and from then on the new name holds;
 * then the old keys go. A failure before that removes the copies again; after it, and after a crash
 * anywhere, the rename is carried on by this mount or another one (mend.c). Files with unsaved
 * bytes are committed first. */
#include "keep.h"
#include "makedir.h"
#include "relocate.h"
#include "removal.h"
#include "rename.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"

#define ROUNDS 4 /* of settling removals while others go on */

/* What was written below top before this began is in the bucket when it returns. Who goes on writing
 * is not waited for: that is no part of the copies, and goes to the new name. */
static int commit_tree(struct vfs *v, struct inode *top)
{
    const int64_t began = clock_boot_ns();

    for (;;) {
        struct inode *found;
        int r;

        lock_take(&v->tree);
        found = inode_find_dirty_locked(top, began);
        if (found != NULL)
            found->refs++;
        lock_drop(&v->tree);
        if (found == NULL)
            return 0;
        inode_io_take(v, found);
        r = commit_inode(v, found);
        inode_io_drop(v, found);
        inode_unref(v, found);
        if (r < 0)
            return r;
    }
}

static int by_target(const void *a, const void *b)
{
    const struct moved *x = a, *y = b;

    return strcmp(x->to, y->to);
}

/* Below top everything has a new key and a new ETag: the files that are known here go on from
 * those. Nobody commits or opens meanwhile (names is held for writing). */
static void rebase(struct vfs *v, const struct move *m)
{
    for (size_t n = 0; n < m->n; n++) {
        struct moved *one = &m->all[n];
        struct data_file *f;

        if (one->inode == NULL)
            continue;
        lock_take(&v->tree);
        f = one->inode->data != NULL ? data_file_ref(one->inode->data) : NULL;
        lock_drop(&v->tree);
        if (f != NULL)
            data_committed(f, one->to, &one->now, one->inode->moved_change);
        data_file_unref(f);
        lock_take(&v->tree);
        if (f != NULL) /* else a lookup has found the new name by itself */
            inode_moved_locked(one->inode, &one->now);
        keep_node_locked(v, one->inode);
        inode_unref_locked(v, one->inode);
        lock_drop(&v->tree);
        one->inode = NULL;
    }
}

static void find_known_locked(struct vfs *v, const struct move *m, struct inode *top)
{
    for (struct dentry *d = top->child, *next; d != NULL; d = next) {
        char key[VFS_KEY_MAX + 2];
        struct moved want = {.to = key}, *one = NULL;
        struct inode *i = d->inode;

        next = d->next;
        i->checked_ns = 0;
        if (inode_is_dir(i))
            find_known_locked(v, m, i);
        else if (m->n > 0 && i->data != NULL && i->names == d &&
                 inode_key_locked(v, i, NULL, key) == 0)
            one = bsearch(&want, m->all, m->n, sizeof(*m->all), by_target);
        if (one == NULL || !one->is_copied)
            continue;
        if (store_etag_equal(&one->etag, &i->etag)) {
            one->inode = i;
            i->refs++;
        } else { /* another client's version was copied: who has the old one open keeps that */
            dentry_abandon_locked(v, d);
        }
    }
}

static int check_target(struct vfs *v, struct inode *over, const char *to)
{
    struct store_req req = {.op = STORE_LIST, .prefix = to, .max_keys = 2};
    struct store_rsp rsp = {0};
    int r = err_fold(store_call(v->store, &req, &rsp));

    for (size_t i = 0; r == 0 && i < rsp.list.n; i++)
        if (strcmp(rsp.list.v[i].key, to) != 0)
            r = err_set(-ENOTEMPTY, "the target directory is not empty");
    if (r == 0 && over != NULL) {
        lock_take(&v->tree);
        for (const struct dentry *d = over->child; d != NULL && r == 0; d = d->next)
            if (d->inode->is_new)
                r = err_set(-ENOTEMPTY, "the target directory is not empty");
        lock_drop(&v->tree);
    }
    if (r == 0 && rsp.list.n > 0)
        r = key_delete(v, to);
    store_rsp_done(&rsp);
    return r;
}

struct inode_list {
    struct inode **v;
    size_t n, cap;
};

/* Files below top that have content here; referenced. */
static int list_content_locked(struct inode *top, struct inode_list *l)
{
    int r = 0;

    for (struct dentry *d = top->child; d != NULL && r == 0; d = d->next) {
        struct inode *i = d->inode;

        if (inode_is_dir(i)) {
            r = list_content_locked(i, l);
            continue;
        }
        if (i->data == NULL)
            continue;
        if (l->n == l->cap) {
            size_t cap = l->cap != 0 ? 2 * l->cap : 64;
            struct inode **more = realloc(l->v, cap * sizeof(*more));

            if (more == NULL)
                return -ENOMEM;
            l->v = more;
            l->cap = cap;
        }
        l->v[l->n++] = i;
        i->refs++;
    }
    return r;
}

/* Its bytes come here, if it is open; what is written from now on is in no copy. A lookup that
 * finds another version drops the content of a file that nobody has open: then there is none. */
static int localise_one(struct vfs *v, struct inode *i)
{
    struct data_file *f;
    bool is_open;
    int r;

    inode_io_take(v, i);
    r = commit_inode(v, i);
    if (r == 0 && !outbox_waits(i))
        r = outbox_forget(v, i); /* or the old name would come back */
    lock_take(&v->tree);
    f = i->data != NULL ? data_file_ref(i->data) : NULL;
    is_open = i->n_open > 0;
    lock_drop(&v->tree);
    if (f != NULL)
        i->moved_change = data_change(f);
    inode_io_drop(v, i);
    if (r == 0 && is_open && f != NULL)
        r = data_localise(f);
    data_file_unref(f);
    return r;
}

/* Open files read on although their keys go away: their bytes come here first. */
static int localise_open(struct vfs *v, struct inode *top)
{
    struct inode_list l = {0};
    int r;

    lock_take(&v->tree);
    r = list_content_locked(top, &l);
    lock_drop(&v->tree);
    for (size_t n = 0; n < l.n; n++) {
        if (r == 0)
            r = localise_one(v, l.v[n]);
        inode_unref(v, l.v[n]);
    }
    free(l.v);
    return r;
}

static int prepare(struct move *m, struct inode *i, struct inode *over)
{
    int r = commit_tree(m->v, i);

    if (r == 0)
        r = makedir_forget_below(m->v, i);
    if (r == 0)
        r = localise_open(m->v, i);
    return r == 0 ? check_target(m->v, over, m->claim->what.to) : r;
}

/* Everything is under the new name when this gives 0; else nothing is, or the intent is left to
 * whoever carries it on. */
static int move_keys(struct move *m)
{
    struct err_copy cause;
    int r = move_copy_all(m);

    crash_point("rename.dir_copied");
    if (r == 0) {
        r = intents_advance(m->v, m->claim, INTENT_COPIED);
        crash_point("rename.dir_holds");
        if (r < 0)
            intents_end(m->v, m->claim, r); /* it may hold by now: not to be undone */
        return r;
    }
    err_copy(&cause);
    if (move_undo(m) == 0)
        intents_withdraw(m->v, m->claim);
    else
        intents_end(m->v, m->claim, r);
    err_restore(&cause);
    return r;
}

/* The tree here follows the bucket. */
static void move_tree(struct move *m, const struct rename_names *n, struct inode *i,
                      struct inode *over)
{
    struct vfs *v = m->v;

    lock_take(&v->tree);
    names_moved_locked(v);
    intents_show_locked(v, m->claim);
    if (over != NULL && over->parent != NULL)
        inode_abandon_locked(v, over);
    inode_detach_locked(v, i);
    (void)inode_attach_locked(v, i, n->new_dir,
                              n->new_name); /* no memory: found again by the next lookup */
    find_known_locked(v, m, i);
    i->checked_ns = 0;
    i->attr.ctime_ns = clock_wall_ns();
    subdirs_remove_locked(n->dir);
    if (over == NULL)
        subdirs_add_locked(n->new_dir);
    inode_touch_locked(n->dir);
    inode_touch_locked(n->new_dir);
    lock_drop(&v->tree);
    rebase(v, m);
    cache_list_drop(v->cache, m->claim->what.from);
    cache_list_drop(v->cache, m->claim->what.to);
    listing_forget(v, n->dir);
    listing_forget(v, n->new_dir);
}

static int rename_claimed(struct vfs *v, const struct rename_names *n, struct inode *i,
                          struct inode *over, struct intent_claim *cl)
{
    struct move m;
    int r;

    crash_point("rename.dir_claimed");
    move_init(&m, v, cl, true);
    r = prepare(&m, i, over);
    if (r < 0)
        intents_withdraw(v, cl);
    else
        r = move_keys(&m);
    if (r == 0) {
        move_tree(&m, n, i, over);
        marker_keep(v, n->dir);
        r = move_delete_all(&m);
        crash_point("rename.dir_deleted");
        intents_end(v, cl, r);
        crash_point("rename.dir_ended");
    }
    move_done(&m);
    return r;
}

/* Of the directory as it is, and as it is to be; both end with a slash. */
static int keys_of(struct vfs *v, const struct rename_names *n, const struct inode *i, char *ret_from,
                   char *ret_to)
{
    int r;

    lock_take(&v->tree);
    r = i->parent == n->dir ? inode_key_locked(v, i, NULL, ret_from)
                            : err_set(-ENOENT, "renamed or removed meanwhile");
    if (r == 0)
        r = inode_key_locked(v, n->new_dir, n->new_name, ret_to);
    lock_drop(&v->tree);
    if (r == 0 && strlen(ret_to) >= VFS_KEY_MAX)
        r = err_set(-ENAMETOOLONG, "the key would be longer than %d bytes", VFS_KEY_MAX);
    if (r == 0)
        memcpy(ret_to + strlen(ret_to), "/", 2);
    return r;
}

/* With names held for writing. */
static int rename_held(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over)
{
    struct intent_claim cl = {.both = true, .what.is_dir = true};
    char from[VFS_KEY_MAX + 2], to[VFS_KEY_MAX + 2], name[VFS_KEY_MAX + 2];
    int r = keys_of(v, n, i, from, to);

    if (r < 0)
        return r;
    memcpy(name, to, strlen(to) + 1);
    name[strlen(name) - 1] = '\0';
    if (over != NULL) { /* there, also where only its keys say so */
        lock_take(&v->tree);
        cl.what.target = store_etag_is_set(&over->etag) ? over->etag : store_etag_make("implied");
        lock_drop(&v->tree);
    }
    if (relocate_is_held(v, name))
        return RENAME_AGAIN;
    r = removal_settle(v, name);
    if (r != 0)
        return r < 0 ? r : err_set(-EEXIST, "%s is there again", name);
    if (str_starts(to, from))
        return err_set(-EINVAL, "a directory can't move into itself");
    r = removal_settle_below(v, from, true) ?: removal_settle_below(v, to, true);
    if (r < 0)
        return r;
    r = str_copy(cl.what.from, sizeof(cl.what.from), from);
    if (r == 0)
        r = str_copy(cl.what.to, sizeof(cl.what.to), to);
    if (r == 0)
        r = intents_claim(v, &cl);
    return r == 0 ? rename_claimed(v, n, i, over, &cl) : r;
}

/* The removals that wait below both names are done before all others have to wait for the lock; so are those that come
 * meanwhile, but not for ever: who holds it does the last ones. */
static int take_names_settled(struct vfs *v, const struct rename_names *n, const struct inode *i)
{
    char from[VFS_KEY_MAX + 2], to[VFS_KEY_MAX + 2];

    for (unsigned round = 1;; round++) {
        int r = keys_of(v, n, i, from, to);

        if (r == 0)
            r = removal_settle_below(v, from, false) ?: removal_settle_below(v, to, false);
        if (r < 0)
            return r;
        names_take_all(v);
        if (round == ROUNDS ||
            (removal_newest_below(v, from) == 0 && removal_newest_below(v, to) == 0 &&
             !relocate_holds_below(v, from) && !relocate_holds_below(v, to)))
            return 0;
        pthread_rwlock_unlock(&v->names);
    }
}

/* Both directories themselves, and what the new name is in, are in the bucket as they are here. With names held. */
static int settle_held(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over)
{
    int r = makedir_ready(v, i);

    if (r == 0 && over != NULL)
        r = makedir_ready(v, over);
    return r ?: makedir_settle(v, n->new_dir);
}

static int settle_dirs(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over)
{
    int r;

    pthread_rwlock_rdlock(&v->names);
    r = settle_held(v, n, i, over);
    pthread_rwlock_unlock(&v->names);
    return r;
}

int rename_dir(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over)
{
    int r = settle_dirs(v, n, i, over);

    if (r == 0)
        r = take_names_settled(v, n, i);
    if (r < 0)
        return r;
    r = settle_held(v, n, i, over) ?: rename_held(v, n, i, over); /* attributes may have been set meanwhile */
    pthread_rwlock_unlock(&v->names);
    return r;
}
