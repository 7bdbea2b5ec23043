/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket in a local directory: opening it, and the road of a request through it. */
#include "store/dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/sys.h"
#include "dir_int.h"

static struct dir_store *dir_of(struct store *s)
{
    return container_of(s, struct dir_store, store);
}

/* --- requests --- */

static int head_bucket(const struct dir_store *d)
{
    struct stat st;
    if (fstat(d->root_fd, &st) < 0)
        return dir_fail(-errno, "looking");
    return st.st_nlink == 0 ? STORE_NOT_FOUND : 0;
}

static int apply(struct dir_store *d, const struct store_req *req, struct store_rsp *rsp)
{
    switch (req->op) {
    case STORE_HEAD:
    case STORE_GET:
        return dir_read(d, req, rsp);
    case STORE_PUT:
        return dir_put(d, req, rsp);
    case STORE_DELETE:
        return dir_delete(d, req);
    case STORE_DELETE_MANY:
        return dir_delete_many(d, req, rsp);
    case STORE_LIST:
        return dir_list(d, req, rsp);
    case STORE_COPY:
        return dir_copy(d, req, rsp);
    case STORE_MPU_CREATE:
        return dir_mpu_create(d, req, rsp);
    case STORE_MPU_PART:
        return dir_mpu_part(d, req, rsp);
    case STORE_MPU_PART_COPY:
        return dir_mpu_part_copy(d, req, rsp);
    case STORE_MPU_COMPLETE:
        return dir_mpu_complete(d, req, rsp);
    case STORE_MPU_ABORT:
        return dir_mpu_abort(d, req);
    case STORE_MPU_LIST:
        return dir_mpu_list(d, req, rsp);
    case STORE_GET_TAGS:
        return dir_get_tags(d, req, rsp);
    case STORE_HEAD_BUCKET:
        return head_bucket(d);
    case STORE_OPS:
        break;
    }
    return err_set(-EINVAL, "no such operation");
}

static void count(const struct dir_store *d, const struct store_req *req,
                  const struct store_rsp *rsp, int result)
{
    bool sends = req->op == STORE_PUT || req->op == STORE_MPU_PART;
    if (d->meter != NULL)
        meter_count(d->meter, store_op_kind(req->op), origin_get(), store_http_status(req, result),
                    sends ? req->src->size : 0, rsp->body_len);
}

static void dir_submit(struct store *s, struct store_req *req, struct store_rsp *rsp)
{
    struct dir_store *d = dir_of(s);
    lock_take(&d->locked.lk);
    bool refused = d->locked.is_stopped;
    d->locked.running += refused ? 0 : 1;
    lock_drop(&d->locked.lk);
    if (refused) {
        req->done(req->done_arg, err_set(-ESHUTDOWN, "the store is stopped"));
        return;
    }
    int r = apply(d, req, rsp);
    rsp->date_ns = clock_wall_ns();
    if (req->op == STORE_HEAD || req->op == STORE_GET)
        rsp->obj.told_ns = rsp->date_ns;
    count(d, req, rsp, r);
    req->done(req->done_arg, r);
    lock_take(&d->locked.lk);
    if (--d->locked.running == 0)
        cond_broadcast(&d->locked.idle);
    lock_drop(&d->locked.lk);
}

static void dir_stop(struct store *s)
{
    struct dir_store *d = dir_of(s);
    lock_take(&d->locked.lk);
    d->locked.is_stopped = true;
    while (d->locked.running > 0)
        cond_wait(&d->locked.idle, &d->locked.lk);
    lock_drop(&d->locked.lk);
}

static void close_if_open(int fd)
{
    if (fd >= 0)
        close(fd);
}

static void dir_free(struct store *s)
{
    struct dir_store *d = dir_of(s);
    for (size_t i = 0; i < ARRAY_LEN(d->locked.left); i++)
        dir_names_free(d->locked.left[i]);
    close_if_open(d->odd_fd);
    close_if_open(d->meta_fd);
    close_if_open(d->root_fd);
    cond_done(&d->locked.idle);
    lock_done(&d->locked.lk);
    free(d);
}

/* --- opening --- */

/* Opens a directory below base, making it if need be. */
static int open_dir(int base, const char *name)
{
    if (mkdirat(base, name, 0777) < 0 && errno != EEXIST) {
        int made = -errno;
        int fd = sys_openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
        return fd >= 0 ? fd : made;
    }
    return sys_openat(base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
}

static int make_folder(int base, const char *name)
{
    _cleanup_close_ int fd = open_dir(base, name);
    return fd < 0 ? fd : 0;
}

/* Our own directory with its folders. */
static int open_meta(struct dir_store *d)
{
    d->meta_fd = open_dir(d->root_fd, DIR_RESERVED);
    if (d->meta_fd < 0)
        return d->meta_fd;
    static const char *const folders[] = {"tmp", "locks", "uploads"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
        int r = make_folder(d->meta_fd, folders[i]);
        if (r < 0)
            return r;
    }
    d->odd_fd = open_dir(d->meta_fd, "odd");
    return d->odd_fd < 0 ? d->odd_fd : 0;
}

static int check_xattr(const struct dir_store *d)
{
    _cleanup_temp_ struct dir_temp t = DIR_TEMP_INIT;
    int r = dir_temp_new(d, &t);
    if (r < 0)
        return r;
    if (fsetxattr(t.fd, DIR_XATTR, "x", 1, 0) < 0)
        return -errno;
    return 0;
}

static bool is_read_only(int r)
{
    return r == -EACCES || r == -EPERM || r == -EROFS;
}

/* Makes what writing needs. Without the right to it the bucket can be read. */
static int open_for_writing(struct dir_store *d, const char *path)
{
    int r = open_meta(d);
    if (r == 0)
        r = check_xattr(d);
    if (is_read_only(r)) {
        /* A meta_fd that is open stays: odd keys can be read, and each write says why it fails. */
        d->meta_error = r;
        return 0;
    }
    if (r == -EOPNOTSUPP || r == -ENOSYS)
        return err_set(-EOPNOTSUPP,
                       "%s: this file system keeps no user xattrs; a bucket's directory needs them",
                       path);
    if (r < 0)
        return err_set(r, "%s/%s: %s", path, DIR_RESERVED, strerror(-r));
    dir_temp_sweep(d);
    return 0;
}

static int open_root(const char *path, bool create)
{
    int r = create ? sys_mkdirs(path, 0777) : 0;
    if (r < 0)
        return err_set(r, "%s: %s", path, strerror(-r));
    int fd = sys_open(path, O_RDONLY | O_DIRECTORY, 0);
    if (fd == -ENOENT)
        return err_set(fd, "%s: no such directory", path);
    return fd < 0 ? err_set(fd, "%s: %s", path, strerror(-fd)) : fd;
}

int store_dir_new(const char *path, bool create, struct meter *meter, struct store **ret)
{
    static const struct store_ops ops = {.submit = dir_submit, .stop = dir_stop, .free = dir_free};
    struct dir_store *d = calloc(1, sizeof(*d));
    if (d == NULL)
        return err_set(-ENOMEM, "no memory for a store");
    d->store.ops = &ops;
    d->meter = meter;
    d->meta_fd = d->odd_fd = -1;
    lock_init(&d->locked.lk, LOCK_STORE);
    cond_init(&d->locked.idle);
    d->root_fd = open_root(path, create);
    int r = d->root_fd < 0 ? d->root_fd : open_for_writing(d, path);
    if (r < 0) {
        dir_free(&d->store);
        return r;
    }
    *ret = &d->store;
    return 0;
}
