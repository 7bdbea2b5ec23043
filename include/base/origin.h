/* SPDX-License-Identifier: Apache-2.0 */
/* For what a thread works: the call of the kernel that it serves, or a task of the daemon's own.
 * The request ledger books by it. It goes along with a job of a workq and with a request of a store
 * to the one who is told of its end. Threads: each has its own; a new one has ORIGIN_OTHER. */
#ifndef S3EFS_BASE_ORIGIN_H
#define S3EFS_BASE_ORIGIN_H

/* The names are those of status. Tasks: mount (start and end), send (what closes left in the
 * journal), flush-after (files that stay open), lease (the session), mend (what dead mounts left
 * unfinished), lock-wait, control (drain). */
#define ORIGINS(X)                                                                                 \
    X(OTHER, "other")                                                                              \
    X(MOUNT, "mount")                                                                              \
    X(SEND, "send")                                                                                \
    X(FLUSH_AFTER, "flush-after")                                                                  \
    X(LEASE, "lease")                                                                              \
    X(MEND, "mend")                                                                                \
    X(LOCK_WAIT, "lock-wait")                                                                      \
    X(CONTROL, "control")                                                                          \
    X(LOOKUP, "lookup")                                                                            \
    X(FORGET, "forget")                                                                            \
    X(GETATTR, "getattr")                                                                          \
    X(SETATTR, "setattr")                                                                          \
    X(ACCESS, "access")                                                                            \
    X(STATFS, "statfs")                                                                            \
    X(OPEN, "open")                                                                                \
    X(CREATE, "create")                                                                            \
    X(READ, "read")                                                                                \
    X(WRITE, "write")                                                                              \
    X(FLUSH, "close")                                                                              \
    X(FSYNC, "fsync")                                                                              \
    X(RELEASE, "release")                                                                          \
    X(OPENDIR, "opendir")                                                                          \
    X(READDIR, "readdir")                                                                          \
    X(RELEASEDIR, "releasedir")                                                                    \
    X(MKNOD, "mknod")                                                                              \
    X(MKDIR, "mkdir")                                                                              \
    X(SYMLINK, "symlink")                                                                          \
    X(READLINK, "readlink")                                                                        \
    X(UNLINK, "unlink")                                                                            \
    X(RMDIR, "rmdir")                                                                              \
    X(RENAME, "rename")                                                                            \
    X(LINK, "link")                                                                                \
    X(FALLOCATE, "fallocate")                                                                      \
    X(LSEEK, "lseek")                                                                              \
    X(COPY_RANGE, "copy_file_range")                                                               \
    X(LOCK, "lock")                                                                                \
    X(GETXATTR, "getxattr")                                                                        \
    X(SETXATTR, "setxattr")

enum origin {
#define X(name, text) ORIGIN_##name,
    ORIGINS(X)
#undef X
        ORIGIN_N
};

const char *origin_name(enum origin o);
enum origin origin_get(void);
enum origin origin_set(enum origin o); /* what it was */

#endif
