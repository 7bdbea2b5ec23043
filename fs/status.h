/* SPDX-License-Identifier: Apache-2.0 */
/* A mount's state for `s3efs status`: as JSON (the manual page documents the keys) and, from that, as text. */
#ifndef S3EFS_STATUS_H
#define S3EFS_STATUS_H

#include "base/buf.h"
#include "compose.h"

_must_check_ int status_json(struct compose *m, struct buf *out);
_must_check_ int status_text(struct compose *m, struct buf *out);
/* "2 files, 123 bytes; last error: ...": what is not in the bucket; "" if nothing. Cut to fit. */
void status_unsent(struct compose *m, char *out, size_t size);

#endif
