/* SPDX-License-Identifier: Apache-2.0 */
/* Processes on several mounts of one bucket do the same kinds of things at random, and the checkers
 * look at the history of it: exclusive creates, appends, a counter under flock, whole
 * replacements, reads.
 *
 *   histories SECONDS SEED HISTORY-FILE MOUNT MOUNT MOUNT      exit 0: no fault */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "history.h"

#define MOUNTS 3
#define PROCS 6 /* two on each */
#define WORDS_MAX 8000

static int64_t now_ns(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* A file of one value: as many words of it as it says itself. */
static size_t words_of(uint64_t value)
{
    return 1 + (size_t)(value * 2654435761u % WORDS_MAX);
}

static int shut(int fd, int r)
{
    return close(fd) < 0 && r == 0 ? -errno : r;
}

static int write_words(int fd, uint64_t value)
{
    static uint64_t buf[WORDS_MAX + 1];
    size_t n = words_of(value);

    for (size_t i = 0; i < n; i++)
        buf[i] = value;
    return shut(fd, write(fd, buf, n * sizeof(*buf)) == (ssize_t)(n * sizeof(*buf)) ? 0 : -EIO);
}

static int put(const char *path, int flags, uint64_t value)
{
    int fd = open(path, O_WRONLY | O_CREAT | flags, 0644);

    return fd < 0 ? -errno : write_words(fd, value);
}

static int get(const char *path, uint64_t *ret)
{
    static uint64_t buf[WORDS_MAX + 1];
    int fd = open(path, O_RDONLY);
    size_t len = 0;
    ssize_t n = 0;

    *ret = 0;
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    do { /* in pieces: others replace it between them */
        len += (size_t)n;
        n = read(fd, (char *)buf + len, len + 9000 < sizeof(buf) ? 9000 : sizeof(buf) - len);
    } while (n > 0);
    if (n < 0)
        return shut(fd, -errno);
    *ret = len >= sizeof(*buf) ? buf[0] : 0;
    if (len == 0 || len != words_of(*ret) * sizeof(*buf))
        return shut(fd, -EILSEQ);
    for (size_t i = 0; i < len / sizeof(*buf); i++)
        if (buf[i] != *ret)
            return shut(fd, -EILSEQ);
    return shut(fd, 0);
}

static int append(const char *path, uint64_t value)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);

    if (fd < 0)
        return -errno;
    return shut(fd, write(fd, &value, sizeof(value)) == sizeof(value) ? 0 : -EIO);
}

static int count(const char *path, uint64_t *ret)
{
    int fd = open(path, O_RDWR | O_CREAT, 0644);
    uint64_t next;
    int r = 0;

    *ret = 0;
    if (fd < 0)
        return -errno;
    if (flock(fd, LOCK_EX) < 0 || pread(fd, ret, sizeof(*ret), 0) < 0)
        return shut(fd, -errno);
    next = *ret + 1;
    if (pwrite(fd, &next, sizeof(next), 0) != sizeof(next))
        r = -EIO;
    return shut(fd, r);
}

struct worker {
    const char *mount;
    unsigned proc;
    uint64_t seq;
    unsigned created;
    FILE *out;
};

/* Page j is replaced by one process on mount j and one on the next, and read on the third: a reader
 * on a writer's own mount sees it half written, as on any file system. */
static unsigned page_of(const struct worker *w, enum hist_kind kind, unsigned pick)
{
    unsigned mount = (w->proc - 1) % MOUNTS;

    return kind == HIST_GET ? (mount + 1) % MOUNTS : (mount + 2 * (pick % 2)) % MOUNTS;
}

static void name_object(struct worker *w, struct hist_event *e, unsigned pick)
{
    if (e->kind == HIST_PUT && w->proc > MOUNTS)
        e->kind = HIST_GET; /* one writer a mount: two on one would mix their bytes */
    if (e->kind == HIST_CREATE)
        snprintf(e->object, sizeof(e->object), "x%u", w->created++);
    else if (e->kind == HIST_APPEND || e->kind == HIST_COUNT)
        snprintf(e->object, sizeof(e->object), e->kind == HIST_APPEND ? "log" : "counter");
    else
        snprintf(e->object, sizeof(e->object), "page%u", page_of(w, e->kind, pick));
}

static int act(struct worker *w, struct hist_event *e)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", w->mount, e->object);
    e->value = (uint64_t)w->proc << 32 | ++w->seq;
    switch (e->kind) {
    case HIST_CREATE:
        return put(path, O_EXCL, e->value);
    case HIST_APPEND:
        return append(path, e->value);
    case HIST_COUNT:
        return count(path, &e->value);
    case HIST_PUT:
        return put(path, O_TRUNC, e->value);
    case HIST_GET:
        return get(path, &e->value);
    case HIST_KINDS:
    default:
        return -EINVAL;
    }
}

