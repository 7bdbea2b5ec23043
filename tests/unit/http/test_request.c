/* SPDX-License-Identifier: Apache-2.0 */
/* What goes over the wire, byte for byte where it matters. */
#include "http_test.h"

static struct httpd *server;
static struct http *http;

static int set_up(void **state)
{
    (void)state;
    server = httpd_start();
    http = engine(0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    http_free(http);
    httpd_stop(server);
    return 0;
}

static void answer_ok(void *ctx, const struct httpd_req *req, struct httpd_reply *reply)
{
    (void)ctx;
    (void)req;
    reply->status = 200;
}

static const struct httpd_req *last_request(void)
{
    return httpd_request(server, httpd_requests(server) - 1);
}

static unsigned char pattern(uint64_t off)
{
    return (unsigned char)(off * 131 + (off >> 12));
}

struct source {
    uint64_t fail_at;
    int error;
    unsigned calls;
};

static int read_pattern(void *ctx, uint64_t off, void *buf, size_t len)
{
    struct source *src = ctx;
    unsigned char *p = buf;
    src->calls++;
    if (src->error && off + len > src->fail_at)
        return err_set(src->error, "the source broke");
    for (size_t i = 0; i < len; i++)
        p[i] = pattern(off + i);
    return 0;
}

static void test_target_as_it_is(void **state)
{
    static const char *const targets[] = {"/a/../b/./c//d",     "/%2e%2e/%2F?list-type=2&prefix=",
                                          "/a%20b%2Bc?x=%26&y", "//",
                                          "/?uploads=",         "/soap%C3%A4%00"};
    struct http_call call = {0};
    (void)state;
    httpd_handle(server, answer_ok, NULL);
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        assert_int_equal(fetch(http, server, "GET", targets[i], &call), 0);
        assert_string_equal(last_request()->target, targets[i]);
    }
    http_call_done(&call);
}

static void test_headers(void **state)
{
    const char *headers[] = {"x-one: 1", "x-empty:", "X-Blank:   ", "x-two:2",
                             "host: other.example"};
    struct http_call call = {.headers = headers, .n_headers = ARRAY_LEN(headers)};
    char value[100];
    (void)state;
    httpd_handle(server, answer_ok, NULL);
    assert_int_equal(fetch(http, server, "GET", "/", &call), 0);
    const struct httpd_req *req = last_request();
    assert_string_equal(httpd_req_header(req, "x-one", value, sizeof(value)), "1");
    assert_string_equal(httpd_req_header(req, "x-empty", value, sizeof(value)), "");
    assert_string_equal(httpd_req_header(req, "x-blank", value, sizeof(value)), "");
    assert_string_equal(httpd_req_header(req, "x-two", value, sizeof(value)), "2");
    assert_string_equal(httpd_req_header(req, "host", value, sizeof(value)), "other.example");
    assert_non_null(httpd_req_header(req, "user-agent", value, sizeof(value)));
    assert_memory_equal(value, "s3efs/", 6);
    assert_null(httpd_req_header(req, "accept", value, sizeof(value)));
    assert_null(httpd_req_header(req, "expect", value, sizeof(value)));
    assert_null(httpd_req_header(req, "accept-encoding", value, sizeof(value)));
    assert_null(httpd_req_header(req, "content-length", value, sizeof(value)));
    headers[0] = "Accept: application/json";
    assert_int_equal(fetch(http, server, "GET", "/", &call), 0);
    assert_string_equal(httpd_req_header(last_request(), "accept", value, sizeof(value)),
                        "application/json");
    http_call_done(&call);
}

static void test_no_body(void **state)
{
    static const struct {
        const char *method, *length;
    } rows[] = {{"PUT", "0"}, {"POST", "0"}, {"GET", NULL}, {"DELETE", NULL}, {"HEAD", NULL}};
    struct http_call call = {0};
    char value[100];
    (void)state;
    httpd_handle(server, answer_ok, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(fetch(http, server, rows[i].method, "/", &call), 0);
        const struct httpd_req *req = last_request();
        assert_string_equal(req->method, rows[i].method);
        const char *length = httpd_req_header(req, "content-length", value, sizeof(value));
        if (rows[i].length)
            assert_string_equal(length, rows[i].length);
        else
            assert_null(length);
        assert_null(httpd_req_header(req, "content-type", value, sizeof(value)));
        assert_null(httpd_req_header(req, "transfer-encoding", value, sizeof(value)));
    }
    http_call_done(&call);
}

