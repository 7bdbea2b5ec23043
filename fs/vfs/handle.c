/* SPDX-License-Identifier: Apache-2.0 */
/* Open files and directories. */
#include "idle.h"
#include "internal.h"
#include "listroom.h"
#include "outbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "base/err.h"
#include "keep.h"
#include "through.h"

int handle_new(struct vfs *v, struct inode *i, int flags, struct handle **ret)
{
    struct handle *h = calloc(1, sizeof(*h));
    int r;

    if (h == NULL)
        return -ENOMEM;
    h->inode = i;
    h->flags = flags;
    /* Who only reads, but cuts the file off by opening it, has changed it. */
    h->is_writer = !inode_is_dir(i) && ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0);
    lock_take(&v->tree);
    r = through_join_locked(i, h);
    if (r < 0) {
        lock_drop(&v->tree);
        free(h);
        return err_set(r, "it is read by the kernel itself: look it up again");
    }
    i->refs++;
    if (!inode_is_dir(i))
        i->n_open++;
    if (h->is_writer)
        i->n_writers++;
    if (i->data != NULL)
        h->data = data_file_ref(i->data);
    h->next = i->handles;
    i->handles = h;
    h->fh = v->locked.next_fh++;
    map_insert(&v->locked.handles, &h->link, h->fh);
    idle_charge_locked(v, i);
    keep_handle(v, h->fh);
    lock_drop(&v->tree);
    *ret = h;
    return 0;
}

struct handle *handle_get(struct vfs *v, uint64_t fh)
{
    struct handle *h = NULL;

    lock_take(&v->tree);
    for (struct map_link *l = map_first(&v->locked.handles, fh); l != NULL; l = map_next(l)) {
        h = container_of(l, struct handle, link);
        if (h->fh == fh)
            break;
        h = NULL;
    }
    lock_drop(&v->tree);
    if (h == NULL)
        err_set(-EBADF, "no such handle");
    return h;
}

void handle_free(struct vfs *v, struct handle *h)
{
    struct handle **p = &h->inode->handles;
    struct data_file *resting;
    int backing;

    lock_take(&v->tree);
    backing = through_leave_locked(h->inode, h);
    while (*p != h)
        p = &(*p)->next;
    *p = h->next;
    map_remove(&v->locked.handles, &h->link);
    keep_handle(v, h->fh);
    if (!inode_is_dir(h->inode))
        h->inode->n_open--;
    if (h->is_writer)
        h->inode->n_writers--;
    resting = outbox_resting_locked(h->inode);
    idle_charge_locked(v, h->inode);
    inode_unref_locked(v, h->inode);
    lock_drop(&v->tree);
    if (backing > 0)
        v->conf.backing_close(v->conf.backing_arg, backing);
    outbox_rest(resting);
    data_file_unref(h->data);
    snapshot_free(h->dir);
    free(h);
}

bool handle_is_executed_locked(const struct inode *i)
{
    const struct handle *h = i->handles;

    while (h != NULL && (h->flags & VFS_OPEN_EXEC) == 0)
        h = h->next;
    return h != NULL;
}

void handle_note_writer(struct vfs *v, struct handle *h, pid_t tid)
{
    pid_t tgid;

    if (tid == 0) { /* not to be seen from here, or the kernel's own hand: pages of a mapping */
        h->writers[0] = 0;
        h->n_writers = h->n_writers > 0 ? h->n_writers : 1;
        return;
    }
    if (tid == h->last_tid)
        return;
    tgid = (pid_t)(v->conf.proc_tgid != NULL ? v->conf.proc_tgid : proc_tgid)(tid);
    h->last_tid = tid;
    for (unsigned i = 0; i < h->n_writers; i++)
        if (h->writers[i] == tgid)
            return;
    if (h->n_writers == HANDLE_WRITERS)
        h->writers[0] = 0; /* too many to tell apart: any process's close commits from now on */
    else
        h->writers[h->n_writers++] = tgid;
}

bool handle_wrote(struct vfs *v, const struct handle *h, pid_t tid)
{
    pid_t tgid;

    if (tid == 0 || (tid == h->last_tid && h->n_writers > 0)) /* it was asked when it wrote */
        return true;
    tgid = (pid_t)(v->conf.proc_tgid != NULL ? v->conf.proc_tgid : proc_tgid)(tid);
    if (tgid == 0)
        return true;
    for (unsigned i = 0; i < h->n_writers; i++)
        if (h->writers[i] == tgid || h->writers[i] == 0)
            return true;
    return false;
}
