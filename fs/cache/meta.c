/* SPDX-License-Identifier: Apache-2.0 */
/* The index on LMDB. NOSYNC: a commit is in the page cache, not on the disk; what survives what is
 * told in seal.h. No WRITEMAP: a stray pointer must not reach the file. No NOMEMINIT: heap bytes
 * must not either. */
#include "meta.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/sys.h"

#define FIRST_MAP ((size_t)16 << 20)
#define MAX_MAP                                                                                    \
    ((size_t)16 << 30) /* of address space, and the most that the index may take on the disk */
#define MAX_READERS 1024
#define LOCK_FILE (4096 + MAX_READERS * 64) /* LMDB's header and its readers */
#define COPY_BATCH 16384                    /* records a transaction */

struct meta {
    char *path;
    MDB_env
        *env; /* changes only under the gate, held for writing; NULL after a reset that failed */
    MDB_dbi dbi[META_DBS];
    size_t first_map;
    pthread_rwlock_t gate;
    atomic_bool failed;
};

struct meta_txn {
    MDB_txn *txn;
    struct meta *meta;
    bool full; /* MDB_MAP_FULL was seen */
};

static const char *const db_names[META_DBS] = {[META_DENT] = "dent",
                                               [META_DIR] = "dir",
                                               [META_VER] = "ver",
                                               [META_BLK] = "blk",
                                               [META_NOTE] = "note"};

/* LMDB's codes to errnos; what says that the environment is damaged fails the index. */
static int fold(struct meta *m, int rc)
{
    if (rc == 0)
        return 0;
    if (rc > 0)
        return -rc;
    if (rc == MDB_MAP_FULL || rc == MDB_TXN_FULL)
        return -ENOSPC;
    if (rc == MDB_READERS_FULL)
        return -EAGAIN;
    if (rc == MDB_BAD_VALSIZE)
        return -EINVAL;
    if (m != NULL)
        atomic_store(&m->failed, true);
    return err_set(-EIO, "cache index: %s", mdb_strerror(rc));
}

static int open_databases(struct meta *m)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(m->env, NULL, 0, &txn);

    if (rc != 0)
        return rc;
    for (int i = 0; i < META_DBS && rc == 0; i++)
        rc = mdb_dbi_open(txn, db_names[i], MDB_CREATE, &m->dbi[i]);
    if (rc == 0)
        return mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return rc;
}

/* LMDB writes to this file through a map: a page that the disk has no room for would be a SIGBUS.
 * Before the environment is opened: closing any descriptor of the file drops LMDB's locks on it. */
static int allocate_lock_file(const struct meta *m)
{
    char path[PATH_MAX];
    _cleanup_close_ int fd = -1;

    if (snprintf(path, sizeof(path), "%s/lock.mdb", m->path) >= (int)sizeof(path))
        return ENAMETOOLONG;
    fd = sys_open(path, O_RDWR | O_CREAT, 0600);
    return fd < 0 ? -fd : posix_fallocate(fd, 0, LOCK_FILE);
}

static int open_env(struct meta *m)
{
    int rc = allocate_lock_file(m);

    if (rc == 0)
        rc = mdb_env_create(&m->env);
    if (rc != 0)
        return rc;
    rc = mdb_env_set_maxdbs(m->env, META_DBS);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(m->env, MAX_READERS);
    if (rc == 0)
        rc = mdb_env_set_mapsize(m->env, m->first_map);
    if (rc == 0)
        rc = mdb_env_open(m->env, m->path, MDB_NOTLS | MDB_NOSYNC | MDB_NOMETASYNC, 0600);
    if (rc == 0)
        rc = open_databases(m);
    if (rc != 0) {
        mdb_env_close(m->env);
        m->env = NULL;
    }
    return rc;
}

static int init_gate(pthread_rwlock_t *gate)
{
    pthread_rwlockattr_t attr;
    int rc = pthread_rwlockattr_init(&attr);

    if (rc != 0)
        return -rc;
    /* Else a steady stream of readers would keep the map from ever growing. META-1 makes it safe.
     */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    rc = pthread_rwlock_init(gate, &attr);
    pthread_rwlockattr_destroy(&attr);
    return -rc;
}

