/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of object versions: what is written is read back, what is damaged is a miss. */
#include "cachetest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#define KEY "dir/some key"
#define SIZE (5u * CACHE_BLOCK + 1000u)

static void check_missing(struct cache *c, uint64_t n, uint64_t size, uint64_t off, uint64_t len,
                          bool expected, uint64_t first, uint64_t run)
{
    struct store_etag etag = etag_of(n);
    struct cache_id id = {.key = KEY, .etag = &etag, .size = size};
    uint64_t ret_off = 0, ret_len = 0;

    assert_int_equal(cache_missing(c, &id, off, len, &ret_off, &ret_len), expected);
    if (expected) {
        assert_int_equal(ret_off, first);
        assert_int_equal(ret_len, run);
    }
}

static void write_range(struct cache *c, uint64_t n, uint64_t size, uint64_t off, size_t len)
{
    struct store_etag etag = etag_of(n);
    struct cache_id id = {.key = KEY, .etag = &etag, .size = size};
    uint8_t *buf = malloc(len);

    assert_non_null(buf);
    pattern_fill(n, off, buf, len);
    cache_write(c, &id, off, buf, len);
    free(buf);
}

/* Reads a range; returns what cache_read did, and checks the bytes. */
static ssize_t read_range(struct cache *c, uint64_t n, uint64_t size, uint64_t off, size_t len)
{
    struct store_etag etag = etag_of(n);
    struct cache_id id = {.key = KEY, .etag = &etag, .size = size};
    uint8_t *buf = malloc(len + 1);
    ssize_t r;

    assert_non_null(buf);
    buf[len] = 0x5a;
    r = cache_read(c, &id, off, buf, len);
    assert_true(r >= 0 && (size_t)r <= len);
    assert_true(pattern_is(n, off, buf, (size_t)r));
    assert_int_equal(buf[len], 0x5a);
    free(buf);
    return r;
}

static void test_round(void **state)
{
    static const uint64_t offs[] = {
        0, 1, 4096, CACHE_BLOCK - 1, CACHE_BLOCK, 3 * CACHE_BLOCK + 5, SIZE - 1};
    static const size_t lens[] = {1, 4096, CACHE_BLOCK, CACHE_BLOCK + 1, SIZE, 2 * SIZE};
    struct fixture *f = *state;

    assert_int_equal(read_good(f->c, KEY, 1, SIZE), 0);
    write_whole(f->c, KEY, 1, SIZE);
    for (size_t i = 0; i < ARRAY_LEN(offs); i++)
        for (size_t k = 0; k < ARRAY_LEN(lens); k++) {
            size_t left = SIZE - offs[i];

            assert_int_equal(read_range(f->c, 1, SIZE, offs[i], lens[k]),
                             lens[k] < left ? lens[k] : left);
        }
    assert_int_equal(read_range(f->c, 1, SIZE, SIZE, 1), 0);
    assert_int_equal(read_range(f->c, 1, SIZE, UINT64_MAX, 1), 0);
    assert_int_equal(read_range(f->c, 1, SIZE, 0, 0), 0);
    assert_int_equal(read_range(f->c, 2, SIZE, 0, 10), 0);     /* another version */
    assert_int_equal(read_range(f->c, 1, SIZE + 1, 0, 10), 0); /* another size */
}

static void test_sizes(void **state)
{
    static const uint64_t sizes[] = {1,           100 * KIB,       CACHE_BLOCK - 1,
                                     CACHE_BLOCK, CACHE_BLOCK + 1, 2 * CACHE_BLOCK};
    struct fixture *f = *state;
    struct cache_stats st;

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        write_whole(f->c, KEY, i, sizes[i]);
        assert_int_equal(read_good(f->c, KEY, i, sizes[i]), sizes[i]);
        check_missing(f->c, i, sizes[i], 0, UINT64_MAX, false, 0, 0);
    }
    cache_stats_get(f->c, &st);
    assert_int_equal(st.versions, ARRAY_LEN(sizes));
    assert_true(st.bytes >= 5 * CACHE_BLOCK && st.bytes < 7 * CACHE_BLOCK);
    assert_int_equal(st.hits, ARRAY_LEN(sizes));
    assert_int_equal(st.errors, 0);
    assert_int_equal(st.corrupt, 0);
}

