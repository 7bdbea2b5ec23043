/* SPDX-License-Identifier: Apache-2.0 */
/* Folding (Gopal et al., "Fast CRC Computation for Generic Polynomials Using PCLMULQDQ Instruction", Intel, 2009): 128 bits
 * that stand D bits before others can be replaced by H * x^(D+64) + L * x^D, each mod P, added to those others. H and L are
 * their halves; what comes first in memory is the higher power. Four of them are carried at once, because a multiplication takes
 * several cycles to come back.
 * Bits are reflected here, so a product of two halves is one power of x short: the factors are x^(n-1) mod P. */
#include "crc_fold.h"

#include <pthread.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define HAVE_FOLD 1
#define TARGET __attribute__((target("pclmul,sse2")))
typedef __m128i wide;
#elif defined(__aarch64__) && defined(__AARCH64EL__) && defined(__linux__) && !defined(__clang__)
#include <arm_neon.h>
#include <sys/auxv.h>
#ifndef HWCAP_PMULL
#define HWCAP_PMULL (1ul << 4)
#endif
#define HAVE_FOLD 1
#define TARGET __attribute__((target("+crypto")))
typedef uint64x2_t wide;
#endif

#ifdef HAVE_FOLD

enum { LANES = 4 };

static struct {
    bool is_here;
    uint64_t far[2], near[2]; /* [0]: of the half that comes first; by LANES * 16 bytes, by 16 bytes */
} fold;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* x^n mod P, reflected. */
static uint64_t power(unsigned n)
{
    uint64_t v = UINT64_C(1) << 63;

    while (n-- > 0)
        v = (v & 1) != 0 ? (v >> 1) ^ CRC64_POLY_REFLECTED : v >> 1;
    return v;
}

static void prepare(void)
{
    fold.far[0] = power(128 * LANES + 63);
    fold.far[1] = power(128 * LANES - 1);
    fold.near[0] = power(128 + 63);
    fold.near[1] = power(128 - 1);
#if defined(__x86_64__)
    fold.is_here = __builtin_cpu_supports("pclmul") != 0;
#else
    fold.is_here = (getauxval(AT_HWCAP) & HWCAP_PMULL) != 0;
#endif
}

#if defined(__x86_64__)

TARGET static inline wide load(const void *p)
{
    return _mm_loadu_si128(p);
}

TARGET static inline void store(unsigned char *p, wide v)
{
    _mm_storeu_si128((__m128i *)(void *)p, v);
}

TARGET static inline wide add(wide a, wide b)
{
    return _mm_xor_si128(a, b);
}

TARGET static inline wide low(uint64_t v)
{
    return _mm_cvtsi64_si128((long long)v);
}

TARGET static inline wide forward(wide v, wide by)
{
    return add(_mm_clmulepi64_si128(v, by, 0x00), _mm_clmulepi64_si128(v, by, 0x11));
}

#else

TARGET static inline wide load(const void *p)
{
    return vreinterpretq_u64_u8(vld1q_u8(p));
}

TARGET static inline void store(unsigned char *p, wide v)
{
    vst1q_u8(p, vreinterpretq_u8_u64(v));
}

TARGET static inline wide add(wide a, wide b)
{
    return veorq_u64(a, b);
}

TARGET static inline wide low(uint64_t v)
{
    return vcombine_u64(vcreate_u64(v), vcreate_u64(0));
}

TARGET static inline wide multiply(uint64_t a, uint64_t b)
{
    return vreinterpretq_u64_p128(vmull_p64((poly64_t)a, (poly64_t)b));
}

TARGET static inline wide forward(wide v, wide by)
{
    return add(multiply(vgetq_lane_u64(v, 0), vgetq_lane_u64(by, 0)),
               multiply(vgetq_lane_u64(v, 1), vgetq_lane_u64(by, 1)));
}

#endif

bool crc_fold_is_here(void)
{
    pthread_once(&once, prepare);
    return fold.is_here;
}

TARGET void crc64nvme_fold(uint64_t crc, const void *data, size_t len, unsigned char ret[16])
{
    const unsigned char *p = data, *end = p + len;
    wide v[LANES], by;

    pthread_once(&once, prepare);
    by = load(fold.far);
    for (int i = 0; i < LANES; i++, p += 16)
        v[i] = load(p);
    v[0] = add(v[0], low(crc));
    for (; end - p >= 16 * LANES; p += 16 * LANES)
        for (int i = 0; i < LANES; i++)
            v[i] = add(forward(v[i], by), load(p + 16 * i));
    by = load(fold.near);
    for (int i = 1; i < LANES; i++)
        v[0] = add(forward(v[0], by), v[i]);
    for (; p < end; p += 16)
        v[0] = add(forward(v[0], by), load(p));
    store(ret, v[0]);
}

#else

bool crc_fold_is_here(void)
{
    return false;
}

void crc64nvme_fold(uint64_t crc, const void *data, size_t len, unsigned char ret[16])
{
    (void)crc;
    (void)data;
    (void)len;
    memset(ret, 0, 16); /* never called: see the header */
}

#endif
