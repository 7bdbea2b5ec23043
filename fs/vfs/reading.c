/* SPDX-License-Identifier: Apache-2.0 */
#include "reading.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "internal.h"

#define PROBES 8 /* threads whose numbers fall on one place */

/* What the thread has, or (NULL: nothing) where it may put that: over what is oldest. */
static struct reader *find(struct reading *all, pid_t tid, struct reader **ret_free)
{
    struct reader *free_one = NULL;

    for (unsigned n = 0; n < PROBES; n++) {
        struct reader *e = &all->v[((unsigned)tid + n) % READERS];

        if (e->tid == tid)
            return e;
        if (free_one == NULL ||
            (free_one->tid != 0 && (e->tid == 0 || e->asked_ns < free_one->asked_ns)))
            free_one = e;
    }
    *ret_free = free_one;
    return NULL;
}

void reading_forget_locked(struct vfs *v, const struct vfs_ctx *x)
{
    struct reader *e, *unused;

    if (x == NULL || x->pid <= 0)
        return;
    e = find(&v->locked.reading, x->pid, &unused);
    if (e != NULL)
        e->tid = 0;
}

struct asker reading_expect(struct vfs *v, const struct vfs_ctx *x, const struct inode *dir,
                            unsigned how)
{
    struct asker a = {0};

    if (x == NULL || x->pid <= 0 || (how != READS_ONLY && how != CREATES_UNSEEN))
        return a;
    lock_take(&v->tree);
    a.dir = dir->ino;
    a.is_guessed = how == CREATES_UNSEEN;
    if (!a.is_guessed || readhist_expects(&v->locked.reading.hist, a.dir))
        a.window = readhist_window(&v->locked.reading.hist, a.dir, a.is_guessed ? 0 : data_guess(v->data));
    lock_drop(&v->tree);
    return a;
}

/* Its bytes are in the cache, if it still is what it was: what it is now is a HEAD, which brings
 * the attributes that "not modified" would not. */
static bool is_here(struct vfs *v, const char *key, struct store_etag *ret)
{
    struct cache_obj known = {0};
    bool is;

    if (cache_obj_get(v->cache, key, &known) != 0)
        return false;
    *ret = known.obj.etag;
    is = store_etag_is_set(ret) && known.obj.size > 0 &&
         data_is_here(v->data, key, ret, known.obj.size);
    cache_obj_done(&known);
    return is;
}

static void note(struct vfs *v, const struct asker *a, int r, uint64_t size)
{
    struct readhist *h = &v->locked.reading.hist;

    lock_take(&v->tree);
    if (a->is_guessed)
        readhist_spend(h, a->dir);
    if (r == 0)
        readhist_size(h, a->dir, size);
    else if (r != STORE_NOT_FOUND && r != -ENOBUFS)
        readhist_failed(h, a->dir);
    lock_drop(&v->tree);
}

static int by_head(struct vfs *v, const char *key, const struct store_etag *here, struct found *ret)
{
    int r = name_head(v, key, ret);

    ret->is_ready = r == 0 && store_etag_equal(here, &ret->obj.etag);
    return r;
}

static int by_get(struct vfs *v, const struct asker *a, const char *key, struct found *ret)
{
    int64_t asked = clock_boot_ns();
    int r;

    lock_assert_may_block();
    r = data_first(v->data, key, a->window, !a->is_guessed, &ret->obj, &ret->is_ready);
    note(v, a, r, ret->obj.size);
    ret->has_obj = r == 0;
    ret->checked_ns = asked;
    return r;
}

int reading_ask(struct vfs *v, const struct asker *a, const char *key, struct found *ret)
{
    struct store_etag here;
    int r;

    found_done(ret);
    if (a->window == 0 || strlen(key) > VFS_KEY_MAX)
        return name_ask(v, key, false, ret);
    r = is_here(v, key, &here) ? by_head(v, key, &here, ret) : by_get(v, a, key, ret);
    if (r == STORE_NOT_FOUND)
        r = name_ask_dir(v, key, ret);
    else if (r != 0)
        return name_ask(v, key, false, ret);
    return r == STORE_NOT_FOUND ? -ENOENT : err_fold(r);
}

/* A hard link's record says what it is, and is read at each open. */
void reading_found_locked(struct vfs *v, const struct vfs_ctx *x, const struct inode *dir,
                          const struct inode *i, const struct found *f)
{
    struct reader *e, *to;

    if (x == NULL || x->pid <= 0 || f->is_dir || !f->has_obj)
        return;
    e = find(&v->locked.reading, x->pid, &to);
    if (e == NULL)
        e = to;
    *e = (struct reader){
        .tid = x->pid,
        .is_ready = f->is_ready && f->nlink == 0 && S_ISREG(i->attr.mode),
        .node = i->node,
        .dir = dir->ino,
        .asked_ns = f->checked_ns,
    };
}

bool reading_is_due_locked(struct vfs *v, const struct vfs_ctx *x, const struct inode *i)
{
    struct reader *e, *unused;

    if (x == NULL || x->pid <= 0)
        return false;
    e = find(&v->locked.reading, x->pid, &unused);
    return e != NULL && e->node == i->node && e->is_ready;
}

bool reading_was_asked(struct vfs *v, const struct vfs_ctx *x, const struct inode *i, int flags)
{
    struct reader *e, *unused;
    bool is = false;

    if (x == NULL || x->pid <= 0)
        return false;
    lock_take(&v->tree);
    e = find(&v->locked.reading, x->pid, &unused);
    if (e != NULL && e->node == i->node && (flags & O_ACCMODE) == O_RDONLY &&
        (flags & O_TRUNC) == 0) {
        readhist_read(&v->locked.reading.hist, e->dir);
        is = e->is_ready && i->checked_ns >= e->asked_ns && i->named_ns < e->asked_ns &&
             i->attr.link_gen == 0 && i->newer_key == NULL && clock_boot_ns() - e->asked_ns < v->conf.acregmin_ns;
    }
    reading_forget_locked(v, x);
    lock_drop(&v->tree);
    return is;
}