static int work(struct worker *w, unsigned seed, int64_t until)
{
    static const enum hist_kind often[] = {HIST_CREATE, HIST_APPEND, HIST_APPEND, HIST_COUNT,
                                           HIST_PUT,    HIST_GET,    HIST_GET,    HIST_GET};

    seed = seed * 100 + w->proc;
    while (now_ns() < until) {
        struct hist_event e = {.kind = often[rand_r(&seed) % 8], .proc = w->proc};

        name_object(w, &e, (unsigned)rand_r(&seed));
        e.begin = now_ns();
        e.result = act(w, &e);
        e.end = now_ns();
        hist_write(w->out, &e);
    }
    return fclose(w->out) == 0 ? 0 : 1;
}

static size_t read_words(const char *mount, const char *name, uint64_t *buf, size_t max)
{
    char path[4096];
    ssize_t n;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", mount, name);
    f = fopen(path, "r");
    if (f == NULL)
        return 0;
    n = (ssize_t)fread(buf, sizeof(*buf), max, f);
    fclose(f);
    return (size_t)n;
}

/* What each mount has in the end. */
static unsigned check(const struct hist *h, const char *mount)
{
    static uint64_t records[1000000];
    size_t n = read_words(mount, "log", records, sizeof(records) / sizeof(*records));
    unsigned faults = hist_check_appends(h, "log", records, n, stdout);
    uint64_t value = 0;

    (void)read_words(mount, "counter", &value, 1);
    faults += hist_check_counter(h, "counter", value, stdout);
    for (unsigned i = 0;; i++) {
        char name[16];
        bool is_known = false;

        snprintf(name, sizeof(name), "x%u", i);
        for (size_t k = 0; k < h->n && !is_known; k++)
            is_known = strcmp(h->v[k].object, name) == 0;
        if (!is_known)
            return faults;
        value = 0;
        (void)read_words(mount, name, &value, 1);
        faults += hist_check_winner(h, name, value, stdout);
    }
}

static int run(int seconds, unsigned seed, const char *file, char **mounts, int n)
{
    int64_t until = now_ns() + seconds * INT64_C(1000000000);
    int failed = 0, status;

    for (unsigned p = 0; p < PROCS; p++) {
        char name[4096];
        struct worker w = {.mount = mounts[p % (unsigned)n], .proc = p + 1};

        snprintf(name, sizeof(name), "%s.%u", file, p);
        if (fork() == 0) {
            w.out = fopen(name, "w");
            _exit(w.out != NULL ? work(&w, seed, until) : 1);
        }
    }
    while (wait(&status) > 0)
        failed += status != 0;
    return failed;
}

static int collect(struct hist *h, const char *file)
{
    FILE *all = fopen(file, "w");
    int r = all != NULL ? 0 : -errno;

    for (unsigned p = 0; p < PROCS && r == 0; p++) {
        char name[4096];
        FILE *f;

        snprintf(name, sizeof(name), "%s.%u", file, p);
        f = fopen(name, "r");
        r = f != NULL ? hist_read(h, f) : -errno;
        if (f != NULL)
            fclose(f);
        (void)unlink(name);
    }
    for (size_t i = 0; i < h->n && all != NULL; i++)
        hist_write(all, &h->v[i]);
    if (all != NULL)
        fclose(all);
    return r;
}

int main(int argc, char **argv)
{
    struct hist h = {0};
    unsigned faults = 0, errors = 0;

    if (argc != 4 + MOUNTS) {
        fprintf(stderr, "usage: histories SECONDS SEED HISTORY-FILE MOUNT MOUNT MOUNT\n");
        return 2;
    }
    if (run((int)strtol(argv[1], NULL, 10), (unsigned)strtoul(argv[2], NULL, 10), argv[3], argv + 4,
            argc - 4) != 0 ||
        collect(&h, argv[3]) < 0) {
        fprintf(stderr, "the processes did not finish\n");
        return 2;
    }
    for (int i = 4; i < argc; i++)
        faults += check(&h, argv[i]);
    for (int i = 0; i < MOUNTS; i++) {
        char page[16];

        snprintf(page, sizeof(page), "page%d", i);
        faults += hist_check_reads(&h, page, stdout);
    }
    for (size_t i = 0; i < h.n; i++)
        errors += h.v[i].result != 0 && h.v[i].result != -EEXIST;
    for (size_t i = 0; i < h.n; i++)
        if (h.v[i].result != 0 && h.v[i].result != -EEXIST)
            hist_write(stdout, &h.v[i]);
    printf("%zu events, %u errors, %u faults\n", h.n, errors, faults);
    hist_done(&h);
    return faults == 0 ? 0 : 1;
}
