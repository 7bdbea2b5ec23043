/* SPDX-License-Identifier: Apache-2.0 */
/* A mount whose cache directory is not what it left there: bits flipped, files cut off, swapped or
 * gone, an index that is garbage, a directory of an older time. What a program reads is what the
 * bucket has, always; what it writes reaches the bucket or is refused at once. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"
#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

#define FILES 6
#define SIZE (5 * CACHE_BLOCK / 2)

static struct rig m;

static void name_of(char ret[16], unsigned i)
{
    snprintf(ret, 16, "/f%u", i);
}

static void fill(char *data, unsigned i, unsigned round)
{
    for (size_t at = 0; at < SIZE; at++)
        data[at] = (char)(at * 7 + at / 251 + i * 31 + round * 101);
}

static void put_all(unsigned round)
{
    char *data = malloc(SIZE), name[16];

    assert_non_null(data);
    for (unsigned i = 0; i < FILES; i++) {
        fill(data, i, round);
        name_of(name, i);
        assert_int_equal(rig_put(&m, name, data, SIZE), 0);
    }
    free(data);
}

static void assert_all(unsigned round)
{
    char *want = malloc(SIZE), *got = malloc(SIZE + 1), name[16];

    assert_non_null(want);
    assert_non_null(got);
    for (unsigned i = 0; i < FILES; i++) {
        fill(want, i, round);
        name_of(name, i);
        assert_int_equal(rig_get(&m, name, got, SIZE + 1), SIZE);
        assert_memory_equal(got, want, SIZE);
    }
    free(want);
    free(got);
}

static int set_up(void **state)
{
    (void)state;
    rig_set_real_time(true);
    if (rig_open(&m, NULL) < 0)
        return -1;
    put_all(1);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    rig_close(&m);
    return 0;
}

/* --- what happens to block files --- */

static unsigned touched;

static int flip_each_block(const char *path, const struct stat *st, int type, struct FTW *at)
{
    int fd = type == FTW_F ? open(path, O_RDWR) : -1;
    char byte;

    (void)at;
    for (off_t off = 1234; fd >= 0 && off < st->st_size; off += CACHE_BLOCK) {
        assert_int_equal(pread(fd, &byte, 1, off), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, off), 1);
        touched++;
    }
    if (fd >= 0)
        close(fd);
    return 0;
}

static int cut_off(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)at;
    if (type == FTW_F && st->st_size > 0) {
        assert_int_equal(truncate(path, st->st_size / 2), 0);
        touched++;
    }
    return 0;
}

static int remove_file(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)at;
    if (type == FTW_F) {
        assert_int_equal(unlink(path), 0);
        touched++;
    }
    return 0;
}

/* Each file gets the bytes of the one before it. */
static int swap_with_last(const char *path, const struct stat *st, int type, struct FTW *at)
{
    static char last[PATH_MAX];
    char aside[PATH_MAX];

    (void)st;
    (void)at;
    if (type != FTW_F)
        return 0;
    if (touched++ % 2 == 0) {
        snprintf(last, sizeof(last), "%s", path);
        return 0;
    }
    snprintf(aside, sizeof(aside), "%s/aside", m.dir);
    assert_int_equal(rename(path, aside), 0);
    assert_int_equal(rename(last, path), 0);
    return rename(aside, last);
}

static void to_blocks(__nftw_func_t how)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/blocks", m.dir);
    touched = 0;
    assert_int_equal(nftw(path, how, 16, FTW_PHYS), 0);
    /* A file that is gone may be read on through a descriptor that was open. */
    assert_true(touched >= FILES || how == remove_file);
}

/* From blocks that are right again: nothing but opens' questions, as soon as the thread that brings
 * fetched bytes to the cache has done so. */
static void assert_cached(void)
{
    unsigned rounds = 0;

    do {
        usleep(1000 * rounds);
        memstore_count_reset(m.store);
        assert_all(1);
    } while (memstore_count(m.store, STORE_GET) > FILES && ++rounds < 500);
    assert_true(memstore_count(m.store, STORE_GET) <= FILES);
}

