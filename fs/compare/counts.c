/* SPDX-License-Identifier: Apache-2.0 */
#include "counts.h"

#include <errno.h>
#include <string.h>
#include "base/err.h"
#include "base/str.h"

static struct counts_op *find(struct counts *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->op[i].name, name) == 0)
            return &c->op[i];
    return NULL;
}

int counts_put(struct counts *c, const char *name, uint64_t n, uint64_t bytes)
{
    struct counts_op *op = find(c, name);

    if (op == NULL) {
        if (c->n == COUNTS_MAX)
            return err_set(-E2BIG, "more than %d kinds of operations", COUNTS_MAX);
        op = &c->op[c->n];
        *op = (struct counts_op){0};
        if (str_copy(op->name, sizeof(op->name), name) < 0)
            return err_set(-ENAMETOOLONG, "the name of an operation is too long");
        c->n++;
    }
    op->n += n;
    op->bytes += bytes;
    return 0;
}

uint64_t counts_get(const struct counts *c, const char *name)
{
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->op[i].name, name) == 0)
            return c->op[i].n;
    return 0;
}

uint64_t counts_total(const struct counts *c)
{
    uint64_t n = 0;

    for (size_t i = 0; i < c->n; i++)
        n += c->op[i].n;
    return n;
}

int counts_between(const struct counts *before, const struct counts *after, struct counts *ret)
{
    struct counts was = *before;
    int r = 0;

    *ret = (struct counts){0};
    if (after->bytes_up < before->bytes_up || after->bytes_down < before->bytes_down ||
        after->n < before->n)
        return err_set(-ESTALE, "the counters went back: mounted anew meanwhile?");
    ret->bytes_up = after->bytes_up - before->bytes_up;
    ret->bytes_down = after->bytes_down - before->bytes_down;
    for (size_t i = 0; i < after->n && r == 0; i++) {
        const struct counts_op *a = &after->op[i], *b = find(&was, a->name);
        uint64_t n = b != NULL ? b->n : 0, bytes = b != NULL ? b->bytes : 0;

        if (a->n < n || a->bytes < bytes)
            return err_set(-ESTALE, "the counters went back: mounted anew meanwhile?");
        if (a->n > n)
            r = counts_put(ret, a->name, a->n - n, a->bytes - bytes);
    }
    return r;
}

int counts_sum(struct counts *sum, const struct counts *more)
{
    int r = 0;

    sum->bytes_up += more->bytes_up;
    sum->bytes_down += more->bytes_down;
    for (size_t i = 0; i < more->n && r == 0; i++)
        r = counts_put(sum, more->op[i].name, more->op[i].n, more->op[i].bytes);
    return r;
}
