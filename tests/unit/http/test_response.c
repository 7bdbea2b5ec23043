/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: whole, cut at every byte, too large, broken, silent. */
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

/* Answers one request with this reply. */
static int answer(const struct httpd_reply *reply, const char *method, struct http_call *call)
{
    struct httpd_step step = {.reply = *reply};
    httpd_script(server, &step, 1);
    int r = fetch(http, server, method, "/", call);
    assert_null(httpd_mismatch(server));
    assert_int_equal(httpd_steps_left(server), 0);
    return r;
}

static void test_status_and_headers(void **state)
{
    struct http_call call = {0};
    const struct httpd_reply reply = {
        .status = 404,
        .headers = "ETag: \"abc\"\r\nX-Amz-Request-Id:   id1  \r\nx-empty:\r\nX-Colon: a:b\r\n",
        .body = "<Error/>"};
    (void)state;
    assert_int_equal(answer(&reply, "GET", &call), 0);
    assert_int_equal(call.status, 404);
    assert_string_equal(http_call_header(&call, "etag"), "\"abc\"");
    assert_string_equal(http_call_header(&call, "x-amz-request-id"), "id1");
    assert_string_equal(http_call_header(&call, "x-empty"), "");
    assert_string_equal(http_call_header(&call, "x-colon"), "a:b");
    assert_null(http_call_header(&call, "x-none"));
    assert_string_equal(buf_str(&call.body), "<Error/>");
    assert_int_equal(call.received, 8);
    http_call_done(&call);
    assert_int_equal(call.n_hdrs, 0);
}

static void test_head_has_no_body(void **state)
{
    struct http_call call = {0};
    const struct httpd_reply reply = {.headers = "Content-Length: 123456\r\n"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(answer(&reply, "HEAD", &call), 0);
        assert_string_equal(http_call_header(&call, "content-length"), "123456");
        assert_int_equal(call.received, 0);
    }
    assert_int_equal(httpd_connections(server), 1);
    http_call_done(&call);
}

static void test_no_content(void **state)
{
    struct http_call call = {0};
    (void)state;
    assert_int_equal(answer(&(struct httpd_reply){.status = 204}, "DELETE", &call), 0);
    assert_int_equal(call.status, 204);
    assert_int_equal(
        answer(&(struct httpd_reply){.status = 304, .headers = "ETag: x\r\n"}, "GET", &call), 0);
    assert_int_equal(call.status, 304);
    assert_int_equal(httpd_connections(server), 1);
    http_call_done(&call);
}

static void test_no_redirect(void **state)
{
    struct http_call call = {0};
    const struct httpd_reply reply = {.status = 307, .headers = "Location: /elsewhere\r\n"};
    (void)state;
    assert_int_equal(answer(&reply, "GET", &call), 0);
    assert_int_equal(call.status, 307);
    assert_string_equal(http_call_header(&call, "location"), "/elsewhere");
    http_call_done(&call);
}

static void test_interim_headers_dropped(void **state)
{
    struct http_call call = {0};
    const struct httpd_reply reply = {
        .raw = true,
        .body = "HTTP/1.1 100 Continue\r\nx-interim: 1\r\n\r\nHTTP/1.1 200 OK\r\nx-final: 1\r\n"
                "Content-Length: 2\r\n\r\nhi"};
    (void)state;
    assert_int_equal(answer(&reply, "GET", &call), 0);
    assert_int_equal(call.status, 200);
    assert_null(http_call_header(&call, "x-interim"));
    assert_string_equal(http_call_header(&call, "x-final"), "1");
    assert_string_equal(buf_str(&call.body), "hi");
    http_call_done(&call);
}

/* No prefix of an answer may pass for the answer. */
static void test_cut_at_every_byte(void **state)
{
    static const char *const wholes[] = {
        "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 12\r\n\r\nHello world!",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n7\r\n "
        "world!\r\n0\r\n\r\n"};
    struct http_call call = {0};
    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(wholes); k++) {
        size_t len = strlen(wholes[k]) - k; /* the chunked one's last LF says nothing more */
        for (size_t cut = 1; cut < len; cut++) {
            const struct httpd_reply reply = {.raw = true, .body = wholes[k], .cut_at = cut};
            int r = answer(&reply, "GET", &call);
            if (r != -ECONNRESET && !(r == -EPROTO && cut < 20))
                fail_msg("cut at %zu of %zu: %d %s", cut, len, r, err_text());
        }
        assert_int_equal(
            answer(&(struct httpd_reply){.raw = true, .body = wholes[k]}, "GET", &call), 0);
        assert_string_equal(buf_str(&call.body), "Hello world!");
        http_free(http); /* the kept connection would have the first cut GET sent again */
        http = engine(0);
    }
    http_call_done(&call);
}

static void test_not_http(void **state)
{
    static const char *const junk[] = {"hello there, this is no HTTP server at all\r\n\r\n",
                                       "SSH-2.0-OpenSSH_9.2\r\n\r\n"};
    struct http_call call = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(junk); i++) {
        const struct httpd_reply reply = {.raw = true, .body = junk[i], .close = true};
        assert_int_equal(answer(&reply, "GET", &call), -EPROTO);
    }
    /* A folded line is refused, or unfolded by newer releases of curl; never a header of its own.
     */
    const struct httpd_reply folded = {.headers = "x-a: 1\r\n x-folded: 2\r\n", .body = "x"};
    int r = answer(&folded, "GET", &call);
    if (r == 0)
        assert_string_equal(http_call_header(&call, "x-a"), "1 x-folded: 2");
    else
        assert_int_equal(r, -EPROTO);
    assert_null(http_call_header(&call, "x-folded"));
    http_call_done(&call);
}

