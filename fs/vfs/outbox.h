/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: files whose close has returned and whose bytes are not in the bucket yet.
 *
 * OUT-1  Each has one entry in the journal: its newest acknowledged state. What is sent while it
 * has one is what stands there, under the mark that stands there: a file that was changed since is
 * journaled anew first (or, where the journal's disk refuses that, goes under a mark that was never
 * sent). So a replay that finds the mark in the bucket has nothing left to do.
 * OUT-2  The entry goes when the bucket has it (before the staged bytes go anywhere), when the
 * bytes are in lost+found, or when the name is removed; never on a guess. Where the journal fails to
 * drop it, it stays with the inode (is_done), and no name goes before it. OUT-3  The inode stays in
 * the table, new or dirty, until then: lookups, listings and opens here see what was acknowledged.
 * OUT-4  Nobody waits for such a commit, so it never takes another version's place (protocol 2a).
 */
#ifndef S3EFS_VFS_OUTBOX_H
#define S3EFS_VFS_OUTBOX_H

#include "internal.h"
#include "outrec.h"

struct outgoing {
    struct inode *inode;          /* referenced */
    struct outgoing *prev, *next; /* in the order of acknowledgement; under v->tree, as seq, */
    uint64_t seq;                 /* of the entry */
    uint64_t order;               /* of the first entry since the bucket had it */
    bool is_busy;                 /* a sender has it; of a directory: its claim (makedir.h) */
    bool is_in_step;              /* of a directory: makedir.h */
    size_t counted;               /* of v->unsent */
    int64_t retry_ns;             /* not before */
    int64_t fold_ns;              /* nor before that, and nothing after it (fold.h) */
    unsigned tries;               /* that failed */
    char mark[UPLOAD_MARK_SIZE];  /* from here on under the inode's io */
    char (*doubts)[UPLOAD_MARK_SIZE]; /* malloc'd: most have none */
    unsigned n_doubts;
    uint32_t attr_ages; /* STO-4 */
    bool is_done;     /* the bucket has it, and the journal would not drop it: tried again */
    bool is_tried;    /* the mark may be in the bucket */
    struct removal *from; /* held (relocate.h), or NULL; changes under both, io and v->tree */
    uint64_t same_change; /* data_change() of the bytes that were moved */
    bool is_same;         /* replayed: they are */
    bool keeps_hdrs;      /* new under its name, but its headers are those of an object */
    bool is_replayed; /* and the bytes that it went with may be others: merged onto a newer version
                       */
};

/* Where a rename takes an unsent file: what is otherwise taken from the inode. */
struct outbox_place {
    const char *key;
    struct store_etag etag;
    uint64_t obj_size;
    bool is_trunc, is_excl, is_replacing;
    bool is_over_removed; /* outbox_move() says so */
    const struct inode *over; /* whose place it takes, or NULL */
    struct removal *from; /* it is stored: what goes when the bucket has it here (relocate.h). Held then */
    int64_t ctime_ns;     /* of the rename; 0: as it is */
};

/* --- with names (read) and i->io held --- */
/* What a close, or under commit=local an fsync, waits for: what is dirty is in the journal. What
 * can't be, and has no entry, is committed. 0, or the errno of the close. */
int outbox_commit(struct vfs *v, struct inode *i);
/* It waits, and nothing of it was changed since its entry was made: what is dirty is nobody's who has it open. */
bool outbox_has_all_locked(const struct inode *i);
/* The inode as it is now becomes its entry. For a directory: of makedir.c, with its claim if it has one already. */
_must_check_ int outbox_put(struct vfs *v, struct inode *i);
/* Before it is sent at the end of a mount: what a close that waits for room has yet to journal, so that it is safe
 * if the sending hangs. Best effort. */
void outbox_keep(struct vfs *v, struct inode *i);
/* Can its close be over before it is sent? What is no file, symbolic link or node of this mount alone goes by the bucket; and what is
 * torn is refused there. */
bool outbox_can_wait_locked(const struct vfs *v, const struct inode *i);
/* Closed and unsent: a change of its attributes is as safe as its bytes when it is journaled, too.
 */
bool outbox_holds(struct vfs *v, const struct inode *i);
/* Before a commit of the file: OUT-1. */
int outbox_before(struct vfs *v, struct inode *i);
/* The mark of the commit that is made now, or NULL: it has no entry. */
const char *outbox_mark(struct inode *i, bool *ret_is_retry);
/* Is what the bucket has under the mark not surely what is here? */
bool outbox_is_replayed(const struct inode *i);
/* Waits something of this inode for its upload? Not what is_done. */
bool outbox_waits(const struct inode *i);
/* The bucket has it. */
void outbox_sent(struct vfs *v, struct inode *i);
/* It is not to be sent: its entry is gone for good when this returns 0; in its place is the removal of what it was renamed
 * from (REL-2). */
int outbox_forget(struct vfs *v, struct inode *i);
/* Another file stands under its name: as forget, but what can't be dropped now is tried again. NULL
 * is fine. */
void outbox_replaced(struct vfs *v, struct inode *over);
/* The last close failed with this error, for a write that had failed: the file becomes what its
 * entry says. Where that can't be read, it stays as it is. */
void outbox_revert(struct vfs *v, struct inode *i, int error);
/* A new file that was sent, and that the bucket does not have any more, while its entry stands: it is as unsent as that says. 0;
 * -errno: all is as it was. */
_must_check_ int outbox_unsend(struct vfs *v, struct inode *i);
/* It is no longer of this mount's queue; the entry stays for the next start. */
void outbox_leave(struct vfs *v, struct inode *i);
/* Before the tree follows: its entry says the new place; *to, too, where the removal of that name is taken over. A file whose close has not returned gets
 * one, too, where it takes an acknowledged one's place: else a crash would leave neither. */
