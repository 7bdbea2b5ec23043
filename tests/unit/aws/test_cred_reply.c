/* SPDX-License-Identifier: Apache-2.0 */
#include "aws_test.h"

#include "../../../fs/aws/cred_reply.h"
#include "base/clock.h"

static void check_good(const char *text, const char *token, int64_t expiry_s)
{
    struct cred_reply r;
    assert_int_equal(cred_reply_parse(text, strlen(text), &r), 0);
    assert_string_equal(r.code, "");
    assert_string_equal(r.cred.access_key, "ASIA1");
    assert_string_equal(r.cred.secret, "s/e+c");
    if (token)
        assert_string_equal(r.cred.token, token);
    else
        assert_null(r.cred.token);
    assert_int_equal(r.cred.expiry_ns, expiry_s * NS_PER_S);
    cred_reply_done(&r);
    cred_reply_done(&r);
}

static void test_good(void **state)
{
    (void)state;
    check_good("{\"AccessKeyId\":\"ASIA1\",\"SecretAccessKey\":\"s/e+c\",\"Token\":\"t\","
               "\"Expiration\":\"2026-02-28T23:59:59Z\",\"AccountId\":\"1\"}",
               "t", 1772323199);
    check_good("{\"Code\":\"Success\",\"AccessKeyId\":\"ASIA1\",\"SecretAccessKey\":\"s/e+c\"}",
               NULL, 0);
    check_good("{\"AssumeRoleWithWebIdentityResponse\":{\"AssumeRoleWithWebIdentityResult\":{"
               "\"Credentials\":"
               "{\"AccessKeyId\":\"ASIA1\",\"SecretAccessKey\":\"s/e+c\",\"SessionToken\":\"t\","
               "\"Expiration\":1.772323199E9}}}}",
               "t", 1772323199);
    check_good(
        "<?xml version=\"1.0\"?>\n<AssumeRoleWithWebIdentityResponse "
        "xmlns=\"https://sts.amazonaws.com/doc/"
        "2011-06-15/\"><AssumeRoleWithWebIdentityResult><Credentials><SessionToken>t&lt;&amp;</"
        "SessionToken>"
        "<SecretAccessKey>s/e+c</SecretAccessKey><Expiration>2026-02-28T23:59:59Z</Expiration>"
        "<AccessKeyId>ASIA1</AccessKeyId></Credentials></AssumeRoleWithWebIdentityResult>"
        "</AssumeRoleWithWebIdentityResponse>",
        "t<&", 1772323199);
}

static void test_errors(void **state)
{
    static const char *const texts[] = {
        ("{\"Error\":{\"Code\":\"ExpiredTokenException\",\"Message\":\"Token "
         "expired\",\"Type\":\"Sender\"},\"RequestId\":\"r\"}"),
        "{\"code\":\"ExpiredTokenException\",\"message\":\"Token expired\"}",
        (" <ErrorResponse xmlns=\"x\"><Error><Type>Sender</Type><Code>ExpiredTokenException</Code>"
         "<Message>Token expired</Message></Error><RequestId>r</RequestId></ErrorResponse>")};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct cred_reply r;
        assert_int_equal(cred_reply_parse(texts[i], strlen(texts[i]), &r), 0);
        assert_string_equal(r.code, "ExpiredTokenException");
        assert_string_equal(r.message, "Token expired");
        assert_null(r.cred.access_key);
        cred_reply_done(&r);
    }
}

static void test_broken(void **state)
{
    static const char *const texts[] = {
        "",
        "null",
        "[]",
        "[1]",
        "\"x\"",
        "{}",
        "{",
        "not found",
        "{\"AccessKeyId\":\"a\"}",
        "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"\"}",
        "{\"AccessKeyId\":1,\"SecretAccessKey\":\"s\"}",
        "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Expiration\":\"soon\"}",
        "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Expiration\":1e300}",
        "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Expiration\":-5}",
        "{\"AssumeRoleWithWebIdentityResponse\":7}",
        "<a>",
        "<a></b>",
        "<html><body>502</body></html>",
        "<r><AccessKeyId>a</AccessKeyId></r>",
        "<r><AccessKeyId>a</AccessKeyId><SecretAccessKey>s</SecretAccessKey><Expiration>x</"
        "Expiration></r>",
        "<!DOCTYPE r [<!ENTITY e "
        "\"x\">]><r><AccessKeyId>&e;</AccessKeyId><SecretAccessKey>s</SecretAccessKey></r>",
    };
    struct cred_reply r = {.code = "untouched"};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (cred_reply_parse(texts[i], strlen(texts[i]), &r) != -EPROTO)
            fail_msg("taken: %s", texts[i]);
    assert_string_equal(r.code, "untouched");
}

/* Text past any token's size is refused, not cut. */
static void test_too_long(void **state)
{
    _cleanup_free_ char *text = malloc(20000);
    struct cred_reply r;
    (void)state;
    strcpy(text,
           "<r><AccessKeyId>a</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>");
    size_t at = strlen(text);
    memset(text + at, 't', 9000);
    strcpy(text + at + 9000, "</SessionToken></r>");
    assert_int_equal(cred_reply_parse(text, strlen(text), &r), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_too_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
