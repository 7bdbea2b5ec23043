/* SPDX-License-Identifier: Apache-2.0 */
/* front/ between a real kernel and a fake vfs: what arrives there, and what comes back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include "base/err.h"
#include "base/log.h"
#include "fakevfs.h"
#include "fs/front/internal.h"

static struct {
    struct vfs vfs;
    struct front *front;
    pthread_t loop;
    bool looping;
    char dir[64];
    int ready; /* under vfs.lock */
} t;

static void on_ready(void *arg)
{
    (void)arg;
    lock_take(&t.vfs.lock);
    t.ready++;
    lock_drop(&t.vfs.lock);
}

static void *loop_main(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)front_run(t.front);
}

static int start(bool drops_names)
{
    struct front_conf conf = {.mountpoint = t.dir, .source = "s3://b,ucket/a\\b", .subtype = "s3efs",
                              .allow_other = true, .default_permissions = true, .threads = 8,
                              .posix_locks = true, .flock_locks = true,
                              .extra_options = "noexec,noatime", .drops_names = drops_names, .ready = on_ready};

    strcpy(t.dir, "/tmp/s3efs-test-XXXXXX");
    if (mkdtemp(t.dir) == NULL)
        return -1;
    t.ready = 0;
    fake_init(&t.vfs);
    if (front_new(&conf, &t.front) < 0 || front_start(t.front, &t.vfs) < 0) {
        fprintf(stderr, "%s\n", err_text());
        return -1;
    }
    t.looping = pthread_create(&t.loop, NULL, loop_main, NULL) == 0;
    return t.looping ? 0 : -1;
}

static int set_up(void **state)
{
    (void)state;
    return start(false);
}

static int set_up_older(void **state)
{
    (void)state;
    return start(true);
}

static int join_loop(void)
{
    void *result;

    pthread_join(t.loop, &result);
    t.looping = false;
    return (int)(intptr_t)result;
}

static int tear_down(void **state)
{
    int r = 0;

    (void)state;
    if (t.looping) {
        if (umount2(t.dir, 0) < 0)
            return -1;
        r = join_loop();
    }
    front_free(t.front);
    t.front = NULL;
    fake_done(&t.vfs);
    return r == 0 && rmdir(t.dir) == 0 ? 0 : -1; /* rmdir: nothing is mounted any more */
}

static const char *in(const char *name)
{
    static _Thread_local char path[2][128];
    static _Thread_local int i;

    i = !i;
    snprintf(path[i], sizeof(path[i]), "%s/%s", t.dir, name);
    return path[i];
}

static void test_mount_table(void **state)
{
    char line[512];
    bool found = false;
    FILE *f = fopen("/proc/self/mountinfo", "r");

    struct stat st;

    (void)state;
    assert_int_equal(stat(t.dir, &st), 0); /* the vfs was told of the device */
    assert_int_equal(fake_look(&t.vfs).dev, st.st_dev);
    assert_non_null(f);
    while (fgets(line, sizeof(line), f) != NULL) {
        if (strstr(line, t.dir) == NULL)
            continue;
        found = true;
        assert_non_null(strstr(line, " - fuse.s3efs s3://b,ucket/a\\134b "));
        assert_non_null(strstr(line, "noexec"));
        assert_non_null(strstr(line, "noatime"));
        assert_non_null(strstr(line, "default_permissions"));
        assert_non_null(strstr(line, "allow_other"));
    }
    fclose(f);
    assert_true(found);
    assert_int_equal(access(in("hello"), F_OK), 0);
    lock_take(&t.vfs.lock);
    assert_int_equal(t.ready, 1);
    lock_drop(&t.vfs.lock);
}

