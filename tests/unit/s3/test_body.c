/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "../../../fs/s3/body.h"
#include "../../../fs/s3/response.h"
#include "base/err.h"
#include "fake_http.h"

#define DIGITS "123456789"
#define MD5_OF_DIGITS "25f9e794323b453885f5181f1b624d0b"
#define SHA256_OF_DIGITS "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"

/* Feeds a body to a GET of this range under this answer, a few bytes at a time. */
static int receive(struct store_req *req, const char *body, const char *const *headers, int status)
{
    struct body_in in = {0};
    struct http_call call;
    size_t len = strlen(body);
    int r = 0;

    fake_answer(&call, status, headers, "", 0);
    body_in_init(&in, req, &call);
    for (size_t off = 0; off < len && r == 0; off += 4)
        r = body_in_write(&in, off, body + off, len - off < 4 ? len - off : 4);
    if (r < 0)
        assert_int_equal(in.error, r);
    call.received = len;
    if (r == 0)
        r = body_in_verify(&in);
    body_in_done(&in);
    http_call_done(&call);
    return r;
}

#define RECEIVE(req, status, body, ...)                                                            \
    receive((req), (body), (const char *const[]){__VA_ARGS__, NULL}, (status))

static void whole_by_checksum(void **state)
{
    static const struct {
        const char *name, *value;
    } rows[] = {
        {"x-amz-checksum-crc64nvme", "rosUhgp5mIg="},
        {"x-amz-checksum-crc32", "y/Q5Jg=="},
        {"x-amz-checksum-crc32c", "4waSgw=="},
        {"x-amz-checksum-sha1", "98O8HYCOBHMq32eZZczDTKeuNEE="},
        {"x-amz-checksum-sha256", "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU="},
    };
    struct store_req req = {.op = STORE_GET, .key = "k"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(RECEIVE(&req, 200, DIGITS, "content-length", "9", "etag", "\"o-1\"",
                                 rows[i].name, rows[i].value),
                         0);
        assert_int_equal(RECEIVE(&req, 200, "123456780", "content-length", "9", "etag", "\"o-1\"",
                                 rows[i].name, rows[i].value),
                         RESPONSE_MISMATCH);
    }
    /* Sums of sums say nothing of the bytes. */
    assert_int_equal(
        RECEIVE(&req, 200, DIGITS, "etag", "\"o-1\"", "x-amz-checksum-sha256", "abc=-2"), 0);
    assert_int_equal(RECEIVE(&req, 200, DIGITS, "etag", "\"o-1\"", "x-amz-checksum-crc32",
                             "AAAAAA==", "x-amz-checksum-type", "COMPOSITE"),
                     0);
}

static void whole_by_etag(void **state)
{
    struct store_req req = {.op = STORE_GET, .key = "k"};
    static const char sse[] = "x-amz-server-side-encryption";

    (void)state;
    assert_int_equal(RECEIVE(&req, 200, DIGITS, "etag", "\"" MD5_OF_DIGITS "\""), 0);
    assert_int_equal(RECEIVE(&req, 200, "12345678X", "etag", "\"" MD5_OF_DIGITS "\""),
                     RESPONSE_MISMATCH);
    assert_int_equal(RECEIVE(&req, 200, "", "etag", "\"" MD5_OF_DIGITS "\""), RESPONSE_MISMATCH);
    assert_int_equal(RECEIVE(&req, 200, "", "etag", "\"d41d8cd98f00b204e9800998ecf8427e\""), 0);
    assert_int_equal(RECEIVE(&req, 200, "x", "etag", "\"" MD5_OF_DIGITS "\"", sse, "AES256"),
                     RESPONSE_MISMATCH);
    /* No MD5s: a multipart object, and objects under keys of KMS or of the customer. */
    assert_int_equal(RECEIVE(&req, 200, "x", "etag", "\"" MD5_OF_DIGITS "-2\""), 0);
    assert_int_equal(RECEIVE(&req, 200, "x", "etag", "\"" MD5_OF_DIGITS "\"", sse, "aws:kms"), 0);
    assert_int_equal(RECEIVE(&req, 200, "x", "etag", "\"" MD5_OF_DIGITS "\"", sse, "aws:kms:dsse"),
                     0);
    assert_int_equal(RECEIVE(&req, 200, "x", "etag", "\"" MD5_OF_DIGITS "\"",
                             "x-amz-server-side-encryption-customer-algorithm", "AES256"),
                     0);
}

