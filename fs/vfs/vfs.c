/* SPDX-License-Identifier: Apache-2.0 */
/* The file system's birth, end and figures. */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "keep.h"
#include "outbox.h"
#include "removal.h"
#include "statahead.h"
#include "through.h"

/* The root's attributes are those of the prefix's marker, or of "root" below the state prefix where
 * there is no prefix. */
static int load_root(struct vfs *v, struct inode *root, bool *ret_is_made)
{
    char key[VFS_KEY_MAX + 2];
    struct store_req req = {.op = STORE_HEAD, .key = key};
    struct store_rsp rsp = {0};
    int r = v->prefix[0] != '\0' ? str_copy(key, sizeof(key), v->prefix)
                                 : name_state_key(v, "root", key, sizeof(key));

    if (r == 0)
        r = store_call(v->store, &req, &rsp);
    if (r == 0 || r == STORE_NOT_FOUND || r == -EACCES) { /* who may not see it gets the defaults */
        lock_take(&v->tree);
        inode_set_obj_locked(v, root, v->prefix, r == 0 ? &rsp.obj : NULL, clock_boot_ns());
        root->ino = VFS_ROOT;
        if (root->attr.mtime_ns == 0)
            root->attr.mtime_ns = root->attr.ctime_ns = root->attr.atime_ns = clock_wall_ns();
        lock_drop(&v->tree);
        r = r == STORE_NOT_FOUND ? enforce_root(v, root) : 0;
    }
    store_rsp_done(&rsp);
    *ret_is_made = r == 1;
    return r == 1 ? 0 : err_fold(r);
}

static int make_root(struct vfs *v)
{
    struct inode *root = inode_new(v);
    bool is_made = false;
    int r;

    if (root == NULL)
        return -ENOMEM;
    root->node = VFS_ROOT;
    root->nlookup = 1;
    root->attr.mode = S_IFDIR;
    atomic_store(&root->type, S_IFDIR);
    root->name = root->last_name = strdup("");
    v->locked.root = root;
    v->locked.next_node = VFS_ROOT + 1;
    v->locked.next_fh = 1;
    map_insert(&v->locked.by_node, &root->by_node, root->node);
    r = root->name != NULL ? load_root(v, root, &is_made) : -ENOMEM;
    if (r == 0 && is_made) /* what it is now, whoever was first */
        r = load_root(v, root, &is_made);
    return r;
}

int vfs_new(const struct vfs_conf *conf, struct store *store, struct cache *cache,
            struct data *data, struct upload *upload, struct coord *coord, struct vfs **ret)
{
    struct vfs *v = calloc(1, sizeof(*v));
    pthread_rwlockattr_t attr;
    int r;

    if (v == NULL)
        return -ENOMEM;
    v->conf = *conf;
    v->store = store;
    v->cache = cache;
    v->data = data;
    v->upload = upload;
    v->coord = coord;
    lock_init(&v->tree, LOCK_TREE);
    cond_init(&v->intents_due);
    cond_init(&v->writeback_due);
    cond_init(&v->far_over);
    cond_init(&v->out_due);
    cond_init(&v->makedir_over);
    cond_init(&v->removal_over);
    budget_init(&v->unsent, conf->unsent_max);
    budget_init(&v->lists, conf->lists_max - conf->lists_max / 4);
    budget_init(&v->lists_alone, 1); /* so to one at a time, however much that is */
    budget_init(&v->lists_cached, 1);
    budget_init(&v->kept, conf->lists_max / 4);
    pthread_rwlockattr_init(&attr);
    /* A directory's rename must get its turn between files that never stop coming. */
    pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&v->names, &attr);
    pthread_rwlockattr_destroy(&attr);
    v->prefix = strdup(conf->prefix != NULL ? conf->prefix : "");
    r = v->prefix != NULL ? 0 : -ENOMEM;
    if (r == 0)
        r = map_init(&v->locked.by_node);
    if (r == 0)
        r = map_init(&v->locked.by_ino);
    if (r == 0)
        r = map_init(&v->locked.by_name);
    if (r == 0)
        r = map_init(&v->locked.handles);
    if (r == 0)
        r = map_init(&v->locked.removals);
    if (r == 0)
        r = locktable_new(&v->locks);
    if (r == 0)
        r = statahead_new(&v->ahead);
    if (r == 0 && conf->table != NULL)
        r = keep_new(v, conf->table);
    if (r == 0)
        r = through_new(v);
    if (r == 0)
        r = make_root(v);
    if (r < 0) {
        vfs_free(v);
        return r;
    }
    *ret = v;
    return 0;
}

