/* SPDX-License-Identifier: Apache-2.0 */
/* The cause of a failure, in words, beside its errno.
 *
 * A function returns 0, a negative errno, or one of its module's documented positive outcomes. Who
 * returns a negative errno for the first time says why with err_set(); who reports it to a user
 * reads err_text(). Negative values are forwarded unchanged; positive ones are handled by the
 * direct caller and never forwarded.
 * Threads: the text is per thread; work that crosses threads copies it (err_copy, err_restore). */
#ifndef S3EFS_BASE_ERR_H
#define S3EFS_BASE_ERR_H

#include "base/macros.h"

#define ERR_TEXT_MAX 512

/* Sets the text and returns r. */
int err_set(int r, const char *fmt, ...) _printf_(2, 3);

/* The text, "" if none; valid until the next err_set() of this thread. */
const char *err_text(void);
void err_clear(void);

struct err_copy {
    char text[ERR_TEXT_MAX];
};
void err_copy(struct err_copy *ret);
void err_restore(const struct err_copy *from);

/* An outcome that the caller did not expect becomes -EIO; anything else is returned as it is. */
int err_fold(int r);

#endif
