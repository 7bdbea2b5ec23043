/* SPDX-License-Identifier: Apache-2.0 */
/* The module as a whole: its configuration, birth and end. */
#include <errno.h>

#include "internal.h"

#define DEFAULT_WHOLE_MAX (UINT64_C(8) << 20)
#define DEFAULT_RANGE_SIZE (UINT64_C(8) << 20)
#define DEFAULT_MEM_LIMIT (UINT64_C(512) << 20)
#define DEFAULT_READ_AHEAD 4

int data_new(const struct data_conf *conf, struct store *store, struct cache *cache,
             struct data **ret)
{
    _cleanup_free_ struct data *d = calloc(1, sizeof(*d));
    if (!d)
        return err_set(-ENOMEM, "no memory for the data module");
    d->store = store;
    d->cache = cache;
    d->conf = *conf;
    if (d->conf.whole_max == 0)
        d->conf.whole_max = DEFAULT_WHOLE_MAX;
    if (d->conf.range_size == 0)
        d->conf.range_size = DEFAULT_RANGE_SIZE;
    if (d->conf.mem_limit == 0)
        d->conf.mem_limit = DEFAULT_MEM_LIMIT;
    if (d->conf.read_ahead == 0)
        d->conf.read_ahead = DEFAULT_READ_AHEAD;
    if (d->conf.range_size % CACHE_BLOCK != 0)
        return err_set(-EINVAL, "range_size must be a multiple of %u", CACHE_BLOCK);
    int r = map_init(&d->locked.flights);
    if (r != 0)
        return err_set(r, "no memory for the table of requests");
    lock_init(&d->lock, LOCK_LEAF);
    cond_init(&d->changed);
    budget_init(&d->memory, d->conf.mem_limit);
    budget_on_wait(&d->memory, idle_make_room, d);
    budget_init(&d->firsts, d->conf.mem_limit / 3 * 2); /* 32 guesses by default, as many as there are threads */
    *ret = steal(&d);
    return 0;
}

void data_free(struct data *d)
{
    if (!d)
        return;
    flight_drop_all(d);
    map_done(&d->locked.flights);
    budget_done(&d->firsts);
    budget_done(&d->memory);
    cond_done(&d->changed);
    lock_done(&d->lock);
    free(d);
}
