/* SPDX-License-Identifier: Apache-2.0 */
/* Reading directories: a handle shows one snapshot of the names, so an entry is seen once while
 * others come and go. */
#include "access.h"
#include "idle.h"
#include "listroom.h"
#include "makedir.h"
#include "removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"

#define TARGET_MAX 4096 /* an object larger than any target is no symlink */

int vfs_opendir(struct vfs *v, uint64_t node, uint64_t *ret_fh)
{
    struct handle *h = NULL;
    struct inode *i;
    int r = inode_get(v, node, &i);

    if (r < 0)
        return r;
    if (!inode_is_dir(i))
        r = err_set(-ENOTDIR, "not a directory");
    if (r == 0)
        r = enforce(v, i, ACCESS_R);
    if (r == 0)
        r = handle_new(v, i, 0, &h);
    if (r == 0) {
        r = listing_take(v, i, &h->dir);
        if (r < 0)
            handle_free(v, h);
        else
            *ret_fh = h->fh;
    }
    inode_unref(v, i);
    return r;
}

void vfs_releasedir(struct vfs *v, uint64_t fh)
{
    struct handle *h = handle_get(v, fh);

    if (h != NULL)
        handle_free(v, h);
}

/* Names are in the bucket when their calls return, or in the journal: enough for commit=local. A file's is as its bytes:
 * its fsync's. */
int vfs_fsyncdir(struct vfs *v, uint64_t fh)
{
    struct handle *h = handle_get(v, fh);
    char key[VFS_KEY_MAX + 2];
    int r;

    if (h == NULL)
        return -EBADF;
    if (v->conf.commit != VFS_COMMIT_FSYNC)
        return 0;
    lock_take(&v->tree);
    r = inode_key_locked(v, h->inode, NULL, key);
    lock_drop(&v->tree);
    if (r == 0) {
        pthread_rwlock_rdlock(&v->names);
        r = makedir_settle(v, h->inode);
        pthread_rwlock_unlock(&v->names);
    }
    if (r == 0)
        r = outbox_send_names(v, h->inode);
    return r == 0 ? removal_settle_below(v, key, false) : r;
}

/* Of how many names only the record tells. */
static bool is_link(const struct store_obj *obj)
{
    return store_hdrs_get(&obj->hdrs, STORE_USER_META "s3efs-link") != NULL;
}

/* An inode for an entry whose attributes are known without asking: in memory, or in the cache and
 * confirmed by the listing. NULL: not known. */
static struct inode *known_inode_locked(struct vfs *v, struct inode *dir,
                                        const struct cache_dirent *d, struct cache_obj *known,
                                        const char *key, int64_t listed_ns)
{
    struct inode *i = inode_child_locked(v, dir, d->name);

    if (i != NULL)
        return dentry_is_fresh_locked(v, dentry_find_locked(v, dir, d->name)) ? i : NULL;
    if (d->is_prefix || known == NULL || is_link(&known->obj) || removal_stands_locked(v, key))
        return NULL;
    i = inode_new(v);
    if (i == NULL)
        return NULL;
    inode_set_obj_locked(v, i, key, &known->obj,
                         known->checked_ns > listed_ns ? known->checked_ns : listed_ns);
    if (!inode_is_fresh_locked(v, i) || inode_attach_locked(v, i, dir, d->name) < 0) {
        inode_unref_locked(v, i);
        return NULL;
    }
    i->refs--; /* the entry's lookup reference keeps it from here on */
    return i;
}

/* What the listing tells of an entry's type; 0 where only a HEAD could. */
static mode_t type_of(const struct cache_dirent *d)
{
    if (d->is_prefix)
        return S_IFDIR;
    return d->size > TARGET_MAX ? S_IFREG : 0;
}

static bool cached_attrs(struct vfs *v, const struct cache_dirent *d, const char *key,
                         struct cache_obj *ret)
{
    *ret = (struct cache_obj){0};
    if (d->is_prefix || cache_obj_get(v->cache, key, ret) != 0)
        return false;
    if (ret->has_hdrs && strcmp(ret->obj.etag.s, d->etag) == 0 && ret->obj.size == d->size)
        return true;
    cache_obj_done(ret);
    *ret = (struct cache_obj){0};
    return false;
}

/* The number that stat(2) will show, as far as it is known without asking, also where the attributes
 * are too old to be given out: ls -i and others take it from here. Else one that is not 0, which
 * readdir(3) takes for a hole. */
