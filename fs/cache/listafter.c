/* SPDX-License-Identifier: Apache-2.0 */
/* The names of a directory behind one of them: for who walks it, name by name. */
#include "priv.h"

#include <errno.h>
#include <string.h>

#define TOLD_ENOUGH CACHE_LONGER

struct after {
    struct cache_dir_key dir;
    const char *name;
    uint64_t boot; /* this one */
    int64_t since_ns;
    cache_list_fn *fn;
    void *arg;
};

static int tell(struct cache_bytes key, struct cache_bytes val, void *arg)
{
    const struct after *a = arg;
    struct cache_list_name told = {0};
    struct cache_rec_dent rec;
    struct cache_name name;
    int r;

    if (!cache_dent_key_parse(key.p, key.n, &name))
        return -EBADMSG;
    if (name.len == strlen(a->name) && memcmp(name.name, a->name, name.len) == 0)
        return 0;
    r = cache_rec_dent_decode(val, key, false, &rec);
    if (r < 0)
        return r;
    told.name = name.name;
    told.len = name.len;
    told.is_prefix = name.type == CACHE_DENT_PREFIX;
    told.has_hdrs = !told.is_prefix && rec.has_hdrs;
    told.checked_ns = rec.boot == a->boot ? rec.checked_ns : 0;
    return a->fn(a->arg, &told) ? 0 : TOLD_ENOUGH;
}

static int tell_all(struct meta_txn *t, void *arg)
{
    struct after *a = arg;
    struct cache_bytes val, dir = CACHE_BYTES(a->dir);
    struct cache_dent_key from = cache_dent_key(&a->dir, a->name, strlen(a->name), CACHE_DENT_OBJ);
    struct cache_rec_dir rec;
    int r = meta_get(t, META_DIR, dir, &val);

    if (r == 0)
        r = cache_rec_dir_decode(val, dir, &rec);
    if (r == 0 && (rec.boot != a->boot || rec.listed_ns <= a->since_ns))
        r = CACHE_MISS;
    return r != 0 ? r : meta_scan(t, META_DENT, dir, CACHE_DENT_BYTES(from), tell, a);
}

int cache_list_after(struct cache *c, const char *dir, int64_t since_ns, const char *name,
                     cache_list_fn *fn, void *arg)
{
    struct after a = {.name = name, .boot = c->boot, .since_ns = since_ns, .fn = fn, .arg = arg};
    int r;

    if (name[0] != '\0' && !cache_name_ok(name, strlen(name)))
        return CACHE_MISS;
    cache_dir_key(dir, strlen(dir), &a.dir);
    r = cache_index_read(c, tell_all, &a);
    return r == 0 || r == TOLD_ENOUGH ? 0 : CACHE_MISS;
}
