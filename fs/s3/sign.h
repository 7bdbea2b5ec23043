/* SPDX-License-Identifier: Apache-2.0 */
/* A message as it goes on the wire: URL and header lines, signed for one moment. */
#ifndef S3EFS_S3_SIGN_H
#define S3EFS_S3_SIGN_H

#include "aws/cred.h"
#include "aws/endpoint.h"
#include "aws/sigv4.h"
#include "request.h"

struct wire {
    char *url;
    char **headers;
    size_t n_headers;
};
/* Anonymous credentials (no access key) leave the message unsigned. key: the day's signing key,
 * kept and renewed here. 0, -ENOMEM or -EINVAL. */
_must_check_ int wire_build(const struct message *m, const struct endpoint *endpoint,
                            const struct aws_cred *cred, const char *payload_hash, int64_t wall_ns,
                            struct sigv4_key *key, struct wire *ret);
void wire_done(struct wire *w); /* wipes what is secret; idempotent */

#endif
