/* SPDX-License-Identifier: Apache-2.0 */
/* limit PROGRAM [ARGUMENT...]: what "make check" runs each test with. A program that has not ended
 * after S3EFS_TEST_LIMIT seconds (600) hangs: its stacks are shown (tests/lib/stacks), it is ended
 * with all that it has started, and the test fails, so that one that hangs costs its own time and
 * not all others'. Else the program's own exit status is passed on. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define USUAL_SECONDS 1200
#else
#define USUAL_SECONDS 600
#endif
#define STACKS_SECONDS 300
#define END_SECONDS 10

static long long now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec;
}

/* In a process group of its own, so that it can be ended with its children. */
static pid_t start(char *const *argv, const sigset_t *usual)
{
    pid_t pid = fork();

    if (pid != 0) {
        if (pid > 0)
            setpgid(pid, pid);
        return pid;
    }
    setpgid(0, 0);
    sigprocmask(SIG_SETMASK, usual, NULL);
    execvp(argv[0], argv);
    fprintf(stderr, "limit: can't run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

/* Until the process ends: 1, and its status; 0 when the seconds are over. Ctrl-C and the like are
 * handed on. */
static int wait_end(pid_t pid, long long seconds, const sigset_t *waited, int *status)
{
    long long end = now_s() + seconds;

    for (;;) {
        struct timespec left = {.tv_sec = end - now_s()};
        int sig;

        if (waitpid(pid, status, WNOHANG) == pid)
            return 1;
        if (left.tv_sec <= 0)
            return 0;
        sig = sigtimedwait(waited, NULL, &left);
        if (sig > 0 && sig != SIGCHLD)
            kill(-pid, sig);
    }
}

static void show_stacks(pid_t pid, const sigset_t *waited, const sigset_t *usual)
{
    const char *top = getenv("top_srcdir");
    char script[8192], number[24];
    char shell[] = "sh", *argv[] = {shell, script, number, NULL};
    int status;
    pid_t shown;

    snprintf(script, sizeof(script), "%s/tests/lib/stacks", top ? top : ".");
    snprintf(number, sizeof(number), "%ld", (long)pid);
    shown = start(argv, usual);
    if (shown > 0 && !wait_end(shown, STACKS_SECONDS, waited, &status)) {
        kill(-shown, SIGKILL);
        waitpid(shown, &status, 0);
    }
}

static void end_all(pid_t pid, const sigset_t *waited)
{
    int status;

    kill(-pid, SIGTERM);
    kill(-pid, SIGCONT);
    (void)wait_end(pid, END_SECONDS, waited, &status);
    kill(-pid, SIGKILL);
}

/* As a shell says it. */
static int exit_code(int status)
{
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
    const char *asked = getenv("S3EFS_TEST_LIMIT");
    long seconds = asked && atol(asked) > 0 ? atol(asked) : USUAL_SECONDS;
    sigset_t waited, usual;
    int status;
    pid_t pid;

    if (argc < 2) {
        fprintf(stderr, "usage: limit PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    sigemptyset(&waited);
    sigaddset(&waited, SIGCHLD);
    sigaddset(&waited, SIGINT);
    sigaddset(&waited, SIGTERM);
    sigaddset(&waited, SIGHUP);
    sigprocmask(SIG_BLOCK, &waited, &usual);
    pid = start(argv + 1, &usual);
    if (pid < 0) {
        fprintf(stderr, "limit: fork: %s\n", strerror(errno));
        return 99;
    }
    if (wait_end(pid, seconds, &waited, &status))
        return exit_code(status);
    printf("\n%s: no end after %ld s: it hangs (S3EFS_TEST_LIMIT); where:\n", argv[1], seconds);
    fflush(stdout);
    show_stacks(pid, &waited, &usual);
    end_all(pid, &waited);
    printf("%s: HUNG, ended after %ld s\n", argv[1], seconds);
    return 1;
}
