/* SPDX-License-Identifier: Apache-2.0 */
/* What mounts keep below the state prefix: read whole at the beginning, judged at the end, when it
 * is known which sessions are dead. A record that is not what it was is left to who changed it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "internal.h"

#define RECORD_BYTES_MAX (1u << 20)
#define PROBE_HEX 16

/* --- reading --- */

static int read_one(struct check *k, const struct store_entry *e)
{
    struct record_seen *v = reallocarray(k->records, k->n_records + 1, sizeof(*v)), *rec;
    const char *name = e->key + strlen(coord_state_prefix(k->coord));
    int r;

    if (v == NULL)
        return err_set(-ENOMEM, "out of memory");
    k->records = v;
    rec = &v[k->n_records];
    *rec = (struct record_seen){.name = strdup(name), .mtime_ns = e->mtime_ns};
    if (rec->name == NULL)
        return err_set(-ENOMEM, "out of memory");
    k->n_records++;
    k->result->records++;
    check_progress(k, CHECK_STAGE_STATE, k->result->records);
    r = e->size > RECORD_BYTES_MAX && survey_kind_of(name) != SURVEY_OTHER
            ? err_set(-EBADMSG, "larger than any record")
            : survey_read(k->coord, name, &rec->s);
    if (r == -EBADMSG)
        check_say(k, CHECK_RECORD, CHECK_LEFT, rec->name, "can't be read: %s", err_text());
    else if (r < 0)
        check_error(k, rec->name);
    if (r < 0) {
        survey_done(&rec->s);
        return r == -ENOMEM ? r : 0;
    }
    if (rec->s.kind == SURVEY_SESSION && !rec->s.is_empty)
        check_session_add(k, name + strlen("sessions/"));
    for (size_t i = 0; i < rec->s.n_holders; i++)
        check_session_add(k, rec->s.holders[i]);
    return 0;
}

int check_records_read(struct check *k)
{
    _cleanup_free_ char *token = NULL;
    int r;

    do {
        struct store_req req = {
            .op = STORE_LIST, .prefix = coord_state_prefix(k->coord), .token = token};
        struct store_rsp rsp = {0};

        r = err_fold(store_call(k->store, &req, &rsp));
        k->date_ns = rsp.date_ns != 0 ? rsp.date_ns : k->date_ns;
        for (size_t i = 0; r == 0 && i < rsp.list.n; i++)
            r = read_one(k, &rsp.list.v[i]);
        free(token);
        token = r == 0 ? steal(&rsp.list.next) : NULL;
        store_rsp_done(&rsp);
    } while (r == 0 && token != NULL);
    return r;
}

void check_records_done(struct check *k)
{
    for (size_t i = 0; i < k->n_records; i++) {
        survey_done(&k->records[i].s);
        free(k->records[i].name);
    }
    free(k->records);
    free(k->sessions);
    k->records = NULL;
    k->sessions = NULL;
    k->n_records = k->n_sessions = 0;
}

/* They were listed in the order of their names. */
const struct record_seen *check_record(const struct check *k, const char *name)
{
    size_t low = 0, high = k->n_records;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = strcmp(k->records[mid].name, name);

        if (c == 0)
            return &k->records[mid];
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* --- judging --- */

/* A repair that only goes by compare-and-swap: its fate, and 0 where there is nothing to tell. */
static bool begin_repair(struct check *k, enum check_fate *ret, const char **ret_more)
{
    *ret_more = "";
    *ret = CHECK_REPAIRABLE;
    if (!k->conf->repair)
        return false;
    if (k->can_swap)
        return true;
    *ret = CHECK_LEFT;
    *ret_more = "; the server's PUT has no conditions, so it stays";
    return false;
}

/* What to tell after it was tried. Somebody else's change is neither a finding nor a failure. */
static void end_repair(struct check *k, enum check_kind kind, const char *name, int r,
                       const char *cause)
{
    if (r != SURVEY_CHANGED)
        check_say(k, kind, check_repaired(r), name, "%s%s%s", cause, r < 0 ? ": " : "",
                  r < 0 ? err_text() : "");
}

static size_t count_dead(struct check *k, const struct survey *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->n_holders; i++)
        n += check_session_is_dead(k, s->holders[i]);
    return n;
}

static void judge_lock(struct check *k, const struct record_seen *rec)
{
    static const char cause[] = "a lock of a mount that died";
    enum check_fate fate;
    const char *more;

    if (count_dead(k, &rec->s) == 0)
        return;
    if (begin_repair(k, &fate, &more))
        end_repair(k, CHECK_LOCK, rec->name,
                   survey_release(k->coord, rec->name, &rec->s.etag, check_session_is_dead, k),
                   cause);
    else
        check_say(k, CHECK_LOCK, fate, rec->name, "%s%s", cause, more);
}

