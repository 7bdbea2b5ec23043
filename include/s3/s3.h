/* SPDX-License-Identifier: Apache-2.0 */
/* The store contract on S3's HTTP API: requests, XML, error codes, checksums, retries (above
 * signing), multipart. Every attempt is counted in the meter. Requests without a deadline are
 * retried for ever on what may pass (hard), or until soft_timeout_ms. fs/s3/README.md has the error
 * table. */
#ifndef S3EFS_S3_S3_H
#define S3EFS_S3_S3_H

#include <stdbool.h>
#include "aws/cred.h"
#include "aws/endpoint.h"
#include "http/http.h"
#include "store/meter.h"
#include "store/store.h"

#define S3_SSE_C_KEY_LEN 32

enum s3_sse { S3_SSE_NONE, S3_SSE_S3, S3_SSE_KMS, S3_SSE_C };

struct s3_conf {
    struct endpoint endpoint;
    const char *bucket;
    enum s3_sse sse;
    const char *kms_key_id; /* SSE-KMS; NULL: the account's default key */
    const unsigned char *sse_c_key; /* S3_SSE_C_KEY_LEN bytes, borrowed; NULL without S3_SSE_C */
    const char *storage_class; /* NULL: the bucket's default (no header) */
    bool request_payer;
    const char *expected_owner; /* x-amz-expected-bucket-owner or NULL */
    bool etag_unquoted;         /* from the probe */
    int64_t soft_timeout_ms;    /* 0: hard */
    unsigned max_attempts;      /* 0: no limit but the deadline */
    unsigned retry_base_ms;     /* first backoff; 0: 50. Throttling: 20 times as long */
};
/* All are borrowed and must outlive the store. Threads start here (after the fork). */
_must_check_ int s3_new(const struct s3_conf *conf, struct http *http, struct cred *cred,
                        struct meter *meter, struct store **ret);
/* After the probe. */
void s3_set_etag_unquoted(struct store *s, bool unquoted);

#endif