static void test_body_limit(void **state)
{
    struct http_call call = {.body_max = 1000};
    char *body = malloc(1001);
    (void)state;
    memset(body, 'b', 1001);
    assert_int_equal(answer(&(struct httpd_reply){.body = body, .body_len = 1000}, "GET", &call),
                     0);
    assert_int_equal(call.body.len, 1000);
    assert_int_equal(answer(&(struct httpd_reply){.body = body, .body_len = 1001}, "GET", &call),
                     -E2BIG);
    assert_int_equal(answer(&(struct httpd_reply){.body = body, .body_len = 7}, "GET", &call), 0);
    assert_int_equal(httpd_connections(server), 2);
    free(body);
    http_call_done(&call);
}

/* Many lines, or one long one. */
static void test_header_limits(void **state)
{
    struct http_call call = {0};
    char *lines = malloc(200 * 1024);
    (void)state;
    size_t n = 0;
    for (int i = 0; i < 300; i++)
        n += (size_t)sprintf(lines + n, "x-%d: v\r\n", i);
    assert_int_equal(answer(&(struct httpd_reply){.headers = lines}, "GET", &call), -E2BIG);
    n = 0;
    for (int i = 0; i < 100; i++)
        n += (size_t)sprintf(lines + n, "x-%d: %0*d\r\n", i, 1000, i);
    assert_int_equal(answer(&(struct httpd_reply){.headers = lines}, "GET", &call), -E2BIG);
    n = 0;
    for (int i = 0; i < 60; i++)
        n += (size_t)sprintf(lines + n, "x-%d: %0*d\r\n", i, 1000, i);
    assert_int_equal(answer(&(struct httpd_reply){.headers = lines}, "GET", &call), 0);
    assert_int_equal(strlen(http_call_header(&call, "x-59")), 1000);
    free(lines);
    http_call_done(&call);
}

struct sink {
    uint64_t next;
    uint64_t sum;
    uint64_t fail_at;
};

static int write_sum(void *ctx, uint64_t off, const void *buf, size_t len)
{
    struct sink *k = ctx;
    const unsigned char *p = buf;
    if (k->fail_at && off + len > k->fail_at)
        return err_set(-ENOSPC, "the sink is full");
    if (off != k->next)
        return err_set(-EIO, "a hole");
    for (size_t i = 0; i < len; i++)
        k->sum += p[i] * (uint64_t)(off + i + 1);
    k->next += len;
    return 0;
}

static void test_big_sink(void **state)
{
    const size_t len = 24 * 1024 * 1024;
    unsigned char *body = malloc(len);
    uint64_t sum = 0;
    struct sink sink = {0};
    struct http_call call = {.body_write = write_sum, .ctx = &sink, .body_max = 10};
    (void)state;
    for (size_t i = 0; i < len; i++) {
        body[i] = (unsigned char)(i * 7 + (i >> 10));
        sum += body[i] * (uint64_t)(i + 1);
    }
    assert_int_equal(answer(&(struct httpd_reply){.body = body, .body_len = len}, "GET", &call), 0);
    assert_int_equal(call.received, len);
    assert_int_equal(sink.next, len);
    assert_true(sink.sum == sum);
    assert_int_equal(call.body.len, 0);

    sink = (struct sink){.fail_at = 1024 * 1024};
    assert_int_equal(answer(&(struct httpd_reply){.body = body, .body_len = len}, "GET", &call),
                     -ENOSPC);
    assert_string_equal(err_text(), "the sink is full");
    assert_true(call.received <= 1024 * 1024);
    free(body);
    http_call_done(&call);
}

/* An error's body never reaches the file that the sink fills. */
static void test_sink_only_for_success(void **state)
{
    static const int statuses[] = {301, 400, 403, 404, 412, 500, 503};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        struct sink sink = {0};
        struct http_call call = {.body_write = write_sum, .ctx = &sink};
        assert_int_equal(
            answer(&(struct httpd_reply){.status = statuses[i], .body = "why"}, "GET", &call), 0);
        assert_int_equal(sink.next, 0);
        assert_string_equal(buf_str(&call.body), "why");
        assert_int_equal(answer(&(struct httpd_reply){.status = 206, .body = "part"}, "GET", &call),
                         0);
        assert_int_equal(sink.next, 4);
        http_call_done(&call);
    }
}

static void test_stall(void **state)
{
    char body[1000];
    struct http_call call = {.stall_timeout_ms = 1000};
    (void)state;
    memset(body, 's', sizeof(body));
    const struct httpd_reply middle = {.body = body, .body_len = sizeof(body), .stall_at = 500};
    const struct httpd_reply silent = {.hang = true, .body = "x"};
    assert_int_equal(answer(&middle, "GET", &call), -ETIMEDOUT);
    assert_int_equal(answer(&silent, "GET", &call), -ETIMEDOUT);
    http_call_done(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_status_and_headers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_head_has_no_body, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_content, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_redirect, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_interim_headers_dropped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_cut_at_every_byte, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_not_http, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_body_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_header_limits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_big_sink, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_sink_only_for_success, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stall, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
