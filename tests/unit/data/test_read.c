/* SPDX-License-Identifier: Apache-2.0 */
/* Reads: what is asked of the bucket and how often, one version only (DATA-3), reading ahead, no cache. */
#include "fixture.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "../../../fs/data/internal.h"
#include "../../../fs/data/flight.h"

#define KIB 1024u
#define MIB (1024u * 1024u)
#define THREADS 64

/* A hook that holds GETs until it is told to let them go. */
struct gate {
    sem_t come, go;
};

static void hold_get(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)s;
    (void)result;
    struct gate *g = arg;
    if (req->op != STORE_GET)
        return;
    sem_post(&g->come);
    sem_wait(&g->go);
}

struct reader {
    pthread_t thread;
    struct data_file *file;
    uint64_t off;
    size_t len;
    ssize_t result;
    char *buf;
};

static void *read_one(void *arg)
{
    struct reader *r = arg;
    r->result = data_read(r->file, r->off, r->buf, r->len);
    return NULL;
}

static void many_readers_one_request(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 2, 0);
    struct store_obj base = fx_put(&x, "k", 300 * KIB, 1);
    struct data_file *f = fx_file(&x, "k", &base), *g = fx_file(&x, "k", &base);
    struct gate gate;
    sem_init(&gate.come, 0, 0);
    sem_init(&gate.go, 0, 0);
    memstore_set_hooks(x.store, hold_get, NULL, &gate);
    static struct reader readers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        readers[i] = (struct reader){.file = i % 2 ? f : g, .off = i * 4000, .len = 4000};
        readers[i].buf = malloc(4000);
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_one, &readers[i]), 0);
    }
    sem_wait(&gate.come);
    sem_post(&gate.go); /* one may pass; a second one would wait for ever */
    for (unsigned i = 0; i < THREADS; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].result, 4000);
        fx_check(readers[i].buf, readers[i].off, 4000, 1);
        free(readers[i].buf);
    }
    assert_int_equal(memstore_count(x.store, STORE_OPS), 1);
    memstore_set_hooks(x.store, NULL, NULL, NULL);
    data_file_unref(f);
    data_file_unref(g);
    fx_close(&x);
    sem_destroy(&gate.come);
    sem_destroy(&gate.go);
}

static void cached_bytes_survive_a_remount(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "k", 300 * KIB, 1);
    char *buf = malloc(300 * KIB);
    for (int i = 0; i < 3; i++) {
        struct data_file *f = fx_file(&x, "k", &base);
        assert_int_equal(data_read(f, 0, buf, 300 * KIB), 300 * KIB);
        fx_check(buf, 0, 300 * KIB, 1);
        data_file_unref(f);
        fx_remount(&x);
    }
    assert_int_equal(memstore_count(x.store, STORE_GET), 1);
    free(buf);
    fx_close(&x);
}

static void another_version_is_stale(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){.whole_max = MIB, .range_size = MIB}, 0, 0);
    const size_t sizes[] = {1000, 9 * MIB}; /* by one GET, by ranges */
    for (int i = 0; i < 2; i++) {
        struct store_obj base = fx_put(&x, "k", sizes[i], 1);
        struct data_file *f = fx_file(&x, "k", &base);
        (void)fx_put(&x, "k", sizes[i], 2);
        char c;
        assert_int_equal(data_read(f, 0, &c, 1), -ESTALE);
        assert_non_null(strstr(err_text(), "k"));
        assert_int_equal(memstore_delete(x.store, "k"), 0);
        assert_int_equal(data_read(f, 0, &c, 1), -ESTALE);
        data_file_unref(f);
    }
    fx_close(&x);
}

/* A large object changes while it is read: what was read and what comes is never mixed. */
static void no_mixture_in_a_large_file(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){.whole_max = MIB, .range_size = MIB, .read_ahead = 1}, 0, 0);
    struct store_obj base = fx_put(&x, "k", 40 * MIB, 1);
    struct data_file *f = fx_file(&x, "k", &base);
    char *buf = malloc(MIB);
    assert_int_equal(data_read(f, 0, buf, MIB), MIB);
    fx_check(buf, 0, MIB, 1);
    (void)fx_put(&x, "k", 40 * MIB, 2);
    ssize_t n = 0;
    uint64_t off = MIB;
    for (; off < 40 * MIB; off += MIB) {
        n = data_read(f, off, buf, MIB);
        if (n < 0)
            break;
        fx_check(buf, off, MIB, 1); /* it had been read ahead */
    }
    assert_int_equal(n, -ESTALE);
    free(buf);
    data_file_unref(f);
    fx_close(&x);
}

