/* SPDX-License-Identifier: Apache-2.0 */
/* The command line's end of the control socket. */
#include "control/control.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include "base/clock.h"
#include "base/err.h"
#include "wire.h"

/* Waits until there is something to read. */
static int wait_readable(int fd, int64_t deadline_ns)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};

    for (;;) {
        int64_t left_ms = deadline_ns == 0 ? -1 : (deadline_ns - clock_boot_ns()) / NS_PER_MS;
        int n;

        if (deadline_ns != 0 && left_ms <= 0)
            return err_set(-ETIMEDOUT, "the daemon did not answer in time");
        n = poll(&p, 1, left_ms > 1000000 ? 1000000 : (int)left_ms);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return err_set(-errno, "control socket: %s", strerror(errno));
    }
}

static int read_answer(int fd, int64_t deadline_ns, struct buf *out)
{
    char chunk[4096];

    for (;;) {
        ssize_t n;
        int r = wait_readable(fd, deadline_ns);

        if (r < 0)
            return r;
        n = recv(fd, chunk, sizeof(chunk), 0);
        if (n == 0)
            return 0;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == ECONNRESET)
            return 0; /* it answered without having read all that we sent */
        if (n < 0)
            return err_set(-errno, "control socket: %s", strerror(errno));
        r = buf_add(out, chunk, (size_t)n);
        if (r < 0)
            return err_set(r, "the daemon's answer is too long");
    }
}

int control_ask(const char *path, const char *line, int64_t timeout_ms, char **ret_text)
{
    int64_t deadline_ns = timeout_ms > 0 ? clock_boot_ns() + timeout_ms * NS_PER_MS : 0;
    _cleanup_buf_ struct buf request = BUF_INIT(CONTROL_LINE_MAX + 1), answer = BUF_INIT(CONTROL_TEXT_MAX);
    _cleanup_free_ char *text = NULL;
    _cleanup_close_ int fd = wire_connect(path);
    int r;

    if (fd < 0)
        return fd;
    buf_addf(&request, "%s\n", line);
    if (buf_failed(&request))
        return err_set(-E2BIG, "the request is too long");
    r = wire_send(fd, request.data, request.len);
    if (r < 0 && r != -EPIPE && r != -ECONNRESET) /* these two: refused unread, and the answer says why */
        return r;
    r = read_answer(fd, deadline_ns, &answer);
    if (r < 0)
        return r;
    buf_adds(&answer, "");
    text = buf_take(&answer);
    if (text == NULL)
        return err_set(-ENOMEM, "out of memory");
    r = wire_take_result(text);
    if (r == 0)
        *ret_text = steal(&text);
    return r;
}

int control_peer(const char *path, pid_t *ret)
{
    _cleanup_close_ int fd = wire_connect(path);
    struct ucred cred;
    socklen_t len = sizeof(cred);

    if (fd < 0)
        return fd;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) < 0)
        return err_set(-errno, "control socket: %s", strerror(errno));
    *ret = cred.pid;
    return 0;
}
