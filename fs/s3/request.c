/* SPDX-License-Identifier: Apache-2.0 */
/* Methods, paths, queries and headers of the S3 API (API reference of each operation). */
#include "request.h"

#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/str.h"
#include "store/backend.h"

#define LIST_REPLY_MAX                                                                             \
    (16u << 20) /* 1000 keys of 1024 bytes, each byte as %XX, and what stands around them */

void message_wipe(struct store_hdrs *h)
{
    for (size_t i = 0; i < h->n; i++)
        OPENSSL_cleanse(h->v[i].value, strlen(h->v[i].value));
    store_hdrs_done(h);
}

void message_done(struct message *m)
{
    free(m->path);
    for (size_t i = 0; i < m->n_query; i++)
        free(m->query[i].value);
    message_wipe(&m->hdrs);
    buf_done(&m->body);
    *m = (struct message){0};
}

int message_header(struct message *m, const char *name, const char *value)
{
    for (const char *c = value; *c != '\0'; c++)
        if (((unsigned char)*c < 0x20 && *c != '\t') || *c == 0x7f)
            return err_set(-EINVAL, "the value of %s has a control character", name);
    return store_hdrs_set(&m->hdrs, name, value);
}

int message_query(struct message *m, const char *name, const char *value)
{
    char *copy = strdup(value);

    if (copy == NULL || m->n_query == MESSAGE_QUERY_MAX) {
        free(copy);
        return err_set(-ENOMEM, "no memory for a request");
    }
    m->query[m->n_query].name = name;
    m->query[m->n_query].value = copy;
    m->n_query++;
    return 0;
}

static int query_u64(struct message *m, const char *name, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%" PRIu64, value);
    return message_query(m, name, text);
}

static int set_path(struct message *m, const struct s3_conf *conf, const char *key)
{
    if (asprintf(&m->path, "%s/%s", conf->endpoint.path, key != NULL ? key : "") < 0) {
        m->path = NULL;
        return err_set(-ENOMEM, "no memory for a request");
    }
    return 0;
}

static int etag_header(struct message *m, const struct s3_conf *conf, const char *name,
                       const struct store_etag *etag)
{
    char text[sizeof(etag->s) + 2];
    const char *quote = conf->etag_unquoted ? "" : "\"";

    if (!store_etag_is_set(etag))
        return err_set(-EINVAL, "a condition without an ETag");
    snprintf(text, sizeof(text), "%s%.*s%s", quote, (int)sizeof(etag->s) - 1, etag->s, quote);
    return message_header(m, name, text);
}

static int condition(struct message *m, const struct s3_conf *conf, const struct store_cond *cond)
{
    switch (cond->kind) {
    case STORE_IF_ABSENT:
        return message_header(m, "if-none-match", "*");
    case STORE_IF_MATCH:
        return etag_header(m, conf, "if-match", &cond->etag);
    case STORE_IF_CHANGED:
        return etag_header(m, conf, "if-none-match", &cond->etag);
    case STORE_ALWAYS:
        break;
    }
    return 0;
}

/* What every request of this mount says. */
static int common_headers(struct message *m, const struct s3_conf *conf)
{
    int r = 0;

    if (conf->request_payer)
        r = message_header(m, "x-amz-request-payer", "requester");
    if (r == 0 && conf->expected_owner != NULL)
        r = message_header(m, "x-amz-expected-bucket-owner", conf->expected_owner);
    return r;
}

/* The customer's key with each request that reads or writes bytes of it; infix "" or
 * "copy-source-". */
static int sse_c_headers(struct message *m, const struct s3_conf *conf, const char *infix)
{
    static const char *const suffixes[] = {"algorithm", "key", "key-md5"};
    _cleanup_buf_ struct buf key = BUF_INIT_SECRET(64);
    _cleanup_buf_ struct buf md5 = BUF_INIT(64);
    unsigned char sum[EVP_MAX_MD_SIZE];
    const char *values[3] = {"AES256"};
    int r = 0;

    if (conf->sse != S3_SSE_C)
        return 0;
    if (EVP_Digest(conf->sse_c_key, S3_SSE_C_KEY_LEN, sum, NULL, EVP_md5(), NULL) != 1)
        return err_set(-EIO, "the crypto library failed in MD5");
    str_base64(&key, conf->sse_c_key, S3_SSE_C_KEY_LEN);
    str_base64(&md5, sum, 16);
    if (buf_failed(&key) || buf_failed(&md5))
        return err_set(-ENOMEM, "no memory for a request");
    values[1] = buf_str(&key);
    values[2] = buf_str(&md5);
    for (size_t i = 0; i < 3 && r == 0; i++) {
        char name[80];

        snprintf(name, sizeof(name), "x-amz-%sserver-side-encryption-customer-%s", infix,
                 suffixes[i]);
        r = message_header(m, name, values[i]);
    }
    return r;
}

