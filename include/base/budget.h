/* SPDX-License-Identifier: Apache-2.0 */
/* An amount of memory that many share: no more than its maximum is out at once, and who wants more waits.
 *
 * BUDGET-1  What is out is never above max, but for one request that is larger than max itself,
 *           which goes alone, for what is only counted (budget_add), and for who is let go (budget_let_go).
 * BUDGET-2  A wait ends as soon as what others have comes back. Nothing else ends it, no signal and no time: so whoever
 *           holds a part of a budget gives it back without waiting for this budget again, and who waits for one
 *           budget while it holds a part of another does so in one order everywhere (fs/memplan.h, MEM-2).
 * BUDGET-3  First come, first served: nobody gets any while others wait, however little it is. So who wants much waits
 *           for those who were there before, not for as long as small ones come.
 *
 * Counts only: the memory is the caller's, who takes first and allocates then, frees first and gives back then.
 * Threads: any. Its lock is LOCK_LEAF; a wait is legal where a store call is legal, so with no lock of rank
 * LOCK_RANK_NO_BLOCK or above held. */
#ifndef S3EFS_BASE_BUDGET_H
#define S3EFS_BASE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/lock.h"
#include "base/macros.h"

struct budget_wait;
struct budget {
    uint64_t max; /* bytes; 0: any */
    void (*make_room)(void *arg);
    void *arg;
    struct lock lock;
    struct {
        uint64_t used;
        struct budget_wait *first, *last; /* budget.c's */
        unsigned waiting;
    } locked;
};

void budget_init(struct budget *b, uint64_t max);
void budget_done(struct budget *b); /* all of it was given back */
/* Is called by each who begins to wait, without a lock, after budget_waiting() counts it: gives
 * back what is out but not needed. To be set before the first use. What gets dispensable later
 * looks at budget_waiting() itself. */
void budget_on_wait(struct budget *b, void (*make_room)(void *arg), void *arg);

void budget_take(struct budget *b, uint64_t bytes); /* waits */
/* Without a wait: if nobody waits, there is room, and no more than `limit` is out then (UINT64_MAX:
 * any). */
_must_check_ bool budget_try(struct budget *b, uint64_t bytes, uint64_t limit);
/* Without a wait, and whatever is out: what is there already and only counts. */
void budget_add(struct budget *b, uint64_t bytes);
/* Who waits now gets it all the same, without regard to max, and is counted as having it. */
void budget_let_go(struct budget *b);
void budget_give(struct budget *b, uint64_t bytes); /* by any thread, in any pieces */

uint64_t budget_used(struct budget *b);
unsigned budget_waiting(struct budget *b); /* calls of budget_take() that wait now */

#endif
