/* SPDX-License-Identifier: Apache-2.0 */
/* The file system: inodes, names, handles, consistency, POSIX semantics; on the store contract,
 * without a kernel and without a network. Calls block and return 0 or -errno (cause in err_text());
 * they may come from any thread.
 *
 * Node numbers are handed out with a reference each (lookup, create, mkdir, symlink, mknod,
 * readdirplus entries) and given back by vfs_forget. Node VFS_ROOT is always there. Permissions are
 * the kernel's (default_permissions), or checked here (enforces_user). Kernel
 * invalidations go up through conf.invalidate, called with no lock held. */
#ifndef S3EFS_VFS_VFS_H
#define S3EFS_VFS_VFS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include "base/macros.h"
#include "cache/cache.h"
#include "cache/journal.h"
#include "cache/table.h"
#include "coord/coord.h"
#include "coord/share.h"
#include "data/data.h"
#include "store/store.h"
#include "upload/upload.h"

#define VFS_ROOT UINT64_C(1)
#define VFS_NAME_MAX 255
#define VFS_KEY_MAX 1024

/* Who decides that a name is new, of O_EXCL and of creators in general (design.md, creating a name). */
enum vfs_excl {
    VFS_EXCL_OPEN,   /* the lookup asks the bucket; the conditional PUT at close decides a race */
    VFS_EXCL_STRICT, /* a race is decided at open, too */
    VFS_EXCL_CLOSE,  /* a creator's lookup asks nothing: the PUT alone decides */
};

/* commit=: what has happened when close(2) and fsync(2) return 0. */
enum vfs_commit {
    VFS_COMMIT_CLOSE, /* both: the bucket has the bytes */
    VFS_COMMIT_LOCAL, /* both: the bytes and what is to become of them are durable on the local disk */
    VFS_COMMIT_FSYNC, /* close: as local; fsync: as close */
};

/* posix_user=: every caller is this user. */
#define VFS_GROUPS_MAX 16 /* as EFS's access points have */
struct vfs_user {
    uid_t uid;
    gid_t gid;
    gid_t groups[VFS_GROUPS_MAX];
    size_t n_groups;
};

struct vfs;
struct vfs_conf {
    const char *prefix; /* "" or ends in '/' */
    uid_t uid;          /* of objects that do not say; */
    gid_t gid;
    mode_t file_mode, dir_mode; /* permission bits of those */
    bool read_only;
    int64_t acregmin_ns, acregmax_ns, acdirmin_ns, acdirmax_ns;
    bool nocto;         /* open believes attributes that are fresh, without asking */
    bool lookup_always; /* lookupcache=none: no name is believed, here or by the kernel */
    bool sync_writes;   /* noac: a write is in the bucket before it returns */
    /* What was appended or written into a stored file is committed after so long, by a thread that
     * starts at the first write; never a new file or whole content. 0: only by close and fsync. */
    int64_t flush_after_ns;
    int64_t soft_ns;    /* a soft mount's commit gives up against other writers; 0: never */
    enum vfs_commit commit;
    struct table *table;     /* borrowed. What the next daemon takes over is kept in it; NULL: nothing is */
    struct journal *journal; /* borrowed. NULL: none, and commit is VFS_COMMIT_CLOSE */
    size_t keep_record_max;  /* tests: of a file's record in it; 0: 8 MiB */
    int64_t fold_ns;         /* commit=local: how long a new file waits for a rename that is likely; 0: not */
    bool send_by_hand;       /* tests: what the journal has is sent by outbox_run() only */
    bool flush_by_hand; /* tests: by writeback_run() only, not by a thread */
    enum vfs_excl excl;
    bool enforces_user; /* permissions are checked here, of user, not of the caller by the kernel */
    struct vfs_user user;
    bool makes_root; /* root_creation=: of a prefix that is not there; without it that fails, -ENOENT, */
    uid_t root_uid;  /* where a user is enforced */
    gid_t root_gid;
    mode_t root_mode;
    bool no_devices; /* devices=refuse: mknod of a device node is EPERM */
    /* How often renames of other mounts that stand are looked at, and finished if their mount is
     * dead, by a thread that only runs while there are any. 0: never, and nobody looks for them. */
    int64_t mend_ns;
    /* Such that are older, by the server's clock, are shown as ever, but finished by nobody but who wrote
     * them: what was meant so long ago may not be what is wanted now. 0: of any age (fsck --repair). */
    int64_t finish_age_ns;
    struct store_caps caps;
    /* The kernel's cached pages and attributes of a node are out of date. May block until the
     * kernel has dropped them. NULL: nobody to tell. */
    void (*invalidate)(void *arg, uint64_t node);
    void *invalidate_arg;
    /* Option passthrough: a whole file of the cache, given to the kernel for it to read from by itself: > 0, what it calls
     * that; -errno. Local, and quick. The descriptor stays the vfs'. backing_close: no handle reads from it any more.
     * NULL: the kernel can't. */
    int (*backing_open)(void *arg, int fd);
    void (*backing_close)(void *arg, int backing);
    void *backing_arg;
    /* Bytes that inodes may take; 0: any. names_many: called under a lock, so it may only wake who asks the kernel
     * to forget what vfs_idle_get() tells. NULL: nobody does. */
    uint64_t names_max;
    void (*names_many)(void *arg);
    void *names_many_arg;
    /* Bytes that inodes of unsent files (commit=local) may take, of names_max: above it a close that would make one more
     * waits until some are sent. 0: any. */
    uint64_t unsent_max;
    /* Bytes that listings may take: directories that are being listed wait for room, but one at a time may take more, as
     * large as it is, and one more that the cache has; what open directories show goes to files of the cache where it has none. 0: any. */
    uint64_t lists_max;
    /* Is another descriptor of this file open in process pid (protocol 1)? And whose thread is tid?
     * NULL: /proc is asked. Tests give their own. */
    int (*proc_tgid)(pid_t tid);                 /* > 0, or 0: can't be seen */
    int (*proc_has_fd)(pid_t pid, uint64_t ino); /* 1, 0, or -errno: can't be seen */
    /* The open(2) that thread tid waits in (excl=close): 0, or -errno: none, or can't be seen. */
    int (*proc_open)(pid_t tid, char path[4096], uint64_t *ret_flags);
};
_must_check_ int vfs_new(const struct vfs_conf *conf, struct store *store, struct cache *cache,
                         struct data *data, struct upload *upload,
                         struct coord *coord, struct vfs **ret);
