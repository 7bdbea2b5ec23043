/* SPDX-License-Identifier: Apache-2.0 */
/* Claims of names by rename intents: got, changed and given back by compare-and-swap. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "coord/intent.h"
#include "internal.h"
#include "record.h"

int intent_read(struct coord *c, const char *name, struct intent *ret, struct store_etag *ret_etag)
{
    _cleanup_(record_done) struct record rec = {0};
    int r = record_get(c, name, 0, &rec);

    *ret = (struct intent){0};
    if (r < 0)
        return r;
    if (ret_etag != NULL)
        *ret_etag = rec.etag;
    r = intent_parse(rec.body, ret);
    ret->age_ns = rec.age_ns;
    return r;
}

static int write_record(struct coord *c, const struct intent *what, bool is_target,
                        struct store_etag *etag)
{
    _cleanup_buf_ struct buf text = BUF_INIT(16384);
    struct intent i = *what;
    char name[INTENT_NAME_SIZE];

    i.is_target = is_target;
    intent_name(is_target ? i.to : i.from, i.is_dir, name);
    intent_format(&i, &text);
    if (buf_failed(&text))
        return err_set(-ENOMEM, "no memory for an intent");
    return record_swap(c, name, etag, buf_str(&text), session_deadline_ns(c), etag);
}

/* One name. 0; INTENT_BUSY and *ret_other; -errno. */
static int claim_one(struct coord *c, struct intent_claim *cl, bool is_target,
                     struct intent *ret_other)
{
    struct store_etag *etag = is_target ? &cl->target_rec : &cl->source_rec;
    char name[INTENT_NAME_SIZE];

    *etag = (struct store_etag){""};
    intent_name(is_target ? cl->what.to : cl->what.from, cl->what.is_dir, name);
    for (;;) {
        int r = write_record(c, &cl->what, is_target, etag);

        crash_point("intent.claimed");
        if (r != RECORD_LOST)
            return r;
        r = intent_read(c, name, ret_other, etag);
        if (r < 0)
            return r;
        if (intent_stands(ret_other)) {
            *etag = (struct store_etag){""};
            return INTENT_BUSY;
        }
    }
}

/* Gives back a record that may be ours; the error of the thread stays what it was. */
static void give_back(struct coord *c, const struct intent_claim *cl, bool is_target,
                      struct store_etag *etag)
{
    struct err_copy cause;
    char name[INTENT_NAME_SIZE];

    if (!store_etag_is_set(etag))
        return;
    err_copy(&cause);
    intent_name(is_target ? cl->what.to : cl->what.from, cl->what.is_dir, name);
    if (record_clear(c, name, etag, 0) < 0) /* what stays is cleared by those that list intents */
        log_debug("intent.give_back", "cause=%s", LOG_Q(err_text()));
    *etag = (struct store_etag){""};
    err_restore(&cause);
}

void intent_leave(struct coord *c, struct intent_claim *cl)
{
    if (cl->has_session)
        session_drop(c, cl->what.session);
    cl->has_session = false;
    cl->source_rec = cl->target_rec = (struct store_etag){""};
}

static int claim_names(struct coord *c, struct intent_claim *cl, struct intent *ret_other)
{
    char source[INTENT_NAME_SIZE], target[INTENT_NAME_SIZE];
    bool target_first;
    int r;

    intent_name(cl->what.from, cl->what.is_dir, source);
    intent_name(cl->what.to, cl->what.is_dir, target);
    target_first = cl->both && strcmp(target, source) < 0;
    r = claim_one(c, cl, target_first, ret_other);
    if (r == 0 && cl->both) {
        r = claim_one(c, cl, !target_first, ret_other);
        if (r != 0)
            give_back(c, cl, target_first, target_first ? &cl->target_rec : &cl->source_rec);
    }
    return r;
}

