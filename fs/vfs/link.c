/* SPDX-License-Identifier: Apache-2.0 */
/* link(2), and what unlink(2) does to the names of a hard link. The record has a name in doubt
 * while its object comes or goes, so that a mount which dies leaves nothing that counts wrongly. */
#include "link.h"
#include "linked.h"
#include "removal.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "fold.h"
#include "keep.h"
#include "makedir.h"

#define TRIES 3

struct linking {
    struct inode *i, *dir;
    const char *name;
    bool is_again; /* a process that died may have made the name's object */
    char id[33], from[VFS_KEY_MAX + 2], to[VFS_KEY_MAX + 2];
    uint64_t gen;
};

int link_check_locked(struct vfs *v, const struct inode *i, const struct inode *dir, const char *name,
                      char ret_to[VFS_KEY_MAX + 2])
{
    char dir_key[VFS_KEY_MAX + 2];
    int r = 0;

    if (!inode_is_dir(dir))
        return err_set(-ENOTDIR, "not a directory");
    if (i->names == NULL || inode_is_gone_locked(v, i) || inode_is_gone_locked(v, dir))
        return err_set(-ENOENT, "it has been removed");
    if (inode_child_locked(v, dir, name) != NULL)
        return err_set(-EEXIST, "%s exists", name);
    r = inode_key_locked(v, dir, NULL, dir_key);
    if (r == 0 && name_is_hidden(v, dir_key, name))
        r = err_set(-EPERM, "%s is reserved", name);
    return r == 0 ? inode_key_locked(v, dir, name, ret_to) : r;
}

static int begin_locked(struct vfs *v, struct linking *l)
{
    int r = link_check_locked(v, l->i, l->dir, l->name, l->to);

    if (r == 0)
        r = inode_key_locked(v, l->i, NULL, l->from);
    memcpy(l->id, l->i->attr.id, sizeof(l->id));
    l->gen = l->i->attr.link_gen;
    return r;
}

/* The source says from now on that it is a hard link, of the record's generation. A mount that
 * knows it as a plain file, and may be writing, must meet that: so its ETag changes, too. */
static int mark_source(struct vfs *v, struct linking *l, uint64_t gen)
{
    uint64_t was;
    int r;

    lock_take(&v->tree);
    was = l->i->attr.link_gen;
    l->i->attr.link_gen = gen;
    commit_mark_dirty_locked(l->i);
    lock_drop(&v->tree);
    r = commit_as_link(v, l->i);
    lock_take(&v->tree);
    if (r < 0) { /* nothing of the file's own waited, so nothing is lost with it */
        l->i->attr.link_gen = was;
        l->i->is_dirty = false;
        l->i->dirty_since_ns = 0;
        l->i->failed = 0;
    }
    lock_drop(&v->tree);
    return r;
}

/* The new name's object. 0; -EEXIST; -errno. */
static int put_name(struct vfs *v, struct linking *l)
{
    struct store_hdrs hdrs = {0};
    struct store_obj now = {0};
    struct objattr attr;
    int r;

    lock_take(&v->tree);
    attr = l->i->attr;
    r = store_hdrs_copy(&hdrs, &l->i->hdrs);
    lock_drop(&v->tree);
    if (r == 0) {
        const struct link_copy c = {l->i->data, l->from, &attr, &hdrs};

        r = link_copy_to(v, &c, l->to, (struct store_cond){.kind = STORE_IF_ABSENT}, &now);
    }
    if (r == UPLOAD_EXISTS)
        r = err_set(-EEXIST, "%s was created by another client", l->to);
    if (r == UPLOAD_LANDED) /* and has been written by another client since */
        r = 0;
    store_hdrs_done(&hdrs);
    store_obj_done(&now);
    return err_fold(r);
}

/* Another mount's commit came between: the new name has what was the file before it. */
static int bring_up_new(struct vfs *v, struct linking *l, const struct link_group *g)
{
    struct store_obj obj = {0};
    uint64_t gen;
    int r = link_member(v, l->id, l->to, &obj, &gen);

    if (r == 0)
        r = link_settle(v, l->id, l->to, g, &obj, &gen);
    store_obj_done(&obj);
    return r == STORE_NOT_FOUND ? 0 : r; /* removed meanwhile, as it may be */
}

/* The name is not made after all, unless another mount has made it for the same file. Best effort:
 * one in doubt does not count. */
