/* SPDX-License-Identifier: Apache-2.0 */
/* Table, JSON and page of a run that is made up here, with names of hostile directories. */
#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "fs/compare/chart.h"
#include "fs/compare/report.h"
#include "fs/compare/text.h"

#define HOSTILE "/a\"><script>alert('x')</script>&amp;"

static struct options options;
static struct steps steps;
static struct prices prices;
static struct side sides[3];
static struct report report;

static int build(unsigned works)
{
    options = (struct options){.works = works,
                               .files = 100,
                               .reads = 10,
                               .sizes = {{4096}, 1},
                               .concurrency = {{2}, 1},
                               .images_per_day = {{1000, 10000}, 2},
                               .stored = {{UINT64_C(100) << 30, UINT64_C(1) << 40}, 2}};
    steps_build(&options, &steps);
    report = (struct report){
        .options = &options, .steps = &steps, .prices = &prices, .sides = sides, .n = 3};
    for (size_t i = 0; i < 3; i++) {
        sides[i] = (struct side){.kind = i == 0   ? SIDE_S3EFS
                                         : i == 1 ? SIDE_NFS
                                                  : SIDE_OTHER,
                                 .place = {.fd = -1}};
        snprintf(sides[i].fstype, sizeof(sides[i].fstype), "type%zu", i);
        text_shown(sides[i].shown, sizeof(sides[i].shown),
                   i == 0   ? HOSTILE
                   : i == 1 ? "/im\xc3\xa4ges"
                            : "/bad\xff\x1b[2J");
        sides[i].step = calloc(steps.n, sizeof(*sides[i].step));
        if (sides[i].step == NULL)
            return -1;
        for (size_t k = 0; k < steps.n; k++) {
            struct measured *m = &sides[i].step[k];
            bool reads = steps.step[k].work == WORK_READ;

            m->is_done = true;
            m->run.ns = 2000000000;
            m->run.files[reads ? RUN_READ : RUN_WRITE] = 100;
            m->run.took[reads ? RUN_READ : RUN_WRITE] = (struct hist_summary){
                .n = 100, .p50 = 1500000, .p95 = 2000000, .p99 = 12345678, .max = 20000000};
            m->is_counted = i < 2;
        }
    }
    return prices_load(NULL, &prices);
}

static int end(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        side_close(&sides[i]);
    return 0;
}

static struct counts *counts_of(size_t side, enum work work)
{
    for (size_t k = 0; k < steps.n; k++)
        if (steps.step[k].work == work)
            return &sides[side].step[k].counts;
    fail_msg("no such step");
    return NULL;
}

static int begin_mix(void **state)
{
    (void)state;
    return build(ASK_MIX);
}

static int begin_files(void **state)
{
    (void)state;
    return build(ASK_UPLOAD | ASK_READ);
}

static void assert_image(size_t side, double want)
{
    double image;

    assert_true(report_image(&report, &sides[side], &prices.set[0], &image));
    if (!(fabs(image - want) < 1e-12))
        fail_msg("got %.15f, want %.15f", image, want);
}

/* 100 images by 100 PUT and 1,000 HEAD; on NFS 100 WRITE of 4 KiB and 1,000 GETATTR. What making
 * and removing costs is not the image's. */
static void test_an_image_of_a_mix(void **state)
{
    (void)state;
    assert_int_equal(counts_put(counts_of(0, WORK_MIX), "PUT", 100, 0), 0);
    assert_int_equal(counts_put(counts_of(0, WORK_MIX), "HEAD", 1000, 0), 0);
    assert_int_equal(counts_put(counts_of(0, WORK_MAKE), "PUT", 5000, 0), 0);
    assert_int_equal(counts_put(counts_of(0, WORK_REMOVE), "PUT", 5000, 0), 0);
    assert_image(0, 0.005 / 1000 + 10 * 0.0004 / 1000);
    assert_int_equal(counts_put(counts_of(1, WORK_MIX), "WRITE", 100, 0), 0);
    assert_int_equal(counts_put(counts_of(1, WORK_MIX), "GETATTR", 1000, 0), 0);
    assert_image(1, 4096 / 1073741824.0 * 0.06 + 10 * 4096 / 1073741824.0 * 0.03);
    assert_false(report_image(&report, &sides[2], &prices.set[0], &(double){0}));
    sides[0].step[1].is_counted = false;
    assert_false(report_image(&report, &sides[0], &prices.set[0], &(double){0}));
}

static void test_an_image_of_uploads_and_reads(void **state)
{
    struct bill b;

    (void)state;
    assert_int_equal(counts_put(counts_of(0, WORK_UPLOAD), "PUT", 100, 0), 0);
    assert_int_equal(counts_put(counts_of(0, WORK_READ), "GET", 100, 0), 0);
    assert_image(0, 0.005 / 1000 + 10 * 0.0004 / 1000);
    assert_true(report_bill(&report, &sides[0], &prices.set[0], 100, 10000, &b));
    assert_true(fabs(b.total - (2.30 + 300 * 0.009)) < 1e-9);
}

