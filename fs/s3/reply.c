/* SPDX-License-Identifier: Apache-2.0 */
/* What a successful answer says, operation by operation, into the store's reply. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "call.h"
#include "response.h"
#include "xml_chars.h"

static int read_get(struct call *c)
{
    struct store_obj obj = {0};
    int r = body_in_verify(&c->in);

    if (r == 0)
        r = response_object(&c->http, true, &obj);
    if (r != 0)
        return r;
    store_obj_done(&c->rsp->obj);
    c->rsp->obj = obj;
    c->rsp->body_len = c->in.got;
    return 0;
}

static int read_head(struct call *c)
{
    const struct store_cond *cond = &c->req->cond;
    struct store_obj obj = {0};
    int r = response_object(&c->http, false, &obj);

    if (r != 0)
        return r;
    if (cond->kind == STORE_IF_MATCH && !store_etag_equal(&obj.etag, &cond->etag)) {
        store_obj_done(&obj);
        return RESPONSE_PRECONDITION;
    }
    store_obj_done(&c->rsp->obj);
    c->rsp->obj = obj;
    return 0;
}

static int read_written(struct call *c)
{
    int r = response_written(&c->http, &c->rsp->obj);

    if (r == 0)
        c->rsp->obj.size = c->req->src->size;
    return r;
}

static int read_part(struct call *c)
{
    struct store_obj obj = {0};
    int r = response_written(&c->http, &obj);

    if (r != 0)
        return r;
    c->rsp->part = (struct store_part){
        .number = c->req->part_number, .size = c->req->src->size, .etag = obj.etag};
    return 0;
}

/* The documents with one result. An answer without what it is for counts as broken: it may not have
 * been done. */
static int read_result(struct call *c)
{
    struct response_result result = {0};
    const char *version = http_call_header(&c->http, "x-amz-version-id");
    struct store_rsp *rsp = c->rsp;
    int r = response_result(&c->http, &result);
    bool is_create = c->req->op == STORE_MPU_CREATE;

    if (r != 0)
        return r;
    if (is_create ? result.upload_id == NULL || result.upload_id[0] == '\0'
                  : !store_etag_is_set(&result.etag)) {
        free(result.upload_id);
        err_set(-EIO, "a reply without its %s", is_create ? "UploadId" : "ETag");
        return RESPONSE_BROKEN;
    }
    if (is_create) {
        free(rsp->upload_id);
        rsp->upload_id = result.upload_id;
        return 0;
    }
    free(result.upload_id);
    if (c->req->op == STORE_MPU_PART_COPY) {
        rsp->part = (struct store_part){
            .number = c->req->part_number, .size = c->req->range.len, .etag = result.etag};
        return 0;
    }
    rsp->obj.etag = result.etag;
    if (version == NULL || str_copy(rsp->obj.version, sizeof(rsp->obj.version), version) != 0)
        rsp->obj.version[0] = '\0';
    return 0;
}

/* An attempt before this one may have left half a list. */
static int read_uploads(struct call *c)
{
    struct store_rsp fresh = {0};
    int r = response_uploads(&c->http, &fresh);

    if (r != 0) {
        store_rsp_done(&fresh);
        return r;
    }
    c->rsp->uploads = fresh.uploads;
    return 0;
}

#define REPLACED "\xef\xbf\xbd" /* U+FFFD */

/* What follows the prefix in the key, also if the server put U+FFFD for each character of the
 * prefix that XML has no way to write (versitygw does); NULL: not a key below it. */
static const char *after_prefix(const char *prefix, const char *key)
{
    while (*prefix != '\0') {
        size_t n = xml_chars_forbidden(prefix);

        if (n > 0 && str_starts(key, REPLACED)) {
            prefix += n;
            key += strlen(REPLACED);
        } else if (*prefix++ != *key++) {
            return NULL;
        }
    }
    return key;
}

/* Whoever asked takes the prefix off every key. */
static int put_prefix(const char *prefix, char **key)
{
    const char *rest = after_prefix(prefix, *key);
    char *whole;

    if (rest == NULL) {
        err_set(-EIO, "a listing with a key that was not asked for");
        return RESPONSE_BROKEN;
    }
    if (asprintf(&whole, "%s%s", prefix, rest) < 0)
        return err_set(-ENOMEM, "no memory for a listing");
    free(*key);
    *key = whole;
    return 0;
}

/* A server that changes names in a listing changes its continuation token too: the page after it
 * would begin anywhere. Those who ask for one key or two want no more. */
static int check_prefix(const struct store_req *req, struct store_list *list)
{
    const char *prefix = req->prefix != NULL ? req->prefix : "";
    bool is_changed = false;
    int r = 0;

    for (size_t i = 0; r == 0 && i < list->n; i++) {
        if (str_starts(list->v[i].key, prefix))
            continue;
        is_changed = true;
        r = put_prefix(prefix, &list->v[i].key);
    }
    if (r == 0 && is_changed && list->next != NULL && (req->max_keys == 0 || req->max_keys > 2))
        return err_set(-EILSEQ, "the server does not list names with control characters");
    return r;
}

static int read_list(struct call *c)
{
    struct store_list list = {0};
    int r = response_list(&c->http, &list);

    if (r == 0)
        r = check_prefix(c->req, &list);
    if (r != 0) {
        store_list_done(&list);
        return r;
    }
    store_list_done(&c->rsp->list);
    c->rsp->list = list;
    return 0;
}

static int read_tags(struct call *c)
{
    free(c->rsp->tags);
    c->rsp->tags = NULL;
    return response_tags(&c->http, &c->rsp->tags);
}

int reply_read(struct call *c)
{
    switch (c->req->op) {
    case STORE_GET:
        return read_get(c);
    case STORE_HEAD:
        return read_head(c);
    case STORE_PUT:
        return read_written(c);
    case STORE_MPU_PART:
        return read_part(c);
    case STORE_LIST:
        return read_list(c);
    case STORE_COPY:
    case STORE_MPU_CREATE:
    case STORE_MPU_PART_COPY:
    case STORE_MPU_COMPLETE:
        return read_result(c);
    case STORE_MPU_LIST:
        return read_uploads(c);
    case STORE_GET_TAGS:
        return read_tags(c);
    case STORE_DELETE_MANY:
        return remove_many_reply(c);
    case STORE_DELETE:
    case STORE_MPU_ABORT:
    case STORE_HEAD_BUCKET:
    case STORE_OPS:
        break;
    }
    return 0;
}
