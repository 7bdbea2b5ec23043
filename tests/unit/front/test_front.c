/* SPDX-License-Identifier: Apache-2.0 */
/* front/ between a real kernel and a fake vfs: what arrives there, and what comes back. */
#include "frontmount.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

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

/* Where that can be asked for. */
static void test_readahead(void **state)
{
    char path[80], kib[16] = "";
    struct stat st;
    FILE *f;

    (void)state;
    assert_int_equal(stat(in("hello"), &st), 0); /* INIT was answered, and its answer was taken */
    snprintf(path, sizeof(path), "/sys/class/bdi/%u:%u/read_ahead_kb", major(st.st_dev), minor(st.st_dev));
    f = fopen(path, "r+");
    if (f == NULL) {
        print_message("not looked at: %s can't be written here\n", path);
        return;
    }
    assert_non_null(fgets(kib, sizeof(kib), f));
    fclose(f);
    assert_true(strtoul(kib, NULL, 10) >= 256); /* more where the machine's default is */
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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_mount_table), TEST(test_readahead), TEST(test_errors), TEST(test_link), TEST(test_ranges), TEST(test_xattr),
        TEST(test_create),
        TEST(test_open_flags), TEST(test_read_and_write), TEST(test_errors_of_close), TEST(test_attributes),
        TEST(test_listing), TEST(test_links_and_names), TEST(test_parallel_lookups),
    };

    return run(tests, ARRAY_LEN(tests));
}
