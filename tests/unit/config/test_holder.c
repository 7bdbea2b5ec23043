/* SPDX-License-Identifier: Apache-2.0 */
/* The holder of a mount (option takeover) and its daemons, which are scripts here: what ends the mount, and what does not. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fs/deaths.h"
#include "fs/holder.h"
#include "fs/programs.h"
#include "fs/run.h"

#define DAEMONS 16

/* Between the test, the holder and its daemons. */
struct shared {
    unsigned forks, daemons, unmounts, drains;
    unsigned fork_fails;                                       /* this one, from 1 */
    int (*script[DAEMONS])(const struct hold *h, struct shared *s); /* of each daemon: its exit code */
    ino_t program[DAEMONS]; /* that each daemon is; 0: the holder's */
    char token[DAEMONS][HOLD_TOKEN_MAX];
    bool is_trial[DAEMONS];
    unsigned poll_fails; /* so often */
    int64_t ahead_ns;    /* the holder's clock is */
    bool ignores_children, all_forks_fail; /* from that one on */
    int device; /* what stands for /dev/fuse */
    bool adopts; /* the holder is given what daemons leave behind, as the first process of a container is */
    pid_t orphan;
};
static struct shared *shared;

/* --- in place of the program's --- */

pid_t __real_fork(void);
pid_t __wrap_fork(void);
int __wrap_umount2(const char *path, int flags);
int __real_poll(struct pollfd *fds, nfds_t n, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout);
int64_t __real_clock_boot_ns(void);
int64_t __wrap_clock_boot_ns(void);
int64_t __wrap_deaths_pause_ms(const struct deaths *d);

pid_t __wrap_fork(void)
{
    if (++shared->forks == shared->fork_fails || (shared->all_forks_fail && shared->forks > shared->fork_fails)) {
        errno = EAGAIN;
        return -1;
    }
    return __real_fork();
}

int __wrap_umount2(const char *path, int flags)
{
    (void)path;
    if ((flags & MNT_FORCE) != 0) /* else a teller may keep it (test_teller) */
        shared->unmounts++;
    return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t n, int timeout)
{
    if (n == 2 && shared->poll_fails > 0) {
        shared->poll_fails--;
        errno = ENOMEM;
        return -1;
    }
    return __real_poll(fds, n, timeout);
}

int64_t __wrap_clock_boot_ns(void)
{
    return __real_clock_boot_ns() + shared->ahead_ns;
}

/* How long it is: test_deaths. */
int64_t __wrap_deaths_pause_ms(const struct deaths *d)
{
    return d->failures == 0 ? 0 : 1;
}

int run_mount(const struct config *c, struct daemon *d)
{
    (void)c;
    memcpy(shared->token[shared->daemons], d->hold->token, HOLD_TOKEN_MAX);
    shared->is_trial[shared->daemons] = d->hold->is_trial;
    return shared->script[shared->daemons++](d->hold, shared);
}

void daemon_failed(struct daemon *d, int code, const char *text)
{
    (void)d;
    (void)code;
    (void)text;
}

void daemon_leave_pipe(struct daemon *d)
{
    (void)d;
}

void daemon_leave_terminal(const struct daemon *d)
{
    (void)d;
}

void daemon_limits(uint64_t mem_limit)
{
    (void)mem_limit;
}

void hold_pin(const char *mountpoint)
{
    (void)mountpoint;
}

int hold_exec(const struct hold *h, int fd, const char *program, const char *mountpoint)
{
    struct stat st;

    (void)program;
    (void)mountpoint;
    if (fstat(fd, &st) == 0)
        shared->program[shared->daemons] = st.st_ino;
    _exit(run_mount(NULL, &(struct daemon){.hold = h}));
}

/* --- daemons --- */

static int die(void)
{
    kill(getpid(), SIGKILL);
    return 1;
}

static int mounts_and_dies(const struct hold *h, struct shared *s)
{
    hold_mounted(h, s->device, s->device, 0);
    hold_ready(h, true);
    return die();
}

