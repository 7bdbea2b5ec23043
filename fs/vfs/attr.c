/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes. What is set on a file that is being written goes up with its bytes; what is set on a
 * stored one is one conditional rewrite (protocol 5). */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "fold.h"
#include "makedir.h"
#include "stored.h"
#include "storeddir.h"
#include "through.h"

/* The root has no name that a lookup would ask for. Best effort: it is what it was. */
static void see_root(struct vfs *v, struct inode *root)
{
    bool is_fresh;
    int64_t ac_ns;

    lock_take(&v->tree);
    is_fresh = inode_is_fresh_locked(v, root);
    ac_ns = root->ac_ns;
    lock_drop(&v->tree);
    if (is_fresh)
        return;
    inode_io_take(v, root);
    if (marker_see(v, root, ac_ns) < 0)
        log_debug("root.marker", "cause=%s", LOG_Q(err_text()));
    inode_io_drop(v, root);
}

int vfs_getattr(struct vfs *v, uint64_t node, uint64_t fh, struct stat *ret, int64_t *ret_attr_ns)
{
    struct inode *i;
    int r = inode_get(v, node, &i);

    (void)fh;
    if (r < 0)
        return r;
    r = inode_follow_end(v, i) ? 0 : inode_revalidate(v, i);
    if (r == 0 && node == VFS_ROOT)
        see_root(v, i);
    lock_take(&v->tree);
    if (r == 0) {
        inode_stat_locked(v, i, ret);
        *ret_attr_ns = inode_attr_ns_locked(v, i);
    }
    inode_unref_locked(v, i);
    lock_drop(&v->tree);
    return r;
}

/* What 64 bits of nanoseconds can't hold (1677 to 2262) becomes the nearest that they can, as the
 * kernel does it for its own file systems. */
static int64_t time_of(const struct timespec *ts, int64_t now)
{
    const int64_t last = INT64_MAX / NS_PER_S;

    if (ts->tv_nsec == UTIME_NOW)
        return now;
    if (ts->tv_sec >= last)
        return last * NS_PER_S;
    return ts->tv_sec <= -last ? -last * NS_PER_S : ts->tv_sec * NS_PER_S + ts->tv_nsec;
}

static void apply_attr_locked(struct inode *i, const struct stat *st, int mask)
{
    int64_t now = clock_wall_ns();

    if ((mask & VFS_SET_MODE) != 0)
        i->attr.mode = (i->attr.mode & S_IFMT) | (st->st_mode & 07777);
    if ((mask & VFS_SET_UID) != 0)
        i->attr.uid = st->st_uid;
    if ((mask & VFS_SET_GID) != 0)
        i->attr.gid = st->st_gid;
    if ((mask & VFS_SET_ATIME) != 0)
        i->attr.atime_ns = time_of(&st->st_atim, now);
    if ((mask & VFS_SET_MTIME) != 0)
        i->attr.mtime_ns = time_of(&st->st_mtim, now);
    i->attr.ctime_ns = now;
    i->attr_set |= (unsigned)mask;
    i->attr_new |= (unsigned char)mask;
}

static int set_size(struct vfs *v, struct inode *i, uint64_t size)
{
    int r;

    if (inode_is_dir(i))
        return err_set(-EISDIR, "a directory has no size to set");
    if (!S_ISREG(atomic_load(&i->type)))
        return err_set(-EINVAL, "not a regular file");
    r = content_open(v, i);
    if (r == 0)
        r = data_truncate(i->data, size);
    if (r < 0)
        return r;
    lock_take(&v->tree);
    i->attr.mtime_ns = clock_wall_ns();
    i->attr.size = size;
    i->failed = 0;
    tail_cut_locked(i, size);
    if (size <= i->torn_off)
        i->torn = 0;
    commit_mark_dirty_locked(i);
    lock_drop(&v->tree);
    return 0;
}

/* True, and they are journaled. */
static bool set_local_dir(struct vfs *v, struct inode *i, const struct stat *st, int mask)
{
    struct objattr before;
    bool has_step;
    unsigned set;
    int r;

    if (!storeddir_begin(v, i, &has_step))
        return false;
    lock_take(&v->tree);
    before = i->attr;
    set = i->attr_set;
    apply_attr_locked(i, st, mask);
    lock_drop(&v->tree);
    r = outbox_put(v, i);
    if (r < 0) {
        lock_take(&v->tree);
        i->attr = before;
        i->attr_set = set;
        lock_drop(&v->tree);
    }
    storeddir_end(v, i, has_step, r);
    return r == 0;
}

/* A directory's attributes stand in its marker. One that another client changed meanwhile is read
 * again, once. */
static int set_dir(struct vfs *v, struct inode *i, const struct stat *st, int mask)
{
    struct objattr before;
    int r;

    if (set_local_dir(v, i, st, mask))
        return 0;
    r = makedir_ready(v, i);
    if (r == 0)
        r = marker_see(v, i, v->conf.acregmin_ns); /* as a file's commit (protocol 5) */
    if (r < 0)
        return r;
    for (int tries = 0;; tries++) {
        lock_take(&v->tree);
        before = i->attr;
        apply_attr_locked(i, st, mask);
        lock_drop(&v->tree);
        r = marker_put(v, i);
        if (r == 0)
            return 0;
        lock_take(&v->tree);
        i->attr = before;
        i->checked_ns = 0;
        lock_drop(&v->tree);
        r = marker_refused(v, i, r, tries);
        if (r < 0)
            return r;
    }
}

