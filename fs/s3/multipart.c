/* SPDX-License-Identifier: Apache-2.0 */
/* The document of CompleteMultipartUpload, and the documents that answer one request with one
 * result. */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "request.h"
#include "response.h"
#include "store/backend.h"
#include "xml.h"

#define COMPLETE_BODY_MAX (8u << 20) /* 10,000 parts of less than 800 bytes */

/* ETags come from headers, so they have no control characters; other failures stay in b. */
static void add_part(struct buf *b, const struct store_part *p)
{
    buf_addf(b, "<Part><PartNumber>%u</PartNumber><ETag>&quot;", p->number);
    xml_escape(b, p->etag.s);
    buf_adds(b, "&quot;</ETag></Part>");
}

int message_complete_body(struct message *m, const struct store_req *req)
{
    int r = store_parts_check(req->parts, req->n_parts);

    if (r != 0)
        return r;
    buf_init(&m->body, COMPLETE_BODY_MAX);
    buf_adds(&m->body,
             "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for (size_t i = 0; i < req->n_parts; i++)
        add_part(&m->body, &req->parts[i]);
    buf_adds(&m->body, "</CompleteMultipartUpload>");
    if (buf_failed(&m->body))
        return err_set(-ENOMEM, "no memory for the list of parts");
    return 0;
}

struct result_parse {
    struct response_result result;
    bool is_error;
};

static int on_result(void *arg, const char *path, const char *text)
{
    struct result_parse *p = arg;
    const char *slash = strchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : "";

    if (str_starts(path, "Error"))
        p->is_error = true;
    if (strcmp(name, "ETag") == 0)
        p->result.etag = store_etag_make(text);
    else if (strcmp(name, "UploadId") == 0) {
        free(p->result.upload_id);
        p->result.upload_id = strdup(text);
        if (p->result.upload_id == NULL)
            return err_set(-ENOMEM, "no memory for a reply");
    }
    return 0;
}

int response_result(const struct http_call *call, struct response_result *ret)
{
    struct result_parse p = {0};
    int r = xml_parse(buf_str(&call->body), call->body.len, on_result, &p);

    if (r != 0 || p.is_error) {
        free(p.result.upload_id);
        if (r == -ENOMEM)
            return r;
        return r == 0 ? RESPONSE_ERROR : RESPONSE_BROKEN;
    }
    *ret = p.result;
    return 0;
}
