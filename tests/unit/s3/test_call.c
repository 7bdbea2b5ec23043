/* SPDX-License-Identifier: Apache-2.0 */
/* The attempt loop on a scripted server: what is sent again, how often, and what the caller gets.
 */
#include "rig.h"

#include <stdatomic.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"

#define ETAG_OF_HELLO "5d41402abc4b2a76b9719d911017c592"

static struct store_mem hello = {.data = (char[]){"hello"}, .size = 5};

/* One request of this kind with all that its kind needs. */
static int run(struct rig *r, enum store_op op, struct store_cond cond, struct store_rsp *rsp)
{
    struct store_src src = store_src_mem(&hello);
    struct store_part part = {.number = 1, .size = 5, .etag = {"e"}};
    struct store_req req = {.op = op,
                            .key = "k",
                            .cond = cond,
                            .src = &src,
                            .src_key = "from",
                            .upload_id = "U",
                            .part_number = 1,
                            .parts = &part,
                            .n_parts = 1};

    err_clear();
    return store_call(r->store, &req, rsp);
}

static int run_simple(struct rig *r, enum store_op op)
{
    struct store_rsp rsp = {0};
    int result = run(r, op, (struct store_cond){0}, &rsp);

    store_rsp_done(&rsp);
    return result;
}

/* The first `times` requests get this answer (all of them if 0), the rest a good one. */
struct trouble {
    int status;
    const char *code;
    atomic_uint times, seen;
    bool for_ever;
};

static void good_reply(const struct httpd_req *req, struct httpd_reply *reply)
{
    reply->headers = "ETag: \"" ETAG_OF_HELLO "\"\r\n";
    if (strcmp(req->method, "GET") == 0)
        reply->body = strstr(req->target, "list-type") != NULL ? "<ListBucketResult/>" : "hello";
    else if (strcmp(req->method, "POST") == 0 && strstr(req->target, "uploads") != NULL)
        reply->body = "<R><UploadId>U</UploadId></R>";
    else if (strcmp(req->method, "POST") == 0 || strstr(req->headers, "x-amz-copy-source") != NULL)
        reply->body = "<R><ETag>\"e\"</ETag></R>";
}

static void answer(void *ctx, const struct httpd_req *req, struct httpd_reply *reply)
{
    struct trouble *t = ctx;

    if (atomic_fetch_add(&t->seen, 1) >= atomic_load(&t->times) && !t->for_ever) {
        good_reply(req, reply);
        return;
    }
    reply->status = t->status;
    if (t->code == NULL || t->status == 304 || strcmp(req->method, "HEAD") == 0)
        return;
    reply->free_body = true;
    if (asprintf((char **)(uintptr_t)&reply->body, ERROR_BODY("%s"), t->code) < 0)
        abort();
}

/* Final answers: one request, this result, and the server's code in the text of an errno. */
static void final_answers(void **state)
{
    static const struct {
        int status;
        const char *code;
        enum store_op op;
        int result;
    } rows[] = {
        {404, "NoSuchBucket", STORE_PUT, -ENODEV},
        {404, "NoSuchKey", STORE_DELETE, 0},
        {404, "NoSuchKey", STORE_GET, STORE_NOT_FOUND},
        {404, "NoSuchKey", STORE_COPY, STORE_NOT_FOUND},
        {404, "NoSuchUpload", STORE_MPU_PART, STORE_NO_UPLOAD},
        {404, "NoSuchUpload", STORE_MPU_COMPLETE, STORE_NO_UPLOAD},
        {404, "NoSuchUpload", STORE_MPU_ABORT, 0},
        {412, "PreconditionFailed", STORE_PUT, STORE_PRECONDITION},
        {412, NULL, STORE_HEAD, STORE_PRECONDITION},
        {304, NULL, STORE_GET, STORE_NOT_MODIFIED},
        {304, NULL, STORE_HEAD, STORE_NOT_MODIFIED},
        {409, "ConditionalRequestConflict", STORE_MPU_COMPLETE, STORE_CONFLICT},
        {416, "InvalidRange", STORE_GET, STORE_RANGE},
        {403, "AccessDenied", STORE_PUT, -EACCES},
        {403, "SignatureDoesNotMatch", STORE_PUT, -EACCES},
        {403, NULL, STORE_HEAD, -EACCES},
        {404, NULL, STORE_HEAD, STORE_NOT_FOUND},
        {404, NULL, STORE_LIST, -ENODEV},
        {403, "InvalidObjectState", STORE_GET, -EIO},
        {400, "EntityTooLarge", STORE_PUT, -EFBIG},
        {400, "KeyTooLongError", STORE_PUT, -ENAMETOOLONG},
        {400, "MetadataTooLarge", STORE_PUT, -ENOSPC},
        {400, "InvalidPart", STORE_MPU_COMPLETE, -EINVAL},
        {403, "QuotaExceeded", STORE_PUT, -EDQUOT},
        {409, "ObjectParentIsFile", STORE_PUT, -ENOTDIR},
        {409, "ExistingObjectIsDirectory", STORE_MPU_COMPLETE, -EISDIR},
        {501, "NotImplemented", STORE_COPY, -EOPNOTSUPP},
        {405, "MethodNotAllowed", STORE_GET, -EPERM},
        {507, NULL, STORE_PUT, -ENOSPC},
        {418, NULL, STORE_PUT, -EIO},
    };
    RIG(rig);
    struct trouble t = {.for_ever = true};

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct store_rsp rsp = {0};
        int r;

        t.status = rows[i].status;
        t.code = rows[i].code;
        atomic_store(&t.seen, 0);
        r = run(&rig, rows[i].op, (struct store_cond){0}, &rsp);
        if (r != rows[i].result || atomic_load(&t.seen) != 1 || rsp.retried)
            fail_msg("%d %s: %d after %u requests (%s)", rows[i].status,
                     rows[i].code != NULL ? rows[i].code : "-", r, atomic_load(&t.seen),
                     err_text());
        if (r == -ENODEV)
            assert_string_equal(err_text(), "no such bucket bucket");
        else if (r < 0 && rows[i].code != NULL && strstr(err_text(), rows[i].code) == NULL)
            fail_msg("%s is not in: %s", rows[i].code, err_text());
        store_rsp_done(&rsp);
    }
}

