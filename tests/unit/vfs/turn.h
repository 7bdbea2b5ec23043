/* SPDX-License-Identifier: Apache-2.0 */
/* Two mounts, and something that is done between the requests of one of them. */
#ifndef S3EFS_TESTS_TURN_H
#define S3EFS_TESTS_TURN_H

#include <pthread.h>
#include <stdatomic.h>

#include "twomounts.h"

/* What another mount does before or after a request about a key, for the first `times` of them; on
 * a thread of its own, as the one that was interrupted holds its mount's locks. */
static struct {
    enum store_op op, or_op;
    const char *key;
    void (*run)(void);
    unsigned times;
    atomic_uint done;
    atomic_bool is_under_way; /* what it asks the bucket for is nobody's turn */
    int result;
} turn;

static void *run_it(void *arg)
{
    (void)arg;
    turn.run();
    return NULL;
}

static void take_turn(void *arg, struct store *s, const struct store_req *req, int result)
{
    pthread_t t;

    (void)arg;
    (void)s;
    (void)result;
    if ((req->op != turn.op && req->op != turn.or_op) || req->key == NULL ||
        strcmp(req->key, turn.key) != 0 || atomic_load(&turn.done) >= turn.times ||
        atomic_exchange(&turn.is_under_way, true))
        return;
    atomic_fetch_add(&turn.done, 1);
    if (pthread_create(&t, NULL, run_it, NULL) == 0)
        pthread_join(t, NULL);
    else
        turn.result = -EAGAIN;
    atomic_store(&turn.is_under_way, false);
}

static inline void arm(enum store_op op, enum store_op or_op, const char *key, unsigned times,
                       void (*run)(void))
{
    turn.op = op;
    turn.or_op = or_op;
    turn.key = key;
    turn.run = run;
    turn.times = times;
    turn.result = 0;
    atomic_store(&turn.done, 0);
}

static inline void before(enum store_op op, enum store_op or_op, const char *key, unsigned times,
                          void (*run)(void))
{
    arm(op, or_op, key, times, run);
    memstore_set_hooks(a.store, take_turn, NULL, NULL);
}

static inline void after(enum store_op op, enum store_op or_op, const char *key, unsigned times,
                         void (*run)(void))
{
    arm(op, or_op, key, times, run);
    memstore_set_hooks(a.store, NULL, take_turn, NULL);
}

static inline void all_turns_were_taken(void)
{
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_int_equal(atomic_load(&turn.done), turn.times);
    assert_int_equal(turn.result, 0);
}

#endif
