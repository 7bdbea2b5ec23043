/* SPDX-License-Identifier: Apache-2.0 */
/* What mounts of one bucket agree on, by compare-and-swap of small objects below the state prefix
 * (".s3efs/" at the bucket's top): sessions, locks, rename intents, link groups. Everything there can
 * be lost without losing a file's bytes.
 *
 * COORD-1  A record changes only by a conditional PUT, and each PUT carries a fresh nonce in its body,
 *          so that no two states of a record have one ETag, and a lost reply is told from a refusal.
 * COORD-2  Wall clocks are never compared; all intervals are CLOCK_BOOTTIME of one machine.
 * COORD-3  A mount that uses none of it makes no request for it: the session begins with the first use.
 * Threads: any; calls block. No lock of rank LOCK_RANK_NO_BLOCK or above may be held over them. */
#ifndef S3EFS_COORD_COORD_H
#define S3EFS_COORD_COORD_H

#include <stdbool.h>
#include <stdint.h>
#include "base/macros.h"
#include "store/store.h"

struct coord;
struct coord_conf {
    const char *state_prefix; /* ends in '/'; copied */
    int64_t lease_ns;         /* how long a silent mount keeps what it holds; 0 = 30 s */
    struct store_caps caps;
    bool renew_by_hand; /* tests: by session_turn() only, not by a thread, which goes by real time */
    /* Of a session that a daemon before this one has begun (32 hex digits; copied): it goes on, with all that it holds, unless it
     * has ended meanwhile: then it is lost, and never comes back. NULL: there is none. */
    const char *session_id;
    /* Called before a session begins (id: 32 hex digits) and after it has ended (NULL), so that the next daemon can be given its
     * id. With no lock held; may not call back. NULL: nobody wants to know. */
    void (*session_note)(void *arg, const char *id);
    void *session_note_arg;
};
/* The store is borrowed and outlives it. */
_must_check_ int coord_new(const struct coord_conf *conf, struct store *store, struct coord **ret);
/* Gives up the session (its object is emptied, best effort) and ends its thread. NULL is fine. */
void coord_free(struct coord *c);
/* "<state prefix><name>" of what is kept there, for those who hide it or report it. */
const char *coord_state_prefix(const struct coord *c);

#endif
