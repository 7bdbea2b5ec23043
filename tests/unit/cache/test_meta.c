/* SPDX-License-Identifier: Apache-2.0 */
/* The index on LMDB: transactions, scans, growth of the map under many threads, reset, and the
 * copy. */
#include "cachetest.h"

#include <errno.h>
#include <pthread.h>

#include "../../../fs/cache/meta.h"

#define FIRST (64u * 1024u)

struct kv {
    char key[32], val[400];
    size_t len;
    int r;
};

static int put_kv(struct meta_txn *t, void *arg)
{
    const struct kv *kv = arg;
    int r = meta_put(t, META_DENT, (struct cache_bytes){.p = kv->key, .n = strlen(kv->key)},
                     (struct cache_bytes){.p = kv->val, .n = kv->len});

    return r < 0 ? r : kv->r;
}

static int get_kv(struct meta_txn *t, void *arg)
{
    struct kv *kv = arg;
    struct cache_bytes val;
    int r = meta_get(t, META_DENT, (struct cache_bytes){.p = kv->key, .n = strlen(kv->key)}, &val);

    if (r != 0)
        return r;
    memcpy(kv->val, val.p, val.n);
    kv->len = val.n;
    return 0;
}

static int del_kv(struct meta_txn *t, void *arg)
{
    const struct kv *kv = arg;

    return meta_del(t, META_DENT, (struct cache_bytes){.p = kv->key, .n = strlen(kv->key)});
}

static int count_one(struct cache_bytes key, struct cache_bytes val, void *arg)
{
    (void)key;
    (void)val;
    ++*(size_t *)arg;
    return 0;
}

struct scan {
    const char *prefix, *from;
    size_t n;
};

static int count_scan(struct meta_txn *t, void *arg)
{
    struct scan *s = arg;

    s->n = 0;
    return meta_scan(t, META_DENT, (struct cache_bytes){.p = s->prefix, .n = strlen(s->prefix)},
                     (struct cache_bytes){.p = s->from, .n = strlen(s->from)}, count_one, &s->n);
}

static void put(struct meta *m, unsigned i)
{
    struct kv kv = {.len = sizeof(kv.val)};

    snprintf(kv.key, sizeof(kv.key), "k%06u", i);
    memset(kv.val, (int)(i & 0x7f), sizeof(kv.val));
    assert_int_equal(meta_write(m, put_kv, &kv), 0);
}

static void check(struct meta *m, unsigned i)
{
    struct kv kv = {.len = 0};

    snprintf(kv.key, sizeof(kv.key), "k%06u", i);
    assert_int_equal(meta_read(m, get_kv, &kv), 0);
    assert_int_equal(kv.len, sizeof(kv.val));
    assert_int_equal(kv.val[399], (int)(i & 0x7f));
}

static void test_basics(void **state)
{
    struct kv kv = {.key = "a", .val = "one", .len = 3};
    char dir[PATH_MAX];
    struct meta *m;

    (void)state;
    scratch_make(dir);
    assert_int_equal(meta_open(dir, 0, &m), 0);
    assert_int_equal(meta_read(m, get_kv, &kv), META_NONE);
    kv.r = -ECANCELED; /* what fails leaves nothing */
    assert_int_equal(meta_write(m, put_kv, &kv), -ECANCELED);
    assert_int_equal(meta_read(m, get_kv, &kv), META_NONE);
    kv.r = 0;
    assert_int_equal(meta_write(m, put_kv, &kv), 0);
    assert_int_equal(meta_sync(m), 0);
    meta_close(m);
    assert_int_equal(meta_open(dir, 0, &m), 0);
    kv.len = 0;
    assert_int_equal(meta_read(m, get_kv, &kv), 0);
    assert_int_equal(kv.len, 3);
    assert_int_equal(meta_write(m, del_kv, &kv), 0);
    assert_int_equal(meta_write(m, del_kv, &kv), 0);
    assert_int_equal(meta_read(m, get_kv, &kv), META_NONE);
    meta_close(m);
    meta_close(NULL);
    scratch_remove(dir);
}

static void test_scan(void **state)
{
    struct scan all = {.prefix = "", .from = ""}, some = {.prefix = "k0001", .from = ""},
                rest = {.prefix = "k0001", .from = "k000150"}, none = {.prefix = "x", .from = ""};
    char dir[PATH_MAX];
    struct meta *m;

    (void)state;
    scratch_make(dir);
    assert_int_equal(meta_open(dir, 0, &m), 0);
    for (unsigned i = 0; i < 300; i++)
        put(m, i);
    assert_int_equal(meta_read(m, count_scan, &all), 0);
    assert_int_equal(all.n, 300);
    assert_int_equal(meta_read(m, count_scan, &some), 0);
    assert_int_equal(some.n, 100);
    assert_int_equal(meta_read(m, count_scan, &rest), 0);
    assert_int_equal(rest.n, 50);
    assert_int_equal(meta_read(m, count_scan, &none), 0);
    assert_int_equal(none.n, 0);
    meta_close(m);
    scratch_remove(dir);
}

