/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes as other tools write them into metadata: s3fs, rclone, geesefs, s3sync. Pure. */
#ifndef S3EFS_VFS_THEIRS_H
#define S3EFS_VFS_THEIRS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "store/store.h"

/* How many digits s begins with, 1 to max of them, and their value; 0: it is no such number. */
size_t theirs_number(const char *s, size_t max, uint64_t *ret);
/* The mode with or without a type; false: none is told. */
bool theirs_mode(const struct store_hdrs *h, uint64_t *ret);
/* name: mtime, atime or ctime. */
bool theirs_time(const struct store_hdrs *h, const char *name, int64_t *ret_ns);
bool theirs_rdev(const struct store_hdrs *h, uint64_t *ret);
/* geesefs keeps a symbolic link's target in metadata, its object is empty. */
bool theirs_link_target(const struct store_hdrs *h, struct buf *ret);
/* What our own metadata says from now on. */
void theirs_drop(struct store_hdrs *h);

#endif
