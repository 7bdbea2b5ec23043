/* SPDX-License-Identifier: Apache-2.0 */
/* Something that happens once in the middle of a rename, and what is looked at then. */
#ifndef S3EFS_TESTS_RENAMETEST_H
#define S3EFS_TESTS_RENAMETEST_H

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "fs/vfs/rename.h"

#include "twomounts.h"

/* Something done once, before or after a request about a key. */
struct once {
    enum store_op op;
    const char *key;
    void (*run)(void);
    atomic_bool is_done; /* hooks run on the movers' threads */
    int result; /* of what a mount was asked for in it: an assertion there would not be caught */
};
static struct once once;

/* On a thread of its own: the one that was interrupted holds its mount's locks. */
static inline void *run_it(void *arg)
{
    (void)arg;
    once.run();
    return NULL;
}

static inline void run_once(void *arg, struct store *s, const struct store_req *req, int result)
{
    pthread_t t;

    (void)arg;
    (void)s;
    (void)result;
    if ((req->op != once.op && !(once.op == STORE_PUT && req->op == STORE_COPY)) ||
        req->key == NULL || strcmp(req->key, once.key) != 0 || atomic_exchange(&once.is_done, true))
        return;
    if (pthread_create(&t, NULL, run_it, NULL) == 0)
        pthread_join(t, NULL);
    else
        once.result = -EAGAIN;
}

static inline void before(enum store_op op, const char *key, void (*run)(void))
{
    once = (struct once){.op = op, .key = key, .run = run};
    memstore_set_hooks(a.store, run_once, NULL, NULL);
}

static inline void after(enum store_op op, const char *key, void (*run)(void))
{
    once = (struct once){.op = op, .key = key, .run = run};
    memstore_set_hooks(a.store, NULL, run_once, NULL);
}

static inline void it_was_done(void)
{
    assert_true(once.is_done);
    assert_int_equal(once.result, 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
}

static inline bool is_object(const char *key)
{
    return memstore_get(a.store, key, NULL, NULL) == 0;
}

static inline void time_passes(void)
{
    clock_fake_add(100 * NS_PER_S);
}

/* --- a server whose DELETE knows no conditions --- */

static inline int setup_weak(void **state)
{
    const struct store_caps caps = {.put_absent = true, .put_match = true};

    return setup_caps(state, &caps);
}

#define W(f) cmocka_unit_test_setup_teardown(f, setup_weak, teardown)

#endif
