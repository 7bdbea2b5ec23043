/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of a file's bytes, all in the stage: writes, truncation, and bringing the base here.
 * Whatever can fail for want of room is asked for before anything is changed. */
#include <errno.h>

#include "base/sys.h"
#include "cache/table.h"
#include "internal.h"

static int check_open(const struct data_file *f)
{
    return f->is_kept ? err_set(-ESTALE, "%s: its bytes were moved to lost+found", f->key) : 0;
}

/* Room for one more range in each set, so that the change itself can't fail. A getter may be reading: locked. */
static int reserve_sets(struct data_file *f)
{
    lock_take(&f->lock);
    int r = extents_reserve(&f->dirty, 1);
    if (r == 0)
        r = extents_reserve(&f->local, 1);
    lock_drop(&f->lock);
    return r;
}

/* Puts bytes into the stage; the caller then enters the range. In the gate, as the writer. */
static int stage_write(struct data_file *f, uint64_t off, const void *buf, size_t len)
{
    struct cache_stage *stage;
    int r = reserve_sets(f);
    if (r == 0)
        r = file_unfreeze(f, off, len, f->size);
    if (r == 0)
        r = file_stage(f, &stage);
    if (r != 0)
        return r;
    uint64_t have = extents_overlap(&f->dirty, off, len) + extents_overlap(&f->local, off, len);
    if (have < len) {
        r = cache_stage_reserve(stage, len - have);
        if (r != 0)
            return r;
    }
    int fd = cache_stage_write_fd(stage);
    r = fd < 0 ? fd : sys_pwrite_all(fd, buf, len, off);
    crash_point("cache.stage_written");
    if (r != 0) {
        f->stage_impure = true; /* some of it may be there, outside of any range */
        cache_disk_failed(f->d->cache, r);
        extents_cut(&f->local, off, len);
        return err_set(r, "%s: the staging file can't be written", f->key);
    }
    return 0;
}

static int write_in_gate(struct data_file *f, uint64_t off, const void *buf, size_t len)
{
    int r = check_open(f);
    if (r == 0)
        r = stage_write(f, off, buf, len);
    if (r != 0)
        return r;
    lock_take(&f->lock);
    extents_add(&f->dirty, off, len);
    extents_cut(&f->local, off, len);
    if (off + len > f->size)
        f->size = off + len;
    f->change++;
    lock_drop(&f->lock);
    return 0;
}

int data_write(struct data_file *f, uint64_t off, const void *buf, size_t len)
{
    if (len == 0)
        return 0;
    if (off > DATA_SIZE_MAX || len > DATA_SIZE_MAX - off)
        return err_set(-EFBIG, "%s: a file may have %ju bytes", f->key, (uintmax_t)DATA_SIZE_MAX);
    file_write_begin(f);
    int r = write_in_gate(f, off, buf, len);
    file_write_end(f);
    return r;
}

/* What the stage has past the end must be gone before the file grows again (it is adopted with its holes). */
static void cut_stage(struct data_file *f, uint64_t size)
{
    uint64_t end = extents_end(&f->dirty), local_end = extents_end(&f->local);
    if (!f->stage || (end <= size && local_end <= size && !f->stage_impure))
        return;
    if (table_stage_is_kept(f->stage)) { /* should this be the last step: the record counts on all of it */
        f->stage_impure = true;
        if (size == 0)
            file_drop_stage(f);
        return;
    }
    int fd = cache_stage_write_fd(f->stage);
    if (fd < 0 || sys_ftruncate(fd, size) != 0)
        f->stage_impure = true;
    else if (size == 0)
        f->stage_impure = false;
}

static int truncate_in_gate(struct data_file *f, uint64_t size)
{
    int r = check_open(f);
    if (r == 0 && size < f->size)
        r = file_unfreeze(f, size, f->size - size, size);
    if (r != 0)
        return r;
    if (size < f->size)
        cut_stage(f, size);
    lock_take(&f->lock);
    if (size == 0)
        f->whole = true;
    if (size != f->size)
        f->change++;
    if (size < f->base_valid)
        f->base_valid = size;
    extents_truncate(&f->dirty, size);
    extents_truncate(&f->local, size);
    f->size = size;
    lock_drop(&f->lock);
    return 0;
}

