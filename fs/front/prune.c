/* SPDX-License-Identifier: Apache-2.0 */
/* Asks the kernel to forget names that nobody uses, on a thread of its own (see notify.c).
 *
 * Kernels from 6.18 on are told node numbers (FUSE_NOTIFY_PRUNE): they drop what is not in use, and
 * nothing else. Older ones only know how to drop a name in a directory, used or not: a working
 * directory would then have no path any more, so they are asked for files alone. There the thread
 * may wait for a directory's lock, which a call that is being served holds: so no call ever waits
 * for this thread. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include "base/err.h"
#include "base/log.h"

#define BATCH 256
#define NOTIFY_PRUNE 9 /* <linux/fuse.h> has it from protocol 7.45 on */
#define PRUNE_MINOR 45
struct prune_out {
    uint32_t count, padding;
    uint64_t spare;
};

struct prune {
    struct front *front;
    pthread_t thread;
    struct lock lock;
    struct cond wake;
    struct {
        bool is_due, is_ending;
    } locked;
    struct vfs_idle *batch; /* the thread's from here on */
    bool by_number;
    int fd; /* /dev/fuse, our own: the session's number may be another file's before this thread ends */
};

static int tell_numbers(struct prune *p, size_t n)
{
    uint64_t nodes[BATCH];
    struct prune_out out = {.count = (uint32_t)n};
    struct fuse_out_header head = {
        .len = (uint32_t)(sizeof(head) + sizeof(out) + n * sizeof(*nodes)), .error = NOTIFY_PRUNE};
    struct iovec iov[] = {{&head, sizeof(head)}, {&out, sizeof(out)}, {nodes, n * sizeof(*nodes)}};

    for (size_t i = 0; i < n; i++)
        nodes[i] = p->batch[i].node;
    return writev(p->fd, iov, 3) < 0 ? -errno : 0;
}

static void tell_names(const struct prune *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct vfs_idle *x = &p->batch[i];

        if (!x->is_dir) /* -ENOENT: it is forgotten already */
            (void)fuse_lowlevel_notify_inval_entry(p->front->session, x->dir, x->name,
                                                   strlen(x->name));
    }
}

static void tell(struct prune *p, size_t n)
{
    int r = p->by_number ? tell_numbers(p, n) : 0;

    if (r == -EINVAL || r == -ENOSYS) {
        log_info("front.prune", "errno=%d effect=\"names are dropped one by one\"", -r);
        p->by_number = false;
    }
    if (!p->by_number)
        tell_names(p, n);
}

static bool wait_due(struct prune *p)
{
    bool goes_on;

    lock_take(&p->lock);
    while (!p->locked.is_due && !p->locked.is_ending)
        cond_wait(&p->wake, &p->lock);
    p->locked.is_due = false;
    goes_on = !p->locked.is_ending;
    lock_drop(&p->lock);
    return goes_on;
}

static bool is_ending(struct prune *p)
{
    bool ends;

    lock_take(&p->lock);
    ends = p->locked.is_ending;
    lock_drop(&p->lock);
    return ends;
}

static void *prune_main(void *arg)
{
    struct prune *p = arg;
    size_t n;

    while (wait_due(p)) {
        while (!is_ending(p) && (n = vfs_idle_get(p->front->vfs, p->batch, BATCH)) > 0)
            tell(p, n);
    }
    return NULL;
}

void front_prune(void *front)
{
    struct prune *p = atomic_load(&((struct front *)front)->prune);

    if (p == NULL)
        return; /* not mounted yet: the kernel knows nothing */
    lock_take(&p->lock);
    p->locked.is_due = true;
    cond_signal(&p->wake);
    lock_drop(&p->lock);
}

static void done_with(struct prune *p)
{
    if (p->fd >= 0)
        close(p->fd);
    cond_done(&p->wake);
    lock_done(&p->lock);
    free(p->batch);
    free(p);
}

/* Before the first call is served. */
int prune_new(struct front *f, bool by_name)
{
    struct prune *p = calloc(1, sizeof(*p));
    int r = p != NULL ? 0 : -ENOMEM;

    if (r == 0) {
        p->front = f;
        p->by_number = !by_name;
        p->fd = fcntl(fuse_session_fd(f->session), F_DUPFD_CLOEXEC, 0);
        p->batch = calloc(BATCH, sizeof(*p->batch));
        lock_init(&p->lock, LOCK_LEAF);
        cond_init(&p->wake);
        if (p->fd < 0)
            r = -errno;
        else
            r = p->batch != NULL ? -pthread_create(&p->thread, NULL, prune_main, p) : -ENOMEM;
        if (r == 0) {
            atomic_store(&f->prune, p);
            front_prune(f); /* a start may have brought too many names already */
            return 0;
        }
        done_with(p);
    }
    return err_set(r, "no thread for names: %s", strerror(-r));
}

void prune_protocol(struct front *f, unsigned minor)
{
    struct prune *p = atomic_load(&f->prune);

    if (p != NULL && minor < PRUNE_MINOR)
        p->by_number = false;
}

/* When no call is served any more. */
void prune_free(struct front *f)
{
    struct prune *p = atomic_exchange(&f->prune, NULL);

    if (p == NULL)
        return;
    vfs_idle_stop(f->vfs);
    lock_take(&p->lock);
    p->locked.is_ending = true;
    cond_signal(&p->wake);
    lock_drop(&p->lock);
    pthread_join(p->thread, NULL);
    done_with(p);
}
