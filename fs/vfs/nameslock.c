/* SPDX-License-Identifier: Apache-2.0 */
/* v->names, where it is held for long. Who overwrote or removes a name on a server whose DELETE
 * knows no conditions waits for another mount's rename of it (late.c), with names held for reading:
 * its key must stay what it was. That cannot be a circle: a rename waits for nobody while its own
 * intent stands, and takes no lock after it was written. But a directory's rename here, which wants
 * names for writing, would make everybody else wait as long, and the other mount's rename may be of
 * a million files. So it does not queue while such a wait is under way, and queues for no longer at
 * a time than it has waited; in between those go on that only read. */
#include <time.h>

#include "base/clock.h"
#include "internal.h"

#define QUEUE_NS                                                                                   \
    (50 * NS_PER_MS) /* at first; then twice as long each time, so that its turn comes */

void names_far_begin(struct vfs *v)
{
    lock_take(&v->tree);
    v->locked.n_far++;
    lock_drop(&v->tree);
}

void names_far_end(struct vfs *v)
{
    lock_take(&v->tree);
    if (--v->locked.n_far == 0)
        cond_broadcast(&v->far_over);
    lock_drop(&v->tree);
}

static struct timespec in_ns(int64_t ns)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    ns += ts.tv_nsec;
    ts.tv_sec += ns / NS_PER_S;
    ts.tv_nsec = ns % NS_PER_S;
    return ts;
}

void names_take_all(struct vfs *v)
{
    struct timespec until;

    for (int64_t ns = QUEUE_NS;; ns *= 2) {
        lock_take(&v->tree);
        while (v->locked.n_far > 0)
            cond_wait(&v->far_over, &v->tree);
        lock_drop(&v->tree);
        until = in_ns(ns);
        if (pthread_rwlock_timedwrlock(&v->names, &until) == 0)
            return;
    }
}
