/* SPDX-License-Identifier: Apache-2.0 */
/* Moves on open files, and what their answers may be. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mounts.h"

static int do_read(struct doing *d)
{
    struct mhandle *h = slot_of(d);
    struct content c = {0};
    struct lfile *f = h->f;
    size_t cells;
    int r;

    if (!h->is_open)
        return 0;
    lfiles_follow(d->m->mount, f->path);
    cells = d->m->off % 3 == 0 && f->c.n > 1 && !f->is_merged ? 1 + d->m->off % (f->c.n - 1)
                                                              : CELLS_MAX;
    r = handle_content(d->m->mount, h, cells, &c);
    if (r == -EILSEQ)
        r = model_fail("mount %u: a handle of %s reads bytes that nobody wrote", d->m->mount,
                       paths[f->path]);
    else if (r < 0)
        r = error_is_fault(d, r) || (r == -ESTALE && (f->is_dead || has_changed(f->path, f->base)))
                ? 0
                : model_fail("mount %u: read %s: %s (%s)", d->m->mount, paths[f->path],
                             strerror(-r), err_text());
    else if (!f->is_merged &&
             (c.n != (cells < f->c.n ? cells : f->c.n) || !content_starts(&f->c, &c)))
        r = model_fail("mount %u: a handle of %s reads %s, and had %s", d->m->mount, paths[f->path],
                       content_text(&c), content_text(&f->c));
    content_free(&c);
    return r;
}

static int do_write(struct doing *d)
{
    struct mhandle *h = slot_of(d);
    unsigned mount = d->m->mount, id = ++w.next_write;
    struct content c = {0};
    struct lfile *f = h->f;
    char *bytes;
    ssize_t n;
    size_t at;

    if (!h->is_open || !h->is_writer || f->c.n + d->m->len + 3 > CELLS_MAX)
        return 0;
    lfiles_follow(mount, f->path);
    at = h->is_append ? f->c.n : d->m->off % (f->c.n + 3);
    cells_fill(&c, 0, d->m->len, id);
    bytes = malloc(c.n * CELL);
    content_bytes(&c, bytes);
    n = vfs_write(w.rig[mount].vfs, &w.rig[mount].ctx, h->fh, at * CELL, bytes, c.n * CELL);
    free(bytes);
    content_free(&c);
    model_note("      w%u to %s at %zu", id, paths[f->path], at);
    if (n == -ESTALE && f->is_dead)
        return 0;
    if (n != (ssize_t)d->m->len * CELL)
        return model_fail("mount %u: write to %s: %zd (%s)", mount, paths[f->path], n, err_text());
    for (size_t i = f->c.n; i < at; i++)
        f->dirty_cells[i] = false;
    cells_fill(&f->c, at, d->m->len, id);
    memset(f->dirty_cells + at, 1, d->m->len);
    f->is_dirty = true;
    f->has_appended = f->has_appended || h->is_append;
    f->has_ranges = f->has_ranges || !h->is_append;
    w.local[mount][f->path]++;
    return 0;
}

static int do_truncate(struct doing *d)
{
    struct mhandle *h = slot_of(d);
    struct rig *r = &w.rig[d->m->mount];
    struct stat st = {0}, now;
    struct lfile *f = h->f;
    int64_t ns;
    size_t n;
    int x;

    if (!h->is_open || !h->is_writer || f->is_dead)
        return 0;
    lfiles_follow(d->m->mount, f->path);
    n = 1 + d->m->off % (f->c.n + 2);
    st.st_size = (off_t)(n * CELL);
    x = vfs_setattr(r->vfs, &r->ctx, h->node, h->fh, &st, VFS_SET_SIZE, &now, &ns);
    model_note("      cut %s to %zu: %d", paths[f->path], n, x);
    if (x == -ESTALE && has_changed(f->path, f->base))
        return 0;
    if (x < 0)
        return model_fail("mount %u: truncate %s: %s (%s)", d->m->mount, paths[f->path],
                          strerror(-x), err_text());
    if (n > f->c.n) {
        memset(f->dirty_cells + f->c.n, 0, n - f->c.n);
        content_set(&f->c, n - 1, 0);
    }
    f->c.n = n;
    f->is_cut = f->is_dirty = f->has_ranges = true;
    w.local[d->m->mount][f->path]++;
    return 0;
}

/* Another's doing that a file which is new here may fail on. */
static bool new_may_fail(const struct lfile *f)
{
    const struct key *k = &w.keys[f->path];

    for (size_t i = f->base + 1; i < k->n; i++)
        if (k->v[i - 1].present && (!k->v[i].present || k->v[i].ident != k->v[i - 1].ident))
            return true;
    return false;
}

static bool is_same_file_since(const struct lfile *f)
{
    const struct key *k = &w.keys[f->path];

    for (size_t i = f->base; i < k->n; i++)
        if (!k->v[i].present || k->v[i].ident != f->ident)
            return false;
    return true;
}

static bool may_be_stale(const struct lfile *f)
{
    bool is_hard = f->is_cut || (f->has_appended && f->has_ranges);

    if (f->is_doubt || f->is_either)
        return true;
    if (!has_changed(f->path, f->base))
        return false;
    if (f->is_maybe && (!MODEL_MERGES || is_hard))
        return true;
    if (f->is_new && !w.keys[f->path].v[f->base].present)
        return is_hard || new_may_fail(f);
    return !((f->is_whole || (MODEL_MERGES && !is_hard)) && is_same_file_since(f));
}

