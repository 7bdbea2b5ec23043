/* SPDX-License-Identifier: Apache-2.0 */
#include "bill.h"

#include <string.h>

#define GB 1073741824.0

static const struct {
    const char *kind;
    enum price_class price;
} s3_kinds[] = {
    {"HEAD", PRICE_HEAD},
    {"GET", PRICE_GET},
    {"PUT", PRICE_PUT},
    {"DELETE", PRICE_DELETE},
    {"DELETE-multi", PRICE_DELETE},
    {"LIST", PRICE_LIST},
    {"COPY", PRICE_COPY},
    {"MPU-create", PRICE_POST},
    {"PUT-part", PRICE_PUT},
    {"COPY-part", PRICE_COPY},
    {"MPU-complete", PRICE_POST},
    {"MPU-abort", PRICE_DELETE},
    {"LIST-mpu", PRICE_LIST},
    {"HEAD-bucket", PRICE_HEAD},
};

bool bill_class(const char *kind, enum price_class *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(s3_kinds); i++) {
        if (strcmp(s3_kinds[i].kind, kind) == 0) {
            *ret = s3_kinds[i].price;
            return true;
        }
    }
    return false;
}

double bill_of_requests(const struct price_set *set, const char *kind, uint64_t n)
{
    enum price_class p = PRICE_PUT;

    (void)bill_class(kind, &p);
    return (double)n * set->s3.per_1000[p] / 1000;
}

static double s3_price(const struct price_set *set, const struct counts *c)
{
    double sum = 0;

    for (size_t i = 0; i < c->n; i++)
        sum += bill_of_requests(set, c->op[i].name, c->op[i].n);
    return sum;
}

static bool is_one_of(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, list[i]) == 0)
            return true;
    return false;
}

static bool is_session(const char *name)
{
    static const char *const ops[] = {
        "NULL",           "SETCLIENTID",      "SETCLIENTID_CONFIRM", "RENEW",
        "EXCHANGE_ID",    "CREATE_SESSION",   "DESTROY_SESSION",     "SEQUENCE",
        "GET_LEASE_TIME", "RECLAIM_COMPLETE", "DESTROY_CLIENTID",    "BIND_CONN_TO_SESSION",
        "TEST_STATEID",   "FREE_STATEID"};

    return is_one_of(name, ops, ARRAY_LEN(ops));
}

static bool is_change(const char *name)
{
    static const char *const ops[] = {
        "WRITE", "COMMIT", "SETATTR", "CREATE", "MKDIR",    "SYMLINK",    "MKNOD", "REMOVE",
        "RMDIR", "RENAME", "LINK",    "SETACL", "ALLOCATE", "DEALLOCATE", "COPY",  "CLONE"};

    return is_one_of(name, ops, ARRAY_LEN(ops));
}

static double metered(const struct price_set *set, uint64_t n, uint64_t bytes)
{
    double least = (double)n * (double)set->efs.op_min_bytes;

    return least > (double)bytes ? least : (double)bytes;
}

static double efs_price(const struct price_set *set, const struct counts *c)
{
    double up = 0, down = 0;

    for (size_t i = 0; i < c->n; i++) {
        const struct counts_op *op = &c->op[i];

        if (is_session(op->name))
            continue;
        if (strcmp(op->name, "READ") == 0)
            down += metered(set, op->n, c->bytes_down);
        else if (strcmp(op->name, "WRITE") == 0)
            up += metered(set, op->n, c->bytes_up);
        else if (is_change(op->name))
            up += metered(set, op->n, op->bytes);
        else
            down += metered(set, op->n, op->bytes);
    }
    return up / GB * set->efs.write_gb + down / GB * set->efs.read_gb;
}

double bill_of_counts(const struct price_set *set, enum bill_kind kind, const struct counts *c)
{
    return kind == BILL_S3 ? s3_price(set, c) : efs_price(set, c);
}

void bill_month(const struct price_set *set, enum bill_kind kind, double image, double gb,
                double images_per_day, struct bill *ret)
{
    *ret = (struct bill){.storage = gb * (kind == BILL_S3 ? set->s3.gb_month : set->efs.gb_month),
                         .backup = kind == BILL_EFS ? gb * set->efs.backup_gb_month : 0,
                         .use = image * images_per_day * BILL_DAYS};
    ret->total = ret->storage + ret->backup + ret->use;
}
