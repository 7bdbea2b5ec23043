/* SPDX-License-Identifier: Apache-2.0 */
/* Names that go. A file that was never committed costs no request. */
#include "internal.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/sys.h"
#include "fold.h"
#include "keep.h"
#include "link.h"
#include "linked.h"
#include "makedir.h"
#include "outbox.h"
#include "removal.h"
#include "rename.h"

#define TRIES 8

int key_delete(struct vfs *v, const char *key)
{
    struct store_req req = {.op = STORE_DELETE, .key = key};
    struct store_rsp rsp = {0};
    int r;

    fold_end(v);
    r = store_call(v->store, &req, &rsp);
    store_rsp_done(&rsp);
    if (r == STORE_NOT_FOUND)
        r = 0;
    return err_fold(r);
}

/* The name is gone here too; m: before it is in the bucket, or NULL. */
static void name_gone(struct vfs *v, struct inode *dir, struct inode *i, const char *key,
                      struct removal *m)
{
    cache_obj_drop(v->cache, key);
    lock_take(&v->tree);
    if (m != NULL)
        removal_join_locked(v, m);
    if (i->parent == dir) {
        fold_learn_locked(v, dir, i, i->name);
        names_changed_locked(v, dir, i->name, false, false);
        inode_detach_locked(v, i);
    }
    i->is_new = i->is_dirty = false;
    i->dirty_since_ns = 0;
    i->attr.ctime_ns = clock_wall_ns();
    inode_touch_locked(dir);
    lock_drop(&v->tree);
}

/* Whoever still has it open goes on reading: what is only in the bucket comes here first. */
static int keep_for_readers(struct vfs *v, struct inode *i)
{
    bool is_open;

    lock_take(&v->tree);
    is_open = i->n_open > 0;
    lock_drop(&v->tree);
    return is_open && i->data != NULL ? data_localise(i->data) : 0;
}

/* Its object may have been made by a commit that failed: it must not come to light later. What is
 * another's stays. */
static int unlink_doubtful(struct vfs *v, struct inode *i, const char *key)
{
    struct store_obj there = {0};
    int r = key_head(v, key, &there);

    if (r == 0 && inode_is_file_of(v, i, key, &there))
        r = rename_delete(v, key, &there.etag, "");
    store_obj_done(&there);
    return r < 0 ? r : 0;
}

static int unlink_stored(struct vfs *v, struct inode *dir, struct inode *i, const char *key,
                         struct removal **ret)
{
    int r = keep_for_readers(v, i);

    if (r < 0)
        return r;
    marker_keep(v, dir);
    if (removal_make(v, i, key, ret) == 0)
        return 0;
    crash_point("unlink.ready");
    r = late_unlink(v, key) ?: key_delete(v, key);
    crash_point("unlink.deleted");
    return r;
}

static int unlink_inode(struct vfs *v, struct inode *dir, struct inode *i, const char *name)
{
    char key[VFS_KEY_MAX + 2];
    bool is_ours, in_bucket, is_link, is_sent;
    struct removal *m = NULL;
    int r;

    lock_take(&v->tree);
    is_ours = inode_child_locked(v, dir, name) == i;
    is_link = i->attr.link_gen != 0;
    in_bucket = !i->is_new || store_etag_is_set(&i->etag); /* it may have replaced an object */
    is_sent = i->is_sent;
    r = inode_key_locked(v, dir, name, key);
    lock_drop(&v->tree);
    if (r < 0)
        return r;
    if (!is_ours)
        return err_set(-ENOENT, "%s was renamed or removed meanwhile", name);
    if (is_link && !outbox_waits(i)) /* sent, and the journal did not drop it: it would come back */
        r = outbox_forget(v, i);
    if (is_link)
        return r < 0 ? r : link_unlink(v, dir, i, name);
    r = linked_unlink(v, dir, i, name);
    if (r != LINKED_NOT)
        return r;
    r = 0;
    keep_try(v, i);
    if (!outbox_waits(i)) /* sent, and the journal did not drop it: it would come back */
        r = outbox_forget(v, i);
    if (r == 0 && in_bucket) {
        r = unlink_stored(v, dir, i, key, &m);
    } else if (r == 0 && is_sent) {
        r = unlink_doubtful(v, i, key);
    }
    if (r == 0)
        r = outbox_forget(v, i);
    crash_point("unlink.forgotten");
    if (r == 0) {
        name_gone(v, dir, i, key, m);
        strict_end(v, i); /* it may stay open for long */
    }
    return r;
}

static int unlink_once(struct vfs *v, struct inode *dir, struct inode *i, const char *name)
{
    int r;

    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, i);
    r = unlink_inode(v, dir, i, name);
    inode_io_drop(v, i);
    pthread_rwlock_unlock(&v->names);
    return r;
}

int vfs_unlink(struct vfs *v, const struct vfs_ctx *x, uint64_t dir_node, const char *name)
{
    struct inode *dir, *i = NULL;
    int r;

    (void)x;
    if (v->conf.read_only)
        return err_set(-EROFS, "mounted read-only");
    r = inode_get(v, dir_node, &dir);
    if (r < 0)
        return r;
    r = name_lookup(v, dir, name, &i);
    if (r == 0 && inode_is_dir(i))
        r = err_set(-EISDIR, "%s is a directory", name);
    if (r == 0)
        r = enforce_name(v, dir, i);
    if (r == 0) {
        r = unlink_once(v, dir, i, name);
        for (int tries = 0; r == LINKED_SETTLE && tries < TRIES; tries++)
            r = linked_settle(v, i) ?: unlink_once(v, dir, i, name);
        if (r == LINKED_SETTLE)
            r = err_set(-EAGAIN, "%s gets more names all the time", name);
        outbox_wake(v);
        inode_tell_kernel(v, i); /* a hard link's bytes may have met others' */
    }
    inode_unref(v, i);
    inode_unref(v, dir);
    return r;
}

