/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures on a scripted server: tokens, clocks, regions, bodies, TLS. */
#include "callrig.h"

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

    assert_non_null(
        httpd_req_header(httpd_request(r->server, i), "x-amz-date", sent, sizeof(sent)));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expired_token),
        cmocka_unit_test(skewed_clock),
        cmocka_unit_test(other_region),
        cmocka_unit_test(explained_bucket),
        cmocka_unit_test(credentials_elsewhere),
        cmocka_unit_test(signed_bodies),
        cmocka_unit_test(tls_bodies),
        cmocka_unit_test(untrusted_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
