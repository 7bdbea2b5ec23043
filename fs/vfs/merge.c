/* SPDX-License-Identifier: Apache-2.0 */
/* No lost update (protocol 2): what a commit does that meets another version than the one it
 * started from. Of another file (another id, none, gone) nothing of ours may be put onto it:
 * ESTALE. Of the same file:
 *
 *   (a) the whole content is replaced here, and somebody waits for it: it goes over theirs, whole
 *   (b) byte ranges: they are put onto the new version, and so is a size set here:
 *       - grown by truncate: at least so long; theirs may be longer
 *       - cut by truncate to n > 0: theirs is cut to n. If theirs has grown meanwhile that would
 * take away bytes that the one who cut has never seen: ESTALE, unless the cut is being made now
 *         (truncate(2) by path), when it is simply the later of the two
 *   (c) what went to the end through O_APPEND, all of it: to the new end. If other writes have
 *       touched the same bytes, or the end was not that of the version here, they stand at fixed
 *       offsets, which are only honest while theirs ends where ours did: else ESTALE
 *
 * A new file that was renamed onto a name before its first commit (is_replacing) is as (a),
 * whichever file is there: that is what the rename was for.
 *
 * The caller of ESTALE keeps the bytes: lost+found. */
#include "internal.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "stored.h"

void tail_note_locked(struct inode *i, uint64_t off, uint64_t end, bool is_append)
{
    struct tail *t = &i->tail;

    if (is_append && !t->is_on)
        *t = (struct tail){off, end, true, off != i->obj_size || data_is_cut(i->data)};
    else if (is_append)
        t->is_mixed |= off != t->end;
    else if (t->is_on && end > t->off)
        t->is_mixed = true;
    if (t->is_on && end > t->end)
        t->end = end;
}

void tail_cut_locked(struct inode *i, uint64_t size)
{
    struct tail *t = &i->tail;

    if (size == 0)
        i->is_trunc = true;
    if (!t->is_on)
        return;
    t->is_on = size > t->off;
    t->is_mixed |= size > t->end;
    t->end = size;
}

bool merge_owns_whole_locked(const struct inode *i)
{
    return i->data != NULL && data_is_whole(i->data) && (!i->is_new || i->is_trunc);
}

/* Attributes that were not set here, or not since a try of ours that is below theirs, are theirs. */
static void take_attr_locked(struct vfs *v, struct inode *i, const char *key,
                             const struct store_obj *there)
{
    const struct objattr_defaults d = vfs_defaults(v);
    struct objattr theirs;

    stored_settle_locked(i, there);
    objattr_decode(&d, key, false, there, &theirs);
    if ((i->attr_set & VFS_SET_MODE) == 0)
        i->attr.mode = theirs.mode;
    if ((i->attr_set & VFS_SET_UID) == 0)
        i->attr.uid = theirs.uid;
    if ((i->attr_set & VFS_SET_GID) == 0)
        i->attr.gid = theirs.gid;
    if ((i->attr_set & VFS_SET_ATIME) == 0)
        i->attr.atime_ns = theirs.atime_ns;
    if ((i->attr_set & (VFS_SET_MTIME | VFS_SET_SIZE)) == 0 && !data_is_dirty(i->data))
        i->attr.mtime_ns = theirs.mtime_ns;
}

/* Was the object looked at so long ago that somebody may have changed its attributes, or has it what is to be set? */
static bool needs_look_locked(const struct vfs *v, const struct inode *i, struct store_etag *ret)
{
    *ret = i->etag;
    return store_etag_is_set(&i->etag) && !i->is_replacing && S_ISREG(atomic_load(&i->type)) &&
           (i->checked_ns <= 0 || clock_boot_ns() - i->checked_ns >= v->conf.acregmin_ns ||
            stored_was_tried_locked(i));
}

int merge_see_attr(struct vfs *v, struct inode *i, const char *key)
{
    struct store_req req = {.op = STORE_HEAD, .key = key};
    struct store_rsp rsp = {0};
    struct store_etag known;
    int64_t asked = clock_boot_ns();
    bool needed;
    int r;

    lock_take(&v->tree);
    needed = needs_look_locked(v, i, &known);
    lock_drop(&v->tree);
    if (!needed)
        return 0;
    r = store_call(v->store, &req, &rsp);
    if (r == 0 && store_etag_equal(&rsp.obj.etag, &known)) {
        lock_take(&v->tree);
        take_attr_locked(v, i, key, &rsp.obj);
        store_hdrs_done(&i->hdrs);
        i->hdrs = rsp.obj.hdrs;
        rsp.obj.hdrs = (struct store_hdrs){0};
        i->checked_ns = asked;
        lock_drop(&v->tree);
    }
    store_rsp_done(&rsp);
    return r < 0 ? r : 0; /* gone, or another version: the commit's condition meets that */
}

/* Takes *hdrs, a copy of its headers. */
static void take_headers_locked(struct vfs *v, struct inode *i, const char *key, const struct store_obj *there,
                                struct store_hdrs *hdrs)
{
    take_attr_locked(v, i, key, there);
    store_hdrs_done(&i->hdrs);
    i->hdrs = *hdrs;
    inode_moved_locked(i, there);
}

/* The content has moved to it. */
static void took_bytes_locked(struct vfs *v, struct inode *i, const struct store_obj *there)
{
    i->attr.size = data_size(i->data);
    i->kernel_etag = (struct store_etag){""};
    inode_kernel_behind_locked(v, i);
    if (i->tail.is_on && !i->tail.is_mixed) {
        i->tail.off = there->size;
        i->tail.end = i->attr.size;
    }
}

