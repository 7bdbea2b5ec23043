/* SPDX-License-Identifier: Apache-2.0 */
/* Replacing what is kept of a directory by a listing.
 *
 * - LIST-1  What was put or dropped after the listing was asked for is newer than it and stays as
 *   it is.
 * - LIST-2  Headers known of an entry stay if the listing shows the very version they belong to,
 *   and that version is old enough: Last-Modified has a grain of a second, so one younger than 2 s
 *   may have been replaced unseen.
 * - LIST-3  A directory that is too large for one transaction is not complete until the last of
 *   them.
 * - LIST-4  Headers that were told when the version was younger than that are not confirmed either,
 *   however old it is by now: another client may have changed them in the rest of that second, and
 *   left its ETag and its Last-Modified what they were. Who asks again, later, knows for good. (Of
 *   our own PUT no Last-Modified is told: what it wrote counts as told when its second was over.)
 * - LIST-5  A part of a listing (cache_list_confirm) adds and removes no name: what is known is known
 *   anew, as of when it was asked for.
 *
 * Steps: put the new entries, then remove the old ones that are not among them, then say that it is
 * complete. */
#include "priv.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

#define STEP 4096u /* records a transaction */

enum phase { PHASE_PUT, PHASE_REMOVE, PHASE_DONE };
enum step_outcome { STEP_OUTDATED = 2 };

struct progress {
    enum phase phase;
    size_t next;                /* PUT: entry */
    struct cache_dent_key from; /* REMOVE: first key that was not looked at; n 0: the first */
};

struct list_put {
    struct cache *c;
    struct cache_dir_key dir;
    int64_t listed_ns, date_ns;
    const struct cache_dirent **v; /* sorted as the index is */
    size_t n;
    struct progress at, then; /* before and after the transaction */
    size_t budget;
    struct cache_drop_set drops;
    struct cache_dent_key *gone; /* [STEP] */
    size_t n_gone;
    struct buf out;
};

static struct cache_name name_of(const struct cache_dirent *d)
{
    return (struct cache_name){.name = d->name,
                               .len = strlen(d->name),
                               .type = d->is_prefix ? CACHE_DENT_PREFIX : CACHE_DENT_OBJ};
}

static int compare_names(const struct cache_name *x, const struct cache_name *y)
{
    size_t n = x->len < y->len ? x->len : y->len;
    int r = memcmp(x->name, y->name, n);

    if (r != 0)
        return r;
    if (x->len != y->len)
        return x->len < y->len ? -1 : 1;
    return (int)x->type - (int)y->type;
}

static int compare_entries(const void *a, const void *b)
{
    const struct cache_dirent *const *x = a, *const *y = b;
    struct cache_name m = name_of(*x), n = name_of(*y);

    return compare_names(&m, &n);
}

static int compare_with_name(const void *a, const void *b)
{
    const struct cache_dirent *const *y = b;
    struct cache_name n = name_of(*y);

    return compare_names(a, &n);
}

/* Entries that can't be kept are left out. */
static int sort_entries(struct list_put *p, const struct cache_listing *l)
{
    p->v = l->n > 0 ? calloc(l->n, sizeof(const struct cache_dirent *)) : NULL;
    if (l->n > 0 && p->v == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < l->n; i++)
        if (cache_name_ok(l->v[i].name, strlen(l->v[i].name)))
            p->v[p->n++] = &l->v[i];
    if (p->n > 0)
        qsort(p->v, p->n, sizeof(const struct cache_dirent *), compare_entries);
    return 0;
}

/* LIST-1 */
static bool is_newer(const struct list_put *p, const struct cache_rec_dent *rec)
{
    return rec->boot == p->c->boot && rec->checked_ns > p->listed_ns;
}

/* HEAD tells whole seconds where LIST tells fractions. */
static bool same_time(int64_t a, int64_t b)
{
    if (a % NS_PER_S == 0 || b % NS_PER_S == 0)
        return a / NS_PER_S == b / NS_PER_S;
    return a == b;
}

/* The reply to our own PUT does not tell Last-Modified. It is when the PUT was, on the server's
 * clock: as long before this listing's date as the PUT was before this listing, give or take the
 * grain of a second. */
static bool is_our_put(const struct list_put *p, const struct cache_rec_dent *rec, int64_t mtime_ns)
{
    int64_t then, off;

    if (rec->obj.mtime_ns != 0 || rec->boot != p->c->boot || rec->checked_ns == 0 ||
        p->date_ns == 0)
        return false;
    then = p->date_ns - (p->listed_ns - rec->checked_ns);
    off = then - mtime_ns;
    return off >= -CACHE_RACY_NS && off <= CACHE_RACY_NS;
}

