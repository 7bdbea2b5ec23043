/* SPDX-License-Identifier: Apache-2.0 */
#include "coord/survey.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "internal.h"
#include "lockrec.h"
#include "record.h"

#define SESSION_WORD "session "

void survey_done(struct survey *s)
{
    free(s->holders);
    link_group_done(&s->group);
    *s = (struct survey){0};
}

enum survey_kind survey_kind_of(const char *name)
{
    static const struct {
        const char *folder;
        enum survey_kind kind;
    } folders[] = {
        {"sessions/", SURVEY_SESSION},
        {"locks/", SURVEY_LOCK},
        {"reservations/", SURVEY_RESERVATION},
        {"intents/", SURVEY_INTENT},
        {"links/", SURVEY_LINK},
    };

    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        if (str_starts(name, folders[i].folder))
            return folders[i].kind;
    return SURVEY_OTHER;
}

static int add_holder(struct survey *s, const char *id)
{
    char(*v)[SESSION_ID_LEN + 1];

    for (size_t i = 0; i < s->n_holders; i++)
        if (strcmp(s->holders[i], id) == 0)
            return 0;
    v = reallocarray(s->holders, s->n_holders + 1, sizeof(*v));
    if (v == NULL)
        return err_set(-ENOMEM, "no memory for a record");
    s->holders = v;
    memcpy(v[s->n_holders++], id, SESSION_ID_LEN + 1);
    return 0;
}

static int parse_session(const char *name, const char *body, struct survey *s)
{
    if (!session_id_is_valid(name + strlen("sessions/")))
        return err_set(-EBADMSG, "not the name of a session");
    s->lease_ns = session_parse(body);
    s->is_empty = s->lease_ns == 0;
    if (s->is_empty && body[0] != '\0' && strcmp(body, "dead\n") != 0)
        return err_set(-EBADMSG, "not the record of a session");
    return 0;
}

static int parse_lock(const char *body, struct survey *s)
{
    struct lockrec rec = {0};
    int r = lockrec_parse(body, &rec);

    for (size_t i = 0; r == 0 && i < rec.n; i++)
        r = add_holder(s, rec.v[i].session);
    s->is_empty = rec.n == 0;
    lockrec_done(&rec);
    return r;
}

static int parse_reservation(const char *body, struct survey *s)
{
    char id[SESSION_ID_LEN + 1] = "";
    const char *value = body + strlen(SESSION_WORD);

    s->is_empty = body[0] == '\0';
    if (s->is_empty)
        return 0;
    if (str_starts(body, SESSION_WORD) && strcspn(value, "\n") == SESSION_ID_LEN)
        memcpy(id, value, SESSION_ID_LEN);
    if (!session_id_is_valid(id))
        return err_set(-EBADMSG, "not a reservation");
    return add_holder(s, id);
}

static int parse_intent(const char *body, struct survey *s)
{
    int r = intent_parse(body, &s->intent);

    s->is_empty = s->intent.state == INTENT_NONE;
    return r == 0 && intent_stands(&s->intent) ? add_holder(s, s->intent.session) : r;
}

static int parse_link(const char *body, struct survey *s)
{
    int r = link_parse(body, strlen(body), &s->group);

    s->is_empty = s->group.generation == 0;
    return r;
}

int survey_parse(const char *name, const char *body, struct survey *ret)
{
    int r = 0;

    ret->kind = survey_kind_of(name);
    switch (ret->kind) {
    case SURVEY_SESSION:
        r = parse_session(name, body, ret);
        break;
    case SURVEY_LOCK:
        r = parse_lock(body, ret);
        break;
    case SURVEY_RESERVATION:
        r = parse_reservation(body, ret);
        break;
    case SURVEY_INTENT:
        r = parse_intent(body, ret);
        break;
    case SURVEY_LINK:
        r = parse_link(body, ret);
        break;
    case SURVEY_OTHER:
        break;
    }
    return r;
}

int survey_read(struct coord *c, const char *name, struct survey *ret)
{
    _cleanup_(record_done) struct record now = {0};
    int r;

    ret->kind = survey_kind_of(name);
    if (ret->kind == SURVEY_OTHER)
        return 0;
    r = record_get(c, name, 0, &now);
    if (r < 0)
        return r;
    ret->etag = now.etag;
    ret->is_empty = true;
    return store_etag_is_set(&now.etag) ? survey_parse(name, now.body, ret) : 0;
}

static int fold(int r)
{
    return r == RECORD_LOST ? SURVEY_CHANGED : r;
}

int survey_bury(struct coord *c, const char *id, const struct store_etag *etag)
{
    char name[SESSION_NAME_SIZE];
    struct store_etag now = *etag;

    session_name(id, name);
    return fold(record_swap(c, name, etag, "dead\n", 0, &now));
}

/* An ended session's record tells nothing any more: no other is ever written in its place. */
int survey_clear(struct coord *c, const char *name, const struct survey *s)
{
    if (s->is_empty && !c->conf.caps.delete_match)
        return SURVEY_KEPT;
    return fold(record_clear(c, name, &s->etag, 0));
}

int survey_release(struct coord *c, const char *name, const struct store_etag *etag,
                   bool (*is_dead)(void *arg, const char *id), void *arg)
{
    _cleanup_(record_done) struct record now = {0};
    _cleanup_(lockrec_done) struct lockrec rec = {0};
    _cleanup_buf_ struct buf text = BUF_INIT(RECORD_MAX);
    struct store_etag ignored;
    int r = record_get(c, name, 0, &now);

    if (r == 0 && !store_etag_equal(&now.etag, etag))
        return SURVEY_CHANGED;
    if (r == 0)
        r = lockrec_parse(now.body, &rec);
    if (r < 0)
        return r;
    for (size_t i = 0; i < rec.n;) {
        char id[SESSION_ID_LEN + 1];

        memcpy(id, rec.v[i].session, sizeof(id));
        if (is_dead(arg, id))
            lockrec_drop(&rec, id);
        else
            i++;
    }
    if (rec.n == 0)
        return fold(record_clear(c, name, etag, 0));
    lockrec_format(&rec, NULL, NULL, &text);
    if (buf_failed(&text))
        return err_set(-ENOMEM, "no memory for a lock record");
    return fold(record_swap(c, name, etag, buf_str(&text), 0, &ignored));
}
