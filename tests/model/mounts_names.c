/* SPDX-License-Identifier: Apache-2.0 */
/* Moves on names, the foreign writer, and what holds when everything has come to rest. */
#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "mounts.h"

static const char *said(int r)
{
    return r < 0 ? strerror(-r) : "ok";
}

size_t oldest_known(const struct doing *d, unsigned k, bool by_name)
{
    size_t from = version_at_ns(k, d->boot0 - AC_MAX_NS);
    int64_t own_ns = w.own_ns[d->m->mount][k];

    if (own_ns != 0 && d->boot0 - own_ns < AC_MAX_NS && d->own_before[k] < from)
        from = d->own_before[k]; /* its reply was long under way */
    if (d->own_before[k] > from)
        from = d->own_before[k];
    if (by_name && d->seen_before[k] > from)
        from = d->seen_before[k];
    return from;
}

static const struct lfile *find_attached(unsigned mount, unsigned k, bool only_new)
{
    for (const struct lfile *f = w.files; f != NULL; f = f->next)
        if (lfile_is_attached(f, mount, k) && (!only_new || (f->is_new && !f->is_maybe)))
            return f;
    return NULL;
}

static bool has_size(unsigned k, size_t from, off_t size)
{
    for (size_t i = from; i < w.keys[k].n; i++)
        if (w.keys[k].v[i].present && (off_t)(w.keys[k].v[i].c.n * CELL) == size)
            return true;
    return false;
}

static bool local_has_size(unsigned mount, unsigned k, off_t size)
{
    for (const struct lfile *f = w.files; f != NULL; f = f->next)
        if (f->mount == mount && f->path == k && (off_t)(f->c.n * CELL) == size)
            return true;
    return false;
}

static int judge_stat(struct doing *d, int r, off_t size)
{
    unsigned mount = d->m->mount, k = d->m->path;
    bool is_quiet = w.local[mount][k] == d->local_before[k], ok;
    const struct lfile *f = find_attached(mount, k, false);

    if (error_is_fault(d, r))
        return 0;
    if (f != NULL && is_quiet && (f->is_dirty || f->is_new) && !f->is_maybe)
        ok = r == 0 && (size == (off_t)(f->c.n * CELL) || f->is_merged);
    else if (r == 0)
        ok = has_size(k, oldest_known(d, k, true), size) || local_has_size(mount, k, size) ||
             !is_quiet || (f != NULL && f->is_merged);
    else
        ok = r == -ENOENT && (was_absent(k, version_at(k, d->t0)) || !is_quiet);
    if (ok)
        return 0;
    return model_fail("mount %u: stat %s: %s, %ld cells", mount, paths[k], said(r),
                      (long)size / CELL);
}

static int do_stat(struct doing *d)
{
    struct stat st = {0};
    int r;

    lfiles_touch(d->m->mount, d->m->path);
    r = rig_stat(&w.rig[d->m->mount], paths[d->m->path], &st);
    lfiles_touch(d->m->mount, d->m->path);
    model_note("      stat: %s, %ld cells", said(r), (long)st.st_size / CELL);
    return judge_stat(d, r, st.st_size);
}

static int do_pin(struct doing *d)
{
    unsigned mount = d->m->mount;
    struct rig *rig = &w.rig[mount];
    struct vfs_entry e;
    uint64_t *pin;
    int r = rig_walk(rig, paths[d->m->path], &e);

    lfiles_touch(mount, d->m->path);
    if (r == 0) {
        pin = &w.pins[mount][w.next_pin[mount]++ % PINS];
        if (*pin != 0)
            vfs_forget(rig->vfs, *pin, 1);
        *pin = e.node;
    }
    model_note("      pin: %s", said(r));
    return judge_stat(d, r, e.st.st_size);
}

