/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of vfs share.
 *
 * VFS-1  Every field of an inode but `data`'s content is guarded by v->tree; it is held for memory
 * work only. VFS-2  inode.io is held by whoever writes, truncates, opens, commits or moves one
 * file, also over store calls; so between its taking and its dropping the file's key and base do
 * not change under the holder. VFS-3  v->names is held for reading by every call that changes a
 * name or commits (the key stays what it was), for writing by a directory's rename, which changes
 * the keys of a whole tree. VFS-4  A reply of the bucket about a name is applied only if no local
 * change of that name happened since it was asked for (struct asking). VFS-5  An inode with open
 * handles moves to another version of its file only where no reader can see a mixture (all have
 * read to the end, or it was written or locked here): else it is detached, and the name gets a new
 * one. Order:
 * names, io (two: by address), tree. */
#ifndef S3EFS_VFS_INTERNAL_H
#define S3EFS_VFS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/budget.h"
#include "base/buf.h"
#include "base/lock.h"
#include "base/map.h"
#include "objattr.h"
#include "reading.h"
#include "vfs/vfs.h"

/* A name in a directory. */
struct dentry {
    struct map_link by_name;
    struct inode *parent, *inode;
    struct dentry *next, *prev; /* the directory's other names */
    struct dentry *other;       /* the inode's next name */
    char *name;
    int64_t checked_ns; /* hard links: when the bucket was last asked for this name */
};

/* What went to the file's end through O_APPEND since the last commit (merge.c). */
struct tail {
    uint64_t off, end;
    bool is_on;
    bool is_mixed; /* with other writes, or not at the end of the version here: fixed offsets */
};

/* A directory has at most one name, a file one for each of its hard links. */
struct inode {
    struct map_link by_node, by_ino; /* once it has had a name */
    uint64_t node, ino;
    struct dentry *names; /* NULL: the root, or no name leads here any more. The first one's key is */
    struct inode *parent; /* the key of the inode, and these two are the first one's too; */
    const char *name;     /* without a name: NULL, and the last name it had */
    char *last_name;
    struct dentry *child; /* first of the names in it */
    struct inode *idle_prev, *idle_next; /* idle.c */
    size_t charged;
    uint64_t nlookup;           /* the kernel's references */
    unsigned refs;              /* ours: calls under way, handles, children */
    unsigned n_open, n_writers; /* handles */
    unsigned n_through;         /* of them, that the kernel reads for by itself (through.h): from */
    int backing;                /* this file */
    unsigned n_subdirs, subdirs_change; /* subdirs.c */
    struct lock io;

