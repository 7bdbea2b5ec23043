/* SPDX-License-Identifier: Apache-2.0 */
/* The senders of commit=local: each takes the removal that may go (removal.h), or else the file whose close returned
 * longest ago, and commits that as a close would, but under OUT-1..4 (outbox.h). What the bucket refuses for good goes to
 * lost+found; all else is tried again, for ever, also on a soft mount. A file that its writer has
 * changed again since its last close is not sent half: it waits for the next close. */
#include "fold.h"
#include "linked.h"
#include "makedir.h"
#include "relocate.h"
#include "removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/origin.h"
#include "base/macros.h"

#define RETRY_MIN_NS NS_PER_S
#define RETRY_MAX_NS (30 * NS_PER_S)

bool outbox_may_send_locked(const struct inode *i)
{
    return !i->out_is_behind || i->n_writers == 0 ||
           (!i->is_new && outbox_waits(i) && !merge_owns_whole_locked(i));
}

/* Does it wait for a file that its writer has open again (REL-3)? */
static bool is_held_up_locked(struct vfs *v, const struct inode *i)
{
    const struct inode *h = relocate_blocker_locked(v, i);

    for (unsigned n = 0; h != NULL && outbox_may_send_locked(h); n++)
        h = n < RELOCATE_CHAIN ? relocate_blocker_locked(v, h) : NULL;
    return h != NULL;
}

uint64_t outbox_oldest_locked(struct vfs *v)
{
    for (const struct outgoing *o = v->locked.out_first; o != NULL; o = o->next)
        if (!o->is_done && outbox_may_send_locked(o->inode) && !is_held_up_locked(v, o->inode))
            return o->order;
    return UINT64_MAX;
}

bool outbox_is_final(int r)
{
    static const int errnos[] = {EACCES,  EPERM, ESTALE, EEXIST,       ENOENT, EISDIR,
                                 ENOTDIR, EFBIG, EINVAL, ENAMETOOLONG, EROFS,  EOPNOTSUPP};

    for (size_t k = 0; k < ARRAY_LEN(errnos); k++)
        if (r == -errnos[k])
            return true;
    return false;
}

int64_t outbox_retry_ns(unsigned tries)
{
    int64_t wait = RETRY_MIN_NS;

    for (unsigned k = 0; k < tries && wait < RETRY_MAX_NS; k++)
        wait *= 2;
    return clock_boot_ns() + (wait < RETRY_MAX_NS ? wait : RETRY_MAX_NS);
}

void outbox_try_later(struct vfs *v, struct inode *i, int r)
{
    unsigned tries;

    lock_take(&v->tree);
    i->out->retry_ns = outbox_retry_ns(i->out->tries);
    tries = ++i->out->tries;
    lock_drop(&v->tree);
    if ((tries & (tries - 1)) == 0) /* less and less often */
        log_warn("local.retry", "node=%llu tries=%u error=%d cause=%s", (unsigned long long)i->node,
                 tries, -r, LOG_Q(err_text()));
}

/* Where not even lost+found takes the bytes, the entry stays: the next start tries again. */
static void give_up(struct vfs *v, struct inode *i, int r)
{
    bool is_there = r != -ESTALE && r != -EEXIST && r != -ENOENT; /* what it was to go over */
    struct err_copy cause;
    struct removal *m;
    bool is_kept;

    err_copy(&cause);
    m = is_there ? removal_give_back(v, i) : NULL;
    err_restore(&cause);
    is_kept = commit_give_up(v, i, r, "when it was sent after its close");
    relocate_undo(v, i);
    if (m != NULL && removal_gave_back(v, m, is_kept) == 0)
        ; /* its entry is the removal's */
    else if (is_kept && outbox_forget(v, i) < 0)
        log_warn("journal.drop", "cause=%s", LOG_Q(err_text()));
    if (i->out != NULL)
        outbox_leave(v, i);
    lock_take(&v->tree);
    i->is_linking = false; /* the names that were not made are not there */
    inode_kernel_behind_locked(v, i);
    lock_drop(&v->tree);
    err_restore(&cause);
}