static int take_version(struct vfs *v, struct inode *i, const char *key,
                        const struct store_obj *there, bool is_merged)
{
    struct store_hdrs hdrs = {0};
    int r = store_hdrs_copy(&hdrs, &there->hdrs);

    if (r < 0)
        return r;
    lock_take(&v->tree);
    take_headers_locked(v, i, key, there, &hdrs);
    if (is_merged)
        took_bytes_locked(v, i, there);
    lock_drop(&v->tree);
    return 0;
}

/* A new file goes where another one is: nothing of that is taken over. */
static void take_place(struct vfs *v, struct inode *i, const struct store_obj *there)
{
    lock_take(&v->tree);
    inode_moved_locked(i, there);
    lock_drop(&v->tree);
}

/* What it was to replace was removed here, and by another client too; no PUT of this one can have taken
 * effect. */
static void take_nobodys_place(struct vfs *v, struct inode *i)
{
    lock_take(&v->tree);
    i->etag = (struct store_etag){""};
    i->obj_size = 0;
    i->obj_mtime_ns = 0;
    i->is_replacing = i->is_over_removed = false;
    lock_drop(&v->tree);
}

static int merge_bytes(struct inode *i, const char *key, const struct store_obj *there)
{
    const struct tail *t = &i->tail;
    uint64_t was = i->obj_size;
    int r;

    if (data_is_cut(i->data) && there->size > was && !i->is_cut_now)
        return err_set(-ESTALE, "%s was cut off here and has grown on another client", key);
    if (t->is_on && t->is_mixed && there->size != was)
        return err_set(-ESTALE,
                       "%s was appended to and written to at the same place, and another "
                       "client has changed its length",
                       key);
    r = data_merge(i->data, key, there, t->is_on && !t->is_mixed ? t->off : DATA_NO_TAIL);
    if (r == 0 && i->is_cut_now)
        r = data_truncate(i->data, i->attr.size);
    return r;
}

int merge_resolve(struct vfs *v, struct inode *i, const char *key, int outcome,
                  const struct store_obj *there, bool is_waited, struct store_cond *cond)
{
    bool is_whole = merge_owns_whole_locked(i), is_replacing = i->is_replacing && is_whole;
    int r = 0;

    if (outcome == UPLOAD_EXISTS && i->is_excl)
        return err_set(-EEXIST, "%s was created by another client first", key);
    if (outcome == UPLOAD_GONE && is_replacing && i->is_over_removed && !i->is_sent) {
        take_nobodys_place(v, i);
        *cond = (struct store_cond){STORE_IF_ABSENT, {""}};
        return 0;
    }
    if (outcome == UPLOAD_GONE)
        return err_set(-ESTALE, "%s was removed by another client", key);
    if (outcome == UPLOAD_EXISTS)
        r = winner_adopt(v, i, key, there);
    else if (outcome != UPLOAD_CHANGED)
        r = err_fold(outcome);
    else if (!is_replacing && !inode_is_file_of(v, i, key, there))
        r = err_set(-ESTALE, "%s is another file now", key);
    if (r == 0 && is_whole && !is_waited)
        r = err_set(-ESTALE, "%s was changed by another client, and nobody waits for this content",
                    key);
    if (r == 0 && !is_whole)
        r = merge_bytes(i, key, there);
    if (r == 0 && is_replacing)
        take_place(v, i, there);
    else if (r == 0)
        r = take_version(v, i, key, there, !is_whole);
    if (r == 0)
        *cond = (struct store_cond){STORE_IF_MATCH, there->etag};
    return r;
}

void merge_clean_locked(struct vfs *v, struct inode *i)
{
    for (struct dentry *d = i->names; d != NULL; d = d->other)
        names_changed_locked(v, d->parent, d->name, true, false);
    store_hdrs_done(&i->edits);
    i->is_new = i->is_dirty = i->is_trunc = i->is_cut_now = i->is_replacing = i->is_over_removed = false;
    i->dirty_since_ns = 0;
    i->attr_set = i->attr_new = 0;
    i->tail = (struct tail){0};
}

/* All that was written here is in `there`, a version of its file, whichever way it went up. */
static void bytes_landed_locked(struct inode *i)
{
    i->is_new = i->is_excl = i->is_sent = i->is_trunc = i->is_cut_now = false;
    i->is_replacing = i->is_over_removed = false;
    i->tail = (struct tail){0};
    i->attr_set &= ~(unsigned)VFS_SET_SIZE;
}

int merge_goes_on(struct vfs *v, struct inode *i, const char *key, const struct store_obj *there, struct store_cond *cond)
{
    struct store_hdrs hdrs = {0};
    int r = store_hdrs_copy(&hdrs, &there->hdrs);

    if (r == 0)
        r = data_follow(i->data, key, there);
    if (r < 0) {
        store_hdrs_done(&hdrs);
        return r;
    }
    lock_take(&v->tree);
    bytes_landed_locked(i);
    take_headers_locked(v, i, key, there, &hdrs);
    took_bytes_locked(v, i, there);
    lock_drop(&v->tree);
    *cond = (struct store_cond){STORE_IF_MATCH, there->etag};
    return 0;
}

int merge_landed(struct vfs *v, struct inode *i, const char *key, const struct store_obj *now)
{
    int64_t asked = clock_boot_ns();
    int r = 0;

    if (inode_is_file_of(v, i, key, now))
        r = inode_move(v, i, key, now, asked);
    if (r < 0)
        return r;
    lock_take(&v->tree);
    merge_clean_locked(v, i);
    if (!store_etag_equal(&i->etag, &now->etag)) /* theirs is another file */
        inode_abandon_locked(v, i);
    lock_drop(&v->tree);
    return 0;
}
