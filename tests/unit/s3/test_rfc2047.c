/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "../../../fs/s3/rfc2047.h"

static void rows(void **state)
{
    static const struct {
        const char *in, *out;
    } row[] = {
        {"", ""},
        {"plain text", "plain text"},
        {"=?UTF-8?q?caf=C3=A9?=", "caf\xc3\xa9"},
        {"=?utf-8?Q?a_b=5Fc?=", "a b_c"},
        {"=?UTF-8?b?w6k=?=", "\xc3\xa9"},
        {"x =?UTF-8?q?=C3=A9?= y", "x \xc3\xa9 y"},
        {"=?UTF-8?q?one?= =?UTF-8?q?two?=", "onetwo"},
        {"=?UTF-8?q?one?= two", "one two"},
        /* Not such words: as they are. */
        {"=?UTF-8?q?cut=C3", "=?UTF-8?q?cut=C3"},
        {"=?UTF-8?q?bad=ZZ?=", "=?UTF-8?q?bad=ZZ?="},
        {"=?UTF-8?q?nul=00?=", "=?UTF-8?q?nul=00?="},
        {"=?UTF-8?b?!?=", "=?UTF-8?b?!?="},
        {"=?ISO-8859-1?q?=E9?=", "=?ISO-8859-1?q?=E9?="},
        {"=?UTF-8?x?y?=", "=?UTF-8?x?y?="},
        {"a=?b", "a=?b"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(row); i++) {
        _cleanup_buf_ struct buf b = BUF_INIT(256);

        assert_int_equal(rfc2047_decode(&b, row[i].in), 0);
        assert_string_equal(buf_str(&b), row[i].out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
