/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "cache/table.h"
#include "coord/session.h"
#include "fs/coord/internal.h"
#include "fs/vfs/rename.h"
#include "memstore.h"

static int (*has_fd)(pid_t pid, uint64_t ino);
static bool keeps_table;

static const char *state_prefix = ".s3efs/";

static bool is_real_time;

void rig_set_real_time(bool is)
{
    is_real_time = is;
}

void rig_set_state_prefix(const char *prefix)
{
    state_prefix = prefix != NULL ? prefix : ".s3efs/";
}

static int default_tgid(pid_t tid)
{
    return (int)(tid / 10 * 10); /* 100-109 are threads of process 100 */
}

static int default_has_fd(pid_t pid, uint64_t ino)
{
    return has_fd != NULL ? has_fd(pid, ino) : 0;
}

void rig_set_has_fd(int (*fn)(pid_t pid, uint64_t ino))
{
    has_fd = fn;
}

static void (*on_invalidation)(struct rig *r, uint64_t node);

void rig_set_on_invalidation(void (*fn)(struct rig *r, uint64_t node))
{
    on_invalidation = fn;
}

static void count_invalidation(void *arg, uint64_t node)
{
    struct rig *r = arg;

    __atomic_add_fetch(&r->invalidations, 1, __ATOMIC_RELAXED);
    if (on_invalidation != NULL)
        on_invalidation(r, node);
}

static bool are_unseen;

void rig_set_unseen(bool are)
{
    are_unseen = are;
}

static int default_open(pid_t tid, char path[4096], uint64_t *ret_flags)
{
    (void)tid;
    (void)path;
    (void)ret_flags;
    return are_unseen ? -EACCES : -EOPNOTSUPP;
}

static void note_session(void *arg, const char *id)
{
    const struct table_item item = {.kind = VFS_KEEP_SESSION, .data = id, .len = 32};

    (void)!table_write(arg, &item, 1);
}

static void take_session(struct rig *r, struct coord_conf *conf, char id[33])
{
    void *old = NULL;
    size_t len;

    conf->session_note = note_session;
    conf->session_note_arg = r->table;
    if (table_get(r->table, VFS_KEEP_SESSION, 0, &old, &len) != 0 || len != 32)
        return;
    memcpy(id, old, 32);
    id[32] = '\0';
    conf->session_id = id;
    free(old);
}

static int start(struct rig *r)
{
    struct cache_conf cc = {.dir = r->dir, .source = "mem://bucket", .max_bytes = 64 << 20};
    struct data_conf dc = {0};
    static unsigned writers;
    char journal[96];
    struct upload_conf uc = {.caps = r->conf.caps};
    struct coord_conf oc = {
        .state_prefix = state_prefix, .caps = r->conf.caps, .renew_by_hand = !is_real_time};
    char session[33];
    int x;

    snprintf(uc.writer, sizeof(uc.writer), "%032x",
             __atomic_add_fetch(&writers, 1, __ATOMIC_RELAXED));
    x = cache_new(&cc, &r->cache);
    if (x == 0)
        x = cache_start(r->cache);
    snprintf(journal, sizeof(journal), "%s/journal", r->dir);
    if (x == 0 && (r->conf.commit != VFS_COMMIT_CLOSE || access(journal, F_OK) == 0))
        x = journal_open(r->cache, &r->journal);
    if (x == 0 && keeps_table)
        x = table_open(r->cache, !r->is_follower, &r->table);
    if (x == 0)
        x = data_new(&dc, r->store, r->cache, &r->data);
    if (x == 0)
        x = upload_new(&uc, r->store, &r->upload);
    if (x == 0 && keeps_table)
        take_session(r, &oc, session);
    if (x == 0)
        x = coord_new(&oc, r->store, &r->coord);
    if (r->conf.proc_open == NULL)
        r->conf.proc_open = default_open;
    r->conf.journal = r->journal;
    r->conf.table = r->table;
    if (x == 0)
        x = vfs_new(&r->conf, r->store, r->cache, r->data, r->upload, r->coord, &r->vfs);
    if (x == 0 && keeps_table && r->is_follower)
        x = session_resume(r->coord);
    if (x == 0)
        x = keeps_table && r->is_follower ? vfs_takeover(r->vfs) : vfs_replay(r->vfs);
    return x;
}

