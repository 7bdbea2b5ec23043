/* SPDX-License-Identifier: Apache-2.0 */
/* The mount's session: one object, `sessions/<id>`, renewed while it is in use, as NFSv4's client lease
 * (RFC 8881 8.3); locks, intents and orphans name it (protocol 6).
 *
 * Its holder stops itself by its own clock before anybody else may take it for dead. Others call it
 * dead when its ETag has not changed for a lease time on their own clock; before they act on it they
 * mark it dead by compare-and-swap, so a renewal that comes late finds that out. */
#ifndef S3EFS_COORD_SESSION_H
#define S3EFS_COORD_SESSION_H

#include <stdbool.h>
#include "coord/coord.h"

#define SESSION_ID_LEN 32 /* hex digits */

enum session_state {
    SESSION_ALIVE = 1, /* or not watched for long enough yet */
    SESSION_DEAD = 2,  /* ended, or marked dead now by us: what it held may be taken */
};

/* Begins the session at its first use and renews it from then on, on a thread of its own. 0, or -EIO
 * when the lease was lost: then a new session (with a new id) has been begun for what comes next, and
 * what was held under the old one is lost. */
_must_check_ int session_hold(struct coord *c, char ret_id[SESSION_ID_LEN + 1]);
/* Is this (an id that session_hold() gave) still ours, by our clock, with time for one more request? */
bool session_is_ours(struct coord *c, const char *id);
/* Requests made under a lease end before it does: their deadline_ns. */
int64_t session_deadline_ns(struct coord *c);
/* What is known of another mount's session. One GET; SESSION_ALIVE, SESSION_DEAD or -errno. Watching
 * begins with the first call about an id, so a waiter calls it again and again (a third of a lease
 * apart is enough). */
_must_check_ int session_judge(struct coord *c, const char *id);

#endif
