/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"

static void numbers(void **state)
{
    uint64_t v = 7;

    (void)state;
    assert_int_equal(str_u64("0", 10, &v), 0);
    assert_int_equal(v, 0);
    assert_int_equal(str_u64("18446744073709551615", 10, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(str_u64("18446744073709551616", 10, &v), -ERANGE);
    assert_int_equal(str_u64("0100644", 8, &v), 0);
    assert_int_equal(v, 0100644);
    assert_int_equal(str_u64("8", 8, &v), -EINVAL);
    assert_int_equal(str_u64("", 10, &v), -EINVAL);
    assert_int_equal(str_u64("-1", 10, &v), -EINVAL);
    assert_int_equal(str_u64(" 1", 10, &v), -EINVAL);
    assert_int_equal(str_u64("1 ", 10, &v), -EINVAL);
}

static void sizes(void **state)
{
    uint64_t v;

    (void)state;
    assert_int_equal(str_size("100", &v), 0);
    assert_int_equal(v, 100);
    assert_int_equal(str_size("64M", &v), 0);
    assert_int_equal(v, 64 << 20);
    assert_int_equal(str_size("1GiB", &v), 0);
    assert_int_equal(v, 1 << 30);
    assert_int_equal(str_size("3kB", &v), 0);
    assert_int_equal(v, 3072);
    assert_int_equal(str_size("12B", &v), 0);
    assert_int_equal(str_size("1X", &v), -EINVAL);
    assert_int_equal(str_size("1MM", &v), -EINVAL);
    assert_int_equal(str_size("M", &v), -EINVAL);
    assert_int_equal(str_size("99999999999P", &v), -ERANGE);
}

static void hex_and_base64(void **state)
{
    static const char *const b64[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                      "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    unsigned char raw[16];
    char hex[17];
    size_t n;

    (void)state;
    str_hex("\x00\xff\x1a", 3, hex);
    assert_string_equal(hex, "00ff1a");
    assert_int_equal(str_unhex("00FF1a", raw, 3), 0);
    assert_memory_equal(raw, "\x00\xff\x1a", 3);
    assert_int_equal(str_unhex("00FF1", raw, 3), -EINVAL);
    assert_int_equal(str_unhex("zz", raw, 1), -EINVAL);
    for (size_t i = 0; i < 7; i++) { /* RFC 4648 section 10 */
        struct buf b = BUF_INIT(100);

        assert_int_equal(str_base64(&b, "foobar", i), 0);
        assert_string_equal(buf_str(&b), b64[i]);
        assert_int_equal(str_unbase64(b64[i], raw, sizeof(raw), &n), 0);
        assert_int_equal(n, i);
        assert_memory_equal(raw, "foobar", i);
        buf_done(&b);
    }
    assert_int_equal(str_unbase64("Zg=", raw, sizeof(raw), &n), -EINVAL);
    assert_int_equal(str_unbase64("Z===", raw, sizeof(raw), &n), -EINVAL);
    assert_int_equal(str_unbase64("Zm9vYmFy", raw, 5, &n), -ERANGE);
}

static void urls(void **state)
{
    struct buf b = BUF_INIT(1000);

    (void)state;
    str_urlencode(&b, "a b/\xc3\xa9~+%", 9, true);
    assert_string_equal(buf_str(&b), "a%20b/%C3%A9~%2B%25");
    buf_reset(&b);
    str_urlencode(&b, "a/b", 3, false);
    assert_string_equal(buf_str(&b), "a%2Fb");
    buf_reset(&b);
    assert_int_equal(str_urldecode(&b, "a%20b+c%2f", true), 0);
    assert_string_equal(buf_str(&b), "a b c/");
    buf_reset(&b);
    assert_int_equal(str_urldecode(&b, "a+b", false), 0);
    assert_string_equal(buf_str(&b), "a+b");
    assert_int_equal(str_urldecode(&b, "%", true), -EINVAL);
    assert_int_equal(str_urldecode(&b, "%4", true), -EINVAL);
    assert_int_equal(str_urldecode(&b, "%zz", true), -EINVAL);
    assert_int_equal(str_urldecode(&b, "%00", true), -EINVAL);
    buf_done(&b);
}

static void dates(void **state)
{
    int64_t ns;
    char out[32];

    (void)state;
    assert_int_equal(str_http_date("Fri, 24 May 2013 00:00:00 GMT", &ns), 0);
    assert_true(ns == INT64_C(1369353600) * NS_PER_S);
    str_format_http_date(ns, out);
    assert_string_equal(out, "Fri, 24 May 2013 00:00:00 GMT");
    assert_int_equal(str_iso8601("2026-02-28T23:59:59.678Z", &ns), 0);
    str_format_iso8601(ns, out);
    assert_string_equal(out, "2026-02-28T23:59:59.678Z");
    assert_int_equal(str_iso8601("2024-02-29T00:00:00Z", &ns), 0);
    str_format_iso8601(ns, out);
    assert_string_equal(out, "2024-02-29T00:00:00.000Z");
    str_format_http_date(-NS_PER_S, out);
    assert_string_equal(out, "Wed, 31 Dec 1969 23:59:59 GMT");
    for (int64_t day = -20000; day < 40000; day += 13) { /* there and back */
        int64_t at = (day * 86400 + 12345) * NS_PER_S;

        str_format_http_date(at, out);
        assert_int_equal(str_http_date(out, &ns), 0);
        assert_true(ns == at);
    }
    assert_int_equal(str_http_date("yesterday", &ns), -EINVAL);
    assert_int_equal(str_iso8601("2026-13-01T00:00:00Z", &ns), -EINVAL);
    assert_int_equal(str_iso8601("2026-01-01T00:00:00", &ns), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers), cmocka_unit_test(sizes), cmocka_unit_test(hex_and_base64),
        cmocka_unit_test(urls),    cmocka_unit_test(dates),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
