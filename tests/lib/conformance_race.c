/* SPDX-License-Identifier: Apache-2.0 */
/* Conformance rows: many requests at once. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>
#include <string.h>
#include "conformance_int.h"

struct racer {
    struct cf c; /* its own: why is written by each thread */
    const char *key;
    pthread_barrier_t *start;
    unsigned id, rounds;
    int result;
    unsigned done;
};

#define RACERS_MAX 32

/* Runs n threads of fn on copies of *model, and waits for them. */
static int race(struct cf *c, unsigned n, const struct racer *model, void *(*fn)(void *),
                struct racer v[RACERS_MAX])
{
    pthread_t threads[RACERS_MAX];
    pthread_barrier_t start;
    CHECK(c, pthread_barrier_init(&start, NULL, n) == 0, "no barrier");
    for (unsigned i = 0; i < n; i++) {
        v[i] = *model;
        v[i].c = *c;
        v[i].id = i;
        v[i].start = &start;
        if (pthread_create(&threads[i], NULL, fn, &v[i]) != 0)
            abort(); /* the others wait at the barrier */
    }
    for (unsigned i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    return 0;
}

static void *create_once(void *arg)
{
    struct racer *t = arg;
    char text[32];
    snprintf(text, sizeof(text), "racer %u", t->id);
    pthread_barrier_wait(t->start);
    t->result = cf_put(&t->c, t->key, text, strlen(text), CF_ABSENT, NULL, NULL);
    if (t->result < 0)
        (void)cf_fail(&t->c, "%s", cf_result(t->result));
    return NULL;
}

static unsigned rounds_of(const struct cf *c)
{
    return c->conf->race_rounds == 0 ? 3 : c->conf->race_rounds;
}

static int race_if_absent(struct cf *c)
{
    for (unsigned round = 0; round < rounds_of(c); round++) {
        struct racer v[RACERS_MAX];
        char k[CF_KEY], name[32], text[32];
        unsigned winners = 0, winner = 0;
        snprintf(name, sizeof(name), "round%u", round);
        if (race(c, 16, &(struct racer){.key = cf_key(c, k, name)}, create_once, v) < 0)
            return -1;
        for (unsigned i = 0; i < 16; i++) {
            CHECK(c,
                  v[i].result == 0 || v[i].result == STORE_PRECONDITION ||
                      v[i].result == STORE_CONFLICT,
                  "a racer got %s %s", cf_result(v[i].result), v[i].c.why);
            winners += v[i].result == 0 ? 1 : 0;
            winner = v[i].result == 0 ? i : winner;
        }
        CHECK(c, winners == 1, "%u of 16 racers made the key", winners);
        snprintf(text, sizeof(text), "racer %u", winner);
        if (cf_expect_text(c, k, text) < 0)
            return -1;
    }
    return 0;
}

/* One increment of the counter, by compare-and-swap; 0, or 1 after a lost race. */
static int increment(struct racer *t)
{
    _cleanup_cf_body_ struct cf_body b = {0};
    _cleanup_obj_ struct store_obj o = {0};
    char text[64];
    int r = cf_get(&t->c, t->key, CF_ALWAYS, 0, 0, 64, &o, &b);
    if (r != 0)
        return cf_fail(&t->c, "GET: %s", cf_result(r));
    snprintf(text, sizeof(text), "%ld by %u.%u", strtol(b.data, NULL, 10) + 1, t->id, t->done);
    r = cf_put(&t->c, t->key, text, strlen(text), cf_match(&o.etag), NULL, NULL);
    if (r == STORE_PRECONDITION || r == STORE_CONFLICT)
        return 1;
    return r == 0 ? 0 : cf_fail(&t->c, "PUT: %s", cf_result(r));
}

static void *increments(void *arg)
{
    struct racer *t = arg;
    pthread_barrier_wait(t->start);
    /* Somebody always wins, so this ends; the bound is for a server that refuses all. */
    for (unsigned tries = 0; t->done < t->rounds && tries < 10000; tries++) {
        t->result = increment(t);
        if (t->result < 0)
            break;
        t->done += t->result == 0 ? 1 : 0;
    }
    return NULL;
}

static int race_compare_and_swap(struct cf *c)
{
    enum { THREADS = 8, EACH = 5 };
    struct racer v[RACERS_MAX];
    char k[CF_KEY];
    _cleanup_cf_body_ struct cf_body b = {0};
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "counter"), "0", NULL), 0, "PUT");
    if (race(c, THREADS, &(struct racer){.key = k, .rounds = EACH}, increments, v) < 0)
        return -1;
    for (unsigned i = 0; i < THREADS; i++)
        CHECK(c, v[i].result >= 0 && v[i].done == EACH, "racer %u made %u increments: %s", i,
              v[i].done, v[i].c.why);
    CHECK_IS(c, cf_get(c, k, CF_ALWAYS, 0, 0, 64, NULL, &b), 0, "GET");
    CHECK(c, strtol(b.data, NULL, 10) == THREADS * EACH, "the counter is %s after %d increments",
          b.data, THREADS * EACH);
    return 0;
}

