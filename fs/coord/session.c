/* SPDX-License-Identifier: Apache-2.0 */
/* Our own session. Its life: none -> (session_hold) live -> renewed every third of a lease ->
 * ended when unused for a lease time or at the end of the mount, or lost: a renewal finds that its
 * object is not live any more.
 *
 * SESS-1  The lease runs from the moment at which the renewal was sent, so it ends by our clock
 * before anybody who saw the renewal can have watched it for a lease time. SESS-2  Only we write a
 * live body to our object. So whatever live body is met there is our own work (a request that was
 * given up and took effect all the same), and anything else is another mount's mark. SESS-3  One
 * request about it at a time (is_busy), with no lock held. SESS-4  An id begins once. Who marks a session dead may remove its
 * object, so what is not there has ended: a daemon that goes on with one (coord_conf.session_id) only renews it. */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/origin.h"
#include "base/str.h"
#include "base/sys.h"
#include "record.h"

#define LIVE_WORD "live "
#define SWAP_TRIES 4          /* against late requests of our own */
#define HOLD_TRIES 4          /* against a bucket that takes longer than a lease */
#define RETRY_MS 1000         /* after a renewal that failed */
#define END_NS (5 * NS_PER_S) /* for the last request of a mount */
#define LEASE_MAX_MS (24 * 3600 * 1000)
enum outcome { LOST = 1 };

bool session_id_is_valid(const char *id)
{
    return strspn(id, "0123456789abcdef") == SESSION_ID_LEN && id[SESSION_ID_LEN] == '\0';
}

void session_name(const char *id, char ret[SESSION_NAME_SIZE])
{
    snprintf(ret, SESSION_NAME_SIZE, "sessions/%.*s", SESSION_ID_LEN, id);
}

int64_t session_parse(const char *body)
{
    char number[16];
    uint64_t ms;
    size_t len;

    if (!str_starts(body, LIVE_WORD))
        return 0;
    body += sizeof(LIVE_WORD) - 1;
    len = strcspn(body, "\n");
    if (len >= sizeof(number))
        return 0;
    memcpy(number, body, len);
    number[len] = '\0';
    if (str_u64(number, 10, &ms) < 0 || ms > LEASE_MAX_MS)
        return 0;
    return (int64_t)ms * NS_PER_MS;
}

/* The part of a lease that is kept for the difference of two clocks and one more request. */
static int64_t margin(const struct coord *c)
{
    return c->conf.lease_ns / 6;
}

static int64_t end_locked(const struct coord *c)
{
    return c->session.renewed_ns + c->conf.lease_ns;
}

static bool is_ours_locked(const struct coord *c, const char *id)
{
    return c->session.id[0] != '\0' && strcmp(c->session.id, id) == 0 &&
           clock_boot_ns() < end_locked(c) - margin(c);
}

bool session_is_ours(struct coord *c, const char *id)
{
    bool is_ours;

    lock_take(&c->lock);
    is_ours = is_ours_locked(c, id);
    lock_drop(&c->lock);
    return is_ours;
}

bool session_is_lost(struct coord *c, const char *id)
{
    bool is_lost;

    lock_take(&c->lock);
    is_lost = strcmp(c->session.id, id) != 0 && strcmp(c->session.first_id, id) != 0;
    lock_drop(&c->lock);
    return is_lost;
}

int64_t session_deadline_ns(struct coord *c)
{
    int64_t ns;

    lock_take(&c->lock);
    ns = c->session.id[0] != '\0' ? end_locked(c) - margin(c) / 4 : 0;
    lock_drop(&c->lock);
    return ns;
}

/* The live body's ETag as it is now. 0; LOST: gone, marked, or scribbled on, nobody can take it for live; -errno. */
static int find_live(struct coord *c, const char *name, int64_t deadline_ns, struct store_etag *ret)
{
    struct record now = {0};
    int r = record_get_first(c, name, deadline_ns, &now);
    bool is_live = r == 0 && store_etag_is_set(&now.etag) && session_parse(now.body) != 0;

    if (is_live)
        *ret = now.etag;
    record_done(&now);
    return is_live ? 0 : r == 0 || r == -EBADMSG ? LOST : r;
}

/* Writes the live body: 0, LOST, -errno. *sent_ns: when what took effect was sent. */
static int swap_live(struct coord *c, const char *id, struct store_etag *etag, int64_t *sent_ns)
{
    char name[SESSION_NAME_SIZE], body[64];
    int r = LOST;

    session_name(id, name);
    snprintf(body, sizeof(body), LIVE_WORD "%" PRId64 "\n", c->conf.lease_ns / NS_PER_MS);
    for (int tries = 0; tries < SWAP_TRIES; tries++) {
        *sent_ns = clock_boot_ns();
        r = record_swap_first(c, name, etag, body, *sent_ns + c->conf.lease_ns / 3, etag);
        if (r <= 0)
            return r;
        r = find_live(c, name, *sent_ns + c->conf.lease_ns / 3, etag);
        if (r != 0)
            return r;
    }
    return err_set(-EIO, "the session's object changes all the time");
}

