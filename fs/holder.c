/* SPDX-License-Identifier: Apache-2.0 */
/* See holder.h. What ends the holder: a daemon that ends by itself (its exit code is passed on), a daemon that dies before
 * the mount is served, where the kernel can't send requests again; one that dies after TERM for the second time; and too many
 * deaths (deaths.c). Which program the next one is: programs.c. */
#include "holder.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "deaths.h"
#include "programs.h"
#include "run.h"

#define TRIAL_LOOK_MS 500
#define POLL_FAILED_MS 100
#define END_TRIES_MAX 8 /* to start a daemon that drains: 16 s */

struct holder {
    const struct config *config;
    struct daemon *daemon;
    sigset_t signals, before;
    int signal_fd, sock, fuse_fd, lock_fd, requests_fd;
    pid_t pid;
    bool is_ready, was_ready, can_follow, is_ending;
    bool is_last; /* started while ending, because the one before it was killed then */
    struct programs programs;
    struct deaths deaths;
};

/* --- messages from the daemon (hold.c) --- */

static void take_fd(struct msghdr *msg, int *ret)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    int fd = -1;

    if (c == NULL || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(fd)))
        return;
    memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    if (*ret > 0)
        close(*ret);
    *ret = fd;
}

/* A mount whose daemon dies is to be seen dead. */
static void let_go(struct holder *h)
{
    h->can_follow = false;
    if (h->fuse_fd >= 0)
        close(h->fuse_fd);
    h->fuse_fd = -1;
}

static void note_ready(struct holder *h, bool can_follow)
{
    programs_serve(&h->programs);
    if (h->was_ready)
        log_warn("holder.replaced", "mountpoint=%s pid=%d", LOG_Q(h->config->mountpoint), (int)h->pid);
    h->is_ready = h->was_ready = true;
    deaths_none(&h->deaths);
    h->can_follow = can_follow && h->fuse_fd >= 0;
    daemon_leave_terminal(h->daemon);
    if (!can_follow) {
        log_warn("holder.kernel", "effect=\"option takeover does nothing: the kernel is older than 4.20, or cache_dir "
                                  "took no records\"");
        let_go(h);
    }
}

/* false: there is none. */
static bool take_message(struct holder *h)
{
    char text[HOLD_MESSAGE_MAX], control[CMSG_SPACE(sizeof(int))];
    struct iovec iov = {text, sizeof(text) - 1};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

    ssize_t n = recvmsg(h->sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    if (n <= 0)
        return false;
    text[n] = '\0';
    if (text[0] == 'M')
        take_fd(&msg, &h->fuse_fd);
    else if (text[0] == 'L')
        take_fd(&msg, &h->lock_fd);
    else if (text[0] == 'Q')
        take_fd(&msg, &h->requests_fd);
    else if (text[0] == 'U')
        programs_name(&h->programs, text + 1);
    else if (text[0] == 'X')
        let_go(h);
    else if (text[0] == 'R' || text[0] == 'r')
        note_ready(h, text[0] == 'R');
    return true; /* another letter is a newer program's */
}

/* --- daemons --- */

/* The child as another program. */
_Noreturn static void become(const struct holder *h, const struct hold *end)
{
    if (hold_exec(end, h->programs.now.fd, h->programs.now.path, h->config->mountpoint) < 0)
        log_error("upgrade.exec", "cause=%s", LOG_Q(err_text()));
    _exit(EXIT_SYSTEM);
}

/* In the daemon. What ends it stays blocked, as it will be (run.c): sent early, it waits. */
static void unblock(const struct holder *h)
{
    sigset_t set = h->before;

    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
}

/* 0 in the holder, 1 in the daemon. */
static int start(struct holder *h, struct hold *ret)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return err_set(-errno, "socketpair: %s", strerror(errno));
    h->pid = fork();
    if (h->pid < 0) {
        int r = err_set(-errno, "fork: %s", strerror(errno));

        close(ends[0]);
        close(ends[1]);
        return r;
    }
    if (h->pid == 0) {
        close(ends[0]);
        close(h->signal_fd);
        unblock(h);
        *ret = (struct hold){.sock = ends[1], .fuse_fd = h->fuse_fd, .lock_fd = h->lock_fd, .requests_fd = h->requests_fd};
        memcpy(ret->token, h->programs.token, sizeof(ret->token));
        ret->is_trial = h->programs.is_trial;
        if (h->programs.now.fd > 0 && h->fuse_fd >= 0)
            become(h, ret);
        ret->token[0] = '\0';
        return 1;
    }
    close(ends[1]);
    if (h->sock >= 0)
        close(h->sock);
    h->sock = ends[0];
    h->is_ready = false;
    if (h->is_ending)
        kill(h->pid, SIGTERM);
    daemon_leave_pipe(h->daemon);
    return 0;
}

