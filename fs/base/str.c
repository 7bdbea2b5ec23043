/* SPDX-License-Identifier: Apache-2.0 */
/* Encodings and numbers, checked. */
#include "base/str.h"

#include <errno.h>
#include <string.h>

static int digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return 99;
}

/* Digits up to the first byte that is none; *end is set there. */
static int parse_u64(const char *s, unsigned base, uint64_t *ret, const char **end)
{
    uint64_t v = 0;
    const char *p = s;

    for (; digit_value(*p) < (int)base; p++) {
        if (__builtin_mul_overflow(v, base, &v) ||
            __builtin_add_overflow(v, (unsigned)digit_value(*p), &v))
            return -ERANGE;
    }
    if (p == s)
        return -EINVAL;
    *ret = v;
    *end = p;
    return 0;
}

int str_u64(const char *s, unsigned base, uint64_t *ret)
{
    const char *end;
    uint64_t v;
    int r = parse_u64(s, base, &v, &end);

    if (r < 0)
        return r;
    if (*end != '\0')
        return -EINVAL;
    *ret = v;
    return 0;
}

int str_size(const char *s, uint64_t *ret)
{
    static const char units[] = "kmgtp";
    const char *end;
    unsigned shift = 0;
    uint64_t v;
    int r = parse_u64(s, 10, &v, &end);

    if (r < 0)
        return r;
    if (*end != '\0' && *end != 'B' && *end != 'b') {
        const char *u = strchr(units, *end | 0x20);

        if (u == NULL || *u == '\0')
            return -EINVAL;
        shift = 10 * (unsigned)(u - units + 1);
        end++;
        if (*end == 'i')
            end++;
    }
    if (*end == 'B' || *end == 'b')
        end++;
    if (*end != '\0')
        return -EINVAL;
    if (v > (UINT64_MAX >> shift))
        return -ERANGE;
    *ret = v << shift;
    return 0;
}

int str_copy(char *dst, size_t size, const char *src)
{
    size_t n = strlen(src);

    if (n >= size) {
        dst[0] = '\0';
        return -ENAMETOOLONG;
    }
    memcpy(dst, src, n + 1);
    return 0;
}

void str_copy_shown(char *dst, size_t size, const char *src)
{
    size_t n = 0;

    for (; *src != '\0' && n + 1 < size; src++)
        dst[n++] = (unsigned char)*src >= 0x20 && (unsigned char)*src < 0x7f ? *src : '?';
    dst[n] = '\0';
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);

    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

void str_hex(const void *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *p = data;

    for (size_t i = 0; i < len; i++) {
        *out++ = digits[p[i] >> 4];
        *out++ = digits[p[i] & 15];
    }
    *out = '\0';
}

int str_unhex(const char *s, void *out, size_t out_len)
{
    unsigned char *p = out;

    if (strlen(s) != 2 * out_len)
        return -EINVAL;
    for (size_t i = 0; i < out_len; i++) {
        int hi = digit_value(s[2 * i]), lo = digit_value(s[2 * i + 1]);

        if (hi > 15 || lo > 15)
            return -EINVAL;
        p[i] = (unsigned char)(hi << 4 | lo);
    }
    return 0;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int str_base64(struct buf *out, const void *data, size_t len)
{
    const unsigned char *p = data;

    for (size_t i = 0; i < len; i += 3) {
        size_t n = len - i < 3 ? len - i : 3;
        unsigned v = (unsigned)p[i] << 16 | (n > 1 ? (unsigned)p[i + 1] << 8 : 0) |
                     (n > 2 ? (unsigned)p[i + 2] : 0);
        char four[4] = {base64_digits[v >> 18], base64_digits[v >> 12 & 63],
                        n > 1 ? base64_digits[v >> 6 & 63] : '=',
                        n > 2 ? base64_digits[v & 63] : '='};

        buf_add(out, four, 4);
    }
    return out->error;
}

static int base64_value(char c)
{
    const char *p = c != '\0' ? strchr(base64_digits, c) : NULL;

    return p != NULL ? (int)(p - base64_digits) : -1;
}

int str_unbase64(const char *s, void *out, size_t size, size_t *ret_len)
{
    size_t len = strlen(s), n = 0, pad = 0;
    unsigned char *p = out;

    if (len % 4 != 0)
        return -EINVAL;
    while (pad < 2 && pad < len && s[len - 1 - pad] == '=')
        pad++;
    if (len / 4 * 3 < pad || len / 4 * 3 - pad > size)
        return -ERANGE;
    for (size_t i = 0; i < len; i += 4) {
        unsigned v = 0;

        for (size_t j = 0; j < 4; j++) {
            bool is_pad = i + j >= len - pad;
            int d = is_pad ? 0 : base64_value(s[i + j]);

            if (d < 0)
                return -EINVAL;
            v = v << 6 | (unsigned)d;
        }
        for (int k = 2; k >= 0 && n < len / 4 * 3 - pad; k--)
            p[n++] = (unsigned char)(v >> (8 * k));
    }
    *ret_len = n;
    return 0;
}

static bool is_unreserved(unsigned char c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

int str_urlencode(struct buf *out, const char *s, size_t len, bool keep_slash)
{
    static const char digits[] = "0123456789ABCDEF";

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];

        if (is_unreserved(c) || (c == '/' && keep_slash)) {
            buf_addc(out, (char)c);
        } else {
            char esc[3] = {'%', digits[c >> 4], digits[c & 15]};

            buf_add(out, esc, 3);
        }
    }
    return out->error;
}

int str_urldecode(struct buf *out, const char *s, bool plus)
{
    for (; *s != '\0'; s++) {
        char c = *s;

        if (c == '+' && plus) {
            c = ' ';
        } else if (c == '%') {
            int hi = digit_value(s[1]), lo = hi > 15 ? 99 : digit_value(s[2]);

            if (hi > 15 || lo > 15 || (hi == 0 && lo == 0))
                return -EINVAL;
            c = (char)(hi << 4 | lo);
            s += 2;
        }
        buf_addc(out, c);
    }
    return out->error;
}

uint64_t str_hash(const void *data, size_t len)
{
    const unsigned char *p = data;
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * UINT64_C(0x100000001b3);
    return h;
}
