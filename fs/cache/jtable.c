/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's entries as they are kept in memory: an array in the order of their numbers. Not
 * locked. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "jrn.h"

#define FEW 64u /* gone ones that are not worth a sweep */

struct jrn_live *jrn_table_find(const struct jrn_table *t, uint64_t seq)
{
    size_t lo = 0, hi = t->n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;

        if (t->v[mid].seq < seq)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < t->n && t->v[lo].seq == seq && !t->v[lo].gone ? &t->v[lo] : NULL;
}

static void sweep(struct jrn_table *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->n; i++)
        if (!t->v[i].gone)
            t->v[n++] = t->v[i];
    t->n = n;
    t->gone = 0;
}

int jrn_table_reserve(struct jrn_table *t, size_t more)
{
    size_t cap = t->cap + t->cap / 2;
    struct jrn_live *v;

    if (t->cap - t->n >= more)
        return 0;
    if (cap < t->n + more)
        cap = t->n + more + FEW;
    v = reallocarray(t->v, cap, sizeof(*v));
    if (v == NULL)
        return err_set(-ENOMEM, "journal: out of memory");
    t->v = v;
    t->cap = cap;
    return 0;
}

void jrn_table_add(struct jrn_table *t, const struct jrn_live *e)
{
    t->v[t->n++] = *e;
}

void jrn_table_remove(struct jrn_table *t, struct jrn_live *e)
{
    e->gone = true;
    if (++t->gone > FEW && t->gone > t->n / 2)
        sweep(t);
}

void jrn_table_done(struct jrn_table *t)
{
    free(t->v);
    *t = (struct jrn_table){0};
}
