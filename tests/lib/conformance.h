/* SPDX-License-Identifier: Apache-2.0 */
/* Does a store keep the contract of store/store.h? One row for each promise, each on keys of its
 * own below prefix (which ends in '/'), removed afterwards. Runs on every back end: dir, memory, S3
 * on each real server. */
#ifndef S3EFS_TESTS_CONFORMANCE_H
#define S3EFS_TESTS_CONFORMANCE_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "store/store.h"

struct conformance_conf {
    /* Rows in which this server is known to differ: they must fail, so that a server that got
     * better is seen. */
    const char *const *differs;
    size_t n_differs;
    /* Known to differ now and then (races): run and printed, never counted. */
    const char *const *unsure;
    size_t n_unsure;
    /* Not run, with a visible line (what would hurt the server, or lasts too long there). */
    const char *const *skips;
    size_t n_skips;
    uint64_t big_size;    /* bytes of the large body; 0: 20 MB */
    unsigned race_rounds; /* 0: 3 */
};

/* Prints "ok NAME", "not ok NAME: why", "ok NAME (differs as expected: why)", "skip NAME". conf may
 * be NULL. The number of failures: rows that failed, rows that passed although listed in differs,
 * and names in conf that are no rows. */
_must_check_ int conformance_run(struct store *s, const char *prefix,
                                 const struct conformance_conf *conf, FILE *out);

#endif
