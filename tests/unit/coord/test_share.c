/* SPDX-License-Identifier: Apache-2.0 */
/* The mounts' shares of a lock record: exclusion, requests, lost replies, dead holders. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "coord/share.h"
#include "internal.h"
#include "lockrec.h"
#include "memstore.h"

#define MOUNTS 3
static struct store *store;
static struct coord *coord[MOUNTS];
static struct share *share[MOUNTS];

static int set_up(void **state)
{
    const struct coord_conf conf = {
        .state_prefix = ".s3efs/",
        .lease_ns = 30 * NS_PER_S,
        .renew_by_hand = true,
        .caps = {.put_absent = true, .put_match = true, .delete_match = true}};

    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1800000000) * NS_PER_S);
    if (memstore_new(NULL, &store) < 0)
        return -1;
    for (unsigned i = 0; i < MOUNTS; i++)
        if (coord_new(&conf, store, &coord[i]) < 0 || share_new(coord[i], "f", &share[i]) < 0)
            return -1;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (unsigned i = 0; i < MOUNTS; i++) {
        share_free(share[i]);
        coord_free(coord[i]);
    }
    store_stop(store);
    store_free(store);
    clock_fake_off();
    return 0;
}

/* Mount i holds one posix range from now on. */
static int hold(unsigned i, enum lock_type type, uint64_t start, uint64_t end)
{
    struct lock_entry e = {.range = {start, end}, .type = type};
    const struct lockset want[LOCK_KINDS] = {[LOCK_POSIX] = {.v = &e, .n = type != LOCK_TYPE_NONE}};

    share_doubt(share[i]);
    return share_set(share[i], want);
}

static int hold_flock(unsigned i, enum lock_type type)
{
    struct lock_entry e = {.range = {0, LOCK_END}, .type = type};
    const struct lockset want[LOCK_KINDS] = {[LOCK_FLOCK] = {.v = &e, .n = type != LOCK_TYPE_NONE}};

    share_doubt(share[i]);
    return share_set(share[i], want);
}

static void test_exclusion(void **state)
{
    (void)state;
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(hold(1, LOCK_TYPE_READ, 5, 5), SHARE_BUSY);
    assert_int_equal(hold(1, LOCK_TYPE_WRITE, 10, LOCK_END), 0);
    assert_int_equal(hold(2, LOCK_TYPE_READ, 0, LOCK_END), SHARE_BUSY);
    assert_int_equal(hold(0, LOCK_TYPE_READ, 0, 9), 0);
    assert_int_equal(hold(2, LOCK_TYPE_READ, 3, 4), 0);
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), SHARE_BUSY);
    assert_true(share_covers(share[0], LOCK_POSIX, LOCK_TYPE_READ, (struct lock_range){0, 9}));
    assert_int_equal(hold(2, LOCK_TYPE_NONE, 0, 0), 0);
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_false(share_is_held(share[2]));
    assert_true(share_is_held(share[0]));
    assert_false(share_was_taken(share[0]));
}

static void test_kinds_do_not_meet(void **state)
{
    (void)state;
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, LOCK_END), 0);
    assert_int_equal(hold_flock(1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(hold_flock(2, LOCK_TYPE_READ), SHARE_BUSY);
    assert_int_equal(hold_flock(1, LOCK_TYPE_NONE), 0);
    assert_int_equal(hold_flock(2, LOCK_TYPE_READ), 0);
}

/* What docs/semantics.md says of the cost: a session's begin, then two PUTs for lock and unlock. */
static void test_requests(void **state)
{
    (void)state;
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(memstore_count(store, STORE_OPS), 3); /* session, GET, PUT */
    memstore_count_reset(store);
    for (unsigned i = 0; i < 10; i++) {
        assert_int_equal(hold(0, LOCK_TYPE_NONE, 0, 0), 0);
        assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), 0);
        assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), 0);
    }
    assert_int_equal(memstore_count(store, STORE_PUT), 20);
    assert_int_equal(memstore_count(store, STORE_OPS), 20);
    assert_int_equal(hold(0, LOCK_TYPE_NONE, 0, 0), 0);
    assert_int_equal(hold(1, LOCK_TYPE_WRITE, 0, 9), 0);
    memstore_count_reset(store);
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 20, 29), 0); /* an old copy: refused, read, written */
    assert_int_equal(memstore_count(store, STORE_PUT), 2);
    assert_int_equal(memstore_count(store, STORE_GET), 1);
}