void rig_set_keeps(bool keeps)
{
    keeps_table = keeps;
}

/* A daemon that was killed has not ended its session. */
static void leave_session(struct coord *c)
{
    lock_take(&c->lock);
    c->session.id[0] = '\0';
    lock_drop(&c->lock);
}

static void stop(struct rig *r, bool is_killed)
{
    vfs_free(r->vfs);
    if (is_killed && r->coord != NULL)
        leave_session(r->coord);
    coord_free(r->coord);
    upload_free(r->upload);
    data_free(r->data);
    journal_close(r->journal);
    table_close(r->table);
    if (r->cache != NULL) {
        cache_stop(r->cache);
        cache_free(r->cache);
    }
    r->vfs = NULL;
    r->upload = NULL;
    r->coord = NULL;
    r->data = NULL;
    r->cache = NULL;
    r->journal = NULL;
    r->table = NULL;
}

void rig_defaults(struct vfs_conf *ret)
{
    *ret = (struct vfs_conf){
        .file_mode = 0644,
        .dir_mode = 0755,
        .acregmin_ns = 3 * NS_PER_S,
        .acregmax_ns = 60 * NS_PER_S,
        .acdirmin_ns = 30 * NS_PER_S,
        .acdirmax_ns = 60 * NS_PER_S,
        .caps = {.put_absent = true, .put_match = true, .complete_absent = true, .complete_match = true,
                 .delete_match = true, .delete_many_match = true, .copy_src_match = true,
                 .part_copy_match = true, .copy_dst_absent = true, .copy_dst_match = true},
    };
}

/* In TMPDIR, if its name is short enough. */
static void name_dir(char ret[64])
{
    const char *top = getenv("TMPDIR");

    if (top == NULL || snprintf(ret, 64, "%s/s3efs-rig-XXXXXX", top) >= 64)
        snprintf(ret, 64, "/tmp/s3efs-rig-XXXXXX");
}

static int set_up(struct rig *r, const struct vfs_conf *conf)
{
    if (conf != NULL)
        r->conf = *conf;
    else
        rig_defaults(&r->conf);
    r->conf.send_by_hand = true;
    r->conf.invalidate = count_invalidation;
    r->conf.invalidate_arg = r;
    r->conf.proc_tgid = default_tgid;
    r->conf.proc_has_fd = default_has_fd;
    r->ctx = (struct vfs_ctx){.pid = RIG_PID, .umask = 022};
    name_dir(r->dir);
    if (mkdtemp(r->dir) == NULL)
        return -errno;
    return start(r);
}

int rig_open(struct rig *r, const struct vfs_conf *conf)
{
    int x;

    *r = (struct rig){.owns_store = true};
    x = memstore_new(NULL, &r->store);
    return x < 0 ? x : set_up(r, conf);
}

int rig_open_on(struct rig *r, struct store *store, const struct vfs_conf *conf)
{
    *r = (struct rig){.store = store};
    return set_up(r, conf);
}

int rig_join(struct rig *r, const struct rig *first, const struct vfs_conf *conf)
{
    return rig_open_on(r, first->store, conf != NULL ? conf : &first->conf);
}

int rig_remount(struct rig *r)
{
    stop(r, false);
    return start(r);
}

