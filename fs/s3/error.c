/* SPDX-License-Identifier: Apache-2.0 */
/* The table of errors. Sources: S3 API reference "Error responses"; codes of versitygw, MinIO and
 * Ceph RGW as seen in tests. Rows with a code come first; of the others the status decides. */
#include "error.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/str.h"
#include "xml.h"

#define OP(x) (1u << STORE_##x)
#define OPS_HEAD (OP(HEAD) | OP(HEAD_BUCKET))
#define OPS_UPLOAD (OP(MPU_PART) | OP(MPU_PART_COPY) | OP(MPU_COMPLETE))
#define OPS_BUCKET (OP(LIST) | OP(MPU_LIST) | OP(HEAD_BUCKET) | OP(DELETE_MANY))

static const struct error_row rows[] = {
    /* Which bucket, key or upload. What DELETE and abort are for may be gone. */
    {0, "NoSuchBucket", 0, ERROR_FINAL, -ENODEV, NULL},
    {0, "NoSuchKey", OP(DELETE), ERROR_FINAL, 0, NULL},
    {0, "NoSuchKey", 0, ERROR_FINAL, STORE_NOT_FOUND, NULL},
    {0, "NoSuchVersion", 0, ERROR_FINAL, STORE_NOT_FOUND, NULL},
    {0, "NoSuchUpload", OP(MPU_ABORT), ERROR_FINAL, 0, NULL},
    {0, "NoSuchUpload", 0, ERROR_FINAL, STORE_NO_UPLOAD, NULL},
    /* Conditions. A conflict loses a multipart upload: the caller decides. */
    {0, "PreconditionFailed", 0, ERROR_FINAL, STORE_PRECONDITION, NULL},
    {0, "ConditionalRequestConflict", OP(MPU_COMPLETE), ERROR_FINAL, STORE_CONFLICT, NULL},
    {0, "ConditionalRequestConflict", 0, ERROR_FEW, STORE_CONFLICT, NULL},
    {0, "OperationAborted", 0, ERROR_FEW, STORE_CONFLICT, NULL},
    {0, "InvalidRange", 0, ERROR_FINAL, STORE_RANGE, NULL},
    /* Who asks, and when. */
    {0, "ExpiredToken", 0, ERROR_REFRESH, -EACCES, "the session has expired"},
    {0, "ExpiredTokenException", 0, ERROR_REFRESH, -EACCES, "the session has expired"},
    {0, "TokenRefreshRequired", 0, ERROR_REFRESH, -EACCES, "the session has expired"},
    {0, "InvalidToken", 0, ERROR_REFRESH, -EACCES, "the session token is not accepted"},
    {0, "InvalidTokenId", 0, ERROR_REFRESH, -EACCES, "the session token is not accepted"},
    {0, "InvalidAccessKeyId", 0, ERROR_REFRESH, -EACCES, "the access key is not known there"},
    {0, "SignatureDoesNotMatch", 0, ERROR_FINAL, -EACCES, "is the secret key the right one?"},
    {0, "AccessDenied", 0, ERROR_FINAL, -EACCES, NULL},
    {0, "AllAccessDisabled", 0, ERROR_FINAL, -EACCES, NULL},
    {0, "AccountProblem", 0, ERROR_FINAL, -EACCES, NULL},
    {0, "RequestTimeTooSkewed", 0, ERROR_SKEW, -EACCES, "is this machine's clock right?"},
    /* Where the bucket is. */
    {0, "PermanentRedirect", 0, ERROR_REGION, -EINVAL, NULL},
    {0, "TemporaryRedirect", 0, ERROR_REGION, -EINVAL, NULL},
    {0, "Redirect", 0, ERROR_REGION, -EINVAL, NULL},
    {0, "AuthorizationHeaderMalformed", 0, ERROR_REGION, -EINVAL, NULL},
    {0, "IllegalLocationConstraintException", 0, ERROR_REGION, -EINVAL, NULL},
    /* Too much at once. */
    {0, "SlowDown", 0, ERROR_THROTTLE, -EIO, NULL},
    {0, "SlowDownRead", 0, ERROR_THROTTLE, -EIO, NULL},
    {0, "SlowDownWrite", 0, ERROR_THROTTLE, -EIO, NULL},
    {0, "ServiceUnavailable", 0, ERROR_THROTTLE, -EIO, NULL},
    {0, "Throttling", 0, ERROR_THROTTLE, -EIO, NULL},
    {0, "ThrottlingException", 0, ERROR_THROTTLE, -EIO, NULL},
    {0, "RequestLimitExceeded", 0, ERROR_THROTTLE, -EIO, NULL},
    {0, "BandwidthLimitExceeded", 0, ERROR_THROTTLE, -EIO, NULL},
    {0, "TooManyRequests", 0, ERROR_THROTTLE, -EIO, NULL},
    /* The server's trouble, or the way's. */
    {0, "InternalError", 0, ERROR_RETRY, -EIO, NULL},
    {0, "RequestTimeout", 0, ERROR_RETRY, -EIO, NULL},
    {0, "IncompleteBody", 0, ERROR_RETRY, -EIO, NULL},
    {0, "BadDigest", 0, ERROR_FEW, -EIO, "the body arrived changed, again and again"},
    {0, "XAmzContentSHA256Mismatch", 0, ERROR_FEW, -EIO,
     "the body arrived changed, again and again"},
    {0, "XAmzContentChecksumMismatch", 0, ERROR_FEW, -EIO,
     "the body arrived changed, again and again"},
    /* Limits and what can't be. */
    {0, "InvalidObjectState", 0, ERROR_FINAL, -EIO, "the object is archived: restore it first"},
    {0, "EntityTooLarge", 0, ERROR_FINAL, -EFBIG, NULL},
    {0, "EntityTooSmall", 0, ERROR_FINAL, -EINVAL, NULL},
    {0, "InvalidPart", 0, ERROR_FINAL, -EINVAL, NULL},
    {0, "InvalidPartOrder", 0, ERROR_FINAL, -EINVAL, NULL},
    {0, "KeyTooLongError", 0, ERROR_FINAL, -ENAMETOOLONG, NULL},
    {0, "MetadataTooLarge", 0, ERROR_FINAL, -ENOSPC, "names and values together may have 2 KB"},
    {0, "QuotaExceeded", 0, ERROR_FINAL, -EDQUOT, NULL},
    {0, "XMinioAdminBucketQuotaExceeded", 0, ERROR_FINAL, -EDQUOT, NULL},
    {0, "XMinioStorageFull", 0, ERROR_FINAL, -ENOSPC, NULL},
    {0, "ObjectParentIsFile", 0, ERROR_FINAL, -ENOTDIR, "this server has no key below another key"},
    {0, "XMinioParentIsObject", 0, ERROR_FINAL, -ENOTDIR,
     "this server has no key below another key"},
    /* versitygw says so, too, of a PUT that met the removal of an empty folder above the key. */
    {0, "ExistingObjectIsDirectory", OP(PUT), ERROR_FEW, -EISDIR,
     "this server has keys below this one"},
    {0, "ExistingObjectIsDirectory", 0, ERROR_FINAL, -EISDIR,
     "this server has keys below this one"},
    {0, "XMinioObjectExistsAsDirectory", 0, ERROR_FINAL, -EISDIR,
     "this server has keys below this one"},
    {0, "NotImplemented", 0, ERROR_FINAL, -EOPNOTSUPP, NULL},

    /* By status. A HEAD's errors have no body: its 400 may be an expired token, its 403 a wrong
       clock. */
    {301, NULL, 0, ERROR_REGION, -EINVAL, NULL},
    {304, NULL, 0, ERROR_FINAL, STORE_NOT_MODIFIED, NULL},
    {307, NULL, 0, ERROR_REGION, -EINVAL, NULL},
    {308, NULL, 0, ERROR_REGION, -EINVAL, NULL},
    {400, NULL, OPS_HEAD, ERROR_REFRESH, -EINVAL, NULL},
    {400, NULL, 0, ERROR_FINAL, -EINVAL, NULL},
    {401, NULL, 0, ERROR_FINAL, -EACCES, NULL},
    {403, NULL, OPS_HEAD, ERROR_SKEW, -EACCES, NULL},
    {403, NULL, 0, ERROR_FINAL, -EACCES, NULL},
    {404, NULL, OPS_BUCKET, ERROR_FINAL, -ENODEV, NULL},
    {404, NULL, OP(DELETE) | OP(MPU_ABORT), ERROR_FINAL, 0, NULL},
    {404, NULL, OPS_UPLOAD, ERROR_FINAL, STORE_NO_UPLOAD, NULL},
    {404, NULL, 0, ERROR_FINAL, STORE_NOT_FOUND, NULL},
    {405, NULL, 0, ERROR_FINAL, -EPERM, NULL},
    {408, NULL, 0, ERROR_RETRY, -EIO, NULL},
    {409, NULL, OP(MPU_COMPLETE), ERROR_FINAL, STORE_CONFLICT, NULL},
    {409, NULL, 0, ERROR_FEW, STORE_CONFLICT, NULL},
    {412, NULL, 0, ERROR_FINAL, STORE_PRECONDITION, NULL},
    {413, NULL, 0, ERROR_FINAL, -EFBIG, NULL},
    {416, NULL, 0, ERROR_FINAL, STORE_RANGE, NULL},
    {429, NULL, 0, ERROR_THROTTLE, -EIO, NULL},
    {501, NULL, 0, ERROR_FINAL, -EOPNOTSUPP, NULL},
    {503, NULL, 0, ERROR_THROTTLE, -EIO, NULL},
    {507, NULL, 0, ERROR_FINAL, -ENOSPC, NULL},
    {5, NULL, 0, ERROR_RETRY, -EIO, NULL},
    {0, NULL, 0, ERROR_FINAL, -EIO, NULL},
};