/* LIST-2: what is to be known of an entry, given what was. *rec is the old record, and becomes the
 * new one. */
static void merge(const struct list_put *p, const struct cache_dirent *e,
                  struct cache_rec_dent *rec)
{
    struct store_etag etag = {.s = ""};
    bool is_whole = str_copy(etag.s, sizeof(etag.s), e->etag) == 0;
    bool same = is_whole && rec->has_obj && store_etag_equal(&rec->obj.etag, &etag) &&
                rec->obj.size == e->size &&
                (same_time(rec->obj.mtime_ns, e->mtime_ns) || is_our_put(p, rec, e->mtime_ns));

    if (!same || rec->is_racy || e->mtime_ns + CACHE_RACY_NS >= p->date_ns) {
        store_obj_done(&rec->obj);
        *rec = (struct cache_rec_dent){
            .has_obj = true, .obj = {.etag = etag, .size = e->size, .mtime_ns = e->mtime_ns}};
    }
    rec->obj.mtime_ns = e->mtime_ns;
    rec->boot = p->c->boot;
    rec->checked_ns = p->listed_ns;
}

static int put_record(struct meta_txn *t, struct list_put *p, struct cache_bytes key,
                      const struct cache_rec_dent *rec)
{
    int r = cache_rec_dent_encode(&p->out, key, rec);

    return r < 0 ? r
                 : meta_put(t, META_DENT, key,
                            (struct cache_bytes){.p = p->out.data, .n = p->out.len});
}

static int put_entry(struct meta_txn *t, struct list_put *p, const struct cache_dirent *e)
{
    struct cache_name name = name_of(e);
    struct cache_dent_key k = cache_dent_key(&p->dir, name.name, name.len, name.type);
    struct cache_rec_dent rec = {0};
    struct cache_bytes val, key = CACHE_DENT_BYTES(k);
    bool had;
    int r;

    if (cache_drop_set_has(&p->drops, &name))
        return 0;
    r = meta_get(t, META_DENT, key, &val);
    if (r == 0)
        r = cache_rec_dent_decode(val, key, true, &rec);
    if (r < 0 && r != -EBADMSG)
        return r;
    had = r == 0;
    r = 0;
    if (e->is_prefix) { /* nothing new is told of one that is known */
        if (!had) {
            rec = (struct cache_rec_dent){.boot = p->c->boot, .checked_ns = p->listed_ns};
            r = put_record(t, p, key, &rec);
        }
    } else if (!had || !is_newer(p, &rec)) {
        merge(p, e, &rec);
        r = put_record(t, p, key, &rec);
    }
    store_obj_done(&rec.obj);
    return r;
}

static int look_for_gone(struct cache_bytes key, struct cache_bytes val, void *arg)
{
    struct list_put *p = arg;
    struct cache_rec_dent rec;
    struct cache_name name;

    if (p->budget == 0) {
        memcpy(p->then.from.b, key.p, key.n);
        p->then.from.n = key.n;
        return META_NONE;
    }
    p->budget--;
    if (key.n > sizeof(p->gone->b))
        return -EIO;
    if (cache_dent_key_parse(key.p, key.n, &name)) {
        if (p->n > 0 && bsearch(&name, p->v, p->n, sizeof(const struct cache_dirent *),
                                compare_with_name) != NULL)
            return 0;
        if (cache_rec_dent_decode(val, key, false, &rec) == 0 && is_newer(p, &rec))
            return 0;
    }
    memcpy(p->gone[p->n_gone].b, key.p, key.n);
    p->gone[p->n_gone++].n = key.n;
    return 0;
}

static int remove_gone(struct meta_txn *t, struct list_put *p)
{
    struct cache_bytes dir = CACHE_BYTES(p->dir), from = CACHE_DENT_BYTES(p->then.from);
    struct cache_dent_key start = p->then.from;
    int r;

    from.p = start.b;
    p->n_gone = 0;
    r = meta_scan(t, META_DENT, dir, from, look_for_gone, p);
    if (r < 0)
        return r;
    if (r == 0)
        p->then.phase = PHASE_DONE;
    r = 0;
    for (size_t i = 0; i < p->n_gone && r == 0; i++)
        r = meta_del(t, META_DENT, CACHE_DENT_BYTES(p->gone[i]));
    return r;
}

