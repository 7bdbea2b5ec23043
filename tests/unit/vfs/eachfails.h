/* SPDX-License-Identifier: Apache-2.0 */
/* A function of the workload's mount runs again and again; in each run one call fails that did not
 * fail before (tests/lib/each.h), until all have. */
#ifndef S3EFS_TESTS_EACHFAILS_H
#define S3EFS_TESTS_EACHFAILS_H

#include "workload.h"

#include "tests/lib/each.h"

#define QUIET 3 /* runs in which nothing fails that did not fail before: so all have */

static unsigned quiet;

static inline void begin(const char *fault, unsigned stride)
{
    what = fault;
    which = 0;
    quiet = 0;
    each_begin(stride);
}

static inline bool has_more(void)
{
    return quiet < QUIET;
}

static inline void one_fails(void (*fn)(void))
{
    which++;
    each_run(true);
    fn();
    each_run(false);
    quiet = each_failed() ? 0 : quiet + 1;
}

#endif