int rig_remount_after(struct rig *r, void (*between)(struct rig *r))
{
    stop(r, false);
    between(r);
    return start(r);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static struct {
    const char *from, *to;
    int error;
} copying;

static int copy_file(const char *from, const char *to)
{
    char buf[65536];
    int in = open(from, O_RDONLY | O_CLOEXEC), out;
    ssize_t n = 0;

    if (in < 0)
        return -errno;
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    while (out >= 0 && (n = read(in, buf, sizeof(buf))) > 0)
        if (write(out, buf, (size_t)n) != n)
            n = -1;
    close(in);
    if (out < 0)
        return -errno;
    return close(out) < 0 || n < 0 ? -EIO : 0;
}

static int copy_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    char to[600];

    (void)ftw;
    snprintf(to, sizeof(to), "%s%s", copying.to, path + strlen(copying.from));
    if (type == FTW_D)
        copying.error = mkdir(to, st->st_mode & 07777) < 0 && errno != EEXIST ? -errno : 0;
    else if (type == FTW_F)
        copying.error = copy_file(path, to);
    return copying.error;
}

static int copy_all(struct rig *r)
{
    char dir[sizeof(r->dir)];

    name_dir(dir);
    if (r->next_dir[0] != '\0')
        nftw(r->next_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (mkdtemp(dir) == NULL)
        return -errno;
    memcpy(r->next_dir, dir, sizeof(dir));
    copying.from = r->dir;
    copying.to = r->next_dir;
    copying.error = 0;
    if (nftw(r->dir, copy_one, 16, FTW_PHYS) != 0)
        return copying.error != 0 ? copying.error : -errno;
    return 0;
}

/* The cache's threads go on meanwhile: a name that goes, or is met again (made anew), is no state of a directory. */
int rig_snapshot(struct rig *r)
{
    int x = copy_all(r);

    for (int tries = 0; tries < 100 && (x == -ENOENT || x == -EEXIST); tries++)
        x = copy_all(r);
    return x;
}

int rig_crash_after(struct rig *r, void (*between)(struct rig *r))
{
    int x = r->next_dir[0] == '\0' ? rig_snapshot(r) : 0;

    stop(r, r->table != NULL);
    if (between != NULL)
        between(r);
    nftw(r->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    memcpy(r->dir, r->next_dir, sizeof(r->dir));
    r->next_dir[0] = '\0';
    r->is_follower = true;
    return x < 0 ? x : start(r);
}

int rig_crash(struct rig *r)
{
    return rig_crash_after(r, NULL);
}

void rig_close(struct rig *r)
{
    stop(r, false);
    if (r->owns_store) {
        store_stop(r->store);
        store_free(r->store);
    }
    nftw(r->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    if (r->next_dir[0] != '\0')
        nftw(r->next_dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static int walk_from(struct rig *r, const char *path, size_t len, struct vfs_entry *ret)
{
    uint64_t node = VFS_ROOT;
    int64_t ns;

    *ret = (struct vfs_entry){.node = VFS_ROOT};
    for (size_t i = 0; i < len;) {
        char name[512];
        size_t n = strcspn(path + i, "/");
        int x;

        if (n > len - i)
            n = len - i;
        if (n == 0) {
            i++;
            continue;
        }
        if (n >= sizeof(name))
            n = sizeof(name) - 1;
        memcpy(name, path + i, n);
        name[n] = '\0';
        x = vfs_lookup(r->vfs, &r->ctx, node, name, ret);
        vfs_forget(r->vfs, node, node != VFS_ROOT);
        if (x < 0)
            return x;
        node = ret->node;
        i += n;
    }
    return ret->node != VFS_ROOT ? 0 : vfs_getattr(r->vfs, VFS_ROOT, 0, &ret->st, &ns);
}

int rig_walk(struct rig *r, const char *path, struct vfs_entry *ret)
{
    return walk_from(r, path, strlen(path), ret);
}

int rig_parent(struct rig *r, const char *path, uint64_t *ret_node, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    struct vfs_entry e;
    int x = walk_from(r, path, slash != NULL ? (size_t)(slash - path) : 0, &e);

    if (x < 0)
        return x;
    *ret_node = e.node;
    *ret_name = slash != NULL ? slash + 1 : path;
    return 0;
}

static void put_node(struct rig *r, uint64_t node)
{
    if (node != VFS_ROOT)
        vfs_forget(r->vfs, node, 1);
}

int rig_stat(struct rig *r, const char *path, struct stat *ret)
{
    struct vfs_entry e;
    int x = rig_walk(r, path, &e);

    if (x < 0)
        return x;
    *ret = e.st;
    put_node(r, e.node);
    return 0;
}

int rig_creat(struct rig *r, const char *path, int flags, mode_t mode, uint64_t *ret_fh)
{
    struct vfs_entry e;
    const char *name;
    uint64_t dir;
    int x = rig_parent(r, path, &dir, &name);

    if (x < 0)
        return x;
    x = vfs_create(r->vfs, &r->ctx, dir, name, mode, flags, &e, ret_fh);
    if (x == 0)
        put_node(r, e.node);
    put_node(r, dir);
    return x;
}

int rig_open_file(struct rig *r, const char *path, int flags, uint64_t *ret_fh)
{
    struct vfs_entry e;
    bool keep;
    int x = 0;

    for (int tries = 0; tries < 2; tries++) { /* the kernel looks up again after ESTALE, once */
        x = rig_walk(r, path, &e);
        if (x == -ENOENT && (flags & O_CREAT) != 0)
            return rig_creat(r, path, flags, 0666, ret_fh);
        if (x == 0 && (flags & O_EXCL) != 0) {
            put_node(r, e.node);
            return -EEXIST;
        }
        if (x == 0) {
            x = vfs_open(r->vfs, &r->ctx, e.node, flags, ret_fh, &keep);
            put_node(r, e.node);
        }
        if (x != -ESTALE)
            break;
    }
    return x;
}

int rig_shut(struct rig *r, uint64_t fh)
{
    int x = vfs_flush(r->vfs, &r->ctx, fh);

    vfs_release(r->vfs, fh);
    return x;
}

int rig_put(struct rig *r, const char *path, const void *data, size_t len)
{
    uint64_t fh;
    ssize_t n = 0;
    int x = rig_open_file(r, path, O_WRONLY | O_CREAT | O_TRUNC, &fh);

    if (x < 0)
        return x;
    if (len > 0)
        n = vfs_write(r->vfs, &r->ctx, fh, 0, data, len);
    x = rig_shut(r, fh);
    return n < 0 ? (int)n : x;
}

ssize_t rig_get(struct rig *r, const char *path, void *buf, size_t len)
{
    uint64_t fh;
    ssize_t n;
    int x = rig_open_file(r, path, O_RDONLY, &fh);

    if (x < 0)
        return x;
    n = vfs_read(r->vfs, fh, 0, buf, len);
    x = rig_shut(r, fh);
    return x < 0 ? x : n;
}

int rig_mkdir(struct rig *r, const char *path, mode_t mode)
{
    struct vfs_entry e;
    const char *name;
    uint64_t dir;
    int x = rig_parent(r, path, &dir, &name);

    if (x < 0)
        return x;
    x = vfs_mkdir(r->vfs, &r->ctx, dir, name, mode, &e);
    if (x == 0)
        put_node(r, e.node);
    put_node(r, dir);
    return x;
}

int rig_unlink(struct rig *r, const char *path)
{
    const char *name;
    uint64_t dir;
    int x = rig_parent(r, path, &dir, &name);

    if (x == 0) {
        x = vfs_unlink(r->vfs, &r->ctx, dir, name);
        put_node(r, dir);
    }
    return x;
}

int rig_link(struct rig *r, const char *from, const char *to)
{
    struct vfs_entry e, linked;
    const char *name;
    uint64_t dir;
    int x = rig_walk(r, from, &e);

    if (x < 0)
        return x;
    x = rig_parent(r, to, &dir, &name);
    if (x == 0) {
        x = vfs_link(r->vfs, &r->ctx, e.node, dir, name, &linked);
        if (x == 0)
            put_node(r, linked.node);
        put_node(r, dir);
    }
    put_node(r, e.node);
    return x;
}

int rig_rmdir(struct rig *r, const char *path)
{
    const char *name;
    uint64_t dir;
    int x = rig_parent(r, path, &dir, &name);

    if (x == 0) {
        x = vfs_rmdir(r->vfs, &r->ctx, dir, name);
        put_node(r, dir);
    }
    return x;
}

/* The kernel's two calls of a rename: what has the new name, and the rename. */
static int look_and_rename(struct rig *r, uint64_t dir, const char *name, uint64_t new_dir,
                           const char *new_name, unsigned flags)
{
    struct vfs_entry over;
    int x = vfs_lookup(r->vfs, &r->ctx, new_dir, new_name, &over);

    if (x < 0 && x != -ENOENT && x != -ENAMETOOLONG)
        return x;
    if (x == 0)
        put_node(r, over.node);
    return vfs_rename(r->vfs, &r->ctx, dir, name, new_dir, new_name, flags);
}

int rig_rename(struct rig *r, const char *from, const char *to, unsigned flags)
{
    const char *name, *new_name;
    uint64_t dir, new_dir;
    int x = rig_parent(r, from, &dir, &name);

    if (x < 0)
        return x;
    x = rig_parent(r, to, &new_dir, &new_name);
    if (x == 0) {
        x = look_and_rename(r, dir, name, new_dir, new_name, flags);
        put_node(r, new_dir);
    }
    put_node(r, dir);
    return x;
}

int rig_key_of(struct rig *r, uint64_t node, char *buf, size_t size)
{
    char key[VFS_KEY_MAX + 2];
    const struct inode *i;
    int x = -ESTALE;

    lock_take(&r->vfs->tree);
    i = inode_by_node_locked(r->vfs, node);
    if (i != NULL && i->names != NULL)
        x = inode_key_locked(r->vfs, i, NULL, key);
    else if (i != NULL && !i->is_stale)
        x = -ENOENT;
    lock_drop(&r->vfs->tree);
    if (x == 0)
        snprintf(buf, size, "%s", key);
    return x;
}

int rig_mend(struct rig *r)
{
    return intents_mend(r->vfs);
}

static int set_by_path(struct rig *r, const char *path, const struct stat *st, int mask)
{
    struct vfs_entry e;
    struct stat now;
    int64_t ns;
    int x = rig_walk(r, path, &e);

    if (x < 0)
        return x;
    x = vfs_setattr(r->vfs, &r->ctx, e.node, 0, st, mask, &now, &ns);
    put_node(r, e.node);
    return x;
}

int rig_truncate(struct rig *r, const char *path, uint64_t size)
{
    const struct stat st = {.st_size = (off_t)size};

    return set_by_path(r, path, &st, VFS_SET_SIZE);
}

int rig_chmod(struct rig *r, const char *path, mode_t mode)
{
    const struct stat st = {.st_mode = mode};

    return set_by_path(r, path, &st, VFS_SET_MODE);
}

int rig_chown(struct rig *r, const char *path, uid_t uid, gid_t gid)
{
    const struct stat st = {.st_uid = uid, .st_gid = gid};

    return set_by_path(r, path, &st, VFS_SET_UID | VFS_SET_GID);
}

struct ls {
    char *buf;
    size_t size, len;
};

static int add_name(void *arg, const char *name, const struct vfs_entry *e, uint64_t next_off)
{
    struct ls *l = arg;

    (void)e;
    (void)next_off;
    if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
        l->len += (size_t)snprintf(l->buf + l->len, l->size - l->len, "%s%s", l->len > 0 ? " " : "",
                                   name);
    return 0;
}

int rig_ls(struct rig *r, const char *path, char *buf, size_t size)
{
    struct ls l = {.buf = buf, .size = size};
    struct vfs_entry e;
    uint64_t fh;
    int x = rig_walk(r, path, &e);

    buf[0] = '\0';
    if (x < 0)
        return x;
    x = vfs_opendir(r->vfs, e.node, &fh);
    put_node(r, e.node);
    if (x < 0)
        return x;
    x = vfs_readdir(r->vfs, fh, 0, false, add_name, &l);
    vfs_releasedir(r->vfs, fh);
    return x;
}
