/* SPDX-License-Identifier: Apache-2.0 */
/* Reservations of names by two mounts: one has it, a dead one's is taken over, replies get lost. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/clock.h"
#include "coord/reserve.h"
#include "internal.h"
#include "memstore.h"
#include "twocoords.h"

static struct reservation ra, rb;

static void one_has_it(void **state)
{
    (void)state;
    assert_int_equal(reserve_take(a, "k", &ra), 0);
    assert_int_equal(reserve_take(b, "k", &rb), RESERVE_TAKEN);
    assert_int_equal(reserve_take(b, "other", &rb), 0);
    reserve_end(b, "other", &rb);
    reserve_end(a, "k", &ra);
    assert_int_equal(reserve_take(b, "k", &rb), 0);
    assert_int_equal(reserve_take(a, "k", &ra), RESERVE_TAKEN);
    reserve_end(b, "k", &rb);
    assert_int_equal(memstore_objects(store), 2); /* the sessions */
}

static void costs(void **state)
{
    (void)state;
    assert_int_equal(reserve_take(a, "k", &ra), 0);
    reserve_end(a, "k", &ra);
    memstore_count_reset(store);
    assert_int_equal(reserve_take(a, "k", &ra), 0);
    assert_int_equal(memstore_count(store, STORE_PUT), 1);
    assert_int_equal(memstore_count(store, STORE_OPS), 1);
    reserve_end(a, "k", &ra);
    assert_int_equal(memstore_count(store, STORE_DELETE), 1);
    assert_int_equal(memstore_count(store, STORE_OPS), 2);
}

/* Where DELETE has no condition the record is emptied, and then it is anybody's. */
static void without_conditional_delete(void **state)
{
    struct store_caps caps = {.put_absent = true, .put_match = true};

    (void)state;
    memstore_set_caps(store, &caps);
    coord_free(a);
    coord_free(b);
    a = new_coord(false);
    b = new_coord(false);
    for (int n = 0; n < 3; n++) {
        assert_int_equal(reserve_take(a, "k", &ra), 0);
        assert_int_equal(reserve_take(b, "k", &rb), RESERVE_TAKEN);
        reserve_end(a, "k", &ra);
        assert_int_equal(reserve_take(b, "k", &rb), 0);
        assert_int_equal(reserve_take(a, "k", &ra), RESERVE_TAKEN);
        reserve_end(b, "k", &rb);
    }
}

/* A mount that went without giving back: its session is silent for a lease time, or gone. */
static void a_dead_mounts_is_taken_over(void **state)
{
    (void)state;
    assert_int_equal(reserve_take(a, "k", &ra), 0);
    assert_int_equal(reserve_take(b, "k", &rb), RESERVE_TAKEN); /* watching begins */
    clock_fake_add(LEASE - NS_PER_S);
    assert_int_equal(reserve_take(b, "k", &rb), RESERVE_TAKEN);
    clock_fake_add(2 * NS_PER_S);
    assert_int_equal(reserve_take(b, "k", &rb), 0);
    assert_false(session_is_ours(a, ra.session));
    reserve_end(a, "k", &ra); /* late: takes nothing away */
    assert_int_equal(reserve_take(a, "k", &ra), RESERVE_TAKEN);
    coord_free(b); /* an end in order, but for the record */
    b = NULL;
    clock_fake_add(LEASE / 10); /* before that nothing new is asked */
    assert_int_equal(reserve_take(a, "k", &ra), 0);
}

/* What could not be given back is no obstacle to the mount that left it. */
static void ones_own_leftover(void **state)
{
    (void)state;
    assert_int_equal(reserve_take(a, "k", &ra), 0);
    memstore_fail(store, STORE_DELETE, 1, 1, -EIO);
    reserve_end(a, "k", &ra);
    assert_int_equal(reserve_take(b, "k", &rb), RESERVE_TAKEN);
    assert_int_equal(reserve_take(a, "k", &ra), 0);
}

static void lost_replies_and_failures(void **state)
{
    (void)state;
    assert_int_equal(reserve_take(a, "first", &ra), 0); /* the session has begun */
    memstore_lose(store, STORE_PUT, 1, 1, STORE_PRECONDITION);
    assert_int_equal(reserve_take(a, "k", &ra), 0);
    assert_int_equal(reserve_take(b, "k", &rb), RESERVE_TAKEN);
    memstore_fail(store, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(reserve_take(a, "denied", &ra), -EACCES);
    memstore_fail(store, STORE_GET, 1, 1, -EIO);
    assert_int_equal(reserve_take(b, "k", &rb), -EIO);
}

static void somebody_elses_object(void **state)
{
    char *body = NULL, *key = NULL;
    struct store_req req = {.op = STORE_LIST, .prefix = ".s3efs/reservations/"};
    struct store_rsp rsp = {0};

    (void)state;
    assert_int_equal(reserve_take(a, "k", &ra), 0);
    assert_int_equal(store_call(store, &req, &rsp), 0);
    assert_int_equal(rsp.list.n, 1);
    key = strdup(rsp.list.v[0].key);
    assert_non_null(key);
    store_rsp_done(&rsp);
    assert_int_equal(memstore_get(store, key, NULL, &body), 0);
    assert_non_null(strstr(body, "\nkey k\n"));
    free(body);
    assert_int_equal(memstore_put(store, key, "hello\n", 6, NULL, NULL), 0);
    assert_int_equal(reserve_take(b, "k", &rb), -EBADMSG);
    free(key);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_has_it),
        T(costs),
        T(without_conditional_delete),
        T(a_dead_mounts_is_taken_over),
        T(ones_own_leftover),
        T(lost_replies_and_failures),
        T(somebody_elses_object),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
