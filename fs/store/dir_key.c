/* SPDX-License-Identifier: Apache-2.0 */
/* Key <-> path. A key whose components are all file names is its own path; "a/" is the reserved
 * name inside "a". All others ('//', '.', components over 255 bytes, the reserved name), and those
 * whose path is taken by another object's ('a' beside 'a/b'), live below odd/, where every byte but
 * [A-Za-z0-9_-] is written %XX and the whole is cut into pieces of at most 200 bytes, all but the
 * last followed by '+' ('+' itself is written %2B, so a piece that has more after it never shares a
 * name with one that has not). Both maps are one to one. */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include "base/err.h"
#include "dir_int.h"

#define PIECE 200

static bool component_is_plain(const char *s, size_t len)
{
    if (len == 0 || len > NAME_MAX)
        return false;
    if (s[0] == '.' && (len == 1 || (len == 2 && s[1] == '.')))
        return false;
    return len != strlen(DIR_RESERVED) || memcmp(s, DIR_RESERVED, len) != 0;
}

bool dir_path_is_plain(const char *path)
{
    for (const char *s = path; *s != '\0';) {
        size_t len = strcspn(s, "/");
        if (!component_is_plain(s, len))
            return false;
        s += len;
        s += *s == '/' ? 1 : 0;
    }
    return true;
}

static bool is_kept(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

static void odd_encode(const char *key, char *out)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t in_piece = 0;
    for (const char *s = key; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        size_t need = is_kept(c) ? 1 : 3;
        if (in_piece + need > PIECE) {
            *out++ = '+';
            *out++ = '/';
            in_piece = 0;
        }
        if (need == 1) {
            *out++ = (char)c;
        } else {
            *out++ = '%';
            *out++ = hex[c >> 4];
            *out++ = hex[c & 15];
        }
        in_piece += need;
    }
    *out = '\0';
}

int dir_name_make(const char *key, struct dir_name *ret)
{
    int r = store_key_check(key);
    if (r < 0)
        return r;
    size_t len = strlen(key);
    ret->is_plain = key[0] != '/' && dir_path_is_plain(key);
    if (ret->is_plain) {
        memcpy(ret->plain, key, len + 1);
        if (key[len - 1] == '/')
            memcpy(ret->plain + len, DIR_RESERVED, sizeof(DIR_RESERVED));
    }
    odd_encode(key, ret->odd);
    return 0;
}

static int nibble(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool dir_odd_decode(const char *path, char *out)
{
    char again[DIR_ODD_MAX];
    size_t n = 0;
    for (const char *s = path; *s != '\0'; s++) {
        if (s[0] == '+' && s[1] == '/') {
            s++;
            continue;
        }
        int c = (unsigned char)*s;
        if (*s == '%') {
            int hi = nibble(s[1]), lo = hi < 0 ? -1 : nibble(s[2]);
            if (lo < 0)
                return false;
            c = hi * 16 + lo;
            s += 2;
        }
        if (c == 0 || n == STORE_KEY_MAX)
            return false;
        out[n++] = (char)c;
    }
    out[n] = '\0';
    if (n == 0)
        return false;
    odd_encode(out, again);
    return strcmp(again, path) == 0;
}
