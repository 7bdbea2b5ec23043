/* SPDX-License-Identifier: Apache-2.0 */
#include "aws_test.h"

#include "../../../fs/aws/ini.h"
#include "base/buf.h"

static void note(void *ctx, const char *section, const char *parent, const char *key,
                 const char *value)
{
    buf_addf(ctx, "[%s]%s%s%s=%s|", section, parent ? parent : "", parent ? "." : "", key, value);
}

static void check(const char *text, const char *want)
{
    _cleanup_buf_ struct buf got = BUF_INIT(65536);
    _cleanup_free_ char *copy = strdup(text);
    assert_non_null(copy);
    ini_parse(copy, note, &got);
    assert_string_equal(buf_str(&got), want);
}

static void test_lines(void **state)
{
    (void)state;
    check("", "");
    check("[a]", "");
    check("k=v\n[a]\nk=v\n", "[a]k=v|"); /* nothing before the first heading */
    check("[a]\nk = v\n", "[a]k=v|");
    check("[a]\r\nk = v\r\n[b]\r\nk=w", "[a]k=v|[b]k=w|");
    check("\xef\xbb\xbf[a]\nk=v", "[a]k=v|");
    check("[a]\nKey_Name=Value\n", "[a]key_name=Value|");
    check("[a]\nk=\nl = a=b=c\nm\n= x\n", "[a]k=|[a]l=a=b=c|");
    check("[a]\nk=v/+== \t\n", "[a]k=v/+==|");
}

static void test_comments(void **state)
{
    (void)state;
    check("# c\n; d\n[a] # e\nk=v ; f\nl=v#w;x\n  # g\n", "[a]k=v|[a]l=v#w;x|");
}

static void test_headings(void **state)
{
    (void)state;
    check("[profile  x\ty]\nk=v", "[profile x y]k=v|");
    check("[ profile \"my one\" ]\nk=v", "[profile my one]k=v|");
    check("[a]\nk=v\n[broken\nl=w\n[b]\nm=x", "[a]k=v|[b]m=x|");
}

static void test_nested(void **state)
{
    (void)state;
    check(
        "[services s]\ns3 =\n  endpoint_url = http://x\n  other=1\nsts=\n\tendpoint_url=http://y\n",
        "[services s]s3=|[services s]s3.endpoint_url=http://x|[services s]s3.other=1|"
        "[services s]sts=|[services s]sts.endpoint_url=http://y|");
    check("[a]\n  k = v\n  l = w\n", "[a]k=v|[a]l=w|"); /* all indented: nothing to be nested in */
}

/* A session token is one line of any length. */
static void test_long_value(void **state)
{
    enum { LEN = 20000 };
    _cleanup_free_ char *text = malloc(LEN + 100), *want = malloc(LEN + 100);
    (void)state;
    strcpy(text, "[a]\nk = ");
    memset(text + 8, 't', LEN);
    strcpy(text + 8 + LEN, "\nl = w\n");
    strcpy(want, "[a]k=");
    memset(want + 5, 't', LEN);
    strcpy(want + 5 + LEN, "|[a]l=w|");
    check(text, want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),      cmocka_unit_test(test_comments),
        cmocka_unit_test(test_headings),   cmocka_unit_test(test_nested),
        cmocka_unit_test(test_long_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
