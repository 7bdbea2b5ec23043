/* SPDX-License-Identifier: Apache-2.0 */
/* Every call to the disk fails once, and once for good: nothing wrong is read, staged bytes are not
 * lost, and the next start is a good one. Needs --enable-fault-injection. */
#include "cachetest.h"

#include <errno.h>
#include <fcntl.h>

#include "base/err.h"
#include "base/sys.h"

#define SIZE (2u * CACHE_BLOCK + 99u)

#ifdef S3EFS_FAULTS

/* Stages bytes and keeps them; what fails is tried again when the disk is well. */
static void stage_and_keep(struct cache *c)
{
    struct cache_stage *s;
    uint8_t buf[1000];
    char *path = NULL;
    int fd, r;

    r = cache_stage_new(c, &s);
    if (r < 0) {
        assert_true(err_text()[0] != '\0');
        return;
    }
    pattern_fill(5, 0, buf, sizeof(buf));
    assert_int_equal(pwrite(cache_stage_fd(s), buf, sizeof(buf), 0), (ssize_t)sizeof(buf));
    r = cache_stage_keep(s, "kept", "fault", &path);
    if (r < 0) {
        assert_null(path);
        for (int kind = 0; kind < SYS_KINDS; kind++)
            sys_fault_set((enum sys_kind)kind, 0, 0, false);
        assert_int_equal(cache_stage_keep(s, "kept", "fault", &path), 0);
    }
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(read(fd, buf, sizeof(buf)), (ssize_t)sizeof(buf));
    assert_true(pattern_is(5, 0, buf, sizeof(buf)));
    close(fd);
    free(path);
}

static void adopt(struct cache *c)
{
    struct store_etag etag = etag_of(3);
    struct cache_id id = {.key = "adopted", .etag = &etag, .size = 1000};
    struct cache_stage *s;
    uint8_t buf[1000];

    if (cache_stage_new(c, &s) < 0)
        return;
    pattern_fill(3, 0, buf, sizeof(buf));
    if (cache_stage_reserve(s, sizeof(buf)) == 0)
        assert_int_equal(pwrite(cache_stage_fd(s), buf, sizeof(buf), 0), (ssize_t)sizeof(buf));
    cache_stage_adopt(s, &id);
}

static void check(struct cache *c)
{
    struct cache_obj o;

    read_good(c, "a", 1, SIZE);
    read_good(c, "b", 2, SIZE);
    read_good(c, "adopted", 3, 1000);
    if (cache_obj_get(c, "a", &o) == 0) {
        assert_string_equal(o.obj.etag.s, etag_of(2).s);
        cache_obj_done(&o);
    }
}

static void everything(struct cache *c)
{
    write_whole(c, "a", 1, SIZE);
    put_obj(c, "a", 2, SIZE, 1, 1);
    check(c);
    write_whole(c, "b", 2, SIZE);
    adopt(c);
    stage_and_keep(c);
    cache_drop_blocks(c, "b", &(struct store_etag){.s = "etag-2"});
    check(c);
}

/* One run with one fault; true if it was met. */
static bool run_with(enum sys_kind kind, uint64_t nth, bool persistent)
{
    struct cache_conf conf = {.source = SOURCE};
    struct cache *c = NULL;
    char dir[PATH_MAX];
    uint64_t before;
    bool met;
    int r;

    scratch_make(dir);
    conf.dir = dir;
    c = cache_open_at(dir, 0);
    put_obj(c, "a", 1, SIZE, 1, 1);
    cache_obj_drop(c, "a");
    cache_close(c);
    before = sys_fault_calls(kind);
    sys_fault_set(kind, nth, kind == SYS_READ ? EIO : ENOSPC, persistent);
    c = NULL;
    r = cache_new(&conf, &c);
    if (r == 0)
        r = cache_start(c);
    if (r == 0)
        everything(c);
    else
        assert_true(err_text()[0] != '\0');
    cache_free(c);
    met = sys_fault_calls(kind) - before >= nth;
    for (int k = 0; k < SYS_KINDS; k++)
        sys_fault_set((enum sys_kind)k, 0, 0, false);
    c = cache_open_at(dir, 0);
    check(c);
    everything(c);
    assert_int_equal(read_good(c, "a", 1, SIZE), SIZE);
    assert_int_equal(read_good(c, "adopted", 3, 1000), 1000);
    cache_close(c);
    scratch_remove(dir);
    return met;
}

static void test_every_call(void **state)
{
    (void)state;
    for (int kind = 0; kind < SYS_KINDS; kind++)
        for (int persistent = 0; persistent < 2; persistent++) {
            uint64_t n = 1;

            while (n < 200 && run_with((enum sys_kind)kind, n, persistent != 0))
                n++;
            print_message("kind %d: %d calls\n", kind, (int)n - 1);
            assert_true(n > 1 && n < 200);
        }
}
#endif

int main(void)
{
#ifdef S3EFS_FAULTS
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_call)};

    return cmocka_run_group_tests_name("cache/faults", tests, NULL, NULL);
#else
    printf("SKIP: disk faults need configure --enable-fault-injection\n");
    return 77;
#endif
}
