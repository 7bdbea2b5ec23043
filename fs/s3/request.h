/* SPDX-License-Identifier: Apache-2.0 */
/* A store request as an HTTP message, before it is signed. Pure: values in, a message out; any
 * thread. The message holds copies of all it needs. */
#ifndef S3EFS_S3_REQUEST_H
#define S3EFS_S3_REQUEST_H

#include "aws/sigv4.h"
#include "checksum.h"
#include "s3/s3.h"
#include "store/meter.h"
#include "store/store.h"

#define MESSAGE_QUERY_MAX 8

struct message {
    const char *method;
    char *path; /* not encoded, from the host's root */
    struct {
        const char *name;
        char *value;
    } query[MESSAGE_QUERY_MAX]; /* not encoded */
    size_t n_query;
    struct store_hdrs hdrs; /* all of them are signed */
    struct buf body;   /* a document that is part of the protocol; else the source's bytes go */
    bool sends_source; /* the body is req->src */
    bool has_xml_reply;
    size_t reply_max; /* http_call.body_max */
    enum meter_kind kind;
};

/* With what sum the bodies of this operation go out. An object: CRC64NVME, which the server keeps.
 * A part: Content-MD5. AWS takes another sum of a part only if the upload was begun with that
 * algorithm, and an upload begun so ends with a wrong sum on versitygw 1.8 when a part is copied
 * from a range (it takes the whole source's). Begun without, AWS and versitygw add the whole
 * object's CRC64NVME themselves, and every server checks an MD5. */
enum checksum_kind message_sum_kind(enum store_op op);
/* 0, -ENOMEM, or -EINVAL with err_text() for what can't be said in HTTP. ret: zeroed or done.
 * src_sum: that sum of req->src as base64, where the message sends it. */
_must_check_ int message_build(const struct s3_conf *conf, const struct store_req *req,
                               const char *src_sum, struct message *ret);
/* What tells why a request fails. HEAD of a bucket, whose errors have no body: the first name in
 * it. MPU_COMPLETE: the first part of the upload (Ceph 16 answers 500 for ever to one that was
 * aborted). */
_must_check_ int message_build_explain(const struct s3_conf *conf, const struct store_req *req,
                                       struct message *ret);
void message_done(struct message *m); /* idempotent */
/* store_hdrs_done() for headers that may have a key or a token among them. */
void message_wipe(struct store_hdrs *h);

/* Pieces, for the builders in multipart.c and remove.c. */
_must_check_ int message_header(struct message *m, const char *name, const char *value);
_must_check_ int message_query(struct message *m, const char *name, const char *value);
/* multipart.c: the list of parts. */
_must_check_ int message_complete_body(struct message *m, const struct store_req *req);
/* remove.c: the list of keys, without those that XML can't hold; and its Content-MD5. */
_must_check_ int message_delete_body(struct message *m, const struct s3_conf *conf, const struct store_req *req);

#endif
