/* SPDX-License-Identifier: Apache-2.0 */
/* Replies to ListObjectsV2 and ListMultipartUploads. Keys come percent-encoded only where the reply
 * says so (some servers ignore encoding-type). */
#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "response.h"
#include "xml.h"

struct list_parse {
    struct store_list list;
    struct store_entry entry; /* the one being read */
    bool encoded, truncated, complete;
};

/* Replaces *dst; -ENOMEM. */
static int set_text(char **dst, const char *text)
{
    char *copy = strdup(text);

    if (copy == NULL)
        return err_set(-ENOMEM, "no memory for a listing");
    free(*dst);
    *dst = copy;
    return 0;
}

static int push(struct store_list *l, struct store_entry *e)
{
    if (l->n == l->cap) {
        size_t cap = l->cap != 0 ? l->cap * 2 : 64;
        struct store_entry *v = reallocarray(l->v, cap, sizeof(*v));

        if (v == NULL)
            return err_set(-ENOMEM, "no memory for a listing");
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = *e;
    *e = (struct store_entry){0};
    return 0;
}

static int on_contents(struct list_parse *p, const char *name, const char *text)
{
    if (strcmp(name, "Key") == 0)
        return set_text(&p->entry.key, text);
    if (strcmp(name, "ETag") == 0)
        p->entry.etag = store_etag_make(text);
    else if (strcmp(name, "Size") == 0 && str_u64(text, 10, &p->entry.size) != 0)
        return err_set(-EBADMSG, "a listing with a broken size");
    else if (strcmp(name, "LastModified") == 0 && str_iso8601(text, &p->entry.mtime_ns) != 0)
        return err_set(-EBADMSG, "a listing with a broken time");
    p->entry.mtime_ns = response_time(p->entry.mtime_ns);
    return 0;
}

static int on_list_element(void *arg, const char *path, const char *text)
{
    static const char root[] = "ListBucketResult";
    struct list_parse *p = arg;
    const char *name;

    if (strcmp(path, root) == 0)
        p->complete = true;
    if (!str_starts(path, root) || path[sizeof(root) - 1] != '/')
        return 0;
    name = path + sizeof(root);
    if (str_starts(name, "Contents/"))
        return on_contents(p, name + strlen("Contents/"), text);
    if (strcmp(name, "Contents") == 0 || strcmp(name, "CommonPrefixes") == 0) {
        if (p->entry.key == NULL)
            return err_set(-EBADMSG, "a listing with an entry without a name");
        return push(&p->list, &p->entry);
    }
    if (strcmp(name, "CommonPrefixes/Prefix") == 0) {
        p->entry.is_prefix = true;
        return set_text(&p->entry.key, text);
    }
    if (strcmp(name, "EncodingType") == 0)
        p->encoded = strcmp(text, "url") == 0;
    else if (strcmp(name, "IsTruncated") == 0)
        p->truncated = strcmp(text, "true") == 0;
    else if (strcmp(name, "NextContinuationToken") == 0)
        return set_text(&p->list.next, text);
    return 0;
}

static int decode_key(char **key)
{
    _cleanup_buf_ struct buf b = BUF_INIT(strlen(*key) + 1);
    char *decoded;

    if (str_urldecode(&b, *key, true) != 0)
        return err_set(-EBADMSG, "a listing with a broken key");
    decoded = buf_take(&b);
    if (decoded == NULL)
        return err_set(-ENOMEM, "no memory for a listing");
    free(*key);
    *key = decoded;
    return 0;
}

static int by_key(const void *a, const void *b)
{
    const struct store_entry *x = a, *y = b;

    return strcmp(x->key, y->key);
}

/* EncodingType may come after the keys, and prefixes come after all objects: both are settled at
 * the end. */
static int finish(struct list_parse *p)
{
    int r = 0;

    if (!p->complete)
        return err_set(-EBADMSG, "not a listing");
    if (p->truncated && (p->list.next == NULL || p->list.next[0] == '\0'))
        return err_set(-EBADMSG, "a truncated listing without a continuation token");
    if (!p->truncated) {
        free(p->list.next);
        p->list.next = NULL;
    }
    for (size_t i = 0; p->encoded && r == 0 && i < p->list.n; i++)
        r = decode_key(&p->list.v[i].key);
    for (size_t i = 0; r == 0 && i < p->list.n; i++)
        if (p->list.v[i].is_prefix && !str_ends(p->list.v[i].key, "/"))
            r = err_set(-EBADMSG, "a listing with a common prefix that does not end in '/'");
    if (r == 0 && p->list.n > 1)
        qsort(p->list.v, p->list.n, sizeof(*p->list.v), by_key);
    return r;
}

int response_list(const struct http_call *call, struct store_list *ret)
{
    struct list_parse p = {0};
    int r = xml_parse(buf_str(&call->body), call->body.len, on_list_element, &p);

    if (r == 0)
        r = finish(&p);
    free(p.entry.key);
    if (r != 0) {
        store_list_done(&p.list);
        return r == -ENOMEM ? r : RESPONSE_BROKEN;
    }
    *ret = p.list;
    return 0;
}

struct uploads_parse {
    struct store_rsp *rsp;
    struct store_upload upload;
    size_t cap;
    bool encoded, truncated, complete;
};

static int push_upload(struct uploads_parse *p)
{
    struct store_rsp *rsp = p->rsp;

    if (p->upload.key == NULL || p->upload.upload_id == NULL)
        return err_set(-EBADMSG, "a list of uploads with one without a name");
    if (rsp->uploads.n == p->cap) {
        size_t cap = p->cap != 0 ? p->cap * 2 : 16;
        struct store_upload *v = reallocarray(rsp->uploads.v, cap, sizeof(*v));

        if (v == NULL)
            return err_set(-ENOMEM, "no memory for a listing");
        rsp->uploads.v = v;
        p->cap = cap;
    }
    rsp->uploads.v[rsp->uploads.n++] = p->upload;
    p->upload = (struct store_upload){0};
    return 0;
}

static int on_uploads_element(void *arg, const char *path, const char *text)
{
    struct uploads_parse *p = arg;

    if (strcmp(path, "ListMultipartUploadsResult") == 0)
        p->complete = true;
    else if (strcmp(path, "ListMultipartUploadsResult/EncodingType") == 0)
        p->encoded = strcmp(text, "url") == 0;
    else if (strcmp(path, "ListMultipartUploadsResult/IsTruncated") == 0)
        p->truncated = strcmp(text, "true") == 0;
    else if (strcmp(path, "ListMultipartUploadsResult/NextKeyMarker") == 0)
        return set_text(&p->rsp->uploads.next_key, text);
    else if (strcmp(path, "ListMultipartUploadsResult/NextUploadIdMarker") == 0)
        return set_text(&p->rsp->uploads.next_id, text);
    else if (strcmp(path, "ListMultipartUploadsResult/Upload/Key") == 0)
        return set_text(&p->upload.key, text);
    else if (strcmp(path, "ListMultipartUploadsResult/Upload/UploadId") == 0)
        return set_text(&p->upload.upload_id, text);
    else if (strcmp(path, "ListMultipartUploadsResult/Upload/Initiated") == 0) {
        if (str_iso8601(text, &p->upload.started_ns) != 0)
            return err_set(-EBADMSG, "a list of uploads with a broken time");
        p->upload.started_ns = response_time(p->upload.started_ns);
    } else if (strcmp(path, "ListMultipartUploadsResult/Upload") == 0)
        return push_upload(p);
    return 0;
}

/* Markers count only where there is more; without them there would be no way on. */
static int finish_uploads(struct uploads_parse *p)
{
    struct store_rsp *rsp = p->rsp;
    bool has_next = rsp->uploads.next_key != NULL && rsp->uploads.next_key[0] != '\0';

    if (p->truncated && has_next)
        return p->encoded ? decode_key(&rsp->uploads.next_key) : 0;
    free(rsp->uploads.next_key);
    free(rsp->uploads.next_id);
    rsp->uploads.next_key = rsp->uploads.next_id = NULL;
    return p->truncated ? err_set(-EBADMSG, "a list of uploads that is cut off and has no marker") : 0;
}

int response_uploads(const struct http_call *call, struct store_rsp *ret)
{
    struct uploads_parse p = {.rsp = ret};
    int r = xml_parse(buf_str(&call->body), call->body.len, on_uploads_element, &p);

    if (r == 0 && !p.complete)
        r = err_set(-EBADMSG, "not a list of uploads");
    for (size_t i = 0; p.encoded && r == 0 && i < ret->uploads.n; i++)
        r = decode_key(&ret->uploads.v[i].key);
    if (r == 0)
        r = finish_uploads(&p);
    free(p.upload.key);
    free(p.upload.upload_id);
    return r == 0 || r == -ENOMEM ? r : RESPONSE_BROKEN;
}
