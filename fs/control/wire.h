/* SPDX-License-Identifier: Apache-2.0 */
/* What the two ends of the socket share. */
#ifndef S3EFS_FS_CONTROL_WIRE_H
#define S3EFS_FS_CONTROL_WIRE_H

#include "base/buf.h"
#include "base/macros.h"

/* One line of at most CONTROL_LINE_MAX bytes as it comes in pieces: n more bytes stand at line + *len. 0: it is whole,
 * and a string; 1: more is needed, *len is raised; -E2BIG; -EINVAL: a NUL byte in it. */
_must_check_ int wire_take_bytes(char *line, size_t *len, size_t n);
/* A connected descriptor. -ENOENT, -ECONNREFUSED, ... */
_must_check_ int wire_connect(const char *path);
/* fills sun_path; -ENAMETOOLONG */
struct sockaddr_un;
_must_check_ int wire_address(const char *path, struct sockaddr_un *ret);
/* All bytes, no SIGPIPE. */
_must_check_ int wire_send(int fd, const void *data, size_t len);
/* The result of a verb as the last line. text may hold anything; it becomes one line. */
void wire_add_result(struct buf *out, int r, const char *text);
/* Takes the last line off text. 0: "ok"; -EREMOTEIO: "error: ...", its text in err_text(); -ECONNRESET: neither. */
_must_check_ int wire_take_result(char *text);

#endif
