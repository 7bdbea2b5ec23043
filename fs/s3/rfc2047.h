/* SPDX-License-Identifier: Apache-2.0 */
/* Encoded words ("=?UTF-8?q?caf=C3=A9?="), the form in which some servers give back metadata that
 * is not ASCII. Pure; any thread. */
#ifndef S3EFS_S3_RFC2047_H
#define S3EFS_S3_RFC2047_H

#include "base/buf.h"

/* Adds value to out with its UTF-8 words decoded (q and b); what is no such word stays as it is.
 * 0, or out's error. */
int rfc2047_decode(struct buf *out, const char *value);

#endif