/* Also what daemons left behind (their tellers), where this is the process that such are given to. true: the daemon has ended. */
static bool reap(const struct holder *h, int *ret_status)
{
    bool has_ended = false;
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != h->pid)
            continue;
        *ret_status = status;
        has_ended = true;
    }
    return has_ended;
}

/* Passes TERM, INT and HUP on. true: the daemon has ended. */
static bool take_signal(struct holder *h, int *ret_status)
{
    struct signalfd_siginfo info;

    if (read(h->signal_fd, &info, sizeof(info)) != (ssize_t)sizeof(info))
        return false;
    if (info.ssi_signo != SIGCHLD) {
        h->is_ending = true;
        if (h->pid > 0)
            kill(h->pid, (int)info.ssi_signo);
    }
    return reap(h, ret_status);
}

static int wait_daemon(struct holder *h)
{
    struct pollfd fds[2];
    int status = 0;

    for (;;) {
        fds[0] = (struct pollfd){.fd = h->signal_fd, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = h->sock, .events = POLLIN};
        if (poll(fds, 2, h->programs.is_trial ? TRIAL_LOOK_MS : -1) < 0 && errno != EINTR) {
            fds[0].revents = fds[1].revents = 0;
            (void)poll(NULL, 0, POLL_FAILED_MS); /* no memory: the daemon lives */
        }
        if (programs_is_late(&h->programs, clock_boot_ns()))
            kill(h->pid, SIGKILL);
        while (h->sock >= 0 && take_message(h))
            ;
        if ((fds[1].revents & POLLHUP) != 0) { /* it is dead, or nearly: SIGCHLD comes */
            close(h->sock);
            h->sock = -1;
        }
        if (fds[0].revents != 0 && take_signal(h, &status))
            break;
    }
    while (h->sock >= 0 && take_message(h))
        ;
    h->pid = 0;
    return status;
}

/* --- deaths --- */

/* It has sent nothing: another must follow, also to end; then is no time to try a new program. */
static bool is_handed_over(struct holder *h, int status)
{
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_HANDOVER || !h->is_ready) {
        programs_unname(&h->programs);
        return false;
    }
    programs_hand_over(&h->programs, !h->is_ending, clock_boot_ns());
    return true;
}

static bool can_follow(const struct holder *h)
{
    return h->was_ready && h->can_follow && h->fuse_fd >= 0;
}

/* Told to end, it has died before it had sent all: there is one more to do it, once. */
static bool is_to_end_again(struct holder *h, int status)
{
    if (!WIFSIGNALED(status) || h->is_last)
        return false;
    h->is_last = true;
    return true;
}

/* Is there to be another daemon after this end? */
static bool is_to_follow(struct holder *h, int status)
{
    if (can_follow(h) && (is_handed_over(h, status) || programs_fall_back(&h->programs, status)))
        return true;
    if (WIFEXITED(status) && (h->is_ready || !h->was_ready))
        return false; /* in order */
    if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_TAKEOVER)
        return false;
    if (!can_follow(h))
        return false;
    if (h->is_ending)
        return is_to_end_again(h, status);
    if (deaths_add(&h->deaths, h->is_ready, WIFSIGNALED(status), clock_boot_ns())) {
        log_error("holder.given_up", "mountpoint=%s effect=\"daemons die one after the other: the mount ends\"",
                  LOG_Q(h->config->mountpoint));
        return false;
    }
    return true;
}

