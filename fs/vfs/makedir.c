/* SPDX-License-Identifier: Apache-2.0 */
/* See makedir.h. */
#include "makedir.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "rename.h"
#include "storeddir.h"

int makedir_journal(struct vfs *v, struct inode *dir)
{
    int r;

    lock_take(&v->tree);
    dir->dirty_since_ns = clock_boot_ns();
    dir->is_blank = true;
    lock_drop(&v->tree);
    r = v->conf.journal != NULL ? outbox_put(v, dir) : -EOPNOTSUPP;
    if (r == 0) {
        outbox_wake(v);
        return 0;
    }
    lock_take(&v->tree);
    dir->is_blank = false;
    lock_drop(&v->tree);
    if (v->conf.journal != NULL)
        log_warn("journal.put", "node=%llu error=%d cause=%s effect=\"made before mkdir returns\"",
                 (unsigned long long)dir->node, -r, LOG_Q(err_text()));
    return r;
}

bool makedir_claim(struct vfs *v, struct inode *dir)
{
    bool waits;

    lock_take(&v->tree);
    while (dir->out != NULL && dir->out->is_busy)
        cond_wait(&v->makedir_over, &v->tree);
    waits = outbox_waits(dir);
    if (waits)
        dir->out->is_busy = true;
    lock_drop(&v->tree);
    return waits;
}

void makedir_release(struct vfs *v, struct inode *dir)
{
    bool waits;

    lock_take(&v->tree);
    waits = outbox_waits(dir);
    if (dir->out != NULL)
        dir->out->is_busy = false;
    cond_broadcast(&v->makedir_over);
    lock_drop(&v->tree);
    if (waits)
        outbox_wake(v); /* a sender that came meanwhile has passed it over, and may sleep */
}

/* --- steps --- */

bool makedir_step(struct vfs *v, struct inode *dir)
{
    bool has;

    lock_take(&v->tree);
    while (dir->out != NULL && dir->out->is_in_step)
        cond_wait(&v->makedir_over, &v->tree);
    has = dir->out != NULL;
    if (has)
        dir->out->is_in_step = true;
    lock_drop(&v->tree);
    return has;
}

void makedir_step_end(struct vfs *v, struct inode *dir)
{
    lock_take(&v->tree);
    if (dir->out != NULL)
        dir->out->is_in_step = false;
    cond_broadcast(&v->makedir_over);
    lock_drop(&v->tree);
}

int makedir_drop(struct vfs *v, struct inode *dir)
{
    int r;

    if (!makedir_step(v, dir))
        return 0;
    r = outbox_forget(v, dir);
    makedir_step_end(v, dir);
    return r;
}

/* --- sent, by who has the claim --- */

/* What was set here goes on top of what the bucket has, if that is not younger. */
static void take_there_locked(struct vfs *v, struct inode *dir, const char *key,
                              const struct store_obj *there, int64_t asked)
{
    const struct objattr mine = dir->attr;

    inode_set_obj_locked(v, dir, key, there, asked);
    if (dir->attr.ctime_ns > mine.ctime_ns)
        dir->attr_set = dir->attr_new;
    storeddir_apply_locked(dir, &mine);
}

/* The marker that is there, ours or another client's, becomes the directory's. STORE_NOT_FOUND;
 * -errno. */
static int adopt(struct vfs *v, struct inode *dir, const char *key, uint64_t *ret_seq)
{
    int64_t asked = clock_boot_ns();
    struct store_obj there = {0};
    unsigned set = 0;
    int r = key_head(v, key, &there);

    if (r == 0) {
        lock_take(&v->tree);
        take_there_locked(v, dir, key, &there, asked);
        set = dir->attr_set;
        *ret_seq = dir->out->seq;
        lock_drop(&v->tree);
    }
    store_obj_done(&there);
    if (r == 0 && set != 0)
        r = marker_put_entry(v, dir, ret_seq);
    return r;
}

/* Has another client made a file of its name meanwhile? What was asked longer ago than attributes
 * are believed is asked again, as for a new file (shadow.c). key: with the slash. */
