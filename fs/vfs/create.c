/* SPDX-License-Identifier: Apache-2.0 */
/* New names. A regular file costs no request here: its one PUT comes with its close. Directories,
 * symbolic links and special files are objects at once, but that they wait in the journal under commit=local. */
#include "makedir.h"
#include "outbox.h"
#include "removal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"
#include "keep.h"
#include "theirs.h"

#define TARGET_MAX 4095 /* Linux's PATH_MAX without the NUL; EFS: 4,080 */

static int may_make(const struct vfs *v, const char *name)
{
    if (v->conf.read_only)
        return err_set(-EROFS, "mounted read-only");
    return name_check(name);
}

/* Owner, group and mode of something new in dir: umask, and the directory's set-group-id bit
 * (open(2), mkdir(2)). */
static void set_new_attr(const struct vfs_ctx *x, const struct inode *dir, mode_t mode,
                         struct objattr *a)
{
    bool inherits = (dir->attr.mode & S_ISGID) != 0;

    a->mode = (mode & S_IFMT) | (mode & 07777 & ~x->umask);
    if (S_ISDIR(mode) && inherits)
        a->mode |= S_ISGID;
    a->uid = x->uid;
    a->gid = inherits ? dir->attr.gid : x->gid;
    a->atime_ns = a->mtime_ns = a->ctime_ns = clock_wall_ns();
}

/* A new inode under a name that nothing here has; referenced. -EEXIST. */
static int add_inode(struct vfs *v, const struct vfs_ctx *x, struct inode *dir, const char *name,
                     mode_t mode, struct inode **ret)
{
    char key[VFS_KEY_MAX + 2], dir_key[VFS_KEY_MAX + 2];
    struct inode *i = inode_new(v);
    int r;

    if (i == NULL)
        return -ENOMEM;
    r = objattr_new_id(i->attr.id);
    i->ino = objattr_ino(&i->attr);
    lock_take(&v->tree);
    set_new_attr(x, dir, mode, &i->attr);
    enforce_new_locked(v, dir, &i->attr);
    atomic_store(&i->type, mode & S_IFMT);
    if (r == 0)
        r = inode_key_locked(v, dir, name, key);
    if (r == 0 && S_ISDIR(mode) && strlen(key) + 1 > VFS_KEY_MAX)
        r = err_set(-ENAMETOOLONG, "the key would be longer than %d bytes", VFS_KEY_MAX);
    if (r == 0)
        r = inode_key_locked(v, dir, NULL, dir_key);
    if (r == 0 && name_is_hidden(v, dir_key, name))
        r = err_set(-EPERM, "%s is reserved", name);
    if (r == 0 && !inode_is_dir(dir))
        r = err_set(-ENOTDIR, "not a directory");
    if (r == 0 && inode_is_gone_locked(v, dir))
        r = err_set(-ENOENT, "the directory has been removed");
    if (r == 0 && inode_child_locked(v, dir, name) != NULL)
        r = err_set(-EEXIST, "%s exists", name);
    i->is_new = true;
    i->ac_ns = v->conf.acregmin_ns;
    if (r == 0)
        r = inode_attach_locked(v, i, dir, name);
    if (r == 0) {
        names_changed_locked(v, dir, name, false, false); /* the bucket has it from its commit on */
        inode_touch_locked(dir);
        *ret = i;
    } else {
        inode_unref_locked(v, i);
    }
    lock_drop(&v->tree);
    return r;
}

/* Takes back what add_inode made. */
static void drop_inode(struct vfs *v, struct inode *i)
{
    lock_take(&v->tree);
    if (i->parent != NULL) {
        names_changed_locked(v, i->parent, i->name, false, false);
        inode_detach_locked(v, i);
    }
    i->is_new = false;
    lock_drop(&v->tree);
}

/* What was renamed away from a name that is to be made in the bucket, with no lock but names (read) held. */
static int send_holder(struct vfs *v, const struct inode *dir, const char *name, bool has_names)
{
    char key[VFS_KEY_MAX + 2];
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, dir, name, key);
    lock_drop(&v->tree);
    return r == 0 ? outbox_send_holder(v, key, has_names) : r;
}

