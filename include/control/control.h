/* SPDX-License-Identifier: Apache-2.0 */
/* A running mount's control socket (unix, 0600, in a 0700 directory): one line in ("status", "status json", "drain",
 * ...), text out, then "ok" or "error: ..." as the last line. The verbs are given at construction, so that this
 * module knows nothing of what they do.
 * Server: one thread that accepts and one for each connection (CONTROL_CLIENTS at most), so that a status is
 * answered while a drain waits. Client: blocking calls of the command line. */
#ifndef S3EFS_CONTROL_CONTROL_H
#define S3EFS_CONTROL_CONTROL_H

#include <stdint.h>
#include <sys/types.h>
#include "base/buf.h"
#include "base/macros.h"

#define CONTROL_CLIENTS 16
#define CONTROL_LINE_MAX 1024
#define CONTROL_TEXT_MAX (4u << 20)

struct control_verb {
    const char *name;
    /* 0 or -errno with err_text(). params: what follows the name, without the blank; "" if nothing. Runs on a
     * connection's thread with no lock held; may block. */
    int (*run)(void *arg, const char *params, struct buf *out);
};
struct control;
/* Binds the socket (no thread yet). -EBUSY: a daemon answers there already. */
_must_check_ int control_new(const char *path, const struct control_verb *verbs, size_t n, void *arg, struct control **ret);
_must_check_ int control_start(struct control *c);
/* Stops, waits for the verbs that run, removes the socket. NULL is fine. */
void control_free(struct control *c);

/* Sends one line and reads the answer (free() it), without its last line. -ENOENT/-ECONNREFUSED: no daemon there;
 * -ETIMEDOUT; -ECONNRESET: it went away before the end of its answer; -EREMOTEIO: it answered "error", and its text is
 * in err_text(). timeout_ms 0: none. */
_must_check_ int control_ask(const char *path, const char *line, int64_t timeout_ms, char **ret_text);
/* The daemon's process id; 0 if it can't be seen from this pid namespace. */
_must_check_ int control_peer(const char *path, pid_t *ret);

/* The socket of the mount at mountpoint (a canonical path): /run/s3efs/<hash>.sock for root, under
 * $XDG_RUNTIME_DIR for others, else /tmp/s3efs-UID/. -ENAMETOOLONG. */
_must_check_ int control_path(const char *mountpoint, char *out, size_t size);

#endif
