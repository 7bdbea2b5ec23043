/* SPDX-License-Identifier: Apache-2.0 */
/* Renames. A file that is not in the bucket yet only changes its name here: its one PUT goes under
 * the new one; so it does of a stored one whose rename the journal takes (relocate.h). Any other: an
 * intent, the bytes under the new key under a condition (also such that were written and not sent
 * yet: they go up once), then the old key goes as the version that was copied (RENAME-1..3 in rename.h).
 *
 * Five requests: the intent, a HEAD of the source, PUT, DELETE, the intent's DELETE; and the
 * session at the first rename in a while. The HEAD, made under the claim, is what makes one of two
 * mounts that rename or remove the same file lose. Where DELETE knows conditions the source's name
 * alone is claimed, and no tombstone is left:
 *  - two renames onto one name: PUT's condition decides;
 *  - the target is renamed on, or removed, before the source is deleted: whoever did it saw the
 * file there, so the rename counts as done before; the DELETE of the source follows all the same.
 * If the renamer dies just then, who takes the intent over does not find the copy, and leaves the
 * old name as it is: the file is there twice, or the removed one is under its old name. Nothing is
 *    lost, and it takes a crash within these round trips together with another client's move;
 *  - a writer of the old name in between: DELETE is refused, and what it wrote is copied again.
 * Where DELETE knows none both names are claimed, and the tombstone tells late writers where the
 * file went (follow.c). */
#include "internal.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "absent.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "fold.h"
#include "keep.h"
#include "link.h"
#include "linked.h"
#include "makedir.h"
#include "outbox.h"
#include "relocate.h"
#include "removal.h"
#include "rename.h"

/* One conditional PUT of the file under the new key; a target is replaced as the version it is at
 * that moment. */
static int put_target(struct vfs *v, struct inode *i, const char *from, const char *to,
                      const char *to_name, unsigned flags, struct store_cond cond,
                      const struct intent *what, bool by_copy, struct store_obj *ret)
{
    struct contest contest;
    int r = 1;

    contest_begin(v, NULL, &contest);
    while (r > 0) {
        struct store_hdrs hdrs = {0};

        store_obj_done(ret);
        *ret = (struct store_obj){0};
        r = locks_before_commit(v, i);
        if (r == 0)
            r = commit_headers(v, i, to, to_name, &hdrs);
        if (r == 0 && what->mark[0] != '\0')
            r = moved_set(&hdrs, what->mark, &what->source);
        if (r == 0) {
            const struct upload_req req = {.key = to,
                                           .file = i->data,
                                           .src_key = from,
                                           .hdrs = &hdrs,
                                           .by_copy = by_copy,
                                           .is_move = true,
                                           .cond = cond};

            r = commit_upload(v, &req, ret);
        }
        store_hdrs_done(&hdrs);
        if (r == UPLOAD_LANDED) /* and another client has written there since: that stays */
            return data_follow(i->data, to, ret);
        if (r > 0 && (flags & RENAME_NOREPLACE) != 0)
            return err_set(r == UPLOAD_EXISTS ? -EEXIST : -EAGAIN,
                           "%s is being written by another client", to);
        if (r == UPLOAD_GONE)
            cond = (struct store_cond){STORE_IF_ABSENT, {""}};
        else if (r > 0)
            cond = (struct store_cond){STORE_IF_MATCH, ret->etag};
        if (r > 0)
            r = contest_lost(NULL, to, &contest) ?: 1;
    }
    return r;
}

/* The same, whatever others write under the old name meanwhile: each time they did, their version is
 * taken. By its bytes then, which come here with the look: a copy within the bucket would be refused
 * as often as they are faster. *ret_change: of the bytes that were put. */
