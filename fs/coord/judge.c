/* SPDX-License-Identifier: Apache-2.0 */
/* Other mounts' sessions: watched until their object has not changed for a lease time on our clock.
 * The time counts from the reply that brought the ETag to the moment at which the request that
 * brought it again was sent, so it is never longer than the silence was. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "record.h"

#define WATCHED_MAX 256

struct watched {
    struct watched *next;
    char id[SESSION_ID_LEN + 1];
    struct store_etag etag;
    int64_t since_ns; /* when we had seen this ETag */
    int64_t asked_ns; /* when we last asked; 0 never */
    int64_t lease_ns; /* as its body says */
};

/* The entry, moved to the front; NULL without memory. The longest unused one goes beyond a bound.
 */
static struct watched *watched_get_locked(struct coord *c, const char *id)
{
    struct watched **p = &c->watching, *w;
    unsigned n = 0;

    for (; *p != NULL && strcmp((*p)->id, id) != 0; p = &(*p)->next)
        if (++n == WATCHED_MAX) {
            free((*p)->next);
            (*p)->next = NULL;
        }
    w = *p;
    if (w != NULL)
        *p = w->next;
    else
        w = calloc(1, sizeof(*w));
    if (w == NULL)
        return NULL;
    memcpy(w->id, id, SESSION_ID_LEN);
    w->next = c->watching;
    c->watching = w;
    return w;
}

static void watched_drop_locked(struct coord *c, const char *id)
{
    struct watched **p = &c->watching, *w;

    while (*p != NULL && strcmp((*p)->id, id) != 0)
        p = &(*p)->next;
    w = *p;
    if (w != NULL)
        *p = w->next;
    free(w);
}

void judge_done(struct coord *c)
{
    while (c->watching != NULL)
        watched_drop_locked(c, c->watching->id);
}

/* Is there nothing to be learnt by asking now? It is ours, or we asked a moment ago and its lease
 * still runs. */
static bool is_too_soon(struct coord *c, const char *id)
{
    struct watched *w;
    int64_t now;
    bool is_soon;

    lock_take(&c->lock);
    w = watched_get_locked(c, id);
    now = clock_boot_ns();
    is_soon = strcmp(c->session.id, id) == 0 || strcmp(c->session.first_id, id) == 0 ||
              (w != NULL && w->asked_ns != 0 && now - w->asked_ns < c->conf.lease_ns / 10 &&
               now - w->since_ns < w->lease_ns);
    lock_drop(&c->lock);
    return is_soon;
}

/* Has it been silent for a lease time, given this reply to what was asked at asked_ns? */
static bool is_silent(struct coord *c, const char *id, const struct store_etag *etag,
                      int64_t lease_ns, int64_t asked_ns)
{
    struct watched *w;
    bool is_silent = false;

    lock_take(&c->lock);
    w = watched_get_locked(c, id);
    if (w != NULL && store_etag_equal(&w->etag, etag)) {
        is_silent = asked_ns - w->since_ns >= lease_ns;
    } else if (w != NULL) {
        w->etag = *etag;
        w->since_ns = clock_boot_ns();
        w->lease_ns = lease_ns;
    }
    if (w != NULL)
        w->asked_ns = asked_ns;
    lock_drop(&c->lock);
    return is_silent;
}

/* From now on its own renewal fails. SESSION_ALIVE: something else happened to it in between. */
static int mark_dead(struct coord *c, const char *name, struct store_etag *etag)
{
    int r = record_swap(c, name, etag, "dead\n", 0, etag);

    if (r != 0)
        return r == RECORD_LOST ? SESSION_ALIVE : r;
    log_warn("session.dead", "name=%s", name);
    if (c->conf.caps.delete_match && record_clear(c, name, etag, 0) < 0)
        log_debug("session.clear", "cause=%s", LOG_Q(err_text()));
    return SESSION_DEAD;
}

static int judge_once(struct coord *c, const char *id)
{
    char name[SESSION_NAME_SIZE];
    struct record now = {0};
    int64_t asked_ns = clock_boot_ns(), lease_ns;
    int r;

    session_name(id, name);
    r = record_get(c, name, 0, &now);
    if (r < 0)
        return r;
    lease_ns = store_etag_is_set(&now.etag) ? session_parse(now.body) : 0;
    if (lease_ns == 0)
        r = SESSION_DEAD;
    else if (!is_silent(c, id, &now.etag, lease_ns, asked_ns))
        r = SESSION_ALIVE;
    else
        r = mark_dead(c, name, &now.etag);
    if (r == SESSION_DEAD) {
        lock_take(&c->lock);
        watched_drop_locked(c, id);
        lock_drop(&c->lock);
    }
    record_done(&now);
    return r;
}

int session_judge(struct coord *c, const char *id)
{
    if (!session_id_is_valid(id))
        return err_set(-EINVAL, "no session has such an id");
    if (is_too_soon(c, id))
        return SESSION_ALIVE;
    return judge_once(c, id);
}
