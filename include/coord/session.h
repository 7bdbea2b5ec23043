/* SPDX-License-Identifier: Apache-2.0 */
/* The mount's session: one object, `sessions/<id>`, renewed while it is in use, as NFSv4's client lease
 * (RFC 8881 8.3); locks, intents and orphans name it (protocol 6).
 *
 * Its holder stops itself by its own clock before anybody else may take it for dead. Others call it
 * dead when its ETag has not changed for a lease time on their own clock; before they act on it they
 * mark it dead by compare-and-swap, so a renewal that comes late finds that out. The other way round
 * a renewal that comes late and succeeds proves that nobody has taken anything: the session goes on.
 *
 * A session that was lost (marked dead by another mount, or its object removed) is replaced by a new
 * one, with a new id, at the next session_hold(). What was held under the old id is lost: who holds
 * something remembers the id under which it was got, and asks session_is_ours() or session_check(). */
#ifndef S3EFS_COORD_SESSION_H
#define S3EFS_COORD_SESSION_H

#include <stdbool.h>
#include "coord/coord.h"

#define SESSION_ID_LEN 32 /* hex digits, lower case */

enum session_state {
    SESSION_ALIVE = 1, /* or not watched for long enough yet */
    SESSION_DEAD = 2,  /* ended, or marked dead now by us: what it held may be taken */
};

/* The id of the session, which has time for one more request by our clock; begun, renewed or
 * replaced first where that is needed (a PUT), and renewed from then on by a thread of its own. Each
 * call that gave 0 counts as one user until session_drop(); a session that nobody has used for a
 * lease time is ended, so who never drops keeps it for as long as the mount lives. 0 or -errno. */
_must_check_ int session_hold(struct coord *c, char ret_id[SESSION_ID_LEN + 1]);
/* Goes on with the session of coord_conf.session_id, if there is one and it lives. No other begins. 0; -errno: the bucket did not
 * say; it is tried again by the next session_hold(). */
_must_check_ int session_resume(struct coord *c);
/* Gives back one session_hold() of this id; nothing happens if that session is not ours any more. */
void session_drop(struct coord *c, const char *id);
/* Is this (an id that session_hold() gave) still ours, by our clock, with time for one more request?
 * No request is made. */
bool session_is_ours(struct coord *c, const char *id);
/* The same, but asks the bucket (one renewal) where our clock alone can't say yes. 0; -EIO and
 * session_is_lost(): it is lost; another -errno: nobody knows. */
_must_check_ int session_check(struct coord *c, const char *id);
bool session_is_lost(struct coord *c, const char *id); /* for certain: as known by now */
/* Counts one more user of the session of this id, which a daemon before this one had: as session_hold(), but begins none, and
 * its clock is not looked at (session_check). 0; -EIO and session_is_lost(): it is lost; another -errno: nobody knows. */
_must_check_ int session_join(struct coord *c, const char *id);
/* Requests made under a lease end before it does: their deadline_ns; 0 while there is no session. */
int64_t session_deadline_ns(struct coord *c);
/* What is known of another mount's session. At most one GET (and the mark); SESSION_ALIVE,
 * SESSION_DEAD or -errno. Watching begins with the first call about an id, so a waiter calls it
 * again and again; calls that come too soon to learn anything cost nothing. */
_must_check_ int session_judge(struct coord *c, const char *id);
/* The form of an id, for those who read one from a record. */
bool session_id_is_valid(const char *id);

#endif
