/* SPDX-License-Identifier: Apache-2.0 */
/* Checks a bucket, what mounts keep below its state prefix, and one mount's cache, and repairs what
 * is safe to repair.
 *
 * CHECK-1  An object outside the state prefix is never written, moved or deleted here. The one
 *          exception is a rename that a dead mount had begun: conf.mend finishes it as any mount
 *          would (protocol 4 and 8). lost+found below the state prefix is a user's too.
 * CHECK-2  Without conf.repair no request changes the bucket.
 * CHECK-3  A session is dead if its record was the same for its lease by our CLOCK_BOOTTIME; ages
 * of what has no session are told by the bucket's own clock (its Date against its times), and only
 * what is also unchanged through the run is repaired. CHECK-4  Records change by compare-and-swap
 * only: who comes back meanwhile wins. Threads: one; the callbacks run on it. */
#ifndef S3EFS_CHECK_CHECK_H
#define S3EFS_CHECK_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macros.h"
#include "cache/cache.h"
#include "coord/coord.h"
#include "store/store.h"

enum check_kind {
    CHECK_HIDDEN_KEY,   /* a key that no mount can show */
    CHECK_SHADOWED,     /* a file that is not seen behind a directory of its name */
    CHECK_UPLOAD,       /* a multipart upload that nobody has ended for long */
    CHECK_SESSION,      /* of a mount that died */
    CHECK_LOCK,         /* held by a mount that died */
    CHECK_RESERVATION,  /* of a name, by a mount that died */
    CHECK_INTENT,       /* a rename that a mount which died did not finish */
    CHECK_TOMBSTONE,    /* of a rename that has been over for long */
    CHECK_LINK_GROUP,   /* of hard links, without a member */
    CHECK_LINK_MEMBER,  /* an object that calls itself a hard link, of a group that is gone */
    CHECK_EMPTY_RECORD, /* nobody holds anything by it */
    CHECK_PROBE,        /* left of a mount's first look at what the server can do */
    CHECK_RECORD,       /* can't be read, or nobody knows what it is */
    CHECK_LOST_FOUND,   /* bytes that could not go to their file wait for their owner */
    CHECK_UNSENT,       /* what was acknowledged (commit=local) and is in no bucket yet */
    CHECK_CACHE,        /* the cache directory as a whole */
    CHECK_CACHE_BLOCK,  /* cached bytes that are not what was written */
    CHECK_CACHE_SIZE,   /* a cached version whose size is not the bucket's */
    CHECK_CACHE_STALE,  /* a cached version that the bucket does not have any more */
    CHECK_KINDS
};
enum check_fate {
    CHECK_NOTE,       /* harmless, and stays as it is */
    CHECK_LEFT,       /* only a person can decide */
    CHECK_REPAIRABLE, /* conf.repair would */
    CHECK_REPAIRED,
    CHECK_FAILED, /* the repair was tried in vain */
};
const char *check_kind_name(enum check_kind kind); /* "hidden-key": stable */
const char *check_fate_name(enum check_fate fate);

struct check_finding {
    enum check_kind kind;
    enum check_fate fate;
    const char *name;  /* key, record or cached version; bytes as the bucket has them */
    const char *cause; /* a sentence */
};

enum check_stage { CHECK_STAGE_STATE, CHECK_STAGE_BUCKET, CHECK_STAGE_CACHE, CHECK_STAGE_WAIT };

struct check_conf {
    const char *prefix;     /* of the mount: "" or ends in '/' */
    struct store_caps caps; /* for repair: what the server's conditions are worth */
    bool repair;
    bool deep;           /* HEAD every object: finds CHECK_LINK_MEMBER */
    int64_t older_ns;    /* an upload is abandoned after so long */
    int64_t wait_max_ns; /* sessions with a longer lease are not judged */
    /* Finishes the renames of sessions that are marked dead: how many stand yet, or -errno. NULL:
     * nobody can. */
    int (*mend)(void *arg);
    void (*found)(void *arg, const struct check_finding *f);
    /* For a person who waits: so many done, in this stage. May be NULL. */
    void (*progress)(void *arg, enum check_stage stage, uint64_t done);
    void (*sleep)(void *arg, int64_t ns); /* NULL: nanosleep; tests move their clock */
    void *arg;                            /* of all four */
};
struct check_result {
    uint64_t objects;                         /* keys outside the state prefix */
    uint64_t records;                         /* and below it */
    uint64_t versions;                        /* cached */
    uint64_t findings, notes, repaired, left; /* notes are no findings; left: not repaired */
    uint64_t errors; /* something could not be looked at: it is not known to be sound */
};
/* cache: NULL, or one that is open for a check (cache_conf.check) and belongs to this source. 0, or
 * -errno where the bucket could not be listed; *ret is true in any case. */
_must_check_ int check_run(const struct check_conf *conf, struct store *store, struct coord *coord,
                           struct cache *cache, struct check_result *ret);

/* Pure: why the key (below the prefix) is hidden from every mount; NULL: it is not. */
const char *check_key_fault(const char *key);

#endif
