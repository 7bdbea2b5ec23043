/* SPDX-License-Identifier: Apache-2.0 */
/* Files held open (protocol 12): what was appended, or written into a file that is in the bucket,
 * goes there after flush_after also without a close or fsync, as EFS's client writes back, so that
 * `tail -f` elsewhere sees a log. Never a new file, or one whose whole content is being replaced,
 * before its first close or fsync: half of it is no file. Nobody is told of a failure here: the
 * file stays dirty, and its close or fsync tries again. */
#include "internal.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/origin.h"

static bool may_write_locked(const struct inode *i)
{
    return i->is_dirty && !i->is_new && i->n_writers > 0 && i->data != NULL &&
           (!i->is_stale || i->newer_key != NULL) && i->failed == 0 && i->torn == 0 &&
           data_is_dirty(i->data) && !merge_owns_whole_locked(i);
}

static int64_t due_ns_locked(const struct vfs *v, const struct inode *i)
{
    int64_t since = i->dirty_since_ns > i->written_back_ns ? i->dirty_since_ns : i->written_back_ns;

    return since + v->conf.flush_after_ns;
}

struct next {
    const struct vfs *v;
    struct inode *found;
    int64_t due_ns;
};

static void look_at(struct map_link *l, void *arg)
{
    const struct handle *h = container_of(l, struct handle, link);
    struct next *n = arg;
    int64_t due;

    if (!h->is_writer || !may_write_locked(h->inode))
        return;
    due = due_ns_locked(n->v, h->inode);
    if (n->found != NULL && due >= n->due_ns)
        return;
    n->found = h->inode;
    n->due_ns = due;
}

/* The one that waits longest, or NULL. */
static struct inode *next_locked(struct vfs *v, int64_t *ret_due_ns)
{
    struct next n = {.v = v};

    map_each(&v->locked.handles, look_at, &n);
    *ret_due_ns = n.due_ns;
    return n.found;
}

static bool write_back(struct vfs *v, struct inode *i)
{
    bool still;
    int r = 0;

    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, i);
    lock_take(&v->tree);
    still = may_write_locked(i); /* it may have been closed, or truncated, meanwhile */
    lock_drop(&v->tree);
    if (still)
        r = commit_inode_unwaited(v, i);
    lock_take(&v->tree);
    i->written_back_ns = clock_boot_ns();
    if (still)
        i->failed = 0; /* that is for what a caller was told */
    lock_drop(&v->tree);
    inode_io_drop(v, i);
    pthread_rwlock_unlock(&v->names);
    inode_tell_kernel(v, i);
    if (r < 0)
        log_warn("commit.background", "node=%llu error=%d cause=%s", (unsigned long long)i->node,
                 -r, LOG_Q(err_text()));
    return still && r == 0;
}

size_t writeback_run(struct vfs *v)
{
    size_t n = 0;

    while (v->conf.flush_after_ns > 0) {
        struct inode *i;
        int64_t due;

        lock_take(&v->tree);
        i = next_locked(v, &due);
        if (i != NULL && due <= clock_boot_ns())
            i->refs++;
        else
            i = NULL;
        lock_drop(&v->tree);
        if (i == NULL)
            break;
        n += write_back(v, i);
        inode_unref(v, i);
    }
    return n;
}

static void *run(void *arg)
{
    struct vfs *v = arg;
    int64_t due;

    origin_set(ORIGIN_FLUSH_AFTER);
    lock_take(&v->tree);
    while (!v->locked.writeback_ends) {
        if (next_locked(v, &due) == NULL) {
            v->locked.writeback_idles = true;
            cond_wait(&v->writeback_due, &v->tree);
            v->locked.writeback_idles = false;
            continue;
        }
        due -= clock_boot_ns();
        if (due > 0) {
            (void)cond_wait_ms(&v->writeback_due, &v->tree, due / NS_PER_MS + 1);
            continue;
        }
        lock_drop(&v->tree);
        (void)writeback_run(v);
        lock_take(&v->tree);
    }
    lock_drop(&v->tree);
    return NULL;
}

void writeback_wake(struct vfs *v)
{
    if (v->conf.flush_after_ns <= 0 || v->conf.flush_by_hand)
        return;
    lock_take(&v->tree);
    if (!v->locked.writeback_runs && !v->locked.writeback_ends)
        v->locked.writeback_runs = pthread_create(&v->writeback_thread, NULL, run, v) == 0;
    else if (v->locked.writeback_idles)
        cond_signal(&v->writeback_due);
    lock_drop(&v->tree);
}

void writeback_stop(struct vfs *v)
{
    bool runs;

    lock_take(&v->tree);
    v->locked.writeback_ends = true;
    runs = v->locked.writeback_runs;
    cond_signal(&v->writeback_due);
    lock_drop(&v->tree);
    if (runs)
        pthread_join(v->writeback_thread, NULL);
}
