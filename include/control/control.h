/* SPDX-License-Identifier: Apache-2.0 */
/* A running mount's control socket (unix, 0600, in the mount's run directory): one line in ("status", "status json",
 * "drain", ...), text out, then "ok" or "error: ..." as the last line. The verbs are given at construction, so that
 * this module knows nothing of what they do. Server: one thread. Client: blocking calls of the command line. */
#ifndef S3EFS_CONTROL_CONTROL_H
#define S3EFS_CONTROL_CONTROL_H

#include "base/buf.h"
#include "base/macros.h"

struct control_verb {
    const char *name;
    int (*run)(void *arg, const char *params, struct buf *out); /* 0 or -errno with err_text() */
};
struct control;
_must_check_ int control_new(const char *path, const struct control_verb *verbs, size_t n, void *arg, struct control **ret);
_must_check_ int control_start(struct control *c);
void control_free(struct control *c); /* stops, removes the socket */

/* Sends one line and reads the answer. -ENOENT/-ECONNREFUSED: no daemon there. The peer's error text is in
 * err_text(). timeout_ms 0: none. */
_must_check_ int control_ask(const char *path, const char *line, int64_t timeout_ms, char **ret_text);

/* The socket of the mount at dir: /run/s3efs/<hash of the canonical path>.sock. */
_must_check_ int control_path(const char *mountpoint, char *out, size_t size);

#endif