    struct objattr attr;
    unsigned nlink;    /* of a hard link (attr.link_gen != 0), as its group was last read */
    bool has_lost_key; /* etag and data are of a name that went: link_ready() finds the others */
    atomic_uint type;       /* S_IFMT of attr.mode, to be read without a lock */
    struct store_hdrs hdrs; /* of the object, as the bucket has them */
    struct store_hdrs edits; /* and what its next commit changes in them (edits.c) */
    struct store_etag
        etag; /* of the object; unset: there is none (new file, implied directory, root) */
    int64_t obj_mtime_ns; /* its Last-Modified; 0 unknown (our own PUT) */
    uint64_t obj_size;    /* its size; attr.size is what was written since */
    int64_t checked_ns, ac_ns;
    int64_t named_ns; /* when the kernel was last told a name of it to keep */
    struct store_etag kernel_etag; /* whose pages the kernel may hold */
    struct data_file *data;        /* NULL until opened */
    uint64_t moved_change;         /* rename_dir: data_change() when its key was copied */
    int64_t dirty_since_ns;        /* 0: clean */
    int64_t written_back_ns;       /* when a commit in the background was last tried */
    struct outgoing *out;          /* its close has returned, the bucket does not have it (outbox.h) */
    bool out_is_behind;            /* and it was changed since */
    bool is_guessed;               /* a directory that a start made from keys (replay.c) */
    bool is_new;                   /* made here, nothing of it in the bucket yet */
    bool is_blank;                 /* a new directory that waits, and nothing below it is there either (makedir.h) */
    bool is_excl;                  /* made with O_EXCL */
    bool is_replacing;             /* new, and renamed onto an object, whichever version is there */
    bool is_over_removed;          /* the object was removed here before this one was made */
    bool is_linking;               /* its names are being made in the bucket; the entry stays until then (linked.h); under io */
    bool is_sent;                  /* new, and a commit that failed may have made its object */
    int64_t rivals_until_ns;       /* contest.c: other mounts commit it too, as seen until then; */
    int64_t rivals_try_ns;         /* a try takes so long. Both guarded by io */
    struct strict *strict;         /* excl=strict: its name is reserved; guarded by io */
    bool is_trunc;                 /* made with O_TRUNC, or cut to 0 since the last commit */
    bool is_cut_now;               /* attr.size was set by the call that waits for the commit */
    unsigned char attr_new;        /* STORED_* and VFS_SET_* since it was journaled last (stored.h) */
    unsigned attr_set;             /* VFS_SET_* since the last commit */
    struct tail tail;
    bool is_dirty;                 /* bytes or attributes wait for a commit */
    bool is_busy;                  /* its io is held: content and version are in use */
    bool is_stale; /* another client's doing took the name: what is written has no place to go, */
    const struct aside *aside; /* aside.h: what it is for those who have it open; NULL: what it says here */
    char *newer_key;       /* but here, where its file was seen in a newer version (NULL: nowhere) */
    bool is_kernel_behind; /* its pages and attributes, until inode_tell_kernel() has told it */
    unsigned kernel_change; /* counts what it is to be told */
    unsigned n_closing;     /* closes that wait, or did, for room in the journal (outroom.c) */
    struct handle *handles;
    struct kept *kept;      /* keep.c: what the takeover table has of it; guarded by io */
    struct lockfile *locks; /* once it was locked */
    uint64_t lock_seen;     /* lockfile.grown when it was last revalidated for a lock */
    bool is_barred; /* what was written under a lock met a stranger: it is never sent, by no one */
    int failed; /* -errno of the last commit, which the caller of close or fsync was told; 0 none */
    char *failed_why;
    int torn; /* -errno of a write of [torn_off, torn_end) that failed: the file is not what its */
    uint64_t torn_off,
        torn_end; /* writer meant, and is not committed until that is written or cut off */
};

/* One question to the bucket under way: about a name, or (name NULL) about a whole directory. */
struct asking {
    struct asking *next;
    const struct inode *dir;
    const char *name;
    atomic_bool is_stale; /* the answer must not be used */
    unsigned n_changes;
    struct asking_change {
        struct asking_change *next;
        bool exists, is_dir;
        char name[];
    } * changes; /* of a directory's names since it was asked */
};

#define VFS_SENDERS 8 /* of commit=local */
#define HANDLE_WRITERS 8
struct handle {
    struct map_link link;
    uint64_t fh;
    struct inode *inode;
    struct handle *next;    /* of its inode; under v->tree */
    struct data_file *data; /* the version that this handle sees */
    atomic_uint_fast64_t read_to; /* one past the furthest byte that the kernel asked for */
    int flags;
    bool is_writer;
    bool is_fresh;    /* created or truncated, and nothing written or committed since */
    bool has_written; /* bytes since the last commit */
    bool is_kept;     /* the takeover table has it; under v->tree */
    bool is_through;  /* THROUGH-1; under v->tree */
    pid_t last_tid;   /* the writers so far: thread groups */
    pid_t writers[HANDLE_WRITERS];
    unsigned n_writers;
    struct dir_snapshot *dir;
    bool is_read; /* directories: an entry was given out */
};