static int take_name(void *arg, const char *name, const struct vfs_entry *e, uint64_t next_off)
{
    struct names *l = arg;
    char path[600];
    int k;

    (void)next_off;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    if (e->node != 0)
        vfs_forget(l->rig->vfs, e->node, 1);
    for (int i = 0; i < N_COUNTERS; i++)
        if (strcmp(name, counters[i]) == 0)
            return 0;
    snprintf(path, sizeof(path), "%s%s%s", l->dir, l->dir[0] != '\0' ? "/" : "", name);
    k = key_index(path);
    if (k >= 0 && k < N_FILES) {
        l->files[k] = true;
        return 0;
    }
    for (int i = 0; i < N_DIRS; i++) {
        if (strcmp(path, dirs[i]) == 0) {
            l->dirs[i] = true;
            return 0;
        }
    }
    snprintf(l->strange, sizeof(l->strange), "%.60s", path);
    return 0;
}

int names_list(struct rig *rig, const char *dir, bool plus, struct names *ret)
{
    struct vfs_entry e;
    uint64_t fh;
    int r = rig_walk(rig, dir, &e);

    *ret = (struct names){.rig = rig, .dir = dir};
    if (r < 0)
        return r;
    r = vfs_opendir(rig->vfs, e.node, &fh);
    if (e.node != VFS_ROOT)
        vfs_forget(rig->vfs, e.node, 1);
    if (r < 0)
        return r;
    r = vfs_readdir(rig->vfs, fh, 0, plus, take_name, ret);
    vfs_releasedir(rig->vfs, fh);
    return r;
}

static int judge_list(struct doing *d, int dir, const struct names *l)
{
    unsigned mount = d->m->mount;

    for (unsigned k = 0; k < N_FILES; k++) {
        size_t from = oldest_known(d, k, false);
        bool is_new = find_attached(mount, k, true) != NULL, ok;

        if (dir_of(k) != dir || w.local[mount][k] != d->local_before[k])
            continue;
        if (l->files[k])
            ok = was_present(k, from) || find_attached(mount, k, false) != NULL;
        else
            ok = (!is_new && was_absent(k, from)) ||
                 (w.gone_ns[mount][k] != 0 && d->boot0 - w.gone_ns[mount][k] < AC_MAX_NS);
        if (!ok)
            return model_fail("mount %u: the listing %s %s", mount, l->files[k] ? "has" : "lacks",
                              paths[k]);
    }
    if (l->strange[0] != '\0')
        return model_fail("mount %u: the listing has %s", mount, l->strange);
    return 0;
}

static int do_ls(struct doing *d)
{
    int dir = (int)(d->m->path % (N_DIRS + 1)) - 1;
    struct names l;
    int r = names_list(&w.rig[d->m->mount], dir < 0 ? "" : dirs[dir], d->m->off % 2 == 1, &l);

    model_note("      ls %s: %s", dir < 0 ? "/" : dirs[dir], said(r));
    if (r == 0)
        return judge_list(d, dir, &l);
    if (error_is_fault(d, r) ||
        (r == -ENOENT && dir >= 0 && dir_was_absent((unsigned)dir, d->boot0 - 2 * AC_MAX_NS)))
        return 0;
    return model_fail("mount %u: ls: %s (%s)", d->m->mount, said(r), err_text());
}

static bool has_unsent(unsigned mount, unsigned k)
{
    const struct lfile *f = find_attached(mount, k, false);

    return f != NULL && (f->is_dirty || f->is_new) && !f->is_maybe;
}

/* The name is gone here: what this mount has open of it lives on without one. */
static void files_lose_name(unsigned mount, unsigned k)
{
    for (struct lfile *f = w.files; f != NULL; f = f->next) {
        if (!lfile_is_attached(f, mount, k))
            continue;
        if (!f->is_maybe || lfile_whereabouts(f) == -ENOENT)
            f->is_unlinked = true;
    }
    w.local[mount][k]++;
}