static void test_lost_replies(void **state)
{
    (void)state;
    assert_int_equal(hold(0, LOCK_TYPE_NONE, 0, 0), 0);
    assert_int_equal(memstore_count(store, STORE_OPS), 0);
    assert_int_equal(hold(0, LOCK_TYPE_READ, 0, 9), 0);
    memstore_lose(store, STORE_PUT, 1, 1, STORE_PRECONDITION);
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), 0);
    /* It took effect, and nobody knows: the next call sets it right. */
    memstore_lose(store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(store, STORE_GET, 1, 1, -EIO);
    assert_int_equal(hold(0, LOCK_TYPE_NONE, 0, 9), -EIO);
    assert_false(share_is_sure(share[0]));
    assert_int_equal(hold(0, LOCK_TYPE_NONE, 0, 9), 0);
    assert_true(share_is_sure(share[0]));
    assert_int_equal(hold(1, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(hold(1, LOCK_TYPE_NONE, 0, 9), 0);
    /* The same for a lock that its caller was not given: it must be given back. */
    memstore_lose(store, STORE_PUT, 1, 1, -EIO);
    memstore_fail(store, STORE_GET, 1, 2, -EIO);
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), -EIO);
    memstore_clear_faults(store);
    assert_int_equal(hold(0, LOCK_TYPE_NONE, 0, 0), 0);
    assert_int_equal(hold(1, LOCK_TYPE_WRITE, 0, 9), 0);
}

static void test_dead_holder(void **state)
{
    (void)state;
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(hold(1, LOCK_TYPE_WRITE, 0, 9), SHARE_BUSY);
    clock_fake_add(29 * NS_PER_S);
    assert_int_equal(hold(1, LOCK_TYPE_WRITE, 0, 9), SHARE_BUSY);
    clock_fake_add(1 * NS_PER_S);
    assert_int_equal(hold(1, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_true(share_was_taken(share[1]));
    assert_int_equal(share_check(share[0]), SHARE_LOST);
    assert_int_equal(hold(0, LOCK_TYPE_NONE, 0, 9), SHARE_LOST);
    share_forget(share[0]);
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), SHARE_BUSY);
    assert_int_equal(hold(1, LOCK_TYPE_NONE, 0, 9), 0);
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_false(share_was_taken(share[0]));
    assert_int_equal(share_verify(share[0]), 0);
}

/* A holder that was only slow: nobody took anything, and it goes on. */
static void test_slow_holder(void **state)
{
    (void)state;
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), 0);
    clock_fake_add(300 * NS_PER_S);
    assert_int_equal(share_check(share[0]), 0);
    assert_int_equal(hold(1, LOCK_TYPE_WRITE, 0, 9), SHARE_BUSY);
}

static void test_test_and_verify(void **state)
{
    const struct lock_entry want = {.range = {5, 20}, .type = LOCK_TYPE_READ};
    struct lock_entry holder;

    (void)state;
    assert_int_equal(share_test(share[1], LOCK_POSIX, &want, &holder), 0);
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 10, LOCK_END), 0);
    assert_int_equal(share_test(share[1], LOCK_POSIX, &want, &holder), SHARE_BUSY);
    assert_int_equal(holder.range.start, 10);
    assert_true(holder.range.end == LOCK_END);
    assert_int_equal(holder.type, LOCK_TYPE_WRITE);
    assert_int_equal(share_test(share[1], LOCK_FLOCK, &want, &holder), 0);
    assert_int_equal(share_verify(share[0]), 0);
    assert_int_equal(memstore_delete(store, ".s3efs/locks/f"), 0);
    assert_int_equal(share_verify(share[0]), SHARE_LOST);
}

static void test_failures(void **state)
{
    (void)state;
    memstore_fail(store, STORE_GET, 1, 1, -EACCES);
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), -EACCES);
    assert_true(share_is_sure(share[0])); /* nothing was written */
    assert_int_equal(memstore_put(store, ".s3efs/locks/f", "what is this\n", 13, NULL, NULL), 0);
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), -EBADMSG);
    assert_int_equal(memstore_delete(store, ".s3efs/locks/f"), 0);
    assert_int_equal(hold(0, LOCK_TYPE_WRITE, 0, 9), 0);
}

static void test_parse(void **state)
{
#define ID "0123456789abcdef0123456789abcdef"
    static const char *const bad[] = {"x\n",
                                      ID "\n",
                                      ID " posix read 0 9",
                                      ID " posix read 9 0\n",
                                      ID " posix none 0 9\n",
                                      ID " posix  0 9\n",
                                      ID " posix read 0 9 9\n",
                                      ID " nosix read 0 9\n",
                                      "0123 posix read 0 9\n",
                                      ID " posix read 0 -1\n",
                                      "\n"};
    static const char good[] =
        ID " posix read 0 9\n" ID " posix write 10 -\n" ID " flock write 0 -\n";
    struct lockrec r = {0};
    _cleanup_buf_ struct buf out = BUF_INIT(4096);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(lockrec_parse(bad[i], &r), -EBADMSG);
    assert_int_equal(lockrec_parse("", &r), 0);
    assert_int_equal(lockrec_parse(good, &r), 0);
    lockrec_format(&r, NULL, NULL, &out);
    assert_string_equal(buf_str(&out), good);
    lockrec_done(&r);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(test_exclusion),       T(test_kinds_do_not_meet), T(test_requests),
        T(test_lost_replies),    T(test_dead_holder),       T(test_slow_holder),
        T(test_test_and_verify), T(test_failures),          T(test_parse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
