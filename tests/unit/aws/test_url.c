/* SPDX-License-Identifier: Apache-2.0 */
#include "aws_test.h"

#include "../../../fs/aws/url.h"

static void test_parts(void **state)
{
    static const struct {
        const char *text, *scheme, *name, *host, *path;
    } rows[] = {
        {"https://s3.example.com", "https", "s3.example.com", "s3.example.com", ""},
        {"http://127.0.0.1:9000/", "http", "127.0.0.1", "127.0.0.1:9000", ""},
        {"HTTPS://Example.COM:443/a/b//", "https", "example.com", "example.com", "/a/b"},
        {"http://h:80", "http", "h", "h", ""},
        {"http://h:443", "http", "h", "h:443", ""},
        {"https://h:80/x", "https", "h", "h:80", "/x"},
        {"http://[::1]:9000/p", "http", "::1", "[::1]:9000", "/p"},
        {"http://[FD00:ec2::23]", "http", "fd00:ec2::23", "[fd00:ec2::23]", ""},
        {"http://minio_1:9000", "http", "minio_1", "minio_1:9000", ""},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct url u;
        assert_int_equal(url_parse(rows[i].text, &u), 0);
        assert_string_equal(u.scheme, rows[i].scheme);
        assert_string_equal(u.name, rows[i].name);
        assert_string_equal(u.host, rows[i].host);
        assert_string_equal(u.path, rows[i].path);
    }
}

static void test_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "s3.example.com",
        "ftp://h",
        "https://",
        "https:///path",
        "https://h:0",
        "https://h:65536",
        "https://h:",
        "https://h:9x",
        "https://h:-1",
        "https://user@h",
        "https://user:secretpw@h/",
        "http://127.0.0.1@evil.example",
        "http://evil.example\\@127.0.0.1",
        "https://h/?q",
        "https://h?q",
        "https://h#f",
        "https://h/a b",
        "https://h/\r\nx: y",
        "https://h/\xc3\xa9",
        "https://h\xc3\xa9/",
        "http://[::1",
        "http://[::1]x",
        "http://[::g]",
        "http://[1.2.3.4]",
        "http://[::1%25eth0]",
        "http://h%2e/",
    };
    char text[2000] = "http://";
    struct url u;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        if (url_parse(bad[i], &u) != -EINVAL)
            fail_msg("accepted: %s", bad[i]);
        assert_null(strstr(err_text(), "secretpw"));
    }
    memset(text + 7, 'a', 300);
    assert_int_equal(url_parse(text, &u), -EINVAL);
    strcpy(text, "http://h/");
    memset(text + 9, 'a', 600);
    assert_int_equal(url_parse(text, &u), -EINVAL);
}

static void test_loopback(void **state)
{
    static const char *const yes[] = {"http://127.0.0.1", "http://127.255.1.2:80", "http://[::1]",
                                      "http://LOCALHOST:1"};
    static const char *const no[] = {"http://128.0.0.1",
                                     "http://127.0.0.1.example.com",
                                     "http://localhost.example.com",
                                     "http://[::2]",
                                     "http://0.0.0.0",
                                     "http://127.1",
                                     "http://2130706433",
                                     "http://[::ffff:127.0.0.1]"};
    struct url u;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        assert_int_equal(url_parse(yes[i], &u), 0);
        assert_true(url_is_loopback(&u));
    }
    for (size_t i = 0; i < ARRAY_LEN(no); i++) {
        assert_int_equal(url_parse(no[i], &u), 0);
        assert_false(url_is_loopback(&u));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parts),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
