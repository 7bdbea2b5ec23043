/* SPDX-License-Identifier: Apache-2.0 */
/* How often daemons of one mount may die before the holder gives it up, and how long it waits
 * between two. Pure: the time is the caller's (CLOCK_BOOTTIME, nanoseconds). For one thread. */
#ifndef S3EFS_DEATHS_H
#define S3EFS_DEATHS_H

#include <stdbool.h>
#include <stdint.h>

#define DEATHS_MAX 60 /* in a minute: something is wrong that a new daemon does not cure */
#define KILLED_MAX 10 /* in a row, by a signal and before they served */

struct deaths {
    unsigned failures; /* daemons in a row that never served; of starts that failed, too */
    unsigned killed; /* the last so many of them, by a signal: one that fails by itself says what it
                        waits for */
    int64_t at_ns[DEATHS_MAX];
    unsigned n;
};

/* A daemon serves the mount. */
void deaths_none(struct deaths *d);
/* One has died, or could not even be started (neither served nor by_signal: then it is no death,
 * but a reason to wait). */
void deaths_no_start(struct deaths *d);
/* true: there is no use in another. */
bool deaths_add(struct deaths *d, bool has_served, bool by_signal, int64_t now_ns);
int64_t deaths_pause_ms(const struct deaths *d);

#endif
