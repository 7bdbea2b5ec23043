/* SPDX-License-Identifier: Apache-2.0 */
/* The container endpoint: whom it asks, with what, and what it makes of the answer. */
#include "cred_test.h"

#define GOOD                                                                                       \
    "{\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"SECRET\",\"Token\":\"tok\","                  \
    "\"Expiration\":\"2030-03-17T17:46:40Z\",\"AccountId\":\"1\"}"

static void test_whom(void **state)
{
    static const char *const yes[] = {"http://127.0.0.1:1234/x?y=z",
                                      "http://localhost/x",
                                      "http://[::1]:80/",
                                      "https://any.example/x",
                                      "http://169.254.170.2/v2/x",
                                      "http://169.254.170.23/v1/credentials",
                                      "http://[fd00:ec2::23]/v1/credentials"};
    static const char *const no[] = {"http://169.254.169.254/x",
                                     "http://10.0.0.1/x",
                                     "http://evil.example/x",
                                     "http://evil.example?@127.0.0.1/",
                                     "http://127.0.0.1@evil.example/",
                                     "http://127.0.0.1.evil.example/",
                                     "http://169.254.170.2.evil.example/",
                                     "http://[fd00:ec2::24]/",
                                     "ftp://127.0.0.1/",
                                     "127.0.0.1/x",
                                     "http://"};
    char *url = NULL;
    (void)state;
    assert_int_equal(cred_container_url(get_env, &url), CRED_NONE);
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", yes[i]);
        assert_int_equal(cred_container_url(get_env, &url), 0);
        assert_string_equal(url, yes[i]);
        free(url);
    }
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", no[i]);
        if (cred_container_url(get_env, &url) != -EACCES)
            fail_msg("allowed: %s", no[i]);
    }
    set_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "/v2/credentials/uuid?a=b"); /* over the full one */
    assert_int_equal(cred_container_url(get_env, &url), 0);
    assert_string_equal(url, "http://169.254.170.2/v2/credentials/uuid?a=b");
    free(url);
    set_env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "@evil.example/");
    assert_int_equal(cred_container_url(get_env, &url), -EACCES);
}

static void test_token(void **state)
{
    const struct httpd_step steps[] = {
        {.method = "GET",
         .target = "/v1/credentials",
         .header = "authorization: first SECRET",
         .reply = {.body = GOOD}},
        {.header = "authorization: second", .reply = {.body = GOOD}},
        {.header = "authorization: Basic plain", .reply = {.body = GOOD}},
        {.reply = {.body = GOOD}},
    };
    struct aws_cred c = {0};
    char value[100];
    (void)state;
    httpd_script(server, steps, 4);
    set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_url("/v1/credentials"));
    set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file_path("token"));
    set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic plain");
    write_file("token", "first SECRET");
    assert_int_equal(cred_container_get(&ctx, &c), 0);
    assert_string_equal(c.access_key, "ASIA");
    assert_string_equal(c.secret, "SECRET");
    assert_string_equal(c.token, "tok");
    assert_int_equal(c.expiry_ns, INT64_C(1900000000) * NS_PER_S);
    aws_cred_done(&c);
    write_file("token", "second");
    check_key(cred_container_get(&ctx, &c), &c, "ASIA");
    set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", NULL);
    check_key(cred_container_get(&ctx, &c), &c, "ASIA");
    set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", NULL);
    check_key(cred_container_get(&ctx, &c), &c, "ASIA");
    assert_null(httpd_mismatch(server));
    assert_null(httpd_req_header(httpd_request(server, 3), "authorization", value, sizeof(value)));
}

/* A token with a line break could write headers of its own. */
static void test_bad_token(void **state)
{
    static const char *const tokens[] = {"a\r\nx-evil: 1", "a\nb", "SECRET\n", "\r", ""};
    struct aws_cred c = {0};
    (void)state;
    set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_url("/"));
    set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file_path("token"));
    for (size_t i = 0; i < ARRAY_LEN(tokens); i++) {
        write_file("token", tokens[i]);
        assert_int_equal(cred_container_get(&ctx, &c), -EACCES);
        check_no_secret();
    }
    unlink(file_path("token"));
    assert_int_equal(cred_container_get(&ctx, &c), -EACCES);
    assert_non_null(strstr(err_text(), "token"));
    set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", NULL);
    set_env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\nb");
    assert_int_equal(cred_container_get(&ctx, &c), -EACCES);
    assert_int_equal(httpd_requests(server), 0);
}

static void test_tries(void **state)
{
    const struct httpd_step again[] = {
        {.reply = {.status = 500}}, {.reply = {.drop = true}}, {.reply = {.body = GOOD}}};
    const struct httpd_step never[] = {{.reply = {.status = 500}},
                                       {.reply = {.status = 429}},
                                       {.reply = {.status = 503, .body = "{\"code\":\"busy\"}"}}};
    const struct httpd_step denied[] = {
        {.reply = {.status = 403, .body = "{\"code\":\"AccessDenied\",\"message\":\"no\"}"}}};
    struct aws_cred c = {0};
    (void)state;
    set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_url("/"));
    httpd_script(server, again, 3);
    httpd_script(server, never, 3);
    httpd_script(server, denied, 1);
    check_key(cred_container_get(&ctx, &c), &c, "ASIA");
    assert_int_equal(cred_container_get(&ctx, &c), -EACCES);
    assert_non_null(strstr(err_text(), "503 busy"));
    assert_int_equal(cred_container_get(&ctx, &c), -EACCES);
    assert_non_null(strstr(err_text(), "403 AccessDenied: no"));
    assert_int_equal(httpd_requests(server), 7);
    assert_null(httpd_mismatch(server));
}

static void say_nothing(void *arg, const struct httpd_req *req, struct httpd_reply *reply)
{
    (void)arg;
    (void)req;
    reply->hang = true;
}

/* A silent endpoint costs 2 s an attempt, not the engine's stall limit. Where that is over before
 * the server has the request, the machine is slow: with more time. */
static void test_silent(void **state)
{
    struct aws_cred c = {0};
    size_t before, rounds = 0;
    (void)state;
    set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_url("/"));
    httpd_handle(server, say_nothing, NULL);
    ctx.container_ms = 0;
    do {
        before = httpd_requests(server);
        assert_int_equal(cred_container_get(&ctx, &c), -ETIMEDOUT);
        ctx.container_ms = 4000 << rounds++;
    } while (httpd_requests(server) < before + 3 && rounds < 5);
    assert_in_range(httpd_requests(server), 3, 3 * rounds);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whom, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_token, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tries, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_silent, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
