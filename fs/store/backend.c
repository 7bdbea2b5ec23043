/* SPDX-License-Identifier: Apache-2.0 */
/* What all back ends do alike: limits, conditions, ranges, ETags and the statuses that S3 would
 * have given. */
#include "store/backend.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "base/str.h"

int store_key_check(const char *key)
{
    if (key == NULL || key[0] == '\0')
        return err_set(-EINVAL, "an object's key is empty");
    size_t len = strnlen(key, STORE_KEY_MAX + 1);
    if (len > STORE_KEY_MAX)
        return err_set(-ENAMETOOLONG, "an object's key is longer than %d bytes", STORE_KEY_MAX);
    return 0;
}

static bool has_only(const char *s, bool (*fits)(unsigned char c))
{
    for (; *s != '\0'; s++) {
        if (!fits((unsigned char)*s))
            return false;
    }
    return true;
}

static bool fits_name(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$&'*+-.^_`|~%", c) != NULL);
}

static bool fits_value(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\t';
}

int store_hdrs_check(const struct store_hdrs *h)
{
    size_t user = 0;
    for (size_t i = 0; h != NULL && i < h->n; i++) {
        const char *name = h->v[i].name, *value = h->v[i].value;
        if (name[0] == '\0' || !has_only(name, fits_name) || !has_only(value, fits_value))
            return err_set(-EINVAL, "a header's name or value holds a byte that HTTP can't carry");
        if (str_starts(name, STORE_USER_META))
            user += strlen(name) - strlen(STORE_USER_META) + strlen(value);
    }
    if (user > STORE_USER_META_MAX)
        return err_set(-ENOSPC, "%zu bytes of user metadata; an object can hold %d", user,
                       STORE_USER_META_MAX);
    return 0;
}

int store_tags_show(struct store_hdrs *h)
{
    const char *tags = store_hdrs_get(h, STORE_TAGS);
    unsigned n = tags != NULL && tags[0] != '\0';
    char text[16];
    for (const char *p = tags; n > 0 && *p != '\0'; p++)
        n += *p == '&';
    store_hdrs_remove(h, STORE_TAGS);
    store_hdrs_remove(h, STORE_TAG_COUNT);
    if (n == 0)
        return 0;
    snprintf(text, sizeof(text), "%u", n);
    return store_hdrs_set(h, STORE_TAG_COUNT, text) == 0
               ? 0
               : err_set(-ENOMEM, "no memory for an object's headers");
}

int store_tags_get(const struct store_hdrs *h, char **ret)
{
    const char *tags = store_hdrs_get(h, STORE_TAGS);
    *ret = strdup(tags != NULL ? tags : "");
    return *ret != NULL ? 0 : err_set(-ENOMEM, "no memory for an object's tags");
}

int store_cond_read(const struct store_cond *c, const struct store_etag *current)
{
    if (current == NULL)
        return STORE_NOT_FOUND;
    bool same = store_etag_equal(&c->etag, current);
    if (c->kind == STORE_IF_MATCH && !same)
        return STORE_PRECONDITION;
    if (c->kind == STORE_IF_CHANGED && same)
        return STORE_NOT_MODIFIED;
    return 0;
}

int store_cond_write(const struct store_cond *c, const struct store_etag *current)
{
    if (c->kind == STORE_IF_ABSENT && current != NULL)
        return STORE_PRECONDITION;
    if (c->kind != STORE_IF_MATCH)
        return 0;
    if (current == NULL)
        return STORE_NOT_FOUND;
    return store_etag_equal(&c->etag, current) ? 0 : STORE_PRECONDITION;
}

int store_range_clip(uint64_t off, uint64_t len, uint64_t size, uint64_t *ret_off,
                     uint64_t *ret_len)
{
    bool whole = off == 0 && len == 0;
    if (!whole && off >= size)
        return STORE_RANGE;
    uint64_t left = size - off;
    *ret_off = off;
    *ret_len = len == 0 || len > left ? left : len;
    return 0;
}