/* Ends the vfs' own threads, and those who wait for locks: when it returns none of conf's functions is called any more.
 * What is under way in the bucket is waited for. Of the calls only vfs_lock_stop(), vfs_forget(), vfs_idle_get() and
 * vfs_idle_stop() may follow or run, and vfs_free() at last; not twice at once. */
void vfs_stop(struct vfs *v);
void vfs_free(struct vfs *v); /* NULL is fine; stops */
/* It is mounted, as this device: files of others that have a number of ours are told apart by it. */
void vfs_set_dev(struct vfs *v, dev_t dev);
/* Looks once for renames that other mounts did not finish, and finishes those of dead sessions: how
 * many stand yet, or -errno. A mount does so by itself (mend_ns); this is for who has none. */
_must_check_ int vfs_mend(struct vfs *v);

struct vfs_ctx { /* of the calling process */
    uid_t uid;
    gid_t gid;
    pid_t pid; /* thread id as FUSE tells it; 0: can't be seen from here */
    mode_t umask;
};

struct vfs_entry {
    uint64_t node;
    struct stat st;
    int64_t attr_ns, entry_ns; /* how long the kernel may keep them */
};

/* Names */
_must_check_ int vfs_lookup(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name,
                            struct vfs_entry *ret);
void vfs_forget(struct vfs *v, uint64_t node, uint64_t n);
/* Up to max names that nothing here holds, those that the kernel has not asked for longest first, for the kernel to
 * forget; 0: none any more, until names_many is called again. By number, or by name in a directory where a kernel
 * only knows that; such a one must not be asked for directories, which may be somebody's working directory. */
struct vfs_idle {
    uint64_t node, dir;
    bool is_dir;
    char name[VFS_NAME_MAX + 1];
};
size_t vfs_idle_get(struct vfs *v, struct vfs_idle *ret, size_t max);
void vfs_idle_stop(struct vfs *v); /* names_many is not called any more when this returns */
_must_check_ int vfs_mkdir(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name,
                           mode_t mode, struct vfs_entry *ret);
_must_check_ int vfs_symlink(struct vfs *v, const struct vfs_ctx *x, const char *target,
                             uint64_t dir, const char *name, struct vfs_entry *ret);
_must_check_ int vfs_readlink(struct vfs *v, uint64_t node, char **ret); /* free() it */
/* One more name for a file, which is committed first: a whole object of its own, kept equal to the
 * others (protocol 9). At most 1,000 names: -EMLINK. -EPERM for directories. */
_must_check_ int vfs_link(struct vfs *v, const struct vfs_ctx *x, uint64_t node, uint64_t dir,
                          const char *name, struct vfs_entry *ret);
