/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of an open file: fallocate(2), and where its holes are. Space is not reserved: a bucket
 * has no end, so what fallocate promises holds by itself. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "fold.h"

static int change_range(struct data_file *f, int mode, uint64_t off, uint64_t len)
{
    bool keeps_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;

    if ((mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE)) != 0)
        return data_zero(f, off, len, keeps_size);
    if (keeps_size || off + len <= data_size(f))
        return 0;
    return data_truncate(f, off + len);
}

static int check_mode(int mode, uint64_t off, uint64_t len)
{
    switch (mode) {
    case 0:
    case FALLOC_FL_KEEP_SIZE:
    case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
    case FALLOC_FL_ZERO_RANGE:
    case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
        break;
    default:
        return err_set(-EOPNOTSUPP, "ranges can't be moved within a file");
    }
    if (len == 0)
        return err_set(-EINVAL, "an empty range");
    if (off > INT64_MAX || len > INT64_MAX - off)
        return err_set(-EFBIG, "past the largest offset");
    return 0;
}

int vfs_fallocate(struct vfs *v, const struct vfs_ctx *x, uint64_t fh, int mode, uint64_t off,
                  uint64_t len)
{
    struct handle *h = handle_get(v, fh);
    uint64_t before;
    bool is_changed;
    int r = check_mode(mode, off, len);

    if (h == NULL || !h->is_writer || h->data == NULL)
        return err_set(-EBADF, "not open for writing");
    if (r < 0)
        return r;
    fold_before_change(v, h->inode);
    inode_io_take(v, h->inode);
    before = data_change(h->data);
    r = change_range(h->data, mode, off, len);
    is_changed = data_change(h->data) != before;
    if (is_changed) {
        handle_note_writer(v, h, x->pid);
        h->has_written = true;
        h->is_fresh = false;
    }
    lock_take(&v->tree);
    if (is_changed || (r < 0 && (mode & ~FALLOC_FL_KEEP_SIZE) != 0))
        note_write_locked(h->inode, off, off + len, r);
    if (is_changed) {
        tail_note_locked(h->inode, off, off + len, false);
        h->inode->attr.mtime_ns = h->inode->attr.ctime_ns = clock_wall_ns();
        if (h->data == h->inode->data)
            h->inode->attr.size = data_size(h->data);
        commit_mark_dirty_locked(h->inode);
    }
    lock_drop(&v->tree);
    inode_io_drop(v, h->inode);
    if (is_changed)
        writeback_wake(v);
    return r == 0 && is_changed && v->conf.sync_writes ? vfs_fsync(v, fh) : r;
}

int vfs_lseek(struct vfs *v, uint64_t fh, uint64_t off, int whence, uint64_t *ret)
{
    struct handle *h = handle_get(v, fh);

    if (h == NULL || h->data == NULL)
        return -EBADF;
    if (whence != SEEK_HOLE && whence != SEEK_DATA)
        return err_set(-EINVAL, "other positions are the kernel's");
    return data_seek(h->data, off, whence == SEEK_HOLE, ret);
}
