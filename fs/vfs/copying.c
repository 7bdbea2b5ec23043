/* SPDX-License-Identifier: Apache-2.0 */
/* One key under its new name: by a copy in the bucket where the conditions on both of its ends
 * hold, else by its bytes; and what to believe of something that stands there already. */
#include "rename.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "link.h"

#define TRIES 8 /* against writers that go on */

static void took(struct vfs *v, struct moved *one, const struct store_etag *source,
                 struct store_obj *now)
{
    store_obj_done(&one->now);
    one->now = *now;
    *now = (struct store_obj){0};
    one->etag = *source;
    one->is_copied = true;
    if (!str_ends(one->to, "/"))
        cache_obj_put(v->cache, one->to, &one->now, clock_boot_ns());
}

/* Something stands under the new name: what of it is ours? 0: nothing is to be done any more; 1: it
 * is to be replaced as *cond says; -EEXIST. */
static int meet(struct move *m, struct moved *one, const struct store_obj *obj,
                struct store_obj *there, struct store_cond *cond)
{
    switch (moved_look(&there->hdrs, m->claim->what.mark, &obj->etag)) {
    case MOVED_SAME:
        took(m->v, one, &obj->etag, there);
        return 0;
    case MOVED_STALE:
        *cond = (struct store_cond){STORE_IF_MATCH, there->etag};
        return 1;
    case MOVED_NOT:
        if (str_ends(one->to, "/")) { /* an empty directory that was in the way: replaced */
            *cond = (struct store_cond){STORE_IF_MATCH, there->etag};
            return 1;
        }
        if (m->is_first)
            return err_set(-EEXIST, "%s was created by another client", one->to);
        break;
    case MOVED_TOUCHED:
        break;
    }
    one->is_left = true;
    log_warn("rename.left", "key=%s meaning=\"%s is another file by now\"", LOG_Q(one->from),
             LOG_Q(one->to));
    return 0;
}

/* One PUT (or copy) of what was fetched. 0, an upload's outcome with *now, -errno. */
static int put_copy(struct move *m, const struct moved *one, const struct store_obj *obj,
                    struct store_cond cond, bool by_copy, struct store_obj *now)
{
    struct vfs *v = m->v;
    struct store_hdrs hdrs = {0};
    struct data_file *f = NULL;
    int r = moved_headers(v, one, &m->claim->what, obj, &hdrs);

    if (r == 0)
        r = data_file_new(v->data, one->from, obj, &f);
    if (r == 0) {
        const struct upload_req req = {.key = one->to,
                                       .src_key = one->from,
                                       .file = f,
                                       .hdrs = &hdrs,
                                       .by_copy = by_copy,
                                       .is_move = true,
                                       .cond = cond};

        r = commit_upload(v, &req, now);
    }
    data_file_unref(f);
    store_hdrs_done(&hdrs);
    return r;
}

/* Puts what was fetched under the new name, or finds it there. */
static int put_version(struct move *m, struct moved *one, const struct store_obj *obj,
                       struct store_cond cond, bool by_copy)
{
    int r = 1;

    for (int tries = 0; r > 0; tries++) {
        struct store_obj now = {0};

        r = put_copy(m, one, obj, cond, by_copy, &now);
        if (r == 0) {
            took(m->v, one, &obj->etag, &now);
        } else if (r == UPLOAD_GONE || (r > 0 && tries == TRIES)) {
            one->is_left = true; /* removed under the new name: not ours to bring back */
            r = 0;
        } else if (r > 0) {
            r = meet(m, one, obj, &now, &cond);
        }
        store_obj_done(&now);
    }
    return r;
}

/* Most copies of a rename that is taken over are there already: asked first, not sent. 1: it is to
 * be put. */
static int look_first(struct move *m, struct moved *one, const struct store_obj *obj,
                      struct store_cond *cond)
{
    struct store_obj there = {0};
    int r;

    if (m->is_first || one->is_copied)
        return 1;
    r = key_head(m->v, one->to, &there);
    r = r == 0 ? meet(m, one, obj, &there, cond) : r == STORE_NOT_FOUND ? 1 : err_fold(r);
    store_obj_done(&there);
    return r;
}

static int copy_version(struct move *m, struct moved *one, bool by_copy)
{
    struct store_cond cond = {.kind = STORE_IF_ABSENT};
    struct store_obj obj = {0};
    uint64_t size = one->size;
    int r;

    if (one->is_copied)
        cond = (struct store_cond){STORE_IF_MATCH, one->now.etag};
    if (by_copy && upload_can_copy(m->v->upload, cond.kind, size))
        size = UINT64_MAX; /* the bytes need not come here */
    r = data_fetch(m->v->data, one->from, NULL, size, &obj);
    one->is_gone = r == STORE_NOT_FOUND;
    if (one->is_gone)
        return 0;
    r = r == 0 ? look_first(m, one, &obj, &cond) : err_fold(r);
    if (r > 0)
        r = put_version(m, one, &obj, cond, by_copy);
    store_obj_done(&obj);
    return r;
}

/* One key under its new name. What another client removed meanwhile is not copied; what it changed
 * while it was being copied is looked at again, and its bytes are taken with that look: a copy in the
 * bucket would be refused as often as the writer is faster. */
int move_copy(struct move *m, struct moved *one)
{
    int r = -ESTALE;

    for (int tries = 0; r == -ESTALE && tries < TRIES; tries++)
        r = copy_version(m, one, tries == 0);
    crash_point("rename.copied_one");
    return r;
}
