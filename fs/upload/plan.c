/* SPDX-License-Identifier: Apache-2.0 */
/* From dirty ranges to parts. See plan.h. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "plan.h"

#define MIB (UINT64_C(1) << 20)

void plan_done(struct plan *p)
{
    free(p->v);
    *p = (struct plan){0};
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t div_up(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}

/* A run of bytes that are all to be sent or all to be copied; neighbours in a list differ. */
struct run {
    uint64_t off, len;
    bool is_copy;
};
struct runs {
    struct run *v;
    size_t n;
};

static void runs_done(struct runs *r)
{
    free(r->v);
}

static void runs_push(struct runs *r, uint64_t off, uint64_t len, bool is_copy)
{
    if (len == 0)
        return;
    if (r->n > 0 && r->v[r->n - 1].is_copy == is_copy)
        r->v[r->n - 1].len += len;
    else
        r->v[r->n++] = (struct run){off, len, is_copy};
}

/* Clean runs of at least copy_min are copied, all else is sent. v has room for 2 * n_dirty + 2. */
static void runs_find(const struct plan_in *in, uint64_t copy_min, struct runs *ret)
{
    uint64_t at = 0, clean_end = in->can_copy ? min_u64(in->base_valid, in->size) : 0;
    ret->n = 0;
    for (size_t i = 0; i < in->n_dirty && in->dirty[i].off < clean_end; i++) {
        const struct data_extent *x = &in->dirty[i];
        runs_push(ret, at, x->off - at, x->off - at >= copy_min);
        runs_push(ret, x->off, x->len, false);
        at = x->off + x->len;
    }
    if (at < clean_end) {
        runs_push(ret, at, clean_end - at, clean_end - at >= copy_min);
        at = clean_end;
    }
    runs_push(ret, at, in->size - at, false);
}

/* Runs to send that are too short for a part take what they lack from the clean run behind them; what is left of
 * that joins them if it is too short itself. In place: the list only gets shorter. */
static void runs_widen(struct runs *r)
{
    struct runs out = {.v = r->v};
    for (size_t i = 0; i < r->n; i++) {
        struct run x = r->v[i];
        struct run *next = i + 1 < r->n ? &r->v[i + 1] : NULL;
        const struct run *last = out.n ? &out.v[out.n - 1] : NULL;
        /* This run may join a sent one before it: what counts is their sum. */
        uint64_t sent = x.len + (last && !last->is_copy && !x.is_copy ? last->len : 0);
        if (!x.is_copy && next && sent < PLAN_PART_MIN) {
            uint64_t need = PLAN_PART_MIN - sent;
            if (next->len < need + PLAN_PART_MIN) {
                next->is_copy = false;
            } else {
                x.len += need;
                next->off += need;
                next->len -= need;
            }
        }
        runs_push(&out, x.off, x.len, x.is_copy);
    }
    *r = out;
}

/* The pieces of one run: as few as fit, none below the minimum unless the run is the file's last. */
static uint64_t pieces(const struct run *x, uint64_t part_size, bool is_last)
{
    uint64_t max = x->is_copy ? max_u64(part_size, PLAN_COPY_SIZE) : part_size;
    uint64_t n = div_up(x->len, max);
    if (!is_last && n > 1 && x->len / n < PLAN_PART_MIN)
        n = x->len / PLAN_PART_MIN;
    return n;
}

static uint64_t count_parts(const struct runs *r, uint64_t part_size)
{
    uint64_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += pieces(&r->v[i], part_size, i + 1 == r->n);
    return n;
}

/* The last run of the file is cut into full parts and a rest; the others into equal ones. */
static void cut_run(const struct run *x, uint64_t part_size, bool is_last, struct plan *p)
{
    uint64_t n = pieces(x, part_size, is_last), off = x->off, end = x->off + x->len;
    uint64_t full = x->is_copy ? max_u64(part_size, PLAN_COPY_SIZE) : part_size;
    for (uint64_t i = 0; i < n; i++) {
        uint64_t len = is_last ? min_u64(full, end - off) : (end - off) / (n - i);
        p->v[p->n++] = (struct plan_part){off, len, x->is_copy};
        off += len;
    }
}

static int cut_runs(const struct runs *r, uint64_t part_size, struct plan *ret)
{
    struct plan p = {.part_size = part_size};
    p.v = calloc((size_t)count_parts(r, part_size), sizeof(*p.v));
    if (!p.v)
        return err_set(-ENOMEM, "no memory for the parts of an upload");
    for (size_t i = 0; i < r->n; i++)
        cut_run(&r->v[i], part_size, i + 1 == r->n, &p);
    *ret = p;
    return 0;
}

int plan_build(const struct plan_in *in, struct plan *ret)
{
    *ret = (struct plan){0};
    if (in->size > DATA_SIZE_MAX)
        return err_set(-EFBIG, "a file may have %ju bytes", (uintmax_t)DATA_SIZE_MAX);
    if (in->size <= in->threshold && in->size <= PLAN_PART_MAX)
        return 0;
    if (!in->can_complete) {
        if (in->size <= PLAN_PART_MAX)
            return 0;
        return err_set(-EFBIG, "one PUT takes up to 5 GiB");
    }
    _cleanup_(runs_done) struct runs runs = {0};
    runs.v = calloc(2 * in->n_dirty + 2, sizeof(*runs.v));
    if (!runs.v)
        return err_set(-ENOMEM, "no memory for the parts of an upload");

    uint64_t part_size = max_u64(in->part_size, PLAN_PART_MIN);
    part_size = max_u64(part_size, div_up(div_up(in->size, PLAN_PARTS_MAX), MIB) * MIB);
    part_size = min_u64(part_size, PLAN_PART_MAX);
    /* Fewer and longer copies until all fits; in the end there is none, and then it does. */
    for (uint64_t copy_min = PLAN_PART_MIN;; copy_min *= 2) {
        runs_find(in, copy_min, &runs);
        runs_widen(&runs);
        if (count_parts(&runs, part_size) <= PLAN_PARTS_MAX)
            return cut_runs(&runs, part_size, ret);
    }
}
