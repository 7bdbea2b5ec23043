/* SPDX-License-Identifier: Apache-2.0 */
/* Moving keys: copies under a condition, marked with what they are copies of, then deletions of the
 * very versions that were copied. Every step may be done again, by any mount, wherever the one
 * before stopped. */
#include "rename.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/origin.h"
#include "base/str.h"
#include "base/sys.h"
#include "link.h"

#define MOVERS 16
#define NEWER_TRIES 8 /* against a writer that goes on under the old name */
#define LATE_PASSES 64

/* --- what there is to move --- */

static bool is_known(const struct move *m, const char *key)
{
    size_t lo = 0, hi = m->n;

    while (lo < hi) { /* pages come in order, and so do the passes: what is new is at the end */
        size_t mid = (lo + hi) / 2;
        int c = strcmp(m->all[mid].from, key);

        if (c == 0)
            return true;
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return false;
}

static int add_key(struct move *m, const struct store_entry *e)
{
    const struct intent *what = &m->claim->what;
    struct buf to = BUF_INIT(2 * VFS_KEY_MAX);
    struct moved *one;

    if (m->n == m->cap) {
        size_t cap = m->cap != 0 ? 2 * m->cap : 64;
        struct moved *more = realloc(m->all, cap * sizeof(*more));

        if (more == NULL)
            return -ENOMEM;
        m->all = more;
        m->cap = cap;
    }
    one = &m->all[m->n];
    *one = (struct moved){.from = strdup(e->key), .etag = e->etag, .size = e->size};
    buf_adds(&to, what->to);
    buf_adds(&to, e->key + strlen(what->from));
    if (to.len > VFS_KEY_MAX) {
        free(one->from);
        buf_done(&to);
        return err_set(-ENAMETOOLONG, "%s would have a key longer than %d bytes", e->key,
                       VFS_KEY_MAX);
    }
    one->to = buf_take(&to);
    if (one->from == NULL || one->to == NULL) {
        free(one->from);
        free(one->to);
        return -ENOMEM;
    }
    m->n++;
    return 0;
}

static int by_source(const void *a, const void *b)
{
    const struct moved *x = a, *y = b;

    return strcmp(x->from, y->from);
}

static void free_all(struct move *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->all[i].from);
        free(m->all[i].to);
        store_obj_done(&m->all[i].now);
    }
    free(m->all);
}

/* What is below the old name and not known yet. *ret_n: how much. The list stays sorted. */
static int collect(struct move *m, size_t *ret_n)
{
    struct move fresh = {.v = m->v, .claim = m->claim};
    _cleanup_free_ char *token = NULL;
    int r;

    do {
        struct store_req req = {.op = STORE_LIST, .prefix = m->claim->what.from, .token = token};
        struct store_rsp rsp = {0};

        r = err_fold(store_call(m->v->store, &req, &rsp));
        for (size_t i = 0; r == 0 && i < rsp.list.n; i++)
            if (!is_known(m, rsp.list.v[i].key))
                r = add_key(&fresh, &rsp.list.v[i]);
        free(token);
        token = r == 0 ? steal(&rsp.list.next) : NULL;
        store_rsp_done(&rsp);
    } while (r == 0 && token != NULL);
    *ret_n = fresh.n;
    if (fresh.n > 0) {
        struct moved *all = realloc(m->all, (m->n + fresh.n) * sizeof(*all));

        if (all == NULL) {
            free_all(&fresh);
            return -ENOMEM;
        }
        memcpy(all + m->n, fresh.all, fresh.n * sizeof(*all));
        m->all = all;
        m->cap = m->n += fresh.n;
        qsort(m->all, m->n, sizeof(*m->all), by_source);
    }
    free(fresh.all);
    return r;
}

/* --- one key --- */

static int delete_source(struct move *m, struct moved *one)
{
    int r = RENAME_CHANGED;

    if (one->is_copied && !one->is_left)
        link_moved(m->v, &one->now, one->from, one->to);
    for (int tries = 0; r == RENAME_CHANGED && one->is_copied && !one->is_left; tries++) {
        if (tries == NEWER_TRIES)
            return err_set(-EAGAIN, "%s is being written by another client", one->from);
        if (tries > 0)
            r = move_copy(m, one);
        if (tries > 0 && one->is_gone) /* a server may refuse to delete what it says it has not */
            break;
        if (tries == 0 || (r == 0 && !one->is_left))
            r = rename_delete(m->v, one->from, &one->etag, m->claim->what.session);
    }
    cache_obj_drop(m->v->cache, one->from);
    crash_point("rename.deleted_one");
    return r == RENAME_CHANGED ? 0 : r;
}

