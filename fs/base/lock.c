/* SPDX-License-Identifier: Apache-2.0 */
/* Ranked locks. In debug builds a thread's held ranks are kept in a small array; LOCK_INODE_IO may
 * be held twice by one thread (a rename over a file), in the order of their addresses. */
#include "base/lock.h"

#include <assert.h>
#include <stdbool.h>
#include <errno.h>
#include <time.h>

#ifdef S3EFS_DEBUG
static _Thread_local struct {
    const struct lock *lock;
    int rank;
} held[16];
static _Thread_local int n_held;

static void note_take(const struct lock *l)
{
    assert(n_held < 16);
    if (n_held > 0) {
        int top = held[n_held - 1].rank;
        bool pair = top == l->rank && top == LOCK_INODE_IO && held[n_held - 1].lock < l;

        assert(top < l->rank || pair);
    }
    held[n_held].lock = l;
    held[n_held].rank = l->rank;
    n_held++;
}

static void note_drop(const struct lock *l)
{
    int i = n_held - 1;

    while (i >= 0 && held[i].lock != l)
        i--;
    assert(i >= 0);
    for (; i + 1 < n_held; i++)
        held[i] = held[i + 1];
    n_held--;
}

void lock_assert_may_block(void)
{
    for (int i = 0; i < n_held; i++)
        assert(held[i].rank < LOCK_RANK_NO_BLOCK);
}
#else
static void note_take(const struct lock *l)
{
    (void)l;
}

static void note_drop(const struct lock *l)
{
    (void)l;
}

void lock_assert_may_block(void)
{
}
#endif

void lock_init(struct lock *l, enum lock_rank rank)
{
    pthread_mutex_init(&l->mutex, NULL);
    l->rank = (uint8_t)rank;
}

void lock_done(struct lock *l)
{
    pthread_mutex_destroy(&l->mutex);
}

void lock_take(struct lock *l)
{
    int r;

    note_take(l);
    r = pthread_mutex_lock(&l->mutex);
    assert(r == 0);
    (void)r;
}

void lock_drop(struct lock *l)
{
    note_drop(l);
    pthread_mutex_unlock(&l->mutex);
}

void cond_init(struct cond *c)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->cond, &attr);
    pthread_condattr_destroy(&attr);
}

void cond_done(struct cond *c)
{
    pthread_cond_destroy(&c->cond);
}

void cond_wait(struct cond *c, struct lock *l)
{
    pthread_cond_wait(&c->cond, &l->mutex);
}

int cond_wait_ms(struct cond *c, struct lock *l, int64_t timeout_ms)
{
    struct timespec ts;
    int64_t ns;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    ns = ts.tv_nsec + (timeout_ms % 1000) * 1000000;
    ts.tv_sec += (time_t)(timeout_ms / 1000 + ns / 1000000000);
    ts.tv_nsec = (long)(ns % 1000000000);
    return pthread_cond_timedwait(&c->cond, &l->mutex, &ts) == ETIMEDOUT ? -ETIMEDOUT : 0;
}

void cond_signal(struct cond *c)
{
    pthread_cond_signal(&c->cond);
}

void cond_broadcast(struct cond *c)
{
    pthread_cond_broadcast(&c->cond);
}