struct vfs {
    struct vfs_conf conf;
    bool is_stopped; /* vfs_stop() */
    char *prefix;
    struct store *store;
    struct cache *cache;
    struct data *data;
    struct upload *upload;
    struct coord *coord;
    struct locktable *locks;
    struct keep *keep; /* NULL: nobody takes this mount over */
    struct statahead *ahead;
    struct through *through; /* NULL: the kernel reads nothing by itself */
    pthread_rwlock_t names;
    struct lock tree;
    struct {
        struct map by_node, by_ino, by_name, handles;
        uint64_t next_node, next_fh;
        struct inode *root;
        struct asking *asking;
        char last_error[256];
        unsigned n_far;               /* nameslock.c: calls that wait for another mount's rename */
        struct intent_known *intents; /* intents.c */
        int64_t intents_looked_ns;
        uint64_t intents_looks;
        bool intents_are_mended, intents_end; /* the thread runs; it shall end */
        bool writeback_runs, writeback_idles, writeback_ends; /* the same of writeback.c's */
        struct outgoing *out_first, *out_last;                /* outbox.h */
        unsigned out_senders, out_idle;
        bool out_ends;
        struct fold_dir {
            uint64_t dir;                     /* ino: its node may be forgotten; 0: none */
            int64_t until_ns, plain_until_ns; /* plain: other names than temporary ones */
            int64_t wait_ns;
        } folds[16]; /* fold.h */
        struct absent {
            uint64_t dir;     /* ino */
            int64_t asked_ns; /* 0: none */
            char name[VFS_NAME_MAX + 1];
        } absent[32]; /* absent.h */
        struct inode *idle_first, *idle_last; /* idle.c: every inode with a number but the root */
        uint64_t names_bytes, idle_again, idle_wanted;
        size_t idle_left; /* of a turn over the list */
        uint64_t out_unread; /* entries of the journal that no file could be made of */
        struct unread {      /* those of them that are tried again (reread.c), in their order */
            uint64_t *seqs;
            size_t n;
            int64_t next_ns, wait_ns;
            bool is_busy;
        } unread;
        struct reading reading;
        struct map removals; /* removal.h */
        struct removal *removal_first, *removal_last;
        size_t n_held; /* removals that wait for a file's new name (relocate.h) */
    } locked;
    struct cond far_over; /* n_far is 0 */
    struct cond writeback_due;
    pthread_t writeback_thread;
    struct cond out_due;
    struct cond makedir_over; /* nobody has that one's claim */
    struct cond removal_over; /* one is not busy any more, or gone */
    struct budget unsent; /* outroom.c */
    struct budget lists, lists_alone, lists_cached, kept; /* listroom.h */
    pthread_t out_threads[VFS_SENDERS];
    struct cond intents_due;
    pthread_t intents_thread;
    atomic_uint intents_hiding; /* directories' renames that are known */
    atomic_llong folds_until_ns; /* no fold lasts longer; fold.h */
    atomic_ullong dev; /* of the mount; 0: not known (yet) */
    atomic_uint_fast64_t hidden, commits, commit_errors;
};

/* --- inode.c: all _locked under v->tree --- */
struct inode *inode_new(struct vfs *v); /* refs 1 */
struct inode *inode_by_node_locked(struct vfs *v, uint64_t node);
struct inode *inode_child_locked(struct vfs *v, const struct inode *dir, const char *name);
/* The file with this id that stands under a name here, or NULL. */
struct inode *inode_by_id_locked(struct vfs *v, const char *id);
struct dentry *dentry_find_locked(struct vfs *v, const struct inode *dir, const char *name);
/* Gives the inode one more name, the last in its list; -ENOMEM. */
int inode_attach_locked(struct vfs *v, struct inode *i, struct inode *dir, const char *name);
/* This name no longer leads to its inode, which may be freed by it if nobody refers to it. */
void dentry_detach_locked(struct vfs *v, struct dentry *d);
void dentry_put_first_locked(struct dentry *d); /* the inode's key is this one's from now on */
void inode_detach_locked(struct vfs *v, struct inode *i); /* none of its names leads here */
/* The same, by another client's doing: whoever writes to it must be told (protocol 2d). */
void inode_abandon_locked(struct vfs *v, struct inode *i);
/* The same for one name: a file that has others lives on under those. */
void dentry_abandon_locked(struct vfs *v, struct dentry *d);
void inode_io_take(struct vfs *v, struct inode *i);
void inode_io_drop(struct vfs *v, struct inode *i);
void inode_unref_locked(struct vfs *v, struct inode *i);
void inode_unref(struct vfs *v, struct inode *i);
/* A file below top whose bytes or attributes, or a directory whose marker (commit=local) waits for a commit since then
 * or longer (INT64_MAX: at all), or NULL. */
