/* SPDX-License-Identifier: Apache-2.0 */
/* A file's user.* attributes as one header's value: printable, without blanks and commas, so that no
 * server or proxy changes it.
 *
 *   name=text;name:base64;...
 *
 * Names (without "user.") and texts are percent-encoded; a value is written in the form that is
 * shorter. What does not parse is not there, and goes with the next change. Pure. */
#ifndef S3EFS_VFS_XATTR_CODE_H
#define S3EFS_VFS_XATTR_CODE_H

#include <stddef.h>
#include <sys/types.h>
#include "base/buf.h"
#include "base/macros.h"
#include "store/store.h"

#define XATTR_CODE_HDR STORE_USER_META "s3efs-xattr"
#define XATTR_CODE_MAX 4096 /* of a header that is read; S3 keeps half of it */

/* 0 and the value in *ret (initialised, empty); -ENODATA; -ENOMEM. code NULL: there are none. */
_must_check_ int xattr_code_get(const char *code, const char *name, struct buf *ret);
/* The names, "user." before and a NUL behind each. */
_must_check_ int xattr_code_list(const char *code, struct buf *ret);
/* The code with name set to a value, or without it (value NULL). *ret "" when none is left. -E2BIG. */
_must_check_ int xattr_code_set(const char *code, const char *name, const void *value, size_t len,
                                struct buf *ret);

#endif
