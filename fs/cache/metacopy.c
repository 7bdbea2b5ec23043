/* SPDX-License-Identifier: Apache-2.0 */
/* The copy of an index that was left open. It runs in a process of its own (apart.h): what it reads
 * is not guarded. */
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "metaint.h"

#define COPY_BATCH 16384 /* records a transaction */

struct copying {
    MDB_txn *from;
    MDB_env *to;
    MDB_txn *txn; /* of to */
    size_t n;     /* records in txn */
};

static int compare(const MDB_val *a, const MDB_val *b)
{
    size_t n = a->mv_size < b->mv_size ? a->mv_size : b->mv_size;
    int r = memcmp(a->mv_data, b->mv_data, n);

    if (r != 0)
        return r;
    return a->mv_size < b->mv_size ? -1 : a->mv_size > b->mv_size;
}

static int copy_record(struct copying *cp, MDB_dbi dbi, MDB_val *k, MDB_val *v)
{
    int rc = 0;

    if (cp->txn == NULL)
        rc = mdb_txn_begin(cp->to, NULL, 0, &cp->txn);
    if (rc == 0)
        rc = mdb_put(cp->txn, dbi, k, v, MDB_APPEND);
    if (rc == 0 && ++cp->n % COPY_BATCH == 0) {
        rc = mdb_txn_commit(cp->txn);
        cp->txn = NULL;
    }
    return rc;
}

static void close_cursor(MDB_cursor **c)
{
    if (*c != NULL)
        mdb_cursor_close(*c);
}

/* Every key is above the one before it (so no page is met twice), and there are as many as there
 * should be. */
static int copy_database(struct copying *cp, MDB_dbi from, MDB_dbi to)
{
    _cleanup_(close_cursor) MDB_cursor *c = NULL;
    MDB_val k, v, last = {0};
    size_t n = 0;
    MDB_stat st;
    int rc = mdb_cursor_open(cp->from, from, &c);

    if (rc != 0 || mdb_stat(cp->from, from, &st) != 0)
        return -EBADMSG;
    rc = mdb_cursor_get(c, &k, &v, MDB_FIRST);
    for (; rc == 0; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
        if ((n++ > 0 && compare(&last, &k) >= 0) || v.mv_size > META_VALUE_MAX)
            return -EBADMSG;
        last = k;
        if (copy_record(cp, to, &k, &v) != 0)
            return -EIO;
    }
    return rc == MDB_NOTFOUND && n == st.ms_entries ? 0 : -EBADMSG;
}

static int copy_databases(struct copying *cp, struct meta *to)
{
    int r = 0;

    for (int i = 0; i < META_DBS && r == 0; i++) {
        MDB_dbi dbi;
        int rc = mdb_dbi_open(cp->from, meta_db_names[i], 0, &dbi);

        /* A kill before the first commit leaves an environment without databases. */
        if (rc != MDB_NOTFOUND)
            r = rc == 0 ? copy_database(cp, dbi, to->dbi[i]) : -EBADMSG;
    }
    if (r == 0 && cp->txn != NULL && mdb_txn_commit(steal(&cp->txn)) != 0)
        r = -EIO;
    if (cp->txn != NULL)
        mdb_txn_abort(cp->txn);
    return r;
}

static int copy_env(MDB_env *env, const char *from, const char *to)
{
    struct copying cp = {0};
    MDB_envinfo info;
    MDB_stat st;
    struct meta *m;
    int r;

    if (mdb_env_set_maxdbs(env, META_DBS) != 0 ||
        mdb_env_open(env, from, MDB_NOTLS | MDB_RDONLY | MDB_NOLOCK, 0600) != 0 ||
        mdb_env_info(env, &info) != 0 || mdb_env_stat(env, &st) != 0 ||
        info.me_mapsize > META_MAX_MAP)
        return -EBADMSG;
    /* What is in use there fits here. Not the map: it would grow with each copy, to its limit. */
    r = meta_open(to, META_FIRST_MAP + 2 * (info.me_last_pgno + 1) * st.ms_psize, &m);
    if (r < 0)
        return r;
    cp.to = m->env;
    r = mdb_txn_begin(env, NULL, MDB_RDONLY, &cp.from) == 0 ? copy_databases(&cp, m) : -EBADMSG;
    if (cp.from != NULL)
        mdb_txn_abort(cp.from);
    meta_close(m);
    return r;
}

int meta_copy(const char *from, const char *to)
{
    MDB_env *env;
    int r;

    if (mdb_env_create(&env) != 0)
        return -EIO;
    r = copy_env(env, from, to);
    mdb_env_close(env);
    return r;
}
