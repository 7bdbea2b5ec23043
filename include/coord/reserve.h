/* SPDX-License-Identifier: Apache-2.0 */
/* A name that is being created with O_EXCL under excl=strict: a record `reservations/<hash of the key>`
 * that names the session of the mount which reserved it. Who reserved a key and then finds no object
 * under it is the only creator, among mounts that reserve. It ends with the first commit or release;
 * that of a mount which has died is taken over, by compare-and-swap, after its session was marked dead. */
#ifndef S3EFS_COORD_RESERVE_H
#define S3EFS_COORD_RESERVE_H

#include "coord/session.h"

enum reserve_outcome {
    RESERVE_TAKEN = 1, /* another mount has it, and is not known to be dead */
};

struct reservation {
    char session[SESSION_ID_LEN + 1];
    struct store_etag etag; /* of the record */
};

/* Reserves key: 0 and *ret, RESERVE_TAKEN, or -errno. One request where nobody was there before and
 * the mount's session has begun. */
_must_check_ int reserve_take(struct coord *c, const char *key, struct reservation *ret);
/* Gives it back, best effort: what stays in the bucket goes with the session. */
void reserve_end(struct coord *c, const char *key, const struct reservation *r);

#endif
