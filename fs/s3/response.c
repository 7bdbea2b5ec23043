/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of answers. What a server leaves out is told apart from what it may leave out. */
#include "response.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "rfc2047.h"

static const char *const kept_headers[] = {
    "content-type",     "cache-control", "content-disposition", "content-encoding",
    "content-language", "expires",       "x-amz-storage-class", "x-amz-website-redirect-location",
    STORE_TAG_COUNT,
};

static bool is_kept(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(kept_headers); i++)
        if (strcmp(name, kept_headers[i]) == 0)
            return true;
    return str_starts(name, STORE_USER_META);
}

static int keep_header(struct store_hdrs *hdrs, const struct http_hdr *h)
{
    _cleanup_buf_ struct buf decoded = BUF_INIT(1u << 20);

    if (!str_starts(h->name, STORE_USER_META) || strstr(h->value, "=?") == NULL)
        return store_hdrs_set(hdrs, h->name, h->value);
    if (rfc2047_decode(&decoded, h->value) != 0)
        return err_set(-ENOMEM, "no memory for a reply");
    return store_hdrs_set(hdrs, h->name, buf_str(&decoded));
}

/* The number at s (NULL: there is none), which ends in end; what comes after end, or NULL. */
static const char *number(const char *s, char end, uint64_t *ret)
{
    size_t n = s != NULL ? strspn(s, "0123456789") : 0;
    char digits[24];

    if (n == 0 || n >= sizeof(digits) || s[n] != end)
        return NULL;
    memcpy(digits, s, n);
    digits[n] = '\0';
    return str_u64(digits, 10, ret) == 0 ? s + n + 1 : NULL;
}

int response_content_range(const char *value, uint64_t *ret_first, uint64_t *ret_last,
                           uint64_t *ret_total)
{
    const char *s = str_starts(value, "bytes ") ? value + strlen("bytes ") : NULL;
    uint64_t first, last, total;

    s = number(s, '-', &first);
    s = number(s, '/', &last);
    if (number(s, '\0', &total) == NULL)
        return -EINVAL;
    if (first > last || last >= total)
        return -EINVAL;
    *ret_first = first;
    *ret_last = last;
    *ret_total = total;
    return 0;
}

static int object_size(const struct http_call *call, bool is_get, uint64_t *ret)
{
    const char *range = http_call_header(call, "content-range");
    const char *length = http_call_header(call, "content-length");
    uint64_t first, last;

    if (call->status == 206) {
        if (range == NULL || response_content_range(range, &first, &last, ret) != 0) {
            err_set(-EIO, "a part of an object without a valid Content-Range");
            return RESPONSE_BROKEN;
        }
        return 0;
    }
    if (length == NULL && is_get) {
        *ret = call->received;
        return 0;
    }
    if (length == NULL || str_u64(length, 10, ret) != 0) {
        err_set(-EIO, "an object without a valid Content-Length");
        return RESPONSE_BROKEN;
    }
    return 0;
}

static void set_version(const struct http_call *call, struct store_obj *ret)
{
    const char *version = http_call_header(call, "x-amz-version-id");

    if (version == NULL || str_copy(ret->version, sizeof(ret->version), version) != 0)
        ret->version[0] = '\0';
}

int response_object(const struct http_call *call, bool is_get, struct store_obj *ret)
{
    const char *etag = http_call_header(call, "etag");
    const char *modified = http_call_header(call, "last-modified");
    struct store_obj obj = {0};
    int r = object_size(call, is_get, &obj.size);

    if (r != 0)
        return r;
    if (etag == NULL) {
        err_set(-EIO, "an object without an ETag");
        return RESPONSE_BROKEN;
    }
    obj.etag = store_etag_make(etag);
    set_version(call, &obj);
    if (modified == NULL || str_http_date(modified, &obj.mtime_ns) != 0)
        obj.mtime_ns = 0;
    obj.mtime_ns = response_time(obj.mtime_ns);
    obj.told_ns = response_date(call);
    for (size_t i = 0; i < call->n_hdrs && r == 0; i++)
        if (is_kept(call->hdrs[i].name))
            r = keep_header(&obj.hdrs, &call->hdrs[i]);
    if (r != 0) {
        store_obj_done(&obj);
        return r;
    }
    *ret = obj;
    return 0;
}

int response_written(const struct http_call *call, struct store_obj *ret)
{
    const char *etag = http_call_header(call, "etag");

    if (etag == NULL) {
        err_set(-EIO, "an accepted body without an ETag");
        return RESPONSE_BROKEN;
    }
    ret->etag = store_etag_make(etag);
    set_version(call, ret);
    return 0;
}

int64_t response_time(int64_t ns)
{
    const int64_t first = INT64_C(-1893456000) * NS_PER_S, last = INT64_C(6942672000) * NS_PER_S;

    return ns < first ? first : ns > last ? last : ns;
}

int64_t response_date(const struct http_call *call)
{
    const char *date = http_call_header(call, "date");
    int64_t ns;

    return date != NULL && str_http_date(date, &ns) == 0 ? response_time(ns) : 0;
}

#define RETRY_AFTER_MAX_NS (60 * NS_PER_S)

int64_t response_retry_after_ns(const struct http_call *call, int64_t wall_ns)
{
    const char *ms = http_call_header(call, "x-amz-retry-after");
    const char *after = http_call_header(call, "retry-after");
    int64_t ns = 0;
    uint64_t n;

    if (ms != NULL && str_u64(ms, 10, &n) == 0)
        ns = n < 60000 ? (int64_t)n * NS_PER_MS : RETRY_AFTER_MAX_NS;
    else if (after != NULL && str_u64(after, 10, &n) == 0)
        ns = n < 60 ? (int64_t)n * NS_PER_S : RETRY_AFTER_MAX_NS;
    else if (after != NULL && str_http_date(after, &ns) == 0)
        ns = response_time(ns) - wall_ns;
    if (ns < 0)
        return 0;
    return ns < RETRY_AFTER_MAX_NS ? ns : RETRY_AFTER_MAX_NS;
}
