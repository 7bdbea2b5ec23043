/* SPDX-License-Identifier: Apache-2.0 */
#include "listroom.h"

#define STEP (UINT64_C(256) << 10)

static void take(struct listroom *r, struct vfs *v, struct budget *of, uint64_t bytes)
{
    *r = (struct listroom){.v = v, .of = of, .bytes = bytes};
    budget_take(of, bytes);
}

void listroom_begin(struct vfs *v, struct listroom *ret)
{
    take(ret, v, &v->lists, LISTROOM_PAGE + LISTROOM_LIST);
}

bool listroom_begin_now(struct vfs *v, struct listroom *ret)
{
    *ret = (struct listroom){.v = v};
    if (!budget_try(&v->lists, LISTROOM_PAGE + LISTROOM_LIST, UINT64_MAX))
        return false;
    ret->of = &v->lists;
    ret->bytes = LISTROOM_PAGE + LISTROOM_LIST;
    return true;
}

void listroom_begin_alone(struct vfs *v, struct listroom *ret)
{
    take(ret, v, &v->lists_alone, LISTROOM_PAGE + LISTROOM_LIST);
}

void listroom_begin_cached(struct vfs *v, uint64_t bytes, struct listroom *ret)
{
    *ret = (struct listroom){.v = v, .of = &v->lists, .bytes = bytes};
    if (!budget_try(&v->lists, bytes, UINT64_MAX))
        take(ret, v, &v->lists_cached, bytes);
}

bool listroom_grow(struct listroom *r, uint64_t bytes)
{
    struct vfs *v = r->v;
    uint64_t more;

    if (bytes <= r->bytes)
        return true;
    more = (bytes - r->bytes + STEP - 1) / STEP * STEP;
    if (r->of == &v->lists_alone) {
        budget_add(r->of, more);
    } else if (!budget_try(r->of, more, UINT64_MAX)) {
        if (!budget_try(&v->lists_alone, r->bytes + more, UINT64_MAX))
            return false;
        budget_give(r->of, r->bytes);
        r->of = &v->lists_alone;
    }
    r->bytes += more;
    return true;
}

void listroom_end(struct listroom *r)
{
    if (r->of != NULL)
        budget_give(r->of, r->bytes);
    r->of = NULL;
    r->bytes = 0;
}