static json_t *as_json(struct buf *b)
{
    json_t *o;

    assert_int_equal(report_json(&report, b), 0);
    o = json_loads(buf_str(b), JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    return o;
}

static void test_json(void **state)
{
    _cleanup_buf_ struct buf b = BUF_INIT(REPORT_MAX);
    json_t *o, *side, *step, *bill;

    (void)state;
    assert_int_equal(counts_put(counts_of(0, WORK_MIX), "PUT", 100, 0), 0);
    sides[0].has_total = true;
    assert_int_equal(counts_put(&sides[0].total, "PUT", 103, 0), 0);
    o = as_json(&b);
    side = json_array_get(json_object_get(o, "sides"), 0);
    assert_string_equal(json_string_value(json_object_get(side, "dir")), HOSTILE);
    assert_string_equal(json_string_value(json_object_get(side, "kind")), "s3efs");
    assert_int_equal(json_integer_value(json_object_get(json_object_get(side, "requests"), "PUT")),
                     103);
    step = json_array_get(json_object_get(side, "steps"), 1);
    assert_string_equal(json_string_value(json_object_get(step, "work")), "mix");
    assert_int_equal(json_integer_value(json_object_get(step, "requests_total")), 100);
    assert_true(fabs(json_real_value(json_object_get(json_object_get(step, "store"), "p99_ms")) -
                     12.345678) < 1e-9);
    assert_true(
        fabs(json_real_value(json_object_get(json_object_get(step, "store"), "files_per_s")) - 50) <
        1e-9);
    assert_null(json_object_get(json_array_get(json_object_get(o, "sides"), 2), "requests"));
    bill = json_array_get(json_object_get(o, "bills"), 0);
    assert_int_equal(json_array_size(json_object_get(bill, "months")), 4);
    assert_true(json_is_null(json_array_get(json_object_get(bill, "image"), 2)));
    json_decref(o);
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;

    for (; (text = strstr(text, what)) != NULL; text += strlen(what))
        n++;
    return n;
}

static void test_the_page(void **state)
{
    _cleanup_buf_ struct buf b = BUF_INIT(REPORT_MAX);
    const char *page;

    (void)state;
    snprintf(sides[1].failure, sizeof(sides[1].failure), "<b>failed</b>");
    sides[1].step[1].is_done = false;
    assert_int_equal(report_html(&report, &b), 0);
    page = buf_str(&b);
    assert_int_equal(count(page, "<script"), 0);
    assert_int_equal(count(page, "<b>"), 0);
    assert_int_equal(count(page, "http://") + count(page, "https://") + count(page, "src="), 0);
    assert_true(
        count(page, "/a&quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;amp;") > 3);
    assert_int_equal(count(page, "<svg "), 4 + 2);
    assert_int_equal(count(page, "</svg>"), 4 + 2);
    assert_true(count(page, "not measured") >= 1 && count(page, "not known") >= 1);
    assert_int_equal(count(page, "\x1b"), 0);
    assert_true(count(page, "/im\xc3\xa4ges") > 3);
}

static void test_the_table(void **state)
{
    _cleanup_buf_ struct buf b = BUF_INIT(REPORT_MAX);

    (void)state;
    assert_int_equal(counts_put(counts_of(0, WORK_MIX), "PUT", 250, 0), 0);
    assert_int_equal(report_table(&report, &b), 0);
    assert_int_equal(count(buf_str(&b), "\x1b"), 0);
    assert_true(count(buf_str(&b), "/bad??[2J") > 3);
    assert_true(count(buf_str(&b), " 1.50ms ") >= 3);
    assert_true(count(buf_str(&b), " 2.50\n") == 1);
    assert_true(count(buf_str(&b), "1 TB") == 2);
}

static void test_the_command_that_removes(void **state)
{
    char t[64];

    (void)state;
    text_removal(t, sizeof(t), "/mnt/a-b_c.1");
    assert_string_equal(t, "rm -r /mnt/a-b_c.1");
    text_removal(t, sizeof(t), "/mnt/My Pictures/x; *");
    assert_string_equal(t, "rm -r '/mnt/My Pictures/x; *'");
    text_removal(t, sizeof(t), "/mnt/it's");
    assert_string_equal(t, "rm -r '/mnt/it'\\''s'");
    text_removal(t, sizeof(t), "/mnt/a\nb");
    assert_string_equal(t, "by hand, its name can't be shown as it is");
    text_removal(t, sizeof(t), "/mnt/\xff");
    assert_string_equal(t, "by hand, its name can't be shown as it is");
    text_removal(t, sizeof(t),
                 "/mnt/a path that is longer than the room that there is for it, by far");
    assert_string_equal(t, "by hand, its name can't be shown as it is");
}

static void test_figures(void **state)
{
    char t[32];

    (void)state;
    text_time(0, t, sizeof(t));
    assert_string_equal(t, "-");
    text_time(1234, t, sizeof(t));
    assert_string_equal(t, "1.23us");
    text_time(123456789, t, sizeof(t));
    assert_string_equal(t, "123ms");
    text_time(UINT64_C(61500000000), t, sizeof(t));
    assert_string_equal(t, "61.5s");
    text_amount(0.004, t, sizeof(t));
    assert_string_equal(t, "0.00");
    text_amount(999.99, t, sizeof(t));
    assert_string_equal(t, "999.99");
    text_amount(999.999, t, sizeof(t));
    assert_string_equal(t, "1,000");
    text_amount(1234567.5, t, sizeof(t));
    assert_string_equal(t, "1,234,568");
    text_amount(-1, t, sizeof(t));
    assert_string_equal(t, "-");
    text_amount(NAN, t, sizeof(t));
    assert_string_equal(t, "-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_command_that_removes),
        cmocka_unit_test_setup_teardown(test_an_image_of_a_mix, begin_mix, end),
        cmocka_unit_test_setup_teardown(test_an_image_of_uploads_and_reads, begin_files, end),
        cmocka_unit_test_setup_teardown(test_json, begin_mix, end),
        cmocka_unit_test_setup_teardown(test_the_page, begin_mix, end),
        cmocka_unit_test_setup_teardown(test_the_table, begin_mix, end),
        cmocka_unit_test(test_figures),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
