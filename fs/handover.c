/* SPDX-License-Identifier: Apache-2.0 */
/* Another program in place of the daemon, under the living mount (s3efs upgrade). The daemon checks
 * that the new one can read its table, tells the holder which it is, lets the calls under way come
 * to their end, and ends as if it had been killed: what the next one needs is in the table at any
 * moment. The holder starts the new program with the arguments of the old one, and in S3EFS_HOLD
 * what a fork would have left it. If it does not come to serve, the old program goes on. */
#include "holder.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "mountpoint.h"

#define PAUSE_MS 2000 /* for calls under way; what takes longer comes again */
#define ENV "S3EFS_HOLD"

static struct {
    char **argv;
    char cwd[PATH_MAX];
    int cwd_fd; /* 0: none */
} first;

void hold_remember(char **argv)
{
    first.argv = argv;
    if (getcwd(first.cwd, sizeof(first.cwd)) == NULL)
        first.cwd[0] = '\0';
}

/* Only such: another would keep its file system from being unmounted. */
void hold_pin(const char *mountpoint)
{
    if (first.cwd[0] != '\0' && path_is_within(first.cwd, mountpoint))
        first.cwd_fd = open(first.cwd, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* --- the new program's start --- */

/* Paths of the command line were from there. Below the mount point its name leads into the mount now,
 * where nobody answers. */
static int go_back(const char *mountpoint)
{
    bool is_covered;

    if (first.cwd[0] == '\0')
        return 0;
    is_covered = path_is_within(first.cwd, mountpoint);
    if (is_covered && first.cwd_fd <= 0)
        return err_set(-EBUSY, "%s: s3efs was started below its own mount point", first.cwd);
    if ((is_covered ? fchdir(first.cwd_fd) : chdir(first.cwd)) < 0)
        return err_set(-errno, "%s: %s", first.cwd, strerror(errno));
    return 0;
}

static int keep_over_exec(int fd)
{
    return fcntl(fd, F_SETFD, 0) < 0 ? err_set(-errno, "fcntl: %s", strerror(errno)) : 0;
}

int hold_exec(const struct hold *h, int fd, const char *program, const char *mountpoint)
{
    char text[PATH_MAX + HOLD_TOKEN_MAX + 64];
    int r = keep_over_exec(h->sock);

    if (r == 0)
        r = keep_over_exec(h->fuse_fd);
    if (r == 0 && h->lock_fd > 0)
        r = keep_over_exec(h->lock_fd);
    if (r == 0 && h->requests_fd > 0)
        r = keep_over_exec(h->requests_fd);
    if (r == 0 && (size_t)snprintf(text, sizeof(text), "%d:%d:%d:%d:%d:%s:%s", h->sock, h->fuse_fd,
                                   h->lock_fd, h->requests_fd, h->is_trial, h->token, mountpoint) >= sizeof(text))
        r = err_set(-ENAMETOOLONG, "the mount point's path is too long");
    if (r == 0 && setenv(ENV, text, 1) < 0)
        r = err_set(-ENOMEM, "out of memory");
    if (r == 0)
        r = go_back(mountpoint);
    if (r < 0)
        return r;
    syscall(SYS_execveat, fd, "", first.argv, environ, AT_EMPTY_PATH);
    if (errno == ENOENT) /* a script: its interpreter is given a path */
        execv(program, first.argv);
    return err_set(-errno, "%s: %s", program, strerror(errno));
}

static bool take_number(char **at, int *ret)
{
    char *end = strchr(*at, ':');
    uint64_t n;

    if (end == NULL)
        return false;
    *end = '\0';
    if (str_u64(*at, 10, &n) < 0 || n > INT_MAX ||
        (n > 0 && fcntl((int)n, F_SETFD, FD_CLOEXEC) < 0))
        return false;
    *ret = (int)n;
    *at = end + 1;
    return true;
}

static bool take_flag(char **at, bool *ret)
{
    if (((*at)[0] != '0' && (*at)[0] != '1') || (*at)[1] != ':')
        return false;
    *ret = (*at)[0] == '1';
    *at += 2;
    return true;
}

int hold_from_env(struct hold *ret, char **ret_mountpoint)
{
    const char *text = getenv(ENV);
    _cleanup_free_ char *copy = text != NULL ? strdup(text) : NULL;
    char *at = copy, *end;

    *ret = (struct hold){.sock = -1, .fuse_fd = -1};
    if (text == NULL)
        return 0;
    if (copy == NULL)
        return err_set(-ENOMEM, "out of memory");
    unsetenv(ENV);
    if (!take_number(&at, &ret->sock) || !take_number(&at, &ret->fuse_fd) ||
        !take_number(&at, &ret->lock_fd) || !take_number(&at, &ret->requests_fd) ||
        !take_flag(&at, &ret->is_trial) || (end = strchr(at, ':')) == NULL)
        return err_set(-EINVAL, ENV ": not what a holder gives");
    *end = '\0';
    if (str_copy(ret->token, sizeof(ret->token), at) < 0)
        return err_set(-EINVAL, ENV ": not what a holder gives");
    *ret_mountpoint = strdup(end + 1);
    return *ret_mountpoint != NULL ? 1 : err_set(-ENOMEM, "out of memory");
}

/* --- the old daemon's end --- */

/* FORMAT TOKEN PROGRAM */
static int take_params(const char *params, uint64_t *ret_format, char token[HOLD_TOKEN_MAX],
                       const char **ret_program)
{
    char number[24], format[24];
    int at = 0;

    if (sscanf(params, "%20s %32s %n", format, token, &at) != 2 || at == 0 || params[at] != '/' ||
        str_copy(number, sizeof(number), format) < 0 || str_u64(number, 10, ret_format) < 0)
        return err_set(-EINVAL, "upgrade: a format, a token and a program are wanted");
    *ret_program = params + at;
    return 0;
}

static int check_followed(const struct hold *h, const struct front *f)
{
    if (h == NULL || h->sock < 0)
        return err_set(-EOPNOTSUPP, "the mount has no holder: it needs option takeover and Linux "
                                    "4.20; unmount it, and mount it again");
    if (!hold_can_follow() || !front_can_resend(f))
        return err_set(-EOPNOTSUPP, "the mount can't be taken over, as its log says (holder.kernel, "
                                    "takeover.unsent, takeover.table); its holder has let go of it, or "
                                    "it does not serve yet: unmount it, and mount it again");
    return 0;
}

/* Returns only if this daemon is to go on. */
static int end_for(const struct hold *h, struct front *f, const char *program, const char *token)
{
    int r;

    log_info("upgrade.handover", "program=%s", LOG_Q(program));
    front_pause(f, PAUSE_MS);
    r = check_followed(h, f); /* the table may have been lost meanwhile */
    if (r == 0)
        r = hold_next(h, program, token);
    if (r == 0)
        _exit(EXIT_HANDOVER);
    front_go_on(f);
    return r;
}

int handover(const struct hold *h, struct front *f, const char *params)
{
    static atomic_flag is_under_way = ATOMIC_FLAG_INIT;
    char token[HOLD_TOKEN_MAX] = "";
    const char *program = NULL;
    uint64_t format;
    int r = take_params(params, &format, token, &program);

    if (r < 0)
        return r;
    r = check_followed(h, f);
    if (r < 0)
        return r;
    if (format != VFS_KEEP_FORMAT)
        return err_set(-EPROTO,
                       "%s reads takeover tables of format %" PRIu64
                       ", and this daemon writes %d: it goes on; "
                       "unmount, and mount with the new one",
                       program, format, VFS_KEEP_FORMAT);
    if (access(program, X_OK) < 0)
        return err_set(-errno, "%s: %s", program, strerror(errno));
    if (atomic_flag_test_and_set(&is_under_way))
        return err_set(-EBUSY, "another upgrade is under way");
    r = end_for(h, f, program, token);
    atomic_flag_clear(&is_under_way);
    return r;
}
