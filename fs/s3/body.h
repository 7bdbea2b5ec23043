/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies on their way through: sums of what is sent, checks of what is received.
 * Threads: body_out and body_in belong to the engine's thread while an attempt is under way. */
#ifndef S3EFS_S3_BODY_H
#define S3EFS_S3_BODY_H

#include "checksum.h"
#include "http/http.h"
#include "store/store.h"

#define BODY_SHA256_HEX 65

/* Reads the source once: its sum of this kind as base64, and its SHA-256 as hex (may be NULL).
 * 0, -ENOMEM, or what the source returned. */
_must_check_ int body_sum_source(const struct store_src *src, enum checksum_kind kind,
                                 char ret[CHECKSUM_BASE64_MAX], char ret_sha256[BODY_SHA256_HEX]);
void body_sum_bytes(const void *data, size_t len, char ret_sha256[BODY_SHA256_HEX]);

/* A GET's body: counted, summed with whatever the answer's headers allow to verify, passed to the
 * sink. */
struct body_in {
    const struct store_req *req;
    const struct http_call *call;
    uint64_t got;
    bool begun;
    struct checksum sum;
    char expected[80]; /* as the header or the ETag has it */
    int error; /* of the sink, or of an answer that can't be the one asked for: not to be retried */
};
void body_in_init(struct body_in *b, const struct store_req *req, const struct http_call *call);
void body_in_done(struct body_in *b); /* idempotent; legal on a zeroed struct */
int body_in_write(struct body_in *b, uint64_t off, const void *data, size_t len);
/* After the last byte: is it what was asked for, all of it, and unchanged? 0, RESPONSE_*, or
 * -errno. */
_must_check_ int body_in_verify(struct body_in *b);

#endif
