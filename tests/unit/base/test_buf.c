/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"

static void bounded(void **state)
{
    struct buf b = BUF_INIT(10);
    char *s;

    (void)state;
    assert_string_equal(buf_str(&b), "");
    assert_int_equal(buf_adds(&b, "12345"), 0);
    assert_int_equal(buf_addf(&b, "%d", 67890), 0);
    assert_string_equal(buf_str(&b), "1234567890");
    assert_int_equal(buf_addc(&b, 'x'), -E2BIG);
    assert_true(buf_failed(&b));
    assert_null(buf_str(&b));
    assert_int_equal(buf_adds(&b, ""), -E2BIG); /* sticky */
    assert_null(buf_take(&b));
    buf_reset(&b);
    assert_int_equal(buf_adds(&b, "again"), 0);
    s = buf_take(&b);
    assert_string_equal(s, "again");
    free(s);
    s = buf_take(&b);
    assert_string_equal(s, "");
    free(s);
    buf_done(&b);
    buf_done(&b);
}

static void errors(void **state)
{
    struct err_copy copy;

    (void)state;
    assert_int_equal(err_set(-EIO, "first %d", 1), -EIO);
    assert_int_equal(err_set(-EIO, "outer: %s", err_text()), -EIO);
    assert_string_equal(err_text(), "outer: first 1");
    err_copy(&copy);
    err_clear();
    assert_string_equal(err_text(), "");
    err_restore(&copy);
    assert_string_equal(err_text(), "outer: first 1");
    assert_int_equal(err_fold(3), -EIO);
    assert_int_equal(err_fold(-ENOENT), -ENOENT);
    assert_int_equal(err_fold(0), 0);
}

static void quoting(void **state)
{
    char b[64];

    (void)state;
    assert_string_equal(log_quote(b, sizeof(b), "plain/name.jpg"), "plain/name.jpg");
    assert_string_equal(log_quote(b, sizeof(b), "a b"), "\"a b\"");
    assert_string_equal(log_quote(b, sizeof(b), "a\"\n=\\"), "\"a\\\"\\x0a=\\\\\"");
    assert_string_equal(log_quote(b, sizeof(b), ""), "\"\"");
    assert_true(strlen(log_quote(b, 12, "aaaaaaaaaaaaaaaaaaaaaaaaaa b")) < 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounded),
        cmocka_unit_test(errors),
        cmocka_unit_test(quoting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
