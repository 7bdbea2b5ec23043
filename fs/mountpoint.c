/* SPDX-License-Identifier: Apache-2.0 */
#include "mountpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include "base/err.h"
#include "base/str.h"

/* realpath(3) of the parent and the last name: the last name itself may be a mount that answers nothing. */
static char *parent_canonical(const char *dir)
{
    _cleanup_free_ char *copy = strdup(dir), *parent = NULL;
    const char *name;
    char *slash, *whole;
    size_t len;

    if (copy == NULL)
        return NULL;
    len = strlen(copy);
    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = '\0';
    slash = strrchr(copy, '/');
    name = slash == NULL ? copy : slash + 1;
    if (*name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return NULL;
    if (slash != NULL && slash != copy)
        *slash = '\0';
    parent = realpath(slash == NULL ? "." : slash == copy ? "/" : copy, NULL);
    if (parent == NULL || asprintf(&whole, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name) < 0)
        return NULL;
    return whole;
}

#define FUSE_MAJOR 10 /* /dev/fuse */
#define FUSE_MINOR 229

int mountpoint_fd(const char *dir)
{
    uint64_t fd;
    struct stat st;

    if (!str_starts(dir, "/dev/fd/") || str_u64(dir + strlen("/dev/fd/"), 10, &fd) < 0 || fd > INT_MAX)
        return 0;
    if (fstat((int)fd, &st) < 0)
        return err_set(-errno, "%s: %s", dir, strerror(errno));
    if (fd <= STDERR_FILENO || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(FUSE_MAJOR, FUSE_MINOR))
        return err_set(-EINVAL, "%s is no open /dev/fuse", dir);
    if (fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
        return err_set(-errno, "%s: %s", dir, strerror(errno));
    return (int)fd;
}

int mountpoint_fd_name(int fd, char **ret)
{
    if (asprintf(ret, "/proc/%d/fd/%d", (int)getpid(), fd) >= 0)
        return 0;
    *ret = NULL;
    return err_set(-ENOMEM, "out of memory");
}

/* "/proc/PID/fd/N": what it links to may not be looked at, and says nothing. */
static bool is_fd_name(const char *path)
{
    size_t n = 0;

    if (!str_starts(path, "/proc/"))
        return false;
    path += strlen("/proc/");
    n = strspn(path, "0123456789");
    if (n == 0 || !str_starts(path + n, "/fd/"))
        return false;
    path += n + strlen("/fd/");
    return *path != '\0' && path[strspn(path, "0123456789")] == '\0';
}

int mountpoint_canonical(const char *dir, char **ret)
{
    char *path = is_fd_name(dir) ? strdup(dir) : realpath(dir, NULL);
    int error = errno;

    if (path == NULL && (error == ENOTCONN || error == EIO || error == EACCES))
        path = parent_canonical(dir);
    if (path == NULL)
        return err_set(-error, "mount point %s: %s", dir, strerror(error));
    *ret = path;
    return 0;
}

/* mountinfo writes blanks, tabs, newlines and backslashes as \ooo. */
static void unescape(char *s)
{
    char *out = s;

    for (; *s != '\0'; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' && s[3] >= '0' &&
            s[3] <= '7') {
            *out++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0'));
            s += 3;
        } else {
            *out++ = *s;
        }
    }
    *out = '\0';
}

/* Fields: id parent major:minor root MOUNTPOINT options [tags...] - TYPE source ... */
static bool parse_line(char *line, char **point, const char **type)
{
    char *save, *word = strtok_r(line, " \n", &save);

    for (int i = 0; i < 4 && word != NULL; i++)
        word = strtok_r(NULL, " \n", &save);
    *point = word;
    while (word != NULL && strcmp(word, "-") != 0)
        word = strtok_r(NULL, " \n", &save);
    *type = word == NULL ? NULL : strtok_r(NULL, " \n", &save);
    return *type != NULL;
}

bool mountpoint_find(FILE *table, const char *path)
{
    _cleanup_free_ char *line = NULL;
    size_t size = 0;
    bool ours = false;

    while (getline(&line, &size, table) >= 0) {
        const char *type;
        char *point;

        if (!parse_line(line, &point, &type))
            continue;
        unescape(point);
        if (strcmp(point, path) == 0) /* the last one is the topmost */
            ours = strcmp(type, "fuse.s3efs") == 0;
    }
    return ours;
}

bool mountpoint_is_ours(const char *canonical)
{
    FILE *table = fopen("/proc/self/mountinfo", "re");
    bool ours;

    if (table == NULL)
        return false;
    ours = mountpoint_find(table, canonical);
    fclose(table);
    return ours;
}

/* What a killed daemon of ours left behind answers nothing and only stands in the way: it goes. Others' stay. */
static int clear_dead(const char *canonical)
{
    if (mountpoint_is_ours(canonical) && umount2(canonical, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return 0;
    return err_set(-ENOTCONN, "%s: a mount without a daemon is in the way (umount -l %s takes it away)",
                   canonical, canonical);
}

/* stat(2) may be answered by the kernel for a second after the daemon's death; statfs(2) never is. */
static int look(const char *canonical, struct stat *ret)
{
    struct statfs fs;

    if (stat(canonical, ret) < 0)
        return -errno;
    return mountpoint_is_ours(canonical) && statfs(canonical, &fs) < 0 ? -errno : 0;
}

int mountpoint_check(const char *canonical)
{
    struct stat st;
    int r = look(canonical, &st);

    if (r == -ENOTCONN) {
        r = clear_dead(canonical);
        if (r < 0)
            return r;
        r = look(canonical, &st);
    }
    if (r == 0 && mountpoint_is_ours(canonical))
        return err_set(-EBUSY, "%s: an s3efs is mounted there already (s3efs umount %s takes it away)",
                       canonical, canonical);
    if (r < 0)
        return err_set(r, "mount point %s: %s", canonical, strerror(-r));
    if (!S_ISDIR(st.st_mode))
        return err_set(-ENOTDIR, "mount point %s is not a directory", canonical);
    return 0;
}

bool path_is_within(const char *path, const char *dir)
{
    size_t len = strlen(dir);

    if (strcmp(dir, "/") == 0)
        return path[0] == '/';
    return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}