static int put_newest(struct vfs *v, const struct rename_names *n, struct inode *i,
                      unsigned flags, struct store_cond cond, struct intent_claim *cl,
                      uint64_t *ret_change, struct store_obj *ret)
{
    const char *from = cl->what.from, *to = cl->what.to;
    struct contest contest;
    bool by_copy = true;
    int r;

    contest_begin(v, NULL, &contest);
    for (;;) {
        r = content_open(v, i);
        if (r < 0)
            return r;
        crash_point("rename.claimed");
        *ret_change = data_change(i->data);
        r = put_target(v, i, from, to, n->new_name, flags, cond, &cl->what, by_copy, ret);
        if (r == -ESTALE)
            r = source_moved_on(v, i, cl);
        if (r == SOURCE_NEWER)
            r = contest_lost(NULL, from, &contest) ?: SOURCE_NEWER;
        if (r != SOURCE_NEWER)
            return r;
        by_copy = false;
    }
}

/* The names in the tree follow. What stands under the new name by now is replaced: it may be
 * another version than the one that was looked up before. */
static void move_name_locked(struct vfs *v, const struct rename_names *n, struct inode *i)
{
    struct inode *over = inode_child_locked(v, n->new_dir, n->new_name);

    if (over != NULL) {
        over->attr.ctime_ns = clock_wall_ns();
        if (over->names->other == NULL)
            over->is_new = over->is_dirty = false;
        dentry_detach_locked(v, dentry_find_locked(v, n->new_dir, n->new_name));
    }
    fold_learn_locked(v, n->dir, i, n->name);
    names_changed_locked(v, n->dir, n->name, false, inode_is_dir(i));
    names_changed_locked(v, n->new_dir, n->new_name, !i->is_new, inode_is_dir(i));
    inode_detach_locked(v, i);
    if (inode_attach_locked(v, i, n->new_dir, n->new_name) < 0)
        i->checked_ns = 0; /* no memory for a name: the next lookup finds it in the bucket */
    i->attr.ctime_ns = clock_wall_ns();
    inode_touch_locked(n->dir);
    inode_touch_locked(n->new_dir);
}

/* Not in the bucket yet, or (from) as good as that: only the name here moves; its commit replaces what stands under the
 * new name now, which may be newer than what was known of it. */
static int move_new(struct vfs *v, const struct rename_names *n, struct inode *i,
                    struct inode *over, const char *to, struct removal *from, unsigned flags)
{
    struct store_obj there = {0};
    struct outbox_place place;
    int r = STORE_NOT_FOUND;
    bool is_gone;

    lock_take(&v->tree);
    is_gone = over == NULL || removal_stands_locked(v, to); /* the object is not that one's */
    lock_drop(&v->tree);
    if (!is_gone)
        r = key_head(v, to, &there);

    if (r != 0 && r != STORE_NOT_FOUND)
        return err_fold(r);
    place = (struct outbox_place){.key = to,
                                  .etag = there.etag,
                                  .obj_size = there.size,
                                  .is_trunc = true, /* all of what stands there, then too */
                                  .is_replacing = r == 0,
                                  .is_excl = (flags & RENAME_NOREPLACE) != 0, /* not the old name */
                                  .over = over,
                                  .from = from,
                                  .ctime_ns = clock_wall_ns()};
    store_obj_done(&there);
    r = outbox_move(v, i, &place);
    if (r < 0)
        return r;
    lock_take(&v->tree);
    i->etag = place.etag;
    i->obj_size = place.obj_size;
    i->is_trunc = place.is_trunc;
    i->is_replacing = place.is_replacing;
    i->is_over_removed = place.is_over_removed;
    i->is_excl = place.is_excl;
    i->is_new = true; /* there */
    commit_mark_dirty_locked(i);
    move_name_locked(v, n, i);
    if (from != NULL) { /* as its entry says */
        i->attr.ctime_ns = place.ctime_ns;
        i->obj_mtime_ns = 0;
        i->out_is_behind = false;
    }
    fold_renamed_locked(i);
    lock_drop(&v->tree);
    outbox_replaced(v, over);
    outbox_wake(v);
    strict_end(v, i); /* that was about the old name, too */
    return 0;
}

#define NOT_HERE 17
_Static_assert(NOT_HERE != (int)RENAME_AGAIN && NOT_HERE != (int)RENAME_OLD, "rename_here() gives both");