/* Also over for who asks to end it meanwhile. */
static void pause_between(struct holder *h)
{
    struct pollfd fd = {.fd = h->signal_fd, .events = POLLIN};
    int64_t until_ns = clock_boot_ns() + deaths_pause_ms(&h->deaths) * NS_PER_MS;
    int status;

    while (!h->is_ending && clock_boot_ns() < until_ns) {
        if (poll(&fd, 1, (int)((until_ns - clock_boot_ns()) / NS_PER_MS) + 1) > 0)
            (void)take_signal(h, &status);
    }
}

/* No process or no memory for a daemon now, which may just have killed the last one: the mount waits. */
static bool is_to_try_again(struct holder *h)
{
    if (!can_follow(h))
        return false;
    log_error("holder.no_daemon", "cause=%s effect=\"tried again\"", LOG_Q(err_text()));
    deaths_no_start(&h->deaths);
    if (h->is_ending) /* who has bytes to send is not given up at the first try */
        (void)poll(NULL, 0, (int)deaths_pause_ms(&h->deaths));
    else
        pause_between(h);
    return !h->is_ending || h->deaths.failures < END_TRIES_MAX;
}

static int code_of(const struct holder *h, int status)
{
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    return h->was_ready ? EXIT_SYSTEM : EXIT_MOUNT;
}

/* By somebody else: what is at its path now is not ours. */
static bool is_unmounted(const struct holder *h)
{
    struct pollfd fd = {.fd = h->fuse_fd};

    return h->fuse_fd >= 0 && poll(&fd, 1, 0) == 1 && (fd.revents & POLLERR) != 0;
}

/* It died, and nobody follows: nobody is to hang in its mount for ever, nor its teller, which keeps /dev/fuse while it waits
 * there (MNT_FORCE fails all calls). */
static void end_mount(const struct holder *h, int status)
{
    if (!h->was_ready || (WIFEXITED(status) && h->is_ready))
        return;
    log_error("holder.end", "mountpoint=%s status=%d effect=\"what was not sent is in cache_dir's lost+found or gone\"",
              LOG_Q(h->config->mountpoint), status);
    if (h->can_follow && !is_unmounted(h) && umount2(h->config->mountpoint, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
        log_warn("holder.unmount", "cause=%s", strerror(errno));
}

static int open_signals(struct holder *h)
{
    signal(SIGCHLD, SIG_DFL); /* who starts us may ignore it: a daemon's end would not be told */
    sigemptyset(&h->signals);
    sigaddset(&h->signals, SIGTERM);
    sigaddset(&h->signals, SIGINT);
    sigaddset(&h->signals, SIGHUP);
    sigaddset(&h->signals, SIGCHLD);
    pthread_sigmask(SIG_BLOCK, &h->signals, &h->before);
    h->signal_fd = signalfd(-1, &h->signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return h->signal_fd >= 0 ? 0 : err_set(-errno, "signalfd: %s", strerror(errno));
}

int holder_run(const struct config *c, struct daemon *d)
{
    struct holder h = {.config = c, .daemon = d, .signal_fd = -1, .sock = -1, .fuse_fd = -1};
    struct hold daemons_end;
    bool was_trial;
    int status = 0, r = open_signals(&h);

    prctl(PR_SET_NAME, "s3efs-holder");
    hold_pin(c->mountpoint);
    daemon_limits(c->mem_limit); /* it has the environment of all daemons to come */
    while (r == 0) {
        r = start(&h, &daemons_end);
        if (r == 1) {
            prctl(PR_SET_NAME, "s3efs");
            d->hold = &daemons_end;
            r = run_mount(c, d);
            d->hold = NULL;
            return r;
        }
        if (r < 0 && is_to_try_again(&h)) {
            r = 0;
            continue;
        }
        if (r < 0)
            break;
        status = wait_daemon(&h);
        was_trial = h.programs.is_trial;
        if (!is_to_follow(&h, status))
            break;
        if (!h.programs.is_trial && !was_trial)
            log_error("holder.died", "pid_status=%d signal=%d effect=\"a new daemon takes the mount over\"", status,
                      WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        pause_between(&h); /* who is told to end meanwhile starts one more daemon, to send what there is */
    }
    if (r < 0)
        daemon_failed(d, EXIT_SYSTEM, err_text());
    end_mount(&h, status);
    return r < 0 ? EXIT_SYSTEM : code_of(&h, status);
}
