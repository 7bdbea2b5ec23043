/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/sys.h"
#include "base/workq.h"

struct item {
    struct map_link link;
    unsigned value;
};

static void count(struct map_link *l, void *arg)
{
    (void)l;
    ++*(unsigned *)arg;
}

static void map_holds_all(void **state)
{
    static struct item items[1000];
    struct map m;
    unsigned n = 0;

    (void)state;
    assert_int_equal(map_init(&m), 0);
    for (unsigned i = 0; i < 1000; i++) {
        items[i].value = i;
        map_insert(&m, &items[i].link, i % 300); /* chains of equal hashes */
    }
    assert_int_equal(m.n, 1000);
    for (unsigned i = 0; i < 1000; i += 2)
        map_remove(&m, &items[i].link);
    assert_int_equal(m.n, 500);
    for (unsigned h = 0; h < 300; h++) {
        for (struct map_link *l = map_first(&m, h); l != NULL; l = map_next(l)) {
            struct item *it = container_of(l, struct item, link);

            assert_int_equal(it->value % 300, h);
            assert_int_equal(it->value % 2, 1);
            n++;
        }
    }
    assert_int_equal(n, 500);
    n = 0;
    map_each(&m, count, &n);
    assert_int_equal(n, 500);
    map_done(&m);
}

struct job {
    struct work w;
    enum origin origin; /* of the thread that runs it */
    atomic_uint *ran;
    atomic_uint *cancelled;
};

static void run(struct work *w, bool cancelled)
{
    struct job *j = container_of(w, struct job, w);

    j->origin = origin_get();
    atomic_fetch_add(cancelled ? j->cancelled : j->ran, 1);
}

static void workq_runs_all(void **state)
{
    static struct job jobs[1002];
    atomic_uint ran = 0, cancelled = 0;
    struct workq *q;

    (void)state;
    assert_int_equal(workq_new("test", 4, &q), 0);
    for (unsigned i = 0; i < 1002; i++) {
        jobs[i] = (struct job){.w.run = run, .ran = &ran, .cancelled = &cancelled};
        (void)origin_set(i % 2 == 0 ? ORIGIN_READ : ORIGIN_OPEN);
        if (i < 1000)
            workq_add(q, &jobs[i].w);
    }
    (void)origin_set(ORIGIN_OTHER);
    workq_add_after(q, &jobs[1000].w, NS_PER_MS);
    workq_add_after(q, &jobs[1001].w, 3600 * NS_PER_S);
    while (atomic_load(&ran) < 1001)
        usleep(1000);
    workq_free(q);
    assert_int_equal(ran, 1001);
    assert_int_equal(cancelled, 1);
    for (unsigned i = 0; i < 1000; i++) /* who runs it works for the one who added it */
        assert_int_equal(jobs[i].origin, i % 2 == 0 ? ORIGIN_READ : ORIGIN_OPEN);
}

static void files(void **state)
{
    char dir[] = "/tmp/s3efs-sys-XXXXXX", path[64], *text;
    size_t n;
    int fd;

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/a/b/c", dir);
    assert_int_equal(sys_mkdirs(path, 0700), 0);
    assert_int_equal(sys_mkdirs(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/a/b/f", dir);
    fd = sys_open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(sys_pwrite_all(fd, "hello", 5, 3), 0);
    assert_int_equal(sys_read_file(path, 100, &text, &n), 0);
    assert_int_equal(n, 8);
    assert_memory_equal(text, "\0\0\0hello", 8);
    free(text);
    assert_int_equal(sys_read_file(path, 7, &text, &n), -EFBIG);
    assert_int_equal(sys_pread_all(fd, path, 9, 0), -EIO);
    close(fd);
    snprintf(path, sizeof(path), "%s/a/b/f/x", dir);
    assert_int_equal(sys_mkdirs(path, 0700), -ENOTDIR);
    assert_int_equal(sys_unlink("/nonexistent/file"), -ENOENT);
    snprintf(path, sizeof(path), "%s/a/b/f", dir);
    assert_int_equal(sys_unlink(path), 0);
    snprintf(path, sizeof(path), "%s/a/b/c", dir);
    rmdir(path);
    path[strlen(path) - 2] = '\0';
    rmdir(path);
    path[strlen(path) - 2] = '\0';
    rmdir(path);
    assert_int_equal(rmdir(dir), 0);
}

static void timed_wait(void **state)
{
    int64_t end = clock_boot_ns() + 5 * NS_PER_MS;
    struct lock lk;
    struct cond c;
    int r;

    (void)state;
    lock_init(&lk, LOCK_LEAF);
    cond_init(&c);
    lock_take(&lk);
    do { /* POSIX lets it wake for no reason */
        r = cond_wait_ms(&c, &lk, 5);
    } while (r == 0 && clock_boot_ns() < end + 60 * NS_PER_S);
    assert_int_equal(r, -ETIMEDOUT);
    assert_true(clock_boot_ns() >= end);
    lock_drop(&lk);
    cond_done(&c);
    lock_done(&lk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(map_holds_all),
        cmocka_unit_test(workq_runs_all),
        cmocka_unit_test(files),
        cmocka_unit_test(timed_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
