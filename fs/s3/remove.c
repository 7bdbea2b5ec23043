/* SPDX-License-Identifier: Apache-2.0 */
/* The documents of DeleteObjects. What it leaves open (a key that XML can't hold, a key's error
 * that may pass, a key that the reply does not name) stays KEY_OPEN for remove_rest.c. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "call.h"
#include "response.h"
#include "xml.h"

#define DELETE_BODY_MAX (16u << 20) /* 1000 keys of 1024 bytes, each byte escaped */

static int etag_of(struct buf *out, const struct s3_conf *conf, const struct store_etag *etag)
{
    char text[sizeof(etag->s) + 2];
    const char *quote = conf->etag_unquoted ? "" : "\"";

    if (!store_etag_is_set(etag))
        return -EINVAL;
    snprintf(text, sizeof(text), "%s%.*s%s", quote, (int)sizeof(etag->s) - 1, etag->s, quote);
    return xml_escape(out, text);
}

/* What XML can't hold is left out, so it stays open. */
static void add_object(struct buf *body, const struct s3_conf *conf, const struct store_req *req, size_t i)
{
    _cleanup_buf_ struct buf key = BUF_INIT(8192), etag = BUF_INIT(2048);

    if (xml_escape(&key, req->keys[i]) != 0)
        return;
    if (req->etags == NULL)
        buf_addf(body, "<Object><Key>%s</Key></Object>", buf_str(&key));
    else if (etag_of(&etag, conf, &req->etags[i]) == 0)
        buf_addf(body, "<Object><Key>%s</Key><ETag>%s</ETag></Object>", buf_str(&key), buf_str(&etag));
}

int message_delete_body(struct message *m, const struct s3_conf *conf, const struct store_req *req)
{
    _cleanup_buf_ struct buf md5 = BUF_INIT(64);
    unsigned char sum[EVP_MAX_MD_SIZE];
    int r;

    if (req->n_keys == 0 || req->n_keys > 1000)
        return err_set(-EINVAL, "%zu keys to delete at once", req->n_keys);
    buf_init(&m->body, DELETE_BODY_MAX);
    buf_adds(&m->body, "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < req->n_keys; i++)
        add_object(&m->body, conf, req, i);
    buf_adds(&m->body, "<Quiet>false</Quiet></Delete>");
    if (buf_failed(&m->body))
        return err_set(-ENOMEM, "no memory for the list of keys");
    if (EVP_Digest(m->body.data, m->body.len, sum, NULL, EVP_md5(), NULL) != 1)
        return err_set(-EIO, "the crypto library failed in MD5");
    str_base64(&md5, sum, 16);
    r = buf_failed(&md5) ? err_set(-ENOMEM, "no memory for a request")
                         : message_header(m, "content-md5", buf_str(&md5));
    return r == 0 ? message_header(m, "content-type", "application/xml") : r;
}

struct remove_parse {
    const struct store_req *req;
    int *results;
    char *key;
    char code[64];
    size_t at; /* the reply mostly keeps the order: look here first */
    bool complete, is_error;
};

static void set_result(struct remove_parse *p, int result)
{
    size_t n = p->req->n_keys;

    for (size_t i = 0; i < n && p->key != NULL; i++) {
        size_t k = (p->at + i) % n;

        if (p->results[k] == KEY_OPEN && strcmp(p->req->keys[k], p->key) == 0) {
            p->results[k] = result;
            p->at = k + 1;
            break;
        }
    }
    free(p->key);
    p->key = NULL;
    p->code[0] = '\0';
}

/* What may pass is left open: the single DELETE has the patience. */
static int key_error(const char *code)
{
    const struct error_row *row = error_find(400, code, STORE_DELETE);

    if (row->action != ERROR_FINAL)
        return KEY_OPEN;
    return row->result <= 0 || row->result == STORE_PRECONDITION ? row->result : -EIO;
}

static int on_element(void *arg, const char *path, const char *text)
{
    struct remove_parse *p = arg;

    if (strcmp(path, "DeleteResult") == 0)
        p->complete = true;
    else if (strcmp(path, "Error") == 0)
        p->is_error = true;
    else if (strcmp(path, "DeleteResult/Deleted/Key") == 0 ||
             strcmp(path, "DeleteResult/Error/Key") == 0) {
        free(p->key);
        p->key = strdup(text);
        if (p->key == NULL)
            return err_set(-ENOMEM, "no memory for a reply");
    } else if (strcmp(path, "DeleteResult/Error/Code") == 0) {
        if (str_copy(p->code, sizeof(p->code), text) != 0)
            p->code[0] = '\0';
    } else if (strcmp(path, "DeleteResult/Deleted") == 0)
        set_result(p, 0);
    else if (strcmp(path, "DeleteResult/Error") == 0)
        set_result(p, key_error(p->code));
    return 0;
}

int remove_many_open(struct call *c)
{
    int *results = c->rsp->key_results;

    if (results == NULL) {
        results = calloc(c->req->n_keys, sizeof(*results));
        if (results == NULL)
            return err_set(-ENOMEM, "no memory for a reply");
        c->rsp->key_results = results;
    }
    for (size_t i = 0; i < c->req->n_keys; i++)
        results[i] = KEY_OPEN;
    return 0;
}

int remove_many_reply(struct call *c)
{
    struct remove_parse p = {.req = c->req};
    int r = remove_many_open(c);

    if (r != 0)
        return r;
    p.results = c->rsp->key_results;
    r = xml_parse(buf_str(&c->http.body), c->http.body.len, on_element, &p);
    free(p.key);
    if (r == -ENOMEM)
        return r;
    if (r == 0 && p.is_error)
        return RESPONSE_ERROR;
    return r == 0 && p.complete ? 0 : RESPONSE_BROKEN;
}
