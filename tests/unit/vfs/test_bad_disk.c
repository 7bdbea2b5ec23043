/* SPDX-License-Identifier: Apache-2.0 */
/* The disk of a running mount's cache goes bad for a while: full, read-only, broken. Reads do
 * without it; a write that can't be kept says so before its close has returned 0; what was written
 * before goes to the bucket. When the disk is well, caching goes on by itself, and it was told once
 * that it began and once that it was over. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/sys.h"
#include "fs/cache/priv.h"
#include "tests/lib/baddisk.h"

#define SIZE 300000
#define PATIENCE 6000 /* of 10 ms */

static int bad_setup(void **state)
{
    int r = setup(state);

    if (r == 0) {
        baddisk_watch(rig.dir, false);
        r = rig_remount(&rig); /* so that every descriptor was seen when it was opened */
    }
    return r;
}

static int bad_teardown(void **state)
{
    int r = teardown(state);

    baddisk_unwatch();
    return r;
}

static char *bytes_of(char c)
{
    static char b[SIZE];

    memset(b, c, SIZE);
    return b;
}

static void put_there(const char *key, char c)
{
    assert_int_equal(memstore_put(rig.store, key, bytes_of(c), SIZE, NULL, NULL), 0);
}

static void assert_reads(uint64_t fh, char c)
{
    static char got[SIZE];

    assert_int_equal(vfs_read(rig.vfs, fh, 0, got, SIZE), SIZE);
    assert_memory_equal(got, bytes_of(c), SIZE);
}

static uint64_t open_read(const char *path)
{
    uint64_t fh;

    assert_int_equal(rig_open_file(&rig, path, O_RDONLY, &fh), 0);
    return fh;
}

static void read_all(const char *path, char c)
{
    uint64_t fh = open_read(path);

    assert_reads(fh, c);
    assert_int_equal(rig_shut(&rig, fh), 0);
}

static struct cache_stats stats(void)
{
    struct cache_stats s;

    cache_stats_get(rig.cache, &s);
    return s;
}

/* Are all bytes of the object on the disk? */
static bool is_cached(const char *key)
{
    struct store_obj obj = {0};
    struct cache_id id = {.key = key, .size = SIZE};
    char *data = NULL;
    uint64_t off, len;
    bool is;

    assert_int_equal(memstore_get(rig.store, key, &obj, &data), 0);
    id.etag = &obj.etag;
    is = !cache_missing(rig.cache, &id, 0, SIZE, &off, &len);
    store_obj_done(&obj);
    free(data);
    return is;
}

/* Without the thread's wait between two looks. */
static void wait_until_well(void)
{
    for (int i = 0; i < PATIENCE && stats().degraded != 0; i++) {
        cache_evict_kick(rig.cache, false);
        usleep(10000);
    }
    assert_int_equal(stats().degraded, 0);
}

