/* SPDX-License-Identifier: Apache-2.0 */
/* A file made again from a journal's entry. The record was written by us, but not by this process: it is checked as
 * what comes from outside is. */
#include <errno.h>
#include <sys/stat.h>

#include "internal.h"

static bool extents_are_sound(const struct data_state *s)
{
    uint64_t last = 0;
    for (size_t i = 0; i < s->n; i++) {
        const struct data_extent *x = &s->ext[i];
        if (x->len == 0 || (i > 0 && x->off <= last) || x->off > s->size || x->len > s->size - x->off)
            return false;
        last = x->off + x->len;
    }
    return true;
}

static int check(const char *key, const struct store_obj *base, struct cache_stage *stage,
                 const struct data_state *s)
{
    uint64_t base_size = base ? base->size : 0;
    struct stat st = {0};
    if (s->size > DATA_SIZE_MAX || s->base_valid > base_size || s->base_valid > s->size || !extents_are_sound(s) ||
        (s->n > 0) != (stage != NULL))
        return err_set(-EBADMSG, "%s: the journal's record of it does not fit together", key);
    if (!stage)
        return 0;
    if (fstat(cache_stage_fd(stage), &st) < 0)
        return err_set(-errno, "%s: its journaled bytes", key);
    if ((uint64_t)st.st_size < s->ext[s->n - 1].off + s->ext[s->n - 1].len)
        return err_set(-EBADMSG, "%s: the journal has fewer bytes of it than its record", key);
    return 0;
}

/* Nothing but attributes was changed: the file is its base. */
static bool is_base(const struct store_obj *base, const struct data_state *s)
{
    return base && s->n == 0 && !s->whole && s->base_valid == base->size && s->size == base->size;
}

static int fill(struct data_file *f, const struct store_obj *base, const struct data_state *s)
{
    int r = extents_reserve(&f->dirty, s->n);
    if (r == 0)
        r = extents_reserve(&f->frozen, s->n);
    for (size_t i = 0; r == 0 && i < s->n; i++) {
        extents_add(&f->dirty, s->ext[i].off, s->ext[i].len);
        extents_add(&f->frozen, s->ext[i].off, s->ext[i].len);
    }
    f->size = s->size;
    f->base_valid = s->base_valid;
    f->whole = s->whole;
    f->change = f->committed + (is_base(base, s) ? 0 : 1);
    f->stage_impure = true; /* what was written after the entry, outside of its ranges, may be in there */
    return r;
}

int data_file_restore(struct data *d, const char *key, const struct store_obj *base, struct cache_stage *stage,
                      const struct data_state *state, struct data_file **ret)
{
    struct data_file *f = NULL;
    int r = check(key, base, stage, state);
    if (r == 0)
        r = data_file_new(d, key, base, &f);
    if (r != 0) {
        cache_stage_free(stage);
        return r;
    }
    f->stage = stage;
    r = fill(f, base, state);
    if (r != 0) {
        data_file_unref(f);
        return r;
    }
    *ret = f;
    return 0;
}
