/* SPDX-License-Identifier: Apache-2.0 */
/* One mount with a takeover table: the kernel's calls with their numbers and answers, and the daemon's death. */
#ifndef S3EFS_TESTS_KEEPMOUNT_H
#define S3EFS_TESTS_KEEPMOUNT_H

#include "onemount.h"

#include <pthread.h>

static inline int keeping_setup(void **state)
{
    rig_set_keeps(true);
    return setup(state);
}

static inline int keeping_teardown(void **state)
{
    rig_set_keeps(false);
    return teardown(state);
}

static uint64_t last_unique = 1000;

/* A call of the kernel's begins; it has ended, and is answered. */
static inline void begin(void)
{
    vfs_keep_begin(rig.vfs, ++last_unique);
}

static inline void answer(void)
{
    const int32_t ok = 0;

    vfs_keep_reply(rig.vfs, last_unique, &ok, sizeof(ok));
}

static inline uint64_t creat_answered(const char *path, int flags)
{
    uint64_t fh;

    begin();
    assert_int_equal(rig_creat(&rig, path, flags, 0644, &fh), 0);
    answer();
    return fh;
}

static inline void write_answered(uint64_t fh, uint64_t off, const char *text)
{
    begin();
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, off, text, strlen(text)), strlen(text));
    answer();
}

static inline int flush(uint64_t fh)
{
    int r;

    begin();
    r = vfs_flush(rig.vfs, &rig.ctx, fh);
    answer();
    return r;
}

static inline void die(void)
{
    assert_int_equal(rig_crash(&rig), 0);
    memstore_count_reset(rig.store);
}

/* Another call's answer: what changed so far is written down, of all calls. */
static inline void *answer_another(void *arg)
{
    (void)arg;
    vfs_keep_begin(rig.vfs, 7);
    vfs_keep_reply(rig.vfs, 7, NULL, 0);
    return NULL;
}

static inline void others_are_answered(void)
{
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, answer_another, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

#define K(f) cmocka_unit_test_setup_teardown(f, keeping_setup, keeping_teardown)

#endif
