/* SPDX-License-Identifier: Apache-2.0 */
/* Names of a hard link that move or are replaced. The record is the intent: it has the new name in
 * doubt before its object is written, and the old one before it goes, so that whoever looks after a
 * crash finds the file under at least one of them and counts rightly. */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "link.h"
#include "rename.h"

#define TRIES 8 /* against a target that other clients replace meanwhile */

struct renaming {
    const struct rename_names *n;
    struct inode *i, *over;
    char id[33], from[VFS_KEY_MAX + 2], to[VFS_KEY_MAX + 2];
    struct store_etag source;
    struct store_obj now;
};

/* The old name must still be one of the file's. */
static int check_source(struct vfs *v, struct renaming *m)
{
    struct store_obj obj = {0};
    uint64_t gen;
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, m->n->dir, m->n->name, m->from);
    if (r == 0)
        r = inode_key_locked(v, m->n->new_dir, m->n->new_name, m->to);
    memcpy(m->id, m->i->attr.id, sizeof(m->id));
    lock_drop(&v->tree);
    if (r == 0)
        r = link_member(v, m->id, m->from, &obj, &gen);
    m->source = obj.etag;
    store_obj_done(&obj);
    return r == STORE_NOT_FOUND
               ? err_set(-ESTALE, "%s was replaced or removed by another client", m->from)
               : r;
}

/* The new name's object, over whatever is there at that moment. */
static int put_target(struct vfs *v, struct renaming *m, unsigned flags)
{
    struct store_cond cond = {.kind = STORE_IF_ABSENT};
    struct store_hdrs hdrs = {0};
    struct objattr attr;
    int r;

    lock_take(&v->tree);
    attr = m->i->attr;
    r = store_hdrs_copy(&hdrs, &m->i->hdrs);
    if (m->over != NULL && store_etag_is_set(&m->over->etag))
        cond = (struct store_cond){STORE_IF_MATCH, m->over->etag};
    lock_drop(&v->tree);
    for (int tries = 0; r == 0; tries++) {
        const struct link_copy c = {m->i->data, m->from, &attr, &hdrs};

        store_obj_done(&m->now);
        m->now = (struct store_obj){0};
        r = link_copy_to(v, &c, m->to, cond, &m->now);
        if (r == UPLOAD_LANDED) { /* and another client has written there since: that stays */
            r = data_follow(m->i->data, m->to, &m->now);
            lock_take(&v->tree);
            m->i->attr.size = data_size(m->i->data);
            inode_kernel_behind_locked(m->i);
            lock_drop(&v->tree);
            break;
        }
        if (r <= 0)
            break;
        if (tries == TRIES || (flags & RENAME_NOREPLACE) != 0) {
            r = err_set(r == UPLOAD_EXISTS ? -EEXIST : -EAGAIN,
                        "%s is being written by another client", m->to);
            break;
        }
        if (r == UPLOAD_GONE)
            cond = (struct store_cond){.kind = STORE_IF_ABSENT};
        else
            cond = (struct store_cond){STORE_IF_MATCH, m->now.etag};
        r = 0;
    }
    store_hdrs_done(&hdrs);
    return r;
}

/* Only as the version that was a member: what another client put there since is its own. */
static int delete_source(struct vfs *v, const struct renaming *m)
{
    struct store_req req = {.op = STORE_DELETE, .key = m->from};
    struct store_rsp rsp = {0};
    int r;

    if (v->conf.caps.delete_match)
        req.cond = (struct store_cond){STORE_IF_MATCH, m->source};
    r = store_call(v->store, &req, &rsp);
    store_rsp_done(&rsp);
    key_forget(v, m->from);
    return r == STORE_NOT_FOUND || r == STORE_PRECONDITION ? 0 : err_fold(r);
}

static void replace_locked(struct vfs *v, const struct renaming *m)
{
    struct dentry *d = dentry_find_locked(v, m->n->new_dir, m->n->new_name);

    if (d == NULL || d->inode == m->i)
        return;
    d->inode->attr.ctime_ns = clock_wall_ns();
    if (d->inode->names == d && d->other == NULL)
        d->inode->is_new = d->inode->is_dirty = false;
    dentry_detach_locked(v, d);
}

