/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include "../../../fs/s3/crc.h"
#include "../../../fs/s3/crc_fold.h"

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

static void fill(unsigned char *p, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        p[i] = (unsigned char)(seed >> 56);
    }
}

/* The processor's way and the tables, of all lengths around its steps, wherever the bytes begin and whatever came before;
 * the bytes end where the buffer ends, so that ASan sees one that is read past them. */
static void folding_agrees_with_the_tables(void **state)
{
    (void)state;
    if (!crc_fold_is_here())
        print_message("this processor has no carry-less multiplication: only the tables were tested\n");
    for (size_t len = 0; len <= 600; len++)
        for (size_t at = 0; at < 17; at++) {
            unsigned char *data = malloc(at + len > 0 ? at + len : 1);
            uint64_t before = (at + 1) * UINT64_C(0x9E3779B97F4A7C15) * (len % 5);

            assert_non_null(data);
            fill(data, at + len, len * 17 + at);
            assert_int_equal(crc64nvme(before, data + at, len), crc64nvme_table(before, data + at, len));
            free(data);
        }
}

static void folding_of_large_ones(void **state)
{
    static const size_t sizes[] = {4096, 4097, 65535, 102400, 131072 + 13, (1u << 20) + 1};
    unsigned char *data = malloc((1u << 20) + 32);

    (void)state;
    assert_non_null(data);
    fill(data, (1u << 20) + 32, 1);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        for (size_t at = 0; at < 31; at += 3)
            assert_int_equal(crc64nvme(7, data + at, sizes[i]), crc64nvme_table(7, data + at, sizes[i]));
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_values),
        cmocka_unit_test(agrees_with_the_definition),
        cmocka_unit_test(continues),
        cmocka_unit_test(folding_agrees_with_the_tables),
        cmocka_unit_test(folding_of_large_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
