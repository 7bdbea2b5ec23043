/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "../../../fs/s3/crc.h"

/* One bit at a time, straight from the definition: what the tables must agree with. */
static uint64_t slow(uint64_t poly, uint64_t mask, const unsigned char *p, size_t len)
{
    uint64_t crc = mask;

    for (size_t i = 0; i < len; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc & 1) != 0 ? (crc >> 1) ^ poly : crc >> 1;
    }
    return crc ^ mask;
}

static void check_values(void **state)
{
    (void)state;
    assert_int_equal(crc64nvme(0, "123456789", 9), UINT64_C(0xAE8B14860A799888));
    assert_int_equal(crc32c(0, "123456789", 9), 0xE3069283);
    assert_int_equal(crc64nvme(0, "", 0), 0);
    assert_int_equal(crc32c(0, "", 0), 0);
}

static void agrees_with_the_definition(void **state)
{
    unsigned char data[300];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * 167 + (i >> 3) * 29 + 5);
    for (size_t len = 0; len < 80; len++)
        for (size_t at = 0; at < 9; at++) {
            assert_int_equal(crc64nvme(0, data + at, len),
                             slow(UINT64_C(0x9A6C9329AC4BC9B5), UINT64_MAX, data + at, len));
            assert_int_equal(crc32c(0, data + at, len),
                             (uint32_t)slow(0x82F63B78, UINT32_MAX, data + at, len));
        }
}

static void continues(void **state)
{
    unsigned char data[300] = {0};
    uint64_t whole64;
    uint32_t whole32;

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (unsigned char)(i * i + 3);
    whole64 = crc64nvme(0, data, sizeof(data));
    whole32 = crc32c(0, data, sizeof(data));
    for (size_t cut = 0; cut <= sizeof(data); cut += 7) {
        uint64_t a = crc64nvme(0, data, cut);

        assert_int_equal(crc64nvme(a, data + cut, sizeof(data) - cut), whole64);
        assert_int_equal(crc32c(crc32c(0, data, cut), data + cut, sizeof(data) - cut), whole32);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_values),
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(continues),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
