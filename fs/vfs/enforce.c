/* SPDX-License-Identifier: Apache-2.0 */
/* posix_user=, as an EFS access point: whoever calls is this user, for permissions and for
 * ownership of what is new. The kernel, which would check the caller's ids, is told not to;
 * access.c has the rules. Without the option every function here says yes at once. What the kernel
 * has cached of a name is not asked for again within its second. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "access.h"
#include "base/err.h"
#include "base/log.h"

#define OPEN_EXEC 040 /* __FMODE_EXEC: execve(2) opens with it, and FUSE hands it on */

static struct access_user user_of(const struct vfs *v)
{
    const struct vfs_user *u = &v->conf.user;

    return (struct access_user){u->uid, u->gid, u->groups, u->n_groups};
}

static struct access_file file_of(struct vfs *v, const struct inode *i)
{
    struct access_file f;

    lock_take(&v->tree);
    f = (struct access_file){i->attr.mode, i->attr.uid, i->attr.gid};
    lock_drop(&v->tree);
    return f;
}

int enforce(struct vfs *v, struct inode *i, unsigned want)
{
    struct access_user u = user_of(v);
    struct access_file f;
    int r;

    if (!v->conf.enforces_user)
        return 0;
    r = inode_revalidate(v, i);
    if (r < 0)
        return r;
    f = file_of(v, i);
    return access_check(&u, &f, want);
}

int enforce_name(struct vfs *v, struct inode *dir, const struct inode *victim)
{
    struct access_user u = user_of(v);
    struct access_file d, f;
    int r;

    if (!v->conf.enforces_user)
        return 0;
    r = inode_revalidate(v, dir);
    if (r < 0)
        return r;
    d = file_of(v, dir);
    if (victim != NULL)
        f = file_of(v, victim);
    return access_name(&u, &d, victim != NULL ? &f : NULL);
}

int enforce_rename(struct vfs *v, const struct inode *dir, const struct inode *i,
                   const struct inode *new_dir, const struct inode *over)
{
    struct access_user u = user_of(v);
    struct access_file d = file_of(v, dir), f = file_of(v, i), n, o;
    int r;

    if (!v->conf.enforces_user)
        return 0;
    n = file_of(v, new_dir);
    if (over != NULL)
        o = file_of(v, over);
    r = access_name(&u, &d, &f);
    if (r == 0)
        r = access_name(&u, &n, over != NULL ? &o : NULL);
    if (r == 0 && dir != new_dir && S_ISDIR(f.mode)) /* its ".." changes */
        r = access_check(&u, &f, ACCESS_W);
    return r;
}

int enforce_open(struct vfs *v, struct inode *i, int flags)
{
    int mode = flags & O_ACCMODE;
    unsigned want = mode == O_WRONLY ? ACCESS_W : mode == O_RDWR ? ACCESS_R | ACCESS_W : ACCESS_R;

    if ((flags & OPEN_EXEC) != 0)
        want = ACCESS_X; /* it is not read by the caller */
    if ((flags & O_TRUNC) != 0)
        want |= ACCESS_W;
    return enforce(v, i, want);
}

/* The kernel clears set-id bits of a file that is written to: who may write may do that. */
static bool only_clears_bits(const struct access_file *f, mode_t mode)
{
    mode_t was = f->mode & 07777;

    mode &= 07777;
    return mode != was && (mode | S_ISUID | S_ISGID) == (was | S_ISUID | S_ISGID) &&
           (mode & ~was) == 0;
}

static int check_mode(const struct access_user *u, const struct access_file *f, struct stat *st)
{
    mode_t mode = st->st_mode;
    int r = access_chmod(u, f, &mode);

    if (r == -EPERM && only_clears_bits(f, st->st_mode))
        r = access_check(u, f, ACCESS_W);
    st->st_mode = mode;
    return r;
}

static int check_owner(const struct access_user *u, const struct access_file *f, struct stat *st,
                       int *mask)
{
    uid_t uid = (*mask & VFS_SET_UID) != 0 ? st->st_uid : (uid_t)-1;
    gid_t gid = (*mask & VFS_SET_GID) != 0 ? st->st_gid : (gid_t)-1;
    mode_t mode;
    int r = access_chown(u, f, uid, gid, &mode);

    if (r == 0 && mode != f->mode) {
        st->st_mode = mode;
        *mask |= VFS_SET_MODE;
    }
    return r;
}

