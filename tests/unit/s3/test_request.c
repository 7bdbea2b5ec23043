/* SPDX-License-Identifier: Apache-2.0 */
/* Messages as text, compared whole: nothing may be missing and nothing may be added. */
#include "check.h"

#include "../../../fs/s3/request.h"
#include "base/err.h"

#define MB (UINT64_C(1) << 20)

static struct s3_conf conf(void)
{
    struct s3_conf c = {.bucket = "bucket"};

    strcpy(c.endpoint.path, "/bucket");
    return c;
}

static int by_name(const void *a, const void *b)
{
    const struct store_hdr *x = a, *y = b;

    return strcmp(x->name, y->name);
}

/* "METHOD path?name=value&...\nheader: value\n..." with the headers sorted, and the body. */
static char *text_of(const struct s3_conf *c, const struct store_req *req)
{
    struct message m = {0};
    struct buf b = BUF_INIT(65536);

    if (message_build(c, req, "SUM=", &m) != 0)
        fail_msg("not built: %s", err_text());
    buf_addf(&b, "%s %s", m.method, m.path);
    for (size_t i = 0; i < m.n_query; i++)
        buf_addf(&b, "%c%s=%s", i == 0 ? '?' : '&', m.query[i].name, m.query[i].value);
    if (m.hdrs.n > 0)
        qsort(m.hdrs.v, m.hdrs.n, sizeof(*m.hdrs.v), by_name);
    for (size_t i = 0; i < m.hdrs.n; i++)
        buf_addf(&b, "\n%s: %s", m.hdrs.v[i].name, m.hdrs.v[i].value);
    if (m.body.len > 0)
        buf_addf(&b, "\n\n%s", buf_str(&m.body));
    message_done(&m);
    return buf_take(&b);
}

static void expect(const struct s3_conf *c, const struct store_req *req, const char *want)
{
    char *got = text_of(c, req);

    assert_string_equal(got, want);
    free(got);
}

static void refuse(const struct store_req *req, int r)
{
    struct s3_conf c = conf();
    struct message m = {0};

    err_clear();
    assert_int_equal(message_build(&c, req, "SUM=", &m), r);
    assert_string_not_equal(err_text(), "");
}

static struct store_cond cond(enum store_if kind, const char *etag)
{
    return (struct store_cond){.kind = kind, .etag = store_etag_make(etag)};
}

static void reads(void **state)
{
    struct s3_conf c = conf();
    struct store_req req = {.op = STORE_HEAD, .key = "a b//c"};

    (void)state;
    expect(&c, &req, "HEAD /bucket/a b//c");
    req.op = STORE_GET;
    expect(&c, &req, "GET /bucket/a b//c\nx-amz-checksum-mode: ENABLED");
    req.range.len = 10; /* which may be all of it */
    expect(&c, &req, "GET /bucket/a b//c\nrange: bytes=0-9\nx-amz-checksum-mode: ENABLED");
    req.range.len = 0;
    req.range.off = 5;
    expect(&c, &req, "GET /bucket/a b//c\nrange: bytes=5-");
    req.range.len = 10;
    req.cond = cond(STORE_IF_MATCH, "\"e1\"");
    expect(&c, &req, "GET /bucket/a b//c\nif-match: \"e1\"\nrange: bytes=5-14");
    c.etag_unquoted = true;
    expect(&c, &req, "GET /bucket/a b//c\nif-match: e1\nrange: bytes=5-14");
    c.etag_unquoted = false;
    req.op = STORE_HEAD;
    req.cond = cond(STORE_IF_CHANGED, "e1");
    expect(&c, &req, "HEAD /bucket/a b//c\nif-none-match: \"e1\"");
    c.endpoint.path[0] = '\0';
    c.request_payer = true;
    c.expected_owner = "123456789012";
    req.op = STORE_HEAD_BUCKET;
    req.key = NULL;
    expect(&c, &req,
           "HEAD /\nx-amz-expected-bucket-owner: 123456789012\nx-amz-request-payer: requester");
}

