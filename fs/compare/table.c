/* SPDX-License-Identifier: Apache-2.0 */
/* The result as people read it in a terminal. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "report.h"
#include "text.h"

/* Columns of what is seen, not bytes: continuation bytes of UTF-8 take none. */
static size_t width_of(const char *s)
{
    size_t n = 0;

    for (; *s != '\0'; s++)
        n += ((unsigned char)*s & 0xc0) != 0x80 ? 1 : 0;
    return n;
}

static size_t side_width(const struct report *r)
{
    size_t w = 4;

    for (size_t i = 0; i < r->n; i++)
        w = width_of(r->sides[i].shown) > w ? width_of(r->sides[i].shown) : w;
    return w;
}

static void pad(struct buf *out, const char *s, size_t width)
{
    size_t n = width_of(s);

    buf_addf(out, "%s%*s", s, (int)(n < width ? width - n : 0), "");
}

static void add_cell(struct buf *out, const struct report_cell *c)
{
    char t[4][32];

    if (!c->is_known) {
        buf_adds(out, "  not measured\n");
        return;
    }
    text_time(c->took->p50, t[0], sizeof(t[0]));
    text_time(c->took->p95, t[1], sizeof(t[1]));
    text_time(c->took->p99, t[2], sizeof(t[2]));
    if (c->is_counted)
        snprintf(t[3], sizeof(t[3]), "%.2f", c->requests_each);
    else
        snprintf(t[3], sizeof(t[3]), "-");
    buf_addf(out, " %9.1f %8.2f %8s %8s %8s %9s", c->files_s, c->mib_s, t[0], t[1], t[2], t[3]);
    if (c->failed > 0)
        buf_addf(out, "  %" PRIu64 " FAILED", c->failed);
    if (c->wrong > 0)
        buf_addf(out, "  %" PRIu64 " WRONG", c->wrong);
    buf_addc(out, '\n');
}

static int add_rows(const struct report *r, struct buf *out)
{
    size_t n, width = side_width(r);
    struct report_row *rows = report_rows(r, &n);

    if (rows == NULL)
        return err_set(-ENOMEM, "out of memory");
    buf_addf(out, "%-14s %5s  ", "work", "conc.");
    pad(out, "side", width);
    buf_addf(out, " %9s %8s %8s %8s %8s %9s\n", "files/s", "MiB/s", "p50", "p95", "p99",
             "requests");
    for (size_t k = 0; k < n; k++) {
        for (size_t i = 0; i < r->n; i++) {
            struct report_cell c;

            report_cell(r, &rows[k], &r->sides[i], &c);
            buf_addf(out, "%-14s ", i == 0 ? rows[k].label : "");
            if (i == 0)
                buf_addf(out, "%5u  ", r->steps->step[rows[k].step].concurrency);
            else
                buf_addf(out, "%5s  ", "");
            pad(out, r->sides[i].shown, width);
            add_cell(out, &c);
        }
    }
    free(rows);
    return 0;
}

static void add_money(struct buf *out, bool known, double v)
{
    char t[32];

    text_amount(known ? v : -1, t, sizeof(t));
    buf_addf(out, " %14s", t);
}

static void add_bill(const struct report *r, const struct price_set *set, struct buf *out)
{
    const struct list *stored = &r->options->stored, *per_day = &r->options->images_per_day;

    buf_addf(out, "\nA month in %s, prices \"%s\": %s\n%-10s %12s", r->prices->currency, set->name,
             set->note, "stored", "images/day");
    for (size_t i = 0; i < r->n; i++)
        buf_addf(out, " %*s%s",
                 (int)(width_of(r->sides[i].shown) < 14 ? 14 - width_of(r->sides[i].shown) : 0), "",
                 r->sides[i].shown);
    buf_addc(out, '\n');
    for (size_t g = 0; g < stored->n; g++) {
        for (size_t k = 0; k < per_day->n; k++) {
            char name[32];

            report_stored_name(stored->v[g], name, sizeof(name));
            buf_addf(out, "%-10s %12" PRIu64, k == 0 ? name : "", per_day->v[k]);
            for (size_t i = 0; i < r->n; i++) {
                struct bill b;
                bool known = report_bill(r, &r->sides[i], set, (double)stored->v[g] / 1073741824.0,
                                         (double)per_day->v[k], &b);

                add_money(out, known, known ? b.total : 0);
            }
            buf_addc(out, '\n');
        }
    }
    for (size_t i = 0; i < set->n_estimates; i++)
        buf_addf(out, "%s%.0f GB: EFS %.0f, S3 %.0f", i == 0 ? "its own estimate: " : "; ",
                 set->estimates[i].gb, set->estimates[i].efs, set->estimates[i].s3);
    if (set->n_estimates > 0)
        buf_addc(out, '\n');
}

static void add_sides(const struct report *r, struct buf *out)
{
    for (size_t i = 0; i < r->n; i++) {
        const struct side *s = &r->sides[i];

        buf_addf(out, "%s: %s%s%s%s\n", s->shown, s->fstype, *s->source != '\0' ? ", " : "",
                 s->source,
                 s->kind == SIDE_S3EFS ? ": requests to the bucket"
                 : s->kind == SIDE_NFS ? ": NFS operations"
                                       : ": requests are not known");
        if (*s->uncounted != '\0')
            buf_addf(out, "  if this is an s3efs: %s\n", s->uncounted);
        if (*s->failure != '\0')
            buf_addf(out, "  %s\n", s->failure);
    }
    buf_addc(out, '\n');
}

int report_table(const struct report *r, struct buf *out)
{
    int e;

    add_sides(r, out);
    e = add_rows(r, out);
    if (e < 0)
        return e;
    buf_adds(out, "\nrequests: of one file (mix: of an image with its reads; list: of one "
                  "listing). Every byte that was read was compared.\n");
    buf_addf(out, "Reads: %s\n",
             r->options->drop_caches
                 ? "the kernel's page cache was dropped before each step of reads"
                 : "as warm as each side keeps what it has just stored");
    for (size_t i = 0; i < r->prices->n; i++)
        add_bill(r, &r->prices->set[i], out);
    buf_addf(out,
             "\nThe bill: storage (EFS: and backup), and what was counted for an image, stored "
             "once and read %" PRIu64 " times; 30 days.\n",
             r->options->reads);
    return buf_failed(out) ? err_set(out->error, "the result is too long") : 0;
}
