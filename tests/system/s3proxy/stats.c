/* SPDX-License-Identifier: Apache-2.0 */
/* What went through (see stats.h). */
#include "stats.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define STATUSES 600
#define LOG_MAX 100000

struct line {
    enum kind kind;
    int status;
    char *key;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t counts[KINDS][STATUSES];
static uint64_t bytes_up, bytes_down, connections;
static unsigned under_way, most_under_way;
static struct line log_lines[LOG_MAX];
static size_t n_lines;

void stats_count(const struct target *t, int status)
{
    pthread_mutex_lock(&lock);
    counts[t->kind][status]++;
    if (n_lines < LOG_MAX)
        log_lines[n_lines++] = (struct line){t->kind, status, strdup(t->key)};
    pthread_mutex_unlock(&lock);
}

void stats_up(void *unused, uint64_t bytes)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    bytes_up += bytes;
    pthread_mutex_unlock(&lock);
}

void stats_down(void *unused, uint64_t bytes)
{
    (void)unused;
    pthread_mutex_lock(&lock);
    bytes_down += bytes;
    pthread_mutex_unlock(&lock);
}

void stats_connection(void)
{
    pthread_mutex_lock(&lock);
    connections++;
    pthread_mutex_unlock(&lock);
}

void stats_begin(void)
{
    pthread_mutex_lock(&lock);
    if (++under_way > most_under_way)
        most_under_way = under_way;
    pthread_mutex_unlock(&lock);
}

void stats_end(void)
{
    pthread_mutex_lock(&lock);
    under_way--;
    pthread_mutex_unlock(&lock);
}

void stats_reset(void)
{
    pthread_mutex_lock(&lock);
    memset(counts, 0, sizeof(counts));
    bytes_up = bytes_down = connections = 0;
    most_under_way = under_way;
    for (size_t i = 0; i < n_lines; i++)
        free(log_lines[i].key);
    n_lines = 0;
    pthread_mutex_unlock(&lock);
}

static uint64_t of_kind(size_t k)
{
    uint64_t n = 0;

    for (size_t s = 0; s < STATUSES; s++)
        n += counts[k][s];
    return n;
}

static void print_kinds(FILE *f)
{
    const char *comma = "";

    fputs("{\"requests\":{", f);
    for (size_t k = 0; k < KINDS; k++) {
        if (!of_kind(k))
            continue;
        fprintf(f, "%s\"%s\":%llu", comma, kind_names[k], (unsigned long long)of_kind(k));
        comma = ",";
    }
    comma = "";
    fputs("},\"by_kind_status\":{", f);
    for (size_t k = 0; k < KINDS; k++) {
        const char *inner = "";

        if (!of_kind(k))
            continue;
        fprintf(f, "%s\"%s\":{", comma, kind_names[k]);
        for (size_t s = 0; s < STATUSES; s++) {
            if (!counts[k][s])
                continue;
            fprintf(f, "%s\"%zu\":%llu", inner, s, (unsigned long long)counts[k][s]);
            inner = ",";
        }
        fputc('}', f);
        comma = ",";
    }
    fputs("},", f);
}

void stats_print(FILE *f)
{
    const char *comma = "";

    pthread_mutex_lock(&lock);
    print_kinds(f);
    fputs("\"statuses\":{", f);
    for (size_t s = 0; s < STATUSES; s++) {
        uint64_t n = 0;

        for (size_t k = 0; k < KINDS; k++)
            n += counts[k][s];
        if (!n)
            continue;
        fprintf(f, "%s\"%zu\":%llu", comma, s, (unsigned long long)n);
        comma = ",";
    }
    fprintf(f, "},\"bytes_up\":%llu,\"bytes_down\":%llu,\"connections\":%llu,"
            "\"under_way\":%u,\"most_under_way\":%u}\n",
            (unsigned long long)bytes_up, (unsigned long long)bytes_down,
            (unsigned long long)connections, under_way, most_under_way);
    pthread_mutex_unlock(&lock);
}

static void print_string(FILE *f, const char *s)
{
    fputc('"', f);
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;

        if (c == '"' || c == '\\')
            fprintf(f, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f) /* bytes, not characters: a key need not be UTF-8 */
            fprintf(f, "\\u%04x", c);
        else
            fputc(c, f);
    }
    fputc('"', f);
}

void stats_print_log(FILE *f)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n_lines; i++) {
        fprintf(f, "{\"kind\":\"%s\",\"status\":%d,\"key\":", kind_names[log_lines[i].kind],
                log_lines[i].status);
        print_string(f, log_lines[i].key ? log_lines[i].key : "");
        fputs("}\n", f);
    }
    pthread_mutex_unlock(&lock);
}
