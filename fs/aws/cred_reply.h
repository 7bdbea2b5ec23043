/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a credential endpoint, and its answer: private to aws. */
#ifndef S3EFS_FS_AWS_CRED_REPLY_H
#define S3EFS_FS_AWS_CRED_REPLY_H

#include "aws/cred.h"

struct cred_reply {
    struct aws_cred cred;
    char code[64], message[200]; /* of an error; "" */
};
void cred_reply_done(struct cred_reply *r); /* wipes */

/* JSON (flat, or STS's nesting) or STS's XML; credentials or an error. Pure. 0, -EPROTO or -ENOMEM.
 */
_must_check_ int cred_reply_parse(const char *text, size_t len, struct cred_reply *ret);
_must_check_ int cred_reply_json(const char *text, size_t len, struct cred_reply *ret);
_must_check_ int cred_reply_xml(const char *text, size_t len, struct cred_reply *ret);

struct cred_ask {
    const char *who; /* for messages: "STS" */
    const char *method, *url;
    const char *const *headers;
    size_t n_headers;
    const char *body; /* NULL: none */
    int timeout_ms;
};
/* One attempt. 0: credentials. -errno: *ret_again says whether another attempt may help. */
_must_check_ int cred_ask(struct http *http, const struct cred_ask *ask, struct aws_cred *ret,
                          bool *ret_again);
/* Waits before attempt n (0: not at all). */
void cred_pause(unsigned attempt);

#endif
