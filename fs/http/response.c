/* SPDX-License-Identifier: Apache-2.0 */
/* What comes back: status, headers, body, and the meaning of curl's verdict. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "op.h"

/* --- headers -----------------------------------------------------------------------------------
 */

static void drop_headers(struct http_call *call)
{
    for (size_t i = 0; i < call->n_hdrs; i++)
        free(call->hdrs[i].name);
    call->n_hdrs = 0;
}

/* Name and value lie in one allocation, which the name points to. */
static int keep_header(struct http_call *call, const char *line, size_t name_len, size_t len)
{
    size_t start = name_len + 1;
    while (start < len && (line[start] == ' ' || line[start] == '\t'))
        start++;
    while (len > start && (line[len - 1] == ' ' || line[len - 1] == '\t'))
        len--;
    char *copy = malloc(name_len + 1 + (len - start) + 1);
    if (!copy)
        return err_set(-ENOMEM, "out of memory for answer headers");
    for (size_t i = 0; i < name_len; i++)
        copy[i] = (char)tolower((unsigned char)line[i]);
    copy[name_len] = '\0';
    memcpy(copy + name_len + 1, line + start, len - start);
    copy[name_len + 1 + (len - start)] = '\0';
    call->hdrs[call->n_hdrs++] = (struct http_hdr){copy, copy + name_len + 1};
    return 0;
}

static int take_header(struct op *op, const char *line, size_t len)
{
    struct http_call *call = op->call;
    op->header_bytes += len;
    if (op->header_bytes > OP_HEADERS_MAX || call->n_hdrs == OP_HEADER_COUNT_MAX)
        return err_set(-E2BIG, "the answer's headers are past %d KiB or %d lines",
                       OP_HEADERS_MAX / 1024, OP_HEADER_COUNT_MAX);
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
        len--;
    if (len == 0) {
        op->has_head = true;
        return 0;
    }
    if (len > 5 && memcmp(line, "HTTP/", 5) == 0) { /* also the one after a "100 Continue" */
        drop_headers(call);
        op->has_head = false;
        return 0;
    }
    const char *colon = memchr(line, ':', len);
    if (!colon || colon == line || memchr(line, '\0', len) || line[0] == ' ' || line[0] == '\t')
        return err_set(-EPROTO, "the answer has a malformed header line");
    if (!call->hdrs) {
        call->hdrs = calloc(OP_HEADER_COUNT_MAX, sizeof(*call->hdrs));
        if (!call->hdrs)
            return err_set(-ENOMEM, "out of memory for answer headers");
    }
    return keep_header(call, line, (size_t)(colon - line), len);
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
    struct op *op = arg;
    int r = take_header(op, line, size * n);
    if (r == 0)
        return size * n;
    op_fail(op, r);
    return 0;
}

/* --- the body ----------------------------------------------------------------------------------
 */

static int take_body(struct op *op, const char *data, size_t len)
{
    struct http_call *call = op->call;
    long status = 0;
    curl_easy_getinfo(op->easy, CURLINFO_RESPONSE_CODE, &status);
    if (call->body_write && status >= 200 && status <= 299)
        return call->body_write(call->ctx, call->received, data, len);
    int r = buf_add(&call->body, data, len);
    if (r == -E2BIG)
        return err_set(r, "the answer's body is past %zu bytes", call->body.max);
    return r < 0 ? err_set(r, "out of memory for an answer's body") : 0;
}

static size_t on_write(char *data, size_t size, size_t n, void *arg)
{
    struct op *op = arg;
    size_t len = size * n;
    int r = take_body(op, data, len);
    if (r < 0) {
        op_fail(op, r);
        return len + 1; /* any other count than len stops curl; 0 would not when len is 0 */
    }
    op->call->received += len;
    return len;
}

void op_receive(struct op *op)
{
    curl_easy_setopt(op->easy, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(op->easy, CURLOPT_HEADERDATA, op);
    curl_easy_setopt(op->easy, CURLOPT_WRITEFUNCTION, on_write);
    curl_easy_setopt(op->easy, CURLOPT_WRITEDATA, op);
}

/* --- the verdict -------------------------------------------------------------------------------
 */

static int connect_errno(CURL *easy)
{
    long os = 0;
    curl_easy_getinfo(easy, CURLINFO_OS_ERRNO, &os);
    switch (os) {
    case EHOSTUNREACH:
    case ENETUNREACH:
        return -EHOSTUNREACH;
    case ETIMEDOUT:
        return -ETIMEDOUT;
    case ECONNRESET:
        return -ECONNRESET;
    default:
        return -ECONNREFUSED;
    }
}

/* A handshake that the network cut is told from one that failed by curl's words only. */
static bool is_handshake_cut(const char *text)
{
    return strstr(text, "SSL_ERROR_SYSCALL") || strstr(text, "Connection reset") ||
           strstr(text, "unexpected eof") || strstr(text, "Broken pipe");
}

static int code_errno(struct op *op, CURLcode code)
{
    /* Not listed by name: the other hundred codes, which are of protocols that are switched off. */
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        return -EHOSTUNREACH;
    case CURLE_COULDNT_CONNECT:
        return connect_errno(op->easy);
    case CURLE_OPERATION_TIMEDOUT:
        return -ETIMEDOUT;
    case CURLE_PARTIAL_FILE:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_SEND_FAIL_REWIND:
        return -ECONNRESET;
    case CURLE_SSL_CONNECT_ERROR:
        return is_handshake_cut(op->curl_text) ? -ECONNRESET : -EPROTO;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
    case CURLE_USE_SSL_FAILED:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* the URL's was checked: an answer that is not HTTP/1 */
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_PROXY:
        return -EPROTO;
    case CURLE_URL_MALFORMAT:
        return -EINVAL;
    case CURLE_OUT_OF_MEMORY:
        return -ENOMEM;
    default:
        return -EIO;
    }
}

int op_outcome(struct op *op, CURLcode code)
{
    struct http_call *call = op->call;
    long status = 0;
    char origin[300];
    curl_easy_getinfo(op->easy, CURLINFO_RESPONSE_CODE, &status);
    call->status = (int)status;
    call->sent = op->body_off;
    if (op->error) {
        err_restore(op->text);
        return op->error;
    }
    if (code == CURLE_OK && op->has_head)
        return 0;
    if (code ==
        CURLE_OK) /* curl 7.88 takes a connection closed after a header line for an answer's end */
        return err_set(-ECONNRESET, "%s %s: cut within the answer's headers", call->method,
                       op_origin(call->url, origin, sizeof(origin)));
    const char *why = op->curl_text[0] ? op->curl_text : curl_easy_strerror(code);
    const char *what =
        code == CURLE_PEER_FAILED_VERIFICATION ? "the server's certificate is not trusted: " : "";
    return err_set(code_errno(op, code), "%s %s: %s%s", call->method,
                   op_origin(call->url, origin, sizeof(origin)), what, why);
}
