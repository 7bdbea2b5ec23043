/* SPDX-License-Identifier: Apache-2.0 */
#include "fakevfs.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"

#define PAIR_WAIT_MS 20000

static _Thread_local uint64_t refused_node;
static atomic_uint unwanted;

void fake_init(struct vfs *v)
{
    *v = (struct vfs){.bytes = "first"};
    lock_init(&v->lock, LOCK_TREE);
    cond_init(&v->changed);
}

void fake_done(struct vfs *v)
{
    cond_done(&v->changed);
    lock_done(&v->lock);
}

struct vfs fake_look(struct vfs *v)
{
    struct vfs copy;

    lock_take(&v->lock);
    copy = *v;
    lock_drop(&v->lock);
    return copy;
}

void fake_set_bytes(struct vfs *v, const char *s)
{
    lock_take(&v->lock);
    memset(v->bytes, 0, sizeof(v->bytes));
    snprintf(v->bytes, sizeof(v->bytes), "%s", s);
    lock_drop(&v->lock);
}

unsigned fake_unwanted(void)
{
    return atomic_load(&unwanted);
}

static struct stat attributes(struct vfs *v, uint64_t node)
{
    struct stat st = {.st_ino = node, .st_mode = S_IFREG | 0644, .st_nlink = 1, .st_blksize = 4096};

    if (node == VFS_ROOT || node == FAKE_MANY_DIR)
        st.st_mode = S_IFDIR | 0755;
    else if (node == FAKE_LINK)
        st.st_mode = S_IFLNK | 0777;
    else if (node == FAKE_HELLO)
        st.st_size = (off_t)strlen(v->bytes);
    return st;
}

static void entry(struct vfs *v, uint64_t node, struct vfs_entry *ret)
{
    *ret = (struct vfs_entry){.node = node, .st = attributes(v, node), .attr_ns = NS_PER_S, .entry_ns = 0};
}

/* true: the other one came, too. */
static void wait_for_pair(struct vfs *v)
{
    v->pairs++;
    cond_broadcast(&v->changed);
    while (v->pairs < 2) {
        if (cond_wait_ms(&v->changed, &v->lock, PAIR_WAIT_MS) == -ETIMEDOUT)
            return; /* alone: the test will say so */
    }
    v->paired = true;
}

static int lookup_locked(struct vfs *v, uint64_t dir, const char *name, struct vfs_entry *ret)
{
    uint64_t n;

    if (dir == FAKE_MANY_DIR && str_u64(name + 1, 10, &n) == 0)
        entry(v, FAKE_FIRST_MANY + n, ret);
    else if (strcmp(name, "hello") == 0)
        entry(v, FAKE_HELLO, ret);
    else if (strcmp(name, "many") == 0)
        entry(v, FAKE_MANY_DIR, ret);
    else if (strcmp(name, "link") == 0)
        entry(v, FAKE_LINK, ret);
    else if (strcmp(name, "outcome") == 0)
        return 3;
    else if (str_starts(name, "fail-") && str_u64(name + 5, 10, &n) == 0)
        return err_set(-(int)n, "made to fail");
    else if (str_starts(name, "pair-")) {
        wait_for_pair(v);
        return -ENOENT;
    } else
        return -ENOENT;
    return 0;
}

int vfs_lookup(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name,
               struct vfs_entry *ret)
{
    int r;

    lock_take(&v->lock);
    v->ctx = *x;
    r = lookup_locked(v, dir, name, ret);
    lock_drop(&v->lock);
    return r;
}

void vfs_forget(struct vfs *v, uint64_t node, uint64_t n)
{
    (void)n;
    lock_take(&v->lock);
    v->many_forgotten += node >= FAKE_FIRST_MANY;
    cond_broadcast(&v->changed);
    lock_drop(&v->lock);
    if (refused_node != 0 && node == refused_node) {
        refused_node = 0;
        atomic_fetch_sub(&unwanted, 1);
    }
}