static int check_file(struct vfs *v, struct inode *dir, const char *key)
{
    char file[VFS_KEY_MAX + 2];
    struct store_obj there = {0};
    bool is_due, has_names;
    int r;

    lock_take(&v->tree);
    is_due =
        v->conf.excl != VFS_EXCL_CLOSE &&
        (dir->out->is_replayed || clock_boot_ns() - dir->dirty_since_ns >= v->conf.acregmin_ns);
    has_names = dir->child != NULL;
    lock_drop(&v->tree);
    if (!is_due)
        return 0;
    memcpy(file, key, strlen(key) + 1);
    file[strlen(file) - 1] = '\0';
    r = key_head(v, file, &there);
    store_obj_done(&there);
    if (r == STORE_NOT_FOUND)
        return 0;
    if (r == 0 && !has_names)
        return err_set(-ENOTDIR, "%s is a file by now, of another client", file);
    if (r == 0)
        log_warn("mkdir.shadow",
                 "key=%s effect=\"another client's file and the directory have one name\"",
                 LOG_Q(file));
    return err_fold(r);
}

static int put_new(struct vfs *v, struct inode *dir, const char *key, uint64_t *ret_seq)
{
    int r = check_file(v, dir, key);

    if (r < 0)
        return r;
    r = marker_put_entry(v, dir, ret_seq);
    return r == -EEXIST ? adopt(v, dir, key, ret_seq) : r;
}

/* One that was seen in its place is not there any more. */
static void forget_version(struct vfs *v, struct inode *dir)
{
    lock_take(&v->tree);
    dir->etag = (struct store_etag){""};
    dir->obj_size = 0;
    dir->obj_mtime_ns = 0;
    lock_drop(&v->tree);
}

/* 0: the bucket has it as that entry has it. */
static int put(struct vfs *v, struct inode *dir, uint64_t *ret_seq)
{
    char key[VFS_KEY_MAX + 2];
    bool may_be_there;
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, dir, NULL, key);
    may_be_there = dir->out->is_tried || dir->out->is_replayed;
    lock_drop(&v->tree);
    if (r < 0)
        return r;
    r = may_be_there ? adopt(v, dir, key, ret_seq) : STORE_NOT_FOUND;
    if (r == STORE_NOT_FOUND) {
        forget_version(v, dir);
        r = put_new(v, dir, key, ret_seq);
    }
    if (r == STORE_NOT_FOUND || r == -EEXIST)
        r = err_set(-EAGAIN, "%s is being changed by others", key);
    return err_fold(r);
}

void makedir_end_locked(struct vfs *v, struct inode *dir, bool is_there)
{
    dir->is_new = dir->is_blank = dir->is_sent = false;
    if (!is_there)
        dir->checked_ns = 0;
    if (dir->parent != NULL)
        names_changed_locked(v, dir->parent, dir->name, is_there, true);
}

/* No list of what it is in, or of itself, that is from before its marker is believed once it is not
 * new here any more. */
static void is_there(struct vfs *v, struct inode *dir, uint64_t seq)
{
    struct inode *up;

    lock_take(&v->tree);
    up = dir->parent;
    if (up != NULL)
        up->refs++;
    lock_drop(&v->tree);
    if (up != NULL)
        listing_forget(v, up);
    listing_forget(v, dir);
    storeddir_sent(v, dir, seq);
    inode_unref(v, up);
}

/* Refused for good: from now on it is what the bucket has of it, a directory only as long as
 * something is below it. */
static void give_up(struct vfs *v, struct inode *dir, int r)
{
    char key[VFS_KEY_MAX + 2];
    struct err_copy cause;

    err_copy(&cause);
    lock_take(&v->tree);
    if (inode_key_locked(v, dir, NULL, key) < 0)
        memcpy(key, "?", 2);
    lock_drop(&v->tree);
    err_restore(&cause);
    log_error("mkdir.refused", "key=%s error=%d cause=%s effect=\"it is not there\"", LOG_Q(key),
              -r, LOG_Q(err_text()));
    vfs_set_error(v, "%s: when it was sent after its mkdir: %s", key, err_text());
    atomic_fetch_add(&v->commit_errors, 1);
    storeddir_leave(v, dir, false);
    lock_take(&v->tree);
    makedir_end_locked(v, dir, false);
    lock_drop(&v->tree);
    err_restore(&cause);
}

/* 0: the bucket has it. -errno: it waits on, or (it does not wait) it was refused for good. */
static int send_claimed(struct vfs *v, struct inode *dir)
{
    uint64_t seq = 0;
    bool is_new;
    int r;

    lock_take(&v->tree);
    is_new = dir->is_new;
    lock_drop(&v->tree);
    if (!is_new)
        return storeddir_send(v, dir);
    r = put(v, dir, &seq);
    if (r == 0)
        is_there(v, dir, seq);
    else if (outbox_is_final(r))
        give_up(v, dir, r);
    else
        outbox_try_later(v, dir, r);
    return r;
}

