/* SPDX-License-Identifier: Apache-2.0 */
/* A file goes to another version of its object: as it is there, or with what was written here on top. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "base/sys.h"
#include "internal.h"

#define COPY_STEP (UINT64_C(1) << 20)

static int check_base(const struct data_file *f, const char *key, const struct store_obj *base)
{
    if (strlen(key) > KEY_MAX)
        return err_set(-ENAMETOOLONG, "a key may have %d bytes", KEY_MAX);
    if (base->size > 0 && !store_etag_is_set(&base->etag))
        return err_set(-EINVAL, "%s: an object without an ETag", f->key);
    return f->is_kept ? err_set(-ESTALE, "%s: its bytes were moved to lost+found", f->key) : 0;
}

static void set_base(struct data_file *f, const char *key, const struct store_obj *base)
{
    (void)!str_copy(f->key, sizeof(f->key), key); /* it fits: check_base */
    f->etag = base->etag;
    f->base_size = f->base_valid = base->size;
    f->has_base = true;
    f->whole = false;
}

int data_follow(struct data_file *f, const char *key, const struct store_obj *now)
{
    file_write_begin(f);
    int r = check_base(f, key, now);
    if (r == 0) {
        file_drop_stage(f);
        lock_take(&f->lock);
        set_base(f, key, now);
        f->size = now->size;
        f->committed = f->change;
        lock_drop(&f->lock);
    }
    file_write_end(f);
    return r;
}

static int copy_bytes(int from, uint64_t from_off, int to, uint64_t to_off, uint64_t len)
{
    _cleanup_free_ char *buf = malloc(COPY_STEP);
    if (!buf)
        return err_set(-ENOMEM, "no memory to move what was appended");
    for (uint64_t done = 0, n; done < len; done += n) {
        n = len - done < COPY_STEP ? len - done : COPY_STEP;
        int r = sys_pread_all(from, buf, (size_t)n, from_off + done);
        if (r == 0)
            r = sys_pwrite_all(to, buf, (size_t)n, to_off + done);
        if (r != 0)
            return r;
    }
    return 0;
}

/* What was written, with all from `tail` on moved to `to`: a stage of its own, so that a failure on the way leaves
 * the file as it was. */
struct moved {
    struct cache_stage *stage;
    struct extents dirty;
};

static void moved_done(struct moved *m)
{
    cache_stage_free(m->stage);
    extents_done(&m->dirty);
}

static int move_piece(struct data_file *f, struct moved *m, uint64_t from, uint64_t end, uint64_t to)
{
    if (from >= end)
        return 0;
    int r = cache_stage_reserve(m->stage, end - from);
    if (r == 0)
        r = copy_bytes(cache_stage_fd(f->stage), from, cache_stage_fd(m->stage), to, end - from);
    if (r == 0)
        extents_add(&m->dirty, to, end - from);
    return r;
}

static int move_tail(struct data_file *f, uint64_t tail, uint64_t to, struct moved *m)
{
    int r = extents_reserve(&m->dirty, f->dirty.n + 1);
    if (r == 0)
        r = cache_stage_new(f->d->cache, &m->stage);
    for (size_t i = 0; r == 0 && i < f->dirty.n; i++) {
        struct data_extent x = f->dirty.v[i];
        uint64_t end = x.off + x.len, cut = end < tail ? end : x.off < tail ? tail : x.off;
        r = move_piece(f, m, x.off, cut, x.off);
        if (r == 0)
            r = move_piece(f, m, cut, end, to + (cut - (cut < tail ? cut : tail)));
    }
    return r;
}

/* Bytes at fixed offsets that would come to stand where the moved tail does, or after it. */
static bool reaches_past(const struct data_file *f, uint64_t tail, uint64_t to)
{
    for (size_t i = 0; i < f->dirty.n; i++) {
        struct data_extent x = f->dirty.v[i];

        if (x.off < tail && (x.off + x.len < tail ? x.off + x.len : tail) > to)
            return true;
    }
    return false;
}

static int append_in_gate(struct data_file *f, const char *key, const struct store_obj *base,
                          uint64_t tail)
{
    _cleanup_(moved_done) struct moved m = {0};
    if (tail > f->size || tail != f->base_size || f->base_valid < f->base_size)
        return err_set(-EINVAL, "%s: what was appended does not follow its base", f->key);
    if (reaches_past(f, tail, base->size))
        return err_set(-ESTALE, "%s: bytes written before what was appended lie past the new end", f->key);
    uint64_t len = f->size - tail;
    if (len > DATA_SIZE_MAX || base->size > DATA_SIZE_MAX - len)
        return err_set(-EFBIG, "%s: a file may have %ju bytes", f->key, (uintmax_t)DATA_SIZE_MAX);
    int r = move_tail(f, tail, base->size, &m);
    if (r != 0)
        return r;
    file_drop_stage(f);
    f->stage = steal(&m.stage);
    lock_take(&f->lock);
    struct extents old = f->dirty;
    f->dirty = m.dirty;
    m.dirty = old;
    set_base(f, key, base);
    f->size = base->size + len;
    lock_drop(&f->lock);
    return 0;
}

/* Without a base of its own it is as if it had begun with an empty one. */
static void join_in_gate(struct data_file *f, const char *key, const struct store_obj *base)
{
    lock_take(&f->lock);
    if (f->size < base->size)
        f->size = base->size;
    set_base(f, key, base);
    lock_drop(&f->lock);
}

int data_merge(struct data_file *f, const char *key, const struct store_obj *base,
               uint64_t tail)
{
    file_write_begin(f);
    int r = check_base(f, key, base);
    if (r == 0 && tail != DATA_NO_TAIL)
        r = append_in_gate(f, key, base, tail);
    else if (r == 0 && !f->has_base)
        join_in_gate(f, key, base);
    else if (r == 0)
        file_rebase(f, base);
    file_write_end(f);
    return r;
}
