/* SPDX-License-Identifier: Apache-2.0 */
/* A full disk: a small tmpfs (root, in a mount namespace of its own). Clean blocks give way,
 * staging says -ENOSPC, reads go on, and what could not be written down is never read as it was
 * before. */
#include "cachetest.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>

#include "base/err.h"
#include "base/sys.h"

#define DISK "24m"
#define SIZE (1u * MIB)

static char scratch[PATH_MAX];

static int disk_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (f == NULL || mount("none", scratch, "tmpfs", 0, "mode=0700,size=" DISK) < 0)
        return -1;
    assert_true(snprintf(f->dir, sizeof(f->dir), "%s/c", scratch) < PATH_MAX);
    f->c = cache_open_at(f->dir, 0);
    *state = f;
    return 0;
}

static int disk_down(void **state)
{
    struct fixture *f = *state;

    if (f->c != NULL)
        cache_close(f->c);
    free(f);
    return umount(scratch);
}

static uint64_t free_bytes(void)
{
    uint64_t left, total;

    assert_int_equal(sys_free_bytes(scratch, &left, &total), 0);
    return left;
}

/* Somebody else takes all the room but `leave`. */
static void fill_disk(uint64_t leave)
{
    char path[PATH_MAX + 16], page[4096] = {1};
    int fd;

    snprintf(path, sizeof(path), "%s/filler", scratch);
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(fd >= 0);
    while (free_bytes() > leave && write(fd, page, sizeof(page)) == (ssize_t)sizeof(page))
        ;
    close(fd);
}

static void empty_disk(void)
{
    char path[PATH_MAX + 16];

    snprintf(path, sizeof(path), "%s/filler", scratch);
    assert_int_equal(unlink(path), 0);
}

static void test_blocks_give_way(void **state)
{
    struct fixture *f = *state;
    struct cache_stats st;
    uint64_t here = 0;
    char key[32];

    for (unsigned i = 0; i < 60; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        write_whole(f->c, key, i, SIZE);
        assert_int_equal(read_good(f->c, key, i, SIZE), SIZE);
    }
    for (unsigned i = 0; i < 60; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        here += read_good(f->c, key, i, SIZE);
    }
    assert_true(here >= 10 * MIB);
    cache_stats_get(f->c, &st);
    assert_int_equal(st.errors, 0);
    assert_int_equal(st.corrupt, 0);
}

static void test_stage_says_so(void **state)
{
    struct fixture *f = *state;
    struct cache_stage *s, *s2;
    static uint8_t buf[SIZE];
    unsigned n = 0;
    int r;

    write_whole(f->c, "clean", 1, SIZE);
    assert_int_equal(cache_stage_new(f->c, &s), 0);
    pattern_fill(7, 0, buf, sizeof(buf));
    while ((r = cache_stage_reserve(s, SIZE)) == 0) {
        assert_int_equal(sys_pwrite_all(cache_stage_fd(s), buf, SIZE, (uint64_t)n * SIZE), 0);
        assert_true(++n < 30);
    }
    assert_int_equal(r, -ENOSPC);
    assert_true(err_text()[0] != '\0');
    assert_true(n >= 18);
    for (unsigned i = 0; i < n; i++) { /* every staged byte is there */
        assert_int_equal(sys_pread_all(cache_stage_fd(s), buf, SIZE, (uint64_t)i * SIZE), 0);
        assert_true(pattern_is(7, 0, buf, SIZE));
    }
    write_whole(f->c, "clean", 2, SIZE); /* dropped, not an error of anybody's */
    read_good(f->c, "clean", 1, SIZE);
    read_good(f->c, "clean", 2, SIZE);
    assert_int_equal(cache_stage_new(f->c, &s2), 0);
    assert_int_equal(cache_stage_reserve(s2, SIZE), -ENOSPC);
    cache_stage_free(s);
    assert_int_equal(cache_stage_reserve(s2, SIZE), 0);
    cache_stage_free(s2);
    write_whole(f->c, "clean", 3, SIZE);
    assert_int_equal(read_good(f->c, "clean", 3, SIZE), SIZE);
}

