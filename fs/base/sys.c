/* SPDX-License-Identifier: Apache-2.0 */
/* The only door to raw file calls. */
#include "base/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"
#include "sysfault.h"

#define READ_CHUNK 4096

int sys_open(const char *path, int flags, mode_t mode)
{
    return sys_openat(AT_FDCWD, path, flags, mode);
}

int sys_openat(int dir, const char *path, int flags, mode_t mode)
{
    int fd, fault = sys_fault(SYS_OPEN);

    if (fault != 0)
        return fault;
    do {
        fd = openat(dir, path, flags | O_CLOEXEC, mode);
    } while (fd < 0 && errno == EINTR);
    return fd >= 0 ? fd : -errno;
}

ssize_t sys_pread(int fd, void *buf, size_t len, uint64_t off)
{
    size_t n = 0;
    int fault = sys_fault(SYS_READ);

    if (fault != 0)
        return fault;
    while (n < len) {
        ssize_t r = pread(fd, (char *)buf + n, len - n, (off_t)(off + n));

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        if (r == 0)
            break;
        n += (size_t)r;
    }
    return (ssize_t)n;
}

int sys_pread_all(int fd, void *buf, size_t len, uint64_t off)
{
    ssize_t r = sys_pread(fd, buf, len, off);

    if (r < 0)
        return (int)r;
    return (size_t)r == len ? 0 : -EIO;
}

int sys_pwrite_all(int fd, const void *buf, size_t len, uint64_t off)
{
    size_t n = 0;
    int fault = sys_fault(SYS_WRITE);

    if (fault != 0)
        return fault;
    while (n < len) {
        ssize_t r = pwrite(fd, (const char *)buf + n, len - n, (off_t)(off + n));

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        n += (size_t)r;
    }
    return 0;
}

int sys_write_all(int fd, const void *buf, size_t len)
{
    size_t n = 0;
    int fault = sys_fault(SYS_WRITE);

    if (fault != 0)
        return fault;
    while (n < len) {
        ssize_t r = write(fd, (const char *)buf + n, len - n);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return -errno;
        n += (size_t)r;
    }
    return 0;
}

int sys_ftruncate(int fd, uint64_t size)
{
    int r, fault = sys_fault(SYS_WRITE);

    if (fault != 0)
        return fault;
    if (size > INT64_MAX)
        return -EFBIG;
    do {
        r = ftruncate(fd, (off_t)size);
    } while (r < 0 && errno == EINTR);
    return r < 0 ? -errno : 0;
}

int sys_punch(int fd, uint64_t off, uint64_t len)
{
    int r, fault = sys_fault(SYS_WRITE);

    if (fault != 0)
        return fault;
    do {
        r = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off, (off_t)len);
    } while (r < 0 && errno == EINTR);
    if (r < 0)
        return errno == ENOSYS ? -EOPNOTSUPP : -errno;
    return 0;
}

int sys_clone(int to, int from)
{
    int fault = sys_fault(SYS_WRITE);

    if (fault != 0)
        return fault;
    if (ioctl(to, FICLONE, from) == 0)
        return 0;
    /* What file systems say that can't, or can't between these two. */
    return errno == ENOTTY || errno == EINVAL || errno == EXDEV || errno == ENOSYS ? -EOPNOTSUPP : -errno;
}

int sys_seek(int fd, uint64_t off, int whence, uint64_t *ret)
{
    off_t at = off > INT64_MAX ? (errno = ENXIO, -1) : lseek(fd, (off_t)off, whence);

    if (at < 0)
        return -errno;
    *ret = (uint64_t)at;
    return 0;
}

int sys_fdatasync(int fd)
{
    int fault = sys_fault(SYS_SYNC);

    if (fault != 0)
        return fault;
    return fdatasync(fd) < 0 ? -errno : 0;
}

int sys_fsync(int fd)
{
    int fault = sys_fault(SYS_SYNC);

    if (fault != 0)
        return fault;
    return fsync(fd) < 0 ? -errno : 0;
}

int sys_rename(const char *from, const char *to)
{
    int fault = sys_fault(SYS_RENAME);

    if (fault != 0)
        return fault;
    return rename(from, to) < 0 ? -errno : 0;
}

int sys_link(const char *from, const char *to)
{
    int fault = sys_fault(SYS_RENAME);

    if (fault != 0)
        return fault;
    return link(from, to) < 0 ? -errno : 0;
}

int sys_unlink(const char *path)
{
    int fault = sys_fault(SYS_UNLINK);

    if (fault != 0)
        return fault;
    return unlink(path) < 0 ? -errno : 0;
}

static int make_dir(const char *path, mode_t mode)
{
    struct stat st;

    if (mkdir(path, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    if (stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int sys_mkdirs(const char *path, mode_t mode)
{
    _cleanup_free_ char *copy = strdup(path);
    struct stat st;

    if (copy == NULL)
        return -ENOMEM;
    for (char *p = copy + 1; *p != '\0'; p++) {
        int r;

        if (*p != '/')
            continue;
        *p = '\0';
        r = stat(copy, &st) == 0 && S_ISDIR(st.st_mode) ? 0 : make_dir(copy, mode);
        if (r < 0)
            return err_set(r, "%s: %s", copy, strerror(-r));
        *p = '/';
    }
    return make_dir(copy, mode);
}

static int read_into(const char *path, struct buf *b, char chunk[READ_CHUNK])
{
    _cleanup_close_ int fd = sys_open(path, O_RDONLY, 0);

    if (fd < 0)
        return fd;
    for (;;) {
        ssize_t n = read(fd, chunk, READ_CHUNK); /* /proc and pipes have no offsets to trust */

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            return 0;
        if (buf_add(b, chunk, (size_t)n) < 0)
            return b->error == -E2BIG ? -EFBIG : b->error;
    }
}

static int take_text(int r, struct buf *b, char **ret, size_t *ret_len)
{
    if (r < 0)
        return r;
    if (ret_len != NULL)
        *ret_len = b->len;
    *ret = buf_take(b);
    return *ret != NULL ? 0 : -ENOMEM;
}

int sys_read_file(const char *path, size_t max, char **ret, size_t *ret_len)
{
    _cleanup_buf_ struct buf b = BUF_INIT(max);
    char chunk[READ_CHUNK];

    return take_text(read_into(path, &b, chunk), &b, ret, ret_len);
}

int sys_read_secret(const char *path, size_t max, char **ret, size_t *ret_len)
{
    _cleanup_buf_ struct buf b = BUF_INIT_SECRET(max);
    _cleanup_secret_ char *chunk = secret_alloc(READ_CHUNK);

    if (chunk == NULL)
        return -ENOMEM;
    return take_text(read_into(path, &b, chunk), &b, ret, ret_len);
}

int sys_free_bytes(const char *path, uint64_t *ret_free, uint64_t *ret_total)
{
    struct statvfs st;

    if (statvfs(path, &st) < 0)
        return -errno;
    *ret_free = (uint64_t)st.f_bavail * st.f_frsize;
    *ret_total = (uint64_t)st.f_blocks * st.f_frsize;
    return 0;
}
