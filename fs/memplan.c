/* SPDX-License-Identifier: Apache-2.0 */
#include "memplan.h"

#define REQUEST_MAX (UINT64_C(1) << 20)
#define REQUEST_MEMORY (UINT64_C(128) << 10)
#define REQUESTS_MAX 256
#define PAGE UINT64_C(4096)

void memplan(uint64_t limit, unsigned threads, struct memplan *ret)
{
    uint64_t request = limit / 4 / threads / PAGE * PAGE;

    if (request > REQUEST_MAX)
        request = REQUEST_MAX;
    *ret = (struct memplan){
        .request = (uint32_t)request,
        .replies = limit / 16,
        .lists = limit / 16,
        .fetches = limit / 16 * 3,
        .bodies = limit / 8,
        .names = limit / 16 * 3,
        .unsent = limit / 16 * 2,
    };
}

unsigned memplan_requests(uint64_t limit)
{
    uint64_t n = limit / 8 / REQUEST_MEMORY;

    return n < REQUESTS_MAX ? (unsigned)n : REQUESTS_MAX;
}
