/* SPDX-License-Identifier: Apache-2.0 */
/* Each row of the table, stated a second time: status, code and operation to action and result. */
#include "check.h"

#include "../../../fs/s3/error.h"

static const struct {
    int status;
    const char *code;
    enum store_op op;
    enum error_action action;
    int result;
} expected[] = {
    {404, "NoSuchBucket", STORE_GET, ERROR_FINAL, -ENODEV},
    {404, "NoSuchKey", STORE_DELETE, ERROR_FINAL, 0},
    {404, "NoSuchKey", STORE_PUT, ERROR_FINAL, STORE_NOT_FOUND},
    {404, "NoSuchKey", STORE_MPU_COMPLETE, ERROR_FINAL, STORE_NOT_FOUND},
    {404, "NoSuchVersion", STORE_GET, ERROR_FINAL, STORE_NOT_FOUND},
    {404, "NoSuchUpload", STORE_MPU_ABORT, ERROR_FINAL, 0},
    {404, "NoSuchUpload", STORE_MPU_COMPLETE, ERROR_FINAL, STORE_NO_UPLOAD},
    {412, "PreconditionFailed", STORE_PUT, ERROR_FINAL, STORE_PRECONDITION},
    {409, "ConditionalRequestConflict", STORE_MPU_COMPLETE, ERROR_FINAL, STORE_CONFLICT},
    {409, "ConditionalRequestConflict", STORE_PUT, ERROR_FEW, STORE_CONFLICT},
    {409, "OperationAborted", STORE_PUT, ERROR_FEW, STORE_CONFLICT},
    {416, "InvalidRange", STORE_GET, ERROR_FINAL, STORE_RANGE},
    {400, "ExpiredToken", STORE_GET, ERROR_REFRESH, -EACCES},
    {403, "ExpiredTokenException", STORE_GET, ERROR_REFRESH, -EACCES},
    {400, "TokenRefreshRequired", STORE_GET, ERROR_REFRESH, -EACCES},
    {400, "InvalidToken", STORE_GET, ERROR_REFRESH, -EACCES},
    {403, "InvalidTokenId", STORE_GET, ERROR_REFRESH, -EACCES},
    {404, "InvalidAccessKeyId", STORE_GET, ERROR_REFRESH, -EACCES},
    {403, "SignatureDoesNotMatch", STORE_GET, ERROR_FINAL, -EACCES},
    {403, "AccessDenied", STORE_GET, ERROR_FINAL, -EACCES},
    {403, "AllAccessDisabled", STORE_GET, ERROR_FINAL, -EACCES},
    {403, "AccountProblem", STORE_GET, ERROR_FINAL, -EACCES},
    {403, "RequestTimeTooSkewed", STORE_GET, ERROR_SKEW, -EACCES},
    {301, "PermanentRedirect", STORE_GET, ERROR_REGION, -EINVAL},
    {307, "TemporaryRedirect", STORE_GET, ERROR_REGION, -EINVAL},
    {307, "Redirect", STORE_GET, ERROR_REGION, -EINVAL},
    {400, "AuthorizationHeaderMalformed", STORE_GET, ERROR_REGION, -EINVAL},
    {400, "IllegalLocationConstraintException", STORE_GET, ERROR_REGION, -EINVAL},
    {503, "SlowDown", STORE_GET, ERROR_THROTTLE, -EIO},
    {200, "SlowDown", STORE_COPY, ERROR_THROTTLE, -EIO},
    {503, "SlowDownRead", STORE_GET, ERROR_THROTTLE, -EIO},
    {503, "SlowDownWrite", STORE_GET, ERROR_THROTTLE, -EIO},
    {503, "ServiceUnavailable", STORE_GET, ERROR_THROTTLE, -EIO},
    {400, "Throttling", STORE_GET, ERROR_THROTTLE, -EIO},
    {400, "ThrottlingException", STORE_GET, ERROR_THROTTLE, -EIO},
    {503, "RequestLimitExceeded", STORE_GET, ERROR_THROTTLE, -EIO},
    {509, "BandwidthLimitExceeded", STORE_GET, ERROR_THROTTLE, -EIO},
    {429, "TooManyRequests", STORE_GET, ERROR_THROTTLE, -EIO},
    {500, "InternalError", STORE_GET, ERROR_RETRY, -EIO},
    {200, "InternalError", STORE_MPU_COMPLETE, ERROR_RETRY, -EIO},
    {400, "RequestTimeout", STORE_PUT, ERROR_RETRY, -EIO},
    {400, "IncompleteBody", STORE_PUT, ERROR_RETRY, -EIO},
    {400, "BadDigest", STORE_PUT, ERROR_FEW, -EIO},
    {400, "XAmzContentSHA256Mismatch", STORE_PUT, ERROR_FEW, -EIO},
    {400, "XAmzContentChecksumMismatch", STORE_PUT, ERROR_FEW, -EIO},
    {403, "InvalidObjectState", STORE_GET, ERROR_FINAL, -EIO},
    {400, "EntityTooLarge", STORE_PUT, ERROR_FINAL, -EFBIG},
    {400, "EntityTooSmall", STORE_MPU_COMPLETE, ERROR_FINAL, -EINVAL},
    {400, "InvalidPart", STORE_MPU_COMPLETE, ERROR_FINAL, -EINVAL},
    {400, "InvalidPartOrder", STORE_MPU_COMPLETE, ERROR_FINAL, -EINVAL},
    {400, "KeyTooLongError", STORE_PUT, ERROR_FINAL, -ENAMETOOLONG},
    {400, "MetadataTooLarge", STORE_PUT, ERROR_FINAL, -ENOSPC},
    {403, "QuotaExceeded", STORE_PUT, ERROR_FINAL, -EDQUOT},
    {400, "XMinioAdminBucketQuotaExceeded", STORE_PUT, ERROR_FINAL, -EDQUOT},
    {507, "XMinioStorageFull", STORE_PUT, ERROR_FINAL, -ENOSPC},
    {409, "ObjectParentIsFile", STORE_PUT, ERROR_FINAL, -ENOTDIR},
    {400, "XMinioParentIsObject", STORE_PUT, ERROR_FINAL, -ENOTDIR},
    {409, "ExistingObjectIsDirectory", STORE_PUT, ERROR_FEW, -EISDIR},
    {409, "ExistingObjectIsDirectory", STORE_MPU_COMPLETE, ERROR_FINAL, -EISDIR},
    {409, "XMinioObjectExistsAsDirectory", STORE_PUT, ERROR_FINAL, -EISDIR},
    {501, "NotImplemented", STORE_DELETE_MANY, ERROR_FINAL, -EOPNOTSUPP},

    {301, NULL, STORE_HEAD, ERROR_REGION, -EINVAL},
    {304, NULL, STORE_HEAD, ERROR_FINAL, STORE_NOT_MODIFIED},
    {307, "", STORE_PUT, ERROR_REGION, -EINVAL},
    {308, NULL, STORE_PUT, ERROR_REGION, -EINVAL},
    {400, NULL, STORE_HEAD, ERROR_REFRESH, -EINVAL},
    {400, NULL, STORE_HEAD_BUCKET, ERROR_REFRESH, -EINVAL},
    {400, "SomethingNew", STORE_PUT, ERROR_FINAL, -EINVAL},
    {401, NULL, STORE_GET, ERROR_FINAL, -EACCES},
    {403, NULL, STORE_HEAD, ERROR_SKEW, -EACCES},
    {403, "SomethingNew", STORE_GET, ERROR_FINAL, -EACCES},
    {404, NULL, STORE_HEAD_BUCKET, ERROR_FINAL, -ENODEV},
    {404, NULL, STORE_LIST, ERROR_FINAL, -ENODEV},
    {404, NULL, STORE_DELETE, ERROR_FINAL, 0},
    {404, NULL, STORE_MPU_ABORT, ERROR_FINAL, 0},
    {404, NULL, STORE_MPU_PART, ERROR_FINAL, STORE_NO_UPLOAD},
    {404, NULL, STORE_HEAD, ERROR_FINAL, STORE_NOT_FOUND},
    {404, NULL, STORE_COPY, ERROR_FINAL, STORE_NOT_FOUND},
    {405, NULL, STORE_GET, ERROR_FINAL, -EPERM},
    {408, NULL, STORE_PUT, ERROR_RETRY, -EIO},
    {409, NULL, STORE_MPU_COMPLETE, ERROR_FINAL, STORE_CONFLICT},
    {409, NULL, STORE_PUT, ERROR_FEW, STORE_CONFLICT},
    {412, NULL, STORE_HEAD, ERROR_FINAL, STORE_PRECONDITION},
    {413, NULL, STORE_PUT, ERROR_FINAL, -EFBIG},
    {416, NULL, STORE_GET, ERROR_FINAL, STORE_RANGE},
    {429, NULL, STORE_GET, ERROR_THROTTLE, -EIO},
    {501, NULL, STORE_DELETE_MANY, ERROR_FINAL, -EOPNOTSUPP},
    {503, NULL, STORE_GET, ERROR_THROTTLE, -EIO},
    {507, NULL, STORE_PUT, ERROR_FINAL, -ENOSPC},
    {500, NULL, STORE_GET, ERROR_RETRY, -EIO},
    {502, "BadGateway", STORE_GET, ERROR_RETRY, -EIO},
    {504, NULL, STORE_GET, ERROR_RETRY, -EIO},
    {599, NULL, STORE_GET, ERROR_RETRY, -EIO},
    {200, "SomethingNew", STORE_COPY, ERROR_RETRY, -EIO},
    {402, NULL, STORE_GET, ERROR_FINAL, -EIO},
    {100, NULL, STORE_GET, ERROR_FINAL, -EIO},
};

