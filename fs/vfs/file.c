/* SPDX-License-Identifier: Apache-2.0 */
/* Open files: close-to-open at open (protocol 7), bytes, and which FLUSH commits (protocol 1). */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "fold.h"
#include "keep.h"
#include "stored.h"
#include "through.h"

static int pin_file(struct vfs *v, uint64_t node, struct inode **ret)
{
    struct inode *i;
    int r = inode_get(v, node, &i);

    if (r < 0)
        return r;
    if (S_ISREG(atomic_load(&i->type))) {
        *ret = i;
        return 0;
    }
    r = inode_is_dir(i) ? -EISDIR : -ENXIO;
    inode_unref(v, i);
    return err_set(r, "not a regular file");
}

static int truncate_all(struct vfs *v, struct inode *i)
{
    int r = content_open(v, i);

    if (r == 0)
        r = data_truncate(i->data, 0);
    if (r < 0)
        return r;
    lock_take(&v->tree);
    i->attr.mtime_ns = i->attr.ctime_ns = clock_wall_ns();
    i->attr.size = 0;
    i->torn = i->failed = 0;
    tail_cut_locked(i, 0);
    commit_mark_dirty_locked(i);
    lock_drop(&v->tree);
    return 0;
}

/* What the kernel may keep of the pages that it has. */
static bool keeps_pages(struct vfs *v, struct inode *i, bool is_ours)
{
    bool keeps;

    lock_take(&v->tree);
    keeps = !i->is_kernel_behind && (is_ours || store_etag_equal(&i->kernel_etag, &i->etag));
    i->kernel_etag = i->etag;
    lock_drop(&v->tree);
    return keeps;
}

/* Nobody has it open, and its name went: what the cache has of it would not stay for who opens it after all. */
static int keep_gone(struct vfs *v, struct inode *i)
{
    bool is_late;

    lock_take(&v->tree);
    is_late = i->parent == NULL && i->n_open == 0;
    lock_drop(&v->tree);
    return is_late ? data_localise(i->data) : 0;
}

/* With names (read) and i->io held. is_asked: its lookup has asked the bucket (READ-1). */
static int open_locked_io(struct vfs *v, struct inode *i, int flags, bool is_asked, struct handle **ret,
                          bool *ret_keep)
{
    bool is_ours, is_believed, is_attr, is_trunc = (flags & O_TRUNC) != 0;
    const bool wants_bytes = (flags & O_ACCMODE) != O_WRONLY && !is_trunc;
    int r = (flags & O_ACCMODE) != O_RDONLY || is_trunc ? through_part(v, i) : 0;

    if (r < 0)
        return r;
    lock_take(&v->tree);
    is_attr = stored_attr_waits_locked(i);
    is_believed = (is_asked && !is_attr) || (v->conf.nocto && inode_is_fresh_locked(v, i));
    is_ours = i->is_new || i->is_linking || (i->is_dirty && !is_attr) || i->parent == NULL;
    if (inode_is_stale_locked(v, i))
        r = err_set(-ESTALE, "%s is another file now: look it up again", i->name);
    else if (is_trunc && (flags & O_ACCMODE) == O_RDONLY && handle_is_executed_locked(i))
        r = err_set(-ETXTBSY, "%s is being executed", i->name); /* other writers: the kernel says so */
    lock_drop(&v->tree);
    /* Also who truncates: what he replaces must be the file that is there now, not one that another
     * client has removed meanwhile, or its commit would have no place to go (protocol 2d). */
    if (r == 0 && !is_ours && !is_believed)
        r = is_attr ? stored_check(v, i, wants_bytes) : inode_check(v, i, wants_bytes);
    if (r == 0)
        r = is_trunc ? truncate_all(v, i) : content_open(v, i);
    if (r == 0)
        r = keep_gone(v, i);
    if (r == 0)
        r = handle_new(v, i, flags, ret);
    if (r < 0)
        return r;
    through_begin(v, i, *ret);
    (*ret)->is_fresh = is_trunc;
    *ret_keep = keeps_pages(v, i, is_ours) && !is_trunc;
    return 0;
}

/* A file that waits for its upload, or is being uploaded (which holds io for as long as S3 is away),
 * is read as it is here. 1: not that easily. */
static int open_unsent(struct vfs *v, struct inode *i, int flags, struct handle **ret, bool *ret_keep)
{
    bool is_unsent;
    int r;

    lock_take(&v->tree);
    is_unsent = outbox_waits(i) && i->data != NULL && i->aside == NULL && !inode_is_stale_locked(v, i) &&
                (i->n_through == 0 || (flags & O_ACCMODE) == O_RDONLY) &&
                (v->conf.nocto || !stored_attr_waits_locked(i));
    lock_drop(&v->tree);
    if (!is_unsent || (flags & O_TRUNC) != 0)
        return 1;
    r = handle_new(v, i, flags, ret);
    if (r == 0 && (*ret)->data == NULL) { /* given up meanwhile */
        handle_free(v, *ret);
        return 1;
    }
    if (r == 0)
        *ret_keep = keeps_pages(v, i, true);
    return r;
}

