/* SPDX-License-Identifier: Apache-2.0 */
/* One or more mounts of a bucket without a kernel: vfs, upload, data and a real cache on a store in
 * memory. The calls act as one process (pid RIG_PID) unless the ctx says otherwise; paths are
 * walked by lookups, as the kernel would with nothing cached. Every function returns 0, a count, or
 * -errno. */
#ifndef S3EFS_TESTS_RIG_H
#define S3EFS_TESTS_RIG_H

#include "store/meter.h"
#include "store/store.h"
#include "vfs/vfs.h"

#define RIG_PID 100

struct rig {
    struct store
        *store; /* shared between rigs of one bucket; not owned by those made with rig_join */
    bool owns_store;
    char dir[64]; /* cache directory */
    struct cache *cache;
    struct journal *journal;
    struct table *table; /* rig_set_keeps() */
    bool is_follower;
    char next_dir[64]; /* rig_snapshot() */
    struct data *data;
    struct upload *upload;
    struct coord *coord;
    struct vfs *vfs;
    struct vfs_ctx ctx;
    struct vfs_conf conf;
    unsigned invalidations;
};

/* conf NULL: defaults (no prefix, uid 0, 0644/0755, NFS's attribute times). */
int rig_open(struct rig *r, const struct vfs_conf *conf);
int rig_open_on(struct rig *r, struct store *store, const struct vfs_conf *conf); /* borrows it */
void rig_defaults(struct vfs_conf *ret);
int rig_join(struct rig *r, const struct rig *first,
             const struct vfs_conf *conf); /* another mount of that bucket */
int rig_remount(struct rig *r);            /* same cache directory, everything else new */
/* The cache directory as it is now, so as a crash at this moment would leave it to the next start: kept
 * for rig_crash(). Also from a store's hook. */
int rig_snapshot(struct rig *r);
/* The mount is gone, and one on the newest snapshot (made now if there is none) takes its place; what
 * was done to the disk since is undone. The bucket stays as it is. */
int rig_crash(struct rig *r);
int rig_crash_after(struct rig *r, void (*between)(struct rig *r)); /* something happens before the next starts */
/* The same, with something that happens to its cache directory meanwhile. */
int rig_remount_after(struct rig *r, void (*between)(struct rig *r));
void rig_close(struct rig *r);             /* asserts nothing; removes the cache directory */

/* The kernel's answer to /proc questions: what process has a descriptor of ino (default: none
 * does). */
void rig_set_has_fd(int (*fn)(pid_t pid, uint64_t ino));
/* May the callers' system calls be seen (the default; none of them is an open(2) then), or not? */
void rig_set_unseen(bool are);
/* Called, after it was counted, where the kernel would be told to drop what it has. NULL: nothing. */
void rig_set_on_invalidation(void (*fn)(struct rig *r, uint64_t node));

/* For mounts made from now on, where the clock is not a fake one: their sessions are renewed by a
 * thread, or a lease would end in a test that takes longer. */
void rig_set_real_time(bool is);

/* Mounts made from now on have a takeover table, and rig_crash() takes them over. */
void rig_set_keeps(bool keeps);
/* Of the mounts made from now on; NULL: ".s3efs/". */
void rig_set_state_prefix(const char *prefix);

int rig_walk(struct rig *r, const char *path,
             struct vfs_entry *ret); /* the caller forgets ret->node, 1 */
int rig_parent(struct rig *r, const char *path, uint64_t *ret_node, const char **ret_name);
int rig_stat(struct rig *r, const char *path, struct stat *ret);
int rig_creat(struct rig *r, const char *path, int flags, mode_t mode, uint64_t *ret_fh);
int rig_open_file(struct rig *r, const char *path, int flags,
                  uint64_t *ret_fh); /* O_CREAT as open(2) */
int rig_put(struct rig *r, const char *path, const void *data,
            size_t len); /* creat/O_TRUNC, write, close */
ssize_t rig_get(struct rig *r, const char *path, void *buf, size_t len); /* open, read all, close */
int rig_shut(struct rig *r, uint64_t fh); /* flush + release: what close(2) returns */
int rig_mkdir(struct rig *r, const char *path, mode_t mode);
int rig_unlink(struct rig *r, const char *path);
int rig_link(struct rig *r, const char *from, const char *to);
int rig_rmdir(struct rig *r, const char *path);
int rig_rename(struct rig *r, const char *from, const char *to, unsigned flags);
/* The key under which the file of a node stands here. -ENOENT: it was removed or replaced here;
 * -ESTALE: another client's doing took its name. */
int rig_key_of(struct rig *r, uint64_t node, char *buf, size_t size);
int rig_mend(struct rig *r); /* a turn of the thread that finishes renames, which no rig has */
int rig_truncate(struct rig *r, const char *path, uint64_t size);
int rig_chmod(struct rig *r, const char *path, mode_t mode);
int rig_chown(struct rig *r, const char *path, uid_t uid, gid_t gid);
/* Names of a directory, sorted, joined by blanks, without the dots. */
int rig_ls(struct rig *r, const char *path, char *buf, size_t size);

#endif