/* Nothing below but the marker? The bucket is asked: another client's file counts. */
static int check_empty(struct vfs *v, struct inode *i, const char *key)
{
    struct store_req req = {.op = STORE_LIST, .prefix = key, .max_keys = 2};
    struct store_rsp rsp = {0};
    bool has_new = false;
    int r;

    lock_take(&v->tree);
    for (const struct dentry *d = i->child; d != NULL; d = d->next)
        has_new = has_new || d->inode->is_new || d->inode->is_linking;
    lock_drop(&v->tree);
    if (has_new)
        return err_set(-ENOTEMPTY, "the directory has files that are being written");
    r = err_fold(store_call(v->store, &req, &rsp));
    for (size_t n = 0; r == 0 && n < rsp.list.n; n++)
        if (strcmp(rsp.list.v[n].key, key) != 0)
            r = err_set(-ENOTEMPTY, "the directory is not empty");
    store_rsp_done(&rsp);
    return r;
}

/* The marker of an empty directory goes; if another mount made a file there meanwhile, it comes back
 * with its attributes (protocol 8). One LIST more, so that no directory vanishes under its files. */
static int remove_marker(struct vfs *v, struct inode *i, const char *key)
{
    struct err_copy cause;
    int r = key_delete(v, key);

    crash_point("rmdir.deleted");
    if (r == 0)
        r = check_empty(v, i, key);
    if (r != -ENOTEMPTY)
        return r;
    err_copy(&cause);
    lock_take(&v->tree);
    i->etag = (struct store_etag){""};
    lock_drop(&v->tree);
    if (marker_put(v, i) < 0)
        log_debug("dir.marker", "cause=%s", LOG_Q(err_text())); /* its files imply it all the same */
    err_restore(&cause);
    return r;
}

static int key_of_dir(struct vfs *v, const struct inode *dir, const struct inode *i, char *ret)
{
    int r;

    lock_take(&v->tree);
    r = i->parent == dir ? inode_key_locked(v, i, NULL, ret) : -ENOENT;
    lock_drop(&v->tree);
    return r;
}

/* Nothing of it was ever sent: what another client has made under its name stays. */
static bool is_here_alone(struct vfs *v, const struct inode *i)
{
    bool is_it;

    lock_take(&v->tree);
    is_it = i->is_blank && outbox_waits(i) && !i->out->is_tried && i->child == NULL;
    lock_drop(&v->tree);
    return is_it;
}

static int remove_stored(struct vfs *v, struct inode *dir, struct inode *i, const char *key)
{
    int r = check_empty(v, i, key);

    if (r < 0)
        return r;
    marker_keep(v, dir);
    keep_try(v, i);
    return remove_marker(v, i, key);
}

/* The entry of one that waits goes last: until then it is not removed. */
static int remove_keys(struct vfs *v, struct inode *dir, struct inode *i, const char *key)
{
    int r = 0;

    if (!makedir_claim(v, i))
        return makedir_forget(v, i) ?: remove_stored(v, dir, i, key);
    if (!is_here_alone(v, i))
        r = remove_stored(v, dir, i, key);
    if (r == 0)
        r = makedir_drop(v, i);
    makedir_release(v, i);
    return r;
}

static int remove_dir(struct vfs *v, struct inode *dir, struct inode *i)
{
    char key[VFS_KEY_MAX + 2];
    int r = key_of_dir(v, dir, i, key) ?: remove_keys(v, dir, i, key);

    if (r < 0)
        return r;
    /* Children that the kernel still knows were removed by others. */
    lock_take(&v->tree);
    while (i->child != NULL)
        dentry_abandon_locked(v, i->child);
    subdirs_remove_locked(dir);
    lock_drop(&v->tree);
    cache_list_drop(v->cache, key);
    listing_forget(v, dir);
    name_gone(v, dir, i, key, NULL);
    return 0;
}

int vfs_rmdir(struct vfs *v, const struct vfs_ctx *x, uint64_t dir_node, const char *name)
{
    struct inode *dir, *i = NULL;
    char key[VFS_KEY_MAX + 2];
    int r;

    (void)x;
    if (v->conf.read_only)
        return err_set(-EROFS, "mounted read-only");
    r = inode_get(v, dir_node, &dir);
    if (r < 0)
        return r;
    r = name_lookup(v, dir, name, &i);
    if (r == 0 && !inode_is_dir(i))
        r = err_set(-ENOTDIR, "%s is not a directory", name);
    if (r == 0)
        r = enforce_name(v, dir, i);
    if (r == 0)
        r = key_of_dir(v, dir, i, key) ?: removal_settle_below(v, key, false);
    if (r == 0) {
        pthread_rwlock_rdlock(&v->names);
        r = remove_dir(v, dir, i);
        pthread_rwlock_unlock(&v->names);
    }
    inode_unref(v, i);
    inode_unref(v, dir);
    return r;
}
