/* SPDX-License-Identifier: Apache-2.0 */
/* The result as one page: no script, nothing from a network. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "chart.h"
#include "report.h"
#include "text.h"

static const char head[] =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
    "'unsafe-inline'\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\"><title>s3efs compare</title>\n<style>\n"
    ":root{color-scheme:light "
    "dark;--s0:#2f6fb7;--s1:#d9822b;--s2:#3d9970;--s3:#b03a67;--s4:#7a5ab5;--s5:#6b7280;--s6:#"
    "a38b00;--s7:#008b94}\n"
    "body{font:15px/1.45 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;margin:.5rem 0 "
    "1.5rem}\n"
    "th,td{padding:.2rem .5rem;text-align:right;border-bottom:1px solid #8884}\n"
    "th:first-child,td:first-child,.l{text-align:left}\n"
    "figure{margin:1rem 0}figcaption{font-weight:600}svg{width:100%;height:auto}svg "
    "text{font-size:11px;fill:currentColor}\n"
    ".bad{color:#c0392b;font-weight:600}.key{display:inline-block;width:.8em;height:.8em;margin-"
    "right:.4em}\n"
    ".s0{fill:var(--s0);background:var(--s0)}.s1{fill:var(--s1);background:var(--s1)}.s2{fill:var(-"
    "-s2);background:var(--s2)}\n"
    ".s3{fill:var(--s3);background:var(--s3)}.s4{fill:var(--s4);background:var(--s4)}.s5{fill:var(-"
    "-s5);background:var(--s5)}\n"
    ".s6{fill:var(--s6);background:var(--s6)}.s7{fill:var(--s7);background:var(--s7)}\n"
    "</style></head><body>\n<h1>s3efs compare</h1>\n";

static void add_key(struct buf *out, size_t side)
{
    buf_addf(out, "<span class=\"key s%zu\"></span>", side);
}

static void add_sides(const struct report *r, struct buf *out)
{
    buf_adds(out, "<table><tr><th>side</th><th class=\"l\">type</th><th class=\"l\">of</th><th "
                  "class=\"l\">counted</th></tr>\n");
    for (size_t i = 0; i < r->n; i++) {
        const struct side *s = &r->sides[i];

        buf_adds(out, "<tr><td>");
        add_key(out, i);
        text_html(out, s->shown);
        buf_adds(out, "</td><td class=\"l\">");
        text_html(out, s->fstype);
        buf_adds(out, "</td><td class=\"l\">");
        text_html(out, s->source);
        buf_addf(out, "</td><td class=\"l\">%s",
                 s->kind == SIDE_S3EFS ? "requests to the bucket"
                 : s->kind == SIDE_NFS ? "NFS operations"
                                       : "requests are not known");
        if (*s->failure != '\0') {
            buf_adds(out, "<br><span class=\"bad\">");
            text_html(out, s->failure);
            buf_adds(out, "</span>");
        }
        buf_adds(out, "</td></tr>\n");
    }
    buf_adds(out, "</table>\n");
}

/* --- figures --- */

enum figure { FILES_S, P50, P99, REQUESTS };

static double figure_of(const struct report_cell *c, enum figure what, char *text, size_t size)
{
    if (!c->is_known || (what == REQUESTS && !c->is_counted))
        return -1;
    switch (what) {
    case FILES_S:
        snprintf(text, size, "%.1f", c->files_s);
        return c->files_s;
    case P50:
        text_time(c->took->p50, text, size);
        return (double)c->took->p50;
    case P99:
        text_time(c->took->p99, text, size);
        return (double)c->took->p99;
    case REQUESTS:
        break;
    }
    snprintf(text, size, "%.2f", c->requests_each);
    return c->requests_each;
}

struct bar_text {
    char label[80], value[32];
};

