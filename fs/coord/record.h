/* SPDX-License-Identifier: Apache-2.0 */
/* One small object below the state prefix, read and changed by compare-and-swap (COORD-1). The body
 * is text, lines of words; its last line, "nonce <hex>", is added and taken off here. */
#ifndef S3EFS_COORD_RECORD_H
#define S3EFS_COORD_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include "coord/coord.h"

#define RECORD_MAX (1u << 20) /* bytes of a body */

enum record_outcome {
    RECORD_LOST = 1, /* somebody else changed it: read it again */
};

struct record {
    struct store_etag etag; /* unset: there is none */
    char *body;             /* "" where there is none; a NUL follows */
    size_t len;
    int64_t age_ns; /* since it was written, by the server's clock alone; 0: it does not say */
};
void record_done(struct record *r); /* idempotent; legal on a zeroed struct */

/* name is what follows the state prefix. 0 also where there is no such record; -EBADMSG for a body
 * that is none of ours; -errno. ret must be zeroed or done. deadline_ns as in store.h, 0 none. */
_must_check_ int record_get(struct coord *c, const char *name, int64_t deadline_ns,
                            struct record *ret);
/* The record was `was` and is `body` from now on: 0 and *ret_etag, RECORD_LOST, -errno (nothing is
 * known to be done). A reply that was lost is found out by reading the nonce. */
_must_check_ int record_swap(struct coord *c, const char *name, const struct store_etag *was,
                             const char *body, int64_t deadline_ns, struct store_etag *ret_etag);
/* The same for what a mount's whole lease depends on: before all other records. */
_must_check_ int record_get_first(struct coord *c, const char *name, int64_t deadline_ns,
                                  struct record *ret);
_must_check_ int record_swap_first(struct coord *c, const char *name, const struct store_etag *was,
                                   const char *body, int64_t deadline_ns,
                                   struct store_etag *ret_etag);
/* Removes it where nobody needs its history: conditionally where the server can, else it is emptied
 * by a swap (a body of no lines). 0, RECORD_LOST, -errno. */
_must_check_ int record_clear(struct coord *c, const char *name, const struct store_etag *was,
                              int64_t deadline_ns);
/* Calls each(arg, name, etag) for the records below name (which ends in '/'); ends early when it
 * gives nonzero, and returns that. 0 or -errno. */
_must_check_ int
record_list(struct coord *c, const char *name,
            int (*each)(void *arg, const char *name, const struct store_etag *etag), void *arg);

#endif
