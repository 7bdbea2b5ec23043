/* SPDX-License-Identifier: Apache-2.0 */
/* Files in and out of their places. Nothing here follows a symbolic link below DIR.
 *
 * DIRF-1  A version gets its name by one rename, when its bytes and xattr are on disk; no file with
 * a name changes. DIRF-2  Names change only under the key's lock, so between a look at the current
 * version and the rename over it nobody else's version comes. DIRF-3  An object that is replaced
 * stays in its place (plain or odd), so that a reader, which looks at the plain place and then at
 * the odd one without a lock, can't miss one that was there all the time. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"
#include "dir_int.h"

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_NOFOLLOW)

int dir_fail(int r, const char *what)
{
    const char *cause = strerrordesc_np(-r);
    return err_set(r, "%s in the bucket's directory: %s", what,
                   cause == NULL ? "unknown error" : cause);
}

bool dir_is_nothing(int r)
{
    /* EINVAL, EILSEQ: names that this file system does not take. */
    return r == -ENOENT || r == -ENOTDIR || r == -ELOOP || r == -ENAMETOOLONG || r == -EISDIR ||
           r == -EINVAL || r == -EILSEQ;
}

/* --- walking --- */

static int step(int dir, const char *name, bool create)
{
    int fd = sys_openat(dir, name, DIR_FLAGS, 0);
    if (fd != -ENOENT || !create)
        return fd;
    if (mkdirat(dir, name, 0777) < 0 && errno != EEXIST)
        return -errno;
    int r = sys_fsync(dir);
    return r < 0 ? r : sys_openat(dir, name, DIR_FLAGS, 0);
}

int dir_walk(int base, const char *path, bool create, int *ret_fd)
{
    int fd = fcntl(base, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    for (const char *s = path, *slash; (slash = strchr(s, '/')) != NULL; s = slash + 1) {
        char name[256];
        size_t len = (size_t)(slash - s);
        int next = -ENAMETOOLONG;
        if (len < sizeof(name)) {
            memcpy(name, s, len);
            name[len] = '\0';
            next = step(fd, name, create);
        }
        close(fd);
        if (next < 0)
            return next;
        fd = next;
    }
    *ret_fd = fd;
    return 0;
}

static const char *last_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* --- versions --- */

void dir_file_done(struct dir_file *f)
{
    if (f->fd >= 0)
        close(f->fd);
    dir_meta_done(&f->meta);
    *f = (struct dir_file)DIR_FILE_INIT;
}

int dir_file_open_at(int dir, const char *name, struct dir_file *ret)
{
    _cleanup_dirfile_ struct dir_file f = DIR_FILE_INIT;
    /* A look first: opening a device or a FIFO that somebody put there could do more than open it.
     */
    if (fstatat(dir, name, &f.st, AT_SYMLINK_NOFOLLOW) < 0)
        return dir_is_nothing(-errno) ? STORE_NOT_FOUND : dir_fail(-errno, "looking for an object");
    if (!S_ISREG(f.st.st_mode))
        return STORE_NOT_FOUND;
    f.fd = sys_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (f.fd < 0) {
        int r = f.fd;
        return dir_is_nothing(r) ? STORE_NOT_FOUND : dir_fail(r, "opening an object");
    }
    if (fstat(f.fd, &f.st) < 0)
        return dir_fail(-errno, "looking at an object");
    if (!S_ISREG(f.st.st_mode))
        return STORE_NOT_FOUND;
    int r = dir_meta_read(f.fd, &f.st, &f.meta);
    if (r < 0)
        return r;
    *ret = f;
    f = (struct dir_file)DIR_FILE_INIT;
    return 0;
}

int dir_file_open(int base, const char *path, struct dir_file *ret)
{
    _cleanup_close_ int dir = -1;
    int r = dir_walk(base, path, false, &dir);
    if (r < 0)
        return dir_is_nothing(r) ? STORE_NOT_FOUND : dir_fail(r, "looking for an object");
    return dir_file_open_at(dir, last_of(path), ret);
}

int dir_file_current(const struct dir_store *d, const struct dir_name *n, struct dir_file *ret)
{
    int r = n->is_plain ? dir_file_open(d->root_fd, n->plain, ret) : STORE_NOT_FOUND;
    if (r != STORE_NOT_FOUND || d->odd_fd < 0)
        return r;
    r = dir_file_open(d->odd_fd, n->odd, ret);
    if (r == 0)
        ret->is_odd = true;
    return r;
}

/* --- temp files --- */

void dir_temp_done(struct dir_temp *t)
{
    if (t->fd < 0)
        return;
    if (t->name[0] != '\0')
        unlinkat(t->d->meta_fd, t->name, 0);
    close(t->fd);
    t->fd = -1;
}

int dir_random_name(const char *folder, char *out, size_t size)
{
    unsigned char bytes[16];
    char hex[2 * sizeof(bytes) + 1];
    if (getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes))
        return dir_fail(-EIO, "drawing a random name");
    str_hex(bytes, sizeof(bytes), hex);
    snprintf(out, size, "%s%s", folder, hex);
    return 0;
}