struct owed {
    struct vfs *v;
    struct inode *found;
};

static void note_owed(struct map_link *l, void *arg)
{
    struct inode *i = container_of(l, struct inode, by_node);
    struct owed *o = arg;

    if (o->found == NULL && inode_is_owed_locked(o->v, i))
        o->found = i;
}

/* Also where no name leads any more. */
static struct inode *find_owed_locked(struct vfs *v)
{
    struct owed o = {.v = v};

    map_each(&v->locked.by_node, note_owed, &o);
    return o.found;
}

/* What no drain could send is kept in lost+found: the mount ends, its writers' bytes do not. */
static void keep_unsent(struct vfs *v)
{
    for (;;) {
        struct inode *i;

        lock_take(&v->tree);
        i = find_owed_locked(v);
        if (i != NULL)
            i->refs++;
        lock_drop(&v->tree);
        if (i == NULL)
            return;
        inode_io_take(v, i);
        err_set(-ECANCELED, "not sent");
        (void)commit_give_up(v, i, -ECANCELED, "at the end of the mount");
        inode_io_drop(v, i);
        inode_unref(v, i);
    }
}

/* Handles and inodes that the kernel did not give back (it does not, at the end of a mount). */
static void free_handle(struct map_link *l, void *arg)
{
    handle_free(arg, container_of(l, struct handle, link));
}

static void pin(struct map_link *l, void *arg)
{
    struct inode *i = container_of(l, struct inode, by_node);

    (void)arg;
    i->nlookup = 0;
    i->refs++;
}

/* Nothing is freed here: everything is pinned. */
static void cut_off(struct map_link *l, void *arg)
{
    inode_detach_locked(arg, container_of(l, struct inode, by_node));
}

static void free_one(struct map_link *l, void *arg)
{
    struct inode *i = container_of(l, struct inode, by_node);

    i->refs = 1;
    inode_unref_locked(arg, i);
}

static void free_inodes_locked(struct vfs *v)
{
    map_each(&v->locked.by_node, pin, NULL);
    map_each(&v->locked.by_node, cut_off, v);
    v->locked.root = NULL;
    map_each(&v->locked.by_node, free_one, v);
}

void vfs_stop(struct vfs *v)
{
    if (v->is_stopped)
        return;
    v->is_stopped = true;
    statahead_stop(v);
    intents_done(v);
    if (v->locks != NULL)
        vfs_lock_stop(v);
    writeback_stop(v);
    outbox_stop(v);
    through_free(v);
}

void vfs_free(struct vfs *v)
{
    if (v == NULL)
        return;
    vfs_stop(v);
    if (v->locked.root != NULL)
        keep_unsent(v);
    keep_free(v);
    if (v->locked.handles.slots != NULL)
        map_each(&v->locked.handles, free_handle, v);
    if (v->locked.root != NULL) {
        lock_take(&v->tree);
        free_inodes_locked(v);
        lock_drop(&v->tree);
    }
    statahead_free(v->ahead);
    locktable_free(v);
    map_done(&v->locked.by_node);
    map_done(&v->locked.by_ino);
    map_done(&v->locked.by_name);
    map_done(&v->locked.handles);
    map_done(&v->locked.removals);
    pthread_rwlock_destroy(&v->names);
    cond_done(&v->writeback_due);
    cond_done(&v->far_over);
    cond_done(&v->out_due);
    cond_done(&v->makedir_over);
    cond_done(&v->removal_over);
    budget_done(&v->unsent);
    free(v->locked.unread.seqs);
    budget_done(&v->lists);
    budget_done(&v->lists_alone);
    budget_done(&v->lists_cached);
    budget_done(&v->kept);
    lock_done(&v->tree);
    free(v->prefix);
    free(v);
}

void vfs_set_dev(struct vfs *v, dev_t dev)
{
    atomic_store(&v->dev, dev);
}

struct dirty {
    struct vfs *vfs;
    int64_t since_ns; /* then or before */
    struct inode **v;
    size_t n;
};

static void add_dirty(struct map_link *l, void *arg)
{
    struct inode *i = container_of(l, struct inode, by_node);
    struct dirty *d = arg;

    if (!inode_is_owed_locked(d->vfs, i) || i->dirty_since_ns > d->since_ns)
        return;
    i->refs++;
    d->v[d->n++] = i;
}

