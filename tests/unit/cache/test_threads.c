/* SPDX-License-Identifier: Apache-2.0 */
/* Everything at once from many threads, under a limit that keeps the evictor busy: no wrong byte,
 * no record of another key, and the accounts add up in the end. */
#include "cachetest.h"

#include <pthread.h>

#include "base/clock.h"

#define THREADS 16u
#define ROUNDS 150u
#define KEYS 24u
#define LIMIT (4u * MIB)

struct worker {
    struct cache *c;
    unsigned id;
    uint64_t seed;
    pthread_t thread;
};

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*seed >> 33);
}

static uint64_t size_of(unsigned n)
{
    return 1000 + (uint64_t)n * 20011;
}

static void adopt(struct cache *c, const char *key, uint64_t n, uint64_t size)
{
    struct store_etag etag = etag_of(n);
    struct cache_id id = {.key = key, .etag = &etag, .size = size};
    struct cache_stage *s;
    uint8_t *buf = malloc(size);

    assert_non_null(buf);
    pattern_fill(n, 0, buf, size);
    assert_int_equal(cache_stage_new(c, &s), 0);
    if (cache_stage_reserve(s, size) == 0) {
        assert_int_equal(pwrite(cache_stage_fd(s), buf, size, 0), (ssize_t)size);
        cache_stage_adopt(s, &id);
    } else {
        cache_stage_free(s);
    }
    free(buf);
}

static void check_obj(struct cache *c, const char *key, unsigned n)
{
    struct cache_obj o;

    if (cache_obj_get(c, key, &o) != 0)
        return;
    assert_int_equal(o.obj.size, size_of(n));
    cache_obj_done(&o);
}

static void list(struct cache *c, unsigned n)
{
    struct cache_listing l;
    struct store_entry e[3] = {{.key = (char[]){"d/k00"}, .size = size_of(0), .mtime_ns = 1},
                               {.key = (char[]){"d/k05"}, .size = size_of(5), .mtime_ns = 1},
                               {.key = (char[]){"d/sub/"}, .is_prefix = true}};
    struct store_list put = {.v = e, .n = 1 + n % 3};

    e[0].etag = etag_of(0);
    e[1].etag = etag_of(5);
    if (n % 4 == 0)
        put_store_list(c, "d/", &put, clock_boot_ns(), 1);
    if (cache_list_get(c, "d/", &l) == 0) {
        for (size_t i = 1; i < l.n; i++)
            assert_true(strcmp(l.v[i - 1].name, l.v[i].name) <= 0);
        cache_listing_done(&l);
    }
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct cache_stats st;
    char key[32], *text;

    for (unsigned i = 0; i < ROUNDS; i++) {
        unsigned n = next_random(&w->seed) % KEYS;
        struct store_etag etag = etag_of(n);

        snprintf(key, sizeof(key), "d/k%02u", n);
        switch (next_random(&w->seed) % 8) {
        case 0:
            write_whole(w->c, key, n, size_of(n));
            break;
        case 1:
            adopt(w->c, key, n, size_of(n));
            break;
        case 2:
            put_obj(w->c, key, n, size_of(n), 1, clock_boot_ns());
            break;
        case 3:
            if (n % 5 == 0)
                cache_obj_drop(w->c, key);
            else if (n % 7 == 0)
                cache_drop_blocks(w->c, key, &etag);
            break;
        case 4:
            list(w->c, i);
            break;
        case 5:
            cache_note_put(w->c, "note", key);
            if (cache_note_get(w->c, "note", &text) == 0)
                free(text);
            cache_stats_get(w->c, &st);
            break;
        default:
            read_good(w->c, key, n, size_of(n));
            check_obj(w->c, key, n);
        }
    }
    return NULL;
}

static void test_everything(void **state)
{
    struct worker w[THREADS];
    struct cache_stats before, after;
    char dir[PATH_MAX];
    struct cache *c;

    (void)state;
    scratch_make(dir);
    c = cache_open_at(dir, LIMIT);
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (struct worker){.c = c, .id = i, .seed = i + 1};
        assert_int_equal(pthread_create(&w[i].thread, NULL, work, &w[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(w[i].thread, NULL);
    cache_stats_get(c, &before);
    assert_int_equal(before.errors, 0);
    assert_int_equal(before.corrupt, 0);
    assert_int_equal(before.staged_bytes, 0);
    assert_true(before.bytes <= LIMIT);
    assert_true(before.hits > 0);
    cache_close(c);
    c = cache_open_at(dir, LIMIT); /* counted anew */
    cache_stats_get(c, &after);
    assert_true(after.bytes <= before.bytes); /* the evict thread may have gone on */
    assert_true(after.versions <= before.versions);
    for (unsigned n = 0; n < KEYS; n++) {
        char key[32];

        snprintf(key, sizeof(key), "d/k%02u", n);
        read_good(c, key, n, size_of(n));
    }
    cache_close(c);
    scratch_remove(dir);
}

/* Many small puts, 64 threads; each sees its own. */
static void *put_many(void *arg)
{
    struct worker *w = arg;
    char key[64];

    for (unsigned i = 0; i < 60; i++) {
        struct cache_obj o;

        snprintf(key, sizeof(key), "dir%u/file%u", w->id, i);
        put_obj(w->c, key, i, i, 1, 1);
        assert_int_equal(cache_obj_get(w->c, key, &o), 0);
        assert_int_equal(o.obj.size, i);
        cache_obj_done(&o);
    }
    return NULL;
}

static void test_many_puts(void **state)
{
    struct fixture *f = *state;
    struct worker w[64];

    for (unsigned i = 0; i < 64; i++) {
        w[i] = (struct worker){.c = f->c, .id = i};
        assert_int_equal(pthread_create(&w[i].thread, NULL, put_many, &w[i]), 0);
    }
    for (unsigned i = 0; i < 64; i++)
        pthread_join(w[i].thread, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything),
        cmocka_unit_test_setup_teardown(test_many_puts, fixture_up, fixture_down),
    };

    return cmocka_run_group_tests_name("cache/threads", tests, NULL, NULL);
}
