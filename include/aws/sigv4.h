/* SPDX-License-Identifier: Apache-2.0 */
/* AWS Signature Version 4, pure, in the three stages of the AWS documentation ("Signature Calculations for the
 * Authorization Header"), each of which the tests prove on the published vectors. Threads: any. */
#ifndef S3EFS_AWS_SIGV4_H
#define S3EFS_AWS_SIGV4_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/buf.h"

struct sigv4_hdr {
    const char *name, *value; /* name in any case */
};
struct sigv4_pair { /* a query parameter, not encoded */
    const char *name, *value;
};

struct sigv4_req {
    const char *method;
    const char *path;  /* not encoded, begins with '/' */
    const struct sigv4_pair *query;
    size_t n_query;
    const struct sigv4_hdr *headers; /* those to be signed; host and x-amz-date among them */
    size_t n_headers;
    const char *payload_hash; /* hex SHA-256, or "UNSIGNED-PAYLOAD", or a STREAMING-... word */
    bool double_encode;       /* false for S3; true for STS, CloudFront, SQS (path also normalised) */
};
struct sigv4_scope {
    const char *access_key, *secret;
    const char *region, *service;
    char date[17]; /* yyyymmddThhmmssZ */
};

void sigv4_date(int64_t wall_ns, char out[17]);
/* Path and query as they are sent: "/a%20b?list-type=2&prefix=". The path is never normalised here: S3's keys
 * may have "//" and ".."; the signature of other services normalises its own copy. */
_must_check_ int sigv4_target(const struct sigv4_req *req, struct buf *ret);
_must_check_ int sigv4_canonical(const struct sigv4_req *req, struct buf *ret, struct buf *ret_signed_names);
_must_check_ int sigv4_string_to_sign(const char *canonical, const struct sigv4_scope *s, struct buf *ret);
/* The signing key is kept for the day in `cache` when it is not NULL (guarded by the caller; zeroed at first,
 * and to be wiped with OPENSSL_cleanse at the end). */
struct sigv4_key {
    char date[9], region[64], service[32], access_key[129];
    unsigned char secret_sum[32], key[32];
    bool valid;
};
_must_check_ int sigv4_signature(const char *string_to_sign, const struct sigv4_scope *s,
                                 struct sigv4_key *cache, char ret_hex[65]);
/* All three: the value of the Authorization header. */
_must_check_ int sigv4_authorization(const struct sigv4_req *req, const struct sigv4_scope *s,
                                     struct sigv4_key *cache, struct buf *ret);

#endif