static void note(const struct coord *c, const char *id)
{
    if (c->conf.session_note != NULL)
        c->conf.session_note(c->conf.session_note_arg, id);
}

/* 0 or -errno. */
static int make_id(const struct coord *c, char ret[SESSION_ID_LEN + 1])
{
    unsigned char random[SESSION_ID_LEN / 2];

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set(-EIO, "no random bytes");
    str_hex(random, sizeof(random), ret);
    note(c, ret);
    return 0;
}

/* What is to be renewed: our own, the one of the daemon before this, or one that begins now. 0, LOST, -errno. */
static int choose(struct coord *c, bool is_taken, char id[SESSION_ID_LEN + 1], struct store_etag *etag)
{
    char name[SESSION_NAME_SIZE];

    if (id[0] != '\0' && !is_taken)
        return 0;
    *etag = (struct store_etag){""};
    if (!is_taken)
        return make_id(c, id);
    session_name(id, name);
    return find_live(c, name, clock_boot_ns() + c->conf.lease_ns / 3, etag);
}

static void forget_locked(struct coord *c)
{
    c->session.id[0] = '\0';
    c->session.users = 0;
}

/* One request: begins the session if there is none, else renews it. The lock is given up meanwhile.
 * 0, LOST, -errno. */
static int renew_locked(struct coord *c)
{
    struct session *s = &c->session;
    struct store_etag etag = s->etag;
    char id[SESSION_ID_LEN + 1];
    bool is_new = s->id[0] == '\0', is_taken = is_new && s->first_id[0] != '\0';
    int64_t sent_ns = 0;
    int r;

    s->is_busy = true;
    memcpy(id, is_taken ? s->first_id : s->id, sizeof(id));
    lock_drop(&c->lock);
    r = choose(c, is_taken, id, &etag);
    if (r == 0)
        r = swap_live(c, id, &etag, &sent_ns);
    if (is_new)
        crash_point("session.begun");
    else
        crash_point("session.renewed");
    lock_take(&c->lock);
    s->is_busy = false;
    if (is_taken && r >= 0) /* if it was lost, there is no way back to it */
        s->first_id[0] = '\0';
    if (r == 0) {
        memcpy(s->id, id, sizeof(id));
        s->etag = etag;
        s->renewed_ns = sent_ns;
        s->idle_ns = is_new ? clock_boot_ns() : s->idle_ns;
    } else if (r == LOST) {
        log_warn("session.lost", "id=%s", id);
        forget_locked(c);
    }
    cond_broadcast(&s->changed);
    return r;
}

static void *run(void *arg);

static int start_thread_locked(struct coord *c)
{
    struct session *s = &c->session;
    sigset_t all, before;
    int r;

    if (s->has_thread || c->conf.renew_by_hand)
        return 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    r = -pthread_create(&s->thread, NULL, run, c);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0)
        return err_set(r, "no thread for the session");
    s->has_thread = true;
    pthread_setname_np(s->thread, "session");
    return 0;
}

static int use_locked(struct coord *c)
{
    struct session *s = &c->session;

    for (int tries = 0; tries < HOLD_TRIES; tries++) {
        int r;

        while (s->is_busy)
            cond_wait(&s->changed, &c->lock);
        if (is_ours_locked(c, s->id)) {
            r = start_thread_locked(c);
            s->users += r == 0;
            s->idle_ns = s->users > 0 ? 0 : s->idle_ns;
            return r;
        }
        r = renew_locked(c);
        if (r < 0)
            return r;
    }
    return err_set(-EIO, "the bucket takes longer than a lease to answer");
}

int session_hold(struct coord *c, char ret_id[SESSION_ID_LEN + 1])
{
    int r;

    if (!c->conf.caps.put_absent || !c->conf.caps.put_match)
        return err_set(-ENOLCK, "this server's PUT knows no conditions, which leases need");
    lock_take(&c->lock);
    r = use_locked(c);
    if (r == 0)
        memcpy(ret_id, c->session.id, SESSION_ID_LEN + 1);
    lock_drop(&c->lock);
    return r;
}

