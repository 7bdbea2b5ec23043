/* SPDX-License-Identifier: Apache-2.0 */
/* Renames that a dead mount left, and tombstones of those that are over. Finishing one is what any
 * mount would do (conf.mend): here it is only found out which there are, and what came of it. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "internal.h"

/* INTENT-1: a claim of a target goes with the source's record that says the same. */
static bool is_part(const struct check *k, const struct intent *i)
{
    char name[INTENT_NAME_SIZE];
    const struct record_seen *source;

    if (!i->is_target)
        return false;
    intent_name(i->from, i->is_dir, name);
    source = check_record(k, name);
    return source != NULL && intent_stands(&source->s.intent) && !source->s.intent.is_target &&
           intent_is_same(&source->s.intent, i);
}

static bool is_left(struct check *k, const struct record_seen *rec)
{
    const struct intent *i = &rec->s.intent;

    return rec->s.kind == SURVEY_INTENT && intent_stands(i) && !is_part(k, i) &&
           check_session_is_dead(k, i->session);
}

/* 0: it is over; 1: it still stands; -errno. */
static int look_again(struct check *k, const struct record_seen *rec)
{
    struct intent now;
    int r = intent_read(k->coord, rec->name, &now, NULL);

    return r < 0 ? r : intent_stands(&now) && intent_is_same(&now, &rec->s.intent);
}

/* Mounts of a prefix finish what is within it. */
static bool is_elsewhere(const struct check *k, const struct intent *i)
{
    return !str_starts(i->from, k->conf->prefix) || !str_starts(i->to, k->conf->prefix);
}

static void tell(struct check *k, const struct record_seen *rec, bool is_mended)
{
    const struct intent *i = &rec->s.intent;
    enum check_fate fate = CHECK_REPAIRABLE;
    int r = 0;

    if (k->conf->repair && !is_mended) {
        fate = CHECK_LEFT;
    } else if (k->conf->repair) {
        r = look_again(k, rec);
        fate = check_repaired(r);
    }
    check_say(k, CHECK_INTENT, fate, rec->name,
              "a mount died while it renamed %.200s to %.200s%s%s", i->from, i->to,
              r < 0   ? ": "
              : r > 0 ? ": not finished"
                      : "",
              r < 0 ? err_text() : "");
}

static void judge_tombstone(struct check *k, const struct record_seen *rec)
{
    enum check_fate fate = CHECK_REPAIRABLE;
    int r = 0;

    if (!check_is_old(k, rec->mtime_ns, OLD_NS))
        return;
    if (k->conf->repair) {
        r = intent_clear(k->coord, rec->name, &rec->s.etag); /* CHECK-4: mounts write there, too */
        fate = check_repaired(r);
    }
    if (r != INTENT_BUSY)
        check_say(k, CHECK_TOMBSTONE, fate, rec->name, "of a rename that has long been over%s%s",
                  r < 0 ? ": " : "", r < 0 ? err_text() : "");
}

void check_renames(struct check *k)
{
    bool can_mend = k->conf->repair && k->can_swap && k->conf->mend != NULL, is_mended = false;

    for (size_t i = 0; i < k->n_records; i++) {
        const struct record_seen *rec = &k->records[i];

        if (is_left(k, rec) && is_elsewhere(k, &rec->s.intent)) {
            check_say(
                k, CHECK_INTENT, CHECK_LEFT, rec->name,
                "a mount died while it renamed %.200s to %.200s, of another prefix: check that",
                rec->s.intent.from, rec->s.intent.to);
        } else if (is_left(k, rec)) {
            if (can_mend && !is_mended && k->conf->mend(k->conf->arg) < 0)
                check_error(k, "renames");
            is_mended = can_mend;
            tell(k, rec, is_mended);
        } else if (rec->s.kind == SURVEY_INTENT && rec->s.intent.state == INTENT_DONE) {
            judge_tombstone(k, rec);
        }
    }
}
