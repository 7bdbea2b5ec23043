/* SPDX-License-Identifier: Apache-2.0 */
/* Rename intents: what a mount is about to do with a name, written down before it does it, so that
 * any mount finishes it if the first one dies (protocol 4 and 8). One record for each claimed name:
 * `intents/<hash of key>` for a file, `intents/dirs/<hash of prefix>` for a directory.
 *
 * INTENT-1  The record of the source decides; a record of the target (is_target) only claims the
 *           name, and counts for nothing once the source's record does not say the same.
 * INTENT-2  A record changes hands by compare-and-swap only, after session_judge() called its
 *           session dead.
 * INTENT-3  Two names are claimed lower record first; who finds a name taken lets go of what it has
 *           before it waits. So no two renamers wait for each other.
 * What an intent means to files is vfs's to know. */
#ifndef S3EFS_COORD_INTENT_H
#define S3EFS_COORD_INTENT_H

#include <stdbool.h>
#include "base/buf.h"
#include "coord/coord.h"
#include "coord/session.h"

#define INTENT_KEY_MAX 1025 /* a directory's key may have one more byte than a file's */
#define INTENT_MARK_LEN 16  /* hex digits */
#define INTENT_NAME_SIZE sizeof("intents/dirs/0123456789abcdef0123456789abcdef")

enum intent_state {
    INTENT_NONE = 0,    /* no record, or it was emptied */
    INTENT_CLAIMED = 1, /* being copied: the source's name holds */
    INTENT_COPIED = 2,  /* all is under the new name, which holds; the source is being deleted */
    INTENT_DONE = 3,    /* tombstone: tells where the file went */
};

struct intent {
    enum intent_state state;
    bool is_dir, is_target;
    char session[SESSION_ID_LEN + 1];
    char mark[INTENT_MARK_LEN + 1]; /* random; the copies carry it */
    char id[33];                    /* file id; "" for a directory */
    struct store_etag source;       /* version that is moved; unset for a directory */
    struct store_etag target;       /* version that is replaced; unset: there was none */
    int64_t age_ns;                 /* not written: since then, by the server's clock; 0 not known */
    char from[INTENT_KEY_MAX + 1], to[INTENT_KEY_MAX + 1];
};

/* Pure. A body that is not one of ours: -EBADMSG. An empty body is INTENT_NONE. */
_must_check_ int intent_parse(const char *body, struct intent *ret);
void intent_format(const struct intent *i, struct buf *out);
void intent_name(const char *key, bool is_dir, char ret[INTENT_NAME_SIZE]);
/* Do both speak of the same rename? */
bool intent_is_same(const struct intent *a, const struct intent *b);
static inline bool intent_stands(const struct intent *i)
{
    return i->state == INTENT_CLAIMED || i->state == INTENT_COPIED;
}

/* One GET. ret->state INTENT_NONE where nothing is written; *ret_etag (may be NULL) as in record.h.
 */
_must_check_ int intent_read(struct coord *c, const char *name, struct intent *ret,
                             struct store_etag *ret_etag);

/* A rename's hold on its names. */
struct intent_claim {
    struct intent what; /* is_target false; session, mark: filled in by intent_claim() */
    bool both;          /* the target's name too */
    struct store_etag source_rec, target_rec; /* of the records, while they are ours; else unset */
    bool has_session;
};
enum intent_outcome { INTENT_BUSY = 1 };
/* 0; INTENT_BUSY: *ret_other stands in the way, and nothing of ours does; -errno: nothing of ours
 * stands that session_judge() would not find dead. */
_must_check_ int intent_claim(struct coord *c, struct intent_claim *cl, struct intent *ret_other);
/* The next state. 0; RECORD_LOST's errno -ESTALE: it is not ours any more; -errno. */
_must_check_ int intent_advance(struct coord *c, struct intent_claim *cl, enum intent_state state);
/* It is over: a tombstone stays (moved, to be swept), or nothing. Lets the session go. */
_must_check_ int intent_finish(struct coord *c, struct intent_claim *cl, bool leave_tombstone);
/* Leaves the records as they are: somebody will take them over. Lets the session go. */
void intent_leave(struct coord *c, struct intent_claim *cl);
/* Takes over what a dead session left (also our own, left behind). etag: of the source's record.
 * 0 and *ret; INTENT_BUSY: somebody else was faster; -errno. */
_must_check_ int intent_take(struct coord *c, const struct intent *left,
                             const struct store_etag *etag, struct intent_claim *ret);
/* Empties one record of this state: a tombstone that is old, a claim of a target that has lost its
 * source. 0, INTENT_BUSY (it changed), -errno. */
_must_check_ int intent_clear(struct coord *c, const char *name, const struct store_etag *etag);
/* Removes one that has not changed for long: a tombstone, an emptied one. Where a DELETE has no
 * condition it is looked at just before; a claim made in between would go with it, and only cost
 * the completion of that one rename after a crash. 0, INTENT_BUSY, -errno. */
_must_check_ int intent_sweep(struct coord *c, const char *name, const struct store_etag *etag);
/* Calls each(arg, name, etag) for every record there is; dirs: only directories' (few). */
_must_check_ int
intent_list(struct coord *c, bool dirs,
            int (*each)(void *arg, const char *name, const struct store_etag *etag), void *arg);

#endif
