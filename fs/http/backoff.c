/* SPDX-License-Identifier: Apache-2.0 */
/* How long to wait before the next attempt. Pure. */
#include "http/http.h"

int64_t backoff_delay(const struct backoff *b, unsigned attempt, uint64_t random)
{
    int64_t limit = b->base_ns < b->cap_ns ? b->base_ns : b->cap_ns;
    for (; attempt > 0 && limit < b->cap_ns; attempt--)
        limit = limit > b->cap_ns / 2 ? b->cap_ns : limit * 2;
    if (limit <= 0)
        return 0;
    return (int64_t)(random % ((uint64_t)limit + 1));
}
