/* SPDX-License-Identifier: Apache-2.0 */
/* See linked.h. What the journal is told is in outbox.c, what a start does with it in replay.c. */
#include "linked.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "absent.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "fold.h"
#include "link.h"
#include "outbox.h"
#include "relocate.h"
#include "removal.h"

#define AGAIN 1

/* Another name than its first. */
struct other {
    struct inode *dir; /* referenced */
    char name[VFS_NAME_MAX + 1], key[VFS_KEY_MAX + 2];
};

static bool waits_locked(const struct inode *i)
{
    return i->is_linking || (i->is_new && i->attr.link_gen == 0 && i->names != NULL && i->names->other != NULL);
}

bool linked_waits(struct vfs *v, const struct inode *i)
{
    bool waits;

    lock_take(&v->tree);
    waits = waits_locked(i);
    lock_drop(&v->tree);
    return waits;
}

/* Nothing of it has ever been sent, and nothing but its entry says what it is. */
static bool is_unsent_locked(const struct vfs *v, const struct inode *i)
{
    return v->conf.journal != NULL && v->conf.commit == VFS_COMMIT_LOCAL && v->conf.excl != VFS_EXCL_STRICT &&
           v->keep == NULL && S_ISREG(atomic_load(&i->type)) && i->is_new && !store_etag_is_set(&i->etag) &&
           !i->is_sent && !i->is_linking && i->locks == NULL && i->failed == 0 && outbox_can_wait_locked(v, i) &&
           outbox_waits(i) && !i->out->is_tried && i->out->from == NULL;
}

/* --- link(2) --- */

static bool is_due_locked(const struct vfs *v, const struct inode *i)
{
    unsigned n = 0;

    for (const struct dentry *d = i->names; d != NULL; d = d->other)
        n++;
    return is_unsent_locked(v, i) && i->n_writers == 0 && n <= OUTREC_LINKS;
}

static void attach_locked(struct vfs *v, struct inode *i, struct inode *dir, const char *name)
{
    if (inode_attach_locked(v, i, dir, name) < 0) { /* the entry has it: a start finds it */
        log_warn("link.local", "name=%s cause=memory", LOG_Q(name));
        return;
    }
    names_changed_locked(v, dir, name, false, false);
    inode_touch_locked(dir);
}

static int add_name(struct vfs *v, struct inode *i, struct inode *dir, const char *name, struct vfs_entry *ret)
{
    char to[VFS_KEY_MAX + 2];
    const struct outbox_names names = {.add = to};
    int r;

    lock_take(&v->tree);
    r = is_due_locked(v, i) ? link_check_locked(v, i, dir, name, to) : LINKED_NOT;
    if (r == 0 && removal_stands_locked(v, to)) /* or is held: its file's place is the bucket's to give */
        r = LINKED_NOT;
    if (r == 0)
        i->attr.ctime_ns = clock_wall_ns();
    lock_drop(&v->tree);
    if (r != 0)
        return r;
    r = outbox_rename_names(v, i, NULL, &names);
    if (r < 0) {
        log_warn("link.local", "key=%s error=%d cause=%s effect=\"linked in the bucket\"", LOG_Q(to), -r, LOG_Q(err_text()));
        return LINKED_NOT;
    }
    lock_take(&v->tree);
    attach_locked(v, i, dir, name);
    inode_entry_locked(v, i, ret);
    lock_drop(&v->tree);
    return 0;
}

/* 0: there is none, as far as a look can say; its PUT decides. */
static int check_target(struct vfs *v, struct inode *dir, const char *name)
{
    struct inode *there = NULL;
    bool is_absent;
    int r;

    lock_take(&v->tree);
    is_absent = absent_take_locked(v, dir, name);
    lock_drop(&v->tree);
    if (is_absent)
        return 0;
    r = name_lookup(v, dir, name, &there);
    if (r == 0)
        inode_unref(v, there);
    return r == -ENOENT ? 0 : r == 0 ? err_set(-EEXIST, "%s exists", name) : r;
}

