/* SPDX-License-Identifier: Apache-2.0 */
/* The cache against the bucket, and against itself. */
#include <errno.h>
#include <inttypes.h>

#include "base/err.h"
#include "cache/journal.h"
#include "internal.h"

#define KEPT_MAX 10000

struct scrub {
    struct check *k;
    enum check_fate fate; /* of what is wrong */
    bool has_unsent;      /* versions that the bucket has lost may be what that was written onto */
};

static bool look_at(void *arg, const struct cache_scrub_version *v)
{
    struct scrub *s = arg;

    check_progress(s->k, CHECK_STAGE_CACHE, ++s->k->result->versions);
    if (v->bad_blocks > 0)
        check_say(s->k, CHECK_CACHE_BLOCK, s->fate, v->name,
                  "%" PRIu64 " of its %" PRIu64 " cached blocks are not what was written",
                  v->bad_blocks, v->blocks);
    if (!v->is_known && v->other_size != UINT64_MAX)
        check_say(s->k, CHECK_CACHE_SIZE, s->fate, v->name,
                  "cached with %" PRIu64 " bytes; the bucket has %" PRIu64 " under this ETag",
                  v->size, v->other_size);
    else if (!v->is_known)
        check_say(s->k, CHECK_CACHE_STALE,
                  s->k->conf->repair && !s->has_unsent ? s->fate : CHECK_NOTE, v->name,
                  "a cached version of %" PRIu64 " bytes that the bucket does not have (any more)",
                  v->size);
    return s->k->conf->repair && (v->is_known || v->other_size != UINT64_MAX || !s->has_unsent);
}

/* Does anything stand in the journal, as far as is known? */
static bool look_for_unsent(struct check *k)
{
    uint64_t entries, bytes;
    int r = journal_peek(k->cache, &entries, &bytes);

    if (r == -EBADMSG)
        check_say(k, CHECK_UNSENT, CHECK_LEFT, "journal",
                  "%s: the next mount with this directory sends what can be read of it",
                  err_text());
    else if (r < 0)
        check_error(k, "journal");
    else if (entries > 0)
        check_say(k, CHECK_UNSENT, CHECK_LEFT, "journal",
                  "%" PRIu64 " changes with %" PRIu64 " bytes were acknowledged and are not in the "
                  "bucket: mount with this cache directory to send them",
                  entries, bytes);
    return r < 0 || entries > 0;
}

static void look_for_kept(struct check *k)
{
    struct cache_kept_list kept = {0};

    if (cache_kept_get(k->cache, KEPT_MAX, &kept) < 0)
        check_error(k, "lost+found");
    for (size_t i = 0; i < kept.n; i++)
        check_say(k, CHECK_LOST_FOUND, CHECK_LEFT, kept.v[i].file, "%" PRIu64 " bytes of %s: %s",
                  kept.v[i].size, kept.v[i].key, kept.v[i].why);
    cache_kept_done(&kept);
}

void check_cache(struct check *k)
{
    struct scrub s = {.k = k, .fate = k->conf->repair ? CHECK_REPAIRED : CHECK_REPAIRABLE};

    if (k->scrub == NULL)
        return;
    if (cache_scrub_is_anew(k->cache))
        check_say(k, CHECK_CACHE, CHECK_REPAIRED, "index",
                  "it could not be believed, and was begun anew");
    s.has_unsent = look_for_unsent(k);
    if (cache_scrub_run(k->scrub, look_at, &s) < 0)
        check_error(k, "cache");
    look_for_kept(k);
}
