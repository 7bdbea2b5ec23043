/* SPDX-License-Identifier: Apache-2.0 */
/* Is a file still the version that is known here, and what becomes of its node if not (VFS-5): it
 * goes to the newer version, with every handle, where none of them could see a mixture of the two (the
 * bytes that were there are the first of the newer one); else the name gets a new node, and the old one
 * stays what it was for those who have it open. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "grown.h"
#include "idle.h"
#include "keep.h"
#include "link.h"
#include "validate.h"

bool inode_is_file_of(const struct vfs *v, const struct inode *i, const char *key,
                      const struct store_obj *obj)
{
    const struct objattr_defaults d = vfs_defaults(v);
    struct objattr theirs;

    objattr_decode(&d, key, false, obj, &theirs);
    return strcmp(theirs.id, i->attr.id) == 0 && (theirs.mode & S_IFMT) == (i->attr.mode & S_IFMT);
}

/* Whoever reads has got to the end of what there is: `tail -f`. Or the file is locked here now and
 * then: who takes its lock moves all of them anyway, and an open that made a new node each time could
 * be ESTALE twice, which the kernel does not hide. */
static bool is_read_out_locked(const struct inode *i)
{
    if (i->n_through > 0) /* nobody knows how far they have read */
        return false;
    if (i->locks != NULL)
        return true;
    for (const struct handle *h = i->handles; h != NULL; h = h->next) {
        if ((h->flags & O_ACCMODE) == O_WRONLY)
            continue;
        if (h->data == NULL || atomic_load(&h->read_to) < data_size(h->data))
            return false;
    }
    return true;
}

bool inode_readers_go_on_locked(const struct inode *i, const struct store_obj *obj)
{
    const struct handle *h = i->handles;

    while (h != NULL && (h->flags & O_ACCMODE) == O_WRONLY)
        h = h->next;
    if (i->n_through > 0)
        return store_etag_equal(&i->etag, &obj->etag);
    if (h == NULL || i->locks != NULL || store_etag_equal(&i->etag, &obj->etag))
        return true;
    return is_read_out_locked(i) && grown_is_from(&i->hdrs, &i->etag, i->obj_size, obj);
}

/* Written down with the version: the next daemon finds that again, and nothing that has changed since. */
void inode_kernel_behind_locked(struct vfs *v, struct inode *i)
{
    i->is_kernel_behind = true;
    i->kernel_change++;
    keep_node_locked(v, i);
}

void inode_tell_kernel(struct vfs *v, struct inode *i)
{
    unsigned change;
    bool is_behind;

    lock_take(&v->tree);
    is_behind = i->is_kernel_behind;
    change = i->kernel_change;
    lock_drop(&v->tree);
    if (!is_behind)
        return;
    if (v->conf.invalidate != NULL)
        v->conf.invalidate(v->conf.invalidate_arg, i->node);
    lock_take(&v->tree); /* only now: whoever comes meanwhile tells it too, and waits */
    if (i->kernel_change == change) {
        i->is_kernel_behind = false;
        keep_node_locked(v, i);
    }
    lock_drop(&v->tree);
}

/* What is written to it through handles that are open still counts: it is the same file. */
static void supersede_locked(struct vfs *v, struct inode *i, const char *key,
                             const struct store_obj *obj)
{
    if (i->newer_key == NULL && inode_is_file_of(v, i, key, obj))
        i->newer_key = strdup(key);
    inode_abandon_locked(v, i);
}

void inode_replaced_locked(struct vfs *v, struct inode *i, const char *key,
                           const struct store_obj *obj)
{
    if (obj != NULL)
        supersede_locked(v, i, key, obj);
    else
        inode_abandon_locked(v, i);
}

/* With io held; clean. The handles read the inode's data_file, which moves as a whole, between two
 * reads. */
int inode_move(struct vfs *v, struct inode *i, const char *key, const struct store_obj *obj,
               int64_t asked)
{
    int r = i->data != NULL ? data_follow(i->data, key, obj) : 0;

    if (r < 0)
        return r;
    lock_take(&v->tree);
    inode_set_obj_locked(v, i, key, obj, asked);
    inode_kernel_behind_locked(v, i);
    lock_drop(&v->tree);
    cache_obj_put(v->cache, key, obj, asked);
    return 0;
}

/* What the kernel read for a reader is more than he got, as it reads ahead: at the end of the bytes that
 * are here he may still be in their middle, and must not go on in others. */
static bool goes_on_locked(struct vfs *v, const struct inode *i, const char *key,
                           const struct store_obj *obj, bool is_forced)
{
    if (i->n_open == 0)
        return true;
    if (i->is_new || i->is_dirty || i->n_through > 0 || !inode_is_file_of(v, i, key, obj))
        return false;
    if (is_forced || i->locks != NULL)
        return true;
    return is_read_out_locked(i) && grown_is_from(&i->hdrs, &i->etag, i->obj_size, obj);
}

/* The bucket has another version. is_forced: who asks must see it, whatever the readers have read.
 */