int linked_link(struct vfs *v, struct inode *i, struct inode *dir, const char *name, struct vfs_entry *ret)
{
    char to[VFS_KEY_MAX + 2];
    int r;

    lock_take(&v->tree);
    r = is_due_locked(v, i) ? link_check_locked(v, i, dir, name, to) : LINKED_NOT;
    lock_drop(&v->tree);
    if (r == 0)
        r = check_target(v, dir, name);
    if (r != 0)
        return r;
    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, i);
    r = add_name(v, i, dir, name, ret);
    inode_io_drop(v, i);
    pthread_rwlock_unlock(&v->names);
    inode_tell_kernel(v, i);
    return r;
}

int linked_settle(struct vfs *v, struct inode *i)
{
    int r = 0;

    fold_end(v);
    r = outbox_unblock(v, i);
    if (r < 0)
        return r;
    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, i);
    if (linked_waits(v, i))
        r = commit_inode(v, i);
    inode_io_drop(v, i);
    pthread_rwlock_unlock(&v->names);
    inode_tell_kernel(v, i);
    return r;
}

/* --- a name that goes --- */

/* It is out of the entry already. is_first: the file stands under its next name from now on. */
static void name_gone_locked(struct vfs *v, struct inode *dir, struct inode *i, const char *name, bool is_first)
{
    struct dentry *d = dentry_find_locked(v, dir, name);

    fold_learn_locked(v, dir, i, name);
    names_changed_locked(v, dir, name, false, false);
    if (d != NULL && d->inode == i)
        dentry_detach_locked(v, d);
    i->has_lost_key = false; /* there is no object yet */
    i->attr.ctime_ns = clock_wall_ns();
    inode_touch_locked(dir);
    if (!is_first)
        return;
    i->etag = (struct store_etag){""};
    i->obj_size = 0;
    i->is_trunc = i->is_excl = true;
    i->is_replacing = i->is_over_removed = false;
    fold_renamed_locked(i);
}

/* The entry has the name no more. */
static int drop_name(struct vfs *v, struct inode *i, struct inode *dir, const char *name)
{
    char drop[VFS_KEY_MAX + 2], next[VFS_KEY_MAX + 2];
    const struct outbox_names names = {.drop = drop};
    struct outbox_place place = {.key = next, .is_trunc = true, .is_excl = true, .ctime_ns = clock_wall_ns()};
    bool is_first;
    int r;

    lock_take(&v->tree);
    is_first = i->parent == dir && strcmp(i->name, name) == 0;
    r = inode_key_locked(v, dir, name, drop);
    if (r == 0 && is_first)
        r = inode_key_locked(v, i->names->other->parent, i->names->other->name, next);
    lock_drop(&v->tree);
    if (r == 0)
        r = outbox_rename_names(v, i, is_first ? &place : NULL, &names);
    if (r < 0)
        return r;
    lock_take(&v->tree);
    name_gone_locked(v, dir, i, name, is_first);
    lock_drop(&v->tree);
    return 0;
}

int linked_unlink(struct vfs *v, struct inode *dir, struct inode *i, const char *name)
{
    bool waits, is;
    int r;

    lock_take(&v->tree);
    waits = waits_locked(i);
    is = waits && is_unsent_locked(v, i);
    lock_drop(&v->tree);
    if (!waits)
        return LINKED_NOT;
    if (!is)
        return LINKED_SETTLE;
    r = drop_name(v, i, dir, name);
    if (r == 0)
        return 0;
    log_warn("unlink.local", "name=%s error=%d cause=%s effect=\"sent first\"", LOG_Q(name), -r, LOG_Q(err_text()));
    return LINKED_SETTLE;
}

static void tell(struct vfs *v, const char *key, const char *of, int error)
{
    char why[ERR_TEXT_MAX];

    snprintf(why, sizeof(why), "%s", err_text());
    log_error("link.refused", "key=%s of=%s error=%d cause=%s effect=\"the file is under its other names\"", LOG_Q(key),
              LOG_Q(of), -error, LOG_Q(why));
    vfs_set_error(v, "%s: this name of %s could not be made: %s", key, of, why);
    atomic_fetch_add(&v->commit_errors, 1);
}

