/* SPDX-License-Identifier: Apache-2.0 */
/* What an answer of the server means: status and code to what is done next and what the caller
 * gets. One table (README.md shows it; tests/unit/s3/test_error.c goes through it row by row).
 * Pure; any thread. */
#ifndef S3EFS_S3_ERROR_H
#define S3EFS_S3_ERROR_H

#include <stddef.h>
#include "base/macros.h"
#include "store/store.h"

enum error_action {
    ERROR_FINAL,    /* result, now */
    ERROR_RETRY,    /* again after a backoff, as long as the request lives */
    ERROR_THROTTLE, /* the same with the long backoff */
    ERROR_FEW,      /* again, ERROR_FEW_TRIES times in all, then result */
    ERROR_REFRESH,  /* with other credentials, once, then result */
    ERROR_SKEW,     /* with the server's clock, once, then result */
    ERROR_REGION,   /* result; the text names the right region */
};
#define ERROR_FEW_TRIES 5

struct error_row {
    int status; /* 0: any; 5: all of 500-599 */
    const char
        *code;    /* NULL: rows by status, for answers whose code has no row or that have no body */
    unsigned ops; /* bits 1 << STORE_*; 0: all */
    enum error_action action;
    int result;       /* STORE_* or -errno */
    const char *hint; /* added to the text; NULL: none */
};
/* The first row that fits; there always is one. code: NULL or "" if unknown. */
const struct error_row *error_find(int status, const char *code, enum store_op op);
const struct error_row *error_rows(size_t *ret_n);

/* The same for requests that got no answer (an errno of http.h). */
enum error_action error_transport(int r, enum store_op op);

/* What an error document says. */
struct error_reply {
    char code[64], message[200], region[64], request_id[80];
};
/* What can be read of it: all "" where it is no error document. */
void error_parse(const char *data, size_t len, struct error_reply *ret);

#endif