static void errors_are_told_and_not_kept(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "k", 1000, 1);
    struct data_file *f = fx_file(&x, "k", &base);
    char buf[1000];
    memstore_fail(x.store, STORE_GET, 1, 1, -EACCES);
    assert_int_equal(data_read(f, 0, buf, 1000), -EACCES);
    memstore_lose(x.store, STORE_GET, 1, 1, -EIO);
    assert_int_equal(data_read(f, 0, buf, 1000), -EIO);
    assert_int_equal(data_read(f, 0, buf, 1000), 1000);
    fx_check(buf, 0, 1000, 1);
    data_file_unref(f);
    fx_close(&x);
}

static void a_sequential_reader_asks_once_for_each_byte(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){.whole_max = MIB}, 4, 0);
    const size_t size = 60 * MIB + 777;
    struct store_obj base = fx_put(&x, "k", size, 1);
    struct data_file *f = fx_file(&x, "k", &base);
    char *buf = malloc(128 * KIB);
    for (uint64_t off = 0; off < size;) {
        ssize_t n = data_read(f, off, buf, 128 * KIB);
        assert_true(n > 0);
        fx_check(buf, off, (size_t)n, 1);
        off += (uint64_t)n;
    }
    free(buf);
    data_file_unref(f);
    uint64_t gets = memstore_count(x.store, STORE_GET);
    assert_true(gets >= 8 && gets <= 24); /* they grow to 8 MiB */
    fx_close(&x);
}

static void a_random_reader_does_not_fetch_the_object(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){.whole_max = MIB}, 0, 0);
    struct store_obj base = fx_put(&x, "k", 64 * MIB, 1);
    struct data_file *f = fx_file(&x, "k", &base);
    char buf[4096];
    for (uint64_t i = 1; i < 10; i++) {
        uint64_t off = i * 7 % 10 * 6 * MIB + 5000;
        assert_int_equal(data_read(f, off, buf, sizeof(buf)), sizeof(buf));
        fx_check(buf, off, sizeof(buf), 1);
    }
    assert_int_equal(memstore_count(x.store, STORE_GET), 9);
    data_file_unref(f);
    fx_close(&x);
}

/* A cache that takes nothing: every byte is right, and neighbours share a request all the same. */
static void without_a_cache_straight_from_the_bucket(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){.whole_max = MIB}, 2, 1);
    struct store_obj base = fx_put(&x, "k", 300 * KIB, 1), big = fx_put(&x, "big", 20 * MIB, 2);
    struct data_file *f = fx_file(&x, "k", &base);
    char *buf = malloc(MIB);
    for (uint64_t off = 0; off < 300 * KIB; off += 10 * KIB) {
        assert_int_equal(data_read(f, off, buf, 10 * KIB), 10 * KIB);
        fx_check(buf, off, 10 * KIB, 1);
    }
    assert_int_equal(memstore_count(x.store, STORE_GET), 1);
    data_file_unref(f);
    f = fx_file(&x, "big", &big);
    for (uint64_t off = 0; off < 20 * MIB; off += 128 * KIB) {
        assert_int_equal(data_read(f, off, buf, 128 * KIB), 128 * KIB);
        fx_check(buf, off, 128 * KIB, 2);
    }
    assert_true(memstore_count(x.store, STORE_GET) < 30);
    data_file_unref(f);
    free(buf);
    fx_close(&x);
}

