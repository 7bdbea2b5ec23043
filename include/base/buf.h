/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer with a maximum given at its birth: whatever a remote side feeds is bounded.
 * After a failed append the buffer is empty and every further append fails (the error is sticky), so a
 * builder may append many times and look once, at buf_take() or buf_failed().
 * The content is always followed by a NUL that len does not count. Ownership: the struct is the
 * caller's; buf_done() is idempotent and legal on a zeroed struct. */
#ifndef S3EFS_BASE_BUF_H
#define S3EFS_BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include "base/macros.h"

struct buf {
    char *data;
    size_t len, cap, max;
    int error; /* 0, -ENOMEM, or -E2BIG past max */
    bool is_secret;
};

#define BUF_INIT(maximum) {.max = (maximum)}
/* In secret memory (base/secret.h), wiped wherever it was. What buf_take() gives is for secret_free(). */
#define BUF_INIT_SECRET(maximum) {.max = (maximum), .is_secret = true}
#define _cleanup_buf_ _cleanup_(buf_done)

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b);
void buf_reset(struct buf *b); /* empty, error cleared, memory kept */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_adds(struct buf *b, const char *s);
int buf_addc(struct buf *b, char c);
int buf_addf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
static inline bool buf_failed(const struct buf *b)
{
    return b->error != 0;
}
/* The content ("" if nothing was added); NULL after a failure. Valid until the next call. */
const char *buf_str(const struct buf *b);
/* Moves the string out (free() it); NULL after a failure. */
char *buf_take(struct buf *b);

#endif
