/* SPDX-License-Identifier: Apache-2.0 */
#include "prices.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

static const char *const class_names[PRICE_CLASSES] = {
    [PRICE_PUT] = "put", [PRICE_COPY] = "copy", [PRICE_POST] = "post",    [PRICE_LIST] = "list",
    [PRICE_GET] = "get", [PRICE_HEAD] = "head", [PRICE_DELETE] = "delete"};

/* Where one is in the file, and the first thing that is wrong. */
struct reader {
    const char *set, *part;
    int r;
};

static void wrong(struct reader *q, const char *key, const char *what)
{
    if (q->r == 0)
        q->r = err_set(-EINVAL, "prices: set \"%s\": %s%s%s: %s", q->set, q->part,
                       *q->part != '\0' ? "." : "", key, what);
}

static double amount(struct reader *q, const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);
    double d = json_is_number(v) ? json_number_value(v) : -1;

    if (v == NULL)
        wrong(q, key, "missing");
    else if (!(d >= 0 && d <= 1e9))
        wrong(q, key, "not an amount (a number, 0 or more)");
    return d;
}

static void text(struct reader *q, const json_t *o, const char *key, char *out, size_t size)
{
    const char *s = json_string_value(json_object_get(o, key));

    if (s == NULL || str_copy(out, size, s) < 0)
        wrong(q, key, s == NULL ? "missing" : "too long");
}

static void read_s3(struct reader *q, const json_t *o, struct price_set *set)
{
    const json_t *per = json_object_get(o, "per_1000");

    q->part = "s3";
    set->s3.gb_month = amount(q, o, "gb_month");
    q->part = "s3.per_1000";
    for (int c = 0; c < PRICE_CLASSES; c++)
        set->s3.per_1000[c] = amount(q, per, class_names[c]);
}

static void read_efs(struct reader *q, const json_t *o, struct price_set *set)
{
    double least;

    q->part = "efs";
    set->efs.gb_month = amount(q, o, "gb_month");
    set->efs.backup_gb_month = amount(q, o, "backup_gb_month");
    set->efs.read_gb = amount(q, o, "read_gb");
    set->efs.write_gb = amount(q, o, "write_gb");
    least = amount(q, o, "op_min_bytes");
    set->efs.op_min_bytes = least > 0 ? (uint64_t)least : 0;
}

static void read_estimates(struct reader *q, const json_t *list, struct price_set *set)
{
    size_t i;
    json_t *o;

    q->part = "estimates";
    if (json_array_size(list) > PRICES_ESTIMATES_MAX)
        wrong(q, "", "too many");
    json_array_foreach(list, i, o)
    {
        if (i == PRICES_ESTIMATES_MAX)
            break;
        set->estimates[i].gb = amount(q, o, "gb");
        set->estimates[i].efs = amount(q, o, "efs");
        set->estimates[i].s3 = amount(q, o, "s3");
        set->n_estimates = i + 1;
    }
}

static int read_set(const json_t *o, struct price_set *set)
{
    struct reader q = {.set = "?", .part = ""};

    text(&q, o, "name", set->name, sizeof(set->name));
    if (q.r == 0)
        q.set = set->name;
    text(&q, o, "note", set->note, sizeof(set->note));
    read_s3(&q, json_object_get(o, "s3"), set);
    read_efs(&q, json_object_get(o, "efs"), set);
    read_estimates(&q, json_object_get(o, "estimates"), set);
    return q.r;
}

int prices_parse(const char *bytes, size_t len, struct prices *ret)
{
    json_error_t e;
    json_t *o = json_loadb(bytes, len, JSON_REJECT_DUPLICATES, &e), *sets, *one;
    const char *currency;
    size_t i;
    int r = 0;

    *ret = (struct prices){0};
    if (o == NULL)
        return err_set(-EINVAL, "prices: line %d: %s", e.line, e.text);
    sets = json_object_get(o, "sets");
    currency = json_string_value(json_object_get(o, "currency"));
    if (currency == NULL || str_copy(ret->currency, sizeof(ret->currency), currency) < 0)
        r = err_set(-EINVAL, "prices: \"currency\" is missing or too long");
    else if (json_array_size(sets) == 0 || json_array_size(sets) > PRICES_SETS_MAX)
        r = err_set(-EINVAL, "prices: \"sets\" must be a list of 1 to %d", PRICES_SETS_MAX);
    json_array_foreach(sets, i, one)
    {
        if (r == 0)
            r = read_set(one, &ret->set[i]);
        if (r == 0)
            ret->n = i + 1;
    }
    json_decref(o);
    return r;
}

int prices_load(const char *path, struct prices *ret)
{
    _cleanup_buf_ struct buf b = BUF_INIT(PRICES_FILE_MAX);
    _cleanup_close_ int fd = -1;
    char piece[8192];
    ssize_t n;

    if (path == NULL)
        return prices_parse(prices_built_in, strlen(prices_built_in), ret);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_set(-errno, "%s: %s", path, strerror(errno));
    while ((n = read(fd, piece, sizeof(piece))) > 0)
        (void)buf_add(&b, piece, (size_t)n);
    if (n < 0)
        return err_set(-errno, "%s: %s", path, strerror(errno));
    if (buf_failed(&b))
        return err_set(b.error, "%s: too large for a price file", path);
    return prices_parse(buf_str(&b), b.len, ret);
}