/* The new name is the first, since its version is the one that is known. */
static void move_name_locked(struct vfs *v, const struct renaming *m, const struct link_group *g)
{
    const struct rename_names *n = m->n;
    struct inode *i = m->i;
    struct dentry *d;

    replace_locked(v, m);
    d = dentry_find_locked(v, n->dir, n->name);
    if (d != NULL && d->inode == i)
        dentry_detach_locked(v, d);
    d = dentry_find_locked(v, n->new_dir, n->new_name);
    if (d == NULL && inode_attach_locked(v, i, n->new_dir, n->new_name) == 0)
        d = dentry_find_locked(v, n->new_dir, n->new_name);
    if (d != NULL)
        dentry_put_first_locked(d);
    inode_moved_locked(i, &m->now);
    i->has_lost_key = false;
    i->checked_ns = clock_boot_ns();
    if (d != NULL)
        d->checked_ns = i->checked_ns;
    i->attr.ctime_ns = clock_wall_ns();
    link_set_count_locked(i, g);
    names_changed_locked(v, n->dir, n->name, false, false);
    names_changed_locked(v, n->new_dir, n->new_name, true, false);
    inode_touch_locked(n->dir);
    inode_touch_locked(n->new_dir);
}

static int rename_keys(struct vfs *v, struct renaming *m, unsigned flags, struct link_group *g)
{
    const struct link_change doubt = {.maybe = m->to};
    const struct link_change both = {
        .member = m->to, .maybe = m->from, .ctime_ns = clock_wall_ns()};
    const struct link_change done = {.gone = m->from, .ctime_ns = clock_wall_ns()};
    int r = link_change(v, m->id, &doubt, g);

    if (r == 0)
        r = put_target(v, m, flags);
    if (r == 0)
        r = link_change(v, m->id, &both, g);
    if (r == 0) {
        marker_keep(v, m->n->dir);
        r = delete_source(v, m);
    }
    return r == 0 ? link_change(v, m->id, &done, g) : r;
}

int link_rename(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over,
                unsigned flags)
{
    struct renaming m = {.n = n, .i = i, .over = over};
    struct link_group g = {0};
    uint64_t change = 0;
    int r = check_source(v, &m);

    if (r == 0)
        r = inode_check(v, i, true);
    if (r == 0)
        r = content_open(v, i);
    if (r == 0) {
        change = data_change(i->data);
        r = rename_keys(v, &m, flags, &g);
    }
    if (r == 0) {
        data_committed(i->data, m.to, &m.now, change);
        lock_take(&v->tree);
        move_name_locked(v, &m, &g);
        lock_drop(&v->tree);
    }
    link_group_done(&g);
    store_obj_done(&m.now);
    return r;
}

/* 0 where it is no hard link. */
static int change_over(struct vfs *v, struct inode *over, const struct link_change *c,
                       struct link_group *g)
{
    char id[33];
    bool is_link;

    lock_take(&v->tree);
    is_link = over->attr.link_gen != 0;
    memcpy(id, over->attr.id, sizeof(id));
    lock_drop(&v->tree);
    return is_link ? link_change(v, id, c, g) : 0;
}

int link_replacing(struct vfs *v, struct inode *over, const char *key)
{
    const struct link_change c = {.maybe = key};
    struct link_group g = {0};
    int r = change_over(v, over, &c, &g);

    link_group_done(&g);
    return r;
}

void link_replaced(struct vfs *v, struct inode *over, const char *key)
{
    const struct link_change c = {.gone = key, .ctime_ns = clock_wall_ns()};
    struct link_group g = {0};
    int r = change_over(v, over, &c, &g);

    if (r < 0) /* in doubt there, so it does not count */
        log_warn("link.record", "key=%s cause=%s", LOG_Q(key), LOG_Q(err_text()));
    lock_take(&v->tree);
    if (r == 0 && over->attr.link_gen != 0) {
        link_set_count_locked(over, &g);
        if (over->names == NULL)
            over->nlink = link_count(&g);
    }
    lock_drop(&v->tree);
    link_group_done(&g);
}

void link_moved(struct vfs *v, const struct store_obj *copy, const char *from, const char *to)
{
    const struct link_change c = {.gone = from, .member = to};
    struct link_group g = {0};
    char id[33];

    if (link_gen_of(v, to, copy, id) == 0)
        return;
    if (link_change(v, id, &c, &g) < 0)
        log_warn("link.record", "key=%s cause=%s", LOG_Q(to), LOG_Q(err_text()));
    link_group_done(&g);
}
