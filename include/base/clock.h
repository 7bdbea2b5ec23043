/* SPDX-License-Identifier: Apache-2.0 */
/* Time, injectable: tests set their own. Threads: any (setting: before threads exist, or atomically
 * through clock_fake_add). */
#ifndef S3EFS_BASE_CLOCK_H
#define S3EFS_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

int64_t clock_boot_ns(void); /* CLOCK_BOOTTIME: all intervals and expiries */
int64_t clock_wall_ns(void); /* CLOCK_REALTIME: signatures and file times only, never compared across hosts */

/* Tests: both clocks start at these values and move only by clock_fake_add(). */
void clock_fake_set(int64_t boot_ns, int64_t wall_ns);
void clock_fake_add(int64_t ns);
void clock_fake_off(void);

#endif
