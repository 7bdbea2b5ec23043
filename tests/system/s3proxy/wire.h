/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 messages on a socket: just enough to pass them on unchanged. Blocking; one thread each. */
#ifndef S3PROXY_WIRE_H
#define S3PROXY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct wire {
    int fd;
    size_t from, to; /* buf[from..to) is read and not yet used */
    char buf[65536];
};

/* A message head as it came, with its empty line; text is terminated. */
struct head {
    char text[65536];
    size_t len;
};

/* How long a body is. */
struct body {
    enum { BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_TO_CLOSE } kind;
    uint64_t length;
};

/* What to do to a body on its way. */
struct twist {
    uint64_t stop_at;    /* pass so many bytes on, then stop; UINT64_MAX: all */
    uint64_t corrupt_at; /* flip the bits of this byte; UINT64_MAX: none */
    void (*count)(void *arg, uint64_t bytes); /* before bytes are sent; or NULL */
    void *count_arg;
};

void wire_init(struct wire *w, int fd);
/* 1: a head was read. 0: the peer closed between messages. -1: broken. */
int wire_read_head(struct wire *w, struct head *h);
/* 0, or -1 when the peer is gone. */
int wire_send(int fd, const void *data, size_t len);
/* Reads one body from w and sends it to fd (-1: nowhere). 0: all of it. 1: twist.stop_at was reached.
 * -1: w broke. -2: fd broke. */
int wire_relay(struct wire *w, int fd, struct body b, const struct twist *t);
/* Closes so that the peer sees a reset, or an end after it has read everything. */
void wire_reset(int fd);
void wire_close(int fd);

/* Copies a header's value to out; false when there is none. */
bool head_get(const struct head *h, const char *name, char *out, size_t size);
bool head_says(const struct head *h, const char *name, const char *value); /* without regard to case */
struct body head_request_body(const struct head *h);
struct body head_reply_body(const struct head *h, bool to_head, int status);
int head_status(const struct head *h); /* 0 when it can't be read */

#endif
