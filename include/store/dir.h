/* SPDX-License-Identifier: Apache-2.0 */
/* A bucket in a local directory (file:///dir): the embedded default. The same conditions, ETags (MD5,
 * md5-of-md5s "-N" for multipart), headers, listing order and multipart as S3; atomic under kill -9; several
 * processes may use one directory at once. fs/store/README.md has the layout on disk. */
#ifndef S3EFS_STORE_DIR_H
#define S3EFS_STORE_DIR_H

#include "store/meter.h"
#include "store/store.h"

/* create: make the directory if it is missing. Calls are synchronous (done runs inside store_submit).
 * -ENOENT, -ENOTDIR, -EACCES, -EOPNOTSUPP (no user xattrs there), with err_text(). */
_must_check_ int store_dir_new(const char *path, bool create, struct meter *meter, struct store **ret);

#endif
