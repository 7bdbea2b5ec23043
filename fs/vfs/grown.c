/* SPDX-License-Identifier: Apache-2.0 */
#include "grown.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/sha256.h"
#include "base/str.h"
#include "objattr.h"

#define GROWN_HDR STORE_USER_META "s3efs-grown"
#define HEX_LEN 32

struct line {
    char id[HEX_LEN + 1], from[HEX_LEN + 1];
};

static void digest(const struct store_etag *etag, char ret[HEX_LEN + 1])
{
    const struct sha256_part part = {etag->s, strlen(etag->s)};
    unsigned char md[SHA256_LEN];

    sha256_parts(&part, 1, md);
    str_hex(md, HEX_LEN / 2, ret);
}

static bool get_hex(const char *s, char ret[HEX_LEN + 1])
{
    unsigned char raw[HEX_LEN / 2];

    memcpy(ret, s, HEX_LEN);
    ret[HEX_LEN] = '\0';
    return str_unhex(ret, raw, sizeof(raw)) == 0;
}

static bool get_line(const struct store_hdrs *hdrs, uint64_t size, struct line *ret)
{
    const char *s = store_hdrs_get(hdrs, GROWN_HDR);
    char told[32];
    size_t n = (size_t)snprintf(told, sizeof(told), "%" PRIu64 " ", size);

    if (s == NULL || strncmp(s, told, n) != 0 || strlen(s + n) != 2 * HEX_LEN + 1 ||
        s[n + HEX_LEN] != ' ')
        return false;
    return get_hex(s + n, ret->id) && get_hex(s + n + HEX_LEN + 1, ret->from);
}

int grown_set(struct store_hdrs *hdrs, const struct store_etag *etag, uint64_t old_size,
              uint64_t size)
{
    char value[32 + 2 * HEX_LEN];
    struct line line;
    int r = 0;

    if (!get_line(hdrs, old_size, &line)) {
        digest(etag, line.from);
        r = objattr_new_id(line.id);
    }
    if (r < 0)
        return r;
    snprintf(value, sizeof(value), "%" PRIu64 " %s %s", size, line.id, line.from);
    return store_hdrs_set(hdrs, GROWN_HDR, value);
}

void grown_unset(struct store_hdrs *hdrs)
{
    store_hdrs_remove(hdrs, GROWN_HDR);
}

bool grown_is_from(const struct store_hdrs *hdrs, const struct store_etag *etag, uint64_t old_size,
                   const struct store_obj *now)
{
    struct line was, is;
    char is_of[HEX_LEN + 1];

    if (now->size < old_size || !get_line(&now->hdrs, now->size, &is))
        return false;
    digest(etag, is_of);
    return strcmp(is.from, is_of) == 0 ||
           (get_line(hdrs, old_size, &was) && strcmp(was.id, is.id) == 0);
}
