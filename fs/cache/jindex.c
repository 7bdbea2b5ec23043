/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's records on LMDB. A record: version, flags, CRC, times and sizes, the caller's
 * bytes; the CRC starts from the number, so a record under another number does not decode. */
#include "jindex.h"

#include <endian.h>
#include <errno.h>
#include <lmdb.h>
#include <string.h>

#include "base/err.h"
#include "base/sys.h"
#include "crc.h"

#define FORMAT 1u
#define FIRST_MAP ((size_t)16 << 20)
#define MAX_MAP ((size_t)64 << 30) /* of address space */
#define HAS_FILE 1u

struct head { /* of a record; little-endian */
    uint8_t format, flags;
    uint16_t zero;
    uint32_t crc;
    uint64_t since, alloc, size;
};
struct state_val {
    uint8_t format, kind;
    uint16_t zero;
    uint32_t crc;
    uint64_t next, count, digest;
};
static const char state_key[] = "S"; /* sorts after all numbers: those begin with a zero byte */

/* What a failed call has to be undone with. */
struct old {
    uint64_t seq;
    void *val; /* NULL: there was none */
    size_t len;
};
struct jindex {
    char *path;
    MDB_env *env; /* NULL: it could not be opened again */
    MDB_dbi dbi;
    size_t map;
    bool sick;
    struct old *olds;
    size_t n_olds;
};

/* --- codec --- */

static uint32_t record_crc(uint64_t seq, const struct head *h, const void *body, size_t len)
{
    struct head clear = *h;
    uint64_t key = htobe64(seq);
    uint32_t crc = cache_crc(0, &key, sizeof(key));

    clear.crc = 0;
    return cache_crc(cache_crc(crc, &clear, sizeof(clear)), body, len);
}

void *jindex_encode(const struct jindex_rec *rec, size_t *ret_len, uint32_t *ret_crc)
{
    struct head h = {
        .format = FORMAT,
        .flags = rec->has_file ? HAS_FILE : 0,
        .since = htole64((uint64_t)rec->since_ns),
        .alloc = htole64(rec->alloc),
        .size = htole64(rec->size),
    };
    char *p = malloc(sizeof(h) + rec->len);

    if (p == NULL)
        return NULL;
    *ret_crc = record_crc(rec->seq, &h, rec->body, rec->len);
    h.crc = htole32(*ret_crc);
    memcpy(p, &h, sizeof(h));
    if (rec->len > 0)
        memcpy(p + sizeof(h), rec->body, rec->len);
    *ret_len = sizeof(h) + rec->len;
    return p;
}

int jindex_decode(uint64_t seq, const void *p, size_t n, struct jindex_rec *ret, uint32_t *ret_crc)
{
    struct head h;

    if (n < sizeof(h))
        return -EBADMSG;
    memcpy(&h, p, sizeof(h));
    *ret = (struct jindex_rec){
        .seq = seq,
        .since_ns = (int64_t)le64toh(h.since),
        .alloc = le64toh(h.alloc),
        .size = le64toh(h.size),
        .has_file = (h.flags & HAS_FILE) != 0,
        .body = (const char *)p + sizeof(h),
        .len = n - sizeof(h),
    };
    *ret_crc = le32toh(h.crc);
    return h.format == FORMAT && record_crc(seq, &h, ret->body, ret->len) == *ret_crc ? 0
                                                                                      : -EBADMSG;
}

