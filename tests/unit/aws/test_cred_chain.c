/* SPDX-License-Identifier: Apache-2.0 */
/* The order of the sources, and the static ones. */
#include "cred_test.h"

static char source[300];

static int get(struct aws_cred *c)
{
    source[0] = '\0';
    return cred_chain_get(&ctx, c, source, sizeof(source));
}

static void answer_key(void *arg, const struct httpd_req *req, struct httpd_reply *reply)
{
    (void)arg;
    (void)req;
    reply->body =
        strcmp(req->method, "POST") == 0
            ? "{\"AccessKeyId\":\"WEBID\",\"SecretAccessKey\":\"SECRET\",\"Token\":\"t\"}"
            : "{\"AccessKeyId\":\"CONTAINER\",\"SecretAccessKey\":\"SECRET\",\"Token\":\"t\"}";
}

/* Everything is configured; what counts is taken away, one after the other. */
static void test_order(void **state)
{
    struct aws_cred c = {0};
    (void)state;
    httpd_handle(server, answer_key, NULL);
    set_env("AWS_ACCESS_KEY_ID", "ENV");
    set_env("AWS_SECRET_ACCESS_KEY", "SECRET");
    set_env("AWS_SESSION_TOKEN", "token");
    set_env("AWS_PROFILE", "asked");
    set_env("AWS_WEB_IDENTITY_TOKEN_FILE", file_path("token"));
    set_env("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
    set_env("AWS_ENDPOINT_URL_STS", server_url(""));
    set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", server_url("/creds"));
    write_file("token", "jwt");
    set_files(NULL, "[default]\naws_access_key_id = DEFAULT\naws_secret_access_key = SECRET\n"
                    "[asked]\naws_access_key_id = ASKED\naws_secret_access_key = SECRET\n"
                    "[option]\naws_access_key_id = OPTION\naws_secret_access_key = SECRET\n");
    char option[] = "option";
    ctx.profile = option;
    check_key(get(&c), &c, "OPTION");
    assert_string_equal(source, "profile option");
    ctx.profile = NULL;
    check_key(get(&c), &c, "ENV");
    assert_string_equal(source, "environment");
    set_env("AWS_ACCESS_KEY_ID", NULL);
    check_key(get(&c), &c, "ASKED");
    assert_string_equal(source, "profile asked");
    set_env("AWS_PROFILE", NULL);
    check_key(get(&c), &c, "WEBID");
    assert_string_equal(source, "web identity");
    set_env("AWS_WEB_IDENTITY_TOKEN_FILE", NULL);
    check_key(get(&c), &c, "DEFAULT");
    assert_string_equal(source, "profile default");
    set_files(NULL, NULL);
    check_key(get(&c), &c, "CONTAINER");
    assert_string_equal(source, "container");
    set_env("AWS_CONTAINER_CREDENTIALS_FULL_URI", NULL);
    assert_int_equal(get(&c), -EACCES);
    assert_non_null(strstr(err_text(), "AWS_ACCESS_KEY_ID"));
    assert_non_null(strstr(err_text(), "AWS_WEB_IDENTITY_TOKEN_FILE"));
    assert_non_null(strstr(err_text(), "AWS_CONTAINER_CREDENTIALS"));
    ctx.anonymous_ok = true;
    check_key(get(&c), &c, NULL);
    assert_string_equal(source, "anonymous");
}

static void test_environment(void **state)
{
    struct aws_cred c = {0};
    (void)state;
    assert_int_equal(cred_env_get(get_env, &c), CRED_NONE);
    set_env("AWS_SECRET_ACCESS_KEY", "SECRET");
    assert_int_equal(cred_env_get(get_env, &c), CRED_NONE);
    set_env("AWS_ACCESS_KEY_ID", "AK");
    assert_int_equal(cred_env_get(get_env, &c), 0);
    assert_string_equal(c.secret, "SECRET");
    assert_null(c.token);
    assert_int_equal(c.expiry_ns, 0);
    aws_cred_done(&c);
    set_env("AWS_SESSION_TOKEN", "tok");
    assert_int_equal(cred_env_get(get_env, &c), 0);
    assert_string_equal(c.token, "tok");
    aws_cred_done(&c);
    set_env("AWS_SECRET_ACCESS_KEY", "");
    assert_int_equal(cred_env_get(get_env, &c), -EACCES);
    assert_non_null(strstr(err_text(), "AWS_SECRET_ACCESS_KEY"));
}

/* What is not supported is named, and is an error where it was asked for. */
static void test_unsupported(void **state)
{
    static const struct {
        const char *config, *word;
    } rows[] = {
        {"role_arn = r\nsource_profile = s\naws_access_key_id = A\naws_secret_access_key = B\n",
         "source_profile"},
        {"role_arn = r\ncredential_source = Ec2InstanceMetadata\n", "credential_source"},
        {"sso_session = s\n", "single sign-on"},
        {"sso_start_url = https://x\naws_access_key_id = A\naws_secret_access_key = B\n",
         "single sign-on"},
        {"credential_process = /bin/true\n", "credential_process"},
        {"login_session = x\n", "login_session"},
    };
    struct aws_cred c = {0};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[300];
        snprintf(text, sizeof(text), "[default]\n%s", rows[i].config);
        set_files(text, NULL);
        assert_int_equal(get(&c), -EACCES);
        assert_non_null(strstr(err_text(), rows[i].word)); /* a hint after what was looked at */
        assert_non_null(strstr(err_text(), "no AWS credentials"));
        set_env("AWS_PROFILE", "default");
        assert_int_equal(get(&c), -EACCES);
        assert_non_null(strstr(err_text(), rows[i].word));
        assert_non_null(strstr(err_text(), "not supported yet"));
        set_env("AWS_PROFILE", NULL);
    }
}

static void test_bad_profiles(void **state)
{
    static const struct {
        const char *config, *word;
    } rows[] = {
        {"aws_access_key_id = A\n", "aws_secret_access_key"},
        {"role_arn = r\n", "web_identity_token_file"},
        {"region = x\n", "has no credentials"},
        {"role_arn = r\nweb_identity_token_file = /none\nduration_seconds = 60\n", "900"},
        {"role_arn = r\nweb_identity_token_file = /none\nduration_seconds = 1h\n", "900"},
        {"role_arn = r\nweb_identity_token_file = /none\nrole_session_name = a b\n",
         "session name"},
        {"role_arn = r\nweb_identity_token_file = /nonexistent/token\n", "/nonexistent/token"},
    };
    struct aws_cred c = {0};
    (void)state;
    set_env("AWS_PROFILE", "p");
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[300];
        snprintf(text, sizeof(text), "[profile p]\n%s", rows[i].config);
        set_files(text, NULL);
        assert_int_equal(get(&c), -EACCES);
        if (!strstr(err_text(), rows[i].word))
            fail_msg("row %zu: %s", i, err_text());
    }
    set_env("AWS_PROFILE", "other");
    assert_int_equal(get(&c), -EACCES);
    assert_non_null(strstr(err_text(), "no profile \"other\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_environment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unsupported, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_profiles, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
