/* SPDX-License-Identifier: Apache-2.0 */
/* The index's records, inside a transaction. What LMDB gives lies in its map: it is copied before
 * anybody looks at it (MAPPED-2). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "mapped.h"
#include "metaint.h"

static MDB_val to_val(struct cache_bytes b)
{
    return (MDB_val){.mv_size = b.n, .mv_data = (void *)(uintptr_t)b.p};
}

void meta_free_copies(struct meta_txn *t)
{
    while (t->copies != NULL) {
        struct copied *c = t->copies;

        t->copies = c->next;
        free(c);
    }
}

static int fold_txn(struct meta_txn *t, int rc)
{
    if (rc == MDB_MAP_FULL)
        t->full = true;
    return meta_fold(t->meta, rc);
}

/* One that was lost is not asked again. */
static bool is_usable(const struct meta_txn *t)
{
    return !atomic_load(&t->meta->lost);
}

int meta_get(struct meta_txn *t, enum meta_db db, struct cache_bytes key, struct cache_bytes *ret)
{
    MDB_val k = to_val(key), v;
    struct copied *c;
    int rc = is_usable(t) ? mapped_get(t->txn, t->meta->dbi[db], &k, &v) : EIO;

    if (rc == MDB_NOTFOUND)
        return META_NONE;
    if (rc != 0)
        return fold_txn(t, rc);
    if (v.mv_size > META_VALUE_MAX)
        return fold_txn(t, MDB_CORRUPTED);
    c = malloc(sizeof(*c) + v.mv_size);
    if (c == NULL)
        return -ENOMEM;
    rc = mapped_copy(c->bytes, &v);
    c->next = t->copies;
    t->copies = c;
    if (rc == 0)
        *ret = (struct cache_bytes){.p = c->bytes, .n = v.mv_size};
    return fold_txn(t, rc);
}

int meta_put(struct meta_txn *t, enum meta_db db, struct cache_bytes key, struct cache_bytes val)
{
    MDB_val k = to_val(key), v = to_val(val);

    return fold_txn(t, is_usable(t) ? mapped_put(t->txn, t->meta->dbi[db], &k, &v) : EIO);
}

int meta_del(struct meta_txn *t, enum meta_db db, struct cache_bytes key)
{
    MDB_val k = to_val(key);
    int rc = is_usable(t) ? mapped_del(t->txn, t->meta->dbi[db], &k) : EIO;

    return rc == MDB_NOTFOUND ? 0 : fold_txn(t, rc);
}

/* A record under the cursor, as a copy. */
struct scan {
    MDB_cursor *cursor;
    uint8_t *copy; /* META_KEY_MAX of the key, then META_VALUE_MAX */
    struct cache_bytes key, val;
};

static int scan_to(struct scan *s, MDB_val *k, MDB_cursor_op op)
{
    MDB_val v;
    int rc = mapped_cursor_get(s->cursor, k, &v, op);

    if (rc != 0)
        return rc;
    if (k->mv_size > META_KEY_MAX || v.mv_size > META_VALUE_MAX)
        return MDB_CORRUPTED;
    rc = mapped_copy(s->copy, k);
    if (rc == 0)
        rc = mapped_copy(s->copy + META_KEY_MAX, &v);
    s->key = (struct cache_bytes){.p = s->copy, .n = k->mv_size};
    s->val = (struct cache_bytes){.p = s->copy + META_KEY_MAX, .n = v.mv_size};
    return rc;
}

static void scan_end(struct meta_txn *t, struct scan *s)
{
    mapped_end_cursor(s->cursor, !is_usable(t));
    free(s->copy);
}

static int scan_each(struct meta_txn *t, struct scan *s, struct cache_bytes prefix,
                     struct cache_bytes from, meta_scan_fn fn, void *arg)
{
    MDB_val k = to_val(from.n > 0 ? from : prefix);
    int rc = scan_to(s, &k, k.mv_size > 0 ? MDB_SET_RANGE : MDB_FIRST);

    for (; rc == 0; rc = is_usable(t) ? scan_to(s, &k, MDB_NEXT) : EIO) {
        int r;

        if (s->key.n < prefix.n || (prefix.n > 0 && memcmp(s->key.p, prefix.p, prefix.n) != 0))
            return 0;
        r = fn(s->key, s->val, arg);
        if (r != 0)
            return r;
    }
    return rc == MDB_NOTFOUND ? 0 : fold_txn(t, rc);
}

int meta_scan(struct meta_txn *t, enum meta_db db, struct cache_bytes prefix,
              struct cache_bytes from, meta_scan_fn fn, void *arg)
{
    struct scan s = {.copy = malloc(META_KEY_MAX + META_VALUE_MAX)};
    int r = s.copy != NULL ? 0 : -ENOMEM;

    if (r == 0 && !is_usable(t))
        r = -EIO;
    if (r == 0)
        r = fold_txn(t, mapped_cursor(t->txn, t->meta->dbi[db], &s.cursor));
    if (r == 0)
        r = scan_each(t, &s, prefix, from, fn, arg);
    scan_end(t, &s);
    return r;
}
