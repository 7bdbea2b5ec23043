/* SPDX-License-Identifier: Apache-2.0 */
/* See fixture.h. */
#include "fixture.h"

#include <ftw.h>
#include <unistd.h>

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void fx_remove_tree(const char *dir)
{
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void open_local(struct fx *x)
{
    struct cache_conf conf = {.dir = x->dir, .source = "mem://bucket", .max_bytes = x->cache_max};
    int r = cache_new(&conf, &x->cache);
    if (r != 0)
        fail_msg("cache_new: %d %s", r, err_text());
    assert_int_equal(cache_start(x->cache), 0);
    assert_int_equal(data_new(&x->conf, x->store, x->cache, &x->data), 0);
}

static void close_local(struct fx *x)
{
    data_free(x->data);
    cache_stop(x->cache);
    cache_free(x->cache);
}

void fx_open(struct fx *x, const struct data_conf *conf, unsigned threads, uint64_t cache_max)
{
    *x = (struct fx){.conf = *conf, .cache_max = cache_max};
    strcpy(x->dir, "/tmp/s3efs-test-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    assert_int_equal(memstore_new(NULL, &x->store), 0);
    if (threads > 0)
        assert_int_equal(memstore_set_async(x->store, threads), 0);
    open_local(x);
}

void fx_close(struct fx *x)
{
    close_local(x);
    store_stop(x->store);
    store_free(x->store);
    fx_remove_tree(x->dir);
}

void fx_remount(struct fx *x)
{
    close_local(x);
    open_local(x);
}

void fx_lose_cache(struct fx *x)
{
    close_local(x);
    fx_remove_tree(x->dir);
    open_local(x);
}

static unsigned char byte_at(uint64_t off, unsigned seed)
{
    uint64_t v = (off + 1) * UINT64_C(0x9e3779b97f4a7c15) + seed * UINT64_C(0xbf58476d1ce4e5b9);
    v ^= v >> 29;
    return (unsigned char)(v >> 8);
}

void fx_fill(void *buf, uint64_t off, size_t len, unsigned seed)
{
    unsigned char *p = buf;
    for (size_t i = 0; i < len; i++)
        p[i] = byte_at(off + i, seed);
}

void fx_check(const void *buf, uint64_t off, size_t len, unsigned seed)
{
    const unsigned char *p = buf;
    for (size_t i = 0; i < len; i++)
        if (p[i] != byte_at(off + i, seed))
            fail_msg("byte %ju is %u, not %u", (uintmax_t)(off + i), p[i], byte_at(off + i, seed));
}

struct store_obj fx_put(struct fx *x, const char *key, size_t size, unsigned seed)
{
    _cleanup_free_ char *bytes = malloc(size + 1);
    assert_non_null(bytes);
    fx_fill(bytes, 0, size, seed);
    struct store_etag etag;
    assert_int_equal(memstore_put(x->store, key, bytes, size, NULL, &etag), 0);
    return (struct store_obj){.etag = etag, .size = size};
}

struct store_obj fx_head(struct fx *x, const char *key)
{
    struct store_obj o = {0};
    assert_int_equal(memstore_get(x->store, key, &o, NULL), 0);
    store_hdrs_done(&o.hdrs);
    return o;
}

struct data_file *fx_file(struct fx *x, const char *key, const struct store_obj *base)
{
    struct data_file *f;
    assert_int_equal(data_file_new(x->data, key, base, &f), 0);
    return f;
}

void fx_expect(struct data_file *f, const void *bytes, size_t size)
{
    _cleanup_free_ char *buf = malloc(size + 10);
    assert_non_null(buf);
    assert_int_equal(data_size(f), size);
    ssize_t n = data_read(f, 0, buf, size + 10);
    if (n != (ssize_t)size)
        fail_msg("read %zd of %zu: %s", n, size, n < 0 ? err_text() : "");
    if (size > 0)
        assert_memory_equal(buf, bytes, size);
}

uint64_t fx_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
