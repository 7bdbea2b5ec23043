/* SPDX-License-Identifier: Apache-2.0 */
/* DIR/lock holds the pid of the process that has the directory, and its flock: an open file
 * description's, so it goes over the daemon's fork and falls with its last process. DIR/stamp:
 * "s3efs-cache FORMAT\nsource NAME\n". It is written before the folders are made, so a directory
 * that has anything else in it and no stamp is somebody else's. */
#include "layout.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "base/sys.h"
#include "seal.h"

#define STAMP_MAX 8192
/* How long a lock is waited for whose process is gone. */
#define LEFT_BEHIND_TRIES 500
#define LEFT_BEHIND_PAUSE_NS (20 * NS_PER_MS)
#define STAMP_HEAD "s3efs-cache "

static int fail(int r, const char *dir, const char *what)
{
    return err_set(r, "cache directory %s: %s%s", dir, what, strerror(-r));
}

/* The pid that the lock's holder wrote; 0: none. */
static int read_pid(int fd)
{
    char text[16] = "";
    uint64_t pid;

    if (sys_pread(fd, text, sizeof(text) - 1, 0) <= 0)
        return 0;
    text[strcspn(text, "\n")] = '\0';
    return str_u64(text, 10, &pid) == 0 && pid <= INT_MAX ? (int)pid : 0;
}

/* A daemon that was killed leaves the lock, for an instant, to a child that it had just forked. */
static bool is_gone(int pid)
{
    return pid > 0 && kill(pid, 0) < 0 && errno == ESRCH;
}

