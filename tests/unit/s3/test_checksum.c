/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "../../../fs/s3/checksum.h"
#include "base/str.h"

static void digest(enum checksum_kind kind, const char *text, char hex[2 * CHECKSUM_MAX_BYTES + 1])
{
    struct checksum c = {0};
    unsigned char value[CHECKSUM_MAX_BYTES];
    size_t len = strlen(text), n = 0;

    assert_int_equal(checksum_init(&c, kind), 0);
    assert_int_equal(checksum_add(&c, text, len / 2), 0);
    assert_int_equal(checksum_add(&c, text + len / 2, len - len / 2), 0);
    assert_int_equal(checksum_end(&c, value, &n), 0);
    str_hex(value, n, hex);
    checksum_done(&c);
}

/* The check values of the algorithms' definitions, in the byte order of S3's headers. */
static void known_values(void **state)
{
    static const struct {
        enum checksum_kind kind;
        const char *hex;
    } rows[] = {
        {CHECKSUM_CRC64NVME, "ae8b14860a799888"},
        {CHECKSUM_CRC32, "cbf43926"},
        {CHECKSUM_CRC32C, "e3069283"},
        {CHECKSUM_SHA1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"},
        {CHECKSUM_SHA256, "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"},
        {CHECKSUM_MD5, "25f9e794323b453885f5181f1b624d0b"},
    };
    char hex[2 * CHECKSUM_MAX_BYTES + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        digest(rows[i].kind, "123456789", hex);
        assert_string_equal(hex, rows[i].hex);
    }
}

static void header_form(void **state)
{
    struct checksum c = {0};
    char text[CHECKSUM_BASE64_MAX];

    (void)state;
    assert_int_equal(checksum_init(&c, CHECKSUM_CRC64NVME), 0);
    assert_int_equal(checksum_add(&c, "123456789", 9), 0);
    assert_int_equal(checksum_end_base64(&c, text), 0);
    assert_string_equal(text, "rosUhgp5mIg=");
    assert_int_equal(checksum_init(&c, CHECKSUM_CRC64NVME), 0);
    assert_int_equal(checksum_end_base64(&c, text), 0);
    assert_string_equal(text, "AAAAAAAAAAA=");
    assert_string_equal(checksum_header(CHECKSUM_CRC64NVME), "x-amz-checksum-crc64nvme");
    assert_null(checksum_header(CHECKSUM_MD5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_values),
        cmocka_unit_test(header_form),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