struct inode *inode_find_dirty_locked(struct inode *top, int64_t since_ns);
bool inode_is_gone_locked(const struct vfs *v, const struct inode *i);
/* Something of it is not in the bucket: of a file bytes or attributes, of a directory its entry in the journal. */
bool inode_waits_locked(const struct inode *i);
/* Bytes or attributes wait for a commit, or for an error: not those of a file removed here. Or the marker of a directory
 * that has an entry in the journal. */
bool inode_is_owed_locked(const struct vfs *v, const struct inode *i);
bool inode_is_stale_locked(const struct vfs *v, const struct inode *i); /* gone, not by us */
/* The object is now this one (size, ETag): pages that the kernel had of the version before it are
 * as good as they were. */
void inode_moved_locked(struct inode *i, const struct store_obj *now);
static inline bool inode_is_dir(const struct inode *i)
{
    return atomic_load(&i->type) == S_IFDIR;
}
/* Key of an inode, or of a name in it (NULL: the inode itself; directories end in '/').
 * -ENAMETOOLONG. */
int inode_key_locked(const struct vfs *v, const struct inode *i, const char *name,
                     char ret[VFS_KEY_MAX + 2]);
void inode_stat_locked(const struct vfs *v, const struct inode *i, struct stat *ret);
void inode_entry_locked(struct vfs *v, struct inode *i,
                        struct vfs_entry *ret); /* takes a lookup reference */
bool inode_is_fresh_locked(const struct vfs *v, const struct inode *i);
bool dentry_is_fresh_locked(const struct vfs *v, const struct dentry *d);
int64_t inode_attr_ns_locked(const struct vfs *v, const struct inode *i);
void inode_note_id_locked(struct vfs *v, struct inode *i); /* its file id is another now */
void inode_touch_locked(struct inode *dir); /* a name in it changed */
/* The node, referenced; -ESTALE if there is none. */
int inode_get(struct vfs *v, uint64_t node, struct inode **ret);
/* Takes what the bucket says of an object for granted (attributes, ETag, validity). */
void inode_set_obj_locked(struct vfs *v, struct inode *i, const char *key,
                          const struct store_obj *obj, int64_t checked_ns);

/* --- asking.c --- */
void asking_begin_locked(struct vfs *v, struct asking *a, const struct inode *dir,
                         const char *name);
void asking_end_locked(struct vfs *v, struct asking *a);
void asking_done(struct asking *a); /* frees the changes */
void names_changed_locked(struct vfs *v, const struct inode *dir, const char *name, bool exists,
                          bool is_dir);
void names_moved_locked(struct vfs *v); /* a tree was renamed: every answer under way is stale */

/* --- lookup.c --- */
struct found {
    bool is_dir;
    bool has_obj; /* the object itself, or the directory's marker */
    struct store_obj obj;
    bool is_ready; /* reading.h: nor need an open ask for its bytes */
    bool is_asked; /* of the bucket; and the name was not there then: */
    int64_t absent_ns;
    int64_t checked_ns;
    unsigned nlink; /* a hard link (link.h); else 0 */
    int64_t link_ctime_ns;
};
/* Asks the bucket about a name: 0, -ENOENT, -errno. dir_first: it was a directory when last seen.
 */
int name_ask(struct vfs *v, const char *key, bool dir_first, struct found *ret);
/* The same, for a name that is most likely free (askboth.c). */
int name_ask_new(struct vfs *v, const char *key, struct found *ret);
/* A directory of that name only. 0, STORE_NOT_FOUND, -errno. */
int name_ask_dir(struct vfs *v, const char *key, struct found *ret);
/* Its object only. 0, STORE_NOT_FOUND, -errno. */
int name_head(struct vfs *v, const char *key, struct found *ret);
void found_done(struct found *f);
/* Looks a name up as vfs_lookup does; *ret is referenced. */
int name_lookup(struct vfs *v, struct inode *dir, const char *name, struct inode **ret);
/* Asks again if the attribute times have run out; -ESTALE when it is not this file any more. */
int inode_revalidate(struct vfs *v, struct inode *i);