/* Encryption and class of what a write makes. The object's own class goes before the mount's. */
static int write_headers(struct message *m, const struct s3_conf *conf,
                         const struct store_hdrs *hdrs)
{
    int r = hdrs != NULL ? store_hdrs_check(hdrs) : 0;

    if (r == 0)
        r = sse_c_headers(m, conf, "");
    if (r == 0 && conf->sse == S3_SSE_S3)
        r = message_header(m, "x-amz-server-side-encryption", "AES256");
    if (r == 0 && conf->sse == S3_SSE_KMS)
        r = message_header(m, "x-amz-server-side-encryption", "aws:kms");
    if (r == 0 && conf->sse == S3_SSE_KMS && conf->kms_key_id != NULL)
        r = message_header(m, "x-amz-server-side-encryption-aws-kms-key-id", conf->kms_key_id);
    if (r == 0 && conf->storage_class != NULL)
        r = message_header(m, "x-amz-storage-class", conf->storage_class);
    for (size_t i = 0; r == 0 && hdrs != NULL && i < hdrs->n; i++)
        if (strcmp(hdrs->v[i].name, STORE_TAG_COUNT) != 0)
            r = message_header(m, hdrs->v[i].name, hdrs->v[i].value);
    return r;
}

/* bytes=a-b; len 0 = to the end. */
static int range_header(struct message *m, const char *name, const struct store_req *req,
                        bool open_end)
{
    char text[64];
    uint64_t off = req->range.off, len = req->range.len;

    if (off == 0 && len == 0)
        return 0;
    if (len == 0 && !open_end)
        return err_set(-EINVAL, "a part copy without the range's end");
    if (len != 0 && off > UINT64_MAX - len)
        return err_set(-EINVAL, "a range past the end of all numbers");
    if (len == 0)
        snprintf(text, sizeof(text), "bytes=%" PRIu64 "-", off);
    else
        snprintf(text, sizeof(text), "bytes=%" PRIu64 "-%" PRIu64, off, off + len - 1);
    return message_header(m, name, text);
}

static int source_headers(struct message *m, const struct s3_conf *conf,
                          const struct store_req *req)
{
    _cleanup_buf_ struct buf source = BUF_INIT(8192);
    int r;

    buf_addc(&source, '/');
    buf_adds(&source, conf->bucket);
    buf_addc(&source, '/');
    str_urlencode(&source, req->src_key, strlen(req->src_key), true);
    if (buf_failed(&source))
        return err_set(source.error == -E2BIG ? -ENAMETOOLONG : -ENOMEM, "copy source too long");
    r = message_header(m, "x-amz-copy-source", buf_str(&source));
    if (r == 0 && req->src_cond.kind == STORE_IF_MATCH)
        r = etag_header(m, conf, "x-amz-copy-source-if-match", &req->src_cond.etag);
    return r == 0 ? sse_c_headers(m, conf, "copy-source-") : r;
}

enum checksum_kind message_sum_kind(enum store_op op)
{
    return op == STORE_MPU_PART ? CHECKSUM_MD5 : CHECKSUM_CRC64NVME;
}

/* So that a body that is cut or changed on its way is never stored. */
static int source_checksum(struct message *m, enum store_op op, const char *sum)
{
    enum checksum_kind kind = message_sum_kind(op);

    return message_header(m, kind == CHECKSUM_MD5 ? "content-md5" : checksum_header(kind), sum);
}

static int build_read(struct message *m, const struct s3_conf *conf, const struct store_req *req)
{
    int r = condition(m, conf, &req->cond);

    m->method = req->op == STORE_HEAD ? "HEAD" : "GET";
    m->kind = req->op == STORE_HEAD ? METER_HEAD : METER_GET;
    if (r == 0)
        r = sse_c_headers(m, conf, "");
    if (r != 0 || req->op == STORE_HEAD)
        return r;
    if (req->range.off == 0) /* a range from the start on may turn out to be all of it */
        r = message_header(m, "x-amz-checksum-mode", "ENABLED");
    return r != 0 ? r : range_header(m, "range", req, true);
}

static int build_put(struct message *m, const struct s3_conf *conf, const struct store_req *req,
                     const char *sum)
{
    int r = condition(m, conf, &req->cond);

    m->method = "PUT";
    m->kind = METER_PUT;
    m->sends_source = true;
    if (r == 0)
        r = source_checksum(m, req->op, sum);
    return r == 0 ? write_headers(m, conf, req->hdrs) : r;
}

