/* SPDX-License-Identifier: Apache-2.0 */
/* What there is below the state prefix, for who checks a bucket from outside (fsck): any record as
 * what it is, which sessions it names, and the few changes that are safe to make to what a dead
 * session left. Whether a session is dead is the caller's to find out, as protocol 6 has it: its
 * record unchanged for its lease, on the caller's own CLOCK_BOOTTIME. Threads: any; calls block. */
#ifndef S3EFS_COORD_SURVEY_H
#define S3EFS_COORD_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "coord/coord.h"
#include "coord/intent.h"
#include "coord/link.h"
#include "coord/session.h"

enum survey_kind {
    SURVEY_OTHER, /* no record that changes by compare-and-swap: root, probe/, lost+found/ ... */
    SURVEY_SESSION,
    SURVEY_LOCK,
    SURVEY_RESERVATION,
    SURVEY_INTENT,
    SURVEY_LINK,
};
enum survey_outcome {
    SURVEY_CHANGED = 1, /* it is not what it was: nothing was done */
    SURVEY_KEPT = 2,    /* this server can't delete under a condition: the empty record stays */
};

struct survey {
    enum survey_kind kind;
    struct store_etag etag; /* unset: there is no such record (any more) */
    bool is_empty;          /* nobody holds anything by it */
    int64_t lease_ns;       /* SURVEY_SESSION: how long it lives unchanged; 0: it has ended */
    char (*holders)[SESSION_ID_LEN + 1]; /* the sessions that it names, each once */
    size_t n_holders;
    struct intent intent;    /* SURVEY_INTENT */
    struct link_group group; /* SURVEY_LINK */
};
void survey_done(struct survey *s); /* idempotent; legal on a zeroed struct */

/* Pure. name: what follows the state prefix. */
enum survey_kind survey_kind_of(const char *name);
/* One GET; of SURVEY_OTHER none, and nothing but the kind is known. 0; -EBADMSG: it is not what its
 * name says; -errno. ret: zeroed or done. */
_must_check_ int survey_read(struct coord *c, const char *name, struct survey *ret);
/* Pure: the same for a body that is at hand. */
_must_check_ int survey_parse(const char *name, const char *body, struct survey *ret);

/* The session `id` was silent for its lease under this ETag: it is dead from now on, for all. 0,
 * SURVEY_CHANGED (it lives), -errno. */
_must_check_ int survey_bury(struct coord *c, const char *id, const struct store_etag *etag);
/* Takes the record away under the condition that it is this one: emptied where a DELETE has no
 * conditions. 0, SURVEY_CHANGED, SURVEY_KEPT (it is empty already, and stays), -errno. */
_must_check_ int survey_clear(struct coord *c, const char *name, const struct survey *s);
/* Takes what dead sessions hold out of a lock record. 0, SURVEY_CHANGED, -errno. */
_must_check_ int survey_release(struct coord *c, const char *name, const struct store_etag *etag,
                                bool (*is_dead)(void *arg, const char *id), void *arg);

#endif
