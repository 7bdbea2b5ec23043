/* SPDX-License-Identifier: Apache-2.0 */
/* One mount on a bucket in memory, its start and end for cmocka, and what files and objects are. */
#ifndef S3EFS_TESTS_ONEMOUNT_H
#define S3EFS_TESTS_ONEMOUNT_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "tests/lib/memstore.h"
#include "tests/lib/rig.h"

static struct rig rig;

static inline int setup(void **state)
{
    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    return rig_open(&rig, NULL);
}

static inline int teardown(void **state)
{
    (void)state;
    rig_close(&rig);
    clock_fake_off();
    return 0;
}

static inline void assert_object(const char *key, const char *text)
{
    char *data = NULL;
    struct store_obj obj = {0};

    assert_int_equal(memstore_get(rig.store, key, &obj, &data), 0);
    assert_int_equal(obj.size, strlen(text));
    assert_string_equal(data, text);
    store_obj_done(&obj);
    free(data);
}

static inline void assert_no_object(const char *key)
{
    assert_int_equal(memstore_get(rig.store, key, NULL, NULL), STORE_NOT_FOUND);
}

static inline void assert_file(const char *path, const char *text)
{
    char buf[256] = {0};

    assert_int_equal(rig_get(&rig, path, buf, sizeof(buf) - 1), strlen(text));
    assert_string_equal(buf, text);
}

/* Another client's hand, as the S3 API has it. */
static inline void foreign_put(const char *key, const char *text)
{
    assert_int_equal(memstore_put(rig.store, key, text, strlen(text), NULL, NULL), 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
