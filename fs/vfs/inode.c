/* SPDX-License-Identifier: Apache-2.0 */
/* The table of inodes and the tree of names. An inode lives while the kernel, a handle, a call or a
 * child refers to it. A name belongs to one inode; a file may have several. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "aside.h"
#include "idle.h"
#include "keep.h"
#include "outbox.h"
#include "statahead.h"
#include "through.h"
#include "validate.h"

static uint64_t name_hash(const struct inode *dir, const char *name)
{
    return str_hash(name, strlen(name)) ^ (dir->node * UINT64_C(0x9e3779b97f4a7c15));
}

struct inode *inode_new(struct vfs *v)
{
    struct inode *i = calloc(1, sizeof(*i));

    (void)v;
    if (i == NULL)
        return NULL;
    lock_init(&i->io, LOCK_INODE_IO);
    i->refs = 1;
    return i;
}

struct inode *inode_by_node_locked(struct vfs *v, uint64_t node)
{
    for (struct map_link *l = map_first(&v->locked.by_node, node); l != NULL; l = map_next(l)) {
        struct inode *i = container_of(l, struct inode, by_node);

        if (i->node == node)
            return i;
    }
    return NULL;
}

struct inode *inode_by_id_locked(struct vfs *v, const char *id)
{
    struct objattr want = {0};
    struct map_link *l;

    memcpy(want.id, id, sizeof(want.id) - 1);
    for (l = map_first(&v->locked.by_ino, objattr_ino(&want)); l != NULL; l = map_next(l)) {
        struct inode *i = container_of(l, struct inode, by_ino);

        if (i->names != NULL && !inode_is_dir(i) && strcmp(i->attr.id, want.id) == 0)
            return i;
    }
    return NULL;
}

struct dentry *dentry_find_locked(struct vfs *v, const struct inode *dir, const char *name)
{
    struct map_link *l = map_first(&v->locked.by_name, name_hash(dir, name));

    for (; l != NULL; l = map_next(l)) {
        struct dentry *d = container_of(l, struct dentry, by_name);

        if (d->parent == dir && strcmp(d->name, name) == 0)
            return d;
    }
    return NULL;
}

struct inode *inode_child_locked(struct vfs *v, const struct inode *dir, const char *name)
{
    struct dentry *d = dentry_find_locked(v, dir, name);

    return d != NULL ? d->inode : NULL;
}

static void note_first_name_locked(struct inode *i)
{
    i->parent = i->names != NULL ? i->names->parent : NULL;
    i->name = i->names != NULL ? i->names->name : i->last_name;
}

/* A first attach also gives the node number. */
int inode_attach_locked(struct vfs *v, struct inode *i, struct inode *dir, const char *name)
{
    struct dentry *d = calloc(1, sizeof(*d)), **last = &i->names;

    if (d != NULL)
        d->name = strdup(name);
    if (d == NULL || d->name == NULL) {
        free(d);
        return -ENOMEM;
    }
    if (i->node == 0) {
        i->node = v->locked.next_node++;
        map_insert(&v->locked.by_node, &i->by_node, i->node);
        map_insert(&v->locked.by_ino, &i->by_ino, i->ino);
        idle_add_locked(v, i);
    }
    while (*last != NULL)
        last = &(*last)->other;
    *last = d;
    d->inode = i;
    d->parent = dir;
    dir->refs++;
    d->next = dir->child;
    if (d->next != NULL)
        d->next->prev = d;
    dir->child = d;
    map_insert(&v->locked.by_name, &d->by_name, name_hash(dir, name));
    note_first_name_locked(i);
    idle_charge_locked(v, i);
    keep_node_locked(v, i);
    return 0;
}

void dentry_detach_locked(struct vfs *v, struct dentry *d)
{
    struct inode *i = d->inode, *dir = d->parent;
    struct dentry **p = &i->names;

    through_parted_locked(v, i, dir, d->name);
    if (i->names == d && d->other != NULL)
        i->has_lost_key = true;
    map_remove(&v->locked.by_name, &d->by_name);
    if (d->prev != NULL)
        d->prev->next = d->next;
    else
        dir->child = d->next;
    if (d->next != NULL)
        d->next->prev = d->prev;
    while (*p != d)
        p = &(*p)->other;
    *p = d->other;
    free(i->last_name);
    i->last_name = d->name;
    free(d);
    note_first_name_locked(i);
    keep_node_locked(v, i);
    inode_unref_locked(v, dir);
}