bool linked_give_up_name(struct vfs *v, struct inode *i, int error)
{
    char key[VFS_KEY_MAX + 2], name[VFS_NAME_MAX + 1], next[VFS_KEY_MAX + 2] = "";
    struct err_copy cause;
    struct inode *dir = NULL;
    bool is;

    err_copy(&cause);
    lock_take(&v->tree);
    is = outbox_waits(i) && !i->is_linking && waits_locked(i) && inode_key_locked(v, i, NULL, key) == 0 &&
         inode_key_locked(v, i->names->other->parent, i->names->other->name, next) == 0;
    if (is) {
        dir = i->parent;
        dir->refs++;
        memcpy(name, i->name, strlen(i->name) + 1);
    }
    lock_drop(&v->tree);
    is = is && drop_name(v, i, dir, name) == 0;
    err_restore(&cause);
    if (is) {
        tell(v, key, next, error);
        key_forget(v, key);
        lock_take(&v->tree);
        i->failed = 0;
        i->is_sent = false; /* that was another name's */
        i->out->retry_ns = 0;
        inode_kernel_behind_locked(v, i);
        lock_drop(&v->tree);
    }
    inode_unref(v, dir);
    return is;
}

/* --- into the bucket --- */

/* All names but the first one. *ret_from: that one's key. */
static int names_of(struct vfs *v, const struct inode *i, struct other *ret, size_t *ret_n, char *ret_from)
{
    size_t n = 0;
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, i, NULL, ret_from);
    for (const struct dentry *d = i->names != NULL ? i->names->other : NULL; d != NULL && n < OUTREC_LINKS; d = d->other) {
        if (r == 0)
            r = inode_key_locked(v, d->parent, d->name, ret[n].key);
        if (r == 0)
            r = str_copy(ret[n].name, sizeof(ret[n].name), d->name);
        if (r < 0)
            break;
        ret[n].dir = d->parent;
        ret[n++].dir->refs++;
    }
    *ret_n = n;
    lock_drop(&v->tree);
    return r;
}

static void names_done(struct vfs *v, struct other *names, size_t n)
{
    while (n > 0)
        inode_unref(v, names[--n].dir);
}

/* What a dead process had the record say stands: a name that counts is not in doubt. */
static int claim_name(struct vfs *v, const char *id, const char *from, const char *to, struct link_group *g)
{
    const struct link_change c = {.maybe = link_find(g, from) == NULL ? from : NULL,
                                  .maybe_too = link_find(g, to) == NULL ? to : NULL,
                                  .bytes = from,
                                  .generation = 1};

    return link_change(v, id, &c, g);
}

/* The record has all names, and the file is of its generation. */
static int claim(struct vfs *v, struct inode *i, const char *from, const struct other *names, size_t n, uint64_t *ret_gen)
{
    struct link_group g = {0};
    char id[33];
    int r = 0;

    lock_take(&v->tree);
    memcpy(id, i->attr.id, sizeof(id));
    lock_drop(&v->tree);
    if (outbox_is_replayed(i))
        r = link_get(v->coord, id, &g);
    for (size_t k = 0; k < n && r == 0; k++)
        r = claim_name(v, id, from, names[k].key, &g);
    lock_take(&v->tree);
    if (r == 0) {
        i->is_linking = true;
        i->attr.link_gen = *ret_gen = g.generation;
        i->nlink = (unsigned)n + 1;
    }
    lock_drop(&v->tree);
    link_group_done(&g);
    return r;
}