static void test_partial(void **state)
{
    struct fixture *f = *state;
    const uint64_t b = CACHE_BLOCK;

    check_missing(f->c, 1, SIZE, 0, SIZE, true, 0, SIZE);
    check_missing(f->c, 1, SIZE, b + 7, 1, true, b, b);
    check_missing(f->c, 1, SIZE, 0, 0, false, 0, 0);
    check_missing(f->c, 1, SIZE, SIZE, 9, false, 0, 0);
    write_range(f->c, 1, SIZE, 2 * b, 2 * b);
    check_missing(f->c, 1, SIZE, 0, SIZE, true, 0, 2 * b);
    check_missing(f->c, 1, SIZE, 2 * b, SIZE, true, 4 * b, SIZE - 4 * b);
    check_missing(f->c, 1, SIZE, 2 * b + 1, b, false, 0, 0);
    assert_int_equal(read_range(f->c, 1, SIZE, 0, SIZE), 0);
    assert_int_equal(read_range(f->c, 1, SIZE, 2 * b + 5, SIZE), 2 * b - 5);
    write_range(f->c, 1, SIZE, 5 * b, 1000); /* the end */
    check_missing(f->c, 1, SIZE, 3 * b, SIZE, true, 4 * b, b);
    write_range(f->c, 1, SIZE, 4 * b, b);
    write_range(f->c, 1, SIZE, 0, 2 * b);
    check_missing(f->c, 1, SIZE, 0, SIZE, false, 0, 0);
    assert_int_equal(read_good(f->c, KEY, 1, SIZE), SIZE);
}

static void test_not_aligned(void **state)
{
    struct fixture *f = *state;

    write_range(f->c, 1, SIZE, 1, CACHE_BLOCK);        /* off */
    write_range(f->c, 1, SIZE, 0, CACHE_BLOCK + 1);    /* len */
    write_range(f->c, 1, SIZE, 5 * CACHE_BLOCK, 1001); /* past the end */
    write_range(f->c, 1, SIZE, 6 * CACHE_BLOCK, 10);   /* beyond */
    write_range(f->c, 1, SIZE, 5 * CACHE_BLOCK, 0);
    check_missing(f->c, 1, SIZE, 0, SIZE, true, 0, SIZE);
}

static void test_no_etag(void **state)
{
    struct fixture *f = *state;
    struct store_etag none = {.s = ""};
    struct cache_id id = {.key = KEY, .etag = &none, .size = 10};
    uint64_t off, len;
    char buf[10] = {0};

    cache_write(f->c, &id, 0, buf, 10); /* a version without a name can't be told from the next */
    assert_int_equal(cache_read(f->c, &id, 0, buf, 10), 0);
    assert_true(cache_missing(f->c, &id, 0, 10, &off, &len));
    assert_int_equal(len, 10);
}

/* Far into a large object: several chunks of the map, a sparse file. */
static void test_large(void **state)
{
    struct fixture *f = *state;
    const uint64_t size = UINT64_C(40) * 1024 * MIB + 5, chunk = UINT64_C(256) * CACHE_BLOCK;
    struct cache_stats st;

    write_range(f->c, 1, size, chunk - 2 * CACHE_BLOCK, 4 * CACHE_BLOCK); /* over a border */
    write_range(f->c, 1, size, size - 5, 5);
    assert_int_equal(read_range(f->c, 1, size, chunk - CACHE_BLOCK - 1, 2 * CACHE_BLOCK),
                     2 * CACHE_BLOCK);
    assert_int_equal(read_range(f->c, 1, size, size - 3, 100), 3);
    check_missing(f->c, 1, size, chunk - 2 * CACHE_BLOCK, 2 * chunk, true, chunk + 2 * CACHE_BLOCK,
                  2 * chunk - 4 * CACHE_BLOCK);
    check_missing(f->c, 1, size, size - 5, 5, false, 0, 0);
    cache_stats_get(f->c, &st);
    assert_true(st.bytes < MIB);
    fixture_reopen(f, 0);
    assert_int_equal(read_range(f->c, 1, size, size - 5, 5), 5);
}

