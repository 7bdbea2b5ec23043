/* SPDX-License-Identifier: Apache-2.0 */
/* Two mounts that lock: a's daemon dies and is followed by another (option takeover), b watches. */
#ifndef S3EFS_TESTS_TAKELOCKS_H
#define S3EFS_TESTS_TAKELOCKS_H

#include "locktest.h"

#include <unistd.h>

static uint64_t last_unique = 1000;

static inline int keeping_setup(void **state)
{
    int r;

    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    rig_set_keeps(true);
    r = rig_open(&a, NULL);
    rig_set_keeps(false);
    if (r == 0)
        r = rig_join(&b, &a, NULL);
    rig_set_keeps(true);
    return r;
}

static inline int keeping_teardown(void **state)
{
    rig_set_keeps(false);
    return teardown(state);
}

/* A call of the kernel's to a begins; it has ended, and is answered. */
static inline void call_begins(void)
{
    vfs_keep_begin(a.vfs, ++last_unique);
}

static inline int answered_call(int r)
{
    const int32_t error = r;

    vfs_keep_reply(a.vfs, last_unique, &error, sizeof(error));
    return r;
}

static inline struct open open_kept(const char *path, int flags)
{
    struct open o;

    call_begins();
    o = open_at(&a, path, flags);
    answered_call(0);
    return o;
}

static inline int lock_kept(const struct open *o, const struct vfs_lock *l)
{
    call_begins();
    return answered_call(vfs_lock_set(a.vfs, o->node, l, NULL));
}

static inline int set_kept(const struct open *o, uint64_t owner, enum lock_type type)
{
    const struct vfs_lock l = posix(owner, type, 0, LOCK_END);

    return lock_kept(o, &l);
}

static inline void write_kept(const struct open *o, uint64_t off, const char *text)
{
    call_begins();
    write_text(&a, o->fh, off, text);
    answered_call(0);
}

static inline int fsync_kept(const struct open *o)
{
    call_begins();
    return answered_call(vfs_fsync(a.vfs, o->fh));
}

/* close(2) by this owner, whose descriptor it was. */
static inline int close_kept(const struct open *o, uint64_t owner)
{
    int r, unlocked;

    call_begins();
    r = vfs_flush(a.vfs, &a.ctx, o->fh);
    unlocked = vfs_lock_close(a.vfs, o->node, LOCK_POSIX, owner);
    answered_call(r);
    call_begins();
    vfs_release(a.vfs, o->fh);
    answered_call(0);
    return r != 0 ? r : unlocked;
}

static inline void die(void)
{
    assert_int_equal(rig_crash(&a), 0);
}

#define K(f) cmocka_unit_test_setup_teardown(f, keeping_setup, keeping_teardown)

#endif