static void free_meta(struct meta *m)
{
    pthread_rwlock_destroy(&m->gate);
    free(m->path);
    free(m);
}

int meta_open(const char *path, size_t first_map, struct meta **ret)
{
    struct meta *m = calloc(1, sizeof(*m));
    int r;

    if (m == NULL)
        return -ENOMEM;
    m->first_map = first_map != 0 ? first_map : FIRST_MAP;
    m->path = strdup(path);
    r = m->path != NULL ? init_gate(&m->gate) : -ENOMEM;
    if (r < 0) {
        free(m->path);
        free(m);
        return r;
    }
    r = open_env(m);
    if (r != 0) {
        r = r > 0 ? err_set(-r, "cache index %s: %s", path, mdb_strerror(r))
                  : err_set(-EBADMSG, "cache index %s: %s", path, mdb_strerror(r));
        free_meta(m);
        return r;
    }
    *ret = m;
    return 0;
}

int meta_sync(struct meta *m)
{
    int rc;

    pthread_rwlock_rdlock(&m->gate);
    rc = m->env != NULL && !atomic_load(&m->failed) ? mdb_env_sync(m->env, 1) : EIO;
    pthread_rwlock_unlock(&m->gate);
    return fold(m, rc);
}

void meta_close(struct meta *m)
{
    if (m == NULL)
        return;
    if (m->env != NULL)
        mdb_env_close(m->env);
    free_meta(m);
}

bool meta_failed(const struct meta *m)
{
    return atomic_load(&((struct meta *)(uintptr_t)m)->failed);
}

void meta_fail(struct meta *m)
{
    atomic_store(&m->failed, true);
}

int meta_reset(struct meta *m, int (*clear)(void *arg), void *arg)
{
    int r;

    pthread_rwlock_wrlock(&m->gate);
    if (m->env != NULL)
        mdb_env_close(m->env);
    m->env = NULL;
    r = clear(arg);
    if (r == 0)
        r = fold(NULL, open_env(m));
    atomic_store(&m->failed, r != 0);
    pthread_rwlock_unlock(&m->gate);
    return r;
}

size_t meta_map_size(struct meta *m)
{
    MDB_envinfo info = {0};

    pthread_rwlock_rdlock(&m->gate);
    if (m->env != NULL)
        mdb_env_info(m->env, &info);
    pthread_rwlock_unlock(&m->gate);
    return info.me_mapsize;
}

/* Doubles the map unless another thread has done so since `seen`. */
static int grow(struct meta *m, size_t seen)
{
    MDB_envinfo info = {0};
    int rc = 0;

    pthread_rwlock_wrlock(&m->gate);
    if (m->env == NULL)
        rc = EIO;
    else
        mdb_env_info(m->env, &info);
    if (rc == 0 && info.me_mapsize == seen)
        rc = seen >= MAX_MAP ? ENOSPC : mdb_env_set_mapsize(m->env, 2 * seen);
    pthread_rwlock_unlock(&m->gate);
    return fold(m, rc);
}

/* One attempt, under the gate. */
static int run(struct meta *m, meta_fn fn, void *arg, unsigned flags, bool *ret_full,
               size_t *ret_map)
{
    struct meta_txn t = {.meta = m};
    MDB_envinfo info = {0};
    int r;

    if (m->env == NULL || atomic_load(&m->failed))
        return -EIO;
    mdb_env_info(m->env, &info);
    *ret_map = info.me_mapsize;
    r = fold(m, mdb_txn_begin(m->env, NULL, flags, &t.txn));
    if (r < 0)
        return r;
    r = fn(&t, arg);
    if (r == 0 && !t.full && (flags & MDB_RDONLY) == 0) {
        int rc = mdb_txn_commit(t.txn);

        *ret_full = rc == MDB_MAP_FULL;
        return fold(m, rc);
    }
    mdb_txn_abort(t.txn);
    *ret_full = t.full;
    return t.full ? -ENOSPC : r;
}