_must_check_ int vfs_unlink(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name);
_must_check_ int vfs_rmdir(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name);
/* flags: 0 or RENAME_NOREPLACE; others -EINVAL. */
_must_check_ int vfs_rename(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name,
                            uint64_t new_dir, const char *new_name, unsigned flags);

/* Attributes. mask of VFS_SET_*; times: UTIME_NOW in tv_nsec is understood. fh 0: by path. */
enum {
    VFS_SET_MODE = 1,
    VFS_SET_UID = 2,
    VFS_SET_GID = 4,
    VFS_SET_SIZE = 8,
    VFS_SET_ATIME = 16,
    VFS_SET_MTIME = 32
};
_must_check_ int vfs_getattr(struct vfs *v, uint64_t node, uint64_t fh, struct stat *ret,
                             int64_t *ret_attr_ns);
_must_check_ int vfs_setattr(struct vfs *v, const struct vfs_ctx *x, uint64_t node, uint64_t fh,
                             const struct stat *st, int mask, struct stat *ret,
                             int64_t *ret_attr_ns);
/* access(2), with R_OK, W_OK, X_OK; always 0 where the kernel checks. */
_must_check_ int vfs_access(struct vfs *v, uint64_t node, int mask);
_must_check_ int vfs_statfs(struct vfs *v, struct statvfs *ret);

/* Extended attributes: user.* (others -EOPNOTSUPP) as setxattr(2), getxattr(2) and so on, with their flags and
 * errors; size 0 asks for the length. -ENOSPC: the object's metadata (2,048 bytes on S3) has no room.
 * user.s3efs.{content-type,cache-control,content-disposition,content-encoding,content-language} are the
 * object's headers, {storage-class,etag} can be read; none of them is listed. */
_must_check_ int vfs_setxattr(struct vfs *v, const struct vfs_ctx *x, uint64_t node, const char *name,
                              const void *value, size_t len, int flags);
_must_check_ ssize_t vfs_getxattr(struct vfs *v, uint64_t node, const char *name, void *buf, size_t size);
_must_check_ ssize_t vfs_listxattr(struct vfs *v, uint64_t node, void *buf, size_t size);
_must_check_ int vfs_removexattr(struct vfs *v, const struct vfs_ctx *x, uint64_t node, const char *name);

#define VFS_OPEN_EXEC 0x20 /* the kernel's FMODE_EXEC: execve(2) opened it */
/* Files. flags as in open(2), and VFS_OPEN_EXEC. keep_cache: the kernel's pages are still right. */
_must_check_ int vfs_create(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name,
                            mode_t mode, int flags, struct vfs_entry *ret, uint64_t *ret_fh);
_must_check_ int vfs_mknod(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name,
                           mode_t mode, dev_t rdev, struct vfs_entry *ret);
_must_check_ int vfs_open(struct vfs *v, const struct vfs_ctx *x, uint64_t node, int flags,
                          uint64_t *ret_fh, bool *ret_keep_cache);
/* What backing_open() said of the file that the kernel reads this handle's bytes from; 0: it asks us. */
int vfs_backing(struct vfs *v, uint64_t fh);
_must_check_ ssize_t vfs_read(struct vfs *v, uint64_t fh, uint64_t off, void *buf, size_t len);
/* append: O_APPEND was given; the kernel's offset is then only its guess of the end. */
_must_check_ ssize_t vfs_write(struct vfs *v, const struct vfs_ctx *x, uint64_t fh, uint64_t off,
                               const void *buf, size_t len);
/* mode as in fallocate(2): 0, KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE (with or without KEEP_SIZE); others
 * -EOPNOTSUPP. Nothing is reserved. */
_must_check_ int vfs_fallocate(struct vfs *v, const struct vfs_ctx *x, uint64_t fh, int mode, uint64_t off,
                               uint64_t len);
/* whence: SEEK_HOLE or SEEK_DATA, as lseek(2). */
_must_check_ int vfs_lseek(struct vfs *v, uint64_t fh, uint64_t off, int whence, uint64_t *ret);
/* copy_file_range(2): may copy less than len; 0 at the source's end. Where a whole stored file goes onto one that is
 * empty and the server can, it is in the bucket when this returns. */
_must_check_ ssize_t vfs_copy_range(struct vfs *v, const struct vfs_ctx *x, uint64_t fh_in, uint64_t off_in,
                                    uint64_t fh_out, uint64_t off_out, uint64_t len);
_must_check_ int vfs_flush(struct vfs *v, const struct vfs_ctx *x,
                           uint64_t fh); /* what close(2) returns */
