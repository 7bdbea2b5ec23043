/* SPDX-License-Identifier: Apache-2.0 */
/* A commit of a hard link (LINK-2): the record says first that a new generation is coming and
 * where, then the bytes go there as any commit's do, then to the other names. A mount that dies in
 * between leaves a group that the next one to look at it finishes. */
#include "keep.h"
#include "link.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"

#define TRIES 16

void link_commit_begin(struct vfs *v, struct inode *i, struct link_commit *c)
{
    lock_take(&v->tree);
    *c = (struct link_commit){.was_gen = i->attr.link_gen, .base_gen = i->attr.link_gen};
    lock_drop(&v->tree);
}

/* The record was lost: the names that are known here are what is left of it. */
static int names_here(struct vfs *v, struct inode *i, struct link_group *g)
{
    char key[VFS_KEY_MAX + 2];
    int r = 0;

    lock_take(&v->tree);
    for (struct dentry *d = i->names; d != NULL && r == 0; d = d->other) {
        r = inode_key_locked(v, d->parent, d->name, key);
        if (r == 0)
            r = link_put(g, key, false);
    }
    lock_drop(&v->tree);
    return r;
}

/* The group has another generation than the file here: is there a newer file? 0, UPLOAD_CHANGED, or
 * -errno. */
static int look_at_newer(struct vfs *v, const char *id, const char *key, struct link_commit *c,
                         struct store_obj *ret_there)
{
    struct store_obj obj = {0};
    uint64_t gen;
    int r = link_member(v, id, key, &obj, &gen);

    if (r == STORE_NOT_FOUND)
        return 0; /* the condition of the PUT will say so */
    if (r == 0)
        r = link_settle(v, id, key, &c->g, &obj, &gen);
    if (r == 0 && gen != c->base_gen) {
        *ret_there = obj;
        return UPLOAD_CHANGED;
    }
    store_obj_done(&obj);
    return r;
}

static int claim_once(struct vfs *v, struct inode *i, const char *id, const char *key,
                      struct link_commit *c, struct store_obj *ret_there)
{
    int r;

    link_group_done(&c->g);
    r = link_get(v->coord, id, &c->g);
    if (r == 0 && c->g.generation == 0)
        r = names_here(v, i, &c->g);
    else if (r == 0 && c->g.generation != c->base_gen)
        r = look_at_newer(v, id, key, c, ret_there);
    if (r == 0)
        r = link_put(&c->g, key, false);
    if (r == 0)
        r = link_set_bytes(&c->g, key);
    if (r == 0) {
        if (c->g.generation < c->base_gen)
            c->g.generation = c->base_gen;
        c->g.generation++;
        r = link_swap(v->coord, id, &c->g);
    }
    return r;
}

int link_claim(struct vfs *v, struct inode *i, const char *key, struct link_commit *c,
               struct store_obj *ret_there)
{
    int r = LINK_LOST;
    char id[33];

    if (c->base_gen == 0)
        return 0;
    lock_take(&v->tree);
    memcpy(id, i->attr.id, sizeof(id));
    lock_drop(&v->tree);
    for (int tries = 0; r == LINK_LOST && tries < TRIES; tries++)
        r = claim_once(v, i, id, key, c, ret_there);
    _Static_assert((int)UPLOAD_CHANGED != (int)LINK_LOST, "claim_once gives both");
    if (r == LINK_LOST)
        return err_set(-EAGAIN, "%s is being written by other mounts", key);
    crash_point("link.commit_claimed");
    if (r == 0) {
        c->is_claimed = true;
        lock_take(&v->tree);
        i->attr.link_gen = c->g.generation;
        lock_drop(&v->tree);
    }
    return r;
}

void link_saw(struct vfs *v, struct inode *i, const char *key, const struct store_obj *there,
              struct link_commit *c)
{
    char id[33];
    uint64_t gen = link_gen_of(v, key, there, id);

    if (gen == 0 || strcmp(id, i->attr.id) != 0)
        return;
    c->base_gen = gen;
}

static const char *last_part(const char *key)
{
    const char *slash = strrchr(key, '/');

    return slash != NULL ? slash + 1 : key;
}

/* One other name. 0; STORE_NOT_FOUND: it is no member (LINK-1); -errno. */
static int spread_to(struct vfs *v, const struct link_copy *c, const char *to)
{
    int r = 1;

    for (int tries = 0; r > 0 && tries < TRIES; tries++) {
        struct store_obj obj = {0}, now = {0};
        struct store_cond cond = {.kind = STORE_IF_MATCH};
        uint64_t gen;

        r = link_member(v, c->attr->id, to, &obj, &gen);
        if (r == 0 && gen < c->attr->link_gen) {
            cond.etag = obj.etag;
            r = link_copy_to(v, c, to, cond, &now);
            crash_point("link.commit_spread");
        } else if (r == STORE_NOT_FOUND) {
            log_info("link.left", "key=%s of=%s", LOG_Q(to), LOG_Q(c->from));
            return r;
        }
        store_obj_done(&obj);
        store_obj_done(&now);
    }
    return r > 0 ? err_set(-EAGAIN, "%s is being written by other mounts", last_part(to)) : r;
}

