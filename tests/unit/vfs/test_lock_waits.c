/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for a lock of another mount: turns, interrupts, deadlocks. */
#include "locktest.h"

/* The answer that comes although no poll does. */
static int answer_without_clock(struct waiting *x)
{
    lock_take(&x->lock);
    for (unsigned n = 0; n < 10500 && !x->is_done; n++)
        cond_wait_ms(&x->done, &x->lock, 10);
    return answered_with(x);
}

static void test_waiting(void **state)
{
    const struct vfs_lock one = posix(1, LOCK_TYPE_WRITE, 0, LOCK_END),
                          two = posix(2, LOCK_TYPE_WRITE, 0, LOCK_END);
    struct waiting there, here;
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "old");
    oa = open_at(&a, "f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(wait_for(&ob, &one, &there), VFS_LOCK_WAITS);
    assert_int_equal(wait_for(&oa, &two, &here), VFS_LOCK_WAITS);
    assert_true(is_waiting(&there) && is_waiting(&here));
    assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_int_equal(answer_without_clock(&here), 0); /* b polls only as the clock goes on */
    assert_true(is_waiting(&there));
    assert_int_equal(vfs_lock_close(a.vfs, oa.node, LOCK_POSIX, 2), 0);
    assert_int_equal(answer(&there), 0);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_READ), -EAGAIN);
    assert_int_equal(shut(&oa), 0);
    assert_int_equal(shut(&ob), 0);
}

static void test_interrupt_and_stop(void **state)
{
    const struct vfs_lock one = posix(1, LOCK_TYPE_WRITE, 0, LOCK_END);
    struct waiting first, second, late = {.w.done = answered};
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "old");
    oa = open_at(&a, "f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(wait_for(&ob, &one, &first), VFS_LOCK_WAITS);
    assert_int_equal(wait_for(&ob, &one, &second), VFS_LOCK_WAITS);
    vfs_lock_interrupt(b.vfs, &first.w);
    assert_int_equal(answer(&first), -EINTR);
    assert_true(is_waiting(&second));
    vfs_lock_interrupt(b.vfs, &late.w); /* the signal is faster than the wait */
    assert_int_equal(vfs_lock_set(b.vfs, ob.node, &one, &late.w), -EINTR);
    vfs_lock_stop(b.vfs);
    assert_int_equal(answer(&second), -EINTR);
    assert_int_equal(wait_for(&ob, &one, &first), -EINTR);
    assert_int_equal(shut(&oa), 0);
    assert_int_equal(shut(&ob), 0);
}

static void test_deadlock(void **state)
{
    const struct vfs_lock head1 = posix(1, LOCK_TYPE_WRITE, 0, 0),
                          head2 = posix(2, LOCK_TYPE_WRITE, 0, 0),
                          tail1 = posix(1, LOCK_TYPE_WRITE, 9, 9);
    struct waiting w, x;
    struct open f, g;

    (void)state;
    put_text(&a, "f", "old");
    put_text(&a, "g", "old");
    f = open_at(&a, "f", O_RDWR);
    g = open_at(&a, "g", O_RDWR);
    assert_int_equal(vfs_lock_set(a.vfs, f.node, &head1, NULL), 0);
    assert_int_equal(vfs_lock_set(a.vfs, g.node, &head2, NULL), 0);
    assert_int_equal(wait_for(&f, &head2, &w), VFS_LOCK_WAITS);
    assert_int_equal(wait_for(&g, &head1, &x), -EDEADLK);           /* over two files */
    assert_int_equal(vfs_lock_set(a.vfs, g.node, &tail1, NULL), 0); /* no circle */
    assert_int_equal(vfs_lock_close(a.vfs, f.node, LOCK_POSIX, 1), 0);
    assert_int_equal(answer(&w), 0);
    assert_int_equal(shut(&f), 0);
    assert_int_equal(shut(&g), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_waiting),
        T(test_interrupt_and_stop),
        T(test_deadlock),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
