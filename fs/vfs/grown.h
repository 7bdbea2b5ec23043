/* SPDX-License-Identifier: Apache-2.0 */
/* Which versions of a file are one that was there before with bytes added at its end (protocol 7).
 * An object that a commit made so says it in a header: "<its size> <line> <digest of an ETag>",
 * where the line is a random number that all versions have which were grown from one another, and
 * the ETag that of the one before the first of them. (An ETag alone would not do: a log that is
 * emptied and grows again has begun from the same bytes twice.) Another tool that puts other bytes
 * there and keeps the headers changes the size. */
#ifndef S3EFS_VFS_GROWN_H
#define S3EFS_VFS_GROWN_H

#include <stdbool.h>
#include <stdint.h>
#include "base/macros.h"
#include "store/store.h"

/* `size` bytes, of which the first are those of a version with `hdrs` (changed in place), `etag`
 * and `old_size`. */
_must_check_ int grown_set(struct store_hdrs *hdrs, const struct store_etag *etag,
                           uint64_t old_size, uint64_t size);
/* The bytes are new. */
void grown_unset(struct store_hdrs *hdrs);
/* Does `now` begin with the bytes of that version? false also where nobody knows. */
bool grown_is_from(const struct store_hdrs *hdrs, const struct store_etag *etag, uint64_t old_size,
                   const struct store_obj *now);

#endif
