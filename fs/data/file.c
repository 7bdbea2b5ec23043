/* SPDX-License-Identifier: Apache-2.0 */
/* The file itself: its life, its gate, and what can be asked of it at any time. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "internal.h"

int data_file_new(struct data *d, const char *key, const struct store_obj *base,
                  struct data_file **ret)
{
    if (base && base->size > 0 && !store_etag_is_set(&base->etag))
        return err_set(-EINVAL, "%s: an object without an ETag", key);
    _cleanup_free_ struct data_file *f = calloc(1, sizeof(*f));
    if (!f)
        return err_set(-ENOMEM, "no memory for an open file");
    if (str_copy(f->key, sizeof(f->key), key) != 0)
        return err_set(-ENAMETOOLONG, "a key may have %d bytes", KEY_MAX);
    f->d = d;
    f->has_base = base != NULL;
    f->whole = base == NULL;
    if (base) {
        f->etag = base->etag;
        f->base_size = f->base_valid = f->size = base->size;
    }
    f->locked.refs = 1;
    lock_init(&f->lock, LOCK_DATA_FILE);
    cond_init(&f->gate_changed);
    *ret = steal(&f);
    return 0;
}

struct data_file *data_file_ref(struct data_file *f)
{
    lock_take(&f->lock);
    f->locked.refs++;
    lock_drop(&f->lock);
    return f;
}

void data_file_unref(struct data_file *f)
{
    if (!f)
        return;
    lock_take(&f->lock);
    bool is_last = --f->locked.refs == 0;
    lock_drop(&f->lock);
    if (!is_last)
        return;
    cache_stage_free(f->stage);
    extents_done(&f->dirty);
    extents_done(&f->local);
    extents_done(&f->frozen);
    cond_done(&f->gate_changed);
    lock_done(&f->lock);
    free(f);
}

void file_read_begin(struct data_file *f)
{
    lock_take(&f->lock);
    while (f->locked.writing || f->locked.writers_waiting > 0)
        cond_wait(&f->gate_changed, &f->lock);
    f->locked.readers++;
    lock_drop(&f->lock);
}

void file_read_begin_now(struct data_file *f)
{
    lock_take(&f->lock);
    while (f->locked.writing)
        cond_wait(&f->gate_changed, &f->lock);
    f->locked.readers++;
    lock_drop(&f->lock);
}

/* In the gate, alone. Near the limit of descriptors each file has one only while it is used. */
static void rest_if_many(struct data_file *f)
{
    if (f->stage && cache_stages_are_many(f->d->cache))
        cache_stage_rest(f->stage);
}

void file_read_end(struct data_file *f)
{
    bool rests = cache_stages_are_many(f->d->cache);
    lock_take(&f->lock);
    rests = --f->locked.readers == 0 && rests;
    if (rests)
        f->locked.writing = true;
    else if (f->locked.readers == 0)
        cond_broadcast(&f->gate_changed);
    lock_drop(&f->lock);
    if (rests)
        file_write_end(f);
}

void file_write_begin(struct data_file *f)
{
    lock_take(&f->lock);
    f->locked.writers_waiting++;
    while (f->locked.writing || f->locked.readers > 0)
        cond_wait(&f->gate_changed, &f->lock);
    f->locked.writers_waiting--;
    f->locked.writing = true;
    lock_drop(&f->lock);
}

void file_write_end(struct data_file *f)
{
    rest_if_many(f);
    lock_take(&f->lock);
    f->locked.writing = false;
    cond_broadcast(&f->gate_changed);
    lock_drop(&f->lock);
}

void file_write_to_read(struct data_file *f)
{
    lock_take(&f->lock);
    f->locked.writing = false;
    f->locked.readers++;
    cond_broadcast(&f->gate_changed);
    lock_drop(&f->lock);
}

int file_stage(struct data_file *f, struct cache_stage **ret)
{
    if (!f->stage) {
        int r = cache_stage_new(f->d->cache, &f->stage);
        if (r != 0)
            return r;
        f->stage_impure = false;
    }
    *ret = f->stage;
    return 0;
}

void data_rest(struct data_file *f)
{
    lock_take(&f->lock);
    bool is_free = !f->locked.writing && f->locked.readers == 0;
    f->locked.writing |= is_free;
    lock_drop(&f->lock);
    if (!is_free)
        return;
    if (f->stage)
        cache_stage_rest(f->stage);
    file_write_end(f);
}

void file_drop_stage(struct data_file *f)
{
    cache_stage_free(steal(&f->stage));
    lock_take(&f->lock);
    extents_clear(&f->dirty);
    extents_clear(&f->local);
    lock_drop(&f->lock);
    f->stage_impure = false;
    file_forget_frozen(f);
}

size_t data_memory(struct data_file *f)
{
    lock_take(&f->lock);
    size_t known = f->dirty.cap * 2 + f->local.cap; /* what is dirty may be frozen, too */
    lock_drop(&f->lock);
    return sizeof(*f) + known * sizeof(struct data_extent);
}

uint64_t data_size(struct data_file *f)
{
    lock_take(&f->lock);
    uint64_t v = f->size;
    lock_drop(&f->lock);
    return v;
}

bool data_is_dirty(struct data_file *f)
{
    lock_take(&f->lock);
    bool v = !f->has_base || f->change != f->committed;
    lock_drop(&f->lock);
    return v;
}

bool data_is_whole(struct data_file *f)
{
    lock_take(&f->lock);
    bool v = f->whole;
    lock_drop(&f->lock);
    return v;
}

bool data_is_cut(struct data_file *f)
{
    lock_take(&f->lock);
    bool v = f->has_base && f->base_valid < f->base_size;
    lock_drop(&f->lock);
    return v;
}

bool data_is_grown(struct data_file *f)
{
    lock_take(&f->lock);
    bool v = f->has_base && !f->whole && f->base_valid == f->base_size && f->size > f->base_size &&
             (f->dirty.n == 0 || f->dirty.v[0].off >= f->base_size);
    lock_drop(&f->lock);
    return v;
}

uint64_t data_change(struct data_file *f)
{
    lock_take(&f->lock);
    uint64_t v = f->change;
    lock_drop(&f->lock);
    return v;
}

uint64_t data_dirty_bytes(struct data_file *f)
{
    lock_take(&f->lock);
    uint64_t v = f->dirty.total;
    lock_drop(&f->lock);
    return v;
}

struct store_etag data_base_etag(struct data_file *f)
{
    lock_take(&f->lock);
    struct store_etag v = f->etag;
    lock_drop(&f->lock);
    return v;
}

int data_extents(struct data_file *f, struct data_extent **ret, size_t *ret_n,
                 uint64_t *ret_base_valid)
{
    lock_take(&f->lock);
    size_t n = f->dirty.n;
    struct data_extent *v = malloc((n ? n : 1) * sizeof(*v));
    if (v && n > 0)
        memcpy(v, f->dirty.v, n * sizeof(*v));
    uint64_t base_valid = f->base_valid;
    lock_drop(&f->lock);
    if (!v)
        return err_set(-ENOMEM, "no memory for the ranges of a file");
    *ret = v;
    *ret_n = n;
    *ret_base_valid = base_valid;
    return 0;
}
