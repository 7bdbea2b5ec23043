/* SPDX-License-Identifier: Apache-2.0 */
/* Listings: the dentries of a directory, and one record which says that they are all. */
#include "priv.h"

#include <errno.h>
#include <string.h>

#define LOOK_EACH 64 /* entries, at how much they take */

struct get {
    struct cache_dir_key dir;
    struct cache_rec_dir rec;
    struct cache_listing out;
    uint64_t boot; /* this one */
    int64_t since_ns;
    uint64_t most;
};

static int add_dirent(struct get *g, const struct cache_name *name,
                      const struct cache_rec_dent *rec)
{
    bool is_prefix = name->type == CACHE_DENT_PREFIX;
    struct cache_dirent *e =
        cache_listing_add(&g->out, name->name, name->len, is_prefix ? "" : rec->obj.etag.s);

    if (e == NULL)
        return -ENOMEM;
    if (g->most != 0 && g->out.n % LOOK_EACH == 0 && cache_listing_memory(&g->out) > g->most)
        return CACHE_LONGER;
    e->is_prefix = is_prefix;
    if (!is_prefix) {
        e->size = rec->obj.size;
        e->mtime_ns = rec->obj.mtime_ns;
        e->has_hdrs = rec->has_hdrs;
    }
    return 0;
}

static int add_entry(struct cache_bytes key, struct cache_bytes val, void *arg)
{
    struct get *g = arg;
    struct cache_rec_dent rec;
    struct cache_name name;
    int r;

    if (!cache_dent_key_parse(key.p, key.n, &name))
        return -EBADMSG;
    r = cache_rec_dent_decode(val, key, false, &rec);
    if (r < 0)
        return r;
    if (name.type == CACHE_DENT_OBJ && !rec.has_obj)
        return -EBADMSG;
    return add_dirent(g, &name, &rec);
}

static int64_t listed_ns(const struct get *g)
{
    return g->rec.boot == g->boot ? g->rec.listed_ns : 0;
}

static int get_listing(struct meta_txn *t, void *arg)
{
    struct get *g = arg;
    struct cache_bytes val, key = CACHE_BYTES(g->dir);
    int r = meta_get(t, META_DIR, key, &val);

    if (r == 0)
        r = cache_rec_dir_decode(val, key, &g->rec);
    if (r == 0 && listed_ns(g) <= g->since_ns)
        r = CACHE_MISS;
    return r != 0 ? r : meta_scan(t, META_DENT, key, key, add_entry, g);
}

int cache_list_get(struct cache *c, const char *dir, struct cache_listing *ret)
{
    return cache_list_get_within(c, dir, INT64_MIN, 0, ret);
}

int cache_list_get_within(struct cache *c, const char *dir, int64_t since_ns, uint64_t most,
                          struct cache_listing *ret)
{
    struct get g = {.boot = c->boot, .since_ns = since_ns, .most = most};
    int r;

    cache_dir_key(dir, strlen(dir), &g.dir);
    r = cache_index_read(c, get_listing, &g);
    if (r == 0) {
        *ret = g.out;
        ret->listed_ns = listed_ns(&g);
        return 0;
    }
    cache_listing_done(&g.out);
    if (r == CACHE_LONGER)
        return r;
    if (r == -EBADMSG) { /* an entry is damaged: the listing is not complete any more */
        c->count.corrupt++;
        cache_list_drop(c, dir);
    }
    return CACHE_MISS;
}

struct drop {
    struct cache *c;
    struct cache_dir_key dir;
};

static int drop_listing(struct meta_txn *t, void *arg)
{
    const struct drop *d = arg;

    cache_drop_note(d->c, &d->dir, NULL);
    return meta_del(t, META_DIR, CACHE_BYTES(d->dir));
}

void cache_list_drop(struct cache *c, const char *dir)
{
    struct drop d = {.c = c};

    if (c->meta == NULL)
        return;
    cache_dir_key(dir, strlen(dir), &d.dir);
    (void)!cache_index_write(c, drop_listing, &d);
}
