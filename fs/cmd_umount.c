/* SPDX-License-Identifier: Apache-2.0 */
/* s3efs umount: the daemon drains and unmounts; then its end is waited for. */
#include "cmd.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include "base/err.h"
#include "control/control.h"
#include "daemon.h"
#include "mountpoint.h"

static int complain(const char *dir)
{
    fprintf(stderr, "s3efs: %s: %s\n", dir, err_text());
    return EXIT_MOUNT;
}

/* Nobody answers: what a killed daemon left in the tree is taken away. */
static int without_daemon(const char *dir, const char *mountpoint)
{
    if (!mountpoint_is_ours(mountpoint)) {
        fprintf(stderr, "s3efs: %s: no s3efs is mounted there\n", dir);
        return EXIT_USAGE;
    }
    if (umount2(mountpoint, MNT_DETACH | UMOUNT_NOFOLLOW) < 0) {
        fprintf(stderr, "s3efs: %s: no daemon answers, and it cannot be unmounted: %s\n", dir, strerror(errno));
        return EXIT_MOUNT;
    }
    fprintf(stderr, "s3efs: %s: its daemon was gone; unmounted\n", dir);
    return 0;
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
    r = control_peer(path, &pid);
    if (r == -ENOENT || r == -ECONNREFUSED)
        return without_daemon(argv[1], mountpoint);
    if (r < 0)
        return complain(argv[1]);
    process = process_open(pid); /* before it can end and its number be another's */
    r = control_ask(path, "umount", 0, &text);
    if (r < 0)
        return complain(argv[1]);
    if (process >= 0)
        wait_for_end(process);
    return 0;
}