/* --- follow.c: an inode and the newest version of its file --- */
/* Does the object carry this file's id (protocol 2), and is it a file of the same kind? */
bool inode_is_file_of(const struct vfs *v, const struct inode *i, const char *key,
                      const struct store_obj *obj);
/* Asks the bucket whether the inode is what is there, with names (read) and io held: moves it
 * there if nobody has it open or all have read it to its end; -ESTALE: look the name up again. */
int inode_check(struct vfs *v, struct inode *i, bool wants_bytes);
/* The same with no lock held and for who must see the newest version (a lock was taken): moves it
 * whatever its readers have read, and commits first what was written here. 0; -ESTALE: it is another
 * file now, or gone; what the commit or the request says. The kernel is told. */
int inode_follow(struct vfs *v, struct inode *i);
/* `tail -f`: the attribute times ran out and every handle has read to the end. true: the inode is
 * what the bucket has now. With no lock held. */
bool inode_follow_end(struct vfs *v, struct inode *i);
/* The same for the inode that a name leads to; referenced, or NULL: look it up. */
struct inode *inode_follow_name(struct vfs *v, struct inode *dir, const char *name);
/* With io held: the inode and all its handles become that version; what was written is forgotten. */
int inode_move(struct vfs *v, struct inode *i, const char *key, const struct store_obj *obj,
               int64_t asked);
/* The name leads to another version (obj; NULL: to no object) from now on, the inode stays. */
void inode_replaced_locked(struct vfs *v, struct inode *i, const char *key,
                           const struct store_obj *obj);
/* With no lock held: the kernel drops what it has of the inode, if that is out of date; when this
 * returns it has, whoever told it. */
void inode_tell_kernel(struct vfs *v, struct inode *i);
void inode_kernel_behind_locked(struct vfs *v, struct inode *i);
/* Could none of those who have it open see a mixture, if it went to that version of its file? */
bool inode_readers_go_on_locked(const struct inode *i, const struct store_obj *obj);

/* --- merge.c: a commit that meets another version (protocol 2) --- */
void tail_note_locked(struct inode *i, uint64_t off, uint64_t end, bool is_append); /* a write */
void tail_cut_locked(struct inode *i, uint64_t size);
/* It began at O_TRUNC or truncate(0) and has committed nothing since. */
bool merge_owns_whole_locked(const struct inode *i);
/* With io held. `there` (an upload_outcome's) is in the way. 0: the inode is based on it now, try
 * again under *cond; else the errno of the close. is_waited: by a close or fsync. */
int merge_resolve(struct vfs *v, struct inode *i, const char *key, int outcome,
                  const struct store_obj *there, bool is_waited, struct store_cond *cond);
/* --- contest.c: commits of one file by several mounts that meet each other --- */
struct contest {
    int64_t began_ns, until_ns, try_ns;
    unsigned tries;
    struct store_etag there; /* the version that contest_same() saw last, and how often in a row */
    unsigned n_same;
};
/* With io held, or without an inode (NULL): what others do is not remembered then. Both may pause.
 * lost: a try met another version. 0: try again; -EIO: a soft mount's time is over. */
void contest_begin(struct vfs *v, struct inode *i, struct contest *c);
int contest_lost(struct inode *i, const char *key, struct contest *c);
/* A DELETE was refused, and this version is there now. 0; -EIO: it was all the time, so nobody else
 * is at it. */
int contest_same(const char *key, const struct store_etag *etag, struct contest *c);

/* UPLOAD_LANDED: what was written here is in the bucket, and `now` came on top of it. */
/* Protocol 5: a change of attributes alone keeps the ETag, so no condition meets it. Who commits and
 * has not looked for acregmin looks first (a HEAD), and takes what was not set here. 0 or -errno. */
int merge_see_attr(struct vfs *v, struct inode *i, const char *key);
int merge_landed(struct vfs *v, struct inode *i, const char *key, const struct store_obj *now);
/* The same where something that was set here has not landed with it: the inode's bytes are those of that version now,
 * and what is left is to go onto it, under *cond. 0; -errno: the inode is as it was. */
