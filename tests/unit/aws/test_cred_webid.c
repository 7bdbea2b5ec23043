/* SPDX-License-Identifier: Apache-2.0 */
/* AssumeRoleWithWebIdentity against a scripted STS. */
#include "cred_test.h"

#define GOOD_JSON                                                                                  \
    "{\"AssumeRoleWithWebIdentityResponse\":{\"AssumeRoleWithWebIdentityResult\":{"                \
    "\"Credentials\":{"                                                                            \
    "\"AccessKeyId\":\"ASIA\",\"SecretAccessKey\":\"SECRET\",\"SessionToken\":\"tok\","            \
    "\"Expiration\":1.9e9}}}}"
#define GOOD_XML                                                                                   \
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"            \
    "<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>SECRET</SecretAccessKey>"                     \
    "<SessionToken>tok</SessionToken><Expiration>2030-03-17T17:46:40Z</Expiration></Credentials>"  \
    "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
#define ERROR_JSON(code)                                                                           \
    "{\"Error\":{\"Code\":\"" code "\",\"Message\":\"told why\",\"Type\":\"Sender\"}}"

static const struct profile no_profile;

static void use_env(void)
{
    set_env("AWS_WEB_IDENTITY_TOKEN_FILE", file_path("token"));
    set_env("AWS_ROLE_ARN", "arn:aws:iam::123:role/a+b");
    set_env("AWS_ROLE_SESSION_NAME", "me@host");
    set_env("AWS_ENDPOINT_URL_STS", server_url("/"));
    write_file("token", "eySECRET.JWT/+=\n");
}

static void check_creds(struct aws_cred *c)
{
    assert_string_equal(c->access_key, "ASIA");
    assert_string_equal(c->secret, "SECRET");
    assert_string_equal(c->token, "tok");
    assert_int_equal(c->expiry_ns, INT64_C(1900000000) * NS_PER_S + (c->expiry_ns % NS_PER_S));
    aws_cred_done(c);
}

static void test_request(void **state)
{
    const struct httpd_step steps[] = {
        {.method = "POST",
         .target = "/",
         .header = "accept: application/json",
         .body = "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%"
                 "3A123%3Arole%2Fa%2Bb"
                 "&RoleSessionName=me%40host&WebIdentityToken=eySECRET.JWT%2F%2B%3D",
         .reply = {.body = GOOD_JSON}},
        {.header = "content-type: application/x-www-form-urlencoded", .reply = {.body = GOOD_XML}},
    };
    struct aws_cred c = {0};
    char value[100];
    (void)state;
    use_env();
    httpd_script(server, steps, 2);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), 0);
        check_creds(&c);
    }
    assert_null(httpd_mismatch(server));
    assert_null(httpd_req_header(httpd_request(server, 0), "authorization", value, sizeof(value)));
}

/* kubelet writes a new token at any time: the file is read for each call, and for each attempt. */
static void test_token_rotates(void **state)
{
    const struct httpd_step steps[] = {{.reply = {.body = GOOD_JSON}},
                                       {.reply = {.body = GOOD_JSON}}};
    struct aws_cred c = {0};
    (void)state;
    use_env();
    httpd_script(server, steps, 2);
    assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), 0);
    aws_cred_done(&c);
    write_file("token", "second");
    assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), 0);
    aws_cred_done(&c);
    assert_non_null(strstr(httpd_request(server, 0)->body, "WebIdentityToken=eySECRET.JWT"));
    assert_true(str_ends(httpd_request(server, 1)->body, "&WebIdentityToken=second"));
}

static void test_tries_again(void **state)
{
    const struct httpd_step steps[] = {
        {.reply = {.status = 400, .body = ERROR_JSON("IDPCommunicationError")}},
        {.reply = {.status = 503, .body = "<html>busy"}},
        {.reply = {.body = GOOD_JSON}},
        {.reply = {.drop = true}},
        {.reply = {.body = "<cut"}},
        {.reply = {.body = GOOD_XML}},
    };
    struct aws_cred c = {0};
    (void)state;
    use_env();
    httpd_script(server, steps, ARRAY_LEN(steps));
    for (int i = 0; i < 2; i++) {
        int r = cred_webid_env_get(&ctx, &no_profile, &c);
        if (r < 0)
            fail_msg("%s", err_text());
        check_creds(&c);
    }
    assert_int_equal(httpd_steps_left(server), 0);
}

static void test_gives_up(void **state)
{
    const struct httpd_step steps[] = {
        {.reply = {.status = 500, .body = ERROR_JSON("InternalFailure")}},
        {.reply = {.status = 500, .body = ERROR_JSON("InternalFailure")}},
        {.reply = {.status = 500, .body = ERROR_JSON("InternalFailure")}},
    };
    struct aws_cred c = {0};
    (void)state;
    use_env();
    httpd_script(server, steps, 3);
    assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), -EACCES);
    assert_non_null(strstr(err_text(), "InternalFailure"));
    assert_int_equal(httpd_requests(server), 3);
    check_no_secret();
    httpd_stop(server);
    server = NULL;
    assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), -ECONNREFUSED);
    assert_non_null(strstr(err_text(), "STS"));
    check_no_secret();
}

