/* SPDX-License-Identifier: Apache-2.0 */
/* Locks, as the files of vfs share them.
 *
 * A lockfile is what is locked: all inodes of one file share it (VFS-5 gives a file a second inode
 * when it changes elsewhere while it is open). It knows who holds what on this mount, and holds in
 * the bucket what they have together. There is one for a file: one that goes by the file's key is
 * found by the id too from when it takes that.
 *
 * LOCKS-1  `change` is held by whoever changes what the file's owners hold, over the requests that
 *          takes. LOCKS-2  The local sets, the waiters and the table are guarded by table.lock, for
 *          memory work only, and change only with `change` held too (waiters: without). LOCKS-3  A
 *          lock is granted when the bucket has it and the file was revalidated since; it is given
 * up in the bucket when what was written under it is there. LOCKS-4  A waiter is answered once,
 *          with no lock held.
 * Order: names, io, change, tree, table.lock. */
#ifndef S3EFS_VFS_LOCKS_H
#define S3EFS_VFS_LOCKS_H

#include "base/clock.h"
#include "coord/session.h"
#include "coord/share.h"
#include "internal.h"

#define LOCKFILE_NAME_SIZE 48
#define LOCK_THREADS 2
#define LOCK_POLL_MIN_NS (50 * NS_PER_MS)
#define LOCK_POLL_MAX_NS NS_PER_S

enum lock_try {                      /* none of these is an outcome of share.h */
                TRY_BUSY_HERE = 11,  /* another owner on this mount is in the way */
                TRY_BUSY_THERE = 12, /* another mount is */
                TRY_MOVED =
                    13, /* the file is locked as another lockfile now: ask lockfile_of() again */
};

struct lockfile {
    struct lockfile *next;
    unsigned refs; /* inodes, calls, and one while it is due */
    char name[LOCKFILE_NAME_SIZE];
    struct lock change;
    struct share *share;    /* NULL: no name leads to the file, nobody else can open it */
    struct share *id_share; /* the share is of the key; this is of the id that the file has got */
    char id_name[33];       /* which id */
    struct lockset held[LOCK_KINDS];
    uint64_t grown; /* counts what was got from the bucket: inodes revalidate after it */
    bool is_key_free; /* nobody has locked the file by its key since before it had its id */
    bool is_lost;   /* the lease was lost while somebody held something, who may not know yet */
    struct vfs_lock_wait *waiters; /* oldest first */
    int64_t due_ns, poll_ns;       /* when to try again; INT64_MAX: not */
    bool is_served;                /* a thread is at it */
    bool is_changing;              /* somebody has `change`, to take a lock */
    bool is_out; /* another lockfile has got this one's name: it was free, and stays so */
    struct {     /* keeplock.c: for the daemon that comes after this one; guarded by table.lock */
        uint64_t number;  /* of its record; 0: there is none */
        uint64_t *nodes;  /* that are locked as this file */
        size_t n, cap;
        bool is_short;    /* of memory: one is missing */
        bool is_changing; /* the bucket may say `change` already */
        bool is_loose;    /* it may say more than is held */
        bool is_publishing; /* under id_name it may say nothing yet: no call was answered, nothing sent that relies on it */
        bool is_lost, is_unknown; /* as is_lost, is_taken below */
        bool was_taken;   /* as share_was_taken() */
        struct vfs_lock change;
        char session[SESSION_ID_LEN + 1];
    } kept;
    bool is_taken; /* it was a dead daemon's, and the shares do not know yet what they hold (lockshare_ready) */
};

struct locktable {
    struct lock lock;
    struct cond wake; /* something is due */
    struct lockfile *files;
    pthread_t threads[LOCK_THREADS];
    unsigned n_threads;
    bool is_stopping;
    uint64_t search; /* counts the searches for circles of waits */
    uint64_t last_number; /* of a lockfile's record */
};

/* --- locktable.c --- */
/* The inode's lockfile, referenced. 0 or -errno. */
_must_check_ int lockfile_of(struct vfs *v, struct inode *i, struct lockfile **ret);
/* The one of this name, made if there is none ("": always), referenced. 0 or -errno. */
_must_check_ int lockfile_get(struct vfs *v, const char *name, struct lockfile **ret);
void lockfile_unref(struct vfs *v, struct lockfile *lf); /* NULL is fine */
bool lockfile_is_free_locked(const struct lockfile *lf); /* nobody here holds or waits */
/* What the file goes by until it has an id. 0 or -errno. */
int lockfile_key_name_locked(const struct vfs *v, const struct inode *i,
                             char ret[LOCKFILE_NAME_SIZE]);