size_t vfs_idle_get(struct vfs *v, struct vfs_idle *ret, size_t max)
{
    size_t n = 0;

    lock_take(&v->lock);
    v->idle_held++;
    cond_broadcast(&v->changed);
    while (v->hold_idle)
        cond_wait(&v->changed, &v->lock);
    v->idle_held--;
    for (; n < max && v->idle_first < v->idle_end; v->idle_first++, n++) {
        ret[n] = (struct vfs_idle){.node = FAKE_FIRST_MANY + v->idle_first, .dir = FAKE_MANY_DIR};
        snprintf(ret[n].name, sizeof(ret[n].name), "f%u", v->idle_first);
    }
    cond_broadcast(&v->changed);
    lock_drop(&v->lock);
    return n;
}

void vfs_idle_stop(struct vfs *v)
{
    if (v->on_idle_stop != NULL)
        v->on_idle_stop(v);
}

int vfs_mkdir(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name, mode_t mode,
              struct vfs_entry *ret)
{
    (void)dir;
    (void)name;
    lock_take(&v->lock);
    v->ctx = *x;
    v->create_mode = mode;
    entry(v, FAKE_MANY_DIR, ret);
    lock_drop(&v->lock);
    return 0;
}

int vfs_symlink(struct vfs *v, const struct vfs_ctx *x, const char *target, uint64_t dir,
                const char *name, struct vfs_entry *ret)
{
    (void)x;
    (void)dir;
    (void)name;
    if (strcmp(target, "target") != 0)
        return -EINVAL;
    lock_take(&v->lock);
    entry(v, FAKE_LINK, ret);
    lock_drop(&v->lock);
    return 0;
}

int vfs_link(struct vfs *v, const struct vfs_ctx *x, uint64_t node, uint64_t dir, const char *name,
             struct vfs_entry *ret)
{
    (void)x;
    (void)dir;
    (void)name;
    if (node != FAKE_HELLO)
        return -EPERM;
    lock_take(&v->lock);
    entry(v, node, ret);
    lock_drop(&v->lock);
    return 0;
}

int vfs_readlink(struct vfs *v, uint64_t node, char **ret)
{
    (void)v;
    if (node != FAKE_LINK)
        return -EINVAL;
    *ret = strdup("target");
    return 0;
}

int vfs_unlink(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name)
{
    (void)v;
    (void)x;
    (void)dir;
    return strcmp(name, "hello") == 0 ? err_set(-ESTALE, "it is another file now") : -ENOENT;
}

int vfs_rmdir(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name)
{
    (void)v;
    (void)x;
    (void)dir;
    (void)name;
    return -ENOTEMPTY;
}

int vfs_rename(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name,
               uint64_t new_dir, const char *new_name, unsigned flags)
{
    (void)x;
    (void)dir;
    (void)name;
    (void)new_dir;
    (void)new_name;
    lock_take(&v->lock);
    v->rename_flags = flags;
    lock_drop(&v->lock);
    return flags == 0 ? 0 : -EINVAL;
}

int vfs_getattr(struct vfs *v, uint64_t node, uint64_t fh, struct stat *ret, int64_t *ret_attr_ns)
{
    (void)fh;
    lock_take(&v->lock);
    *ret = attributes(v, node);
    lock_drop(&v->lock);
    *ret_attr_ns = 60 * NS_PER_S;
    return 0;
}

int vfs_setattr(struct vfs *v, const struct vfs_ctx *x, uint64_t node, uint64_t fh,
                const struct stat *st, int mask, struct stat *ret, int64_t *ret_attr_ns)
{
    lock_take(&v->lock);
    v->ctx = *x;
    v->set = *st;
    v->set_mask = mask;
    v->set_fh = fh;
    *ret = attributes(v, node);
    lock_drop(&v->lock);
    *ret_attr_ns = 0;
    return 0;
}

void vfs_set_dev(struct vfs *v, dev_t dev)
{
    lock_take(&v->lock);
    v->dev = dev;
    lock_drop(&v->lock);
}

int vfs_access(struct vfs *v, uint64_t node, int mask)
{
    (void)v;
    return node == FAKE_HELLO && (mask & W_OK) != 0 ? err_set(-EACCES, "not for writing") : 0;
}

int vfs_statfs(struct vfs *v, struct statvfs *ret)
{
    (void)v;
    *ret = (struct statvfs){.f_bsize = 4096, .f_frsize = 4096, .f_blocks = 12345, .f_namemax = 255};
    return 0;
}

