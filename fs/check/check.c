/* SPDX-License-Identifier: Apache-2.0 */
/* The order of a check. Sessions are watched from its beginning to its end, so the time that the
 * bucket takes counts as waiting. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "internal.h"

const char *check_kind_name(enum check_kind kind)
{
    static const char *const names[CHECK_KINDS] = {
        [CHECK_HIDDEN_KEY] = "hidden-key",
        [CHECK_SHADOWED] = "shadowed-file",
        [CHECK_UPLOAD] = "abandoned-upload",
        [CHECK_SESSION] = "dead-session",
        [CHECK_LOCK] = "dead-lock",
        [CHECK_RESERVATION] = "dead-reservation",
        [CHECK_INTENT] = "unfinished-rename",
        [CHECK_TOMBSTONE] = "old-tombstone",
        [CHECK_LINK_GROUP] = "empty-link-group",
        [CHECK_LINK_MEMBER] = "link-without-group",
        [CHECK_EMPTY_RECORD] = "empty-record",
        [CHECK_PROBE] = "probe-left",
        [CHECK_RECORD] = "unreadable-record",
        [CHECK_LOST_FOUND] = "lost-found",
        [CHECK_UNSENT] = "unsent",
        [CHECK_CACHE] = "cache",
        [CHECK_CACHE_BLOCK] = "cache-block",
        [CHECK_CACHE_SIZE] = "cache-size",
        [CHECK_CACHE_STALE] = "cache-stale",
    };

    return (unsigned)kind < CHECK_KINDS ? names[kind] : "?";
}

const char *check_fate_name(enum check_fate fate)
{
    static const char *const names[] = {[CHECK_NOTE] = "note",
                                        [CHECK_LEFT] = "left",
                                        [CHECK_REPAIRABLE] = "repairable",
                                        [CHECK_REPAIRED] = "repaired",
                                        [CHECK_FAILED] = "failed"};

    return (unsigned)fate < ARRAY_LEN(names) ? names[fate] : "?";
}

void check_say(struct check *k, enum check_kind kind, enum check_fate fate, const char *name,
               const char *cause, ...)
{
    char text[ERR_TEXT_MAX + 128];
    struct check_finding f = {.kind = kind, .fate = fate, .name = name, .cause = text};
    va_list ap;

    va_start(ap, cause);
    (void)vsnprintf(text, sizeof(text), cause, ap);
    va_end(ap);
    if (fate == CHECK_NOTE)
        k->result->notes++;
    else
        k->result->findings++;
    if (fate == CHECK_REPAIRED)
        k->result->repaired++;
    else if (fate != CHECK_NOTE)
        k->result->left++;
    k->conf->found(k->conf->arg, &f);
}

void check_error(struct check *k, const char *name)
{
    k->result->errors++;
    check_say(k, CHECK_RECORD, CHECK_LEFT, name, "could not be looked at: %s",
              *err_text() != '\0' ? err_text() : "the bucket did not say why");
}

void check_progress(struct check *k, enum check_stage stage, uint64_t done)
{
    if (k->conf->progress != NULL)
        k->conf->progress(k->conf->arg, stage, done);
}

bool check_is_old(const struct check *k, int64_t then_ns, int64_t ns)
{
    if (ns == 0) /* of any age; the clock's grain does not matter then */
        return true;
    return k->date_ns != 0 && then_ns != 0 && k->date_ns - then_ns >= ns;
}

enum check_fate check_repaired(int r)
{
    return r == 0 ? CHECK_REPAIRED : CHECK_FAILED;
}

int check_run(const struct check_conf *conf, struct store *store, struct coord *coord,
              struct cache *cache, struct check_result *ret)
{
    struct check k = {.conf = conf,
                      .store = store,
                      .coord = coord,
                      .cache = cache,
                      .result = ret,
                      .can_swap = conf->caps.put_absent && conf->caps.put_match};
    int r;

    *ret = (struct check_result){0};
    err_clear();
    r = check_records_read(&k);
    if (r == 0 && cache != NULL)
        r = cache_scrub_new(cache, &k.scrub);
    if (r == 0)
        r = check_bucket(&k);
    if (r == 0) {
        check_uploads(&k);
        check_cache(&k);
        check_sessions_judge(&k);
        check_sessions_report(&k);
        check_renames(&k);
        check_records(&k);
    }
    cache_scrub_free(k.scrub);
    check_records_done(&k);
    return r;
}