/* Every file that waits for a commit; referenced. */
static int list_dirty(struct vfs *v, struct dirty *ret)
{
    size_t cap;

    lock_take(&v->tree);
    cap = v->locked.by_node.n;
    ret->v = calloc(cap, sizeof(*ret->v));
    if (ret->v != NULL)
        map_each(&v->locked.by_node, add_dirty, ret);
    lock_drop(&v->tree);
    return ret->v != NULL ? 0 : -ENOMEM;
}

static int drain_one(struct vfs *v, struct inode *i)
{
    int r = outbox_unblock(v, i);

    if (r < 0)
        return r;
    pthread_rwlock_rdlock(&v->names);
    inode_io_take(v, i);
    outbox_keep(v, i);
    r = inode_is_dir(i) || i->out != NULL ? outbox_send(v, i) : commit_inode_unwaited(v, i);
    inode_io_drop(v, i);
    pthread_rwlock_unlock(&v->names);
    inode_tell_kernel(v, i);
    return r;
}

/* One pass over what is dirty since then: *ret_n of them are in the bucket now. 0 or the first
 * error. */
static int drain_once(struct vfs *v, int64_t since_ns, size_t *ret_n)
{
    struct err_copy cause;
    struct dirty d = {.vfs = v, .since_ns = since_ns};
    int first = list_dirty(v, &d);

    *ret_n = 0;
    for (size_t n = 0; n < d.n; n++) {
        int r = drain_one(v, d.v[n]);

        inode_unref(v, d.v[n]);
        *ret_n += r == 0;
        if (r < 0 && first == 0) {
            first = r;
            err_copy(&cause);
        }
    }
    free(d.v);
    if (d.n > 0 && first < 0)
        err_restore(&cause);
    return first;
}

/* What closes before them do not keep back. r: how those went; 0 or the first error. */
static int drain_removals(struct vfs *v, uint64_t last, int r)
{
    struct err_copy cause;
    int e;

    err_copy(&cause);
    e = removal_drain(v, last);
    if (r == 0)
        return e;
    err_restore(&cause);
    return r;
}

int vfs_drain(struct vfs *v)
{
    const int64_t began_ns = clock_boot_ns();
    size_t n = 1;
    int r = 0;

    outbox_hurry(v);
    reread_run(v);
    while (r == 0 && n > 0)
        r = drain_once(v, began_ns, &n);
    r = drain_removals(v, removal_newest(v), r); /* what was sent may have left some (relocate.h) */
    lock_take(&v->tree);
    n = v->locked.out_unread;
    lock_drop(&v->tree);
    if (r == 0 && n > 0)
        r = err_set(-EIO,
                    "%zu entries of the journal can't be read (the log names them): they stay "
                    "there",
                    n);
    return r;
}

struct count {
    struct vfs_stats *st;
    int64_t oldest;
};

static void count_inode(struct map_link *l, void *arg)
{
    const struct inode *i = container_of(l, struct inode, by_node);
    struct count *c = arg;

    c->st->inodes++;
    c->st->open_files += i->n_open;
    c->st->passthrough_files += i->n_through;
    if (!inode_waits_locked(i))
        return;
    c->st->dirty_files++;
    if (i->data != NULL)
        c->st->dirty_bytes += data_dirty_bytes(i->data);
    if (i->dirty_since_ns != 0 && (c->oldest == 0 || i->dirty_since_ns < c->oldest))
        c->oldest = i->dirty_since_ns;
}

void vfs_stats_get(struct vfs *v, struct vfs_stats *ret)
{
    struct count c = {.st = ret};

    *ret = (struct vfs_stats){
        .hidden_keys = atomic_load(&v->hidden),
        .commits = atomic_load(&v->commits),
        .commit_errors = atomic_load(&v->commit_errors),
    };
    lock_take(&v->tree);
    map_each(&v->locked.by_node, count_inode, &c);
    for (const struct removal *m = v->locked.removal_first; m != NULL; m = m->next)
        ret->removals += !m->is_done;
    ret->names_bytes = v->locked.names_bytes;
    ret->unsent_memory = budget_used(&v->unsent);
    ret->closes_waiting = budget_waiting(&v->unsent);
    ret->lists_memory =
        budget_used(&v->lists) + budget_used(&v->lists_alone) + budget_used(&v->lists_cached);
    ret->lists_kept = budget_used(&v->kept);
    ret->lists_waiting = budget_waiting(&v->lists) + budget_waiting(&v->lists_alone) +
                         budget_waiting(&v->lists_cached);
    intents_stats_locked(v, ret);
    memcpy(ret->last_error, v->locked.last_error, sizeof(ret->last_error));
    lock_drop(&v->tree);
    if (c.oldest != 0)
        ret->oldest_dirty_ns = clock_boot_ns() - c.oldest;
}
