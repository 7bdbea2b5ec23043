/* SPDX-License-Identifier: Apache-2.0 */
/* Replies to listings, from files: those of real servers, and hostile ones. */
#include "check.h"

#include <dirent.h>
#include <stdio.h>

#include "../../../fs/s3/response.h"
#include "base/err.h"
#include "base/str.h"
#include "base/sys.h"
#include "fake_http.h"

static void vectors_dir(char out[512])
{
    const char *top = getenv("top_srcdir");

    snprintf(out, 512, "%s/tests/vectors/s3", top != NULL ? top : ".");
}

static void load(const char *name, struct http_call *call)
{
    _cleanup_free_ char *data = NULL;
    char dir[512], path[800];
    size_t len = 0;

    vectors_dir(dir);
    snprintf(path, sizeof(path), "%s/%s", dir, name);
    if (sys_read_file(path, 1 << 20, &data, &len) != 0)
        fail_msg("%s: %s", path, err_text());
    fake_answer(call, 200, NULL, data, len);
}

static void encoded(void **state)
{
    struct http_call call;
    struct store_list l = {0};
    int64_t ns = 0;

    (void)state;
    load("list-aws.xml", &call);
    assert_int_equal(response_list(&call, &l), 0);
    assert_int_equal(l.n, 4); /* in the order of keys, prefixes among them */
    assert_string_equal(l.v[0].key, "d/a b c+d.jpg");
    assert_false(l.v[0].is_prefix);
    assert_int_equal(l.v[0].size, 434234);
    assert_string_equal(l.v[0].etag.s, "9b2cf535f27731c974343645a3985328");
    assert_int_equal(str_iso8601("2026-01-02T03:04:05Z", &ns), 0);
    assert_int_equal(l.v[0].mtime_ns, ns);
    assert_string_equal(l.v[1].key, "d/b/");
    assert_true(l.v[1].is_prefix);
    assert_string_equal(l.v[2].key, "d/e\x01\xc3\xa9");
    assert_int_equal(l.v[2].size, UINT64_MAX);
    assert_int_equal(l.v[2].mtime_ns, ns + 1789000000);
    assert_string_equal(l.v[3].key, "d/zz%/");
    assert_string_equal(l.next, "1ueGcxLPRx1Tr/XYExHnhbYLgveDs2J/wm36Hy4vbOwM=");
    store_list_done(&l);
    http_call_done(&call);
}

/* A server that ignores encoding-type: nothing is decoded. */
static void not_encoded(void **state)
{
    struct http_call call;
    struct store_list l = {0};

    (void)state;
    load("list-unencoded.xml", &call);
    assert_int_equal(response_list(&call, &l), 0);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.v[0].key, "50%25 + a & b%2F");
    assert_null(l.next);
    store_list_done(&l);
    http_call_done(&call);

    load("list-empty.xml", &call);
    assert_int_equal(response_list(&call, &l), 0);
    assert_int_equal(l.n, 0);
    assert_null(l.next);
    store_list_done(&l);
    http_call_done(&call);
}

/* What Ceph 16 says of a prefix with a control character: no XML 1.0. */
static void control_character(void **state)
{
    struct http_call call;
    struct store_list l = {0};

    (void)state;
    load("list-ceph-control.xml", &call);
    assert_int_equal(response_list(&call, &l), 0);
    assert_int_equal(l.n, 1);
    assert_string_equal(l.v[0].key, "a/\x01x\x02");
    assert_null(l.next);
    store_list_done(&l);
    http_call_done(&call);
}

static void hostile(void **state)
{
    char dir[512];
    unsigned n = 0;
    DIR *d;

    (void)state;
    vectors_dir(dir);
    d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        struct store_list l = {0};
        struct store_rsp rsp = {0};
        struct http_call call;

        if (!str_starts(e->d_name, "bad-"))
            continue;
        n++;
        load(e->d_name, &call);
        err_clear();
        if (response_list(&call, &l) != RESPONSE_BROKEN || l.v != NULL || err_text()[0] == '\0')
            fail_msg("%s was taken for a listing", e->d_name);
        if (response_uploads(&call, &rsp) != RESPONSE_BROKEN)
            fail_msg("%s was taken for a list of uploads", e->d_name);
        store_rsp_done(&rsp);
        http_call_done(&call);
    }
    closedir(d);
    assert_true(n == 17);
}

