/* SPDX-License-Identifier: Apache-2.0 */
/* Opening files: which of the mount's own, or of the bucket's versions, does the handle show? */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mounts.h"

struct mhandle *slot_of(const struct doing *d)
{
    switch ((int)d->m->kind) {
    case M_PUT:
    case M_ADD:
    case M_GET:
        return &w.handles[d->m->mount][HANDLES];
    default:
        return &w.handles[d->m->mount][d->m->handle];
    }
}

static void put_node(struct rig *r, uint64_t node)
{
    if (node != VFS_ROOT)
        vfs_forget(r->vfs, node, 1);
}

static int create_path(struct rig *r, const char *path, int flags, struct mhandle *h)
{
    struct vfs_entry e;
    const char *name;
    uint64_t dir;
    int x = rig_parent(r, path, &dir, &name);

    if (x < 0)
        return x;
    x = vfs_create(r->vfs, &r->ctx, dir, name, 0666, flags, &e, &h->fh);
    if (x == 0) {
        h->node = e.node; /* the handle keeps it */
        put_node(r, e.node);
    }
    put_node(r, dir);
    return x;
}

int open_path(struct rig *r, const char *path, int flags, struct mhandle *h)
{
    struct vfs_entry e;
    bool keep;
    int x = 0;

    for (int tries = 0; tries < 2; tries++) { /* the kernel looks up again after ESTALE, once */
        x = rig_walk(r, path, &e);
        if (x == -ENOENT && (flags & O_CREAT) != 0)
            return create_path(r, path, flags, h);
        if (x == 0 && (flags & O_EXCL) != 0) {
            put_node(r, e.node);
            return -EEXIST;
        }
        if (x == 0) {
            x = vfs_open(r->vfs, &r->ctx, e.node, flags, &h->fh, &keep);
            h->node = e.node;
            put_node(r, e.node);
        }
        if (x != -ESTALE)
            break;
    }
    return x;
}

/* A file of this mount whose unsent bytes stand under the path. */
static struct lfile *find_unsent(unsigned mount, unsigned path)
{
    for (struct lfile *f = w.files; f != NULL; f = f->next)
        if (lfile_is_attached(f, mount, path) && !f->is_maybe && (f->is_dirty || f->is_new))
            return f;
    return NULL;
}

/* An open file with unsent bytes is what its name shows here, also when its base has gone. */
static bool was_unsent_stale(unsigned mount, unsigned path)
{
    for (const struct lfile *f = w.files; f != NULL; f = f->next)
        if (lfile_is_attached(f, mount, path) && (f->is_dirty || f->is_new) &&
            has_changed(path, f->base))
            return true;
    return false;
}

static bool is_attached_any(unsigned mount, unsigned path)
{
    for (const struct lfile *f = w.files; f != NULL; f = f->next)
        if (lfile_is_attached(f, mount, path))
            return true;
    return false;
}

static int open_error(struct doing *d, int r, int flags)
{
    unsigned path = d->m->path, mount = d->m->mount;
    size_t from = version_at(path, d->t0);
    bool ok = error_is_fault(d, r);
    int dir = dir_of(path);

    if (r == -ENOENT && (flags & O_CREAT) == 0)
        ok = was_absent(path, from) && find_unsent(mount, path) == NULL;
    else if (r == -ENOENT)
        ok = dir >= 0 && dir_was_absent((unsigned)dir, d->boot0 - 2 * AC_MAX_NS);
    else if (r == -EEXIST)
        ok = (flags & O_EXCL) != 0 &&
             (was_present(path, version_at_ns(path, d->boot0 - AC_MAX_NS)) ||
              is_attached_any(mount, path));
    else if (r == -ESTALE)
        ok = has_changed(path, from);
    return ok ? 0
              : model_fail("mount %u: open %s: %s (%s)", mount, paths[path], strerror(-r),
                           err_text());
}

static size_t first_absent(unsigned path, size_t from)
{
    while (from + 1 < w.keys[path].n && w.keys[path].v[from].present)
        from++;
    return from;
}

static void attach_handle(struct mhandle *h, struct lfile *f, int flags)
{
    h->is_open = true;
    h->is_writer = (flags & O_ACCMODE) != O_RDONLY;
    h->is_reader = (flags & O_ACCMODE) != O_WRONLY;
    h->is_append = (flags & O_APPEND) != 0;
    h->f = f;
    f->n_handles++;
    f->n_writers += h->is_writer;
}

static size_t find_version(unsigned path, size_t from, const struct content *c)
{
    for (size_t i = w.keys[path].n; i-- > from;)
        if (w.keys[path].v[i].present && content_equal(&w.keys[path].v[i].c, c))
            return i;
    return SIZE_MAX;
}

/* Does another handle of the file have the same node? Then the mount did not leave it behind. */
static bool has_node(const struct lfile *f, uint64_t node)
{
    for (int i = 0; i <= HANDLES; i++) {
        const struct mhandle *h = &w.handles[f->mount][i];

        if (h->is_open && h->f == f && h->node == node)
            return true;
    }
    return false;
}

