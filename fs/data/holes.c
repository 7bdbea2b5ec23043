/* SPDX-License-Identifier: Apache-2.0 */
/* Ranges of zeros: made without writing them, and found again. A hole over bytes of the base is a dirty range whose
 * bytes are a hole of the stage too; past the base what is in no range is zero anyway (DATA-1). */
#include <errno.h>
#include <sys/stat.h>

#include "base/sys.h"
#include "internal.h"

#define ZEROS (64u << 10)

/* Where the cache's file system makes no holes. */
static int write_zeros(struct cache_stage *stage, int fd, uint64_t off, uint64_t len)
{
    static const char zeros[ZEROS];
    int r = cache_stage_reserve(stage, len);
    for (uint64_t n; r == 0 && len > 0; off += n, len -= n) {
        n = len < ZEROS ? len : ZEROS;
        r = sys_pwrite_all(fd, zeros, (size_t)n, off);
    }
    return r;
}

/* The stage reads as zeros in there, and is at least as long. */
static int zero_stage(struct cache_stage *stage, uint64_t off, uint64_t len)
{
    int fd = cache_stage_write_fd(stage);
    struct stat st;
    int r = fd < 0 ? fd : fstat(fd, &st) < 0 ? -errno : 0;
    if (r == 0 && (uint64_t)st.st_size < off + len)
        r = sys_ftruncate(fd, off + len);
    if (r != 0)
        return r;
    r = sys_punch(fd, off, len);
    return r == -EOPNOTSUPP ? write_zeros(stage, fd, off, len) : r;
}

static int reserve_for_hole(struct data_file *f)
{
    lock_take(&f->lock);
    int r = extents_reserve(&f->dirty, 2);
    if (r == 0)
        r = extents_reserve(&f->local, 1);
    lock_drop(&f->lock);
    return r;
}

/* Only where the stage has bytes, or shall have zeros in the place of the base's. */
static int zero_if_needed(struct data_file *f, uint64_t off, uint64_t end)
{
    uint64_t needed = f->base_valid, len;
    struct cache_stage *stage;
    if (needed < extents_end(&f->dirty))
        needed = extents_end(&f->dirty);
    if (needed < extents_end(&f->local))
        needed = extents_end(&f->local);
    if (end > needed)
        end = needed; /* from there on the stage has nothing that counts */
    if (off >= end)
        return 0;
    len = end - off;
    int r = file_unfreeze(f, off, len, f->size);
    if (r == 0)
        r = file_stage(f, &stage);
    if (r != 0)
        return r;
    r = zero_stage(stage, off, len);
    if (r != 0) {
        f->stage_impure = true;
        lock_take(&f->lock);
        extents_cut(&f->local, off, len);
        lock_drop(&f->lock);
        return err_set(r, "%s: no hole can be made in the staging file", f->key);
    }
    return 0;
}

static int zero_in_gate(struct data_file *f, uint64_t off, uint64_t end, bool keep_size)
{
    if (f->is_kept)
        return err_set(-ESTALE, "%s: its bytes were moved to lost+found", f->key);
    if (keep_size && end > f->size)
        end = f->size;
    if (off >= end)
        return 0;
    int r = reserve_for_hole(f);
    if (r == 0)
        r = zero_if_needed(f, off, end);
    if (r != 0)
        return r;
    uint64_t base_end = end < f->base_valid ? end : f->base_valid;
    lock_take(&f->lock);
    extents_cut(&f->local, off, end - off);
    extents_cut(&f->dirty, off, end - off);
    if (off < base_end)
        extents_add(&f->dirty, off, base_end - off);
    if (end > f->size)
        f->size = end;
    f->change++;
    lock_drop(&f->lock);
    return 0;
}

int data_zero(struct data_file *f, uint64_t off, uint64_t len, bool keep_size)
{
    if (!keep_size && (off > DATA_SIZE_MAX || len > DATA_SIZE_MAX - off))
        return err_set(-EFBIG, "%s: a file may have %ju bytes", f->key, (uintmax_t)DATA_SIZE_MAX);
    uint64_t end = len > UINT64_MAX - off ? UINT64_MAX : off + len;
    file_write_begin(f);
    int r = zero_in_gate(f, off, end, keep_size);
    file_write_end(f);
    return r;
}

/* The first hole (data) of the stage in [off, end), or end. What can't be told is data. */
static uint64_t seek_stage(const struct data_file *f, uint64_t off, uint64_t end, bool hole)
{
    uint64_t at;
    int r = sys_seek(cache_stage_fd(f->stage), off, hole ? SEEK_HOLE : SEEK_DATA, &at);
    if (r == -ENXIO) /* past its last byte */
        at = hole ? off : end;
    else if (r != 0)
        at = hole ? end : off;
    return at < end ? at : end;
}

static int seek_in_gate(const struct data_file *f, uint64_t off, bool hole, uint64_t *ret)
{
    if (f->is_kept)
        return err_set(-ESTALE, "%s: its bytes were moved to lost+found", f->key);
    if (off >= f->size)
        return -ENXIO;
    while (off < f->size) {
        struct seg seg = file_seg(f, off, f->size);
        uint64_t end = off + seg.len, at = end;
        if (seg.kind == SEG_STAGE)
            at = seek_stage(f, off, end, hole);
        else if ((seg.kind == SEG_ZERO) == hole)
            at = off;
        if (at < end) {
            *ret = at;
            return 0;
        }
        off = end;
    }
    *ret = f->size; /* the end of a file counts as a hole */
    return hole ? 0 : -ENXIO;
}

int data_seek(struct data_file *f, uint64_t off, bool hole, uint64_t *ret)
{
    file_read_begin(f);
    int r = seek_in_gate(f, off, hole, ret);
    file_read_end(f);
    return r;
}
