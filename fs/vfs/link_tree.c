/* SPDX-License-Identifier: Apache-2.0 */
/* Hard links in the tree: several names, one inode, whose ETag and content are those of its first
 * name. */
#include "keep.h"
#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"

void link_set_count_locked(struct inode *i, const struct link_group *g)
{
    unsigned n = link_count(g);

    i->nlink = n > 0 ? n : 1;
    if (g->ctime_ns > i->attr.ctime_ns)
        i->attr.ctime_ns = g->ctime_ns;
}

static void set_found_locked(struct vfs *v, struct dentry *d, const char *key,
                             const struct found *f, bool has_bytes)
{
    struct inode *i = d->inode;

    if (has_bytes)
        inode_set_obj_locked(v, i, key, &f->obj, f->checked_ns);
    i->checked_ns = d->checked_ns = f->checked_ns;
    i->nlink = f->nlink;
    if (f->link_ctime_ns > i->attr.ctime_ns)
        i->attr.ctime_ns = f->link_ctime_ns;
}

/* The name leads to i. NULL: no memory. */
static struct dentry *take_name_locked(struct vfs *v, struct inode *i, struct inode *dir,
                                       const char *name)
{
    struct dentry *d = dentry_find_locked(v, dir, name);

    if (d != NULL && d->inode == i)
        return d;
    if (d != NULL)
        dentry_abandon_locked(v, d);
    return inode_attach_locked(v, i, dir, name) == 0 ? dentry_find_locked(v, dir, name) : NULL;
}

static int give_locked(struct inode *i, struct inode **ret)
{
    i->refs++;
    *ret = i;
    return 0;
}

/* A new inode for the name. */
static int adopt_locked(struct vfs *v, struct inode *dir, const char *name, const char *key,
                        const struct found *f, struct inode **ret)
{
    struct inode *i = inode_new(v);
    struct dentry *d;

    if (i == NULL)
        return -ENOMEM;
    inode_set_obj_locked(v, i, key, &f->obj, f->checked_ns);
    d = take_name_locked(v, i, dir, name);
    if (d == NULL) {
        inode_unref_locked(v, i);
        return -ENOMEM;
    }
    set_found_locked(v, d, key, f, false);
    *ret = i;
    return 0;
}

int link_apply_locked(struct vfs *v, struct inode *dir, const char *name, const char *key,
                      const struct found *f, struct inode **ret)
{
    struct inode *there = inode_child_locked(v, dir, name), *i;
    char id[33] = "";
    uint64_t gen = link_gen_of(v, key, &f->obj, id);
    struct dentry *d;
    bool is_same;

    if (there != NULL && (there->is_new || there->is_dirty || there->is_linking))
        return give_locked(there, ret); /* its commit finds out what else is there */
    i = inode_by_id_locked(v, id);
    if (i == NULL)
        return adopt_locked(v, dir, name, key, f, ret);
    i->refs++;
    is_same = store_etag_equal(&f->obj.etag, &i->etag);
    if (i->attr.link_gen != gen && !is_same && !i->is_dirty && (i->n_open > 0 || i->is_busy)) {
        inode_replaced_locked(v, i, key, &f->obj); /* VFS-5 */
        inode_unref_locked(v, i);
        return adopt_locked(v, dir, name, key, f, ret);
    }
    d = take_name_locked(v, i, dir, name);
    if (d == NULL) {
        inode_unref_locked(v, i);
        return -ENOMEM;
    }
    *ret = i;
    if (i->is_dirty || i->is_busy) {
        d->checked_ns = f->checked_ns;
        return 0;
    }
    if (i->attr.link_gen != gen && !is_same) {
        dentry_put_first_locked(d);
        data_file_unref(i->data); /* nobody has it open */
        i->data = NULL;
        i->has_lost_key = false;
    }
    /* Of one generation every member has the same bytes and attributes; the ETag is the first's. */
    set_found_locked(v, d, key, f, i->attr.link_gen != gen || (i->names == d && is_same));
    return 0;
}

