/* SPDX-License-Identifier: Apache-2.0 */
#include "hist.h"

/* Cells 0..63 are the values themselves; then 64 for each power of two. */
static unsigned cell_of(uint64_t v)
{
    unsigned shift;

    if (v < (1u << HIST_SUB_BITS))
        return (unsigned)v;
    shift = 63 - (unsigned)__builtin_clzll(v) - HIST_SUB_BITS;
    return ((shift + 1) << HIST_SUB_BITS) + (unsigned)(v >> shift) - (1u << HIST_SUB_BITS);
}

/* The largest value that belongs to it. */
static uint64_t cell_top(unsigned cell)
{
    unsigned shift = cell >> HIST_SUB_BITS, sub = cell & ((1u << HIST_SUB_BITS) - 1);
    uint64_t first;

    if (shift == 0)
        return cell;
    shift--;
    first = ((uint64_t)(1u << HIST_SUB_BITS) + sub) << shift;
    return first + ((UINT64_C(1) << shift) - 1);
}

void hist_add(struct hist *h, uint64_t value)
{
    h->n++;
    h->sum += value;
    if (value > h->max)
        h->max = value;
    h->cells[cell_of(value)]++;
}

void hist_merge(struct hist *h, const struct hist *more)
{
    h->n += more->n;
    h->sum += more->sum;
    if (more->max > h->max)
        h->max = more->max;
    for (unsigned i = 0; i < HIST_CELLS; i++)
        h->cells[i] += more->cells[i];
}

uint64_t hist_at(const struct hist *h, unsigned permille)
{
    uint64_t rank = h->n / 1000 * permille + (h->n % 1000 * permille + 999) / 1000, seen = 0;

    if (h->n == 0)
        return 0;
    if (rank == 0)
        rank = 1;
    for (unsigned i = 0; i < HIST_CELLS; i++) {
        seen += h->cells[i];
        if (seen >= rank)
            return cell_top(i) < h->max ? cell_top(i) : h->max;
    }
    return h->max;
}

void hist_summarize(const struct hist *h, struct hist_summary *ret)
{
    *ret = (struct hist_summary){.n = h->n,
                                 .mean = h->n > 0 ? h->sum / h->n : 0,
                                 .p50 = hist_at(h, 500),
                                 .p95 = hist_at(h, 950),
                                 .p99 = hist_at(h, 990),
                                 .max = h->max};
}
