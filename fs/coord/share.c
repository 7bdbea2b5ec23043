/* SPDX-License-Identifier: Apache-2.0 */
#include "coord/share.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/sys.h"
#include "internal.h"
#include "lockrec.h"
#include "record.h"

#define SET_TRIES 64 /* against other mounts at the same record */

struct share {
    struct coord *coord;
    char *name; /* "locks/..." */
    char session[SESSION_ID_LEN +
                 1]; /* under which something is held (its use is counted); "" none */
    struct lockset held[LOCK_KINDS];
    struct store_etag etag; /* of our copy */
    struct lockrec rec;     /* our copy, without what we hold */
    bool is_current;        /* as far as we know, nothing has changed since our copy */
    bool is_fresh;          /* it was read since share_doubt() */
    bool is_unsure, was_taken;
};

int share_new(struct coord *c, const char *name, struct share **ret)
{
    struct share *sh = calloc(1, sizeof(*sh));

    if (sh == NULL || asprintf(&sh->name, "locks/%s", name) < 0) {
        free(sh);
        return err_set(-ENOMEM, "no memory for a lock");
    }
    sh->coord = c;
    *ret = sh;
    return 0;
}

void share_doubt(struct share *sh)
{
    sh->is_fresh = false;
}

static void forget_held(struct share *sh)
{
    for (unsigned k = 0; k < LOCK_KINDS; k++)
        lockset_done(&sh->held[k]);
    if (sh->session[0] != '\0')
        session_drop(sh->coord, sh->session);
    sh->session[0] = '\0';
    sh->was_taken = false;
}

void share_forget(struct share *sh)
{
    forget_held(sh);
    sh->is_current = sh->is_unsure = false;
}

void share_free(struct share *sh)
{
    if (sh == NULL)
        return;
    forget_held(sh);
    lockrec_done(&sh->rec);
    free(sh->name);
    free(sh);
}

bool share_is_held(const struct share *sh)
{
    return sh->held[LOCK_POSIX].n + sh->held[LOCK_FLOCK].n > 0;
}

bool share_is_sure(const struct share *sh)
{
    return !sh->is_unsure;
}

bool share_was_taken(const struct share *sh)
{
    return sh->was_taken;
}

void share_note_taken(struct share *sh)
{
    sh->was_taken = true;
}

const char *share_session(const struct share *sh)
{
    return sh->session;
}

bool share_covers(const struct share *sh, enum lock_kind kind, enum lock_type type,
                  struct lock_range range)
{
    return !sh->is_unsure && lockset_covers(&sh->held[kind], 0, type, range);
}

int share_check(struct share *sh)
{
    int r = sh->session[0] != '\0' ? session_check(sh->coord, sh->session) : 0;

    return r < 0 && session_is_lost(sh->coord, sh->session) ? SHARE_LOST : r;
}

static int read_record(struct share *sh)
{
    struct record now = {0};
    int r = record_get(sh->coord, sh->name, session_deadline_ns(sh->coord), &now);

    lockrec_done(&sh->rec);
    sh->is_current = false;
    if (r == 0)
        r = lockrec_parse(now.body, &sh->rec);
    if (r == 0) {
        sh->etag = now.etag;
        sh->is_current = sh->is_fresh = true;
    }
    record_done(&now);
    return r;
}

/* Somebody else's lock is in the way: may it be taken? 0: it is out of our copy now (its session
 * had died, and is marked). */
static int judge(struct share *sh, const struct lockrec_holder *holder, bool *taken)
{
    int r = session_judge(sh->coord, holder->session);

    if (r == SESSION_ALIVE)
        return SHARE_BUSY;
    if (r != SESSION_DEAD)
        return r;
    log_info("locks.taken", "name=%s from=%s", sh->name, holder->session);
    lockrec_drop(&sh->rec, holder->session);
    *taken = true;
    return 0;
}

/* Our copy of the record is current, and nothing in it is in the way. 0, SHARE_BUSY, -errno. */
static int clear_way(struct share *sh, const struct lockset *want, bool *taken)
{
    int r = 0;

    while (r == 0) {
        const struct lockrec_holder *holder;

        if (!sh->is_current) {
            r = read_record(sh);
            continue;
        }
        holder = lockrec_conflict(&sh->rec, sh->session, want);
        if (holder == NULL)
            return 0;
        if (sh->is_fresh)
            r = judge(sh, holder, taken);
        else
            sh->is_current = false; /* our copy may be an old one */
    }
    return r;
}

/* 0, RECORD_LOST, -errno. */
static int write_record(struct share *sh, const struct lockset *want)
{
    _cleanup_buf_ struct buf body = BUF_INIT(RECORD_MAX);
    struct store_etag now;
    int r;

    lockrec_format(&sh->rec, sh->session, want, &body);
    if (buf_failed(&body))
        return err_set(body.error == -E2BIG ? -ENOLCK : body.error, "too many locks on one file");
    r = record_swap(sh->coord, sh->name, &sh->etag, buf_str(&body), session_deadline_ns(sh->coord),
                    &now);
    crash_point("lock.written");
    sh->is_current = r == 0;
    if (r == 0)
        sh->etag = now;
    return r;
}

static bool is_empty(const struct lockset *want)
{
    return want[LOCK_POSIX].n + want[LOCK_FLOCK].n == 0;
}

