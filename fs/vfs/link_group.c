/* SPDX-License-Identifier: Apache-2.0 */
/* Hard links as the bucket has them: the record of a group, its members, and bringing a member up
 * to the file's generation. Nothing of inodes. */
#include "link.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define TRIES 64
#define ID_HDR STORE_USER_META "s3efs-id"

uint64_t link_gen_of(const struct vfs *v, const char *key, const struct store_obj *obj,
                     char ret_id[33])
{
    const struct objattr_defaults d = vfs_defaults(v);
    struct objattr a;

    if (store_hdrs_get(&obj->hdrs, LINK_HDR) == NULL)
        return 0;
    objattr_decode(&d, key, false, obj, &a);
    memcpy(ret_id, a.id, sizeof(a.id));
    return a.link_gen;
}

int link_member(struct vfs *v, const char *id, const char *key, struct store_obj *ret,
                uint64_t *ret_gen)
{
    struct store_req req = {.op = STORE_HEAD, .key = key};
    struct store_rsp rsp = {0};
    char its_id[33] = "";
    int r;

    lock_assert_may_block();
    r = store_call(v->store, &req, &rsp);
    *ret_gen = r == 0 ? link_gen_of(v, key, &rsp.obj, its_id) : 0;
    if (r == 0 && (*ret_gen == 0 || strcmp(its_id, id) != 0))
        r = STORE_NOT_FOUND;
    if (r == 0) {
        store_obj_done(ret);
        *ret = rsp.obj;
        rsp.obj = (struct store_obj){0};
    }
    store_rsp_done(&rsp);
    return r == STORE_NOT_FOUND ? r : err_fold(r);
}

static const char *any_member(const struct link_group *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (!g->v[i].is_maybe)
            return g->v[i].key;
    return NULL;
}

static bool is_member(const struct link_group *g, const char *key, bool is_maybe)
{
    const struct link_member *m = link_find(g, key);

    return m != NULL && m->is_maybe == is_maybe;
}

static bool is_true(const struct link_group *g, const struct link_change *c)
{
    return c->ctime_ns == 0 && (c->gone == NULL || link_find(g, c->gone) == NULL) &&
           (c->member == NULL || is_member(g, c->member, false)) &&
           (c->maybe == NULL || is_member(g, c->maybe, true)) &&
           (c->member_too == NULL || is_member(g, c->member_too, false)) &&
           (c->maybe_too == NULL || is_member(g, c->maybe_too, true));
}

static int apply(struct link_group *g, const struct link_change *c)
{
    const char *other;
    int r = 0;

    if (c->gone != NULL)
        link_remove(g, c->gone);
    if (c->member != NULL)
        r = link_put(g, c->member, false);
    if (r == 0 && c->member_too != NULL)
        r = link_put(g, c->member_too, false);
    if (r == 0 && c->maybe != NULL)
        r = link_put(g, c->maybe, true);
    if (r == 0 && c->maybe_too != NULL)
        r = link_put(g, c->maybe_too, true);
    if (r == 0 && g->bytes == NULL)
        r = link_set_bytes(g, c->bytes);
    other = c->member != NULL ? c->member : any_member(g); /* as new as the one that goes */
    if (r == 0 && c->gone != NULL && other != NULL && strcmp(g->bytes, c->gone) == 0)
        r = link_set_bytes(g, other);
    if (c->ctime_ns > g->ctime_ns)
        g->ctime_ns = c->ctime_ns;
    return r;
}

static int change_once(struct vfs *v, const char *id, const struct link_change *c,
                       struct link_group *g)
{
    int r = link_get(v->coord, id, g);

    if (r == 0 && g->generation == 0) {
        if (c->generation == 0)
            return 0;
        g->generation = c->generation;
        if (c->ret_made != NULL)
            *c->ret_made = true;
    } else if (r == 0 && is_true(g, c)) {
        return 0;
    }
    if (r == 0)
        r = apply(g, c);
    if (r == 0)
        r = g->n > 0 ? link_swap(v->coord, id, g) : link_clear(v->coord, id, g);
    return r;
}

int link_change(struct vfs *v, const char *id, const struct link_change *c, struct link_group *ret)
{
    int r = LINK_LOST;

    for (int tries = 0; r == LINK_LOST && tries < TRIES; tries++) {
        link_group_done(ret);
        if (c->ret_made != NULL)
            *c->ret_made = false;
        r = change_once(v, id, c, ret);
    }
    return r == LINK_LOST ? err_set(-EAGAIN, "other mounts keep changing the file's names") : r;
}

static int confirm_once(struct vfs *v, const char *id, const char *key, struct link_group *g)
{
    const struct link_change c = {.member = key, .bytes = key};
    struct store_obj obj = {0};
    uint64_t gen;
    int r;

    if (g->generation != 0 && is_true(g, &c))
        return 0;
    r = link_member(v, id, key, &obj, &gen);
    store_obj_done(&obj);
    if (r != 0)
        return r == STORE_NOT_FOUND ? 0 : r;
    if (g->generation == 0)
        g->generation = gen;
    r = apply(g, &c);
    return r == 0 ? link_swap(v->coord, id, g) : r;
}

int link_confirm(struct vfs *v, const char *id, const char *key, struct link_group *g)
{
    int r = confirm_once(v, id, key, g);

    for (int tries = 0; r == LINK_LOST && tries < TRIES; tries++) {
        link_group_done(g);
        r = link_get(v->coord, id, g);
        if (r == 0)
            r = confirm_once(v, id, key, g);
    }
    return r == LINK_LOST ? err_set(-EAGAIN, "other mounts keep changing the file's names") : r;
}

