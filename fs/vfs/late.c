/* SPDX-License-Identifier: Apache-2.0 */
/* Writers and renamers on a server whose DELETE knows no conditions (protocol 4). A renamer looks
 * at the source and then deletes it; who overwrote it in between would lose that version. So a
 * writer that overwrote a key reads, before its close returns, the key's intent (one GET) and those
 * of directories (one LIST of few): if there is one it waits for its end and sees whether its
 * version is still there, or has moved along; if not, it commits once more onto the new name. A
 * tombstone says the same of a rename that ended in between. A creator needs no look: who renames
 * or unlinks saw what it saw before. Unlink reads the file's intent first (one GET). */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "intents.h"
#include "link.h"

static bool is_weak(const struct vfs *v)
{
    const struct store_caps *c = &v->conf.caps;

    return !c->delete_match && c->put_absent && c->put_match;
}

bool late_is_due(const struct vfs *v, enum store_if cond)
{
    return is_weak(v) && cond == STORE_IF_MATCH;
}

struct search {
    struct vfs *v;
    const char *key;
    struct intent *ret;
};

static int match_dir(void *arg, const char *name, const struct store_etag *etag)
{
    struct search *s = arg;
    struct intent i;
    int r = intent_read(s->v->coord, name, &i, NULL);

    (void)etag;
    if (r == -EBADMSG)
        return 0;
    if (r < 0 || i.state == INTENT_NONE || i.is_target || !i.is_dir || !str_starts(s->key, i.from))
        return r;
    *s->ret = i;
    return 1;
}

/* The rename that took this key away, or may be doing so; state INTENT_NONE: none. */
static int find(struct vfs *v, const char *key, bool dirs, struct intent *ret)
{
    struct search s = {v, key, ret};
    char name[INTENT_NAME_SIZE];
    int r;

    intent_name(key, false, name);
    r = intent_read(v->coord, name, ret, NULL);
    if (r == -EBADMSG || (r == 0 && ret->is_target)) {
        r = 0;
        *ret = (struct intent){0};
    }
    if (r == 0 && ret->state == INTENT_NONE && dirs)
        r = intent_list(v->coord, true, match_dir, &s);
    if (r < 0)
        return r;
    if (intents_are_at_it(v, ret))
        *ret = (struct intent){0}; /* ours: it waits for this very commit */
    return 0;
}

/* What became of the write of *now is what the new name has. A hard link's objects tell by their
 * generation, which one commit only has; another's that came after it does not contain it. */
static enum moved_how look_there(const struct vfs *v, const struct inode *i, const char *to,
                                 const struct intent *what, const struct store_obj *there,
                                 const struct store_obj *now)
{
    char id[33] = "";
    uint64_t gen = i->attr.link_gen != 0 ? link_gen_of(v, to, there, id) : 0;

    if (gen == 0 || strcmp(id, i->attr.id) != 0)
        return moved_look(&there->hdrs, what->mark, &now->etag);
    if (gen == i->attr.link_gen)
        return MOVED_SAME;
    return gen < i->attr.link_gen ? MOVED_STALE : MOVED_TOUCHED;
}

/* The version that was written under key is gone from there. Onto the name that the file has now.
 */
static int commit_onto(struct vfs *v, struct inode *i, const struct intent *what, const char *key,
                       const char *name, struct store_obj *now)
{
    struct store_obj there = {0}, fresh = {0};
    struct store_hdrs hdrs = {0};
    enum moved_how how = MOVED_NOT;
    char to[VFS_KEY_MAX + 2];
    bool is_gone;
    int r = 0;

    if (snprintf(to, sizeof(to), "%s%s", what->to, key + strlen(what->from)) >= (int)sizeof(to))
        r = err_set(-ESTALE, "%s was renamed by another client", key);
    if (r == 0)
        r = key_head(v, to, &there);
    is_gone = r == STORE_NOT_FOUND;
    if (r == 0)
        how = look_there(v, i, to, what, &there, now);
    if (r == 0 && i->attr.link_gen == 0)
        r = upload_is_below(now, &there); /* and written to since by others, who saw it */
    if (is_gone || how == MOVED_SAME || r == 1) {
        store_obj_done(&there);
        return 0; /* moved along, and perhaps removed since: as if it had come after the write */
    }
    if (r == 0 && !inode_is_file_of(v, i, to, &there))
        r = err_set(-ESTALE, "%s was renamed by another client", key);
    if (r == 0 && how != MOVED_STALE &&
        (i->attr.link_gen != 0 || !merge_owns_whole_locked(i))) /* not from what it has now */
        r = err_set(-ESTALE, "%s was renamed to %s and written by another client", key, to);
    if (r == 0)
        r = commit_headers(v, i, to, name, &hdrs);
    if (r == 0) {
        const struct upload_req req = {.key = to,
                                       .src_key = key,
                                       .file = i->data,
                                       .hdrs = &hdrs,
                                       .cond = {STORE_IF_MATCH, there.etag}};

        r = commit_upload(v, &req, &fresh);
        if (r > 0)
            r = err_set(-ESTALE, "%s was renamed to %s and written by another client", key, to);
    }
    if (r == 0) {
        store_obj_done(now);
        *now = fresh;
        fresh = (struct store_obj){0};
    }
    store_hdrs_done(&hdrs);
    store_obj_done(&there);
    store_obj_done(&fresh);
    return r == 0 ? LATE_ELSEWHERE : r;
}

/* With names held, for reading as a rule. Nobody finishes an old one behind a writer's back. */
static int wait_for(struct vfs *v, const char *key, bool is_dir)
{
    int r;

    names_far_begin(v);
    r = intents_wait(v, key, is_dir);
    names_far_end(v);
    return r == RENAME_OLD ? 0 : r;
}

int late_write(struct vfs *v, struct inode *i, const char *key, const char *name,
               enum store_if cond, struct store_obj *now)
{
    struct store_obj there = {0};
    struct intent what = {0};
    int r;

    if (!late_is_due(v, cond))
        return 0;
    r = find(v, key, true, &what);
    if (r == 0 && what.state != INTENT_NONE)
        r = intent_stands(&what) ? wait_for(v, what.from, what.is_dir) : 0;
    if (r < 0 || what.state == INTENT_NONE)
        return r;
    r = key_head(v, key, &there);
    store_obj_done(&there);
    return r == STORE_NOT_FOUND ? commit_onto(v, i, &what, key, name, now) : err_fold(r);
}

int late_unlink(struct vfs *v, const char *key)
{
    struct store_obj there = {0};
    struct intent what = {0};
    int r;

    if (!is_weak(v))
        return 0;
    r = find(v, key, false, &what);
    if (r == 0 && intent_stands(&what))
        r = wait_for(v, key, false);
    if (r < 0 || what.state == INTENT_NONE)
        return r;
    r = key_head(v, key, &there);
    store_obj_done(&there);
    return r == STORE_NOT_FOUND ? err_set(-ENOENT, "%s was renamed by another client", key)
                                : err_fold(r);
}