static int spread_all(struct vfs *v, const struct link_copy *c, struct link_group *g,
                      bool *ret_differs)
{
    int r = 0;

    for (size_t n = 0; n < g->n && r >= 0;) {
        struct link_member *m = &g->v[n];

        r = strcmp(m->key, c->from) != 0 ? spread_to(v, c, m->key) : 0;
        if (r == STORE_NOT_FOUND && !m->is_maybe) {
            link_remove(g, m->key);
            *ret_differs = true;
        } else {
            n++; /* who makes or takes away a name that is in doubt will say what became of it */
        }
    }
    return r < 0 ? r : 0;
}

/* Who has left goes from the record; if another mount changes that meanwhile, the next commit tells
 * it. */
static void note_left(struct vfs *v, const char *id, struct link_group *g)
{
    if (link_swap(v->coord, id, g) < 0)
        log_debug("link.left", "cause=%s", LOG_Q(err_text()));
}

static void is_everywhere_locked(struct vfs *v, struct inode *i)
{
    for (struct dentry *d = i->names; d != NULL; d = d->other) {
        d->checked_ns = i->checked_ns;
        names_changed_locked(v, d->parent, d->name, true, false);
    }
}

int link_spread(struct vfs *v, struct inode *i, const char *key, struct link_commit *c)
{
    struct store_hdrs hdrs = {0};
    struct objattr attr;
    struct link_copy copy = {.from = key, .attr = &attr, .hdrs = &hdrs};
    bool differs = false;
    int r;

    if (!c->is_claimed)
        return 0;
    c->is_written = true;
    lock_take(&v->tree);
    attr = i->attr;
    r = store_hdrs_copy(&hdrs, &i->hdrs);
    copy.file = data_file_ref(i->data);
    lock_drop(&v->tree);
    if (r == 0)
        r = spread_all(v, &copy, &c->g, &differs);
    if (r == 0 && differs)
        note_left(v, attr.id, &c->g);
    lock_take(&v->tree);
    if (r == 0) {
        is_everywhere_locked(v, i);
        link_set_count_locked(i, &c->g);
    } else {
        commit_mark_dirty_locked(i); /* the next close or fsync goes on with it */
    }
    lock_drop(&v->tree);
    data_file_unref(copy.file);
    store_hdrs_done(&hdrs);
    return r;
}

void link_commit_end(struct vfs *v, struct inode *i, struct link_commit *c, int result)
{
    if (result < 0 && c->is_claimed) {
        lock_take(&v->tree);
        if (!c->is_written)
            i->attr.link_gen = c->was_gen; /* what the object still says */
        lock_drop(&v->tree);
    }
    link_group_done(&c->g);
}

/* A name that is not known here, of which the record tells. */
static bool take_other_key(struct vfs *v, struct inode *i, const char *id, const char *not_this)
{
    struct link_group g = {0};
    char *other = NULL;

    if (link_get(v->coord, id, &g) < 0)
        return false;
    for (size_t n = 0; n < g.n && other == NULL; n++) {
        struct store_obj obj = {0};
        uint64_t gen;

        if (strcmp(g.v[n].key, not_this) != 0 && link_member(v, id, g.v[n].key, &obj, &gen) == 0)
            other = strdup(g.v[n].key);
        store_obj_done(&obj);
    }
    lock_take(&v->tree);
    if (other != NULL) {
        free(i->newer_key);
        i->newer_key = other;
        inode_abandon_locked(v, i);
        keep_node_locked(v, i);
    }
    lock_drop(&v->tree);
    link_group_done(&g);
    return other != NULL;
}

bool link_moves_on(struct vfs *v, struct inode *i)
{
    char key[VFS_KEY_MAX + 2], id[33];
    struct store_obj obj = {0};
    bool has_others, is_superseded;
    uint64_t gen;
    int r;

    lock_take(&v->tree);
    is_superseded = i->names == NULL && i->newer_key != NULL;
    has_others = i->names != NULL && i->names->other != NULL;
    if (is_superseded)
        r = str_copy(key, sizeof(key), i->newer_key);
    else
        r = i->attr.link_gen != 0 ? inode_key_locked(v, i, NULL, key) : -ENOENT;
    memcpy(id, i->attr.id, sizeof(id));
    lock_drop(&v->tree);
    if (r < 0 || link_member(v, id, key, &obj, &gen) != STORE_NOT_FOUND) {
        store_obj_done(&obj);
        return false;
    }
    if (!has_others)
        return take_other_key(v, i, id, key);
    lock_take(&v->tree);
    dentry_abandon_locked(v, i->names);
    lock_drop(&v->tree);
    link_lost_name(v, id, key);
    return true;
}
