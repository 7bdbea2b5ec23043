/* SPDX-License-Identifier: Apache-2.0 */
/* Two mounts, also on a server that knows fewer conditions. */
#ifndef S3EFS_TESTS_WEAKTEST_H
#define S3EFS_TESTS_WEAKTEST_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "fs/vfs/rename.h"

#include "turn.h"

static inline bool is_object(const char *key)
{
    return memstore_get(a.store, key, NULL, NULL) == 0;
}

/* A server whose DELETE knows no conditions. */
static inline int setup_weak(void **state)
{
    const struct store_caps caps = {.put_absent = true, .put_match = true};

    return setup_caps(state, &caps);
}

static inline void wait_for(atomic_bool *what)
{
    while (!atomic_load(what))
        sched_yield();
}

#define W(f) cmocka_unit_test_setup_teardown(f, setup_weak, teardown)

#endif