/* The record says it: so do our books. */
static int note_held(struct share *sh, const struct lockset *want, bool taken)
{
    struct lockset now[LOCK_KINDS] = {0};

    for (unsigned k = 0; k < LOCK_KINDS; k++)
        if (lockset_copy(&want[k], &now[k]) < 0) {
            lockset_done(&now[0]);
            return -ENOMEM; /* unsure: it will be written again */
        }
    for (unsigned k = 0; k < LOCK_KINDS; k++) {
        lockset_done(&sh->held[k]);
        sh->held[k] = now[k];
    }
    sh->was_taken = sh->was_taken || taken;
    if (is_empty(want))
        forget_held(sh);
    return 0;
}

/* Under a session that is ours: 0, SHARE_BUSY, -errno. */
static int swap_in(struct share *sh, const struct lockset *want)
{
    int r = RECORD_LOST;
    bool taken = false;

    for (int tries = 0; r == RECORD_LOST && tries < SET_TRIES; tries++) {
        r = clear_way(sh, want, &taken);
        if (r != 0)
            return r; /* nothing was written: what was sure still is */
        r = write_record(sh, want);
    }
    if (r == RECORD_LOST)
        return err_set(-ENOLCK, "%s changes all the time", sh->name);
    if (r == 0)
        r = note_held(sh, want, taken);
    sh->is_unsure = r < 0;
    return r;
}

int share_set(struct share *sh, const struct lockset want[LOCK_KINDS])
{
    int r;

    if (!sh->is_unsure && lockset_equal(&want[LOCK_POSIX], &sh->held[LOCK_POSIX]) &&
        lockset_equal(&want[LOCK_FLOCK], &sh->held[LOCK_FLOCK]))
        return share_check(sh);
    r = sh->session[0] != '\0' ? share_check(sh) : session_hold(sh->coord, sh->session);
    if (r == 0)
        r = swap_in(sh, want);
    if (r != 0 && !share_is_held(sh) && !sh->is_unsure)
        forget_held(sh); /* the session is not used by us */
    return r;
}

/* --- what a daemon before this one held --- */

/* Does the record say that our session has all of this? */
static bool says(const struct share *sh, const struct lockset *held)
{
    const struct lockrec_holder *h = NULL;
    bool is_said = true;

    for (size_t i = 0; i < sh->rec.n && h == NULL; i++)
        if (strcmp(sh->rec.v[i].session, sh->session) == 0)
            h = &sh->rec.v[i];
    for (unsigned k = 0; k < LOCK_KINDS && h != NULL; k++)
        for (size_t i = 0; i < held[k].n && is_said; i++)
            is_said = lockset_covers(&h->held[k], 0, held[k].v[i].type, held[k].v[i].range);
    return h != NULL ? is_said : is_empty(held);
}

/* Reads and swaps until nothing came in between. 0, SHARE_LOST, -errno. */
static int claim_again(struct share *sh, const struct lockset *held, const struct lockset *want, bool *ret_is_want)
{
    const struct lockset *now = held;
    int r = RECORD_LOST;

    for (int tries = 0; r == RECORD_LOST && tries < SET_TRIES; tries++) {
        r = read_record(sh);
        if (r < 0)
            return r;
        now = says(sh, held) ? held : want;
        if (!says(sh, now))
            return SHARE_LOST;
        r = write_record(sh, now);
    }
    if (r == RECORD_LOST)
        return err_set(-ENOLCK, "%s changes all the time", sh->name);
    *ret_is_want = now == want;
    return r == 0 ? note_held(sh, now, false) : r;
}

int share_resume(struct share *sh, const char *session, const struct lockset held[LOCK_KINDS],
                 const struct lockset want[LOCK_KINDS], bool *ret_is_want)
{
    int r = session_resume(sh->coord);

    *ret_is_want = false;
    if (r == 0)
        r = session[0] != '\0' ? session_join(sh->coord, session) : session_hold(sh->coord, sh->session);
    if (r < 0)
        return session[0] != '\0' && session_is_lost(sh->coord, session) ? SHARE_LOST : r;
    if (session[0] != '\0')
        memcpy(sh->session, session, SESSION_ID_LEN + 1);
    r = share_check(sh);
    if (r == 0)
        r = claim_again(sh, held, want, ret_is_want);
    sh->is_unsure = r < 0;
    if (r != 0)
        forget_held(sh); /* it begins anew */
    return r;
}

int share_test(struct share *sh, enum lock_kind kind, const struct lock_entry *want,
               struct lock_entry *ret_holder)
{
    struct lockset sets[LOCK_KINDS] = {0};
    struct lock_entry e = *want;
    const struct lockrec_holder *holder;
    bool taken = false;
    int r;

    e.owner = 0;
    sets[kind] = (struct lockset){.v = &e, .n = 1};
    sh->is_current = sh->is_fresh = false;
    r = clear_way(sh, sets, &taken);
    holder = r == SHARE_BUSY ? lockrec_conflict(&sh->rec, sh->session, sets) : NULL;
    if (taken)
        sh->is_current = false; /* the record still has what our copy has not */
    if (holder != NULL)
        *ret_holder = *lockset_conflict(&holder->held[kind], 1, want->type, want->range);
    return r;
}

int share_verify(struct share *sh)
{
    int r = share_check(sh);

    if (r == 0)
        r = read_record(sh);
    for (size_t i = 0; r == 0 && i < sh->rec.n; i++) {
        const struct lockrec_holder *h = &sh->rec.v[i];

        if (strcmp(h->session, sh->session) == 0)
            return lockset_equal(&h->held[LOCK_POSIX], &sh->held[LOCK_POSIX]) &&
                           lockset_equal(&h->held[LOCK_FLOCK], &sh->held[LOCK_FLOCK])
                       ? 0
                       : SHARE_LOST;
    }
    return r == 0 && share_is_held(sh) ? SHARE_LOST : r;
}
