/* SPDX-License-Identifier: Apache-2.0 */
/* See cache/table.h. */
#include "tabledir.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "mapped.h"
#include "stage.h"

#define FIRST_MAP ((size_t)64 << 20)
#define MAP_MAX ((size_t)16 << 30)
#define KEY_SIZE 9

/* -EBADMSG: what is there is no table, and does not become one by waiting. */
static int fold(int rc)
{
    switch (rc) {
    case MDB_MAP_FULL:
        return err_set(-ENOSPC, "takeover table: %s", mdb_strerror(rc));
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_VERSION_MISMATCH:
        return err_set(-EBADMSG, "takeover table: %s", mdb_strerror(rc));
    case MAPPED_LOST:
        return err_set(-EIO, "takeover table: the disk can't read a page of it");
    default:
        return rc > 0 ? err_set(-rc, "takeover table: %s", strerror(rc))
                      : err_set(-EIO, "takeover table: %s", mdb_strerror(rc));
    }
}

/* Of a transaction that is not committed. Lost: not even that may be called (MAPPED-1). */
static void end_txn(MDB_txn *txn, int rc)
{
    if (txn != NULL && rc == MAPPED_LOST)
        mapped_bury(txn);
    else if (txn != NULL)
        mdb_txn_abort(txn);
}

static void end_env(struct table *t, bool is_lost)
{
    if (t->env != NULL && is_lost)
        mapped_bury(t->env);
    else if (t->env != NULL)
        mdb_env_close(t->env);
    t->env = NULL;
}

static int open_env(struct table *t, const char *path)
{
    MDB_envinfo info;
    MDB_txn *txn;
    int rc = mdb_env_create(&t->env);

    if (rc == 0)
        rc = mdb_env_set_mapsize(t->env, t->map);
    if (rc == 0)
        rc = mapped_open(t->env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NOLOCK | MDB_NOSYNC | MDB_NORDAHEAD, 0600);
    if (rc == 0)
        rc = mapped_info(t->env, &info);
    if (rc == 0)
        rc = mapped_begin(t->env, MDB_RDONLY, &txn);
    if (rc == 0) {
        t->map = info.me_mapsize;
        rc = mapped_open_db(txn, NULL, 0, &t->dbi);
        end_txn(txn, rc);
    }
    if (rc != 0)
        end_env(t, rc == MAPPED_LOST);
    return rc == 0 ? 0 : fold(rc);
}

static void name_dir(const struct cache *c, struct table *t)
{
    (void)snprintf(t->dir, sizeof(t->dir), "%.*s/takeover", PATH_MAX - 300, c->dir);
}

void table_remove(struct cache *c)
{
    struct table t = {.cache = c};
    char path[PATH_MAX];

    name_dir(c, &t);
    table_look_at_stages(&t, true);
    table_path(&t, "index", path);
    (void)!sys_unlink(path);
    (void)!rmdir(t.dir);
    err_clear();
}

int table_open(struct cache *c, bool fresh, struct table **ret)
{
    struct table *t = calloc(1, sizeof(*t));
    char path[PATH_MAX];
    int r;

    if (t == NULL)
        return err_set(-ENOMEM, "takeover table: out of memory");
    t->cache = c;
    t->map = FIRST_MAP;
    t->next_file = 1;
    lock_init(&t->lock, LOCK_TABLE);
    name_dir(c, t);
    r = sys_mkdirs(t->dir, 0700);
    if (r < 0)
        err_set(r, "%s: %s", t->dir, strerror(-r));
    table_path(t, "index", path);
    if (r == 0 && fresh && sys_unlink(path) == -ENOENT)
        err_clear();
    if (r == 0)
        r = open_env(t, path);
    if (r < 0) {
        table_close(t);
        return r;
    }
    table_look_at_stages(t, fresh);
    *ret = t;
    return 0;
}

void table_close(struct table *t)
{
    if (t == NULL)
        return;
    end_env(t, false);
    lock_done(&t->lock);
    free(t);
}

static void make_key(unsigned char kind, uint64_t id, unsigned char ret[KEY_SIZE])
{
    uint64_t be = htobe64(id);

    ret[0] = kind;
    memcpy(ret + 1, &be, sizeof(be));
}

