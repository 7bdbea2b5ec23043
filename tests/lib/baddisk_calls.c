/* SPDX-License-Identifier: Apache-2.0 */
/* The calls that go through the bad disk. See baddisk.h. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "baddisk_int.h"

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define REAL(name)                                                                                 \
    static __typeof__(&name) real;                                                                 \
    if (real == NULL)                                                                              \
    real = __extension__(__typeof__(&name)) dlsym(RTLD_NEXT, #name)

void bad_disk_link(void)
{
}

/* --- descriptors --- */

static int real_open(int dir, const char *path, int flags, mode_t mode)
{
    REAL(openat);

    return real(dir, path, bad_disk.quick ? flags & ~O_DSYNC : flags, mode);
}

static int see_open(const char *path, int flags, mode_t mode)
{
    const char *p = bad_disk_below(path);
    struct stat st;
    bool is_new;
    int fd = -1;

    pthread_mutex_lock(&bad_disk_mutex);
    is_new = (flags & O_CREAT) != 0 && lstat(path, &st) < 0;
    if (bad_disk.read_only && (flags & O_ACCMODE) != O_RDONLY)
        errno = EROFS;
    else if ((flags & (O_CREAT | O_TRUNC)) == 0 || !bad_disk_fails())
        fd = real_open(AT_FDCWD, path, flags, mode);
    if (fd >= FDS)
        abort();
    if (fd >= 0) {
        bad_disk.fds[fd].seen = true;
        bad_disk.fds[fd].dsync = (flags & O_DSYNC) != 0;
        snprintf(bad_disk.fds[fd].path, sizeof(bad_disk.fds[fd].path), "%s", p);
        if (bad_disk.record)
            bad_disk.fds[fd].node = is_new ? log_make(p, false) : log_find(p);
        if (bad_disk.record && !is_new && (flags & O_TRUNC) != 0)
            log_step(STEP_SIZE, bad_disk.fds[fd].node);
    }
    pthread_mutex_unlock(&bad_disk_mutex);
    return fd;
}

static int any_open(int dir, const char *path, int flags, mode_t mode)
{
    if (bad_disk.boot_id[0] != '\0' && strcmp(path, BOOT_ID) == 0)
        return real_open(AT_FDCWD, bad_disk.boot_id, flags, mode);
    return bad_disk_below(path) != NULL ? see_open(path, flags, mode)
                                        : real_open(dir, path, flags, mode);
}

#define MODE_OF(flags, last)                                                                       \
    mode_t mode = 0;                                                                               \
    if (((flags) & (O_CREAT | O_TMPFILE)) != 0) {                                                  \
        va_list ap;                                                                                \
        va_start(ap, last);                                                                        \
        mode = va_arg(ap, mode_t);                                                                 \
        va_end(ap);                                                                                \
    }

