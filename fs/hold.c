/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon tells its holder. A message is a letter: 'M' (mounted), 'L' (the lock) and 'Q' (requests) come with a
 * descriptor, 'R' and 'r': ready, after 'U' a token, a blank, a program; 'X': let go of the mount. */
#include "holder.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/err.h"
#include "base/log.h"

static atomic_bool is_followed; /* what the holder was told */

static int tell(const struct hold *h, const char *text, int fd)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = ""};
    struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (h == NULL || h->sock < 0)
        return 0;
    if (fd >= 0) {
        struct cmsghdr *c;

        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);
        c = CMSG_FIRSTHDR(&msg);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(fd));
        memcpy(CMSG_DATA(c), &fd, sizeof(fd));
    }
    if (sendmsg(h->sock, &msg, MSG_NOSIGNAL) == (ssize_t)iov.iov_len)
        return 0;
    log_warn("holder.gone", "cause=%s effect=\"if this daemon dies, its mount does\"", strerror(errno));
    return err_set(-ECONNRESET, "the holder of the mount is gone");
}

void hold_mounted(const struct hold *h, int fuse_fd, int lock_fd, int requests_fd)
{
    if (requests_fd > 0)
        (void)!tell(h, "Q", requests_fd);
    (void)!tell(h, "L", lock_fd);
    (void)!tell(h, "M", fuse_fd);
}

void hold_ready(const struct hold *h, bool can_follow)
{
    atomic_store(&is_followed, can_follow);
    (void)!tell(h, can_follow ? "R" : "r", -1);
}

void hold_lost(const struct hold *h)
{
    atomic_store(&is_followed, false);
    (void)!tell(h, "X", -1);
}

bool hold_can_follow(void)
{
    return atomic_load(&is_followed);
}

int hold_next(const struct hold *h, const char *program, const char *token)
{
    char text[HOLD_MESSAGE_MAX];

    if ((size_t)snprintf(text, sizeof(text), "U%s %s", token, program) >= sizeof(text))
        return err_set(-ENAMETOOLONG, "%s: the path is too long", program);
    return tell(h, text, -1);
}