/* Passing troubles: sent again, then good, and the caller is told that it was. */
static void passing_troubles(void **state)
{
    static const struct {
        int status;
        const char *code;
        enum store_op op;
    } rows[] = {
        {500, "InternalError", STORE_PUT},
        {500, NULL, STORE_HEAD},
        {502, NULL, STORE_GET},
        {504, NULL, STORE_DELETE},
        {503, "SlowDown", STORE_PUT},
        {503, NULL, STORE_LIST},
        {429, "TooManyRequests", STORE_GET},
        {408, NULL, STORE_PUT},
        {400, "RequestTimeout", STORE_PUT},
        {400, "IncompleteBody", STORE_PUT},
        {400, "BadDigest", STORE_PUT},
        {409, "ConditionalRequestConflict", STORE_PUT},
        {409, "OperationAborted", STORE_PUT},
        {409, "ExistingObjectIsDirectory", STORE_PUT},
        {400, "XAmzContentSHA256Mismatch", STORE_MPU_PART},
        {200, "InternalError", STORE_COPY},
        {200, "SlowDown", STORE_MPU_COMPLETE},
        {200, "SomethingNew", STORE_MPU_PART_COPY},
    };
    RIG(rig);
    struct trouble t = {0};

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct store_rsp rsp = {0};
        int r;

        t.status = rows[i].status;
        t.code = rows[i].code;
        atomic_store(&t.times, 2);
        atomic_store(&t.seen, 0);
        r = run(&rig, rows[i].op, (struct store_cond){0}, &rsp);
        if (r != 0 || atomic_load(&t.seen) != 3 || !rsp.retried)
            fail_msg("%d %s: %d after %u requests (%s)", rows[i].status,
                     rows[i].code != NULL ? rows[i].code : "-", r, atomic_load(&t.seen),
                     err_text());
        store_rsp_done(&rsp);
    }
}

/* What is tried a few times only. */
static void few_tries(void **state)
{
    static const struct {
        int status;
        const char *code;
        int result;
    } rows[] = {
        {409, "ConditionalRequestConflict", STORE_CONFLICT},
        {409, "OperationAborted", STORE_CONFLICT},
        {400, "BadDigest", -EIO},
    };
    RIG(rig);
    struct trouble t = {.for_ever = true};

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        t.status = rows[i].status;
        t.code = rows[i].code;
        atomic_store(&t.seen, 0);
        assert_int_equal(run_simple(&rig, STORE_PUT), rows[i].result);
        assert_int_equal(atomic_load(&t.seen), 5);
    }
}

static void broken_bodies(void **state)
{
    RIG(rig);
    char data[8] = "";
    struct store_mem m = {.data = data, .size = 5};
    struct store_sink sink = store_sink_mem(&m);
    struct store_req req = {.op = STORE_GET, .key = "k", .sink = &sink};
    struct store_rsp rsp = {0};

    (void)state;
    rig_init(&rig);
    /* Cut in the middle; reset before the answer; changed on the way; and at last as it was. */
    RIG_SCRIPT(&rig, {.reply = {.body = "hello", .headers = "ETag: \"x-1\"\r\n", .cut_at = 53}},
               {.reply = {.drop = true}},
               {.reply = {.body = "hellO", .headers = "ETag: \"" ETAG_OF_HELLO "\"\r\n"}},
               {.reply = {.body = "hello", .headers = "ETag: \"" ETAG_OF_HELLO "\"\r\n"}});
    rig_start(&rig);
    assert_int_equal(store_call(rig.store, &req, &rsp), 0);
    assert_memory_equal(data, "hello", 5);
    assert_int_equal(rsp.body_len, 5);
    assert_int_equal(rsp.obj.size, 5);
    assert_true(rsp.retried);
    store_rsp_done(&rsp);
}

