/* SPDX-License-Identifier: Apache-2.0 */
/* Names of a hard link that move or are replaced. The record has the new name in doubt before its
 * object is written, and the old one before it goes, so that whoever looks after a crash finds the
 * file under at least one of them and counts rightly. An intent stands meanwhile, as for any file
 * (rename.c): it makes one of two mounts that rename the name lose, tells those that write or remove
 * it where DELETE knows no conditions (late.c), and has another mount finish what this one left. */
#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "keep.h"
#include "link.h"
#include "rename.h"

#define TRIES 8 /* against a target that other clients replace meanwhile */

struct renaming {
    const struct rename_names *n;
    struct inode *i, *over;
    struct intent_claim cl; /* from, to, id, and the source as it was claimed */
    uint64_t gen;           /* of the source */
    struct store_obj now;
    bool is_newer; /* another mount committed meanwhile: the new name has that */
    bool is_left;  /* and the old one stays, as the new one is another file by now */
};

static int name_keys(struct vfs *v, struct renaming *m, bool *ret_is_first)
{
    char from[VFS_KEY_MAX + 2], to[VFS_KEY_MAX + 2], first[VFS_KEY_MAX + 2];
    struct intent *what = &m->cl.what;
    int r;

    m->cl.both = !v->conf.caps.delete_match;
    lock_take(&v->tree);
    r = inode_key_locked(v, m->n->dir, m->n->name, from);
    if (r == 0)
        r = inode_key_locked(v, m->n->new_dir, m->n->new_name, to);
    if (r == 0)
        r = inode_key_locked(v, m->i, NULL, first);
    *ret_is_first = r == 0 && !m->i->has_lost_key && strcmp(first, from) == 0;
    what->source = m->i->etag;
    if (m->over != NULL)
        what->target = m->over->etag;
    memcpy(what->id, m->i->attr.id, sizeof(what->id));
    lock_drop(&v->tree);
    if (r == 0)
        r = str_copy(what->from, sizeof(what->from), from);
    return r == 0 ? str_copy(what->to, sizeof(what->to), to) : r;
}

/* The old name must still be one of the file's. *ret_differs: in another version than is known. */
static int look_at_source(struct vfs *v, struct renaming *m, bool *ret_differs)
{
    struct intent *what = &m->cl.what;
    struct store_obj obj = {0};
    int r = link_member(v, what->id, what->from, &obj, &m->gen);

    *ret_differs = r == 0 && !store_etag_equal(&obj.etag, &what->source);
    if (r == 0)
        what->source = obj.etag;
    store_obj_done(&obj);
    return r == STORE_NOT_FOUND
               ? err_set(-ESTALE, "%s was replaced or removed by another client", what->from)
               : r;
}

/* The names, and the source as the intent has it: it is looked at once more when it is claimed. */
static int claim(struct vfs *v, struct renaming *m)
{
    bool is_known, differs = true;
    int r = name_keys(v, m, &is_known);

    if (r == 0 && !is_known)
        r = look_at_source(v, m, &differs);
    for (int tries = 0; r == 0; tries++) {
        r = intents_claim(v, &m->cl);
        if (r != 0)
            return r;
        r = look_at_source(v, m, &differs);
        if (r == 0 && !differs)
            return 0;
        intents_withdraw(v, &m->cl);
        if (r == 0 && tries == TRIES)
            r = err_set(-EAGAIN, "%s is being written by another client", m->cl.what.from);
    }
    return r;
}

/* What is here of the file is copied: it must be as new as what will be deleted. */
static int get_ready(struct vfs *v, struct renaming *m)
{
    int r = inode_check(v, m->i, true);

    if (r == 0)
        r = content_open(v, m->i);
    lock_take(&v->tree);
    if (r == 0 && m->i->attr.link_gen < m->gen) {
        m->i->checked_ns = 0;
        r = RENAME_AGAIN;
    }
    lock_drop(&v->tree);
    return r;
}

