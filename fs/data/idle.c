/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that have come and that the cache would not have (it is full, or its disk is bad): they
 * stay in memory, oldest first to go, so that a reader does not ask for each page again. Up to a
 * quarter of the memory, and none at all while anybody waits for memory: who appends looks for
 * those who wait, and who begins to wait looks for what is here. */
#include "flight.h"

void idle_remove_locked(struct data *d, struct flight *fl)
{
    *(fl->idle_prev ? &fl->idle_prev->idle_next : &d->locked.idle_first) = fl->idle_next;
    *(fl->idle_next ? &fl->idle_next->idle_prev : &d->locked.idle_last) = fl->idle_prev;
    fl->idle_prev = fl->idle_next = NULL;
    fl->is_idle = false;
    d->locked.idle_bytes -= fl->len;
}

void idle_append_locked(struct data *d, struct flight *fl)
{
    fl->is_idle = true;
    fl->idle_prev = d->locked.idle_last;
    *(fl->idle_prev ? &fl->idle_prev->idle_next : &d->locked.idle_first) = fl;
    d->locked.idle_last = fl;
    d->locked.idle_bytes += fl->len;
}

bool idle_drop_oldest(struct data *d)
{
    lock_take(&d->lock);
    struct flight *fl = d->locked.idle_first, *dead = fl ? flight_leave_locked(fl) : NULL;
    lock_drop(&d->lock);
    flight_free(dead);
    return fl != NULL;
}

static bool is_too_much(struct data *d)
{
    lock_take(&d->lock);
    bool is_above = d->locked.idle_bytes > d->conf.mem_limit / 4;
    lock_drop(&d->lock);
    return is_above || budget_waiting(&d->memory) > 0;
}

void idle_trim(struct data *d)
{
    while (is_too_much(d) && idle_drop_oldest(d))
        ;
}

void idle_make_room(void *arg)
{
    spare_drop_all(arg);
    idle_trim(arg);
}

size_t flight_peek(struct data *d, const struct cache_id *id, uint64_t off, void *buf, size_t len)
{
    uint64_t next;
    lock_take(&d->lock);
    struct flight *fl = flight_find_locked(d, id, off, &next);
    if (fl && fl->state == LANDED)
        fl->refs++;
    else
        fl = NULL;
    lock_drop(&d->lock);
    if (!fl)
        return 0;
    size_t n = flight_copy(fl, off, buf, len);
    flight_unref(fl);
    return n;
}

void flight_donate(struct data *d, const struct cache_id *id, char *data)
{
    struct flight *fl = flight_make(d, id);
    if (!fl) {
        free(data);
        budget_give(&d->memory, id->size);
        return;
    }
    fl->data = data;
    fl->len = id->size;
    fl->state = LANDED;
    uint64_t next;
    lock_take(&d->lock);
    bool is_wanted = !flight_find_locked(d, id, 0, &next) && next == UINT64_MAX;
    if (is_wanted) {
        flight_enter_locked(fl, (struct flight_range){0, id->size});
        d->locked.flying--;
        idle_append_locked(d, fl);
    }
    lock_drop(&d->lock);
    if (is_wanted)
        idle_trim(d);
    else
        flight_free(fl);
}
