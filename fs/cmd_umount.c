/* SPDX-License-Identifier: Apache-2.0 */
/* s3efs umount: the daemon drains and unmounts; then its end is waited for. Where nobody answers the kernel is asked: only it
 * knows a mount without a daemon from one whose next daemon is on its way (option takeover), and has unsent bytes. */
#include "cmd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/err.h"
#include "control/control.h"
#include "daemon.h"
#include "mountpoint.h"

#define LOOK_NS (50 * NS_PER_MS)
#define LOOKS_TO_SAY 20 /* so often, then the user is told what is waited for */
#define ALIVE_MAX 3

static int complain(const char *dir)
{
    fprintf(stderr, "s3efs: %s: %s\n", dir, err_text());
    return EXIT_MOUNT;
}

/* Nobody answers: what a killed daemon left in the tree is taken away. */
static int without_daemon(const char *dir, const char *mountpoint)
{
    if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) < 0) {
        fprintf(stderr, "s3efs: %s: no daemon answers, and it cannot be unmounted: %s\n", dir, strerror(errno));
        return EXIT_MOUNT;
    }
    fprintf(stderr, "s3efs: %s: its daemon was gone; unmounted\n", dir);
    return 0;
}

/* A child: where the mount has no daemon now, but will have one, the call waits for that. */
static pid_t start_look(const char *mountpoint)
{
    pid_t pid = fork();
    struct statfs fs;

    if (pid == 0)
        _exit(statfs(mountpoint, &fs) < 0 && (errno == ENOTCONN || errno == ECONNABORTED) ? 0 : 1);
    return pid < 0 ? err_set(-errno, "fork: %s", strerror(errno)) : pid;
}

static void end_look(pid_t pid)
{
    if (pid > 0 && kill(pid, SIGKILL) == 0)
        (void)waitpid(pid, NULL, 0);
}

enum look { LOOK_WAITS, LOOK_DEAD, LOOK_ALIVE };

static enum look take_look(pid_t *pid)
{
    int status;

    if (waitpid(*pid, &status, WNOHANG) != *pid)
        return LOOK_WAITS;
    *pid = 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? LOOK_DEAD : LOOK_ALIVE;
}

/* What the kernel said of a mount whose daemon does not answer. 0: look again; 1: it is dead; -errno. */
static int judge(enum look look, unsigned *alive)
{
    if (look == LOOK_DEAD)
        return 1;
    if (look == LOOK_ALIVE && ++*alive == ALIVE_MAX)
        return err_set(-ENOTCONN, "a daemon serves it whose control socket is not here: umount(8) ends it, and it sends what "
                                  "is unsent");
    return 0;
}

/* 0: a daemon answers, and this is its process; 1: the mount is dead; -errno. */
static int find_daemon(const char *dir, const char *mountpoint, const char *path, pid_t *ret)
{
    unsigned alive = 0, looks = 0;
    pid_t pid = 0;
    int r, judged = 0;

    while ((r = control_peer(path, ret)) == -ENOENT || r == -ECONNREFUSED) {
        if (!mountpoint_is_ours(mountpoint))
            judged = err_set(-EINVAL, "no s3efs is mounted there");
        else if (pid == 0)
            pid = start_look(mountpoint);
        if (judged == 0)
            judged = pid < 0 ? pid : judge(take_look(&pid), &alive);
        if (judged != 0)
            break;
        if (++looks == LOOKS_TO_SAY)
            fprintf(stderr, "s3efs: %s: waiting for its next daemon\n", dir);
        nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    }
    end_look(pid);
    return judged != 0 ? judged : r;
}

static int process_open(pid_t pid)
{
#ifdef SYS_pidfd_open
    if (pid > 0)
        return (int)syscall(SYS_pidfd_open, pid, 0);
#endif
    (void)pid;
    return -1;
}

static void wait_for_end(int process)
{
    struct pollfd p = {.fd = process, .events = POLLIN};

    while (poll(&p, 1, -1) < 0 && errno == EINTR)
        ;
}

int cmd_umount(int argc, char **argv)
{
    _cleanup_free_ char *mountpoint = NULL, *text = NULL;
    _cleanup_close_ int process = -1;
    char path[256];
    pid_t pid;
    int r;

    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "Usage: s3efs umount DIR\n");
        return argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0) ? 0 : EXIT_USAGE;
    }
    r = mountpoint_canonical(argv[1], &mountpoint);
    if (r == 0)
        r = control_path(mountpoint, path, sizeof(path));
    if (r < 0)
        return complain(argv[1]);
    r = find_daemon(argv[1], mountpoint, path, &pid);
    if (r > 0)
        return without_daemon(argv[1], mountpoint);
    if (r < 0) {
        (void)complain(argv[1]);
        return r == -EINVAL ? EXIT_USAGE : EXIT_MOUNT;
    }
    process = process_open(pid); /* before it can end and its number be another's */
    r = control_ask(path, "umount", 0, &text);
    if (r < 0)
        return complain(argv[1]);
    if (process >= 0)
        wait_for_end(process);
    return 0;
}