static void writes(void **state)
{
    struct s3_conf c = conf();
    struct store_hdrs h = {0};
    struct store_src src = {0};
    struct store_req req = {.op = STORE_PUT, .key = "k", .src = &src, .hdrs = &h};

    (void)state;
    assert_int_equal(store_hdrs_set(&h, "content-type", "image/png"), 0);
    assert_int_equal(store_hdrs_set(&h, STORE_USER_META "file-mtime", "1"), 0);
    req.cond.kind = STORE_IF_ABSENT;
    expect(&c, &req,
           "PUT /bucket/k\ncontent-type: image/png\nif-none-match: *\n"
           "x-amz-checksum-crc64nvme: SUM=\nx-amz-meta-file-mtime: 1");
    req.cond = cond(STORE_IF_MATCH, "e");
    req.hdrs = NULL;
    expect(&c, &req, "PUT /bucket/k\nif-match: \"e\"\nx-amz-checksum-crc64nvme: SUM=");
    req.op = STORE_DELETE;
    expect(&c, &req, "DELETE /bucket/k\nif-match: \"e\"");
    store_hdrs_done(&h);
}

static void copies(void **state)
{
    struct s3_conf c = conf();
    struct store_hdrs h = {0};
    struct store_req req = {
        .op = STORE_COPY, .key = "to", .src_key = "from/\xc3\xa9 +", .hdrs = &h};

    (void)state;
    assert_int_equal(store_hdrs_set(&h, "content-type", "image/png"), 0);
    expect(&c, &req, "PUT /bucket/to\nx-amz-copy-source: /bucket/from/%C3%A9%20%2B");
    req.replace = true;
    req.src_cond = cond(STORE_IF_MATCH, "s");
    req.cond.kind = STORE_IF_ABSENT;
    expect(&c, &req,
           "PUT /bucket/to\ncontent-type: image/png\nif-none-match: *\n"
           "x-amz-copy-source: /bucket/from/%C3%A9%20%2B\nx-amz-copy-source-if-match: \"s\"\n"
           "x-amz-metadata-directive: REPLACE\nx-amz-tagging-directive: REPLACE");
    req = (struct store_req){.op = STORE_MPU_PART_COPY,
                             .key = "to",
                             .src_key = "from",
                             .upload_id = "U",
                             .part_number = 3,
                             .range = {.off = 10, .len = 5 * MB}};
    expect(&c, &req,
           "PUT /bucket/to?partNumber=3&uploadId=U\nx-amz-copy-source: /bucket/from\n"
           "x-amz-copy-source-range: bytes=10-5242889");
    req.range.off = req.range.len = 0;
    expect(&c, &req, "PUT /bucket/to?partNumber=3&uploadId=U\nx-amz-copy-source: /bucket/from");
    req.range.off = 1;
    refuse(&req, -EINVAL);
    store_hdrs_done(&h);
}

/* A write carries tags, and not their number, which only reads tell. */
static void tags(void **state)
{
    struct s3_conf c = conf();
    struct store_hdrs h = {0};
    struct store_req req = {.op = STORE_MPU_CREATE, .key = "k", .hdrs = &h};

    (void)state;
    assert_int_equal(store_hdrs_set(&h, STORE_TAGS, "a=1&b=%20"), 0);
    assert_int_equal(store_hdrs_set(&h, STORE_TAG_COUNT, "2"), 0);
    expect(&c, &req, "POST /bucket/k?uploads=\nx-amz-tagging: a=1&b=%20");
    req = (struct store_req){.op = STORE_GET_TAGS, .key = "k"};
    expect(&c, &req, "GET /bucket/k?tagging=");
    store_hdrs_done(&h);
}

static void uploads(void **state)
{
    struct s3_conf c = conf();
    struct store_src src = {.size = 4};
    struct store_part parts[2] = {{.number = 1, .size = 9, .etag = {"e1"}},
                                  {.number = 5, .size = 9, .etag = {"e<2"}}};
    struct store_req req = {.op = STORE_MPU_CREATE, .key = "k"};

    (void)state;
    expect(&c, &req, "POST /bucket/k?uploads=");
    req = (struct store_req){
        .op = STORE_MPU_PART, .key = "k", .upload_id = "U/1", .part_number = 7, .src = &src};
    expect(&c, &req, "PUT /bucket/k?partNumber=7&uploadId=U/1\ncontent-md5: SUM=");
    req = (struct store_req){.op = STORE_MPU_ABORT, .key = "k", .upload_id = "U"};
    expect(&c, &req, "DELETE /bucket/k?uploadId=U");
    req.upload_id = NULL;
    refuse(&req, -EINVAL);
    req = (struct store_req){.op = STORE_MPU_LIST, .prefix = "p/"};
    expect(&c, &req, "GET /bucket/?uploads=&prefix=p/");
    req.max_keys = 7;
    req.start_after = "p/k";
    req.upload_id = "U";
    expect(&c, &req, "GET /bucket/?uploads=&prefix=p/&max-uploads=7&key-marker=p/k&upload-id-marker=U");
    req = (struct store_req){.op = STORE_MPU_COMPLETE,
                             .key = "k",
                             .upload_id = "U",
                             .parts = parts,
                             .n_parts = 2,
                             .cond = {.kind = STORE_IF_ABSENT}};
    expect(&c, &req,
           "POST /bucket/k?uploadId=U\nif-none-match: *\n\n"
           "<CompleteMultipartUpload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
           "<Part><PartNumber>1</PartNumber><ETag>&quot;e1&quot;</ETag></Part>"
           "<Part><PartNumber>5</PartNumber><ETag>&quot;e&lt;2&quot;</ETag></Part>"
           "</CompleteMultipartUpload>");
    req.n_parts = 0;
    refuse(&req, -EINVAL);
}

