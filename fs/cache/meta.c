/* SPDX-License-Identifier: Apache-2.0 */
/* The index on LMDB. NOSYNC: a commit is in the page cache, not on the disk; what survives what is
 * told in seal.h. No WRITEMAP: a stray pointer must not reach the file. No NOMEMINIT: heap bytes
 * must not either. A disk that fails under the map: mapped.h. */
#include "meta.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/sys.h"
#include "mapped.h"
#include "metaint.h"

#define MAX_READERS 1024
#define LOCK_FILE (4096 + MAX_READERS * 64) /* LMDB's header and its readers */

const char *const meta_db_names[META_DBS] = {[META_DENT] = "dent",
                                             [META_DIR] = "dir",
                                             [META_VER] = "ver",
                                             [META_BLK] = "blk",
                                             [META_NOTE] = "note"};

int meta_fold(struct meta *m, int rc)
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
    if (m != NULL && rc == MAPPED_LOST)
        atomic_store(&m->lost, true);
    if (m != NULL)
        atomic_store(&m->failed, true);
    if (rc == MAPPED_LOST)
        return err_set(-EIO, "cache index: the disk can't read a page of it");
    return err_set(-EIO, "cache index: %s", mdb_strerror(rc));
}

/* Closes it, or leaves it where it is. */
static void give_up_env(struct meta *m, bool lost)
{
    if (m->env != NULL && lost) {
        mapped_bury(m->env);
        m->losses++;
    } else if (m->env != NULL) {
        mdb_env_close(m->env);
    }
    m->env = NULL;
}

static int open_databases(struct meta *m)
{
    MDB_txn *txn;
    int rc = mapped_begin(m->env, 0, &txn);

    if (rc != 0)
        return rc;
    for (int i = 0; i < META_DBS && rc == 0; i++)
        rc = mapped_open_db(txn, meta_db_names[i], MDB_CREATE, &m->dbi[i]);
    if (rc == 0)
        return mapped_commit(txn);
    if (rc != MAPPED_LOST)
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
    int rc = m->losses < MAPPED_LOST_MAX ? allocate_lock_file(m) : EIO;

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
        rc = mapped_open(m->env, m->path, MDB_NOTLS | MDB_NOSYNC | MDB_NOMETASYNC, 0600);
    if (rc == 0)
        rc = open_databases(m);
    if (rc != 0)
        give_up_env(m, rc == MAPPED_LOST);
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
    pthread_mutex_destroy(&m->writer);
    free(m->path);
    free(m);
}

int meta_open(const char *path, size_t first_map, struct meta **ret)
{
    struct meta *m = calloc(1, sizeof(*m));
    int r;

    if (m == NULL)
        return -ENOMEM;
    m->first_map = first_map != 0 ? first_map : META_FIRST_MAP;
    m->path = strdup(path);
    r = m->path != NULL ? init_gate(&m->gate) : -ENOMEM;
    if (r < 0) {
        free(m->path);
        free(m);
        return r;
    }
    pthread_mutex_init(&m->writer, NULL);
    r = open_env(m);
    if (r != 0) {
        r = r > 0              ? err_set(-r, "cache index %s: %s", path, mdb_strerror(r))
            : r == MAPPED_LOST ? err_set(-EIO, "cache index %s: the disk can't read it", path)
                               : err_set(-EBADMSG, "cache index %s: %s", path, mdb_strerror(r));
        free_meta(m);
        return r;
    }
    *ret = m;
    return 0;
}

int meta_sync(struct meta *m)
{
    int r;

    pthread_rwlock_rdlock(&m->gate);
    r = meta_fold(m, m->env != NULL && !atomic_load(&m->failed) ? mapped_sync(m->env) : EIO);
    pthread_rwlock_unlock(&m->gate);
    return r;
}

void meta_close(struct meta *m)
{
    if (m == NULL)
        return;
    give_up_env(m, atomic_load(&m->lost));
    free_meta(m);
}

bool meta_failed(const struct meta *m)
{
    return atomic_load(&((struct meta *)(uintptr_t)m)->failed);
}

bool meta_lost(const struct meta *m)
{
    return atomic_load(&((struct meta *)(uintptr_t)m)->lost);
}

void meta_fail(struct meta *m)
{
    atomic_store(&m->failed, true);
}

int meta_reset(struct meta *m, int (*clear)(void *arg), void *arg)
{
    int r;

    pthread_rwlock_wrlock(&m->gate);
    give_up_env(m, atomic_exchange(&m->lost, false));
    r = clear(arg);
    if (r == 0)
        r = meta_fold(NULL, open_env(m));
    atomic_store(&m->failed, r != 0);
    pthread_rwlock_unlock(&m->gate);
    return r;
}

size_t meta_map_size(struct meta *m)
{
    MDB_envinfo info = {0};

    pthread_rwlock_rdlock(&m->gate);
    if (m->env != NULL && !atomic_load(&m->failed))
        (void)!meta_fold(m, mapped_info(m->env, &info));
    pthread_rwlock_unlock(&m->gate);
    return info.me_mapsize;
}

/* Doubles the map unless another thread has done so since `seen`. */
static int grow(struct meta *m, size_t seen)
{
    MDB_envinfo info = {0};
    int r, rc = 0;

    pthread_rwlock_wrlock(&m->gate);
    if (m->env == NULL || atomic_load(&m->failed))
        rc = EIO;
    else
        rc = mapped_info(m->env, &info);
    if (rc == 0 && info.me_mapsize == seen)
        rc = seen >= META_MAX_MAP ? ENOSPC : mapped_set_size(m->env, 2 * seen);
    r = meta_fold(m, rc); /* who comes next shall know that it is lost */
    pthread_rwlock_unlock(&m->gate);
    return r;
}

/* Ends a transaction that began: commits if it may. */
static int finish(struct meta *m, struct meta_txn *t, int r, bool may_commit, bool *ret_full)
{
    int rc;

    if (atomic_load(&m->lost)) { /* by this one or by another: nothing of it is touched again */
        mapped_bury(t->txn);
        return r < 0 ? r : -EIO;
    }
    if (r != 0 || t->full || !may_commit) {
        mdb_txn_abort(t->txn);
        *ret_full = t->full;
        return t->full ? -ENOSPC : r;
    }
    rc = mapped_commit(t->txn);
    if (rc == MAPPED_LOST)
        mapped_bury(t->txn);
    *ret_full = rc == MDB_MAP_FULL;
    return meta_fold(m, rc);
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
    r = meta_fold(m, mapped_info(m->env, &info));
    *ret_map = info.me_mapsize;
    if (r == 0)
        r = meta_fold(m, mapped_begin(m->env, flags, &t.txn));
    if (r < 0)
        return r;
    r = fn(&t, arg);
    r = finish(m, &t, r, (flags & MDB_RDONLY) == 0, ret_full);
    meta_free_copies(&t);
    return r;
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
        pthread_mutex_lock(&m->writer);
        r = run(m, fn, arg, 0, &full, &map);
        pthread_mutex_unlock(&m->writer);
        pthread_rwlock_unlock(&m->gate);
        if (!full)
            return r;
        r = grow(m, map);
        if (r < 0)
            return r;
    }
}
