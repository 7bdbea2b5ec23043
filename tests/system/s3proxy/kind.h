/* SPDX-License-Identifier: Apache-2.0 */
/* Which S3 operation a request is: the kinds of the product's ledger, found by separate code. */
#ifndef S3PROXY_KIND_H
#define S3PROXY_KIND_H

#include "wire.h"

enum kind {
    KIND_HEAD, KIND_GET, KIND_PUT, KIND_DELETE, KIND_DELETE_MULTI, KIND_LIST, KIND_COPY,
    KIND_MPU_CREATE, KIND_PUT_PART, KIND_COPY_PART, KIND_MPU_COMPLETE, KIND_MPU_ABORT,
    KIND_LIST_MPU, KIND_HEAD_BUCKET, KIND_OTHER, KINDS
};
extern const char *const kind_names[KINDS];

struct target {
    enum kind kind;
    char method[16];
    char key[4096]; /* decoded, without the bucket (path style) */
    char query[8192];
};
/* 0, or -1 when the request line can't be read. */
int kind_of(const struct head *h, struct target *ret);
/* Decodes %xx in place. */
void url_decode(char *s);
/* The value of name in a query string, decoded; false when it is not there. */
bool query_get(const char *query, const char *name, char *out, size_t size);

#endif