static void take_back(struct vfs *v, const struct linking *l)
{
    struct store_obj obj = {0};
    struct link_group g = {0};
    struct err_copy cause;
    uint64_t gen;
    int r;

    err_copy(&cause);
    r = link_member(v, l->id, l->to, &obj, &gen);
    if (r == STORE_NOT_FOUND) {
        const struct link_change c = {.gone = l->to};

        r = link_change(v, l->id, &c, &g);
    } else if (r == 0) {
        r = link_get(v->coord, l->id, &g);
        if (r == 0)
            r = link_confirm(v, l->id, l->to, &g);
    }
    if (r < 0)
        log_debug("link.take_back", "cause=%s", LOG_Q(err_text()));
    store_obj_done(&obj);
    link_group_done(&g);
    err_restore(&cause);
}

/* There is a group of this id that the source does not belong to, as far as is known here. If it
 * does by now, that must be known first; if it has left, it becomes a file of its own. */
static int leave_group(struct vfs *v, struct linking *l)
{
    struct store_obj obj = {0};
    uint64_t gen;
    int r = link_member(v, l->id, l->from, &obj, &gen);

    store_obj_done(&obj);
    take_back(v, l);
    if (r == STORE_NOT_FOUND)
        r = objattr_new_id(l->id);
    else if (r == 0)
        r = err_set(-ESTALE, "%s was changed by another mount", l->from);
    lock_take(&v->tree);
    l->i->checked_ns = 0;
    if (r == 0)
        memcpy(l->i->attr.id, l->id, sizeof(l->id));
    lock_drop(&v->tree);
    return r;
}

/* The record has another generation than what is known here. 0: there is no newer file all the same (who raised it has
 * died, or has not written yet); -ESTALE: look again; -errno. */
static int check_newest(struct vfs *v, struct linking *l, const struct link_group *g)
{
    struct store_obj obj = {0};
    uint64_t gen;
    int r = link_member(v, l->id, l->from, &obj, &gen);

    if (r == 0)
        r = link_settle(v, l->id, l->from, g, &obj, &gen);
    store_obj_done(&obj);
    if (r < 0 || (r == 0 && gen == l->gen))
        return r;
    lock_take(&v->tree);
    l->i->checked_ns = 0;
    lock_drop(&v->tree);
    return err_set(-ESTALE, "%s was changed by another mount", l->from);
}

/* The record says what is coming, and the source that it is a hard link. */
static int prepare(struct vfs *v, struct linking *l, struct link_group *g)
{
    bool is_made = false;
    const struct link_change doubt = {.member = l->gen != 0 ? l->from : NULL,
                                      .maybe = l->gen == 0 ? l->from : NULL,
                                      .maybe_too = l->to,
                                      .bytes = l->from,
                                      .generation = l->gen + 1,
                                      .ret_made = &is_made};
    int r = link_change(v, l->id, &doubt, g);

    if (r == 0 && l->gen == 0 && !is_made && strcmp(g->bytes, l->from) != 0) {
        r = leave_group(v, l);
        if (r == 0)
            r = link_change(v, l->id, &doubt, g);
    }
    crash_point("link.doubted");
    if (r < 0 || l->gen == g->generation)
        return r;
    if (l->gen == 0 || is_made)
        return mark_source(v, l, g->generation);
    return check_newest(v, l, g);
}

/* The object that is in the way says that it is this file's. */
static bool is_made(struct vfs *v, const struct linking *l)
{
    struct store_obj obj = {0};
    uint64_t gen;
    int r = link_member(v, l->id, l->to, &obj, &gen);

    store_obj_done(&obj);
    return r == 0;
}

/* In the bucket: the record in doubt, the objects, the record. r: of prepare(). */
static int link_keys(struct vfs *v, struct linking *l, struct link_group *g, int r)
{
    struct link_change done = {.member = l->from, .member_too = l->to};

    crash_point("link.marked");
    if (r == 0) {
        keep_try(v, l->i);
        r = put_name(v, l);
        if (r == -EEXIST && l->is_again && is_made(v, l))
            r = 0;
    }
    crash_point("link.named");
    if (r < 0) {
        take_back(v, l);
        return r;
    }
    done.ctime_ns = clock_wall_ns();
    r = link_change(v, l->id, &done, g);
    crash_point("link.counted");
    return r == 0 ? bring_up_new(v, l, g) : r;
}