static void test_errors(void **state)
{
    struct stat st;

    (void)state;
    errno = 0;
    assert_int_equal(stat(in("none"), &st), -1);
    assert_int_equal(errno, ENOENT);
    assert_int_equal(stat(in("fail-5"), &st), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(stat(in("fail-28"), &st), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(stat(in("fail-9999"), &st), -1); /* no errno at all */
    assert_int_equal(errno, EIO);
    assert_int_equal(stat(in("outcome"), &st), -1); /* an outcome that nobody handled */
    assert_int_equal(errno, EIO);
    assert_int_equal(unlink(in("hello")), -1);
    assert_int_equal(errno, ESTALE);
    assert_int_equal(rmdir(in("many")), -1);
    assert_int_equal(errno, ENOTEMPTY);
}

static void test_link(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(stat(in("hello"), &st), 0);
    assert_int_equal(link(in("hello"), in("other")), 0);
    assert_int_equal(link(in("link"), in("other-link")), -1);
    assert_int_equal(errno, EPERM);
}

static void test_ranges(void **state)
{
    int fd = open(in("hello"), O_RDWR);
    struct vfs seen;

    (void)state;
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 100, 23), 0);
    seen = fake_look(&t.vfs);
    assert_int_equal(seen.falloc_mode, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE);
    assert_int_equal(seen.falloc_off, 100);
    assert_int_equal(seen.falloc_len, 23);
    assert_int_equal(fallocate(fd, FALLOC_FL_COLLAPSE_RANGE, 0, 4096), -1);
    assert_int_equal(errno, EOPNOTSUPP);
    assert_int_equal(lseek(fd, 2, SEEK_DATA), 2);
    assert_int_equal(lseek(fd, 2, SEEK_HOLE), 5);
    assert_int_equal(lseek(fd, 5, SEEK_DATA), -1);
    assert_int_equal(errno, ENXIO);
    assert_int_equal(copy_file_range(fd, &(off_t){1}, fd, &(off_t){3}, 2, 0), 2);
    seen = fake_look(&t.vfs);
    assert_int_equal(seen.copied_from, 1);
    assert_int_equal(seen.copied_to, 3);
    close(fd);
}

static void test_xattr(void **state)
{
    char value[8] = "", names[16];
    struct vfs seen;

    (void)state;
    assert_int_equal(listxattr(in("hello"), names, 0), 0);
    assert_int_equal(setxattr(in("hello"), "user.x", "12", 2, XATTR_CREATE), 0);
    seen = fake_look(&t.vfs);
    assert_string_equal(seen.xattr, "user.x=12");
    assert_int_equal(seen.xattr_flags, XATTR_CREATE);
    assert_int_equal(seen.ctx.uid, getuid());
    assert_int_equal(getxattr(in("hello"), "user.x", NULL, 0), 2);
    assert_int_equal(getxattr(in("hello"), "user.x", value, 1), -1);
    assert_int_equal(errno, ERANGE);
    assert_int_equal(getxattr(in("hello"), "user.x", value, sizeof(value)), 2);
    assert_string_equal(value, "12");
    assert_int_equal(getxattr(in("hello"), "user.y", value, sizeof(value)), -1);
    assert_int_equal(errno, ENODATA);
    assert_int_equal(listxattr(in("hello"), names, sizeof(names)), 7);
    assert_memory_equal(names, "user.x", 7);
    assert_int_equal(removexattr(in("hello"), "user.x"), 0);
    assert_int_equal(removexattr(in("hello"), "user.x"), -1);
    assert_int_equal(errno, ENODATA);
}

static void test_create(void **state)
{
    struct vfs seen;
    mode_t old = umask(027);
    int fd = open(in("new"), O_CREAT | O_EXCL | O_WRONLY | O_APPEND, 0666);

    (void)state;
    umask(old);
    assert_true(fd >= 0);
    seen = fake_look(&t.vfs);
    assert_int_equal(seen.create_mode & 07777, 0666); /* the vfs applies the umask */
    assert_int_equal(seen.ctx.umask, 027);
    assert_int_equal(seen.ctx.uid, getuid());
    assert_int_not_equal(seen.ctx.pid, 0);
    assert_int_equal(seen.create_flags & (O_EXCL | O_ACCMODE | O_APPEND), O_EXCL | O_WRONLY | O_APPEND);
    assert_int_equal(close(fd), 0);
    assert_int_equal(mkdir(in("dir"), 0751), 0);
    assert_int_equal(fake_look(&t.vfs).create_mode & 07777, 0751);
}

static void test_open_flags(void **state)
{
    int fd = open(in("hello"), O_WRONLY | O_TRUNC);
    struct vfs seen = fake_look(&t.vfs);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(seen.open_flags & (O_ACCMODE | O_TRUNC), O_WRONLY | O_TRUNC);
    assert_int_equal(seen.set_mask, 0); /* no truncate of its own before it */
    close(fd);
}

