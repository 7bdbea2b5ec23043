/* SPDX-License-Identifier: Apache-2.0 */
/* See storeddir.h. */
#include "storeddir.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "makedir.h"
#include "rename.h"
#include "stored.h"

/* --- set --- */

static bool can_wait_locked(struct vfs *v, const struct inode *dir)
{
    return v->conf.journal != NULL && v->conf.excl != VFS_EXCL_STRICT && v->keep == NULL && dir->parent != NULL &&
           !dir->is_new && !dir->is_guessed && !inode_is_stale_locked(v, dir) &&
           outrec_holds(&dir->hdrs) && stored_is_local_locked(v, dir);
}

static void forget_changes_locked(struct inode *dir)
{
    dir->attr_set = dir->attr_new = 0;
    store_hdrs_done(&dir->edits);
    dir->dirty_since_ns = 0;
}

bool storeddir_begin(struct vfs *v, struct inode *dir, bool *ret_step)
{
    bool has_room = outroom_is(v), has_entry, is_local;

    if (v->conf.commit == VFS_COMMIT_CLOSE)
        return false;
    has_entry = makedir_step(v, dir);
    lock_take(&v->tree);
    is_local = (outbox_waits(dir) && dir->is_new) || (can_wait_locked(v, dir) && (has_entry || has_room));
    if (is_local && !outbox_waits(dir)) { /* what was set before is the bucket's */
        forget_changes_locked(dir);
        dir->dirty_since_ns = clock_boot_ns();
    }
    lock_drop(&v->tree);
    if (!is_local && has_entry)
        makedir_step_end(v, dir);
    *ret_step = has_entry;
    return is_local;
}

void storeddir_end(struct vfs *v, struct inode *dir, bool has_step, int r)
{
    lock_take(&v->tree);
    if (r < 0) {
        dir->attr_new = 0;
        if (!dir->is_new)
            dir->checked_ns = 0;
        if (!outbox_waits(dir))
            forget_changes_locked(dir);
    }
    lock_drop(&v->tree);
    if (has_step) /* else the entry is new, and a sender may be at it */
        makedir_step_end(v, dir);
    if (r == 0)
        outbox_wake(v);
    else
        log_warn("journal.put", "node=%llu error=%d cause=%s effect=\"set before the call returns\"",
                 (unsigned long long)dir->node, -r, LOG_Q(err_text()));
}

void storeddir_apply_locked(struct inode *dir, const struct objattr *mine)
{
    if ((dir->attr_set & VFS_SET_MODE) != 0)
        dir->attr.mode = mine->mode;
    if ((dir->attr_set & VFS_SET_UID) != 0)
        dir->attr.uid = mine->uid;
    if ((dir->attr_set & VFS_SET_GID) != 0)
        dir->attr.gid = mine->gid;
    if ((dir->attr_set & VFS_SET_ATIME) != 0)
        dir->attr.atime_ns = mine->atime_ns;
    if ((dir->attr_set & VFS_SET_MTIME) != 0)
        dir->attr.mtime_ns = mine->mtime_ns;
}

/* --- sent, by who has the claim --- */

enum look { LOOK_LEFT = 1, LOOK_GONE = 2 };

/* STD-1, STD-2. False: nothing is left to be set. */
static bool take_there_locked(struct vfs *v, struct inode *dir, const char *key, const struct store_obj *there,
                              int64_t asked)
{
    const struct objattr mine = dir->attr;
    const unsigned char since = dir->attr_new;

    if (dir->out->is_tried && upload_has_mark(&there->hdrs, dir->out->mark)) {
        dir->attr_set &= since;
        edits_drop(&dir->edits, (since & STORED_USER) == 0, (since & STORED_HDRS) == 0);
    } else {
        stored_settle_locked(dir, there);
    }
    inode_set_obj_locked(v, dir, key, there, asked);
    storeddir_apply_locked(dir, &mine);
    return dir->attr_set != 0 || dir->edits.n > 0;
}

/* There is no marker. Is there a directory? */
static int look_at_keys(struct vfs *v, struct inode *dir, char *key)
{
    struct found f = {0};
    bool had_marker;
    size_t n = strlen(key) - 1;
    int r;

    lock_take(&v->tree);
    had_marker = store_etag_is_set(&dir->etag);
    lock_drop(&v->tree);
    if (!had_marker)
        return LOOK_LEFT;
    key[n] = '\0';
    r = name_ask_dir(v, key, &f);
    key[n] = '/';
    found_done(&f);
    if (r == STORE_NOT_FOUND)
        return LOOK_GONE;
    if (r != 0)
        return err_fold(r);
    lock_take(&v->tree);
    dir->etag = (struct store_etag){""};
    lock_drop(&v->tree);
    return LOOK_LEFT;
}

