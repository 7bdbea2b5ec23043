/* SPDX-License-Identifier: Apache-2.0 */
/* What this mount holds of one file's locks in the bucket: its share of the record `locks/<name>`,
 * under its session. Local owners are the caller's business: here a mount holds what they have
 * together (lockset_union), and mounts exclude each other.
 *
 * SHARE-1  What is held is in the record under a session that was alive when it was written there;
 * it is lost with that session. SHARE-2  A living session's ranges are never taken; a dead one's
 * are removed after it was marked. Threads: one call at a time for one share (the caller's lock);
 * calls block. */
#ifndef S3EFS_COORD_SHARE_H
#define S3EFS_COORD_SHARE_H

#include "coord/coord.h"
#include "coord/lockset.h"

enum lock_kind { LOCK_POSIX, LOCK_FLOCK, LOCK_KINDS }; /* they do not see each other */

enum share_outcome {
    SHARE_BUSY = 1, /* another mount, which lives, holds what conflicts: nothing has changed */
    SHARE_LOST =
        2, /* the session under which something was held is lost, and with it what was held */
};

struct share;
/* No request is made. name: what follows "locks/". */
_must_check_ int share_new(struct coord *c, const char *name, struct share **ret);
/* Forgets it; what is still held stays in the record for as long as the session lives. NULL is
 * fine. */
void share_free(struct share *sh);

/* From now on this mount holds `want` (all empty: nothing). One PUT if our copy of the record is
 * still right, else a GET and a PUT; none if that is what it holds. 0; SHARE_BUSY; SHARE_LOST;
 * -errno: it is not known what the record says (share_is_sure), so it is to be called again, at
 * least with what was held before. */
_must_check_ int share_set(struct share *sh, const struct lockset want[LOCK_KINDS]);
/* From now on a conflict counts only if the record was read after this. Who tries several times in one
 * go calls it once; who never calls it keeps what was read first. */
void share_doubt(struct share *sh);
/* A daemon before this one held `held` under its session, or `want` if a change that was under way had reached the bucket: what
 * the record says of the two is held from now on, `held` if both do. A new share. It is written again, so that no request of that
 * daemon's can change it any more: one GET and one PUT. 0; SHARE_LOST: it is neither, or the session is lost; -errno: nobody
 * knows, to be called again. session "": nothing was held, and what the record has of our session goes. */
_must_check_ int share_resume(struct share *sh, const char *session, const struct lockset held[LOCK_KINDS],
                              const struct lockset want[LOCK_KINDS], bool *ret_is_want);
/* The session under which something is held; "": nothing is. As share_was_taken(), for the next daemon. */
const char *share_session(const struct share *sh);
void share_note_taken(struct share *sh);
/* Would `want` (of nobody here) conflict with another mount? One GET. 0 or SHARE_BUSY and a range
 * that does; -errno. */
_must_check_ int share_test(struct share *sh, enum lock_kind kind, const struct lock_entry *want,
                            struct lock_entry *ret_holder);
/* Does it hold at least this, as far as we know without asking? */
bool share_covers(const struct share *sh, enum lock_kind kind, enum lock_type type,
                  struct lock_range range);
bool share_is_held(const struct share *sh); /* anything */
bool share_is_sure(const struct share *sh); /* the last share_set() ended with 0 or SHARE_BUSY */
/* Is what is held still ours? Asks the session (a request only where our clock can't tell). 0,
 * SHARE_LOST, -errno. */
_must_check_ int share_check(struct share *sh);
/* The same, and that the record still says so: one GET. */
_must_check_ int share_verify(struct share *sh);
/* Something of what is held was taken from a session that had died: its last requests may still
 * be under way. */
bool share_was_taken(const struct share *sh);
/* After a loss: holds nothing. */
void share_forget(struct share *sh);

#endif