static void caching_goes_on(const char *key)
{
    uint64_t fh;

    put_there(key, 'f');
    read_all(key, 'f');
    assert_true(is_cached(key));
    assert_int_equal(rig_remount(&rig), 0);
    fh = open_read(key);
    memstore_count_reset(rig.store);
    assert_reads(fh, 'f');
    assert_int_equal(memstore_count(rig.store, STORE_GET), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
}

static uint64_t new_file(const char *path, int flags)
{
    uint64_t fh;

    assert_int_equal(rig_open_file(&rig, path, O_WRONLY | O_CREAT | flags, &fh), 0);
    return fh;
}

static ssize_t write_at(uint64_t fh, uint64_t off, char c)
{
    return vfs_write(rig.vfs, &rig.ctx, fh, off, bytes_of(c), SIZE);
}

static void for_a_while(int error)
{
    uint64_t before = new_file("before", 0), half = new_file("half", 0), after, old;

    put_there("old", 'o');
    put_there("meanwhile", 'm');
    read_all("old", 'o');
    old = open_read("old");
    assert_int_equal(write_at(before, 0, 'b'), SIZE);
    assert_int_equal(write_at(half, 0, 'h'), SIZE);
    assert_int_equal(stats().degraded_times, 0);

    baddisk_fail(1, error, true);
    assert_reads(old, 'o');
    for (int i = 0; i < 3; i++)
        read_all("meanwhile", 'm');
    assert_false(is_cached("meanwhile"));
    assert_int_equal(stats().degraded, -error);
    after = new_file("after", 0);
    assert_true(write_at(after, 0, 'a') < 0); /* nothing that could be lost is taken */
    assert_true(rig_shut(&rig, after) < 0);
    assert_no_object("after");
    assert_true(write_at(half, SIZE, 'h') < 0);
    assert_true(rig_shut(&rig, half) < 0); /* half a file is none */
    assert_no_object("half");
    assert_int_equal(rig_shut(&rig, before), 0); /* what was written in time arrives */
    read_all("before", 'b');
    assert_int_equal(rig_unlink(&rig, "meanwhile"), 0);
    assert_int_equal(rig_shut(&rig, old), 0);
    assert_true(stats().degraded_times == 1);

    baddisk_fail(0, 0, false);
    wait_until_well();
    assert_int_equal(stats().degraded_times, 1);
    after = new_file("after", O_TRUNC);
    assert_int_equal(write_at(after, 0, 'a'), SIZE);
    assert_int_equal(rig_shut(&rig, after), 0);
    read_all("after", 'a');
    assert_true(is_cached("after"));
    read_all("old", 'o');
    caching_goes_on("fresh");
}

static void read_only(void **state)
{
    (void)state;
    for_a_while(EROFS);
}

static void broken(void **state)
{
    (void)state;
    for_a_while(EIO);
}

static void full(void **state)
{
    (void)state;
    for_a_while(ENOSPC);
}

/* A disk that comes and goes is not told of each time. */
static void comes_and_goes(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        char name[16];

        baddisk_fail(1, EIO, true);
        snprintf(name, sizeof(name), "f%d", i);
        put_there(name, 'x');
        read_all(name, 'x');
        assert_int_equal(stats().degraded, -EIO);
        baddisk_fail(0, 0, false);
        if (i == 0)
            wait_until_well();
    }
    for (int i = 0; i < PATIENCE && meta_failed(rig.cache->meta); i++) {
        cache_evict_kick(rig.cache, false);
        usleep(10000);
    }
    assert_false(meta_failed(rig.cache->meta));
    cache_health_look(rig.cache);
    assert_int_equal(stats().degraded, -EIO); /* well, but for how long? */
    clock_fake_add(11 * NS_PER_S);
    wait_until_well();
    assert_int_equal(stats().degraded_times, 2);
}

/* The mount ends, whatever the disk does. */
static void for_good(void **state)
{
    (void)state;
    put_there("old", 'o');
    read_all("old", 'o');
    baddisk_fail(1, EIO, true);
    clock_fake_add(100 * NS_PER_S);
    put_there("old", 'n');
    read_all("old", 'n');
    assert_int_equal(stats().degraded, -EIO);
}

#ifdef S3EFS_FAULTS
/* Cached bytes that can't be read are fetched. */
static void unreadable(void **state)
{
    (void)state;
    put_there("old", 'o');
    read_all("old", 'o');
    assert_true(is_cached("old"));
    sys_fault_set(SYS_READ, 1, EIO, true);
    memstore_count_reset(rig.store);
    for (int i = 0; i < 2; i++)
        read_all("old", 'o');
    assert_true(memstore_count(rig.store, STORE_GET) > 0);
    assert_int_equal(stats().degraded, -EIO);
    sys_fault_set(SYS_READ, 0, 0, false);
    wait_until_well();
    assert_int_equal(stats().degraded_times, 1);
    caching_goes_on("fresh");
}
#endif

#define B(f) cmocka_unit_test_setup_teardown(f, bad_setup, bad_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        B(read_only),  B(broken), B(full), B(comes_and_goes), B(for_good),
#ifdef S3EFS_FAULTS
        B(unreadable),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
