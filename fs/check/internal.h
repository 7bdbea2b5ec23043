/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of check share. */
#ifndef S3EFS_CHECK_INTERNAL_H
#define S3EFS_CHECK_INTERNAL_H

#include "cache/scrub.h"
#include "check/check.h"
#include "coord/survey.h"

/* A session that a record names, or that has a record. */
enum session_fate {
    FATE_OPEN,     /* not known yet: its record lives */
    FATE_ALIVE,    /* it was renewed, or marked by somebody else meanwhile */
    FATE_SILENT,   /* unchanged for its lease */
    FATE_ENDED,    /* it has no record, or one that says so */
    FATE_UNJUDGED, /* unreadable, or a lease that is longer than we wait */
};
struct session_seen {
    char id[SESSION_ID_LEN + 1];
    enum session_fate fate;
    bool is_polled; /* once, early: most of those that live are renewed by then */
    struct store_etag etag;
    int64_t seen_ns, lease_ns;
};
/* A record below the state prefix, as it was at the beginning. */
struct record_seen {
    char *name;
    struct survey s;
    int64_t mtime_ns;
};

struct check {
    const struct check_conf *conf;
    struct store *store;
    struct coord *coord;
    struct cache *cache;
    struct cache_scrub *scrub;
    struct check_result *result;
    int64_t date_ns; /* the bucket's clock when it last told; 0: it did not */
    bool can_swap;   /* records may be changed: the server's PUT has conditions */
    struct session_seen *sessions;
    size_t n_sessions;
    struct record_seen *records;
    size_t n_records;
};

#define OLD_NS                                                                                     \
    (3600 * NS_PER_S) /* what has no session is left alone for so long, as tombstones are */

/* --- check.c --- */
void check_say(struct check *k, enum check_kind kind, enum check_fate fate, const char *name,
               const char *cause, ...) _printf_(5, 6);
/* Something could not be looked at; the cause is in err_text(). */
void check_error(struct check *k, const char *name);
void check_progress(struct check *k, enum check_stage stage, uint64_t done);
/* By the bucket's own clock; false where it does not tell. */
bool check_is_old(const struct check *k, int64_t then_ns, int64_t ns);
/* What a repair came to: r is 0, an outcome (it changed meanwhile), or -errno. */
enum check_fate check_repaired(int r);

/* --- keys.c --- */
/* Files among the keys so far whose names the next keys may go on from. Keys come in order. */
struct key_stack {
    struct key_file {
        char *key;
        bool is_told;
    } * v;
    size_t n, cap;
};
/* Calls told(arg, file) for each file that this key makes a directory of, once. 0 or -ENOMEM. */
_must_check_ int key_stack_next(struct key_stack *s, const char *key,
                                void (*told)(void *arg, const char *file), void *arg);
void key_stack_done(struct key_stack *s);

/* --- bucket.c --- */
_must_check_ int check_bucket(struct check *k);
bool check_is_state(const struct check *k, const char *key);

/* --- uploads.c --- */
void check_uploads(struct check *k);

/* --- cache.c --- */
void check_cache(struct check *k);

/* --- records.c: reads them all; what they tell comes later --- */
_must_check_ int check_records_read(struct check *k);
void check_records_done(struct check *k);
/* The record of a link group, an intent ...; NULL: there was none. */
const struct record_seen *check_record(const struct check *k, const char *name);
void check_records(struct check *k);

/* --- renames.c: intents and tombstones --- */
void check_renames(struct check *k);

/* --- sessions.c --- */
/* Has it looked at, from now on. */
void check_session_add(struct check *k, const char *id);
void check_sessions_judge(struct check *k);  /* waits */
void check_sessions_report(struct check *k); /* and marks the silent ones dead */
/* 1: what it held may be taken; 0: it may live. */
bool check_session_is_dead(void *check, const char *id);

#endif
