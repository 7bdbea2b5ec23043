/* SPDX-License-Identifier: Apache-2.0 */
/* s3/remove: what a server says of the keys of a DeleteObjects. The first lines, up to an empty
 * one, are the keys that were sent; the rest is the reply. */
#include <errno.h>

#include "fs/s3/call.h"
#include "fs/s3/response.h"
#include "fuzz.h"

enum { KEYS_MAX = 16 };

static bool has(const struct buf *text, const char *word)
{
    return memmem(buf_str(text), text->len, word, strlen(word)) != NULL;
}

static void check_results(const struct call *c, int r)
{
    const struct buf *body = &c->http.body;
    bool says_deleted = has(body, "Deleted"), says_error = has(body, "Error");

    CHECK(r == 0 || r == -ENOMEM || r == RESPONSE_BROKEN || r == RESPONSE_ERROR);
    for (size_t i = 0; c->rsp->key_results != NULL && i < c->req->n_keys; i++) {
        int one = c->rsp->key_results[i];

        CHECK(one == KEY_OPEN || one == STORE_PRECONDITION || one <= 0);
        CHECK(one != 0 || says_deleted || says_error); /* NoSuchKey is a success, too */
        CHECK(one >= 0 || says_error);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz in = {data, size};
    char *keys[KEYS_MAX] = {NULL};
    struct store_req req = {.op = STORE_DELETE_MANY, .keys = (const char *const *)keys};
    struct store_rsp rsp = {0};
    struct call c = {
        .req = &req, .rsp = &rsp, .http = {.status = 200, .body = BUF_INIT(16u << 20)}};

    while (req.n_keys < KEYS_MAX) {
        char *line = fuzz_line(&in);

        if (line[0] == '\0') {
            free(line);
            break;
        }
        keys[req.n_keys++] = line;
    }
    if (req.n_keys == 0)
        keys[req.n_keys++] = fuzz_copy((const uint8_t *)"k", 1);
    CHECK(buf_add(&c.http.body, in.p, in.n) == 0);
    check_results(&c, remove_many_reply(&c));
    http_call_done(&c.http);
    store_rsp_done(&rsp);
    for (size_t i = 0; i < req.n_keys; i++)
        free(keys[i]);
    return 0;
}
