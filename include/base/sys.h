/* SPDX-License-Identifier: Apache-2.0 */
/* The only door to raw file calls: EINTR and short transfers handled, failures injectable.
 * Every function returns 0 (or a count or descriptor) or a negative errno. Threads: any.
 * Fault builds: SYS_FAULT_* environment or sys_fault_set() make the n-th call of a kind fail (errors and
 * ENOSPC), for the tests that enumerate disk failures. */
#ifndef S3EFS_BASE_SYS_H
#define S3EFS_BASE_SYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include "base/macros.h"

_must_check_ int sys_open(const char *path, int flags, mode_t mode); /* O_CLOEXEC is added */
_must_check_ int sys_openat(int dir, const char *path, int flags, mode_t mode);
/* Exactly len bytes, or -EIO at an unexpected end of file. */
_must_check_ int sys_pread_all(int fd, void *buf, size_t len, uint64_t off);
/* As many as there are up to len (0 at the end of file). */
_must_check_ ssize_t sys_pread(int fd, void *buf, size_t len, uint64_t off);
_must_check_ int sys_pwrite_all(int fd, const void *buf, size_t len, uint64_t off);
_must_check_ int sys_write_all(int fd, const void *buf, size_t len);
_must_check_ int sys_ftruncate(int fd, uint64_t size);
/* The range reads as zeros and takes no space; the size stays. -EOPNOTSUPP where the file system can't. */
_must_check_ int sys_punch(int fd, uint64_t off, uint64_t len);
/* The empty file `to` shares the blocks of `from` from now on (a reflink). -EOPNOTSUPP where the file system can't. */
_must_check_ int sys_clone(int to, int from);
/* SEEK_HOLE or SEEK_DATA; -ENXIO: there is none from off on, -EINVAL: the file system does not know. */
_must_check_ int sys_seek(int fd, uint64_t off, int whence, uint64_t *ret);
_must_check_ int sys_fdatasync(int fd);
_must_check_ int sys_fsync(int fd);
_must_check_ int sys_rename(const char *from, const char *to);
_must_check_ int sys_link(const char *from, const char *to); /* a hard link; of faults, a SYS_RENAME */
_must_check_ int sys_unlink(const char *path);
/* mkdir -p with this mode for what it makes. */
_must_check_ int sys_mkdirs(const char *path, mode_t mode);
/* Reads a whole small file as a string (free() it); -EFBIG past max. */
_must_check_ int sys_read_file(const char *path, size_t max, char **ret, size_t *ret_len);
/* The same in secret memory: secret_free() it. */
_must_check_ int sys_read_secret(const char *path, size_t max, char **ret, size_t *ret_len);
int sys_free_bytes(const char *path, uint64_t *ret_free, uint64_t *ret_total);

enum sys_kind { SYS_OPEN, SYS_READ, SYS_WRITE, SYS_SYNC, SYS_RENAME, SYS_UNLINK, SYS_KINDS };
/* Fault builds only (no effect elsewhere): the nth call from now of this kind, and every later one when
 * persistent, fails with -err. nth 0 turns it off. */
void sys_fault_set(enum sys_kind kind, uint64_t nth, int err, bool persistent);
uint64_t sys_fault_calls(enum sys_kind kind);

/* Debug and fault builds: the environment's S3EFS_CRASH_AT=NAME[:N] ends the process here, by SIGKILL, when it
 * passes the point NAME for the N-th time (1 where no N is given). Every name is a row of fs/base/crash.def. */
#if defined(S3EFS_FAULTS) || defined(S3EFS_DEBUG)
#define S3EFS_CRASH_POINTS 1
void crash_point(const char *name);
#else
#define crash_point(name) ((void)0)
#endif

#endif
