/* SPDX-License-Identifier: Apache-2.0 */
/* The journal's records on LMDB: changes, and healing after one that failed. */
#include "jindex.h"

#include <endian.h>
#include <errno.h>
#include <lmdb.h>
#include <string.h>

#include "base/err.h"
#include "base/sys.h"
#include "jrec.h"

#define FIRST_MAP ((size_t)16 << 20)

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
    struct jindex_state_val sv = jindex_state_encode(state);
    MDB_val k = {.mv_size = 1, .mv_data = (void *)(uintptr_t)JINDEX_STATE_KEY};
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
        if (rc != MDB_MAP_FULL || ix->map >= JINDEX_MAX_MAP)
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
