/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "../../../fs/s3/response.h"
#include "base/clock.h"
#include "base/str.h"
#include "fake_http.h"

static void object(void **state)
{
    struct http_call call;
    struct store_obj o = {0};
    int64_t ns = 0;

    (void)state;
    FAKE_ANSWER(&call, 200, "", "etag", "\"abc\"", "content-length", "12", "last-modified",
                "Fri, 24 May 2013 00:00:00 GMT", "date", "Fri, 24 May 2013 00:00:09 GMT",
                "x-amz-version-id", "v1", "content-type", "image/png",
                "x-amz-meta-name", "=?UTF-8?q?caf=C3=A9?=", "x-amz-meta-empty", "",
                "x-amz-storage-class", "STANDARD_IA", "server", "x", "x-amz-request-id", "r");
    assert_int_equal(response_object(&call, false, &o), 0);
    assert_string_equal(o.etag.s, "abc");
    assert_int_equal(o.size, 12);
    assert_int_equal(str_http_date("Fri, 24 May 2013 00:00:00 GMT", &ns), 0);
    assert_int_equal(o.mtime_ns, ns);
    assert_int_equal(o.told_ns, ns + 9 * NS_PER_S);
    assert_string_equal(o.version, "v1");
    assert_int_equal(o.hdrs.n, 4);
    assert_string_equal(store_hdrs_get(&o.hdrs, "x-amz-meta-name"), "caf\xc3\xa9");
    assert_string_equal(store_hdrs_get(&o.hdrs, "x-amz-meta-empty"), "");
    assert_string_equal(store_hdrs_get(&o.hdrs, "x-amz-storage-class"), "STANDARD_IA");
    store_obj_done(&o);
    http_call_done(&call);

    FAKE_ANSWER(&call, 206, "", "etag", "W/\"abc\"", "content-length", "5", "content-range",
                "bytes 5-9/100");
    assert_int_equal(response_object(&call, true, &o), 0);
    assert_int_equal(o.size, 100);
    assert_string_equal(o.etag.s, "abc");
    assert_int_equal(o.mtime_ns, 0);
    assert_int_equal(o.told_ns, 0);
    store_obj_done(&o);
    http_call_done(&call);
}

static void broken_objects(void **state)
{
    static const char *const rows[][5] = {
        {"content-length", "1", NULL}, /* no ETag */
        {"etag", "\"e\"", NULL},       /* no length */
        {"etag", "\"e\"", "content-length", "-1", NULL},
        {"etag", "\"e\"", "content-length", "1x", NULL},
    };
    struct http_call call;
    struct store_obj o = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        fake_answer(&call, 200, rows[i], "", 0);
        assert_int_equal(response_object(&call, false, &o), RESPONSE_BROKEN);
        http_call_done(&call);
    }
    FAKE_ANSWER(&call, 206, "", "etag", "\"e\"", "content-length", "1");
    assert_int_equal(response_object(&call, true, &o), RESPONSE_BROKEN);
    assert_int_equal(response_written(&call, &o), 0);
    http_call_done(&call);
    FAKE_ANSWER(&call, 200, "", "date", "never");
    assert_int_equal(response_written(&call, &o), RESPONSE_BROKEN);
    assert_int_equal(response_date(&call), 0);
    http_call_done(&call);
}

static void content_range(void **state)
{
    static const char *const bad[] = {
        "",
        "bytes",
        "bytes 0-0",
        "bytes 0-0/",
        "bytes 0-0/*",
        "bytes */5",
        "bytes 5-4/9",
        "bytes 0-9/9",
        "bytes -1-4/9",
        "bytes 0--4/9",
        "bytes +0-4/9",
        "items 0-4/9",
        "bytes 0-4/9x",
        "bytes 0-99999999999999999999999/9",
        "bytes 0x1-4/9",
    };
    uint64_t first = 0, last = 0, total = 0;

    (void)state;
    assert_int_equal(response_content_range("bytes 3-9/10", &first, &last, &total), 0);
    assert_int_equal(first, 3);
    assert_int_equal(last, 9);
    assert_int_equal(total, 10);
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (response_content_range(bad[i], &first, &last, &total) != -EINVAL)
            fail_msg("\"%s\" was taken for a Content-Range", bad[i]);
}

static int64_t retry_after(const char *name, const char *value)
{
    struct http_call call;
    int64_t now = 0, ns;

    assert_int_equal(str_http_date("Fri, 24 May 2013 00:00:00 GMT", &now), 0);
    FAKE_ANSWER(&call, 503, "", name, value);
    ns = response_retry_after_ns(&call, now);
    http_call_done(&call);
    return ns;
}

static void waits(void **state)
{
    (void)state;
    assert_int_equal(retry_after("retry-after", "3"), 3 * NS_PER_S);
    assert_int_equal(retry_after("retry-after", "86400"), 60 * NS_PER_S);
    assert_int_equal(retry_after("retry-after", "Fri, 24 May 2013 00:00:07 GMT"), 7 * NS_PER_S);
    assert_int_equal(retry_after("retry-after", "Fri, 31 Dec 1700 23:59:59 GMT"), 0);
    assert_int_equal(retry_after("retry-after", "Fri, 31 Dec 2249 23:59:59 GMT"), 60 * NS_PER_S);
    assert_int_equal(retry_after("retry-after", "Thu, 23 May 2013 00:00:07 GMT"), 0);
    assert_int_equal(retry_after("retry-after", "soon"), 0);
    assert_int_equal(retry_after("x-amz-retry-after", "1500"), 1500 * NS_PER_MS);
    assert_int_equal(retry_after("x-amz-retry-after", "99999999999999"), 60 * NS_PER_S);
    assert_int_equal(retry_after("server", "x"), 0);
}

static int result_of(const char *xml, struct response_result *ret)
{
    struct http_call call;
    int r;

    *ret = (struct response_result){0};
    FAKE_ANSWER(&call, 200, xml, "server", "x");
    r = response_result(&call, ret);
    http_call_done(&call);
    return r;
}

static void results(void **state)
{
    struct response_result res;

    (void)state;
    assert_int_equal(
        result_of("<?xml version=\"1.0\"?>\n \n<CompleteMultipartUploadResult xmlns=\"x\">"
                  "<Location>l</Location><ETag>&quot;e-2&quot;</ETag>"
                  "</CompleteMultipartUploadResult>",
                  &res),
        0);
    assert_string_equal(res.etag.s, "e-2");
    assert_int_equal(
        result_of("   <CopyPartResult><ETag>\"p\"</ETag><ChecksumCRC64NVME>rosUhgp5mIg="
                  "</ChecksumCRC64NVME></CopyPartResult>",
                  &res),
        0);
    assert_string_equal(res.etag.s, "p");
    assert_int_equal(result_of("<InitiateMultipartUploadResult><UploadId>U1</UploadId>"
                               "</InitiateMultipartUploadResult>",
                               &res),
                     0);
    assert_string_equal(res.upload_id, "U1");
    free(res.upload_id);
    assert_int_equal(result_of("<Error><Code>InternalError</Code></Error>", &res), RESPONSE_ERROR);
    assert_int_equal(result_of("", &res), RESPONSE_BROKEN);
    assert_int_equal(result_of("<CopyObjectResult><ETag>\"e\"</ETag>", &res), RESPONSE_BROKEN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(object), cmocka_unit_test(broken_objects), cmocka_unit_test(content_range),
        cmocka_unit_test(waits),  cmocka_unit_test(results),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
