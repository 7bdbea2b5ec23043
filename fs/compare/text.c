/* SPDX-License-Identifier: Apache-2.0 */
#include "text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/str.h"

static bool is_plain(const char *s)
{
    json_t *j = json_string(s); /* refuses what is no UTF-8 */
    bool plain = j != NULL;

    json_decref(j);
    for (; *s != '\0' && plain; s++) {
        unsigned char c = (unsigned char)s[0], after = (unsigned char)s[1];

        plain = c >= 0x20 && c != 0x7f &&
                !(c == 0xc2 && after < 0xa0); /* U+0080..9f are controls, too */
    }
    return plain;
}

void text_shown(char *dst, size_t size, const char *src)
{
    if (!is_plain(src) || str_copy(dst, size, src) < 0)
        str_copy_shown(dst, size, src);
}

void text_removal(char *dst, size_t size, const char *path)
{
    static const char safe[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+:,@%=";
    bool is_quoted = path[strspn(path, safe)] != '\0';
    _cleanup_buf_ struct buf b = BUF_INIT(size - 1);

    buf_adds(&b, is_quoted ? "rm -r '" : "rm -r ");
    for (const char *s = path; *s != '\0'; s++) {
        if (*s == '\'')
            buf_adds(&b, "'\\''");
        else
            buf_addc(&b, *s);
    }
    if (is_quoted)
        buf_addc(&b, '\'');
    buf_addc(&b, '\0');
    if (!is_plain(path) || buf_failed(&b) || str_copy(dst, size, b.data) < 0)
        (void)snprintf(dst, size, "by hand, its name can't be shown as it is");
}

void text_time(uint64_t ns, char *out, size_t size)
{
    static const struct {
        const char *unit;
        double ns;
    } units[] = {{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}};
    size_t i = 0;
    double v;

    if (ns == 0) {
        snprintf(out, size, "-");
        return;
    }
    while (i + 1 < ARRAY_LEN(units) && (double)ns < units[i].ns)
        i++;
    v = (double)ns / units[i].ns;
    snprintf(out, size, "%.*f%s", v < 10 ? 2 : v < 100 ? 1 : 0, v, units[i].unit);
}

void text_amount(double v, char *out, size_t size)
{
    uint64_t whole;
    char digits[32];
    size_t n, at = 0;

    if (!(v >= 0 && v < 1e15)) {
        snprintf(out, size, "-");
        return;
    }
    whole = (uint64_t)(v + 0.5);
    n = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, whole);
    if (v < 999.995) {
        snprintf(out, size, "%.2f", v);
        return;
    }
    for (size_t i = 0; i < n && at + 2 < size; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
}

void text_html(struct buf *out, const char *s)
{
    for (; *s != '\0'; s++) {
        switch (*s) {
        case '&':
            buf_adds(out, "&amp;");
            break;
        case '<':
            buf_adds(out, "&lt;");
            break;
        case '>':
            buf_adds(out, "&gt;");
            break;
        case '"':
            buf_adds(out, "&quot;");
            break;
        case '\'':
            buf_adds(out, "&#39;");
            break;
        default:
            buf_addc(out, *s);
        }
    }
}