void attr_take_back_locked(struct inode *i, const struct objattr *before)
{
    uint64_t size = i->attr.size; /* of the version that the commit may have moved to */

    i->attr = *before;
    i->attr.size = size;
    i->attr_set = i->attr_new = 0;
    store_hdrs_done(&i->edits);
    i->is_dirty = false;
    i->dirty_since_ns = 0;
    i->failed = 0;
    i->checked_ns = 0;
}

bool attr_waits_locked(const struct inode *i)
{
    /* A newer version of its file has its name, and no writer's close will bring the change there. */
    bool goes_to_newer = i->is_stale && i->newer_key != NULL && i->n_writers == 0;

    return (i->parent == NULL && !goes_to_newer) ||
           ((i->is_new || (i->is_dirty && i->n_writers > 0)) && !outbox_has_all_locked(i));
}

/* With names (read) and i->io held. Through a descriptor of a file that is being written, or on one
 * that is not in the bucket yet, a change waits for the commit; otherwise it is committed now. So it is where all
 * that waits is acknowledged: no close need come to bring it there. */
static int set_file(struct vfs *v, struct inode *i, struct handle *h, const struct stat *st,
                    int mask)
{
    bool waits, is_journaled, is_closed, was_clean, is_cut_now = false;
    struct objattr before;
    int r = 0;

    lock_take(&v->tree);
    if (inode_is_stale_locked(v, i) && i->newer_key == NULL)
        r = err_set(-ESTALE, "%s is another file now", i->name);
    was_clean = !i->is_dirty && (mask & VFS_SET_SIZE) == 0;
    is_journaled = outbox_has_all_locked(i);
    waits = (h != NULL && h->is_writer) || attr_waits_locked(i);
    lock_drop(&v->tree);
    if (r == 0 && (mask & VFS_SET_SIZE) != 0) {
        bool was_cut = i->data != NULL && data_is_cut(i->data);

        r = set_size(v, i, (uint64_t)st->st_size);
        waits = (i->is_new && !is_journaled) || i->parent == NULL || (h != NULL && h->is_writer);
        is_cut_now = !waits && !was_cut;
    }
    if (r < 0)
        return r;
    lock_take(&v->tree);
    before = i->attr;
    apply_attr_locked(i, st, mask);
    commit_mark_dirty_locked(i);
    i->is_cut_now = is_cut_now;
    is_closed = i->n_writers == 0;
    lock_drop(&v->tree);
    if (outbox_holds(v, i))
        return outbox_commit(v, i);
    if (waits && !v->conf.sync_writes)
        return 0;
    r = stored_commit(v, i);
    if (r == 0)
        return 0;
    if (is_closed)
        (void)commit_give_up(v, i, r, "changing attributes or size");
    lock_take(&v->tree);
    if (!is_closed && was_clean)
        attr_take_back_locked(i, &before);
    lock_drop(&v->tree);
    return r;
}

/* With names (read) and i->io held. */
static int set_any(struct vfs *v, struct inode *i, struct handle *h, const struct stat *st, int mask)
{
    int r = (mask & VFS_SET_SIZE) != 0 ? through_part(v, i) : 0;

    if (r < 0)
        return r;
    return inode_is_dir(i) && (mask & VFS_SET_SIZE) == 0 ? set_dir(v, i, st, mask) : set_file(v, i, h, st, mask);
}

int vfs_setattr(struct vfs *v, const struct vfs_ctx *x, uint64_t node, uint64_t fh,
                const struct stat *st, int mask, struct stat *ret, int64_t *ret_attr_ns)
{
    struct handle *h = fh != 0 ? handle_get(v, fh) : NULL;
    struct stat allowed = *st;
    struct inode *i;
    int r;

    (void)x;
    if (v->conf.read_only)
        return err_set(-EROFS, "mounted read-only");
    r = inode_get(v, node, &i);
    if (r < 0)
        return r;
    if (h == NULL)
        r = inode_revalidate(v, i);
    if (r == 0)
        r = enforce_setattr(v, i, h != NULL && h->is_writer, &allowed, &mask);
    if (r == 0 && h != NULL && (mask & VFS_SET_SIZE) != 0)
        fold_before_change(v, i);
    if (r == 0) {
        uint64_t room = outroom_take_change(v, i);

        pthread_rwlock_rdlock(&v->names);
        inode_io_take(v, i);
        r = set_any(v, i, h, &allowed, mask);
        inode_io_drop(v, i);
        pthread_rwlock_unlock(&v->names);
        outroom_give(v, i, room);
        inode_tell_kernel(v, i);
        writeback_wake(v);
    }
    lock_take(&v->tree);
    if (r == 0) {
        inode_stat_locked(v, i, ret);
        *ret_attr_ns = inode_attr_ns_locked(v, i);
    }
    inode_unref_locked(v, i);
    lock_drop(&v->tree);
    return r;
}

/* As EFS: 8 EiB less a block, so that df and installers never see a full disk, and no program's signed
 * number of bytes overflows. */
#define BLOCKS ((UINT64_C(1) << 43) - 1)

int vfs_statfs(struct vfs *v, struct statvfs *ret)
{
    (void)v;
    *ret = (struct statvfs){
        .f_bsize = 1 << 20,
        .f_frsize = 1 << 20,
        .f_blocks = BLOCKS,
        .f_bfree = BLOCKS,
        .f_bavail = BLOCKS,
        .f_files = UINT64_C(1) << 40,
        .f_ffree = UINT64_C(1) << 40,
        .f_favail = UINT64_C(1) << 40,
        .f_namemax = VFS_NAME_MAX,
    };
    return 0;
}
