/* SPDX-License-Identifier: Apache-2.0 */
/* Link groups: which keys are names of one file (protocol 9). One record, `links/<file id>`:
 *
 *     generation 7
 *     ctime 1700000000000000000   when a name last came or went: newer than the objects'
 *     bytes a/b            the key that was written first at this generation
 *     member a/b           a name
 *     maybe a/c            a name that is being made or taken away, or whose maker died: look there
 *
 * Keys are percent-encoded, whole (with the mount's prefix). Every state is made by
 * compare-and-swap. The record orders commits; that an object belongs to the group at all, and the
 * generation of its bytes, is in the object's own metadata, so a lost record costs no bytes.
 * Threads: any; a struct is its caller's. */
#ifndef S3EFS_COORD_LINK_H
#define S3EFS_COORD_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"
#include "coord/coord.h"

#define LINK_HDR STORE_USER_META "s3efs-link" /* of a name's object: "<file id> <generation>" */
#define LINK_ID_LEN 32         /* hex digits: the file id */
#define LINK_MEMBERS_MAX 1000u /* names of one file; EFS: 177 */
#define LINK_RECORD_MAX (1u << 20)

enum link_outcome {
    LINK_LOST = 1, /* another mount changed the record: read it again */
};

struct link_member {
    char *key;
    bool is_maybe;
};

struct link_group {
    struct store_etag etag; /* of the record; unset: there is none */
    uint64_t generation;    /* 0: there is no group */
    int64_t ctime_ns;       /* 0: none */
    char *bytes;            /* key; NULL in a group of generation 0 */
    struct link_member *v;
    size_t n, cap;
};
void link_group_done(struct link_group *g); /* idempotent; legal on a zeroed struct */

/* Pure. parse: 0, -EBADMSG, -ENOMEM; the text need not end in a NUL. An empty text is a group of
 * generation 0. */
_must_check_ int link_parse(const char *text, size_t len, struct link_group *ret);
int link_format(const struct link_group *g, struct buf *out);
/* NULL where it is none. */
struct link_member *link_find(const struct link_group *g, const char *key);
/* A member, or what becomes of one that is there. -EMLINK past LINK_MEMBERS_MAX, -ENOMEM. */
_must_check_ int link_put(struct link_group *g, const char *key, bool is_maybe);
void link_remove(struct link_group *g, const char *key);
_must_check_ int link_set_bytes(struct link_group *g, const char *key);
/* Names that are known to be there. */
unsigned link_count(const struct link_group *g);

/* One GET. 0 (also where there is no record: generation 0), -EBADMSG, -errno. ret: zeroed or done.
 */
_must_check_ int link_get(struct coord *c, const char *id, struct link_group *ret);
/* One PUT: the record that had g->etag becomes *g. 0 and the new g->etag; LINK_LOST; -EMLINK: it
 * would be too large; -errno. */
_must_check_ int link_swap(struct coord *c, const char *id, struct link_group *g);
/* The file has no second name any more: the record goes. 0, LINK_LOST, -errno. */
_must_check_ int link_clear(struct coord *c, const char *id, const struct link_group *g);

#endif
