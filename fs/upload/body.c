/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of uploads. A back end may ask for a body on the one thread that also receives every reply, so a body must
 * never wait for a fetch: it is read into memory first, or, if it is too big for that, its base bytes are brought
 * into the staging file first. */
#include <errno.h>
#include <string.h>

#include "internal.h"

static int take_memory(struct upload *u, uint64_t len, bool may_wait)
{
    int r = 0;
    lock_take(&u->lock);
    while (u->locked.mem_used + len > u->conf.mem_limit) {
        if (!may_wait) {
            r = BODY_NO_ROOM;
            break;
        }
        cond_wait(&u->room, &u->lock);
    }
    if (r == 0)
        u->locked.mem_used += len;
    lock_drop(&u->lock);
    return r;
}

static void give_memory(struct upload *u, uint64_t len)
{
    lock_take(&u->lock);
    u->locked.mem_used -= len;
    cond_broadcast(&u->room);
    lock_drop(&u->lock);
}

uint64_t upload_memory(struct upload *u)
{
    lock_take(&u->lock);
    uint64_t used = u->locked.mem_used;
    lock_drop(&u->lock);
    return used;
}

void body_done(struct body *b)
{
    if (b->data)
        give_memory(b->u, b->len);
    free(b->data);
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
    int r = take_memory(u, len, may_wait);
    if (r != 0)
        return r;
    b->data = malloc(len ? (size_t)len : 1);
    if (!b->data) {
        give_memory(u, len);
        return err_set(-ENOMEM, "no memory for a body of %ju bytes", (uintmax_t)len);
    }
    struct data_source ds;
    data_source_init(&ds, f, off, len);
    r = ds.src.read(ds.src.ctx, 0, b->data, (size_t)len);
    if (r != 0) {
        body_done(b);
        return r;
    }
    b->mem = (struct store_mem){.data = b->data, .size = (size_t)len};
    b->src = store_src_mem(&b->mem);
    return 0;
}
