/* SPDX-License-Identifier: Apache-2.0 */
/* The allocations of a program that can fail. See badalloc.h. */
#include "badalloc.h"

#include <dirent.h>
#include <errno.h>
#include <lmdb.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "each.h"

/* Forked processes count on. */
static struct {
    atomic_uint_fast64_t seen;
    atomic_uint_fast64_t fail_at; /* 0: never */
    atomic_bool persists;
    _Atomic(const void *) where;
} *shared;
static atomic_int_fast64_t live;
static _Thread_local unsigned paused;

__attribute__((constructor)) static void begin(void)
{
    shared = each_shared(sizeof(*shared));
}

void badalloc_fail(uint64_t nth, bool persistent)
{
    atomic_store(&shared->fail_at, 0);
    atomic_store(&shared->where, NULL);
    atomic_store(&shared->persists, persistent);
    if (nth > 0)
        atomic_store(&shared->fail_at, atomic_load(&shared->seen) + nth);
}

uint64_t badalloc_calls(void)
{
    return atomic_load(&shared->seen);
}

const void *badalloc_where(void)
{
    return atomic_load(&shared->where);
}

void badalloc_pause(void)
{
    paused++;
}

void badalloc_resume(void)
{
    paused--;
}

int64_t badalloc_live(void)
{
    return atomic_load(&live);
}

static bool is_nth(void)
{
    uint64_t n = atomic_fetch_add(&shared->seen, 1) + 1, at = atomic_load(&shared->fail_at);

    return at != 0 && (n == at || (n > at && atomic_load(&shared->persists)));
}

static bool fails(const void *caller)
{
    if (paused > 0 || shared == NULL || (!is_nth() && !each_is_next()))
        return false;
    atomic_store(&shared->where, caller);
    errno = ENOMEM;
    return true;
}

#define FAILS() fails(__builtin_return_address(0))

static void *count(void *p)
{
    if (p != NULL)
        atomic_fetch_add(&live, 1);
    return p;
}

/* --- the C library's --- */

#define WRAP(type, name, ...)                                                                      \
    type __real_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__);                                                               \
    type __wrap_##name(__VA_ARGS__)

WRAP(void *, malloc, size_t size)
{
    return FAILS() ? NULL : count(__real_malloc(size));
}

WRAP(void *, calloc, size_t n, size_t size)
{
    return FAILS() ? NULL : count(__real_calloc(n, size));
}

WRAP(void *, realloc, void *old, size_t size)
{
    void *p = FAILS() ? NULL : __real_realloc(old, size);

    return old == NULL ? count(p) : p;
}

WRAP(void *, reallocarray, void *old, size_t n, size_t size)
{
    void *p = FAILS() ? NULL : __real_reallocarray(old, n, size);

    return old == NULL ? count(p) : p;
}

WRAP(char *, strdup, const char *s)
{
    return FAILS() ? NULL : count(__real_strdup(s));
}

WRAP(char *, strndup, const char *s, size_t n)
{
    return FAILS() ? NULL : count(__real_strndup(s, n));
}

__attribute__((format(printf, 3, 0))) static int print(bool no_memory, char **ret,
                                                       const char *format, va_list ap)
{
    int n = no_memory ? -1 : vasprintf(ret, format, ap);

    if (n >= 0)
        (void)count(*ret);
    return n;
}

__attribute__((format(printf, 2, 3))) int __wrap_asprintf(char **ret, const char *format, ...);
int __wrap_asprintf(char **ret, const char *format, ...)
{
    va_list ap;
    int n;

    va_start(ap, format);
    n = print(FAILS(), ret, format, ap);
    va_end(ap);
    return n;
}

/* What _FORTIFY_SOURCE makes of it. */
__attribute__((format(printf, 3, 4))) int __wrap___asprintf_chk(char **ret, int flag,
                                                                const char *format, ...);
int __wrap___asprintf_chk(char **ret, int flag, const char *format, ...)
{
    va_list ap;
    int n;

    (void)flag;
    va_start(ap, format);
    n = print(FAILS(), ret, format, ap);
    va_end(ap);
    return n;
}

WRAP(char *, realpath, const char *path, char *to)
{
    return FAILS()      ? NULL
           : to != NULL ? __real_realpath(path, to)
                        : count(__real_realpath(path, to));
}

WRAP(DIR *, opendir, const char *path)
{
    return FAILS() ? NULL : __real_opendir(path);
}

WRAP(DIR *, fdopendir, int fd)
{
    return FAILS() ? NULL : __real_fdopendir(fd);
}

WRAP(void, free, void *p)
{
    if (p != NULL)
        atomic_fetch_sub(&live, 1);
    __real_free(p);
}

/* A thread's stack is another way to the same allocations. */
WRAP(int, pthread_create, pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
     void *arg)
{
    each_thread_begins(fn);
    return __real_pthread_create(thread, attr, fn, arg);
}

/* --- LMDB's --- */

WRAP(int, mdb_env_create, MDB_env **env)
{
    return FAILS() ? ENOMEM : __real_mdb_env_create(env);
}

WRAP(int, mdb_txn_begin, MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **txn)
{
    return FAILS() ? ENOMEM : __real_mdb_txn_begin(env, parent, flags, txn);
}

WRAP(int, mdb_put, MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data, unsigned flags)
{
    return FAILS() ? ENOMEM : __real_mdb_put(txn, dbi, key, data, flags);
}

WRAP(int, mdb_del, MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
    return FAILS() ? ENOMEM : __real_mdb_del(txn, dbi, key, data);
}

WRAP(int, mdb_cursor_open, MDB_txn *txn, MDB_dbi dbi, MDB_cursor **cursor)
{
    return FAILS() ? ENOMEM : __real_mdb_cursor_open(txn, dbi, cursor);
}

/* A commit that fails has aborted, as LMDB's does. */
WRAP(int, mdb_txn_commit, MDB_txn *txn)
{
    if (!FAILS())
        return __real_mdb_txn_commit(txn);
    mdb_txn_abort(txn);
    return ENOMEM;
}

/* --- libcrypto's --- */

static void *crypto_malloc(size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return FAILS() ? NULL : __real_malloc(size);
}

static void *crypto_realloc(void *old, size_t size, const char *file, int line)
{
    (void)file;
    (void)line;
    return FAILS() ? NULL : __real_realloc(old, size);
}

static void crypto_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    __real_free(p);
}

void badalloc_crypto(void)
{
    if (CRYPTO_set_mem_functions(crypto_malloc, crypto_realloc, crypto_free) != 1)
        abort(); /* it has allocated already */
}
