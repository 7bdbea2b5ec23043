/* SPDX-License-Identifier: Apache-2.0 */
/* What the cache's tests share: a scratch directory, a cache in it, objects and bytes that can be
 * told from their names. */
#ifndef S3EFS_TESTS_CACHETEST_H
#define S3EFS_TESTS_CACHETEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cache/cache.h"

#define KIB 1024u
#define MIB (1024u * 1024u)
#define SOURCE "s3://bucket/prefix@endpoint"

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static inline void scratch_make(char path[PATH_MAX])
{
    const char *base = getenv("TMPDIR");

    snprintf(path, PATH_MAX, "%s/s3efs-cache-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(path));
}

static inline void scratch_remove(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline struct cache *cache_open_at(const char *dir, uint64_t max_bytes)
{
    struct cache_conf conf = {.dir = dir, .source = SOURCE, .max_bytes = max_bytes};
    struct cache *c = NULL;

    assert_int_equal(cache_new(&conf, &c), 0);
    assert_int_equal(cache_start(c), 0);
    return c;
}

static inline void cache_close(struct cache *c)
{
    cache_stop(c);
    cache_free(c);
}

/* State of most tests: a directory and a cache without a limit. */
struct fixture {
    char dir[PATH_MAX];
    struct cache *c;
};

static inline int fixture_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return -1;
    scratch_make(f->dir);
    f->c = cache_open_at(f->dir, 0);
    *state = f;
    return 0;
}

static inline int fixture_down(void **state)
{
    struct fixture *f = *state;

    if (f->c != NULL)
        cache_close(f->c);
    scratch_remove(f->dir);
    free(f);
    return 0;
}

static inline void fixture_reopen(struct fixture *f, uint64_t max_bytes)
{
    cache_close(f->c);
    f->c = cache_open_at(f->dir, max_bytes);
}

/* The byte at off of version n of anything. */
static inline uint8_t pattern_at(uint64_t n, uint64_t off)
{
    uint64_t x = (n + 1) * UINT64_C(0x9e3779b97f4a7c15) + (off >> 3) * UINT64_C(0xbf58476d1ce4e5b9);

    x ^= x >> 29;
    return (uint8_t)(x >> (8 * (off & 7)));
}

static inline void pattern_fill(uint64_t n, uint64_t off, void *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)buf)[i] = pattern_at(n, off + i);
}

static inline bool pattern_is(uint64_t n, uint64_t off, const void *buf, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (((const uint8_t *)buf)[i] != pattern_at(n, off + i))
            return false;
    return true;
}

static inline struct store_etag etag_of(uint64_t n)
{
    struct store_etag e;

    snprintf(e.s, sizeof(e.s), "etag-%llu", (unsigned long long)n);
    return e;
}

/* Writes version n of key whole. */
static inline void write_whole(struct cache *c, const char *key, uint64_t n, uint64_t size)
{
    struct store_etag etag = etag_of(n);
    struct cache_id id = {.key = key, .etag = &etag, .size = size};
    uint8_t *buf = malloc(size);

    assert_non_null(buf);
    pattern_fill(n, 0, buf, size);
    cache_write(c, &id, 0, buf, size);
    free(buf);
}

/* How many bytes of version n of key are here from the start on; fails on a wrong byte. */
static inline uint64_t read_good(struct cache *c, const char *key, uint64_t n, uint64_t size)
{
    struct store_etag etag = etag_of(n);
    struct cache_id id = {.key = key, .etag = &etag, .size = size};
    uint8_t *buf = malloc(size);
    uint64_t off = 0;

    assert_non_null(buf);
    while (off < size) {
        ssize_t r = cache_read(c, &id, off, buf, size - off);

        assert_true(r >= 0 && (uint64_t)r <= size - off);
        if (r == 0)
            break;
        assert_true(pattern_is(n, off, buf, (size_t)r));
        off += (uint64_t)r;
    }
    free(buf);
    return off;
}

static inline struct store_obj obj_make(uint64_t n, uint64_t size, int64_t mtime_ns)
{
    struct store_obj o = {.etag = etag_of(n), .size = size, .mtime_ns = mtime_ns};

    snprintf(o.version, sizeof(o.version), "v%llu", (unsigned long long)n);
    assert_int_equal(store_hdrs_set(&o.hdrs, "content-type", "image/png"), 0);
    assert_int_equal(store_hdrs_set(&o.hdrs, STORE_USER_META "file-mtime", "17"), 0);
    return o;
}

static inline void put_obj(struct cache *c, const char *key, uint64_t n, uint64_t size,
                           int64_t mtime_ns, int64_t checked_ns)
{
    struct store_obj o = obj_make(n, size, mtime_ns);

    cache_obj_put(c, key, &o, checked_ns);
    store_obj_done(&o);
}

/* cache_list_put() of what a bucket lists; keys that are not below dir are left out. */
static inline void put_store_list(struct cache *c, const char *dir, const struct store_list *l,
                                  int64_t listed_ns, int64_t date_ns)
{
    struct cache_listing names = {0};
    size_t skip = strlen(dir);

    for (size_t i = 0; i < l->n; i++) {
        const struct store_entry *e = &l->v[i];
        size_t len = strlen(e->key);
        struct cache_dirent *d;

        if (strncmp(e->key, dir, skip) != 0)
            continue;
        d = cache_listing_add(&names, e->key + skip, len - skip - (e->is_prefix && len > skip),
                              e->etag.s);
        assert_non_null(d);
        d->is_prefix = e->is_prefix;
        d->size = e->size;
        d->mtime_ns = e->mtime_ns;
    }
    cache_list_put(c, dir, &names, listed_ns, date_ns);
    cache_listing_done(&names);
}

#endif
