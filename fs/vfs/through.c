/* SPDX-License-Identifier: Apache-2.0 */
#include "through.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "base/workq.h"
#include "outbox.h"

/* A name that was looked up again must not be read that way when its writer comes to it: the kernel hides one ESTALE. */
#define PARTED 256
#define PARTED_NS (60 * NS_PER_S)

struct through {
    struct vfs *v;
    struct workq *q;
    struct work work;
    struct data_file *file; /* that is compared; NULL: none. Under v->tree, as the rest */
    struct {
        uint64_t place; /* of the name: another file may have it by then */
        int64_t until_ns;
    } parted[PARTED];
};

/* One after the other: who reads meanwhile is served all the same, and the next open asks again. */
static void compare(struct work *w, bool is_cancelled)
{
    struct through *t = container_of(w, struct through, work);
    struct data_file *f = t->file; /* ours until it is NULL */
    int fd = is_cancelled ? -ECANCELED : data_open_whole(f, UINT64_MAX);

    if (fd >= 0)
        close(fd);
    lock_take(&t->v->tree);
    t->file = NULL;
    lock_drop(&t->v->tree);
    data_file_unref(f);
}

static void compare_later(struct vfs *v, struct data_file *f)
{
    struct through *t = v->through;
    bool is_first;

    lock_take(&v->tree);
    is_first = t->file == NULL;
    if (is_first)
        t->file = data_file_ref(f);
    lock_drop(&v->tree);
    if (is_first) {
        t->work = (struct work){.run = compare};
        workq_add(t->q, &t->work);
    }
}

int through_new(struct vfs *v)
{
    struct through *t;
    int r;

    if (v->conf.backing_open == NULL)
        return 0;
    t = calloc(1, sizeof(*t));
    if (t == NULL)
        return err_set(-ENOMEM, "out of memory");
    t->v = v;
    r = workq_new("compare", 1, &t->q);
    if (r < 0) {
        free(t);
        return r;
    }
    v->through = t;
    return 0;
}

void through_free(struct vfs *v)
{
    if (v->through == NULL)
        return;
    workq_free(v->through->q);
    free(steal(&v->through));
}

static uint64_t place_of(const struct inode *dir, const char *name)
{
    uint64_t h = str_hash(name, strlen(name)) ^ dir->ino;

    return h != 0 ? h : 1;
}

void through_parted_locked(struct vfs *v, const struct inode *i, const struct inode *dir, const char *name)
{
    uint64_t place;

    if (v->through == NULL || (i->n_through == 0 && !i->is_stale))
        return;
    place = place_of(dir, name);
    v->through->parted[place % PARTED].place = place;
    v->through->parted[place % PARTED].until_ns = clock_boot_ns() + PARTED_NS;
}

static bool was_parted_locked(const struct through *t, const struct inode *i)
{
    uint64_t place = place_of(i->parent, i->name);

    return t->parted[place % PARTED].place == place && clock_boot_ns() < t->parted[place % PARTED].until_ns;
}

/* h is the only one. */
static bool may_begin_locked(const struct vfs *v, const struct inode *i, const struct handle *h)
{
    return i->parent != NULL && !was_parted_locked(v->through, i) && i->n_open == 1 && i->n_writers == 0 && !h->is_through &&
           h->data != NULL && h->data == i->data &&
           !i->is_stale && !i->is_new && !i->is_dirty && !outbox_waits(i) && i->aside == NULL && i->newer_key == NULL &&
           i->locks == NULL && i->attr.link_gen == 0 && i->attr.size > 0;
}

void through_begin(struct vfs *v, struct inode *i, struct handle *h)
{
    int fd, backing;
    bool may;

    if (v->through == NULL || h->is_writer)
        return;
    lock_take(&v->tree);
    may = may_begin_locked(v, i, h);
    lock_drop(&v->tree);
    if (!may)
        return;
    fd = data_open_whole(h->data, THROUGH_AT_ONCE);
    if (fd == -EAGAIN)
        compare_later(v, h->data);
    if (fd < 0)
        return;
    backing = v->conf.backing_open(v->conf.backing_arg, fd);
    close(fd);
    if (backing <= 0)
        return;
    lock_take(&v->tree);
    if (may_begin_locked(v, i, h)) { /* an open of what waits takes no io */
        h->is_through = true;
        i->n_through = 1;
        i->backing = backing;
        backing = 0;
    }
    lock_drop(&v->tree);
    if (backing > 0)
        v->conf.backing_close(v->conf.backing_arg, backing);
}

int through_join_locked(struct inode *i, struct handle *h)
{
    if (i->n_through == 0)
        return 0;
    if (h->is_writer)
        return -ESTALE;
    h->is_through = true;
    i->n_through++;
    return 0;
}

int through_leave_locked(struct inode *i, const struct handle *h)
{
    int backing = i->backing;

    if (!h->is_through || --i->n_through > 0)
        return 0;
    i->backing = 0;
    return backing;
}

static bool is_through(struct vfs *v, struct inode *i)
{
    bool is;

    lock_take(&v->tree);
    is = i->n_through > 0;
    lock_drop(&v->tree);
    return is;
}

/* What waits of it (attributes: it has no writer) must be in the bucket before the name gets another node: whose
 * would it be? */
static int send_first(struct vfs *v, struct inode *i)
{
    bool is_dirty;

    lock_take(&v->tree);
    is_dirty = i->is_dirty;
    lock_drop(&v->tree);
    return outbox_waits(i) ? outbox_send(v, i) : is_dirty ? commit_inode(v, i) : 0;
}

int through_part(struct vfs *v, struct inode *i)
{
    int r;

    if (v->through == NULL || !is_through(v, i))
        return 0;
    r = send_first(v, i);
    lock_take(&v->tree);
    if (r == 0 && i->n_through > 0) {
        if (!inode_is_gone_locked(v, i))
            inode_abandon_locked(v, i);
        r = err_set(-ESTALE, "it is read by the kernel itself: look it up again");
    }
    lock_drop(&v->tree);
    return r;
}

int vfs_backing(struct vfs *v, uint64_t fh)
{
    const struct handle *h = handle_get(v, fh);
    int backing;

    if (h == NULL)
        return 0;
    lock_take(&v->tree);
    backing = h->is_through ? h->inode->backing : 0;
    lock_drop(&v->tree);
    return backing;
}
