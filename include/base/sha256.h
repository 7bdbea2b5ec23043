/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of bytes in memory, without any memory of its own, so that it can't fail: what a thing is
 * called, and whether a request is signed right, must not depend on there being memory. (OpenSSL's
 * EVP_Digest() and SHA256() allocate.) Threads: any. */
#ifndef S3EFS_BASE_SHA256_H
#define S3EFS_BASE_SHA256_H

#include <stddef.h>

#define SHA256_LEN 32

struct sha256_part {
    const void *p;
    size_t len;
};
/* Of the parts in a row. */
void sha256_parts(const struct sha256_part *parts, size_t n, unsigned char ret[SHA256_LEN]);
void sha256_bytes(const void *p, size_t len, unsigned char ret[SHA256_LEN]);

#endif
