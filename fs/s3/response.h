/* SPDX-License-Identifier: Apache-2.0 */
/* Answers in terms of the store contract. Pure; any thread.
 * Results of all readers: 0, a RESPONSE_* (with err_text() where it is a failure), or -ENOMEM. */
#ifndef S3EFS_S3_RESPONSE_H
#define S3EFS_S3_RESPONSE_H

#include "http/http.h"
#include "store/store.h"

enum response_outcome {
    RESPONSE_BROKEN = 1,   /* not what the protocol says: as if the server had answered 500 */
    RESPONSE_ERROR = 2,    /* a 200 whose body is an error document */
    RESPONSE_MISMATCH = 3, /* the body is not what its checksum says */
    RESPONSE_PRECONDITION =
        4, /* another version than asked for, from a server that ignores If-Match */
};

/* Headers of HEAD and GET. ret: zeroed or done. For a GET without Content-Length, size is what was
 * received. */
_must_check_ int response_object(const struct http_call *call, bool is_get, struct store_obj *ret);
/* "bytes a-b/total"; -EINVAL. */
_must_check_ int response_content_range(const char *value, uint64_t *ret_first, uint64_t *ret_last,
                                        uint64_t *ret_total);
/* Replies to PUT and UploadPart: ETag and version id. */
_must_check_ int response_written(const struct http_call *call, struct store_obj *ret);
/* What a server says of time, put between 1910 and 2190: so the difference of any two such is a number, too. */
int64_t response_time(int64_t ns);
/* Date, as ns since the epoch; 0 if there is none. */
int64_t response_date(const struct http_call *call);
/* What Retry-After (seconds or a date) or x-amz-retry-after (ms) ask for, at most a minute; 0 if
 * neither is there. */
int64_t response_retry_after_ns(const struct http_call *call, int64_t wall_ns);

/* multipart.c: the documents that hold one result (CopyObject, UploadPartCopy,
 * CreateMultipartUpload, CompleteMultipartUpload). upload_id is the caller's to free. */
struct response_result {
    struct store_etag etag;
    char *upload_id;
};
_must_check_ int response_result(const struct http_call *call, struct response_result *ret);

/* tags.c: *ret to free() */
_must_check_ int response_tags(const struct http_call *call, char **ret);

/* list.c */
_must_check_ int response_list(const struct http_call *call, struct store_list *ret);
_must_check_ int response_uploads(const struct http_call *call, struct store_rsp *ret);

#endif
