/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a run: rows, each with a cell for each side, and the month's bills; as a table,
 * as JSON, as a page. Threads: one. */
#ifndef S3EFS_FS_COMPARE_REPORT_H
#define S3EFS_FS_COMPARE_REPORT_H

#include "base/buf.h"
#include "bill.h"
#include "prices.h"
#include "side.h"

#define REPORT_MAX (64u << 20)

struct report {
    const struct options *options;
    const struct steps *steps;
    const struct prices *prices;
    const struct side *sides;
    size_t n;
};

/* A row: one kind of operation of one step. Of a mix there are two, stores and reads. */
struct report_row {
    char label[48];
    size_t step; /* of the steps */
    enum run_part part;
    bool has_requests; /* they are told with this row */
};
struct report_cell {
    bool is_known;
    double files_s, mib_s;
    const struct hist_summary *took;
    uint64_t files, bytes, requests, failed, wrong;
    bool is_counted;
    double requests_each; /* of an operation; of a mix, of an image with its reads */
};
/* The rows that are shown; free() them. NULL: no memory. */
struct report_row *report_rows(const struct report *r, size_t *ret_n);
void report_cell(const struct report *r, const struct report_row *row, const struct side *s,
                 struct report_cell *ret);

/* What one image costs on a side: stored once and read options->reads times, from the steps of the
 * run that stored and read. false: not known (nobody counted, or nothing was stored). */
bool report_image(const struct report *r, const struct side *s, const struct price_set *set,
                  double *ret);
bool report_bill(const struct report *r, const struct side *s, const struct price_set *set,
                 double gb, double images_per_day, struct bill *ret);
/* "100 GB", "1 TB" */
void report_stored_name(uint64_t bytes, char *out, size_t size);

_must_check_ int report_table(const struct report *r, struct buf *out);
_must_check_ int report_json(const struct report *r, struct buf *out);
_must_check_ int report_html(const struct report *r, struct buf *out);

#endif
