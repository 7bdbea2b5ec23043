/* SPDX-License-Identifier: Apache-2.0 */
/* How a start ends that fails while a living mount is taken over. The end in order (compose_close)
 * gives up what is dirty: it goes to lost+found, and no next daemon finds it. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/err.h"
#include "fs/holder.h"
#include "fs/privileges.h"
#include "fs/running.h"
#include "fs/status.h"

#define IN_ORDER 64 /* added to the exit code */

static int fails_with, in_order;

/* --- in place of the program's --- */

int compose_open(struct compose *m, const struct config *c, void (*ready)(void *arg),
                 void *ready_arg)
{
    (void)m;
    (void)c;
    (void)ready;
    (void)ready_arg;
    return err_set(fails_with, "it can't start");
}

void compose_close(struct compose *m)
{
    (void)m;
    in_order = IN_ORDER;
}

/* HUP comes to the signals' thread. */
void daemon_block_signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGHUP);
    pthread_sigmask(SIG_BLOCK, ret, NULL);
}

void *run_signal_main(void *arg)
{
    struct run *run = arg;
    int number;

    sigwait(&run->signals, &number);
    return NULL;
}

void control_free(struct control *c)
{
    (void)c;
}

void daemon_limits(uint64_t mem_limit)
{
    (void)mem_limit;
}

void daemon_failed(struct daemon *d, int code, const char *text)
{
    (void)d;
    (void)code;
    (void)text;
}

uint64_t privileges_effective(void)
{
    return 0;
}

void privileges_missing(uint64_t effective, int given_fd, char *out, size_t size)
{
    (void)effective;
    (void)given_fd;
    (void)size;
    out[0] = '\0';
}

/* --- not come to --- */

bool daemon_ready(struct daemon *d)
{
    (void)d;
    return false;
}

int run_open_control(struct run *run)
{
    (void)run;
    return -EIO;
}

int control_start(struct control *c)
{
    (void)c;
    return -EIO;
}

int front_tellers_new(struct tellers **ret)
{
    *ret = NULL;
    return 0;
}

int front_start(struct front *f, struct vfs *v)
{
    (void)f;
    (void)v;
    return -EIO;
}

int front_run(struct front *f)
{
    (void)f;
    return -EIO;
}

int front_fd(struct front *f)
{
    (void)f;
    return -1;
}

int front_requests_fd(const struct front *f)
{
    (void)f;
    return 0;
}

bool front_can_resend(const struct front *f)
{
    (void)f;
    return false;
}

int cache_lock_fd(const struct cache *c)
{
    (void)c;
    return 0;
}

void table_on_lost(struct table *t, void (*fn)(void *arg), void *arg)
{
    (void)t;
    (void)fn;
    (void)arg;
}

void hold_mounted(const struct hold *h, int fuse_fd, int lock_fd, int requests_fd)
{
    (void)h;
    (void)fuse_fd;
    (void)lock_fd;
    (void)requests_fd;
}

void hold_ready(const struct hold *h, bool can_follow)
{
    (void)h;
    (void)can_follow;
}

void hold_lost(const struct hold *h)
{
    (void)h;
}

int run_drain(struct run *run)
{
    (void)run;
    return 0;
}

void run_report_unsent(struct run *run)
{
    (void)run;
}

void status_unsent(struct compose *m, char *out, size_t size)
{
    (void)m;
    (void)size;
    out[0] = '\0';
}

int vfs_unsent_get(struct vfs *v, size_t names_max, struct vfs_unsent *ret)
{
    (void)v;
    (void)names_max;
    (void)ret;
    return -EIO;
}

void vfs_unsent_done(struct vfs_unsent *u)
{
    (void)u;
}

/* --- the tests --- */

/* Its exit code, with IN_ORDER if it closed everything. fuse_fd: -1: it mounts anew. */
static int start(int r, int fuse_fd, bool is_trial)
{
    static char path[] = "/nowhere";
    const struct config config = {
        .source = path, .cache_dir = path, .mountpoint = path, .takeover = true};
    const struct hold hold = {.sock = -1, .fuse_fd = fuse_fd, .is_trial = is_trial};
    struct daemon d = {.status_fd = -1, .hold = &hold};
    int status = 0;
    pid_t pid;

    fails_with = r;
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(run_mount(&config, &d) + in_order);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void what_the_next_may_do_better_is_left_to_it(void **state)
{
    (void)state;
    assert_int_equal(start(-EIO, 0, false), EXIT_MOUNT);
    assert_int_equal(start(-EIO, 0, true), EXIT_MOUNT);
}

/* It is the best that can be done. */
static void what_nobody_can_read_is_given_up(void **state)
{
    (void)state;
    assert_int_equal(start(-EBADMSG, 0, false), EXIT_NO_TAKEOVER + IN_ORDER);
}

/* The program before it gets it, as it is. */
static void what_a_new_program_cannot_read_is_left_to_the_old_one(void **state)
{
    (void)state;
    assert_int_equal(start(-EBADMSG, 0, true), EXIT_NO_TAKEOVER);
}

static void a_first_mount_that_fails_ends_in_order(void **state)
{
    (void)state;
    assert_int_equal(start(-EBADMSG, -1, false), EXIT_MOUNT + IN_ORDER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_next_may_do_better_is_left_to_it),
        cmocka_unit_test(what_nobody_can_read_is_given_up),
        cmocka_unit_test(what_a_new_program_cannot_read_is_left_to_the_old_one),
        cmocka_unit_test(a_first_mount_that_fails_ends_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
