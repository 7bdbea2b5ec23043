/* SPDX-License-Identifier: Apache-2.0 */
/* A process of its own (fs/cache/apart.h): it keeps nothing of its parent's, and ends with it. */
#include "cachetest.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../../../fs/cache/apart.h"

static void say_pid_and_wait(void *arg, int fd)
{
    pid_t pid = getpid();

    (void)arg;
    if (write(fd, &pid, sizeof(pid)) != (ssize_t)sizeof(pid))
        return;
    for (;;)
        pause();
}

/* Or a daemon that was killed while it started would keep the next one out of its directory. */
static void test_does_not_keep_a_lock(void **state)
{
    char dir[PATH_MAX], path[PATH_MAX + 8];
    struct apart a;
    int before, after;
    pid_t pid;

    (void)state;
    scratch_make(dir);
    snprintf(path, sizeof(path), "%s/lock", dir);
    before = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(before >= 0);
    assert_int_equal(flock(before, LOCK_EX | LOCK_NB), 0);
    assert_int_equal(apart_start(&a, 0, say_pid_and_wait, NULL), 0);
    assert_int_equal(apart_read(&a, &pid, sizeof(pid)), 0);
    assert_int_equal(pid, a.pid);
    close(before);
    after = open(path, O_RDWR | O_CLOEXEC);
    assert_true(after >= 0);
    assert_int_equal(flock(after, LOCK_EX | LOCK_NB), 0);
    close(after);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(apart_end(&a), SIGKILL);
    scratch_remove(dir);
}

static _Noreturn void start_and_be_killed(int fd)
{
    struct apart a;
    pid_t pid;

    if (apart_start(&a, 0, say_pid_and_wait, NULL) == 0 && apart_read(&a, &pid, sizeof(pid)) == 0 &&
        write(fd, &pid, sizeof(pid)) == (ssize_t)sizeof(pid))
        kill(getpid(), SIGKILL);
    _exit(1);
}

static bool ends_within(pid_t pid, unsigned seconds, int *ret_status)
{
    for (unsigned n = 0; n < seconds * 100; n++) {
        if (waitpid(pid, ret_status, WNOHANG) == pid)
            return true;
        usleep(10000);
    }
    kill(pid, SIGKILL);
    return false;
}

static void test_ends_with_its_parent(void **state)
{
    int fds[2], status;
    pid_t middle, pid;

    (void)state;
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    assert_int_equal(pipe(fds), 0);
    middle = fork();
    assert_true(middle >= 0);
    if (middle == 0)
        start_and_be_killed(fds[1]);
    close(fds[1]);
    assert_int_equal(read(fds[0], &pid, sizeof(pid)), sizeof(pid));
    close(fds[0]);
    assert_int_equal(waitpid(middle, &status, 0), middle);
    assert_true(ends_within(pid, 60, &status));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_does_not_keep_a_lock),
        cmocka_unit_test(test_ends_with_its_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
