/* SPDX-License-Identifier: Apache-2.0 */
/* Other tools' attributes. See theirs.h. */
#include "theirs.h"

#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/str.h"

#define META(name) STORE_USER_META name
#define MODE_MAX 0177777

static const char *mode_text(const struct store_hdrs *h)
{
    const char *s = store_hdrs_get(h, META("mode"));

    return s != NULL ? s : store_hdrs_get(h, META("permissions")); /* s3sync's name for it */
}

static bool is_mode(uint64_t v)
{
    static const unsigned types[] = {0,       S_IFIFO, S_IFCHR, S_IFDIR,
                                     S_IFBLK, S_IFREG, S_IFLNK, S_IFSOCK};

    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (v <= MODE_MAX && (v & S_IFMT) == types[i])
            return true;
    return false;
}

static bool mode_in(const char *s, unsigned base, uint64_t *ret)
{
    return str_u64(s, base, ret) == 0 && is_mode(*ret);
}

/* s3fs and geesefs write it in decimal, rclone in octal: with a leading 0, or a file, directory or
 * link that can't be meant as decimal. */
bool theirs_mode(const struct store_hdrs *h, uint64_t *ret)
{
    const char *s = mode_text(h);

    if (s == NULL)
        return false;
    if (s[0] == '0')
        return mode_in(s, 8, ret);
    return mode_in(s, 10, ret) ||
           (mode_in(s, 8, ret) && (S_ISREG(*ret) || S_ISDIR(*ret) || S_ISLNK(*ret)));
}

size_t theirs_number(const char *s, size_t max, uint64_t *ret)
{
    size_t n = strspn(s, "0123456789");
    char digits[24];

    if (n == 0 || n > max || n >= sizeof(digits))
        return 0;
    memcpy(digits, s, n);
    digits[n] = '\0';
    return str_u64(digits, 10, ret) == 0 ? n : 0;
}

/* s3fs, rclone, geesefs: seconds, perhaps with a fraction. */
static bool seconds(const char *s, int64_t *ret)
{
    int64_t frac = 0, unit = NS_PER_S / 10;
    uint64_t v;
    size_t n = theirs_number(s, 15, &v);

    if (n == 0 || v > INT64_MAX / NS_PER_S - 1)
        return false;
    if (s[n] == '.') {
        for (n++; s[n] >= '0' && s[n] <= '9'; n++, unit /= 10)
            frac += (s[n] - '0') * unit;
    }
    if (s[n] != '\0')
        return false;
    *ret = (int64_t)v * NS_PER_S + frac;
    return true;
}

/* rclone --metadata: RFC 3339, with any offset from UTC. */
static bool rfc3339(const char *s, int64_t *ret)
{
    size_t len = strlen(s);
    const char *zone = len > 6 ? s + len - 6 : NULL;
    char text[40];
    uint64_t hours, minutes;
    int64_t offset;

    if (zone == NULL || (zone[0] != '+' && zone[0] != '-') || zone[3] != ':')
        return str_iso8601(s, ret) == 0;
    if (len - 6 + 2 > sizeof(text) || theirs_number(zone + 1, 2, &hours) != 2 ||
        theirs_number(zone + 4, 2, &minutes) != 2)
        return false;
    memcpy(text, s, len - 6);
    memcpy(&text[len - 6], "Z", 2);
    if (str_iso8601(text, ret) != 0)
        return false;
    offset = (int64_t)(hours * 60 + minutes) * 60 * NS_PER_S;
    return !__builtin_sub_overflow(*ret, zone[0] == '-' ? -offset : offset, ret);
}

bool theirs_time(const struct store_hdrs *h, const char *name, int64_t *ret_ns)
{
    char hdr[64] = STORE_USER_META;
    const char *s;

    if (str_copy(hdr + strlen(hdr), sizeof(hdr) - strlen(hdr), name) < 0)
        return false;
    s = store_hdrs_get(h, hdr);
    return s != NULL && (seconds(s, ret_ns) || rfc3339(s, ret_ns));
}

/* geesefs: decimal; rclone, whose mode is octal: hexadecimal. */
bool theirs_rdev(const struct store_hdrs *h, uint64_t *ret)
{
    const char *s = store_hdrs_get(h, META("rdev")), *mode = mode_text(h);
    uint64_t as_decimal;
    bool is_octal = mode != NULL && (mode[0] == '0' || !mode_in(mode, 10, &as_decimal));

    return s != NULL && str_u64(s, is_octal ? 16 : 10, ret) == 0;
}

bool theirs_link_target(const struct store_hdrs *h, struct buf *ret)
{
    const char *s = store_hdrs_get(h, META("--symlink-target"));

    return s != NULL && str_urldecode(ret, s, false) == 0 && ret->len > 0;
}

void theirs_drop(struct store_hdrs *h)
{
    static const char *const names[] = {
        META("mode"),  META("permissions"), META("uid"),   META("gid"),   META("owner"),
        META("group"), META("mtime"),       META("atime"), META("ctime"), META("rdev")};

    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        store_hdrs_remove(h, names[i]);
}