static int add_chart(const struct report *r, const struct report_row *rows, size_t n,
                     const char *title, enum figure what, struct buf *out)
{
    struct chart_bar *bars = calloc(n * r->n + 1, sizeof(*bars));
    struct bar_text *text = calloc(n * r->n + 1, sizeof(*text));
    size_t m = 0;

    for (size_t k = 0; k < n && bars != NULL && text != NULL; k++) {
        if (what == REQUESTS && !rows[k].has_requests)
            continue;
        for (size_t i = 0; i < r->n; i++, m++) {
            struct report_cell c;

            report_cell(r, &rows[k], &r->sides[i], &c);
            if (i == 0)
                snprintf(text[m].label, sizeof(text[m].label), "%s, %u at once", rows[k].label,
                         r->steps->step[rows[k].step].concurrency);
            bars[m] = (struct chart_bar){.label = text[m].label,
                                         .value = text[m].value,
                                         .name = r->sides[i].shown,
                                         .side = (unsigned)i};
            bars[m].length = figure_of(&c, what, text[m].value, sizeof(text[m].value));
        }
    }
    if (bars != NULL && text != NULL)
        chart_bars(out, title, bars, m);
    free(bars);
    free(text);
    return bars != NULL && text != NULL ? 0 : err_set(-ENOMEM, "out of memory");
}

static void add_row(const struct report *r, const struct report_row *row, size_t side,
                    struct buf *out)
{
    const struct side *s = &r->sides[side];
    struct report_cell c;
    char t[3][32];

    report_cell(r, row, s, &c);
    buf_adds(out, "<tr><td>");
    text_html(out, side == 0 ? row->label : "");
    if (side == 0)
        buf_addf(out, "</td><td>%u</td><td class=\"l\">", r->steps->step[row->step].concurrency);
    else
        buf_adds(out, "</td><td></td><td class=\"l\">");
    add_key(out, side);
    text_html(out, s->shown);
    if (!c.is_known) {
        buf_adds(out, "</td><td colspan=\"6\" class=\"bad\">not measured</td></tr>\n");
        return;
    }
    text_time(c.took->p50, t[0], sizeof(t[0]));
    text_time(c.took->p95, t[1], sizeof(t[1]));
    text_time(c.took->p99, t[2], sizeof(t[2]));
    buf_addf(out, "</td><td>%.1f</td><td>%.2f</td><td>%s</td><td>%s</td><td>%s</td><td>", c.files_s,
             c.mib_s, t[0], t[1], t[2]);
    if (c.is_counted)
        buf_addf(out, "%.2f", c.requests_each);
    if (c.failed + c.wrong > 0)
        buf_addf(out, " <span class=\"bad\">%" PRIu64 " failed, %" PRIu64 " wrong</span>", c.failed,
                 c.wrong);
    buf_adds(out, "</td></tr>\n");
}

static int add_figures(const struct report *r, struct buf *out)
{
    size_t n;
    struct report_row *rows = report_rows(r, &n);
    int e;

    if (rows == NULL)
        return err_set(-ENOMEM, "out of memory");
    buf_adds(out, "<h2>Speed and requests</h2>\n<table><tr><th>work</th><th>at once</th><th "
                  "class=\"l\">side</th><th>files/s</th>"
                  "<th>MiB/s</th><th>p50</th><th>p95</th><th>p99</th><th>requests</th></tr>\n");
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < r->n; i++)
            add_row(r, &rows[k], i, out);
    buf_adds(out, "</table>\n<p>Requests: of one file (mix: of an image with its reads; list: of "
                  "one listing). Every byte that was read "
                  "was compared. Reads: ");
    buf_adds(out, r->options->drop_caches
                      ? "the kernel's page cache was dropped before each step of reads.</p>\n"
                      : "as warm as each side keeps what it has just stored.</p>\n");
    e = add_chart(r, rows, n, "Files per second (longer is better)", FILES_S, out);
    if (e == 0)
        e = add_chart(r, rows, n, "Half of all operations took at most (shorter is better)", P50,
                      out);
    if (e == 0)
        e = add_chart(r, rows, n, "99 of 100 operations took at most (shorter is better)", P99,
                      out);
    if (e == 0)
        e = add_chart(r, rows, n, "Requests (shorter is cheaper)", REQUESTS, out);
    free(rows);
    return e;
}

/* --- the bill --- */