/* Memory for one fetch only: they go one after the other, none is refused, none waits for ever. */
static void little_memory_is_enough(void **state)
{
    (void)state;
    struct fx x;
    struct data_conf conf = {.whole_max = MIB, .range_size = MIB, .mem_limit = MIB};
    fx_open(&x, &conf, 4, 1);
    static struct reader readers[16];
    struct data_file *files[16];
    for (unsigned i = 0; i < 16; i++) {
        char key[8];
        snprintf(key, sizeof(key), "k%u", i);
        struct store_obj base = fx_put(&x, key, i % 2 ? 700 * KIB : 5 * MIB, i);
        files[i] = fx_file(&x, key, &base);
        readers[i] = (struct reader){.file = files[i], .len = base.size};
        readers[i].buf = malloc(base.size);
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_one, &readers[i]), 0);
    }
    for (unsigned i = 0; i < 16; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].result, readers[i].len);
        fx_check(readers[i].buf, 0, readers[i].len, i);
        free(readers[i].buf);
        data_file_unref(files[i]);
    }
    fx_close(&x);
}

/* GETs in the order in which the bucket sees them; those of two keys are held there. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char seen[8]; /* first letters of their keys */
    size_t n;
    bool lets_a, lets_w;
} order = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void note_get(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg, (void)s, (void)result;
    char key = req->range.off == 3 * MIB ? 'a' : req->key[0];
    pthread_mutex_lock(&order.lock);
    assert_true(order.n < sizeof(order.seen) - 1);
    order.seen[order.n++] = key;
    pthread_cond_broadcast(&order.changed);
    while ((key == 'a' && !order.lets_a) || (key == 'w' && !order.lets_w))
        pthread_cond_wait(&order.changed, &order.lock);
    pthread_mutex_unlock(&order.lock);
}

static void wait_gets(size_t n)
{
    pthread_mutex_lock(&order.lock);
    while (order.n < n)
        pthread_cond_wait(&order.changed, &order.lock);
    pthread_mutex_unlock(&order.lock);
}

static void let(bool *what)
{
    pthread_mutex_lock(&order.lock);
    *what = true;
    pthread_cond_broadcast(&order.changed);
    pthread_mutex_unlock(&order.lock);
}

static void start_reader(struct fx *x, struct reader *r, const char *key, uint64_t off)
{
    struct store_obj base = fx_head(x, key);
    *r = (struct reader){.file = fx_file(x, key, &base), .off = off, .len = MIB, .buf = malloc(MIB)};
    assert_int_equal(pthread_create(&r->thread, NULL, read_one, r), 0);
}

static void wait_waiting(struct fx *x, unsigned n)
{
    while (budget_waiting(&x->data->memory) < n)
        usleep(1000);
}

static unsigned spares_of(struct fx *x, unsigned *ret_made)
{
    lock_take(&x->data->lock);
    unsigned n = x->data->locked.n_spares;
    *ret_made = x->data->locked.n_made;
    lock_drop(&x->data->lock);
    return n;
}

/* One request is held so that something is under way all the time: the ranges that are read meanwhile, one after the
 * other, share one buffer. Who needs memory, of another length or after all has ended, gets that one's too. */
static void buffers_go_round(void **state)
{
    (void)state;
    struct fx x;
    struct data_conf conf = {.whole_max = KIB, .range_size = MIB, .mem_limit = 4 * MIB};
    struct reader held;
    unsigned made;
    order.n = 0;
    order.lets_a = order.lets_w = false;
    fx_open(&x, &conf, 2, 0);
    fx_put(&x, "w", 5 * MIB, 2);
    struct store_obj base = fx_put(&x, "k", 100 * MIB, 1);
    struct data_file *f = fx_file(&x, "k", &base);
    char *buf = malloc(3 * MIB);
    memstore_set_hooks(x.store, note_get, NULL, NULL);
    start_reader(&x, &held, "w", MIB);
    wait_gets(1);
    for (unsigned i = 1; i < 6; i++) {
        uint64_t off = (i * 37 % 100) * MIB;
        assert_int_equal(data_read(f, off, buf, MIB), MIB);
        fx_check(buf, off, MIB, 1);
        while (spares_of(&x, &made) == 0) /* its way to the cache */
            usleep(1000);
        assert_int_equal(spares_of(&x, &made), 1);
        assert_int_equal(made, 2);
    }
    assert_int_equal(budget_used(&x.data->memory), 2 * MIB);
    budget_take(&x.data->memory, 3 * MIB);
    assert_int_equal(spares_of(&x, &made), 0);
    budget_give(&x.data->memory, 3 * MIB);
    assert_int_equal(data_read(f, 50 * MIB, buf, MIB), MIB);
    let(&order.lets_w);
    pthread_join(held.thread, NULL);
    assert_int_equal(held.result, MIB);
    while (budget_used(&x.data->memory) > 0)
        usleep(1000);
    assert_int_equal(spares_of(&x, &made), 0);
    assert_int_equal(made, 3);
    memstore_set_hooks(x.store, NULL, NULL, NULL);
    free(held.buf);
    free(buf);
    data_file_unref(held.file);
    data_file_unref(f);
    fx_close(&x);
}