/* With names (read) and i->io taken. */
static int open_checked(struct vfs *v, struct inode *i, int flags, bool is_asked, struct handle **ret, bool *ret_keep)
{
    int r;

    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, i);
    r = open_locked_io(v, i, flags, is_asked, ret, ret_keep);
    inode_io_drop(v, i);
    pthread_rwlock_unlock(&v->names);
    return r;
}

int vfs_open(struct vfs *v, const struct vfs_ctx *x, uint64_t node, int flags, uint64_t *ret_fh,
             bool *ret_keep_cache)
{
    struct handle *h = NULL;
    struct inode *i = NULL;
    bool is_asked;
    int r;

    if (v->conf.read_only && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0))
        return err_set(-EROFS, "mounted read-only");
    r = pin_file(v, node, &i);
    if (r < 0)
        return r;
    is_asked = reading_was_asked(v, x, i, flags);
    r = enforce_open(v, i, flags);
    if (r < 0) {
        inode_unref(v, i);
        return r;
    }
    if ((flags & O_TRUNC) != 0)
        fold_before_change(v, i);
    r = open_unsent(v, i, flags, &h, ret_keep_cache);
    if (r == 1)
        r = open_checked(v, i, flags, is_asked, &h, ret_keep_cache);
    if (r == 0) {
        *ret_fh = h->fh;
        inode_tell_kernel(v, i); /* it believes in the old size until then (T1) */
    }
    inode_unref(v, i);
    return r;
}

ssize_t vfs_read(struct vfs *v, uint64_t fh, uint64_t off, void *buf, size_t len)
{
    struct handle *h = handle_get(v, fh);
    uint64_t end, seen;
    ssize_t n;

    if (h == NULL)
        return -EBADF;
    if (h->data == NULL)
        return err_set(-ESTALE, "%s is not to be found any more", h->inode->name);
    n = data_read(h->data, off, buf, len);
    if (n < 0)
        return n;
    end = n > 0 ? off + (uint64_t)n : off < data_size(h->data) ? off : data_size(h->data);
    seen = atomic_load(&h->read_to);
    while (end > seen && !atomic_compare_exchange_weak(&h->read_to, &seen, end))
        ;
    return n;
}

/* A write that failed leaves a hole that its writer never meant: half an image must not go up as if
 * it were whole. Writing the range after all heals it. */
void note_write_locked(struct inode *i, uint64_t off, uint64_t end, int r)
{
    if (r < 0) {
        i->torn_off = i->torn == 0 || off < i->torn_off ? off : i->torn_off;
        i->torn_end = i->torn == 0 || end > i->torn_end ? end : i->torn_end;
        i->torn = r;
    } else if (i->torn != 0 && off <= i->torn_off && end >= i->torn_end) {
        i->torn = 0;
    }
    i->failed = 0;
}

/* Commits if anything waits; the handle's own books are then closed. Whatever the outcome, it is
 * the caller's to tell: a failure leaves the file dirty, for the next fsync or close to try again.
 */
static int commit_handle(struct vfs *v, struct handle *h, bool is_fsync)
{
    bool is_local = v->conf.commit == VFS_COMMIT_LOCAL ||
                    (v->conf.commit == VFS_COMMIT_FSYNC && !is_fsync);
    uint64_t room = is_local ? outroom_take(v, h->inode) : 0;
    int r = is_local ? 0 : outbox_unblock(v, h->inode);

    if (r < 0)
        return r;
    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, h->inode);
    r = is_local ? outbox_commit(v, h->inode) : commit_inode(v, h->inode);
    if (r == 0)
        h->has_written = h->is_fresh = false;
    inode_io_drop(v, h->inode);
    pthread_rwlock_unlock(&v->names);
    outroom_give(v, h->inode, room);
    inode_tell_kernel(v, h->inode);
    return r;
}

/* noac: as with O_SYNC, the write is in the bucket when it returns. A failure leaves the file dirty
 * and is told again by close. */
static ssize_t write_synced(struct vfs *v, struct handle *h, ssize_t n)
{
    int r = n > 0 && v->conf.sync_writes ? commit_handle(v, h, true) : 0;

    return r < 0 ? r : n;
}

