/* SPDX-License-Identifier: Apache-2.0 */
/* Records: compare-and-swap with rivals and lost replies. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "coord/coord.h"
#include "memstore.h"
#include "record.h"

static struct store *store;
static struct coord *coord;

static int set_up(void **state)
{
    const struct coord_conf conf = {.state_prefix = ".s3efs/", .caps.delete_match = true};

    (void)state;
    return memstore_new(NULL, &store) < 0 ? -1 : coord_new(&conf, store, &coord);
}

static int tear_down(void **state)
{
    (void)state;
    coord_free(coord);
    store_stop(store);
    store_free(store);
    return 0;
}

static void test_swap(void **state)
{
    struct record r = {0};
    struct store_etag first, second, third;

    (void)state;
    assert_int_equal(record_get(coord, "x/a", 0, &r), 0);
    assert_string_equal(r.body, "");
    assert_false(store_etag_is_set(&r.etag));
    record_done(&r);
    assert_int_equal(record_swap(coord, "x/a", NULL, "one\n", 0, &first), 0);
    assert_int_equal(record_swap(coord, "x/a", NULL, "two\n", 0, &second), RECORD_LOST);
    assert_int_equal(record_swap(coord, "x/a", &first, "one\n", 0, &second), 0);
    assert_false(store_etag_equal(&first, &second)); /* COORD-1: no state comes back */
    assert_int_equal(record_swap(coord, "x/a", &first, "three\n", 0, &third), RECORD_LOST);
    assert_int_equal(record_get(coord, "x/a", 0, &r), 0);
    assert_string_equal(r.body, "one\n");
    assert_true(store_etag_equal(&r.etag, &second));
    record_done(&r);
    assert_int_equal(record_clear(coord, "x/a", &first, 0), RECORD_LOST);
    assert_int_equal(record_clear(coord, "x/a", &second, 0), 0);
    assert_int_equal(memstore_objects(store), 0);
}

/* The PUT took effect, its reply was lost, and the retry was refused: it is ours all the same. */
static void test_lost_reply(void **state)
{
    struct store_etag first, second;

    (void)state;
    memstore_lose(store, STORE_PUT, 1, 1, STORE_PRECONDITION);
    assert_int_equal(record_swap(coord, "x/a", NULL, "one\n", 0, &first), 0);
    memstore_lose(store, STORE_PUT, 1, 1, -EIO);
    assert_int_equal(record_swap(coord, "x/a", &first, "two\n", 0, &second), 0);
    memstore_fail(store, STORE_PUT, 1, 1, -EIO);
    assert_int_equal(record_swap(coord, "x/a", &second, "three\n", 0, &first), -EIO);
    assert_int_equal(record_swap(coord, "x/a", &second, "three\n", 0, &first), 0);
}

static void test_foreign_body(void **state)
{
    struct record r = {0};

    (void)state;
    assert_int_equal(memstore_put(store, ".s3efs/x/a", "hello", 5, NULL, NULL), 0);
    assert_int_equal(record_get(coord, "x/a", 0, &r), -EBADMSG);
    assert_int_equal(memstore_put(store, ".s3efs/x/a", "", 0, NULL, NULL), 0);
    assert_int_equal(record_get(coord, "x/a", 0, &r), -EBADMSG);
}

/* A server without conditions on DELETE: the record stays, empty. */
static void test_clear_without_delete_conditions(void **state)
{
    const struct coord_conf conf = {.state_prefix = ".s3efs/"};
    struct record r = {0};
    struct store_etag etag;
    struct coord *weak;

    (void)state;
    assert_int_equal(coord_new(&conf, store, &weak), 0);
    assert_int_equal(record_swap(weak, "x/a", NULL, "one\n", 0, &etag), 0);
    assert_int_equal(record_clear(weak, "x/a", &etag, 0), 0);
    assert_int_equal(record_get(weak, "x/a", 0, &r), 0);
    assert_string_equal(r.body, "");
    assert_true(store_etag_is_set(&r.etag));
    record_done(&r);
    coord_free(weak);
}

static int count(void *arg, const char *name, const struct store_etag *etag)
{
    (void)etag;
    assert_true(strncmp(name, "x/", 2) == 0);
    return ++*(int *)arg == 3 ? 7 : 0;
}

static void test_list(void **state)
{
    struct store_etag etag;
    int n = 0;

    (void)state;
    assert_int_equal(record_swap(coord, "x/a", NULL, "", 0, &etag), 0);
    assert_int_equal(record_swap(coord, "x/b", NULL, "", 0, &etag), 0);
    assert_int_equal(record_swap(coord, "y/c", NULL, "", 0, &etag), 0);
    assert_int_equal(record_list(coord, "x/", count, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(record_list(coord, "x/", count, &n), 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_swap, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_lost_reply, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_foreign_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_clear_without_delete_conditions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_list, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