int outbox_send(struct vfs *v, struct inode *i)
{
    bool is_owed, is_barred;
    int r;

    if (inode_is_dir(i))
        return makedir_send(v, i);
    r = commit_inode_unwaited(v, i);
    if (i->out == NULL)
        return r;
    lock_take(&v->tree);
    i->failed = 0; /* that is for what a caller was told */
    is_owed = inode_is_owed_locked(v, i);
    is_barred = i->is_barred; /* written under a lock that was lost */
    lock_drop(&v->tree);
    if (r == 0 && !is_owed) { /* its name went, or it was sent */
        bool is_done = i->out->is_done;

        r = outbox_forget(v, i);
        if (r < 0)
            outbox_try_later(v, i, r);
        return is_done ? 0 : r;
    }
    if (r < 0 && !is_barred && outbox_is_final(r) && linked_give_up_name(v, i, r))
        r = 0; /* under its next one */
    else if (r < 0 && (is_barred || outbox_is_final(r)))
        give_up(v, i, r);
    else
        outbox_try_later(v, i, r);
    return r;
}

/* The one but that one that waits longest, or NULL and when there is one (0: not before something happens). */
static struct outgoing *next_locked(struct vfs *v, const struct outgoing *but, int64_t *ret_due_ns)
{
    int64_t now = clock_boot_ns();

    *ret_due_ns = 0;
    for (struct outgoing *o = v->locked.out_first; o != NULL; o = o->next) {
        if (o == but || o->is_busy || !outbox_may_send_locked(o->inode) ||
            relocate_blocker_locked(v, o->inode) != NULL) /* that one is in the queue, too */
            continue;
        if (fold_stands_locked(o, now)) { /* FOLD-2 */
            if (*ret_due_ns == 0 || o->fold_ns < *ret_due_ns)
                *ret_due_ns = o->fold_ns;
            break;
        }
        if (o->retry_ns <= now)
            return o;
        if (*ret_due_ns == 0 || o->retry_ns < *ret_due_ns)
            *ret_due_ns = o->retry_ns;
    }
    return NULL;
}

#define SEND_REFUSED 2

/* As send_locked(), of a directory; who else is at it is waited for. */
static int send_dir_locked(struct vfs *v, struct inode *dir, bool has_names)
{
    int r;

    dir->refs++;
    lock_drop(&v->tree);
    if (!has_names)
        pthread_rwlock_rdlock(&v->names);
    r = makedir_send(v, dir);
    if (!has_names)
        pthread_rwlock_unlock(&v->names);
    lock_take(&v->tree);
    if (r < 0 && dir->out != NULL && dir->out->retry_ns <= clock_boot_ns()) /* one that it is in failed */
        dir->out->retry_ns = outbox_retry_ns(dir->out->tries++);
    if (r < 0 && !outbox_waits(dir))
        r = SEND_REFUSED;
    inode_unref_locked(v, dir);
    return r;
}

static int send_locked(struct vfs *v, struct outgoing *o, bool has_names);

/* With v->tree held, which it drops meanwhile. What holds the removal of that key goes, and before it what that waits
 * for. 0: nothing holds it; -errno. */
