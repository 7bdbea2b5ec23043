/* SPDX-License-Identifier: Apache-2.0 */
/* A child that may crash. See apart.h. */
#include "apart.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

/* All but the pipe and what is printed to: the directory's flock and the mount's descriptor would
 * outlive the parent in here. */
static void close_others(int fd)
{
    if (fd > STDERR_FILENO + 1)
        (void)close_range(STDERR_FILENO + 1, (unsigned)fd - 1, 0);
    (void)close_range((unsigned)fd + 1, ~0u, 0);
}

static _Noreturn void run_and_exit(unsigned seconds, void (*fn)(void *arg, int fd), void *arg,
                                   int fd)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGALRM};
    struct rlimit none = {0};
    sigset_t all;

    close_others(fd);
    setrlimit(RLIMIT_CORE, &none);
    for (size_t i = 0; i < ARRAY_LEN(crashes); i++)
        signal(crashes[i], SIG_DFL);
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    alarm(seconds);
    fn(arg, fd);
    _exit(0);
}

int apart_start(struct apart *a, unsigned seconds, void (*fn)(void *arg, int fd), void *arg)
{
    pid_t parent = getpid();
    int fds[2], r;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    a->pid = fork();
    if (a->pid == 0) {
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
            _exit(1);
        run_and_exit(seconds, fn, arg, fds[1]);
    }
    r = a->pid < 0 ? -errno : 0;
    close(fds[1]);
    if (r < 0)
        close(fds[0]);
    else
        a->fd = fds[0];
    return r;
}

int apart_read(struct apart *a, void *buf, size_t len)
{
    for (size_t n = 0; n < len;) {
        ssize_t r = read(a->fd, (char *)buf + n, len - n);

        if (r < 0 && errno == EINTR)
            continue;
        if (r <= 0)
            return r < 0 ? -errno : -EPIPE;
        n += (size_t)r;
    }
    return 0;
}

int apart_end(struct apart *a)
{
    int status;
    pid_t r;

    close(a->fd);
    do {
        r = waitpid(a->pid, &status, 0);
    } while (r < 0 && errno == EINTR);
    if (r < 0)
        return -errno;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}
