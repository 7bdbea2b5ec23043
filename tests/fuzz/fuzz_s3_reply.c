/* SPDX-License-Identifier: Apache-2.0 */
/* The documents S3 answers with: listings, lists of uploads, results, errors. The first byte
 * chooses. */
#include <errno.h>

#include "fs/s3/error.h"
#include "fs/s3/response.h"
#include "fuzz.h"

static void is_outcome(int r)
{
    CHECK(r == 0 || r == -ENOMEM || r == RESPONSE_BROKEN || r == RESPONSE_ERROR);
}

static void listing(const struct http_call *call)
{
    struct store_list l = {0};
    int r = response_list(call, &l);

    is_outcome(r);
    if (r != 0)
        CHECK(l.v == NULL && l.n == 0 && l.next == NULL);
    CHECK(l.next == NULL || l.next[0] != '\0');
    for (size_t i = 0; i < l.n; i++) {
        size_t len = strlen(l.v[i].key);

        CHECK(i == 0 || strcmp(l.v[i - 1].key, l.v[i].key) <= 0);
        CHECK(!l.v[i].is_prefix || (len > 0 && l.v[i].key[len - 1] == '/'));
    }
    store_list_done(&l);
}

static void uploads(const struct http_call *call)
{
    struct store_rsp rsp = {0};
    int r = response_uploads(call, &rsp);

    is_outcome(r);
    for (size_t i = 0; r == 0 && i < rsp.uploads.n; i++)
        CHECK(rsp.uploads.v[i].key != NULL && rsp.uploads.v[i].upload_id != NULL);
    CHECK(r != 0 || rsp.uploads.next_key == NULL || rsp.uploads.next_key[0] != '\0');
    store_rsp_done(&rsp);
}

static void result(const struct http_call *call)
{
    struct response_result res = {0};
    int r = response_result(call, &res);

    is_outcome(r);
    CHECK(r == 0 || res.upload_id == NULL);
    CHECK(strnlen(res.etag.s, sizeof(res.etag.s)) < sizeof(res.etag.s));
    free(res.upload_id);
}

static void tags(const struct http_call *call)
{
    char *list = NULL;
    int r = response_tags(call, &list);

    is_outcome(r);
    CHECK((r == 0) == (list != NULL));
    CHECK(list == NULL || (fuzz_is_printable(list) && strchr(list, ' ') == NULL));
    free(list);
}

/* What a server says of its error goes to terminals and logs. */
static void error(const struct http_call *call)
{
    struct error_reply e;

    error_parse(buf_str(&call->body), call->body.len, &e);
    CHECK(fuzz_is_printable(e.code) && fuzz_is_printable(e.message));
    CHECK(fuzz_is_printable(e.region) && fuzz_is_printable(e.request_id));
    for (unsigned op = 0; op < STORE_OPS; op++)
        for (int status = 200; status < 600; status += 101)
            CHECK(error_find(status, e.code, (enum store_op)op) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(const struct http_call *call) = {listing, uploads, result,
                                                                    error, tags};
    struct fuzz in = {data, size};
    unsigned which = fuzz_u8(&in);
    struct http_call call = {.status = 200, .body = BUF_INIT(16u << 20)};

    CHECK(buf_add(&call.body, in.p, in.n) == 0);
    readers[which % ARRAY_LEN(readers)](&call);
    http_call_done(&call);
    return 0;
}