static int delete_copy(struct move *m, struct moved *one)
{
    int r =
        one->is_copied ? rename_delete(m->v, one->to, &one->now.etag, m->claim->what.session) : 0;

    cache_obj_drop(m->v->cache, one->to);
    return r == RENAME_CHANGED ? 0 : r; /* another client's by now */
}

int move_newer(struct vfs *v, struct intent_claim *claim, struct moved *one)
{
    const struct objattr_defaults d = vfs_defaults(v);
    struct move m = {.v = v, .claim = claim};
    struct store_obj there = {0};
    struct objattr theirs;
    int r = key_head(v, one->from, &there);

    if (r == STORE_NOT_FOUND)
        return 0;
    r = err_fold(r);
    if (r == 0) {
        objattr_decode(&d, one->from, false, &there, &theirs);
        if (strcmp(theirs.id, claim->what.id) != 0)
            r = RENAME_CHANGED; /* another file: the rename is done, and that one stays */
    }
    store_obj_done(&there);
    if (r == 0)
        r = move_copy(&m, one);
    if (r == 0 && one->is_left)
        return RENAME_CHANGED;
    return r == 0 ? delete_source(&m, one) : r;
}

/* --- all of them, several at once --- */

static void *mover(void *arg)
{
    struct move *m = arg;

    origin_set(m->origin);
    for (;;) {
        struct moved *one = NULL;
        int r;

        lock_take(&m->locked.lk);
        if (m->locked.error == 0 && m->locked.next < m->n)
            one = &m->all[m->locked.next++];
        lock_drop(&m->locked.lk);
        if (one == NULL)
            return NULL;
        r = m->step(m, one);
        intents_step(m->v, m->claim);
        lock_take(&m->locked.lk);
        if (r < 0 && m->locked.error == 0) {
            m->locked.error = r;
            err_copy(&m->locked.cause);
        }
        lock_drop(&m->locked.lk);
    }
}

static int each(struct move *m, int (*step)(struct move *m, struct moved *one))
{
    pthread_t threads[MOVERS];
    size_t n = 0;

    m->step = step;
    m->origin = origin_get();
    m->locked.next = 0;
    m->locked.error = 0;
    while (n < MOVERS && n + 1 < m->n && pthread_create(&threads[n], NULL, mover, m) == 0)
        n++;
    (void)mover(m);
    while (n > 0)
        pthread_join(threads[--n], NULL);
    if (m->locked.error < 0)
        err_restore(&m->locked.cause);
    return m->locked.error;
}

void move_init(struct move *m, struct vfs *v, struct intent_claim *claim, bool is_first)
{
    *m = (struct move){.v = v, .claim = claim, .is_first = is_first};
    lock_init(&m->locked.lk, LOCK_LEAF);
}

void move_done(struct move *m)
{
    free_all(m);
    lock_done(&m->locked.lk);
}

int move_copy_all(struct move *m)
{
    size_t n;
    int r = collect(m, &n);

    if (r < 0)
        return r;
    intents_progress(m->v, m->claim, 2 * m->n); /* a copy and a deletion each */
    return each(m, move_copy);
}

int move_undo(struct move *m)
{
    return each(m, delete_copy);
}

static bool copy_is_due(const struct moved *one)
{
    return !one->is_copied && !one->is_left;
}

static int copy_late(struct move *m, struct moved *one)
{
    int r = copy_is_due(one) ? move_copy(m, one) : 0;

    return r == 0 && one->is_copied ? delete_source(m, one) : r;
}

/* Files that other mounts made below the old name after it was listed (T19): moved too, until a
 * listing shows nothing that is not known. */
static int sweep_late(struct move *m)
{
    for (int pass = 0; pass < LATE_PASSES; pass++) {
        size_t n;
        int r = collect(m, &n);

        if (r < 0 || n == 0)
            return r;
        r = each(m, copy_late);
        if (r < 0)
            return r;
    }
    return 0; /* who goes on making files there means them to be there */
}

int move_delete_all(struct move *m)
{
    int r;

    m->is_first = false;
    r = each(m, delete_source);
    return r == 0 ? sweep_late(m) : r;
}
