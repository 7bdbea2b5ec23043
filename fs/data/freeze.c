/* SPDX-License-Identifier: Apache-2.0 */
/* Staged bytes that a journal's entry stands on. The entry has the staged file itself, by a link, so that an
 * acknowledged version costs no copy; it must then find it as it was. Who changes such bytes takes a stage of its own
 * first. What is written elsewhere in it, the entry's record does not mean. */
#include <errno.h>
#include <string.h>

#include "base/sys.h"
#include "internal.h"

#define COPY_STEP (UINT64_C(1) << 20)

/* A new stage with what counts of the old one. */
struct own {
    struct cache_stage *stage;
    bool impure;
    char *buf;
};

static void own_done(struct own *o)
{
    cache_stage_free(o->stage);
    free(o->buf);
}

/* [off, end), holes as holes. */
static int copy_run(int from, struct own *o, uint64_t off, uint64_t end)
{
    int to = cache_stage_fd(o->stage);
    while (off < end) {
        uint64_t at, n;
        int r = sys_seek(from, off, SEEK_DATA, &at);
        if (r == -ENXIO || (r == 0 && at >= end))
            return 0;
        if (r == 0 && at > off)
            off = at;
        n = end - off < COPY_STEP ? end - off : COPY_STEP;
        r = cache_stage_reserve(o->stage, n);
        if (r == 0)
            r = sys_pread_all(from, o->buf, (size_t)n, off);
        if (r == 0)
            r = sys_pwrite_all(to, o->buf, (size_t)n, off);
        if (r != 0)
            return r;
        off += n;
    }
    return 0;
}

static int copy_set(int from, struct own *o, const struct extents *e, uint64_t keep_to)
{
    for (size_t i = 0; i < e->n && e->v[i].off < keep_to; i++) {
        uint64_t end = e->v[i].off + e->v[i].len;
        int r = copy_run(from, o, e->v[i].off, end < keep_to ? end : keep_to);
        if (r != 0)
            return r;
    }
    return 0;
}

static int copy_stage(const struct data_file *f, struct own *o, uint64_t keep_to)
{
    int from = cache_stage_fd(f->stage), to = cache_stage_fd(o->stage);
    uint64_t end = extents_end(&f->dirty), local = extents_end(&f->local);
    int r;
    end = end > local ? end : local;
    end = end < keep_to ? end : keep_to;
    o->impure = f->stage_impure;
    /* After a sync that failed the disk may have something else than the page cache: only a copy of that is good. */
    r = cache_stage_is_bad(f->stage) ? -EOPNOTSUPP : sys_clone(to, from);
    if (r == 0)
        return sys_ftruncate(to, end);
    if (r != -EOPNOTSUPP)
        return r;
    o->impure = false;
    o->buf = malloc(COPY_STEP);
    if (!o->buf)
        return err_set(-ENOMEM, "no memory to copy staged bytes");
    r = sys_ftruncate(to, end); /* an extent may end in a hole */
    if (r == 0)
        r = copy_set(from, o, &f->dirty, keep_to);
    return r == 0 ? copy_set(from, o, &f->local, keep_to) : r;
}

/* In the gate, as the writer. On failure the file is as it was. */
static int take_own_stage(struct data_file *f, uint64_t keep_to)
{
    _cleanup_(own_done) struct own o = {0};
    int r = cache_stage_new(f->d->cache, &o.stage);
    if (r != 0)
        return r;
    r = copy_stage(f, &o, keep_to);
    if (r != 0)
        return err_set(r, "%s: no copy of the bytes that the journal has: %s", f->key, strerror(-r));
    cache_stage_free(f->stage); /* the entry keeps its link */
    f->stage = steal(&o.stage);
    f->stage_impure = o.impure;
    file_forget_frozen(f);
    return 0;
}

int file_unfreeze(struct data_file *f, uint64_t off, uint64_t len, uint64_t keep_to)
{
    return f->stage && extents_overlap(&f->frozen, off, len) > 0 ? take_own_stage(f, keep_to) : 0;
}

void file_forget_frozen(struct data_file *f)
{
    extents_clear(&f->frozen);
}

/* Before the entry is made: whoever writes from now on takes care. If it fails, a later write makes a copy for nothing. */
static int freeze(struct data_file *f)
{
    int r = f->stage && cache_stage_is_bad(f->stage) ? take_own_stage(f, f->size) : 0;
    if (r == 0)
        r = extents_reserve(&f->frozen, f->dirty.n);
    for (size_t i = 0; r == 0 && i < f->dirty.n; i++)
        extents_add(&f->frozen, f->dirty.v[i].off, f->dirty.v[i].len);
    return r;
}

int data_journal(struct data_file *f, struct journal *j, const void *rec, size_t len, uint64_t replaces,
                 uint64_t *ret_seq)
{
    file_write_begin(f);
    int r = f->is_kept ? err_set(-ESTALE, "%s: its bytes were moved to lost+found", f->key) : freeze(f);
    struct cache_stage *stage = f->dirty.n > 0 ? f->stage : NULL;
    uint64_t stage_len = extents_end(&f->dirty);
    file_write_to_read(f);
    if (r == 0)
        r = journal_put(j, rec, len, stage, stage_len, replaces, ret_seq);
    file_read_end(f);
    return r;
}

int data_state_get(struct data_file *f, struct data_state *ret)
{
    lock_take(&f->lock);
    struct data_state s = {.n = f->dirty.n, .size = f->size, .base_valid = f->base_valid, .whole = f->whole};
    s.ext = malloc((s.n ? s.n : 1) * sizeof(*s.ext));
    if (s.ext && s.n > 0)
        memcpy(s.ext, f->dirty.v, s.n * sizeof(*s.ext));
    lock_drop(&f->lock);
    if (!s.ext)
        return err_set(-ENOMEM, "no memory for the ranges of a file");
    *ret = s;
    return 0;
}

int data_state_get_own(struct data_file *f, struct data_state *ret)
{
    struct extents own = {0};
    int r;
    lock_take(&f->lock);
    r = extents_reserve(&own, f->dirty.n + f->local.n);
    for (size_t i = 0; r == 0 && i < f->dirty.n; i++)
        extents_add(&own, f->dirty.v[i].off, f->dirty.v[i].len);
    for (size_t i = 0; r == 0 && i < f->local.n; i++)
        extents_add(&own, f->local.v[i].off, f->local.v[i].len);
    struct data_state s = {.ext = own.v, .n = own.n, .size = f->size, .base_valid = f->base_valid, .whole = f->whole};
    lock_drop(&f->lock);
    if (r != 0) {
        extents_done(&own);
        return err_set(-ENOMEM, "no memory for the ranges of a file");
    }
    *ret = s;
    return 0;
}

void data_state_done(struct data_state *s)
{
    free(s->ext);
    *s = (struct data_state){0};
}

int data_stage_keep(struct data_file *f, struct table *t, uint64_t *ret_id)
{
    int r = 0;
    file_read_begin_now(f);
    *ret_id = 0;
    if (f->dirty.n + f->local.n > 0 && f->stage)
        r = table_stage_keep(t, f->stage, ret_id);
    file_read_end(f);
    return r;
}