static int send_one(struct vfs *v, struct inode *dir)
{
    int r = 0;

    if (makedir_claim(v, dir)) {
        r = send_claimed(v, dir);
        makedir_release(v, dir);
    }
    return r;
}

/* The uppermost that waits and is due before i, or NULL: new, or set before i was. */
static struct inode *uppermost_locked(struct inode *i)
{
    const uint64_t before = outbox_waits(i) ? i->out->order : UINT64_MAX;
    struct inode *found = NULL;

    for (struct inode *dir = i; dir != NULL; dir = dir->parent)
        if (inode_is_dir(dir) && outbox_waits(dir) && (dir->is_new || dir->out->order <= before))
            found = dir;
    return found;
}

int makedir_settle(struct vfs *v, struct inode *i)
{
    int r = 0;

    while (r == 0) {
        struct inode *first;

        lock_take(&v->tree);
        first = uppermost_locked(i);
        if (first != NULL)
            first->refs++;
        lock_drop(&v->tree);
        if (first == NULL)
            return 0;
        r = send_one(v, first);
        lock_take(&v->tree);
        if (r < 0 && first != i && !outbox_waits(first)) /* refused, and told: what is below it goes on */
            r = 0;
        inode_unref_locked(v, first);
        lock_drop(&v->tree);
    }
    return r;
}

/* --- entries of what is sent, which the journal would not drop --- */

int makedir_forget(struct vfs *v, struct inode *dir)
{
    int r = 0;

    lock_take(&v->tree);
    while (dir->out != NULL && dir->out->is_busy)
        cond_wait(&v->makedir_over, &v->tree);
    if (dir->out != NULL)
        dir->out->is_busy = true;
    lock_drop(&v->tree);
    if (makedir_step(v, dir)) {
        if (dir->out->is_done)
            r = outbox_forget(v, dir);
        makedir_step_end(v, dir);
    }
    if (r < 0)
        outbox_try_later(v, dir, r);
    makedir_release(v, dir);
    return r;
}

int makedir_ready(struct vfs *v, struct inode *dir)
{
    int r = makedir_settle(v, dir);

    return r == 0 ? makedir_forget(v, dir) : r;
}

int makedir_send(struct vfs *v, struct inode *dir)
{
    bool waits;

    lock_take(&v->tree);
    waits = outbox_waits(dir);
    lock_drop(&v->tree);
    return waits ? makedir_settle(v, dir) : makedir_forget(v, dir);
}

static bool is_below(const struct inode *dir, const struct inode *top)
{
    while (dir != NULL && dir != top)
        dir = dir->parent;
    return dir != NULL;
}

int makedir_forget_below(struct vfs *v, const struct inode *top)
{
    int r = 0;

    while (r == 0) {
        struct outgoing *o;
        struct inode *dir = NULL;

        lock_take(&v->tree);
        for (o = v->locked.out_first; o != NULL && dir == NULL; o = o->next)
            if (o->is_done && inode_is_dir(o->inode) && is_below(o->inode, top))
                dir = o->inode;
        if (dir != NULL)
            dir->refs++;
        lock_drop(&v->tree);
        if (dir == NULL)
            return 0;
        r = makedir_forget(v, dir);
        inode_unref(v, dir);
    }
    return r;
}

/* --- a start --- */

void makedir_replay_locked(struct vfs *v, struct inode *dir, struct outrec *rec, struct outgoing *o,
                           uint64_t seq)
{
    dir->attr = rec->attr;
    atomic_store(&dir->type, S_IFDIR);
    inode_note_id_locked(v, dir);
    replay_base_locked(dir, rec);
    dir->attr_set = rec->attr_set;
    dir->attr_new = 0;
    store_hdrs_done(&dir->hdrs);
    dir->hdrs = rec->hdrs;
    rec->hdrs = (struct store_hdrs){0};
    store_hdrs_done(&dir->edits);
    dir->edits = rec->edits;
    rec->edits = (struct store_hdrs){0};
    dir->is_guessed = false;
    dir->dirty_since_ns = clock_boot_ns();
    dir->ac_ns = v->conf.acdirmin_ns;
    outbox_join_locked(v, dir, o, seq);
}
