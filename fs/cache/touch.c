/* SPDX-License-Identifier: Apache-2.0 */
/* When versions were last read: in memory first, so that a read costs no write, into the index by
 * and by. */
#include "priv.h"

#include <string.h>

#include "base/clock.h"

#define GRAIN_NS (60 * NS_PER_S) /* a record is not rewritten for less */

static struct cache_touch *slot_of(struct cache *c, const struct cache_vkey *v)
{
    uint32_t h;

    memcpy(&h, v->b, sizeof(h)); /* of a SHA-256 */
    return &c->touches.v[h % CACHE_TOUCHES];
}

void cache_touch(struct cache *c, const struct cache_vkey *v)
{
    struct cache_touch *s = slot_of(c, v);

    lock_take(&c->touches.lock);
    s->v = *v;
    s->used_ns = clock_wall_ns();
    lock_drop(&c->touches.lock);
}

int64_t cache_touched(struct cache *c, const struct cache_vkey *v)
{
    struct cache_touch *s = slot_of(c, v);
    int64_t used;

    lock_take(&c->touches.lock);
    used = memcmp(&s->v, v, sizeof(*v)) == 0 ? s->used_ns : 0;
    lock_drop(&c->touches.lock);
    return used;
}

struct flush {
    struct cache_touch v[CACHE_TOUCHES];
    size_t n;
};

static int write_touch(struct meta_txn *t, const struct cache_touch *touch)
{
    _cleanup_buf_ struct buf out = BUF_INIT(CACHE_REC_MAX);
    struct cache_bytes key = CACHE_BYTES(touch->v), val;
    struct cache_rec_ver rec;
    int r = meta_get(t, META_VER, key, &val);

    if (r < 0)
        return r;
    if (r == META_NONE || cache_rec_ver_decode(val, key, &rec) < 0 ||
        touch->used_ns < rec.used_ns + GRAIN_NS)
        return 0;
    rec.used_ns = touch->used_ns;
    r = cache_rec_ver_encode(&out, key, &rec);
    if (r < 0)
        return r;
    return meta_put(t, META_VER, key, (struct cache_bytes){.p = out.data, .n = out.len});
}

static int write_touches(struct meta_txn *t, void *arg)
{
    const struct flush *f = arg;
    int r = 0;

    for (size_t i = 0; i < f->n && r == 0; i++)
        r = write_touch(t, &f->v[i]);
    return r;
}

void cache_touch_flush(struct cache *c)
{
    struct flush *f = malloc(sizeof(*f));

    if (f == NULL)
        return;
    f->n = 0;
    lock_take(&c->touches.lock);
    for (size_t i = 0; i < CACHE_TOUCHES; i++)
        if (c->touches.v[i].used_ns != 0)
            f->v[f->n++] = c->touches.v[i];
    lock_drop(&c->touches.lock);
    /* The table keeps what it has: until it is written the choice of victims needs it. What was
     * written before costs a look-up only. */
    if (f->n > 0)
        (void)!cache_index_try(c, write_touches, f);
    free(f);
}
