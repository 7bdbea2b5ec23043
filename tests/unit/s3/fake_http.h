/* SPDX-License-Identifier: Apache-2.0 */
/* An answer without a server: a status, headers and a body put into an http_call. */
#ifndef S3EFS_TESTS_UNIT_S3_FAKE_HTTP_H
#define S3EFS_TESTS_UNIT_S3_FAKE_HTTP_H

#include "http/http.h"

/* headers: "name", "value", ..., NULL. End with http_call_done(). */
static inline void fake_answer(struct http_call *call, int status, const char *const *headers,
                               const char *body, size_t len)
{
    size_t n = 0;

    *call = (struct http_call){.status = status};
    while (headers != NULL && headers[2 * n] != NULL)
        n++;
    call->hdrs = n > 0 ? calloc(n, sizeof(*call->hdrs)) : NULL;
    for (size_t i = 0; i < n; i++) {
        size_t name = strlen(headers[2 * i]) + 1, value = strlen(headers[2 * i + 1]) + 1;
        char *both = malloc(name + value); /* one allocation, as the engine makes them */

        memcpy(both, headers[2 * i], name);
        memcpy(both + name, headers[2 * i + 1], value);
        call->hdrs[i] = (struct http_hdr){.name = both, .value = both + name};
    }
    call->n_hdrs = n;
    buf_init(&call->body, 16u << 20);
    buf_add(&call->body, body, len);
}

#define FAKE_ANSWER(call, status, body, ...)                                                       \
    fake_answer((call), (status), (const char *const[]){__VA_ARGS__, NULL}, (body), strlen(body))

#endif
