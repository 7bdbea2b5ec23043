/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX permissions as pure rules: who may do what to what (path_resolution(7), inode(7), chmod(2),
 * chown(2), utimensat(2), unlink(2)). The kernel's own checks are of the caller; these are of the
 * user whom posix_user= puts in his place, and of creators who find another file than they made. */
#ifndef S3EFS_VFS_ACCESS_H
#define S3EFS_VFS_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { ACCESS_X = 1, ACCESS_W = 2, ACCESS_R = 4 };

struct access_user {
    uid_t uid;
    gid_t gid;
    const gid_t *groups; /* secondary ones */
    size_t n_groups;
};
struct access_file {
    mode_t mode; /* with its type */
    uid_t uid;
    gid_t gid;
};

bool access_in_group(const struct access_user *u, gid_t gid);
/* want: ACCESS_* together. 0 or -EACCES. */
int access_check(const struct access_user *u, const struct access_file *f, unsigned want);
/* May a name of victim (NULL: a new name) be made or removed in dir? 0, -EACCES, -EPERM (sticky).
 */
int access_name(const struct access_user *u, const struct access_file *dir,
                const struct access_file *victim);
/* chmod to *mode, whose set-group-id bit falls where the user is not in the file's group. 0,
 * -EPERM. */
int access_chmod(const struct access_user *u, const struct access_file *f, mode_t *mode);
/* chown to uid and gid (-1: stays); *mode is the file's mode afterwards. 0, -EPERM. */
int access_chown(const struct access_user *u, const struct access_file *f, uid_t uid, gid_t gid,
                 mode_t *mode);
/* utimensat; to_now: both times are set to the present. 0, -EPERM, -EACCES. */
int access_utimes(const struct access_user *u, const struct access_file *f, bool to_now);
/* Owner, group and mode of something new in dir. f->mode: what was asked for, umask taken off. */
void access_new(const struct access_user *u, const struct access_file *dir, struct access_file *f);

#endif