static int do_unlink(struct doing *d)
{
    unsigned mount = d->m->mount, k = d->m->path;
    size_t from = version_at(k, d->t0);
    bool had_unsent = has_unsent(mount, k), ok = false;
    /* A file that only this mount knows yet goes without a request: what others have made of the
     * name meanwhile stays. */
    const struct lfile *known = find_attached(mount, k, false);
    bool had_new = find_attached(mount, k, true) != NULL || (known != NULL && known->is_doubt);
    int r;

    lfiles_touch(mount, k);
    r = rig_unlink(&w.rig[mount], paths[k]);
    if (r < 0)
        lfiles_touch(mount, k);
    d->has_erred = r < 0;
    model_note("      unlink: %s", said(r));
    if (r == 0) {
        ok = had_new || was_absent(k, from);
        files_lose_name(mount, k);
        w.gone_ns[mount][k] = had_new ? clock_boot_ns() : 0;
    } else if (r == -ENOENT) {
        ok = was_absent(k, from) && !had_unsent;
    } else if (r == -ESTALE) {
        ok = has_changed(k, from) || find_attached(mount, k, false) != NULL;
    }
    return ok || error_is_fault(d, r)
               ? 0
               : model_fail("mount %u: unlink %s: %s (%s)", mount, paths[k], said(r), err_text());
}

static void files_move(struct doing *d)
{
    unsigned mount = d->m->mount, from = d->m->path, to = d->m->path2;

    files_lose_name(mount, to);
    for (struct lfile *f = w.files; f != NULL; f = f->next) {
        if (f->mount == mount && f->path == to && !f->is_dirty && !f->is_new && f->is_unlinked &&
            d->own_now[to] > 0 && f->base == d->own_now[to])
            f->is_unlinked = false; /* the source, which the publication has moved */
        if (!lfile_is_attached(f, mount, from))
            continue;
        if (f->is_maybe && lfile_whereabouts(f) != (int)to)
            continue;
        if (f->is_maybe && f->may_move && !f->is_dirty) { /* it became what was moved */
            content_free(&f->c);
            f->c = content_copy(&w.keys[to].v[w.keys[to].n - 1].c);
            f->is_maybe = f->may_move = f->may_jump = false;
        }
        f->path = to;
        f->base = w.keys[to].n - 1;
        if (f->is_new && w.keys[to].v[f->base].present)
            f->base = version_at(to, d->t0);
        f->is_excl = d->m->kind == M_NOREPLACE;
    }
    w.local[mount][from]++;
}

static bool has_moved(unsigned mount, unsigned from, unsigned to)
{
    for (const struct lfile *f = w.files; f != NULL; f = f->next)
        if (lfile_is_attached(f, mount, from) && lfile_whereabouts(f) == (int)to)
            return true;
    return false;
}

static int judge_rename(struct doing *d, int r, bool had_unsent, bool had_target)
{
    unsigned from = d->m->path, to = d->m->path2;
    size_t from0 = version_at(from, d->t0), to0 = version_at(to, d->t0);

    if (r == -ENOENT)
        return (was_absent(from, from0) && !had_unsent) ||
               (dir_of(to) >= 0 && dir_was_absent((unsigned)dir_of(to), d->boot0 - 2 * AC_MAX_NS));
    if (r == -EEXIST)
        return d->m->kind == M_NOREPLACE &&
               (had_target || was_present(to, oldest_known(d, to, true)));
    if (r == -ESTALE || r == -EAGAIN)
        return has_changed(from, oldest_known(d, from, true)) || has_changed(to, to0) || had_unsent;
    return r == 0;
}

static int do_rename(struct doing *d)
{
    unsigned mount = d->m->mount, from = d->m->path, to = d->m->path2;
    bool had_unsent = has_unsent(mount, from), had_target = find_attached(mount, to, false) != NULL;
    int r;

    if (from == to)
        return 0;
    lfiles_touch(mount, from);
    lfiles_touch(mount, to);
    r = rig_rename(&w.rig[mount], paths[from], paths[to],
                   d->m->kind == M_NOREPLACE ? RENAME_NOREPLACE : 0);
    if (r < 0)
        lfiles_touch(mount, from);
    d->has_erred = r < 0;
    model_note("      rename: %s", said(r));
    if (r == 0 && !had_unsent && d->n_pubs == 0)
        return model_fail("mount %u: rename %s %s: 0, and nothing was written", mount, paths[from],
                          paths[to]);
    if (r == 0 || has_moved(mount, from, to)) /* it may be said to have failed later than that */
        files_move(d);
    return judge_rename(d, r, had_unsent, had_target) || error_is_fault(d, r)
               ? 0
               : model_fail("mount %u: rename %s %s: %s (%s)", mount, paths[from], paths[to],
                            said(r), err_text());
}

