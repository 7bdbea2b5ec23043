/* SPDX-License-Identifier: Apache-2.0 */
/* The bounded buffer. */
#include "base/buf.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/secret.h"

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf)BUF_INIT(max);
}

void buf_done(struct buf *b)
{
    bool is_secret = b->is_secret;

    if (is_secret)
        secret_free(b->data);
    else
        free(b->data);
    *b = (struct buf)BUF_INIT(b->max);
    b->is_secret = is_secret;
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    b->error = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

static int fail(struct buf *b, int error)
{
    size_t max = b->max;

    buf_done(b);
    b->max = max;
    b->error = error;
    return error;
}

/* Secrets are moved by hand: realloc(3) would leave them behind. */
static char *resize(const struct buf *b, size_t cap)
{
    char *data;

    if (!b->is_secret)
        return realloc(b->data, cap);
    data = secret_alloc(cap);
    if (data != NULL && b->data != NULL) {
        memcpy(data, b->data, b->len + 1);
        secret_free(b->data);
    }
    return data;
}

static int grow(struct buf *b, size_t more)
{
    size_t cap = b->cap != 0 ? b->cap : 64;
    char *data;

    if (b->error != 0)
        return b->error;
    if (more > b->max || b->len > b->max - more)
        return fail(b, -E2BIG);
    if (b->len + more + 1 <= b->cap)
        return 0;
    while (cap < b->len + more + 1)
        cap *= 2;
    data = resize(b, cap);
    if (data == NULL)
        return fail(b, -ENOMEM);
    b->data = data;
    b->cap = cap;
    return 0;
}

int buf_add(struct buf *b, const void *data, size_t len)
{
    int r = grow(b, len);

    if (r < 0)
        return r;
    if (len > 0)
        memcpy(b->data + b->len, data, len);
    b->len += len;
    b->data[b->len] = '\0';
    return 0;
}

int buf_adds(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

int buf_addc(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    int n, r;

    va_start(ap, fmt);
    n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        return fail(b, -EINVAL);
    r = grow(b, (size_t)n);
    if (r < 0)
        return r;
    va_start(ap, fmt);
    vsnprintf(b->data + b->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->len += (size_t)n;
    return 0;
}

const char *buf_str(const struct buf *b)
{
    if (b->error != 0)
        return NULL;
    return b->data != NULL ? b->data : "";
}

char *buf_take(struct buf *b)
{
    char *s;

    if (b->error != 0)
        return NULL;
    if (b->data == NULL)
        return b->is_secret ? secret_dup("", 0) : strdup("");
    s = b->data;
    b->data = NULL;
    buf_done(b);
    return s;
}
