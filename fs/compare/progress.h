/* SPDX-License-Identifier: Apache-2.0 */
/* One line on stderr, if that is a terminal: which step, on which side, how far. Threads: one. */
#ifndef S3EFS_FS_COMPARE_PROGRESS_H
#define S3EFS_FS_COMPARE_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct progress {
    bool has_terminal;
    size_t at, all; /* steps on sides, of the whole run */
    char what[256];
};
void progress_init(struct progress *p, size_t all);
void progress_step(struct progress *p, const char *step, unsigned concurrency, const char *side);
void progress_paint(void *p, uint64_t done, uint64_t all); /* as struct run_job wants it */
void progress_clear(struct progress *p);

#endif