/* Which of this mount's files, or of the bucket's versions, is it that the handle shows? */
static struct lfile *file_of(struct doing *d, const struct mhandle *h, const struct content *c,
                             int flags)
{
    unsigned path = d->m->path, mount = d->m->mount;
    size_t from = version_at(path, d->t0), at = find_version(path, from, c);
    struct lfile *f, *clean = NULL;

    for (f = w.files; f != NULL; f = f->next) {
        if (!lfile_is_attached(f, mount, path))
            continue;
        if (at == SIZE_MAX && lfile_was_merged(f, c)) {
            f->is_merged = true;
            return f;
        }
        if (!content_equal(&f->c, c))
            continue;
        if (f->is_dirty || f->is_new || f->is_either || (f->is_doubt && at == SIZE_MAX))
            return f;
        if ((!f->is_maybe || has_node(f, h->node)) && at != SIZE_MAX)
            clean = f;
    }
    if (clean != NULL)
        return clean;
    if (at == SIZE_MAX && (c->n > 0 || (flags & O_CREAT) == 0 || !was_absent(path, from)))
        return NULL;
    f = lfile_new(mount, path);
    f->c = content_copy(c);
    f->is_new = at == SIZE_MAX;
    f->is_whole = f->is_new && !MODEL_MERGES;
    f->base = at != SIZE_MAX ? at : first_absent(path, from);
    f->is_either = at != SIZE_MAX && c->n == 0 && (flags & O_CREAT) != 0 && was_absent(path, from);
    f->ident = f->ident2 = f->is_new ? ++w.next_ident : w.keys[path].v[at].ident;
    return f;
}

int handle_shut(struct doing *d, struct mhandle *h)
{
    int r = rig_shut(&w.rig[d->m->mount], h->fh);

    *h = (struct mhandle){0};
    return r;
}

/* How many cells of what there may be are read at the open: fewer than any has, if they are enough
 * to tell which it is, so that the handle has not read to the end yet. */
static size_t cells_to_tell(const struct doing *d)
{
    const struct key *k = &w.keys[d->m->path];
    size_t least = CELLS_MAX;

    for (size_t i = version_at(d->m->path, d->t0); i < k->n; i++)
        if (k->v[i].present && k->v[i].c.n < least)
            least = k->v[i].c.n;
    for (const struct lfile *f = w.files; f != NULL; f = f->next)
        if (lfile_is_attached(f, d->m->mount, d->m->path) && f->c.n < least)
            least = f->c.n;
    return d->m->off % 2 == 0 || least < 2 ? CELLS_MAX : least - 1;
}

bool content_starts(const struct content *c, const struct content *head)
{
    return c->n >= head->n && (head->n == 0 || memcmp(c->v, head->v, head->n * sizeof(*c->v)) == 0);
}

/* The one content that begins so, or NULL: none, or several. */
static const struct content *only_one(const struct doing *d, const struct content *head)
{
    const struct key *k = &w.keys[d->m->path];
    const struct content *found = NULL;

    for (size_t i = version_at(d->m->path, d->t0); i < k->n; i++) {
        if (!k->v[i].present || !content_starts(&k->v[i].c, head))
            continue;
        if (found != NULL && !content_equal(found, &k->v[i].c))
            return NULL;
        found = &k->v[i].c;
    }
    for (const struct lfile *f = w.files; f != NULL; f = f->next) {
        if (!lfile_is_attached(f, d->m->mount, d->m->path) || !content_starts(&f->c, head))
            continue;
        if (found != NULL && !content_equal(found, &f->c))
            return NULL;
        found = &f->c;
    }
    return found;
}

static int first_content(const struct doing *d, struct mhandle *h, struct content *ret)
{
    size_t cells = cells_to_tell(d);
    const struct content *only;
    int r = handle_content(d->m->mount, h, cells, ret);

    if (r < 0 || cells == CELLS_MAX)
        return r;
    only = ret->n == cells ? only_one(d, ret) : NULL;
    content_free(ret);
    if (only == NULL)
        return handle_content(d->m->mount, h, CELLS_MAX, ret);
    *ret = content_copy(only);
    return 0;
}

static int opened_content(struct doing *d, struct mhandle *h, int flags)
{
    unsigned path = d->m->path, mount = d->m->mount;
    struct content c = {0};
    struct lfile *f;
    int r = first_content(d, h, &c);

    if (r == -EILSEQ)
        return model_fail("mount %u: open %s shows bytes that nobody wrote", mount, paths[path]);
    if (r < 0) {
        bool ok = error_is_fault(d, r) ||
                  (r == -ESTALE &&
                   (has_changed(path, version_at(path, d->t0)) || was_unsent_stale(mount, path)));

        if (!ok)
            return model_fail("mount %u: first read of %s: %s (%s)", mount, paths[path],
                              strerror(-r), err_text());
        handle_shut(d, h);
        return 0;
    }
    f = file_of(d, h, &c, flags);
    if (f == NULL)
        r = model_fail("mount %u: open %s shows %s, which was not there while it opened", mount,
                       paths[path], content_text(&c));
    else
        attach_handle(h, f, flags);
    if (f != NULL && !f->is_dirty && !f->is_new)
        w.seen[mount][path] = f->base;
    content_free(&c);
    return r;
}