static void test_read_and_write(void **state)
{
    char got[32] = "";
    int fd = open(in("hello"), O_RDWR);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(read(fd, got, sizeof(got)), 5);
    assert_string_equal(got, "first");
    assert_int_equal(pwrite(fd, "FI", 2, 0), 2);
    assert_int_equal(pwrite(fd, "x", 1, 5000), -1);
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(close(fd), 0);
    assert_string_equal(fake_look(&t.vfs).bytes, "FIrst");
}

/* What close(2) and fsync(2) return is what the vfs says. */
static void test_errors_of_close(void **state)
{
    int fd = open(in("hello"), O_RDWR);

    (void)state;
    lock_take(&t.vfs.lock);
    t.vfs.fail_flush = EDQUOT;
    t.vfs.fail_fsync = EIO;
    lock_drop(&t.vfs.lock);
    assert_int_equal(fsync(fd), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(close(fd), -1);
    assert_int_equal(errno, EDQUOT);
    lock_take(&t.vfs.lock); /* RELEASE follows, answered to nobody */
    while (t.vfs.releases < t.vfs.opens)
        cond_wait(&t.vfs.changed, &t.vfs.lock);
    lock_drop(&t.vfs.lock);
}

static void test_attributes(void **state)
{
    struct timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_OMIT}};
    struct timespec given[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 12, .tv_nsec = 34}};
    struct vfs seen;
    int fd;

    (void)state;
    assert_int_equal(chmod(in("hello"), 0640), 0);
    seen = fake_look(&t.vfs);
    assert_int_equal(seen.set_mask, VFS_SET_MODE);
    assert_int_equal(seen.set.st_mode & 07777, 0640);
    assert_int_equal(chown(in("hello"), 12, -1), 0);
    seen = fake_look(&t.vfs);
    assert_int_equal(seen.set_mask & (VFS_SET_UID | VFS_SET_GID), VFS_SET_UID);
    assert_int_equal(seen.set.st_uid, 12);
    assert_int_equal(truncate(in("hello"), 3), 0);
    seen = fake_look(&t.vfs);
    assert_true((seen.set_mask & VFS_SET_SIZE) != 0);
    assert_int_equal(seen.set.st_size, 3);
    assert_int_equal(seen.set_fh, 0);
    fd = open(in("hello"), O_RDWR);
    assert_int_equal(ftruncate(fd, 4), 0);
    assert_int_equal(fake_look(&t.vfs).set_fh, 100 + FAKE_HELLO);
    close(fd);
    assert_int_equal(utimensat(AT_FDCWD, in("hello"), now, 0), 0);
    seen = fake_look(&t.vfs);
    assert_int_equal(seen.set_mask, VFS_SET_ATIME);
    assert_int_equal(seen.set.st_atim.tv_nsec, UTIME_NOW);
    assert_int_equal(utimensat(AT_FDCWD, in("hello"), given, 0), 0);
    seen = fake_look(&t.vfs);
    assert_int_equal(seen.set_mask, VFS_SET_MTIME);
    assert_int_equal(seen.set.st_mtim.tv_sec, 12);
    assert_int_equal(seen.set.st_mtim.tv_nsec, 34);
}

/* Every name once, whatever answers the kernel asks for, and no reference kept of what did not fit. */
static void test_listing(void **state)
{
    static bool seen[FAKE_MANY];
    unsigned n = 0;
    struct dirent *e;
    DIR *d = opendir(in("many"));

    (void)state;
    memset(seen, 0, sizeof(seen));
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        unsigned i;

        assert_int_equal(sscanf(e->d_name, "f%u", &i), 1);
        assert_true(i < FAKE_MANY);
        assert_false(seen[i]);
        assert_int_equal(e->d_type, DT_REG);
        assert_int_equal(e->d_ino, FAKE_FIRST_MANY + i);
        seen[i] = true;
        n++;
    }
    assert_int_equal(n, FAKE_MANY);
    assert_int_equal(fsync(dirfd(d)), 0);
    assert_int_equal(closedir(d), 0);
    assert_int_equal(fake_unwanted(), 0);
}