/* A sink that remembers whether anything but the object's bytes ever came. */
struct t8_sink {
    char data[8];
    bool is_spoilt;
};

static int t8_write(void *ctx, uint64_t off, const void *buf, size_t len)
{
    struct t8_sink *s = ctx;

    if (off + len > 5 || memcmp(&"hello"[off], buf, len) != 0)
        s->is_spoilt = true;
    else
        memcpy(s->data + off, buf, len);
    return 0;
}

/* T8: errors answered in the middle of a GET, with and without bytes before them: an error's text is
 * never the object's. */
static void t8_error_bodies_never_reach_the_reader(void **state)
{
    RIG(rig);
    struct t8_sink t8 = {.is_spoilt = false};
    struct store_sink sink = {t8_write, &t8};
    struct store_req req = {.op = STORE_GET, .key = "k", .sink = &sink};
    struct store_rsp rsp = {0};

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig, {.reply = {.status = 500, .body = ERROR_BODY("InternalError")}},
               {.reply = {.body = "hello", .headers = "ETag: \"" ETAG_OF_HELLO "\"\r\n", .cut_at = 70}},
               {.reply = {.status = 503, .body = ERROR_BODY("SlowDown")}},
               {.reply = {.status = 500, .body = "hello"}},
               {.reply = {.body = "hello", .headers = "ETag: \"" ETAG_OF_HELLO "\"\r\n"}});
    rig_start(&rig);
    assert_int_equal(store_call(rig.store, &req, &rsp), 0);
    assert_false(t8.is_spoilt);
    assert_memory_equal(t8.data, "hello", 5);
    store_rsp_done(&rsp);
}

/* A server that ignores the prefix: keys that are not below it are nobody's names. */
static void foreign_keys(void **state)
{
    RIG(rig);
    struct store_req req = {.op = STORE_LIST, .prefix = "d/", .delimited = true};
    struct store_rsp rsp = {0};

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig,
               {.reply = {.body = "<ListBucketResult><Contents><Key>e/x</Key></Contents>"
                                  "</ListBucketResult>"}},
               {.reply = {.body = "<ListBucketResult><Contents><Key>d/x</Key></Contents>"
                                  "</ListBucketResult>"}});
    rig_start(&rig);
    assert_int_equal(store_call(rig.store, &req, &rsp), 0);
    assert_int_equal(rsp.list.n, 1);
    assert_string_equal(rsp.list.v[0].key, "d/x");
    assert_true(rsp.retried);
    store_rsp_done(&rsp);
}

#define CHANGED_PREFIX(more)                                                                       \
    "<ListBucketResult><Contents><Key>d\xef\xbf\xbd-\xef\xbf\xbd/</Key></Contents><Contents>"       \
    "<Key>d\xef\xbf\xbd-\xef\xbf\xbd/x</Key></Contents>" more "</ListBucketResult>"
#define MORE "<IsTruncated>true</IsTruncated><NextContinuationToken>d</NextContinuationToken>"

/* As versitygw lists what XML can't hold: asked once, not for ever; the prefix is known. */
static void changed_prefix(void **state)
{
    RIG(rig);
    struct store_req req = {.op = STORE_LIST, .prefix = "d\x01-\xef\xbf\xbf/", .max_keys = 2};
    struct store_rsp rsp = {0};

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig, {.reply = {.body = CHANGED_PREFIX(MORE)}}, {.reply = {.body = CHANGED_PREFIX("")}},
               {.reply = {.body = CHANGED_PREFIX(MORE)}});
    rig_start(&rig);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_call(rig.store, &req, &rsp), 0);
        assert_int_equal(rsp.list.n, 2);
        assert_string_equal(rsp.list.v[0].key, "d\x01-\xef\xbf\xbf/");
        assert_string_equal(rsp.list.v[1].key, "d\x01-\xef\xbf\xbf/x");
        assert_false(rsp.retried);
        store_rsp_done(&rsp);
        req.max_keys = 0;
    }
    /* there is more, and its token can't be trusted */
    assert_int_equal(store_call(rig.store, &req, &rsp), -EILSEQ);
    assert_non_null(strstr(err_text(), "control characters"));
    store_rsp_done(&rsp);
}

#define CHANGED_BODY                                                                               \
    {                                                                                              \
        .body = "hellO", .headers = "ETag: \"x-2\"\r\nx-amz-checksum-crc64nvme: AAAAAAAAAAA=\r\n"  \
    }

static void wrong_checksum(void **state)
{
    RIG(rig);

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig, {.reply = CHANGED_BODY}, {.reply = CHANGED_BODY}, {.reply = CHANGED_BODY},
               {.reply = CHANGED_BODY}, {.reply = CHANGED_BODY});
    rig_start(&rig);
    assert_int_equal(run_simple(&rig, STORE_GET), -EIO);
    assert_non_null(strstr(err_text(), "x-amz-checksum-crc64nvme is"));
    assert_non_null(strstr(err_text(), "should be AAAAAAAAAAA="));
}

/* A Complete whose reply is empty, cut or lost: asked again, and what then comes says that it may
 * have worked. */
