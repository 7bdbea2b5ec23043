/* SPDX-License-Identifier: Apache-2.0 */
/* The text of a lock record: a line for each range that a session holds,
 *     <session> posix|flock read|write <first byte> <last byte, or ->
 * and nothing where nobody holds anything. Pure. */
#ifndef S3EFS_COORD_LOCKREC_H
#define S3EFS_COORD_LOCKREC_H

#include "base/buf.h"
#include "coord/share.h"
#include "coord/session.h"

struct lockrec_holder {
    char session[SESSION_ID_LEN + 1];
    struct lockset held[LOCK_KINDS]; /* of owner 0 */
};
struct lockrec { /* zeroed: nobody */
    struct lockrec_holder *v;
    size_t n;
};
void lockrec_done(struct lockrec *r); /* idempotent */
/* 0, -EBADMSG (not as above), -ENOMEM; ret must be empty. */
_must_check_ int lockrec_parse(const char *body, struct lockrec *ret);
/* The whole text; mine (may be NULL) is what `session` holds instead of what the record has for it.
 */
void lockrec_format(const struct lockrec *r, const char *session, const struct lockset *mine,
                    struct buf *out);
/* A holder other than `session` with a lock that does not go together with these; NULL: none. */
const struct lockrec_holder *lockrec_conflict(const struct lockrec *r, const char *session,
                                              const struct lockset want[LOCK_KINDS]);
void lockrec_drop(struct lockrec *r, const char *session);

#endif