static int create_in(struct vfs *v, const struct vfs_ctx *x, struct inode *dir, const char *name,
                     mode_t mode, int flags, struct vfs_entry *ret, uint64_t *ret_fh)
{
    struct handle *h = NULL;
    struct inode *i = NULL;
    int r = v->conf.excl == VFS_EXCL_STRICT && (flags & O_EXCL) != 0 ? send_holder(v, dir, name, false) : 0;

    if (r == 0)
        r = add_inode(v, x, dir, name, (mode & 07777) | S_IFREG, &i);
    if (r < 0)
        return r;
    inode_io_take(v, i);
    lock_take(&v->tree);
    i->is_excl = (flags & O_EXCL) != 0;
    i->is_trunc = (flags & O_TRUNC) != 0;
    lock_drop(&v->tree);
    r = content_open(v, i);
    if (r == 0 && i->is_excl)
        r = strict_reserve(v, i);
    if (r == 0)
        r = handle_new(v, i, flags, &h);
    if (r < 0)
        strict_end(v, i);
    inode_io_drop(v, i);
    if (r == 0) {
        h->is_fresh = true;
        lock_take(&v->tree);
        if (!h->is_writer) { /* also O_RDONLY|O_CREAT makes a file */
            h->is_writer = true;
            i->n_writers++;
        }
        i->dirty_since_ns = clock_boot_ns();
        inode_entry_locked(v, i, ret);
        lock_drop(&v->tree);
        *ret_fh = h->fh;
    } else {
        drop_inode(v, i);
    }
    inode_unref(v, i);
    return r;
}

/* The name came into being between the kernel's lookup and its create. */
static int create_existing(struct vfs *v, const struct vfs_ctx *x, struct inode *dir,
                           const char *name, int flags, struct vfs_entry *ret, uint64_t *ret_fh)
{
    struct inode *i;
    bool keep;
    int r;

    if ((flags & O_EXCL) != 0)
        return err_set(-EEXIST, "%s exists", name);
    r = name_lookup(v, dir, name, &i);
    if (r < 0)
        return r;
    lock_take(&v->tree);
    inode_entry_locked(v, i, ret);
    lock_drop(&v->tree);
    r = vfs_open(v, x, ret->node, flags, ret_fh, &keep);
    if (r < 0)
        vfs_forget(v, ret->node, 1);
    inode_unref(v, i);
    return r;
}

int vfs_create(struct vfs *v, const struct vfs_ctx *x, uint64_t dir_node, const char *name,
               mode_t mode, int flags, struct vfs_entry *ret, uint64_t *ret_fh)
{
    struct inode *dir;
    int r = may_make(v, name);

    if (r == 0)
        r = inode_get(v, dir_node, &dir);
    if (r < 0)
        return r;
    r = enforce_name(v, dir, NULL);
    if (r == 0)
        r = create_in(v, x, dir, name, mode, flags, ret, ret_fh);
    if (r == -EEXIST)
        r = create_existing(v, x, dir, name, flags, ret, ret_fh);
    inode_unref(v, dir);
    return r;
}

/* A directory beside a file's object would hide that. Where the file is there after all: -EEXIST. */
static int clear_name(struct vfs *v, struct inode *dir, const char *name)
{
    char key[VFS_KEY_MAX + 2];
    int r;

    lock_take(&v->tree);
    r = inode_key_locked(v, dir, name, key);
    lock_drop(&v->tree);
    if (r == 0)
        r = removal_settle(v, key);
    return r == REMOVAL_BACK ? err_set(-EEXIST, "%s is there again", name) : r;
}

/* Under commit=local: is the journal enough? Not where another daemon would have to find what an unanswered call has
 * made (again.c), and not where of two makers one must hear of the other. */
static bool may_wait(struct vfs *v)
{
    return v->conf.commit != VFS_COMMIT_CLOSE && v->conf.excl != VFS_EXCL_STRICT && v->keep == NULL && outroom_is(v);
}

/* Into the bucket, or into the journal. */
static int make_object(struct vfs *v, struct inode *i, const char *body)
{
    int r = content_open(v, i);

    if (r == 0 && body != NULL)
        r = data_write(i->data, 0, body, strlen(body));
    if (r < 0)
        return r;
    lock_take(&v->tree);
    i->attr.size = body != NULL ? strlen(body) : 0;
    i->dirty_since_ns = clock_boot_ns();
    lock_drop(&v->tree);
    return may_wait(v) ? outbox_commit(v, i) : commit_inode(v, i);
}

static int make_dir(struct vfs *v, struct inode *dir, struct inode *i)
{
    if (may_wait(v) && makedir_journal(v, i) == 0)
        return 0;
    return makedir_settle(v, dir) ?: marker_put(v, i);
}

/* What is an object at once is made under If-None-Match:*, so that of two makers one gets EEXIST; of two whose entries
 * wait the second one to be sent goes to lost+found, but of a directory, which is the same one then. */
