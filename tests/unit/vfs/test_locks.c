/* SPDX-License-Identifier: Apache-2.0 */
/* Locks between two mounts: exclusion, waiting, upgrades, close, loss; and that no update is lost.
 */
#include "twomounts.h"

#include <pthread.h>

#include "base/lock.h"

struct open {
    struct rig *r;
    uint64_t fh, node;
};

static struct open open_at(struct rig *r, const char *path, int flags)
{
    struct open o = {.r = r};
    struct vfs_entry e;

    o.fh = open_text(r, path, flags);
    assert_int_equal(rig_walk(r, path, &e), 0);
    o.node = e.node;
    return o;
}

static int shut(struct open *o)
{
    int x = rig_shut(o->r, o->fh);

    vfs_forget(o->r->vfs, o->node, 1);
    return x;
}

static struct vfs_lock posix(uint64_t owner, enum lock_type type, uint64_t start, uint64_t end)
{
    return (struct vfs_lock){LOCK_POSIX, type, {start, end}, owner, (int)owner};
}

static int set(const struct open *o, uint64_t owner, enum lock_type type)
{
    const struct vfs_lock l = posix(owner, type, 0, LOCK_END);

    return vfs_lock_set(o->r->vfs, o->node, &l, NULL);
}

static int set_flock(const struct open *o, uint64_t owner, enum lock_type type)
{
    const struct vfs_lock l = {LOCK_FLOCK, type, {0, LOCK_END}, owner, 0};

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

static void answered(struct vfs_lock_wait *w, int r)
{
    struct waiting *x = (struct waiting *)(void *)w;

    lock_take(&x->lock);
    x->is_done = true;
    x->result = r;
    cond_signal(&x->done);
    lock_drop(&x->lock);
}

static int wait_for(const struct open *o, const struct vfs_lock *l, struct waiting *x)
{
    *x = (struct waiting){.w.done = answered};
    lock_init(&x->lock, LOCK_LEAF);
    cond_init(&x->done);
    return vfs_lock_set(o->r->vfs, o->node, l, &x->w);
}

static int answered_with(struct waiting *x)
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
static int answer(struct waiting *x)
{
    lock_take(&x->lock);
    for (unsigned n = 0; n < 10500 && !x->is_done; n++) {
        clock_fake_add(n < 500 ? 10 * NS_PER_MS : NS_PER_MS);
        cond_wait_ms(&x->done, &x->lock, 10);
    }
    return answered_with(x);
}

/* The answer that comes although no poll does. */
static int answer_without_clock(struct waiting *x)
{
    lock_take(&x->lock);
    for (unsigned n = 0; n < 10500 && !x->is_done; n++)
        cond_wait_ms(&x->done, &x->lock, 10);
    return answered_with(x);
}

static bool is_waiting(struct waiting *x)
{
    bool is;

    lock_take(&x->lock);
    is = !x->is_done;
    lock_drop(&x->lock);
    return is;
}

/* --- */
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

/* What was written under a lost lock does not get there by a rename either. */
static void test_renamed_after_loss(void **state)
{
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_at(&a, "f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    write_text(&a, oa.fh, 0, "a");
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    clock_fake_add(31 * NS_PER_S);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(rig_rename(&a, "f", "g", 0), -EIO);
    assert_object("f", "0");
    assert_int_equal(shut(&oa), -EIO);
    assert_int_equal(shut(&ob), 0);
}

static void test_dead_holder(void **state)
{
    const struct vfs_lock one = posix(1, LOCK_TYPE_WRITE, 0, LOCK_END);
    struct waiting w;
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "old");
    oa = open_at(&a, "f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(wait_for(&ob, &one, &w), VFS_LOCK_WAITS);
    clock_fake_add(10 * NS_PER_S);
    assert_int_equal(set(&ob, 2, LOCK_TYPE_WRITE), -EAGAIN);
    assert_true(is_waiting(&w));
    clock_fake_add(21 * NS_PER_S);
    assert_int_equal(answer(&w), 0);
    assert_int_equal(shut(&ob), 0);
    assert_int_equal(shut(&oa), 0);
}

static uint64_t lost_found(struct rig *r)
{
    struct cache_stats st;

    cache_stats_get(r->cache, &st);
    return st.lost_found;
}

/* a is paused with the lock, b takes it; a comes back. Who commits second gets EIO. */
static void test_paused_holder(void **state)
{
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_at(&a, "f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    write_text(&a, oa.fh, 0, "a");
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    clock_fake_add(31 * NS_PER_S);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(vfs_fsync(a.vfs, oa.fh), -EIO); /* although b has written nothing yet */
    write_text(&b, ob.fh, 0, "b");
    assert_int_equal(set(&ob, 1, LOCK_TYPE_NONE), 0);
    assert_object("f", "b");
    assert_int_equal(set(&oa, 2, LOCK_TYPE_READ), -EIO); /* until it is closed */
    assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), -EIO);
    assert_int_equal(shut(&oa), -EIO);
    assert_object("f", "b");
    assert_int_equal(lost_found(&a), 1);
    oa = open_at(&a, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0); /* as new */
    write_text(&a, oa.fh, 0, "c");
    assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_object("f", "c");
    assert_int_equal(shut(&oa), 0);
    assert_int_equal(shut(&ob), 0);
}

/* Nobody wanted the lock meanwhile: the late renewal shows it, and nothing is lost. */
static void test_slow_holder(void **state)
{
    struct open oa;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_at(&a, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    write_text(&a, oa.fh, 0, "a");
    clock_fake_add(300 * NS_PER_S);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_object("f", "a");
    assert_int_equal(shut(&oa), 0);
}

static struct open taker;

static void *take_over(void *arg)
{
    (void)arg;
    assert_int_equal(set(&taker, 1, LOCK_TYPE_WRITE), -EAGAIN);
    clock_fake_add(31 * NS_PER_S);
    assert_int_equal(set(&taker, 1, LOCK_TYPE_WRITE), 0);
    write_text(taker.r, taker.fh, 0, "b");
    return NULL;
}

/* On a thread of its own: this one holds locks of a's. */
static void before_commit(void *arg, struct store *s, const struct store_req *req, int result)
{
    pthread_t thread;

    (void)arg;
    (void)result;
    if (req->op != STORE_PUT || strcmp(req->key, "f") != 0)
        return;
    memstore_set_hooks(s, NULL, NULL, NULL);
    assert_int_equal(pthread_create(&thread, NULL, take_over, NULL), 0);
    pthread_join(thread, NULL);
}

/* The ex-holder's PUT was on its way when it lost the lock, and lands: b, who has read what was
 * there before, must not write over it. */
static void test_late_commit(void **state)
{
    struct open oa;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_at(&a, "f", O_RDWR);
    taker = open_at(&b, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    write_text(&a, oa.fh, 0, "a");
    memstore_set_hooks(a.store, before_commit, NULL, NULL);
    assert_int_equal(vfs_fsync(a.vfs, oa.fh), 0);
    assert_object("f", "a");
    assert_int_equal(set(&taker, 1, LOCK_TYPE_NONE), -EIO);
    assert_object("f", "a");
    assert_int_equal(shut(&taker), -EIO);
    assert_int_equal(lost_found(&b), 1);
    assert_int_equal(shut(&oa), 0);
}

static void test_lost_replies(void **state)
{
    const struct vfs_lock one = posix(1, LOCK_TYPE_WRITE, 0, LOCK_END);
    struct waiting w;
    struct open oa, ob;

    (void)state;
    put_text(&a, "f", "0");
    oa = open_at(&a, "f", O_RDWR);
    ob = open_at(&b, "f", O_RDWR);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_READ), 0);
    memstore_lose(a.store, STORE_PUT, 1, 1, STORE_PRECONDITION);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), -EAGAIN);
    memstore_lose(a.store, STORE_PUT, 1, 1, STORE_PRECONDITION);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(set(&ob, 1, LOCK_TYPE_NONE), 0);
    /* An unlock that may or may not have got through: it is done again behind the caller's back. */
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), 0);
    memstore_fail(a.store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(a.store, STORE_GET, 1, 1, -EIO);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), 0);
    memstore_clear_faults(a.store);
    assert_int_equal(wait_for(&ob, &one, &w), VFS_LOCK_WAITS);
    assert_int_equal(answer(&w), 0);
    /* The same for a lock that its caller was told it did not get. */
    assert_int_equal(set(&ob, 1, LOCK_TYPE_NONE), 0);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_READ), 0);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_NONE), 0);
    memstore_lose(a.store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(a.store, STORE_GET, 1, 1, -EIO);
    assert_int_equal(set(&oa, 1, LOCK_TYPE_WRITE), -EIO);
    memstore_clear_faults(a.store);
    assert_int_equal(wait_for(&ob, &one, &w), VFS_LOCK_WAITS);
    assert_int_equal(answer(&w), 0);
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
        T(test_waiting),
        T(test_interrupt_and_stop),
        T(test_deadlock),
        T(test_flock_converts),
        T(test_new_file),
        T(test_new_file_of_two),
        T(test_renamed),
        T(test_renamed_after_loss),
        T(test_dead_holder),
        T(test_paused_holder),
        T(test_slow_holder),
        T(test_late_commit),
        T(test_lost_replies),
        T(test_rebase_only_in_range),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