static void ranges(void **state)
{
    struct store_req req = {.op = STORE_GET, .key = "k", .range = {.off = 2, .len = 5}};

    (void)state;
    assert_int_equal(RECEIVE(&req, 206, "34567", "content-range", "bytes 2-6/9", "etag", "\"e\""),
                     0);
    assert_int_equal(RECEIVE(&req, 206, "3456", "content-range", "bytes 2-6/9", "etag", "\"e\""),
                     RESPONSE_BROKEN);
    assert_int_equal(RECEIVE(&req, 206, "3456", "content-range", "bytes 2-5/9", "etag", "\"e\""),
                     RESPONSE_BROKEN);
    assert_int_equal(RECEIVE(&req, 206, "12345", "content-range", "bytes 0-4/9", "etag", "\"e\""),
                     RESPONSE_BROKEN);
    assert_int_equal(RECEIVE(&req, 206, "34567", "content-range", "rubbish", "etag", "\"e\""),
                     RESPONSE_BROKEN);
    /* The end of the object is nearer than the end of the range. */
    assert_int_equal(RECEIVE(&req, 206, "34", "content-range", "bytes 2-3/4", "etag", "\"e\""), 0);
    /* Bytes that were not asked for never reach the sink. */
    assert_int_equal(RECEIVE(&req, 206, "345678", "content-range", "bytes 2-6/9"), -EIO);
    assert_int_equal(RECEIVE(&req, 200, DIGITS, "content-length", "9"), -EIO);
    assert_int_equal(RECEIVE(&req, 200, "", "content-length", "0"), -EIO);
    req.range.off = 0;
    assert_int_equal(RECEIVE(&req, 200, DIGITS, "content-length", "9"), -EIO);
    /* A server without ranges: the whole object lies within this one. */
    assert_int_equal(RECEIVE(&req, 200, "123", "content-length", "3", "etag", "\"e\""), 0);
    /* A range that turns out to be the whole object is verified. */
    req.range.len = 100;
    assert_int_equal(
        RECEIVE(&req, 206, DIGITS, "content-range", "bytes 0-8/9", "etag", "\"" MD5_OF_DIGITS "\""),
        0);
    assert_int_equal(RECEIVE(&req, 206, "123456780", "content-range", "bytes 0-8/9", "etag",
                             "\"" MD5_OF_DIGITS "\""),
                     RESPONSE_MISMATCH);
    req.range.off = 4;
    req.range.len = 0;
    assert_int_equal(RECEIVE(&req, 206, "56789", "content-range", "bytes 4-8/9", "etag", "\"e\""),
                     0);
}

static void other_version(void **state)
{
    struct store_req req = {.op = STORE_GET,
                            .key = "k",
                            .range = {.off = 2, .len = 2},
                            .cond = {.kind = STORE_IF_MATCH, .etag = {"e"}}};

    (void)state;
    assert_int_equal(RECEIVE(&req, 206, "34", "content-range", "bytes 2-3/9", "etag", "\"e\""), 0);
    assert_int_equal(RECEIVE(&req, 206, "34", "content-range", "bytes 2-3/9", "etag", "\"f\""),
                     RESPONSE_PRECONDITION);
}

static int fail_write(void *ctx, uint64_t off, const void *data, size_t len)
{
    (void)ctx;
    (void)off;
    (void)data;
    (void)len;
    return -ENOSPC;
}

static void sink_fails(void **state)
{
    struct store_sink sink = {.write = fail_write};
    struct store_req req = {.op = STORE_GET, .key = "k", .sink = &sink};

    (void)state;
    assert_int_equal(RECEIVE(&req, 200, DIGITS, "etag", "\"o-1\""), -ENOSPC);
}

static int read_digits(void *ctx, uint64_t off, void *out, size_t len)
{
    (void)ctx;
    memcpy(out, &DIGITS[off], len);
    return 0;
}

static int read_fails(void *ctx, uint64_t off, void *out, size_t len)
{
    (void)ctx;
    (void)off;
    (void)out;
    (void)len;
    return -ESTALE;
}

static void sources(void **state)
{
    struct store_src src = {.size = 9, .read = read_digits};
    char sum[CHECKSUM_BASE64_MAX], sha[BODY_SHA256_HEX];

    (void)state;
    assert_int_equal(body_sum_source(&src, CHECKSUM_CRC64NVME, sum, sha), 0);
    assert_string_equal(sum, "rosUhgp5mIg=");
    assert_string_equal(sha, SHA256_OF_DIGITS);
    assert_int_equal(body_sum_source(&src, CHECKSUM_MD5, sum, NULL), 0);
    assert_string_equal(sum, "JfnnlDI7RTiF9RgfG2JNCw==");
    body_sum_bytes(DIGITS, 9, sha);
    assert_string_equal(sha, SHA256_OF_DIGITS);
    body_sum_bytes(NULL, 0, sha);
    assert_string_equal(sha, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    src.read = read_fails;
    assert_int_equal(body_sum_source(&src, CHECKSUM_MD5, sum, sha), -ESTALE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_by_checksum),
        cmocka_unit_test(whole_by_etag),
        cmocka_unit_test(ranges),
        cmocka_unit_test(other_version),
        cmocka_unit_test(sink_fails),
        cmocka_unit_test(sources),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
