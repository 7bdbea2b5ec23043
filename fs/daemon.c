/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include "base/err.h"
#include "base/sys.h"
#include "memplan.h"

/* A message: one byte, the exit code, then the cause. None at all: the child died. */
static int parent_wait(int fd, pid_t child)
{
    char message[1024];
    size_t len = 0;
    int status;

    while (len < sizeof(message) - 1) {
        ssize_t n = read(fd, message + len, sizeof(message) - 1 - len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            break;
        len += (size_t)n;
    }
    message[len] = '\0';
    if (len > 0 && message[0] == 0)
        return 0;
    if (len > 0) {
        fprintf(stderr, "s3efs: %s\n", message + 1);
        return (unsigned char)message[0];
    }
    if (waitpid(child, &status, 0) == child && WIFSIGNALED(status))
        fprintf(stderr, "s3efs: the daemon was killed by signal %d before the mount was ready\n",
                WTERMSIG(status));
    else
        fprintf(stderr, "s3efs: the daemon ended before the mount was ready\n");
    return EXIT_MOUNT;
}

static void point_to_null(int fd)
{
    _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null >= 0)
        dup2(null, fd);
}

static int child_start(void)
{
    if (setsid() < 0)
        return err_set(-errno, "setsid: %s", strerror(errno));
    if (chdir("/") < 0)
        return err_set(-errno, "chdir /: %s", strerror(errno));
    point_to_null(STDIN_FILENO);
    point_to_null(STDOUT_FILENO);
    return 0;
}

int daemon_fork(struct daemon *d, bool foreground, bool keep_stderr, int *ret_code)
{
    int ends[2];
    pid_t pid;

    *d = (struct daemon){.status_fd = -1, .keep_stderr = keep_stderr};
    if (foreground)
        return 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set(-errno, "pipe: %s", strerror(errno));
    pid = fork();
    if (pid < 0)
        return err_set(-errno, "fork: %s", strerror(errno));
    if (pid == 0) {
        close(ends[0]);
        d->status_fd = ends[1];
        d->is_background = true;
        return child_start();
    }
    close(ends[1]);
    *ret_code = parent_wait(ends[0], pid);
    close(ends[0]);
    return 1;
}

static bool tell(struct daemon *d, const char *message, size_t len)
{
    int r = sys_write_all(d->status_fd, message, len);

    close(d->status_fd);
    d->status_fd = -1;
    return r == 0;
}

bool daemon_ready(struct daemon *d)
{
    if (d->status_fd < 0)
        return true;
    if (!d->keep_stderr)
        point_to_null(STDERR_FILENO);
    return tell(d, "", 1);
}

void daemon_failed(struct daemon *d, int code, const char *text)
{
    char message[1000];
    int n;

    if (d->status_fd < 0) {
        fprintf(stderr, "s3efs: %s\n", text);
        return;
    }
    n = snprintf(message, sizeof(message), "%c%s", code, text);
    tell(d, message, n < (int)sizeof(message) ? (size_t)n : sizeof(message) - 1);
}

void daemon_leave_pipe(struct daemon *d)
{
    if (d->status_fd >= 0)
        close(d->status_fd);
    d->status_fd = -1;
}

void daemon_leave_terminal(const struct daemon *d)
{
    if (d->is_background && !d->keep_stderr)
        point_to_null(STDERR_FILENO);
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

static void heap_limits(uint64_t mem_limit)
{
    struct memplan_heap h = memplan_heap(mem_limit);

    mallopt(M_MMAP_THRESHOLD, (int)h.map_from);
    mallopt(M_TRIM_THRESHOLD, 1 << 20);
    mallopt(M_ARENA_MAX, (int)h.heaps);
}

void daemon_limits(uint64_t mem_limit)
{
    struct rlimit files, none = {0, 0};

    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    setrlimit(RLIMIT_CORE, &none);
    heap_limits(mem_limit);
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* a few huge pages in heaps and stacks are more than what they hold */
#ifndef SANITIZED /* their leak check attaches to the process */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
#endif
    signal(SIGPIPE, SIG_IGN);
    /* libfuse reads this when it starts its threads; each call may need one (see `threads`). */
    setenv("FUSE_THREAD_STACK", "1048576", 0);
}

void daemon_block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
}
