/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CELLS 24

void progress_init(struct progress *p, size_t all)
{
    *p = (struct progress){.has_terminal = isatty(STDERR_FILENO) == 1, .all = all};
}

void progress_step(struct progress *p, const char *step, unsigned concurrency, const char *side)
{
    p->at++;
    snprintf(p->what, sizeof(p->what), "%s, %u at once, %.160s", step, concurrency, side);
    progress_paint(p, 0, 1);
}

void progress_paint(void *arg, uint64_t done, uint64_t all)
{
    static const char full[] = "########################", empty[] = "........................";
    const struct progress *p = arg;
    int n = all > 0 ? (int)(done * CELLS / all) : CELLS;

    if (p->has_terminal)
        fprintf(stderr, "\r[%.*s%.*s] %zu/%zu %s: %" PRIu64 "/%" PRIu64 "\033[K", n, full,
                CELLS - n, empty, p->at, p->all, p->what, done, all);
}

void progress_clear(struct progress *p)
{
    if (p->has_terminal)
        fprintf(stderr, "\r\033[K");
}