static void lists(void **state)
{
    struct s3_conf c = conf();
    struct store_req req = {.op = STORE_LIST};

    (void)state;
    expect(&c, &req, "GET /bucket/?list-type=2&encoding-type=url&prefix=");
    req = (struct store_req){
        .op = STORE_LIST, .prefix = "d/", .delimited = true, .start_after = "d/x", .max_keys = 2};
    expect(
        &c, &req,
        "GET "
        "/bucket/?list-type=2&encoding-type=url&prefix=d/&delimiter=/&start-after=d/x&max-keys=2");
    req.token = "T";
    expect(&c, &req,
           "GET /bucket/?list-type=2&encoding-type=url&prefix=d/&delimiter=/&continuation-token=T&"
           "max-keys=2");
}

static void removes_many(void **state)
{
    static const char *const keys[] = {"a", "b&c", "ctl\x01", "d\n"};
    struct s3_conf c = conf();
    struct store_req req = {.op = STORE_DELETE_MANY, .keys = keys, .n_keys = 4};

    (void)state;
    expect(&c, &req,
           "POST /bucket/?delete=\ncontent-md5: k3giCFJDRWRw2Z5RDw0eJQ==\n"
           "content-type: application/xml\n\n"
           "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Object><Key>a</Key></Object>"
           "<Object><Key>b&amp;c</Key></Object><Object><Key>d&#10;</Key></Object>"
           "<Quiet>false</Quiet></Delete>");
    req.n_keys = 0;
    refuse(&req, -EINVAL);
    req.n_keys = 1001;
    refuse(&req, -EINVAL);
}

static void removes_many_as_they_were(void **state)
{
    static const char *const keys[] = {"a", "b"};
    static const struct store_etag etags[] = {{"e&1"}, {"e2"}}, none[] = {{"e1"}, {""}};
    struct s3_conf c = conf();
    struct store_req req = {.op = STORE_DELETE_MANY, .keys = keys, .etags = etags, .n_keys = 2};
    struct message m = {0};

    (void)state;
    assert_int_equal(message_build(&c, &req, "SUM=", &m), 0);
    assert_string_equal(buf_str(&m.body),
                        "<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                        "<Object><Key>a</Key><ETag>&quot;e&amp;1&quot;</ETag></Object>"
                        "<Object><Key>b</Key><ETag>&quot;e2&quot;</ETag></Object><Quiet>false</Quiet></Delete>");
    message_done(&m);
    req.etags = none; /* never without one: that key is left open */
    assert_int_equal(message_build(&c, &req, "SUM=", &m), 0);
    assert_null(strstr(buf_str(&m.body), "<Key>b</Key>"));
    message_done(&m);
}

/* Which headers of encryption and class each kind of request has: a write without its key would be
 * unreadable, a read without it fails. */
