/* SPDX-License-Identifier: Apache-2.0 */
/* Counted bytes with a maximum, and those who wait for some. */
#include "base/budget.h"

#include <assert.h>

struct budget_wait { /* on the stack of who waits */
    struct budget_wait *next;
    struct cond granted;
    uint64_t bytes;
    bool has;
};

void budget_init(struct budget *b, uint64_t max)
{
    *b = (struct budget){.max = max};
    lock_init(&b->lock, LOCK_LEAF);
}

void budget_done(struct budget *b)
{
    assert(b->locked.used == 0 && b->locked.waiting == 0);
    lock_done(&b->lock);
}

void budget_on_wait(struct budget *b, void (*make_room)(void *arg), void *arg)
{
    b->make_room = make_room;
    b->arg = arg;
}

static bool fits_locked(const struct budget *b, uint64_t bytes)
{
    uint64_t used = b->locked.used;

    return b->max == 0 || used == 0 || (bytes <= b->max && used <= b->max - bytes);
}

/* To those who wait, in their order; who gets some is counted as having it before it runs. */
static void grant_locked(struct budget *b, bool all)
{
    struct budget_wait *w;

    while ((w = b->locked.first) != NULL && (all || fits_locked(b, w->bytes))) {
        b->locked.first = w->next;
        b->locked.waiting--;
        b->locked.used += w->bytes;
        w->has = true;
        cond_signal(&w->granted);
    }
}

static void enqueue_locked(struct budget *b, struct budget_wait *w)
{
    *(b->locked.first != NULL ? &b->locked.last->next : &b->locked.first) = w;
    b->locked.last = w;
    b->locked.waiting++;
}

static void wait_locked(struct budget *b, uint64_t bytes)
{
    struct budget_wait w = {.bytes = bytes};

    cond_init(&w.granted);
    enqueue_locked(b, &w);
    if (b->make_room != NULL) {
        lock_drop(&b->lock);
        b->make_room(b->arg);
        lock_take(&b->lock);
    }
    while (!w.has)
        cond_wait(&w.granted, &b->lock);
    cond_done(&w.granted);
}

void budget_take(struct budget *b, uint64_t bytes)
{
    lock_assert_may_block();
    lock_take(&b->lock);
    if (b->locked.first == NULL && fits_locked(b, bytes))
        b->locked.used += bytes;
    else
        wait_locked(b, bytes);
    lock_drop(&b->lock);
}

bool budget_try(struct budget *b, uint64_t bytes, uint64_t limit)
{
    bool has_room;

    lock_take(&b->lock);
    has_room = b->locked.first == NULL && fits_locked(b, bytes) && bytes <= limit &&
               b->locked.used <= limit - bytes;
    if (has_room)
        b->locked.used += bytes;
    lock_drop(&b->lock);
    return has_room;
}

void budget_add(struct budget *b, uint64_t bytes)
{
    lock_take(&b->lock);
    b->locked.used += bytes;
    lock_drop(&b->lock);
}

void budget_give(struct budget *b, uint64_t bytes)
{
    if (bytes == 0)
        return;
    lock_take(&b->lock);
    assert(b->locked.used >= bytes);
    b->locked.used -= bytes;
    grant_locked(b, false);
    lock_drop(&b->lock);
}

void budget_let_go(struct budget *b)
{
    lock_take(&b->lock);
    grant_locked(b, true);
    lock_drop(&b->lock);
}

uint64_t budget_used(struct budget *b)
{
    uint64_t used;

    lock_take(&b->lock);
    used = b->locked.used;
    lock_drop(&b->lock);
    return used;
}

unsigned budget_waiting(struct budget *b)
{
    unsigned waiting;

    lock_take(&b->lock);
    waiting = b->locked.waiting;
    lock_drop(&b->lock);
    return waiting;
}
