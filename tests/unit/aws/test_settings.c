/* SPDX-License-Identifier: Apache-2.0 */
#include "aws_test.h"

#include "aws/endpoint.h"

static int set_up(void **state)
{
    (void)state;
    clear_env();
    make_dir();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    remove_dir();
    return 0;
}

static struct aws_settings load(const char *region, const char *endpoint)
{
    struct aws_settings s;
    assert_int_equal(aws_settings_load(region, endpoint, NULL, get_env, &s), 0);
    return s;
}

/* Each place gives way to the one before it. */
static void test_region_order(void **state)
{
    (void)state;
    set_files(NULL, NULL);
    struct aws_settings s = load(NULL, NULL);
    assert_string_equal(s.region, "us-east-1");
    assert_true(s.region_is_default);
    set_files("[default]\nregion = profile-1\n", NULL);
    assert_string_equal(load(NULL, NULL).region, "profile-1");
    set_env("AWS_DEFAULT_REGION", "default-1");
    assert_string_equal(load(NULL, NULL).region, "default-1");
    set_env("AWS_REGION", "env-1");
    assert_string_equal(load("", NULL).region, "env-1");
    s = load("option-1", NULL);
    assert_string_equal(s.region, "option-1");
    assert_false(s.region_is_default);
}

static void test_endpoint_order(void **state)
{
    (void)state;
    set_files("[default]\n", NULL);
    assert_string_equal(load(NULL, NULL).endpoint_url, "");
    set_files("[default]\nendpoint_url = http://profile\n", NULL);
    assert_string_equal(load(NULL, NULL).endpoint_url, "http://profile");
    set_files("[default]\nendpoint_url = http://profile\nservices = v\n"
              "[services v]\ns3 =\n  endpoint_url = http://services\n",
              NULL);
    assert_string_equal(load(NULL, NULL).endpoint_url, "http://services");
    set_env("AWS_ENDPOINT_URL", "http://env");
    assert_string_equal(load(NULL, NULL).endpoint_url, "http://env");
    set_env("AWS_ENDPOINT_URL_S3", "http://env-s3");
    assert_string_equal(load(NULL, NULL).endpoint_url, "http://env-s3");
    assert_string_equal(load(NULL, "http://option").endpoint_url, "http://option");
    set_env("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    assert_string_equal(load(NULL, NULL).endpoint_url, "");
    assert_string_equal(load(NULL, "http://option").endpoint_url, "http://option");
}

static void test_the_rest(void **state)
{
    (void)state;
    set_files("[default]\nca_bundle = /p/ca\n", NULL);
    struct aws_settings s = load(NULL, NULL);
    assert_string_equal(s.ca_bundle, "/p/ca");
    assert_false(s.dualstack || s.fips);
    set_env("AWS_CA_BUNDLE", "/e/ca");
    set_env("AWS_USE_DUALSTACK_ENDPOINT", "TRUE");
    set_env("AWS_USE_FIPS_ENDPOINT", "true");
    s = load(NULL, NULL);
    assert_string_equal(s.ca_bundle, "/e/ca");
    assert_true(s.dualstack && s.fips);
}

static void test_refused(void **state)
{
    struct aws_settings s;
    char url[400] = "http://";
    (void)state;
    set_files("[profile there]\nregion = x-1\n", NULL);
    assert_int_equal(aws_settings_load(NULL, NULL, "there", get_env, &s), 0);
    assert_int_equal(aws_settings_load(NULL, NULL, "gone", get_env, &s), -EINVAL);
    assert_non_null(strstr(err_text(), "gone"));
    set_env("AWS_PROFILE", "gone");
    assert_int_equal(aws_settings_load(NULL, NULL, NULL, get_env, &s), -EINVAL);
    set_env("AWS_PROFILE", NULL);
    assert_int_equal(aws_settings_load("bad region", NULL, NULL, get_env, &s), -EINVAL);
    set_env("AWS_REGION", "a/b");
    assert_int_equal(aws_settings_load(NULL, NULL, NULL, get_env, &s), -EINVAL);
    set_env("AWS_REGION", NULL);
    memset(url + 7, 'a', 390);
    assert_int_equal(aws_settings_load(NULL, url, NULL, get_env, &s), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_region_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_endpoint_order, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_rest, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