static void add_months(const struct report *r, const struct price_set *set, struct buf *out)
{
    const struct list *stored = &r->options->stored, *per_day = &r->options->images_per_day;

    buf_adds(out, "<table><tr><th>stored</th><th>images a day</th>");
    for (size_t i = 0; i < r->n; i++) {
        buf_adds(out, "<th>");
        add_key(out, i);
        text_html(out, r->sides[i].shown);
        buf_adds(out, "</th>");
    }
    buf_adds(out, "</tr>\n");
    for (size_t at = 0; at < stored->n * per_day->n; at++) {
        uint64_t bytes = stored->v[at / per_day->n], images = per_day->v[at % per_day->n];
        char name[32];

        report_stored_name(bytes, name, sizeof(name));
        buf_addf(out, "<tr><td>%s</td><td>%" PRIu64 "</td>", name, images);
        for (size_t i = 0; i < r->n; i++) {
            struct bill b = {.total = -1};
            char t[32];

            (void)report_bill(r, &r->sides[i], set, (double)bytes / 1073741824.0, (double)images,
                              &b);
            text_amount(b.total, t, sizeof(t));
            buf_addf(out, "<td>%s</td>", t);
        }
        buf_adds(out, "</tr>\n");
    }
    buf_adds(out, "</table>\n");
}

static void add_bill_chart(const struct report *r, const struct price_set *set, struct buf *out)
{
    const struct list *stored = &r->options->stored, *per_day = &r->options->images_per_day;
    struct chart_bar bars[OPTIONS_LIST_MAX * OPTIONS_DIRS_MAX];
    struct bar_text text[OPTIONS_LIST_MAX * OPTIONS_DIRS_MAX] = {0};
    char title[128], name[32];
    size_t m = 0;

    if (stored->n == 0 || per_day->n == 0)
        return;
    report_stored_name(stored->v[0], name, sizeof(name));
    snprintf(title, sizeof(title), "A month of %s in %s, by images a day (shorter is cheaper)",
             name, r->prices->currency);
    for (size_t k = 0; k < per_day->n; k++) {
        for (size_t i = 0; i < r->n; i++, m++) {
            struct bill b = {.total = -1};

            (void)report_bill(r, &r->sides[i], set, (double)stored->v[0] / 1073741824.0,
                              (double)per_day->v[k], &b);
            if (i == 0)
                snprintf(text[m].label, sizeof(text[m].label), "%" PRIu64 " a day", per_day->v[k]);
            text_amount(b.total, text[m].value, sizeof(text[m].value));
            bars[m] = (struct chart_bar){.label = text[m].label,
                                         .value = text[m].value,
                                         .name = r->sides[i].shown,
                                         .side = (unsigned)i,
                                         .length = b.total};
        }
    }
    chart_bars(out, title, bars, m);
}

static void add_bill(const struct report *r, const struct price_set *set, struct buf *out)
{
    buf_adds(out, "<h2>A month at the prices &quot;");
    text_html(out, set->name);
    buf_adds(out, "&quot;, in ");
    text_html(out, r->prices->currency);
    buf_adds(out, "</h2>\n<p>");
    text_html(out, set->note);
    buf_adds(out, "</p>\n");
    add_months(r, set, out);
    for (size_t i = 0; i < set->n_estimates; i++)
        buf_addf(out, "%s%.0f GB: EFS %.0f, S3 %.0f", i == 0 ? "<p>Its own estimate: " : "; ",
                 set->estimates[i].gb, set->estimates[i].efs, set->estimates[i].s3);
    if (set->n_estimates > 0)
        buf_adds(out, "</p>\n");
    add_bill_chart(r, set, out);
}

int report_html(const struct report *r, struct buf *out)
{
    int e;

    buf_adds(out, head);
    add_sides(r, out);
    e = add_figures(r, out);
    if (e < 0)
        return e;
    for (size_t i = 0; i < r->prices->n; i++)
        add_bill(r, &r->prices->set[i], out);
    buf_addf(out,
             "<p>The bill: storage (EFS: and backup), and what was counted for an image, stored "
             "once and read %" PRIu64 " times; 30 days. Counted is all that came to a server in "
             "the time of a step, from whomever.</p>\n</body></html>\n",
             r->options->reads);
    return buf_failed(out) ? err_set(out->error, "the page is too long") : 0;
}
