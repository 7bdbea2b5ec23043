/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-256 of a key. The name of a record must not depend on there being memory: mounts that take
 * different records for one key would both have it. EVP_Digest() allocates; the older calls work in
 * our own context. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>
#include <string.h>

#include "internal.h"

_Static_assert(COORD_HASH == SHA256_DIGEST_LENGTH, "the size of a SHA-256");

void coord_hash(const char *key, unsigned char ret[COORD_HASH])
{
    SHA256_CTX ctx;

    SHA256_Init(&ctx);
    SHA256_Update(&ctx, key, strlen(key));
    SHA256_Final(ret, &ctx);
}