int vfs_create(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name, mode_t mode,
               int flags, struct vfs_entry *ret, uint64_t *ret_fh)
{
    (void)dir;
    (void)name;
    lock_take(&v->lock);
    v->ctx = *x;
    v->create_mode = mode;
    v->create_flags = flags;
    v->opens++;
    entry(v, FAKE_NEW, ret);
    lock_drop(&v->lock);
    *ret_fh = 77;
    return 0;
}

int vfs_mknod(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name, mode_t mode,
              dev_t rdev, struct vfs_entry *ret)
{
    (void)v;
    (void)x;
    (void)dir;
    (void)name;
    (void)mode;
    (void)rdev;
    (void)ret;
    return -EPERM;
}

int vfs_open(struct vfs *v, const struct vfs_ctx *x, uint64_t node, int flags, uint64_t *ret_fh,
             bool *ret_keep_cache)
{
    lock_take(&v->lock);
    v->ctx = *x;
    v->open_flags = flags;
    v->opens++;
    *ret_keep_cache = v->keep_cache;
    lock_drop(&v->lock);
    *ret_fh = 100 + node;
    return 0;
}

int vfs_backing(struct vfs *v, uint64_t fh)
{
    (void)v;
    (void)fh;
    return 0;
}

ssize_t vfs_read(struct vfs *v, uint64_t fh, uint64_t off, void *buf, size_t len)
{
    size_t size;

    (void)fh;
    lock_take(&v->lock);
    v->reads_held += v->hold_reads;
    while (v->hold_reads)
        cond_wait(&v->changed, &v->lock);
    size = strlen(v->bytes);
    if (off >= size)
        len = 0;
    else if (len > size - off)
        len = size - off;
    memcpy(buf, v->bytes + (off < size ? off : 0), len);
    lock_drop(&v->lock);
    return (ssize_t)len;
}

ssize_t vfs_write(struct vfs *v, const struct vfs_ctx *x, uint64_t fh, uint64_t off,
                  const void *buf, size_t len)
{
    (void)fh;
    lock_take(&v->lock);
    v->ctx = *x;
    v->written_off = off;
    if (off + len < sizeof(v->bytes))
        memcpy(v->bytes + off, buf, len);
    lock_drop(&v->lock);
    return off > 1000 ? err_set(-ENOSPC, "made to be full") : (ssize_t)len;
}

int vfs_flush(struct vfs *v, const struct vfs_ctx *x, uint64_t fh)
{
    int r;

    (void)fh;
    lock_take(&v->lock);
    v->ctx = *x;
    v->flushes++;
    v->held += v->hold_flush;
    cond_broadcast(&v->changed);
    while (v->hold_flush)
        cond_wait(&v->changed, &v->lock);
    r = -v->fail_flush;
    lock_drop(&v->lock);
    return r;
}

int vfs_fsync(struct vfs *v, uint64_t fh)
{
    int r;

    (void)fh;
    lock_take(&v->lock);
    r = -v->fail_fsync;
    lock_drop(&v->lock);
    return r;
}

void vfs_release(struct vfs *v, uint64_t fh)
{
    (void)fh;
    lock_take(&v->lock);
    v->releases++;
    cond_broadcast(&v->changed);
    lock_drop(&v->lock);
}

int vfs_opendir(struct vfs *v, uint64_t node, uint64_t *ret_fh)
{
    lock_take(&v->lock);
    v->dirs_open++;
    lock_drop(&v->lock);
    *ret_fh = node;
    return 0;
}

/* Emits under its lock, as the real one may. */
int vfs_readdir(struct vfs *v, uint64_t fh, uint64_t off, bool plus, vfs_emit_fn *emit, void *arg)
{
    lock_take(&v->lock);
    for (uint64_t i = off; i < FAKE_MANY && fh == FAKE_MANY_DIR; i++) {
        struct vfs_entry e;
        char name[32];

        snprintf(name, sizeof(name), "f%llu", (unsigned long long)i);
        entry(v, FAKE_FIRST_MANY + i, &e);
        if (!plus || i % 3 == 0)
            e.node = 0; /* nothing is known of it but what a listing says */
        if (emit(arg, name, &e, i + 1) != 0) {
            if (e.node != 0) {
                refused_node = e.node;
                atomic_fetch_add(&unwanted, 1);
            }
            break;
        }
    }
    lock_drop(&v->lock);
    return 0;
}