int merge_goes_on(struct vfs *v, struct inode *i, const char *key, const struct store_obj *now, struct store_cond *cond);
void merge_clean_locked(struct vfs *v, struct inode *i); /* all of it is in the bucket */

/* --- writeback.c: files held open (protocol 12) --- */
size_t writeback_run(struct vfs *v); /* commits what is due; how many files */
void writeback_wake(struct vfs *v);  /* something was written */
void writeback_stop(struct vfs *v);

/* --- listing.c --- */
int listing_take(struct vfs *v, struct inode *dir, struct dir_snapshot **ret); /* listroom.h */
/* One page of a LIST, of the names behind `after` ("": all): those that the cache knows and that are as they were hold for
 * acregmin from when it was asked for. No name comes or goes. 0, or anything else: nothing is confirmed. */
struct listing_page {
    char last[VFS_NAME_MAX + 1]; /* the page ends with this name; "": that can't be said */
};
int listing_confirm(struct vfs *v, struct inode *dir, const char *after, struct listing_page *ret);
/* What is under a file's key is not known any more, nor whether anything is: the next one who wants
 * to know, or lists its directory, asks. (Where nothing is there for sure: cache_obj_drop().) */
void key_forget(struct vfs *v, const char *key);
/* A directory in it came or went: the next reader asks the bucket. */
void listing_forget(struct vfs *v, const struct inode *dir);

/* --- subdirs.c: directories in a directory, for its link count --- */
void subdirs_add_locked(struct inode *dir);
void subdirs_remove_locked(struct inode *dir);
/* A listing was taken; change: subdirs_change before the bucket was asked. */
void subdirs_listed_locked(struct inode *dir, const struct cache_listing *l, unsigned change);

/* --- handle.c --- */
int handle_new(struct vfs *v, struct inode *i, int flags,
               struct handle **ret); /* references i (and its data) */
struct handle *handle_get(struct vfs *v, uint64_t fh);
void handle_free(struct vfs *v, struct handle *h);
bool handle_is_executed_locked(const struct inode *i); /* a program that runs: ETXTBSY */
void handle_note_writer(struct vfs *v, struct handle *h, pid_t tid);
bool handle_wrote(struct vfs *v, const struct handle *h,
                  pid_t tid); /* did this thread's process write? */

/* --- file.c: a write of [off, end) ended with r --- */
void note_write_locked(struct inode *i, uint64_t off, uint64_t end, int r);

/* --- commit.c: with names (read) and i->io held --- */
int commit_inode(struct vfs *v, struct inode *i);
/* The same under its first name alone, which becomes one of a hard link: with another ETag than before. */
int commit_as_link(struct vfs *v, struct inode *i);
/* The same of what was written since to one that has names to be made yet (linked.h). */
int commit_stored_link(struct vfs *v, struct inode *i, bool is_waited);
/* The same of a new file that has its generation already (linked.h). */
int commit_new_link(struct vfs *v, struct inode *i, bool is_waited);
/* The same where no close or fsync waits for it: never takes the whole content of another version's
 * place (protocol 2a). */
int commit_inode_unwaited(struct vfs *v, struct inode *i);
/* After a commit that failed for good: the bytes go to lost+found, the inode forgets them. false: they could not be
 * put there. */
bool commit_give_up(struct vfs *v, struct inode *i, int error, const char *when);
void commit_mark_dirty_locked(struct inode *i);
/* The inode's content as of `change` is what the bucket has as `now` under key. Takes now's headers. */
void commit_took(struct vfs *v, struct inode *i, const char *key, struct store_obj *now,
                 uint64_t change);
/* Clean content of the inode, made if there is none yet. */
int content_open(struct vfs *v, struct inode *i);
/* Headers for a version of the inode under key: what the object has, our attributes, the content
 * type. */
int commit_headers(struct vfs *v, struct inode *i, const char *key, const char *name,
                   struct store_hdrs *ret);

/* --- doubt.c: upload_commit(), and what the cache knows of the key is not believed until there is an
 * answer (cache_obj_put()); those that look the name up meanwhile ask again --- */