/* A file that was made here without a byte, and by another with some: it is theirs. */
static bool is_theirs(struct lfile *f)
{
    const struct key *k = &w.keys[f->path];

    if (!MODEL_MERGES || !f->is_new || f->is_excl ||
        memchr(f->dirty_cells, 1, f->c.n + 1) != NULL || !was_present(f->path, f->base))
        return false;
    f->base = k->n - 1;
    f->is_new = f->is_dirty = false;
    f->is_merged = true;
    f->ident = f->ident2 = k->v[f->base].ident;
    content_free(&f->c);
    f->c = content_copy(&k->v[f->base].c);
    return true;
}

/* What close or fsync of a file that had unsent bytes may say. */
static int judge_commit(struct doing *d, struct lfile *f, int r, bool was_unsent)
{
    bool ok = error_is_fault(d, r);

    if (r == 0)
        ok = !was_unsent || (!f->is_dirty && !f->is_new) || f->is_unlinked || is_theirs(f);
    else if (was_unsent && !f->is_unlinked && r == -ESTALE)
        ok = ok || may_be_stale(f);
    else if (was_unsent && !f->is_unlinked && r == -EEXIST)
        ok = f->is_excl && was_present(f->path, f->base);
    else if (was_unsent && !f->is_unlinked && r == -EIO) /* was that already this commit? */
        ok = ok || (w.in_doubt[f->mount][f->path] && has_changed(f->path, f->base));
    if (r < 0 && f->is_doubt)
        ok = ok || r == -ESTALE || r == -EEXIST || r == -EIO; /* it was sent, and replaced since */
    if (ok)
        return 0;
    if (r == 0)
        return model_fail("mount %u: close or fsync of %s says 0, and %s is not in the bucket",
                          d->m->mount, paths[f->path], content_text(&f->c));
    return model_fail("mount %u: close or fsync of %s: %s (%s), without a reason", d->m->mount,
                      paths[f->path], strerror(-r), err_text());
}

static bool has_dirty_cells(const struct lfile *f)
{
    return memchr(f->dirty_cells, 1, f->c.n) != NULL;
}

static int do_fsync(struct doing *d)
{
    const struct mhandle *h = slot_of(d);
    bool was_unsent;
    int r;

    if (!h->is_open)
        return 0;
    was_unsent = !h->f->is_dead && (h->f->is_dirty || h->f->is_new);
    r = vfs_fsync(w.rig[d->m->mount].vfs, h->fh);
    d->has_erred = d->has_erred || r < 0;
    h->f->is_doubt = h->f->is_doubt || (r == -EIO && d->m->fault == F_PUT_IN_DOUBT);
    model_note("      fsync %s: %s", paths[h->f->path], r < 0 ? strerror(-r) : "ok");
    return judge_commit(d, h->f, r, was_unsent);
}

static int do_close(struct doing *d, struct mhandle *h)
{
    struct lfile *f = h->f;
    bool is_writer, is_last, was_unsent;
    int r, x;

    if (!h->is_open)
        return 0;
    is_writer = h->is_writer;
    is_last = is_writer && f->n_writers == 1;
    was_unsent = is_writer && (f->is_dirty || f->is_new);
    r = handle_shut(d, h);
    d->has_erred = d->has_erred || r < 0;
    f->is_doubt = f->is_doubt || (r == -EIO && d->m->fault == F_PUT_IN_DOUBT);
    model_note("      close %s: %s", paths[f->path], r < 0 ? strerror(-r) : "ok");
    x = judge_commit(d, f, r, was_unsent);
    if (x == 0 && r < 0 && is_last && (f->is_dirty || f->is_new) && has_dirty_cells(f) &&
        !lost_found_has(d->m->mount, f))
        x = model_fail("mount %u: close of %s said %s, and %s is not in lost+found", d->m->mount,
                       paths[f->path], strerror(-r), content_text(&f->c));
    if (r < 0 && is_last) {
        f->is_dead = true;
        w.local[d->m->mount][f->path]++;
    }
    f->n_writers -= is_writer;
    lfile_unref(f);
    return x;
}

int close_all(struct doing *d)
{
    int r = 0;

    for (int i = 0; i <= HANDLES; i++)
        if (do_close(d, &w.handles[d->m->mount][i]) < 0)
            r = -1;
    return r;
}

int do_handle_move(struct doing *d)
{
    struct mhandle *h = slot_of(d);
    int r;

    switch ((int)d->m->kind) {
    case M_OPEN:
        return do_open(d, O_RDONLY);
    case M_OPEN_RDWR:
        return do_open(d, O_RDWR);
    case M_OPEN_APPEND:
        return do_open(d, O_RDWR | O_APPEND | O_CREAT);
    case M_OPEN_TRUNC:
        return do_open(d, O_WRONLY | O_CREAT | O_TRUNC);
    case M_OPEN_EXCL:
        return do_open(d, O_WRONLY | O_CREAT | O_EXCL);
    case M_READ:
        return do_read(d);
    case M_WRITE:
        return do_write(d);
    case M_TRUNCATE:
        return do_truncate(d);
    case M_FALLOCATE:
        return do_fallocate(d);
    case M_FSYNC:
        return do_fsync(d);
    case M_CLOSE:
        return do_close(d, h);
    case M_PUT:
        r = do_open(d, O_WRONLY | O_CREAT | O_TRUNC);
        break;
    case M_ADD:
        r = do_open(d, O_RDWR | O_APPEND | O_CREAT);
        r = r == 0 ? do_write(d) : r;
        break;
    case M_GET:
        r = do_open(d, O_RDONLY);
        r = r == 0 ? do_read(d) : r;
        break;
    default:
        return model_fail("no such move");
    }
    return r == 0 ? do_close(d, h) : r;
}
