/* SPDX-License-Identifier: Apache-2.0 */
/* Which names can be keys, and which keys have no name here. */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"

/* S3 keys are UTF-8 (as NFSv4's names are): no overlong forms, no surrogates, nothing above
 * U+10FFFF. */
static bool is_utf8(const char *s)
{
    const unsigned char *p = (const unsigned char *)s;

    while (*p != 0) {
        unsigned c = *p++, n = c < 0x80                ? 0
                               : c >= 0xc2 && c < 0xe0 ? 1
                               : (c & 0xf0) == 0xe0    ? 2
                               : c >= 0xf0 && c < 0xf5 ? 3
                                                       : 9;
        unsigned lo = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        unsigned hi = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;

        if (n == 9)
            return false;
        for (; n > 0; n--, p++) {
            if (*p < lo || *p > hi)
                return false;
            lo = 0x80;
            hi = 0xbf;
        }
    }
    return true;
}

int name_check(const char *name)
{
    if (strlen(name) > VFS_NAME_MAX)
        return err_set(-ENAMETOOLONG, "a name has at most %d bytes", VFS_NAME_MAX);
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strchr(name, '/') != NULL)
        return err_set(-EINVAL, "not a name");
    if (!is_utf8(name))
        return err_set(-EINVAL, "names in a bucket are UTF-8; this one is not");
    return 0;
}

bool name_is_ours(const struct vfs *v, const char *dir_key, const char *name)
{
    const char *state = coord_state_prefix(v->coord);
    size_t n = strlen(dir_key), len = strlen(name);

    /* Where other mounts of the bucket keep theirs by default. */
    if (strcmp(name, ".s3efs") == 0 && (n == 0 || strcmp(dir_key, v->prefix) == 0))
        return true;
    return strlen(state) == n + len + 1 && str_starts(state, dir_key) &&
           memcmp(state + n, name, len) == 0;
}

bool name_has_state(const struct vfs *v, const char *dir_key)
{
    return str_starts(coord_state_prefix(v->coord), dir_key);
}

int name_state_key(const struct vfs *v, const char *name, char *ret, size_t size)
{
    if ((size_t)snprintf(ret, size, "%s%s", coord_state_prefix(v->coord), name) >= size)
        return err_set(-ENAMETOOLONG, "the state prefix is too long for a key");
    return 0;
}

bool name_is_hidden(const struct vfs *v, const char *dir_key, const char *name)
{
    if (name[0] == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
        strlen(name) > VFS_NAME_MAX)
        return true;
    if (strchr(name, '/') != NULL)
        return true;
    return name_is_ours(v, dir_key, name);
}
