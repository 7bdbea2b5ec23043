/* SPDX-License-Identifier: Apache-2.0 */
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/err.h"

#define MIB 1048576.0
#define GB (UINT64_C(1) << 30)

struct report_row *report_rows(const struct report *r, size_t *ret_n)
{
    struct report_row *rows = calloc(2 * r->steps->n + 1, sizeof(*rows));
    size_t n = 0;

    for (size_t i = 0; i < r->steps->n && rows != NULL; i++) {
        const struct step *s = &r->steps->step[i];
        char name[32];

        if (!s->is_asked && s->work != WORK_REMOVE)
            continue;
        steps_name(s, name, sizeof(name));
        rows[n] = (struct report_row){.step = i, .part = RUN_WRITE, .has_requests = true};
        if (s->work == WORK_MIX) {
            snprintf(rows[n].label, sizeof(rows[n].label), "%s: store", name);
            n++;
            rows[n] = (struct report_row){.step = i, .part = RUN_READ};
            snprintf(rows[n].label, sizeof(rows[n].label), "%s: read", name);
        } else {
            snprintf(rows[n].label, sizeof(rows[n].label), "%s", name);
            if (s->work == WORK_READ || s->work == WORK_LIST || s->work == WORK_WALK)
                rows[n].part = RUN_READ;
        }
        n++;
    }
    *ret_n = n;
    return rows;
}

/* What its requests are divided by. */
static uint64_t operations(const struct step *s, const struct measured *m, enum run_part part)
{
    if (s->work == WORK_TREE || s->work == WORK_WALK || s->work == WORK_REMOVE ||
        s->work == WORK_MIX)
        return m->run.files[part];
    return m->run.took[part].n;
}

void report_cell(const struct report *r, const struct report_row *row, const struct side *s,
                 struct report_cell *ret)
{
    const struct measured *m = &s->step[row->step];
    const struct step *step = &r->steps->step[row->step];
    double seconds = (double)m->run.ns / NS_PER_S;
    uint64_t n;

    *ret = (struct report_cell){.is_known = m->is_done, .took = &m->run.took[row->part]};
    if (!m->is_done)
        return;
    n = operations(step, m, row->part);
    ret->files = m->run.files[row->part];
    ret->bytes = m->run.bytes[row->part];
    ret->failed = m->run.failed;
    ret->wrong = m->run.wrong;
    ret->files_s = seconds > 0 ? (double)ret->files / seconds : 0;
    ret->mib_s = seconds > 0 ? (double)ret->bytes / MIB / seconds : 0;
    ret->is_counted = m->is_counted && row->has_requests;
    ret->requests = ret->is_counted ? counts_total(&m->counts) : 0;
    ret->requests_each = ret->is_counted && n > 0 ? (double)ret->requests / (double)n : 0;
}

/* What the steps of one kind cost altogether, and how many files that was. */
static bool cost_of(const struct report *r, const struct side *s, const struct price_set *set,
                    enum work work, enum run_part part, double *ret_cost, uint64_t *ret_files)
{
    enum bill_kind kind = s->kind == SIDE_NFS ? BILL_EFS : BILL_S3;
    bool known = true;

    *ret_cost = 0;
    *ret_files = 0;
    for (size_t i = 0; i < r->steps->n; i++) {
        const struct measured *m = &s->step[i];

        if (r->steps->step[i].work != work)
            continue;
        known = known && m->is_done && m->is_counted;
        *ret_cost += bill_of_counts(set, kind, &m->counts);
        *ret_files += m->run.files[part];
    }
    return known;
}

bool report_image(const struct report *r, const struct side *s, const struct price_set *set,
                  double *ret)
{
    double store, read;
    uint64_t stored, reads;

    if (s->kind == SIDE_OTHER)
        return false;
    if (!cost_of(r, s, set, WORK_MIX, RUN_WRITE, &store, &stored))
        return false;
    if (stored > 0) {
        *ret = store / (double)stored;
        return true;
    }
    if (!cost_of(r, s, set, WORK_UPLOAD, RUN_WRITE, &store, &stored) || stored == 0 ||
        !cost_of(r, s, set, WORK_READ, RUN_READ, &read, &reads))
        return false;
    if (reads == 0 && r->options->reads > 0)
        return false;
    *ret = store / (double)stored;
    if (reads > 0)
        *ret += read / (double)reads * (double)r->options->reads;
    return true;
}

bool report_bill(const struct report *r, const struct side *s, const struct price_set *set,
                 double gb, double images_per_day, struct bill *ret)
{
    double image;

    if (!report_image(r, s, set, &image))
        return false;
    bill_month(set, s->kind == SIDE_NFS ? BILL_EFS : BILL_S3, image, gb, images_per_day, ret);
    return true;
}

void report_stored_name(uint64_t bytes, char *out, size_t size)
{
    if (bytes >= 1024 * GB && bytes % (1024 * GB) == 0)
        snprintf(out, size, "%" PRIu64 " TB", bytes / GB / 1024);
    else if (bytes % GB == 0)
        snprintf(out, size, "%" PRIu64 " GB", bytes / GB);
    else
        snprintf(out, size, "%.2f GB", (double)bytes / (double)GB);
}