int open(const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return any_open(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return any_open(AT_FDCWD, path, flags, mode);
}

int openat(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return any_open(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...)
{
    MODE_OF(flags, flags)
    return any_open(dir, path, flags, mode);
}

int close(int fd)
{
    REAL(close);

    if (bad_disk_sees(fd)) {
        pthread_mutex_lock(&bad_disk_mutex);
        bad_disk.fds[fd].seen = false;
        pthread_mutex_unlock(&bad_disk_mutex);
    }
    return real(fd);
}

/* --- bytes --- */

static void note_sync(int fd)
{
    if (bad_disk.n_synced < SYNCS)
        bad_disk.synced[bad_disk.n_synced++] = strdup(bad_disk.fds[fd].path);
}

/* Locked; n bytes were written at off. */
static void log_write(int fd, const void *p, ssize_t n, off_t off)
{
    uint32_t node = bad_disk.fds[fd].node;
    struct step *s;

    if (bad_disk.fds[fd].dsync)
        note_sync(fd);
    if (n <= 0 || !bad_disk.record)
        return;
    s = log_step(STEP_WRITE, node);
    s->off = (uint64_t)off;
    log_data(s, p, (size_t)n);
    if (!bad_disk.fds[fd].dsync || bad_disk_lies(bad_disk.fds[fd].path))
        return;
    bad_disk_at(AT_SYNC);
    s = log_step(STEP_DSYNC, node);
    s->off = (uint64_t)off;
    s->len = (uint64_t)n;
    bad_disk_at(AT_SYNCED);
}

static ssize_t any_pwrite(int fd, const void *p, size_t len, off_t off)
{
    REAL(pwrite);
    ssize_t n = -1;

    if (!bad_disk_sees(fd))
        return real(fd, p, len, off);
    pthread_mutex_lock(&bad_disk_mutex);
    if (!bad_disk_fails()) {
        n = real(fd, p, len, off);
        log_write(fd, p, n, off);
    }
    pthread_mutex_unlock(&bad_disk_mutex);
    return n;
}

ssize_t pwrite(int fd, const void *p, size_t len, off_t off)
{
    return any_pwrite(fd, p, len, off);
}

ssize_t pwrite64(int fd, const void *p, size_t len, off_t off)
{
    return any_pwrite(fd, p, len, off);
}

ssize_t write(int fd, const void *p, size_t len)
{
    REAL(write);
    ssize_t n = -1;
    off_t off;

    if (!bad_disk_sees(fd))
        return real(fd, p, len);
    pthread_mutex_lock(&bad_disk_mutex);
    if (!bad_disk_fails()) {
        off = lseek(fd, 0, SEEK_CUR);
        n = real(fd, p, len);
        log_write(fd, p, n, off);
    }
    pthread_mutex_unlock(&bad_disk_mutex);
    return n;
}

ssize_t writev(int fd, const struct iovec *iov, int count)
{
    REAL(writev);
    ssize_t n = -1, left;
    off_t off;

    if (!bad_disk_sees(fd))
        return real(fd, iov, count);
    pthread_mutex_lock(&bad_disk_mutex);
    if (!bad_disk_fails()) {
        off = lseek(fd, 0, SEEK_CUR);
        left = n = real(fd, iov, count);
        for (int i = 0; i < count && left > 0; i++) {
            ssize_t part = left < (ssize_t)iov[i].iov_len ? left : (ssize_t)iov[i].iov_len;

            log_write(fd, iov[i].iov_base, part, off);
            off += part;
            left -= part;
        }
    }
    pthread_mutex_unlock(&bad_disk_mutex);
    return n;
}

static int any_truncate(int fd, off_t size)
{
    REAL(ftruncate);
    int r = -1;

    if (!bad_disk_sees(fd))
        return real(fd, size);
    pthread_mutex_lock(&bad_disk_mutex);
    if (!bad_disk_fails()) {
        r = real(fd, size);
        if (r == 0 && bad_disk.record)
            log_step(STEP_SIZE, bad_disk.fds[fd].node)->off = (uint64_t)size;
    }
    pthread_mutex_unlock(&bad_disk_mutex);
    return r;
}

int ftruncate(int fd, off_t size)
{
    return any_truncate(fd, size);
}

int ftruncate64(int fd, off_t size)
{
    return any_truncate(fd, size);
}

/* Only holes are made with it. */
static int any_fallocate(int fd, int mode, off_t off, off_t len)
{
    REAL(fallocate);
    int r = -1;

    if (!bad_disk_sees(fd))
        return real(fd, mode, off, len);
    pthread_mutex_lock(&bad_disk_mutex);
    if (!bad_disk_fails()) {
        r = real(fd, mode, off, len);
        if (r == 0 && bad_disk.record) {
            struct step *s = log_step(STEP_ZERO, bad_disk.fds[fd].node);

            s->off = (uint64_t)off;
            s->len = (uint64_t)len;
        }
    }
    pthread_mutex_unlock(&bad_disk_mutex);
    return r;
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
    return any_fallocate(fd, mode, off, len);
}

int fallocate64(int fd, int mode, off_t off, off_t len)
{
    return any_fallocate(fd, mode, off, len);
}

int ioctl(int fd, unsigned long request, ...)
{
    REAL(ioctl);
    va_list ap;
    void *arg;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    if (bad_disk_sees(fd) && request == FICLONE) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return real(fd, request, arg);
}

static int any_sync(int fd, int (*real)(int))
{
    int (*on_sync)(void *arg, const char *path);
    void *on_sync_arg;
    int r, error = 0;
    bool failing;
    size_t upto;

    if (!bad_disk_sees(fd))
        return bad_disk.quick ? 0 : real(fd);
    pthread_mutex_lock(&bad_disk_mutex);
    on_sync = bad_disk.on_sync;
    on_sync_arg = bad_disk.on_sync_arg;
    pthread_mutex_unlock(&bad_disk_mutex);
    if (on_sync != NULL)
        error = on_sync(on_sync_arg, bad_disk.fds[fd].path);
    pthread_mutex_lock(&bad_disk_mutex);
    bad_disk_at(AT_SYNC);
    failing = bad_disk_fails();
    upto = baddisk_steps.n;
    pthread_mutex_unlock(&bad_disk_mutex);
    if (error != 0)
        errno = error;
    if (failing || error != 0)
        return -1;
    r = bad_disk.quick ? 0 : real(fd);
    pthread_mutex_lock(&bad_disk_mutex);
    note_sync(fd);
    if (r == 0 && bad_disk.record && bad_disk.fds[fd].node != NO_NODE &&
        !bad_disk_lies(bad_disk.fds[fd].path))
        log_step(STEP_SYNC, bad_disk.fds[fd].node)->upto = upto;
    bad_disk_at(AT_SYNCED);
    pthread_mutex_unlock(&bad_disk_mutex);
    return r;
}

int fsync(int fd)
{
    REAL(fsync);

    return any_sync(fd, real);
}

int fdatasync(int fd)
{
    REAL(fdatasync);

    return any_sync(fd, real);
}

/* --- names --- */

int mkdir(const char *path, mode_t mode)
{
    REAL(mkdir);
    const char *p = bad_disk_below(path);
    int r = -1;

    if (p == NULL)
        return real(path, mode);
    pthread_mutex_lock(&bad_disk_mutex);
    if (!bad_disk_fails()) {
        r = real(path, mode);
        if (r == 0 && bad_disk.record)
            (void)log_make(p, true);
    }
    pthread_mutex_unlock(&bad_disk_mutex);
    return r;
}

static int any_remove(const char *path, int (*real)(const char *))
{
    const char *p = bad_disk_below(path);
    int r = -1;

    if (p == NULL)
        return real(path);
    pthread_mutex_lock(&bad_disk_mutex);
    if (!bad_disk_fails()) {
        r = real(path);
        if (r == 0 && bad_disk.record)
            log_remove(p);
    }
    pthread_mutex_unlock(&bad_disk_mutex);
    return r;
}

int unlink(const char *path)
{
    REAL(unlink);

    return any_remove(path, real);
}

int rmdir(const char *path)
{
    REAL(rmdir);

    return any_remove(path, real);
}

static int any_two(const char *from, const char *to, int (*real)(const char *, const char *),
                   void (*log)(const char *, const char *))
{
    const char *p = bad_disk_below(from), *p2 = bad_disk_below(to);
    int r = -1;

    if (p == NULL || p2 == NULL)
        return real(from, to);
    pthread_mutex_lock(&bad_disk_mutex);
    if (!bad_disk_fails()) {
        r = real(from, to);
        if (r == 0 && bad_disk.record)
            log(p, p2);
    }
    pthread_mutex_unlock(&bad_disk_mutex);
    return r;
}

int link(const char *from, const char *to)
{
    REAL(link);

    return any_two(from, to, real, log_link);
}

int rename(const char *from, const char *to)
{
    REAL(rename);

    return any_two(from, to, real, log_rename);
}
