/* SPDX-License-Identifier: Apache-2.0 */
/* From a call to a prepared easy handle, and the body that is sent. */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/str.h"
#include "op.h"

struct op *op_new(void)
{
    _cleanup_free_ struct op *op = calloc(1, sizeof(*op));
    if (!op)
        return NULL;
    op->text = malloc(sizeof(*op->text));
    op->easy = curl_easy_init();
    if (op->text && op->easy)
        return steal(&op);
    free(op->text);
    curl_easy_cleanup(op->easy);
    return NULL;
}

void op_free(struct op *op)
{
    if (!op)
        return;
    curl_slist_free_all(op->headers);
    curl_easy_cleanup(op->easy);
    free(op->text);
    free(op);
}

void op_fail(struct op *op, int r)
{
    op->error = r;
    err_copy(op->text);
}

const char *op_origin(const char *url, char *buf, size_t size)
{
    const char *host = strstr(url, "://");
    size_t len = host ? (size_t)(host - url) + 3 : 0;
    len += strcspn(url + len, "/?#");
    if (len >= size)
        len = size - 1;
    memcpy(buf, url, len);
    buf[len] = '\0';
    return buf;
}

/* --- headers -----------------------------------------------------------------------------------
 */

static int add_header(struct op *op, const char *line)
{
    struct curl_slist *list = curl_slist_append(op->headers, line);
    if (!list)
        return err_set(-ENOMEM, "out of memory for request headers");
    op->headers = list;
    return 0;
}

/* curl leaves out "name:"; a header that is sent without a value is written "name;" to it. */
static int add_empty_header(struct op *op, const char *line, size_t name_len)
{
    _cleanup_free_ char *copy = strndup(line, name_len + 1);
    if (!copy)
        return err_set(-ENOMEM, "out of memory for request headers");
    copy[name_len] = ';';
    return add_header(op, copy);
}

static bool is_header(const char *line, const char *name)
{
    size_t n = strlen(name);
    return strncasecmp(line, name, n) == 0 && line[n] == ':';
}

static int add_headers(struct op *op, const struct http_call *call)
{
    bool has_accept = false;
    for (size_t i = 0; i < call->n_headers; i++) {
        const char *line = call->headers[i];
        size_t name_len = strcspn(line, ":");
        if (name_len == 0 || !line[name_len] || line[strcspn(line, "\r\n")])
            return err_set(-EINVAL, "request header %zu is not \"name: value\" on one line", i);
        has_accept |= is_header(line, "accept");
        bool empty = line[name_len + 1 + strspn(line + name_len + 1, " \t")] == '\0';
        int r = empty ? add_empty_header(op, line, name_len) : add_header(op, line);
        if (r < 0)
            return r;
    }
    /* curl's own "Accept" says nothing, and waiting for "100 Continue" costs a round trip. */
    int r = add_header(op, "Expect:");
    return r < 0 || has_accept ? r : add_header(op, "Accept:");
}

/* --- the body ----------------------------------------------------------------------------------
 */

static size_t on_read(char *buf, size_t size, size_t n, void *arg)
{
    struct op *op = arg;
    const struct http_call *call = op->call;
    size_t len = size * n;
    if (len > call->body_size - op->body_off)
        len = (size_t)(call->body_size - op->body_off);
    if (len == 0)
        return 0;
    int r = call->body_read(call->ctx, op->body_off, buf, len);
    if (r < 0) {
        op_fail(op, r);
        return CURL_READFUNC_ABORT;
    }
    op->body_off += len;
    return len;
}

static int on_seek(void *arg, curl_off_t off, int origin)
{
    struct op *op = arg;
    if (origin != SEEK_SET || off < 0 || (uint64_t)off > op->call->body_size)
        return CURL_SEEKFUNC_FAIL;
    op->body_off = (uint64_t)off;
    return CURL_SEEKFUNC_OK;
}

