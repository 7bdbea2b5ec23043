/* SPDX-License-Identifier: Apache-2.0 */
/* The cause of a failure in words, one a thread. */
#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char text[ERR_TEXT_MAX];

int err_set(int r, const char *fmt, ...)
{
    char made[ERR_TEXT_MAX]; /* the arguments may hold err_text() itself */
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(made, sizeof(made), fmt, ap);
    va_end(ap);
    memcpy(text, made, sizeof(text));
    return r;
}

const char *err_text(void)
{
    return text;
}

void err_clear(void)
{
    text[0] = '\0';
}

void err_copy(struct err_copy *ret)
{
    memcpy(ret->text, text, sizeof(text));
}

void err_restore(const struct err_copy *from)
{
    memcpy(text, from->text, sizeof(text));
}

int err_fold(int r)
{
    if (r > 0)
        return err_set(-EIO, "unexpected outcome %d", r);
    return r;
}
