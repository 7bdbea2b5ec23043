/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing changes its length, so that a place in the copy is the same place in the document. */
#include "xml_chars.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define REFERENCE_MAX 16 /* of "&#" to ";": some leading zeros are allowed */

static bool is_forbidden(uint32_t c)
{
    return (c > 0 && c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0xfffe || c == 0xffff;
}

/* The length of the reference at data, and its character; 0 if there is none. */
static size_t read_reference(const char *data, size_t len, uint32_t *ret)
{
    bool is_hex = len > 2 && data[2] == 'x';
    size_t first = is_hex ? 3 : 2, i = first;
    uint32_t base = is_hex ? 16 : 10, c = 0;

    if (len < 4 || data[0] != '&' || data[1] != '#')
        return 0;
    for (; i < len && i < REFERENCE_MAX && data[i] != ';'; i++) {
        unsigned char d = (unsigned char)data[i];

        if (is_hex ? !isxdigit(d) : !isdigit(d))
            return 0;
        c = c * base + (uint32_t)(isdigit(d) ? d - '0' : tolower(d) - 'a' + 10);
        if (c > 0x10ffff)
            return 0;
    }
    if (i == first || i == len || i == REFERENCE_MAX)
        return 0;
    *ret = c;
    return i + 1;
}

size_t xml_chars_reference(const char *data, size_t len, char ret[3])
{
    uint32_t c = 0;

    if (read_reference(data, len, &c) == 0 || !is_forbidden(c))
        return 0;
    if (c < 0x80) {
        ret[0] = (char)c;
        return 1;
    }
    ret[0] = (char)(0xe0 | c >> 12);
    ret[1] = (char)(0x80 | (c >> 6 & 0x3f));
    ret[2] = (char)(0x80 | (c & 0x3f));
    return 3;
}

size_t xml_chars_forbidden(const char *text)
{
    unsigned char b = (unsigned char)text[0];

    if (b == 0xef &&
        (strncmp(text, "\xef\xbf\xbe", 3) == 0 || strncmp(text, "\xef\xbf\xbf", 3) == 0))
        return 3;
    return b < 0x20 && is_forbidden(b) ? 1 : 0;
}

/* The length of the forbidden character at data, as it is or as a reference; 0 if there is none. */
static size_t forbidden_at(const char *data, size_t len)
{
    uint32_t c = 0;
    size_t n;

    if (data[0] == '&') {
        n = read_reference(data, len, &c);
        return n > 0 && is_forbidden(c) ? n : 0;
    }
    return (unsigned char)data[0] != 0xef || len >= 3 ? xml_chars_forbidden(data) : 0;
}

/* A reference becomes one to a tab, U+FFFE and U+FFFF become U+FFFD, and a control character a '*',
 * which has no meaning in XML and is in no name. */
static void put_allowed(char *at, size_t len)
{
    if (at[0] != '&') {
        at[len - 1] = len == 1 ? '*' : '\xbd';
        return;
    }
    for (size_t i = 2; i < len - 2; i++)
        at[i] = '0';
    at[len - 2] = '9';
}

int xml_chars_allowed(const char *data, size_t len, char **ret)
{
    char *copy = NULL;
    size_t n;

    *ret = NULL;
    if (len == 0 || memchr(data, '\0', len) != NULL)
        return 0;
    for (size_t i = 0; i<len; i += n> 0 ? n : 1) {
        n = forbidden_at(data + i, len - i);
        if (n == 0)
            continue;
        if (copy == NULL) {
            copy = malloc(len);
            if (copy == NULL)
                return err_set(-ENOMEM, "no memory for a document of %zu bytes", len);
            memcpy(copy, data, len);
        }
        put_allowed(copy + i, n);
    }
    *ret = copy;
    return 0;
}