uint64_t jindex_mix(uint64_t seq, uint32_t crc)
{
    uint64_t x = (seq + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (crc + UINT64_C(0x632be5ab)) << 17;

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    return x ^ (x >> 27);
}

static struct state_val state_encode(const struct jindex_state *s)
{
    struct state_val v = {
        .format = FORMAT,
        .kind = 'S',
        .next = htole64(s->next),
        .count = htole64(s->count),
        .digest = htole64(s->digest),
    };

    v.crc = htole32(cache_crc(0, &v, sizeof(v)));
    return v;
}

static int state_decode(const MDB_val *val, struct jindex_state *ret)
{
    struct state_val v;
    uint32_t crc;

    if (val->mv_size >= 2 && ((const uint8_t *)val->mv_data)[1] == 'S' &&
        ((const uint8_t *)val->mv_data)[0] > FORMAT)
        return -EPROTO;
    if (val->mv_size != sizeof(v))
        return -EBADMSG;
    memcpy(&v, val->mv_data, sizeof(v));
    crc = le32toh(v.crc);
    v.crc = 0;
    if (cache_crc(0, &v, sizeof(v)) != crc)
        return -EBADMSG;
    *ret = (struct jindex_state){
        .next = le64toh(v.next),
        .count = le64toh(v.count),
        .digest = le64toh(v.digest),
    };
    return 0;
}

/* --- the file --- */

static int fold(int rc)
{
    if (rc == 0)
        return 0;
    if (rc > 0)
        return err_set(-rc, "journal: index: %s", strerror(rc));
    if (rc == MDB_MAP_FULL || rc == MDB_TXN_FULL)
        return err_set(-ENOSPC, "journal: index: %s", mdb_strerror(rc));
    return err_set(-EIO, "journal: index: %s", mdb_strerror(rc));
}

static int open_env(struct jindex *ix)
{
    MDB_envinfo info;
    MDB_txn *txn;
    int rc = mdb_env_create(&ix->env);

    if (rc != 0)
        return rc;
    rc = mdb_env_set_mapsize(ix->env, ix->map);
    if (rc == 0)
        rc = mdb_env_open(ix->env, ix->path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK | MDB_NORDAHEAD,
                          0600);
    if (rc == 0)
        rc = mdb_env_info(ix->env, &info); /* a larger one than was asked for, if it has to be */
    if (rc == 0)
        rc = mdb_txn_begin(ix->env, NULL, MDB_RDONLY, &txn);
    if (rc == 0) {
        ix->map = info.me_mapsize;
        rc = mdb_dbi_open(txn, NULL, 0, &ix->dbi);
        mdb_txn_abort(txn);
    }
    if (rc != 0) {
        mdb_env_close(ix->env);
        ix->env = NULL;
    }
    return rc;
}

int jindex_open(const char *path, bool create, size_t first_map, struct jindex **ret)
{
    struct jindex *ix;
    int r = create ? sys_unlink(path) : 0;

    if (r < 0 && r != -ENOENT)
        return err_set(r, "journal: %s: %s", path, strerror(-r));
    ix = calloc(1, sizeof(*ix));
    if (ix != NULL)
        ix->path = strdup(path);
    if (ix == NULL || ix->path == NULL) {
        free(ix);
        return err_set(-ENOMEM, "journal: out of memory");
    }
    ix->map = first_map != 0 ? first_map : FIRST_MAP;
    r = fold(open_env(ix));
    if (r < 0) {
        jindex_close(ix);
        return r;
    }
    *ret = ix;
    return 0;
}

static void forget_olds(struct jindex *ix)
{
    for (size_t i = 0; i < ix->n_olds; i++)
        free(ix->olds[i].val);
    free(ix->olds);
    ix->olds = NULL;
    ix->n_olds = 0;
}

void jindex_close(struct jindex *ix)
{
    if (ix == NULL)
        return;
    if (ix->env != NULL)
        mdb_env_close(ix->env);
    forget_olds(ix);
    free(ix->path);
    free(ix);
}

bool jindex_is_sick(const struct jindex *ix)
{
    return ix->sick;
}

size_t jindex_map_size(const struct jindex *ix)
{
    return ix->map;
}

/* --- changes --- */

static int note_old(struct jindex *ix, MDB_txn *txn, MDB_val *k, uint64_t seq)
{
    struct old *o = &ix->olds[ix->n_olds];
    MDB_val v;
    int rc = mdb_get(txn, ix->dbi, k, &v);

    *o = (struct old){.seq = seq};
    if (rc == 0) {
        o->val = malloc(v.mv_size > 0 ? v.mv_size : 1);
        if (o->val == NULL)
            return ENOMEM;
        memcpy(o->val, v.mv_data, v.mv_size);
        o->len = v.mv_size;
    }
    ix->n_olds++;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int apply_one(struct jindex *ix, MDB_txn *txn, const struct jindex_op *op, bool with_olds)
{
    uint64_t key = htobe64(op->seq);
    MDB_val k = {.mv_size = sizeof(key), .mv_data = &key};
    MDB_val v = {.mv_size = op->len, .mv_data = (void *)(uintptr_t)op->val};
    int rc = with_olds ? note_old(ix, txn, &k, op->seq) : 0;

    if (rc != 0)
        return rc;
    if (op->val != NULL)
        return mdb_put(txn, ix->dbi, &k, &v, 0);
    rc = mdb_del(txn, ix->dbi, &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* One try. Up to the commit nothing can have reached the file that a reader would follow. */
static int try_apply(struct jindex *ix, const struct jindex_op *ops, size_t n,
                     const struct jindex_state *state, bool with_olds)
{
    struct state_val sv = state_encode(state);
    MDB_val k = {.mv_size = 1, .mv_data = (void *)(uintptr_t)state_key};
    MDB_val v = {.mv_size = sizeof(sv), .mv_data = &sv};
    MDB_txn *txn;
    int rc = mdb_txn_begin(ix->env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = apply_one(ix, txn, &ops[i], with_olds);
    if (rc == 0)
        rc = mdb_put(txn, ix->dbi, &k, &v, 0);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    rc = mdb_txn_commit(txn);
    ix->sick = ix->sick || (rc != 0 && rc != MDB_MAP_FULL);
    return rc;
}

static int apply(struct jindex *ix, const struct jindex_op *ops, size_t n,
                 const struct jindex_state *state, bool with_olds)
{
    int rc;

    for (;;) {
        if (with_olds) {
            forget_olds(ix);
            ix->olds = calloc(n > 0 ? n : 1, sizeof(*ix->olds));
            if (ix->olds == NULL)
                return ENOMEM;
        }
        rc = try_apply(ix, ops, n, state, with_olds);
        if (rc != MDB_MAP_FULL || ix->map >= MAX_MAP)
            return rc;
        rc = mdb_env_set_mapsize(ix->env, 2 * ix->map);
        if (rc != 0)
            return rc;
        ix->map *= 2;
    }
}

int jindex_apply(struct jindex *ix, const struct jindex_op *ops, size_t n,
                 const struct jindex_state *state)
{
    int rc;

    if (ix->sick)
        return err_set(-EIO, "journal: the index could not be written before");
    rc = apply(ix, ops, n, state, true);
    if (!ix->sick)
        forget_olds(ix);
    return fold(rc);
}

int jindex_heal(struct jindex *ix, const struct jindex_state *state)
{
    struct jindex_op *ops = calloc(ix->n_olds > 0 ? ix->n_olds : 1, sizeof(*ops));
    int rc;

    if (ops == NULL)
        return err_set(-ENOMEM, "journal: out of memory");
    for (size_t i = 0; i < ix->n_olds; i++)
        ops[i] = (struct jindex_op){
            .seq = ix->olds[i].seq,
            .val = ix->olds[i].val,
            .len = ix->olds[i].len,
        };
    if (ix->env != NULL)
        mdb_env_close(ix->env);
    ix->env = NULL;
    rc = open_env(ix);
    if (rc == 0) {
        rc = apply(ix, ops, ix->n_olds, state, false);
        ix->sick = rc != 0;
    }
    if (rc == 0)
        forget_olds(ix);
    free(ops);
    return fold(rc);
}

int jindex_next(struct jindex *ix, uint64_t from, uint64_t *ret_seq, void **ret, size_t *ret_len)
{
    uint64_t key = htobe64(from);
    MDB_val k = {.mv_size = sizeof(key), .mv_data = &key}, v;
    MDB_cursor *c = NULL;
    MDB_txn *txn;
    int rc;

    if (ix->sick)
        return err_set(-EIO, "journal: the index could not be written before");
    rc = mdb_txn_begin(ix->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return fold(rc);
    rc = mdb_cursor_open(txn, ix->dbi, &c);
    if (rc == 0)
        rc = mdb_cursor_get(c, &k, &v, MDB_SET_RANGE);
    if (rc == 0 && k.mv_size == sizeof(key)) {
        memcpy(&key, k.mv_data, sizeof(key));
        *ret = malloc(v.mv_size > 0 ? v.mv_size : 1);
        if (*ret == NULL) {
            rc = ENOMEM;
        } else {
            memcpy(*ret, v.mv_data, v.mv_size);
            *ret_len = v.mv_size;
            *ret_seq = be64toh(key);
        }
    } else if (rc == 0) {
        rc = MDB_NOTFOUND; /* the state record is the last */
    }
    if (c != NULL)
        mdb_cursor_close(c);
    mdb_txn_abort(txn);
    return rc == MDB_NOTFOUND ? JINDEX_END : fold(rc);
}

/* --- reading what may be damaged --- */

struct scan {
    jindex_fn fn;
    void *arg;
    struct jindex_state sum, *state;
    uint64_t last;
    bool has_state, bad;
};

static int scan_one(struct scan *s, const MDB_val *k, const MDB_val *v)
{
    struct jindex_rec rec;
    uint64_t seq;
    uint32_t crc;
    int r;

    if (k->mv_size == 1 && *(const char *)k->mv_data == state_key[0]) {
        r = state_decode(v, s->state);
        s->has_state = r == 0;
        return r == -EPROTO ? r : 0;
    }
    if (k->mv_size != sizeof(seq)) {
        s->bad = true;
        return 0;
    }
    memcpy(&seq, k->mv_data, sizeof(seq));
    seq = be64toh(seq);
    if (seq <= s->last) /* a page that is met twice: it would never end */
        return -EBADMSG;
    s->last = seq;
    if (jindex_decode(seq, v->mv_data, v->mv_size, &rec, &crc) < 0) {
        s->bad = true;
        return 0;
    }
    s->sum.count++;
    s->sum.digest ^= jindex_mix(seq, crc);
    return s->fn(s->arg, seq, v->mv_data, v->mv_size);
}

static int scan_all(struct scan *s, MDB_env *env)
{
    MDB_cursor *c = NULL;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val k, v;
    int r = 0, rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);

    if (rc != 0)
        return rc > 0 ? -rc : -EBADMSG;
    rc = mdb_dbi_open(txn, NULL, 0, &dbi);
    if (rc == 0)
        rc = mdb_cursor_open(txn, dbi, &c);
    if (rc == 0)
        rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
    for (; rc == 0 && r == 0; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT))
        r = scan_one(s, &k, &v);
    if (c != NULL)
        mdb_cursor_close(c);
    mdb_txn_abort(txn);
    if (r != 0)
        return r;
    if (rc != MDB_NOTFOUND)
        return rc > 0 ? -rc : -EBADMSG;
    return s->bad || !s->has_state || s->sum.count != s->state->count ||
                   s->sum.digest != s->state->digest || s->last >= s->state->next
               ? -EBADMSG
               : 0;
}

int jindex_scan(const char *path, jindex_fn fn, void *arg, struct jindex_state *ret)
{
    struct scan s = {.fn = fn, .arg = arg, .state = ret};
    MDB_env *env;
    int r, rc = mdb_env_create(&env);

    *ret = (struct jindex_state){0};
    if (rc != 0)
        return rc > 0 ? -rc : -EIO;
    rc = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK | MDB_RDONLY, 0600);
    if (rc == 0)
        r = scan_all(&s, env);
    else
        r = rc > 0 ? -rc : rc == MDB_VERSION_MISMATCH ? -EPROTO : -EBADMSG;
    mdb_env_close(env);
    return r;
}
