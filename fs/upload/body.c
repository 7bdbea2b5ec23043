/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of uploads. A back end may ask for a body on the one thread that also receives every reply, so a body must
 * never wait for a fetch: it is read into memory first, or, if it is too big for that, its base bytes are brought
 * into the staging file first. */
#include <errno.h>
#include <string.h>

#include "internal.h"

uint64_t upload_memory(struct upload *u)
{
    return budget_used(&u->bodies);
}

void body_done(struct body *b)
{
    if (b->data) {
        free(b->data);
        budget_give(&b->u->bodies, b->len);
    }
    *b = (struct body){0};
}

static int body_from_file(struct body *b, struct data_file *f, uint64_t off, uint64_t len)
{
    int r = data_localise_range(f, off, len);
    if (r == 0) {
        data_source_init(&b->ds, f, off, len);
        b->src = b->ds.src;
    }
    return r;
}

int body_init(struct body *b, struct upload *u, struct data_file *f, uint64_t off, uint64_t len,
              bool may_wait)
{
    *b = (struct body){.u = u, .len = len};
    if (len > BODY_IN_MEMORY || len > u->conf.mem_limit)
        return body_from_file(b, f, off, len);
    if (may_wait)
        budget_take(&u->bodies, len);
    else if (!budget_try(&u->bodies, len, UINT64_MAX))
        return BODY_NO_ROOM;
    b->data = malloc(len ? (size_t)len : 1);
    if (!b->data) {
        budget_give(&u->bodies, len);
        return err_set(-ENOMEM, "no memory for a body of %ju bytes", (uintmax_t)len);
    }
    struct data_source ds;
    data_source_init(&ds, f, off, len);
    int r = ds.src.read(ds.src.ctx, 0, b->data, (size_t)len);
    if (r != 0) {
        body_done(b);
        return r;
    }
    b->mem = (struct store_mem){.data = b->data, .size = (size_t)len};
    b->src = store_src_mem(&b->mem);
    return 0;
}
