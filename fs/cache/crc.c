/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C: by the processor's instruction (SSE 4.2, ARMv8 CRC) where there is one (a block of 128 KiB then costs about
 * as much as copying it), else by a table of one byte. */
#include "crc.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#define TARGET __attribute__((target("sse4.2")))
#elif defined(__aarch64__) && defined(__AARCH64EL__) && defined(__linux__) && !defined(__clang__)
#include <arm_acle.h>
#include <sys/auxv.h>
#ifndef HWCAP_CRC32
#define HWCAP_CRC32 (1ul << 7)
#endif
#define TARGET __attribute__((target("+crc")))
#endif

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t table[256];
#ifdef TARGET
static bool has_instruction;
#endif
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void prepare(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t c = i;

        for (int k = 0; k < 8; k++)
            c = (c & 1u) ? (c >> 1) ^ POLYNOMIAL : c >> 1;
        table[i] = c;
    }
#if defined(__x86_64__)
    has_instruction = __builtin_cpu_supports("sse4.2") != 0;
#elif defined(TARGET)
    has_instruction = (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
#endif
}

uint32_t cache_crc_table(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;

    pthread_once(&once, prepare);
    crc = ~crc;
    for (size_t i = 0; i < len; i++)
        crc = (crc >> 8) ^ table[(crc ^ p[i]) & 0xffu];
    return ~crc;
}

#ifdef TARGET

#if defined(__x86_64__)
TARGET static inline uint64_t add_word(uint64_t c, uint64_t word)
{
    return _mm_crc32_u64(c, word);
}

TARGET static inline uint64_t add_byte(uint64_t c, uint8_t byte)
{
    return _mm_crc32_u8((uint32_t)c, byte);
}
#else
TARGET static inline uint64_t add_word(uint64_t c, uint64_t word)
{
    return __crc32cd((uint32_t)c, word);
}

TARGET static inline uint64_t add_byte(uint64_t c, uint8_t byte)
{
    return __crc32cb((uint32_t)c, byte);
}
#endif

TARGET static uint32_t crc_instruction(uint32_t crc, const void *data, size_t len)
{
    const uint8_t *p = data;
    uint64_t c = (uint32_t)~crc;

    for (; len >= 8; p += 8, len -= 8) {
        uint64_t word;

        memcpy(&word, p, sizeof(word));
        c = add_word(c, word);
    }
    for (; len > 0; p++, len--)
        c = add_byte(c, *p);
    return ~(uint32_t)c;
}
#endif

uint32_t cache_crc(uint32_t crc, const void *data, size_t len)
{
    pthread_once(&once, prepare);
#ifdef TARGET
    if (has_instruction)
        return crc_instruction(crc, data, len);
#endif
    return cache_crc_table(crc, data, len);
}
