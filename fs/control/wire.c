/* SPDX-License-Identifier: Apache-2.0 */
/* The line protocol of the control socket. */
#include "wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include "base/err.h"
#include "base/str.h"
#include "control/control.h"

int wire_take_bytes(char *line, size_t *len, size_t n)
{
    char *end = memchr(line + *len, '\n', n);

    *len += n;
    if (end == NULL)
        return *len < CONTROL_LINE_MAX ? 1 : err_set(-E2BIG, "the request is too long");
    *end = '\0';
    return strlen(line) == (size_t)(end - line) ? 0 : err_set(-EINVAL, "bad request");
}

int wire_address(const char *path, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (str_copy(ret->sun_path, sizeof(ret->sun_path), path) < 0)
        return err_set(-ENAMETOOLONG, "control socket %s: the path is too long", path);
    return 0;
}

int wire_connect(const char *path)
{
    _cleanup_close_ int fd = -1;
    struct sockaddr_un address;
    int r = wire_address(path, &address);

    if (r < 0)
        return r;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return err_set(-errno, "control socket: %s", strerror(errno));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return err_set(-errno, "control socket %s: %s", path, strerror(errno));
    r = fd;
    fd = -1;
    return r;
}

int wire_send(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(-errno, "control socket: %s", strerror(errno));
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

void wire_add_result(struct buf *out, int r, const char *text)
{
    if (out->len > 0 && out->data[out->len - 1] != '\n')
        buf_addc(out, '\n');
    if (r >= 0) {
        buf_adds(out, "ok\n");
        return;
    }
    buf_adds(out, "error: ");
    for (const char *p = *text == '\0' ? strerror(-r) : text; *p != '\0'; p++)
        buf_addc(out, *p == '\n' || *p == '\r' ? ' ' : *p);
    buf_addc(out, '\n');
}

int wire_take_result(char *text)
{
    size_t len = strlen(text);
    char *last;

    if (len == 0 || text[len - 1] != '\n')
        return err_set(-ECONNRESET, "the daemon ended before its answer did");
    text[len - 1] = '\0';
    last = strrchr(text, '\n');
    last = last == NULL ? text : last + 1;
    if (strcmp(last, "ok") == 0) {
        *last = '\0';
        return 0;
    }
    if (str_starts(last, "error: ")) {
        err_set(-EREMOTEIO, "%s", last + strlen("error: "));
        *last = '\0';
        return -EREMOTEIO;
    }
    return err_set(-ECONNRESET, "the daemon ended before its answer did");
}