static int build_delete(struct message *m, const struct s3_conf *conf, const struct store_req *req)
{
    m->method = "DELETE";
    m->kind = METER_DELETE;
    return condition(m, conf, &req->cond);
}

static int build_delete_many(struct message *m, const struct s3_conf *conf,
                             const struct store_req *req)
{
    int r = message_query(m, "delete", "");

    m->method = "POST";
    m->kind = METER_DELETE_MULTI;
    m->has_xml_reply = true;
    m->reply_max = LIST_REPLY_MAX;
    return r == 0 ? message_delete_body(m, conf, req) : r;
}

static int build_list(struct message *m, const struct store_req *req)
{
    int r = message_query(m, "list-type", "2");

    m->method = "GET";
    m->kind = METER_LIST;
    m->has_xml_reply = true;
    m->reply_max = LIST_REPLY_MAX;
    if (r == 0)
        r = message_query(m, "encoding-type", "url");
    if (r == 0)
        r = message_query(m, "prefix", req->prefix != NULL ? req->prefix : "");
    if (r == 0 && req->delimited)
        r = message_query(m, "delimiter", "/");
    if (r == 0 && req->token != NULL)
        r = message_query(m, "continuation-token", req->token);
    else if (r == 0 && req->start_after != NULL)
        r = message_query(m, "start-after", req->start_after);
    if (r == 0 && req->max_keys != 0)
        r = query_u64(m, "max-keys", req->max_keys);
    return r;
}

static int build_copy(struct message *m, const struct s3_conf *conf, const struct store_req *req)
{
    int r = condition(m, conf, &req->cond);

    m->method = "PUT";
    m->kind = METER_COPY;
    m->has_xml_reply = true;
    if (r == 0)
        r = source_headers(m, conf, req);
    if (r == 0 && req->replace)
        r = message_header(m, "x-amz-metadata-directive", "REPLACE");
    if (r == 0 && req->replace)
        r = message_header(m, "x-amz-tagging-directive", "REPLACE");
    return r == 0 ? write_headers(m, conf, req->replace ? req->hdrs : NULL) : r;
}

static int build_mpu_create(struct message *m, const struct s3_conf *conf,
                            const struct store_req *req)
{
    int r = message_query(m, "uploads", "");

    m->method = "POST";
    m->kind = METER_MPU_CREATE;
    m->has_xml_reply = true;
    return r == 0 ? write_headers(m, conf, req->hdrs) : r;
}

static int build_mpu_part(struct message *m, const struct s3_conf *conf,
                          const struct store_req *req, const char *sum)
{
    int r = query_u64(m, "partNumber", req->part_number);

    m->method = "PUT";
    if (r == 0)
        r = message_query(m, "uploadId", req->upload_id);
    if (r == 0)
        r = sse_c_headers(m, conf, "");
    if (r == 0 && req->op == STORE_MPU_PART) {
        m->kind = METER_PUT_PART;
        m->sends_source = true;
        return source_checksum(m, req->op, sum);
    }
    m->kind = METER_COPY_PART;
    m->has_xml_reply = true;
    if (r == 0)
        r = source_headers(m, conf, req);
    return r == 0 ? range_header(m, "x-amz-copy-source-range", req, false) : r;
}

static int build_mpu_end(struct message *m, const struct s3_conf *conf, const struct store_req *req)
{
    int r = message_query(m, "uploadId", req->upload_id);

    if (req->op == STORE_MPU_ABORT) {
        m->method = "DELETE";
        m->kind = METER_MPU_ABORT;
        return r;
    }
    m->method = "POST";
    m->kind = METER_MPU_COMPLETE;
    m->has_xml_reply = true;
    if (r == 0)
        r = condition(m, conf, &req->cond);
    if (r == 0)
        r = sse_c_headers(m, conf, "");
    return r == 0 ? message_complete_body(m, req) : r;
}

static int build_mpu_list(struct message *m, const struct store_req *req)
{
    int r = message_query(m, "uploads", "");

    m->method = "GET";
    m->kind = METER_LIST_MPU;
    m->has_xml_reply = true;
    m->reply_max = LIST_REPLY_MAX;
    /* No encoding-type: Ceph 16 encodes the keys then, and does not say so in the reply. */
    if (r == 0 && req->prefix != NULL)
        r = message_query(m, "prefix", req->prefix);
    if (r == 0 && req->max_keys != 0) {
        char max[16];

        snprintf(max, sizeof(max), "%u", req->max_keys);
        r = message_query(m, "max-uploads", max);
    }
    if (r == 0 && req->start_after != NULL)
        r = message_query(m, "key-marker", req->start_after);
    if (r == 0 && req->start_after != NULL && req->upload_id != NULL)
        r = message_query(m, "upload-id-marker", req->upload_id);
    return r;
}