static bool is_read_method(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

/* Called each time that curl is about to send the request. A kept connection that turns out dead
 * makes curl send it again on a new one, though the server may have acted on the first: only reads
 * may. */
static int on_send(void *arg, char *remote_ip, char *local_ip, int remote_port, int local_port)
{
    struct op *op = arg;
    (void)remote_ip, (void)local_ip, (void)remote_port, (void)local_port;
    if (op->attempts++ == 0 || is_read_method(op->call->method))
        return CURL_PREREQFUNC_OK;
    op_fail(op, err_set(-ECONNRESET, "the kept connection was closed before it answered"));
    return CURL_PREREQFUNC_ABORT;
}

/* --- the easy handle ---------------------------------------------------------------------------
 */

/* Addresses that no proxy can reach for us: this machine, and the link-local credential endpoints.
 */
static bool is_local_host(const char *url)
{
    const char *host = strstr(url, "://") + 3;
    size_t len = strcspn(host, ":/?#");
    return str_starts(host, "127.") || str_starts(host, "169.254.") || str_starts(host, "[::1]") ||
           strncasecmp(host, "[fe80:", 6) == 0 || strncasecmp(host, "[fd00:ec2::", 11) == 0 ||
           (len == 9 && strncasecmp(host, "localhost", 9) == 0);
}

/* An option that curl was built without is an error of the build: the first failure is kept. */
#define SET(option, value)                                                                         \
    do {                                                                                           \
        if (code == CURLE_OK)                                                                      \
            code = curl_easy_setopt(op->easy, option, value);                                      \
    } while (0)

/* curl makes its buffers for each request, and memory.c wipes the whole of them: 128 KiB are for bodies that need them. */
enum { BUFFER_LEAST = 16 * 1024, BUFFER_MAX = 128 * 1024 };

static bool has_large_answer(const struct http_call *call)
{
    return strcmp(call->method, "GET") == 0;
}

static long upload_buffer(const struct http_call *call)
{
    if (call->body_size <= BUFFER_LEAST)
        return BUFFER_LEAST;
    return call->body_size < BUFFER_MAX ? (long)call->body_size : BUFFER_MAX;
}

static CURLcode set_connection(struct op *op, const struct op_conf *conf, int64_t timeout_ms)
{
    CURLcode code = CURLE_OK;
    int stall = op->call->stall_timeout_ms ? op->call->stall_timeout_ms : conf->stall_timeout_ms;
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
    SET(CURLOPT_TCP_NODELAY, 1L);
    SET(CURLOPT_TCP_KEEPALIVE, 1L);
    SET(CURLOPT_TCP_KEEPIDLE, 30L);
    SET(CURLOPT_TCP_KEEPINTVL, 10L);
    SET(CURLOPT_DNS_SHUFFLE_ADDRESSES, 1L);
    SET(CURLOPT_MAXAGE_CONN, 60L);
    /* A handle whose last host did not resolve still has its buffer, of this size, and refuses (curl 7.88). */
    (void)curl_easy_setopt(op->easy, CURLOPT_BUFFERSIZE, has_large_answer(op->call) ? (long)BUFFER_MAX : (long)BUFFER_LEAST);
    SET(CURLOPT_UPLOAD_BUFFERSIZE, upload_buffer(op->call));
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)conf->connect_timeout_ms);
    SET(CURLOPT_LOW_SPEED_LIMIT, 1L);
    SET(CURLOPT_LOW_SPEED_TIME, ((long)stall + 999) / 1000);
    if (timeout_ms > 0)
        SET(CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    if (conf->ca_bundle)
        SET(CURLOPT_CAINFO, conf->ca_bundle);
    if (is_local_host(op->call->url))
        SET(CURLOPT_PROXY, "");
    return code;
}

static CURLcode set_request(struct op *op, const struct op_conf *conf)
{
    CURLcode code = CURLE_OK;
    const struct http_call *call = op->call;
    bool sends = call->body_size > 0 || strcmp(call->method, "PUT") == 0 ||
                 strcmp(call->method, "POST") == 0;
    SET(CURLOPT_URL, call->url);
    SET(CURLOPT_PATH_AS_IS, 1L);
    if (call->is_secret)
        SET(CURLOPT_FORBID_REUSE, 1L);
    SET(CURLOPT_HTTPHEADER, op->headers);
    SET(CURLOPT_USERAGENT, conf->user_agent);
    SET(CURLOPT_ERRORBUFFER, op->curl_text);
    SET(CURLOPT_PRIVATE, op);
    SET(CURLOPT_PREREQFUNCTION, on_send);
    SET(CURLOPT_PREREQDATA, op);
    if (strcmp(call->method, "HEAD") == 0) {
        SET(CURLOPT_NOBODY, 1L);
        return code;
    }
    if (sends) { /* for POST as well: curl's POST mode would add a Content-Type */
        SET(CURLOPT_UPLOAD, 1L);
        SET(CURLOPT_INFILESIZE_LARGE, (curl_off_t)call->body_size);
        SET(CURLOPT_READFUNCTION, on_read);
        SET(CURLOPT_READDATA, op);
        SET(CURLOPT_SEEKFUNCTION, on_seek);
        SET(CURLOPT_SEEKDATA, op);
    }
    SET(CURLOPT_CUSTOMREQUEST, call->method);
    return code;
}

static int check_call(const struct http_call *call)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "POST", "DELETE"};
    size_t i = 0;
    while (i < ARRAY_LEN(methods) && strcmp(methods[i], call->method) != 0)
        i++;
    if (i == ARRAY_LEN(methods))
        return err_set(-EINVAL, "HTTP method %.20s is not known", call->method);
    if (!str_starts(call->url, "http://") && !str_starts(call->url, "https://"))
        return err_set(-EINVAL, "an URL must begin with http:// or https://");
    for (const char *p = call->url; *p; p++)
        if ((unsigned char)*p <= ' ' || *p == 0x7f)
            return err_set(-EINVAL, "a blank or control byte in an URL");
    if (call->body_size > 0 && (!call->body_read || strcmp(call->method, "HEAD") == 0))
        return err_set(-EINVAL, "a request body without a source");
    return 0;
}

int op_begin(struct op *op, const struct op_conf *conf, struct http_call *call, int64_t timeout_ms)
{
    op->call = call;
    int r = check_call(call);
    if (r == 0)
        r = add_headers(op, call);
    if (r < 0)
        return r;
    CURLcode code = set_connection(op, conf, timeout_ms);
    if (code == CURLE_OK)
        code = set_request(op, conf);
    if (code != CURLE_OK)
        return err_set(code == CURLE_OUT_OF_MEMORY ? -ENOMEM : -EINVAL, "setting up a request: %s",
                       curl_easy_strerror(code));
    op_receive(op);
    return 0;
}

void op_end(struct op *op)
{
    curl_easy_reset(op->easy);
    curl_slist_free_all(op->headers);
    op->headers = NULL;
    op->call = NULL;
    op->body_off = 0;
    op->header_bytes = 0;
    op->has_head = false;
    op->attempts = 0;
    op->error = 0;
    op->curl_text[0] = '\0';
}
