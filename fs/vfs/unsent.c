/* SPDX-License-Identifier: Apache-2.0 */
/* What is not in the bucket yet, for the status and for who is told that a drain has failed. */
#include "outbox.h"
#include "removal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"

static int add_locked(struct vfs *v, const struct inode *i, size_t max, struct vfs_unsent *u)
{
    char key[VFS_KEY_MAX + 2];

    if (u->n == max || inode_key_locked(v, i, NULL, key) < 0)
        return 0;
    u->keys[u->n] = strdup(key);
    if (u->keys[u->n] == NULL)
        return -ENOMEM;
    u->n++;
    return 0;
}

struct open_ones {
    struct vfs *v;
    struct vfs_unsent *u;
    size_t max;
    int r;
};

static void add_open(struct map_link *l, void *arg)
{
    struct inode *i = container_of(l, struct inode, by_node);
    struct open_ones *o = arg;

    if (o->r == 0 && !outbox_waits(i) && inode_is_owed_locked(o->v, i))
        o->r = add_locked(o->v, i, o->max, o->u);
}

int vfs_unsent_get(struct vfs *v, size_t max, struct vfs_unsent *ret)
{
    struct open_ones rest = {.v = v, .u = ret, .max = max};
    struct journal_stats j = {0};

    *ret = (struct vfs_unsent){.keys = calloc(max > 0 ? max : 1, sizeof(*ret->keys))};
    if (ret->keys == NULL)
        return err_set(-ENOMEM, "out of memory");
    if (v->conf.journal != NULL)
        journal_stats_get(v->conf.journal, &j);
    if (j.oldest_wall_ns != 0 && clock_wall_ns() > j.oldest_wall_ns)
        ret->oldest_ns = clock_wall_ns() - j.oldest_wall_ns;
    lock_take(&v->tree);
    ret->unread = v->locked.out_unread;
    for (struct outgoing *o = v->locked.out_first; o != NULL && rest.r == 0; o = o->next) {
        if (o->is_done)
            continue;
        rest.r = add_locked(v, o->inode, max, ret);
        ret->files++;
        if (o->inode->data != NULL)
            ret->bytes += data_dirty_bytes(o->inode->data);
    }
    if (rest.r == 0)
        rest.r = removal_unsent_locked(v, max, ret);
    if (rest.r == 0 && ret->n < max)
        map_each(&v->locked.by_node, add_open, &rest);
    lock_drop(&v->tree);
    if (rest.r < 0)
        vfs_unsent_done(ret);
    return rest.r;
}

void vfs_unsent_done(struct vfs_unsent *u)
{
    for (size_t i = 0; i < u->n; i++)
        free(u->keys[i]);
    free(u->keys);
    *u = (struct vfs_unsent){0};
}
