/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[HIST_KINDS] = {"create", "append", "count", "put", "get"};

int hist_add(struct hist *h, const struct hist_event *e)
{
    if (h->n == h->cap) {
        size_t cap = 2 * h->cap + 64;
        struct hist_event *more = realloc(h->v, cap * sizeof(*more));

        if (more == NULL)
            return -ENOMEM;
        h->v = more;
        h->cap = cap;
    }
    h->v[h->n++] = *e;
    return 0;
}

void hist_done(struct hist *h)
{
    free(h->v);
    *h = (struct hist){0};
}

void hist_write(FILE *f, const struct hist_event *e)
{
    fprintf(f, "%s %u %" PRId64 " %" PRId64 " %s %" PRIu64 " %d\n", kinds[e->kind], e->proc,
            e->begin, e->end, e->object, e->value, e->result);
}

int hist_read(struct hist *h, FILE *f)
{
    char line[256], kind[16];

    while (fgets(line, sizeof(line), f) != NULL) {
        struct hist_event e = {0};
        unsigned k = 0;

        if (sscanf(line, "%15s %u %" SCNd64 " %" SCNd64 " %15s %" SCNu64 " %d", kind, &e.proc,
                   &e.begin, &e.end, e.object, &e.value, &e.result) != 7)
            return -EINVAL;
        while (k < HIST_KINDS && strcmp(kind, kinds[k]) != 0)
            k++;
        e.kind = (enum hist_kind)k;
        if (k == HIST_KINDS || hist_add(h, &e) < 0)
            return -EINVAL;
    }
    return 0;
}

static unsigned fault(FILE *out, const char *what, const struct hist_event *e,
                      const struct hist_event *other)
{
    fprintf(out, "%s: ", what);
    if (e != NULL)
        hist_write(out, e);
    if (other != NULL) {
        fputs("    and ", out);
        hist_write(out, other);
    }
    if (e == NULL && other == NULL)
        fputc('\n', out);
    return 1;
}

static int is_of(const struct hist_event *e, enum hist_kind kind, const char *object)
{
    return e->kind == kind && strcmp(e->object, object) == 0;
}

unsigned hist_check_winner(const struct hist *h, const char *object, uint64_t found, FILE *out)
{
    const struct hist_event *winner = NULL;
    unsigned faults = 0, doubtful = 0, tries = 0;

    for (size_t i = 0; i < h->n; i++) {
        const struct hist_event *e = &h->v[i];

        if (!is_of(e, HIST_CREATE, object))
            continue;
        tries++;
        doubtful += e->result != 0 && e->result != -EEXIST;
        if (e->result != 0)
            continue;
        if (winner != NULL)
            faults += fault(out, "two winners", e, winner);
        winner = e;
        if (e->value != found)
            faults += fault(out, "the winner's bytes are not there", e, NULL);
    }
    if (tries > 0 && doubtful == 0 && winner == NULL)
        faults += fault(out, "everybody was told that it exists", NULL, NULL);
    return faults;
}

unsigned hist_check_appends(const struct hist *h, const char *object, const uint64_t *records,
                            size_t n, FILE *out)
{
    size_t known = 0;
    unsigned faults = 0;

    for (size_t i = 0; i < h->n; i++) {
        const struct hist_event *e = &h->v[i];
        size_t times = 0;

        if (!is_of(e, HIST_APPEND, object))
            continue;
        for (size_t k = 0; k < n; k++)
            times += records[k] == e->value;
        known += times;
        if (times > 1)
            faults += fault(out, "appended more than once", e, NULL);
        if (times == 0 && e->result == 0)
            faults += fault(out, "an acknowledged append is lost", e, NULL);
    }
    if (known != n)
        faults += fault(out, "records that nobody appended", NULL, NULL);
    return faults;
}

unsigned hist_check_counter(const struct hist *h, const char *object, uint64_t last, FILE *out)
{
    uint64_t done = 0, doubtful = 0;
    unsigned faults = 0;

    for (size_t i = 0; i < h->n; i++) {
        const struct hist_event *e = &h->v[i];

        if (!is_of(e, HIST_COUNT, object))
            continue;
        done += e->result == 0;
        doubtful += e->result != 0;
        for (size_t k = 0; k < i && e->result == 0; k++)
            if (is_of(&h->v[k], HIST_COUNT, object) && h->v[k].result == 0 &&
                h->v[k].value == e->value)
                faults += fault(out, "two increments of one value", e, &h->v[k]);
    }
    if (last < done || last > done + doubtful) {
        fprintf(out, "%s: %" PRIu64 " increments, and the counter is %" PRIu64 "\n", object, done,
                last);
        faults++;
    }
    return faults;
}

static const struct hist_event *put_of(const struct hist *h, const char *object, uint64_t value)
{
    static const struct hist_event first; /* what was there before all: value 0, at 0 */

    for (size_t i = 0; i < h->n; i++)
        if (is_of(&h->v[i], HIST_PUT, object) && h->v[i].value == value)
            return &h->v[i];
    return value == 0 ? &first : NULL;
}

/* A put that came after `put` was over, and was over itself before `at`. */
static const struct hist_event *replaced_by(const struct hist *h, const char *object,
                                            const struct hist_event *put, int64_t at)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct hist_event *e = &h->v[i];

        if (is_of(e, HIST_PUT, object) && e->result == 0 && put->end < e->begin && e->end < at)
            return e;
    }
    return NULL;
}

static unsigned check_monotonic(const struct hist *h, const char *object, size_t n,
                                const struct hist_event *put, FILE *out)
{
    const struct hist_event *e = &h->v[n];

    for (size_t i = 0; i < h->n; i++) {
        const struct hist_event *before = &h->v[i], *seen;

        if (!is_of(before, HIST_GET, object) || before->result != 0 || before->end >= e->begin)
            continue;
        seen = put_of(h, object, before->value);
        if (seen != NULL && put->end < seen->begin)
            return fault(out, "a read goes back behind an earlier one", e, before);
    }
    return 0;
}

unsigned hist_check_reads(const struct hist *h, const char *object, FILE *out)
{
    unsigned faults = 0;

    for (size_t i = 0; i < h->n; i++) {
        const struct hist_event *e = &h->v[i], *put, *later;

        if (!is_of(e, HIST_GET, object))
            continue;
        if (e->result == -EILSEQ)
            faults += fault(out, "a torn read", e, NULL);
        if (e->result != 0)
            continue;
        put = put_of(h, object, e->value);
        if (put == NULL || put->begin > e->end) {
            faults += fault(out, "a value that nobody had written", e, NULL);
            continue;
        }
        later = replaced_by(h, object, put, e->begin);
        if (later != NULL)
            faults += fault(out, "an old version", e, later);
        faults += check_monotonic(h, object, i, put, out);
    }
    return faults;
}