static int do_chmod(struct doing *d)
{
    unsigned mount = d->m->mount, k = d->m->path;
    size_t from = version_at(k, d->t0);
    bool had_unsent = has_unsent(mount, k), ok;
    int r;

    lfiles_touch(mount, k);
    r = rig_chmod(&w.rig[mount], paths[k], d->m->off % 2 == 0 ? 0600 : 0640);
    lfiles_touch(mount, k);
    d->has_erred = r < 0;
    w.in_doubt[mount][k] = w.in_doubt[mount][k] || (r == -EIO && d->m->fault == F_PUT_IN_DOUBT);
    model_note("      chmod: %s", said(r));
    lfiles_follow(mount, k);
    ok = r == 0 || error_is_fault(d, r);
    if (r == -ENOENT)
        ok = was_absent(k, from) && !had_unsent;
    else if (r == -ESTALE)
        ok = has_changed(k, oldest_known(d, k, true)) || find_attached(mount, k, false) != NULL;
    return ok ? 0 : model_fail("mount %u: chmod %s: %s (%s)", mount, paths[k], said(r), err_text());
}

static int do_dir(struct doing *d)
{
    struct rig *rig = &w.rig[d->m->mount];
    unsigned dir = d->m->path % N_DIRS;
    /* Its own marker is no reason to say that another made it first. */
    bool existed = dir_was(dir, d->boot0 - 2 * AC_MAX_NS, false), ok;
    int r;

    for (unsigned k = 0; k < N_FILES && !existed; k++)
        existed = dir_of(k) == (int)dir && find_attached(d->m->mount, k, false) != NULL;
    r = d->m->kind == M_MKDIR ? rig_mkdir(rig, dirs[dir], 0755) : rig_rmdir(rig, dirs[dir]);
    model_note("      %s: %s", dirs[dir], said(r));
    ok = r == 0 || r == -ENOENT || r == -ENOTEMPTY || r == -ESTALE || error_is_fault(d, r) ||
         (r == -EAGAIN && d->had_hold);
    if (r == -EEXIST)
        ok = d->m->kind == M_MKDIR && (existed || d->had_hold);
    return ok ? 0
              : model_fail("mount %u: %s %s: %s (%s)", d->m->mount, move_names[d->m->kind],
                           dirs[dir], said(r), err_text());
}

static int do_remount(struct doing *d)
{
    unsigned m = d->m->mount;
    int r = close_all(d);

    memset(w.pins[m], 0, sizeof(w.pins[m]));
    if (r < 0)
        return r;
    if (d->m->kind == M_CACHE_LOSS && m != 0) {
        struct rig fresh;

        r = rig_join(&fresh, &w.rig[0], NULL);
        fresh.ctx = w.rig[m].ctx;
        rig_close(&w.rig[m]);
        w.rig[m] = fresh;
        w.rig[m].conf.invalidate_arg = &w.rig[m];
    }
    if (r == 0)
        r = rig_remount(&w.rig[m]);
    return r == 0 ? 0 : model_fail("mount %u: remount: %d (%s)", m, r, err_text());
}

int do_name_move(struct doing *d)
{
    switch ((int)d->m->kind) {
    case M_STAT:
        return do_stat(d);
    case M_LS:
        return do_ls(d);
    case M_PIN:
        return do_pin(d);
    case M_UNLINK:
        return do_unlink(d);
    case M_RENAME:
    case M_NOREPLACE:
        return do_rename(d);
    case M_MKDIR:
    case M_RMDIR:
        return do_dir(d);
    case M_CHMOD:
        return do_chmod(d);
    case M_FOREIGN_PUT:
    case M_FOREIGN_DELETE:
    case M_FOREIGN_COPY:
        return do_foreign(d);
    case M_REMOUNT:
    case M_CACHE_LOSS:
        return do_remount(d);
    case M_LOCK_ADD:
        return do_lock_add(d);
    case M_TICK:
        clock_fake_add((int64_t)(1 + d->m->off % 80) * NS_PER_S);
        return 0;
    default:
        return do_handle_move(d);
    }
}
