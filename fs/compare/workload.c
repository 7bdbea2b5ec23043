/* SPDX-License-Identifier: Apache-2.0 */
#include "workload.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PHI UINT64_C(0x9e3779b97f4a7c15)

/* The finalizer of splitmix64. */
static uint64_t mix(uint64_t v)
{
    v = (v ^ (v >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    v = (v ^ (v >> 27)) * UINT64_C(0x94d049bb133111eb);
    return v ^ (v >> 31);
}

static uint64_t draw(uint64_t seed, uint64_t what, uint64_t i)
{
    return mix(mix(seed + PHI * (what + 1)) + PHI * (i + 1));
}

enum { DRAW_NAME, DRAW_SIZE, DRAW_PICK, DRAW_BYTES };

void workload_name(uint64_t seed, uint64_t i, char out[WORKLOAD_NAME_MAX])
{
    snprintf(out, WORKLOAD_NAME_MAX, "img-%07" PRIu64 "-%08x.jpg", i,
             (unsigned)(draw(seed, DRAW_NAME, i) >> 32));
}

int64_t workload_number(uint64_t seed, const char *name)
{
    char again[WORKLOAD_NAME_MAX];
    uint64_t i = 0;
    size_t digits;

    if (strncmp(name, "img-", 4) != 0)
        return -1;
    digits = strspn(name + 4, "0123456789");
    if (digits == 0 || digits > 15)
        return -1;
    for (size_t d = 0; d < digits; d++)
        i = i * 10 + (uint64_t)(name[4 + d] - '0');
    workload_name(seed, i, again);
    return strcmp(name, again) == 0 ? (int64_t)i : -1;
}

/* Eight bytes at a time, lowest first; the word at offset 8*w depends on w only. */
static void word_at(uint64_t base, uint64_t w, unsigned char out[8])
{
    uint64_t v = mix(base + PHI * (w + 1));

    for (unsigned i = 0; i < 8; i++)
        out[i] = (unsigned char)(v >> (8 * i));
}

void workload_fill(uint64_t seed, uint64_t id, uint64_t off, void *out, size_t n)
{
    uint64_t base = draw(seed, DRAW_BYTES, id);
    unsigned char *p = out, word[8];

    while (n > 0) {
        size_t skip = off % 8, take = 8 - skip < n ? 8 - skip : n;

        word_at(base, off / 8, word);
        memcpy(p, word + skip, take);
        p += take;
        off += take;
        n -= take;
    }
}

int64_t workload_wrong(uint64_t seed, uint64_t id, uint64_t off, const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    unsigned char want[4096];

    for (size_t done = 0; done < n;) {
        size_t take = n - done < sizeof(want) ? n - done : sizeof(want);

        workload_fill(seed, id, off + done, want, take);
        if (memcmp(want, p + done, take) != 0) {
            size_t i = 0;

            while (p[done + i] == want[i])
                i++;
            return (int64_t)(done + i);
        }
        done += take;
    }
    return -1;
}

uint64_t workload_size(uint64_t seed, uint64_t i, const uint64_t *sizes, size_t n)
{
    uint64_t parts = (UINT64_C(1) << n) - 1, at = draw(seed, DRAW_SIZE, i) % parts;

    for (size_t k = 0; k < n; k++) {
        uint64_t share = UINT64_C(1) << (n - 1 - k);

        if (at < share)
            return sizes[k];
        at -= share;
    }
    return sizes[n - 1];
}

uint64_t workload_pick(uint64_t seed, uint64_t k, uint64_t n)
{
    return draw(seed, DRAW_PICK, k) % n;
}
