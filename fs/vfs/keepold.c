/* SPDX-License-Identifier: Apache-2.0 */
/* Answers that dead daemons kept and the kernel never asked for again: it had heard them. A daemon
 * can't tell them from those that it will be asked for, but the kernel's numbers rise: what is older
 * than this many others was given long ago. Without this a mount that is taken over often would keep
 * some more each time. */
#include "keep.h"

#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "cache/table.h"

struct old {
    unsigned char kind;
    struct table_item *v;
    size_t n, cap;
};

static int note(void *arg, uint64_t id, const void *data, size_t len)
{
    struct old *o = arg;

    (void)data;
    (void)len;
    if (o->n == o->cap) {
        size_t cap = o->cap > 0 ? 2 * o->cap : 256;
        struct table_item *v = reallocarray(o->v, cap, sizeof(*v));

        if (v == NULL)
            return err_set(-ENOMEM, "out of memory");
        o->v = v;
        o->cap = cap;
    }
    o->v[o->n++] = (struct table_item){.kind = o->kind, .id = id}; /* in the order of their numbers */
    return 0;
}

int keep_drop_old(struct vfs *v)
{
    static const unsigned char kinds[] = {KEEP_REPLY, KEEP_TRY};
    int r = 0;

    for (size_t k = 0; k < ARRAY_LEN(kinds) && r == 0; k++) {
        struct old o = {.kind = kinds[k]};

        r = table_each(v->conf.table, o.kind, note, &o);
        if (r == 0 && o.n > KEEP_ANSWERS_MAX)
            r = table_write(v->conf.table, o.v, o.n - KEEP_ANSWERS_MAX);
        free(o.v);
    }
    return r;
}
