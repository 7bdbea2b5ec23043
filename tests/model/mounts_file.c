/* SPDX-License-Identifier: Apache-2.0 */
/* Open files: what a mount's handles hold, and whether what it sends is explained by that. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mounts.h"

struct lfile *lfile_new(unsigned mount, unsigned path)
{
    struct lfile *f = calloc(1, sizeof(*f));

    f->mount = mount;
    f->path = path;
    f->next = w.files;
    w.files = f;
    return f;
}

void lfile_unref(struct lfile *f)
{
    struct lfile **p = &w.files;

    if (--f->n_handles > 0)
        return;
    while (*p != f)
        p = &(*p)->next;
    *p = f->next;
    content_free(&f->c);
    free(f);
}

bool lfile_is_attached(const struct lfile *f, unsigned mount, unsigned path)
{
    return f->mount == mount && f->path == path && !f->is_unlinked && !f->is_dead;
}

int lfile_whereabouts(const struct lfile *f)
{
    for (int i = 0; i <= HANDLES; i++) {
        const struct mhandle *h = &w.handles[f->mount][i];
        char key[64];
        int r;

        if (!h->is_open || h->f != f)
            continue;
        r = rig_key_of(&w.rig[f->mount], h->node, key, sizeof(key));
        return r < 0 ? r : key_index(key);
    }
    return -ESTALE;
}

static const struct version *base_of(const struct lfile *f)
{
    return &w.keys[f->path].v[f->base];
}

static bool is_base(const struct lfile *f, const struct version *v)
{
    return v->present == base_of(f)->present && content_equal(&v->c, &base_of(f)->c);
}

static bool is_read_out(const struct lfile *f)
{
    for (int i = 0; i <= HANDLES; i++) {
        const struct mhandle *h = &w.handles[f->mount][i];

        if (h->is_open && h->f == f && h->is_reader && !h->is_read_out)
            return false;
    }
    return true;
}

void lfiles_touch(unsigned mount, unsigned path)
{
    for (struct lfile *f = w.files; f != NULL; f = f->next)
        if (lfile_is_attached(f, mount, path) && !f->is_dirty && !f->is_new &&
            has_changed(path, f->base)) {
            f->is_maybe = true;
            f->may_move = f->may_move || is_read_out(f);
        }
}

/* A handle goes on only in what begins with the bytes that it had, unless the file was changed here too. */
static bool follow_to(struct lfile *f, const struct content *c)
{
    const struct key *k = &w.keys[f->path];

    for (size_t i = k->n; i-- > f->base + 1;) {
        if (k->v[i].ident != f->ident || !k->v[i].present || !content_equal(&k->v[i].c, c) ||
            !(f->may_jump || content_starts(c, &f->c)))
            continue;
        content_free(&f->c);
        f->c = content_copy(c);
        f->base = i;
        f->is_maybe = f->may_move = f->may_jump = false;
        w.seen[f->mount][f->path] = i;
        return true;
    }
    return false;
}

void lfiles_follow(unsigned mount, unsigned path)
{
    for (int i = 0; i <= HANDLES; i++) {
        struct mhandle *h = &w.handles[mount][i];
        struct content c;

        if (!h->is_open || h->f->path != path || !h->f->may_move || h->f->is_dirty)
            continue;
        if (handle_content(mount, h, CELLS_MAX, &c) == 0 && !content_equal(&c, &h->f->c))
            (void)follow_to(h->f, &c); /* if not, the next read says so */
        content_free(&c);
    }
}

static void add_pub(struct doing *d, unsigned path, const struct content *c)
{
    if (d->n_pubs == sizeof(d->pubs) / sizeof(d->pubs[0]))
        return;
    d->pubs[d->n_pubs].path = path;
    d->pubs[d->n_pubs++].c = content_copy(c);
}

static bool is_ours(const struct lfile *f, uint32_t cell)
{
    for (size_t i = 0; i < f->c.n; i++)
        if (f->dirty_cells[i] && f->c.v[i] == cell)
            return true;
    return false;
}

/* Every cell that was there stays, unless ours was written onto it, or the file was cut here. */
static bool keeps_theirs(const struct lfile *f, const struct content *c, const struct content *was)
{
    for (size_t i = 0; i < was->n || i < c->n; i++) {
        bool at = i < c->n && i < f->c.n && f->dirty_cells[i] && c->v[i] == f->c.v[i];

        if (i >= c->n || (i < was->n && c->v[i] != was->v[i] && !at)) {
            if (!f->is_cut)
                return false;
        } else if (i >= was->n && c->v[i] != 0 && !is_ours(f, c->v[i])) {
            return false;
        }
    }
    return true;
}