static int put_complete(struct meta_txn *t, struct list_put *p)
{
    struct cache_rec_dir rec = {.boot = p->c->boot, .listed_ns = p->listed_ns};
    struct cache_bytes key = CACHE_BYTES(p->dir);
    int r;

    if (cache_drop_set_has(&p->drops, NULL))
        return 0;
    r = cache_rec_dir_encode(&p->out, key, &rec);
    return r < 0 ? r
                 : meta_put(t, META_DIR, key,
                            (struct cache_bytes){.p = p->out.data, .n = p->out.len});
}

/* STEP_OUTDATED if a later listing is kept already, or this one can't be told from what was dropped
 * since. */
static int check_outdated(struct meta_txn *t, struct list_put *p)
{
    struct cache_rec_dir rec;
    struct cache_bytes val, key = CACHE_BYTES(p->dir);
    int r;

    cache_drop_set_done(&p->drops);
    r = cache_drops_since(p->c, &p->dir, p->listed_ns, &p->drops);
    if (r < 0)
        return r;
    if (p->drops.overflow)
        return STEP_OUTDATED;
    r = meta_get(t, META_DIR, key, &val);
    if (r < 0)
        return r;
    if (r == 0 && cache_rec_dir_decode(val, key, &rec) == 0 && rec.boot == p->c->boot &&
        rec.listed_ns > p->listed_ns)
        return STEP_OUTDATED;
    return 0;
}

static int step(struct meta_txn *t, void *arg)
{
    struct list_put *p = arg;
    int r = check_outdated(t, p);

    p->then = p->at;
    p->budget = STEP;
    for (; r == 0 && p->then.phase == PHASE_PUT && p->budget > 0; p->budget--) {
        if (p->then.next == p->n)
            p->then.phase = PHASE_REMOVE;
        else
            r = put_entry(t, p, p->v[p->then.next++]);
    }
    if (r == 0 && p->then.phase == PHASE_REMOVE && p->budget > 0)
        r = remove_gone(t, p);
    if (r != 0)
        return r;
    if (p->then.phase == PHASE_DONE)
        return put_complete(t, p);
    return meta_del(t, META_DIR, CACHE_BYTES(p->dir));
}

static int run(struct list_put *p)
{
    int r = 0;

    while (r == 0 && p->at.phase != PHASE_DONE) {
        r = cache_index_write(p->c, step, p);
        p->at = p->then;
    }
    return r;
}

void cache_list_put(struct cache *c, const char *dir, const struct cache_listing *entries,
                    int64_t listed_ns, int64_t date_ns)
{
    struct list_put p = {
        .c = c, .listed_ns = listed_ns, .date_ns = date_ns, .out = BUF_INIT(CACHE_REC_MAX)};
    struct lock *stripe;

    if (c->meta == NULL)
        return;
    cache_dir_key(dir, strlen(dir), &p.dir);
    p.gone = calloc(STEP, sizeof(*p.gone));
    if (p.gone != NULL && sort_entries(&p, entries) == 0) {
        stripe = &c->listing[p.dir.b[0] % CACHE_STRIPES];
        lock_take(stripe);
        (void)!run(&p);
        lock_drop(stripe);
    }
    cache_drop_set_done(&p.drops);
    buf_done(&p.out);
    free(p.gone);
    free(p.v);
}

static int confirm_entry(struct meta_txn *t, struct list_put *p, const struct cache_dirent *e)
{
    struct cache_bytes val;
    struct cache_name name = name_of(e);
    struct cache_dent_key k = cache_dent_key(&p->dir, name.name, name.len, name.type);
    int r = meta_get(t, META_DENT, CACHE_DENT_BYTES(k), &val);

    if (r == 0)
        return put_entry(t, p, e);
    return r == META_NONE ? 0 : r;
}

static int confirm_all(struct meta_txn *t, void *arg)
{
    struct list_put *p = arg;
    int r = check_outdated(t, p);

    for (size_t i = 0; r == 0 && i < p->n; i++)
        if (!p->v[i]->is_prefix)
            r = confirm_entry(t, p, p->v[i]);
    return r;
}

void cache_list_confirm(struct cache *c, const char *dir, const struct cache_listing *part,
                        int64_t listed_ns, int64_t date_ns)
{
    struct list_put p = {
        .c = c, .listed_ns = listed_ns, .date_ns = date_ns, .out = BUF_INIT(CACHE_REC_MAX)};

    if (c->meta == NULL)
        return;
    cache_dir_key(dir, strlen(dir), &p.dir);
    if (sort_entries(&p, part) == 0)
        (void)!cache_index_write(c, confirm_all, &p);
    cache_drop_set_done(&p.drops);
    buf_done(&p.out);
    free(p.v);
}