/* 0: the bucket has it; LOOK_*; -errno. */
static int look(struct vfs *v, struct inode *dir, char *key, uint64_t *ret_seq)
{
    int64_t asked = clock_boot_ns();
    struct store_obj there = {0};
    bool is_left;
    int r = key_head(v, key, &there);

    if (r == STORE_NOT_FOUND)
        return look_at_keys(v, dir, key);
    if (r != 0)
        return err_fold(r);
    lock_take(&v->tree);
    *ret_seq = dir->out->seq;
    is_left = take_there_locked(v, dir, key, &there, asked);
    lock_drop(&v->tree);
    store_obj_done(&there);
    return is_left ? LOOK_LEFT : 0;
}

static bool look_is_due_locked(const struct vfs *v, const struct inode *dir)
{
    const struct outgoing *o = dir->out;

    return o->n_doubts > 0 || o->is_tried || o->is_replayed || dir->checked_ns <= 0 ||
           clock_boot_ns() - dir->checked_ns >= v->conf.acregmin_ns;
}

/* 0: the bucket has what that entry says; LOOK_GONE; -errno. */
static int put(struct vfs *v, struct inode *dir, uint64_t *ret_seq)
{
    char key[VFS_KEY_MAX + 2];
    bool is_due;
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, dir, NULL, key);
    is_due = look_is_due_locked(v, dir);
    lock_drop(&v->tree);
    if (r == -ESTALE)
        return LOOK_GONE;
    for (int tries = 0; r == 0; tries++) {
        if (is_due)
            r = look(v, dir, key, ret_seq);
        if (is_due && r != LOOK_LEFT)
            return r;
        r = marker_put_entry(v, dir, ret_seq);
        if (r != -EEXIST)
            return r;
        r = tries > 0 ? err_set(-EAGAIN, "%s is being changed by others", key) : 0;
        is_due = true;
    }
    return r;
}

/* In its step: whoever sets something comes before it, or after the entry. */
void storeddir_sent(struct vfs *v, struct inode *dir, uint64_t seq)
{
    bool is_it;

    if (!makedir_step(v, dir))
        return;
    lock_take(&v->tree);
    is_it = dir->out->seq == seq;
    if (dir->is_new)
        makedir_end_locked(v, dir, true);
    if (is_it)
        forget_changes_locked(dir);
    lock_drop(&v->tree);
    if (is_it)
        outbox_sent(v, dir);
    makedir_step_end(v, dir);
}

/* As the bucket had it when it was last seen. */
static void as_stored_locked(struct vfs *v, struct inode *dir, const char *key)
{
    struct store_obj was = {.etag = dir->etag, .mtime_ns = dir->obj_mtime_ns};

    dir->attr.mtime_ns = dir->attr.ctime_ns = 0; /* else the later ones stay */
    if (store_hdrs_copy(&was.hdrs, &dir->hdrs) == 0)
        inode_set_obj_locked(v, dir, key, store_etag_is_set(&was.etag) ? &was : NULL, 0);
    store_hdrs_done(&was.hdrs);
    dir->checked_ns = 0;
    inode_kernel_behind_locked(v, dir);
}

void storeddir_leave(struct vfs *v, struct inode *dir, bool is_there)
{
    char key[VFS_KEY_MAX + 2];

    if (!makedir_step(v, dir))
        return;
    lock_take(&v->tree);
    forget_changes_locked(dir);
    if (is_there && inode_key_locked(v, dir, NULL, key) == 0)
        as_stored_locked(v, dir, key);
    dir->checked_ns = 0;
    lock_drop(&v->tree);
    if (outbox_forget(v, dir) < 0) {
        log_warn("journal.drop", "cause=%s", LOG_Q(err_text()));
        outbox_leave(v, dir);
    }
    makedir_step_end(v, dir);
}

static void gone(struct vfs *v, struct inode *dir)
{
    log_info("setattr.gone", "node=%llu effect=\"another client has removed the directory\"",
             (unsigned long long)dir->node);
    storeddir_leave(v, dir, false);
}

static void refused(struct vfs *v, struct inode *dir, int r)
{
    char key[VFS_KEY_MAX + 2];
    struct err_copy cause;

    err_copy(&cause);
    lock_take(&v->tree);
    if (inode_key_locked(v, dir, NULL, key) < 0)
        memcpy(key, "?", 2);
    lock_drop(&v->tree);
    err_restore(&cause);
    log_error("setattr.refused", "key=%s error=%d cause=%s effect=\"it is as it was stored\"", LOG_Q(key), -r,
              LOG_Q(err_text()));
    vfs_set_error(v, "%s: when its attributes were sent: %s", key, err_text());
    atomic_fetch_add(&v->commit_errors, 1);
    storeddir_leave(v, dir, true);
    err_restore(&cause);
}

int storeddir_send(struct vfs *v, struct inode *dir)
{
    uint64_t seq = 0;
    int r = put(v, dir, &seq);

    if (r == 0)
        storeddir_sent(v, dir, seq);
    else if (r == LOOK_GONE)
        gone(v, dir);
    else if (outbox_is_final(r))
        refused(v, dir, r);
    else
        outbox_try_later(v, dir, r);
    return r < 0 ? r : 0;
}
