/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of names. An inode stays while the kernel refers to it, and a kernel with memory to spare
 * refers to every name that it ever saw. So what inodes take is counted, and when it is too much
 * the kernel is asked to forget those that were not asked for longest (conf.names_many,
 * vfs_idle_get).
 *
 * IDLE-1  An inode is in the list (v->locked.idle: the least recently used first) from its first
 * name on until it is freed. IDLE-2  v->locked.names_bytes is the sum of `charged` of all inodes.
 * IDLE-3  Only a name that nothing here holds is told: no handle, no call, nothing unsent, no name
 * below it. */
#include "idle.h"
#include "outbox.h"

#include <string.h>

/* What malloc() adds to a block, about. */
#define BLOCK 16
#define NODE (sizeof(struct inode) + sizeof(struct dentry) + 4 * (size_t)BLOCK)

static size_t hdrs_bytes(const struct store_hdrs *h)
{
    size_t sum = h->cap > 0 ? h->cap * sizeof(*h->v) + BLOCK : 0;

    for (size_t n = 0; n < h->n; n++)
        sum += strlen(h->v[n].name) + strlen(h->v[n].value) + 2 * (size_t)BLOCK;
    return sum;
}

/* Once opened, a file keeps this until the kernel forgets it. */
static size_t data_bytes(const struct inode *i)
{
    return i->data != NULL ? data_memory(i->data) + BLOCK : 0;
}

static size_t out_bytes(const struct inode *i)
{
    return i->out != NULL ? OUTROOM_ENTRY : 0;
}

static uint64_t high_of(const struct vfs *v)
{
    return v->conf.names_max / 4 * 3;
}

/* Begins a turn over the list, as it is now, until enough was told to come down to half of the
 * limit. */
static void begin_turn_locked(struct vfs *v)
{
    v->locked.idle_left = v->locked.by_node.n;
    v->locked.idle_wanted = v->locked.names_bytes - v->conf.names_max / 2;
    v->conf.names_many(v->conf.names_many_arg);
}

/* What could not be forgotten is not asked for again before some more has come. */
static void end_turn_locked(struct vfs *v)
{
    v->locked.idle_left = 0;
    v->locked.idle_again = v->locked.names_bytes + v->conf.names_max / 16;
}

static void account_locked(struct vfs *v, struct inode *i, size_t bytes)
{
    v->locked.names_bytes += bytes - i->charged; /* may go down: unsigned arithmetic wraps back */
    i->charged = bytes;
    outroom_count_locked(v, i);
    if (v->conf.names_max == 0 || v->conf.names_many == NULL)
        return;
    if (v->locked.names_bytes < high_of(v))
        v->locked.idle_again = high_of(v);
    else if (v->locked.idle_left == 0 && v->locked.names_bytes > v->locked.idle_again)
        begin_turn_locked(v);
}

void idle_charge_locked(struct vfs *v, struct inode *i)
{
    size_t name = i->name != NULL ? strlen(i->name) + 1 : 0;

    account_locked(v, i,
                   NODE + name + hdrs_bytes(&i->hdrs) + hdrs_bytes(&i->edits) + data_bytes(i) +
                       out_bytes(i));
}

void idle_add_locked(struct vfs *v, struct inode *i)
{
    i->idle_prev = v->locked.idle_last;
    i->idle_next = NULL;
    *(i->idle_prev != NULL ? &i->idle_prev->idle_next : &v->locked.idle_first) = i;
    v->locked.idle_last = i;
}

static void remove_locked(struct vfs *v, struct inode *i)
{
    *(i->idle_prev != NULL ? &i->idle_prev->idle_next : &v->locked.idle_first) = i->idle_next;
    *(i->idle_next != NULL ? &i->idle_next->idle_prev : &v->locked.idle_last) = i->idle_prev;
}

void idle_used_locked(struct vfs *v, struct inode *i)
{
    if (i == v->locked.root || i == v->locked.idle_last)
        return;
    remove_locked(v, i);
    idle_add_locked(v, i);
}

void idle_end_locked(struct vfs *v, struct inode *i)
{
    if (i->node > VFS_ROOT)
        remove_locked(v, i);
    account_locked(v, i, 0);
}

bool idle_is_full_locked(const struct vfs *v)
{
    return v->conf.names_max != 0 && v->locked.names_bytes > v->conf.names_max;
}

/* IDLE-3 */
static bool is_idle_locked(const struct inode *i)
{
    return i->refs == 0 && i->nlookup > 0 && i->names != NULL && !i->is_new && !i->is_dirty &&
           !i->is_busy && i->out == NULL;
}

static void tell_locked(const struct inode *i, struct vfs_idle *ret)
{
    *ret = (struct vfs_idle){.node = i->node, .dir = i->parent->node, .is_dir = inode_is_dir(i)};
    memcpy(ret->name, i->name, strlen(i->name) + 1);
}

size_t vfs_idle_get(struct vfs *v, struct vfs_idle *ret, size_t max)
{
    size_t n = 0;

    lock_take(&v->tree);
    while (n < max && v->locked.idle_left > 0) {
        struct inode *i = v->locked.idle_first;

        if (i == NULL || v->locked.idle_wanted == 0) {
            end_turn_locked(v);
            break;
        }
        if (is_idle_locked(i)) {
            tell_locked(i, &ret[n++]);
            v->locked.idle_wanted -=
                i->charged < v->locked.idle_wanted ? i->charged : v->locked.idle_wanted;
        }
        idle_used_locked(v, i);
        if (--v->locked.idle_left == 0)
            end_turn_locked(v);
    }
    lock_drop(&v->tree);
    return n;
}

void vfs_idle_stop(struct vfs *v)
{
    lock_take(&v->tree);
    v->conf.names_many = NULL;
    lock_drop(&v->tree);
}
