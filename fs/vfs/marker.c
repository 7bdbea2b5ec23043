/* SPDX-License-Identifier: Apache-2.0 */
/* Markers of directories: empty objects that hold their attributes. All of one size and content have
 * one ETag, so no condition meets a change of attributes. */
#include "outbox.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/sys.h"

struct entry_try {
    char mark[UPLOAD_MARK_SIZE];
    uint64_t seq;
};

static int zero_read(void *ctx, uint64_t off, void *buf, size_t len)
{
    (void)ctx;
    (void)off;
    memset(buf, 0, len);
    return 0;
}

/* The reply of a new directory's PUT was lost, or its retry met what the first try had made: one
 * HEAD tells, by the id that only this directory has; where the id is made of the name, by the mark (NULL: none). 0 and
 * *ret_obj, or what r was. */
static int marker_look(struct vfs *v, const char *key, const struct objattr *attr, const char *mark, int r,
                       struct store_obj *ret_obj)
{
    const struct objattr_defaults d = vfs_defaults(v);
    struct store_req req = {.op = STORE_HEAD, .key = key};
    struct store_rsp rsp = {0};
    struct objattr theirs;
    struct err_copy cause;

    err_copy(&cause);
    if (store_call(v->store, &req, &rsp) == 0) {
        objattr_decode(&d, key, true, &rsp.obj, &theirs);
        if (mark != NULL ? upload_has_mark(&rsp.obj.hdrs, mark) : strcmp(theirs.id, attr->id) == 0) {
            *ret_obj = (struct store_obj){.etag = rsp.obj.etag, .mtime_ns = rsp.obj.mtime_ns};
            r = 0;
        }
    }
    store_rsp_done(&rsp);
    if (r != 0)
        err_restore(&cause);
    return r;
}

static int marker_key_locked(const struct vfs *v, const struct inode *dir,
                             char key[VFS_KEY_MAX + 2])
{
    int r = inode_key_locked(v, dir, NULL, key);

    if (r == 0 && dir == v->locked.root && key[0] == '\0')
        r = name_state_key(v, "root", key,
                           VFS_KEY_MAX + 2); /* the bucket's top has no key of its own */
    return r;
}

/* What stands there now; the directory's key is that of its id. */
static void take_marker_locked(struct vfs *v, struct inode *dir, const struct store_obj *obj,
                               int64_t asked)
{
    char key[VFS_KEY_MAX + 2];

    if (inode_key_locked(v, dir, NULL, key) < 0)
        return;
    inode_set_obj_locked(v, dir, key, obj, asked);
    if (dir == v->locked.root)
        dir->ino = VFS_ROOT;
}

int marker_see(struct vfs *v, struct inode *dir, int64_t older_ns)
{
    char key[VFS_KEY_MAX + 2];
    struct store_req req = {.op = STORE_HEAD, .key = key};
    struct store_rsp rsp = {0};
    int64_t asked = clock_boot_ns();
    bool is_due;
    int r;

    lock_take(&v->tree);
    is_due = !dir->is_new && (dir->parent != NULL || dir == v->locked.root) &&
             (dir->checked_ns <= 0 || asked - dir->checked_ns >= older_ns);
    r = marker_key_locked(v, dir, key);
    lock_drop(&v->tree);
    if (!is_due || r < 0)
        return 0;
    r = store_call(v->store, &req, &rsp);
    lock_take(&v->tree);
    if (r == 0)
        take_marker_locked(v, dir, &rsp.obj, asked);
    else if ((r == STORE_NOT_FOUND || r == -EACCES) && dir == v->locked.root)
        dir->checked_ns = asked; /* none as yet, or not to be seen: asked as rarely */
    lock_drop(&v->tree);
    store_rsp_done(&rsp);
    return r < 0 ? r : 0;
}

/* What stands in its entry goes now, under that mark, and what is journaled from here on does not. */
static void begin_entry_locked(struct vfs *v, struct inode *dir, struct entry_try *t)
{
    while (dir->out->is_in_step)
        cond_wait(&v->makedir_over, &v->tree);
    dir->out->is_tried = true;
    memcpy(t->mark, dir->out->mark, sizeof(t->mark));
    t->seq = dir->out->seq;
}