void dentry_put_first_locked(struct dentry *d)
{
    struct inode *i = d->inode;
    struct dentry **p = &i->names;

    while (*p != d)
        p = &(*p)->other;
    *p = d->other;
    d->other = i->names;
    i->names = d;
    note_first_name_locked(i);
}

void inode_detach_locked(struct vfs *v, struct inode *i)
{
    while (i->names != NULL)
        dentry_detach_locked(v, i->names);
}

void inode_abandon_locked(struct vfs *v, struct inode *i)
{
    i->is_stale = true;
    inode_detach_locked(v, i);
}

void dentry_abandon_locked(struct vfs *v, struct dentry *d)
{
    struct inode *i = d->inode;

    if (d->other == NULL && i->names == d)
        i->is_stale = true;
    i->checked_ns = 0;
    statahead_forget_locked(v, d->parent, d->name);
    dentry_detach_locked(v, d);
}

void inode_io_take(struct vfs *v, struct inode *i)
{
    lock_take(&i->io);
    lock_take(&v->tree);
    i->is_busy = true;
    lock_drop(&v->tree);
}

void inode_io_drop(struct vfs *v, struct inode *i)
{
    keep_inode(v, i);
    lock_take(&v->tree);
    i->is_busy = false;
    lock_drop(&v->tree);
    lock_drop(&i->io);
}

static void inode_free(struct vfs *v, struct inode *i)
{
    if (inode_is_dir(i))
        statahead_gone_locked(v, i);
    keep_gone_locked(v, i);
    inode_forget_locks_locked(v, i);
    idle_end_locked(v, i);
    data_file_unref(i->data);
    free(i->newer_key);
    free(i->failed_why);
    store_hdrs_done(&i->hdrs);
    store_hdrs_done(&i->edits);
    lock_done(&i->io);
    free(i->last_name);
    free(i->strict); /* of a mount that ends: the record goes with the session */
    free(i);
}

static void free_if_unused_locked(struct vfs *v, struct inode *i)
{
    while (i != NULL && i->refs == 0 && i->nlookup == 0 && i != v->locked.root) {
        struct inode *dir = i->parent;

        if (dir != NULL) /* without recursion up a deep tree: a directory has one name */
            dir->refs++;
        inode_detach_locked(v, i);
        if (dir != NULL)
            dir->refs--;
        if (i->node != 0) {
            map_remove(&v->locked.by_node, &i->by_node);
            map_remove(&v->locked.by_ino, &i->by_ino);
        }
        inode_free(v, i);
        i = dir;
    }
}

void inode_unref_locked(struct vfs *v, struct inode *i)
{
    if (i == NULL)
        return;
    i->refs--;
    free_if_unused_locked(v, i);
}

void inode_unref(struct vfs *v, struct inode *i)
{
    if (i == NULL)
        return;
    lock_take(&v->tree);
    inode_unref_locked(v, i);
    lock_drop(&v->tree);
}

void vfs_forget(struct vfs *v, uint64_t node, uint64_t n)
{
    struct inode *i;

    lock_take(&v->tree);
    i = inode_by_node_locked(v, node);
    if (i != NULL && i != v->locked.root) {
        i->nlookup = i->nlookup > n ? i->nlookup - n : 0;
        keep_node_locked(v, i);
        free_if_unused_locked(v, i);
    }
    lock_drop(&v->tree);
}

bool inode_is_gone_locked(const struct vfs *v, const struct inode *i)
{
    if (i == v->locked.root)
        return false;
    for (const struct dentry *d = i->names; d != NULL; d = d->other) {
        const struct inode *up = d->parent;

        while (up != v->locked.root && up != NULL)
            up = up->parent;
        if (up != NULL)
            return false;
    }
    return true;
}

bool inode_is_stale_locked(const struct vfs *v, const struct inode *i)
{
    while (i->parent != NULL)
        i = i->parent;
    return i != v->locked.root && i->is_stale;
}

bool inode_waits_locked(const struct inode *i)
{
    return inode_is_dir(i) ? outbox_waits(i) : i->is_new || i->is_dirty || i->is_linking;
}

bool inode_is_owed_locked(const struct vfs *v, const struct inode *i)
{
    return inode_waits_locked(i) &&
           (!inode_is_gone_locked(v, i) || inode_is_stale_locked(v, i));
}

void inode_moved_locked(struct inode *i, const struct store_obj *now)
{
    bool are_good = i->is_new || store_etag_equal(&i->kernel_etag, &i->etag);

    i->kernel_etag = are_good ? now->etag : (struct store_etag){""};
    i->etag = now->etag;
    i->obj_mtime_ns = now->mtime_ns;
    i->obj_size = now->size;
}