static void test_blocks_that_are_not_what_was_written(void **state)
{
    static const __nftw_func_t ways[] = {flip_each_block, cut_off, swap_with_last, remove_file};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        for (int again = 0; again < 2; again++) { /* while it is mounted, and between two mounts */
            to_blocks(ways[i]);
            if (again != 0)
                assert_int_equal(rig_remount(&m), 0);
            assert_all(1);
            assert_cached();
        }
    }
}

/* --- the index --- */

static off_t damage_from; /* page 0 and 1 are LMDB's heads */

static void damage_index(struct rig *r)
{
    char path[PATH_MAX], page[4096];
    struct stat st;
    int fd;

    snprintf(path, sizeof(path), "%s/meta/data.mdb", r->dir);
    memset(page, 0x5a, sizeof(page));
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = damage_from; at < st.st_size && at < 64 * 4096; at += 4096)
        assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
    close(fd);
}

/* One bit of each page, so that heads still look right. */
static void flip_index(struct rig *r)
{
    char path[PATH_MAX], byte;
    struct stat st;
    int fd;

    snprintf(path, sizeof(path), "%s/meta/data.mdb", r->dir);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    for (off_t at = damage_from + 300; at < st.st_size && at < 64 * 4096; at += 4096) {
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 0x20;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    close(fd);
}

static void test_index_that_is_garbage(void **state)
{
    static void (*const ways[])(struct rig * r) = {damage_index, flip_index};
    struct stat st;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        for (damage_from = 0; damage_from <= 2 * 4096; damage_from += 2 * 4096) {
            assert_int_equal(rig_chmod(&m, "/f1", 0600), 0);
            assert_int_equal(rig_remount_after(&m, ways[i]), 0);
            assert_all(1);
            assert_int_equal(rig_stat(&m, "/f1", &st), 0);
            assert_int_equal(st.st_mode & 07777, 0600);
            assert_int_equal(st.st_size, SIZE);
        }
    }
}

/* --- a directory of an older time: a snapshot that was put back --- */

static char copy_dir[80];

static void copy_cache(struct rig *r)
{
    char command[512];

    snprintf(command, sizeof(command), "rm -rf '%s' && cp -a '%s' '%s'", copy_dir, r->dir,
             copy_dir);
    assert_int_equal(system(command), 0);
}

static void put_copy_back(struct rig *r)
{
    char command[512];

    snprintf(command, sizeof(command), "rm -rf '%s' && mv '%s' '%s'", r->dir, copy_dir, r->dir);
    assert_int_equal(system(command), 0);
}

static void test_directory_of_an_older_time(void **state)
{
    char names[128];

    (void)state;
    snprintf(copy_dir, sizeof(copy_dir), "%s-copy", m.dir);
    assert_all(1);
    assert_int_equal(rig_ls(&m, "/", names, sizeof(names)), 0);
    assert_int_equal(rig_remount_after(&m, copy_cache), 0);
    put_all(2);
    assert_int_equal(rig_remount_after(&m, put_copy_back), 0);
    assert_all(2);
}

/* --- all of it gone, under a mount that goes on --- */

static void remove_all(struct rig *r)
{
    char command[512];

    snprintf(command, sizeof(command), "rm -rf '%s'/*", r->dir);
    assert_int_equal(system(command), 0);
}

static void test_directory_that_was_emptied(void **state)
{
    char got[16];
    int r;

    (void)state;
    remove_all(&m);
    assert_all(1);
    r = rig_put(&m, "/new", "bytes", 5); /* nowhere to stage: refused, or it is in the bucket */
    if (r == 0) {
        assert_int_equal(memstore_get(m.store, "new", NULL, NULL), 0);
        assert_int_equal(rig_get(&m, "/new", got, sizeof(got)), 5);
        assert_memory_equal(got, "bytes", 5);
    } else {
        assert_int_equal(memstore_get(m.store, "new", NULL, NULL), STORE_NOT_FOUND);
    }
    /* What the mount still wrote there has no stamp: a start would refuse it (-ENOTEMPTY). */
    assert_int_equal(rig_remount_after(&m, remove_all), 0);
    put_all(2);
    assert_all(2);
}

int main(void)
{
#define ONE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        ONE(test_blocks_that_are_not_what_was_written),
        ONE(test_index_that_is_garbage),
        ONE(test_directory_of_an_older_time),
        ONE(test_directory_that_was_emptied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