static void lost_complete(void **state)
{
    RIG(rig);
    struct store_rsp rsp = {0};

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig, {.method = "POST", .reply = {.body = "  "}},
               {.method = "POST", .reply = {.body = "<CompleteMultipartUploadResult><ETag>e"}},
               {.method = "POST", .reply = {.drop = true}},
               {.method = "POST", .reply = {.status = 404, .body = ERROR_BODY("NoSuchUpload")}});
    rig_start(&rig);
    assert_int_equal(run(&rig, STORE_MPU_COMPLETE, (struct store_cond){0}, &rsp), STORE_NO_UPLOAD);
    assert_true(rsp.retried);
    store_rsp_done(&rsp);
}

#define BUSY                                                                                       \
    {                                                                                              \
        .status = 500, .body = ERROR_BODY("InternalError")                                         \
    }

/* A server that can't say that the upload is gone (Ceph 16): after a few failures it is asked in
 * another way. */
static void doubted_complete(void **state)
{
    RIG(rig);

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(
        &rig, {.method = "POST", .reply = BUSY}, {.method = "POST", .reply = BUSY},
        {.method = "POST", .reply = BUSY}, {.method = "POST", .reply = BUSY},
        {.method = "POST", .reply = BUSY},
        {.method = "GET",
         .target = "/bucket/k?max-parts=1&uploadId=U",
         .reply = {.body = "<ListPartsResult/>"}},
        {.method = "POST", .reply = BUSY}, {.method = "POST", .reply = BUSY},
        {.method = "POST", .reply = BUSY}, {.method = "POST", .reply = BUSY},
        {.method = "GET", .target = "/bucket/k?max-parts=1&uploadId=U", .reply = {.status = 503}},
        {.method = "GET",
         .target = "/bucket/k?max-parts=1&uploadId=U",
         .reply = {.status = 404, .body = ERROR_BODY("NoSuchUpload")}});
    rig_start(&rig);
    assert_int_equal(run_simple(&rig, STORE_MPU_COMPLETE), STORE_NO_UPLOAD);
    RIG_SCRIPT(&rig, {.method = "POST", .reply = BUSY}, {.method = "POST", .reply = BUSY},
               {.method = "POST", .reply = BUSY}, {.method = "POST", .reply = BUSY},
               {.method = "POST", .reply = BUSY},
               {.method = "GET",
                .target = "/bucket/k?max-parts=1&uploadId=U",
                .reply = {.status = 404, .body = ERROR_BODY("NoSuchKey")}});
    assert_int_equal(run_simple(&rig, STORE_MPU_COMPLETE), STORE_NO_UPLOAD);
}

static void token_of(struct rig *r, size_t i, char out[64])
{
    char buf[64];
    const char *token =
        httpd_req_header(httpd_request(r->server, i), "x-amz-security-token", buf, sizeof(buf));

    snprintf(out, 64, "%s", token != NULL ? token : "");
}

static void expired_token(void **state)
{
    RIG(rig);
    char token[64];

    (void)state;
    rig_init(&rig);
    rig.cred.token = "old";
    rig.cred.fresh = "new";
    RIG_SCRIPT(&rig, {.reply = {.status = 400, .body = ERROR_BODY("ExpiredToken")}},
               {.reply = {.body = "hello", .headers = "ETag: \"x-1\"\r\n"}},
               /* A HEAD can't say why: any 400 is tried with new credentials. */
               {.method = "HEAD", .reply = {.status = 400}},
               {.method = "HEAD", .reply = {.headers = "ETag: \"x-1\"\r\n"}},
               /* New ones are refused too, then there are no other ones. */
               {.reply = {.status = 400, .body = ERROR_BODY("ExpiredToken")}},
               {.reply = {.status = 400, .body = ERROR_BODY("ExpiredToken")}},
               {.reply = {.status = 403, .body = ERROR_BODY("InvalidAccessKeyId")}});
    rig_start(&rig);
    assert_int_equal(run_simple(&rig, STORE_GET), 0);
    token_of(&rig, 0, token);
    assert_string_equal(token, "old");
    token_of(&rig, 1, token);
    assert_string_equal(token, "new");
    assert_int_equal(rig.cred.forced, 1);

    rig.cred.fresh = "newer";
    assert_int_equal(run_simple(&rig, STORE_HEAD), 0);
    assert_int_equal(rig.cred.forced, 2);

    rig.cred.fresh = "newest";
    assert_int_equal(run_simple(&rig, STORE_GET), -EACCES);
    assert_non_null(strstr(err_text(), "ExpiredToken"));
    assert_int_equal(rig.cred.forced, 3);
    assert_int_equal(run_simple(&rig, STORE_GET), -EACCES);
    assert_non_null(strstr(err_text(), "InvalidAccessKeyId"));
    assert_int_equal(rig.cred.forced, 4);
}

