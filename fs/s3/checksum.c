/* SPDX-License-Identifier: Apache-2.0 */
/* One interface over our own CRCs, zlib's and OpenSSL's digests. */
#include "checksum.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <zlib.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "crc.h"

static const char *const headers[CHECKSUM_KINDS] = {
    [CHECKSUM_CRC64NVME] = "x-amz-checksum-crc64nvme", [CHECKSUM_CRC32] = "x-amz-checksum-crc32",
    [CHECKSUM_CRC32C] = "x-amz-checksum-crc32c",       [CHECKSUM_SHA1] = "x-amz-checksum-sha1",
    [CHECKSUM_SHA256] = "x-amz-checksum-sha256",
};

const char *checksum_header(enum checksum_kind kind)
{
    return headers[kind];
}

static const EVP_MD *digest_of(enum checksum_kind kind)
{
    if (kind == CHECKSUM_SHA1)
        return EVP_sha1();
    if (kind == CHECKSUM_SHA256)
        return EVP_sha256();
    return kind == CHECKSUM_MD5 ? EVP_md5() : NULL;
}

int checksum_init(struct checksum *c, enum checksum_kind kind)
{
    const EVP_MD *md = digest_of(kind);

    checksum_done(c);
    c->kind = kind;
    if (md == NULL)
        return 0;
    c->md = EVP_MD_CTX_new();
    if (c->md == NULL)
        return err_set(-ENOMEM, "no memory for a checksum");
    if (EVP_DigestInit_ex(c->md, md, NULL) != 1) {
        checksum_done(c);
        return err_set(-EIO, "the crypto library refuses a digest");
    }
    return 0;
}

/* zlib counts in unsigned int. */
static uint32_t add_crc32(uint32_t crc, const unsigned char *p, size_t len)
{
    while (len > 0) {
        unsigned step = len < (1u << 30) ? (unsigned)len : 1u << 30;

        crc = (uint32_t)crc32(crc, p, step);
        p += step;
        len -= step;
    }
    return crc;
}

int checksum_add(struct checksum *c, const void *data, size_t len)
{
    if (c->kind == CHECKSUM_CRC64NVME)
        c->crc = crc64nvme(c->crc, data, len);
    else if (c->kind == CHECKSUM_CRC32)
        c->crc = add_crc32((uint32_t)c->crc, data, len);
    else if (c->kind == CHECKSUM_CRC32C)
        c->crc = crc32c((uint32_t)c->crc, data, len);
    else if (c->md != NULL && EVP_DigestUpdate(c->md, data, len) != 1)
        return err_set(-EIO, "the crypto library failed in a digest");
    return 0;
}

static void big_endian(uint64_t v, unsigned char *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (unsigned char)(v >> 8 * (len - 1 - i));
}

int checksum_end(struct checksum *c, unsigned char out[CHECKSUM_MAX_BYTES], size_t *ret_len)
{
    unsigned len = 0;

    if (c->md != NULL) {
        if (EVP_DigestFinal_ex(c->md, out, &len) != 1)
            return err_set(-EIO, "the crypto library failed in a digest");
        *ret_len = len;
    } else {
        *ret_len = c->kind == CHECKSUM_CRC64NVME ? 8 : 4;
        big_endian(c->crc, out, *ret_len);
    }
    checksum_done(c);
    return 0;
}

void checksum_done(struct checksum *c)
{
    EVP_MD_CTX_free(c->md);
    *c = (struct checksum){.kind = CHECKSUM_NONE};
}

int checksum_base64(const unsigned char *value, size_t len, char out[CHECKSUM_BASE64_MAX])
{
    _cleanup_buf_ struct buf b = BUF_INIT(CHECKSUM_BASE64_MAX);

    if (str_base64(&b, value, len) != 0 || b.len >= CHECKSUM_BASE64_MAX)
        return err_set(-ENOMEM, "no memory for a checksum");
    return str_copy(out, CHECKSUM_BASE64_MAX, buf_str(&b));
}

int checksum_end_base64(struct checksum *c, char out[CHECKSUM_BASE64_MAX])
{
    unsigned char value[CHECKSUM_MAX_BYTES];
    size_t len;
    int r = checksum_end(c, value, &len);

    return r == 0 ? checksum_base64(value, len, out) : r;
}
