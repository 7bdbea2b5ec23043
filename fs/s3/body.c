/* SPDX-License-Identifier: Apache-2.0 */
/* A whole object is verified by the checksum that came with it, else by its ETag where that is an
 * MD5: S3 API reference, "Checking object integrity". A part can't be: there the length and the
 * version are checked. */
#include "body.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/err.h"
#include "base/sha256.h"
#include "base/str.h"
#include "response.h"

#define SUM_STEP (256u << 10)

int body_sum_source(const struct store_src *src, enum checksum_kind kind,
                    char ret[CHECKSUM_BASE64_MAX], char ret_sha256[BODY_SHA256_HEX])
{
    _cleanup_(checksum_done) struct checksum sum = {0}, sha = {0};
    _cleanup_free_ void *buf = malloc(SUM_STEP);
    unsigned char value[CHECKSUM_MAX_BYTES];
    size_t len;
    int r = buf != NULL ? checksum_init(&sum, kind) : err_set(-ENOMEM, "no memory for a checksum");

    if (r == 0 && ret_sha256 != NULL)
        r = checksum_init(&sha, CHECKSUM_SHA256);
    for (uint64_t off = 0; r == 0 && off < src->size; off += len) {
        len = src->size - off < SUM_STEP ? (size_t)(src->size - off) : SUM_STEP;
        r = src->read(src->ctx, off, buf, len);
        if (r == 0)
            r = checksum_add(&sum, buf, len);
        if (r == 0 && ret_sha256 != NULL)
            r = checksum_add(&sha, buf, len);
    }
    if (r == 0)
        r = checksum_end_base64(&sum, ret);
    if (r == 0 && ret_sha256 != NULL) {
        r = checksum_end(&sha, value, &len);
        if (r == 0)
            str_hex(value, len, ret_sha256);
    }
    return r;
}

void body_sum_bytes(const void *data, size_t len, char ret_sha256[BODY_SHA256_HEX])
{
    unsigned char value[SHA256_LEN];

    sha256_bytes(data, len, value);
    str_hex(value, sizeof(value), ret_sha256);
}

void body_in_init(struct body_in *b, const struct store_req *req, const struct http_call *call)
{
    body_in_done(b);
    *b = (struct body_in){.req = req, .call = call};
}

void body_in_done(struct body_in *b)
{
    checksum_done(&b->sum);
}

/* Does this answer hold the whole object? Asked before the status is known: a 206 has a
 * Content-Range. */
static bool is_whole(const struct http_call *call)
{
    const char *range = http_call_header(call, "content-range");
    uint64_t first, last, total;

    return range == NULL || (response_content_range(range, &first, &last, &total) == 0 &&
                             first == 0 && last + 1 == total);
}

/* Encrypted with a key of KMS or of the customer, the ETag is no MD5 of what we read. */
static bool etag_is_md5(const struct http_call *call, const struct store_etag *etag)
{
    const char *sse = http_call_header(call, "x-amz-server-side-encryption");
    unsigned char md5[16];

    return (sse == NULL || !str_starts(sse, "aws:")) &&
           http_call_header(call, "x-amz-server-side-encryption-customer-algorithm") == NULL &&
           str_unhex(etag->s, md5, sizeof(md5)) == 0;
}

/* What this answer can be verified by; expected is set with it. */
static enum checksum_kind choose_sum(const struct http_call *call, char *expected, size_t size)
{
    const char *type = http_call_header(call, "x-amz-checksum-type");
    const char *etag_header = http_call_header(call, "etag");
    struct store_etag etag;

    if (!is_whole(call))
        return CHECKSUM_NONE;
    for (enum checksum_kind k = CHECKSUM_CRC64NVME; k <= CHECKSUM_SHA256; k++) {
        const char *value = http_call_header(call, checksum_header(k));

        /* A sum of the parts' sums ("...-3") says nothing of the bytes in a row. */
        if (value != NULL && strchr(value, '-') == NULL && str_copy(expected, size, value) == 0 &&
            (type == NULL || strcmp(type, "COMPOSITE") != 0))
            return k;
    }
    etag = store_etag_make(etag_header != NULL ? etag_header : "");
    if (!etag_is_md5(call, &etag) || str_copy(expected, size, etag.s) != 0)
        return CHECKSUM_NONE;
    return CHECKSUM_MD5;
}