int outbox_move(struct vfs *v, struct inode *i, struct outbox_place *to);
/* Before the tree follows (linked.h): the entry of a new file has a name more or less. Keys, or NULL. */
struct outbox_names {
    const char *add, *drop;
};
/* to: where the file is from now on, if it is its own key that goes; or NULL. Anything else than 0: all is as it was. */
_must_check_ int outbox_rename_names(struct vfs *v, struct inode *i, struct outbox_place *to, const struct outbox_names *names);
/* Sends it: 0; -errno: it stays, and is tried again, or its bytes are in lost+found. */
int outbox_send(struct vfs *v, struct inode *i);

/* Its data, referenced, if it is unsent and nobody has it open: for outbox_rest(). Else NULL. */
struct data_file *outbox_resting_locked(const struct inode *i);

/* --- outroom.c: how much memory the unsent files may take (vfs_conf.unsent_max) --- */
#define OUTROOM_ENTRY (sizeof(struct outgoing) + 128) /* with what the journal keeps of it in memory */
/* What the inode takes has changed, or who has it open. */
void outroom_count_locked(struct vfs *v, struct inode *i);
/* Is there room for one more just now? For who would not wait for it. */
bool outroom_is(struct vfs *v);
/* Before a close that may make one more: waits for room, with no lock held. The ticket goes back when the close is
 * over: the entry counts by itself. */
_must_check_ uint64_t outroom_take(struct vfs *v, struct inode *i);
/* The same before a change of a file by its name (stored.h). */
_must_check_ uint64_t outroom_take_change(struct vfs *v, struct inode *i);
void outroom_give(struct vfs *v, struct inode *i, uint64_t ticket);

/* --- with no lock held --- */
/* However many files are unsent, none of them needs a descriptor while nobody uses it. NULL is fine; consumed. */
void outbox_rest(struct data_file *f);
size_t outbox_run(struct vfs *v); /* sends what is due, each once; how many went */
/* Tries those whose close returned before that number of the journal, but what a writer has open again. 0: all of them went; the
 * first -errno. has_names: the caller has names, also for writing. */
int outbox_send_older(struct vfs *v, uint64_t before, bool has_names);
/* REL-3: what was renamed away from this key, or from any that begins so, is sent. 0, also where there is none; -errno. */
_must_check_ int outbox_unblock(struct vfs *v, struct inode *i); /* from its own key */
_must_check_ int outbox_send_holder(struct vfs *v, const char *key, bool has_names);
_must_check_ int outbox_send_holders_below(struct vfs *v, const char *prefix, bool has_names);
/* The directories, links and nodes in this directory that were made before the call and wait. 0; the first -errno. */
int outbox_send_names(struct vfs *v, const struct inode *dir);
void outbox_wake(struct vfs *v);  /* what waited for its writer may go */
void outbox_hurry(struct vfs *v); /* nothing waits for its next try any more */
/* Half of a file that is being written anew is no file (protocol 12). */
bool outbox_may_send_locked(const struct inode *i);
/* When the oldest close of those returned that can be sent and are not, as a number of the journal; UINT64_MAX: none. */
uint64_t outbox_oldest_locked(struct vfs *v);
void outbox_try_later(struct vfs *v, struct inode *i, int r); /* it has an entry; r: why */
int64_t outbox_retry_ns(unsigned tries); /* from now, after so many in vain */
bool outbox_is_final(int r);             /* no time and no other client will make it good */
void outbox_stop(struct vfs *v);  /* ends the senders; what is unsent stays in the journal */

/* o's marks in doubt become a copy of the record's. -ENOMEM: they stay what they were. */
int outgoing_set_doubts(struct outgoing *o, const struct outrec *rec);
void outgoing_free(struct outgoing *o); /* NULL is fine */

/* The other names that the entry says become the file's, as far as they are free. */
void replay_links_locked(struct vfs *v, struct inode *i, const struct outrec *rec);
/* The bytes of an entry. Any locks of rank below LOCK_RANK_NO_BLOCK. */
_must_check_ int replay_file(struct vfs *v, uint64_t seq, const struct outrec *rec, bool has_file,
                             struct data_file **ret);
/* vfs_replay() of one entry. A journal_fn; arg: the vfs. */
int replay_one(void *arg, uint64_t seq, const void *text, size_t len, bool has_file);
/* The version in the bucket that it is a change of, and on what conditions it goes there. */
void replay_base_locked(struct inode *i, const struct outrec *rec);
/* What it says of a file becomes the inode's, with f; consumes its headers. */
void replay_fill_locked(struct inode *i, struct outrec *rec, struct data_file *f);
struct outgoing *replay_marks(const struct outrec *rec); /* NULL: no memory */
/* What an entry says of a file's content, and f, which has it, become the inode's. */
void replay_content_locked(struct inode *i, const struct outrec *rec, struct data_file *f);
/* --- reread.c: entries that a start could not read, with no lock held --- */
void reread_add(struct vfs *v, uint64_t seq, bool may_get_better);
void reread_run(struct vfs *v); /* tries them again, if that is due */
/* False: *due_ns is not later than when it will be; 0: not at all. */
bool reread_is_due_locked(const struct vfs *v, int64_t *due_ns);
/* An entry of which the start made no file becomes one now, with names (read) held: 0; -EBUSY: its name is in use; -errno.
 * Consumes f. */
_must_check_ int replay_late(struct vfs *v, uint64_t seq, struct outrec *rec, struct data_file *f);

/* A replayed entry joins the queue. o: calloc'd, with its marks; consumed. Under v->tree. */
void outbox_join_locked(struct vfs *v, struct inode *i, struct outgoing *o, uint64_t seq);

#endif