/* Nothing of it is in the bucket, or nobody knows. r: final, then the record goes. */
static void unclaim(struct vfs *v, struct inode *i, const char *from, const struct other *names, size_t n, int r)
{
    struct err_copy cause;
    char id[33];

    lock_take(&v->tree);
    i->is_linking = false;
    i->attr.link_gen = 0;
    memcpy(id, i->attr.id, sizeof(id));
    lock_drop(&v->tree);
    if (!outbox_is_final(r))
        return;
    err_copy(&cause);
    for (size_t k = 0; k <= n; k++) {
        const struct link_change gone = {.gone = k < n ? names[k].key : from};
        struct link_group g = {0};

        if (link_change(v, id, &gone, &g) < 0) /* names in doubt do not count */
            log_debug("link.record", "cause=%s", LOG_Q(err_text()));
        link_group_done(&g);
    }
    err_restore(&cause);
}

/* LKD-4 */
static void refuse(struct vfs *v, struct inode *i, const char *from, const struct other *o, int error)
{
    struct dentry *d;

    tell(v, o->key, from, error);
    lock_take(&v->tree);
    d = dentry_find_locked(v, o->dir, o->name);
    if (d != NULL && d->inode == i && d != i->names) {
        names_changed_locked(v, o->dir, o->name, false, false);
        dentry_detach_locked(v, d);
    }
    if (i->nlink > 1)
        i->nlink--;
    inode_kernel_behind_locked(v, i);
    lock_drop(&v->tree);
    key_forget(v, o->key);
}

/* The file is in the bucket, of generation gen as far as is known (UINT64_MAX: look); its other names follow. */
static int make_names(struct vfs *v, struct inode *i, const char *from, const struct other *names, size_t n, uint64_t gen)
{
    int r = 0;

    for (size_t k = 0; k < n && r == 0; k++) {
        r = link_make(v, i, names[k].dir, names[k].name, gen);
        if (r == -ESTALE) /* another mount was faster: tried again from what it left */
            return err_set(-EAGAIN, "%s is being written by another mount", from);
        if (r < 0 && outbox_is_final(r)) {
            refuse(v, i, from, &names[k], r);
            r = 0;
        }
    }
    return r;
}

/* A try before this one has put the file there. */
static bool is_stored(struct vfs *v, const struct inode *i)
{
    bool is;

    lock_take(&v->tree);
    is = i->is_linking && !i->is_new;
    lock_drop(&v->tree);
    return is;
}

static int put_file(struct vfs *v, struct inode *i, const char *from, const struct other *names, size_t n, bool is_waited,
                    uint64_t *ret_gen)
{
    int r = claim(v, i, from, names, n, ret_gen);

    if (r < 0 && outbox_is_final(r)) { /* there can be no links at all */
        for (size_t k = 0; k < n; k++)
            refuse(v, i, from, &names[k], r);
        return 0;
    }
    if (r == 0)
        r = commit_new_link(v, i, is_waited);
    if (r < 0 && !is_stored(v, i))
        unclaim(v, i, from, names, n, r);
    return r;
}

static void id_of(struct vfs *v, const struct inode *i, char ret[33])
{
    lock_take(&v->tree);
    memcpy(ret, i->attr.id, sizeof(i->attr.id));
    lock_drop(&v->tree);
}

/* Under its first name there is another file, or none: that name is not ours any more. made: one that is, NULL: there is none. */
static int lose_first(struct vfs *v, struct inode *i, const char *from, const struct other *made)
{
    struct dentry *first, *d = NULL;
    struct inode *dir;
    char id[33], name[VFS_NAME_MAX + 1];
    int r = made == NULL ? outbox_unsend(v, i) : 0;

    if (r < 0)
        return r;
    log_info("link.left", "key=%s", LOG_Q(from));
    lock_take(&v->tree);
    memcpy(id, i->attr.id, sizeof(id));
    first = i->names;
    dir = first->parent;
    dir->refs++;
    memcpy(name, i->name, strlen(i->name) + 1);
    if (made != NULL)
        d = dentry_find_locked(v, made->dir, made->name);
    if (d != NULL && d->inode == i && d != first) {
        dentry_put_first_locked(d);
        dentry_abandon_locked(v, first);
        i->has_lost_key = true; /* link_ready() looks at that one */
    }
    lock_drop(&v->tree);
    if (made == NULL)
        r = drop_name(v, i, dir, name);
    else
        link_lost_name(v, id, from);
    key_forget(v, from);
    inode_unref(v, dir);
    return r;
}