static void test_drop(void **state)
{
    struct fixture *f = *state;
    struct store_etag e1 = etag_of(1), e9 = etag_of(9);
    struct cache_stats st;

    write_whole(f->c, KEY, 1, SIZE);
    write_whole(f->c, KEY, 1, SIZE + 1); /* the same ETag, another size: both go */
    write_whole(f->c, KEY, 2, SIZE);
    cache_drop_blocks(f->c, KEY, &e9);
    cache_drop_blocks(f->c, "other", &e1);
    assert_int_equal(read_good(f->c, KEY, 1, SIZE), SIZE);
    cache_drop_blocks(f->c, KEY, &e1);
    assert_int_equal(read_good(f->c, KEY, 1, SIZE), 0);
    assert_int_equal(read_good(f->c, KEY, 1, SIZE + 1), 0);
    check_missing(f->c, 1, SIZE, 0, SIZE, true, 0, SIZE);
    assert_int_equal(read_good(f->c, KEY, 2, SIZE), SIZE);
    cache_stats_get(f->c, &st);
    assert_int_equal(st.versions, 1);
    write_whole(f->c, KEY, 1, SIZE); /* and back again */
    assert_int_equal(read_good(f->c, KEY, 1, SIZE), SIZE);
    cache_stats_get(f->c, &st);
    assert_int_equal(st.corrupt, 0);
}

/* --- damage --- */

/* Calls fn for every block file. */
static unsigned each_block_file(const char *dir, void (*fn)(const char *path, uint64_t arg),
                                uint64_t arg)
{
    char path[PATH_MAX + 32];
    unsigned n = 0;
    struct dirent *e;

    for (unsigned i = 0; i < 256; i++) {
        DIR *d;

        snprintf(path, sizeof(path), "%s/blocks/%02x", dir, i);
        d = opendir(path);
        while (d != NULL && (e = readdir(d)) != NULL) {
            char file[2 * PATH_MAX];

            if (e->d_name[0] == '.')
                continue;
            snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
            fn(file, arg);
            n++;
        }
        if (d != NULL)
            closedir(d);
    }
    return n;
}

static void flip_bit(const char *path, uint64_t bit)
{
    int fd = open(path, O_RDWR);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, (off_t)(bit / 8)), 1);
    byte = (uint8_t)(byte ^ (1u << (bit % 8)));
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)(bit / 8)), 1);
    close(fd);
}

static void cut_file(const char *path, uint64_t size)
{
    assert_int_equal(truncate(path, (off_t)size), 0);
}

static void delete_file(const char *path, uint64_t arg)
{
    (void)arg;
    assert_int_equal(unlink(path), 0);
}

/* Damage in block 2: blocks 0 and 1 are read, 2 is a miss and forgotten, and comes back when
 * written again. */
static void check_damaged(struct fixture *f, bool reopen)
{
    struct cache_stats st;

    if (reopen)
        fixture_reopen(f, 0);
    assert_int_equal(read_range(f->c, 1, SIZE, 0, SIZE), 2 * CACHE_BLOCK);
    check_missing(f->c, 1, SIZE, 0, SIZE, true, 2 * CACHE_BLOCK, CACHE_BLOCK);
    assert_int_equal(read_range(f->c, 1, SIZE, 2 * CACHE_BLOCK + 9, 100), 0);
    assert_int_equal(read_range(f->c, 1, SIZE, 3 * CACHE_BLOCK, SIZE), SIZE - 3 * CACHE_BLOCK);
    cache_stats_get(f->c, &st);
    assert_int_equal(st.corrupt, 1);
    write_range(f->c, 1, SIZE, 2 * CACHE_BLOCK, CACHE_BLOCK);
    assert_int_equal(read_good(f->c, KEY, 1, SIZE), SIZE);
}

static void test_flipped_bits(void **state)
{
    struct fixture *f = *state;

    write_whole(f->c, KEY, 1, SIZE);
    assert_int_equal(read_good(f->c, KEY, 1, SIZE), SIZE);
    for (unsigned i = 0; i < 20; i++) {
        uint64_t bit = (2 * (uint64_t)CACHE_BLOCK + i * 6007) * 8 + i % 8;

        assert_int_equal(each_block_file(f->dir, flip_bit, bit), 1);
        fixture_reopen(f, 0);
        check_damaged(f, false);
    }
    assert_int_equal(each_block_file(f->dir, flip_bit, 2 * (uint64_t)CACHE_BLOCK * 8), 1);
    check_damaged(f, true);
}