struct inode *inode_find_dirty_locked(struct inode *top, int64_t since_ns)
{
    for (struct dentry *d = top->child; d != NULL; d = d->next) {
        struct inode *i = d->inode, *found = inode_is_dir(i) ? inode_find_dirty_locked(i, since_ns) : NULL;

        if (found != NULL)
            return found;
        if (inode_waits_locked(i) && i->dirty_since_ns <= since_ns)
            return i;
    }
    return NULL;
}

int inode_get(struct vfs *v, uint64_t node, struct inode **ret)
{
    struct inode *i;

    lock_take(&v->tree);
    i = inode_by_node_locked(v, node);
    if (i != NULL)
        i->refs++;
    lock_drop(&v->tree);
    if (i == NULL)
        return err_set(-ESTALE, "no such node");
    *ret = i;
    return 0;
}

int inode_key_locked(const struct vfs *v, const struct inode *i, const char *name,
                     char ret[VFS_KEY_MAX + 2])
{
    size_t end = VFS_KEY_MAX + 1, start = end, n;

    /* From the last component up, right to left. */
    ret[end] = '\0';
    if (name != NULL) {
        n = strlen(name);
        if (n > start)
            return err_set(-ENAMETOOLONG, "the key would be longer than %d bytes", VFS_KEY_MAX);
        memcpy(ret + (start -= n), name, n);
    }
    for (; i != v->locked.root; i = i->parent) {
        bool slash;

        if (i == NULL)
            return err_set(-ESTALE, "the file has been removed");
        slash = name != NULL || inode_is_dir(i) || ret[start] != '\0';
        n = strlen(i->name);
        if (n + slash > start)
            return err_set(-ENAMETOOLONG, "the key would be longer than %d bytes", VFS_KEY_MAX);
        if (slash)
            ret[--start] = '/';
        memcpy(ret + (start -= n), i->name, n);
    }
    n = strlen(v->prefix);
    if (end - start + n > VFS_KEY_MAX)
        return err_set(-ENAMETOOLONG, "the key would be longer than %d bytes", VFS_KEY_MAX);
    memmove(ret + n, ret + start, end - start + 1);
    memcpy(ret, v->prefix, n);
    return 0;
}

static struct timespec to_timespec(int64_t ns)
{
    struct timespec ts = {.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};

    if (ts.tv_nsec < 0) {
        ts.tv_sec--;
        ts.tv_nsec += NS_PER_S;
    }
    return ts;
}

/* Of a hard link as its group was last read, and as long as that does not have them all, the names that its entry has. */
static nlink_t nlink_locked(const struct inode *i)
{
    nlink_t n = 0;

    for (const struct dentry *d = i->is_new || i->is_linking ? i->names : NULL; d != NULL; d = d->other)
        n++;
    if (i->attr.link_gen != 0)
        return n > i->nlink ? n : i->nlink;
    if (i->parent == NULL && i->node != VFS_ROOT)
        return 0;
    return n > 0 ? n : 1;
}

void inode_stat_locked(const struct vfs *v, const struct inode *i, struct stat *ret)
{
    const struct objattr *attr = i->aside != NULL ? &i->aside->attr : &i->attr;
    uint64_t size = attr->size;

    (void)v;
    if (inode_is_dir(i))
        size = 4096;
    *ret = (struct stat){
        .st_ino = i->ino,
        .st_mode = attr->mode,
        .st_nlink = nlink_locked(i),
        .st_uid = attr->uid,
        .st_gid = attr->gid,
        .st_rdev = attr->rdev,
        .st_size = (off_t)size,
        .st_blksize = 1 << 20,
        .st_blocks = (blkcnt_t)((size + 511) / 512),
        .st_atim = to_timespec(attr->atime_ns),
        .st_mtim = to_timespec(attr->mtime_ns),
        .st_ctim = to_timespec(attr->ctime_ns),
    };
    if (inode_is_dir(i))
        ret->st_nlink = i->parent == NULL && i->node != VFS_ROOT ? 0 : 2 + i->n_subdirs;
}

/* What was set here is not in the bucket: it knows less. */
static bool is_ahead_locked(const struct inode *i)
{
    return i->is_new || i->is_dirty || (inode_is_dir(i) && outbox_waits(i));
}

bool inode_is_fresh_locked(const struct vfs *v, const struct inode *i)
{
    (void)v;
    if (is_ahead_locked(i) || i->is_linking)
        return true;
    return validate_is_fresh(clock_boot_ns(), i->checked_ns, i->ac_ns);
}

