/* SPDX-License-Identifier: Apache-2.0 */
/* The cache against the bucket and against itself. */
#include "checktest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/sys.h"
#include "cache/journal.h"

#define SOURCE "mem://bucket"

static char dir[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    return remove(path);
}

static int open_as(enum cache_check how, const char *source)
{
    struct cache_conf c = {.dir = dir, .source = source, .check = how};
    int r = cache_new(&c, &cache);

    if (r == 0) {
        r = cache_start(cache);
        if (r < 0) {
            struct err_copy cause;

            err_copy(&cause);
            cache_free(cache);
            err_restore(&cause);
        }
    }
    if (r < 0)
        cache = NULL;
    return r;
}

static void close_cache(void)
{
    cache_free(cache);
    cache = NULL;
}

static int set_up_dir(void **state)
{
    snprintf(dir, sizeof(dir), "/tmp/s3efs-scrub-XXXXXX");
    return mkdtemp(dir) != NULL ? set_up(state) : -1;
}

static int tear_down_dir(void **state)
{
    close_cache();
    nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    return tear_down(state);
}

/* Puts an object of this many blocks and caches them, with the bytes that it has. */
static struct store_etag put_cached(const char *key, size_t blocks, uint64_t cached_size)
{
    size_t size = blocks * CACHE_BLOCK;
    char *data = malloc(size);
    struct store_etag etag;
    struct cache_id id = {.key = key, .etag = &etag, .size = cached_size};

    assert_non_null(data);
    memset(data, key[0], size);
    assert_int_equal(memstore_put(store, key, data, size, NULL, &etag), 0);
    cache_write(cache, &id, 0, data, cached_size < size ? (size_t)cached_size : size);
    free(data);
    return etag;
}

/* A mount has cached a, b and c, and ended. */
static void make_cache(void)
{
    assert_int_equal(open_as(CACHE_CHECK_NONE, SOURCE), 0);
    put_cached("a", 4, 4 * CACHE_BLOCK);
    put_cached("b", 2, 2 * CACHE_BLOCK);
    put_cached("c", 1, CACHE_BLOCK);
    close_cache();
}

static int flips_left;

/* Turns one bit of each block file, where it says so. */
static int flip_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    char byte;
    int fd;

    (void)at;
    if (type != FTW_F || flips_left == 0 || st->st_size != (off_t)4 * CACHE_BLOCK)
        return 0;
    flips_left--;
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, 2 * CACHE_BLOCK + 77), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, 2 * CACHE_BLOCK + 77), 1);
    close(fd);
    return 0;
}

static void flip_block_of_a(void)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/blocks", dir);
    flips_left = 1;
    nftw(path, flip_one, 16, FTW_PHYS);
    assert_int_equal(flips_left, 0);
}

static void test_sound_cache(void **state)
{
    (void)state;
    make_cache();
    assert_int_equal(open_as(CACHE_CHECK_LOOK, SOURCE), 0);
    memstore_count_reset(store);
    check(false);
    assert_clean();
    assert_int_equal(result.versions, 3);
    assert_int_equal(memstore_count(store, STORE_LIST), 2);
    assert_int_equal(memstore_count(store, STORE_GET) + memstore_count(store, STORE_HEAD), 0);
}

static void test_bit_flip_is_found_and_dropped(void **state)
{
    struct store_obj obj = {0};
    struct cache_id id = {.key = "a", .etag = &obj.etag, .size = 4 * CACHE_BLOCK};
    uint64_t off, len;

    (void)state;
    make_cache();
    flip_block_of_a();
    assert_int_equal(open_as(CACHE_CHECK_LOOK, SOURCE), 0);
    check(false);
    assert_found(CHECK_CACHE_BLOCK, "a", CHECK_REPAIRABLE);
    assert_int_equal(result.findings, 1);
    check(false); /* looking changes nothing */
    assert_found(CHECK_CACHE_BLOCK, "a", CHECK_REPAIRABLE);
    close_cache();
    assert_int_equal(open_as(CACHE_CHECK_REPAIR, SOURCE), 0);
    check(true);
    assert_found(CHECK_CACHE_BLOCK, "a", CHECK_REPAIRED);
    check(true);
    assert_clean();
    assert_int_equal(memstore_get(store, "a", &obj, NULL), 0);
    assert_true(cache_missing(cache, &id, 0, id.size, &off, &len)); /* only that block */
    assert_int_equal(off, 2 * CACHE_BLOCK);
    assert_int_equal(len, CACHE_BLOCK);
    store_obj_done(&obj);
}

