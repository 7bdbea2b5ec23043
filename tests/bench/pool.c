/* SPDX-License-Identifier: Apache-2.0 */
#include "pool.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONC_MAX 1024
#define FAILURES_MAX 20 /* after so many a run stops: it is no figure any more */

static const struct pool *running;
static atomic_long next_op, failures;
static double *took; /* ms; 0: failed */
static char first_failure[512];
static pthread_mutex_t failure_lock = PTHREAD_MUTEX_INITIALIZER;

double pool_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void *pool_alloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);

    if (p == NULL) {
        fprintf(stderr, "no memory\n");
        exit(2);
    }
    return p;
}

uint64_t pool_number(const char *word)
{
    char *end;

    errno = 0;
    uint64_t v = strtoull(word, &end, 10);
    if (errno != 0 || *end != '\0' || end == word) {
        fprintf(stderr, "%s is no number\n", word);
        exit(2);
    }
    return v;
}

int pool_fail(const char *what, const char *name, const char *why)
{
    int e = errno;

    pthread_mutex_lock(&failure_lock);
    if (atomic_fetch_add(&failures, 1) == 0) {
        snprintf(first_failure, sizeof(first_failure), "%s %s: %s", what, name,
                 why ? why : strerror(e));
        for (char *c = first_failure; *c != '\0'; c++) /* it goes into JSON as it is */
            if (*c == '"' || *c == '\\' || (unsigned char)*c < 0x20)
                *c = '\'';
    }
    pthread_mutex_unlock(&failure_lock);
    return -1;
}

uint64_t pool_random(uint64_t x) /* splitmix64 */
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

unsigned char *pool_pattern(size_t size)
{
    unsigned char *p = pool_alloc(size + sizeof(uint64_t));

    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        uint64_t v = pool_random(i);

        memcpy(p + i, &v, sizeof(v));
    }
    return p;
}

void pool_head(unsigned char head[POOL_HEAD], long i)
{
    char text[32];

    snprintf(text, sizeof(text), "%-16ld", i);
    memcpy(head, text, POOL_HEAD);
}

int pool_verify(const unsigned char *pattern, size_t size, long i, uint64_t off, const void *buf,
                size_t len)
{
    unsigned char head[POOL_HEAD];
    const unsigned char *b = buf;
    char name[32];

    snprintf(name, sizeof(name), "%ld", i);
    if (off + len > size)
        return pool_fail("verify", name, "too long");
    pool_head(head, i);
    for (; off < POOL_HEAD && len > 0; off++, b++, len--)
        if (*b != head[off])
            return pool_fail("verify", name, "another file's bytes");
    return memcmp(b, pattern + off, len) == 0 ? 0 : pool_fail("verify", name, "wrong bytes");
}

void pool_name(char *out, size_t size, const char *dir, long dirs, long i)
{
    if (dirs > 1)
        snprintf(out, size, "%s/d%02ld/f-%06ld.jpg", dir, i % dirs, i);
    else
        snprintf(out, size, "%s/f-%06ld.jpg", dir, i);
}

static void *work(void *arg)
{
    const struct pool *p = running;
    void *state = p->state_new ? p->state_new() : NULL;

    (void)arg;
    for (;;) {
        long i = atomic_fetch_add(&next_op, 1);

        if (i >= p->n || atomic_load(&failures) > FAILURES_MAX)
            break;
        double start = pool_now();
        if (p->op(state, i) == 0)
            took[i] = (pool_now() - start) * 1e3;
    }
    if (p->state_free)
        p->state_free(state);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const double *x = a, *y = b;

    return (*x > *y) - (*x < *y);
}

static void report(double seconds)
{
    const struct pool *p = running;
    long n = 0;

    for (long i = 0; i < p->n; i++)
        if (took[i] > 0)
            took[n++] = took[i];
    qsort(took, (size_t)n, sizeof(*took), compare);
    printf(
        "{\"verb\":\"%s\",\"ops\":%ld,\"failures\":%ld,\"first_failure\":\"%s\",\"seconds\":%.5f,"
        "\"ops_per_s\":%.2f,\"mb_per_s\":%.2f,\"p50_ms\":%.3f,\"p95_ms\":%.3f,\"p99_ms\":%.3f}\n",
        p->verb, n, atomic_load(&failures), first_failure, seconds, (double)n / seconds,
        (double)n * (double)p->each / 1e6 / seconds, n ? took[(n - 1) / 2] : 0.0,
        n ? took[(n - 1) * 95 / 100] : 0.0, n ? took[(n - 1) * 99 / 100] : 0.0);
}

int pool_run(const struct pool *p)
{
    pthread_t thread[CONC_MAX];
    long started = 0;

    if (p->conc < 1 || p->conc > CONC_MAX || p->n < 1) {
        fprintf(stderr, "%ld operations, %ld at once?\n", p->n, p->conc);
        return 2;
    }
    running = p;
    took = pool_alloc((size_t)p->n * sizeof(*took));
    double start = pool_now();
    while (started < p->conc && pthread_create(&thread[started], NULL, work, NULL) == 0)
        started++;
    if (started < p->conc)
        pool_fail("pthread_create", p->verb, "fewer threads than asked for");
    for (long i = 0; i < started; i++)
        pthread_join(thread[i], NULL);
    report(pool_now() - start);
    free(took);
    return atomic_load(&failures) ? 1 : 0;
}