/* With the inode's attributes fresh. What is to be set may become less. */
int enforce_setattr(struct vfs *v, const struct inode *i, bool is_by_writer, struct stat *st,
                    int *mask)
{
    struct access_user u = user_of(v);
    struct access_file f = file_of(v, i);
    bool owner = (*mask & (VFS_SET_UID | VFS_SET_GID)) != 0, to_now;
    int r = 0;

    if (!v->conf.enforces_user)
        return 0;
    if ((*mask & VFS_SET_SIZE) != 0 && !is_by_writer)
        r = access_check(&u, &f, ACCESS_W);
    if (r == 0 && (*mask & VFS_SET_MODE) != 0 && !owner)
        r = check_mode(&u, &f, st);
    if (r == 0 && owner)
        r = check_owner(&u, &f, st, mask);
    to_now = ((*mask & VFS_SET_ATIME) == 0 || st->st_atim.tv_nsec == UTIME_NOW) &&
             ((*mask & VFS_SET_MTIME) == 0 || st->st_mtim.tv_nsec == UTIME_NOW);
    if (r == 0 && (*mask & (VFS_SET_ATIME | VFS_SET_MTIME)) != 0)
        r = access_utimes(&u, &f, to_now);
    return r;
}

void enforce_new_locked(const struct vfs *v, const struct inode *dir, struct objattr *a)
{
    const struct access_file d = {dir->attr.mode, dir->attr.uid, dir->attr.gid};
    struct access_user u = user_of(v);
    struct access_file f = {.mode = a->mode};

    if (!v->conf.enforces_user)
        return;
    access_new(&u, &d, &f);
    a->mode = f.mode;
    a->uid = f.uid;
    a->gid = f.gid;
}

void enforce_user(const struct vfs *v, struct access_user *who)
{
    if (v->conf.enforces_user)
        *who = user_of(v);
}

int vfs_access(struct vfs *v, uint64_t node, int mask)
{
    unsigned want = ((mask & R_OK) != 0 ? ACCESS_R : 0u) | ((mask & W_OK) != 0 ? ACCESS_W : 0u) |
                    ((mask & X_OK) != 0 ? ACCESS_X : 0u);
    struct inode *i;
    int r = inode_get(v, node, &i);

    if (r < 0)
        return r;
    if ((want & ACCESS_W) != 0 && v->conf.read_only)
        r = err_set(-EROFS, "mounted read-only");
    else
        r = enforce(v, i, want);
    inode_unref(v, i);
    return r;
}

/* Is there nothing at all below the prefix? */
static int prefix_is_missing(struct vfs *v)
{
    struct store_req req = {.op = STORE_LIST, .prefix = v->prefix, .max_keys = 1};
    struct store_rsp rsp = {0};
    int r = err_fold(store_call(v->store, &req, &rsp));

    if (r == 0)
        r = rsp.list.n == 0;
    store_rsp_done(&rsp);
    return r;
}

/* root_creation=: the prefix has no marker. 0; 1: it has one now, made by us or another client. */
int enforce_root(struct vfs *v, struct inode *root)
{
    int r;

    if (v->prefix[0] == '\0' || !(v->conf.enforces_user || v->conf.makes_root))
        return 0;
    r = prefix_is_missing(v);
    if (r <= 0)
        return r;
    if (!v->conf.makes_root || v->conf.read_only)
        return err_set(-ENOENT, "%s is not in the bucket, and %s", v->prefix,
                       v->conf.read_only ? "a read-only mount makes no root"
                                         : "root_creation= is not given");
    lock_take(&v->tree);
    root->attr.mode = S_IFDIR | (v->conf.root_mode & 07777);
    root->attr.uid = v->conf.root_uid;
    root->attr.gid = v->conf.root_gid;
    lock_drop(&v->tree);
    r = marker_put(v, root);
    return r == 0 || r == -EEXIST ? 1 : r; /* of several mounts that begin at once one makes it */
}
