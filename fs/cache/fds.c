/* SPDX-License-Identifier: Apache-2.0 */
/* A bounded table of block files that are open for reading. A file that is taken out of it, or
 * unlinked, stays good for those who hold it. */
#include "priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#include "base/sys.h"

static size_t find_locked(const struct cache_fds *t, const struct cache_vkey *v)
{
    for (size_t i = 0; i < CACHE_FDS; i++)
        if (t->v[i] != NULL && memcmp(&t->v[i]->v, v, sizeof(*v)) == 0)
            return i;
    return CACHE_FDS;
}

/* Takes an entry out; NULL, or the one that is now the caller's to free. */
static struct cache_fd *remove_locked(struct cache_fds *t, size_t i)
{
    struct cache_fd *f = t->v[i];

    t->v[i] = NULL;
    if (f == NULL)
        return NULL;
    f->cached = false;
    return f->refs == 0 ? f : NULL;
}

static void free_fd(struct cache_fd *f)
{
    if (f == NULL)
        return;
    close(f->fd);
    free(f);
}

static size_t oldest_locked(const struct cache_fds *t)
{
    size_t best = 0;

    for (size_t i = 0; i < CACHE_FDS; i++) {
        if (t->v[i] == NULL)
            return i;
        if (t->v[i]->tick < t->v[best]->tick)
            best = i;
    }
    return best;
}

#define OPEN_WAIT_MS 60000
#define OPEN_TURN_MS 20

static void drop_unused(struct cache *c)
{
    struct cache_fd *out[CACHE_FDS];

    lock_take(&c->fds.lock);
    for (size_t i = 0; i < CACHE_FDS; i++)
        out[i] = remove_locked(&c->fds, i);
    lock_drop(&c->fds.lock);
    for (size_t i = 0; i < CACHE_FDS; i++)
        free_fd(out[i]);
}

static bool is_at_limit(int r)
{
    return r == -EMFILE || r == -ENFILE;
}

/* Who can do without it does not wait. */
static int open_once_more(struct cache *c, const char *path, int flags)
{
    int r = sys_open(path, flags, 0600);

    if (!is_at_limit(r))
        return r;
    drop_unused(c);
    return sys_open(path, flags, 0600);
}

int cache_open_waiting(struct cache *c, const char *path, int flags)
{
    const struct timespec turn = {.tv_nsec = OPEN_TURN_MS * 1000000L};
    int r = open_once_more(c, path, flags);

    for (int ms = 0; is_at_limit(r) && ms < OPEN_WAIT_MS; ms += OPEN_TURN_MS) {
        nanosleep(&turn, NULL);
        r = open_once_more(c, path, flags);
    }
    return r;
}

static struct cache_fd *open_fd(struct cache *c, const struct cache_vkey *v, int *ret_error)
{
    struct cache_fd *f = calloc(1, sizeof(*f));
    char path[PATH_MAX];

    *ret_error = -ENOMEM;
    if (f == NULL)
        return NULL;
    cache_block_path(c, v, path);
    f->v = *v;
    f->refs = 1;
    f->fd = open_once_more(c, path, O_RDONLY | O_NOFOLLOW | O_NOATIME);
    if (f->fd == -EPERM) /* NOATIME is for the owner only */
        f->fd = sys_open(path, O_RDONLY | O_NOFOLLOW, 0);
    if (f->fd >= 0)
        return f;
    *ret_error = f->fd;
    free(f);
    return NULL;
}

int cache_fd_get(struct cache *c, const struct cache_vkey *v, struct cache_fd **ret)
{
    struct cache_fds *t = &c->fds;
    struct cache_fd *f, *out = NULL;
    uint64_t generation;
    size_t i;
    int r;

    lock_take(&t->lock);
    i = find_locked(t, v);
    generation = t->generation;
    if (i < CACHE_FDS) {
        f = t->v[i];
        f->refs++;
        f->tick = ++t->tick;
        lock_drop(&t->lock);
        *ret = f;
        return 0;
    }
    lock_drop(&t->lock);
    f = open_fd(c, v, &r);
    if (f == NULL)
        return r;
    lock_take(&t->lock);
    /* If files were unlinked since, this may be one of them: it serves this caller only. */
    if (generation == t->generation && find_locked(t, v) == CACHE_FDS) {
        i = oldest_locked(t);
        out = remove_locked(t, i);
        t->v[i] = f;
        f->cached = true;
        f->tick = ++t->tick;
    }
    lock_drop(&t->lock);
    free_fd(out);
    *ret = f;
    return 0;
}

void cache_fd_put(struct cache *c, struct cache_fd *f)
{
    bool last;

    if (f == NULL)
        return;
    lock_take(&c->fds.lock);
    last = --f->refs == 0 && !f->cached;
    lock_drop(&c->fds.lock);
    if (last)
        free_fd(f);
}

void cache_fd_forget(struct cache *c, const struct cache_vkey *v)
{
    struct cache_fd *out = NULL;
    size_t i;

    lock_take(&c->fds.lock);
    c->fds.generation++;
    i = find_locked(&c->fds, v);
    if (i < CACHE_FDS)
        out = remove_locked(&c->fds, i);
    lock_drop(&c->fds.lock);
    free_fd(out);
}

void cache_fds_done(struct cache *c)
{
    for (size_t i = 0; i < CACHE_FDS; i++)
        free_fd(remove_locked(&c->fds, i));
}
