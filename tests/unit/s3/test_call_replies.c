/* SPDX-License-Identifier: Apache-2.0 */
/* What a scripted server's replies say, and what of it the caller gets: broken, wrong, lost,
 * doubted. */
#include "callrig.h"

static void broken_bodies(void **state)
{
    RIG(rig);
    char data[8] = "";
    struct store_mem m = {.data = data, .size = 5};
    struct store_sink sink = store_sink_mem(&m);
    struct store_req req = {.op = STORE_GET, .key = "k", .sink = &sink};
    struct store_rsp rsp = {0};

    (void)state;
    rig_init(&rig);
    /* Cut in the middle; reset before the answer; changed on the way; and at last as it was. */
    RIG_SCRIPT(&rig, {.reply = {.body = "hello", .headers = "ETag: \"x-1\"\r\n", .cut_at = 53}},
               {.reply = {.drop = true}},
               {.reply = {.body = "hellO", .headers = "ETag: \"" ETAG_OF_HELLO "\"\r\n"}},
               {.reply = {.body = "hello", .headers = "ETag: \"" ETAG_OF_HELLO "\"\r\n"}});
    rig_start(&rig);
    assert_int_equal(store_call(rig.store, &req, &rsp), 0);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(rsp.body_len, 5);
    assert_int_equal(rsp.obj.size, 5);
    assert_true(rsp.retried);
    store_rsp_done(&rsp);
}

/* A sink that remembers whether anything but the object's bytes ever came. */
struct t8_sink {
    char data[8];
    bool is_spoilt;
};

static int t8_write(void *ctx, uint64_t off, const void *buf, size_t len)
{
    struct t8_sink *s = ctx;

    if (off + len > 5 || memcmp(&"hello"[off], buf, len) != 0)
        s->is_spoilt = true;
    else
        memcpy(s->data + off, buf, len);
    return 0;
}

/* T8: errors answered in the middle of a GET, with and without bytes before them: an error's text
 * is never the object's. */
static void t8_error_bodies_never_reach_the_reader(void **state)
{
    RIG(rig);
    struct t8_sink t8 = {.is_spoilt = false};
    struct store_sink sink = {t8_write, &t8};
    struct store_req req = {.op = STORE_GET, .key = "k", .sink = &sink};
    struct store_rsp rsp = {0};

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(
        &rig, {.reply = {.status = 500, .body = ERROR_BODY("InternalError")}},
        {.reply = {.body = "hello", .headers = "ETag: \"" ETAG_OF_HELLO "\"\r\n", .cut_at = 70}},
        {.reply = {.status = 503, .body = ERROR_BODY("SlowDown")}},
        {.reply = {.status = 500, .body = "hello"}},
        {.reply = {.body = "hello", .headers = "ETag: \"" ETAG_OF_HELLO "\"\r\n"}});
    rig_start(&rig);
    assert_int_equal(store_call(rig.store, &req, &rsp), 0);
    assert_false(t8.is_spoilt);
    assert_memory_equal(t8.data, "hello", 5);
    store_rsp_done(&rsp);
}

/* A server that ignores the prefix: keys that are not below it are nobody's names. */
static void foreign_keys(void **state)
{
    RIG(rig);
    struct store_req req = {.op = STORE_LIST, .prefix = "d/", .delimited = true};
    struct store_rsp rsp = {0};

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig,
               {.reply = {.body = "<ListBucketResult><Contents><Key>e/x</Key></Contents>"
                                  "</ListBucketResult>"}},
               {.reply = {.body = "<ListBucketResult><Contents><Key>d/x</Key></Contents>"
                                  "</ListBucketResult>"}});
    rig_start(&rig);
    assert_int_equal(store_call(rig.store, &req, &rsp), 0);
    assert_int_equal(rsp.list.n, 1);
    assert_string_equal(rsp.list.v[0].key, "d/x");
    assert_true(rsp.retried);
    store_rsp_done(&rsp);
}

#define CHANGED_PREFIX(more)                                                                       \
    "<ListBucketResult><Contents><Key>d\xef\xbf\xbd-\xef\xbf\xbd/</Key></Contents><Contents>"      \
    "<Key>d\xef\xbf\xbd-\xef\xbf\xbd/x</Key></Contents>" more "</ListBucketResult>"
#define MORE "<IsTruncated>true</IsTruncated><NextContinuationToken>d</NextContinuationToken>"

/* As versitygw lists what XML can't hold: asked once, not for ever; the prefix is known. */
static void changed_prefix(void **state)
{
    RIG(rig);
    struct store_req req = {.op = STORE_LIST, .prefix = "d\x01-\xef\xbf\xbf/", .max_keys = 2};
    struct store_rsp rsp = {0};

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig, {.reply = {.body = CHANGED_PREFIX(MORE)}},
               {.reply = {.body = CHANGED_PREFIX("")}}, {.reply = {.body = CHANGED_PREFIX(MORE)}});
    rig_start(&rig);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_call(rig.store, &req, &rsp), 0);
        assert_int_equal(rsp.list.n, 2);
        assert_string_equal(rsp.list.v[0].key, "d\x01-\xef\xbf\xbf/");
        assert_string_equal(rsp.list.v[1].key, "d\x01-\xef\xbf\xbf/x");
        assert_false(rsp.retried);
        store_rsp_done(&rsp);
        req.max_keys = 0;
    }
    /* there is more, and its token can't be trusted */
    assert_int_equal(store_call(rig.store, &req, &rsp), -EILSEQ);
    assert_non_null(strstr(err_text(), "control characters"));
    store_rsp_done(&rsp);
}

