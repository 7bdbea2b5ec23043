/* SPDX-License-Identifier: Apache-2.0 */
#include "listroom.h"

#define STEP (UINT64_C(256) << 10)

void listroom_begin(struct vfs *v, uint64_t bytes, struct listroom *ret)
{
    *ret = (struct listroom){.v = v, .bytes = bytes};
    budget_take(&v->lists, bytes);
}

void listroom_need(struct listroom *r, uint64_t bytes)
{
    uint64_t more;

    if (bytes <= r->bytes)
        return;
    more = (bytes - r->bytes + STEP - 1) / STEP * STEP;
    r->bytes += more;
    if (!r->is_alone && budget_try(&r->v->lists, more, UINT64_MAX))
        return;
    if (!r->is_alone)
        budget_take(&r->v->lists_alone, 1);
    r->is_alone = true;
    budget_add(&r->v->lists, more);
}

void listroom_end(struct listroom *r)
{
    budget_give(&r->v->lists, r->bytes);
    if (r->is_alone)
        budget_give(&r->v->lists_alone, 1);
    r->bytes = 0;
    r->is_alone = false;
}
