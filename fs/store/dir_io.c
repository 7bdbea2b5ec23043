/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes between bodies and files, with their MD5 taken on the way. */
#include <errno.h>
#include <string.h>
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"
#include "dir_int.h"

#define CHUNK ((size_t)128 << 10)

EVP_MD_CTX *dir_io_md5_new(void)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx != NULL && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1)
        return ctx;
    EVP_MD_CTX_free(ctx);
    return NULL;
}

int dir_io_md5_end(EVP_MD_CTX *ctx, unsigned char md5[STORE_MD5_LEN])
{
    unsigned len = 0;
    return EVP_DigestFinal_ex(ctx, md5, &len) == 1 ? 0
                                                   : err_set(-EIO, "the digest of a body failed");
}

static void md5_freep(EVP_MD_CTX **ctx)
{
    EVP_MD_CTX_free(*ctx);
}
#define _cleanup_md5_ _cleanup_(md5_freep)

static size_t piece(uint64_t left)
{
    return left < CHUNK ? (size_t)left : CHUNK;
}

static int sum(EVP_MD_CTX *ctx, const void *data, size_t len)
{
    return ctx == NULL || EVP_DigestUpdate(ctx, data, len) == 1
               ? 0
               : err_set(-EIO, "the digest of a body failed");
}

int dir_io_from_src(const struct store_src *src, int fd, unsigned char md5[STORE_MD5_LEN])
{
    _cleanup_free_ char *buf = malloc(CHUNK);
    _cleanup_md5_ EVP_MD_CTX *ctx = dir_io_md5_new();
    if (buf == NULL || ctx == NULL)
        return err_set(-ENOMEM, "no memory for a body");
    for (uint64_t off = 0; off < src->size;) {
        size_t len = piece(src->size - off);
        int r = src->read(src->ctx, off, buf, len);
        if (r < 0)
            return r;
        r = sys_pwrite_all(fd, buf, len, off);
        if (r < 0)
            return dir_fail(r, "writing an object");
        r = sum(ctx, buf, len);
        if (r < 0)
            return r;
        off += len;
    }
    return dir_io_md5_end(ctx, md5);
}

int dir_io_copy(int from, uint64_t off, uint64_t len, int to, uint64_t to_off, EVP_MD_CTX *whole,
                unsigned char md5[STORE_MD5_LEN])
{
    _cleanup_free_ char *buf = malloc(CHUNK);
    _cleanup_md5_ EVP_MD_CTX *ctx = dir_io_md5_new();
    if (buf == NULL || ctx == NULL)
        return err_set(-ENOMEM, "no memory for a body");
    for (uint64_t done = 0; done < len;) {
        size_t n = piece(len - done);
        int r = sys_pread_all(from, buf, n, off + done);
        if (r < 0)
            return dir_fail(r, "reading an object");
        r = sys_pwrite_all(to, buf, n, to_off + done);
        if (r < 0)
            return dir_fail(r, "writing an object");
        r = sum(ctx, buf, n);
        if (r == 0)
            r = sum(whole, buf, n);
        if (r < 0)
            return r;
        done += n;
    }
    return dir_io_md5_end(ctx, md5);
}

int dir_io_to_sink(int fd, uint64_t off, uint64_t len, const struct store_sink *sink,
                   const unsigned char *want)
{
    _cleanup_free_ char *buf = malloc(CHUNK);
    _cleanup_md5_ EVP_MD_CTX *ctx = dir_io_md5_new();
    unsigned char md5[STORE_MD5_LEN];
    if (buf == NULL || ctx == NULL)
        return err_set(-ENOMEM, "no memory for a body");
    for (uint64_t done = 0; done < len;) {
        size_t n = piece(len - done);
        int r = sys_pread_all(fd, buf, n, off + done);
        if (r < 0)
            return dir_fail(r, "reading an object");
        r = sum(want == NULL ? NULL : ctx, buf, n);
        if (r == 0)
            r = sink->write(sink->ctx, done, buf, n);
        if (r < 0)
            return r;
        done += n;
    }
    if (want == NULL)
        return 0;
    int r = dir_io_md5_end(ctx, md5);
    if (r == 0 && memcmp(md5, want, sizeof(md5)) != 0)
        r = err_set(-EIO, "an object's bytes are not those that were put: the MD5 differs");
    return r;
}
