/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: names that were removed here and whose objects the bucket still has.
 *
 * REM-1  Each has one entry in the journal (removerec.h) from before unlink(2) returns until its object is gone, or was
 * found to be another version (that one stays, the name is back and the log says it), or was refused for good (the
 * same), or a new file's entry has taken it over.
 * REM-2  While it waits, the name is gone for everybody on this mount: no lookup and no listing asks or
 * shows the bucket's. A name that stands there meanwhile is a new file that the bucket does not have.
 * REM-3  No other request about the key goes out before it (removal_settle). Only a new file's PUT under that name may
 * take its place: under If-Match of what was removed.
 * REM-4  It goes after every close that returned before it, so whoever loses this machine does not find
 * the old name gone and the new one (cp, rm) not there. Closes that came after it do not wait for it.
 * A file that its writer has open again is not waited for. A call that needs all below a directory done (rmdir) sends
 * those closes first; one that needs a single key does not.
 * REM-5  Only what was removed is deleted: the version by its ETag, and after a first try, a restart, a wait of more than
 * seconds, where it is empty, or where DELETE knows no conditions, a HEAD looks at its file id, too (protocol 4).
 * Nothing of it is evicted; its memory counts as unsent files' (outroom.c), and an unlink for which
 * there is no room, or no journal, waits for the bucket, as under commit=close. */
#ifndef S3EFS_VFS_REMOVAL_H
#define S3EFS_VFS_REMOVAL_H

#include "base/clock.h"
#include "internal.h"
#include "removerec.h"

#define REMOVAL_BATCH 1000 /* in one request */
#define REMOVAL_LINGER_NS (1 * NS_PER_S)

struct removal { /* all of it under v->tree, but what is_busy gives to one thread: what follows it
                  */
    struct map_link by_key;
    struct removal *prev, *next; /* in the order of acknowledgement */
    uint64_t seq;                /* of its entry */
    bool is_done;                /* the bucket said its last word, and the journal would not drop it */
    bool is_busy;
    bool is_tried; /* a DELETE may have reached the bucket */
    unsigned tries;
    int64_t retry_ns; /* not before */
    size_t counted;   /* of v->unsent */
    int64_t made_ns;  /* by clock_boot_ns() */
    uint64_t obj_size;
    struct store_etag etag;
    char id[33];
    bool is_moved;        /* as in removerec.h */
    char ctime[32];
    struct inode *holder; /* it is held (relocate.h): not in the queue, and without an entry of its own */
    char key[];
};

enum removal_outcome {
    REMOVAL_NOT = 1,  /* removal_make: it does not wait, the caller asks the bucket */
    REMOVAL_BACK = 2, /* removal_settle: another version is there, or DELETE was refused */
};

/* --- removal.c --- */
/* With names (read) and i->io held: the file, which the bucket has under key, is as good as
 * removed. 0 and *ret, for removal_join_locked() together with the name's end here; REMOVAL_NOT. */
int removal_make(struct vfs *v, struct inode *i, const char *key, struct removal **ret);
void removal_join_locked(struct vfs *v, struct removal *m);
/* --- of a stored file that is renamed (relocate.h): it is held by that file's entry --- */
struct removal *removal_new(const struct removerec *rec); /* calloc'd; NULL: no memory */
void removal_hold_locked(struct vfs *v, struct removal *m, struct inode *holder);
void removal_unhold_locked(struct vfs *v, struct removal *m); /* freed: the name is not removed */
/* It gets the entry's place in the journal, and waits as any other: *m is NULL then, and 0. -errno: it is held on. */
_must_check_ int removal_begin(struct vfs *v, struct removal **m, uint64_t replaces);
/* Does a removal of this key wait? */
bool removal_stands_locked(struct vfs *v, const char *key);
/* The bucket's names of a directory, sorted: without those whose removal waits. */
void removal_hide_locked(struct vfs *v, const char *dir_key, struct cache_listing *l);
/* The entry of a new file is made: it takes over the removal of its name, if that was never tried.
 * NULL: none. Then, when the file's entry stands (is_ok) or does not: */
struct removal *removal_lend_locked(struct vfs *v, const char *key);
void removal_took(struct vfs *v, struct removal *m, bool is_ok, bool is_dropped);
/* With names (read) and i->io held: the bucket refuses for good a new file that took a removal over. It stands again, busy,
 * or NULL; then, when the file's bytes are safe elsewhere (is_ok), its entry takes the place of the file's: 0, or
 * -errno: it is gone, logged, and the file's entry is as it was. */
struct removal *removal_give_back(struct vfs *v, struct inode *i);
int removal_gave_back(struct vfs *v, struct removal *m, bool is_ok);
/* A start finds it in the journal. 0, -ENOMEM, -EBADMSG, -EINVAL. */
int removal_replay(struct vfs *v, uint64_t seq, const void *text, size_t len);
/* And a later file's entry of that name: this version's PUT goes over it. */
void removal_replayed_over(struct vfs *v, const char *key, const struct store_etag *etag);
/* The bucket's last word was heard, its entry is dropped or will be. is_back: the name may be
 * there. */
void removal_end(struct vfs *v, struct removal *m, bool is_back, bool is_dropped);
bool removal_drop(struct vfs *v, const struct removal *m);     /* its entry; false, and logged */
void removal_release_locked(struct vfs *v, struct removal *m); /* it is not busy any more */
struct removal *removal_find_locked(struct vfs *v, const char *key); /* one that stands, or NULL */
/* What is to be done next, or NULL and when there is something (0: not before something happens).
 */
struct removal *removal_next_locked(struct vfs *v, int64_t *ret_due_ns);
int removal_unsent_locked(struct vfs *v, size_t max, struct vfs_unsent *u); /* -ENOMEM */
void removal_free_all(struct vfs *v); /* the threads are gone; the entries stay */

/* --- removing.c: with names (read) held or, where the key can't change, not --- */
/* The removal of this key, if one waits, is done when this returns 0. REMOVAL_BACK; -errno: it
 * waits on. */
int removal_settle(struct vfs *v, const char *key);
/* --- with no lock held --- */
/* Of all keys that begin so and were removed before this call: the closes before them are sent, then they are done. 0 or
 * -errno. has_names: the caller has names, also for writing, so that no sender can help. */
int removal_settle_below(struct vfs *v, const char *prefix, bool has_names);
uint64_t removal_newest_below(struct vfs *v, const char *prefix); /* its number; 0: none waits there */
/* Tries what is due, as much as goes at once; how many, 0: none is. */
size_t removal_run(struct vfs *v);
uint64_t removal_newest(struct vfs *v); /* its number; 0: none */
/* One try of each up to that one, but of what a close before it keeps back. 0 or the first error.
 */
int removal_drain(struct vfs *v, uint64_t last);
void removal_hurry_locked(struct vfs *v); /* nothing waits for its next try any more */

#endif