/* As a teller, which ends after its daemon. */
static int mounts_and_leaves_a_child(const struct hold *h, struct shared *s)
{
    pid_t daemon = getpid(), child;

    hold_mounted(h, s->device, s->device, 0);
    hold_ready(h, true);
    child = __real_fork();
    if (child == 0) {
        while (getppid() == daemon)
            usleep(1000);
        _exit(0);
    }
    s->orphan = child;
    return die();
}

static int sees_it_reaped(const struct hold *h, struct shared *s)
{
    pid_t holder = getppid();

    hold_ready(h, h->fuse_fd >= 0);
    while (kill(s->orphan, 0) == 0 && getppid() == holder)
        usleep(1000);
    return errno == ESRCH ? 0 : EXIT_SYSTEM;
}

static int serves_and_dies(const struct hold *h, struct shared *s)
{
    (void)s;
    hold_ready(h, h->fuse_fd >= 0);
    return die();
}

static int ends_in_order(const struct hold *h, struct shared *s)
{
    (void)s;
    hold_ready(h, h->fuse_fd >= 0);
    return 0;
}

static int cannot_write_its_table(const struct hold *h, struct shared *s)
{
    hold_mounted(h, s->device, s->device, 0);
    hold_ready(h, true);
    hold_lost(h);
    return die();
}

/* Until the holder passes it on: then it knows, too. */
static void is_told_to_end(void)
{
    sigset_t set;
    int number;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    kill(getppid(), SIGTERM);
    sigwait(&set, &number);
}

/* Its start fails, and when the holder knows that, it is told to end. */
static int fails_before_the_end(const struct hold *h, struct shared *s)
{
    pid_t daemon = getpid(), holder = getppid();

    (void)h;
    (void)s;
    if (__real_fork() == 0) {
        while (kill(daemon, 0) == 0)
            usleep(1000);
        kill(holder, SIGTERM);
        _exit(0);
    }
    return EXIT_MOUNT;
}

static int waits_for_the_end(const struct hold *h, struct shared *s)
{
    sigset_t set;
    int number;

    hold_ready(h, h->fuse_fd >= 0);
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    if (sigwait(&set, &number) == 0)
        s->drains++;
    return 0;
}

/* It dies in the drain. */
static int mounts_and_dies_at_its_end(const struct hold *h, struct shared *s)
{
    hold_mounted(h, s->device, s->device, 0);
    hold_ready(h, true);
    is_told_to_end();
    return die();
}

static int dies_at_once(const struct hold *h, struct shared *s)
{
    (void)h;
    (void)s;
    return die();
}

static int cannot_take_over(const struct hold *h, struct shared *s)
{
    (void)h;
    (void)s;
    return EXIT_NO_TAKEOVER;
}

static int says_what_is_not_known(const struct hold *h, struct shared *s)
{
    hold_mounted(h, s->device, s->device, 0);
    hold_ready(h, true);
    (void)!send(h->sock, "Z", 1, 0);
    return die();
}

static char program[64]; /* the new one's path */

static int mounts_and_hands_over(const struct hold *h, struct shared *s)
{
    hold_mounted(h, s->device, s->device, 0);
    hold_ready(h, true);
    return hold_next(h, program, "token") == 0 ? EXIT_HANDOVER : EXIT_SYSTEM;
}

static int hands_over_while_told_to_end(const struct hold *h, struct shared *s)
{
    hold_mounted(h, s->device, s->device, 0);
    hold_ready(h, true);
    is_told_to_end();
    return hold_next(h, program, "token") == 0 ? EXIT_HANDOVER : EXIT_SYSTEM;
}

static int hands_over_again(const struct hold *h, struct shared *s)
{
    (void)s;
    hold_ready(h, true);
    return hold_next(h, program, "second") == 0 ? EXIT_HANDOVER : EXIT_SYSTEM;
}

static int removes_it_and_hands_over(const struct hold *h, struct shared *s)
{
    unlink(program);
    return hands_over_again(h, s);
}

static int hands_over_before_it_serves(const struct hold *h, struct shared *s)
{
    (void)s;
    return hold_next(h, program, "second") == 0 ? EXIT_HANDOVER : EXIT_SYSTEM;
}