/* By how many hours the time that request i was signed with is ahead of ours, rounded. */
static int hours_ahead(struct rig *r, size_t i)
{
    char sent[32];
    struct tm tm = {0};
    const char *end;

    assert_non_null(httpd_req_header(httpd_request(r->server, i), "x-amz-date", sent, sizeof(sent)));
    end = strptime(sent, "%Y%m%dT%H%M%SZ", &tm);
    assert_true(end != NULL && *end == '\0');
    return (int)((timegm(&tm) - clock_wall_ns() / NS_PER_S + 36000 + 1800) / 3600) - 10;
}

static void skewed_clock(void **state)
{
    RIG(rig);
    char date[32], head[128];
    struct httpd_step steps[5];

    (void)state;
    rig_init(&rig);
    clock_fake_off();
    str_format_http_date(clock_wall_ns() + 3600 * NS_PER_S, date);
    snprintf(head, sizeof(head), "Date: %s\r\nETag: \"x-1\"\r\n", date);
    memset(steps, 0, sizeof(steps));
    for (size_t i = 0; i < 5; i++)
        steps[i].reply.headers = head;
    steps[0].reply.status = 403;
    steps[0].reply.body = ERROR_BODY("RequestTimeTooSkewed");
    steps[1].reply.body = steps[2].reply.body = "hello";
    steps[3].reply.status = 403; /* the clock is right by now: it is something else */
    steps[3].method = "HEAD";
    steps[4].reply.status = 403;
    steps[4].reply.body = ERROR_BODY("RequestTimeTooSkewed");
    rig_script(&rig, steps, 5);
    rig_start(&rig);
    assert_int_equal(run_simple(&rig, STORE_GET), 0);
    assert_int_equal(run_simple(&rig, STORE_GET), 0);
    for (size_t i = 0; i < 3; i++) /* the server's time from the second attempt on */
        assert_int_equal(hours_ahead(&rig, i), i > 0);
    assert_int_equal(run_simple(&rig, STORE_HEAD), -EACCES);
    assert_int_equal(run_simple(&rig, STORE_GET), -EACCES);
    assert_non_null(strstr(err_text(), "clock"));
}

static void other_region(void **state)
{
    static const char here[] = "bucket bucket is in eu-west-1: use region=eu-west-1";
    static const char head[] = "x-amz-bucket-region: eu-west-1\r\n";
    RIG(rig);

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig, {.method = "HEAD", .reply = {.status = 301, .headers = head}},
               {.method = "HEAD", .reply = {.status = 400, .headers = head}},
               {.reply = {.status = 400,
                          .body = "<Error><Code>AuthorizationHeaderMalformed</"
                                  "Code><Region>eu-west-1</Region></Error>"}},
               {.reply = {.status = 307, .headers = head, .body = ERROR_BODY("TemporaryRedirect")}},
               {.reply = {.status = 301, .headers = "Location: http://elsewhere/\r\n"}});
    rig_start(&rig);
    assert_int_equal(run_simple(&rig, STORE_HEAD_BUCKET), -EINVAL);
    assert_string_equal(err_text(), here);
    assert_int_equal(run_simple(&rig, STORE_HEAD), -EINVAL);
    assert_string_equal(err_text(), here);
    assert_int_equal(run_simple(&rig, STORE_PUT), -EINVAL);
    assert_string_equal(err_text(), here);
    assert_int_equal(run_simple(&rig, STORE_PUT), -EINVAL);
    assert_string_equal(err_text(), here);
    assert_int_equal(run_simple(&rig, STORE_PUT), -EINVAL);
    assert_non_null(strstr(err_text(), "http://elsewhere/"));
}

/* The HEAD of a bucket is explained by its listing. */
static void explained_bucket(void **state)
{
    RIG(rig);

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(
        &rig, {.method = "HEAD", .target = "/bucket/", .reply = {.status = 403}},
        {.method = "GET", .reply = {.status = 403, .body = ERROR_BODY("SignatureDoesNotMatch")}},
        {.method = "HEAD", .reply = {.status = 404}},
        {.method = "GET", .reply = {.status = 404, .body = ERROR_BODY("NoSuchBucket")}},
        {.method = "HEAD", .reply = {.status = 400}},
        {.method = "GET", .reply = {.status = 400, .body = ERROR_BODY("InvalidBucketName")}},
        {.method = "HEAD", .reply = {.status = 403}},
        {.method = "GET", .reply = {.body = "<ListBucketResult/>"}},
        {.method = "HEAD", .reply = {.status = 200}});
    rig_start(&rig);
    assert_int_equal(run_simple(&rig, STORE_HEAD_BUCKET), -EACCES);
    assert_non_null(strstr(err_text(), "SignatureDoesNotMatch"));
    assert_non_null(strstr(err_text(), "secret key"));
    assert_int_equal(run_simple(&rig, STORE_HEAD_BUCKET), -ENODEV);
    assert_string_equal(err_text(), "no such bucket bucket");
    assert_int_equal(run_simple(&rig, STORE_HEAD_BUCKET), -EINVAL);
    assert_non_null(strstr(err_text(), "InvalidBucketName"));
    assert_int_equal(run_simple(&rig, STORE_HEAD_BUCKET), 0);
    assert_int_equal(run_simple(&rig, STORE_HEAD_BUCKET), 0);
}