static void test_links_and_names(void **state)
{
    char target[32] = "";
    struct statvfs st;

    (void)state;
    assert_int_equal(symlink("target", in("l")), 0);
    assert_int_equal(readlink(in("link"), target, sizeof(target) - 1), 6);
    assert_string_equal(target, "target");
    assert_int_equal(rename(in("hello"), in("to")), 0);
    assert_int_equal(renameat2(AT_FDCWD, in("hello"), AT_FDCWD, in("many"), RENAME_EXCHANGE), -1);
    assert_int_equal(errno, EINVAL);
    assert_int_equal(fake_look(&t.vfs).rename_flags, RENAME_EXCHANGE);
    assert_int_equal(statvfs(t.dir, &st), 0);
    assert_int_equal(st.f_blocks, 12345);
    assert_int_equal(st.f_namemax, 255);
}

static void *look_up(void *arg)
{
    struct stat st;

    return (void *)(intptr_t)(stat(in(arg), &st) < 0 ? errno : 0);
}

/* Lookups in one directory run at the same time, also under a libfuse that forgets to ask for it. */
static void test_parallel_lookups(void **state)
{
    char a[] = "pair-a", b[] = "pair-b";
    pthread_t other;
    void *result;

    (void)state;
    assert_int_equal(pthread_create(&other, NULL, look_up, a), 0);
    assert_int_equal((int)(intptr_t)look_up(b), ENOENT);
    assert_int_equal(pthread_join(other, &result), 0);
    assert_true(fake_look(&t.vfs).paired);
}

/* The kernel keeps pages while told so, and drops them when it is told that they are old. */
static void test_invalidation(void **state)
{
    char got[16] = "";
    int fd;

    (void)state;
    lock_take(&t.vfs.lock);
    t.vfs.keep_cache = true;
    lock_drop(&t.vfs.lock);
    fd = open(in("hello"), O_RDONLY);
    assert_int_equal(pread(fd, got, 5, 0), 5);
    fake_set_bytes(&t.vfs, "other");
    assert_int_equal(pread(fd, got, 5, 0), 5);
    assert_string_equal(got, "first");
    front_invalidate(t.front, FAKE_HELLO);
    assert_int_equal(pread(fd, got, 5, 0), 5);
    assert_string_equal(got, "other");
    front_invalidate(t.front, 4711); /* the kernel never heard of it */
    close(fd);
}

/* The size that the kernel believes in goes with the pages. */
static void test_invalidation_grows(void **state)
{
    char got[32] = "";
    int fd;

    (void)state;
    lock_take(&t.vfs.lock);
    t.vfs.keep_cache = true;
    lock_drop(&t.vfs.lock);
    fd = open(in("hello"), O_RDONLY);
    assert_int_equal(pread(fd, got, sizeof(got), 0), 5);
    fake_set_bytes(&t.vfs, "much longer than it was");
    front_invalidate(t.front, FAKE_HELLO);
    assert_int_equal(pread(fd, got, sizeof(got), 0), 23);
    close(fd);
}

static void test_reopen_drops_old_pages(void **state)
{
    char got[16] = "";
    int fd = open(in("hello"), O_RDONLY);

    (void)state;
    assert_int_equal(read(fd, got, 5), 5);
    close(fd);
    fake_set_bytes(&t.vfs, "other");
    fd = open(in("hello"), O_RDONLY);
    assert_int_equal(read(fd, got, 5), 5);
    close(fd);
    assert_string_equal(got, "other");
}

static void test_unmount_in_use(void **state)
{
    int fd = open(in("hello"), O_RDONLY);

    (void)state;
    assert_int_equal(front_unmount(t.front, false), -EBUSY);
    assert_non_null(strstr(err_text(), "in use"));
    close(fd);
    lock_take(&t.vfs.lock); /* the kernel lets go when it has told us */
    while (t.vfs.releases < t.vfs.opens)
        cond_wait(&t.vfs.changed, &t.vfs.lock);
    lock_drop(&t.vfs.lock);
    while (front_unmount(t.front, false) == -EBUSY)
        ;
    assert_int_equal(join_loop(), 0);
}

/* As a signal does it: detached while it is used, then the loop is told to end. What is mounted at the place since
 * then is not ours to take away. */