static void every_row(void **state)
{
    size_t n_rows = 0;
    const struct error_row *rows = error_rows(&n_rows);
    bool *seen = calloc(n_rows, sizeof(*seen));

    (void)state;
    assert_non_null(seen);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const struct error_row *row =
            error_find(expected[i].status, expected[i].code, expected[i].op);

        if (row->action != expected[i].action || row->result != expected[i].result)
            fail_msg("%d %s: action %d, result %d", expected[i].status,
                     expected[i].code != NULL ? expected[i].code : "-", row->action, row->result);
        seen[row - rows] = true;
    }
    for (size_t i = 0; i < n_rows; i++)
        if (!seen[i])
            fail_msg("row %zu (%d %s) is not tested", i, rows[i].status,
                     rows[i].code != NULL ? rows[i].code : "-");
    free(seen);
}

static void transport(void **state)
{
    static const int retried[] = {-ECONNREFUSED, -ECONNRESET, -EHOSTUNREACH, -ENETUNREACH,
                                  -ETIMEDOUT,    -EPIPE,      -EPROTO};
    static const int final[] = {-ECANCELED, -E2BIG, -EINVAL, -ENOMEM, -EIO};

    (void)state;
    for (size_t i = 0; i < sizeof(retried) / sizeof(retried[0]); i++)
        assert_int_equal(error_transport(retried[i], STORE_GET), ERROR_RETRY);
    for (size_t i = 0; i < sizeof(final) / sizeof(final[0]); i++)
        assert_int_equal(error_transport(final[i], STORE_GET), ERROR_FINAL);
    assert_int_equal(error_transport(-EPROTO, STORE_HEAD_BUCKET), ERROR_FINAL);
    assert_int_equal(error_transport(-ECONNREFUSED, STORE_HEAD_BUCKET), ERROR_RETRY);
}