_must_check_ int commit_upload(struct vfs *v, const struct upload_req *req, struct store_obj *ret);

/* --- marker.c --- */
/* With the directory's io held, or its claim (makedir.h). Its attributes as the bucket has them, if what is known is so old. 0 (also where
 * there is no marker); -errno. */
int marker_see(struct vfs *v, struct inode *dir, int64_t older_ns);
/* PUT of a directory's marker with its attributes; cond: absent, or If-Match of what it was. */
int marker_put(struct vfs *v, struct inode *dir);
/* The same of what its entry says, which waits: *ret_seq is that one, also where it fails. With its claim. Its edits stay. */
int marker_put_entry(struct vfs *v, struct inode *dir, uint64_t *ret_seq);
/* marker_put() ended with r < 0, after `tries` other tries. 0: another client had changed it, it has been
 * read again, and is to be put once more; else the errno. */
int marker_refused(struct vfs *v, struct inode *dir, int r, int tries);
/* A directory that only exists by its keys gets a marker, so that it stays when the last of them
 * goes. */
void marker_keep(struct vfs *v, struct inode *dir);

/* --- attr.c: what the caller was told has failed does not wait for the next commit, nor does it make
 * a close fail that has nothing else to send. --- */
void attr_take_back_locked(struct inode *i, const struct objattr *before);
/* Is a change of its attributes, or of its extended ones, left to a later commit? */
bool attr_waits_locked(const struct inode *i);

/* --- edits.c: changes of headers; an empty value removes one --- */
int edits_apply(const struct store_hdrs *edits, struct store_hdrs *hdrs);
int edits_add(struct store_hdrs *edits, const struct store_hdrs *more); /* all of them or, -ENOMEM, none */
void edits_drop(struct store_hdrs *edits, bool users, bool objects); /* those of user attributes; of the object's own headers */
int edits_set_type(struct store_hdrs *edits, const char *type); /* by hand: no look at the bytes undoes it */
bool edits_type_is_set(struct store_hdrs *hdrs);

/* --- moved.c --- */
/* Headers of a version that is no plain copy of a renamed one any more. */
void moved_touch(struct store_hdrs *hdrs);

/* --- late.c: where DELETE knows no conditions --- */
enum late_outcome { LATE_ELSEWHERE = 1 };
/* Is a write under this condition one that a rename could take away unseen? */
bool late_is_due(const struct vfs *v, enum store_if cond);
/* After a PUT of the inode under key with this condition, which gave *now: has a rename taken the key
 * away? 0: it is there, or went along; LATE_ELSEWHERE: it was put once more, under the file's new
 * name, and is *now there; -ESTALE: it has no place; -errno. */
_must_check_ int late_write(struct vfs *v, struct inode *i, const char *key, const char *name,
                            enum store_if cond, struct store_obj *now);
/* Before a DELETE: waits for a rename of the key. 0; -ENOENT: it was renamed; -errno. */
_must_check_ int late_unlink(struct vfs *v, const char *key);

/* --- intents.c --- */
void intents_done(struct vfs *v); /* ends its thread */
/* Before the bucket is asked about names: which renames are under way? Asked at most once in
 * acdirmin. */
void intents_glance(struct vfs *v);
/* --- hiding.c --- */
/* Is this key, which the bucket has just told of, not to be shown: the half of a directory's rename that
 * does not hold? May block. *since: 0 when the bucket had answered, and left to this function; with
 * one answer each record is read once. */
bool intents_hide(struct vfs *v, const char *key, uint64_t *since);
/* --- intents.c --- */
void intents_stats_locked(struct vfs *v, struct vfs_stats *ret);

/* --- lockrules.c: locks and commits, with names (read) and i->io held --- */
/* May what was written be sent? 0, -EIO: it was written under a lock that is lost; -errno. Before
 * each try. */
int locks_before_commit(struct vfs *v, struct inode *i);
/* The object is not what the commit started from, and the file is locked here: may its bytes be
 * written over that? 0, -EIO, -errno. */
