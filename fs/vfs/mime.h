/* SPDX-License-Identifier: Apache-2.0 */
/* The media type of a file: from its first bytes (the signatures of the WHATWG MIME Sniffing
 * Standard that need no context), else from its name. Pure. */
#ifndef S3EFS_VFS_MIME_H
#define S3EFS_VFS_MIME_H

#include <stdbool.h>
#include <stddef.h>

#define MIME_HEAD 64 /* bytes that are looked at */
#define MIME_UNKNOWN "application/octet-stream"

/* NULL: these bytes tell nothing. */
const char *mime_from_bytes(const unsigned char *head, size_t len);
/* NULL: no known suffix. */
const char *mime_from_name(const char *name);
/* A type that says nothing about the bytes: another one is better. */
bool mime_is_vague(const char *type);

#endif