static void test_upload(void **state)
{
    static const uint64_t sizes[] = {1, 1000, 65536, 1024 * 1024 + 1, 5 * 1024 * 1024 + 77};
    static const char *const methods[] = {"PUT", "POST"};
    char value[100], want[32];
    (void)state;
    httpd_handle(server, answer_ok, NULL);
    for (size_t i = 0; i < 2 * ARRAY_LEN(sizes); i++) {
        struct source src = {0};
        struct http_call call = {.body_read = read_pattern, .ctx = &src, .body_size = sizes[i / 2]};
        assert_int_equal(fetch(http, server, methods[i % 2], "/up", &call), 0);
        assert_int_equal(call.sent, sizes[i / 2]);
        const struct httpd_req *req = last_request();
        assert_int_equal(req->body_len, sizes[i / 2]);
        for (size_t k = 0; k < req->body_len; k++)
            if ((unsigned char)req->body[k] != pattern(k))
                fail_msg("byte %zu of %zu differs", k, req->body_len);
        snprintf(want, sizeof(want), "%zu", req->body_len);
        assert_string_equal(httpd_req_header(req, "content-length", value, sizeof(value)), want);
        assert_null(httpd_req_header(req, "expect", value, sizeof(value)));
        assert_null(httpd_req_header(req, "content-type", value, sizeof(value)));
        assert_null(httpd_req_header(req, "transfer-encoding", value, sizeof(value)));
        http_call_done(&call);
    }
    assert_int_equal(httpd_connections(server), 1);
}

/* The caller's errno and words come back, and the server never takes the torn body for whole. */
static void test_source_fails(void **state)
{
    struct source src = {.fail_at = 300 * 1024, .error = -ENODATA};
    struct http_call call = {.body_read = read_pattern, .ctx = &src, .body_size = 1024 * 1024};
    (void)state;
    httpd_handle(server, answer_ok, NULL);
    assert_int_equal(fetch(http, server, "PUT", "/torn", &call), -ENODATA);
    assert_string_equal(err_text(), "the source broke");
    src.error = 0;
    assert_int_equal(fetch(http, server, "PUT", "/whole", &call), 0);
    /* Either may come first to the server's notes: its connections have a thread each. */
    for (size_t i = 0; i < httpd_requests(server); i++) {
        const struct httpd_req *req = httpd_request(server, i);
        if (strcmp(req->target, "/whole") == 0)
            assert_int_equal(req->body_len, 1024 * 1024);
        else
            assert_true(req->body_len < 1024 * 1024);
    }
    assert_int_equal(httpd_connections(server), 2);
    http_call_done(&call);
}

static void test_cut_while_sending(void **state)
{
    const struct httpd_step steps[] = {{.method = "PUT", .reply = {.cut_request_at = 100 * 1024}}};
    struct source src = {0};
    struct http_call call = {.body_read = read_pattern, .ctx = &src, .body_size = 32 * 1024 * 1024};
    (void)state;
    httpd_script(server, steps, 1);
    assert_int_equal(fetch(http, server, "PUT", "/", &call), -ECONNRESET);
    assert_int_equal(httpd_requests(server), 1);
    http_call_done(&call);
}

static void test_bad_calls(void **state)
{
    struct source src = {0};
    const char *headers[] = {"x-ok: 1", NULL};
    static const char *const bad_headers[] = {"x: a\r\ny: b", "x: a\nb", "no colon", ": no name",
                                              ""};
    static const char *const bad_urls[] = {"",
                                           "/path",
                                           "file:///etc/passwd",
                                           "ftp://127.0.0.1/",
                                           "gopher://127.0.0.1/",
                                           "http://127.0.0.1/a b",
                                           "http://127.0.0.1/\r\nx",
                                           "http://"};
    struct http_call call = {.method = "GET", .url = "http://127.0.0.1:9/", .headers = headers};
    (void)state;
    call.n_headers = 2;
    for (size_t i = 0; i < ARRAY_LEN(bad_headers); i++) {
        headers[1] = bad_headers[i];
        assert_int_equal(http_wait(http, &call), -EINVAL);
    }
    call.n_headers = 0;
    for (size_t i = 0; i < ARRAY_LEN(bad_urls); i++) {
        call.url = bad_urls[i];
        assert_int_equal(http_wait(http, &call), -EINVAL);
    }
    call.url = "http://127.0.0.1:9/";
    call.method = "BREW";
    assert_int_equal(http_wait(http, &call), -EINVAL);
    call.method = "PUT";
    call.body_size = 5;
    assert_int_equal(http_wait(http, &call), -EINVAL);
    call = (struct http_call){.method = "HEAD",
                              .url = "http://127.0.0.1:9/",
                              .body_size = 1,
                              .body_read = read_pattern,
                              .ctx = &src};
    assert_int_equal(http_wait(http, &call), -EINVAL);
    assert_int_equal(src.calls, 0);
    http_call_done(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_target_as_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_upload, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_source_fails, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_while_sending, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_calls, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
