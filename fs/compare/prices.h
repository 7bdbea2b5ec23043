/* SPDX-License-Identifier: Apache-2.0 */
/* A price file: JSON, sets of prices by name; docs/examples/s3efs-prices.json is what is built in.
 * A GB has 2^30 bytes. Threads: any. */
#ifndef S3EFS_FS_COMPARE_PRICES_H
#define S3EFS_FS_COMPARE_PRICES_H

#include <stddef.h>
#include <stdint.h>
#include "base/macros.h"

#define PRICES_SETS_MAX 8
#define PRICES_ESTIMATES_MAX 8
#define PRICES_FILE_MAX (1u << 20)

/* What S3 bills apart: PUT and part uploads, CopyObject and part copies, POST (create and complete
 * an upload), LIST of any kind, GET, HEAD, and DELETE with DeleteObjects and aborts. */
enum price_class {
    PRICE_PUT,
    PRICE_COPY,
    PRICE_POST,
    PRICE_LIST,
    PRICE_GET,
    PRICE_HEAD,
    PRICE_DELETE,
    PRICE_CLASSES
};

struct price_set {
    char name[64], note[256];
    struct {
        double gb_month, per_1000[PRICE_CLASSES];
    } s3;
    struct {
        double gb_month, backup_gb_month, read_gb, write_gb;
        uint64_t op_min_bytes; /* each operation is metered as at least so much */
    } efs;
    /* What whoever wrote the set takes the month to cost: shown beside what was counted. */
    struct {
        double gb, efs, s3;
    } estimates[PRICES_ESTIMATES_MAX];
    size_t n_estimates;
};
struct prices {
    char currency[8];
    struct price_set set[PRICES_SETS_MAX];
    size_t n;
};

extern const char prices_built_in[];

/* -EINVAL: err_text() says what is missing or wrong, and where. */
_must_check_ int prices_parse(const char *text, size_t len, struct prices *ret);
_must_check_ int prices_load(const char *path, struct prices *ret); /* NULL: what is built in */

#endif