/* Stored, and the journal takes its rename: 0. Else the bucket is asked. */
static int move_local(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over,
                      const char *from, const char *to, unsigned flags)
{
    struct removal *m;
    int r;

    relocate_begin(v, i, from, &m);
    if (m == NULL)
        return -EAGAIN;
    marker_keep(v, n->dir);
    r = move_new(v, n, i, over, to, m, flags);
    if (r < 0) {
        log_warn("rename.local", "key=%s error=%d cause=%s effect=\"renamed in the bucket\"", LOG_Q(from), -r,
                 LOG_Q(err_text()));
        relocate_cancel(v, i, m);
        return r;
    }
    cache_obj_drop(v->cache, from);
    return 0;
}

/* The copy is there: the tree follows. */
static void moved_here(struct vfs *v, const struct rename_names *n, struct inode *i, const char *to,
                       struct store_obj *now, uint64_t change)
{
    lock_take(&v->tree);
    move_name_locked(v, n, i);
    lock_drop(&v->tree);
    commit_took(v, i, to, now, change);
}

static int move_claimed(struct vfs *v, const struct rename_names *n, struct inode *i,
                        struct inode *over, unsigned flags, struct intent_claim *cl)
{
    struct store_cond cond = {STORE_IF_ABSENT, {""}};
    const char *from = cl->what.from, *to = cl->what.to;
    bool was_dirty = i->is_new || i->is_dirty;
    struct store_obj now = {0};
    uint64_t change;
    int r;

    if (over != NULL && store_etag_is_set(&over->etag))
        cond = (struct store_cond){STORE_IF_MATCH, over->etag};
    lock_take(&v->tree);
    i->attr.ctime_ns = clock_wall_ns();
    lock_drop(&v->tree);
    r = put_newest(v, n, i, flags, cond, cl, &change, &now);
    if (r != 0) {
        store_obj_done(&now);
        if (r == RENAME_AGAIN || r == -EEXIST || r == -EAGAIN || r == -ESTALE || r == -ENOENT ||
            !cl->has_session)
            intents_withdraw(v, cl);
        else
            (void)mend_file(v, cl); /* in doubt: done or undone, as the bucket has it */
        return r;
    }
    crash_point("rename.copied");
    moved_here(v, n, i, to, &now, change);
    store_obj_done(&now);
    marker_keep(v, n->dir);
    r = source_delete(v, i, cl, was_dirty);
    crash_point("rename.deleted");
    cache_obj_drop(v->cache, from);
    intents_end(v, cl, r);
    crash_point("rename.ended");
    return r;
}

static int move_stored(struct vfs *v, const struct rename_names *n, struct inode *i,
                       struct inode *over, const char *from, const char *to, unsigned flags)
{
    struct intent_claim cl = {.both = !v->conf.caps.delete_match};
    int r;

    lock_take(&v->tree);
    cl.what.source = i->etag;
    if (over != NULL)
        cl.what.target = over->etag;
    memcpy(cl.what.id, i->attr.id, sizeof(cl.what.id));
    lock_drop(&v->tree);
    r = str_copy(cl.what.from, sizeof(cl.what.from), from);
    if (r == 0)
        r = str_copy(cl.what.to, sizeof(cl.what.to), to);
    if (r == 0)
        r = intents_claim(v, &cl);
    if (r != 0)
        return r;
    r = source_check(v, i, &cl);
    if (r == 0)
        return move_claimed(v, n, i, over, flags, &cl);
    intents_withdraw(v, &cl);
    return r;
}

/* A stored file takes an unsent one's place in the bucket, where no journal can follow: were the one
 * still to be sent after a crash, its bytes would go into the other. An unsent one's entry follows
 * that of what it replaces. */
static int clear_target(struct vfs *v, struct inode *over, bool is_unsent)
{
    int r = 0;

    if (outbox_waits(over) && is_unsent)
        return 0;
    if (outbox_waits(over))
        r = outbox_send(v, over);
    if (over->out == NULL) /* it is there, or was given up */
        return 0;
    return r < 0 ? r : outbox_forget(v, over);
}

