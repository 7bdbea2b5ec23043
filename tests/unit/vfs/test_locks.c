/* SPDX-License-Identifier: Apache-2.0 */
/* Locks between two mounts: exclusion, handing over, close; and that no update is lost. */
#include "locktest.h"

static int set_flock(const struct open *o, uint64_t owner, enum lock_type type)
{
    const struct vfs_lock l = {LOCK_FLOCK, type, {0, LOCK_END}, owner, 0};

    return vfs_lock_set(o->r->vfs, o->node, &l, NULL);
}

static void test_exclusion(void **state)
{
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_at(&a, "f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&oa, 2, LOCK_TYPE_READ), -EAGAIN);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_READ), -EAGAIN);
    assert_int_equal(set_flock(&ob, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_READ), 0); /* weaker */
    assert_int_equal(set(&oa, 2, LOCK_TYPE_READ), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_READ), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(set(&oa, 2, LOCK_TYPE_NONE), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0); /* an upgrade */
    assert_int_equal(set(&oa, 1, LOCK_TYPE_READ), -EAGAIN);
    assert_int_equal(shut(&oa), 0);
    assert_int_equal(shut(&ob), 0);
}

static void test_ranges(void **state)
{
    struct open oa, ob;
    struct vfs_lock l;

    (void)state;
    put_text(&a, "f", "0123456789");
    oa = open_at(&a, "f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    l = posix(1, LOCK_TYPE_WRITE, 0, 4);
    assert_int_equal(vfs_lock_set(a.vfs, oa.node, &l, NULL), 0);
    l = posix(1, LOCK_TYPE_WRITE, 4, 9);
    assert_int_equal(vfs_lock_set(b.vfs, ob.node, &l, NULL), -EAGAIN);
    l = posix(1, LOCK_TYPE_WRITE, 5, 9);
    assert_int_equal(vfs_lock_set(b.vfs, ob.node, &l, NULL), 0);
    l = posix(7, LOCK_TYPE_READ, 3, LOCK_END);
    assert_int_equal(vfs_lock_get(a.vfs, oa.node, &l), 0); /* a holder here */
    assert_int_equal(l.type, LOCK_TYPE_WRITE);
    assert_int_equal(l.pid, 1);
    assert_int_equal(l.range.end, 4);
    l = posix(7, LOCK_TYPE_READ, 6, LOCK_END);
    assert_int_equal(vfs_lock_get(a.vfs, oa.node, &l), 0); /* one there */
    assert_int_equal(l.type, LOCK_TYPE_WRITE);
    assert_int_equal(l.pid, 0);
    assert_int_equal(l.range.start, 5);
    l = posix(7, LOCK_TYPE_WRITE, 10, LOCK_END);
    assert_int_equal(vfs_lock_get(a.vfs, oa.node, &l), 0);
    assert_int_equal(l.type, LOCK_TYPE_NONE);
    assert_int_equal(shut(&oa), 0);
    assert_int_equal(shut(&ob), 0);
}

/* A lock's taker reads what the one before him wrote, through a descriptor that was open all along.
 */
static void test_handover(void **state)
{
    struct open oa, ob;
    char buf[8] = {0};

    (void)state;
    put_text(&a, "f", "old");
    oa = open_at(&a, "f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(vfs_read(b.vfs, ob.fh, 0, buf, sizeof(buf)), 3);
    write_text(&a, oa.fh, 0, "new");
    assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_object("f", "new"); /* given up after it was committed */
    assert_int_equal(set(&ob, 1, LOCK_TYPE_READ), 0);
    assert_int_equal(vfs_read(b.vfs, ob.fh, 0, buf, sizeof(buf)), 3);
    assert_string_equal(buf, "new");
    assert_int_equal(shut(&oa), 0);
    assert_int_equal(shut(&ob), 0);
}

/* Another process opened the file when it had changed elsewhere, so the name has a new node; who
 * has the old one open and locks it works on the same file all the same. */
static void test_superseded(void **state)
{
    struct open old, new, ob;
    char buf[8] = {0};

    (void)state;
    put_text(&a, "f", "one");
    old = open_at(&a, "f", O_RDWR);
    assert_int_equal(vfs_read(a.vfs, old.fh, 0, buf, 1), 1);
    put_text(&b, "f", "two");
    new = open_at(&a, "f", O_RDWR);
    assert_int_not_equal(old.node, new.node);
    assert_int_equal(set(&new, 2, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&old, 1, LOCK_TYPE_WRITE), -EAGAIN);
    write_text(&a, new.fh, 0, "six");
    assert_int_equal(set(&new, 2, LOCK_TYPE_NONE), 0);
    assert_int_equal(set(&old, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(vfs_read(a.vfs, old.fh, 0, buf, sizeof(buf)), 3);
    assert_string_equal(buf, "six");
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(set(&old, 1, LOCK_TYPE_NONE), 0);
    assert_int_equal(shut(&old), 0);
    assert_int_equal(shut(&new), 0);
    assert_int_equal(shut(&ob), 0);
}

/* A file that is locked here now and then keeps its node: an open is not ESTALE for it. */
static void test_locked_file_keeps_its_node(void **state)
{
    struct open first, second;
    char buf[8] = {0};

    (void)state;
    put_text(&a, "f", "one");
    first = open_at(&a, "f", O_RDWR);
    assert_int_equal(set(&first, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&first, 1, LOCK_TYPE_NONE), 0);
    put_text(&b, "f", "two");
    second = open_at(&a, "f", O_RDWR);
    assert_int_equal(first.node, second.node);
    assert_int_equal(vfs_read(a.vfs, first.fh, 0, buf, sizeof(buf)), 3);
    assert_string_equal(buf, "two");
    clock_fake_add(10 * NS_PER_S);
    put_text(&b, "f", "six");
    assert_int_equal(shut(&second), 0);
    second = open_at(&a, "f", O_RDWR); /* the same where the lookup finds out */
    assert_int_equal(first.node, second.node);
    assert_int_equal(shut(&first), 0);
    assert_int_equal(shut(&second), 0);
}

/* One node of a knows the file by its key, another by the id that it has got since. */
static void two_nodes(const char *path, struct open *old, struct open *new)
{
    assert_int_equal(memstore_put(a.store, path, "one", 3, NULL, NULL), 0);
    *old = open_at(&a, path, O_RDWR);
    assert_int_equal(rig_chmod(&b, path, 0600), 0); /* writes the id down */
    assert_int_equal(append_text(&b, path, "two"), 0);
    *new = open_at(&a, path, O_RDWR);
    assert_int_not_equal(old->node, new->node);
}

static void test_one_lockfile(void **state)
{
    struct open old, new;

    (void)state;
    two_nodes("f", &old, &new);
    assert_int_equal(set(&new, 2, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&new, 2, LOCK_TYPE_NONE), 0);
    assert_int_equal(set(&old, 1, LOCK_TYPE_WRITE), 0); /* by the key, and finds the id */
    assert_int_equal(set(&new, 2, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(vfs_lock_close(a.vfs, old.node, LOCK_POSIX, 1), 0);
    assert_int_equal(set(&new, 2, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&old, 1, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(shut(&old), 0);
    assert_int_equal(shut(&new), 0);
    two_nodes("g", &old, &new);
    assert_int_equal(set(&new, 2, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&old, 1, LOCK_TYPE_WRITE), -EAGAIN); /* the id is in use */
    assert_int_equal(set(&new, 2, LOCK_TYPE_NONE), 0);
    assert_int_equal(set(&old, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&new, 2, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(shut(&old), 0);
    assert_int_equal(shut(&new), 0);
}

/* --- the kernel is told by another call, which has not come back yet --- */
static struct {
    struct lock lock;
    struct cond changed;
    unsigned n;
    bool is_held;
} told;

static void on_invalidation(struct rig *r, uint64_t node)
{
    (void)r;
    (void)node;
    lock_take(&told.lock);
    told.n++;
    cond_broadcast(&told.changed);
    while (told.n == 1 && told.is_held)
        cond_wait(&told.changed, &told.lock);
    lock_drop(&told.lock);
}

static void *open_other(void *arg)
{
    uint64_t *fh = arg;

    assert_int_equal(rig_open_file(&a, "f", O_RDWR, fh), 0);
    return NULL;
}

/* Its pages are gone when the lock is granted, whoever found out that they are old. */
static void test_kernel_is_told_first(void **state)
{
    pthread_t thread;
    struct open oa;
    uint64_t fh = 0;
    char buf[8];

    (void)state;
    put_text(&a, "f", "one");
    oa = open_at(&a, "f", O_RDWR);
    assert_int_equal(vfs_read(a.vfs, oa.fh, 0, buf, sizeof(buf)), 3);
    put_text(&b, "f", "two");
    lock_init(&told.lock, LOCK_LEAF);
    cond_init(&told.changed);
    told.n = 0;
    told.is_held = true;
    rig_set_on_invalidation(on_invalidation);
    assert_int_equal(pthread_create(&thread, NULL, open_other, &fh), 0);
    lock_take(&told.lock);
    while (told.n == 0)
        cond_wait(&told.changed, &told.lock);
    lock_drop(&told.lock);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_READ), 0);
    lock_take(&told.lock);
    assert_int_equal(told.n, 2);
    told.is_held = false;
    cond_broadcast(&told.changed);
    lock_drop(&told.lock);
    pthread_join(thread, NULL);
    rig_set_on_invalidation(NULL);
    cond_done(&told.changed);
    lock_done(&told.lock);
    assert_int_equal(rig_shut(&a, fh), 0);
    assert_int_equal(shut(&oa), 0);
}

/* Two PUTs for lock and unlock, and the question for a newer version: what docs/semantics.md says.
 */
static void test_requests(void **state)
{
    struct open oa;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_at(&a, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), 0);
    memstore_count_reset(a.store);
    for (unsigned n = 0; n < 10; n++) {
        assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
        assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
        assert_int_equal(set(&oa, 2, LOCK_TYPE_WRITE),
                         -EAGAIN); /* in the way here: nothing is asked */
        assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), 0);
        assert_int_equal(set(&oa, 2, LOCK_TYPE_NONE), 0);
    }
    assert_int_equal(memstore_count(a.store, STORE_PUT), 20);
    assert_int_equal(memstore_count(a.store, STORE_OPS), 30);
    assert_int_equal(shut(&oa), 0);
}

static void test_close_unlocks(void **state)
{
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "old");
    oa = open_at(&a, "f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(vfs_lock_close(a.vfs, oa.node, LOCK_POSIX, 1), 0);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set_flock(&oa, 9, LOCK_TYPE_WRITE), 0);
    write_text(&a, oa.fh, 0, "new");
    assert_int_equal(vfs_lock_close(a.vfs, oa.node, LOCK_POSIX, 2),
                     0); /* another process's close */
    assert_int_equal(set(&ob, 1, LOCK_TYPE_READ), -EAGAIN);
    assert_int_equal(vfs_lock_close(a.vfs, oa.node, LOCK_POSIX, 1), 0);
    assert_object("f", "new");
    assert_int_equal(set(&ob, 1, LOCK_TYPE_READ), 0);
    assert_int_equal(set_flock(&ob, 1, LOCK_TYPE_READ), -EAGAIN);
    assert_int_equal(vfs_lock_close(a.vfs, oa.node, LOCK_FLOCK, 9), 0);
    assert_int_equal(set_flock(&ob, 1, LOCK_TYPE_READ), 0);
    assert_int_equal(shut(&oa), 0);
    assert_int_equal(shut(&ob), 0);
}

/* flock(2) gives up what it has before it waits for another type: two that go from shared to
 * exclusive do not wait for each other. */
static void test_flock_converts(void **state)
{
    const struct vfs_lock one = {LOCK_FLOCK, LOCK_TYPE_WRITE, {0, LOCK_END}, 1, 0};
    struct waiting w;
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "old");
    oa = open_at(&a, "f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set_flock(&oa, 1, LOCK_TYPE_READ), 0);
    assert_int_equal(set_flock(&ob, 1, LOCK_TYPE_READ), 0);
    assert_int_equal(wait_for(&oa, &one, &w), VFS_LOCK_WAITS);
    assert_int_equal(set_flock(&ob, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(vfs_lock_close(b.vfs, ob.node, LOCK_FLOCK, 1), 0);
    assert_int_equal(answer(&w), 0);
    assert_int_equal(shut(&oa), 0);
    assert_int_equal(shut(&ob), 0);
}

/* A new file has no id in the bucket yet: its key is locked, and when it gets one, the id too. */
static void test_new_file(void **state)
{
    const struct vfs_lock one = posix(1, LOCK_TYPE_WRITE, 0, LOCK_END);
    struct waiting w;
    struct open oa, ob, third;
    char buf[8] = {0};

    (void)state;
    oa = open_at(&a, "f", O_RDWR | O_CREAT);
    ob = open_at(&b, "f", O_RDWR | O_CREAT);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(wait_for(&ob, &one, &w), VFS_LOCK_WAITS);
    write_text(&a, oa.fh, 0, "one");
    assert_int_equal(vfs_fsync(a.vfs, oa.fh), 0);
    assert_int_equal(rig_remount(&b), 0); /* ends the wait; its handles are gone with it */
    assert_int_equal(answer(&w), -EINTR);
    third = open_at(&b, "f", O_RDWR); /* knows the id: the lock is there as well */
    assert_int_equal(set(&third, 1, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(vfs_lock_close(a.vfs, oa.node, LOCK_POSIX, 1), 0);
    assert_int_equal(set(&third, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(vfs_read(b.vfs, third.fh, 0, buf, sizeof(buf)), 3);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), -EAGAIN); /* which has moved on to the id */
    assert_int_equal(shut(&oa), 0);
    assert_int_equal(shut(&third), 0);
}

/* Both made it, neither wrote: who gets the lock second sees what the first one has written. */
static void test_new_file_of_two(void **state)
{
    struct open oa, ob;
    char buf[8] = {0};

    (void)state;
    oa = open_at(&a, "f", O_RDWR | O_CREAT);
    ob = open_at(&b, "f", O_RDWR | O_CREAT);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    write_text(&a, oa.fh, 0, "one");
    assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(vfs_read(b.vfs, ob.fh, 0, buf, sizeof(buf)), 3);
    assert_string_equal(buf, "one");
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), -EAGAIN);
    write_text(&b, ob.fh, 3, "two");
    assert_int_equal(set(&ob, 1, LOCK_TYPE_NONE), 0);
    assert_object("f", "onetwo");
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(shut(&oa), 0);
    assert_int_equal(shut(&ob), 0);
}

/* A foreign object gets its id by a rename: the lock goes with it. */
static void test_renamed(void **state)
{
    struct open oa, ob;

    (void)state;
    assert_int_equal(memstore_put(a.store, "f", "old", 3, NULL, NULL), 0);
    oa = open_at(&a, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    ob = open_at(&b, "g", O_RDWR);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), -EAGAIN);
    assert_int_equal(shut(&oa), 0);
    assert_int_equal(shut(&ob), 0);
}

/* Somebody writes without the lock: bytes outside the locked range are not put over his. */
static void test_rebase_only_in_range(void **state)
{
    struct vfs_lock l = posix(1, LOCK_TYPE_WRITE, 0, 0);
    struct open oa;

    (void)state;
    put_text(&a, "f", "0123");
    oa = open_at(&a, "f", O_RDWR);
    assert_int_equal(vfs_lock_set(a.vfs, oa.node, &l, NULL), 0);
    write_text(&a, oa.fh, 2, "x");
    put_text(&b, "f", "4567");
    assert_int_equal(vfs_fsync(a.vfs, oa.fh), -EIO);
    assert_object("f", "4567");
    assert_int_equal(shut(&oa), -EIO);
    assert_int_equal(vfs_lock_close(a.vfs, oa.node, LOCK_POSIX, 1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_exclusion),
        T(test_ranges),
        T(test_handover),
        T(test_superseded),
        T(test_locked_file_keeps_its_node),
        T(test_one_lockfile),
        T(test_kernel_is_told_first),
        T(test_requests),
        T(test_close_unlocks),
        T(test_flock_converts),
        T(test_new_file),
        T(test_new_file_of_two),
        T(test_renamed),
        T(test_rebase_only_in_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
