/* SPDX-License-Identifier: Apache-2.0 */
/* Kernel invalidations, on a thread of their own: the kernel may wait inside one for pages that a call being
 * served holds, so none is made in the path of a call (libfuse's warning at fuse_lowlevel_notify_inval_inode).
 *
 * NOTIFY-1  A waiter waits for at most WAIT_MS: what it waits for may need a loop thread, and all of them may be
 *           waiting here. An open whose pages changed drops them by its answer (keep_cache) as well. */
#include "internal.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include "base/err.h"
#include "base/lock.h"
#include "base/log.h"

#define WAIT_MS 10000

struct request {
    struct request *next;
    uint64_t node;
    bool done, abandoned; /* the last of waiter and thread to leave frees it */
};

struct notify {
    struct fuse_session *session;
    pthread_t thread;
    bool joined;
    struct lock lock;
    struct cond wake, done;
    struct {
        struct request *head, **tail;
        bool stopping;
    } locked;
};

static void tell(struct notify *n, uint64_t node)
{
    int r = fuse_lowlevel_notify_inval_inode(n->session, node, 0, 0);

    if (r < 0 && r != -ENOENT) /* the kernel does not know the node: nothing to drop */
        log_debug("front.invalidate", "node=%" PRIu64 " errno=%d", node, -r);
}

/* The next request, or NULL to stop. */
static struct request *take(struct notify *n)
{
    struct request *q;

    lock_take(&n->lock);
    while (n->locked.head == NULL && !n->locked.stopping)
        cond_wait(&n->wake, &n->lock);
    q = n->locked.head;
    if (q != NULL) {
        n->locked.head = q->next;
        if (n->locked.head == NULL)
            n->locked.tail = &n->locked.head;
    }
    lock_drop(&n->lock);
    return q;
}

static void *notify_main(void *arg)
{
    struct notify *n = arg;
    struct request *q;

    while ((q = take(n)) != NULL) {
        bool abandoned;

        tell(n, q->node);
        lock_take(&n->lock);
        q->done = true;
        abandoned = q->abandoned;
        cond_broadcast(&n->done);
        lock_drop(&n->lock);
        if (abandoned)
            free(q);
    }
    return NULL;
}

int notify_new(struct fuse_session *session, struct notify **ret)
{
    struct notify *n = calloc(1, sizeof(*n));
    int r;

    if (n == NULL)
        return err_set(-ENOMEM, "out of memory");
    n->session = session;
    n->locked.tail = &n->locked.head;
    lock_init(&n->lock, LOCK_LEAF);
    cond_init(&n->wake);
    cond_init(&n->done);
    r = -pthread_create(&n->thread, NULL, notify_main, n);
    if (r < 0) {
        n->joined = true;
        notify_free(n);
        return err_set(r, "no thread for kernel invalidations: %s", strerror(-r));
    }
    *ret = n;
    return 0;
}

/* Serves what is queued and ends the thread. */
void notify_stop(struct notify *n)
{
    if (n->joined)
        return;
    lock_take(&n->lock);
    n->locked.stopping = true;
    cond_broadcast(&n->wake);
    lock_drop(&n->lock);
    pthread_join(n->thread, NULL);
    n->joined = true;
}

void notify_free(struct notify *n)
{
    if (n == NULL)
        return;
    notify_stop(n);
    cond_done(&n->done);
    cond_done(&n->wake);
    lock_done(&n->lock);
    free(n);
}

/* true: q is done and the waiter's; false: it was given up. */
static bool wait_for(struct notify *n, struct request *q)
{
    bool done;

    while (!q->done) {
        if (cond_wait_ms(&n->done, &n->lock, WAIT_MS) == -ETIMEDOUT)
            break;
    }
    done = q->done;
    q->abandoned = !done;
    return done;
}

void front_invalidate(void *front, uint64_t node)
{
    struct front *f = front;
    struct notify *n = f->notify;
    struct request *q;
    bool done = true, queued = false;

    if (n == NULL)
        return; /* not mounted yet: the kernel knows nothing */
    q = calloc(1, sizeof(*q));
    if (q == NULL) {
        log_warn("front.invalidate", "node=%" PRIu64 " cause=\"out of memory\"", node);
        return;
    }
    q->node = node;
    lock_take(&n->lock);
    if (!n->locked.stopping) {
        queued = true;
        *n->locked.tail = q;
        n->locked.tail = &q->next;
        cond_signal(&n->wake);
        done = wait_for(n, q);
    }
    lock_drop(&n->lock);
    if (!done)
        log_warn("front.invalidate_slow", "node=%" PRIu64 " waited_ms=%d", node, WAIT_MS);
    if (!queued || done)
        free(q);
}