bool link_is_doubtful(struct vfs *v, const char *key, const struct found *f)
{
    const struct objattr_defaults d = vfs_defaults(v);
    const struct inode *i;
    struct objattr a;
    bool is_doubtful;

    if (!f->has_obj || f->is_dir)
        return false;
    objattr_decode(&d, key, false, &f->obj, &a);
    lock_take(&v->tree);
    i = inode_by_id_locked(v, a.id);
    is_doubtful = a.link_gen != 0 || (i != NULL && i->attr.link_gen != 0);
    lock_drop(&v->tree);
    return is_doubtful;
}

/* What stands under the key that is first now. 0 and *ret_gen != 0; *ret_gen 0: no member; -errno.
 */
static int look_at_first(struct vfs *v, struct inode *i, char key[VFS_KEY_MAX + 2],
                         struct store_obj *ret, uint64_t *ret_gen)
{
    char id[33];
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, i, NULL, key);
    memcpy(id, i->attr.id, sizeof(id));
    lock_drop(&v->tree);
    if (r == 0)
        r = link_member(v, id, key, ret, ret_gen);
    return r == STORE_NOT_FOUND ? 0 : r;
}

static bool has_lost_key(struct vfs *v, const struct inode *i)
{
    bool has;

    lock_take(&v->tree);
    has = i->has_lost_key && i->names != NULL;
    lock_drop(&v->tree);
    return has;
}

int link_ready(struct vfs *v, struct inode *i)
{
    char key[VFS_KEY_MAX + 2];
    int r = 0;

    while (r == 0 && has_lost_key(v, i)) {
        struct store_obj obj = {0};
        uint64_t gen = 0;

        r = look_at_first(v, i, key, &obj, &gen);
        if (r == 0 && gen == i->attr.link_gen && i->data != NULL)
            data_committed(i->data, key, &obj, data_change(i->data) - i->is_dirty);
        lock_take(&v->tree);
        if (r == 0 && gen == 0) {
            dentry_abandon_locked(v, i->names);
        } else if (r == 0) {
            if (gen == i->attr.link_gen)
                inode_moved_locked(i, &obj);
            keep_node_locked(v, i);
            i->has_lost_key = false; /* another generation is met as any new version is */
        }
        lock_drop(&v->tree);
        store_obj_done(&obj);
    }
    return r;
}

/* The same bytes with other attributes, which no ETag tells. */
static int take_attributes(struct vfs *v, struct inode *i, const char *key,
                           const struct store_obj *obj)
{
    lock_take(&v->tree);
    if (store_etag_equal(&obj->etag, &i->etag))
        inode_set_obj_locked(v, i, key, obj, clock_boot_ns());
    lock_drop(&v->tree);
    return 0;
}

int link_follow(struct vfs *v, struct inode *i, const char *key)
{
    struct link_group g = {0};
    struct store_obj obj = {0};
    uint64_t gen, mine;
    char id[33];
    int r;

    lock_take(&v->tree);
    mine = i->attr.link_gen;
    memcpy(id, i->attr.id, sizeof(id));
    lock_drop(&v->tree);
    if (mine == 0)
        return 0;
    r = link_get(v->coord, id, &g);
    if (r == -EBADMSG)
        r = 0;
    if (r == 0 && g.generation != mine && g.generation != 0) {
        r = link_member(v, id, key, &obj, &gen);
        if (r == 0)
            r = link_settle(v, id, key, &g, &obj, &gen);
        if (r == 0 && gen != mine)
            r = take_attributes(v, i, key, &obj);
        if (r == STORE_NOT_FOUND)
            r = 0; /* the open's own request finds out */
    }
    if (r == 0 && g.generation != 0) {
        lock_take(&v->tree);
        link_set_count_locked(i, &g);
        lock_drop(&v->tree);
    }
    store_obj_done(&obj);
    link_group_done(&g);
    return r;
}

void link_lost_name(struct vfs *v, const char *id, const char *key)
{
    const struct link_change c = {.gone = key};
    struct link_group g = {0};
    struct inode *i;
    int r = v->conf.read_only ? link_get(v->coord, id, &g) : link_change(v, id, &c, &g);

    if (r < 0) {
        log_debug("link.lost_name", "key=%s cause=%s", LOG_Q(key), LOG_Q(err_text()));
    } else {
        lock_take(&v->tree);
        i = inode_by_id_locked(v, id);
        if (i != NULL)
            link_set_count_locked(i, &g);
        lock_drop(&v->tree);
    }
    link_group_done(&g);
}