/* All of ours is there, once: where it was written, or in this order at the new end. */
static bool has_ours(const struct lfile *f, const struct content *c)
{
    size_t at = 0, n = 0, ours = 0;

    for (size_t i = 0; i < f->c.n; i++) {
        if (f->dirty_cells[i] && f->c.v[i] == 0 && i < c->n && c->v[i] != 0 && !is_ours(f, c->v[i]))
            return false; /* zeros were put there */
        if (!f->dirty_cells[i] || f->c.v[i] == 0)
            continue;
        ours++;
        if (i < c->n && c->v[i] == f->c.v[i]) {
            at = i + 1;
            continue;
        }
        while (at < c->n && c->v[at] != f->c.v[i])
            at++;
        if (at++ >= c->n)
            return false;
    }
    for (size_t i = 0; i < c->n; i++)
        n += c->v[i] != 0 && is_ours(f, c->v[i]);
    return n == ours;
}

/* The replaced version of the same file with what was written here (protocol 2b, 2c). */
static bool is_merge(const struct lfile *f, const struct content *c, const struct version *was)
{
    bool same = was->ident == f->ident || was->ident == f->ident2;

    return MODEL_MERGES && was->present && (same || f->is_either || (f->is_new && !f->is_excl)) &&
           keeps_theirs(f, c, &was->c) && has_ours(f, c);
}

bool lfile_was_merged(const struct lfile *f, const struct content *c)
{
    const struct key *k = &w.keys[f->path];

    for (size_t i = f->base; i < k->n && f->is_dirty; i++)
        if (is_merge(f, c, &k->v[i]))
            return true;
    return false;
}

/* Is this the content that the file's writer means, over what was there? */
static bool lfile_explains(const struct lfile *f, const struct content *c,
                           const struct version *was)
{
    if (is_merge(f, c, was))
        return true;
    if (!content_equal(c, &f->c))
        return false;
    if (is_base(f, was) || (f->is_either && !was->present))
        return true;
    if (f->is_new && was->present)
        return !f->is_excl; /* a creator without O_EXCL opens the winner's file */
    return f->is_whole && was->present && (was->ident == f->ident || was->ident == f->ident2);
}

static void lfile_published(struct lfile *f, unsigned path, const struct content *c)
{
    f->is_doubt = w.doing->m->fault == F_PUT_IN_DOUBT;
    f->is_doubt_new = f->is_doubt && f->is_new && !f->is_excl;
    f->is_merged = f->is_merged || !content_equal(c, &f->c);
    content_free(&f->c);
    f->c = content_copy(c);
    f->path = path;
    f->base = w.keys[path].n - 1;
    f->is_dirty = f->is_new = f->is_excl = f->is_whole = f->is_cut = f->is_maybe = false;
    f->may_move = f->may_jump = f->is_either = f->has_appended = f->has_ranges = false;
    memset(f->dirty_cells, 0, sizeof(f->dirty_cells));
    w.local[f->mount][path]++;
}

static bool has_bytes(const struct lfile *f)
{
    return memchr(f->dirty_cells, 1, sizeof(f->dirty_cells)) != NULL;
}

static bool moves_to(const struct doing *d, unsigned path)
{
    return (d->m->kind == M_RENAME || d->m->kind == M_NOREPLACE) && d->m->path2 == path;
}

/* A rename publishes what its source holds: here, or in the bucket at any time since it began. */
static bool rename_explains(struct doing *d, unsigned path, const struct content *c,
                            unsigned *ret_ident)
{
    const struct key *from = &w.keys[d->m->path];

    for (struct lfile *f = w.files; f != NULL; f = f->next) {
        if (lfile_is_attached(f, d->m->mount, d->m->path) && !f->is_maybe &&
            content_equal(c, &f->c)) {
            *ret_ident = f->ident;
            if (f->is_dirty || f->is_new) {
                d->moved_base = f->base + 1;
                lfile_published(f, path, c);
            }
            return true;
        }
    }
    for (size_t i = version_at(d->m->path, d->t0); i < from->n; i++) {
        if (from->v[i].present && content_equal(c, &from->v[i].c)) {
            *ret_ident = from->v[i].ident;
            return true;
        }
    }
    return false;
}