struct worker {
    struct meta *m;
    unsigned first, n;
};

static void *work(void *arg)
{
    struct worker *w = arg;

    for (unsigned i = w->first; i < w->first + w->n; i++) {
        put(w->m, i);
        check(w->m, w->first + (i - w->first) / 2);
    }
    return NULL;
}

static void test_growth(void **state)
{
    struct worker w[8];
    pthread_t threads[8];
    char dir[PATH_MAX];
    struct meta *m;
    size_t before;

    (void)state;
    scratch_make(dir);
    assert_int_equal(meta_open(dir, FIRST, &m), 0);
    before = meta_map_size(m);
    for (unsigned i = 0; i < 8; i++) {
        w[i] = (struct worker){.m = m, .first = i * 1000, .n = 500};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &w[i]), 0);
    }
    for (unsigned i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_true(meta_map_size(m) >= 8 * before);
    for (unsigned i = 0; i < 8; i++)
        for (unsigned k = 0; k < 500; k++)
            check(m, i * 1000 + k);
    meta_close(m);
    assert_int_equal(meta_open(dir, FIRST, &m), 0); /* a map that is smaller than the file */
    check(m, 7499);
    put(m, 999999);
    meta_close(m);
    scratch_remove(dir);
}

static int clear_files(void *arg)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s/data.mdb", (const char *)arg);
    assert_int_equal(unlink(path), 0);
    snprintf(path, sizeof(path), "%s/lock.mdb", (const char *)arg);
    assert_int_equal(unlink(path), 0);
    return 0;
}

static int refuse(void *arg)
{
    (void)arg;
    return -EROFS;
}

static void test_fail_and_reset(void **state)
{
    struct kv kv = {.key = "k000001"};
    char dir[PATH_MAX];
    struct meta *m;

    (void)state;
    scratch_make(dir);
    assert_int_equal(meta_open(dir, FIRST, &m), 0);
    put(m, 1);
    assert_false(meta_failed(m));
    meta_fail(m);
    assert_true(meta_failed(m));
    assert_int_equal(meta_read(m, get_kv, &kv), -EIO);
    assert_int_equal(meta_write(m, put_kv, &kv), -EIO);
    assert_int_equal(meta_sync(m), -EIO);
    assert_int_equal(meta_reset(m, refuse, dir), -EROFS);
    assert_int_equal(meta_read(m, get_kv, &kv), -EIO);
    assert_int_equal(meta_reset(m, clear_files, dir), 0);
    assert_int_equal(meta_read(m, get_kv, &kv), META_NONE);
    put(m, 2);
    check(m, 2);
    meta_close(m);
    scratch_remove(dir);
}

static void test_copy(void **state)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct meta *m;

    (void)state;
    scratch_make(from);
    scratch_make(to);
    assert_int_equal(meta_open(from, 0, &m), 0);
    for (unsigned i = 0; i < 20000; i++)
        put(m, i);
    meta_close(m);
    assert_int_equal(meta_copy(from, to), 0);
    assert_int_equal(meta_open(to, 0, &m), 0);
    for (unsigned i = 0; i < 20000; i += 7)
        check(m, i);
    put(m, 20001);
    meta_close(m);
    scratch_remove(from);
    scratch_remove(to);
}

/* A mount that is killed again and again copies it at each start: the map does not grow by that. */
static void test_copies_of_copies(void **state)
{
    char dirs[2][PATH_MAX];
    size_t first;
    struct meta *m;

    (void)state;
    scratch_make(dirs[0]);
    scratch_make(dirs[1]);
    assert_int_equal(meta_open(dirs[0], 0, &m), 0);
    for (unsigned i = 0; i < 100; i++)
        put(m, i);
    first = meta_map_size(m);
    meta_close(m);
    for (unsigned i = 0; i < 40; i++) {
        char *from = dirs[i % 2], *to = dirs[1 - i % 2];

        assert_int_equal(meta_copy(from, to), 0);
        scratch_remove(from);
        scratch_make(from);
        assert_int_equal(meta_open(to, 0, &m), 0);
        assert_true(meta_map_size(m) <= 4 * first);
        for (unsigned n = 0; n < 100; n++)
            check(m, n);
        meta_close(m);
    }
    scratch_remove(dirs[0]);
    scratch_remove(dirs[1]);
}

static void test_open_errors(void **state)
{
    struct meta *m;

    (void)state;
    assert_int_equal(meta_open("/nonexistent/meta", 0, &m), -ENOENT);
    assert_true(meta_copy("/nonexistent/meta", "/nonexistent/to") < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basics), cmocka_unit_test(test_scan),
        cmocka_unit_test(test_growth), cmocka_unit_test(test_fail_and_reset),
        cmocka_unit_test(test_copy),   cmocka_unit_test(test_copies_of_copies),
        cmocka_unit_test(test_open_errors),
    };

    return cmocka_run_group_tests_name("cache/meta", tests, NULL, NULL);
}