/* Who would go on without memory rather than wait has that of the spares. */
static void spares_make_way(void **state)
{
    (void)state;
    struct fx x;
    struct data_conf conf = {.whole_max = 256 * KIB, .range_size = MIB, .mem_limit = 8 * MIB};
    struct reader held;
    struct store_obj o;
    unsigned made;
    bool is_ready;
    order.n = 0;
    order.lets_a = order.lets_w = false;
    fx_open(&x, &conf, 2, 0);
    fx_put(&x, "w", 5 * MIB, 2);
    fx_put(&x, "small", 4000, 1);
    memstore_set_hooks(x.store, note_get, NULL, NULL);
    start_reader(&x, &held, "w", MIB);
    wait_gets(1);
    for (unsigned i = 0; i < 3; i++) {
        budget_take(&x.data->memory, MIB);
        spare_put(x.data, malloc(MIB), MIB);
    }
    assert_int_equal(spares_of(&x, &made), 3);
    assert_int_equal(data_first(x.data, "small", 256 * KIB, false, &o, &is_ready), 0);
    assert_int_equal(spares_of(&x, &made), 0);
    store_obj_done(&o);
    let(&order.lets_w);
    pthread_join(held.thread, NULL);
    memstore_set_hooks(x.store, NULL, NULL, NULL);
    free(held.buf);
    data_file_unref(held.file);
    fx_close(&x);
}

/* While one waits for memory another range of its version lands: it looks again, and goes before who came later. */
static void a_place_is_kept(void **state)
{
    (void)state;
    struct fx x;
    struct data_conf conf = {.whole_max = KIB, .range_size = MIB, .mem_limit = 2 * MIB};
    struct reader r[4];
    fx_open(&x, &conf, 8, 0);
    fx_put(&x, "f", 5 * MIB, 1);
    fx_put(&x, "w", 5 * MIB, 2);
    fx_put(&x, "e", 5 * MIB, 3);
    memstore_set_hooks(x.store, note_get, NULL, NULL);
    start_reader(&x, &r[0], "f", 3 * MIB);
    wait_gets(1);
    start_reader(&x, &r[1], "w", MIB);
    wait_gets(2);
    start_reader(&x, &r[2], "f", MIB);
    wait_waiting(&x, 1);
    start_reader(&x, &r[3], "e", MIB);
    wait_waiting(&x, 2);
    let(&order.lets_a);
    wait_gets(4);
    let(&order.lets_w);
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(r[i].thread, NULL);
        assert_int_equal(r[i].result, MIB);
        fx_check(r[i].buf, r[i].off, MIB, i == 0 ? 1 : i == 1 ? 2 : i == 2 ? 1 : 3);
        free(r[i].buf);
        data_file_unref(r[i].file);
    }
    memstore_set_hooks(x.store, NULL, NULL, NULL);
    assert_string_equal(order.seen, "awfe");
    fx_close(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_readers_one_request),
        cmocka_unit_test(cached_bytes_survive_a_remount),
        cmocka_unit_test(another_version_is_stale),
        cmocka_unit_test(no_mixture_in_a_large_file),
        cmocka_unit_test(errors_are_told_and_not_kept),
        cmocka_unit_test(a_sequential_reader_asks_once_for_each_byte),
        cmocka_unit_test(a_random_reader_does_not_fetch_the_object),
        cmocka_unit_test(without_a_cache_straight_from_the_bucket),
        cmocka_unit_test(little_memory_is_enough),
        cmocka_unit_test(a_place_is_kept),
        cmocka_unit_test(buffers_go_round),
        cmocka_unit_test(spares_make_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
