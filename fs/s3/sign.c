/* SPDX-License-Identifier: Apache-2.0 */
/* Signature Version 4 over every header of the message (aws/sigv4.h does the arithmetic). */
#include "sign.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/secret.h"

void wire_done(struct wire *w)
{
    for (size_t i = 0; i < w->n_headers; i++)
        secret_free(w->headers[i]);
    free(w->headers);
    free(w->url);
    *w = (struct wire){0};
}

/* Headers that only signed requests have, and the host, which is signed but written by the HTTP
 * layer. */
static int signing_headers(struct store_hdrs *h, const struct endpoint *endpoint,
                           const struct aws_cred *cred, const char *payload_hash, const char *date)
{
    int r = store_hdrs_set(h, "host", endpoint->host);

    if (r == 0)
        r = store_hdrs_set(h, "x-amz-date", date);
    if (r == 0)
        r = store_hdrs_set(h, "x-amz-content-sha256", payload_hash);
    if (r == 0 && cred->token != NULL)
        r = store_hdrs_set(h, "x-amz-security-token", cred->token);
    return r;
}

static int authorization(struct sigv4_req *req, const struct store_hdrs *h,
                         const struct endpoint *endpoint, const struct aws_cred *cred,
                         const char *date, struct sigv4_key *key, struct buf *ret)
{
    struct sigv4_scope scope = {.access_key = cred->access_key,
                                .secret = cred->secret,
                                .region = endpoint->region,
                                .service = "s3"};
    _cleanup_free_ struct sigv4_hdr *list = calloc(h->n, sizeof(*list));

    if (list == NULL)
        return err_set(-ENOMEM, "no memory for a signature");
    for (size_t i = 0; i < h->n; i++)
        list[i] = (struct sigv4_hdr){.name = h->v[i].name, .value = h->v[i].value};
    req->headers = list;
    req->n_headers = h->n;
    memcpy(scope.date, date, sizeof(scope.date));
    return sigv4_authorization(req, &scope, key, ret);
}

static int add_line(struct wire *w, const char *name, const char *value)
{
    size_t size = strlen(name) + strlen(value) + 3;
    char *line = secret_alloc(size);

    if (line == NULL)
        return err_set(-ENOMEM, "no memory for a request");
    snprintf(line, size, "%s: %s", name, value);
    w->headers[w->n_headers++] = line;
    return 0;
}

static int add_lines(struct wire *w, const struct store_hdrs *h, const char *auth)
{
    int r = 0;

    w->headers = calloc(h->n + 1, sizeof(*w->headers));
    if (w->headers == NULL)
        return err_set(-ENOMEM, "no memory for a request");
    for (size_t i = 0; i < h->n && r == 0; i++)
        if (strcmp(h->v[i].name, "host") != 0)
            r = add_line(w, h->v[i].name, h->v[i].value);
    return r == 0 && auth != NULL ? add_line(w, "authorization", auth) : r;
}

int wire_build(const struct message *m, const struct endpoint *endpoint,
               const struct aws_cred *cred, const char *payload_hash, int64_t wall_ns,
               struct sigv4_key *key, struct wire *ret)
{
    _cleanup_(message_wipe) struct store_hdrs h = {0};
    _cleanup_buf_ struct buf target = BUF_INIT(32768);
    _cleanup_buf_ struct buf auth = BUF_INIT(65536);
    bool is_signed = cred->access_key != NULL && cred->access_key[0] != '\0';
    struct sigv4_pair query[MESSAGE_QUERY_MAX];
    struct sigv4_req req = {.method = m->method,
                            .path = m->path,
                            .query = query,
                            .n_query = m->n_query,
                            .payload_hash = payload_hash};
    struct wire w = {0};
    char date[17];
    int r = store_hdrs_copy(&h, &m->hdrs);

    for (size_t i = 0; i < m->n_query; i++)
        query[i] = (struct sigv4_pair){.name = m->query[i].name, .value = m->query[i].value};
    sigv4_date(wall_ns, date);
    if (r == 0)
        r = sigv4_target(&req, &target);
    if (r == 0 && is_signed)
        r = signing_headers(&h, endpoint, cred, payload_hash, date);
    if (r == 0 && is_signed)
        r = authorization(&req, &h, endpoint, cred, date, key, &auth);
    if (r == 0 &&
        asprintf(&w.url, "%s://%s%s", endpoint->scheme, endpoint->host, buf_str(&target)) < 0) {
        w.url = NULL;
        r = err_set(-ENOMEM, "no memory for a request");
    }
    if (r == 0)
        r = add_lines(&w, &h, is_signed ? buf_str(&auth) : NULL);
    if (r != 0) {
        wire_done(&w);
        return r;
    }
    *ret = w;
    return 0;
}