/* The new name's object, over whatever is there at that moment. */
static int put_target(struct vfs *v, struct renaming *m, unsigned flags)
{
    struct store_cond cond = {.kind = STORE_IF_ABSENT};
    const char *from = m->cl.what.from, *to = m->cl.what.to;
    struct store_hdrs hdrs = {0};
    struct objattr attr;
    int r;

    lock_take(&v->tree);
    attr = m->i->attr;
    r = store_hdrs_copy(&hdrs, &m->i->hdrs);
    if (m->over != NULL && store_etag_is_set(&m->over->etag))
        cond = (struct store_cond){STORE_IF_MATCH, m->over->etag};
    lock_drop(&v->tree);
    if (r == 0 && m->cl.what.mark[0] != '\0')
        r = moved_set(&hdrs, m->cl.what.mark, &m->cl.what.source);
    for (int tries = 0; r == 0; tries++) {
        const struct link_copy c = {m->i->data, from, &attr, &hdrs};

        store_obj_done(&m->now);
        m->now = (struct store_obj){0};
        r = link_copy_to(v, &c, to, cond, &m->now);
        if (r == UPLOAD_LANDED) { /* and another client has written there since: that stays */
            r = data_follow(m->i->data, to, &m->now);
            lock_take(&v->tree);
            m->i->attr.size = data_size(m->i->data);
            inode_kernel_behind_locked(v, m->i);
            lock_drop(&v->tree);
            break;
        }
        if (r <= 0)
            break;
        if (tries == TRIES || (flags & RENAME_NOREPLACE) != 0) {
            r = err_set(r == UPLOAD_EXISTS ? -EEXIST : -EAGAIN,
                        "%s is being written by another client", to);
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

/* Another mount has committed under the old name: the new one gets that before the old one goes.
 * 0; STORE_NOT_FOUND: the old name is another file's by now, or gone. */
static int bring_up_target(struct vfs *v, struct renaming *m)
{
    struct intent *what = &m->cl.what;
    struct link_group g = {0};
    struct store_obj source = {0}, target = {0};
    uint64_t gen;
    int r = link_member(v, what->id, what->from, &source, &m->gen);

    if (r == 0) {
        what->source = source.etag;
        m->is_newer = true;
        r = link_get(v->coord, what->id, &g);
    }
    if (r == 0) {
        r = link_member(v, what->id, what->to, &target, &gen);
        m->is_left = r == STORE_NOT_FOUND;
    }
    if (r == 0)
        r = link_settle(v, what->id, what->to, &g, &target, &gen);
    if (r == 0 && gen < m->gen)
        r = err_set(-EAGAIN, "%s is being written by other mounts", what->from);
    store_obj_done(&source);
    store_obj_done(&target);
    link_group_done(&g);
    return r;
}

/* Only as a version that the new name has: what another client put there since is its own. */
static int delete_source(struct vfs *v, struct renaming *m)
{
    const struct intent *what = &m->cl.what;
    struct contest contest;
    int r;

    contest_begin(v, NULL, &contest);
    do {
        r = rename_delete(v, what->from, &what->source, what->session);
        if (r == RENAME_CHANGED)
            r = bring_up_target(v, m)
                    ?: contest_same(what->from, &what->source, &contest)
                    ?: contest_lost(NULL, what->from, &contest) ?: RENAME_CHANGED;
    } while (r == RENAME_CHANGED);
    key_forget(v, what->from);
    return r == STORE_NOT_FOUND ? 0 : r;
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
    keep_node_locked(v, i);
    i->has_lost_key = false;
    i->checked_ns = m->is_newer ? 0 : clock_boot_ns();
    if (d != NULL)
        d->checked_ns = i->checked_ns;
    i->attr.ctime_ns = clock_wall_ns();
    link_set_count_locked(i, g);
    names_changed_locked(v, n->dir, n->name, false, false);
    names_changed_locked(v, n->new_dir, n->new_name, true, false);
    inode_touch_locked(n->dir);
    inode_touch_locked(n->new_dir);
}

static int copy_name(struct vfs *v, struct renaming *m, unsigned flags, struct link_group *g)
{
    const struct link_change doubt = {.maybe = m->cl.what.to};
    int r = get_ready(v, m);

    if (r == 0)
        r = link_change(v, m->cl.what.id, &doubt, g);
    crash_point("link.rename_doubted");
    return r == 0 ? put_target(v, m, flags) : r;
}

static int delete_name(struct vfs *v, struct renaming *m, struct link_group *g)
{
    const char *from = m->cl.what.from, *to = m->cl.what.to;
    const struct link_change both = {.member = to, .maybe = from, .ctime_ns = clock_wall_ns()};
    struct link_change done = {.gone = from, .member = to, .ctime_ns = clock_wall_ns()};
    int r;

    crash_point("link.rename_copied");
    r = link_change(v, m->cl.what.id, &both, g);
    crash_point("link.rename_recorded");
    if (r == 0) {
        marker_keep(v, m->n->dir);
        r = delete_source(v, m);
    }
    crash_point("link.rename_deleted");
    if (m->is_left)
        done = (struct link_change){.gone = to, .member = from, .ctime_ns = clock_wall_ns()};
    return r == 0 ? link_change(v, m->cl.what.id, &done, g) : r;
}

int link_rename(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over,
                unsigned flags)
{
    struct renaming m = {.n = n, .i = i, .over = over};
    struct link_group g = {0};
    uint64_t change;
    int r = claim(v, &m);

    if (r != 0)
        return r;
    r = copy_name(v, &m, flags, &g);
    if (r < 0 && r != -EEXIST && r != -EAGAIN && r != -ESTALE && m.cl.has_session)
        (void)mend_file(v, &m.cl); /* in doubt: done or undone, as the bucket has it */
    else if (r != 0)
        intents_withdraw(v, &m.cl);
    change = r == 0 ? data_change(i->data) : 0;
    if (r == 0) {
        r = delete_name(v, &m, &g);
        crash_point("link.rename_counted");
        intents_end(v, &m.cl, r);
    }
    if (r == 0) {
        data_committed(i->data, m.cl.what.to, &m.now, change);
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
