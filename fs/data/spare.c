/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers of full ranges that go from one flight to the next while a stream runs: each new one would be a mapping whose
 * pages the kernel hands out and clears one by one, a fifth of what a sequential read costs here. A spare keeps the
 * memory that was taken for it, so FLIGHT-2 holds with them. They are given back as soon as anybody waits for memory (who
 * puts one back looks for those who wait, and who begins to wait looks for what is here), and when nothing is under way
 * any more. */
#include "flight.h"

static bool take(struct data *d, char **ret)
{
    lock_take(&d->lock);
    bool has = d->locked.n_spares > 0;
    if (has)
        *ret = d->locked.spares[--d->locked.n_spares];
    lock_drop(&d->lock);
    return has;
}

bool spare_take(struct data *d, uint64_t len, char **ret)
{
    return len == d->conf.range_size && take(d, ret);
}

void spare_put(struct data *d, char *data, uint64_t len)
{
    bool is_kept = false;
    if (data && len == d->conf.range_size) {
        lock_take(&d->lock);
        is_kept = d->locked.flying > 0 && d->locked.n_spares < SPARES;
        if (is_kept)
            d->locked.spares[d->locked.n_spares++] = data;
        lock_drop(&d->lock);
    }
    if (!is_kept) {
        free(data);
        budget_give(&d->memory, len);
    } else if (budget_waiting(&d->memory) > 0) {
        spare_drop_all(d);
    }
}

void spare_drop_all(struct data *d)
{
    for (char *data; take(d, &data);) {
        free(data);
        budget_give(&d->memory, d->conf.range_size);
    }
}

bool spare_try(struct data *d, uint64_t len, uint64_t limit)
{
    if (budget_try(&d->memory, len, limit))
        return true;
    lock_take(&d->lock);
    bool has = d->locked.n_spares > 0;
    lock_drop(&d->lock);
    if (!has)
        return false;
    spare_drop_all(d);
    return budget_try(&d->memory, len, limit);
}