int session_resume(struct coord *c)
{
    struct session *s = &c->session;
    int r = 0;

    lock_take(&c->lock);
    while (s->is_busy)
        cond_wait(&s->changed, &c->lock);
    if (s->id[0] == '\0' && s->first_id[0] != '\0')
        r = renew_locked(c);
    if (r == 0 && s->id[0] != '\0')
        r = start_thread_locked(c);
    lock_drop(&c->lock);
    return r < 0 ? r : 0;
}

int session_join(struct coord *c, const char *id)
{
    int r = session_resume(c);

    if (r < 0)
        return r;
    lock_take(&c->lock);
    if (strcmp(c->session.id, id) != 0) {
        r = err_set(-EIO, "the lease was lost: another mount took this one for dead");
    } else {
        c->session.users++;
        c->session.idle_ns = 0;
    }
    lock_drop(&c->lock);
    return r;
}

void session_drop(struct coord *c, const char *id)
{
    struct session *s = &c->session;

    lock_take(&c->lock);
    if (s->users > 0 && strcmp(s->id, id) == 0 && --s->users == 0)
        s->idle_ns = clock_boot_ns();
    lock_drop(&c->lock);
}

int session_check(struct coord *c, const char *id)
{
    struct session *s = &c->session;
    int r = 0;

    lock_take(&c->lock);
    for (;;) {
        while (s->is_busy)
            cond_wait(&s->changed, &c->lock);
        if (is_ours_locked(c, id))
            break;
        if (strcmp(s->id, id) != 0)
            r = err_set(-EIO, "the lease was lost: another mount took this one for dead");
        else
            r = renew_locked(c);
        if (r < 0)
            break;
        r = 0; /* renewed, or lost: look again */
    }
    lock_drop(&c->lock);
    return r;
}

/* Nobody uses it: its object goes, so that nobody has to wait for a lease to run out. */
static void end_session_locked(struct coord *c, int64_t deadline_ns)
{
    struct session *s = &c->session;
    char name[SESSION_NAME_SIZE];
    struct store_etag etag = s->etag;

    session_name(s->id, name);
    forget_locked(c);
    s->is_busy = true;
    lock_drop(&c->lock);
    if (record_clear(c, name, &etag, deadline_ns) < 0)
        log_debug("session.end", "cause=%s", LOG_Q(err_text()));
    note(c, NULL);
    crash_point("session.ended");
    lock_take(&c->lock);
    s->is_busy = false;
    cond_broadcast(&s->changed);
}

static int64_t turn_locked(struct coord *c)
{
    struct session *s = &c->session;
    int64_t now = clock_boot_ns(), due_ns = s->renewed_ns + c->conf.lease_ns / 3;

    if (s->id[0] == '\0' || s->is_busy || s->is_stopping)
        return -1;
    if (s->users == 0 && now - s->idle_ns >= c->conf.lease_ns)
        end_session_locked(c, now + END_NS);
    else if (now < due_ns)
        return (due_ns - now) / NS_PER_MS + 1;
    else if (renew_locked(c) < 0)
        return RETRY_MS;
    return 0;
}

int64_t session_turn(struct coord *c)
{
    int64_t ms;

    lock_take(&c->lock);
    ms = turn_locked(c);
    lock_drop(&c->lock);
    return ms;
}

/* Only the end wakes it early: what a third of a lease brings is looked at when it is over. */
static void *run(void *arg)
{
    struct coord *c = arg;
    const int64_t third_ms = c->conf.lease_ns / 3 / NS_PER_MS;
    int64_t ms = third_ms; /* a session has just been begun */

    origin_set(ORIGIN_LEASE);
    lock_take(&c->lock);
    while (!c->session.is_stopping) {
        if (ms > 0)
            cond_wait_ms(&c->session.stopped, &c->lock, ms);
        if (!c->session.is_stopping)
            ms = turn_locked(c);
        if (ms < 0)
            ms = third_ms;
    }
    lock_drop(&c->lock);
    return NULL;
}

void session_init(struct coord *c)
{
    if (c->conf.session_id != NULL && session_id_is_valid(c->conf.session_id))
        memcpy(c->session.first_id, c->conf.session_id, sizeof(c->session.first_id));
    c->conf.session_id = NULL;
    cond_init(&c->session.changed);
    cond_init(&c->session.stopped);
}

void session_done(struct coord *c)
{
    struct session *s = &c->session;

    lock_take(&c->lock);
    s->is_stopping = true;
    cond_signal(&s->stopped);
    lock_drop(&c->lock);
    if (s->has_thread)
        pthread_join(s->thread, NULL);
    lock_take(&c->lock);
    if (s->id[0] != '\0')
        end_session_locked(c, clock_boot_ns() + END_NS);
    lock_drop(&c->lock);
    cond_done(&s->changed);
    cond_done(&s->stopped);
}