const struct error_row *error_rows(size_t *ret_n)
{
    *ret_n = ARRAY_LEN(rows);
    return rows;
}

static bool fits(const struct error_row *row, int status, const char *code, enum store_op op)
{
    if (row->code != NULL && (code == NULL || strcmp(row->code, code) != 0))
        return false;
    if (row->status != 0 && row->status != status && row->status != status / 100)
        return false;
    return row->ops == 0 || (row->ops & (1u << op)) != 0;
}

const struct error_row *error_find(int status, const char *code, enum store_op op)
{
    size_t i = 0;

    /* An error inside a 200 whose code has no row is the server's own trouble. */
    if (status >= 200 && status < 300)
        status = 500;
    while (i + 1 < ARRAY_LEN(rows) && !fits(&rows[i], status, code, op))
        i++;
    return &rows[i];
}

enum error_action error_transport(int r, enum store_op op)
{
    switch (r) {
    case -ECONNREFUSED:
    case -ECONNRESET:
    case -EHOSTUNREACH:
    case -ENETUNREACH:
    case -ETIMEDOUT:
    case -EPIPE:
        return ERROR_RETRY;
    case -EPROTO:
        /* A certificate that is not trusted does not get better: the mount should say so at once.
         */
        return op == STORE_HEAD_BUCKET ? ERROR_FINAL : ERROR_RETRY;
    default:
        return ERROR_FINAL;
    }
}

static int on_element(void *arg, const char *path, const char *text)
{
    struct error_reply *e = arg;

    if (strcmp(path, "Error/Code") == 0)
        str_copy_shown(e->code, sizeof(e->code), text);
    else if (strcmp(path, "Error/Message") == 0)
        str_copy_shown(e->message, sizeof(e->message), text);
    else if (strcmp(path, "Error/Region") == 0)
        str_copy_shown(e->region, sizeof(e->region), text);
    else if (strcmp(path, "Error/RequestId") == 0)
        str_copy_shown(e->request_id, sizeof(e->request_id), text);
    return 0;
}

void error_parse(const char *data, size_t len, struct error_reply *ret)
{
    *ret = (struct error_reply){0};
    if (xml_parse(data, len, on_element, ret) != 0)
        log_debug("s3.error", "unreadable=%s", LOG_Q(err_text()));
}