int link_copy_to(struct vfs *v, const struct link_copy *c, const char *to, struct store_cond cond,
                 struct store_obj *ret)
{
    struct store_hdrs hdrs = {0};
    int r = store_hdrs_copy(&hdrs, c->hdrs);

    if (r == 0)
        r = objattr_encode(c->attr, to, &hdrs);
    if (r == 0) {
        struct upload_req req = {.key = to,
                                 .file = c->file,
                                 .src_key = c->from,
                                 .hdrs = &hdrs,
                                 .by_copy = true,
                                 .is_move = true, /* one file, one set of tags */
                                 .cond = cond};

        r = commit_upload(v, &req, ret);
        if (r == -ESTALE) { /* the source has changed; what is here of it may do */
            req.by_copy = false;
            r = commit_upload(v, &req, ret);
        }
    }
    if (r == 0)
        cache_obj_put(v->cache, to, ret, clock_boot_ns());
    store_hdrs_done(&hdrs);
    return r;
}

/* The member that is the file, if it is another than key, and its generation. The record's own may
 * not have been written yet, or have left: then the newest that there is. */
static int find_newest(struct vfs *v, const char *id, const char *key, const struct link_group *g,
                       uint64_t gen, const char **ret_key, uint64_t *ret_gen)
{
    struct store_obj obj = {0};
    bool is_there = strcmp(g->bytes, key) == 0;
    uint64_t its;
    int r = 0;

    *ret_key = key;
    *ret_gen = gen;
    if (!is_there) {
        r = link_member(v, id, g->bytes, &obj, &its);
        is_there = r == 0;
        if (r == 0 && its > *ret_gen) {
            *ret_key = g->bytes;
            *ret_gen = its;
        }
    }
    for (size_t n = 0; n < g->n && !is_there && r >= 0; n++) {
        if (strcmp(g->v[n].key, key) == 0 || strcmp(g->v[n].key, g->bytes) == 0)
            continue;
        r = link_member(v, id, g->v[n].key, &obj, &its);
        if (r == 0 && its > *ret_gen) {
            *ret_key = g->v[n].key;
            *ret_gen = its;
        }
    }
    store_obj_done(&obj);
    return r < 0 ? r : 0;
}

/* One try: `from` is copied over the version *obj of key. 0; 1: something changed, look again. */
static int bring_up(struct vfs *v, const char *id, const char *from, const char *key,
                    struct store_obj *obj, uint64_t *gen)
{
    const struct objattr_defaults d = vfs_defaults(v);
    struct store_obj src = {0}, now = {0};
    struct data_file *f = NULL;
    struct objattr a = {0};
    int r = data_fetch(v->data, from, NULL, obj->size, &src);

    if (r == 0) {
        objattr_decode(&d, from, false, &src, &a);
        r = a.link_gen > *gen && strcmp(a.id, id) == 0 ? 0 : 1;
    }
    if (r == 0)
        r = data_file_new(v->data, from, &src, &f);
    if (r == 0) {
        const struct link_copy c = {f, from, &a, &src.hdrs};

        r = link_copy_to(v, &c, key, (struct store_cond){STORE_IF_MATCH, obj->etag}, &now);
    }
    if (r == 0) {
        store_obj_done(obj);
        *obj = now;
        now = (struct store_obj){0};
        *gen = a.link_gen;
    }
    data_file_unref(f);
    store_obj_done(&src);
    store_obj_done(&now);
    return r > 0 ? 1 : r;
}

int link_settle(struct vfs *v, const char *id, const char *key, const struct link_group *g,
                struct store_obj *obj, uint64_t *gen)
{
    int r = 1;

    if (*gen >= g->generation)
        return 0;
    for (int tries = 0; r > 0 && tries < TRIES; tries++) {
        const char *from;
        uint64_t newest;

        r = find_newest(v, id, key, g, *gen, &from, &newest);
        if (r < 0 || newest == *gen || v->conf.read_only)
            return r;
        r = bring_up(v, id, from, key, obj, gen);
        if (r > 0 && link_member(v, id, key, obj, gen) == STORE_NOT_FOUND)
            return 0; /* what is there by now is not ours to write over */
    }
    return r > 0 ? err_set(-EAGAIN, "%s is being written by other mounts", key) : r;
}

int link_look(struct vfs *v, const char *key, struct found *f)
{
    struct link_group g = {0};
    const struct link_member *m;
    char id[33] = "";
    uint64_t gen = f->has_obj && !f->is_dir ? link_gen_of(v, key, &f->obj, id) : 0;
    int r;

    if (gen == 0)
        return 0;
    r = link_get(v->coord, id, &g);
    if (r == -EBADMSG) { /* the file is readable all the same */
        g.etag = store_etag_make("?");
        log_warn("link.record", "key=%s cause=%s", LOG_Q(key), LOG_Q(err_text()));
        r = 0;
    }
    if (r == 0 && !store_etag_is_set(&g.etag) && !v->conf.read_only)
        r = link_confirm(v, id, key, &g); /* lost: who is looked at makes it again */
    m = r == 0 ? link_find(&g, key) : NULL;
    if (r == 0 && g.generation != 0 && m == NULL && gen != g.generation) {
        store_hdrs_remove(&f->obj.hdrs, ID_HDR);
        store_hdrs_remove(&f->obj.hdrs, LINK_HDR);
        goto out;
    }
    if (r == 0 && g.generation != 0 && (m == NULL || m->is_maybe) && !v->conf.read_only)
        r = link_confirm(v, id, key, &g);
    if (r == 0 && g.generation != 0)
        r = link_settle(v, id, key, &g, &f->obj, &gen);
    f->nlink = link_count(&g) > 0 ? link_count(&g) : 1;
    f->link_ctime_ns = g.ctime_ns;
out:
    link_group_done(&g);
    return r;
}