static int build_get_tags(struct message *m)
{
    m->method = "GET";
    m->kind = METER_GET;
    m->has_xml_reply = true;
    return message_query(m, "tagging", "");
}

static int build_head_bucket(struct message *m)
{
    m->method = "HEAD";
    m->kind = METER_HEAD_BUCKET;
    return 0;
}

static int build_op(struct message *m, const struct s3_conf *conf, const struct store_req *req,
                    const char *sum)
{
    switch (req->op) {
    case STORE_HEAD:
    case STORE_GET:
        return build_read(m, conf, req);
    case STORE_PUT:
        return build_put(m, conf, req, sum);
    case STORE_DELETE:
        return build_delete(m, conf, req);
    case STORE_DELETE_MANY:
        return build_delete_many(m, conf, req);
    case STORE_LIST:
        return build_list(m, req);
    case STORE_COPY:
        return build_copy(m, conf, req);
    case STORE_MPU_CREATE:
        return build_mpu_create(m, conf, req);
    case STORE_MPU_PART:
    case STORE_MPU_PART_COPY:
        return build_mpu_part(m, conf, req, sum);
    case STORE_MPU_COMPLETE:
    case STORE_MPU_ABORT:
        return build_mpu_end(m, conf, req);
    case STORE_MPU_LIST:
        return build_mpu_list(m, req);
    case STORE_GET_TAGS:
        return build_get_tags(m);
    case STORE_HEAD_BUCKET:
        return build_head_bucket(m);
    case STORE_OPS:
        break;
    }
    return err_set(-EINVAL, "no such store operation");
}

static bool is_on_bucket(enum store_op op)
{
    return op == STORE_LIST || op == STORE_MPU_LIST || op == STORE_HEAD_BUCKET ||
           op == STORE_DELETE_MANY;
}

/* What the operation can't do without. */
static int check(const struct store_req *req)
{
    bool on_bucket = is_on_bucket(req->op);
    bool copies = req->op == STORE_COPY || req->op == STORE_MPU_PART_COPY;
    bool of_upload = req->op == STORE_MPU_PART || req->op == STORE_MPU_PART_COPY ||
                     req->op == STORE_MPU_COMPLETE || req->op == STORE_MPU_ABORT;

    int r;

    if (!on_bucket && req->key == NULL)
        return err_set(-EINVAL, "%s without a key", store_op_name(req->op));
    r = on_bucket ? 0 : store_key_check(req->key);
    if (r != 0)
        return r;
    if (copies && (req->src_key == NULL || req->src_key[0] == '\0'))
        return err_set(-EINVAL, "%s without a source", store_op_name(req->op));
    if (of_upload && (req->upload_id == NULL || req->upload_id[0] == '\0'))
        return err_set(-EINVAL, "%s without an upload id", store_op_name(req->op));
    return 0;
}

int message_build(const struct s3_conf *conf, const struct store_req *req, const char *src_sum,
                  struct message *ret)
{
    bool on_bucket = is_on_bucket(req->op);
    struct message m = {.body = BUF_INIT(0)};
    int r = check(req);

    if (r == 0)
        r = set_path(&m, conf, on_bucket ? NULL : req->key);
    if (r == 0)
        r = common_headers(&m, conf);
    if (r == 0)
        r = build_op(&m, conf, req, src_sum);
    if (r != 0) {
        message_done(&m);
        return r;
    }
    *ret = m;
    return 0;
}

int message_build_explain(const struct s3_conf *conf, const struct store_req *req,
                          struct message *ret)
{
    const struct store_req list = {.op = STORE_LIST, .max_keys = 1};
    struct message m = {.method = "GET", .kind = METER_LIST_MPU};
    int r;

    if (req->op != STORE_MPU_COMPLETE)
        return message_build(conf, &list, NULL, ret);
    r = set_path(&m, conf, req->key);
    if (r == 0)
        r = common_headers(&m, conf);
    if (r == 0)
        r = message_query(&m, "uploadId", req->upload_id);
    if (r == 0)
        r = message_query(&m, "max-parts", "1");
    if (r != 0) {
        message_done(&m);
        return r;
    }
    *ret = m;
    return 0;
}
