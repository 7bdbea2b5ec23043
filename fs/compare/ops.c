/* SPDX-License-Identifier: Apache-2.0 */
#include "ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/clock.h"
#include "base/err.h"
#include "stop.h"
#include "workload.h"

/* Time of system calls only: bytes are made and checked while it stands still. */
struct watch {
    int64_t sum, since;
};

static void go(struct watch *w)
{
    w->since = clock_boot_ns();
}

static void halt(struct watch *w)
{
    int e = errno;

    w->sum += clock_boot_ns() - w->since;
    errno = e;
}

static void book(struct ops *o, enum run_part part, const struct watch *w, uint64_t files,
                 uint64_t bytes)
{
    hist_add(&o->part[part].took, w->sum > 0 ? (uint64_t)w->sum : 0);
    o->part[part].files += files;
    o->part[part].bytes += bytes;
}

static int failed(const struct ops *o, const char *name, const char *what)
{
    int e = errno;

    return err_set(-e, "%s/%s: %s: %s", o->job->dir, name, what, strerror(e));
}

/* Which bytes file i of this group has. */
static uint64_t content(const struct ops *o, uint64_t i)
{
    return ((uint64_t)o->job->step->group << 40) + i;
}

/* Files of a tree are "t003/img-...". */
static void name_of(const struct ops *o, uint64_t i, char out[2 * WORKLOAD_NAME_MAX])
{
    char file[WORKLOAD_NAME_MAX];

    workload_name(o->job->options->seed, i, file);
    if (o->job->step->is_tree)
        snprintf(out, 2 * WORKLOAD_NAME_MAX, "t%03" PRIu64 "/%s", i / STEPS_TREE_WIDTH, file);
    else
        snprintf(out, 2 * WORKLOAD_NAME_MAX, "%s", file);
}

static int write_all(const struct ops *o, int fd, const char *name, uint64_t i, uint64_t size,
                     struct watch *w)
{
    for (uint64_t off = 0; off < size;) {
        size_t n = size - off < OPS_BUFFER ? (size_t)(size - off) : OPS_BUFFER, done = 0;

        if (stop_signal() != 0)
            return -EINTR;
        workload_fill(o->job->options->seed, content(o, i), off, o->buffer, n);
        go(w);
        while (done < n) {
            ssize_t r = write(fd, o->buffer + done, n - done);

            if (r <= 0) {
                halt(w);
                return failed(o, name, "write");
            }
            done += (size_t)r;
        }
        halt(w);
        off += n;
    }
    return 0;
}

