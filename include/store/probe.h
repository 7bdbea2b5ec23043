/* SPDX-License-Identifier: Apache-2.0 */
/* What is this server's word worth? Tries each condition on throw-away keys below `prefix` (for example
 * ".s3efs/probe/<random>/") and removes them; the prefix must be new for each run. It never tries a condition on a key of the user's, since a
 * server that ignores it has by then done the damage. Blocks; about 45 requests. */
#ifndef S3EFS_STORE_PROBE_H
#define S3EFS_STORE_PROBE_H

#include "store/store.h"

/* set_etag_unquoted (may be NULL): tried with true when PUT If-Match fails with the right ETag in quotes; left
 * on only if that helps.
 * 0, or -errno (-EACCES: not writable; the text says which request was refused). */
_must_check_ int store_probe(struct store *s, const char *prefix,
                             void (*set_etag_unquoted)(struct store *s, bool unquoted),
                             struct store_caps *ret);
/* One line "put-absent=yes put-match=yes ...", for the log, status and the remembered result. */
void store_caps_format(const struct store_caps *c, char *out, size_t size);
_must_check_ int store_caps_parse(const char *line, struct store_caps *ret);

#endif
