/* SPDX-License-Identifier: Apache-2.0 */
/* What becomes of a file's bytes when its base moves: after a commit, onto somebody else's version, or into
 * lost+found. */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "base/sys.h"
#include "internal.h"

#define CARRY_MAX (UINT64_C(64) << 20) /* bytes copied from one version's blocks to the next's */

/* [off, off + len) if all of it is on this machine; 0 or CACHE_MISS or -errno. In the gate. */
static int read_here(const struct data_file *f, uint64_t off, char *buf, size_t len)
{
    struct cache_id id = file_base_id(f);
    for (size_t done = 0; done < len;) {
        struct seg seg = file_seg(f, off + done, off + len);
        size_t n = (size_t)seg.len;
        int r = 0;
        if (seg.kind == SEG_ZERO) {
            memset(buf + done, 0, n);
        } else if (seg.kind == SEG_STAGE) {
            r = sys_pread_all(cache_stage_fd(f->stage), buf + done, n, off + done);
        } else {
            n = base_here(f->d, &id, off + done, buf + done, n);
            if (n == 0)
                return CACHE_MISS;
        }
        if (r != 0)
            return r;
        done += n;
    }
    return 0;
}

/* The blocks of the new version that can be put together here become cached ones: the next commit of a file that is
 * changed in place (a database's) then fetches nothing. Best effort. */
static void carry_blocks(struct data_file *f, const struct cache_id *to)
{
    _cleanup_free_ char *buf = malloc(CACHE_BLOCK);
    if (!buf)
        return;
    uint64_t end = to->size < CARRY_MAX ? to->size : CARRY_MAX;
    for (uint64_t off = 0; off < end; off += CACHE_BLOCK) {
        size_t n = to->size - off < CACHE_BLOCK ? (size_t)(to->size - off) : CACHE_BLOCK;
        if (read_here(f, off, buf, n) == 0)
            cache_write(f->d->cache, to, off, buf, n);
    }
}

static bool is_all_staged(const struct data_file *f)
{
    if (!f->stage || f->stage_impure)
        return false;
    for (uint64_t off = 0; off < f->base_valid;) {
        struct seg seg = file_seg(f, off, f->base_valid);
        if (seg.kind == SEG_BASE)
            return false;
        off += seg.len;
    }
    return true;
}

/* The staged bytes go where the next readers look for them. */
static void hand_to_cache(struct data_file *f, const struct cache_id *now)
{
    struct cache_id old = file_base_id(f);
    bool is_same = f->has_base && old.size == now->size && strcmp(old.key, now->key) == 0 &&
                   store_etag_equal(old.etag, now->etag);
    if (now->size == 0 || now->size != f->size)
        return;
    if (is_all_staged(f)) /* which cuts it, or makes it longer, to that size */
        cache_stage_adopt(steal(&f->stage), now);
    else if (!is_same)
        carry_blocks(f, now);
}

void data_committed(struct data_file *f, const char *key, const struct store_obj *now,
                    uint64_t change)
{
    struct cache_id id = {.key = key, .etag = &now->etag, .size = now->size};
    file_write_begin(f);
    bool is_current = f->change == change && !f->is_kept;
    if (is_current) {
        hand_to_cache(f, &id);
        file_drop_stage(f);
    }
    lock_take(&f->lock);
    if (str_copy(f->key, sizeof(f->key), key) != 0)
        f->is_kept = true; /* no bucket has such a key: nothing can be read from it */
    f->etag = now->etag;
    f->base_size = now->size;
    f->has_base = true;
    f->whole = false;
    f->committed = change;
    if (is_current)
        f->base_valid = f->size = now->size;
    else if (f->base_valid > now->size)
        f->base_valid = now->size;
    lock_drop(&f->lock);
    file_write_end(f);
}

void file_rebase(struct data_file *f, const struct store_obj *base)
{
    bool is_cut = f->whole || (f->has_base && f->base_valid < f->base_size);
    uint64_t written_to = extents_end(&f->dirty);
    if (f->size > f->base_size) /* it grew here */
        written_to = f->size;
    lock_take(&f->lock);
    if (is_cut) {
        if (f->base_valid > base->size)
            f->base_valid = base->size;
    } else {
        f->base_valid = base->size;
        f->size = base->size > written_to ? base->size : written_to;
    }
    f->etag = base->etag;
    f->base_size = base->size;
    f->has_base = true;
    if (f->local.n > 0) {
        extents_clear(&f->local); /* bytes of the old base */
        f->stage_impure = true;
    }
    lock_drop(&f->lock);
}

int data_rebase(struct data_file *f, const struct store_obj *base)
{
    if (base->size > 0 && !store_etag_is_set(&base->etag))
        return err_set(-EINVAL, "%s: an object without an ETag", f->key);
    file_write_begin(f);
    int r = 0;
    if (f->is_kept)
        r = err_set(-ESTALE, "%s: its bytes were moved to lost+found", f->key);
    else
        file_rebase(f, base);
    file_write_end(f);
    return r;
}

/* Cached bytes of the base join the staged ones; what is neither stays a hole. Without memory or room the dirty bytes
 * alone are kept. */
static void fill_stage(struct data_file *f, int fd)
{
    _cleanup_free_ char *buf = malloc(CACHE_BLOCK);
    if (!buf)
        return;
    struct cache_id id = file_base_id(f);
    for (uint64_t off = 0, n; off < f->base_valid; off += n) {
        struct seg seg = file_seg(f, off, f->base_valid);
        n = seg.len;
        if (seg.kind != SEG_BASE)
            continue;
        n = n < CACHE_BLOCK ? n : CACHE_BLOCK;
        size_t got = base_here(f->d, &id, off, buf, (size_t)n);
        if (got == 0)
            continue;
        n = got;
        if (cache_stage_reserve(f->stage, n) != 0 || sys_pwrite_all(fd, buf, (size_t)n, off) != 0)
            return;
    }
}

static int keep_in_gate(struct data_file *f, const char *key, const char *why, char **ret_path)
{
    struct cache_stage *stage;
    int r = f->is_kept ? err_set(-ESTALE, "%s: it is in lost+found already", f->key)
                       : file_stage(f, &stage);
    if (r != 0)
        return r;
    int fd = cache_stage_fd(stage);
    fill_stage(f, fd);
    r = sys_ftruncate(fd, f->size);
    if (r == 0)
        r = cache_stage_keep(stage, key, why, ret_path);
    f->stage_impure = true;
    if (r != 0)
        return r;
    f->stage = NULL;
    lock_take(&f->lock);
    f->is_kept = true;
    extents_clear(&f->dirty);
    extents_clear(&f->local);
    lock_drop(&f->lock);
    return 0;
}

int data_keep(struct data_file *f, const char *key, const char *why, char **ret_path)
{
    file_write_begin(f);
    int r = keep_in_gate(f, key, why, ret_path);
    file_write_end(f);
    return r;
}