static int file_keys(struct vfs *v, const struct rename_names *n, const struct inode *i,
                     char from[VFS_KEY_MAX + 2], char to[VFS_KEY_MAX + 2])
{
    int r;

    lock_take(&v->tree);
    r = inode_child_locked(v, n->dir, n->name) == i
            ? 0
            : err_set(-ENOENT, "renamed or removed meanwhile");
    if (r == 0)
        r = inode_key_locked(v, n->dir, n->name, from);
    if (r == 0)
        r = inode_key_locked(v, n->new_dir, n->new_name, to);
    if (r == 0 && inode_is_gone_locked(v, n->new_dir))
        r = err_set(-ENOENT, "the directory has been removed");
    lock_drop(&v->tree);
    return r;
}

/* What must be in the bucket before an object can come there: 0 (whatever is there then) or -errno. */
static int settle_target(struct vfs *v, const struct rename_names *n, const char *to)
{
    int r = makedir_settle(v, n->new_dir) ?: removal_settle(v, to);

    return r < 0 ? r : 0;
}

/* Who has looked it up, and opens it when its name is gone, is told ESTALE where its bytes can't be found, and the kernel hides
 * one. What the cache has of it can be: there, without a copy that hardly anybody needs. */
static void keep_for_late_opens(struct vfs *v, struct inode *over, const char *key)
{
    if (S_ISREG(atomic_load(&over->type)) && over->attr.link_gen == 0 && over->n_open == 0 && over->data == NULL &&
        store_etag_is_set(&over->etag) && data_is_here(v->data, key, &over->etag, over->obj_size))
        (void)content_open(v, over);
}

/* Whoever has the target open keeps what he sees. */
static int keep_target(struct vfs *v, struct inode *over, const char *to, bool is_unsent)
{
    int r = over != NULL ? clear_target(v, over, is_unsent) : 0;

    if (r == 0 && over != NULL)
        keep_for_late_opens(v, over, to);
    if (r == 0 && over != NULL && over->n_open > 0 && over->data != NULL && !over->is_new)
        r = data_localise(over->data);
    return r < 0 ? r : 0;
}

/* An unsent file, or one that the journal makes one. NOT_HERE: the bucket has to move it. */
static int rename_here(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over, const char *from,
                       const char *to, unsigned flags)
{
    const bool is_unsent = i->is_new && !store_etag_is_set(&i->etag) && !i->is_sent;
    int r;

    if (linked_waits(v, i) || (over != NULL && linked_waits(v, over)))
        return RENAME_AGAIN; /* send_holders() first */
    if ((over != NULL && over->attr.link_gen != 0) || (i->is_new && !is_unsent))
        return NOT_HERE;
    if (relocate_rings(v, i, to))
        return RENAME_AGAIN;
    r = keep_target(v, over, to, true);
    if (r < 0)
        return r;
    if (is_unsent)
        return move_new(v, n, i, over, to, NULL, flags);
    return move_local(v, n, i, over, from, to, flags) == 0 ? 0 : NOT_HERE;
}

static int rename_there(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over,
                        const char *from, const char *to, unsigned flags)
{
    const bool over_is_link = over != NULL && over->attr.link_gen != 0;
    int r;

    if (relocate_is_held(v, from) || relocate_is_held(v, to))
        return RENAME_AGAIN;
    r = keep_target(v, over, to, false);
    if (r < 0)
        return r;
    fold_end(v);
    r = settle_target(v, n, to);
    if (r < 0)
        return r;
    if (i->out != NULL || i->torn != 0 || i->failed != 0 || i->is_stale || i->attr.link_gen != 0 ||
        over_is_link)
        r = commit_inode(v, i); /* says what is wrong with it */
    if (r == 0 && !outbox_waits(i))
        r = outbox_forget(v, i); /* or the old name would come back */
    if (r == 0 && over_is_link)
        r = link_replacing(v, over, to);
    if (r == 0)
        r = i->attr.link_gen != 0 ? link_rename(v, n, i, over, flags)
                                  : move_stored(v, n, i, over, from, to, flags);
    if (r == 0 && over_is_link)
        link_replaced(v, over, to);
    if (r == 0)
        outbox_replaced(v, over);
    return r;
}