static void parse(const char *xml, struct error_reply *e)
{
    error_parse(xml, strlen(xml), e);
}

static void documents(void **state)
{
    struct error_reply e;

    (void)state;
    parse("<?xml version=\"1.0\"?><Error><Code>PermanentRedirect</Code><Message>Go\n"
          "\xe2\x82\xac\x1b "
          "away</Message><Region>eu-west-1</Region><RequestId>R1</RequestId></Error>",
          &e);
    assert_string_equal(e.code, "PermanentRedirect"); /* the escape byte broke it after Code */
    parse("<Error><Code>A</Code><Message>caf\xc3\xa9\nx</Message><Region>eu-west-1</Region>"
          "<RequestId>R1</RequestId></Error>",
          &e);
    assert_string_equal(e.message, "caf???x");
    assert_string_equal(e.region, "eu-west-1");
    assert_string_equal(e.request_id, "R1");
    parse("<html><Code>No</Code></html>", &e);
    assert_string_equal(e.code, "");
    parse("not xml", &e);
    assert_string_equal(e.code, "");
    parse("<Error><Code>SlowDown</Code><Mess", &e); /* cut */
    assert_string_equal(e.code, "SlowDown");
    parse("<Error><Code>"
          "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
          "</Code></Error>",
          &e);
    assert_int_equal(strlen(e.code), sizeof(e.code) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row),
        cmocka_unit_test(transport),
        cmocka_unit_test(documents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
