/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of an http(s) URL that a configuration names: private to aws. Strict: user names,
 * queries, fragments, blanks and control bytes are refused, since a host is about to be trusted by
 * its text. */
#ifndef S3EFS_FS_AWS_URL_H
#define S3EFS_FS_AWS_URL_H

#include <stdbool.h>

#include "base/macros.h"

struct url {
    char scheme[8]; /* "http" or "https" */
    char name[256]; /* without brackets, lower case */
    char host[320]; /* as in a Host header: brackets, and the port where it is not the scheme's */
    char path[512]; /* "" or "/..." as written, without slashes at its end */
};
/* 0, or -EINVAL with err_text(), which does not repeat the URL. */
_must_check_ int url_parse(const char *text, struct url *ret);
bool url_is_loopback(const struct url *u); /* 127.0.0.0/8, ::1, localhost */

#endif
