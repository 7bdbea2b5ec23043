/* SPDX-License-Identifier: Apache-2.0 */
/* See fold.h. */
#include "fold.h"

#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "base/str.h"

#define SOON_NS (1 * NS_PER_S) /* from the last write to the end of a name */
#define LATE_NS (2 * NS_PER_S) /* the same of a temporary one */
#define WAIT_MAX_NS (2 * NS_PER_S)
#define LEARNT_NS (60 * NS_PER_S) /* after that */

/* --- which names --- */

static bool is_one_of(const char *name, const char *const *v, size_t n, bool at_end)
{
    size_t len = strlen(name);

    for (size_t k = 0; k < n; k++) {
        size_t want = strlen(v[k]);

        if (len > want && strncasecmp(at_end ? name + len - want : name, v[k], want) == 0)
            return true;
    }
    return false;
}

/* The n letters and digits that mkstemp and its like end a name with? */
static bool is_random(const char *s, size_t min, size_t max)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    return s[n] == '\0' && n >= min && n <= max;
}

/* .name.AbCdEf: rsync, glib and others. */
static bool is_hidden_random(const char *name)
{
    const char *end = name + strlen(name);

    if (name[0] != '.')
        return false;
    while (end > name && *end != '.' && *end != '-')
        end--;
    return end > name && is_random(end + 1, 6, 8);
}

bool fold_is_temporary(const char *name)
{
    static const char *const ends[] = {"~",         ".temp",       ".part",     ".partial",
                                       ".filepart", ".crdownload", ".download", ".new",
                                       ".dpkg-new", "._copying_"};
    static const char *const begins[] = {"#", ".#", "~$", ".~", "tmp.", "tmp_", "tmp-"};

    return is_one_of(name, ends, ARRAY_LEN(ends), true) ||
           is_one_of(name, begins, ARRAY_LEN(begins), false) || strcasestr(name, ".tmp") != NULL ||
           is_hidden_random(name) ||
           (strncmp(name, "tmp", 3) == 0 && is_random(name + 3, 8, 8)); /* python's */
}

/* Other clients look for it. */
static bool is_lock(const char *name)
{
    static const char *const ends[] = {".lock", ".lck"};

    return is_one_of(name, ends, ARRAY_LEN(ends), true);
}

/* --- which directories --- */

/* What is known of dir, or the place of who was known longest ago. */
static struct fold_dir *dir_locked(struct vfs *v, const struct inode *dir)
{
    struct fold_dir *oldest = v->locked.folds;

    for (size_t k = 0; k < ARRAY_LEN(v->locked.folds); k++) {
        struct fold_dir *d = &v->locked.folds[k];

        if (d->dir == dir->ino)
            return d;
        if (d->until_ns < oldest->until_ns)
            oldest = d;
    }
    return oldest;
}

/* 0: such a name is kept for no rename here. */
static int64_t wait_locked(struct vfs *v, const struct inode *dir, bool is_temporary, int64_t now)
{
    const struct fold_dir *d = dir_locked(v, dir);

    if (d->dir != dir->ino || d->until_ns <= now)
        return is_temporary ? v->conf.fold_ns : 0;
    return is_temporary || d->plain_until_ns > now ? d->wait_ns : 0;
}

void fold_learn_locked(struct vfs *v, const struct inode *dir, const struct inode *i,
                       const char *name)
{
    bool is_temporary = fold_is_temporary(name);
    int64_t age = clock_wall_ns() - i->attr.mtime_ns, now = clock_boot_ns();
    struct fold_dir *d = dir_locked(v, dir);

    if (v->conf.fold_ns == 0 || !S_ISREG(atomic_load(&i->type)) || age < 0 ||
        age > (is_temporary ? LATE_NS : SOON_NS))
        return;
    if (d->dir != dir->ino || d->until_ns <= now) {
        if (is_temporary && 2 * age <= v->conf.fold_ns)
            return; /* as is thought of all */
        *d = (struct fold_dir){.dir = dir->ino};
    }
    d->wait_ns -= d->wait_ns / 8;
    if (d->wait_ns < 2 * age)
        d->wait_ns = 2 * age < WAIT_MAX_NS ? 2 * age : WAIT_MAX_NS;
    if (d->wait_ns < v->conf.fold_ns)
        d->wait_ns = v->conf.fold_ns;
    d->until_ns = now + LEARNT_NS;
    if (!is_temporary)
        d->plain_until_ns = d->until_ns;
}

/* --- one file's --- */

void fold_begin_locked(struct vfs *v, const struct inode *i, struct outgoing *o)
{
    int64_t now = clock_boot_ns(), wait;

    if (v->conf.fold_ns == 0 || !S_ISREG(atomic_load(&i->type)) || !i->is_new ||
        store_etag_is_set(&i->etag) || i->parent == NULL || is_lock(i->name))
        return;
    wait = wait_locked(v, i->parent, fold_is_temporary(i->name), now);
    if (wait == 0)
        return;
    o->fold_ns = now + wait;
    if (atomic_load(&v->folds_until_ns) < o->fold_ns)
        atomic_store(&v->folds_until_ns, o->fold_ns);
}

bool fold_stands_locked(const struct outgoing *o, int64_t now)
{
    return o->fold_ns > now && !o->is_done && !o->is_busy && outbox_may_send_locked(o->inode);
}

void fold_renamed_locked(const struct inode *i)
{
    if (i->out != NULL && i->parent != NULL && !fold_is_temporary(i->name))
        i->out->fold_ns = 0;
}

bool fold_any(const struct vfs *v)
{
    return atomic_load(&v->folds_until_ns) > clock_boot_ns();
}

void fold_end_locked(struct vfs *v)
{
    for (struct outgoing *o = v->locked.out_first; o != NULL; o = o->next)
        o->fold_ns = 0;
    atomic_store(&v->folds_until_ns, 0);
}

void fold_end(struct vfs *v)
{
    if (!fold_any(v))
        return;
    lock_take(&v->tree);
    fold_end_locked(v);
    lock_drop(&v->tree);
    outbox_wake(v);
}

/* Would it have been sent by now, but for its own fold or that of one before it, and not be when it
 * is changed? */
static bool holds_locked(const struct vfs *v, const struct inode *i)
{
    int64_t now = clock_boot_ns();

    if (!outbox_waits(i) || i->out_is_behind || i->out->is_busy || i->out->retry_ns > now ||
        !(i->is_new || merge_owns_whole_locked(i)))
        return false;
    for (const struct outgoing *o = v->locked.out_first; o != NULL; o = o->next) {
        if (fold_stands_locked(o, now))
            return true;
        if (o == i->out)
            break;
    }
    return false;
}

/* A try of a sender's, by who waits for it. */
static void send_now(struct vfs *v, struct inode *i)
{
    bool still;

    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, i);
    lock_take(&v->tree);
    still = outbox_waits(i) && !i->out_is_behind;
    lock_drop(&v->tree);
    if (still)
        (void)outbox_send(v, i);
    inode_io_drop(v, i);
    pthread_rwlock_unlock(&v->names);
    inode_tell_kernel(v, i);
}

void fold_before_change(struct vfs *v, struct inode *i)
{
    bool holds, had_sender;

    if (!fold_any(v))
        return;
    lock_take(&v->tree);
    holds = holds_locked(v, i);
    had_sender = v->locked.out_senders - v->locked.out_idle < VFS_SENDERS;
    if (holds)
        fold_end_locked(v);
    lock_drop(&v->tree);
    if (!holds)
        return;
    outbox_wake(v);
    if (had_sender)
        send_now(v, i);
}