struct waiter {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool is_done;
    int result;
    char text[256];
};

#define WAITER_INIT                                                                                \
    {                                                                                              \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER                       \
    }

static void on_done(void *arg, int result)
{
    struct waiter *w = arg;

    pthread_mutex_lock(&w->mutex);
    w->is_done = true;
    w->result = result;
    snprintf(w->text, sizeof(w->text), "%s", err_text());
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

static int wait_done(struct waiter *w)
{
    pthread_mutex_lock(&w->mutex);
    while (!w->is_done)
        pthread_cond_wait(&w->cond, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
    return w->result;
}

static int run_until(struct rig *r, int64_t ms)
{
    struct store_req req = {
        .op = STORE_GET, .key = "k", .deadline_ns = clock_boot_ns() + ms * NS_PER_MS};
    struct store_rsp rsp = {0};
    int result = store_call(r->store, &req, &rsp);

    store_rsp_done(&rsp);
    return result;
}

/* The deadline is far off until the server has the first attempt, and then it is past. */
static void deadlines(void **state)
{
    struct trouble t = {.status = 500, .code = "InternalError", .for_ever = true};
    struct waiter w = WAITER_INIT;
    struct store_req req = {.op = STORE_GET, .key = "k"};
    struct store_rsp rsp = {0};
    RIG(rig);

    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    req.deadline_ns = clock_boot_ns() + 3600 * NS_PER_S;
    store_submit(rig.store, &req, &rsp, on_done, &w);
    httpd_wait_requests(rig.server, 1);
    clock_fake_add(3600 * NS_PER_S);
    assert_int_equal(wait_done(&w), -ETIMEDOUT);
    assert_non_null(strstr(w.text, "InternalError"));
    store_rsp_done(&rsp);
    assert_int_equal(run_until(&rig, -1), -ETIMEDOUT);
    clock_fake_off();
}

static void hang(void *ctx, const struct httpd_req *req, struct httpd_reply *reply)
{
    (void)ctx;
    (void)req;
    reply->hang = true;
}

/* On a slow machine the time may be over before the server has the request: then with more of it. */
static void hung_server(void **state)
{
    int64_t ms = 200;
    RIG(rig);

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, hang, NULL);
    rig_start(&rig);
    do {
        assert_int_equal(run_until(&rig, ms), -ETIMEDOUT);
        ms *= 2;
    } while (httpd_requests(rig.server) == 0);
    httpd_release(rig.server);
}

static void soft_and_limited(void **state)
{
    struct trouble t = {.status = 500, .code = "InternalError", .for_ever = true};

    (void)state;
    {
        RIG(rig);

        rig_init(&rig);
        rig.conf.soft_timeout_ms = 100;
        httpd_handle(rig.server, answer, &t);
        rig_start(&rig);
        assert_int_equal(run_simple(&rig, STORE_GET), -EIO);
        assert_non_null(strstr(err_text(), "given up after"));
    }
    {
        RIG(rig);

        rig_init(&rig);
        rig.conf.max_attempts = 3;
        atomic_store(&t.seen, 0);
        httpd_handle(rig.server, answer, &t);
        rig_start(&rig);
        assert_int_equal(run_simple(&rig, STORE_GET), -EIO);
        assert_int_equal(atomic_load(&t.seen), 3);
    }
}

static unsigned attempts_said(void)
{
    const char *said = strstr(err_text(), "given up after ");
    unsigned n = 0;

    return said != NULL && sscanf(said, "given up after %u", &n) == 1 ? n : 0;
}

static void nobody_listens(void **state)
{
    int64_t ms = 150;
    RIG(rig);

    (void)state;
    rig_init(&rig);
    strcpy(rig.conf.endpoint.host, "127.0.0.1:1");
    rig_start(&rig);
    do { /* with more time where it was too short for a second attempt */
        assert_int_equal(run_until(&rig, ms), -ETIMEDOUT);
        ms *= 2;
    } while (ms < 200000 && attempts_said() < 2);
    assert_true(attempts_said() >= 2);
}

static int run_with_failures(struct rig *r, struct trouble *t, unsigned failures)
{
    atomic_store(&t->seen, 0);
    atomic_store(&t->times, failures);
    return run_simple(r, STORE_GET);
}

/* More failures than there are tokens for: slower from there on, but nothing is given up (CALL-2). */
static void no_tokens_left(void **state)
{
    struct trouble t = {.status = 500, .code = "InternalError"};
    RIG(rig);
    struct meter_snapshot snap;

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    for (int i = 0; i < 12; i++)
        assert_int_equal(run_with_failures(&rig, &t, 3), 0);
    meter_read(rig.meter, &snap);
    assert_int_equal(snap.requests[METER_GET], 48);
    assert_int_equal(snap.statuses[500], 36);
    assert_int_equal(snap.statuses[200], 12);
    assert_int_equal(snap.by_kind_status[METER_GET][5], 36);
    assert_int_equal(snap.bytes_down > 12 * 5, true);
}

/* CALL-1: what blocks runs elsewhere than the thread that submits. */
static void credentials_elsewhere(void **state)
{
    RIG(rig);

    (void)state;
    rig_init(&rig);
    rig.cred.not_blocking = -EAGAIN;
    RIG_SCRIPT(&rig, {.reply = {.body = "hello", .headers = "ETag: \"x-1\"\r\n"}},
               {.reply = {.body = "hello", .headers = "ETag: \"x-1\"\r\n"}});
    rig_start(&rig);
    assert_int_equal(run_simple(&rig, STORE_GET), 0);
    assert_false(pthread_equal(rig.cred.blocked_on, pthread_self()));

    /* Their source is away for a moment: part of the way to the bucket. */
    rig.cred.not_blocking = -EAGAIN;
    rig.cred.blocking = -ECONNREFUSED;
    assert_int_equal(run_simple(&rig, STORE_GET), 0);
    /* There are none. */
    rig.cred.not_blocking = -EACCES;
    assert_int_equal(run_simple(&rig, STORE_GET), -EACCES);
    assert_string_equal(err_text(), "the rig's credentials");
}

static void stopping(void **state)
{
    struct trouble t = {.status = 503, .code = "SlowDown", .for_ever = true};
    struct waiter w = WAITER_INIT;
    struct store_req req = {.op = STORE_GET, .key = "k"};
    struct store_rsp rsp = {0};
    RIG(rig);

    (void)state;
    rig_init(&rig);
    rig.conf.retry_base_ms = 100000;
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    store_submit(rig.store, &req, &rsp, on_done, &w);
    httpd_wait_requests(rig.server, 1);
    store_stop(rig.store); /* does not wait for the next attempt */
    assert_int_equal(wait_done(&w), -ECANCELED);
    store_rsp_done(&rsp);
    assert_int_equal(run_simple(&rig, STORE_GET), -ESHUTDOWN);
}

static int refuse_write(void *ctx, uint64_t off, const void *data, size_t len)
{
    (void)ctx;
    (void)off;
    (void)data;
    (void)len;
    return err_set(-ENOSPC, "the cache is full");
}

/* Reads once for the sums, then fails. */
static int fail_second(void *ctx, uint64_t off, void *data, size_t len)
{
    int *reads = ctx;

    (void)off;
    memset(data, 'x', len);
    return (*reads)++ == 0 ? 0 : -ESTALE;
}

static void ends_of_ours_fail(void **state)
{
    int reads = 0;
    struct store_sink sink = {.write = refuse_write};
    struct store_src src = {.size = 5, .read = fail_second, .ctx = &reads};
    struct store_req get = {.op = STORE_GET, .key = "k", .sink = &sink};
    struct store_req put = {.op = STORE_PUT, .key = "k", .src = &src};
    struct store_rsp rsp = {0};
    struct trouble t = {0};
    RIG(rig);

    (void)state;
    rig_init(&rig);
    httpd_handle(rig.server, answer, &t);
    rig_start(&rig);
    assert_int_equal(store_call(rig.store, &get, &rsp), -ENOSPC);
    assert_non_null(strstr(err_text(), "the cache is full"));
    assert_false(rsp.retried);
    store_rsp_done(&rsp);
    assert_int_equal(store_call(rig.store, &put, &rsp), -ESTALE);
    assert_false(rsp.retried);
    store_rsp_done(&rsp);
}

static void signed_bodies(void **state)
{
    RIG(rig);
    struct store_rsp rsp = {0};
    char buf[256];

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(&rig,
               {.method = "PUT",
                .target = "/bucket/k",
                .body = "hello",
                .header = "x-amz-content-sha256: "
                          "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
                .reply = {.headers = "ETag: \"" ETAG_OF_HELLO "\"\r\nx-amz-version-id: v7\r\n"
                                     "Date: Fri, 24 May 2013 00:00:00 GMT\r\n"}},
               {.method = "PUT",
                .target = "/bucket/k?partNumber=1&uploadId=U",
                .header = "content-md5: XUFAKrxLKna5cZ2REBfFkg==",
                .reply = {.headers = "ETag: \"p\"\r\n"}},
               {.method = "GET",
                .target = "/bucket/k",
                .header = "x-amz-content-sha256: "
                          "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                .reply = {.body = "hello", .headers = "ETag: \"x-1\"\r\n"}});
    rig_start(&rig);
    assert_int_equal(run(&rig, STORE_PUT, (struct store_cond){.kind = STORE_IF_ABSENT}, &rsp), 0);
    assert_string_equal(rsp.obj.etag.s, ETAG_OF_HELLO);
    assert_string_equal(rsp.obj.version, "v7");
    assert_int_equal(rsp.date_ns, 1369353600 * NS_PER_S);
    assert_int_equal(rsp.obj.size, 5);
    assert_false(rsp.retried);
    assert_string_equal(httpd_req_header(httpd_request(rig.server, 0), "x-amz-checksum-crc64nvme",
                                         buf, sizeof(buf)),
                        "M3eFcAZSQlc=");
    assert_non_null(
        strstr(httpd_req_header(httpd_request(rig.server, 0), "authorization", buf, sizeof(buf)),
               "SignedHeaders=host;if-none-match;x-amz-checksum-crc64nvme;x-amz-content-sha256;x-"
               "amz-date,"));
    store_rsp_done(&rsp);
    assert_int_equal(run(&rig, STORE_MPU_PART, (struct store_cond){0}, &rsp), 0);
    assert_int_equal(rsp.part.number, 1);
    assert_int_equal(rsp.part.size, 5);
    assert_string_equal(rsp.part.etag.s, "p");
    store_rsp_done(&rsp);
    assert_int_equal(run_simple(&rig, STORE_GET), 0);
}