static int send_holder_locked(struct vfs *v, const char *key, bool has_names)
{
    const struct inode *last = NULL;
    struct inode *i;

    while ((i = relocate_holder_locked(v, key)) != NULL) {
        int r;

        if (i == last && !outbox_may_send_locked(i))
            return err_set(-EBUSY, "%s was renamed, and is being written again", key);
        if (i == last && i->out->is_done)
            return err_set(-EIO, "%s was renamed, and the journal does not take its removal", key);
        last = i;
        r = send_locked(v, i->out, has_names);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The same for the key of i. */
static int unblock_locked(struct vfs *v, struct inode *i, bool has_names)
{
    char key[VFS_KEY_MAX + 2];
    int r = 0;

    if (relocate_blocker_locked(v, i) == NULL)
        return 0;
    i->refs++;
    if (inode_key_locked(v, i, NULL, key) == 0)
        r = send_holder_locked(v, key, has_names);
    inode_unref_locked(v, i);
    return r;
}

/* With v->tree held, which it drops meanwhile. 0: it was sent; 1: it does not wait, or not for us; SEND_REFUSED: for good,
 * err_text() says why; -errno: it waits on.
 * Who has names for writing leaves telling the kernel to the next call about the file. */
static int send_locked(struct vfs *v, struct outgoing *o, bool has_names)
{
    struct inode *i = o->inode;
    struct err_copy cause;
    struct data_file *f;
    bool still;
    int r = 1;

    if (inode_is_dir(i))
        return send_dir_locked(v, i, has_names);
    i->refs++;
    r = unblock_locked(v, i, has_names);
    if (r < 0 || i->out == NULL) {
        inode_unref_locked(v, i);
        return r < 0 ? r : 1;
    }
    r = 1;
    i->out->is_busy = true;
    lock_drop(&v->tree);
    if (!has_names)
        pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, i);
    lock_take(&v->tree);
    still = i->out != NULL && outbox_may_send_locked(i); /* it may have been opened again meanwhile */
    lock_drop(&v->tree);
    if (still)
        r = outbox_send(v, i);
    err_copy(&cause);
    if (r < 0 && !outbox_waits(i)) /* the bytes are in lost+found */
        r = SEND_REFUSED;
    inode_io_drop(v, i);
    if (!has_names) {
        pthread_rwlock_unlock(&v->names);
        inode_tell_kernel(v, i);
    }
    lock_take(&v->tree);
    if (i->out != NULL)
        i->out->is_busy = false;
    f = outbox_resting_locked(i);
    inode_unref_locked(v, i);
    lock_drop(&v->tree);
    outbox_rest(f);
    err_restore(&cause);
    lock_take(&v->tree);
    return r;
}

/* The first one after that place in the order that may be sent and is before the other. */
static struct outgoing *between_locked(struct vfs *v, uint64_t after, uint64_t before)
{
    struct outgoing *o = v->locked.out_first;

    while (o != NULL && (o->order <= after || o->is_done || !outbox_may_send_locked(o->inode) ||
                         is_held_up_locked(v, o->inode)))
        o = o->next;
    return o != NULL && o->order < before ? o : NULL;
}

int outbox_send_older(struct vfs *v, uint64_t before, bool has_names)
{
    struct outgoing *o;
    uint64_t at = 0;
    int r = 0;

    lock_take(&v->tree);
    while (r >= 0 && (o = between_locked(v, at, before)) != NULL) {
        at = o->order;
        r = send_locked(v, o, has_names);
    }
    lock_drop(&v->tree);
    return r < 0 ? r : 0;
}

int outbox_send_holder(struct vfs *v, const char *key, bool has_names)
{
    int r = 0;

    lock_take(&v->tree);
    if (relocate_holder_locked(v, key) != NULL)
        r = send_holder_locked(v, key, has_names);
    lock_drop(&v->tree);
    return r;
}

int outbox_unblock(struct vfs *v, struct inode *i)
{
    int r;

    lock_take(&v->tree);
    r = unblock_locked(v, i, false);
    lock_drop(&v->tree);
    return r;
}

int outbox_send_holders_below(struct vfs *v, const char *prefix, bool has_names)
{
    char key[VFS_KEY_MAX + 1];
    const struct removal *m;
    int r = 0;

    lock_take(&v->tree);
    while (r >= 0 && (m = relocate_below_locked(v, prefix)) != NULL) {
        memcpy(key, m->key, strlen(m->key) + 1);
        r = send_holder_locked(v, key, has_names);
    }
    lock_drop(&v->tree);
    return r;
}

/* The next directory, link or node of a directory in the order that waits. */
static struct outgoing *in_locked(const struct vfs *v, const struct inode *dir, uint64_t after)
{
    struct outgoing *o = v->locked.out_first;

    while (o != NULL && (o->order <= after || o->is_done || o->inode->parent != dir ||
                         S_ISREG(atomic_load(&o->inode->type))))
        o = o->next;
    return o;
}

int outbox_send_names(struct vfs *v, const struct inode *dir)
{
    struct outgoing *o;
    uint64_t at = 0;
    int r = 0;

    fold_end(v);
    lock_take(&v->tree);
    while (r >= 0 && r != SEND_REFUSED && (o = in_locked(v, dir, at)) != NULL) {
        at = o->order;
        r = send_locked(v, o, false);
    }
    lock_drop(&v->tree);
    if (r == SEND_REFUSED)
        r = -EIO;
    return r < 0 ? r : 0;
}

size_t outbox_run(struct vfs *v)
{
    struct outgoing *o;
    int64_t due;
    size_t n = 0, gone;

    reread_run(v);
    do {
        while ((gone = removal_run(v)) > 0)
            n += gone;
        lock_take(&v->tree);
        o = next_locked(v, NULL, &due);
        if (o != NULL)
            n += send_locked(v, o, false) == 0;
        lock_drop(&v->tree);
    } while (o != NULL);
    return n;
}

static void *run(void *arg);

static void wake_locked(struct vfs *v)
{
    unsigned n = v->locked.out_senders;

    if (v->conf.send_by_hand || v->locked.out_ends)
        ;
    else if (v->locked.out_idle > 0 || n == VFS_SENDERS)
        cond_signal(&v->out_due);
    else
        v->locked.out_senders += pthread_create(&v->out_threads[n], NULL, run, v) == 0;
}

/* A sender goes to work, on this one: what else is due is another's, and so is waiting for what soon will be. */
static void pass_on_locked(struct vfs *v, const struct outgoing *mine)
{
    int64_t due;

    if (next_locked(v, mine, &due) != NULL || fold_any(v))
        wake_locked(v);
}

static void *run(void *arg)
{
    struct vfs *v = arg;
    struct outgoing *o;
    int64_t due, removal_due;

    origin_set(ORIGIN_SEND);
    lock_take(&v->tree);
    while (!v->locked.out_ends) {
        if (removal_next_locked(v, &removal_due) != NULL) { /* older than all that may be sent */
            pass_on_locked(v, NULL);
            lock_drop(&v->tree);
            (void)removal_run(v);
            lock_take(&v->tree);
            continue;
        }
        o = next_locked(v, NULL, &due);
        if (o != NULL) {
            pass_on_locked(v, o);
            (void)send_locked(v, o, false);
            continue;
        }
        if (due == 0 || (removal_due != 0 && removal_due < due))
            due = removal_due;
        if (reread_is_due_locked(v, &due)) {
            lock_drop(&v->tree);
            reread_run(v);
            lock_take(&v->tree);
            continue;
        }
        v->locked.out_idle++;
        if (due == 0)
            cond_wait(&v->out_due, &v->tree);
        else
            (void)cond_wait_ms(&v->out_due, &v->tree, (due - clock_boot_ns()) / NS_PER_MS + 1);
        v->locked.out_idle--;
    }
    lock_drop(&v->tree);
    return NULL;
}

void outbox_wake(struct vfs *v)
{
    lock_take(&v->tree);
    if (v->locked.out_first != NULL || v->locked.removal_first != NULL || v->locked.unread.n > 0)
        wake_locked(v);
    lock_drop(&v->tree);
}

void outbox_hurry(struct vfs *v)
{
    lock_take(&v->tree);
    for (struct outgoing *o = v->locked.out_first; o != NULL; o = o->next)
        o->retry_ns = 0;
    fold_end_locked(v);
    removal_hurry_locked(v);
    v->locked.unread.next_ns = 0;
    cond_broadcast(&v->out_due);
    lock_drop(&v->tree);
}