static int new_version(struct vfs *v, struct inode *i, const char *key, const struct store_obj *obj,
                       int64_t asked, bool is_forced)
{
    struct data_file *old = NULL;
    bool is_movable;
    int r = 0;

    lock_take(&v->tree);
    is_movable = goes_on_locked(v, i, key, obj, is_forced);
    if (!is_movable) {
        supersede_locked(v, i, key, obj);
        r = err_set(-ESTALE, "%s has a new version while an old one is open: look it up again",
                    key);
    } else if (i->n_open == 0) {
        old = i->data;
        i->data = NULL;
        idle_charge_locked(v, i);
    }
    lock_drop(&v->tree);
    data_file_unref(old);
    return r == 0 ? inode_move(v, i, key, obj, asked) : r;
}

static void still_valid(struct vfs *v, struct inode *i, int64_t asked)
{
    lock_take(&v->tree);
    i->checked_ns = asked;
    i->ac_ns = validate_next(i->ac_ns, true, v->conf.acregmin_ns, v->conf.acregmax_ns);
    lock_drop(&v->tree);
}

static int gone_elsewhere(struct vfs *v, struct inode *i, const char *key)
{
    lock_take(&v->tree);
    if (i->names != NULL)
        dentry_abandon_locked(v, i->names);
    lock_drop(&v->tree);
    cache_obj_drop(v->cache, key);
    return err_set(-ESTALE, "%s was removed by another client", key);
}

/* One conditional request; for a reader it brings the bytes of a small file. */
static int ask(struct vfs *v, struct inode *i, bool wants_bytes, bool is_forced)
{
    char key[VFS_KEY_MAX + 2];
    struct store_obj obj = {0};
    struct store_etag known;
    uint64_t size;
    int64_t asked = clock_boot_ns();
    int r = link_ready(v, i);

    if (r < 0)
        return r;
    lock_take(&v->tree);
    if (i->newer_key != NULL)
        r = str_copy(key, sizeof(key), i->newer_key);
    else
        r = inode_key_locked(v, i, NULL, key);
    known = i->etag;
    size = wants_bytes ? i->attr.size : UINT64_MAX;
    lock_drop(&v->tree);
    if (r == 0)
        r = link_follow(v, i, key);
    if (r < 0)
        return r;
    r = data_fetch(v->data, key, &known, size, &obj);
    if (r == STORE_NOT_MODIFIED || (r == 0 && store_etag_equal(&obj.etag, &known))) {
        still_valid(v, i, asked);
        r = 0;
    } else if (r == STORE_NOT_FOUND) {
        r = gone_elsewhere(v, i, key);
    } else if (r == 0) {
        r = new_version(v, i, key, &obj, asked, is_forced);
    }
    store_obj_done(&obj);
    return err_fold(r);
}

int inode_check(struct vfs *v, struct inode *i, bool wants_bytes)
{
    return ask(v, i, wants_bytes, false);
}

/* With names (read) and io held. */
static int follow(struct vfs *v, struct inode *i, bool is_forced)
{
    bool is_stale, is_settled, is_dirty, is_newer;

    lock_take(&v->tree);
    is_newer = is_forced && i->newer_key != NULL;
    is_stale = inode_is_stale_locked(v, i) && !is_newer;
    is_settled = i->is_new || inode_is_dir(i) || merge_owns_whole_locked(i) ||
                 (inode_is_gone_locked(v, i) && !is_newer) ||
                 (!is_forced && !is_read_out_locked(i));
    is_dirty = i->is_dirty;
    if (is_stale)
        err_set(-ESTALE, "%s is another file now", i->name);
    lock_drop(&v->tree);
    if (is_stale)
        return -ESTALE;
    if (is_settled)
        return 0;
    if (is_dirty) /* what was written here meets what is there, as at a close */
        return is_forced ? commit_inode(v, i) : 0;
    return ask(v, i, true, is_forced);
}

static int follow_alone(struct vfs *v, struct inode *i, bool is_forced)
{
    int r;

    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, i);
    r = follow(v, i, is_forced);
    inode_io_drop(v, i);
    pthread_rwlock_unlock(&v->names);
    inode_tell_kernel(v, i);
    return r;
}

int inode_follow(struct vfs *v, struct inode *i)
{
    return follow_alone(v, i, true);
}

/* Only where its answer can be used at once, and nobody is at work on the file. */
static bool may_follow_locked(const struct vfs *v, const struct inode *i)
{
    return i->n_open > 0 && i->parent != NULL && S_ISREG(atomic_load(&i->type)) && !i->is_busy &&
           !i->is_new && !i->is_dirty && !inode_is_fresh_locked(v, i) && is_read_out_locked(i);
}

bool inode_follow_end(struct vfs *v, struct inode *i)
{
    bool may;

    lock_take(&v->tree);
    may = may_follow_locked(v, i);
    lock_drop(&v->tree);
    return may && follow_alone(v, i, false) == 0;
}

struct inode *inode_follow_name(struct vfs *v, struct inode *dir, const char *name)
{
    struct inode *i;
    bool is_there;

    lock_take(&v->tree);
    i = inode_child_locked(v, dir, name);
    if (i != NULL && (i->attr.link_gen != 0 || !may_follow_locked(v, i)))
        i = NULL;
    if (i != NULL)
        i->refs++;
    lock_drop(&v->tree);
    if (i == NULL)
        return NULL;
    is_there = follow_alone(v, i, false) == 0;
    lock_take(&v->tree);
    if (!is_there || inode_child_locked(v, dir, name) != i) {
        inode_unref_locked(v, i);
        i = NULL;
    }
    lock_drop(&v->tree);
    return i;
}