_must_check_ int vfs_fsync(struct vfs *v, uint64_t fh);
void vfs_release(struct vfs *v, uint64_t fh);

/* Directories. A handle shows one snapshot of the names; offset 0 after opendir takes a new one. */
_must_check_ int vfs_opendir(struct vfs *v, uint64_t node, uint64_t *ret_fh);
/* Calls emit for each entry from offset off on (the offset of the next one is given) until it
 * returns nonzero (no room). plus: entries come with a node and a reference where attributes are
 * known without asking the bucket; an entry that did not fit must give its reference back: e->node
 * 0 has none. "." and ".." have none. */
typedef int vfs_emit_fn(void *arg, const char *name, const struct vfs_entry *e, uint64_t next_off);
_must_check_ int vfs_readdir(struct vfs *v, uint64_t fh, uint64_t off, bool plus, vfs_emit_fn *emit,
                             void *arg);
void vfs_releasedir(struct vfs *v, uint64_t fh);
_must_check_ int vfs_fsyncdir(struct vfs *v, uint64_t fh);

/* Locks, held between mounts (protocol 6). Taking one revalidates the file, giving it up commits it
 * first. posix: fcntl(2)'s byte ranges, flock: whole files; they do not see each other. Owners are
 * numbers of the kernel's, apart for each kind. */
struct vfs_lock {
    enum lock_kind kind;
    enum lock_type type; /* LOCK_TYPE_NONE: unlock */
    struct lock_range range;
    uint64_t owner;
    int pid;
};
enum { VFS_LOCK_WAITS = 1 };
/* Who waits. The memory is the caller's until done is called (once, from another thread, with no lock
 * held; r: 0 or -errno), or until vfs_lock_set() gives something else than VFS_LOCK_WAITS. */
struct vfs_lock_wait {
    void (*done)(struct vfs_lock_wait *w, int r);
    atomic_bool is_interrupted;
    struct vfs_lock_wait *next; /* from here on the vfs's own */
    struct vfs_lock want;
    struct inode *inode;
    struct lockfile *file;
    struct vfs_lock_wait *next_searched;
    uint64_t searched;
};
/* wait NULL: -EAGAIN where another owner holds it. Also -EDEADLK, -EINTR, -EIO (the lease is lost, or
 * the bucket does not answer), -ENOLCK, -ESTALE; of an unlock what the commit said: it is unlocked. */
_must_check_ int vfs_lock_set(struct vfs *v, uint64_t node, const struct vfs_lock *l,
                              struct vfs_lock_wait *wait);
/* A lock that is in the way, or type LOCK_TYPE_NONE; pid 0: on another mount. */
_must_check_ int vfs_lock_get(struct vfs *v, uint64_t node, struct vfs_lock *l);
/* A signal came: done gets -EINTR if the lock is not granted meanwhile. Also before vfs_lock_set(). */
void vfs_lock_interrupt(struct vfs *v, struct vfs_lock_wait *wait);
/* An owner has closed the file: it holds nothing of it any more. 0, or what the commit said. */
_must_check_ int vfs_lock_close(struct vfs *v, uint64_t node, enum lock_kind kind, uint64_t owner);
/* Nobody waits any more (-EINTR), and nobody will: to be called before those are gone who are
 * waited for. */
void vfs_lock_stop(struct vfs *v);

/* Commits everything that is dirty, as fsync on every file would; who goes on writing meanwhile is not
 * waited for. 0 or the first error; -EIO also where the journal has entries of which no file could be made. */
_must_check_ int vfs_drain(struct vfs *v);

/* At the end of a mount, which may come before the bucket answers: closes that wait for room among the unsent files
 * (vfs_conf.unsent_max) go on, so that their bytes are journaled before it. Those that come later wait as ever. Waits for
 * nothing. Any thread. */
void vfs_let_closes_go(struct vfs *v);

/* Before the mount is used: every entry of the journal becomes a file again, which is sent like one whose close has
 * returned. Asks the bucket nothing. 0, or the journal's error; an entry that can't be read stays where it is. */
_must_check_ int vfs_replay(struct vfs *v);

/* --- takeover of a living mount (protocol 17), where vfs_conf.table is given --- */
/* Before the first call: nodes, names, handles and dirty bytes become what they were when the daemon before this one
 * died. Asks the bucket only for what was being sent at that moment, which is sent or found there. 0; -EBADMSG: the table
 * can't be believed. Dirty bytes that can't be had again make their file fail: close and fsync say EIO, until it is cut to nothing (T24). */
