/* SPDX-License-Identifier: Apache-2.0 */
/* Which sessions are dead (protocol 6): those whose record has not changed for their lease, counted
 * from the reply that brought it to the moment at which it was asked for again. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "internal.h"

#define NAME_SIZE (sizeof("sessions/") + SESSION_ID_LEN)

static void name_of(const char *id, char ret[NAME_SIZE])
{
    snprintf(ret, NAME_SIZE, "sessions/%.*s", SESSION_ID_LEN, id);
}

static struct session_seen *find(const struct check *k, const char *id)
{
    for (size_t i = 0; i < k->n_sessions; i++)
        if (strcmp(k->sessions[i].id, id) == 0)
            return &k->sessions[i];
    return NULL;
}

void check_session_add(struct check *k, const char *id)
{
    _cleanup_(survey_done) struct survey now = {0};
    struct session_seen *v, *s;
    char name[NAME_SIZE];
    int r;

    if (find(k, id) != NULL)
        return;
    v = reallocarray(k->sessions, k->n_sessions + 1, sizeof(*v));
    if (v == NULL) { /* then nothing that it holds is touched: it is not dead */
        (void)err_set(-ENOMEM, "out of memory");
        check_error(k, id);
        return;
    }
    k->sessions = v;
    s = &v[k->n_sessions++];
    *s = (struct session_seen){.fate = FATE_UNJUDGED};
    memcpy(s->id, id, SESSION_ID_LEN);
    name_of(id, name);
    r = survey_read(k->coord, name, &now);
    s->seen_ns = clock_boot_ns();
    if (r < 0)
        return; /* its own record is told of where it is met */
    s->etag = now.etag;
    s->lease_ns = now.lease_ns;
    if (now.lease_ns == 0)
        s->fate = FATE_ENDED;
    else if (session_is_ours(k->coord, id))
        s->fate = FATE_ALIVE;
    else if (now.lease_ns <= k->conf->wait_max_ns)
        s->fate = FATE_OPEN;
}

static void ask_again(struct check *k, struct session_seen *s)
{
    _cleanup_(survey_done) struct survey now = {0};
    int64_t asked_ns = clock_boot_ns();
    char name[NAME_SIZE];

    name_of(s->id, name);
    s->is_polled = true;
    if (survey_read(k->coord, name, &now) < 0)
        s->fate = FATE_UNJUDGED;
    else if (now.lease_ns == 0)
        s->fate = FATE_ENDED;
    else if (!store_etag_equal(&now.etag, &s->etag))
        s->fate = FATE_ALIVE;
    else if (asked_ns - s->seen_ns >= s->lease_ns)
        s->fate = FATE_SILENT;
}

/* When it is worth asking again: those that live are renewed every third of a lease. */
static int64_t due_ns(const struct session_seen *s)
{
    return s->seen_ns + (s->is_polled ? s->lease_ns : s->lease_ns * 2 / 5);
}

static void pause_until(struct check *k, int64_t then_ns)
{
    int64_t ns = then_ns - clock_boot_ns();
    struct timespec ts;

    if (ns <= 0)
        return;
    if (ns > NS_PER_S)
        ns = NS_PER_S; /* for the progress line */
    ts = (struct timespec){.tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S};
    if (k->conf->sleep != NULL)
        k->conf->sleep(k->conf->arg, ns);
    else
        nanosleep(&ts, NULL);
}

void check_sessions_judge(struct check *k)
{
    for (;;) {
        int64_t next_ns = INT64_MAX;

        for (size_t i = 0; i < k->n_sessions; i++) {
            struct session_seen *s = &k->sessions[i];

            if (s->fate == FATE_OPEN && due_ns(s) <= clock_boot_ns())
                ask_again(k, s);
            if (s->fate == FATE_OPEN && due_ns(s) < next_ns)
                next_ns = due_ns(s);
        }
        if (next_ns == INT64_MAX)
            return;
        check_progress(k, CHECK_STAGE_WAIT, (uint64_t)((next_ns - clock_boot_ns()) / NS_PER_S + 1));
        pause_until(k, next_ns);
    }
}

static void bury(struct check *k, struct session_seen *s, const char *name)
{
    enum check_fate fate = CHECK_REPAIRABLE;
    const char *more = "";

    if (k->conf->repair && !k->can_swap) {
        fate = CHECK_LEFT;
        more = "; the server's PUT has no conditions, so nothing is taken from it";
    } else if (k->conf->repair) {
        int r = survey_bury(k->coord, s->id, &s->etag);

        if (r == SURVEY_CHANGED) {
            s->fate = FATE_ALIVE;
            return;
        }
        fate = check_repaired(r);
        more = r < 0 ? err_text() : more;
        s->fate = r == 0 ? FATE_ENDED : FATE_UNJUDGED;
    }
    check_say(k, CHECK_SESSION, fate, name,
              "a mount that died: not renewed for its lease of %" PRId64 " s%s%s",
              s->lease_ns / NS_PER_S, fate == CHECK_FAILED ? ": " : "", more);
}

void check_sessions_report(struct check *k)
{
    for (size_t i = 0; i < k->n_sessions; i++) {
        struct session_seen *s = &k->sessions[i];
        char name[NAME_SIZE];

        name_of(s->id, name);
        if (s->fate == FATE_SILENT)
            bury(k, s, name);
        else if (s->fate == FATE_UNJUDGED && s->lease_ns > k->conf->wait_max_ns)
            check_say(k, CHECK_SESSION, CHECK_LEFT, name,
                      "its lease of %" PRId64 " s is longer than this check waits (--wait)",
                      s->lease_ns / NS_PER_S);
    }
}

bool check_session_is_dead(void *check, const char *id)
{
    const struct check *k = check;
    const struct session_seen *s = find(k, id);

    return s != NULL && (s->fate == FATE_SILENT || s->fate == FATE_ENDED);
}