enum meter_kind store_op_kind(enum store_op op)
{
    static const enum meter_kind kinds[STORE_OPS] = {
        [STORE_HEAD] = METER_HEAD,
        [STORE_GET] = METER_GET,
        [STORE_PUT] = METER_PUT,
        [STORE_DELETE] = METER_DELETE,
        [STORE_DELETE_MANY] = METER_DELETE_MULTI,
        [STORE_LIST] = METER_LIST,
        [STORE_COPY] = METER_COPY,
        [STORE_MPU_CREATE] = METER_MPU_CREATE,
        [STORE_MPU_PART] = METER_PUT_PART,
        [STORE_MPU_PART_COPY] = METER_COPY_PART,
        [STORE_MPU_COMPLETE] = METER_MPU_COMPLETE,
        [STORE_MPU_ABORT] = METER_MPU_ABORT,
        [STORE_MPU_LIST] = METER_LIST_MPU,
        [STORE_GET_TAGS] = METER_GET, /* S3 bills it as one */
        [STORE_HEAD_BUCKET] = METER_HEAD_BUCKET,
    };
    return kinds[op];
}

static int error_status(int result)
{
    switch (-result) {
    case EACCES:
    case EPERM:
    case EROFS:
        return 403;
    case EINVAL:
    case ENAMETOOLONG:
        return 400;
    case ENOSPC:
    case EDQUOT:
        return 507;
    default:
        return 500;
    }
}

int store_http_status(const struct store_req *req, int result)
{
    if (result < 0)
        return error_status(result);
    switch (result) {
    case 0:
        if (req->op == STORE_DELETE || req->op == STORE_MPU_ABORT)
            return 204;
        return req->op == STORE_GET && (req->range.off != 0 || req->range.len != 0) ? 206 : 200;
    case STORE_NOT_MODIFIED:
        return 304;
    case STORE_NOT_FOUND:
    case STORE_NO_UPLOAD:
        return 404;
    case STORE_CONFLICT:
        return 409;
    case STORE_PRECONDITION:
        return 412;
    case STORE_RANGE:
        return 416;
    default:
        return 500;
    }
}

int store_parts_check(const struct store_part *parts, size_t n)
{
    if (n == 0)
        return err_set(-EINVAL, "a multipart upload is completed without parts");
    for (size_t i = 0; i < n; i++) {
        if (parts[i].number < 1 || parts[i].number > STORE_PARTS_MAX)
            return err_set(-EINVAL, "part number %u is not within 1 to %d", parts[i].number,
                           STORE_PARTS_MAX);
        if (i > 0 && parts[i].number <= parts[i - 1].number)
            return err_set(-EINVAL, "the parts of a multipart upload are not in ascending order");
    }
    return 0;
}

struct store_etag store_etag_md5(const unsigned char md5[STORE_MD5_LEN])
{
    struct store_etag e;
    str_hex(md5, STORE_MD5_LEN, e.s);
    return e;
}

int store_etag_parts(const struct store_part *parts, size_t n, struct store_etag *ret)
{
    unsigned char md5[STORE_MD5_LEN];
    unsigned len = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx != NULL && EVP_DigestInit_ex(ctx, EVP_md5(), NULL) == 1;
    int r = 0;
    for (size_t i = 0; ok && r == 0 && i < n; i++) {
        r = str_unhex(parts[i].etag.s, md5, sizeof(md5));
        ok = EVP_DigestUpdate(ctx, md5, sizeof(md5)) == 1;
    }
    ok = ok && EVP_DigestFinal_ex(ctx, md5, &len) == 1;
    EVP_MD_CTX_free(ctx);
    if (r < 0)
        return err_set(-EINVAL, "a part's ETag is not an MD5");
    if (!ok)
        return err_set(-ENOMEM, "no memory for a digest");
    struct store_etag e = store_etag_md5(md5);
    size_t used = strlen(e.s);
    snprintf(e.s + used, sizeof(e.s) - used, "-%zu", n);
    *ret = e;
    return 0;
}