static void took_locked(struct vfs *v, struct inode *dir, struct store_hdrs *hdrs, const struct store_obj *now)
{
    store_hdrs_done(&dir->hdrs);
    dir->hdrs = *hdrs;
    *hdrs = (struct store_hdrs){0};
    dir->etag = now->etag;
    dir->obj_mtime_ns = now->mtime_ns;
    dir->checked_ns = clock_boot_ns();
    dir->ac_ns = v->conf.acdirmin_ns;
}

/* t: of its entry (marker_put_entry()); NULL: it has none, or not of this. */
static int put(struct vfs *v, struct inode *dir, struct entry_try *t)
{
    const struct store_src empty = {.size = 0, .read = zero_read};
    struct store_hdrs hdrs = {0};
    struct store_rsp rsp = {0};
    char key[VFS_KEY_MAX + 2];
    struct store_req req = {.op = STORE_PUT, .key = key, .src = &empty, .hdrs = &hdrs};
    const char *by_mark = NULL;
    bool is_looked_at = false;
    struct objattr attr;
    int r;

    lock_take(&v->tree);
    if (t != NULL)
        begin_entry_locked(v, dir, t);
    if (t != NULL && !dir->is_new)
        by_mark = t->mark;
    r = marker_key_locked(v, dir, key);
    attr = dir->attr;
    if (r == 0)
        r = store_hdrs_copy(&hdrs, &dir->hdrs);
    if (r == 0)
        r = edits_apply(&dir->edits, &hdrs);
    req.cond = (struct store_cond){store_etag_is_set(&dir->etag) ? STORE_IF_MATCH : STORE_IF_ABSENT,
                                   dir->etag};
    lock_drop(&v->tree);
    if (r == 0)
        r = objattr_encode(&attr, key, &hdrs);
    if (r == 0)
        r = store_hdrs_set(&hdrs, "content-type", "application/x-directory");
    if (r == 0 && t != NULL)
        r = upload_set_mark(&hdrs, t->mark);
    if (r == 0)
        r = upload_tags(v->upload, key, &hdrs);
    if (r == 0) {
        crash_point("dir_marker.ready");
        r = store_call(v->store, &req, &rsp);
        crash_point("dir_marker.stored");
        is_looked_at = r != 0 && (req.cond.kind == STORE_IF_ABSENT || by_mark != NULL);
        if (is_looked_at)
            r = marker_look(v, key, &attr, by_mark, r, &rsp.obj);
    }
    if (r == STORE_PRECONDITION || r == STORE_NOT_FOUND || r == STORE_CONFLICT)
        r = err_set(-EEXIST, "%s was made or changed by another client", key);
    if (r == 0) {
        lock_take(&v->tree);
        if (t == NULL) /* else when its entry ends: it may be of newer ones by now */
            store_hdrs_done(&dir->edits);
        took_locked(v, dir, &hdrs, &rsp.obj);
        if (is_looked_at && by_mark != NULL) /* others may have set theirs on top */
            dir->checked_ns = 0;
        lock_drop(&v->tree);
    }
    store_hdrs_done(&hdrs);
    store_rsp_done(&rsp);
    return err_fold(r);
}

int marker_put(struct vfs *v, struct inode *dir)
{
    return put(v, dir, NULL);
}

int marker_put_entry(struct vfs *v, struct inode *dir, uint64_t *ret_seq)
{
    struct entry_try t;
    int r = put(v, dir, &t);

    *ret_seq = t.seq;
    return r;
}

int marker_refused(struct vfs *v, struct inode *dir, int r, int tries)
{
    if (r != -EEXIST)
        return r;
    if (tries > 0 || inode_revalidate(v, dir) < 0)
        return err_set(-EAGAIN, "the directory's marker is being changed by others");
    return 0;
}

void marker_keep(struct vfs *v, struct inode *dir)
{
    bool needed;

    lock_take(&v->tree);
    needed = dir != v->locked.root && dir->parent != NULL && !store_etag_is_set(&dir->etag) && !outbox_waits(dir);
    lock_drop(&v->tree);
    if (needed && marker_put(v, dir) < 0)
        log_debug("dir.marker", "cause=%s",
                  LOG_Q(err_text())); /* it may vanish with its last name: as before */
}