int data_truncate(struct data_file *f, uint64_t size)
{
    if (size > DATA_SIZE_MAX)
        return err_set(-EFBIG, "%s: a file may have %ju bytes", f->key, (uintmax_t)DATA_SIZE_MAX);
    file_write_begin(f);
    int r = truncate_in_gate(f, size);
    file_write_end(f);
    return r;
}

#define LOCALISE_STEP (1u << 20)

/* The first run of base bytes in [*off, end), at most a step of it, as it is read by everybody else: in the gate as a
 * reader. *off moves to its start; 0 bytes: there is none. */
static ssize_t localise_fetch(struct data_file *f, uint64_t *off, uint64_t end, void *buf)
{
    int r = check_open(f);
    if (r != 0)
        return r;
    if (end > f->base_valid)
        end = f->base_valid;
    while (*off < end) {
        struct seg seg = file_seg(f, *off, end);
        if (seg.kind == SEG_BASE) {
            size_t n = seg.len < LOCALISE_STEP ? (size_t)seg.len : LOCALISE_STEP;
            struct cache_id id = file_base_id(f);
            r = base_read(f->d, NULL, &id, *off, buf, n);
            return r == 0 ? (ssize_t)n : r;
        }
        *off += seg.len;
    }
    return 0;
}

/* In the gate, as the writer: those bytes into the stage, unless the file is another one there by now (it is then
 * looked at again). */
static int localise_store(struct data_file *f, uint64_t *off, const void *buf, size_t n,
                          const struct store_etag *etag)
{
    struct seg seg = file_seg(f, *off, *off + n);
    if (f->is_kept || seg.kind != SEG_BASE || seg.len < n || !store_etag_equal(etag, &f->etag))
        return 0;
    int r = stage_write(f, *off, buf, n);
    if (r != 0)
        return r;
    lock_take(&f->lock);
    extents_add(&f->local, *off, n);
    lock_drop(&f->lock);
    *off += n;
    return 0;
}

int data_localise_range(struct data_file *f, uint64_t off, uint64_t len)
{
    _cleanup_free_ void *buf = malloc(LOCALISE_STEP);
    if (!buf)
        return err_set(-ENOMEM, "no memory to fetch a file");
    uint64_t end = len > UINT64_MAX - off ? UINT64_MAX : off + len;
    for (;;) {
        file_read_begin(f);
        ssize_t n = localise_fetch(f, &off, end, buf);
        struct store_etag etag = f->etag;
        file_read_end(f);
        if (n <= 0)
            return (int)n;
        file_write_begin(f);
        int r = localise_store(f, &off, buf, (size_t)n, &etag);
        file_write_end(f);
        if (r != 0)
            return r;
    }
}

int data_localise(struct data_file *f)
{
    return data_localise_range(f, 0, UINT64_MAX);
}

/* In the gate, as the writer. What was localised differs from no base any more. */
static int own_in_gate(struct data_file *f)
{
    bool is_clean = f->has_base && f->change == f->committed && f->dirty.n == 0 && f->base_valid == f->size;
    int r = check_open(f);
    if (r == 0 && (!is_clean || extents_overlap(&f->local, 0, f->size) < f->size))
        r = err_set(-EBUSY, "%s: it was changed meanwhile", f->key);
    if (r != 0)
        return r;
    lock_take(&f->lock);
    r = extents_reserve(&f->dirty, f->local.n);
    for (size_t i = 0; r == 0 && i < f->local.n; i++)
        extents_add(&f->dirty, f->local.v[i].off, f->local.v[i].len);
    if (r == 0) {
        extents_clear(&f->local);
        f->has_base = false;
        f->etag = (struct store_etag){""};
        f->base_size = f->base_valid = 0;
        f->whole = true;
        f->change++;
    }
    lock_drop(&f->lock);
    return r;
}

int data_own(struct data_file *f)
{
    int r = data_localise(f);
    if (r != 0)
        return r;
    file_write_begin(f);
    r = own_in_gate(f);
    file_write_end(f);
    return r;
}
