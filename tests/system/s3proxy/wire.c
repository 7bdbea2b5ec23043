/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 messages on a socket (see wire.h). */
#include "wire.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

void wire_init(struct wire *w, int fd)
{
    w->fd = fd;
    w->from = w->to = 0;
}

/* Reads more into an empty or full-enough buffer. > 0, 0 at the end, -1. */
static ssize_t fill(struct wire *w)
{
    ssize_t n;

    if (w->from == w->to)
        w->from = w->to = 0;
    if (w->to == sizeof(w->buf)) {
        memmove(w->buf, w->buf + w->from, w->to - w->from);
        w->to -= w->from;
        w->from = 0;
    }
    do
        n = recv(w->fd, w->buf + w->to, sizeof(w->buf) - w->to, 0);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        w->to += (size_t)n;
    return n;
}

int wire_read_head(struct wire *w, struct head *h)
{
    for (;;) {
        const char *start = w->buf + w->from;
        const char *end = memmem(start, w->to - w->from, "\r\n\r\n", 4);

        if (end) {
            h->len = (size_t)(end - start) + 4;
            if (h->len >= sizeof(h->text))
                return -1;
            memcpy(h->text, start, h->len);
            h->text[h->len] = '\0';
            w->from += h->len;
            return 1;
        }
        if (w->to - w->from == sizeof(w->buf))
            return -1;
        ssize_t n = fill(w);
        if (n <= 0)
            return n == 0 && w->from == w->to ? 0 : -1;
    }
}

int wire_send(int fd, const void *data, size_t len)
{
    const char *p = data;

    while (len) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -1;
        p += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Passes len bytes on. *done counts the body's own bytes; framing (chunk sizes) does not count. */
static int pass(struct wire *w, int fd, uint64_t len, bool framing, uint64_t *done,
                const struct twist *t)
{
    while (len) {
        if (w->from == w->to) {
            ssize_t got = fill(w);

            if (got <= 0)
                return len == UINT64_MAX && got == 0 ? 0 : -1;
        }
        size_t n = w->to - w->from;
        if (n > len)
            n = (size_t)len;
        if (!framing) {
            if (*done >= t->stop_at)
                return 1;
            if (n > t->stop_at - *done)
                n = (size_t)(t->stop_at - *done);
            if (t->corrupt_at >= *done && t->corrupt_at < *done + n)
                w->buf[w->from + (t->corrupt_at - *done)] ^= (char)0xff;
            *done += n;
            if (t->count)
                t->count(t->count_arg, n);
        }
        if (fd >= 0 && wire_send(fd, w->buf + w->from, n) < 0)
            return -2;
        w->from += n;
        if (len != UINT64_MAX)
            len -= n;
    }
    return 0;
}

/* Passes one line on and returns it in line. */
static int pass_line(struct wire *w, int fd, char *line, size_t size, const struct twist *t)
{
    for (;;) {
        char *nl = memchr(w->buf + w->from, '\n', w->to - w->from);

        if (nl) {
            size_t n = (size_t)(nl - (w->buf + w->from)) + 1;
            uint64_t none = 0;

            if (n >= size)
                return -1;
            memcpy(line, w->buf + w->from, n);
            line[n] = '\0';
            return pass(w, fd, n, true, &none, t);
        }
        if (w->to - w->from >= size || fill(w) <= 0)
            return -1;
    }
}

static int relay_chunks(struct wire *w, int fd, const struct twist *t)
{
    uint64_t done = 0;
    char line[4096];

    for (;;) {
        int r = pass_line(w, fd, line, sizeof(line), t);

        if (r)
            return r;
        uint64_t n = strtoull(line, NULL, 16);
        if (n == 0)
            break;
        r = pass(w, fd, n, false, &done, t);
        if (!r)
            r = pass_line(w, fd, line, sizeof(line), t);
        if (r)
            return r;
    }
    do { /* trailers, up to the empty line */
        int r = pass_line(w, fd, line, sizeof(line), t);

        if (r)
            return r;
    } while (line[0] != '\r' && line[0] != '\n');
    return 0;
}

int wire_relay(struct wire *w, int fd, struct body b, const struct twist *t)
{
    uint64_t done = 0;

    switch (b.kind) {
    case BODY_LENGTH:
        return pass(w, fd, b.length, false, &done, t);
    case BODY_TO_CLOSE:
        return pass(w, fd, UINT64_MAX, false, &done, t);
    case BODY_CHUNKED:
        return relay_chunks(w, fd, t);
    case BODY_NONE:
    default:
        return 0;
    }
}

void wire_reset(int fd)
{
    struct linger hard = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
    close(fd);
}

void wire_close(int fd)
{
    struct timeval limit = {.tv_sec = 2, .tv_usec = 0};
    char rest[4096];

    /* What is unread would turn our end into a reset, and the peer would lose the reply. */
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)shutdown(fd, SHUT_WR);
    while (recv(fd, rest, sizeof(rest), 0) > 0)
        ;
    close(fd);
}

bool head_get(const struct head *h, const char *name, char *out, size_t size)
{
    size_t n = strlen(name);

    for (const char *p = strstr(h->text, "\r\n"); p; p = strstr(p + 2, "\r\n")) {
        const char *line = p + 2;

        if (strncasecmp(line, name, n) != 0 || line[n] != ':')
            continue;
        line += n + 1;
        line += strspn(line, " \t");
        size_t len = strcspn(line, "\r\n");
        if (len >= size)
            return false;
        memcpy(out, line, len);
        out[len] = '\0';
        return true;
    }
    return false;
}

bool head_says(const struct head *h, const char *name, const char *value)
{
    char v[256];

    return head_get(h, name, v, sizeof(v)) && strcasecmp(v, value) == 0;
}

struct body head_request_body(const struct head *h)
{
    char v[32];

    if (head_says(h, "Transfer-Encoding", "chunked"))
        return (struct body){.kind = BODY_CHUNKED};
    if (head_get(h, "Content-Length", v, sizeof(v)))
        return (struct body){.kind = BODY_LENGTH, .length = strtoull(v, NULL, 10)};
    return (struct body){.kind = BODY_NONE};
}

struct body head_reply_body(const struct head *h, bool to_head, int status)
{
    struct body b = head_request_body(h);

    if (to_head || status < 200 || status == 204 || status == 304)
        return (struct body){.kind = BODY_NONE};
    if (b.kind == BODY_NONE)
        b.kind = BODY_TO_CLOSE;
    return b;
}

int head_status(const struct head *h)
{
    int status = 0;

    if (strncmp(h->text, "HTTP/1.", 7) != 0 || h->len < 12)
        return 0;
    for (const char *p = h->text + 9; *p >= '0' && *p <= '9' && status < 1000; p++)
        status = status * 10 + (*p - '0');
    return status >= 100 && status < 600 ? status : 0;
}
