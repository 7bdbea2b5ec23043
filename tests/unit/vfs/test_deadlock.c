/* SPDX-License-Identifier: Apache-2.0 */
/* Circles of waits for byte ranges: found however long they are, and looked for in a time that does
 * not grow with the number of chains. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>

#define MANY 64
#define LEVELS 40 /* two chains go on at each: 2^40 in all */

static struct vfs_lock_wait waits[2 * MANY + 2];
static unsigned n_waits;
static uint64_t fh, node;

static void answered(struct vfs_lock_wait *w, int r)
{
    (void)w;
    (void)r;
}

static int lock_byte(uint64_t owner, enum lock_type type, uint64_t at, struct vfs_lock_wait *w)
{
    const struct vfs_lock l = {LOCK_POSIX, type, {at, at}, owner, (int)owner};

    return vfs_lock_set(rig.vfs, node, &l, w);
}

static int wait_for(uint64_t owner, uint64_t at)
{
    struct vfs_lock_wait *w = &waits[n_waits++];

    *w = (struct vfs_lock_wait){.done = answered};
    return lock_byte(owner, LOCK_TYPE_WRITE, at, w);
}

static void open_file(void)
{
    struct vfs_entry e;

    n_waits = 0;
    assert_int_equal(rig_put(&rig, "f", "text", 4), 0);
    assert_int_equal(rig_open_file(&rig, "f", O_RDWR, &fh), 0);
    assert_int_equal(rig_walk(&rig, "f", &e), 0);
    node = e.node;
}

static void shut_file(void)
{
    vfs_lock_stop(rig.vfs);
    assert_int_equal(rig_shut(&rig, fh), 0);
    vfs_forget(rig.vfs, node, 1);
}

/* Everybody holds a byte and waits for the next one's; the last waits for the first. */
static void long_circle(void **state)
{
    (void)state;
    open_file();
    for (uint64_t n = 0; n < MANY; n++)
        assert_int_equal(lock_byte(n + 1, LOCK_TYPE_WRITE, n, NULL), 0);
    for (uint64_t n = 0; n + 1 < MANY; n++)
        assert_int_equal(wait_for(n + 1, n + 1), VFS_LOCK_WAITS);
    assert_int_equal(wait_for(MANY, 0), -EDEADLK);
    shut_file();
}

/* Each byte is read by two, and both wait for the next byte. Nobody closes a circle, but one who
 * follows every chain never comes to an end. */
static void many_chains(void **state)
{
    (void)state;
    open_file();
    for (uint64_t n = 0; n < 2 * LEVELS; n++)
        assert_int_equal(lock_byte(n + 1, LOCK_TYPE_READ, n / 2, NULL), 0);
    for (uint64_t n = 2 * LEVELS; n-- > 2;)
        assert_int_equal(wait_for(n - 1, n / 2), VFS_LOCK_WAITS);
    assert_int_equal(wait_for(2 * LEVELS + 1, 0), VFS_LOCK_WAITS);
    assert_int_equal(wait_for(2 * LEVELS, 0), -EDEADLK);
    shut_file();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(long_circle),
        T(many_chains),
    };

    return cmocka_run_group_tests_name("vfs/deadlock", tests, NULL, NULL);
}
