/* SPDX-License-Identifier: Apache-2.0 */
/* Is a lookup sent for a creator, or for what a rename makes? FUSE does not say why it asks for a name; the
 * system call of the thread that waits tells (proc(5), /proc/TID/syscall). What can't be seen, or
 * is in any doubt, is a reader: the bucket is asked, and nothing but time is lost. */
#ifndef S3EFS_VFS_CREATOR_H
#define S3EFS_VFS_CREATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CREATOR_PATH 4096

#define CREATOR_RENAMES (UINT64_C(1) << 63) /* not an open(2): the path is rename(2)'s new one */

/* The call that a thread waits in: 0 and the path and flags of its open(2), or -errno. */
int creator_call(pid_t tid, char path[CREATOR_PATH], uint64_t *ret_flags);

/* The rest is pure. One line of /proc/TID/syscall. */
struct creator_regs {
    long nr;
    uint64_t arg[6], sp;
};
int creator_parse(const char *text, struct creator_regs *ret); /* -EINVAL: in no system call */
/* Where the path and the flags of an open are, or the new path of a rename. -EOPNOTSUPP: another system call, or a 32-bit
 * program's, whose numbers are others. */
struct creator_open {
    uint64_t path, flags;
    uint64_t how; /* openat2: address of struct open_how, which begins with the flags; else 0 */
};
int creator_decode(const struct creator_regs *regs, struct creator_open *ret);
/* Does a call with this path and flags make name, looked up in the directory dir_name ("": the mount's root)? */
bool creator_makes(const char *path, uint64_t flags, const char *dir_name, const char *name);
/* And: does it open name, if it is a file that exists, for reading alone? */
bool creator_reads(const char *path, uint64_t flags, const char *dir_name, const char *name);

#endif