/* Which of the other names has an object. 0: *ret is that one's, or NULL; -errno. */
static int find_made(struct vfs *v, const struct inode *i, const struct other *names, size_t n, const struct other **ret)
{
    int r = STORE_NOT_FOUND;
    char id[33];

    *ret = NULL;
    id_of(v, i, id);
    for (size_t k = 0; k < n && r == STORE_NOT_FOUND; k++) {
        struct store_obj obj = {0};
        uint64_t gen;

        r = link_member(v, id, names[k].key, &obj, &gen);
        store_obj_done(&obj);
        if (r == 0)
            *ret = &names[k];
    }
    return r == STORE_NOT_FOUND ? 0 : r;
}

/* Of what was written since the file was sent, something needs the version that it was. */
static bool needs_base_locked(const struct inode *i)
{
    return i->data != NULL && data_is_dirty(i->data) && !data_is_whole(i->data);
}

/* Time has passed since the file was sent. 0: it is there, in the newest version; AGAIN: its names are others now; -errno. */
static int look_again(struct vfs *v, struct inode *i, const char *from, const struct other *names, size_t n, bool is_waited)
{
    const struct other *made;
    struct store_obj obj = {0};
    bool is_newer, is_changed, needs_base;
    uint64_t gen;
    char id[33];
    int r = link_ready(v, i);

    id_of(v, i, id);
    if (r == 0)
        r = link_member(v, id, from, &obj, &gen);
    lock_take(&v->tree);
    is_newer = r == 0 && !store_etag_equal(&obj.etag, &i->etag);
    is_changed = i->is_dirty;
    needs_base = needs_base_locked(i);
    lock_drop(&v->tree);
    store_obj_done(&obj);
    if (r == 0 && is_changed) /* first: the names get what the file is then */
        return commit_stored_link(v, i, is_waited);
    if (r != STORE_NOT_FOUND)
        return is_newer ? inode_check(v, i, true) : r;
    r = find_made(v, i, names, n, &made);
    if (r == 0 && (n == 0 || (made == NULL && needs_base))) /* as with any file */
        return err_set(-ESTALE, "%s was replaced or removed by another client", from);
    if (r == 0)
        r = lose_first(v, i, from, made);
    return r == 0 ? AGAIN : r;
}

/* Only names are missing in the bucket. */
static bool is_clean(struct vfs *v, const struct inode *i)
{
    bool is;

    lock_take(&v->tree);
    is = i->is_linking && !i->is_new && !i->is_dirty;
    lock_drop(&v->tree);
    return is;
}

/* One try. AGAIN: its names are others now. */
static int try_once(struct vfs *v, struct inode *i, bool is_waited)
{
    struct other names[OUTREC_LINKS];
    char from[VFS_KEY_MAX + 2];
    uint64_t gen = UINT64_MAX;
    bool is_again = is_stored(v, i);
    size_t n = 0;
    int r = names_of(v, i, names, &n, from);

    if (r == 0 && is_again)
        r = look_again(v, i, from, names, n, is_waited);
    else if (r == 0)
        r = put_file(v, i, from, names, n, is_waited, &gen);
    if (r == 0 && is_stored(v, i))
        r = make_names(v, i, from, names, n, gen);
    if (r == 0 && i->is_linking) {
        lock_take(&v->tree);
        i->is_linking = false;
        lock_drop(&v->tree);
        outbox_sent(v, i);
    }
    names_done(v, names, n);
    return r;
}

int linked_commit(struct vfs *v, struct inode *i, bool is_waited)
{
    int r = AGAIN;

    while (r == AGAIN)
        r = linked_waits(v, i) ? try_once(v, i, is_waited) : 0;
    if (r < 0 && outbox_is_final(r) && is_clean(v, i)) /* who gives it up gives up names that were answered */
        r = err_set(-EIO, "%s", err_text());
    return r;
}
