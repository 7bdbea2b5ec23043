/* SPDX-License-Identifier: Apache-2.0 */
/* One step of the takeover table. */
#include "keepwrite.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void keep_add(struct keep_batch *b, unsigned char kind, uint64_t id, const void *data, size_t len)
{
    void *copy = NULL;

    if (b->n == b->cap) {
        size_t cap = b->cap > 0 ? 2 * b->cap : 16;
        struct table_item *v = reallocarray(b->v, cap, sizeof(*v));

        if (v == NULL) {
            b->error = -ENOMEM;
            return;
        }
        b->v = v;
        b->cap = cap;
    }
    if (data != NULL) {
        copy = malloc(len > 0 ? len : 1);
        if (copy == NULL) {
            b->error = -ENOMEM;
            return;
        }
        memcpy(copy, data, len);
    }
    b->v[b->n++] = (struct table_item){.kind = kind, .id = id, .data = copy, .len = len};
}

void keep_batch_done(struct keep_batch *b)
{
    for (size_t k = 0; k < b->n; k++)
        free((void *)(uintptr_t)b->v[k].data);
    free(b->v);
    *b = (struct keep_batch){0};
}

int keep_batch_write(struct keep *k, const struct keep_batch *b)
{
    if (b->error != 0) {
        table_give_up(k->table, b->error);
        return b->error;
    }
    return b->n > 0 ? table_write(k->table, b->v, b->n) : 0;
}
