/* SPDX-License-Identifier: Apache-2.0 */
/* The older calls of libcrypto, which work in a context of ours. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/sha256.h"

#include <openssl/sha.h>

_Static_assert(SHA256_LEN == SHA256_DIGEST_LENGTH, "the size of a SHA-256");

void sha256_parts(const struct sha256_part *parts, size_t n, unsigned char ret[SHA256_LEN])
{
    SHA256_CTX ctx;

    SHA256_Init(&ctx);
    for (size_t i = 0; i < n; i++)
        SHA256_Update(&ctx, parts[i].p, parts[i].len);
    SHA256_Final(ret, &ctx);
}

void sha256_bytes(const void *p, size_t len, unsigned char ret[SHA256_LEN])
{
    sha256_parts(&(struct sha256_part){p, len}, 1, ret);
}
