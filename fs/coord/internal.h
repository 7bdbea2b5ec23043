/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of coord share. */
#ifndef S3EFS_COORD_INTERNAL_H
#define S3EFS_COORD_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "base/lock.h"
#include "coord/coord.h"
#include "coord/session.h"

struct session {
    pthread_t thread;
    bool has_thread, is_stopping;
    bool is_busy; /* a request about our own session is under way; id and etag do not change */
    char id[SESSION_ID_LEN + 1]; /* "": none */
    char first_id[SESSION_ID_LEN + 1]; /* a daemon before this one's, to go on with; "": none */
    struct store_etag etag;
    int64_t renewed_ns; /* when the last renewal that took effect was sent */
    int64_t idle_ns;    /* since when nobody uses it; 0: somebody does */
    unsigned users;
    struct cond changed, stopped;
};

struct coord {
    struct coord_conf conf;
    char *prefix;
    struct store *store;
    struct lock lock;
    struct session session;   /* session.c; guarded by lock, like the next */
    struct watched *watching; /* judge.c */
};

/* --- session.c --- */
void session_init(struct coord *c);
void session_done(struct coord *c); /* ends the thread and clears the object */
/* What the thread does when it wakes up: renews or ends the session if that is due. Milliseconds
 * until it is due again; -1: nothing to wait for. */
int64_t session_turn(struct coord *c);
#define SESSION_NAME_SIZE (sizeof("sessions/") + SESSION_ID_LEN)
void session_name(const char *id, char ret[SESSION_NAME_SIZE]);
/* How long the session with this body stays alive without a renewal; 0: it has ended. */
int64_t session_parse(const char *body);

/* --- judge.c --- */
void judge_done(struct coord *c);

#endif
