/* SPDX-License-Identifier: Apache-2.0 */
/* One request to a credential endpoint, and what its answer means. */
#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "cred_reply.h"
#include "cred_source.h"

enum { ANSWER_MAX = 64 * 1024 };

static int read_text(void *ctx, uint64_t off, void *buf, size_t len)
{
    memcpy(buf, (const char *)ctx + off, len);
    return 0;
}

static bool is_transient(int r)
{
    return r == -ECONNREFUSED || r == -EHOSTUNREACH || r == -ETIMEDOUT || r == -ECONNRESET;
}

/* Error codes that pass: the identity provider could not be reached, or too many requests. */
static bool may_try_again(int status, const char *code)
{
    static const char *const codes[] = {"IDPCommunicationError",
                                        "IDPCommunicationErrorException",
                                        "Throttling",
                                        "ThrottlingException",
                                        "TooManyRequests",
                                        "RequestThrottled",
                                        "RequestLimitExceeded"};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (strcmp(code, codes[i]) == 0)
            return true;
    return status >= 500 || status == 429;
}

static int refused(const struct cred_ask *ask, int status, const struct cred_reply *reply)
{
    return err_set(-EACCES, "%s refused to give credentials: %d %s%s%s", ask->who, status,
                   reply->code, reply->message[0] ? ": " : "", reply->message);
}

static int judge(const struct cred_ask *ask, const struct http_call *call, struct aws_cred *ret,
                 bool *ret_again)
{
    _cleanup_(cred_reply_done) struct cred_reply reply = {0};
    int r = cred_reply_parse(buf_str(&call->body), call->body.len, &reply);
    if (call->status != 200 || (r == 0 && reply.code[0])) {
        *ret_again = may_try_again(call->status, reply.code);
        return refused(ask, call->status, &reply);
    }
    if (r < 0) {
        struct err_copy why;
        err_copy(&why);
        *ret_again = true;
        return err_set(r, "%s: %.300s", ask->who, why.text);
    }
    *ret = reply.cred;
    reply.cred = (struct aws_cred){0};
    return 0;
}

int cred_ask(struct http *http, const struct cred_ask *ask, struct aws_cred *ret, bool *ret_again)
{
    struct http_call call = {
        .method = ask->method,
        .url = ask->url,
        .headers = ask->headers,
        .n_headers = ask->n_headers,
        .body_size = ask->body ? strlen(ask->body) : 0,
        .body_read = read_text,
        .ctx = (void *)(uintptr_t)ask->body,
        .body_max = ANSWER_MAX,
        .is_secret = true,
        .timeout_ms = ask->timeout_ms,
    };
    int r = http_wait(http, &call);
    if (r < 0) {
        struct err_copy why;
        err_copy(&why);
        *ret_again = is_transient(r);
        err_set(r, "asking %s for credentials: %.300s", ask->who, why.text);
    } else {
        r = judge(ask, &call, ret, ret_again);
    }
    http_call_done(&call);
    return r;
}

void cred_pause(unsigned attempt)
{
    const struct backoff b = {.base_ns = 200 * NS_PER_MS, .cap_ns = 2 * NS_PER_S};
    uint64_t random = 0;
    if (attempt == 0)
        return;
    if (getrandom(&random, sizeof(random), 0) != sizeof(random))
        random = (uint64_t)clock_boot_ns();
    int64_t ns = backoff_delay(&b, attempt - 1, random);
    struct timespec ts = {(time_t)(ns / NS_PER_S), (long)(ns % NS_PER_S)};
    while (nanosleep(&ts, &ts) != 0 && errno == EINTR)
        ;
}