int meta_read(struct meta *m, meta_fn fn, void *arg)
{
    bool full = false;
    size_t map;
    int r;

    pthread_rwlock_rdlock(&m->gate);
    r = run(m, fn, arg, MDB_RDONLY, &full, &map);
    pthread_rwlock_unlock(&m->gate);
    return r;
}

int meta_write(struct meta *m, meta_fn fn, void *arg)
{
    for (;;) {
        bool full = false;
        size_t map;
        int r;

        pthread_rwlock_rdlock(&m->gate);
        r = run(m, fn, arg, 0, &full, &map);
        pthread_rwlock_unlock(&m->gate);
        if (!full)
            return r;
        r = grow(m, map);
        if (r < 0)
            return r;
    }
}

static MDB_val to_val(struct cache_bytes b)
{
    return (MDB_val){.mv_size = b.n, .mv_data = (void *)(uintptr_t)b.p};
}

static struct cache_bytes from_val(const MDB_val *v)
{
    return (struct cache_bytes){.p = v->mv_data, .n = v->mv_size};
}

static int fold_txn(struct meta_txn *t, int rc)
{
    if (rc == MDB_MAP_FULL)
        t->full = true;
    return fold(t->meta, rc);
}

int meta_get(struct meta_txn *t, enum meta_db db, struct cache_bytes key, struct cache_bytes *ret)
{
    MDB_val k = to_val(key), v;
    int rc = mdb_get(t->txn, t->meta->dbi[db], &k, &v);

    if (rc == MDB_NOTFOUND)
        return META_NONE;
    if (rc == 0)
        *ret = from_val(&v);
    return fold_txn(t, rc);
}

int meta_put(struct meta_txn *t, enum meta_db db, struct cache_bytes key, struct cache_bytes val)
{
    MDB_val k = to_val(key), v = to_val(val);

    return fold_txn(t, mdb_put(t->txn, t->meta->dbi[db], &k, &v, 0));
}

int meta_del(struct meta_txn *t, enum meta_db db, struct cache_bytes key)
{
    MDB_val k = to_val(key);
    int rc = mdb_del(t->txn, t->meta->dbi[db], &k, NULL);

    return rc == MDB_NOTFOUND ? 0 : fold_txn(t, rc);
}

static void close_cursor(MDB_cursor **c)
{
    if (*c != NULL)
        mdb_cursor_close(*c);
}

int meta_scan(struct meta_txn *t, enum meta_db db, struct cache_bytes prefix,
              struct cache_bytes from, meta_scan_fn fn, void *arg)
{
    _cleanup_(close_cursor) MDB_cursor *c = NULL;
    MDB_val k = to_val(from.n > 0 ? from : prefix), v;
    int rc = mdb_cursor_open(t->txn, t->meta->dbi[db], &c);

    if (rc == 0)
        rc = mdb_cursor_get(c, &k, &v, k.mv_size > 0 ? MDB_SET_RANGE : MDB_FIRST);
    for (; rc == 0; rc = mdb_cursor_get(c, &k, &v, MDB_NEXT)) {
        int r;

        if (k.mv_size < prefix.n || (prefix.n > 0 && memcmp(k.mv_data, prefix.p, prefix.n) != 0))
            return 0;
        r = fn(from_val(&k), from_val(&v), arg);
        if (r != 0)
            return r;
    }
    return rc == MDB_NOTFOUND ? 0 : fold_txn(t, rc);
}

/* --- the copy --- */

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
        if ((n++ > 0 && compare(&last, &k) >= 0) || v.mv_size > CACHE_REC_MAX + 4)
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
        int rc = mdb_dbi_open(cp->from, db_names[i], 0, &dbi);

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
        mdb_env_info(env, &info) != 0 || mdb_env_stat(env, &st) != 0 || info.me_mapsize > MAX_MAP)
        return -EBADMSG;
    /* What is in use there fits here. Not the map: it would grow with each copy, to its limit. */
    r = meta_open(to, FIRST_MAP + 2 * (info.me_last_pgno + 1) * st.ms_psize, &m);
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