/* With names and both io locks held. */
static int rename_file(struct vfs *v, const struct rename_names *n, struct inode *i,
                       struct inode *over, unsigned flags)
{
    char from[VFS_KEY_MAX + 2], to[VFS_KEY_MAX + 2];
    int r = file_keys(v, n, i, from, to);

    if (r < 0)
        return r;
    r = rename_here(v, n, i, over, from, to, flags);
    return r == NOT_HERE ? rename_there(v, n, i, over, from, to, flags) : r;
}

static bool is_below(struct vfs *v, const struct inode *dir, const struct inode *top)
{
    lock_take(&v->tree);
    while (dir != NULL && dir != top)
        dir = dir->parent;
    lock_drop(&v->tree);
    return dir != NULL;
}

/* Its keys are other mounts' too: they do not move with a directory. */
static int check_state(struct vfs *v, const struct inode *i)
{
    char key[VFS_KEY_MAX + 2];
    int r;

    if (!inode_is_dir(i))
        return 0;
    lock_take(&v->tree);
    r = inode_key_locked(v, i, NULL, key);
    lock_drop(&v->tree);
    if (r == 0 && name_has_state(v, key))
        r = err_set(-EBUSY, "%s holds the state of the bucket's mounts", key);
    return r;
}

static int check_kinds(const struct inode *i, const struct inode *over, unsigned flags)
{
    if (over == NULL)
        return 0;
    if ((flags & RENAME_NOREPLACE) != 0)
        return err_set(-EEXIST, "the new name exists");
    if (inode_is_dir(i) && !inode_is_dir(over))
        return err_set(-ENOTDIR, "a directory can't replace a file");
    if (!inode_is_dir(i) && inode_is_dir(over))
        return err_set(-EISDIR, "a file can't replace a directory");
    return 0;
}

static int rename_under_locks(struct vfs *v, const struct rename_names *n, struct inode *i,
                              struct inode *over, unsigned flags)
{
    struct inode *first = i, *second = over;
    int r;

    keep_try(v, i);
    if (inode_is_dir(i)) {
        fold_end(v);
        return rename_dir(v, n, i, over);
    }
    if (second != NULL && second < first) {
        first = over;
        second = i;
    }
    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, first);
    if (second != NULL)
        inode_io_take(v, second);
    r = rename_file(v, n, i, over, flags);
    if (second != NULL)
        inode_io_drop(v, second);
    inode_io_drop(v, first);
    pthread_rwlock_unlock(&v->names);
    return r;
}

/* 0, and *ret if there is one. */
static int look_up_target(struct vfs *v, const struct rename_names *n, struct inode **ret)
{
    bool is_absent;
    int r;

    lock_take(&v->tree);
    is_absent = absent_take_locked(v, n->new_dir, n->new_name);
    lock_drop(&v->tree);
    if (is_absent)
        return 0;
    r = name_lookup(v, n->new_dir, n->new_name, ret);
    return r == -ENOENT ? 0 : r;
}

static int rename_once(struct vfs *v, const struct rename_names *n, unsigned flags)
{
    struct inode *i = NULL, *over = NULL;
    char new_dir_key[VFS_KEY_MAX + 2];
    int r = name_lookup(v, n->dir, n->name, &i);

    if (r == 0) {
        lock_take(&v->tree);
        r = inode_key_locked(v, n->new_dir, NULL, new_dir_key);
        lock_drop(&v->tree);
    }
    if (r == 0 && name_is_hidden(v, new_dir_key, n->new_name))
        r = err_set(-EPERM, "%s is reserved", n->new_name);
    if (r == 0)
        r = look_up_target(v, n, &over);
    if (r == 0)
        r = check_state(v, i);
    if (r == 0 && inode_is_dir(i) && is_below(v, n->new_dir, i))
        r = err_set(-EINVAL, "a directory can't move into itself");
    if (r == 0 && !inode_is_dir(n->new_dir))
        r = err_set(-ENOTDIR, "not a directory");
    if (r == 0 && i != over)
        r = check_kinds(i, over, flags);
    if (r == 0)
        r = enforce_rename(v, n->dir, i, n->new_dir, over);
    if (r == 0 && i != over) {
        r = rename_under_locks(v, n, i, over, flags);
        inode_tell_kernel(v, i); /* its bytes may have met others' on the way */
    }
    inode_unref(v, over);
    inode_unref(v, i);
    return r;
}

