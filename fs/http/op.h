/* SPDX-License-Identifier: Apache-2.0 */
/* One call under way: private to http. Touched by the engine thread only.
 *
 * op_begin (request.c) prepares the easy handle; curl then calls request.c for the body that is
 * sent and response.c for what comes back; op_outcome (response.c) turns curl's verdict into an
 * errno. */
#ifndef S3EFS_FS_HTTP_OP_H
#define S3EFS_FS_HTTP_OP_H

#include <curl/curl.h>

#include "http/http.h"

enum { OP_HEADERS_MAX = 64 * 1024, OP_HEADER_COUNT_MAX = 256 };

struct op_conf {
    int connect_timeout_ms, stall_timeout_ms;
    char *ca_bundle, *user_agent;
};

struct op {
    struct op *prev, *next; /* engine's list of those under way, or of idle ones */
    struct http_call *call;
    CURL *easy;
    struct curl_slist *headers;
    uint64_t body_off;     /* next byte of the request's body */
    size_t header_bytes;   /* of the answer so far */
    bool has_head;         /* the empty line after the answer's headers came */
    unsigned attempts;     /* times that curl was about to send the request */
    int error;             /* set by a callback that stopped the transfer; its err_text() is kept */
    struct err_copy *text; /* of error; NULL: none */
    char curl_text[CURL_ERROR_SIZE];
};

/* An idle op with an easy handle; NULL without memory. */
struct op *op_new(void);
void op_free(struct op *op);

/* 0, -EINVAL or -ENOMEM. timeout_ms: what is left of the call's time, 0 none. */
_must_check_ int op_begin(struct op *op, const struct op_conf *conf, struct http_call *call,
                          int64_t timeout_ms);
/* The call's outcome, with err_text() set when it is not 0. */
int op_outcome(struct op *op, CURLcode code);
/* Idle again. */
void op_end(struct op *op);

/* Stops the transfer from a callback: keeps r and err_text() for op_outcome(). */
void op_fail(struct op *op, int r);
/* The callbacks for the answer. */
void op_receive(struct op *op);

/* memory.c: libcurl's start. Once. */
CURLcode memory_init(void);

/* true on the thread of an engine, where nothing may wait. */
bool op_is_engine_thread(void);

/* Scheme, host and port of an URL, for messages: no path, no query. Returns buf. */
const char *op_origin(const char *url, char *buf, size_t size);

#endif
