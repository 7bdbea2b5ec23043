/* SPDX-License-Identifier: Apache-2.0 */
/* Table-driven sums, eight bytes a step ("slicing by 8"): table k holds the effect of a byte that
 * is followed by k zero bytes. The tables are computed once, at the first use. CRC64NVME goes by
 * carry-less multiplication where the processor has it (crc_fold.c). */
#include "crc.h"

#include <pthread.h>
#include <string.h>

#include "crc_fold.h"

#define CRC32C_POLY_REFLECTED UINT32_C(0x82F63B78)

static uint64_t table64[8][256];
static uint32_t table32[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void make_tables(void)
{
    for (unsigned i = 0; i < 256; i++) {
        uint64_t a = i;
        uint32_t b = i;

        for (int bit = 0; bit < 8; bit++) {
            a = (a & 1) != 0 ? (a >> 1) ^ CRC64_POLY_REFLECTED : a >> 1;
            b = (b & 1) != 0 ? (b >> 1) ^ CRC32C_POLY_REFLECTED : b >> 1;
        }
        table64[0][i] = a;
        table32[0][i] = b;
    }
    for (unsigned i = 0; i < 256; i++)
        for (unsigned k = 1; k < 8; k++) {
            uint64_t a = table64[k - 1][i];
            uint32_t b = table32[k - 1][i];

            table64[k][i] = (a >> 8) ^ table64[0][a & 0xff];
            table32[k][i] = (b >> 8) ^ table32[0][b & 0xff];
        }
}

/* Eight bytes in little-endian order, whatever the machine's is. */
static uint64_t load64(const unsigned char *p)
{
    uint64_t v = 0;

    for (int i = 7; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

/* The state (inverted) behind more bytes. */
static uint64_t add64(uint64_t crc, const unsigned char *p, size_t len)
{
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t x = crc ^ load64(p);

        crc = table64[7][x & 0xff] ^ table64[6][x >> 8 & 0xff] ^ table64[5][x >> 16 & 0xff] ^
              table64[4][x >> 24 & 0xff] ^ table64[3][x >> 32 & 0xff] ^ table64[2][x >> 40 & 0xff] ^
              table64[1][x >> 48 & 0xff] ^ table64[0][x >> 56];
    }
    for (; len > 0; len--, p++)
        crc = (crc >> 8) ^ table64[0][(crc ^ *p) & 0xff];
    return crc;
}

uint64_t crc64nvme_table(uint64_t crc, const void *data, size_t len)
{
    pthread_once(&tables_once, make_tables);
    return ~add64(~crc, data, len);
}

uint64_t crc64nvme(uint64_t crc, const void *data, size_t len)
{
    const unsigned char *p = data;
    size_t whole = len / 16 * 16;
    unsigned char rest[16];

    if (len < CRC_FOLD_LEAST || !crc_fold_is_here())
        return crc64nvme_table(crc, data, len);
    pthread_once(&tables_once, make_tables);
    crc64nvme_fold(~crc, p, whole, rest);
    return ~add64(add64(0, rest, sizeof(rest)), p + whole, len - whole);
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
    const unsigned char *p = data;

    pthread_once(&tables_once, make_tables);
    crc = ~crc;
    for (; len >= 8; len -= 8, p += 8) {
        uint64_t x = crc ^ load64(p);

        crc = table32[7][x & 0xff] ^ table32[6][x >> 8 & 0xff] ^ table32[5][x >> 16 & 0xff] ^
              table32[4][x >> 24 & 0xff] ^ table32[3][x >> 32 & 0xff] ^ table32[2][x >> 40 & 0xff] ^
              table32[1][x >> 48 & 0xff] ^ table32[0][x >> 56];
    }
    for (; len > 0; len--, p++)
        crc = (crc >> 8) ^ table32[0][(crc ^ *p) & 0xff];
    return ~crc;
}