/* The lock goes with the open file: a copy of its descriptor has it already. */
static int open_lock(const char *path, int held_fd)
{
    struct stat held, there;

    if (held_fd > 0 && fstat(held_fd, &held) == 0 && stat(path, &there) == 0 && held.st_dev == there.st_dev &&
        held.st_ino == there.st_ino)
        return fcntl(held_fd, F_DUPFD_CLOEXEC, 3);
    return sys_open(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
}

static int take_lock(const char *dir, int held_fd, int *ret_fd)
{
    static const struct timespec pause = {.tv_nsec = LEFT_BEHIND_PAUSE_NS};
    char path[PATH_MAX];
    _cleanup_close_ int fd = -1;

    snprintf(path, sizeof(path), "%s/lock", dir);
    fd = open_lock(path, held_fd);
    if (fd < 0)
        return fail(fd, dir, "lock: ");
    for (unsigned tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
        int pid;

        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK)
            return fail(-errno, dir, "lock: ");
        pid = read_pid(fd);
        if (tries >= LEFT_BEHIND_TRIES || !is_gone(pid))
            return err_set(-EBUSY, "cache directory %s is in use by pid %d", dir, pid);
        nanosleep(&pause, NULL);
    }
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int layout_write_pid(int fd)
{
    char text[32];
    int r;

    snprintf(text, sizeof(text), "%d\n", (int)getpid());
    r = sys_ftruncate(fd, 0);
    return r == 0 ? sys_pwrite_all(fd, text, strlen(text), 0) : r;
}

/* Nothing of anybody else's may be in a directory that we are about to call ours (it is not even
 * locked before). lost+found is also what a fresh file system has. */
static int check_unstamped(const char *dir)
{
    char path[PATH_MAX];
    struct dirent *e;
    DIR *d;
    int r = 0;

    snprintf(path, sizeof(path), "%s/stamp", dir);
    if (access(path, F_OK) == 0)
        return 0;
    d = opendir(dir);
    if (d == NULL)
        return fail(-errno, dir, "");
    while (r == 0 && (e = readdir(d)) != NULL) {
        static const char *const ours[] = {".", "..", "lock", "lost+found", "stamp.tmp"};
        bool known = false;

        for (size_t i = 0; i < ARRAY_LEN(ours); i++)
            known = known || strcmp(e->d_name, ours[i]) == 0;
        if (!known)
            r = err_set(-ENOTEMPTY,
                        "cache directory %s is not empty and not a cache of s3efs (it has %s)", dir,
                        LOG_Q(e->d_name));
    }
    closedir(d);
    return r;
}

static int write_stamp(const char *dir, const char *source)
{
    _cleanup_buf_ struct buf text = BUF_INIT(STAMP_MAX);
    char path[PATH_MAX];
    int r;

    snprintf(path, sizeof(path), "%s/stamp", dir);
    buf_addf(&text, STAMP_HEAD "%d\nsource %s\n", LAYOUT_FORMAT, source);
    if (buf_failed(&text) || strchr(source, '\n') != NULL)
        return err_set(-EINVAL, "cache source: too long, or has a line break");
    r = seal_write_file(path, buf_str(&text));
    crash_point("cache.stamped");
    return r < 0 ? fail(r, dir, "stamp: ") : 0;
}

/* 0: ours. 1: another format's of the same source. */
static int compare_stamp(const char *dir, const char *stamp, const char *source)
{
    const char *line = strchr(stamp, '\n'), *end;
    const char *name = line != NULL && str_starts(line + 1, "source ") ? line + 8 : NULL;
    char head[32];

    end = name != NULL ? strchr(name, '\n') : NULL;
    if (!str_starts(stamp, STAMP_HEAD) || end == NULL)
        return err_set(-EINVAL,
                       "cache directory %s: its stamp is damaged; remove the directory's contents "
                       "(look into lost+found first) or name another one",
                       dir);
    if (strlen(source) != (size_t)(end - name) || memcmp(source, name, (size_t)(end - name)) != 0)
        return err_set(-EINVAL, "cache directory %s belongs to %.*s, not to %s; name another one",
                       dir, (int)(end - name), name, source);
    snprintf(head, sizeof(head), STAMP_HEAD "%d\n", LAYOUT_FORMAT);
    return str_starts(stamp, head) ? 0 : 1;
}

/* -ENOENT: there is none. */
static int read_stamp(const char *dir, char **ret)
{
    char path[PATH_MAX];
    int r;

    snprintf(path, sizeof(path), "%s/stamp", dir);
    r = sys_read_file(path, STAMP_MAX, ret, NULL);
    return r < 0 && r != -ENOENT ? fail(r, dir, "stamp: ") : r;
}

static int check_stamp(const char *dir, const char *source)
{
    _cleanup_free_ char *stamp = NULL;
    int r = read_stamp(dir, &stamp);

    if (r == -ENOENT)
        return write_stamp(dir, source);
    if (r < 0)
        return r;
    r = compare_stamp(dir, stamp, source);
    if (r != 1)
        return r;
    r = layout_discard(dir, "meta");
    if (r == 0)
        r = layout_discard(dir, "blocks");
    return r == 0 ? write_stamp(dir, source) : fail(r, dir, "old format: ");
}

int layout_check_owner(const struct stat *st, uid_t me, const char *dir)
{
    if (!S_ISDIR(st->st_mode))
        return err_set(-ENOTDIR, "%s is not a directory", dir);
    if (st->st_uid != me && st->st_uid != 0)
        return err_set(-EACCES, "%s belongs to another user (%u)", dir, (unsigned)st->st_uid);
    if ((st->st_mode & S_IWOTH) != 0)
        return err_set(-EACCES, "%s can be written by everybody; name a directory below it", dir);
    return 0;
}

/* After what could be done about its mode. Links are followed in the name that the user gave, not below. */
static int check_owner(const char *dir)
{
    struct stat st;

    return lstat(dir, &st) < 0 ? fail(-errno, dir, "") : layout_check_owner(&st, geteuid(), dir);
}

/* Nothing of another user's is touched, whatever his name leads to by now. */
static int close_to_others(const char *dir)
{
    _cleanup_close_ int fd = sys_open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    struct stat st;
    int r;

    if (fd < 0)
        return fail(fd, dir, "");
    if (fstat(fd, &st) < 0)
        return fail(-errno, dir, "");
    st.st_mode &= ~(mode_t)S_IWOTH;
    r = layout_check_owner(&st, geteuid(), dir);
    if (r < 0)
        return r;
    /* May fail where a volume is shared by group: what is in it is 0700 anyway. */
    (void)!fchmod(fd, 0700);
    return fstat(fd, &st) < 0 ? fail(-errno, dir, "") : layout_check_owner(&st, geteuid(), dir);
}

static int make_folder(const char *dir, const char *name)
{
    char path[PATH_MAX];
    int r;

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    r = sys_mkdirs(path, 0700);
    return r < 0 ? fail(r, dir, "") : check_owner(path);
}

static int make_folders(const char *dir)
{
    static const char *const names[] = {"trash", "meta", "blocks", "stage", "lost+found"};
    int r = 0;

    for (size_t i = 0; i < ARRAY_LEN(names) && r == 0; i++)
        r = make_folder(dir, names[i]);
    return r;
}

int layout_open(const char *dir, const char *source, int held_fd, char **ret_dir, int *ret_fd)
{
    _cleanup_free_ char *abs = NULL;
    _cleanup_close_ int fd = -1;
    int r;

    err_clear();
    r = sys_mkdirs(dir, 0700);
    if (r < 0)
        return fail(r, dir, "");
    abs = realpath(dir, NULL);
    if (abs == NULL)
        return fail(-errno, dir, "");
    if (strlen(abs) > PATH_MAX - 512)
        return fail(-ENAMETOOLONG, dir, "");
    r = check_unstamped(abs);
    if (r == 0)
        r = close_to_others(abs);
    if (r == 0)
        r = take_lock(abs, held_fd, &fd);
    if (r == 0)
        r = check_stamp(abs, source);
    if (r == 0)
        r = make_folders(abs);
    if (r == 0)
        r = layout_discard(abs, "stage");
    if (r == 0)
        r = layout_write_pid(fd);
    if (r < 0)
        return err_text()[0] != '\0' ? r : fail(r, dir, "");
    *ret_dir = steal(&abs);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

static int compare_existing(const char *dir, const char *source)
{
    _cleanup_free_ char *stamp = NULL;
    int r = read_stamp(dir, &stamp);

    if (r == -ENOENT)
        return err_set(-ENOENT, "%s is not a cache of s3efs", dir);
    if (r < 0)
        return r;
    r = compare_stamp(dir, stamp, source);
    return r == 1 ? err_set(-EINVAL, "cache directory %s is of another version of s3efs", dir) : r;
}

int layout_open_existing(const char *dir, const char *source, char **ret_dir, int *ret_fd)
{
    _cleanup_free_ char *abs = realpath(dir, NULL);
    _cleanup_close_ int fd = -1;
    int r;

    err_clear();
    if (abs == NULL)
        return fail(-errno, dir, "");
    if (strlen(abs) > PATH_MAX - 512)
        return fail(-ENAMETOOLONG, dir, "");
    r = compare_existing(abs, source);
    if (r == 0)
        r = take_lock(abs, 0, &fd);
    if (r == 0)
        r = layout_write_pid(fd);
    if (r < 0)
        return err_text()[0] != '\0' ? r : fail(r, dir, "");
    *ret_dir = steal(&abs);
    *ret_fd = fd;
    fd = -1;
    return 0;
}

int layout_discard(const char *dir, const char *name)
{
    char from[PATH_MAX], to[PATH_MAX];
    int r;

    snprintf(from, sizeof(from), "%s/%s", dir, name);
    snprintf(to, sizeof(to), "%s/trash", dir);
    r = sys_mkdirs(to, 0700);
    if (r < 0)
        return r;
    for (unsigned i = 0; i < 1000; i++) { /* the clock may be a test's, or have been set back */
        snprintf(to, sizeof(to), "%s/trash/%s.%llx.%u", dir, name,
                 (unsigned long long)clock_wall_ns(), i);
        if (access(to, F_OK) < 0)
            break;
    }
    r = sys_rename(from, to);
    if (r < 0 && r != -ENOENT)
        return r;
    return sys_mkdirs(from, 0700);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)at;
    if (type == FTW_DP)
        return rmdir(path) < 0 && errno != ENOENT ? errno : 0;
    return unlink(path) < 0 && errno != ENOENT ? errno : 0;
}

int layout_remove_tree(const char *path)
{
    int r = nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);

    if (r < 0)
        return errno == ENOENT ? 0 : -errno;
    return -r;
}
