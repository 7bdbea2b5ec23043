/* SPDX-License-Identifier: Apache-2.0 */
/* Bills against figures worked out by hand, and the price file. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "fs/compare/bill.h"
#include "store/meter.h"

static struct prices prices;

static const struct price_set *set_named(const char *name)
{
    for (size_t i = 0; i < prices.n; i++)
        if (strcmp(prices.set[i].name, name) == 0)
            return &prices.set[i];
    fail_msg("no price set %s", name);
    return NULL;
}

static void assert_money(double got, double want)
{
    if (!(fabs(got - want) < 1e-9))
        fail_msg("got %.12f, want %.12f", got, want);
}

static int load(void **state)
{
    (void)state;
    return prices_load(NULL, &prices);
}

/* An upload by 1 PUT and 1 HEAD, ten reads by 1 GET each: 0.005 + 11 x 0.0004 for a thousand
 * images. */
static void test_s3_by_hand(void **state)
{
    const struct price_set *today = set_named("today"), *document = set_named("document");
    struct counts c = {0};
    struct bill b;
    double image;

    (void)state;
    assert_int_equal(counts_put(&c, "PUT", 1, 0), 0);
    assert_int_equal(counts_put(&c, "HEAD", 1, 0), 0);
    assert_int_equal(counts_put(&c, "GET", 10, 0), 0);
    assert_int_equal(counts_put(&c, "DELETE", 1000, 0), 0); /* free */
    image = bill_of_counts(today, BILL_S3, &c);
    assert_money(image * 1000, 0.005 + 11 * 0.0004);
    /* 10,000 a day are 300,000 a month: 300 x 0.0094 = 2.82; 100 GB x 0.023 = 2.30 */
    bill_month(today, BILL_S3, image, 100, 10000, &b);
    assert_money(b.storage, 2.30);
    assert_money(b.use, 2.82);
    assert_money(b.backup, 0);
    assert_money(b.total, 5.12);
    bill_month(today, BILL_S3, image, 10240, 1000, &b);
    assert_money(b.total, 235.52 + 0.282);
    /* the document has one price: 1,012 requests at 0.0004 a thousand */
    assert_money(bill_of_counts(document, BILL_S3, &c), 1012 * 0.0004 / 1000);
}

static void test_efs_by_hand(void **state)
{
    const struct price_set *today = set_named("today"), *document = set_named("document");
    struct counts c = {.bytes_up = UINT64_C(1) << 30, .bytes_down = 1000};
    struct bill b;

    (void)state;
    assert_int_equal(counts_put(&c, "WRITE", 1024, 0), 0); /* 1 GiB: 0.06 */
    assert_int_equal(counts_put(&c, "READ", 262144, 0),
                     0); /* small ones: 262,144 x 4 KiB = 1 GiB: 0.03 */
    assert_int_equal(counts_put(&c, "GETATTR", 262144, 300), 0);        /* 1 GiB: 0.03 */
    assert_int_equal(counts_put(&c, "SETATTR", 262144, 300), 0);        /* 1 GiB of writes: 0.06 */
    assert_int_equal(counts_put(&c, "SEQUENCE", 1 << 20, 1u << 31), 0); /* not metered */
    assert_money(bill_of_counts(today, BILL_EFS, &c), 0.06 + 0.03 + 0.03 + 0.06);
    bill_month(today, BILL_EFS, 0.0001, 100, 1000, &b);
    assert_money(b.storage, 30);
    assert_money(b.backup, 5);
    assert_money(b.use, 3); /* 30,000 images */
    assert_money(b.total, 38);
    /* the document's: what went by, at 0.0001 a GB, no least size */
    c.op[2].bytes = UINT64_C(3) << 30;
    assert_money(bill_of_counts(document, BILL_EFS, &c),
                 (1 + 3 + (1000 + 300) / 1073741824.0) * 0.0001);
}

/* The document's own table: $35 a month for 100 GB is storage and backup. */
static void test_the_documents_estimate(void **state)
{
    const struct price_set *document = set_named("document");
    struct bill b;

    (void)state;
    assert_int_equal(document->n_estimates, 3);
    bill_month(document, BILL_EFS, 0, document->estimates[0].gb, 0, &b);
    assert_money(b.total, document->estimates[0].efs);
    assert_money(document->estimates[2].s3, 2500);
}

static void test_every_kind_of_the_ledger_has_a_price(void **state)
{
    const struct price_set *today = set_named("today");
    struct counts c = {0};
    enum price_class p;

    (void)state;
    for (int k = 0; k < METER_KINDS; k++)
        assert_true(bill_class(meter_kind_name((enum meter_kind)k), &p));
    assert_false(bill_class("SELECT", &p));
    assert_int_equal(counts_put(&c, "SELECT", 1000, 0), 0); /* unknown: the dearest */
    assert_money(bill_of_counts(today, BILL_S3, &c), 0.005);
}

static void test_what_is_built_in_is_the_shipped_file(void **state)
{
    const char *top = getenv("top_srcdir");
    char path[4096];
    static char text[65536];
    size_t n;
    FILE *f;

    (void)state;
    snprintf(path, sizeof(path), "%s/docs/examples/s3efs-prices.json", top != NULL ? top : "..");
    f = fopen(path, "re");
    assert_non_null(f);
    n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    assert_string_equal(text, prices_built_in);
}

/* Whatever is taken out or made wrong is named. */
static void test_a_wrong_price_file_is_refused(void **state)
{
    static const struct {
        const char *from, *to, *said;
    } bad[] = {
        {"\"gb_month\": 0.023", "\"gb_mont\": 0.023", "s3.gb_month: missing"},
        {"\"list\": 0.005", "\"list\": \"dear\"", "s3.per_1000.list"},
        {"\"write_gb\": 0.06", "\"write_gb\": -1", "efs.write_gb: not an amount"},
        {"\"sets\"", "\"set\"", "\"sets\""},
        {"\"name\": \"today\"", "\"nam\": \"today\"", "name: missing"},
        {"\"currency\"", "\"money\"", "currency"},
        {"{", "", "line 2"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct prices p;
        static char text[65536];
        const char *at = strstr(prices_built_in, bad[i].from);

        assert_non_null(at);
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - prices_built_in), prices_built_in,
                 bad[i].to, at + strlen(bad[i].from));
        assert_int_equal(prices_parse(text, strlen(text), &p), -EINVAL);
        if (strstr(err_text(), bad[i].said) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err_text(), bad[i].said);
    }
    assert_int_equal(prices_load("/not/there", &prices), -ENOENT);
    assert_non_null(strstr(err_text(), "/not/there"));
    assert_int_equal(prices_load(NULL, &prices), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s3_by_hand),
        cmocka_unit_test(test_efs_by_hand),
        cmocka_unit_test(test_the_documents_estimate),
        cmocka_unit_test(test_every_kind_of_the_ledger_has_a_price),
        cmocka_unit_test(test_what_is_built_in_is_the_shipped_file),
        cmocka_unit_test(test_a_wrong_price_file_is_refused),
    };

    return cmocka_run_group_tests(tests, load, NULL);
}
