/* SPDX-License-Identifier: Apache-2.0 */
/* Renaming a directory: every key below it is copied under the new prefix, in parallel, and only
 * when all are there the old keys go. A failure before that removes the copies again; one after it
 * leaves files under both names, never under neither. Files with unsaved bytes are committed first.
 */
#include "rename.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#define MOVERS 16

struct moved {
    char *from, *to;
    struct store_etag etag; /* of the source when it was copied */
    struct store_obj now;   /* the copy */
    uint64_t size;
    bool is_copied;
    struct inode *inode; /* known here, with content */
};

struct move {
    struct vfs *v;
    struct moved *all;
    size_t n, cap;
    const char *from_prefix, *to_prefix;
    struct {
        struct lock lk;
        size_t next;
        int error;
        struct err_copy cause;
    } locked;
    int (*step)(struct move *m, struct moved *one);
};

static int add_key(struct move *m, const struct store_entry *e)
{
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
    buf_adds(&to, m->to_prefix);
    buf_adds(&to, e->key + strlen(m->from_prefix));
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

static int collect(struct move *m)
{
    _cleanup_free_ char *token = NULL;
    int r;

    do {
        struct store_req req = {.op = STORE_LIST, .prefix = m->from_prefix, .token = token};
        struct store_rsp rsp = {0};

        r = err_fold(store_call(m->v->store, &req, &rsp));
        for (size_t i = 0; r == 0 && i < rsp.list.n; i++)
            r = add_key(m, &rsp.list.v[i]);
        free(token);
        token = r == 0 ? steal(&rsp.list.next) : NULL;
        store_rsp_done(&rsp);
    } while (r == 0 && token != NULL);
    return r;
}

/* The object's headers under its new key: the file id is bound to the key (protocol 2). */
static int moved_headers(const struct move *m, const struct moved *one, const struct store_obj *obj,
                         struct store_hdrs *ret)
{
    const struct objattr_defaults d = vfs_defaults(m->v);
    struct objattr a;
    int r = store_hdrs_copy(ret, &obj->hdrs);

    if (r < 0)
        return r;
    objattr_decode(&d, one->from, str_ends(one->from, "/"), obj, &a);
    if (strcmp(one->from, m->from_prefix) == 0)
        a.ctime_ns = clock_wall_ns(); /* the directory's own; what is in it is moved unchanged */
    return objattr_encode(&a, one->to, ret);
}

/* One key: its bytes are PUT under the new key under If-None-Match:*. */
static int copy_one(struct move *m, struct moved *one)
{
    struct vfs *v = m->v;
    struct store_hdrs hdrs = {0};
    struct store_obj obj = {0}, now = {0};
    struct data_file *f = NULL;
    int r = data_fetch(v->data, one->from, NULL, one->size, &obj);

    if (r == STORE_NOT_FOUND)
        return 0; /* removed by another client meanwhile */
    r = err_fold(r);
    if (r == 0)
        r = moved_headers(m, one, &obj, &hdrs);
    if (r == 0)
        r = data_file_new(v->data, one->from, &obj, &f);
    if (r == 0) {
        const struct upload_req req = {.key = one->to,
                                       .src_key = one->from,
                                       .file = f,
                                       .hdrs = &hdrs,
                                       .cond = {.kind = STORE_IF_ABSENT}};

        r = upload_commit(v->upload, &req, &now);
        if (r == UPLOAD_EXISTS)
            r = err_set(-EEXIST, "%s was created by another client", one->to);
        r = err_fold(r);
    }
    if (r == 0) {
        one->etag = obj.etag;
        one->is_copied = true;
        if (!str_ends(one->to, "/"))
            cache_obj_put(v->cache, one->to, &now, clock_boot_ns());
        one->now = now;
        now = (struct store_obj){0};
    }
    data_file_unref(f);
    store_hdrs_done(&hdrs);
    store_obj_done(&obj);
    store_obj_done(&now);
    return r;
}

static int delete_source(struct move *m, struct moved *one)
{
    int r = one->is_copied ? rename_delete(m->v, one->from, &one->etag) : 0;

    cache_obj_drop(m->v->cache, one->from);
    return r;
}

static int delete_copy(struct move *m, struct moved *one)
{
    int r = one->is_copied ? rename_delete(m->v, one->to, &one->now.etag) : 0;

    cache_obj_drop(m->v->cache, one->to);
    return r;
}

static void *mover(void *arg)
{
    struct move *m = arg;

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

/* What is being written below top is in the bucket when this returns. */
static int commit_tree(struct vfs *v, struct inode *top)
{
    for (;;) {
        struct inode *found;
        int r;

        lock_take(&v->tree);
        found = inode_find_dirty_locked(top);
        if (found != NULL)
            found->refs++;
        lock_drop(&v->tree);
        if (found == NULL)
            return 0;
        inode_io_take(v, found);
        r = commit_inode(v, found);
        inode_io_drop(v, found);
        inode_unref(v, found);
        if (r < 0)
            return r;
    }
}

static int by_target(const void *a, const void *b)
{
    const struct moved *x = a, *y = b;

    return strcmp(x->to, y->to);
}

/* Below top everything has a new key and a new ETag: the files that are known here go on from
 * those. Nobody commits or opens meanwhile (names is held for writing). */
static void rebase(struct vfs *v, const struct move *m)
{
    for (size_t n = 0; n < m->n; n++) {
        struct moved *one = &m->all[n];

        if (one->inode == NULL)
            continue;
        data_committed(one->inode->data, one->to, &one->now, one->inode->moved_change);
        lock_take(&v->tree);
        inode_moved_locked(one->inode, &one->now);
        inode_unref_locked(v, one->inode);
        lock_drop(&v->tree);
        one->inode = NULL;
    }
}

static void find_known_locked(struct vfs *v, const struct move *m, struct inode *top)
{
    for (struct dentry *d = top->child, *next; d != NULL; d = next) {
        char key[VFS_KEY_MAX + 2];
        struct moved want = {.to = key}, *one = NULL;
        struct inode *i = d->inode;

        next = d->next;
        i->checked_ns = 0;
        if (inode_is_dir(i))
            find_known_locked(v, m, i);
        else if (m->n > 0 && i->data != NULL && inode_key_locked(v, i, NULL, key) == 0)
            one = bsearch(&want, m->all, m->n, sizeof(*m->all), by_target);
        if (one == NULL || !one->is_copied)
            continue;
        if (store_etag_equal(&one->etag, &i->etag)) {
            one->inode = i;
            i->refs++;
        } else { /* another client's version was copied: who has the old one open keeps that */
            inode_abandon_locked(v, i);
        }
    }
}

static int check_target(struct vfs *v, struct inode *over, const char *to)
{
    struct store_req req = {.op = STORE_LIST, .prefix = to, .max_keys = 2};
    struct store_rsp rsp = {0};
    int r = err_fold(store_call(v->store, &req, &rsp));

    for (size_t i = 0; r == 0 && i < rsp.list.n; i++)
        if (strcmp(rsp.list.v[i].key, to) != 0)
            r = err_set(-ENOTEMPTY, "the target directory is not empty");
    if (r == 0 && over != NULL) {
        lock_take(&v->tree);
        for (const struct dentry *d = over->child; d != NULL && r == 0; d = d->next)
            if (d->inode->is_new)
                r = err_set(-ENOTEMPTY, "the target directory is not empty");
        lock_drop(&v->tree);
    }
    if (r == 0 && rsp.list.n > 0)
        r = key_delete(v, to);
    store_rsp_done(&rsp);
    return r;
}

struct inode_list {
    struct inode **v;
    size_t n, cap;
};

/* Files below top that have content here; referenced. */
static int list_content_locked(struct inode *top, struct inode_list *l)
{
    int r = 0;

    for (struct dentry *d = top->child; d != NULL && r == 0; d = d->next) {
        struct inode *i = d->inode;

        if (inode_is_dir(i)) {
            r = list_content_locked(i, l);
            continue;
        }
        if (i->data == NULL)
            continue;
        if (l->n == l->cap) {
            size_t cap = l->cap != 0 ? 2 * l->cap : 64;
            struct inode **more = realloc(l->v, cap * sizeof(*more));

            if (more == NULL)
                return -ENOMEM;
            l->v = more;
            l->cap = cap;
        }
        l->v[l->n++] = i;
        i->refs++;
    }
    return r;
}

/* Open files read on although their keys go away: their bytes come here first. */
static int localise_open(struct vfs *v, struct inode *top)
{
    struct inode_list l = {0};
    int r;

    lock_take(&v->tree);
    r = list_content_locked(top, &l);
    lock_drop(&v->tree);
    for (size_t n = 0; n < l.n; n++) {
        struct inode *i = l.v[n];
        bool is_open;

        inode_io_take(v, i);
        if (r == 0)
            r = commit_inode(v, i);
        i->moved_change = data_change(i->data); /* what is written from now on is in no copy */
        lock_take(&v->tree);
        is_open = i->n_open > 0;
        lock_drop(&v->tree);
        inode_io_drop(v, i);
        if (r == 0 && is_open)
            r = data_localise(i->data);
        inode_unref(v, i);
    }
    free(l.v);
    return r;
}

static void move_done(struct move *m)
{
    for (size_t i = 0; i < m->n; i++) {
        free(m->all[i].from);
        free(m->all[i].to);
        store_obj_done(&m->all[i].now);
    }
    free(m->all);
    lock_done(&m->locked.lk);
}

static int move_keys(struct move *m, struct inode *i, struct inode *over)
{
    struct vfs *v = m->v;
    struct err_copy cause;
    int r = commit_tree(v, i);

    if (r == 0)
        r = localise_open(v, i);
    if (r == 0)
        r = check_target(v, over, m->to_prefix);
    if (r == 0)
        r = collect(m);
    if (r == 0)
        r = each(m, copy_one);
    if (r < 0) {
        err_copy(&cause);
        (void)each(m, delete_copy); /* best effort: what stays is a second copy, not a loss */
        err_restore(&cause);
    }
    return r;
}

/* The tree here follows the bucket. */
static void move_tree(struct move *m, const struct rename_names *n, struct inode *i,
                      struct inode *over)
{
    struct vfs *v = m->v;

    lock_take(&v->tree);
    names_moved_locked(v);
    if (over != NULL && over->parent != NULL)
        inode_abandon_locked(v, over);
    inode_detach_locked(v, i);
    (void)inode_attach_locked(v, i, n->new_dir,
                              n->new_name); /* no memory: found again by the next lookup */
    find_known_locked(v, m, i);
    i->checked_ns = 0;
    i->attr.ctime_ns = clock_wall_ns();
    subdirs_remove_locked(n->dir);
    if (over == NULL)
        subdirs_add_locked(n->new_dir);
    inode_touch_locked(n->dir);
    inode_touch_locked(n->new_dir);
    lock_drop(&v->tree);
    rebase(v, m);
    cache_list_drop(v->cache, m->from_prefix);
    cache_list_drop(v->cache, m->to_prefix);
    listing_forget(v, n->dir);
    listing_forget(v, n->new_dir);
}

int rename_dir(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over)
{
    char from[VFS_KEY_MAX + 2], to[VFS_KEY_MAX + 2];
    struct move m = {.v = v, .from_prefix = from, .to_prefix = to};
    int r;

    lock_take(&v->tree);
    r = i->parent == n->dir ? inode_key_locked(v, i, NULL, from)
                            : err_set(-ENOENT, "renamed or removed meanwhile");
    if (r == 0)
        r = inode_key_locked(v, n->new_dir, n->new_name, to);
    lock_drop(&v->tree);
    if (r == 0 && strlen(to) >= VFS_KEY_MAX)
        r = err_set(-ENAMETOOLONG, "the key would be longer than %d bytes", VFS_KEY_MAX);
    if (r < 0)
        return r;
    memcpy(to + strlen(to), "/", 2);
    if (str_starts(to, from))
        return err_set(-EINVAL, "a directory can't move into itself");
    lock_init(&m.locked.lk, LOCK_LEAF);
    r = move_keys(&m, i, over);
    if (r == 0) {
        move_tree(&m, n, i, over);
        marker_keep(v, n->dir);
        r = each(&m, delete_source);
    }
    move_done(&m);
    return r;
}
