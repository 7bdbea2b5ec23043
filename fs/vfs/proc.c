/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc tells of a calling process (protocol 1): needs the same pid namespace; from another
 * one FUSE gives pid 0 and nothing is asked. A plain stat() of the descriptors is never called: it
 * would come back to us. */
#include "internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/str.h"
#include "base/sys.h"

#define FDINFO_HEAD 256

/* The number behind "Name:" in a /proc file. */
static bool field(const char *text, const char *name, uint64_t *ret)
{
    size_t n = strlen(name);

    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        char digits[24];
        size_t len;

        if (*line == '\n')
            line++;
        if (strncmp(line, name, n) != 0)
            continue;
        line += n;
        line += strspn(line, " \t");
        len = strspn(line, "0123456789");
        if (len == 0 || len >= sizeof(digits))
            return false;
        memcpy(digits, line, len);
        digits[len] = '\0';
        return str_u64(digits, 10, ret) == 0;
    }
    return false;
}

int proc_tgid(pid_t tid)
{
    _cleanup_free_ char *text = NULL;
    char path[64];
    uint64_t tgid;

    snprintf(path, sizeof(path), "/proc/%d/status", (int)tid);
    if (tid <= 0 || sys_read_file(path, 64 * 1024, &text, NULL) < 0 || !field(text, "Tgid:", &tgid))
        return 0;
    return (int)tgid;
}

/* A file of another file system, or of another mount of this bucket, may have the number too. Nobody
 * is asked: the kernel tells what it knows (AT_STATX_DONT_SYNC). 1, 0, -errno. */
static int is_on(const char *path, dev_t dev)
{
    struct statx st;

    if (dev == 0)
        return -EOPNOTSUPP;
    if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, 0, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    return makedev(st.stx_dev_major, st.stx_dev_minor) == dev;
}

/* The first lines of what the kernel tells of a descriptor (pos, flags, mnt_id, ino) come at once: a server's close asks
 * for all descriptors that it has. */
static int read_head(int dir, const char *name, char ret[FDINFO_HEAD])
{
    _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return -errno;
    n = read(fd, ret, FDINFO_HEAD - 1);
    if (n < 0)
        return -errno;
    ret[n] = '\0';
    return 0;
}

int proc_has_fd(pid_t pid, dev_t dev, uint64_t ino)
{
    char path[320];
    struct dirent *e;
    int r = 0, n = 0;
    DIR *d;

    snprintf(path, sizeof(path), "/proc/%d/fdinfo", (int)pid);
    d = opendir(path);
    if (d == NULL)
        return -errno;
    while (r == 0 && (e = readdir(d)) != NULL) {
        char text[FDINFO_HEAD];
        uint64_t v;

        if (e->d_name[0] == '.')
            continue;
        if (++n > PROC_FDS_MAX)
            r = -E2BIG;
        if (r < 0 || read_head(dirfd(d), e->d_name, text) < 0)
            continue; /* closed meanwhile */
        if (!field(text, "ino:", &v))
            r = -EOPNOTSUPP; /* kernel before 5.14 */
        else if (v == ino) {
            snprintf(path, sizeof(path), "/proc/%d/fd/%s", (int)pid, e->d_name);
            r = is_on(path, dev);
        }
    }
    closedir(d);
    return r;
}
