/* SPDX-License-Identifier: Apache-2.0 */
#include "aws_test.h"

#include "aws/endpoint.h"

static void test_table(void **state)
{
    static const struct {
        struct endpoint_conf conf;
        const char *url; /* scheme, host and path together */
        bool is_aws;
    } rows[] = {
        {{.bucket = "my-bucket"}, "https://my-bucket.s3.us-east-1.amazonaws.com", true},
        {{.bucket = "b01", .region = "ap-northeast-2"},
         "https://b01.s3.ap-northeast-2.amazonaws.com",
         true},
        {{.bucket = "with.dots", .region = "eu-west-1"},
         "https://s3.eu-west-1.amazonaws.com/with.dots",
         true},
        {{.bucket = "Upper", .region = "us-east-1"},
         "https://s3.us-east-1.amazonaws.com/Upper",
         true},
        {{.bucket = "under_score"}, "https://s3.us-east-1.amazonaws.com/under_score", true},
        {{.bucket = "-edge"}, "https://s3.us-east-1.amazonaws.com/-edge", true},
        {{.bucket = "ab"}, "https://s3.us-east-1.amazonaws.com/ab", true},
        {{.bucket = "1.2.3.4"}, "https://s3.us-east-1.amazonaws.com/1.2.3.4", true},
        {{.bucket = "bkt", .path_style = true}, "https://s3.us-east-1.amazonaws.com/bkt", true},
        {{.bucket = "bkt", .dualstack = true},
         "https://bkt.s3.dualstack.us-east-1.amazonaws.com",
         true},
        {{.bucket = "bkt", .fips = true, .region = "us-gov-west-1"},
         "https://bkt.s3-fips.us-gov-west-1.amazonaws.com",
         true},
        {{.bucket = "bkt", .fips = true, .dualstack = true},
         "https://bkt.s3-fips.dualstack.us-east-1.amazonaws.com",
         true},
        {{.bucket = "bkt", .region = "cn-north-1"},
         "https://bkt.s3.cn-north-1.amazonaws.com.cn",
         true},
        {{.bucket = "bkt", .url = "http://127.0.0.1:7480"}, "http://127.0.0.1:7480/bkt", false},
        {{.bucket = "bkt", .url = "https://minio.example.com/s3/"},
         "https://minio.example.com/s3/bkt",
         false},
        {{.bucket = "b.k.t", .url = "http://[::1]:9000"}, "http://[::1]:9000/b.k.t", false},
        {{.bucket = "bkt", .url = "https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com"},
         "https://bucket.vpce-1.s3.us-east-1.vpce.amazonaws.com/bkt",
         true},
        {{.bucket = "bkt", .url = "https://evil-amazonaws.com"},
         "https://evil-amazonaws.com/bkt",
         false},
        {{.bucket = "bkt", .url = ""}, "https://bkt.s3.us-east-1.amazonaws.com", true},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct endpoint e;
        char got[600];
        assert_int_equal(endpoint_resolve(&rows[i].conf, &e), 0);
        snprintf(got, sizeof(got), "%s://%s%s", e.scheme, e.host, e.path);
        assert_string_equal(got, rows[i].url);
        assert_int_equal(e.is_aws, rows[i].is_aws);
        assert_string_equal(e.region, rows[i].conf.region ? rows[i].conf.region : "us-east-1");
    }
}

static void test_label_length(void **state)
{
    char name[65];
    struct endpoint e;
    struct endpoint_conf conf = {.bucket = name};
    (void)state;
    memset(name, 'b', 64);
    name[63] = '\0';
    assert_int_equal(endpoint_resolve(&conf, &e), 0);
    assert_string_equal(e.path, "");
    name[63] = 'b';
    name[64] = '\0';
    assert_int_equal(endpoint_resolve(&conf, &e), 0);
    assert_memory_equal(e.host, "s3.", 3);
}

static void test_refused(void **state)
{
    static const struct endpoint_conf bad[] = {
        {.bucket = ""},
        {.bucket = "."},
        {.bucket = ".."},
        {.bucket = "a/b"},
        {.bucket = "a b"},
        {.bucket = "a\nb"},
        {.bucket = "a?b"},
        {.bucket = "arn:aws:s3:us-east-1:123456789012:accesspoint/x"},
        {.bucket = "name--use1-az4--x-s3"},
        {.bucket = "bkt", .region = "us east"},
        {.bucket = "bkt", .region = "evil.example.com/"},
        {.bucket = "bkt", .region = "a.b"},
        {.bucket = "bkt", .region = "-a"},
        {.bucket = "bkt", .url = "minio:9000"},
        {.bucket = "bkt", .url = "https://u:p@h"},
        {.bucket = "bkt", .url = "https://h/?x"},
    };
    char name[300];
    struct endpoint e;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err_clear();
        if (endpoint_resolve(&bad[i], &e) != -EINVAL)
            fail_msg("row %zu was accepted", i);
        assert_true(err_text()[0] != '\0');
    }
    memset(name, 'b', 299);
    name[299] = '\0';
    assert_int_equal(endpoint_resolve(&(struct endpoint_conf){.bucket = name}, &e), -EINVAL);
    name[200] = '\0'; /* a possible name of another server, but past what the path holds */
    assert_int_equal(endpoint_resolve(&(struct endpoint_conf){.bucket = name}, &e), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_label_length),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
