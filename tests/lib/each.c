/* SPDX-License-Identifier: Apache-2.0 */
/* Which call fails next: the first that did not fail before. See each.h. */
#include "each.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unwind.h>

#define STACKS 8192    /* that are met in one run */
#define PLACES 65536   /* that were met in all of them */
#define FRAMES_MAX 100 /* of a stack */
#define STARTS 32      /* functions that threads begin with */

struct stack {
    uint64_t id;
    unsigned run, times;
};

/* In shared memory: also its lock, so a process that is forked while another thread has it waits
 * for that thread. */
struct each {
    atomic_bool is_taken;
    atomic_bool is_on, failed;
    unsigned run, stride, tried, met;
    struct stack stacks[STACKS];
    uint64_t places[PLACES];
};

static struct each *each;
static _Atomic uintptr_t starts[STARTS];

void *each_shared(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (p == MAP_FAILED)
        abort();
    return p;
}

__attribute__((constructor)) static void begin(void)
{
    each = each_shared(sizeof(*each));
}

static void take(void)
{
    while (atomic_exchange(&each->is_taken, true))
        sched_yield();
}

static void drop(void)
{
    atomic_store(&each->is_taken, false);
}

void each_begin(unsigned stride)
{
    take();
    memset(each->stacks, 0, sizeof(each->stacks));
    memset(each->places, 0, sizeof(each->places));
    each->tried = each->met = 0;
    each->is_on = false;
    each->stride = stride;
    drop();
}

void each_run(bool on)
{
    take();
    each->is_on = on;
    if (on) {
        each->failed = false;
        each->run++;
    }
    drop();
}

bool each_failed(void)
{
    return each->failed;
}

unsigned each_tried(void)
{
    return each->tried;
}

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 29;
}

static bool is_start(uintptr_t fn)
{
    for (size_t i = 0; i < STARTS && starts[i] != 0; i++)
        if (starts[i] == fn)
            return true;
    return false;
}

void each_thread_begins(void *(*fn)(void *))
{
    uintptr_t it = (uintptr_t)fn, none = 0;

    for (size_t i = 0; i < STARTS; i++, none = 0)
        if (atomic_compare_exchange_strong(&starts[i], &none, it) || none == it)
            break;
}

struct walk {
    uint64_t id;
    unsigned n;
};

static _Unwind_Reason_Code add_frame(struct _Unwind_Context *context, void *arg)
{
    struct walk *w = arg;

    w->id = mix(w->id, _Unwind_GetIP(context));
    return ++w->n < FRAMES_MAX && !is_start(_Unwind_GetRegionStart(context)) ? _URC_NO_REASON
                                                                             : _URC_END_OF_STACK;
}

static uint64_t this_stack(void)
{
    struct walk w = {0};

    _Unwind_Backtrace(add_frame, &w);
    return w.id | 1; /* 0: a free slot */
}

/* How many of this stack were before in this run. */
static unsigned times_before(uint64_t id)
{
    for (size_t i = id % STACKS, n = 0; n < STACKS; i = (i + 1) % STACKS, n++) {
        struct stack *s = &each->stacks[i];

        if (s->id != 0 && s->id != id)
            continue;
        if (s->run != each->run)
            *s = (struct stack){.id = id, .run = each->run};
        return s->times++;
    }
    abort(); /* more stacks than anybody thought */
}

static bool is_new(uint64_t place)
{
    for (size_t i = place % PLACES, n = 0; n < PLACES; i = (i + 1) % PLACES, n++) {
        if (each->places[i] == place)
            return false;
        if (each->places[i] == 0) {
            each->places[i] = place;
            return true;
        }
    }
    abort();
}

bool each_is_next(void)
{
    uint64_t id;
    bool is_it = false;

    if (each == NULL || !each->is_on || each->failed)
        return false;
    id = this_stack();
    take();
    if (each->is_on && !each->failed && is_new(mix(id, times_before(id)) | 1))
        is_it = each->met++ % each->stride == 0;
    each->failed = each->failed || is_it;
    each->tried += is_it;
    drop();
    return is_it;
}