static void test_lazy_end(void **state)
{
    int fd = open(in("hello"), O_RDONLY);
    void *result;
    char got[8];

    (void)state;
    assert_int_equal(front_unmount(t.front, true), 0);
    assert_int_equal(mount("tmpfs", t.dir, "tmpfs", 0, NULL), 0);
    assert_int_equal(pread(fd, got, 5, 0), 5); /* still served */
    while (pthread_tryjoin_np(t.loop, &result) == EBUSY)
        front_exit(t.front);
    t.looping = false;
    assert_int_equal((int)(intptr_t)result, 0);
    front_free(t.front);
    t.front = NULL;
    assert_int_equal(fsync(fd), -1); /* those who still had it open are told */
    assert_int_equal(errno, ENOTCONN);
    close(fd);
    assert_int_equal(umount2(t.dir, 0), 0); /* the tmpfs is still there */
}

/* front_free() of a front whose loop was told to end unmounts. */
static void test_exit_unmounts(void **state)
{
    void *result;

    (void)state;
    while (pthread_tryjoin_np(t.loop, &result) == EBUSY)
        front_exit(t.front);
    t.looping = false;
}

static void test_mount_fails(void **state)
{
    struct front_conf conf = {.mountpoint = "/tmp/s3efs-no-such-directory", .source = "s"};
    struct front *f = NULL;

    (void)state;
    assert_int_equal(front_new(&conf, &f), 0);
    assert_true(front_start(f, &t.vfs) < 0);
    assert_non_null(strstr(err_text(), "/tmp/s3efs-no-such-directory"));
    front_free(f);
}

static int lock_range(int fd, int cmd, short type, off_t start, off_t len)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

    return fcntl(fd, cmd, &fl);
}

static void fail_lock(int e)
{
    lock_take(&t.vfs.lock);
    t.vfs.fail_lock = e;
    lock_drop(&t.vfs.lock);
}

static void test_locks(void **state)
{
    struct flock fl = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 10};
    struct vfs now;
    int fd = open(in("hello"), O_RDWR);

    (void)state;
    assert_int_equal(lock_range(fd, F_SETLK, F_WRLCK, 5, 10), 0);
    now = fake_look(&t.vfs);
    assert_int_equal(now.lock_seen.kind, LOCK_POSIX);
    assert_int_equal(now.lock_seen.type, LOCK_TYPE_WRITE);
    assert_int_equal(now.lock_seen.range.start, 5);
    assert_int_equal(now.lock_seen.range.end, 14);
    assert_int_equal(now.lock_seen.pid, getpid());
    assert_int_equal(lock_range(fd, F_SETLK, F_UNLCK, 7, 0), 0);
    now = fake_look(&t.vfs);
    assert_int_equal(now.lock_seen.type, LOCK_TYPE_NONE);
    assert_true(now.lock_seen.range.start == 7);
    assert_true(now.lock_seen.range.end == LOCK_END || now.lock_seen.range.end == INT64_MAX);
    lock_take(&t.vfs.lock);
    t.vfs.holder = (struct vfs_lock){.type = LOCK_TYPE_WRITE, .range = {8, LOCK_END}, .pid = getpid()};
    lock_drop(&t.vfs.lock);
    assert_int_equal(fcntl(fd, F_GETLK, &fl), 0);
    assert_int_equal(fl.l_type, F_WRLCK);
    assert_int_equal(fl.l_start, 8);
    assert_int_equal(fl.l_len, 0);
    assert_int_equal(fl.l_pid, getpid());
    fail_lock(EAGAIN);
    assert_int_equal(lock_range(fd, F_SETLK, F_RDLCK, 0, 0), -1);
    assert_int_equal(errno, EAGAIN);
    fail_lock(0);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    now = fake_look(&t.vfs);
    assert_int_equal(now.lock_seen.kind, LOCK_FLOCK);
    assert_int_equal(now.lock_seen.type, LOCK_TYPE_READ);
    close(fd);
    lock_take(&t.vfs.lock); /* RELEASE comes after close() has returned */
    while (t.vfs.flock_closes == 0)
        cond_wait_ms(&t.vfs.changed, &t.vfs.lock, 10);
    assert_int_equal(t.vfs.posix_closes, 1);
    lock_drop(&t.vfs.lock);
}