static void test_version_that_the_bucket_does_not_have(void **state)
{
    (void)state;
    make_cache();
    put("b", "a newer version");
    assert_int_equal(memstore_delete(store, "c"), 0);
    assert_int_equal(open_as(CACHE_CHECK_LOOK, SOURCE), 0);
    check(false);
    assert_found(CHECK_CACHE_STALE, NULL, CHECK_NOTE);
    assert_int_equal(result.notes, 2);
    assert_int_equal(result.findings, 0);
    close_cache();
    assert_int_equal(open_as(CACHE_CHECK_REPAIR, SOURCE), 0);
    check(true);
    assert_found(CHECK_CACHE_STALE, NULL, CHECK_REPAIRED);
    assert_int_equal(result.repaired, 2);
    check(true);
    assert_clean();
    assert_int_equal(result.versions, 1);
}

static void test_size_that_is_not_the_buckets(void **state)
{
    (void)state;
    assert_int_equal(open_as(CACHE_CHECK_NONE, SOURCE), 0);
    put_cached("a", 2, CACHE_BLOCK);
    close_cache();
    assert_int_equal(open_as(CACHE_CHECK_REPAIR, SOURCE), 0);
    check(true);
    assert_found(CHECK_CACHE_SIZE, "a", CHECK_REPAIRED);
    check(true);
    assert_clean();
    assert_int_equal(result.versions, 0);
}

/* Its block files are gone, as after somebody cleaned up by hand. */
static void test_blocks_that_are_gone(void **state)
{
    char path[PATH_MAX];

    (void)state;
    make_cache();
    snprintf(path, sizeof(path), "%s/blocks", dir);
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    assert_int_equal(open_as(CACHE_CHECK_REPAIR, SOURCE), 0);
    check(true);
    assert_found(CHECK_CACHE_BLOCK, "a", CHECK_REPAIRED);
    assert_found(CHECK_CACHE_BLOCK, "c", CHECK_REPAIRED);
    check(true);
    assert_clean();
    assert_int_equal(result.versions, 0);
}

static void damage_index(void)
{
    char path[PATH_MAX], page[4096];
    int fd;

    snprintf(path, sizeof(path), "%s/meta/data.mdb", dir);
    memset(page, 0xa5, sizeof(page));
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    for (off_t at = 2 * 4096; at < 12 * 4096; at += 4096)
        assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
    close(fd);
}

static void test_damaged_index(void **state)
{
    char bad[PATH_MAX];

    (void)state;
    make_cache();
    damage_index();
    snprintf(bad, sizeof(bad), "%s/meta.bad", dir);
    assert_int_equal(open_as(CACHE_CHECK_LOOK, SOURCE), -EUCLEAN);
    assert_non_null(strstr(err_text(), "damaged"));
    assert_int_not_equal(access(bad, F_OK), 0); /* a look changes nothing */
    assert_int_equal(open_as(CACHE_CHECK_LOOK, SOURCE), -EUCLEAN);
    assert_int_equal(open_as(CACHE_CHECK_REPAIR, SOURCE), 0);
    assert_int_equal(access(bad, F_OK), 0);
    check(true);
    assert_found(CHECK_CACHE, "index", CHECK_REPAIRED);
    close_cache();
    assert_int_equal(open_as(CACHE_CHECK_LOOK, SOURCE), 0);
    check(false);
    assert_clean();
}

/* Whose is it, who has it, is it one at all? Nothing is made where there is none. */
static void test_directory_of_others(void **state)
{
    struct cache *daemon;
    char path[PATH_MAX];

    (void)state;
    assert_int_equal(open_as(CACHE_CHECK_REPAIR, SOURCE), -ENOENT);
    snprintf(path, sizeof(path), "%s/lock", dir);
    assert_int_not_equal(access(path, F_OK), 0);
    make_cache();
    assert_int_equal(open_as(CACHE_CHECK_REPAIR, "s3://another"), -EINVAL);
    assert_int_equal(open_as(CACHE_CHECK_NONE, SOURCE), 0);
    daemon = cache;
    assert_int_equal(open_as(CACHE_CHECK_REPAIR, SOURCE), -EBUSY);
    assert_non_null(strstr(err_text(), "in use by pid"));
    cache_free(daemon);
}

