/* SPDX-License-Identifier: Apache-2.0 */
#include "aws_test.h"

#include "../../../fs/aws/profile.h"

#include <sys/stat.h>

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

static void check(const char *got, const char *want)
{
    if (want)
        assert_string_equal(got, want);
    else
        assert_null(got);
}

static void test_which_section(void **state)
{
    struct profile p;
    (void)state;
    set_files(
        "[default]\nregion = r-default\n[profile work]\nregion = r-work\n[work]\nregion = "
        "r-wrong\n",
        "[default]\naws_access_key_id = AK0\naws_secret_access_key = S0\n"
        "[work]\naws_access_key_id = AK1\naws_secret_access_key = S1\naws_session_token = T1\n");
    assert_int_equal(profile_load(NULL, get_env, &p), 0);
    assert_true(p.is_found);
    assert_false(p.is_asked);
    check(p.name, "default");
    check(p.region, "r-default");
    check(p.access_key, "AK0");
    check(p.token, NULL);
    profile_done(&p);
    set_env("AWS_PROFILE", "work");
    assert_int_equal(profile_load(NULL, get_env, &p), 0);
    assert_true(p.is_asked);
    check(p.region, "r-work");
    check(p.access_key, "AK1");
    check(p.secret, "S1");
    check(p.token, "T1");
    profile_done(&p);
    assert_int_equal(profile_load("default", get_env, &p), 0); /* the option over AWS_PROFILE */
    assert_true(p.is_asked);
    check(p.access_key, "AK0");
    profile_done(&p);
    assert_int_equal(profile_load("gone", get_env, &p), 0);
    assert_false(p.is_found);
    profile_done(&p);
    profile_done(&p);
}

/* A token of one file never goes with a key of the other. */
static void test_static_keys_stay_together(void **state)
{
    struct profile p;
    (void)state;
    set_files(
        "[default]\naws_access_key_id = AKC\naws_secret_access_key = SC\naws_session_token = TC\n",
        "[default]\naws_access_key_id = AK0\naws_secret_access_key = S0\n");
    assert_int_equal(profile_load(NULL, get_env, &p), 0);
    check(p.access_key, "AK0");
    check(p.secret, "S0");
    check(p.token, NULL);
    profile_done(&p);
    set_files("[default]\naws_access_key_id = AKC\naws_secret_access_key = SC\n",
              "[default]\naws_session_token = T0\n");
    assert_int_equal(profile_load(NULL, get_env, &p), 0);
    check(p.access_key, "AKC");
    check(p.secret, "SC");
    check(p.token, NULL);
    profile_done(&p);
}

static void test_services(void **state)
{
    struct profile p;
    (void)state;
    set_files(
        "[services dev]\ns3 =\n  endpoint_url = http://s3\nsts =\n  endpoint_url = http://sts\n"
        "[services other]\ns3 =\n  endpoint_url = http://wrong\n"
        "[default]\nservices = dev\nendpoint_url = http://all\n",
        NULL);
    assert_int_equal(profile_load(NULL, get_env, &p), 0);
    check(p.s3_endpoint_url, "http://s3");
    check(p.sts_endpoint_url, "http://sts");
    check(p.endpoint_url, "http://all");
    profile_done(&p);
}

static void test_files(void **state)
{
    struct profile p;
    char config[200], credentials[200], dir[200];
    (void)state;
    set_files(NULL, NULL);
    assert_int_equal(profile_load(NULL, get_env, &p), 0);
    assert_false(p.is_found);
    profile_done(&p);
    clear_env();
    assert_int_equal(profile_load(NULL, get_env, &p), 0); /* no home: no files */
    assert_false(p.is_found);
    profile_done(&p);
    set_env("HOME", "/h/u");
    profile_paths(get_env, config, credentials, sizeof(config));
    assert_string_equal(config, "/h/u/.aws/config");
    assert_string_equal(credentials, "/h/u/.aws/credentials");
    set_env("AWS_CONFIG_FILE", "~/x");
    profile_paths(get_env, config, credentials, sizeof(config));
    assert_string_equal(config, "/h/u/x");

    snprintf(dir, sizeof(dir), "%s/dir", test_dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    set_env("AWS_CONFIG_FILE", dir); /* not to be read: matters to who asked for a profile only */
    assert_int_equal(profile_load(NULL, get_env, &p), 0);
    profile_done(&p);
    assert_int_equal(profile_load("x", get_env, &p), -EISDIR);
    assert_non_null(strstr(err_text(), dir));
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_which_section, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_static_keys_stay_together, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_services, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_files, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
