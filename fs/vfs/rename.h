/* SPDX-License-Identifier: Apache-2.0 */
/* Renames: what their files share.
 *
 * RENAME-1  Nothing is deleted under the old name before it stands under the new one, and then only
 * as the version that was copied. So at any time a name that moves is under at least one of its
 * names. RENAME-2  Before the first copy an intent is written down (coord/intent.h). Whoever
 * deletes anything on its strength holds it, and asks its session first: a mount that was away for
 * a lease time does no more of it, as another one does it by then. RENAME-3  A copy carries the
 * intent's mark and its source's ETag (MOVED_HDR); a later write of that file here takes the ETag
 * off. So who takes an intent over knows what was copied, from which version, and whether it was
 * written to since. */
#ifndef S3EFS_VFS_RENAME_H
#define S3EFS_VFS_RENAME_H

#include <pthread.h>

#include "base/err.h"
#include "base/origin.h"
#include "coord/intent.h"
#include "internal.h"

enum rename_outcome {
    RENAME_AGAIN = 1,   /* another rename stood in the way, or the source is not what it was */
    RENAME_CHANGED = 2, /* what should be deleted is another version now */
    RENAME_OLD = 3,     /* a dead mount's intent stands, older than conf.finish_age_ns */
};

struct rename_names {
    struct inode *dir, *new_dir;
    const char *name, *new_name;
};

/* --- rename_dir.c --- */
/* With no lock held. over: an inode that stands under the new name (a directory; must be
 * empty), or NULL. RENAME_AGAIN: wait without locks (intents_wait) and start again. */
int rename_dir(struct vfs *v, const struct rename_names *n, struct inode *i, struct inode *over);

struct moved {
    char *from, *to;
    struct store_etag etag; /* of the source when it was copied */
    struct store_obj now;   /* the copy */
    uint64_t size;
    bool is_copied;
    bool is_gone; /* there was no source when it was looked at last */
    bool is_left; /* stays under its old name: the new one is a stranger's, or was written to */
    struct inode *inode; /* known here, with content */
};

/* --- moved.c: one key --- */
#define MOVED_HDR STORE_USER_META "s3efs-moved"
enum moved_how {
    MOVED_NOT,     /* not by this rename */
    MOVED_TOUCHED, /* by this one, and written to since */
    MOVED_STALE,   /* by this one, but from another version of the source */
    MOVED_SAME,    /* a copy of this version of the source */
};
_must_check_ int moved_set(struct store_hdrs *hdrs, const char *mark,
                           const struct store_etag *source);
enum moved_how moved_look(const struct store_hdrs *hdrs, const char *mark,
                          const struct store_etag *source);
/* The object's headers under its new key: the file id is bound to the key (protocol 2). */
_must_check_ int moved_headers(struct vfs *v, const struct moved *one, const struct intent *what,
                               const struct store_obj *obj, struct store_hdrs *ret);
/* 0 and *ret, STORE_NOT_FOUND, -errno. */
int key_head(struct vfs *v, const char *key, struct store_obj *ret);
/* Deletes a key if it still is the version that was copied. 0 also if it was gone; RENAME_CHANGED;
 * -errno. session: of the intent on whose strength it is done; "": there is none. */
int rename_delete(struct vfs *v, const char *key, const struct store_etag *etag,
                  const char *session);

/* --- moving.c: keys --- */
struct move {
    struct vfs *v;
    struct intent_claim *claim;
    bool is_first; /* the renamer itself, before anything is deleted: a stranger's file is an error
                    */
    struct moved *all;
    size_t n, cap;
    enum origin origin; /* of who moves */
    struct {
        struct lock lk;
        size_t next;
        int error;
        struct err_copy cause;
    } locked;
    int (*step)(struct move *m, struct moved *one);
};
/* copying.c. What another client removed meanwhile is not copied; one->is_left where the new name is
 * not ours to take. Again: if the copy is ours, it is replaced by what the source is now. */
int move_copy(struct move *m, struct moved *one);
void move_init(struct move *m, struct vfs *v, struct intent_claim *claim, bool is_first);
void move_done(struct move *m);
/* Lists and copies what is below claim->what.from; again: only what is not in m->all yet. */
int move_copy_all(struct move *m);
/* Best effort: the copies go again. 0 if none is left. */
int move_undo(struct move *m);
/* After the copies hold: the sources go, and so do files that came below the old name meanwhile. */
int move_delete_all(struct move *m);
/* One file under its claim: the newer version that another client wrote under the old name replaces
 * the copy, then goes. one->now is the copy. 0; RENAME_CHANGED: it stays where it is. */
int move_newer(struct vfs *v, struct intent_claim *claim, struct moved *one);

/* --- source.c: the source of a file's rename, under its claim, with names (read) and io held --- */
enum source_outcome { SOURCE_NEWER = 3 };
_Static_assert((int)SOURCE_NEWER != (int)RENAME_AGAIN, "source_moved_on() gives both");
/* Is it what is known here? 0: it is, or is known by now (claim->what.source); RENAME_AGAIN: look
 * again; -errno. */
int source_check(struct vfs *v, struct inode *i, struct intent_claim *claim);
/* Its bytes could not be had (-ESTALE). SOURCE_NEWER: another version is known by now; RENAME_AGAIN;
 * -ESTALE: that was not it; -errno. */
int source_moved_on(struct vfs *v, struct inode *i, struct intent_claim *claim);
/* It goes. What another client wrote there meanwhile replaces the copy; but what was written here and
 * is only in the copy is not given up for it (was_dirty): then both stay. */
int source_delete(struct vfs *v, struct inode *i, struct intent_claim *claim, bool was_dirty);

/* --- intents.c: what is known here of renames, ours and others' --- */
/* Claims the names for a rename of ours. 0; RENAME_AGAIN (the way is free again when intents_wait()
 * of claim->what.from or .to returns); -errno. Servers without conditions of PUT: 0 and no claim.
 */
int intents_claim(struct vfs *v, struct intent_claim *claim);
/* The claim's next state: here and in the bucket. */
int intents_advance(struct vfs *v, struct intent_claim *claim, enum intent_state state);
/* The end: r 0, it is finished; else it is left for intents_mend(). */
void intents_end(struct vfs *v, struct intent_claim *claim, int r);
/* Nothing was done: the names are free again. */
void intents_withdraw(struct vfs *v, struct intent_claim *claim);
/* With v->tree held: from now on the state that the claim has is what is shown here. */
void intents_show_locked(struct vfs *v, const struct intent_claim *claim);
void intents_progress(struct vfs *v, const struct intent_claim *claim, uint64_t all);
void intents_step(struct vfs *v, const struct intent_claim *claim);
/* Waits, with no lock held, until no rename but ours stands on this name; finishes one whose mount
 * is dead. RENAME_OLD: its mount is, and it is too old to be finished here. */
int intents_wait(struct vfs *v, const char *key, bool is_dir);
/* Asks the bucket which intents there are. */
int intents_look(struct vfs *v);
/* Finishes what dead mounts left, sweeps what is old. The number of renames that still stand, or
 * -errno. */
int intents_mend(struct vfs *v);

/* --- mend.c --- */
/* Carries a claimed rename of a mount that died to its end, as far as it got: to the new name if
 * the copy is there, else nothing was done. */
int mend_file(struct vfs *v, struct intent_claim *claim);
int mend_dir(struct vfs *v, struct intent_claim *claim);

#endif