static int begin(struct body_in *b)
{
    const struct store_req *req = b->req;
    const char *length = http_call_header(b->call, "content-length");
    uint64_t n = 0;

    b->begun = true;
    b->got = 0;
    if (http_call_header(b->call, "content-range") == NULL &&
        (req->range.off != 0 || req->range.len != 0)) {
        bool fits = req->range.off == 0 && length != NULL && str_u64(length, 10, &n) == 0 &&
                    n <= req->range.len;

        if (!fits)
            return err_set(-EIO, "the server sent the whole object for a range of it");
    }
    return checksum_init(&b->sum, choose_sum(b->call, b->expected, sizeof(b->expected)));
}

int body_in_write(struct body_in *b, uint64_t off, const void *data, size_t len)
{
    const struct store_sink *sink = b->req->sink;
    int r = off == 0 || !b->begun ? begin(b) : 0;

    if (r == 0 && off != b->got)
        r = err_set(-EIO, "a body out of order");
    if (r == 0 && b->req->range.len != 0 && b->req->range.len - b->got < len)
        r = err_set(-EIO, "the server sent more than the range asked for");
    if (r == 0)
        r = checksum_add(&b->sum, data, len);
    if (r == 0 && sink != NULL)
        r = sink->write(sink->ctx, off, data, len);
    if (r < 0)
        b->error = r;
    b->got += len;
    return r;
}

static int broken(const char *why)
{
    err_set(-EIO, "%s", why);
    return RESPONSE_BROKEN;
}

/* All the bytes, and those that were asked for. */
static int check_extent(const struct body_in *b)
{
    const struct store_req *req = b->req;
    const char *range = http_call_header(b->call, "content-range");
    const char *length = http_call_header(b->call, "content-length");
    uint64_t first, last, total, want;

    if (b->call->status != 206) {
        if (req->range.off != 0)
            return err_set(-EIO, "the server sent the whole object for a range of it");
        if (length != NULL && (str_u64(length, 10, &want) != 0 || want != b->got))
            return broken("a body shorter than its Content-Length");
        return 0;
    }
    if (range == NULL || response_content_range(range, &first, &last, &total) != 0)
        return broken("a part of an object without a valid Content-Range");
    want = req->range.len;
    if (want == 0 || want > total - first)
        want = total - first;
    if (first != req->range.off || last - first + 1 != want)
        return broken("another range than the one asked for");
    return b->got == want ? 0 : broken("a body shorter than its Content-Range");
}

static int check_sum(struct body_in *b)
{
    enum checksum_kind kind = b->sum.kind;
    unsigned char value[CHECKSUM_MAX_BYTES];
    char text[80];
    size_t len;
    int r;

    if (kind == CHECKSUM_NONE)
        return 0;
    r = checksum_end(&b->sum, value, &len);
    if (r == 0 && kind == CHECKSUM_MD5)
        str_hex(value, len, text);
    else if (r == 0)
        r = checksum_base64(value, len, text);
    if (r != 0 ||
        (kind == CHECKSUM_MD5 ? strcasecmp(text, b->expected) : strcmp(text, b->expected)) == 0)
        return r;
    err_set(-EIO, "the body's %s is %s and should be %s (%" PRIu64 " bytes)",
            kind == CHECKSUM_MD5 ? "MD5" : checksum_header(kind), text, b->expected, b->got);
    return RESPONSE_MISMATCH;
}

int body_in_verify(struct body_in *b)
{
    const char *etag_header = http_call_header(b->call, "etag");
    struct store_etag etag = store_etag_make(etag_header != NULL ? etag_header : "");
    int r = b->begun ? 0 : begin(b);

    if (r == 0)
        r = check_extent(b);
    if (r == 0 && b->req->cond.kind == STORE_IF_MATCH &&
        !store_etag_equal(&etag, &b->req->cond.etag))
        r = RESPONSE_PRECONDITION;
    return r == 0 ? check_sum(b) : r;
}
