/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of an answer to an object: a first byte of flags, then "name: value" lines; and the
 * encoded words in each value. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>

#include "base/clock.h"
#include "base/str.h"
#include "fs/s3/response.h"
#include "fs/s3/rfc2047.h"
#include "fuzz.h"

#define HEADERS_MAX 64

static void add_header(struct http_call *call, char *line)
{
    char *colon = strchr(line, ':');
    size_t name = colon != NULL ? (size_t)(colon - line) : strlen(line);
    char *both = fuzz_copy((const uint8_t *)line, strlen(line));

    for (size_t i = 0; i < name; i++)
        both[i] = (char)tolower((unsigned char)both[i]);
    both[name] = '\0';
    call->hdrs[call->n_hdrs++] = (struct http_hdr){
        both, colon == NULL ? both + name : both + name + 1 + (colon[1] == ' ' ? 1 : 0)};
}

static void read_headers(struct http_call *call, struct fuzz *in)
{
    call->hdrs = calloc(HEADERS_MAX, sizeof(*call->hdrs));
    CHECK(call->hdrs != NULL);
    while (in->n > 0 && call->n_hdrs < HEADERS_MAX) {
        _cleanup_free_ char *line = fuzz_line(in);

        add_header(call, line);
    }
}

static void encoded_word(const char *value)
{
    _cleanup_buf_ struct buf out = BUF_INIT(1u << 20);
    int r = rfc2047_decode(&out, value);

    CHECK(r == 0 && out.len <= strlen(value) && strlen(buf_str(&out)) == out.len);
    CHECK(strstr(value, "=?") != NULL || strcmp(buf_str(&out), value) == 0);
}

/* Only what the grammar says, and no number that does not fit. */
static void content_range(const char *value)
{
    uint64_t first, last, total, n[3] = {0};
    char digits[3][32];
    int used = 0;

    if (response_content_range(value, &first, &last, &total) != 0)
        return;
    CHECK(first <= last && last < total);
    CHECK(sscanf(value, "bytes %31[0-9]-%31[0-9]/%31[0-9]%n", digits[0], digits[1], digits[2],
                 &used) == 3);
    CHECK(value[used] == '\0');
    for (unsigned i = 0; i < 3; i++)
        CHECK(str_u64(digits[i], 10, &n[i]) == 0);
    CHECK(n[0] == first && n[1] == last && n[2] == total);
}

static void object(const struct http_call *call, bool is_get)
{
    struct store_obj obj = {0};
    int r = response_object(call, is_get, &obj);

    CHECK(r == 0 || r == RESPONSE_BROKEN || r == -ENOMEM);
    CHECK(r == 0 || (obj.hdrs.n == 0 && !store_etag_is_set(&obj.etag)));
    for (size_t i = 0; i < obj.hdrs.n; i++)
        CHECK(store_hdrs_get(&obj.hdrs, obj.hdrs.v[i].name) == obj.hdrs.v[i].value);
    store_obj_done(&obj);
    obj = (struct store_obj){0};
    r = response_written(call, &obj);
    CHECK(r == 0 || r == RESPONSE_BROKEN);
    store_obj_done(&obj);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 206, 304, 403};
    struct fuzz in = {data, size};
    unsigned flags = fuzz_u8(&in);
    struct http_call call = {.status = statuses[flags % 4], .received = 7};
    int64_t wait;

    read_headers(&call, &in);
    for (size_t i = 0; i < call.n_hdrs; i++) {
        encoded_word(call.hdrs[i].value);
        content_range(call.hdrs[i].value);
    }
    object(&call, (flags & 4) != 0);
    wait = response_retry_after_ns(&call, response_date(&call));
    CHECK(wait >= 0 && wait <= 60 * NS_PER_S);
    wait = response_retry_after_ns(&call, INT64_C(1790000000) * NS_PER_S);
    CHECK(wait >= 0 && wait <= 60 * NS_PER_S);
    http_call_done(&call);
    return 0;
}