static int make_keys(struct vfs *v, struct linking *l, uint64_t gen, struct link_group *g)
{
    int r = content_open(v, l->i);

    if (r == 0)
        r = makedir_settle(v, l->dir);
    if (r == 0)
        r = removal_settle(v, l->to);
    if (r < 0)
        return r;
    return link_keys(v, l, g, l->gen == gen ? 0 : prepare(v, l, g));
}

int link_make(struct vfs *v, struct inode *i, struct inode *dir, const char *name, uint64_t gen)
{
    struct linking l = {.i = i, .dir = dir, .name = name, .is_again = true};
    struct link_group g = {0};
    struct dentry *d;
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, i, NULL, l.from);
    if (r == 0)
        r = inode_key_locked(v, dir, name, l.to);
    memcpy(l.id, i->attr.id, sizeof(l.id));
    l.gen = i->attr.link_gen;
    lock_drop(&v->tree);
    if (r == 0)
        r = make_keys(v, &l, gen, &g);
    lock_take(&v->tree);
    d = r == 0 ? dentry_find_locked(v, dir, name) : NULL;
    if (d != NULL && d->inode == i) {
        link_set_count_locked(i, &g);
        d->checked_ns = i->names->checked_ns = clock_boot_ns();
        names_changed_locked(v, dir, name, true, false);
    }
    lock_drop(&v->tree);
    link_group_done(&g);
    return r;
}

static int add_name(struct vfs *v, struct linking *l, struct vfs_entry *ret)
{
    struct link_group g = {0};
    struct dentry *d;
    int r;

    lock_take(&v->tree);
    r = begin_locked(v, l);
    lock_drop(&v->tree);
    if (r == 0)
        r = content_open(v, l->i);
    if (r == 0)
        r = makedir_settle(v, l->dir);
    if (r == 0)
        r = removal_settle(v, l->to);
    if (r >= 0)
        r = link_keys(v, l, &g, prepare(v, l, &g));
    lock_take(&v->tree);
    if (r == 0)
        r = inode_attach_locked(v, l->i, l->dir, l->name);
    if (r == 0) {
        link_set_count_locked(l->i, &g);
        d = dentry_find_locked(v, l->dir, l->name);
        d->checked_ns = l->i->names->checked_ns = clock_boot_ns();
        names_changed_locked(v, l->dir, l->name, true, false);
        inode_touch_locked(l->dir);
        inode_entry_locked(v, l->i, ret);
    }
    lock_drop(&v->tree);
    link_group_done(&g);
    return r;
}

/* is_again: another mount's change stood in the way, so the bucket is asked first. */
static int link_once(struct vfs *v, struct linking *l, bool is_again, struct vfs_entry *ret)
{
    int r;

    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, l->i);
    r = commit_inode(v, l->i);
    if (r == 0 && is_again && l->i->names != NULL)
        r = inode_check(v, l->i, true);
    if (r == 0)
        r = add_name(v, l, ret);
    inode_io_drop(v, l->i);
    pthread_rwlock_unlock(&v->names);
    inode_tell_kernel(v, l->i);
    return r;
}

/* REL-3 */
static int send_holders(struct vfs *v, const struct linking *l)
{
    char to[VFS_KEY_MAX + 2];
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, l->dir, l->name, to);
    lock_drop(&v->tree);
    if (r == 0)
        r = outbox_unblock(v, l->i);
    return r == 0 ? outbox_send_holder(v, to, false) : r;
}

static int link_there(struct vfs *v, struct linking *l, struct vfs_entry *ret)
{
    int r;

    fold_end(v);
    r = send_holders(v, l);
    if (r == 0)
        r = link_once(v, l, false, ret);
    for (int tries = 0; r == -ESTALE && tries < TRIES; tries++)
        r = link_once(v, l, true, ret);
    return r;
}

int vfs_link(struct vfs *v, const struct vfs_ctx *x, uint64_t node, uint64_t dir_node,
             const char *name, struct vfs_entry *ret)
{
    struct linking l = {.name = name};
    int here = LINKED_NOT;
    int r = v->conf.read_only ? err_set(-EROFS, "mounted read-only") : name_check(name);

    (void)x;
    if (r == 0)
        r = inode_get(v, node, &l.i);
    if (r < 0)
        return r;
    r = inode_get(v, dir_node, &l.dir);
    if (r == 0 && inode_is_dir(l.i))
        r = err_set(-EPERM, "a directory can't have two names");
    if (r == 0)
        r = inode_revalidate(v, l.i);
    if (r == 0)
        r = enforce_name(v, l.dir, NULL);
    if (r == 0)
        here = linked_link(v, l.i, l.dir, name, ret);
    if (here != LINKED_NOT)
        r = here;
    else
        r = r == 0 ? link_there(v, &l, ret) : r;
    inode_unref(v, l.dir);
    inode_unref(v, l.i);
    return r;
}

