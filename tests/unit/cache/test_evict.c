/* SPDX-License-Identifier: Apache-2.0 */
/* Limits: who goes, that the limit holds, that staged bytes and readers are left alone. */
#include "cachetest.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "base/clock.h"
#include "base/err.h"

#define LIMIT (8u * MIB)
#define SIZE (1u * MIB)

static int limited_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return -1;
    scratch_make(f->dir);
    f->c = cache_open_at(f->dir, LIMIT);
    *state = f;
    return 0;
}

static int limited_down(void **state)
{
    clock_fake_off();
    return fixture_down(state);
}

static uint64_t sum_of(const char *dir)
{
    char cmd[PATH_MAX + 64], text[64] = "";
    FILE *p;

    snprintf(cmd, sizeof(cmd), "du -s --block-size=1 %s/blocks", dir);
    p = popen(cmd, "r");
    assert_non_null(p);
    assert_non_null(fgets(text, sizeof(text), p));
    pclose(p);
    return strtoull(text, NULL, 10);
}

static void write_one(struct cache *c, uint64_t n)
{
    char key[32];

    clock_fake_add(NS_PER_S);
    snprintf(key, sizeof(key), "k%llu", (unsigned long long)n);
    write_whole(c, key, n, SIZE);
}

static bool is_here(struct cache *c, uint64_t n)
{
    struct store_etag etag = etag_of(n);
    struct cache_id id = {.etag = &etag, .size = SIZE};
    uint64_t off, len;
    char key[32];

    snprintf(key, sizeof(key), "k%llu", (unsigned long long)n);
    id.key = key;
    return !cache_missing(c, &id, 0, SIZE, &off, &len);
}

static uint64_t read_one(struct cache *c, uint64_t n)
{
    char key[32];

    clock_fake_add(NS_PER_S);
    snprintf(key, sizeof(key), "k%llu", (unsigned long long)n);
    return read_good(c, key, n, SIZE);
}

static void test_under_limit(void **state)
{
    struct fixture *f = *state;
    struct cache_stats st;

    clock_fake_set(NS_PER_S, NS_PER_S);
    for (uint64_t i = 0; i < 50; i++) {
        write_one(f->c, i);
        cache_stats_get(f->c, &st);
        assert_true(st.bytes <= LIMIT);
        assert_int_equal(st.limit, LIMIT);
        assert_true(sum_of(f->dir) <= LIMIT + 300 * 4096); /* and the folders' own */
    }
    assert_true(st.evicted_bytes >= 40 * SIZE);
    assert_true(is_here(f->c, 49));
    assert_false(is_here(f->c, 0));
    assert_int_equal(st.errors, 0);
    fixture_reopen(f, 2 * MIB); /* a smaller limit from now on */
    write_one(f->c, 50);
    cache_stats_get(f->c, &st);
    assert_true(st.bytes <= 2 * MIB);
    assert_int_equal(read_one(f->c, 50), SIZE);
}

static void test_least_recent_goes(void **state)
{
    struct fixture *f = *state;

    clock_fake_set(NS_PER_S, NS_PER_S);
    for (uint64_t i = 0; i < 6; i++)
        write_one(f->c, i);
    assert_int_equal(read_one(f->c, 0), SIZE);
    assert_int_equal(read_one(f->c, 1), SIZE);
    for (uint64_t i = 6; i < 9; i++)
        write_one(f->c, i);
    assert_true(is_here(f->c, 0));
    assert_true(is_here(f->c, 1));
    assert_false(is_here(f->c, 2));
}

/* What was read is known after a restart too (to the minute). */
static void test_use_survives(void **state)
{
    struct fixture *f = *state;

    clock_fake_set(NS_PER_S, NS_PER_S);
    for (uint64_t i = 0; i < 6; i++)
        write_one(f->c, i);
    clock_fake_add(3600 * NS_PER_S);
    assert_int_equal(read_one(f->c, 0), SIZE);
    fixture_reopen(f, LIMIT);
    for (uint64_t i = 6; i < 9; i++)
        write_one(f->c, i);
    assert_true(is_here(f->c, 0));
    assert_false(is_here(f->c, 1));
}

