/* SPDX-License-Identifier: Apache-2.0 */
/* Small processes that write notifications to the kernel in a daemon's place (option takeover).
 *
 * The kernel may wait inside FUSE_NOTIFY_INVAL_INODE for a page that a READ has locked, and inside
 * FUSE_NOTIFY_INVAL_ENTRY for a directory that a call has locked: for an answer, which only a
 * daemon gives, and no signal ends that. A daemon whose own thread waits there can't end when it is
 * killed: its first thread is a zombie, its descriptors stay open, nobody is told, and no other
 * takes over.
 *
 * TELL-1  Between two notifications a teller holds nothing but its socket: /dev/fuse comes with
 * each. TELL-2  It ends when its daemon has; one that waits, when the next daemon has answered.
 * TELL-3  Each kind has a teller of its own, and one thread in the daemon, which waits for the
 * result. So pages do not wait for names, and what was asked first is done first. TELL-4  One that
 * was killed is replaced: nothing is left untold. That fork is made beside other threads, so a
 * teller calls nothing that allocates or takes a lock. */
#include "internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/log.h"

#define NOTIFICATION_MAX 4096

struct teller {
    int sock; /* -1: there is none */
    pid_t pid;
};

struct tellers {
    struct teller pages, names;
};

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int))];
};

/* --- in the teller --- */

#define FD_MAX (1u << 20)

/* Linux before 5.9, and some sandboxes, have no close_range(2). */
static void close_from_to(unsigned first, unsigned last)
{
    struct rlimit limit = {.rlim_cur = FD_MAX};

    if (first > last || close_range(first, last, 0) == 0)
        return;
    (void)getrlimit(RLIMIT_NOFILE, &limit);
    for (unsigned fd = first; fd <= last && fd < limit.rlim_cur && fd < FD_MAX; fd++)
        (void)close((int)fd);
}

static void close_others(int fd)
{
    int null = open("/dev/null", O_RDWR);

    for (int k = STDIN_FILENO; null >= 0 && k <= STDERR_FILENO; k++)
        (void)!dup2(null, k);
    close_from_to(STDERR_FILENO + 1, (unsigned)fd - 1);
    close_from_to((unsigned)fd + 1, ~0u);
}

/* What came with the message; -1: nothing. */
static int fd_of(struct msghdr *msg)
{
    const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
    int fd = -1;

    if (c != NULL && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(fd)))
        memcpy(&fd, CMSG_DATA(c), sizeof(fd));
    return fd;
}

/* false: the daemon has ended. */
static bool serve_one(int sock)
{
    static char text[NOTIFICATION_MAX];
    union control control;
    struct iovec iov = {text, sizeof(text)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    ssize_t n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC);
    int result = 0, fd;

    if (n <= 0)
        return n < 0 && errno == EINTR;
    fd = fd_of(&msg);
    if ((msg.msg_flags & MSG_TRUNC) != 0)
        result = -EMSGSIZE;
    else if (write(fd, text, (size_t)n) < 0) /* here it may wait for a daemon */
        result = -errno;
    if (fd >= 0)
        close(fd);
    return send(sock, &result, sizeof(result), MSG_NOSIGNAL) == (ssize_t)sizeof(result);
}

/* TERM and such go to whole groups, and a daemon that drains still has something to tell. */
_Noreturn static void run(int sock)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    prctl(PR_SET_NAME, "s3efs-teller");
    close_others(sock);
    (void)!chdir("/");
    while (serve_one(sock))
        ;
    _exit(0);
}

/* --- in the daemon --- */

static int start(struct teller *t)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return err_set(-errno, "socketpair: %s", strerror(errno));
    t->pid = fork();
    if (t->pid == 0)
        run(ends[1]);
    close(ends[1]);
    if (t->pid < 0) {
        int r = err_set(-errno, "fork: %s", strerror(errno));

        close(ends[0]);
        return r;
    }
    t->sock = ends[0];
    return 0;
}

/* It does not wait in the kernel: none of our threads waits for it. */
static void end(struct teller *t)
{
    if (t->sock < 0)
        return;
    close(t->sock);
    t->sock = -1;
    while (waitpid(t->pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

/* false: it is gone. */
static bool ask(const struct teller *t, int fuse_fd, const struct iovec *iov, int count, int *ret)
{
    union control control = {.room = ""};
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                         .msg_iovlen = (size_t)count,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
    ssize_t n;

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(sizeof(fuse_fd));
    memcpy(CMSG_DATA(c), &fuse_fd, sizeof(fuse_fd));
    if (sendmsg(t->sock, &msg, MSG_NOSIGNAL) < 0)
        return false;
    do {
        n = recv(t->sock, ret, sizeof(*ret), 0);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof(*ret);
}

static bool tell(struct teller *t, int fuse_fd, const struct iovec *iov, int count, int *ret)
{
    if (t->sock < 0 && start(t) < 0) {
        log_error("front.teller",
                  "cause=%s effect=\"if this daemon is killed now, it may not end\"",
                  LOG_Q(err_text()));
        err_clear();
        return false;
    }
    if (ask(t, fuse_fd, iov, count, ret))
        return true;
    end(t);
    return false;
}

ssize_t tellers_write(struct tellers *all, int fuse_fd, const struct iovec *iov, int count)
{
    const struct fuse_out_header *head = iov[0].iov_base;
    struct teller *t = head->error == FUSE_NOTIFY_INVAL_INODE ? &all->pages : &all->names;
    int r;

    /* a second time: the first teller was killed, perhaps before it told */
    if (!tell(t, fuse_fd, iov, count, &r) && !tell(t, fuse_fd, iov, count, &r))
        return writev(fuse_fd, iov, count);
    if (r < 0) {
        errno = -r;
        return -1;
    }
    return (ssize_t)head->len;
}

int front_tellers_new(struct tellers **ret)
{
    struct tellers *all = calloc(1, sizeof(*all));
    int r;

    if (all == NULL)
        return err_set(-ENOMEM, "out of memory");
    all->pages.sock = all->names.sock = -1;
    r = start(&all->pages);
    if (r == 0)
        r = start(&all->names);
    if (r < 0) {
        front_tellers_free(all);
        return r;
    }
    *ret = all;
    return 0;
}

void front_tellers_free(struct tellers *all)
{
    if (all == NULL)
        return;
    end(&all->pages);
    end(&all->names);
    free(all);
}
