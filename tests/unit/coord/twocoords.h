/* SPDX-License-Identifier: Apache-2.0 */
/* Two mounts' coordination on one bucket in memory, their start and end for cmocka. */
#ifndef S3EFS_TESTS_TWOCOORDS_H
#define S3EFS_TESTS_TWOCOORDS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "coord/coord.h"
#include "memstore.h"

#define LEASE (30 * NS_PER_S)

static struct store *store;
static struct coord *a, *b;

static struct coord *new_coord(bool delete_match)
{
    const struct coord_conf conf = {
        .state_prefix = ".s3efs/",
        .lease_ns = LEASE,
        .renew_by_hand = true,
        .caps = {.put_absent = true, .put_match = true, .delete_match = delete_match}};
    struct coord *c = NULL;

    assert_int_equal(coord_new(&conf, store, &c), 0);
    return c;
}

static int set_up(void **state)
{
    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1800000000) * NS_PER_S);
    if (memstore_new(NULL, &store) < 0)
        return -1;
    a = new_coord(true);
    b = new_coord(true);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    coord_free(a);
    coord_free(b);
    store_stop(store);
    store_free(store);
    clock_fake_off();
    return 0;
}

#endif
