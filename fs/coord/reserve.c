/* SPDX-License-Identifier: Apache-2.0 */
/* One record a key: "session <id>", "key <the key>"; no lines once it is given back on a server
 * that can't delete under a condition. */
#include "coord/reserve.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/sha256.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "internal.h"
#include "record.h"

#define HASH 16 /* bytes of SHA-256 */
#define NAME_SIZE (sizeof("reservations/") + 2 * HASH)
#define SESSION_WORD "session "

static void name_of(const char *key, char ret[NAME_SIZE])
{
    unsigned char md[SHA256_LEN];
    char hex[2 * HASH + 1];

    /* Two keys with one hash would exclude each other for a moment: EEXIST, never two winners. */
    sha256_bytes(key, strlen(key), md);
    str_hex(md, HASH, hex);
    snprintf(ret, NAME_SIZE, "reservations/%s", hex);
}

/* Whose it is: "" nobody's. -EBADMSG. */
static int parse(const char *body, char ret_session[SESSION_ID_LEN + 1])
{
    ret_session[0] = '\0';
    if (body[0] == '\0')
        return 0;
    if (!str_starts(body, SESSION_WORD) ||
        strcspn(body + strlen(SESSION_WORD), "\n") != SESSION_ID_LEN)
        return err_set(-EBADMSG, "not a reservation");
    memcpy(ret_session, body + strlen(SESSION_WORD), SESSION_ID_LEN);
    ret_session[SESSION_ID_LEN] = '\0';
    return session_id_is_valid(ret_session) ? 0 : err_set(-EBADMSG, "not a reservation");
}

/* 0: it may be taken as *ret_etag; RESERVE_TAKEN; -errno. What this mount itself left there (a
 * record that could not be given back) may be taken: the vfs lets one creator of a name in at a
 * time. */
static int look(struct coord *c, const char *name, const char *ours, struct store_etag *ret_etag)
{
    _cleanup_(record_done) struct record now = {0};
    char session[SESSION_ID_LEN + 1];
    int r = record_get(c, name, session_deadline_ns(c), &now);

    if (r == 0)
        r = parse(now.body, session);
    if (r < 0)
        return r;
    *ret_etag = now.etag;
    if (session[0] == '\0' || strcmp(session, ours) == 0)
        return 0;
    r = session_judge(c, session);
    if (r < 0)
        return r;
    return r == SESSION_DEAD ? 0 : RESERVE_TAKEN;
}

static int write_down(struct coord *c, const char *name, const char *key, struct reservation *r)
{
    _cleanup_buf_ struct buf text = BUF_INIT(8192);

    buf_addf(&text, SESSION_WORD "%s\nkey ", r->session);
    str_urlencode(&text, key, strlen(key), true);
    buf_addc(&text, '\n');
    if (buf_failed(&text))
        return err_set(-ENOMEM, "no memory for a reservation");
    return record_swap(c, name, &r->etag, buf_str(&text), session_deadline_ns(c), &r->etag);
}

int reserve_take(struct coord *c, const char *key, struct reservation *ret)
{
    char name[NAME_SIZE];
    int r;

    *ret = (struct reservation){0};
    name_of(key, name);
    r = session_hold(c, ret->session);
    if (r < 0)
        return r;
    do {
        r = write_down(c, name, key, ret);
        if (r != RECORD_LOST)
            break;
        r = look(c, name, ret->session, &ret->etag);
    } while (r == 0); /* somebody's who gave it back, or died: ours if nobody is faster again */
    crash_point("reserve.taken");
    if (r != 0)
        session_drop(c, ret->session);
    return r;
}

void reserve_end(struct coord *c, const char *key, const struct reservation *r)
{
    struct err_copy cause;
    char name[NAME_SIZE];

    err_copy(&cause);
    name_of(key, name);
    if (record_clear(c, name, &r->etag, 0) < 0)
        log_debug("reserve.end", "key=%s cause=%s", LOG_Q(key), LOG_Q(err_text()));
    crash_point("reserve.ended");
    session_drop(c, r->session);
    err_restore(&cause);
}
