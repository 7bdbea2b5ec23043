/* SPDX-License-Identifier: Apache-2.0 */
/* See deaths.h. */
#include "deaths.h"

#include "base/clock.h"

#define WINDOW_NS (60 * NS_PER_S)
#define PAUSE_MS INT64_C(50)
#define PAUSE_MAX_MS 5000

void deaths_none(struct deaths *d)
{
    d->failures = d->killed = 0;
}

void deaths_no_start(struct deaths *d)
{
    d->failures++;
}

static bool is_too_often(struct deaths *d, int64_t now_ns)
{
    int64_t oldest_ns = d->at_ns[d->n % DEATHS_MAX];

    d->at_ns[d->n++ % DEATHS_MAX] = now_ns;
    return d->n > DEATHS_MAX && now_ns - oldest_ns < WINDOW_NS;
}

bool deaths_add(struct deaths *d, bool has_served, bool by_signal, int64_t now_ns)
{
    if (!has_served)
        d->failures++;
    d->killed = by_signal && !has_served ? d->killed + 1 : 0;
    return d->killed >= KILLED_MAX || is_too_often(d, now_ns);
}

int64_t deaths_pause_ms(const struct deaths *d)
{
    return d->failures == 0 ? 0 : d->failures > 6 ? PAUSE_MAX_MS : PAUSE_MS << d->failures;
}
