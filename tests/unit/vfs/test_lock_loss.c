/* SPDX-License-Identifier: Apache-2.0 */
/* Locks of holders that died, were paused or are late, and replies that were lost. */
#include "locktest.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_renamed_after_loss), T(test_dead_holder), T(test_paused_holder),
        T(test_slow_holder),        T(test_late_commit), T(test_lost_replies),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
