/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 2047, section 2: =?charset?encoding?text?=, words separated by white space that is not part
 * of the text. */
#include "rfc2047.h"

#include <string.h>
#include <strings.h>

#include "base/str.h"

#define CHARSET "=?utf-8?"

static int decode_q(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '_') {
            buf_addc(out, ' ');
        } else if (text[i] == '=') {
            char hex[3] = {0};
            unsigned char byte;

            if (len - i < 3)
                return -1;
            hex[0] = text[i + 1];
            hex[1] = text[i + 2];
            if (str_unhex(hex, &byte, 1) != 0 || byte == 0)
                return -1;
            buf_addc(out, (char)byte);
            i += 2;
        } else {
            buf_addc(out, text[i]);
        }
    }
    return 0;
}

static int decode_b(struct buf *out, const char *text, size_t len)
{
    _cleanup_free_ char *copy = strndup(text, len);
    _cleanup_free_ char *bytes = malloc(len + 1);
    size_t n = 0;

    if (copy == NULL || bytes == NULL || str_unbase64(copy, bytes, len, &n) != 0 ||
        memchr(bytes, 0, n) != NULL)
        return -1;
    return buf_add(out, bytes, n);
}

/* Decodes the word at the start of s; its length, or 0 if there is none. */
static size_t decode_word(struct buf *out, const char *s)
{
    size_t head = strlen(CHARSET);
    const char *text, *end;
    int r;

    if (strncasecmp(s, CHARSET, head) != 0 || s[head] == '\0' || s[head + 1] != '?')
        return 0;
    text = s + head + 2;
    end = strstr(text, "?=");
    if (end == NULL)
        return 0;
    if (s[head] == 'q' || s[head] == 'Q')
        r = decode_q(out, text, (size_t)(end - text));
    else if (s[head] == 'b' || s[head] == 'B')
        r = decode_b(out, text, (size_t)(end - text));
    else
        return 0;
    return r == 0 ? (size_t)(end + 2 - s) : 0;
}

int rfc2047_decode(struct buf *out, const char *value)
{
    bool after_word = false;

    for (const char *s = value; *s != '\0';) {
        _cleanup_buf_ struct buf word = BUF_INIT(strlen(s));
        size_t blanks = strspn(s, " \t");
        size_t len = decode_word(&word, s + blanks);

        if (len == 0 || buf_failed(&word)) {
            buf_add(out, s, blanks > 0 ? blanks : 1);
            s += blanks > 0 ? blanks : 1;
            after_word = false;
            continue;
        }
        if (!after_word)
            buf_add(out, s, blanks);
        buf_add(out, word.data != NULL ? word.data : "", word.len);
        s += blanks + len;
        after_word = true;
    }
    return out->error;
}