_must_check_ int vfs_takeover(struct vfs *v);
#define VFS_KEEP_FORMAT 3 /* of the table's records, as a whole: one of another format is not taken over */
#define VFS_KEEP_SESSION 's' /* the record of the mount's session (coord_conf.session_note), which is not the vfs's own */
/* reply: the error as the kernel is told it (int32_t), then the answer's body.
 * Around each request, on the thread that serves it: it has arrived; it was served, and this is its answer (NULL: one that
 * may be found anew). What the kernel is about to be told is in the table when vfs_keep_reply() returns. */
void vfs_keep_begin(struct vfs *v, uint64_t unique);
void vfs_keep_reply(struct vfs *v, uint64_t unique, const void *reply, size_t len);
/* The answer that was kept for a request: free() it. -ENOENT: none. */
_must_check_ int vfs_keep_find(struct vfs *v, uint64_t unique, void **ret, size_t *ret_len);
/* A call that comes again: did it take effect before its daemon died? 1: yes, and the names here are as it left them;
 * 0: make it again; -errno. vfs_was_made: *ret as of vfs_lookup. */
bool vfs_was_tried(struct vfs *v); /* it got as far as a request that may have taken effect */
_must_check_ int vfs_was_made(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name,
                              struct vfs_entry *ret);
/* After link(2) said that the new name exists: it is this call's. */
bool vfs_was_linked(struct vfs *v, const struct vfs_ctx *x, uint64_t node, uint64_t dir, const char *name,
                    struct vfs_entry *ret);
_must_check_ int vfs_was_removed(struct vfs *v, uint64_t dir, const char *name);
_must_check_ int vfs_was_renamed(struct vfs *v, uint64_t dir, const char *name, uint64_t new_dir,
                                 const char *new_name);
/* After that, where the old name is gone: is the new one a directory that only its files imply? It has no mark to be
 * known by, and was tried: the rename was made. */
bool vfs_was_implied(struct vfs *v, const struct vfs_ctx *x, uint64_t new_dir, const char *new_name);
/* The caller's own, by number. */
_must_check_ int vfs_keep_blob(struct vfs *v, unsigned n, const void *data, size_t len);
bool vfs_keep_is_lost(struct vfs *v); /* could not be written, or there is none: nothing can be taken over */
/* A request that is not answered, as it was read, by its number (NULL: it is). fn must not keep any. */
_must_check_ int vfs_keep_request(struct vfs *v, uint64_t unique, const void *request, size_t len);
_must_check_ int vfs_kept_requests(struct vfs *v, int (*fn)(void *arg, uint64_t unique, const void *request, size_t len),
                                   void *arg);
_must_check_ int vfs_kept_blob(struct vfs *v, unsigned n, void **ret, size_t *ret_len); /* -ENOENT */

/* What is not in the bucket yet: the keys of the first `max`, those whose close has returned longest ago first. */
struct vfs_unsent {
    uint64_t files, bytes; /* whose close has returned (commit=local) */
    uint64_t removals;     /* names that unlink(2) has removed and the bucket still has (commit=local) */
    uint64_t unread;       /* entries of the journal of which no file could be made */
    int64_t oldest_ns;     /* age of the oldest of those files and removals; 0: there is none */
    char **keys;           /* also of files that nobody has closed yet; removals come after what is closed */
    size_t n;
};
_must_check_ int vfs_unsent_get(struct vfs *v, size_t max, struct vfs_unsent *ret); /* -ENOMEM */
void vfs_unsent_done(struct vfs_unsent *u); /* idempotent; legal on a zeroed struct */

struct vfs_stats {
    uint64_t names_bytes; /* what the inodes take */
    uint64_t unsent_memory;  /* of it, those of unsent files */
    uint64_t closes_waiting; /* for room among those */
    uint64_t lists_memory;   /* of directories that are being listed, */
    uint64_t lists_kept;     /* and of those that are open */
    uint64_t lists_waiting;  /* calls that wait for room to list one */
    uint64_t removals;       /* as in struct vfs_unsent */
    uint64_t inodes, open_files, passthrough_files, dirty_files, dirty_bytes, hidden_keys, commits, commit_errors;
    int64_t oldest_dirty_ns; /* age of the oldest uncommitted byte; 0 none */
    uint64_t renames;        /* that are under way and known here, other mounts' too */
    uint64_t moved_done, moved_all; /* steps of directories' renames of this mount: two for a key */
    char last_error[256];    /* of a commit that nobody could be told of (RELEASE) */
};
void vfs_stats_get(struct vfs *v, struct vfs_stats *ret);

#endif