/* Even ids write bodies of other sizes, odd ones read: each GET, HEAD and LIST shows one version.
 */
static int tear_write(struct racer *t, unsigned i)
{
    _cleanup_cf_body_ struct cf_body b =
        cf_pattern(1000 + 7919 * ((i + t->id) % 9), t->id * 1000 + i);
    int r = cf_put(&t->c, t->key, b.data, b.size, CF_ALWAYS, NULL, NULL);
    return r == 0 ? 0 : cf_fail(&t->c, "PUT: %s", cf_result(r));
}

static int tear_read(struct racer *t)
{
    _cleanup_cf_body_ struct cf_body b = {0};
    _cleanup_obj_ struct store_obj o = {0};
    struct store_etag md5;
    int r = cf_get(&t->c, t->key, CF_ALWAYS, 0, 0, 100000, &o, &b);
    if (r != 0)
        return cf_fail(&t->c, "GET: %s", cf_result(r));
    cf_md5_etag(b.data, b.size, &md5);
    if (o.size != b.size || !store_etag_equal(&md5, &o.etag))
        return cf_fail(&t->c, "a GET of %zu bytes says size %llu; its MD5 is %s, its ETag %s",
                       b.size, (unsigned long long)o.size, md5.s, o.etag.s);
    return 0;
}

static void *tear(void *arg)
{
    struct racer *t = arg;
    pthread_barrier_wait(t->start);
    for (unsigned i = 0; t->result == 0 && i < t->rounds; i++)
        t->result = t->id % 2 == 0 ? tear_write(t, i) : tear_read(t);
    return NULL;
}

static int race_no_mixture(struct cf *c)
{
    struct racer v[RACERS_MAX];
    char k[CF_KEY];
    CHECK_IS(c, cf_puts(c, cf_key(c, k, "torn"), "first", NULL), 0, "PUT");
    if (race(c, 5, &(struct racer){.key = k, .rounds = 20 * rounds_of(c)}, tear, v) < 0)
        return -1;
    for (unsigned i = 0; i < 5; i++)
        CHECK(c, v[i].result == 0, "%s", v[i].c.why);
    return 0;
}

/* Requests started together from one thread, as the upload queue does. */
struct batch_item {
    struct store_req req;
    struct store_rsp rsp;
    struct store_mem mem;
    struct store_src src;
    char key[CF_KEY], text[32];
    atomic_int *left;
    int result;
    char why[128];
};

static void batch_done(void *arg, int result)
{
    struct batch_item *t = arg;
    t->result = result;
    if (result < 0)
        snprintf(t->why, sizeof(t->why), "%s", cf_result(result));
    atomic_fetch_sub(t->left, 1);
}

static int parallel_put(struct cf *c)
{
    enum { N = 32 };
    _cleanup_free_ struct batch_item *v = calloc(N, sizeof(*v));
    atomic_int left = N;
    CHECK(c, v != NULL, "no memory");
    for (int i = 0; i < N; i++) {
        char name[32];
        struct batch_item *t = &v[i];
        snprintf(name, sizeof(name), "p%d/k%d", i % 4, i);
        snprintf(t->text, sizeof(t->text), "text %d", i);
        t->left = &left;
        t->mem = (struct store_mem){.data = t->text, .size = strlen(t->text)};
        t->src = store_src_mem(&t->mem);
        t->req = (struct store_req){
            .op = STORE_PUT, .key = cf_key(c, t->key, name), .cond = CF_ABSENT, .src = &t->src};
        store_submit(c->s, &t->req, &t->rsp, batch_done, t);
    }
    while (atomic_load(&left) > 0) {
        struct timespec ms = {.tv_nsec = 1000000};
        nanosleep(&ms, NULL);
    }
    for (int i = 0; i < N; i++)
        store_rsp_done(&v[i].rsp);
    for (int i = 0; i < N; i++) {
        CHECK(c, v[i].result == 0, "PUT %d: %s", i,
              v[i].result < 0 ? v[i].why : cf_result(v[i].result));
        if (cf_expect_text(c, v[i].key, v[i].text) < 0)
            return -1;
    }
    return 0;
}

const struct cf_row cf_rows_race[] = {
    {"race-if-absent", race_if_absent},
    {"race-compare-and-swap", race_compare_and_swap},
    {"race-no-mixture", race_no_mixture},
    {"parallel-put", parallel_put},
    {NULL, NULL},
};