ssize_t vfs_write(struct vfs *v, const struct vfs_ctx *x, uint64_t fh, uint64_t off,
                  const void *buf, size_t len)
{
    struct handle *h = handle_get(v, fh);
    struct inode *i;
    bool wakes;
    int r;

    if (h == NULL || !h->is_writer)
        return err_set(-EBADF, "not open for writing");
    i = h->inode;
    if (h->data == NULL)
        return err_set(-ESTALE, "%s is not to be found any more", i->name);
    if (off > INT64_MAX - len)
        return err_set(-EFBIG, "past the largest offset");
    fold_before_change(v, i);
    inode_io_take(v, i);
    if ((h->flags & O_APPEND) != 0)
        off = data_size(h->data);
    r = data_write(h->data, off, buf, len);
    handle_note_writer(v, h, x->pid);
    h->has_written = true;
    h->is_fresh = false;
    lock_take(&v->tree);
    note_write_locked(i, off, off + len, r);
    if (r == 0) {
        tail_note_locked(i, off, off + len, (h->flags & O_APPEND) != 0);
        i->attr.mtime_ns = i->attr.ctime_ns = clock_wall_ns();
        if (h->data == i->data && off + len > i->attr.size)
            i->attr.size = off + len;
        commit_mark_dirty_locked(i);
    }
    wakes = r == 0 && !i->is_new; /* what is new waits for its first close or fsync */
    lock_drop(&v->tree);
    if (r == 0 && (h->flags & O_APPEND) != 0)
        keep_promise_write(v, len);
    inode_io_drop(v, i);
    if (wakes)
        writeback_wake(v);
    return r < 0 ? r : write_synced(v, h, (ssize_t)len);
}

static int has_fd(struct vfs *v, const struct handle *h, pid_t pid)
{
    uint64_t ino;

    lock_take(&v->tree);
    ino = h->inode->ino; /* another close may just take over the winner's */
    lock_drop(&v->tree);
    if (v->conf.proc_has_fd != NULL)
        return v->conf.proc_has_fd(pid, ino);
    return proc_has_fd(pid, (dev_t)atomic_load(&v->dev), ino);
}

/* Protocol 1: is this the close that its writer waits for? One of several duplicates of one open
 * file in the writing process is not: the last of them is. With a second open of the file that
 * can't be told apart, and each close commits. */
static bool flush_commits(struct vfs *v, struct handle *h, const struct vfs_ctx *x)
{
    bool is_dirty, is_only;
    int has;

    lock_take(&v->tree);
    is_dirty = h->inode->is_new || h->inode->is_dirty || h->inode->torn != 0;
    is_only = h->inode->n_open == 1;
    lock_drop(&v->tree);
    if (!h->is_writer || !is_dirty)
        return false;
    if (h->has_written)
        return handle_wrote(v, h, x->pid) && !(is_only && x->pid != 0 && has_fd(v, h, x->pid) == 1);
    if (!h->is_fresh)
        return true; /* attributes set through the descriptor, or another handle's bytes */
    if (x->pid == 0)
        return (h->flags & O_EXCL) != 0;
    has = has_fd(v, h, x->pid);
    return has == 0 || (has < 0 && (h->flags & O_EXCL) != 0);
}

int vfs_flush(struct vfs *v, const struct vfs_ctx *x, uint64_t fh)
{
    struct handle *h = handle_get(v, fh);

    if (h == NULL)
        return -EBADF;
    return flush_commits(v, h, x) ? commit_handle(v, h, false) : 0;
}

int vfs_fsync(struct vfs *v, uint64_t fh)
{
    struct handle *h = handle_get(v, fh);

    if (h == NULL)
        return -EBADF;
    return commit_handle(v, h, true);
}

/* The last word of a file that is closed everywhere: what no FLUSH committed (a killed writer, a
 * child's descriptor) is committed now; what cannot be is kept aside and told in the log and the
 * status. */
static void release_writer(struct vfs *v, struct handle *h)
{
    struct inode *i = h->inode;
    bool is_last, is_dirty, is_given_up, is_torn;
    int r = 0;

    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, i);
    lock_take(&v->tree);
    is_last = --i->n_writers == 0; /* of two that end at once, one is */
    h->is_writer = false;
    is_dirty = inode_is_owed_locked(v, i);
    r = outbox_waits(i) ? 0 : i->failed; /* who closed was told: what failed then does not happen behind his back now */
    if (r < 0)
        err_set(r, "%s", i->failed_why != NULL ? i->failed_why : "as close or fsync said");
    lock_drop(&v->tree);
    if (r == 0 && is_dirty && (is_last || h->has_written || h->is_fresh))
        r = v->conf.commit == VFS_COMMIT_CLOSE ? commit_inode_unwaited(v, i) : outbox_commit(v, i);
    is_given_up = r < 0 && is_last && !outbox_waits(i);
    is_torn = r < 0 && is_last && outbox_waits(i) && i->torn != 0;
    if (is_given_up)
        (void)commit_give_up(v, i, r, "at the last close");
    if (is_torn)
        outbox_revert(v, i, r);
    if (is_last)
        strict_end(v, i);
    lock_take(&v->tree);
    if (is_given_up)
        inode_kernel_behind_locked(v, i); /* it has the pages that were refused */
    lock_drop(&v->tree);
    inode_io_drop(v, i);
    pthread_rwlock_unlock(&v->names);
    inode_tell_kernel(v, i);
    outbox_wake(v);
}

void vfs_release(struct vfs *v, uint64_t fh)
{
    struct handle *h = handle_get(v, fh);

    if (h == NULL)
        return;
    if (h->is_writer)
        release_writer(v, h);
    handle_free(v, h);
}
