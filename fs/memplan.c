/* SPDX-License-Identifier: Apache-2.0 */
#include "memplan.h"

#include <limits.h>

#define HEAP_MAP_MIN (UINT64_C(128) << 10)
#define HEAP_MAP_MAX (UINT64_C(2) << 20)
#define HEAP_EACH (UINT64_C(16) << 20)
#define HEAPS_MAX 8
#define REQUEST_MAX (UINT64_C(1) << 20)
#define REQUEST_MEMORY (UINT64_C(128) << 10)
#define REQUESTS_MAX 256
#define PAGE UINT64_C(4096)
#define FETCH_MAX (UINT64_C(8) << 20)
#define FETCH_UNIT (UINT64_C(128) << 10) /* a block of the cache */

void memplan(uint64_t limit, unsigned threads, struct memplan *ret)
{
    uint64_t request = limit / 4 / threads / PAGE * PAGE;
    uint64_t fetches = limit / 16 * 3, fetch = fetches / 4 / FETCH_UNIT * FETCH_UNIT;

    if (request > REQUEST_MAX)
        request = REQUEST_MAX;
    if (fetch > FETCH_MAX)
        fetch = FETCH_MAX;
    *ret = (struct memplan){
        .request = (uint32_t)request,
        .replies = limit / 16,
        .lists = limit / 16,
        .fetches = fetches,
        .fetch_max = fetch,
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

unsigned memplan_connections(uint64_t descriptors, unsigned least)
{
    uint64_t n = descriptors / 4;

    return n < least ? least : n < UINT_MAX ? (unsigned)n : UINT_MAX;
}

static uint64_t between(uint64_t least, uint64_t n, uint64_t most)
{
    return n < least ? least : n > most ? most : n;
}

struct memplan_heap memplan_heap(uint64_t limit)
{
    return (struct memplan_heap){
        .map_from = (uint32_t)between(HEAP_MAP_MIN, limit / 256, HEAP_MAP_MAX),
        .heaps = (unsigned)between(2, limit / HEAP_EACH, HEAPS_MAX),
    };
}