static void encryption_and_class(void **state)
{
    static const char sse[] = "\nx-amz-server-side-encryption: ";
    static const char kms[] = "\nx-amz-server-side-encryption-aws-kms-key-id: K1";
    static const char customer[] = "\nx-amz-server-side-encryption-customer-algorithm: AES256\n"
                                   "x-amz-server-side-encryption-customer-key: "
                                   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
                                   "x-amz-server-side-encryption-customer-key-md5: "
                                   "cLyPS3KoaSFGi/joRB3OUQ==";
    static const char source[] = "\nx-amz-copy-source-server-side-encryption-customer-algorithm: ";
    static const char klass[] = "\nx-amz-storage-class: STANDARD_IA";
    static const struct {
        enum store_op op;
        bool makes, has_bytes, has_source;
    } rows[] = {
        {STORE_HEAD, false, true, false},         {STORE_GET, false, true, false},
        {STORE_PUT, true, true, false},           {STORE_COPY, true, true, true},
        {STORE_MPU_CREATE, true, true, false},    {STORE_MPU_PART, false, true, false},
        {STORE_MPU_PART_COPY, false, true, true}, {STORE_MPU_COMPLETE, false, true, false},
        {STORE_MPU_ABORT, false, false, false},   {STORE_DELETE, false, false, false},
        {STORE_LIST, false, false, false},        {STORE_HEAD_BUCKET, false, false, false},
    };
    struct store_src src = {.size = 1};
    struct store_part part = {.number = 1, .etag = {"e"}};
    static const unsigned char key[S3_SSE_C_KEY_LEN];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        for (enum s3_sse kind = S3_SSE_NONE; kind <= S3_SSE_C; kind++) {
            struct s3_conf c = conf();
            struct store_req req = {.op = rows[i].op,
                                    .key = "k",
                                    .src_key = "s",
                                    .src = &src,
                                    .upload_id = "U",
                                    .part_number = 1,
                                    .parts = &part,
                                    .n_parts = 1};
            char *got;

            c.sse = kind;
            c.sse_c_key = kind == S3_SSE_C ? key : NULL;
            c.kms_key_id = "K1";
            c.storage_class = "STANDARD_IA";
            got = text_of(&c, &req);
            assert_int_equal(strstr(got, sse) != NULL,
                             rows[i].makes && (kind == S3_SSE_S3 || kind == S3_SSE_KMS));
            assert_int_equal(strstr(got, kms) != NULL, rows[i].makes && kind == S3_SSE_KMS);
            assert_int_equal(strstr(got, customer) != NULL, rows[i].has_bytes && kind == S3_SSE_C);
            assert_int_equal(strstr(got, source) != NULL, rows[i].has_source && kind == S3_SSE_C);
            assert_int_equal(strstr(got, klass) != NULL, rows[i].makes);
            free(got);
        }
}

static void own_class_first(void **state)
{
    struct s3_conf c = conf();
    struct store_hdrs h = {0};
    struct store_src src = {0};
    struct store_req req = {.op = STORE_PUT, .key = "k", .src = &src, .hdrs = &h};

    (void)state;
    c.storage_class = "STANDARD_IA";
    assert_int_equal(store_hdrs_set(&h, "x-amz-storage-class", "GLACIER_IR"), 0);
    expect(&c, &req,
           "PUT /bucket/k\nx-amz-checksum-crc64nvme: SUM=\nx-amz-storage-class: GLACIER_IR");
    store_hdrs_done(&h);
}

static void bad_requests(void **state)
{
    struct store_hdrs h = {0};
    struct store_src src = {0};
    char *long_key = malloc(1026);
    struct store_req req = {.op = STORE_GET};

    (void)state;
    refuse(&req, -EINVAL);
    req.key = "";
    refuse(&req, -EINVAL);
    assert_non_null(long_key);
    memset(long_key, 'k', 1025);
    long_key[1025] = '\0';
    req.key = long_key;
    refuse(&req, -ENAMETOOLONG);
    req.key = "k";
    req.cond = cond(STORE_IF_MATCH, "");
    refuse(&req, -EINVAL);
    req = (struct store_req){.op = STORE_COPY, .key = "k"};
    refuse(&req, -EINVAL);
    /* A line break in a value would be a header of the writer's choice. */
    assert_int_equal(store_hdrs_set(&h, "content-type", "a\r\nx-amz-acl: public-read"), 0);
    req = (struct store_req){.op = STORE_PUT, .key = "k", .src = &src, .hdrs = &h};
    refuse(&req, -EINVAL);
    store_hdrs_done(&h);
    free(long_key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads),
        cmocka_unit_test(writes),
        cmocka_unit_test(copies), cmocka_unit_test(tags),
        cmocka_unit_test(uploads),
        cmocka_unit_test(lists),
        cmocka_unit_test(removes_many),
        cmocka_unit_test(removes_many_as_they_were),
        cmocka_unit_test(encryption_and_class),
        cmocka_unit_test(own_class_first),
        cmocka_unit_test(bad_requests),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
