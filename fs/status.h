/* SPDX-License-Identifier: Apache-2.0 */
/* A mount's state for `s3efs status`: as JSON (the manual page documents the keys) and, from that, as text. */
#ifndef S3EFS_STATUS_H
#define S3EFS_STATUS_H

#include "base/buf.h"
#include "compose.h"

_must_check_ int status_json(struct compose *m, struct buf *out);
_must_check_ int status_text(struct compose *m, struct buf *out);
/* What `s3efs drain` is told at its end: r is the drain's result. */
_must_check_ int status_drained(struct compose *m, int r, const char *cause, struct buf *out);
#define STATUS_NAMES 10 /* of what is unsent */
/* "2 files, 123 bytes; last error: ...: name, name": what is not in the bucket; "" if nothing. Cut to fit. */
void status_unsent(struct compose *m, char *out, size_t size);

#endif