static int change(struct table *t, MDB_txn *txn, const struct table_item *i)
{
    unsigned char key[KEY_SIZE];
    MDB_val k = {.mv_size = sizeof(key), .mv_data = key};
    MDB_val v = {.mv_size = i->len, .mv_data = (void *)(uintptr_t)i->data};
    int rc;

    make_key(i->kind, i->id, key);
    if (i->data != NULL)
        return mapped_put(txn, t->dbi, &k, &v);
    rc = mapped_del(txn, t->dbi, &k);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int write_once(struct table *t, const struct table_item *items, size_t n)
{
    MDB_txn *txn;
    int rc = mapped_begin(t->env, 0, &txn);

    if (rc != 0)
        return rc;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = change(t, txn, &items[i]);
    if (rc != 0) {
        end_txn(txn, rc);
        return rc;
    }
    rc = mapped_commit(txn);
    if (rc == MAPPED_LOST)
        mapped_bury(txn);
    return rc;
}

/* Nobody shall believe in it (TABLE-2), and no staged bytes stay for it: nobody would remove them. */
static void give_up(struct table *t, bool is_lost)
{
    char path[PATH_MAX];

    if (t->env == NULL)
        return;
    end_env(t, is_lost);
    table_path(t, "index", path);
    (void)!sys_unlink(path);
    atomic_store(&t->is_lost, true);
    table_look_at_stages(t, true);
    log_error("takeover.table", "dir=%s cause=%s effect=\"a daemon that dies now takes its mount along\"", LOG_Q(t->dir),
              LOG_Q(err_text()));
    if (t->on_lost != NULL)
        t->on_lost(t->on_lost_arg);
}

bool table_is_lost(const struct table *t)
{
    return atomic_load(&t->is_lost);
}

void table_on_lost(struct table *t, void (*fn)(void *arg), void *arg)
{
    lock_take(&t->lock);
    t->on_lost = fn;
    t->on_lost_arg = arg;
    if (t->env == NULL)
        fn(arg);
    lock_drop(&t->lock);
}

int table_write(struct table *t, const struct table_item *items, size_t n)
{
    int rc = 0, r = 0;

    lock_take(&t->lock);
    if (t->env == NULL)
        r = err_set(-EIO, "takeover table: given up after an error");
    while (r == 0 && (rc = write_once(t, items, n)) == MDB_MAP_FULL && t->map < MAP_MAX) {
        t->map *= 2;
        rc = mapped_set_size(t->env, t->map);
        r = rc == 0 ? 0 : fold(rc);
    }
    if (r == 0 && rc != 0)
        r = fold(rc);
    if (r < 0)
        give_up(t, rc == MAPPED_LOST);
    lock_drop(&t->lock);
    return r;
}

void table_give_up(struct table *t, int error)
{
    lock_take(&t->lock);
    err_set(error, "takeover table: %s", strerror(-error));
    give_up(t, false);
    lock_drop(&t->lock);
}

/* Out of the map. *ret: free it. */
static int copy_value(const MDB_val *v, void **ret)
{
    int rc;

    *ret = malloc(v->mv_size > 0 ? v->mv_size : 1);
    rc = *ret != NULL ? mapped_copy(*ret, v) : ENOMEM;
    if (rc != 0) {
        free(*ret);
        *ret = NULL;
    }
    return rc;
}

/* One record that the cursor is at. *ret_r: what fn returned; 1: of another kind, the end. */
static int visit(const MDB_val *k, const MDB_val *v, unsigned char kind, table_fn fn, void *arg, int *ret_r)
{
    unsigned char key[KEY_SIZE];
    void *data;
    uint64_t be;
    int rc = k->mv_size == KEY_SIZE ? mapped_copy(key, k) : MDB_CORRUPTED;

    if (rc == 0 && key[0] != kind) {
        *ret_r = 1;
        return 0;
    }
    if (rc == 0)
        rc = copy_value(v, &data);
    if (rc != 0)
        return rc;
    memcpy(&be, key + 1, sizeof(be));
    *ret_r = fn(arg, be64toh(be), data, v->mv_size);
    free(data);
    return 0;
}

static int walk(MDB_cursor *cursor, unsigned char kind, table_fn fn, void *arg, int *ret_rc)
{
    unsigned char key[KEY_SIZE];
    MDB_val k = {.mv_size = sizeof(key), .mv_data = key}, v;
    int r = 0;

    make_key(kind, 0, key);
    *ret_rc = mapped_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
    while (*ret_rc == 0 && r == 0) {
        *ret_rc = visit(&k, &v, kind, fn, arg, &r);
        if (*ret_rc == 0 && r == 0)
            *ret_rc = mapped_cursor_get(cursor, &k, &v, MDB_NEXT);
    }
    *ret_rc = *ret_rc == MDB_NOTFOUND ? 0 : *ret_rc;
    return r < 0 ? r : 0;
}

int table_each(struct table *t, unsigned char kind, table_fn fn, void *arg)
{
    MDB_cursor *cursor = NULL;
    MDB_txn *txn = NULL;
    int rc, r = 0;

    if (t->env == NULL)
        return err_set(-EIO, "takeover table: given up after an error");
    rc = mapped_begin(t->env, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = mapped_cursor(txn, t->dbi, &cursor);
    if (rc == 0)
        r = walk(cursor, kind, fn, arg, &rc);
    if (cursor != NULL && rc == MAPPED_LOST)
        mapped_bury(cursor);
    else if (cursor != NULL)
        mdb_cursor_close(cursor);
    end_txn(txn, rc);
    if (rc == MAPPED_LOST) /* it stays: the next daemon may be able to read it */
        end_env(t, true);
    return r != 0 ? r : rc == 0 ? 0 : fold(rc);
}

/* A page that the disk can't read: the table is given up. */
static int read_failed(struct table *t, int rc)
{
    int r = fold(rc);

    if (rc == MAPPED_LOST)
        give_up(t, true);
    return r;
}

int table_get(struct table *t, unsigned char kind, uint64_t id, void **ret, size_t *ret_len)
{
    unsigned char key[KEY_SIZE];
    MDB_val k = {.mv_size = sizeof(key), .mv_data = key}, v;
    MDB_txn *txn = NULL;
    int rc = EIO, r = 0;

    make_key(kind, id, key);
    lock_take(&t->lock);
    if (t->env != NULL)
        rc = mapped_begin(t->env, MDB_RDONLY, &txn);
    if (rc == 0)
        rc = mapped_get(txn, t->dbi, &k, &v);
    if (rc == 0)
        rc = copy_value(&v, ret);
    if (rc == 0)
        *ret_len = v.mv_size;
    end_txn(txn, rc);
    if (rc != 0)
        r = rc == MDB_NOTFOUND ? -ENOENT : read_failed(t, rc);
    lock_drop(&t->lock);
    return r;
}
