/* SPDX-License-Identifier: Apache-2.0 */
/* fallocate on open files. The promise: the range reads as zeros from then on, here at once and
 * elsewhere after the close, and nothing beside it changes. */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>

#include "base/err.h"
#include "mounts.h"

static const int modes[] = {0, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, FALLOC_FL_ZERO_RANGE,
                            FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};

/* Did it change anything? What has been zeros before need not be sent. */
static bool zero_cells(struct lfile *f, int mode, size_t at, size_t end)
{
    size_t n = f->c.n;
    bool is_other = false;

    if (end > n && (mode & FALLOC_FL_KEEP_SIZE) == 0) {
        memset(f->dirty_cells + n, 0, end - n);
        content_set(&f->c, end - 1, 0);
        f->is_cut = is_other = true; /* only its length: as hard to merge as ftruncate */
    }
    for (size_t i = at; mode != 0 && i < end && i < n; i++) {
        is_other = is_other || f->c.v[i] != 0;
        f->dirty_cells[i] = f->dirty_cells[i] || f->c.v[i] != 0;
        f->c.v[i] = 0;
    }
    return is_other;
}

int do_fallocate(struct doing *d)
{
    struct mhandle *h = slot_of(d);
    struct rig *r = &w.rig[d->m->mount];
    int mode = modes[d->m->len % 4], x;
    struct lfile *f = h->f;
    size_t at, end;

    if (!h->is_open || !h->is_writer || f->c.n + d->m->len + 3 > CELLS_MAX)
        return 0;
    lfiles_follow(d->m->mount, f->path);
    at = d->m->off % (f->c.n + 3);
    end = at + d->m->len;
    x = vfs_fallocate(r->vfs, &r->ctx, h->fh, mode, at * CELL, (end - at) * CELL);
    model_note("      fallocate %s mode %d at %zu: %d", paths[f->path], mode, at, x);
    if (x == -ESTALE && (f->is_dead || has_changed(f->path, f->base)))
        return 0;
    if (x < 0)
        return model_fail("mount %u: fallocate %s: %s (%s)", d->m->mount, paths[f->path],
                          strerror(-x), err_text());
    if (f->is_dead || !zero_cells(f, mode, at, end))
        return 0;
    f->is_dirty = f->has_ranges = true;
    w.local[d->m->mount][f->path]++;
    return 0;
}