/* The file under this name is sent first, if it has names that wait for that. */
static int settle_links(struct vfs *v, const struct inode *dir, const char *name)
{
    struct inode *i;
    int r = 0;

    lock_take(&v->tree);
    i = inode_child_locked(v, dir, name);
    if (i != NULL)
        i->refs++;
    lock_drop(&v->tree);
    if (i != NULL && !inode_is_dir(i) && linked_waits(v, i))
        r = linked_settle(v, i);
    inode_unref(v, i);
    return r;
}

/* What was renamed away from these names here, and is not sent yet. */
static int send_holders(struct vfs *v, const struct rename_names *n)
{
    char from[VFS_KEY_MAX + 2], to[VFS_KEY_MAX + 2];
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, n->dir, n->name, from);
    if (r == 0)
        r = inode_key_locked(v, n->new_dir, n->new_name, to);
    lock_drop(&v->tree);
    if (r == 0)
        r = outbox_send_holder(v, from, false);
    if (r == 0)
        r = outbox_send_holder(v, to, false);
    return r ?: settle_links(v, n->dir, n->name) ?: settle_links(v, n->new_dir, n->new_name);
}

/* Another rename stood in the way of this one, which holds nothing now: its end is waited for. Both
 * kinds of both names: what they are may have changed. */
static int wait_for_others(struct vfs *v, const struct rename_names *n)
{
    int r = 0;

    for (int k = 0; k < 4 && r == 0; k++) {
        char key[VFS_KEY_MAX + 3];

        lock_take(&v->tree);
        r = inode_key_locked(v, k < 2 ? n->dir : n->new_dir, k < 2 ? n->name : n->new_name, key);
        lock_drop(&v->tree);
        if (r == 0 && k % 2 == 1)
            memcpy(key + strlen(key), "/", 2);
        if (r == 0)
            r = intents_wait(v, key, k % 2 == 1);
        if (r == RENAME_OLD)
            r = err_set(-EBUSY, "a rename of %s was left unfinished long ago: s3efs fsck --repair", key);
    }
    return r;
}

static int rename_names(struct vfs *v, const struct rename_names *n, unsigned flags)
{
    struct contest contest;
    int r;

    contest_begin(v, NULL, &contest);
    for (;;) {
        r = rename_once(v, n, flags);
        if (r != RENAME_AGAIN)
            return r;
        r = send_holders(v, n) ?: wait_for_others(v, n);
        if (r == 0)
            r = contest_lost(NULL, n->name, &contest);
        if (r < 0)
            return r;
    }
}

int vfs_rename(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name,
               uint64_t new_dir, const char *new_name, unsigned flags)
{
    struct rename_names n = {.name = name, .new_name = new_name};
    int r;

    (void)x;
    if ((flags & ~(unsigned)RENAME_NOREPLACE) != 0)
        return err_set(-EINVAL, "as on NFS, names can't be exchanged");
    if (v->conf.read_only)
        return err_set(-EROFS, "mounted read-only");
    r = name_check(new_name);
    if (r < 0)
        return r;
    r = inode_get(v, dir, &n.dir);
    if (r < 0)
        return r;
    r = inode_get(v, new_dir, &n.new_dir);
    if (r == 0) {
        r = rename_names(v, &n, flags);
        inode_unref(v, n.new_dir);
    }
    inode_unref(v, n.dir);
    return r;
}
