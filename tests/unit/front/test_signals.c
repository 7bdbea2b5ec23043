/* SPDX-License-Identifier: Apache-2.0 */
/* Signals and interrupts during a call. */
#include "frontmount.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_signals_fail_no_close), TEST(test_killed_in_close), TEST(test_late_interrupts),
    };

    return run(tests, ARRAY_LEN(tests));
}