static int make(struct vfs *v, const struct vfs_ctx *x, uint64_t dir_node, const char *name,
                mode_t mode, dev_t rdev, const char *body, struct vfs_entry *ret)
{
    struct inode *dir, *i = NULL;
    int r = may_make(v, name);

    if (r == 0)
        r = inode_get(v, dir_node, &dir);
    if (r < 0)
        return r;
    r = enforce_name(v, dir, NULL);
    pthread_rwlock_rdlock(&v->names);
    if (r == 0 && (S_ISDIR(mode) || !may_wait(v)))
        r = send_holder(v, dir, name, true);
    if (r == 0 && S_ISDIR(mode))
        r = clear_name(v, dir, name);
    if (r == 0)
        r = add_inode(v, x, dir, name, mode, &i);
    if (r == 0) {
        inode_io_take(v, i);
        lock_take(&v->tree);
        i->attr.rdev = rdev;
        i->is_excl = true;
        lock_drop(&v->tree);
        keep_try(v, i);
        if (r == 0)
            r = S_ISDIR(mode) ? make_dir(v, dir, i) : make_object(v, i, body);
        crash_point("name.made");
        inode_io_drop(v, i);
        lock_take(&v->tree);
        if (r == 0) {
            if (!outbox_waits(i)) {
                i->is_new = false;
                names_changed_locked(v, dir, name, true, S_ISDIR(mode));
            }
            if (S_ISDIR(mode))
                subdirs_add_locked(dir);
            inode_entry_locked(v, i, ret);
        }
        lock_drop(&v->tree);
        if (r < 0)
            drop_inode(v, i);
        else if (S_ISDIR(mode))
            listing_forget(v, dir);
        inode_unref(v, i);
    }
    pthread_rwlock_unlock(&v->names);
    inode_unref(v, dir);
    return r;
}

int vfs_mkdir(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name, mode_t mode,
              struct vfs_entry *ret)
{
    return make(v, x, dir, name, (mode & 07777) | S_IFDIR, 0, NULL, ret);
}

int vfs_mknod(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name, mode_t mode,
              dev_t rdev, struct vfs_entry *ret)
{
    if ((mode & S_IFMT) == 0)
        mode |= S_IFREG;
    if (S_ISDIR(mode) || S_ISLNK(mode))
        return err_set(-EINVAL, "mknod makes no directories or links");
    if (v->conf.no_devices && (S_ISCHR(mode) || S_ISBLK(mode)))
        return err_set(-EPERM, "devices=refuse");
    return make(v, x, dir, name, mode, rdev, NULL, ret);
}

int vfs_symlink(struct vfs *v, const struct vfs_ctx *x, const char *target, uint64_t dir,
                const char *name, struct vfs_entry *ret)
{
    struct vfs_ctx no_mask = *x;

    if (strlen(target) > TARGET_MAX)
        return err_set(-ENAMETOOLONG, "a target has at most %d bytes", TARGET_MAX);
    no_mask.umask = 0;
    return make(v, &no_mask, dir, name, S_IFLNK | 0777, 0, target, ret);
}

/* What another tool keeps in metadata: the length of it, 0 none. */
static size_t target_in_metadata(struct vfs *v, const struct inode *i, char *ret)
{
    _cleanup_buf_ struct buf text = BUF_INIT(TARGET_MAX);

    lock_take(&v->tree);
    if (i->obj_size == 0 && theirs_link_target(&i->hdrs, &text))
        memcpy(ret, text.data, text.len);
    lock_drop(&v->tree);
    return text.len;
}

int vfs_readlink(struct vfs *v, uint64_t node, char **ret)
{
    _cleanup_free_ char *target = calloc(1, TARGET_MAX + 2);
    struct inode *i;
    ssize_t n = -EINVAL;
    int r = inode_get(v, node, &i);

    if (r < 0)
        return r;
    if (target == NULL)
        r = -ENOMEM;
    else if (!S_ISLNK(atomic_load(&i->type)))
        r = err_set(-EINVAL, "not a symbolic link");
    if (r == 0)
        n = (ssize_t)target_in_metadata(v, i, target);
    if (r == 0 && n == 0) {
        inode_io_take(v, i);
        r = content_open(v, i);
        if (r == 0)
            n = data_read(i->data, 0, target, TARGET_MAX + 1);
        inode_io_drop(v, i);
    }
    inode_unref(v, i);
    if (r == 0 && n < 0)
        r = (int)n;
    if (r == 0 && (n == 0 || n > TARGET_MAX || memchr(target, '\0', (size_t)n) != NULL))
        r = err_set(-EIO, "the object holds no link target");
    if (r == 0)
        *ret = steal(&target);
    return r;
}
