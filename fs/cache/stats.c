/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, and the small records of other modules. */
#include "priv.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

void cache_used_move(_Atomic uint64_t *used, uint64_t from, uint64_t to)
{
    uint64_t now = *used;

    while (!atomic_compare_exchange_weak(used, &now, (now > from ? now - from : 0) + to))
        ;
}

/* Kept files, without the notes beside them. */
static uint64_t count_kept(const struct cache *c)
{
    char path[PATH_MAX];
    struct dirent *e;
    uint64_t n = 0;
    DIR *d;

    snprintf(path, sizeof(path), "%s/lost+found", c->dir);
    d = opendir(path);
    if (d == NULL)
        return 0;
    while ((e = readdir(d)) != NULL)
        n += e->d_name[0] != '.' && !str_ends(e->d_name, ".txt");
    closedir(d);
    return n;
}

void cache_stats_get(struct cache *c, struct cache_stats *ret)
{
    *ret = (struct cache_stats){
        .bytes = c->used.blocks + c->used.staged,
        .limit = c->max_bytes,
        .staged_bytes = c->used.staged,
        .versions = c->used.versions,
        .hits = c->count.hits,
        .misses = c->count.misses,
        .evicted_bytes = c->count.evicted_bytes,
        .errors = c->count.errors,
        .corrupt = c->count.corrupt,
        .lost_found = count_kept(c),
    };
    cache_health_get(c, ret);
}

struct note {
    struct cache_bytes key;
    struct buf out;
    char *value;
};

static int get_note(struct meta_txn *t, void *arg)
{
    struct note *n = arg;
    struct cache_bytes val;
    int r = meta_get(t, META_NOTE, n->key, &val);

    return r != 0 ? r : cache_rec_note_decode(val, n->key, &n->value);
}

static int put_note(struct meta_txn *t, void *arg)
{
    struct note *n = arg;

    return meta_put(t, META_NOTE, n->key, (struct cache_bytes){.p = n->out.data, .n = n->out.len});
}

static bool note_name(const char *name, struct note *ret)
{
    *ret = (struct note){.key = {.p = name, .n = strlen(name)}, .out = BUF_INIT(CACHE_REC_MAX)};
    return ret->key.n > 0 && ret->key.n <= CACHE_NAME_MAX;
}

int cache_note_get(struct cache *c, const char *name, char **ret)
{
    struct note n;
    int r;

    if (!note_name(name, &n))
        return CACHE_MISS;
    r = cache_index_read(c, get_note, &n);
    if (r != 0)
        return r == -ENOMEM ? r : CACHE_MISS;
    *ret = n.value;
    return 0;
}

void cache_note_put(struct cache *c, const char *name, const char *value)
{
    struct note n;

    if (note_name(name, &n) && cache_rec_note_encode(&n.out, n.key, value) == 0)
        (void)!cache_index_write(c, put_note, &n);
    buf_done(&n.out);
}
