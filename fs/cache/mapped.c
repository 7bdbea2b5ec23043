/* SPDX-License-Identifier: Apache-2.0 */
/* LMDB's calls in guards. See mapped.h. */
#include "mapped.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/busguard.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/sys.h"

#define MAPS_MAX ((size_t)64 << 20) /* of text about our own maps */
#define UNIT ((size_t)1 << 20)

/* Which file is mapped there? The line of /proc/self/maps; NULL: not known. */
static const char *map_of(char *maps, const void *addr)
{
    for (char *line = maps, *end; line != NULL && *line != '\0'; line = end) {
        uintptr_t from, to;

        end = strchr(line, '\n');
        if (end != NULL)
            *end++ = '\0';
        if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &from, &to) == 2 && from <= (uintptr_t)addr &&
            (uintptr_t)addr < to)
            return line;
    }
    return NULL;
}

static int lost(const struct bus_guard *g)
{
    _cleanup_free_ char *maps = NULL;
    const char *line = NULL;

    if (sys_read_file("/proc/self/maps", MAPS_MAX, &maps, NULL) == 0)
        line = map_of(maps, g->addr);
    if (line != NULL && strstr(line, "lock.mdb") != NULL) { /* MAPPED-3 */
        log_error("cache.index.lock", "cause=\"the disk can't read the index's lock file\" map=%s",
                  LOG_Q(line));
        bus_guard_end();
    }
    return MAPPED_LOST;
}

/* Left by a jump: no local that changes inside is looked at afterwards. */
#define GUARDED(call)                                                                              \
    struct bus_guard g;                                                                            \
    int rc;                                                                                        \
                                                                                                   \
    if (sigsetjmp(*bus_guard_enter(&g), 0) != 0)                                                   \
        return lost(&g);                                                                           \
    rc = (call);                                                                                   \
    bus_guard_leave(&g);                                                                           \
    return rc

int mapped_open(MDB_env *env, const char *path, unsigned flags, mdb_mode_t mode)
{
    int r = bus_guard_install();

    if (r < 0)
        return -r;
    GUARDED(mdb_env_open(env, path, flags, mode));
}

int mapped_set_size(MDB_env *env, size_t size)
{
    GUARDED(mdb_env_set_mapsize(env, size));
}

int mapped_info(MDB_env *env, MDB_envinfo *ret)
{
    GUARDED(mdb_env_info(env, ret));
}

int mapped_sync(MDB_env *env)
{
    GUARDED(mdb_env_sync(env, 1));
}

/* What it allocates before it reads the root pages would be nobody's: they are read before. */
int mapped_begin(MDB_env *env, unsigned flags, MDB_txn **ret)
{
    MDB_envinfo info;
    int r = mapped_info(env, &info);

    if (r != 0)
        return r;
    GUARDED(mdb_txn_begin(env, NULL, flags, ret));
}

int mapped_commit(MDB_txn *txn)
{
    GUARDED(mdb_txn_commit(txn));
}

int mapped_open_db(MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *ret)
{
    GUARDED(mdb_dbi_open(txn, name, flags, ret));
}

int mapped_get(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *ret)
{
    GUARDED(mdb_get(txn, dbi, key, ret));
}

int mapped_put(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *val)
{
    GUARDED(mdb_put(txn, dbi, key, val, 0));
}

int mapped_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key)
{
    GUARDED(mdb_del(txn, dbi, key, NULL));
}

/* The first look at a database reads its root: not by the cursor's open, which would leave it
 * nobody's. */
static int mapped_stat(MDB_txn *txn, MDB_dbi dbi, MDB_stat *ret)
{
    GUARDED(mdb_stat(txn, dbi, ret));
}

int mapped_cursor(MDB_txn *txn, MDB_dbi dbi, MDB_cursor **ret)
{
    MDB_stat st;
    int r = mapped_stat(txn, dbi, &st);

    if (r != 0)
        return r;
    GUARDED(mdb_cursor_open(txn, dbi, ret));
}

int mapped_cursor_get(MDB_cursor *c, MDB_val *key, MDB_val *val, MDB_cursor_op op)
{
    GUARDED(mdb_cursor_get(c, key, val, op));
}

static int copy(void *to, const MDB_val *v)
{
    memcpy(to, v->mv_data, v->mv_size);
    return 0;
}

int mapped_copy(void *to, const MDB_val *v)
{
    GUARDED(copy(to, v));
}

/* --- what is lost --- */

struct grave {
    struct grave *next;
    void *part;
};

/* Still known, so that a search for leaks finds none. */
void mapped_bury(void *part)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    static struct grave *graves;
    struct grave *g = part != NULL ? malloc(sizeof(*g)) : NULL;

    if (g == NULL)
        return;
    g->part = part;
    pthread_mutex_lock(&lock);
    g->next = graves;
    graves = g;
    pthread_mutex_unlock(&lock);
}

void mapped_end_cursor(MDB_cursor *c, bool is_lost)
{
    if (c != NULL && is_lost)
        mapped_bury(c);
    else if (c != NULL)
        mdb_cursor_close(c);
}

int mapped_can_read(const char *path, uint64_t size)
{
    _cleanup_free_ void *buf = malloc(UNIT);
    _cleanup_close_ int fd = -1;
    uint64_t off = 0;
    ssize_t n;

    if (buf == NULL)
        return -ENOMEM;
    fd = sys_open(path, O_RDONLY | O_NOFOLLOW, 0);
    if (fd < 0)
        return fd;
    while ((n = sys_pread(fd, buf, UNIT, off)) > 0)
        off += (uint64_t)n;
    return n < 0 ? (int)n : off >= size ? 0 : -EIO;
}