static void test_larger_than_limit(void **state)
{
    struct fixture *f = *state;
    struct cache_stats st;

    write_whole(f->c, "huge", 1, 2 * LIMIT); /* in one piece: there is no room for it */
    assert_int_equal(read_good(f->c, "huge", 1, 2 * LIMIT), 0);
    cache_stats_get(f->c, &st);
    assert_int_equal(st.bytes, 0);
    write_whole(f->c, "fits", 2, SIZE);
    assert_int_equal(read_good(f->c, "fits", 2, SIZE), SIZE);
}

static void stage_bytes(struct cache_stage *s, uint64_t n, uint64_t off, size_t len)
{
    uint8_t *buf = malloc(len);

    assert_non_null(buf);
    pattern_fill(n, off, buf, len);
    assert_int_equal(pwrite(cache_stage_fd(s), buf, len, (off_t)off), (ssize_t)len);
    free(buf);
}

static void check_staged(struct cache_stage *s, uint64_t n, size_t len)
{
    uint8_t *buf = malloc(len);

    assert_non_null(buf);
    assert_int_equal(pread(cache_stage_fd(s), buf, len, 0), (ssize_t)len);
    assert_true(pattern_is(n, 0, buf, len));
    free(buf);
}

static void test_staged_stay(void **state)
{
    struct fixture *f = *state;
    struct cache_stage *s, *s2;
    struct cache_stats st;

    clock_fake_set(NS_PER_S, NS_PER_S);
    for (uint64_t i = 0; i < 7; i++)
        write_one(f->c, i);
    assert_int_equal(cache_stage_new(f->c, &s), 0);
    for (unsigned i = 0; i < 7; i++) { /* clean blocks make room */
        assert_int_equal(cache_stage_reserve(s, MIB), 0);
        stage_bytes(s, 99, i * MIB, MIB);
        cache_stats_get(f->c, &st);
        assert_true(st.bytes <= LIMIT);
        assert_true(st.staged_bytes >= (i + 1) * MIB && st.staged_bytes <= (i + 1) * MIB + 65536);
    }
    for (uint64_t i = 10; i < 20; i++) { /* and clean blocks can't push it out */
        write_one(f->c, i);
        cache_stats_get(f->c, &st);
        assert_true(st.bytes <= LIMIT);
        assert_true(st.staged_bytes >= 7 * MIB);
    }
    check_staged(s, 99, 7 * MIB);
    assert_int_equal(cache_stage_new(f->c, &s2), 0);
    assert_int_equal(cache_stage_reserve(s2, 2 * MIB), -ENOSPC);
    assert_non_null(strstr(err_text(), "no room"));
    cache_stats_get(f->c, &st);
    assert_true(st.staged_bytes < 8 * MIB); /* what was refused is not counted */
    assert_int_equal(cache_stage_reserve(s2, MIB / 2), 0);
    cache_stage_free(s);
    assert_int_equal(cache_stage_reserve(s2, 2 * MIB), 0);
    cache_stage_free(s2);
    cache_stats_get(f->c, &st);
    assert_int_equal(st.staged_bytes, 0);
}

/* min_free above what the disk has: nothing clean is kept, nothing can be staged. */
static void test_min_free(void **state)
{
    struct cache_conf conf = {.source = SOURCE};
    struct cache_stage *s;
    struct statvfs vfs;
    char dir[PATH_MAX];
    struct cache *c;

    (void)state;
    scratch_make(dir);
    assert_int_equal(statvfs(dir, &vfs), 0);
    conf.dir = dir;
    conf.min_free = (uint64_t)vfs.f_blocks * vfs.f_frsize;
    assert_int_equal(cache_new(&conf, &c), 0);
    assert_int_equal(cache_start(c), 0);
    write_whole(c, "k", 1, 1000);
    assert_int_equal(read_good(c, "k", 1, 1000), 0);
    put_obj(c, "k", 1, 1000, 1, 1); /* small records are */
    assert_int_equal(cache_stage_new(c, &s), 0);
    assert_int_equal(cache_stage_reserve(s, 1), -ENOSPC);
    cache_stage_free(s);
    cache_close(c);
    scratch_remove(dir);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, limited_up, limited_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_under_limit),       TEST(test_least_recent_goes), TEST(test_use_survives),
        TEST(test_larger_than_limit), TEST(test_staged_stay),       cmocka_unit_test(test_min_free),
    };

    return cmocka_run_group_tests_name("cache/evict", tests, NULL, NULL);
}