void vfs_releasedir(struct vfs *v, uint64_t fh)
{
    (void)fh;
    lock_take(&v->lock);
    v->dirs_open--;
    lock_drop(&v->lock);
}

int vfs_fsyncdir(struct vfs *v, uint64_t fh)
{
    (void)v;
    (void)fh;
    return 0;
}

/* One attribute, of any node. */
int vfs_setxattr(struct vfs *v, const struct vfs_ctx *x, uint64_t node, const char *name,
                 const void *value, size_t len, int flags)
{
    (void)node;
    lock_take(&v->lock);
    v->ctx = *x;
    snprintf(v->xattr, sizeof(v->xattr), "%s=%.*s", name, (int)len, (const char *)value);
    v->xattr_flags = flags;
    lock_drop(&v->lock);
    return 0;
}

static ssize_t give(const char *text, size_t len, void *buf, size_t size)
{
    if (size > 0 && size < len)
        return -ERANGE;
    if (size > 0)
        memcpy(buf, text, len);
    return (ssize_t)len;
}

ssize_t vfs_getxattr(struct vfs *v, uint64_t node, const char *name, void *buf, size_t size)
{
    struct vfs seen = fake_look(v);
    size_t len = strlen(name);

    (void)node;
    if (strncmp(seen.xattr, name, len) != 0 || seen.xattr[len] != '=')
        return -ENODATA;
    return give(seen.xattr + len + 1, strlen(seen.xattr + len + 1), buf, size);
}

ssize_t vfs_listxattr(struct vfs *v, uint64_t node, void *buf, size_t size)
{
    struct vfs seen = fake_look(v);

    (void)node;
    seen.xattr[strcspn(seen.xattr, "=")] = '\0';
    return give(seen.xattr, seen.xattr[0] != '\0' ? strlen(seen.xattr) + 1 : 0, buf, size);
}

int vfs_removexattr(struct vfs *v, const struct vfs_ctx *x, uint64_t node, const char *name)
{
    ssize_t n = vfs_getxattr(v, node, name, NULL, 0);

    (void)x;
    lock_take(&v->lock);
    v->xattr[0] = '\0';
    lock_drop(&v->lock);
    return n < 0 ? (int)n : 0;
}

int vfs_fallocate(struct vfs *v, const struct vfs_ctx *x, uint64_t fh, int mode, uint64_t off,
                  uint64_t len)
{
    (void)fh;
    lock_take(&v->lock);
    v->ctx = *x;
    v->falloc_mode = mode;
    v->falloc_off = off;
    v->falloc_len = len;
    lock_drop(&v->lock);
    return 0;
}

/* All of bytes[] is data. */
int vfs_lseek(struct vfs *v, uint64_t fh, uint64_t off, int whence, uint64_t *ret)
{
    struct vfs seen = fake_look(v);
    uint64_t end = strlen(seen.bytes);

    (void)fh;
    *ret = whence == SEEK_HOLE ? end : off;
    return off < end ? 0 : -ENXIO;
}

ssize_t vfs_copy_range(struct vfs *v, const struct vfs_ctx *x, uint64_t fh_in, uint64_t off_in,
                       uint64_t fh_out, uint64_t off_out, uint64_t len)
{
    (void)fh_in;
    (void)fh_out;
    lock_take(&v->lock);
    v->ctx = *x;
    v->copied_from = off_in;
    v->copied_to = off_out;
    lock_drop(&v->lock);
    return (ssize_t)len;
}

int vfs_lock_set(struct vfs *v, uint64_t node, const struct vfs_lock *l, struct vfs_lock_wait *wait)
{
    int r;

    (void)node;
    lock_take(&v->lock);
    v->lock_seen = *l;
    r = v->fail_lock < 0 ? VFS_LOCK_WAITS : -v->fail_lock;
    if (r == VFS_LOCK_WAITS && wait == NULL)
        r = -EAGAIN;
    if (r == VFS_LOCK_WAITS)
        v->waiting = wait;
    cond_broadcast(&v->changed);
    lock_drop(&v->lock);
    return r;
}