int locks_may_rebase(struct vfs *v, struct inode *i);
/* The inode is as the bucket has it: what was written under a lost lock is out of the way. */
void locks_gave_up(struct vfs *v, struct inode *i);

/* --- locktable.c --- */
_must_check_ int locktable_new(struct locktable **ret);
void locktable_free(struct vfs *v); /* every inode is gone */
void inode_forget_locks_locked(struct vfs *v, struct inode *i);

/* --- nameslock.c --- */
/* Around a wait for another mount with names held: no directory's rename queues meanwhile. */
void names_far_begin(struct vfs *v);
void names_far_end(struct vfs *v);
void names_take_all(struct vfs *v); /* names, for writing */

/* --- names.c --- */
int name_check(const char *name); /* 0, -ENAMETOOLONG, -EINVAL: what can't be made here */
bool name_is_hidden(const struct vfs *v, const char *dir_key, const char *name);
/* The state prefix: not the user's, and no name that another tool got wrong either. */
bool name_is_ours(const struct vfs *v, const char *dir_key, const char *name);
bool name_has_state(const struct vfs *v, const char *dir_key); /* is it at or below this directory? */
/* "<state prefix><name>". -ENAMETOOLONG. */
int name_state_key(const struct vfs *v, const char *name, char *ret, size_t size);

/* --- enforce.c: 0 at once where no user is enforced; -EACCES, -EPERM, -ESTALE --- */
struct access_user;
int enforce(struct vfs *v, struct inode *i, unsigned want); /* ACCESS_* of access.h */
int enforce_name(struct vfs *v, struct inode *dir, const struct inode *victim); /* NULL: a new one */
int enforce_rename(struct vfs *v, const struct inode *dir, const struct inode *i,
                   const struct inode *new_dir, const struct inode *over);
int enforce_open(struct vfs *v, struct inode *i, int flags);
int enforce_setattr(struct vfs *v, const struct inode *i, bool is_by_writer, struct stat *st,
                    int *mask);
void enforce_new_locked(const struct vfs *v, const struct inode *dir, struct objattr *a);
void enforce_user(const struct vfs *v, struct access_user *who); /* the enforced one, if there is one */
int enforce_root(struct vfs *v, struct inode *root);

/* --- shadow.c: has a directory taken the new file's name? --- */
int shadow_check(struct vfs *v, struct inode *i, const char *key);

/* --- strict.c: with i->io held --- */
int strict_reserve(struct vfs *v, struct inode *i); /* under excl=strict; -EEXIST */
void strict_end(struct vfs *v, struct inode *i);    /* the name is made, or will not be */

/* --- winner.c --- */
int winner_adopt(struct vfs *v, struct inode *i, const char *key, const struct store_obj *there);

/* --- creator.c --- */
/* Is name looked up in the directory dir_name by who will create it whatever we say: by a rename, over what there is, or
 * with O_EXCL? In doubt: not. Or by who opens it for reading alone; or can nobody say (UNSEEN)? lookup.c's KNOWN: nobody
 * has looked. */
enum creating { CREATES_NOT, READS_ONLY, CREATES_UNSEEN, CREATES_KNOWN, CREATES_BY_RENAME, CREATES_OVER, CREATES_NEW };
enum creating creator_asks(struct vfs *v, const struct vfs_ctx *x, const char *dir_name, const char *name);

/* --- proc.c --- */
int proc_tgid(pid_t tid);
/* dev 0: not known, any file system. 1, 0, -errno: can't be seen. */
int proc_has_fd(pid_t pid, dev_t dev, uint64_t ino);
#define PROC_FDS_MAX                                                                               \
    256 /* of a process with more nothing is said: a look at each would cost more than it saves */

/* What objects that do not say have. */
static inline struct objattr_defaults vfs_defaults(const struct vfs *v)
{
    return (struct objattr_defaults){v->conf.uid, v->conf.gid, v->conf.file_mode, v->conf.dir_mode};
}

/* --- remove.c --- */
/* Without a condition; a key that is not there is as good. */
int key_delete(struct vfs *v, const char *key);

void vfs_set_error(struct vfs *v, const char *fmt, ...) _printf_(2, 3);

#endif
