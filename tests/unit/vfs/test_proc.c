/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc tells of a process that closes a file, on files of this machine. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/vfs/internal.h"

static void descriptors(void **state)
{
    char path[] = "/tmp/s3efs-proc-XXXXXX";
    int fd = mkstemp(path), other;
    pid_t me = getpid();
    struct stat st;

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(proc_has_fd(me, st.st_dev, st.st_ino), 1);
    assert_true(proc_has_fd(me, 0, st.st_ino) < 0); /* the device is not known */
    /* The same number on another file system: another mount of the bucket has it for the same file,
     * and a close here must not wait for a close there. */
    assert_int_equal(proc_has_fd(me, st.st_dev + 1, st.st_ino), 0);
    other = open(path, O_RDONLY);
    close(fd);
    assert_int_equal(proc_has_fd(me, st.st_dev, st.st_ino), 1);
    unlink(path);
    assert_int_equal(proc_has_fd(me, st.st_dev, st.st_ino), 1);
    close(other);
    assert_int_equal(proc_has_fd(me, st.st_dev, st.st_ino), 0);
}

/* Of a descriptor the kernel may tell much (an epoll instance: all that it waits for); the number is in the first lines. */
static void a_descriptor_with_much_to_tell(void **state)
{
    char path[] = "/tmp/s3efs-proc-XXXXXX";
    int epoll = epoll_create1(EPOLL_CLOEXEC), pipes[64][2], fd;
    struct stat st;

    (void)state;
    assert_true(epoll >= 0);
    for (size_t k = 0; k < 64; k++) {
        struct epoll_event ev = {.events = EPOLLIN};

        assert_int_equal(pipe(pipes[k]), 0);
        assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, pipes[k][0], &ev), 0);
    }
    fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(proc_has_fd(getpid(), st.st_dev, st.st_ino), 1);
    close(fd);
    assert_int_equal(proc_has_fd(getpid(), st.st_dev, st.st_ino), 0);
    unlink(path);
    for (size_t k = 0; k < 64; k++) {
        close(pipes[k][0]);
        close(pipes[k][1]);
    }
    close(epoll);
}

static void threads(void **state)
{
    (void)state;
    assert_int_equal(proc_tgid(getpid()), getpid());
    assert_int_equal(proc_tgid(0), 0);
    assert_true(proc_has_fd(0x7fffffff, 0, 1) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(descriptors),
        cmocka_unit_test(a_descriptor_with_much_to_tell),
        cmocka_unit_test(threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