#define CHANGED_BODY                                                                               \
    {                                                                                              \
        .body = "hellO", .headers = "ETag: \"x-2\"\r\nx-amz-checksum-crc64nvme: AAAAAAAAAAA=\r\n"  \
    }

static void wrong_checksum(void **state)
{
    RIG(rig);

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig, {.reply = CHANGED_BODY}, {.reply = CHANGED_BODY}, {.reply = CHANGED_BODY},
               {.reply = CHANGED_BODY}, {.reply = CHANGED_BODY});
    rig_start(&rig);
    assert_int_equal(run_simple(&rig, STORE_GET), -EIO);
    assert_non_null(strstr(err_text(), "x-amz-checksum-crc64nvme is"));
    assert_non_null(strstr(err_text(), "should be AAAAAAAAAAA="));
}

/* A Complete whose reply is empty, cut or lost: asked again, and what then comes says that it may
 * have worked. */
static void lost_complete(void **state)
{
    RIG(rig);
    struct store_rsp rsp = {0};

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig, {.method = "POST", .reply = {.body = "  "}},
               {.method = "POST", .reply = {.body = "<CompleteMultipartUploadResult><ETag>e"}},
               {.method = "POST", .reply = {.drop = true}},
               {.method = "POST", .reply = {.status = 404, .body = ERROR_BODY("NoSuchUpload")}});
    rig_start(&rig);
    assert_int_equal(run(&rig, STORE_MPU_COMPLETE, (struct store_cond){0}, &rsp), STORE_NO_UPLOAD);
    assert_true(rsp.retried);
    store_rsp_done(&rsp);
}

#define BUSY                                                                                       \
    {                                                                                              \
        .status = 500, .body = ERROR_BODY("InternalError")                                         \
    }

/* A server that can't say that the upload is gone (Ceph 16): after a few failures it is asked in
 * another way. */
static void doubted_complete(void **state)
{
    RIG(rig);

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(
        &rig, {.method = "POST", .reply = BUSY}, {.method = "POST", .reply = BUSY},
        {.method = "POST", .reply = BUSY}, {.method = "POST", .reply = BUSY},
        {.method = "POST", .reply = BUSY},
        {.method = "GET",
         .target = "/bucket/k?max-parts=1&uploadId=U",
         .reply = {.body = "<ListPartsResult/>"}},
        {.method = "POST", .reply = BUSY}, {.method = "POST", .reply = BUSY},
        {.method = "POST", .reply = BUSY}, {.method = "POST", .reply = BUSY},
        {.method = "GET", .target = "/bucket/k?max-parts=1&uploadId=U", .reply = {.status = 503}},
        {.method = "GET",
         .target = "/bucket/k?max-parts=1&uploadId=U",
         .reply = {.status = 404, .body = ERROR_BODY("NoSuchUpload")}});
    rig_start(&rig);
    assert_int_equal(run_simple(&rig, STORE_MPU_COMPLETE), STORE_NO_UPLOAD);
    RIG_SCRIPT(&rig, {.method = "POST", .reply = BUSY}, {.method = "POST", .reply = BUSY},
               {.method = "POST", .reply = BUSY}, {.method = "POST", .reply = BUSY},
               {.method = "POST", .reply = BUSY},
               {.method = "GET",
                .target = "/bucket/k?max-parts=1&uploadId=U",
                .reply = {.status = 404, .body = ERROR_BODY("NoSuchKey")}});
    assert_int_equal(run_simple(&rig, STORE_MPU_COMPLETE), STORE_NO_UPLOAD);
}

static void etag_quotes(void **state)
{
    struct store_cond cond = {.kind = STORE_IF_MATCH, .etag = {"e"}};
    struct store_rsp rsp = {0};
    RIG(rig);

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(
        &rig, {.header = "if-match: \"e\"", .reply = {.headers = "ETag: \"f\"\r\n"}},
        {.header = "if-match: e", .reply = {.headers = "ETag: \"f\"\r\n"}},
        /* A server that ignores If-Match brings another version: that is no success. */
        {.method = "GET", .reply = {.body = "x", .headers = "ETag: \"other\"\r\n"}},
        {.method = "HEAD", .reply = {.headers = "ETag: \"other\"\r\nContent-Length: 1\r\n"}});
    rig_start(&rig);
    assert_int_equal(run(&rig, STORE_PUT, cond, &rsp), 0);
    store_rsp_done(&rsp);
    s3_set_etag_unquoted(rig.store, true);
    assert_int_equal(run(&rig, STORE_PUT, cond, &rsp), 0);
    store_rsp_done(&rsp);
    assert_int_equal(run(&rig, STORE_GET, cond, &rsp), STORE_PRECONDITION);
    store_rsp_done(&rsp);
    assert_int_equal(run(&rig, STORE_HEAD, cond, &rsp), STORE_PRECONDITION);
    store_rsp_done(&rsp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broken_bodies),
        cmocka_unit_test(t8_error_bodies_never_reach_the_reader),
        cmocka_unit_test(wrong_checksum),
        cmocka_unit_test(lost_complete),
        cmocka_unit_test(doubted_complete),
        cmocka_unit_test(foreign_keys),
        cmocka_unit_test(changed_prefix),
        cmocka_unit_test(etag_quotes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
