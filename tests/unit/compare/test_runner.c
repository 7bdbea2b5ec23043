/* SPDX-License-Identifier: Apache-2.0 */
/* Steps in a real directory: what is damaged between two of them is found, and what was made is
 * removed. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/err.h"
#include "fs/compare/place.h"
#include "fs/compare/runner.h"
#include "fs/compare/stop.h"
#include "fs/compare/workload.h"

#define FILES 23

static char top[64];
static struct place place;
static struct options options;
static struct run_result result;

static int begin(void **state)
{
    (void)state;
    snprintf(top, sizeof(top), "/tmp/compare-test-XXXXXX");
    if (mkdtemp(top) == NULL)
        return -1;
    options =
        (struct options){.files = FILES, .reads = 3, .seed = 4, .sizes = {{4096, 100, 300000}, 3}};
    return place_make(top, 0, NULL, NULL, &place) == 0 && place_group_make(&place, 1) == 0 ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    return place_remove(&place) == 0 && rmdir(top) == 0 ? 0 : -1;
}

static uint64_t last_done, last_all;

static void on_progress(void *arg, uint64_t done, uint64_t all)
{
    (void)arg;
    assert_true(done <= all);
    last_done = done;
    last_all = all;
}

static int run(enum work work, unsigned concurrency, uint64_t size)
{
    struct step step = {
        .work = work, .group = 1, .size = size, .concurrency = concurrency, .files = options.files};
    struct run_job job = {
        .options = &options, .step = &step, .dir = place.path, .progress = on_progress};
    int r;

    step.is_tree = work == WORK_TREE || work == WORK_WALK || (work == WORK_REMOVE && size == 77);
    assert_int_equal(place_group_open(&place, 1, &job.dirfd), 0);
    r = runner_run(&job, &result);
    close(job.dirfd);
    return r;
}

static void path_of(uint64_t i, char out[256])
{
    char name[WORKLOAD_NAME_MAX];

    workload_name(options.seed, i, name);
    snprintf(out, 256, "%s/1/%s", place.path, name);
}

static void assert_fine(uint64_t writes, uint64_t reads)
{
    if (result.failed + result.wrong > 0)
        fail_msg("%s", result.first);
    assert_int_equal(result.took[RUN_WRITE].n, writes);
    assert_int_equal(result.took[RUN_READ].n, reads);
    assert_int_equal(last_done, last_all);
}

static void test_each_work_for_each_concurrency(void **state)
{
    static const unsigned at_once[] = {1, 2, 16, 64};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(run(WORK_UPLOAD, at_once[i], 5000), 0);
        assert_fine(FILES, 0);
        assert_int_equal(result.bytes[RUN_WRITE], FILES * 5000);
        assert_int_equal(run(WORK_READ, at_once[i], 5000), 0);
        assert_fine(0, FILES);
        assert_int_equal(result.bytes[RUN_READ], FILES * 5000);
        assert_int_equal(run(WORK_LIST, at_once[i], 5000), 0);
        assert_fine(0, at_once[i]);
        assert_int_equal(result.files[RUN_READ], at_once[i] * FILES);
        assert_int_equal(run(WORK_REMOVE, at_once[i], 5000), 0);
        assert_fine(FILES, 0);
        assert_int_equal(run(WORK_MIX, at_once[i], 0), 0);
        assert_fine(FILES, FILES * 3);
        assert_int_equal(run(WORK_REMOVE, at_once[i], 0), 0);
        assert_int_equal(run(WORK_TREE, at_once[i], 77), 0);
        assert_fine(FILES + 3, 0);
        assert_int_equal(run(WORK_WALK, at_once[i], 77), 0);
        assert_fine(0, 3);
        assert_int_equal(result.files[RUN_READ], FILES);
        assert_int_equal(run(WORK_REMOVE, at_once[i], 77), 0);
        assert_fine(FILES + 3, 0);
    }
}

static void flip(uint64_t i, off_t at)
{
    char path[256], byte;
    int fd;

    path_of(i, path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

static void resize(uint64_t i, off_t size)
{
    char path[256];

    path_of(i, path);
    assert_int_equal(truncate(path, size), 0);
}

static void assert_wrong(uint64_t wrong, const char *said)
{
    if (result.wrong != wrong || result.failed != 0 || strstr(result.first, said) == NULL)
        fail_msg("%d wrong, %d failed: %s", (int)result.wrong, (int)result.failed, result.first);
}

static void test_wrong_bytes_are_found_and_named(void **state)
{
    char path[256];

    (void)state;
    options.keep_going = true;
    assert_int_equal(run(WORK_UPLOAD, 2, 300001), 0);
    flip(5, 299999);
    assert_int_equal(run(WORK_READ, 2, 300001), 0);
    assert_wrong(1, "the byte at 299999");
    workload_name(options.seed, 5, path);
    assert_non_null(strstr(result.first, path));
    assert_int_equal(result.took[RUN_READ].n, FILES - 1);
    resize(7, 300000);
    assert_int_equal(run(WORK_READ, 4, 300001), 0);
    assert_int_equal(result.wrong, 2);
    flip(5, 299999);
    assert_int_equal(run(WORK_READ, 1, 300001), 0);
    assert_wrong(1, "shorter");
    resize(7, 300009);
    assert_int_equal(run(WORK_READ, 1, 300001), 0);
    assert_wrong(1, "the byte at 300000");
    assert_int_equal(run(WORK_LIST, 1, 300001), 0);
    assert_wrong(1, "another size");
    assert_int_equal(run(WORK_REMOVE, 1, 300001), 0);

    assert_int_equal(run(WORK_UPLOAD, 1, 1000), 0);
    resize(2, 1001);
    assert_int_equal(run(WORK_READ, 1, 1000), 0);
    assert_wrong(1, "longer");
    resize(2, 1000);
    assert_int_equal(run(WORK_READ, 1, 1000), 0);
    assert_fine(0, FILES);
}

static void test_a_wrong_listing_is_found(void **state)
{
    char path[256], other[256];

    (void)state;
    options.keep_going = true;
    assert_int_equal(run(WORK_UPLOAD, 3, 10), 0);
    path_of(3, path);
    snprintf(other, sizeof(other), "%s/1/foreign", place.path);
    assert_int_equal(rename(path, other), 0);
    assert_int_equal(run(WORK_LIST, 1, 10), 0);
    assert_wrong(1, "not put there");
    assert_int_equal(unlink(other), 0);
    assert_int_equal(run(WORK_LIST, 1, 10), 0);
    assert_wrong(1, "22 files are listed, 23 were written");
}

static void test_a_failed_call_ends_the_step_or_is_counted(void **state)
{
    char path[256];

    (void)state;
    assert_int_equal(run(WORK_UPLOAD, 1, 10), 0);
    for (uint64_t i = 4; i < 8; i++) {
        path_of(i, path);
        assert_int_equal(unlink(path), 0);
    }
    assert_int_equal(run(WORK_READ, 1, 10), 0);
    assert_int_equal(result.failed, 1);
    assert_int_equal(result.took[RUN_READ].n, 4);
    assert_non_null(strstr(result.first, "open: No such file"));
    options.keep_going = true;
    assert_int_equal(run(WORK_READ, 4, 10), 0);
    assert_int_equal(result.failed, 4);
    assert_int_equal(result.took[RUN_READ].n, FILES - 4);
    /* nothing that is there is written over */
    assert_int_equal(run(WORK_UPLOAD, 4, 20), 0);
    assert_int_equal(result.failed, FILES - 4);
    assert_non_null(strstr(result.first, "File exists"));
}

