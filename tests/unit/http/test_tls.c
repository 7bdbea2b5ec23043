/* SPDX-License-Identifier: Apache-2.0 */
/* TLS is always verified: against the system's authorities, or those of ca_bundle. */
#include "http_test.h"

#include <fcntl.h>

static char pem[64];

static struct http *engine_with(const char *ca_bundle)
{
    struct http *h = NULL;
    const struct http_conf conf = {.ca_bundle = ca_bundle};
    forget_proxies();
    assert_int_equal(http_new(&conf, &h), 0);
    assert_int_equal(http_start(h), 0);
    return h;
}

static void answer_ok(void *ctx, const struct httpd_req *req, struct httpd_reply *reply)
{
    (void)ctx;
    (void)req;
    reply->body = "secure";
}

static struct httpd *start_server(void)
{
    strcpy(pem, "/tmp/s3efs-test-XXXXXX");
    int fd = mkstemp(pem);
    assert_true(fd >= 0);
    close(fd);
    struct httpd *s = httpd_start_tls(pem);
    httpd_handle(s, answer_ok, NULL);
    return s;
}

static void stop_server(struct httpd *s)
{
    httpd_stop_tls(s);
    unlink(pem);
}

static void test_untrusted(void **state)
{
    struct httpd *s = start_server();
    struct http *h = engine_with(NULL);
    struct http_call call = {0};
    (void)state;
    assert_int_equal(fetch(h, s, "GET", "/?secret=1", &call), -EPROTO);
    assert_non_null(strstr(err_text(), "certificate is not trusted"));
    assert_non_null(strstr(err_text(), "https://127.0.0.1:"));
    assert_null(strstr(err_text(), "secret"));
    assert_int_equal(httpd_requests(s), 0);
    http_free(h);
    stop_server(s);
}

static void test_trusted_by_bundle(void **state)
{
    struct httpd *s = start_server();
    struct http *h = engine_with(pem);
    struct http_call call = {0};
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(fetch(h, s, "GET", "/", &call), 0);
        assert_string_equal(buf_str(&call.body), "secure");
    }
    assert_int_equal(httpd_connections(s), 1);
    http_call_done(&call);
    http_free(h);
    stop_server(s);
}

/* The authority is trusted, but it does not speak for this name. */
static void test_wrong_name(void **state)
{
    struct httpd *s = start_server();
    struct http *h = engine_with(pem);
    char url[64];
    struct http_call call = {.method = "GET", .url = url};
    (void)state;
    snprintf(url, sizeof(url), "https://127.0.0.2:%u/", httpd_port(s));
    int r = http_wait(h, &call); /* nothing listens there on most systems */
    assert_true(r == -ECONNREFUSED || r == -EPROTO);
    snprintf(url, sizeof(url), "https://localhost:%u/", httpd_port(s));
    assert_int_equal(http_wait(h, &call), 0);
    http_call_done(&call);
    http_free(h);
    stop_server(s);
}

static void test_bundle_missing(void **state)
{
    struct httpd *s = start_server();
    struct http *h = engine_with("/nonexistent/ca.pem");
    struct http_call call = {0};
    (void)state;
    assert_int_equal(fetch(h, s, "GET", "/", &call), -EPROTO);
    assert_non_null(strstr(err_text(), "/nonexistent/ca.pem"));
    http_free(h);
    stop_server(s);
}

static void test_plain_server(void **state)
{
    struct httpd *s = httpd_start();
    struct http *h = engine_with(NULL);
    char url[64];
    struct http_call call = {.method = "GET", .url = url};
    (void)state;
    snprintf(url, sizeof(url), "https://127.0.0.1:%u/", httpd_port(s));
    call.timeout_ms = 300; /* the plain server waits for a head that never ends */
    int r = http_wait(h, &call);
    assert_true(r == -EPROTO || r == -ETIMEDOUT || r == -ECONNRESET);
    assert_int_equal(httpd_requests(s), 0);
    http_free(h);
    httpd_stop(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_untrusted),    cmocka_unit_test(test_trusted_by_bundle),
        cmocka_unit_test(test_wrong_name),   cmocka_unit_test(test_bundle_missing),
        cmocka_unit_test(test_plain_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