static uint64_t number_of_locked(struct vfs *v, const struct inode *dir,
                                 const struct cache_dirent *d, const struct cache_obj *known,
                                 const char *key, size_t n)
{
    const struct objattr_defaults defaults = vfs_defaults(v);
    const struct inode *i = inode_child_locked(v, dir, d->name);
    struct objattr a;

    if (i != NULL && inode_is_dir(i) == d->is_prefix)
        return i->ino;
    if (known == NULL)
        return n + 2;
    objattr_decode(&defaults, key, false, &known->obj, &a);
    return objattr_ino(&a);
}

static int emit_entry(struct vfs *v, struct handle *h, const struct cache_dirent *d, size_t n,
                      bool plus, vfs_emit_fn *emit, void *arg)
{
    struct vfs_entry e = {.st.st_mode = type_of(d)};
    struct cache_obj known = {0};
    char key[VFS_KEY_MAX + 2];
    struct inode *i = NULL;
    struct asking a;
    bool has = false;
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, h->inode, d->name, key);
    asking_begin_locked(v, &a, h->inode, d->name);
    lock_drop(&v->tree);
    if (r == 0)
        has = cached_attrs(v, d, key, &known);
    lock_take(&v->tree);
    asking_end_locked(v, &a);
    if (a.is_stale && has) { /* what the cache said is from before a change of that name (VFS-4) */
        cache_obj_done(&known);
        known = (struct cache_obj){0};
        has = false;
    }
    if (r == 0)
        i = known_inode_locked(v, h->inode, d, has ? &known : NULL, key, h->dir->taken_ns);
    if (i != NULL) {
        inode_entry_locked(v, i, &e);
        i->refs++;
    } else {
        e.st.st_ino = number_of_locked(v, h->inode, d, has ? &known : NULL, key, n);
    }
    lock_drop(&v->tree);
    if (!plus)
        e.node = 0;
    r = emit(arg, d->name, &e, n + 3);
    if (i != NULL) {
        if (r != 0 || !plus)
            vfs_forget(v, i->node, 1);
        inode_unref(v, i);
    }
    cache_obj_done(&known);
    return r;
}

static int emit_dots(struct vfs *v, struct handle *h, uint64_t off, vfs_emit_fn *emit, void *arg)
{
    struct vfs_entry e = {0};

    if (off == 0) {
        lock_take(&v->tree);
        inode_stat_locked(v, h->inode, &e.st);
        lock_drop(&v->tree);
        if (emit(arg, ".", &e, 1) != 0)
            return 1;
    }
    if (off <= 1) {
        lock_take(&v->tree);
        inode_stat_locked(v, h->inode->parent != NULL ? h->inode->parent : h->inode, &e.st);
        lock_drop(&v->tree);
        if (emit(arg, "..", &e, 2) != 0)
            return 1;
    }
    return 0;
}

static int emit_entries(struct vfs *v, struct handle *h, size_t from, bool plus, vfs_emit_fn *emit,
                        void *arg)
{
    struct snapshot_cursor c = {.s = h->dir};
    const struct cache_dirent *d;
    int r = 0;

    for (size_t n = from; n < h->dir->n; n++) {
        r = snapshot_get(&c, n, &d);
        if (r < 0 || emit_entry(v, h, d, n, plus, emit, arg) != 0)
            break;
    }
    snapshot_cursor_done(&c);
    return r;
}

int vfs_readdir(struct vfs *v, uint64_t fh, uint64_t off, bool plus, vfs_emit_fn *emit, void *arg)
{
    struct handle *h = handle_get(v, fh);

    if (h == NULL || !inode_is_dir(h->inode))
        return -EBADF;
    /* rewinddir(3) wants to see what is there now; a daemon that died took its snapshot along */
    if (h->dir == NULL || (off == 0 && h->is_read)) {
        struct dir_snapshot *again;
        int r = listing_take(v, h->inode, &again);

        if (r < 0)
            return r;
        snapshot_free(h->dir);
        h->dir = again;
    }
    h->is_read = true;
    lock_take(&v->tree);
    plus = plus && !idle_is_full_locked(v);
    lock_drop(&v->tree);
    plus = plus && enforce(v, h->inode, ACCESS_X) == 0; /* attributes need more than names */
    if (emit_dots(v, h, off, emit, arg) != 0)
        return 0;
    return emit_entries(v, h, off > 2 ? (size_t)(off - 2) : 0, plus, emit, arg);
}
