/* SPDX-License-Identifier: Apache-2.0 */
/* The checksums that S3 stores with objects, each as a running sum, and their form in headers.
 * Threads: a sum belongs to one thread at a time. */
#ifndef S3EFS_S3_CHECKSUM_H
#define S3EFS_S3_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/macros.h"

enum checksum_kind {
    CHECKSUM_NONE,
    CHECKSUM_CRC64NVME,
    CHECKSUM_CRC32,
    CHECKSUM_CRC32C,
    CHECKSUM_SHA1,
    CHECKSUM_SHA256,
    CHECKSUM_MD5,
    CHECKSUM_KINDS
};
#define CHECKSUM_MAX_BYTES 32
#define CHECKSUM_BASE64_MAX 48

/* "x-amz-checksum-crc64nvme", ...; NULL for MD5 (that one is the ETag) and NONE. */
const char *checksum_header(enum checksum_kind kind);

struct checksum {
    enum checksum_kind kind;
    uint64_t crc;
    void *md; /* EVP_MD_CTX */
};
_must_check_ int checksum_init(struct checksum *c, enum checksum_kind kind);
_must_check_ int checksum_add(struct checksum *c, const void *data, size_t len);
/* The value (big-endian for CRCs, as it goes to base64) and its length. Ends the sum. */
_must_check_ int checksum_end(struct checksum *c, unsigned char out[CHECKSUM_MAX_BYTES],
                              size_t *ret_len);
void checksum_done(struct checksum *c); /* idempotent; legal on a zeroed struct */

_must_check_ int checksum_base64(const unsigned char *value, size_t len,
                                 char out[CHECKSUM_BASE64_MAX]);
/* Ends the sum in that form. */
_must_check_ int checksum_end_base64(struct checksum *c, char out[CHECKSUM_BASE64_MAX]);

#endif
