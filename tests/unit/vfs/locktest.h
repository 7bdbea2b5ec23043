/* SPDX-License-Identifier: Apache-2.0 */
/* Two mounts that lock and wait. */
#ifndef S3EFS_TESTS_LOCKTEST_H
#define S3EFS_TESTS_LOCKTEST_H

#include "twomounts.h"

#include <pthread.h>

#include "base/lock.h"

struct open {
    struct rig *r;
    uint64_t fh, node;
};

static inline struct open open_at(struct rig *r, const char *path, int flags)
{
    struct open o = {.r = r};
    struct vfs_entry e;

    o.fh = open_text(r, path, flags);
    assert_int_equal(rig_walk(r, path, &e), 0);
    o.node = e.node;
    return o;
}

static inline int shut(struct open *o)
{
    int x = rig_shut(o->r, o->fh);

    vfs_forget(o->r->vfs, o->node, 1);
    return x;
}

static inline struct vfs_lock posix(uint64_t owner, enum lock_type type, uint64_t start,
                                    uint64_t end)
{
    return (struct vfs_lock){LOCK_POSIX, type, {start, end}, owner, (int)owner};
}

static inline int set(const struct open *o, uint64_t owner, enum lock_type type)
{
    const struct vfs_lock l = posix(owner, type, 0, LOCK_END);

    return vfs_lock_set(o->r->vfs, o->node, &l, NULL);
}

/* --- who waits --- */
struct waiting {
    struct vfs_lock_wait w;
    struct lock lock;
    struct cond done;
    bool is_done;
    int result;
};

static inline void answered(struct vfs_lock_wait *w, int r)
{
    struct waiting *x = (struct waiting *)(void *)w;

    lock_take(&x->lock);
    x->is_done = true;
    x->result = r;
    cond_signal(&x->done);
    lock_drop(&x->lock);
}

static inline int wait_for(const struct open *o, const struct vfs_lock *l, struct waiting *x)
{
    *x = (struct waiting){.w.done = answered};
    lock_init(&x->lock, LOCK_LEAF);
    cond_init(&x->done);
    return vfs_lock_set(o->r->vfs, o->node, l, &x->w);
}

static inline int answered_with(struct waiting *x)
{
    int r;

    assert_true(x->is_done);
    r = x->result;
    lock_drop(&x->lock);
    lock_done(&x->lock);
    cond_done(&x->done);
    return r;
}

/* The answer; the clock goes on meanwhile, so that polls come due, but by less than a lease: first
 * as fast as real time, then slower, for a machine that is slow. */
static inline int answer(struct waiting *x)
{
    lock_take(&x->lock);
    for (unsigned n = 0; n < 10500 && !x->is_done; n++) {
        clock_fake_add(n < 500 ? 10 * NS_PER_MS : NS_PER_MS);
        cond_wait_ms(&x->done, &x->lock, 10);
    }
    return answered_with(x);
}

static inline bool is_waiting(struct waiting *x)
{
    bool is;

    lock_take(&x->lock);
    is = !x->is_done;
    lock_drop(&x->lock);
    return is;
}

#endif
