/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for locks without a thread for each: threads of our own try again for those who wait,
 * when something has changed here, and at growing intervals while another mount is in the way. The
 * oldest waiter is tried first. */
#include "locks.h"

#include <errno.h>
#include <signal.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/origin.h"
#include "base/str.h"

#define LOOK_MS                                                                                    \
    200 /* the longest sleep while something is due: a test's clock is moved by hand               \
         */

static void *run(void *arg);

static void start_threads_locked(struct vfs *v)
{
    struct locktable *t = v->locks;
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for the main thread */
    while (t->n_threads < LOCK_THREADS && !t->is_stopping &&
           pthread_create(&t->threads[t->n_threads], NULL, run, v) == 0)
        pthread_setname_np(t->threads[t->n_threads++], "locks");
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void lock_wake_locked(struct vfs *v, struct lockfile *lf, int64_t delay_ns)
{
    int64_t due_ns = clock_boot_ns() + delay_ns;

    if (lf->due_ns == INT64_MAX)
        lf->refs++;
    if (due_ns < lf->due_ns)
        lf->due_ns = due_ns;
    start_threads_locked(v);
    cond_broadcast(&v->locks->wake);
}

void lock_wake(struct vfs *v, struct lockfile *lf)
{
    lock_take(&v->locks->lock);
    if (lf->waiters != NULL)
        lock_wake_locked(v, lf, 0);
    lock_drop(&v->locks->lock);
}

int lock_park(struct vfs *v, struct inode *i, struct lockfile *lf, const struct vfs_lock *l,
              struct vfs_lock_wait *w, bool is_there)
{
    struct vfs_lock_wait **p = &lf->waiters;
    int r = VFS_LOCK_WAITS;

    lock_take(&v->tree);
    i->refs++;
    lock_drop(&v->tree);
    lock_take(&v->locks->lock);
    if (lf->is_out)
        r = TRY_MOVED;
    else if (v->locks->is_stopping || atomic_load(&w->is_interrupted))
        r = err_set(-EINTR, "interrupted");
    else if (l->kind == LOCK_POSIX && lock_closes_circle_locked(v->locks, lf, l))
        r = err_set(-EDEADLK, "who holds the lock waits for one of this process");
    if (r == VFS_LOCK_WAITS) {
        w->want = *l;
        w->inode = i;
        w->file = lf;
        w->next = NULL;
        while (*p != NULL)
            p = &(*p)->next;
        *p = w;
        lf->poll_ns = LOCK_POLL_MIN_NS;
        /* What has changed since it was tried would wake nobody. */
        lock_wake_locked(v, lf, is_there ? lf->poll_ns : 0);
        if (v->locks->n_threads == 0) {
            *p = NULL;
            w->file = NULL;
            r = err_set(-ENOLCK, "no thread to wait for locks");
        }
    }
    lock_drop(&v->locks->lock);
    if (r != VFS_LOCK_WAITS)
        inode_unref(v, i);
    return r;
}

/* Takes it off the list and answers it; the lock is given up meanwhile. */
static void answer_locked(struct vfs *v, struct lockfile *lf, struct vfs_lock_wait *w, int r)
{
    struct vfs_lock_wait **p = &lf->waiters;
    struct inode *i = w->inode;

    while (*p != w)
        p = &(*p)->next;
    *p = w->next;
    w->file = NULL;
    lock_drop(&v->locks->lock);
    w->done(w, r);
    inode_unref(v, i);
    lock_take(&v->locks->lock);
}

/* One round: *ret_polls if another mount is in the way of somebody. Only this thread takes waiters
 * off this list; new ones come at its end. */
static void try_all_locked(struct vfs *v, struct lockfile *lf, bool *ret_polls)
{
    struct vfs_lock_wait *w = lf->waiters, *next;

    for (; w != NULL; w = next) {
        int r = -EINTR;

        if (!v->locks->is_stopping && !atomic_load(&w->is_interrupted)) {
            lock_drop(&v->locks->lock);
            r = lock_try(v, w->inode, lf, &w->want);
            lock_take(&v->locks->lock);
        }
        next = w->next;
        *ret_polls = *ret_polls || r == TRY_BUSY_THERE;
        if (r != TRY_BUSY_HERE && r != TRY_BUSY_THERE) {
            lf->poll_ns = LOCK_POLL_MIN_NS;
            answer_locked(v, lf, w, r);
        }
    }
}

/* Three quarters to five quarters of the interval, which grows. */
static int64_t next_poll_locked(struct lockfile *lf)
{
    int64_t now = clock_boot_ns(), ns = lf->poll_ns;

    lf->poll_ns = ns + ns / 2 < LOCK_POLL_MAX_NS ? ns + ns / 2 : LOCK_POLL_MAX_NS;
    return ns * 3 / 4 + (int64_t)(str_hash(&now, sizeof(now)) % (uint64_t)(ns / 2));
}

static void serve_locked(struct vfs *v, struct lockfile *lf)
{
    bool polls = false;

    lf->due_ns = INT64_MAX; /* its reference is ours */
    lf->is_served = true;
    lock_drop(&v->locks->lock);
    if (lock_settle(v, lf) < 0) {
        log_debug("locks.settle", "name=%s cause=%s", lf->name, LOG_Q(err_text()));
        polls = true;
    }
    lock_take(&v->locks->lock);
    try_all_locked(v, lf, &polls);
    lf->is_served = false;
    if (polls && !v->locks->is_stopping)
        lock_wake_locked(v, lf, next_poll_locked(lf));
    lock_drop(&v->locks->lock);
    lockfile_unref(v, lf);
    lock_take(&v->locks->lock);
}

/* The one that is due first; NULL: none is. */
static struct lockfile *first_due_locked(const struct locktable *t)
{
    struct lockfile *first = NULL;

    for (struct lockfile *lf = t->files; lf != NULL; lf = lf->next)
        if (!lf->is_served && lf->due_ns != INT64_MAX &&
            (first == NULL || lf->due_ns < first->due_ns))
            first = lf;
    return first;
}

static void *run(void *arg)
{
    struct vfs *v = arg;
    struct locktable *t = v->locks;

    origin_set(ORIGIN_LOCK_WAIT);
    lock_take(&t->lock);
    for (;;) {
        struct lockfile *lf = first_due_locked(t);
        int64_t ms = lf != NULL ? (lf->due_ns - clock_boot_ns()) / NS_PER_MS + 1 : 0;

        if (lf != NULL && (t->is_stopping || lf->due_ns <= clock_boot_ns()))
            serve_locked(v, lf);
        else if (t->is_stopping)
            break;
        else if (lf != NULL)
            cond_wait_ms(&t->wake, &t->lock, ms < LOOK_MS ? ms : LOOK_MS);
        else
            cond_wait(&t->wake, &t->lock);
    }
    lock_drop(&t->lock);
    return NULL;
}

void vfs_lock_interrupt(struct vfs *v, struct vfs_lock_wait *wait)
{
    atomic_store(&wait->is_interrupted, true);
    lock_take(&v->locks->lock);
    if (wait->file != NULL)
        lock_wake_locked(v, wait->file, 0);
    lock_drop(&v->locks->lock);
}

void vfs_lock_stop(struct vfs *v)
{
    struct locktable *t = v->locks;
    unsigned n;

    lock_take(&t->lock);
    t->is_stopping = true;
    for (struct lockfile *lf = t->files; lf != NULL; lf = lf->next)
        if (lf->waiters != NULL)
            lock_wake_locked(v, lf, 0);
    cond_broadcast(&t->wake);
    n = t->n_threads;
    t->n_threads = 0;
    lock_drop(&t->lock);
    for (unsigned k = 0; k < n; k++)
        pthread_join(t->threads[k], NULL);
}