/* Under TLS the body is not hashed for the signature; its checksum is there all the same. */
static void tls_bodies(void **state)
{
    char pem[] = "/tmp/s3efs-test-XXXXXX", buf[256];
    int fd = mkstemp(pem);
    RIG(rig);
    struct httpd *server;

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    server = httpd_start_tls(pem);
    rig.server = server;
    rig_init_tls(&rig, pem);
    RIG_SCRIPT(&rig, {.method = "PUT",
                      .body = "hello",
                      .header = "x-amz-content-sha256: UNSIGNED-PAYLOAD",
                      .reply = {.headers = "ETag: \"e\"\r\n"}});
    rig_start(&rig);
    assert_int_equal(run_simple(&rig, STORE_PUT), 0);
    assert_non_null(
        httpd_req_header(httpd_request(server, 0), "x-amz-checksum-crc64nvme", buf, sizeof(buf)));
    assert_null(httpd_mismatch(server));
    rig.server = NULL;
    httpd_stop_tls(server);
    unlink(pem);
}

/* A server whose certificate nobody trusts: said at the mount, at once. */
static void untrusted_server(void **state)
{
    char pem[] = "/tmp/s3efs-test-XXXXXX";
    int fd = mkstemp(pem);
    RIG(rig);
    struct httpd *server;

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    server = httpd_start_tls(pem);
    rig.server = server;
    rig_init_tls(&rig, NULL);
    rig_start(&rig);
    assert_int_equal(run_simple(&rig, STORE_HEAD_BUCKET), -EPROTO);
    assert_non_null(strstr(err_text(), "certificate is not trusted"));
    rig.server = NULL;
    httpd_stop_tls(server);
    unlink(pem);
}