/* What a mount had staged when it died is not ours to throw away. */
static void test_stages_and_lost_found_stay(void **state)
{
    struct cache_stage *stage;
    char path[PATH_MAX], *kept = NULL;

    (void)state;
    assert_int_equal(open_as(CACHE_CHECK_NONE, SOURCE), 0);
    assert_int_equal(cache_stage_new(cache, &stage), 0);
    assert_int_equal(sys_pwrite_all(cache_stage_fd(stage), "bytes", 5, 0), 0);
    assert_int_equal(cache_stage_keep(stage, "a/key", "it changed elsewhere", &kept), 0);
    close_cache();
    snprintf(path, sizeof(path), "%s/stage/of-a-dead-mount", dir);
    assert_int_equal(close(creat(path, 0600)), 0);
    assert_int_equal(open_as(CACHE_CHECK_REPAIR, SOURCE), 0);
    check(true);
    assert_found(CHECK_LOST_FOUND, kept, CHECK_LEFT);
    assert_int_equal(result.findings, 1);
    close_cache();
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(access(kept, F_OK), 0);
    free(kept);
}

/* commit=local: what a mount acknowledged and did not send is told, and stays whole, with the
 * versions that it may be based on. */
static void test_unsent_is_told(void **state)
{
    struct cache_stage *stage;
    struct journal *j = NULL;
    uint64_t seq, entries, bytes;

    (void)state;
    make_cache();
    assert_int_equal(memstore_delete(store, "b"), 0);
    assert_int_equal(open_as(CACHE_CHECK_NONE, SOURCE), 0);
    assert_int_equal(journal_open(cache, &j), 0);
    assert_int_equal(cache_stage_new(cache, &stage), 0);
    assert_int_equal(sys_pwrite_all(cache_stage_fd(stage), "bytes", 5, 0), 0);
    assert_int_equal(journal_put(j, "record", 6, stage, 5, 0, &seq), 0);
    assert_int_equal(journal_put(j, "rename", 6, NULL, 0, 0, &seq), 0);
    cache_stage_free(stage);
    journal_close(j);
    close_cache();
    for (int i = 0; i < 2; i++) {
        assert_int_equal(open_as(CACHE_CHECK_REPAIR, SOURCE), 0);
        check(true);
        assert_found(CHECK_UNSENT, "journal", CHECK_LEFT);
        assert_non_null(strstr(find_one(CHECK_UNSENT, "journal")->cause, "2 changes with 5 bytes"));
        assert_found(CHECK_CACHE_STALE, NULL, CHECK_NOTE);
        assert_int_equal(result.repaired, 0);
        close_cache();
    }
    assert_int_equal(open_as(CACHE_CHECK_NONE, SOURCE), 0);
    assert_int_equal(journal_open(cache, &j), 0); /* all of it is there for the next mount */
    for (seq = 0, entries = 0; entries < 2; entries++)
        assert_int_equal(journal_drop(j, entries + 1), 0);
    journal_close(j);
    assert_int_equal(journal_peek(cache, &entries, &bytes), 0);
    assert_int_equal(entries + bytes, 0);
    close_cache();
    assert_int_equal(open_as(CACHE_CHECK_REPAIR, SOURCE), 0);
    check(true);
    assert_found(CHECK_CACHE_STALE, NULL, CHECK_REPAIRED);
    assert_int_equal(result.left, 0);
}

static void test_damaged_journal(void **state)
{
    struct journal *j = NULL;
    char path[PATH_MAX], page[4096];
    uint64_t seq;
    int fd;

    (void)state;
    make_cache();
    assert_int_equal(open_as(CACHE_CHECK_NONE, SOURCE), 0);
    assert_int_equal(journal_open(cache, &j), 0);
    assert_int_equal(journal_put(j, "rename", 6, NULL, 0, 0, &seq), 0);
    journal_close(j);
    close_cache();
    snprintf(path, sizeof(path), "%s/journal/index", dir);
    memset(page, 0xa5, sizeof(page));
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    for (off_t at = 2 * 4096; at < 6 * 4096; at += 4096)
        assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
    close(fd);
    assert_int_equal(open_as(CACHE_CHECK_LOOK, SOURCE), 0);
    check(false);
    assert_found(CHECK_UNSENT, "journal", CHECK_LEFT);
    assert_non_null(strstr(find_one(CHECK_UNSENT, "journal")->cause, "damaged"));
}

int main(void)
{
#define ONE(f) cmocka_unit_test_setup_teardown(f, set_up_dir, tear_down_dir)
    const struct CMUnitTest tests[] = {
        ONE(test_sound_cache),
        ONE(test_bit_flip_is_found_and_dropped),
        ONE(test_version_that_the_bucket_does_not_have),
        ONE(test_size_that_is_not_the_buckets),
        ONE(test_blocks_that_are_gone),
        ONE(test_damaged_index),
        ONE(test_directory_of_others),
        ONE(test_stages_and_lost_found_stay),
        ONE(test_unsent_is_told),
        ONE(test_damaged_journal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