/* What will not pass by waiting is asked once. */
static void test_refused(void **state)
{
    static const struct {
        int status;
        const char *body, *code;
    } rows[] = {
        {400, ERROR_JSON("ExpiredTokenException"), "ExpiredTokenException"},
        {400, ERROR_JSON("InvalidIdentityToken"), "InvalidIdentityToken"},
        {403, ERROR_JSON("AccessDenied"), "AccessDenied: told why"},
        {403, "<ErrorResponse><Error><Code>RegionDisabledException</Code></Error></ErrorResponse>",
         "RegionDisabledException"},
        {404, "not json", "404"},
        {307, "", "307"},
    };
    struct aws_cred c = {0};
    (void)state;
    use_env();
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct httpd_step step = {.reply = {.status = rows[i].status, .body = rows[i].body}};
        httpd_script(server, &step, 1);
        assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), -EACCES);
        if (!strstr(err_text(), rows[i].code))
            fail_msg("%s", err_text());
        check_no_secret();
    }
    assert_int_equal(httpd_requests(server), ARRAY_LEN(rows));
    assert_null(httpd_mismatch(server));
}

static void test_bad_configuration(void **state)
{
    struct aws_cred c = {0};
    (void)state;
    assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), CRED_NONE);
    use_env();
    set_env("AWS_ROLE_ARN", NULL);
    assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), -EACCES);
    assert_non_null(strstr(err_text(), "AWS_ROLE_ARN"));
    use_env();
    write_file("token", "\n \n");
    assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), -EACCES);
    assert_non_null(strstr(err_text(), "empty"));
    unlink(file_path("token"));
    assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), -EACCES);
    assert_non_null(strstr(err_text(), file_path("token")));
    use_env();
    set_env("AWS_ROLE_SESSION_NAME", "x");
    assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), -EACCES);
    use_env();
    set_env("AWS_ENDPOINT_URL_STS", "sts.example.com");
    assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), -EINVAL);
    set_env("AWS_ENDPOINT_URL_STS", NULL);
    set_env("AWS_REGION", "evil.example/#");
    assert_int_equal(cred_webid_env_get(&ctx, &no_profile, &c), -EINVAL);
    assert_int_equal(httpd_requests(server), 0);
}

static void test_profile(void **state)
{
    const struct httpd_step steps[] = {{.target = "/sts/", .reply = {.body = GOOD_XML}}};
    struct aws_cred c = {0};
    struct profile p;
    char text[600];
    (void)state;
    write_file("token", "from-profile");
    snprintf(
        text, sizeof(text),
        "[profile w]\nrole_arn = arn:r\nweb_identity_token_file = %s\nrole_session_name = sess\n"
        "duration_seconds = 3600\nservices = s\n[services s]\nsts =\n  endpoint_url = %s/sts\n",
        file_path("token"), httpd_url(server));
    set_files(text, NULL);
    assert_int_equal(profile_load("w", get_env, &p), 0);
    httpd_script(server, steps, 1);
    assert_int_equal(cred_profile_get(&ctx, &p, &c), 0);
    check_creds(&c);
    assert_null(httpd_mismatch(server));
    assert_string_equal(httpd_request(server, 0)->body,
                        "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn%3Ar"
                        "&RoleSessionName=sess&DurationSeconds=3600&WebIdentityToken=from-profile");
    profile_done(&p);
}

static void refuse_connect(void *arg, const struct httpd_req *req, struct httpd_reply *reply)
{
    (void)arg;
    (void)req;
    reply->status = 403;
    reply->close = true;
}

/* Without an endpoint of its own: the regional one. A proxy of ours sees whom it asks for. */
static void test_default_endpoint(void **state)
{
    static const struct {
        const char *region, *fips, *want;
    } rows[] = {{"eu-west-3", NULL, "sts.eu-west-3.amazonaws.com:443"},
                {"cn-north-1", NULL, "sts.cn-north-1.amazonaws.com.cn:443"},
                {"us-gov-west-1", "true", "sts-fips.us-gov-west-1.amazonaws.com:443"},
                {NULL, NULL, "sts.us-east-1.amazonaws.com:443"}};
    struct aws_cred c = {0};
    (void)state;
    use_env();
    set_env("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1");
    set_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    setenv("https_proxy", httpd_url(server), 1);
    httpd_handle(server, refuse_connect, NULL);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t before = httpd_requests(server);
        set_env("AWS_REGION", rows[i].region);
        set_env("AWS_USE_FIPS_ENDPOINT", rows[i].fips);
        assert_true(cred_webid_env_get(&ctx, &no_profile, &c) < 0);
        assert_true(httpd_requests(server) > before);
        assert_string_equal(httpd_request(server, before)->method, "CONNECT");
        assert_string_equal(httpd_request(server, before)->target, rows[i].want);
    }
    unsetenv("https_proxy");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_request, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_token_rotates, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_tries_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gives_up, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_configuration, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_profile, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_default_endpoint, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
