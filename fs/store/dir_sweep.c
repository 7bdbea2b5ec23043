/* SPDX-License-Identifier: Apache-2.0 */
/* Removing what nobody names: uploads that ended, and what dead processes left in tmp/. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include "base/sys.h"
#include "dir_int.h"

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

void dir_remove_tree(const struct dir_store *d, const char *name)
{
    int fd = sys_openat(d->meta_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    /* One level: an upload's directory holds files only. */
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (!is_dots(e->d_name))
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    closedir(dir);
    unlinkat(d->meta_fd, name, AT_REMOVEDIR);
}

/* Whoever made it holds its flock while it may still be needed. */
static void sweep_one(const struct dir_store *d, const char *entry)
{
    char name[300];
    struct stat st;
    snprintf(name, sizeof(name), "tmp/%s", entry);
    _cleanup_close_ int fd = sys_openat(d->meta_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0)
        return;
    if (S_ISDIR(st.st_mode))
        dir_remove_tree(d, name);
    else
        unlinkat(d->meta_fd, name, 0);
}

void dir_temp_sweep(const struct dir_store *d)
{
    int fd = sys_openat(d->meta_fd, "tmp", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return;
    }
    for (const struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (!is_dots(e->d_name))
            sweep_one(d, e->d_name);
    }
    closedir(dir);
}
