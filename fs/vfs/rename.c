/* SPDX-License-Identifier: Apache-2.0 */
/* Renames. A file: the bytes go under the new key under a condition, then the old key goes. A file
 * that is not in the bucket yet only changes its name here: its one PUT goes under the new one. The
 * source is deleted last and only as the version that was copied, so a crash leaves the file under
 * at least one of its names. */
#include "internal.h"

#include <errno.h>
#include <linux/fs.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "rename.h"

#define RENAME_TRIES 8 /* against a target that other clients replace meanwhile */

int rename_delete(struct vfs *v, const char *key, const struct store_etag *etag)
{
    struct store_req req = {.op = STORE_DELETE, .key = key};
    struct store_rsp rsp = {0};
    int r;

    if (v->conf.caps.delete_match) {
        req.cond = (struct store_cond){STORE_IF_MATCH, *etag};
    } else {
        struct store_req head = {.op = STORE_HEAD, .key = key};

        r = store_call(v->store, &head, &rsp);
        if (r == 0 && !store_etag_equal(&rsp.obj.etag, etag))
            r = STORE_PRECONDITION;
        store_rsp_done(&rsp);
        if (r != 0)
            return r < 0 ? r : 0;
    }
    r = store_call(v->store, &req, &rsp);
    store_rsp_done(&rsp);
    if (r == STORE_NOT_FOUND || r == STORE_PRECONDITION)
        r = 0; /* gone, or another client's newer version: the rename is done, and that file is
                  theirs */
    return err_fold(r);
}

/* One conditional PUT of the file under the new key; a target is replaced as the version it is at
 * that moment. */
static int put_target(struct vfs *v, struct inode *i, const char *from, const char *to,
                      const char *to_name, unsigned flags, struct store_cond cond,
                      struct store_obj *ret)
{
    int r = 1;

    for (int tries = 0; r > 0; tries++) {
        struct store_hdrs hdrs = {0};

        store_obj_done(ret);
        *ret = (struct store_obj){0};
        r = commit_headers(v, i, to, to_name, &hdrs);
        if (r == 0) {
            const struct upload_req req = {
                .key = to, .file = i->data, .src_key = from, .hdrs = &hdrs, .cond = cond};

            r = upload_commit(v->upload, &req, ret);
        }
        store_hdrs_done(&hdrs);
        if (r > 0 && (tries == RENAME_TRIES || (flags & RENAME_NOREPLACE) != 0))
            return err_set(r == UPLOAD_EXISTS ? -EEXIST : -EAGAIN,
                           "%s is being written by another client", to);
        if (r == UPLOAD_GONE)
            cond = (struct store_cond){STORE_IF_ABSENT, {""}};
        else if (r > 0)
            cond = (struct store_cond){STORE_IF_MATCH, ret->etag};
    }
    return r;
}

/* The names in the tree follow. What stands under the new name by now is replaced: it may be
 * another version than the one that was looked up before. */
static void move_name_locked(struct vfs *v, const struct rename_names *n, struct inode *i)
{
    struct inode *over = inode_child_locked(v, n->new_dir, n->new_name);

    if (over != NULL) {
        over->attr.ctime_ns = clock_wall_ns();
        over->is_new = over->is_dirty = false;
        inode_detach_locked(v, over);
    }
    names_changed_locked(v, n->dir, n->name, false, inode_is_dir(i));
    names_changed_locked(v, n->new_dir, n->new_name, !i->is_new, inode_is_dir(i));
    inode_detach_locked(v, i);
    if (inode_attach_locked(v, i, n->new_dir, n->new_name) < 0)
        i->checked_ns = 0; /* no memory for a name: the next lookup finds it in the bucket */
    i->attr.ctime_ns = clock_wall_ns();
    inode_touch_locked(n->dir);
    inode_touch_locked(n->new_dir);
}

/* Not in the bucket yet: only the name here moves; its commit will meet what stands under the new
 * name. */
static void move_new(struct vfs *v, const struct rename_names *n, struct inode *i,
                     struct inode *over)
{
    lock_take(&v->tree);
    if (over != NULL && !over->is_new) {
        i->etag = over->etag;
        i->obj_size = over->obj_size;
        i->is_excl = false;
    }
    commit_mark_dirty_locked(i);
    move_name_locked(v, n, i);
    lock_drop(&v->tree);
}

static int move_stored(struct vfs *v, const struct rename_names *n, struct inode *i,
                       struct inode *over, const char *from, const char *to, unsigned flags)
{
    struct store_etag source = i->etag;
    struct store_cond cond = {STORE_IF_ABSENT, {""}};
    struct store_obj now = {0};
    uint64_t change;
    int r;

    if (over != NULL && store_etag_is_set(&over->etag))
        cond = (struct store_cond){STORE_IF_MATCH, over->etag};
    lock_take(&v->tree);
    i->attr.ctime_ns = clock_wall_ns();
    lock_drop(&v->tree);
    r = content_open(v, i);
    if (r < 0)
        return r;
    change = data_change(i->data);
    r = put_target(v, i, from, to, n->new_name, flags, cond, &now);
    if (r < 0)
        return r;
    data_committed(i->data, to, &now, change);
    cache_obj_put(v->cache, to, &now, clock_boot_ns());
    lock_take(&v->tree);
    move_name_locked(v, n, i);
    inode_moved_locked(i, &now);
    store_hdrs_done(&i->hdrs);
    i->hdrs = now.hdrs;
    now.hdrs = (struct store_hdrs){0};
    i->checked_ns = clock_boot_ns();
    lock_drop(&v->tree);
    store_obj_done(&now);
    marker_keep(v, n->dir);
    r = rename_delete(v, from, &source);
    cache_obj_drop(v->cache, from);
    return r;
}

