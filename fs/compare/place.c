/* SPDX-License-Identifier: Apache-2.0 */
#include "place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include "base/err.h"

#define DEPTH_MAX 8
/* An entry may be left out of a listing while others are removed, and NFS keeps open files under a
 * name for a while. */
#define ROUNDS 4

static int failed(const char *path, const char *what)
{
    int e = errno;

    return err_set(-e, "%s: %s: %s", path, what, strerror(e));
}

static int has_room(const char *dir, uint64_t room)
{
    struct statvfs st;
    uint64_t unit, units;

    if (statvfs(dir, &st) != 0)
        return failed(dir, "statvfs");
    unit = st.f_frsize != 0 ? st.f_frsize : 1;
    units = (uint64_t)st.f_bavail;
    if (st.f_blocks != 0 && room / unit > units)
        return err_set(-ENOSPC,
                       "%s: the workload needs %" PRIu64 " MiB there, %" PRIu64
                       " MiB are free (fewer --files, a smaller --size)",
                       dir, (room >> 20) + 1, units / 1024 * unit / 1024);
    return 0;
}

int place_make(const char *dir, uint64_t room, void (*found)(void *arg, const char *path),
               void *arg, struct place *ret)
{
    int r = has_room(dir, room);

    *ret = (struct place){.fd = -1};
    for (int i = 1; i <= PLACE_TRIES && r == 0; i++) {
        _cleanup_free_ char *path = NULL;

        if (asprintf(&path, "%s/" PLACE_NAME "%d", dir, i) < 0) {
            path = NULL;
            return err_set(-ENOMEM, "out of memory");
        }
        if (mkdir(path, 0755) == 0) {
            ret->path = steal(&path);
            ret->fd = open(ret->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            return ret->fd >= 0 ? 0 : failed(ret->path, "can't be opened");
        }
        if (errno != EEXIST)
            return failed(path, "can't be made");
        if (found != NULL)
            found(arg, path);
    }
    if (r == 0)
        r = err_set(-EEXIST,
                    "%s: " PLACE_NAME
                    "1 to %d are there already; remove those of runs that were killed",
                    dir, PLACE_TRIES);
    return r;
}

static int remove_entries(int fd, int depth);

static int remove_dir(int at, const char *name, int depth)
{
    int r = 0;

    for (int i = 0; i < ROUNDS; i++) {
        _cleanup_close_ int fd = -1;

        if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return 0;
        if (errno != ENOTEMPTY && errno != EEXIST)
            return failed(name, "can't be removed");
        fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
            return failed(name, "can't be opened");
        r = remove_entries(fd, depth + 1);
        if (r < 0)
            return r;
    }
    return err_set(-ENOTEMPTY, "%s: something is made in it again and again", name);
}

static int remove_entries(int fd, int depth)
{
    int r = 0, copy;
    struct dirent *e;
    DIR *d;

    if (depth > DEPTH_MAX)
        return err_set(-ELOOP, "deeper than anything that was made");
    copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    d = copy >= 0 ? fdopendir(copy) : NULL;
    if (d == NULL) {
        r = failed("a directory", "can't be listed");
        if (copy >= 0)
            close(copy);
        return r;
    }
    rewinddir(d);
    errno = 0;
    while ((e = readdir(d)) != NULL) {
        int one = 0;

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (unlinkat(fd, e->d_name, 0) != 0 && errno != ENOENT)
            one = errno == EISDIR || errno == EPERM ? remove_dir(fd, e->d_name, depth)
                                                    : failed(e->d_name, "can't be removed");
        if (one < 0) /* what is behind it goes all the same */
            r = one;
        errno = 0;
    }
    if (r == 0 && errno != 0)
        r = failed("a directory", "can't be listed");
    closedir(d);
    return r;
}

int place_remove(struct place *p)
{
    int r = 0;

    for (int i = 0; i < ROUNDS && p->path != NULL; i++) {
        r = p->fd >= 0 ? remove_entries(p->fd, 0) : 0;
        if (rmdir(p->path) == 0 || errno == ENOENT) {
            place_done(p);
            return 0;
        }
        if (r == 0)
            r = failed(p->path, "can't be removed");
    }
    return r;
}

void place_done(struct place *p)
{
    if (p->path != NULL && p->fd >= 0)
        close(p->fd);
    free(p->path);
    *p = (struct place){.fd = -1};
}

static void group_name(unsigned group, char out[16])
{
    snprintf(out, 16, "%u", group);
}

int place_group_make(const struct place *p, unsigned group)
{
    char name[16];

    group_name(group, name);
    return mkdirat(p->fd, name, 0755) == 0 ? 0 : failed(p->path, "a directory can't be made in it");
}

int place_group_open(const struct place *p, unsigned group, int *ret_fd)
{
    char name[16];

    group_name(group, name);
    *ret_fd = openat(p->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd >= 0 ? 0 : failed(p->path, "a directory in it can't be opened");
}

int place_group_remove(const struct place *p, unsigned group)
{
    char name[16];

    group_name(group, name);
    return remove_dir(p->fd, name, 0);
}