static void judge_reservation(struct check *k, const struct record_seen *rec)
{
    static const char cause[] = "a name that a mount which died had reserved";
    enum check_fate fate;
    const char *more;

    if (count_dead(k, &rec->s) == 0)
        return;
    if (begin_repair(k, &fate, &more))
        end_repair(k, CHECK_RESERVATION, rec->name, survey_clear(k->coord, rec->name, &rec->s),
                   cause);
    else
        check_say(k, CHECK_RESERVATION, fate, rec->name, "%s%s", cause, more);
}

/* 1: the object is there and says that it is of this group; 0: not; -errno. */
static int is_member(struct check *k, const char *id, const char *key)
{
    struct store_req req = {.op = STORE_HEAD, .key = key};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    int r = store_call(k->store, &req, &rsp);
    const char *link = r == 0 ? store_hdrs_get(&rsp.obj.hdrs, LINK_HDR) : NULL;

    if (r == STORE_NOT_FOUND)
        return 0;
    return r != 0 ? err_fold(r) : link != NULL && str_starts(link, id);
}

/* A mount that makes a group writes the record first: it has an hour to make the members. */
static void judge_group(struct check *k, const struct record_seen *rec)
{
    static const char cause[] = "hard links of which no name is there any more";
    const char *id = rec->name + strlen("links/"), *more;
    enum check_fate fate;
    int r = 0;

    if (!check_is_old(k, rec->mtime_ns, OLD_NS))
        return;
    for (size_t i = 0; r == 0 && i < rec->s.group.n; i++)
        r = is_member(k, id, rec->s.group.v[i].key);
    if (r < 0)
        check_error(k, rec->name);
    if (r != 0)
        return;
    if (begin_repair(k, &fate, &more))
        end_repair(k, CHECK_LINK_GROUP, rec->name, survey_clear(k->coord, rec->name, &rec->s),
                   cause);
    else
        check_say(k, CHECK_LINK_GROUP, fate, rec->name, "%s%s", cause, more);
}

/* A session's id never comes again, so its record may go without a condition; any other might be
 * taken in the moment between the look and the DELETE. */
static void judge_empty(struct check *k, const struct record_seen *rec)
{
    int r = SURVEY_KEPT;

    if (k->conf->repair && check_is_old(k, rec->mtime_ns, OLD_NS))
        r = rec->s.kind == SURVEY_SESSION ? intent_sweep(k->coord, rec->name, &rec->s.etag)
                                          : survey_clear(k->coord, rec->name, &rec->s);
    if (r == SURVEY_KEPT)
        check_say(k, CHECK_EMPTY_RECORD, CHECK_NOTE, rec->name, "nobody holds anything by it");
    else
        end_repair(k, CHECK_EMPTY_RECORD, rec->name, r, "nobody holds anything by it");
}

/* "probe/<hex>/...": random names that no mount uses twice. */
static bool is_probe(const char *name)
{
    const char *hex = name + strlen("probe/");

    return str_starts(name, "probe/") && strspn(hex, "0123456789abcdef") == PROBE_HEX &&
           hex[PROBE_HEX] == '/';
}

static void judge_probe(struct check *k, const struct record_seen *rec)
{
    _cleanup_free_ char *key = NULL;
    struct store_req req = {.op = STORE_DELETE};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    int r = 0;

    if (!check_is_old(k, rec->mtime_ns, OLD_NS))
        return;
    if (!k->conf->repair) {
        check_say(k, CHECK_PROBE, CHECK_REPAIRABLE, rec->name, "left by a mount's start");
        return;
    }
    if (asprintf(&key, "%s%s", coord_state_prefix(k->coord), rec->name) < 0) {
        key = NULL;
        r = err_set(-ENOMEM, "out of memory");
    }
    req.key = key;
    if (r == 0)
        r = err_fold(store_call(k->store, &req, &rsp));
    end_repair(k, CHECK_PROBE, rec->name, r, "left by a mount's start");
}

static void judge_other(struct check *k, const struct record_seen *rec)
{
    if (is_probe(rec->name))
        judge_probe(k, rec);
    else if (str_starts(rec->name, "lost+found/"))
        check_say(k, CHECK_LOST_FOUND, CHECK_LEFT, rec->name, "bytes that wait for their owner");
    else if (strcmp(rec->name, "root") != 0 && rec->name[0] != '\0')
        check_say(k, CHECK_RECORD, CHECK_LEFT, rec->name,
                  "nobody knows what it is (a later version's?)");
}

void check_records(struct check *k)
{
    for (size_t i = 0; i < k->n_records; i++) {
        const struct record_seen *rec = &k->records[i];
        bool is_read = store_etag_is_set(&rec->s.etag);

        if (rec->s.kind == SURVEY_OTHER && survey_kind_of(rec->name) == SURVEY_OTHER)
            judge_other(k, rec);
        else if (!is_read)
            continue; /* unreadable, or gone since it was listed */
        else if (rec->s.is_empty)
            judge_empty(k, rec);
        else if (rec->s.kind == SURVEY_LOCK)
            judge_lock(k, rec);
        else if (rec->s.kind == SURVEY_RESERVATION)
            judge_reservation(k, rec);
        else if (rec->s.kind == SURVEY_LINK)
            judge_group(k, rec);
    }
}
