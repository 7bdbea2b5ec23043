/* SPDX-License-Identifier: Apache-2.0 */
/* The operations on locks of docs/semantics.md. The file is open: that is another row's cost. */
#include "costs.h"

#include <errno.h>
#include <fcntl.h>

static uint64_t node;

static int set(struct rig *r, uint64_t owner, enum lock_type type)
{
    const struct vfs_lock l = {LOCK_POSIX, type, {0, LOCK_END}, owner, 1};

    return vfs_lock_set(r->vfs, node, &l, NULL);
}

int have_open(struct rig *r)
{
    struct vfs_entry e;
    uint64_t fh;
    int x = rig_put(r, "f", "hello world", 11);

    if (x == 0)
        x = rig_open_file(r, "f", O_RDWR, &fh);
    if (x == 0)
        x = rig_walk(r, "f", &e);
    node = x == 0 ? e.node : 0;
    return x;
}

int do_lock_unlock(struct rig *r)
{
    int x = set(r, 1, LOCK_TYPE_WRITE);

    return x < 0 ? x : set(r, 1, LOCK_TYPE_NONE);
}

int have_locked_once(struct rig *r)
{
    int x = have_open(r);

    return x < 0 ? x : do_lock_unlock(r);
}

int have_lock(struct rig *r)
{
    int x = have_open(r);

    return x < 0 ? x : set(r, 1, LOCK_TYPE_WRITE);
}

int do_lock_held_here(struct rig *r)
{
    int x = set(r, 2, LOCK_TYPE_READ);

    return x == -EAGAIN ? 0 : -EINVAL;
}