int publish_explain(struct doing *d, unsigned path, const struct content *c, size_t was,
                    unsigned *ret_ident)
{
    const struct version *old = &w.keys[path].v[was];
    bool is_attr = d->m->kind == M_CHMOD && old->present && content_equal(c, &old->c);

    add_pub(d, path, c);
    if (d->m->fault != F_PUT_IN_DOUBT)
        w.in_doubt[d->m->mount][path] = false;
    d->own_now[path] = was + 1;
    if (moves_to(d, path)) {
        if (!rename_explains(d, path, c, ret_ident))
            return model_fail("rename: %s becomes %s, which its source never was", paths[path],
                              content_text(c));
        if (d->m->kind == M_NOREPLACE && old->present)
            return model_fail("rename: %s was replaced in spite of NOREPLACE", paths[path]);
        return 0;
    }
    for (struct lfile *f = w.files; f != NULL; f = f->next) {
        bool again = f->is_doubt && (!old->present || f->is_doubt_new) &&
                     content_equal(c, &f->c); /* it was refused */

        if (is_attr && f->is_maybe && !has_bytes(f))
            continue; /* longer or shorter than what is there; its commit would show */

        if (lfile_is_attached(f, d->m->mount, path) &&
            (again || ((f->is_dirty || f->is_new) && lfile_explains(f, c, old)))) {
            *ret_ident = old->present && !is_base(f, old) ? old->ident : f->ident;
            f->ident = f->ident2 = *ret_ident;
            lfile_published(f, path, c);
            return 0;
        }
    }
    if (old->present && content_equal(c, &old->c)) { /* attributes, or the same again */
        for (struct lfile *f = w.files; f != NULL; f = f->next) {
            if (f->path != path)
                continue;
            if (f->base == was)
                f->base = was + 1;
            else if (lfile_is_attached(f, d->m->mount, path)) /* it may have moved on by that */
                *(f->is_dirty ? &f->is_merged : &f->may_move) = f->may_jump = true;
        }
        return 0;
    }
    return model_fail("%s: mount %u wrote %s over %s, which nothing that it has open explains",
                      paths[path], d->m->mount, content_text(c),
                      old->present ? content_text(&old->c) : "nothing");
}

int delete_explain(struct doing *d, unsigned path, size_t was)
{
    const struct version *old = &w.keys[path].v[was];

    d->own_now[path] = was + 1;
    if (d->m->kind == M_UNLINK && d->m->path == path)
        return 0;
    if ((d->m->kind == M_RENAME || d->m->kind == M_NOREPLACE) && d->m->path == path) {
        for (unsigned i = 0; i < d->n_pubs; i++)
            if (d->pubs[i].path == d->m->path2 && content_equal(&d->pubs[i].c, &old->c))
                return 0;
        if (d->moved_base > 0 && content_equal(&w.keys[path].v[d->moved_base - 1].c, &old->c))
            return 0;
        return model_fail("rename: %s was deleted as %s, which was never under the new name",
                          paths[path], content_text(&old->c));
    }
    return model_fail("%s: mount %u deleted %s without being asked to", paths[path], d->m->mount,
                      content_text(&old->c));
}

int handle_content(unsigned mount, struct mhandle *h, size_t cells, struct content *ret)
{
    static char buf[CELLS_MAX * CELL + CELL];
    size_t len = cells < CELLS_MAX ? cells * CELL : sizeof(buf);
    ssize_t n = vfs_read(w.rig[mount].vfs, h->fh, 0, buf, len);

    *ret = (struct content){0};
    h->is_read_out = h->is_read_out || n < 0 || len == sizeof(buf);
    if (n < 0)
        return (int)n;
    return content_parse(buf, (size_t)n, ret) ? 0 : -EILSEQ;
}

static bool is_cell_of(const struct lfile *f, size_t i, uint32_t cell)
{
    const struct key *k = &w.keys[f->path];

    for (size_t x = f->base; x < k->n; x++)
        if (i < k->v[x].c.n && k->v[x].c.v[i] == cell)
            return true;
    return cell == 0 || (i < f->c.n && f->c.v[i] == cell) || is_ours(f, cell);
}

/* All that was written here, and of the rest what was here: of the version that it was written to,
 * or of one that it was merged with before what refused it came. */
static bool is_kept_as(const struct lfile *f, const struct content *kept)
{
    for (size_t i = 0; i < kept->n; i++)
        if (!is_cell_of(f, i, kept->v[i]))
            return false;
    return has_ours(f, kept);
}

int lost_found_has(unsigned mount, const struct lfile *f)
{
    static char buf[CELLS_MAX * CELL + CELL];
    char path[512];
    const struct dirent *e;
    int found = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "%s/lost+found", w.rig[mount].dir);
    dir = opendir(path);
    while (dir != NULL && found == 0 && (e = readdir(dir)) != NULL) {
        struct content c = {0};
        FILE *file;
        size_t n;

        snprintf(path, sizeof(path), "%s/lost+found/%s", w.rig[mount].dir, e->d_name);
        file = e->d_name[0] != '.' ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue;
        n = fread(buf, 1, sizeof(buf), file);
        fclose(file);
        found = content_parse(buf, n, &c) && is_kept_as(f, &c);
        content_free(&c);
    }
    if (dir != NULL)
        closedir(dir);
    return found;
}

bool error_is_fault(const struct doing *d, int r)
{
    if (d->gave_up)
        return r == -EIO;
    switch (d->m->fault) {
    case F_PUT_REFUSED:
        return r == -EACCES;
    case F_PUT_IN_DOUBT:
    case F_DELETE_LOST:
    case F_GET_FAILS:
        return r == -EIO;
    case F_NONE:
    case F_PUT_RETRIED:
    case F_PUT_LOST:
    case F_KINDS:
    default:
        return false;
    }
}