static void test_a_signal_ends_it(void **state)
{
    (void)state;
    stop_install();
    assert_int_equal(stop_signal(), 0);
    assert_int_equal(raise(SIGTERM), 0);
    assert_int_equal(stop_signal(), SIGTERM);
    assert_int_equal(run(WORK_UPLOAD, 4, 10), -EINTR);
    assert_int_equal(result.failed, 0);
    stop_install();
    assert_int_equal(stop_signal(), 0);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
}

static int n_found;

static void on_found(void *arg, const char *path)
{
    assert_ptr_equal(arg, top);
    assert_non_null(strstr(path, PLACE_NAME));
    n_found++;
}

static void test_places(void **state)
{
    char path[256], inner[300];
    struct place second, none = {.fd = -1};

    (void)state;
    n_found = 0;
    assert_int_equal(place_make(top, 1000, on_found, top, &second), 0);
    assert_int_equal(n_found, 1);
    assert_string_not_equal(second.path, place.path);
    snprintf(path, sizeof(path), "%s", second.path);
    assert_int_equal(place_group_make(&second, 1), 0);
    assert_int_equal(place_group_make(&second, 2), 0);
    assert_int_equal(place_group_make(&second, 2), -EEXIST);
    snprintf(inner, sizeof(inner), "%s/2/deep", path);
    assert_int_equal(mkdir(inner, 0755), 0);
    snprintf(inner, sizeof(inner), "%s/2/deep/link", path);
    assert_int_equal(symlink(top, inner), 0); /* is removed, not followed */
    assert_int_equal(place_group_remove(&second, 1), 0);
    assert_int_equal(place_remove(&second), 0);
    assert_null(second.path);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(access(place.path, F_OK), 0);
    assert_int_equal(place_remove(&none), 0);
    assert_int_equal(place_make(top, UINT64_MAX, NULL, NULL, &none), -ENOSPC);
    assert_int_equal(place_make("/not/there", 0, NULL, NULL, &none), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_each_work_for_each_concurrency, begin, end),
        cmocka_unit_test_setup_teardown(test_wrong_bytes_are_found_and_named, begin, end),
        cmocka_unit_test_setup_teardown(test_a_wrong_listing_is_found, begin, end),
        cmocka_unit_test_setup_teardown(test_a_failed_call_ends_the_step_or_is_counted, begin, end),
        cmocka_unit_test_setup_teardown(test_a_signal_ends_it, begin, end),
        cmocka_unit_test_setup_teardown(test_places, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
