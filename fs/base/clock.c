/* SPDX-License-Identifier: Apache-2.0 */
/* The two clocks, and the tests' own. */
#include "base/clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

static atomic_bool is_fake;
static _Atomic int64_t fake_boot, fake_wall;

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_boot_ns(void)
{
    if (atomic_load_explicit(&is_fake, memory_order_relaxed))
        return atomic_load(&fake_boot);
    return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_wall_ns(void)
{
    if (atomic_load_explicit(&is_fake, memory_order_relaxed))
        return atomic_load(&fake_wall);
    return read_clock(CLOCK_REALTIME);
}

void clock_fake_set(int64_t boot_ns, int64_t wall_ns)
{
    atomic_store(&fake_boot, boot_ns);
    atomic_store(&fake_wall, wall_ns);
    atomic_store(&is_fake, true);
}

void clock_fake_add(int64_t ns)
{
    atomic_fetch_add(&fake_boot, ns);
    atomic_fetch_add(&fake_wall, ns);
}

void clock_fake_off(void)
{
    atomic_store(&is_fake, false);
}
