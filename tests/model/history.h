/* SPDX-License-Identifier: Apache-2.0 */
/* Histories of calls by several processes on several mounts, and what must be so of them whatever
 * the interleaving. Times are of one clock (CLOCK_MONOTONIC of one machine). Each check returns how
 * many faults it found, and writes each as a line to `out`. */
#ifndef S3EFS_TESTS_HISTORY_H
#define S3EFS_TESTS_HISTORY_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum hist_kind {
    HIST_CREATE, /* O_EXCL until close: value is the creator */
    HIST_APPEND, /* value: the record */
    HIST_COUNT,  /* under a lock: read value, write value + 1 */
    HIST_PUT,    /* the whole file replaced by this value */
    HIST_GET,    /* the value read; -EILSEQ: of several versions */
    HIST_KINDS
};

struct hist_event {
    enum hist_kind kind;
    unsigned proc;
    int64_t begin, end;
    char object[16];
    uint64_t value;
    int result; /* 0, -errno */
};

struct hist {
    struct hist_event *v;
    size_t n, cap;
};

int hist_add(struct hist *h, const struct hist_event *e); /* 0, -ENOMEM */
void hist_done(struct hist *h);
void hist_write(FILE *f, const struct hist_event *e); /* one line */
int hist_read(struct hist *h, FILE *f);               /* 0, -EINVAL: not what was written */

/* An exclusive create: at most one wins, and somebody does where nobody failed but by EEXIST. found
 * is the creator whose bytes are there (0: no file). */
unsigned hist_check_winner(const struct hist *h, const char *object, uint64_t found, FILE *out);
/* The records of a file that is only appended to: acknowledged ones once, failed ones at most once,
 * no others. */
unsigned hist_check_appends(const struct hist *h, const char *object, const uint64_t *records,
                            size_t n, FILE *out);
/* No two increments saw the same value, and the end is their number. */
unsigned hist_check_counter(const struct hist *h, const char *object, uint64_t last, FILE *out);
/* Close-to-open and monotonic reads: no read shows what a put that ended before the read began had
 * replaced, none is older than one that ended before it began, none is torn. Values are unique; 0
 * is what was there first. */
unsigned hist_check_reads(const struct hist *h, const char *object, FILE *out);

#endif