bool dentry_is_fresh_locked(const struct vfs *v, const struct dentry *d)
{
    const struct inode *i = d->inode;

    return inode_is_fresh_locked(v, i) &&
           (i->attr.link_gen == 0 || i->is_dirty || i->is_linking ||
            validate_is_fresh(clock_boot_ns(), d->checked_ns, i->ac_ns));
}

/* The kernel keeps attributes no longer than we do, and at most a second: from then on a stat costs
 * one call to us, and we know better how long they hold. */
int64_t inode_attr_ns_locked(const struct vfs *v, const struct inode *i)
{
    int64_t left = i->checked_ns + i->ac_ns - clock_boot_ns();

    if (is_ahead_locked(i) || i->is_linking)
        left = NS_PER_S;
    if (v->conf.acregmax_ns == 0)
        return 0;
    return left < 0 ? 0 : left > NS_PER_S ? NS_PER_S : left;
}

void inode_entry_locked(struct vfs *v, struct inode *i, struct vfs_entry *ret)
{
    i->nlookup++;
    idle_used_locked(v, i);
    keep_node_locked(v, i);
    *ret = (struct vfs_entry){.node = i->node, .attr_ns = inode_attr_ns_locked(v, i)};
    ret->entry_ns = v->conf.lookup_always ? 0 : ret->attr_ns;
    if (ret->entry_ns > 0)
        i->named_ns = clock_boot_ns();
    inode_stat_locked(v, i, &ret->st);
}

void inode_touch_locked(struct inode *dir)
{
    dir->attr.mtime_ns = dir->attr.ctime_ns = clock_wall_ns();
}

void inode_note_id_locked(struct vfs *v, struct inode *i)
{
    i->ino = objattr_ino(&i->attr);
    if (i->by_ino.hash != i->ino && i->node > VFS_ROOT) {
        map_remove(&v->locked.by_ino, &i->by_ino);
        map_insert(&v->locked.by_ino, &i->by_ino, i->ino);
    }
}

void inode_set_obj_locked(struct vfs *v, struct inode *i, const char *key,
                          const struct store_obj *obj, int64_t checked_ns)
{
    const struct objattr_defaults defaults = vfs_defaults(v);
    bool is_dir = i->node != 0 ? inode_is_dir(i) : key[0] == '\0' || str_ends(key, "/");
    bool same =
        obj != NULL && store_etag_equal(&obj->etag, &i->etag) && obj->mtime_ns == i->obj_mtime_ns;
    int64_t dir_mtime = i->attr.mtime_ns, dir_ctime = i->attr.ctime_ns;
    uint64_t ino = i->ino;
    char id[33];

    memcpy(id, i->attr.id, sizeof(id));
    objattr_decode(&defaults, key, is_dir, obj, &i->attr);
    atomic_store(&i->type, i->attr.mode & S_IFMT);
    if (is_dir && dir_mtime > i->attr.mtime_ns)
        i->attr.mtime_ns = dir_mtime; /* names that came and went are not in the marker, */
    if (is_dir && dir_ctime > i->attr.ctime_ns)
        i->attr.ctime_ns = dir_ctime; /* nor is its own change of name */
    /* A made-up id stays as long as the version does; what a foreign writer put there is another
     * file, and must not be taken for this one when two mounts write (protocol 2). */
    if (ino != 0 && id[0] != '\0' &&
        (obj == NULL || (store_hdrs_get(&obj->hdrs, STORE_USER_META "s3efs-id") == NULL &&
                         (is_dir || store_etag_equal(&obj->etag, &i->etag)))))
        memcpy(i->attr.id, id, sizeof(id));
    inode_note_id_locked(v, i);
    store_hdrs_done(&i->hdrs);
    i->etag = (struct store_etag){""};
    i->obj_mtime_ns = 0;
    i->obj_size = 0;
    if (obj != NULL) {
        i->etag = obj->etag;
        i->obj_size = obj->size;
        i->obj_mtime_ns = obj->mtime_ns;
        if (store_hdrs_copy(&i->hdrs, &obj->hdrs) < 0)
            store_hdrs_done(&i->hdrs);
    }
    i->ac_ns = validate_next(i->ac_ns, same, is_dir ? v->conf.acdirmin_ns : v->conf.acregmin_ns,
                             is_dir ? v->conf.acdirmax_ns : v->conf.acregmax_ns);
    i->checked_ns = checked_ns;
    idle_charge_locked(v, i);
    keep_node_locked(v, i);
}