int dir_temp_new(const struct dir_store *d, struct dir_temp *ret)
{
    if (d->meta_fd < 0)
        return dir_fail(d->meta_error, "writing");
    for (int tries = 0; tries < 100; tries++) {
        _cleanup_temp_ struct dir_temp t = {.d = d, .fd = -1};
        struct stat st;
        int r = dir_random_name("tmp/", t.name, sizeof(t.name));
        if (r < 0)
            return r;
        t.fd = sys_openat(d->meta_fd, t.name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0666);
        if (t.fd < 0)
            return dir_fail(t.fd, "making a temporary file");
        /* Another process's sweep may have come between the open and the lock: then the file has no
         * name. */
        if (flock(t.fd, LOCK_EX | LOCK_NB) < 0 || fstat(t.fd, &st) < 0 || st.st_nlink == 0)
            continue;
        *ret = t;
        t.fd = -1;
        return 0;
    }
    return dir_fail(-EBUSY, "making a temporary file");
}

/* --- locks --- */

int dir_lock_key(const struct dir_store *d, const char *key, int *ret_fd)
{
    char name[32];
    if (d->meta_fd < 0)
        return dir_fail(d->meta_error, "writing");
    snprintf(name, sizeof(name), "locks/%02x", (unsigned)(str_hash(key, strlen(key)) & 0xff));
    int fd = sys_openat(d->meta_fd, name, O_RDONLY | O_CREAT | O_NOFOLLOW, 0666);
    if (fd < 0)
        return dir_fail(fd, "opening a lock");
    while (flock(fd, LOCK_EX) < 0) {
        if (errno != EINTR) {
            int r = -errno;
            close(fd);
            return dir_fail(r, "taking a lock");
        }
    }
    *ret_fd = fd;
    return 0;
}

/* --- publishing --- */

/* 0, or why the name can't be taken. */
static int publish_at(struct dir_temp *t, int base, const char *path)
{
    for (int tries = 0; tries < 1000; tries++) {
        _cleanup_close_ int dir = -1;
        struct stat st;
        int r = dir_walk(base, path, true, &dir);
        if (r == -ENOENT)
            continue; /* a directory went between its making and its opening: emptied by another
                         key's delete */
        if (r < 0)
            return r;
        /* A rename would silently replace a symbolic link or a FIFO of the user's. */
        if (fstatat(dir, last_of(path), &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
            return -EISDIR;
        crash_point("dir.before_rename");
        if (renameat(t->d->meta_fd, t->name, dir, last_of(path)) < 0) {
            if (errno == ENOENT)
                continue;
            return -errno;
        }
        t->name[0] = '\0';
        crash_point("dir.after_rename");
        /* EINVAL: a file system that does not sync directories. Else not an errno that means "try
         * elsewhere". */
        r = sys_fsync(dir);
        return r == 0 || r == -EINVAL ? 0 : -EIO;
    }
    return -EBUSY;
}

int dir_publish(const struct dir_store *d, const struct dir_name *n, const struct dir_file *current,
                struct dir_temp *t)
{
    if (n->is_plain && (current == NULL || !current->is_odd)) {
        int r = publish_at(t, d->root_fd, n->plain);
        if (r == 0 || !dir_is_nothing(r))
            return r == 0 ? 0 : dir_fail(r, "naming an object");
    }
    int r = publish_at(t, d->odd_fd, n->odd);
    return r == 0 ? 0 : dir_fail(r, "naming an object");
}

/* Removes the directories above path that are empty now. */
static void prune(int base, const char *path)
{
    _cleanup_free_ char *above = strdup(path);
    for (char *slash; above != NULL && (slash = strrchr(above, '/')) != NULL;) {
        _cleanup_close_ int dir = -1;
        *slash = '\0';
        if (dir_walk(base, above, false, &dir) < 0 ||
            unlinkat(dir, last_of(above), AT_REMOVEDIR) < 0)
            return;
    }
}

static int unpublish_at(int base, const char *path, bool sync)
{
    _cleanup_close_ int dir = -1;
    struct stat st;
    int r = dir_walk(base, path, false, &dir);
    if (r < 0)
        return dir_is_nothing(r) ? 0 : r;
    if (fstatat(dir, last_of(path), &st, AT_SYMLINK_NOFOLLOW) < 0)
        return dir_is_nothing(-errno) ? 0 : -errno;
    if (!S_ISREG(st.st_mode))
        return 0;
    if (unlinkat(dir, last_of(path), 0) < 0 && errno != ENOENT)
        return -errno;
    crash_point("dir.unlinked");
    r = sync ? sys_fsync(dir) : 0;
    prune(base, path);
    return r;
}

int dir_unpublish(const struct dir_store *d, const struct dir_name *n, bool sync)
{
    int r = n->is_plain ? unpublish_at(d->root_fd, n->plain, sync) : 0;
    if (r == 0)
        r = unpublish_at(d->odd_fd, n->odd, sync);
    return r < 0 ? dir_fail(r, "deleting an object") : 0;
}
