/* SPDX-License-Identifier: Apache-2.0 */
/* A pool of threads that run jobs in order of arrival, and later ones at their time.
 * Lifecycle: workq_new (threads start at once: call it after the fork), workq_free (runs what is
 * queued and due, drops what is timed for later after calling it with cancelled = true, joins). */
#ifndef S3EFS_BASE_WORKQ_H
#define S3EFS_BASE_WORKQ_H

#include <stdbool.h>
#include <stdint.h>
#include "base/macros.h"
#include "base/origin.h"

struct workq;
struct work {
    struct work *next;  /* workq's */
    int64_t due_ns;     /* workq's */
    enum origin origin; /* workq's: run is called with that of who added it */
    void (*run)(struct work *w, bool cancelled);
};

_must_check_ int workq_new(const char *name, unsigned threads, struct workq **ret);
void workq_free(struct workq *q);
/* Never fails: the link is the caller's. w is the caller's again when run is called. */
void workq_add(struct workq *q, struct work *w);
void workq_add_after(struct workq *q, struct work *w, int64_t delay_ns);

#endif