void cells_fill(struct content *c, size_t at, unsigned len, unsigned id)
{
    for (unsigned i = 0; i < len; i++)
        content_set(c, at + i, id << 12 | i);
}

/* Does another handle of the file show this? */
static bool shows(const struct lfile *f, const struct content *wanted)
{
    for (int i = 0; i <= HANDLES; i++) {
        struct mhandle *h = &w.handles[f->mount][i];
        struct content c = {0};
        bool same;

        if (!h->is_open || h->f != f)
            continue;
        same = handle_content(f->mount, h, CELLS_MAX, &c) == 0 && content_equal(&c, wanted);
        content_free(&c);
        return same;
    }
    return false;
}

static struct lfile *truncated_file(struct doing *d, const struct content *c)
{
    unsigned path = d->m->path;
    size_t from = version_at(path, d->t0);
    const struct key *k = &w.keys[path];
    struct lfile *f = w.files;

    while (f != NULL && !(lfile_is_attached(f, d->m->mount, path) && shows(f, c)))
        f = f->next;
    if (f == NULL) {
        f = lfile_new(d->m->mount, path);
        f->is_new = was_absent(path, from);
        f->is_either = f->is_new && was_present(path, from);
        f->base = f->is_new ? first_absent(path, from) : from;
        f->ident = f->is_new ? ++w.next_ident : k->v[from].ident;
    } else if (!f->is_new && !f->is_dirty) { /* else: as it stood, also if others removed it */
        f->base = from;
        f->ident = k->v[from].ident;
    }
    if (!f->is_dirty)
        f->ident2 = f->is_new ? f->ident : k->v[k->n - 1].ident;
    f->is_maybe = false;
    return f;
}

static struct lfile *exclusive_file(struct doing *d)
{
    unsigned path = d->m->path, mount = d->m->mount;
    size_t from = version_at(path, d->t0);
    struct lfile *f;

    if (!was_absent(path, from) || find_unsent(mount, path) != NULL) {
        model_fail("mount %u: O_EXCL opened %s, which was there", mount, paths[path]);
        return NULL;
    }
    for (f = w.files; f != NULL; f = f->next)
        if (lfile_is_attached(f, mount, path))
            f->is_maybe = true;
    f = lfile_new(mount, path);
    f->is_new = f->is_excl = true;
    f->base = first_absent(path, from);
    f->ident = f->ident2 = ++w.next_ident;
    return f;
}

/* A file that begins empty gets bytes at once: empty ones can't be told apart. */
static int opened_empty(struct doing *d, struct mhandle *h, int flags)
{
    unsigned mount = d->m->mount, id = ++w.next_write;
    struct content c = {0};
    struct lfile *f;
    char *bytes;
    ssize_t n;

    cells_fill(&c, 0, d->m->len, id);
    bytes = malloc(c.n * CELL);
    content_bytes(&c, bytes);
    n = vfs_write(w.rig[mount].vfs, &w.rig[mount].ctx, h->fh, 0, bytes, c.n * CELL);
    free(bytes);
    if (n != (ssize_t)(c.n * CELL)) {
        content_free(&c);
        return model_fail("mount %u: first write to %s: %zd (%s)", mount, paths[d->m->path], n,
                          err_text());
    }
    f = (flags & O_EXCL) != 0 ? exclusive_file(d) : truncated_file(d, &c);
    if (f != NULL) {
        model_note("      w%u", id);
        content_free(&f->c);
        f->c = c;
        f->is_whole = f->is_dirty = true;
        f->has_ranges = (flags & O_EXCL) != 0;
        f->is_cut = false;
        memset(f->dirty_cells, 1, c.n);
        w.local[mount][f->path]++;
        attach_handle(h, f, flags);
    } else {
        content_free(&c);
    }
    return f != NULL ? 0 : -1;
}

int do_open(struct doing *d, int flags)
{
    struct mhandle *h = slot_of(d);
    int r;

    if (h->is_open)
        return 0;
    lfiles_touch(d->m->mount, d->m->path);
    r = open_path(&w.rig[d->m->mount], paths[d->m->path], flags, h);
    lfiles_touch(d->m->mount, d->m->path);
    lfiles_follow(d->m->mount, d->m->path);
    model_note("      open: %s", r < 0 ? strerror(-r) : "ok");
    if (r < 0) {
        d->has_erred = true;
        *h = (struct mhandle){0};
        return open_error(d, r, flags);
    }
    return (flags & (O_TRUNC | O_EXCL)) != 0 ? opened_empty(d, h, flags)
                                             : opened_content(d, h, flags);
}
