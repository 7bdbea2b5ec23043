/* SPDX-License-Identifier: Apache-2.0 */
/* The cache directory: whose it is, who uses it, what is in it. Threads: one (before the others
 * start). */
#ifndef S3EFS_CACHE_LAYOUT_H
#define S3EFS_CACHE_LAYOUT_H

#include <sys/stat.h>

#include "base/macros.h"

#define LAYOUT_FORMAT 1

/* Makes dir if need be, locks it (*ret_fd, which may be a copy of held_fd, if that is not 0; -EBUSY names the process that has it; a lock whose
 * process is gone is waited for, 10 s at most), checks or writes
 * its stamp, makes the folders. *ret_dir: its absolute name (free() it). */
_must_check_ int layout_open(const char *dir, const char *source, int held_fd, char **ret_dir, int *ret_fd);
/* The same of a directory that is there: nothing is made or emptied. -ENOENT: there is no cache of
 * s3efs; -EINVAL: another source's, or of another format. */
_must_check_ int layout_open_existing(const char *dir, const char *source, char **ret_dir,
                                      int *ret_fd);
/* Whose directory is it: 0 where it is ours alone, or root's and not for others to write (a volume that root made
 * for us); else -EACCES, -ENOTDIR. Pure. */
_must_check_ int layout_check_owner(const struct stat *st, uid_t me, const char *dir);
/* The lock file names the process that has the directory. */
_must_check_ int layout_write_pid(int fd);
/* Moves DIR/name to DIR/trash/, for the thread that removes it, and makes it anew, empty. */
_must_check_ int layout_discard(const char *dir, const char *name);
/* Removes a tree. What cannot be removed stays: 0 or the first -errno. */
int layout_remove_tree(const char *path);

#endif
