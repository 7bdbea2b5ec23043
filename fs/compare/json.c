/* SPDX-License-Identifier: Apache-2.0 */
/* The result as one JSON object. */
#include <errno.h>
#include <jansson.h>
#include "base/clock.h"
#include "base/err.h"
#include "report.h"
#include "text.h"

static void put(json_t *o, const char *key, uint64_t v)
{
    json_object_set_new(o, key, json_integer((json_int_t)v));
}

static void put_real(json_t *o, const char *key, double v)
{
    json_object_set_new(o, key, json_real(v));
}

static void put_ms(json_t *o, const char *key, uint64_t ns)
{
    put_real(o, key, (double)ns / NS_PER_MS);
}

static void put_text(json_t *o, const char *key, const char *v)
{
    json_object_set_new(o, key, json_string(v));
}

static json_t *requests_json(const struct counts *c)
{
    json_t *o = json_object();

    for (size_t i = 0; i < c->n; i++)
        put(o, c->op[i].name, c->op[i].n);
    return o;
}

static void add_counts(json_t *o, const struct counts *c)
{
    json_object_set_new(o, "requests", requests_json(c));
    put(o, "requests_total", counts_total(c));
    put(o, "bytes_up", c->bytes_up);
    put(o, "bytes_down", c->bytes_down);
}

static json_t *part_json(const struct run_result *run, enum run_part part)
{
    const struct hist_summary *t = &run->took[part];
    double seconds = (double)run->ns / NS_PER_S;
    json_t *o = json_object();

    put(o, "operations", t->n);
    put(o, "files", run->files[part]);
    put(o, "bytes", run->bytes[part]);
    put_real(o, "files_per_s", seconds > 0 ? (double)run->files[part] / seconds : 0);
    put_real(o, "mib_per_s", seconds > 0 ? (double)run->bytes[part] / 1048576 / seconds : 0);
    put_ms(o, "mean_ms", t->mean);
    put_ms(o, "p50_ms", t->p50);
    put_ms(o, "p95_ms", t->p95);
    put_ms(o, "p99_ms", t->p99);
    put_ms(o, "max_ms", t->max);
    return o;
}

static json_t *step_json(const struct step *s, const struct measured *m)
{
    json_t *o = json_object();

    put_text(o, "work", steps_work_name(s->work));
    put(o, "size", s->size);
    put(o, "concurrency", s->concurrency);
    put(o, "group", s->group);
    json_object_set_new(o, "asked", json_boolean(s->is_asked));
    put_real(o, "seconds", (double)m->run.ns / NS_PER_S);
    put(o, "failed", m->run.failed);
    put(o, "wrong", m->run.wrong);
    put_text(o, "first_error", m->run.first);
    if (m->run.took[RUN_WRITE].n > 0)
        json_object_set_new(o, "store", part_json(&m->run, RUN_WRITE));
    if (m->run.took[RUN_READ].n > 0)
        json_object_set_new(o, "read", part_json(&m->run, RUN_READ));
    if (m->is_counted)
        add_counts(o, &m->counts);
    return o;
}

static json_t *side_json(const struct report *r, const struct side *s)
{
    static const char *const kinds[] = {
        [SIDE_S3EFS] = "s3efs", [SIDE_NFS] = "nfs", [SIDE_OTHER] = "other"};
    json_t *o = json_object(), *steps = json_array();

    put_text(o, "dir", s->shown);
    put_text(o, "kind", kinds[s->kind]);
    put_text(o, "type", s->fstype);
    put_text(o, "source", s->source);
    put_text(o, "uncounted", s->uncounted);
    put_text(o, "failure", s->failure);
    put_text(o, "left_behind", s->left);
    if (s->has_total)
        add_counts(o, &s->total);
    for (size_t i = 0; i < r->steps->n; i++)
        if (s->step[i].is_done)
            json_array_append_new(steps, step_json(&r->steps->step[i], &s->step[i]));
    json_object_set_new(o, "steps", steps);
    return o;
}

static json_t *month_json(const struct report *r, const struct price_set *set, uint64_t stored,
                          uint64_t images)
{
    json_t *o = json_object(), *sides = json_array();

    put(o, "stored_bytes", stored);
    put(o, "images_per_day", images);
    for (size_t i = 0; i < r->n; i++) {
        json_t *one = json_null();
        struct bill b;

        if (report_bill(r, &r->sides[i], set, (double)stored / 1073741824.0, (double)images, &b)) {
            one = json_object();
            put_real(one, "storage", b.storage);
            put_real(one, "backup", b.backup);
            put_real(one, "use", b.use);
            put_real(one, "total", b.total);
        }
        json_array_append_new(sides, one);
    }
    json_object_set_new(o, "sides", sides);
    return o;
}

static json_t *bill_json(const struct report *r, const struct price_set *set)
{
    json_t *o = json_object(), *months = json_array(), *images = json_array(),
           *estimates = json_array();
    const struct list *stored = &r->options->stored, *per_day = &r->options->images_per_day;

    put_text(o, "prices", set->name);
    put_text(o, "note", set->note);
    put_text(o, "currency", r->prices->currency);
    for (size_t i = 0; i < r->n; i++) {
        double image;

        json_array_append_new(images, report_image(r, &r->sides[i], set, &image) ? json_real(image)
                                                                                 : json_null());
    }
    json_object_set_new(o, "image", images);
    for (size_t g = 0; g < stored->n; g++)
        for (size_t i = 0; i < per_day->n; i++)
            json_array_append_new(months, month_json(r, set, stored->v[g], per_day->v[i]));
    json_object_set_new(o, "months", months);
    for (size_t i = 0; i < set->n_estimates; i++) {
        json_t *e = json_object();

        put_real(e, "gb", set->estimates[i].gb);
        put_real(e, "efs", set->estimates[i].efs);
        put_real(e, "s3", set->estimates[i].s3);
        json_array_append_new(estimates, e);
    }
    json_object_set_new(o, "estimates", estimates);
    return o;
}

static int add_piece(const char *piece, size_t n, void *out)
{
    return buf_add(out, piece, n) == 0 ? 0 : -1;
}

int report_json(const struct report *r, struct buf *out)
{
    json_t *o = json_object(), *sides = json_array(), *bills = json_array();
    int e = 0;

    put_text(o, "version", PACKAGE_VERSION);
    put(o, "seed", r->options->seed);
    put(o, "files", r->options->files);
    put(o, "reads", r->options->reads);
    json_object_set_new(o, "caches_dropped", json_boolean(r->options->drop_caches));
    for (size_t i = 0; i < r->n; i++)
        json_array_append_new(sides, side_json(r, &r->sides[i]));
    for (size_t i = 0; i < r->prices->n; i++)
        json_array_append_new(bills, bill_json(r, &r->prices->set[i]));
    json_object_set_new(o, "sides", sides);
    json_object_set_new(o, "bills", bills);
    if (json_dump_callback(o, add_piece, out, JSON_INDENT(2) | JSON_REAL_PRECISION(12)) != 0 &&
        !buf_failed(out))
        e = err_set(-ENOMEM, "out of memory");
    json_decref(o);
    buf_addc(out, '\n');
    return e == 0 && buf_failed(out)
               ? err_set(out->error, "the result is too long, or there is no memory for it")
               : e;
}