static void etag_quotes(void **state)
{
    struct store_cond cond = {.kind = STORE_IF_MATCH, .etag = {"e"}};
    struct store_rsp rsp = {0};
    RIG(rig);

    (void)state;
    rig_init(&rig);
    RIG_SCRIPT(
        &rig, {.header = "if-match: \"e\"", .reply = {.headers = "ETag: \"f\"\r\n"}},
        {.header = "if-match: e", .reply = {.headers = "ETag: \"f\"\r\n"}},
        /* A server that ignores If-Match brings another version: that is no success. */
        {.method = "GET", .reply = {.body = "x", .headers = "ETag: \"other\"\r\n"}},
        {.method = "HEAD", .reply = {.headers = "ETag: \"other\"\r\nContent-Length: 1\r\n"}});
    rig_start(&rig);
    assert_int_equal(run(&rig, STORE_PUT, cond, &rsp), 0);
    store_rsp_done(&rsp);
    s3_set_etag_unquoted(rig.store, true);
    assert_int_equal(run(&rig, STORE_PUT, cond, &rsp), 0);
    store_rsp_done(&rsp);
    assert_int_equal(run(&rig, STORE_GET, cond, &rsp), STORE_PRECONDITION);
    store_rsp_done(&rsp);
    assert_int_equal(run(&rig, STORE_HEAD, cond, &rsp), STORE_PRECONDITION);
    store_rsp_done(&rsp);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(final_answers),
        cmocka_unit_test(passing_troubles),
        cmocka_unit_test(few_tries),
        cmocka_unit_test(broken_bodies),
        cmocka_unit_test(t8_error_bodies_never_reach_the_reader),
        cmocka_unit_test(wrong_checksum),
        cmocka_unit_test(lost_complete),
        cmocka_unit_test(doubted_complete),
        cmocka_unit_test(expired_token),
        cmocka_unit_test(skewed_clock),
        cmocka_unit_test(other_region),
        cmocka_unit_test(explained_bucket),
        cmocka_unit_test(deadlines),
        cmocka_unit_test(hung_server),
        cmocka_unit_test(soft_and_limited),
        cmocka_unit_test(foreign_keys),
        cmocka_unit_test(changed_prefix),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(no_tokens_left),
        cmocka_unit_test(credentials_elsewhere),
        cmocka_unit_test(stopping),
        cmocka_unit_test(ends_of_ours_fail),
        cmocka_unit_test(signed_bodies),
        cmocka_unit_test(tls_bodies),
        cmocka_unit_test(untrusted_server),
        cmocka_unit_test(etag_quotes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