static void test_cut_file(void **state)
{
    struct fixture *f = *state;

    write_whole(f->c, KEY, 1, SIZE);
    assert_int_equal(each_block_file(f->dir, cut_file, 2 * CACHE_BLOCK + 5), 1);
    assert_int_equal(read_range(f->c, 1, SIZE, 0, SIZE), 2 * CACHE_BLOCK);
    assert_int_equal(read_range(f->c, 1, SIZE, 3 * CACHE_BLOCK, SIZE), 0);
    write_whole(f->c, KEY, 1, SIZE);
    assert_int_equal(read_good(f->c, KEY, 1, SIZE), SIZE);
}

static void test_deleted_file(void **state)
{
    struct fixture *f = *state;
    struct cache_stats st;

    write_whole(f->c, KEY, 1, SIZE);
    assert_int_equal(read_good(f->c, KEY, 1, SIZE), SIZE);
    assert_int_equal(each_block_file(f->dir, delete_file, 0), 1);
    assert_int_equal(read_good(f->c, KEY, 1, SIZE), SIZE); /* it is open */
    fixture_reopen(f, 0);
    assert_int_equal(read_good(f->c, KEY, 1, SIZE), 0);
    write_range(f->c, 1, SIZE, 0, CACHE_BLOCK);
    assert_int_equal(read_range(f->c, 1, SIZE, 0, SIZE),
                     CACHE_BLOCK); /* the holes are not read as zeros */
    write_whole(f->c, KEY, 1, SIZE);
    assert_int_equal(each_block_file(f->dir, delete_file, 0), 1);
    fixture_reopen(f, 0);
    write_range(f->c, 1, SIZE, CACHE_BLOCK, CACHE_BLOCK); /* into a new file */
    check_missing(f->c, 1, SIZE, 0, CACHE_BLOCK, true, 0, CACHE_BLOCK);
    assert_int_equal(read_range(f->c, 1, SIZE, CACHE_BLOCK, SIZE), CACHE_BLOCK);
    cache_stats_get(f->c, &st);
    assert_int_equal(st.corrupt, 0);
    assert_int_equal(st.versions, 1);
}

/* The bytes of one version under the name of another. */
static void test_swapped_files(void **state)
{
    struct fixture *f = *state;
    char cmd[4 * PATH_MAX];

    write_whole(f->c, KEY, 1, SIZE);
    write_whole(f->c, KEY, 2, SIZE);
    cache_close(f->c);
    snprintf(cmd, sizeof(cmd), "set -- %s/blocks/*/*; mv $1 %s/x && mv $2 $1 && mv %s/x $2", f->dir,
             f->dir, f->dir);
    assert_int_equal(system(cmd), 0);
    f->c = cache_open_at(f->dir, 0);
    assert_int_equal(read_good(f->c, KEY, 1, SIZE), 0);
    assert_int_equal(read_good(f->c, KEY, 2, SIZE), 0);
}

/* More versions than open files are kept. */
static void test_many_files(void **state)
{
    struct fixture *f = *state;

    for (unsigned round = 0; round < 2; round++)
        for (unsigned i = 0; i < 200; i++) {
            if (round == 0)
                write_whole(f->c, KEY, i, 100 + i);
            assert_int_equal(read_good(f->c, KEY, i, 100 + i), 100 + i);
            assert_int_equal(read_good(f->c, KEY, i / 2, 100 + i / 2), 100 + i / 2);
        }
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, fixture_up, fixture_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_round),        TEST(test_sizes),         TEST(test_partial),
        TEST(test_not_aligned),  TEST(test_no_etag),       TEST(test_large),
        TEST(test_drop),         TEST(test_flipped_bits),  TEST(test_cut_file),
        TEST(test_deleted_file), TEST(test_swapped_files), TEST(test_many_files),
    };

    return cmocka_run_group_tests_name("cache/blocks", tests, NULL, NULL);
}