/* Larger than any record before it: replacing one takes new pages. */
static void put_large(struct cache *c, const char *key, uint64_t n)
{
    struct store_obj o = obj_make(n, 1, 1);
    char value[3000];

    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    assert_int_equal(store_hdrs_set(&o.hdrs, "x-amz-meta-large", value), 0);
    cache_obj_put(c, key, &o, 1);
    store_obj_done(&o);
}

/* Not a byte left, and nothing to evict: records that can't be replaced are not read as they were.
 */
static void test_index_full(void **state)
{
    struct fixture *f = *state;
    unsigned misses = 0;
    char key[32];

    for (unsigned i = 0; i < 2000; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        put_obj(f->c, key, 1, 1, 1, 1);
    }
    fill_disk(0);
    for (unsigned i = 0; i < 2000; i++) {
        struct cache_obj o;

        snprintf(key, sizeof(key), "k%u", i);
        put_large(f->c, key, 2);
        if (cache_obj_get(f->c, key, &o) != 0) {
            misses++;
            continue;
        }
        assert_string_equal(o.obj.etag.s, etag_of(2).s);
        cache_obj_done(&o);
    }
    print_message("%u of 2000 were misses\n", misses);
    assert_true(misses > 0);
    write_whole(f->c, "clean", 3, SIZE);
    assert_int_equal(read_good(f->c, "clean", 3, SIZE), 0);
    empty_disk();
    for (;;) { /* it comes back by itself */
        struct cache_obj o;

        put_obj(f->c, "again", 5, 1, 1, 1);
        if (cache_obj_get(f->c, "again", &o) == 0) {
            cache_obj_done(&o);
            break;
        }
        usleep(10000);
    }
    write_whole(f->c, "clean", 4, SIZE);
    assert_int_equal(read_good(f->c, "clean", 4, SIZE), SIZE);
    fixture_reopen(f, 0);
    assert_int_equal(read_good(f->c, "clean", 4, SIZE), SIZE);
}

/* With clean blocks to give, the index finds its room. */
static void test_index_takes_room(void **state)
{
    struct fixture *f = *state;
    struct cache_obj o;
    char key[32];

    for (unsigned i = 0; i < 12; i++) {
        snprintf(key, sizeof(key), "b%u", i);
        write_whole(f->c, key, i, SIZE);
    }
    fill_disk(0);
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        put_obj(f->c, key, 2, 1, 1, 1);
        assert_int_equal(cache_obj_get(f->c, key, &o), 0);
        cache_obj_done(&o);
    }
    empty_disk();
}

static void test_start_on_full_disk(void **state)
{
    struct fixture *f = *state;
    struct cache_conf conf = {.dir = f->dir, .source = SOURCE};
    int r;

    cache_close(f->c);
    f->c = NULL;
    fill_disk(0);
    r = cache_new(&conf, &f->c);
    if (r == 0)
        r = cache_start(f->c);
    assert_int_equal(r, -ENOSPC);
    assert_non_null(strstr(err_text(), f->dir));
    assert_non_null(strstr(err_text(), "No space left"));
    if (f->c != NULL)
        cache_free(f->c);
    empty_disk();
    f->c = cache_open_at(f->dir, 0);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, disk_up, disk_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_blocks_give_way),  TEST(test_stage_says_so),      TEST(test_index_full),
        TEST(test_index_takes_room), TEST(test_start_on_full_disk),
    };
    int r;

    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
        printf("SKIP: a full disk needs root's right to mount a tmpfs\n");
        return 77;
    }
    scratch_make(scratch);
    r = cmocka_run_group_tests_name("cache/full", tests, NULL, NULL);
    (void)rmdir(scratch);
    return r;
}