/* The holder's time passes. */
static int hangs(const struct hold *h, struct shared *s)
{
    (void)h;
    s->ahead_ns = TRIAL_NS;
    pause();
    return EXIT_SYSTEM;
}

/* A package's update: another file is at its path. */
static int serves_and_dies_while_replaced(const struct hold *h, struct shared *s)
{
    unlink(program);
    close(open(program, O_WRONLY | O_CREAT | O_EXCL, 0700));
    return serves_and_dies(h, s);
}

static int cannot_start(const struct hold *h, struct shared *s)
{
    (void)h;
    (void)s;
    return EXIT_MOUNT;
}

static int run_holder(void)
{
    char path[] = "/nowhere";
    const struct config config = {.mountpoint = path};
    int status = 0, ends[2];
    pid_t pid;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    shared->device = ends[1];
    pid = __real_fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        alarm(300); /* a holder that waits for ever fails the test */
        if (shared->adopts)
            prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        if (shared->ignores_children)
            signal(SIGCHLD, SIG_IGN);
        _exit(holder_run(&config, &(struct daemon){.status_fd = -1}));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(ends[0]);
    close(ends[1]);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int set_up(void **state)
{
    (void)state;
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared != MAP_FAILED ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    return munmap(shared, sizeof(*shared));
}

static void a_daemon_that_dies_is_replaced(void **state)
{
    (void)state;
    shared->script[0] = mounts_and_dies;
    shared->script[1] = serves_and_dies;
    shared->script[2] = ends_in_order;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(shared->daemons, 3);
    assert_int_equal(shared->unmounts, 0);
}

/* Just when memory was short enough for the daemon to be killed. */
static void a_fork_that_fails_is_tried_again(void **state)
{
    (void)state;
    shared->script[0] = mounts_and_dies;
    shared->script[1] = ends_in_order;
    shared->fork_fails = 2;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(shared->forks, 3);
    assert_int_equal(shared->daemons, 2);
    assert_int_equal(shared->unmounts, 0);
}

static void the_first_fork_must_not_fail(void **state)
{
    (void)state;
    shared->fork_fails = 1;
    assert_int_equal(run_holder(), EXIT_SYSTEM);
    assert_int_equal(shared->daemons, 0);
}

/* What was written and not sent is sent, if it can be (rule 15): there is a daemon to do it. */
static void the_end_between_two_daemons_drains(void **state)
{
    (void)state;
    shared->script[0] = mounts_and_dies;
    shared->script[1] = fails_before_the_end;
    shared->script[2] = waits_for_the_end;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(shared->daemons, 3);
    assert_int_equal(shared->drains, 1);
}

static void a_daemon_that_dies_at_its_end_is_followed_by_one(void **state)
{
    (void)state;
    shared->script[0] = mounts_and_dies_at_its_end;
    shared->script[1] = waits_for_the_end;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(shared->daemons, 2);
    assert_int_equal(shared->drains, 1);
}

/* Memory that was short enough for the kill is short a moment later. */
static void at_its_end_a_fork_that_fails_is_tried_again(void **state)
{
    (void)state;
    shared->script[0] = mounts_and_dies_at_its_end;
    shared->script[1] = waits_for_the_end;
    shared->fork_fails = 2;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(shared->forks, 3);
    assert_int_equal(shared->drains, 1);
}

static void at_its_end_forks_are_not_tried_for_ever(void **state)
{
    (void)state;
    shared->script[0] = mounts_and_dies_at_its_end;
    shared->fork_fails = 2;
    shared->all_forks_fail = true;
    assert_int_equal(run_holder(), EXIT_SYSTEM);
    assert_int_equal(shared->daemons, 1);
    assert_int_equal(shared->unmounts, 1);
}

static void at_its_end_it_is_followed_once(void **state)
{
    (void)state;
    shared->script[0] = mounts_and_dies_at_its_end;
    shared->script[1] = dies_at_once;
    assert_int_equal(run_holder(), EXIT_SYSTEM);
    assert_int_equal(shared->daemons, 2);
    assert_int_equal(shared->unmounts, 1);
}

/* As nohup-like starters leave it: waitpid() would know of no child. */
static void who_starts_the_holder_may_ignore_children(void **state)
{
    (void)state;
    shared->ignores_children = true;
    shared->script[0] = mounts_and_dies;
    shared->script[1] = ends_in_order;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(shared->daemons, 2);
}

static void no_memory_to_wait_is_no_death(void **state)
{
    (void)state;
    shared->poll_fails = 2;
    shared->script[0] = mounts_and_dies;
    shared->script[1] = ends_in_order;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(shared->daemons, 2);
    assert_int_equal(shared->poll_fails, 0);
}

static void what_daemons_leave_behind_is_reaped(void **state)
{
    (void)state;
    shared->adopts = true;
    shared->script[0] = mounts_and_leaves_a_child;
    shared->script[1] = sees_it_reaped;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(shared->daemons, 2);
    assert_int_equal(shared->unmounts, 0);
}

/* Nine that could not reach the bucket, and one that the kernel killed: an outage, no reason to give up. */
static void an_outage_and_one_kill_do_not_end_the_mount(void **state)
{
    (void)state;
    shared->script[0] = mounts_and_dies;
    for (unsigned k = 1; k < 10; k++)
        shared->script[k] = cannot_start;
    shared->script[10] = dies_at_once;
    shared->script[11] = ends_in_order;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(shared->daemons, 12);
    assert_int_equal(shared->unmounts, 0);
}

static void ten_killed_before_they_serve_end_the_mount(void **state)
{
    (void)state;
    shared->script[0] = mounts_and_dies;
    for (unsigned k = 1; k <= KILLED_MAX; k++)
        shared->script[k] = dies_at_once;
    assert_int_equal(run_holder(), EXIT_SYSTEM);
    assert_int_equal(shared->daemons, 1 + KILLED_MAX);
    assert_int_equal(shared->unmounts, 1);
}

static void what_cannot_be_taken_over_is_not_tried_again(void **state)
{
    (void)state;
    shared->script[0] = mounts_and_dies;
    shared->script[1] = cannot_take_over;
    assert_int_equal(run_holder(), EXIT_NO_TAKEOVER);
    assert_int_equal(shared->daemons, 2);
    assert_int_equal(shared->unmounts, 1);
}

/* Of a newer daemon. */
static void what_a_holder_does_not_know_it_ignores(void **state)
{
    (void)state;
    shared->script[0] = says_what_is_not_known;
    shared->script[1] = ends_in_order;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(shared->daemons, 2);
}

static ino_t make_program(void)
{
    struct stat st;
    int fd;

    strcpy(program, "/tmp/s3efs-test-XXXXXX");
    fd = mkstemp(program);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    close(fd);
    return st.st_ino;
}

/* It has served: a start that fails later is an outage, and no reason for an older program. */
static void an_upgrade_stays(void **state)
{
    ino_t new = make_program();

    (void)state;
    shared->script[0] = mounts_and_hands_over;
    shared->script[1] = serves_and_dies_while_replaced;
    shared->script[2] = cannot_start;
    shared->script[3] = ends_in_order;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(unlink(program), 0);
    assert_int_equal(shared->daemons, 4);
    assert_int_equal(shared->program[0], 0);
    for (unsigned k = 1; k < 4; k++) {
        assert_int_equal(shared->program[k], new);
        assert_int_equal(shared->is_trial[k], k == 1);
    }
}

static void an_upgrade_that_fails_is_undone(void **state)
{
    ino_t new = make_program();

    (void)state;
    shared->script[0] = mounts_and_hands_over;
    shared->script[1] = cannot_start;
    shared->script[2] = ends_in_order;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(unlink(program), 0);
    assert_int_equal(shared->daemons, 3);
    assert_int_equal(shared->program[1], new);
    assert_int_equal(shared->program[2], 0);
}

/* Its daemon has sent nothing. */
static void told_to_end_in_an_upgrade_the_old_program_drains(void **state)
{
    (void)make_program();
    (void)state;
    shared->script[0] = hands_over_while_told_to_end;
    shared->script[1] = waits_for_the_end;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(unlink(program), 0);
    assert_int_equal(shared->daemons, 2);
    assert_int_equal(shared->program[1], 0);
    assert_int_equal(shared->drains, 1);
}

/* Its caller asks for the token of his upgrade: he must not find it with the program before. */
static void a_second_upgrade_that_fails_has_no_token(void **state)
{
    ino_t new = make_program();

    (void)state;
    shared->script[0] = mounts_and_hands_over;
    shared->script[1] = hands_over_again;
    shared->script[2] = cannot_start;
    shared->script[3] = ends_in_order;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(unlink(program), 0);
    assert_int_equal(shared->daemons, 4);
    assert_int_equal(shared->program[3], new);
    assert_string_equal(shared->token[1], "token");
    assert_string_equal(shared->token[2], "second");
    assert_string_equal(shared->token[3], "");
}

static void a_second_program_that_is_gone_has_no_token(void **state)
{
    (void)make_program();
    (void)state;
    shared->script[0] = mounts_and_hands_over;
    shared->script[1] = removes_it_and_hands_over;
    shared->script[2] = ends_in_order;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(shared->daemons, 3);
    assert_string_equal(shared->token[2], "");
}

static void a_new_program_that_hangs_is_given_up(void **state)
{
    (void)make_program();
    (void)state;
    shared->script[0] = mounts_and_hands_over;
    shared->script[1] = hangs;
    shared->script[2] = ends_in_order;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(unlink(program), 0);
    assert_int_equal(shared->daemons, 3);
    assert_int_equal(shared->program[2], 0);
}

/* It would be tried for ever. */
static void a_new_program_must_serve_to_hand_over(void **state)
{
    (void)make_program();
    (void)state;
    shared->script[0] = mounts_and_hands_over;
    shared->script[1] = hands_over_before_it_serves;
    shared->script[2] = ends_in_order;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(unlink(program), 0);
    assert_int_equal(shared->daemons, 3);
    assert_int_equal(shared->program[2], 0);
}

static void a_program_that_is_gone_is_no_upgrade(void **state)
{
    (void)state;
    strcpy(program, "/tmp/s3efs-test-nowhere");
    shared->script[0] = mounts_and_hands_over;
    shared->script[1] = ends_in_order;
    assert_int_equal(run_holder(), 0);
    assert_int_equal(shared->daemons, 2);
    assert_int_equal(shared->program[1], 0);
}

/* Nobody could take it over: the mount is dead when its daemon is. */
static void a_table_that_is_lost_ends_the_holders_part(void **state)
{
    (void)state;
    shared->script[0] = cannot_write_its_table;
    assert_int_equal(run_holder(), EXIT_SYSTEM);
    assert_int_equal(shared->daemons, 1);
}

#define H(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        H(a_daemon_that_dies_is_replaced),
        H(a_fork_that_fails_is_tried_again),
        H(the_first_fork_must_not_fail),
        H(the_end_between_two_daemons_drains),
        H(an_upgrade_stays),
        H(an_upgrade_that_fails_is_undone),
        H(a_program_that_is_gone_is_no_upgrade),
        H(a_table_that_is_lost_ends_the_holders_part),
        H(a_daemon_that_dies_at_its_end_is_followed_by_one),
        H(at_its_end_a_fork_that_fails_is_tried_again),
        H(at_its_end_forks_are_not_tried_for_ever),
        H(at_its_end_it_is_followed_once),
        H(who_starts_the_holder_may_ignore_children),
        H(no_memory_to_wait_is_no_death),
        H(what_daemons_leave_behind_is_reaped),
        H(an_outage_and_one_kill_do_not_end_the_mount),
        H(ten_killed_before_they_serve_end_the_mount),
        H(what_cannot_be_taken_over_is_not_tried_again),
        H(what_a_holder_does_not_know_it_ignores),
        H(told_to_end_in_an_upgrade_the_old_program_drains),
        H(a_second_upgrade_that_fails_has_no_token),
        H(a_second_program_that_is_gone_has_no_token),
        H(a_new_program_that_hangs_is_given_up),
        H(a_new_program_must_serve_to_hand_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
