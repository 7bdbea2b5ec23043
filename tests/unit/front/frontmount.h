/* SPDX-License-Identifier: Apache-2.0 */
/* A real mount of front/ over the fake vfs, its loop running. */
#ifndef S3EFS_TESTS_FRONTMOUNT_H
#define S3EFS_TESTS_FRONTMOUNT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include "base/err.h"
#include "base/log.h"
#include "base/macros.h"
#include "fakevfs.h"
#include "fs/front/internal.h"

static struct {
    struct vfs vfs;
    struct front *front;
    pthread_t loop;
    bool looping;
    char dir[64];
    int ready; /* under vfs.lock */
} t;

static inline void on_ready(void *arg)
{
    (void)arg;
    lock_take(&t.vfs.lock);
    t.ready++;
    lock_drop(&t.vfs.lock);
}

static inline void *loop_main(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)front_run(t.front);
}

static inline int start(bool drops_names)
{
    struct front_conf conf = {.mountpoint = t.dir, .source = "s3://b,ucket/a\\b", .subtype = "s3efs",
                              .allow_other = true, .default_permissions = true, .threads = 8,
                              .posix_locks = true, .flock_locks = true,
                              .extra_options = "noexec,noatime", .drops_names = drops_names, .ready = on_ready};

    strcpy(t.dir, "/tmp/s3efs-test-XXXXXX");
    if (mkdtemp(t.dir) == NULL)
        return -1;
    t.ready = 0;
    fake_init(&t.vfs);
    if (front_new(&conf, &t.front) < 0 || front_start(t.front, &t.vfs) < 0) {
        fprintf(stderr, "%s\n", err_text());
        return -1;
    }
    t.looping = pthread_create(&t.loop, NULL, loop_main, NULL) == 0;
    return t.looping ? 0 : -1;
}

static inline int set_up(void **state)
{
    (void)state;
    return start(false);
}

static inline int set_up_older(void **state)
{
    (void)state;
    return start(true);
}

static inline int join_loop(void)
{
    void *result;

    pthread_join(t.loop, &result);
    t.looping = false;
    return (int)(intptr_t)result;
}

static inline int tear_down(void **state)
{
    int r = 0;

    (void)state;
    if (t.looping) {
        if (umount2(t.dir, 0) < 0)
            return -1;
        r = join_loop();
    }
    front_free(t.front);
    t.front = NULL;
    fake_done(&t.vfs);
    return r == 0 && rmdir(t.dir) == 0 ? 0 : -1; /* rmdir: nothing is mounted any more */
}

static inline const char *in(const char *name)
{
    static _Thread_local char path[2][128];
    static _Thread_local int i;

    i = !i;
    snprintf(path[i], sizeof(path[i]), "%s/%s", t.dir, name);
    return path[i];
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

static inline int run(const struct CMUnitTest *tests, size_t n)
{
    if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0) {
        printf("SKIP: needs root and /dev/fuse\n");
        return 77;
    }
    log_open(LOG_TO_STDERR, LOG_LV_INFO);
    return _cmocka_run_group_tests("tests", tests, n, NULL, NULL);
}

#endif