static void uploads(void **state)
{
    struct http_call call;
    struct store_rsp rsp = {0};

    (void)state;
    load("uploads-aws.xml", &call);
    assert_int_equal(response_uploads(&call, &rsp), 0);
    assert_int_equal(rsp.uploads.n, 2);
    assert_string_equal(rsp.uploads.v[0].key, "a b/1");
    assert_string_equal(rsp.uploads.v[0].upload_id, "VXBsb2FkIElE");
    assert_true(rsp.uploads.v[0].started_ns > 0);
    assert_string_equal(rsp.uploads.v[1].upload_id, "two");
    assert_null(rsp.uploads.next_key); /* a marker where nothing is cut off is none */
    store_rsp_done(&rsp);
    http_call_done(&call);
}

static int read_page(const char *rest, struct store_rsp *ret)
{
    struct http_call call;
    char text[512];
    int r;

    snprintf(text, sizeof(text),
             "<ListMultipartUploadsResult><Upload><Key>a</Key><UploadId>1</UploadId></Upload>%s"
             "</ListMultipartUploadsResult>",
             rest);
    fake_answer(&call, 200, NULL, text, strlen(text));
    r = response_uploads(&call, ret);
    http_call_done(&call);
    return r;
}

static void uploads_page(void **state)
{
    struct store_rsp rsp = {0};

    (void)state;
    assert_int_equal(read_page("<IsTruncated>true</IsTruncated><EncodingType>url</EncodingType>"
                               "<NextKeyMarker>a%20b</NextKeyMarker>"
                               "<NextUploadIdMarker>1%</NextUploadIdMarker>",
                               &rsp),
                     0);
    assert_string_equal(rsp.uploads.next_key, "a b");
    assert_string_equal(rsp.uploads.next_id, "1%");
    store_rsp_done(&rsp);
    assert_int_equal(read_page("<IsTruncated>true</IsTruncated>", &rsp), RESPONSE_BROKEN);
    store_rsp_done(&rsp);
    assert_int_equal(read_page("<IsTruncated>true</IsTruncated><NextKeyMarker/>", &rsp),
                     RESPONSE_BROKEN);
    store_rsp_done(&rsp);
}

static int read_tags(const char *text, char **ret)
{
    struct http_call call;
    int r;

    fake_answer(&call, 200, NULL, text, strlen(text));
    r = response_tags(&call, ret);
    http_call_done(&call);
    return r;
}

#define TAG_SET(x) "<Tagging xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><TagSet>" x "</TagSet></Tagging>"

static void tags(void **state)
{
    static const char *const broken[] = {"", "<Tagging><TagSet>", "<Error><Code>X</Code></Error>",
                                         TAG_SET("<Tag><Value>1</Value></Tag>")};
    _cleanup_free_ char *none = NULL, *some = NULL;
    char *got = NULL;

    (void)state;
    assert_int_equal(read_tags(TAG_SET(""), &none), 0);
    assert_string_equal(none, "");
    assert_int_equal(read_tags(TAG_SET("<Tag><Key>a b</Key><Value>d&amp;e=/f</Value></Tag>"
                                       "<Tag><Key>\xc3\xa9</Key><Value></Value></Tag>"),
                               &some),
                     0);
    assert_string_equal(some, "a%20b=d%26e%3D%2Ff&%C3%A9=");
    for (size_t i = 0; i < ARRAY_LEN(broken); i++) {
        assert_int_equal(read_tags(broken[i], &got), RESPONSE_BROKEN);
        assert_null(got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(encoded),
        cmocka_unit_test(not_encoded),
        cmocka_unit_test(control_character),
        cmocka_unit_test(hostile),
        cmocka_unit_test(uploads),
        cmocka_unit_test(uploads_page),
        cmocka_unit_test(tags),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