/* From now on lf is the one that goes by this id. 0; TRY_BUSY_THERE: another one does, and is in
 * use. With lf->change held. */
int lockfile_take_id(struct vfs *v, struct lockfile *lf, const char *id);
/* Would this wait of a posix owner close a circle of waits? */
bool lock_closes_circle_locked(struct locktable *t, const struct lockfile *lf,
                               const struct vfs_lock *l);
bool inode_has_id_locked(const struct inode *i); /* the object in the bucket carries it */

/* --- locks.c --- */
/* Tries once to give the owner what it wants: 0, an enum lock_try, -errno. */
int lock_try(struct vfs *v, struct inode *i, struct lockfile *lf, const struct vfs_lock *l);
/* Writes what is held here into the bucket if that is in doubt. 0, or -errno: try again. */
int lock_settle(struct vfs *v, struct lockfile *lf);
/* The owners hold this from now on; *now is taken. With change held. */
void lock_put_held(struct vfs *v, struct lockfile *lf, enum lock_kind kind, struct lockset *now, bool has_grown);
bool lock_is_unsettled(const struct lockfile *lf); /* what the bucket has is not what it should be */

/* --- keeplock.c: KEEP-6; with lf->change held, and where nothing is kept they do nothing --- */
/* The bucket is about to be asked for this; it was, and `held` is what the owners have. i: whose call it is, or NULL. */
void lockkeep_begin(struct vfs *v, struct lockfile *lf, const struct vfs_lock *l);
void lockkeep_end(struct vfs *v, struct lockfile *lf, const struct inode *i);
void lockkeep_again(struct vfs *v, struct lockfile *lf); /* something else of it has changed */
/* The inode is locked as this file from now on, or not any more. Under v->tree; the first is written by lockkeep_node(), without
 * any lock, if the file's record is there. */
void lockkeep_add_node_locked(struct vfs *v, struct lockfile *lf, uint64_t node);
void lockkeep_drop_node_locked(struct vfs *v, struct lockfile *lf, uint64_t node);
void lockkeep_node(struct vfs *v, struct lockfile *lf);

/* --- lockshare.c: with lf->change held --- */
/* Finds out what a dead daemon's locks have come to, if nobody has yet. 0: it is known, and is_lost if they are lost; -errno:
 * it is not, and nothing may be believed. */
_must_check_ int lockshare_ready(struct vfs *v, struct lockfile *lf);
/* The bucket has what the file's owners hold when `want` takes the place of held[kind]. 0,
 * SHARE_BUSY, SHARE_LOST, -errno. */
int lockshare_set(struct vfs *v, struct lockfile *lf, enum lock_kind kind, const struct lockset *want);
void lockshare_lost(struct lockfile *lf); /* after SHARE_LOST */
/* The file's id is in the bucket, or is about to be: the same locks under its name too. */
int lockshare_publish(struct vfs *v, struct lockfile *lf, const char *id);
int lockshare_check(struct lockfile *lf); /* is what is held still ours? As share_check() */
bool lockshare_is_by_key(const struct lockfile *lf);
/* A file that goes by its id: does a mount that made it too, and has not sent it yet, hold a lock
 * by its key that is in the way? One GET, once for a file; who gets such a lock later finds the id,
 * and takes its lock as well. 0, SHARE_BUSY, -errno. */
int lockshare_ask_key(struct vfs *v, struct inode *i, struct lockfile *lf,
                      const struct vfs_lock *l);

/* --- lockwait.c --- */
/* Waits without a thread: VFS_LOCK_WAITS, or -EDEADLK, -EINTR, -errno (then w is the caller's). */
int lock_park(struct vfs *v, struct inode *i, struct lockfile *lf, const struct vfs_lock *l,
              struct vfs_lock_wait *w, bool is_there);
/* Something changed: try for those who wait, now. */
void lock_wake(struct vfs *v, struct lockfile *lf);
void lock_wake_locked(struct vfs *v, struct lockfile *lf, int64_t delay_ns);

#endif