static bool is_last_name(struct vfs *v, const struct inode *i)
{
    bool is_last;

    lock_take(&v->tree);
    is_last = i->names == NULL || i->names->other == NULL;
    lock_drop(&v->tree);
    return is_last;
}

/* The name that a key has here becomes known; by that a hard link's inode gets it. */
static int walk_to(struct vfs *v, const char *key)
{
    const char *rest = key + strlen(v->prefix), *slash;
    struct inode *dir, *next = NULL;
    int r = 0;

    if (!str_starts(key, v->prefix))
        return -ENOENT; /* out of this mount's sight */
    r = inode_get(v, VFS_ROOT, &dir);
    for (; r == 0 && *rest != '\0'; rest = *slash == '/' ? slash + 1 : slash) {
        char name[VFS_NAME_MAX + 1] = "";

        slash = strchrnul(rest, '/');
        if ((size_t)(slash - rest) >= sizeof(name))
            break;
        memcpy(name, rest, (size_t)(slash - rest));
        r = name_lookup(v, dir, name, &next);
        if (r == 0) {
            inode_unref(v, dir);
            dir = next;
        }
    }
    inode_unref(v, dir);
    return r;
}

/* The last name that is known here goes, and the file is open: what is written on belongs to the
 * others, so one of them must be known. Without any it is as with any file that is unlinked. */
static int keep_for_handles(struct vfs *v, struct inode *i, const char *key,
                            const struct link_group *g)
{
    bool is_open;

    lock_take(&v->tree);
    is_open = i->n_open > 0 && i->data != NULL;
    lock_drop(&v->tree);
    if (!is_open)
        return 0;
    for (size_t n = 0; n < g->n && is_last_name(v, i); n++)
        if (strcmp(g->v[n].key, key) != 0 && walk_to(v, g->v[n].key) < 0)
            log_debug("link.walk", "key=%s cause=%s", LOG_Q(g->v[n].key), LOG_Q(err_text()));
    return is_last_name(v, i) ? data_localise(i->data) : 0;
}

static void name_gone(struct vfs *v, struct inode *dir, struct inode *i, const char *name,
                      const struct link_group *g)
{
    struct dentry *d;

    lock_take(&v->tree);
    d = dentry_find_locked(v, dir, name);
    if (d != NULL && d->inode == i) {
        names_changed_locked(v, dir, name, false, false);
        dentry_detach_locked(v, d);
    }
    if (link_count(g) > 0 || i->names == NULL)
        i->nlink = link_count(g);
    else
        i->nlink = 1; /* the record was lost */
    i->attr.ctime_ns = clock_wall_ns();
    inode_touch_locked(dir);
    lock_drop(&v->tree);
}

int link_unlink(struct vfs *v, struct inode *dir, struct inode *i, const char *name)
{
    char key[VFS_KEY_MAX + 2], id[33];
    const struct link_change doubt = {.maybe = key};
    struct link_change gone = {.gone = key};
    struct link_group g = {0};
    int r = commit_inode(v, i); /* the bytes belong to the other names, too */

    lock_take(&v->tree);
    if (r == 0)
        r = inode_key_locked(v, dir, name, key);
    memcpy(id, i->attr.id, sizeof(id));
    lock_drop(&v->tree);
    if (r == 0)
        r = link_change(v, id, &doubt, &g);
    if (r == 0)
        r = keep_for_handles(v, i, key, &g);
    if (r == 0) {
        marker_keep(v, dir);
        keep_try(v, i);
        crash_point("link.unlink_doubted");
        r = late_unlink(v, key) ?: key_delete(v, key);
        crash_point("link.unlink_deleted");
    }
    gone.ctime_ns = clock_wall_ns();
    if (r == 0)
        r = link_change(v, id, &gone, &g);
    crash_point("link.unlink_counted");
    if (r == 0) {
        cache_obj_drop(v->cache, key);
        name_gone(v, dir, i, name, &g);
        if (link_ready(v, i) < 0) /* tried again when the file is next used */
            log_debug("link.first_name", "cause=%s", LOG_Q(err_text()));
    }
    link_group_done(&g);
    return r;
}