static void on_signal(int number)
{
    (void)number;
}

static void *wait_for_lock(void *arg)
{
    int r = lock_range(*(int *)arg, F_SETLKW, F_WRLCK, 0, 0);

    return (void *)(intptr_t)(r < 0 ? errno : 0);
}

static struct vfs_lock_wait *parked(void)
{
    struct vfs_lock_wait *w;

    lock_take(&t.vfs.lock);
    while (t.vfs.waiting == NULL)
        cond_wait(&t.vfs.changed, &t.vfs.lock);
    w = t.vfs.waiting;
    t.vfs.waiting = NULL;
    lock_drop(&t.vfs.lock);
    return w;
}

/* More of them than the loop has threads: none is held by a wait. */
static void test_waiting_for_locks(void **state)
{
    const struct sigaction action = {.sa_handler = on_signal};
    enum { WAITERS = 12 };
    pthread_t threads[WAITERS];
    struct vfs_lock_wait *waits[WAITERS];
    int fd = open(in("hello"), O_RDWR);
    void *result;

    (void)state;
    sigaction(SIGUSR2, &action, NULL);
    fail_lock(-1);
    for (unsigned i = 0; i < WAITERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_lock, &fd), 0);
        waits[i] = parked();
    }
    pthread_kill(threads[0], SIGUSR2);
    while (!atomic_load(&waits[0]->is_interrupted))
        usleep(1000);
    waits[0]->done(waits[0], -EINTR);
    pthread_join(threads[0], &result);
    assert_int_equal((intptr_t)result, EINTR);
    for (unsigned i = 1; i < WAITERS; i++) {
        waits[i]->done(waits[i], i == 1 ? -EDEADLK : 0);
        pthread_join(threads[i], &result);
        assert_int_equal((intptr_t)result, i == 1 ? EDEADLK : 0);
    }
    close(fd);
}