/* With names and both io locks held. */
static int rename_file(struct vfs *v, const struct rename_names *n, struct inode *i,
                       struct inode *over, unsigned flags)
{
    char from[VFS_KEY_MAX + 2], to[VFS_KEY_MAX + 2];
    int r;

    lock_take(&v->tree);
    r = i->parent == n->dir && strcmp(i->name, n->name) == 0
            ? 0
            : err_set(-ENOENT, "renamed or removed meanwhile");
    if (r == 0)
        r = inode_key_locked(v, n->dir, n->name, from);
    if (r == 0)
        r = inode_key_locked(v, n->new_dir, n->new_name, to);
    if (r == 0 && inode_is_gone_locked(v, n->new_dir))
        r = err_set(-ENOENT, "the directory has been removed");
    lock_drop(&v->tree);
    if (r == 0 && over != NULL && over->n_open > 0 && over->data != NULL && !over->is_new)
        r = data_localise(over->data);
    if (r < 0)
        return r;
    if (i->is_new && !store_etag_is_set(&i->etag)) {
        move_new(v, n, i, over);
        return 0;
    }
    if (i->is_new || i->is_dirty)
        r = commit_inode(v, i); /* what waits goes up first: the copy is of the whole file */
    if (r == 0)
        r = move_stored(v, n, i, over, from, to, flags);
    return r;
}

static bool is_below(struct vfs *v, const struct inode *dir, const struct inode *top)
{
    lock_take(&v->tree);
    while (dir != NULL && dir != top)
        dir = dir->parent;
    lock_drop(&v->tree);
    return dir != NULL;
}

/* Its keys are other mounts' too: they do not move with a directory. */
static int check_state(struct vfs *v, const struct inode *i)
{
    char key[VFS_KEY_MAX + 2];
    int r;

    if (!inode_is_dir(i))
        return 0;
    lock_take(&v->tree);
    r = inode_key_locked(v, i, NULL, key);
    lock_drop(&v->tree);
    if (r == 0 && name_has_state(v, key))
        r = err_set(-EBUSY, "%s holds the state of the bucket's mounts", key);
    return r;
}

static int check_kinds(const struct inode *i, const struct inode *over, unsigned flags)
{
    if (over == NULL)
        return 0;
    if ((flags & RENAME_NOREPLACE) != 0)
        return err_set(-EEXIST, "the new name exists");
    if (inode_is_dir(i) && !inode_is_dir(over))
        return err_set(-ENOTDIR, "a directory can't replace a file");
    if (!inode_is_dir(i) && inode_is_dir(over))
        return err_set(-EISDIR, "a file can't replace a directory");
    return 0;
}

static int rename_under_locks(struct vfs *v, const struct rename_names *n, struct inode *i,
                              struct inode *over, unsigned flags)
{
    struct inode *first = i, *second = over;
    int r;

    if (inode_is_dir(i)) {
        pthread_rwlock_wrlock(&v->names);
        r = rename_dir(v, n, i, over);
        pthread_rwlock_unlock(&v->names);
        return r;
    }
    if (second != NULL && second < first) {
        first = over;
        second = i;
    }
    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, first);
    if (second != NULL)
        inode_io_take(v, second);
    r = rename_file(v, n, i, over, flags);
    if (second != NULL)
        inode_io_drop(v, second);
    inode_io_drop(v, first);
    pthread_rwlock_unlock(&v->names);
    return r;
}

static int rename_names(struct vfs *v, const struct rename_names *n, unsigned flags)
{
    struct inode *i = NULL, *over = NULL;
    char new_dir_key[VFS_KEY_MAX + 2];
    int r = name_lookup(v, n->dir, n->name, &i);

    if (r == 0) {
        lock_take(&v->tree);
        r = inode_key_locked(v, n->new_dir, NULL, new_dir_key);
        lock_drop(&v->tree);
    }
    if (r == 0 && name_is_hidden(v, new_dir_key, n->new_name))
        r = err_set(-EPERM, "%s is reserved", n->new_name);
    if (r == 0)
        r = name_lookup(v, n->new_dir, n->new_name, &over);
    if (r == -ENOENT && i != NULL)
        r = 0;
    if (r == 0)
        r = check_state(v, i);
    if (r == 0 && inode_is_dir(i) && is_below(v, n->new_dir, i))
        r = err_set(-EINVAL, "a directory can't move into itself");
    if (r == 0 && !inode_is_dir(n->new_dir))
        r = err_set(-ENOTDIR, "not a directory");
    if (r == 0 && i != over)
        r = check_kinds(i, over, flags);
    if (r == 0 && i != over)
        r = rename_under_locks(v, n, i, over, flags);
    inode_unref(v, over);
    inode_unref(v, i);
    return r;
}

int vfs_rename(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name,
               uint64_t new_dir, const char *new_name, unsigned flags)
{
    struct rename_names n = {.name = name, .new_name = new_name};
    int r;

    (void)x;
    if ((flags & ~(unsigned)RENAME_NOREPLACE) != 0)
        return err_set(-EINVAL, "as on NFS, names can't be exchanged");
    if (v->conf.read_only)
        return err_set(-EROFS, "mounted read-only");
    r = name_check(new_name);
    if (r < 0)
        return r;
    r = inode_get(v, dir, &n.dir);
    if (r < 0)
        return r;
    r = inode_get(v, new_dir, &n.new_dir);
    if (r == 0) {
        r = rename_names(v, &n, flags);
        inode_unref(v, n.new_dir);
    }
    inode_unref(v, n.dir);
    return r;
}