int vfs_lock_get(struct vfs *v, uint64_t node, struct vfs_lock *l)
{
    (void)node;
    lock_take(&v->lock);
    v->lock_seen = *l;
    *l = v->holder;
    lock_drop(&v->lock);
    return 0;
}

void vfs_lock_interrupt(struct vfs *v, struct vfs_lock_wait *wait)
{
    (void)v;
    atomic_store(&wait->is_interrupted, true);
}

int vfs_lock_close(struct vfs *v, uint64_t node, enum lock_kind kind, uint64_t owner)
{
    (void)node;
    (void)owner;
    lock_take(&v->lock);
    if (kind == LOCK_POSIX)
        v->posix_closes++;
    else
        v->flock_closes++;
    lock_drop(&v->lock);
    return 0;
}

void vfs_lock_stop(struct vfs *v)
{
    lock_take(&v->lock);
    v->lock_stops++;
    lock_drop(&v->lock);
}

void vfs_keep_begin(struct vfs *v, uint64_t unique)
{
    (void)v;
    (void)unique;
}

void vfs_keep_reply(struct vfs *v, uint64_t unique, const void *reply, size_t len)
{
    (void)len;
    lock_take(&v->lock);
    if (reply != NULL)
        v->kept.last = unique;
    lock_drop(&v->lock);
}

int vfs_keep_find(struct vfs *v, uint64_t unique, void **ret, size_t *ret_len)
{
    int r = -ENOENT;

    lock_take(&v->lock);
    if (v->kept.len > 0 && unique == v->kept.unique) {
        *ret = malloc(v->kept.len);
        r = *ret != NULL ? 0 : -ENOMEM;
    }
    if (r == 0)
        memcpy(*ret, v->kept.reply, *ret_len = v->kept.len);
    lock_drop(&v->lock);
    return r;
}

int vfs_keep_blob(struct vfs *v, unsigned n, const void *data, size_t len)
{
    (void)v;
    (void)n;
    (void)data;
    (void)len;
    return 0;
}

bool vfs_keep_is_lost(struct vfs *v)
{
    (void)v;
    return false;
}

int vfs_kept_blob(struct vfs *v, unsigned n, void **ret, size_t *ret_len)
{
    if (v->kept.blob_len[n] == 0)
        return -ENOENT;
    *ret = malloc(v->kept.blob_len[n]);
    if (*ret == NULL)
        return -ENOMEM;
    memcpy(*ret, v->kept.blob[n], *ret_len = v->kept.blob_len[n]);
    return 0;
}

bool vfs_was_implied(struct vfs *v, const struct vfs_ctx *x, uint64_t new_dir, const char *new_name)
{
    (void)v;
    (void)x;
    (void)new_dir;
    (void)new_name;
    return false;
}

bool vfs_was_linked(struct vfs *v, const struct vfs_ctx *x, uint64_t node, uint64_t dir, const char *name,
                    struct vfs_entry *ret)
{
    (void)v;
    (void)x;
    (void)node;
    (void)dir;
    (void)name;
    (void)ret;
    return false;
}

bool vfs_was_tried(struct vfs *v)
{
    (void)v;
    return false;
}

int vfs_was_made(struct vfs *v, const struct vfs_ctx *x, uint64_t dir, const char *name, struct vfs_entry *ret)
{
    (void)x;
    (void)dir;
    (void)name;
    (void)ret;
    (void)v;
    return 0;
}

int vfs_was_removed(struct vfs *v, uint64_t dir, const char *name)
{
    (void)v;
    (void)dir;
    return strcmp(name, "removed") == 0;
}

int vfs_was_renamed(struct vfs *v, uint64_t dir, const char *name, uint64_t new_dir, const char *new_name)
{
    (void)v;
    (void)dir;
    (void)name;
    (void)new_dir;
    (void)new_name;
    return 0;
}

int vfs_keep_request(struct vfs *v, uint64_t unique, const void *request, size_t len)
{
    (void)v;
    (void)unique;
    (void)request;
    (void)len;
    return 0;
}

int vfs_kept_requests(struct vfs *v, int (*fn)(void *arg, uint64_t unique, const void *request, size_t len), void *arg)
{
    (void)v;
    (void)fn;
    (void)arg;
    return 0;
}