/* local_lock=all: the kernel does it, and nothing arrives. */
static void test_local_locks(void **state)
{
    struct front_conf conf = {.mountpoint = t.dir, .source = "s", .threads = 8, .ready = on_ready};
    int fd;

    (void)state;
    assert_int_equal(umount2(t.dir, 0), 0);
    assert_int_equal(join_loop(), 0);
    front_free(t.front);
    assert_int_equal(front_new(&conf, &t.front), 0);
    assert_int_equal(front_start(t.front, &t.vfs), 0);
    t.looping = pthread_create(&t.loop, NULL, loop_main, NULL) == 0;
    fail_lock(EIO);
    fd = open(in("hello"), O_RDWR);
    assert_int_equal(lock_range(fd, F_SETLK, F_WRLCK, 0, 0), 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
    assert_int_equal(fake_look(&t.vfs).posix_closes, 0);
}

static void nothing(int number)
{
    (void)number;
}

/* Another process closes /hello, with an ordinary signal every millisecond. Its flush waits in the vfs, and the kernel
 * knows of a signal: it has sent INTERRUPT, or will before anything else that this process can bring about. */
static pid_t start_close(void)
{
    const struct itimerval every_ms = {{0, 1000}, {0, 1000}};
    char path[64], line[256] = "";
    pid_t pid;

    lock_take(&t.vfs.lock);
    t.vfs.hold_flush = true;
    lock_drop(&t.vfs.lock);
    pid = fork();
    if (pid == 0) {
        int fd = open(in("hello"), O_WRONLY);

        signal(SIGALRM, nothing);
        _exit(fd < 0 || setitimer(ITIMER_REAL, &every_ms, NULL) != 0 || close(fd) != 0);
    }
    lock_take(&t.vfs.lock);
    while (t.vfs.held == 0)
        cond_wait(&t.vfs.changed, &t.vfs.lock);
    lock_drop(&t.vfs.lock);
    snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
    while (strncmp(line, "ShdPnd:", 7) != 0 || strtoull(line + 7, NULL, 16) == 0) {
        FILE *f = fopen(path, "re");

        assert_non_null(f);
        while (fgets(line, sizeof(line), f) != NULL && strncmp(line, "ShdPnd:", 7) != 0)
            continue;
        fclose(f);
    }
    return pid;
}

static void let_flushes_go(void)
{
    lock_take(&t.vfs.lock);
    t.vfs.hold_flush = false;
    cond_broadcast(&t.vfs.changed);
    lock_drop(&t.vfs.lock);
}

static void test_signals_fail_no_close(void **state)
{
    pid_t pid = start_close();
    int status;

    (void)state;
    let_flushes_go();
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* Who is killed can die though its flush is not done; the flush goes on, and the handle stays until it is. */
static void test_killed_in_close(void **state)
{
    pid_t pid = start_close(), dead = 0;
    int status;

    (void)state;
    kill(pid, SIGKILL);
    for (int i = 0; i < 6000 && dead == 0; i++) {
        dead = waitpid(pid, &status, WNOHANG);
        if (dead == 0)
            nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    lock_take(&t.vfs.lock);
    bool was_held = t.vfs.hold_flush && t.vfs.releases == 0;
    lock_drop(&t.vfs.lock);
    let_flushes_go();
    assert_int_equal(dead, pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && was_held);
    lock_take(&t.vfs.lock);
    while (t.vfs.releases < t.vfs.opens)
        cond_wait(&t.vfs.changed, &t.vfs.lock);
    lock_drop(&t.vfs.lock);
}

/* Of calls that are answered already, and no request comes after them. That libfuse keeps none of them is for ASan to say. */
static void test_late_interrupts(void **state)
{
    struct {
        struct fuse_in_header head;
        struct fuse_interrupt_in arg;
    } interrupt = {.head = {.len = sizeof(interrupt), .opcode = FUSE_INTERRUPT}};
    const struct fuse_buf buf = {.size = sizeof(interrupt), .mem = &interrupt};
    struct stat st;

    (void)state;
    assert_int_equal(stat(t.dir, &st), 0); /* INIT is over */
    for (unsigned i = 0; i < t.front->threads; i++) {
        interrupt.arg.unique = (1ULL << 62) + 2ULL * i; /* as the kernel counts: */
        interrupt.head.unique = interrupt.arg.unique | 1;
        fuse_session_process_buf(t.front->session, &buf);
    }
}

#define FORGET_MS 60000
/* More than the kernel is told of at once. It drops the names, but never what is in use. */
static void test_names_are_forgotten(void **state)
{
    const unsigned n = 600;
    struct stat st;
    char name[32];
    int r = 0, fd = open(in("many/f7"), O_RDONLY);

    (void)state;
    assert_true(fd >= 0);
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "many/f%u", i);
        assert_int_equal(stat(in(name), &st), 0);
    }
    lock_take(&t.vfs.lock);
    t.vfs.idle_end = n;
    lock_drop(&t.vfs.lock);
    front_prune(t.front);
    lock_take(&t.vfs.lock);
    while (t.vfs.many_forgotten < n - 1 && r == 0)
        r = cond_wait_ms(&t.vfs.changed, &t.vfs.lock, FORGET_MS);
    assert_int_equal(t.vfs.many_forgotten, n - 1);
    lock_drop(&t.vfs.lock);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_ino, FAKE_FIRST_MANY + 7);
    close(fd);
    assert_int_equal(stat(in("many/f3"), &st), 0); /* and come back when they are asked for */
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_mount_table), TEST(test_errors), TEST(test_link), TEST(test_ranges), TEST(test_xattr), TEST(test_create),
        TEST(test_open_flags), TEST(test_read_and_write), TEST(test_errors_of_close), TEST(test_attributes),
        TEST(test_listing), TEST(test_links_and_names), TEST(test_parallel_lookups), TEST(test_invalidation),
        TEST(test_invalidation_grows), TEST(test_reopen_drops_old_pages), TEST(test_unmount_in_use),
        TEST(test_lazy_end), TEST(test_exit_unmounts), TEST(test_mount_fails),
        TEST(test_locks), TEST(test_waiting_for_locks), TEST(test_local_locks),
        TEST(test_signals_fail_no_close), TEST(test_killed_in_close), TEST(test_late_interrupts),
        TEST(test_names_are_forgotten),
        cmocka_unit_test_setup_teardown(test_names_are_forgotten, set_up_older, tear_down),
    };

    if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0) {
        printf("SKIP: needs root and /dev/fuse\n");
        return 77;
    }
    log_open(LOG_TO_STDERR, LOG_LV_INFO);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