int ops_upload(struct ops *o, uint64_t i)
{
    uint64_t size = steps_file_size(o->job->options, o->job->step, i);
    char name[2 * WORKLOAD_NAME_MAX];
    struct watch w = {0};
    int fd, r;

    name_of(o, i, name);
    go(&w);
    fd = openat(o->job->dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    halt(&w);
    if (fd < 0)
        return failed(o, name, "create");
    r = write_all(o, fd, name, i, size, &w);
    go(&w);
    if (close(fd) != 0 && r == 0)
        r = failed(o, name, "close");
    halt(&w);
    if (r == 0)
        book(o, RUN_WRITE, &w, 1, size);
    return r;
}

static int read_all(const struct ops *o, int fd, const char *name, uint64_t i, uint64_t size,
                    struct watch *w)
{
    uint64_t off = 0;

    for (;;) {
        int64_t at;
        ssize_t n;

        if (stop_signal() != 0)
            return -EINTR;
        go(w);
        n = read(fd, o->buffer, OPS_BUFFER);
        halt(w);
        if (n < 0)
            return failed(o, name, "read");
        if (n == 0)
            break;
        at = workload_wrong(o->job->options->seed, content(o, i), off, o->buffer, (size_t)n);
        if (at >= 0 && off + (uint64_t)at < size)
            return err_set(OPS_WRONG,
                           "%s/%s: the byte at %" PRIu64 " is not the one that was written",
                           o->job->dir, name, off + (uint64_t)at);
        off += (uint64_t)n;
        if (off > size)
            break;
    }
    if (off != size)
        return err_set(OPS_WRONG, "%s/%s: %s than the %" PRIu64 " bytes that were written",
                       o->job->dir, name, off < size ? "shorter" : "longer", size);
    return 0;
}

int ops_read(struct ops *o, uint64_t i)
{
    uint64_t size = steps_file_size(o->job->options, o->job->step, i);
    char name[2 * WORKLOAD_NAME_MAX];
    struct watch w = {0};
    int fd, r;

    name_of(o, i, name);
    go(&w);
    fd = openat(o->job->dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    halt(&w);
    if (fd < 0)
        return failed(o, name, "open");
    r = read_all(o, fd, name, i, size, &w);
    go(&w);
    close(fd);
    halt(&w);
    if (r == 0)
        book(o, RUN_READ, &w, 1, size);
    return r;
}

int ops_remove(struct ops *o, uint64_t i)
{
    char name[2 * WORKLOAD_NAME_MAX];
    struct watch w = {0};
    int r;

    name_of(o, i, name);
    go(&w);
    r = unlinkat(o->job->dirfd, name, 0);
    halt(&w);
    if (r != 0)
        return failed(o, name, "remove");
    book(o, RUN_WRITE, &w, 1, 0);
    return 0;
}

/* --- listings --- */

/* Files first..first+n of the step are to be in dir, whole, and nothing else. */
static int look_at(struct ops *o, const char *dir, const char *entry, int fd, uint64_t first,
                   uint64_t n, struct watch *w)
{
    int64_t i = workload_number(o->job->options->seed, entry);
    uint64_t at = (uint64_t)i - first;
    struct stat st;
    int r;

    if (i < 0 || (uint64_t)i < first || at >= n)
        return err_set(OPS_WRONG, "%s/%s: something that was not put there is listed", o->job->dir,
                       dir);
    if (o->seen[at / 8] & (1u << (at % 8)))
        return err_set(OPS_WRONG, "%s/%s: %s is listed twice", o->job->dir, dir, entry);
    o->seen[at / 8] |= (unsigned char)(1u << (at % 8));
    go(w);
    r = fstatat(fd, entry, &st, AT_SYMLINK_NOFOLLOW);
    halt(w);
    if (r != 0)
        return failed(o, entry, "stat");
    if (!S_ISREG(st.st_mode) ||
        (uint64_t)st.st_size != steps_file_size(o->job->options, o->job->step, (uint64_t)i))
        return err_set(OPS_WRONG, "%s/%s: %s has another size than was written", o->job->dir, dir,
                       entry);
    return 0;
}

static int list_entries(struct ops *o, const char *dir, DIR *d, uint64_t first, uint64_t n,
                        struct watch *w)
{
    uint64_t found = 0;
    int r = 0;

    memset(o->seen, 0, (size_t)(n + 7) / 8);
    while (r == 0) {
        struct dirent *e;

        if (stop_signal() != 0)
            return -EINTR;
        go(w);
        errno = 0;
        e = readdir(d);
        halt(w);
        if (e == NULL)
            break;
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        r = look_at(o, dir, e->d_name, dirfd(d), first, n, w);
        found++;
    }
    if (r == 0 && errno != 0)
        r = failed(o, dir, "list");
    if (r == 0 && found != n)
        r = err_set(OPS_WRONG, "%s/%s: %" PRIu64 " files are listed, %" PRIu64 " were written",
                    o->job->dir, dir, found, n);
    return r;
}

static int list_dir(struct ops *o, const char *dir, uint64_t first, uint64_t n)
{
    struct watch w = {0};
    DIR *d = NULL;
    int fd, r;

    go(&w);
    fd = openat(o->job->dirfd, dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        d = fdopendir(fd);
    halt(&w);
    if (d == NULL) {
        r = failed(o, dir, "open");
        if (fd >= 0)
            close(fd);
        return r;
    }
    r = list_entries(o, dir, d, first, n, &w);
    closedir(d);
    if (r == 0)
        book(o, RUN_READ, &w, n, 0);
    return r;
}

int ops_list(struct ops *o)
{
    return list_dir(o, ".", 0, o->job->step->files);
}

/* --- trees --- */

static void tree_part(const struct ops *o, uint64_t d, char name[32], uint64_t *ret_first,
                      uint64_t *ret_n)
{
    uint64_t left;

    *ret_first = d * STEPS_TREE_WIDTH;
    left = o->job->step->files - *ret_first;
    *ret_n = left < STEPS_TREE_WIDTH ? left : STEPS_TREE_WIDTH;
    snprintf(name, 32, "t%03" PRIu64, d);
}

int ops_tree_make(struct ops *o, uint64_t d)
{
    struct watch w = {0};
    uint64_t first, n;
    char name[32];
    int r;

    tree_part(o, d, name, &first, &n);
    go(&w);
    r = mkdirat(o->job->dirfd, name, 0755);
    halt(&w);
    if (r != 0)
        return failed(o, name, "mkdir");
    book(o, RUN_WRITE, &w, 0, 0);
    for (uint64_t i = first; i < first + n && r == 0; i++)
        r = ops_upload(o, i);
    return r;
}

int ops_tree_walk(struct ops *o, uint64_t d)
{
    uint64_t first, n;
    char name[32];

    tree_part(o, d, name, &first, &n);
    return list_dir(o, name, first, n);
}

int ops_tree_remove(struct ops *o, uint64_t d)
{
    struct watch w = {0};
    uint64_t first, n;
    char name[32];
    int r = 0;

    tree_part(o, d, name, &first, &n);
    for (uint64_t i = first; i < first + n && r == 0; i++)
        r = ops_remove(o, i);
    if (r < 0)
        return r;
    go(&w);
    r = unlinkat(o->job->dirfd, name, AT_REMOVEDIR);
    halt(&w);
    if (r != 0)
        return failed(o, name, "rmdir");
    book(o, RUN_WRITE, &w, 0, 0);
    return 0;
}
