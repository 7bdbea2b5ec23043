/* SPDX-License-Identifier: Apache-2.0 */
/* Figures and names as people read them. Pure. */
#ifndef S3EFS_FS_COMPARE_TEXT_H
#define S3EFS_FS_COMPARE_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

/* As it is if that is UTF-8 without control characters and fits; else what is ASCII of it, '?' for
 * the rest. */
void text_shown(char *dst, size_t size, const char *src);
/* What a shell has to be given to remove that directory: "rm -r 'A B'", quoted where it needs to be;
 * of a name that can't be shown as it is, that it is to be done by hand. */
void text_removal(char *dst, size_t size, const char *path);
/* "873us", "1.52ms", "12.3s"; "-" for 0. */
void text_time(uint64_t ns, char *out, size_t size);
/* "12,345.67": two digits behind the point below 1000, else none. */
void text_amount(double v, char *out, size_t size);
/* Into the text or a quoted attribute of HTML. */
void text_html(struct buf *out, const char *s);

#endif
