/* SPDX-License-Identifier: Apache-2.0 */
/* base/str: numbers, sizes, hex, base64, percent-encoding and dates. The first byte chooses. */
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/str.h"
#include "fuzz.h"

#define ROOM (4u << 20)

static void numbers(const char *s)
{
    uint64_t v, again;
    char text[32];

    if (str_u64(s, 10, &v) == 0) {
        snprintf(text, sizeof(text), "%" PRIu64, v);
        CHECK(str_u64(text, 10, &again) == 0 && again == v);
        CHECK(strspn(s, "0123456789") == strlen(s));
        CHECK(strcmp(s + strspn(s, "0"), v == 0 ? "" : text) == 0);
    }
    if (str_u64(s, 8, &v) == 0) {
        snprintf(text, sizeof(text), "%" PRIo64, v);
        CHECK(str_u64(text, 8, &again) == 0 && again == v);
    }
    if (str_u64(s, 16, &v) == 0) {
        snprintf(text, sizeof(text), "%" PRIX64, v);
        CHECK(str_u64(text, 16, &again) == 0 && again == v);
    }
    if (str_size(s, &v) == 0) {
        snprintf(text, sizeof(text), "%" PRIu64, v);
        CHECK(str_size(text, &again) == 0 && again == v);
    }
}

static void hex(const struct fuzz *in, const char *s)
{
    size_t n = strlen(s) / 2;
    _cleanup_free_ char *bytes = malloc(n + 1), *text = malloc(2 * n + 1);
    _cleanup_free_ char *long_text = malloc(2 * in->n + 1), *back = malloc(in->n + 1);

    CHECK(bytes != NULL && text != NULL && long_text != NULL && back != NULL);
    if (str_unhex(s, bytes, n) == 0) {
        str_hex(bytes, n, text);
        CHECK(strcasecmp(text, s) == 0);
    }
    str_hex(in->p, in->n, long_text);
    CHECK(str_unhex(long_text, back, in->n) == 0);
    CHECK(in->n == 0 || memcmp(back, in->p, in->n) == 0);
}

static void base64(const struct fuzz *in, const char *s)
{
    _cleanup_buf_ struct buf b = BUF_INIT(ROOM);
    size_t room = strlen(s) / 4 * 3, n = 0;
    _cleanup_free_ char *exact = malloc(in->n), *out = malloc(room);

    CHECK(str_base64(&b, in->p, in->n) == 0 && b.len == (in->n + 2) / 3 * 4);
    CHECK(str_unbase64(buf_str(&b), exact, in->n, &n) == 0 && n == in->n);
    CHECK(n == 0 || memcmp(exact, in->p, n) == 0);
    if (in->n > 0)
        CHECK(str_unbase64(buf_str(&b), exact, in->n - 1, &n) == -ERANGE);
    if (str_unbase64(s, out, room, &n) == 0) {
        CHECK(n <= room);
        buf_reset(&b);
        /* Bits that stand for nothing may be set in the last digit; all others come back. */
        CHECK(str_base64(&b, out, n) == 0 && b.len == strlen(s));
        CHECK(b.len < 4 || memcmp(b.data, s, b.len - 4) == 0);
    }
}

static void percent(const struct fuzz *in, const char *s, bool plus)
{
    _cleanup_buf_ struct buf plain = BUF_INIT(ROOM), coded = BUF_INIT(ROOM), again = BUF_INIT(ROOM);

    CHECK(str_urlencode(&coded, s, strlen(s), plus) == 0);
    CHECK(str_urldecode(&plain, buf_str(&coded), plus) == 0);
    CHECK(strcmp(buf_str(&plain), s) == 0);
    buf_reset(&coded);
    CHECK(str_urlencode(&coded, (const char *)in->p, in->n, false) == 0);
    CHECK(fuzz_is_printable(buf_str(&coded)) && strpbrk(buf_str(&coded), "/?#&+ ") == NULL);
    buf_reset(&plain);
    if (str_urldecode(&plain, s, plus) != 0)
        return;
    CHECK(strlen(buf_str(&plain)) == plain.len && plain.len <= strlen(s));
    buf_reset(&coded);
    CHECK(str_urlencode(&coded, buf_str(&plain), plain.len, false) == 0);
    CHECK(str_urldecode(&again, buf_str(&coded), plus) == 0);
    CHECK(strcmp(buf_str(&again), buf_str(&plain)) == 0);
}

/* Years that both parsers take, with a margin for a last leap second. */
static bool is_common(int64_t ns)
{
    return ns > INT64_C(-8500000000) * NS_PER_S && ns < INT64_C(8800000000) * NS_PER_S;
}

static void dates(const char *s, int64_t ns)
{
    char text[32];
    int64_t v, again;

    if (str_http_date(s, &v) == 0 && is_common(v)) {
        str_format_http_date(v, text);
        CHECK(str_http_date(text, &again) == 0 && again == v);
    }
    if (str_iso8601(s, &v) == 0 && is_common(v)) {
        str_format_iso8601(v, text);
        CHECK(str_iso8601(text, &again) == 0);
        CHECK(again <= v && v - again < NS_PER_MS);
    }
    str_format_http_date(ns, text); /* any time can be written */
    CHECK(strlen(text) == 29);
    str_format_iso8601(ns, text);
    CHECK(strlen(text) == 24);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    unsigned which = fuzz_u8(&in);
    struct fuzz bytes = in, number = in;
    _cleanup_free_ char *s = fuzz_rest(&in);

    switch (which % 6) {
    case 0:
        numbers(s);
        break;
    case 1:
        hex(&bytes, s);
        break;
    case 2:
        base64(&bytes, s);
        break;
    case 3:
        percent(&bytes, s, true);
        break;
    case 4:
        percent(&bytes, s, false);
        break;
    default:
        dates(s, (int64_t)fuzz_u64(&number));
        break;
    }
    return 0;
}