int intent_claim(struct coord *c, struct intent_claim *cl, struct intent *ret_other)
{
    unsigned char random[INTENT_MARK_LEN / 2];
    int r;

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return err_set(-EIO, "no random bytes");
    str_hex(random, sizeof(random), cl->what.mark);
    cl->what.state = INTENT_CLAIMED;
    r = session_hold(c, cl->what.session);
    if (r < 0)
        return r;
    cl->has_session = true;
    r = claim_names(c, cl, ret_other);
    if (r != 0)
        intent_leave(c, cl);
    return r;
}

int intent_advance(struct coord *c, struct intent_claim *cl, enum intent_state state)
{
    enum intent_state was = cl->what.state;
    int r;

    cl->what.state = state;
    r = write_record(c, &cl->what, false, &cl->source_rec);
    if (r != 0)
        cl->what.state = was;
    if (r == RECORD_LOST)
        r = err_set(-ESTALE, "the rename of %s was taken over by another mount", cl->what.from);
    return r;
}

/* The target's claim of a rename whose first half another mount wrote. */
static void find_target(struct coord *c, struct intent_claim *cl)
{
    char name[INTENT_NAME_SIZE];
    struct store_etag etag;
    struct intent there;

    if (store_etag_is_set(&cl->target_rec))
        return;
    intent_name(cl->what.to, cl->what.is_dir, name);
    if (intent_read(c, name, &there, &etag) == 0 && intent_stands(&there) && there.is_target &&
        intent_is_same(&there, &cl->what))
        cl->target_rec = etag;
}

int intent_finish(struct coord *c, struct intent_claim *cl, bool leave_tombstone)
{
    char name[INTENT_NAME_SIZE];
    int r;

    intent_name(cl->what.from, cl->what.is_dir, name);
    if (leave_tombstone)
        r = intent_advance(c, cl, INTENT_DONE);
    else
        r = record_clear(c, name, &cl->source_rec, 0);
    crash_point("intent.finished");
    if (r == RECORD_LOST) /* taken over, and so finished by another mount */
        r = 0;
    if (r == 0 && cl->both) {
        find_target(c, cl);
        give_back(c, cl, true, &cl->target_rec);
    }
    intent_leave(c, cl);
    return r;
}

int intent_take(struct coord *c, const struct intent *left, const struct store_etag *etag,
                struct intent_claim *ret)
{
    int r;

    *ret = (struct intent_claim){.what = *left, .both = true, .source_rec = *etag};
    r = session_hold(c, ret->what.session);
    if (r < 0)
        return r;
    ret->has_session = true;
    r = write_record(c, &ret->what, false, &ret->source_rec);
    crash_point("intent.taken");
    if (r != 0)
        intent_leave(c, ret);
    return r == RECORD_LOST ? INTENT_BUSY : r;
}

int intent_clear(struct coord *c, const char *name, const struct store_etag *etag)
{
    int r = record_clear(c, name, etag, 0);

    return r == RECORD_LOST ? INTENT_BUSY : r;
}

int intent_sweep(struct coord *c, const char *name, const struct store_etag *etag)
{
    _cleanup_(record_done) struct record now = {0};
    _cleanup_(store_rsp_done) struct store_rsp rsp = {0};
    char key[sizeof("intents/") + 1024];
    struct store_req req = {.op = STORE_DELETE, .key = key};
    int r;

    if (c->conf.caps.delete_match)
        return intent_clear(c, name, etag);
    r = record_get(c, name, 0, &now);
    if (r < 0 && r != -EBADMSG)
        return r;
    if (r == 0 && !store_etag_equal(&now.etag, etag))
        return store_etag_is_set(&now.etag) ? INTENT_BUSY : 0;
    if (snprintf(key, sizeof(key), "%s%s", c->prefix, name) >= (int)sizeof(key))
        return err_set(-ENAMETOOLONG, "state_prefix is too long");
    r = store_call(c->store, &req, &rsp);
    return r == STORE_NOT_FOUND ? 0 : err_fold(r);
}

int intent_list(struct coord *c, bool dirs,
                int (*each)(void *arg, const char *name, const struct store_etag *etag), void *arg)
{
    return record_list(c, dirs ? "intents/dirs/" : "intents/", each, arg);
}
