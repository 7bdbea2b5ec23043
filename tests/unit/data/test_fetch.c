/* SPDX-License-Identifier: Apache-2.0 */
/* Close-to-open's request: one, conditional where the bytes are here, and shared without answering from the past. */
#include "fixture.h"
#include "fs/data/internal.h"

#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "../../../fs/data/internal.h"

#define KIB 1024u
#define MIB (1024u * 1024u)

static void expect_requests(struct fx *x, uint64_t gets, uint64_t heads)
{
    assert_int_equal(memstore_count(x->store, STORE_GET), gets);
    assert_int_equal(memstore_count(x->store, STORE_HEAD), heads);
    assert_int_equal(memstore_count(x->store, STORE_OPS), gets + heads);
    memstore_count_reset(x->store);
}

static void small_ones_bring_their_bytes(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "k", 100 * KIB, 1), o;
    assert_int_equal(data_fetch(x.data, "k", NULL, 0, &o), 0);
    assert_true(store_etag_equal(&o.etag, &base.etag));
    assert_int_equal(o.size, 100 * KIB);
    struct data_file *f = fx_file(&x, "k", &o);
    char *buf = malloc(100 * KIB);
    assert_int_equal(data_read(f, 0, buf, 100 * KIB), 100 * KIB);
    fx_check(buf, 0, 100 * KIB, 1);
    free(buf);
    data_file_unref(f);
    store_obj_done(&o);
    expect_requests(&x, 1, 0);

    assert_int_equal(data_fetch(x.data, "k", &base.etag, base.size, &o), STORE_NOT_MODIFIED);
    expect_requests(&x, 1, 0);
    fx_close(&x);
}

/* "Not modified" would bring nothing: known but not cached is fetched, by the one request there is. */
static void known_but_not_here(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "k", 100 * KIB, 1), o;
    assert_int_equal(data_fetch(x.data, "k", &base.etag, base.size, &o), STORE_NOT_MODIFIED);
    struct data_file *f = fx_file(&x, "k", &base);
    char c;
    assert_int_equal(data_read(f, 99 * KIB, &c, 1), 1);
    data_file_unref(f);
    expect_requests(&x, 1, 0);
    fx_close(&x);
}

static void changed_and_gone(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj a = fx_put(&x, "k", 1000, 1), o;
    assert_int_equal(data_fetch(x.data, "k", NULL, 1000, &o), 0);
    store_obj_done(&o);
    struct store_obj b = fx_put(&x, "k", 2000, 2);
    assert_int_equal(data_fetch(x.data, "k", &a.etag, 1000, &o), 0);
    assert_true(store_etag_equal(&o.etag, &b.etag));
    assert_int_equal(o.size, 2000);
    store_obj_done(&o);
    assert_int_equal(memstore_delete(x.store, "k"), 0);
    assert_int_equal(data_fetch(x.data, "k", &b.etag, 2000, &o), STORE_NOT_FOUND);
    assert_int_equal(data_fetch(x.data, "k", NULL, UINT64_MAX, &o), STORE_NOT_FOUND);
    fx_close(&x);
}

static void empty_objects(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj a = fx_put(&x, "k", 0, 1), o;
    assert_int_equal(data_fetch(x.data, "k", NULL, 0, &o), 0);
    assert_int_equal(o.size, 0);
    store_obj_done(&o);
    assert_int_equal(data_fetch(x.data, "k", &a.etag, 0, &o), STORE_NOT_MODIFIED);
    expect_requests(&x, 2, 0);
    fx_close(&x);
}

static void large_ones_cost_a_head(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){.whole_max = MIB}, 0, 0);
    struct store_obj big = fx_put(&x, "big", 3 * MIB, 1), o;
    assert_int_equal(data_fetch(x.data, "big", NULL, 3 * MIB, &o), 0);
    assert_int_equal(o.size, 3 * MIB);
    store_obj_done(&o);
    expect_requests(&x, 0, 1);
    assert_int_equal(data_fetch(x.data, "big", &big.etag, 3 * MIB, &o), STORE_NOT_MODIFIED);
    expect_requests(&x, 0, 1);
    /* believed small: the GET stops where it is too much, and a HEAD answers */
    assert_int_equal(data_fetch(x.data, "big", NULL, 100, &o), 0);
    assert_int_equal(o.size, 3 * MIB);
    store_obj_done(&o);
    expect_requests(&x, 1, 1);
    /* believed large */
    (void)fx_put(&x, "big", 1000, 2);
    assert_int_equal(data_fetch(x.data, "big", &big.etag, 3 * MIB, &o), 0);
    assert_int_equal(o.size, 1000);
    store_obj_done(&o);
    expect_requests(&x, 1, 1);
    /* no bytes wanted */
    assert_int_equal(data_fetch(x.data, "big", NULL, UINT64_MAX, &o), 0);
    store_obj_done(&o);
    expect_requests(&x, 0, 1);
    fx_close(&x);
}

static uint64_t used; /* of the memory, at the last request */

static void note_memory(void *arg, struct store *s, const struct store_req *req, int result)
{
    struct fx *x = arg;
    (void)s;
    (void)req;
    (void)result;
    used = budget_used(&x->data->memory);
}

/* Who only asks whether it is still so holds up nobody who needs memory. */
static void asking_takes_little_memory(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    struct store_obj base = fx_put(&x, "k", MIB, 1), o;
    memstore_set_hooks(x.store, note_memory, NULL, &x);
    assert_int_equal(data_fetch(x.data, "k", &base.etag, MIB, &o), STORE_NOT_MODIFIED);
    assert_int_equal(used, MIB); /* its bytes are not here */
    assert_int_equal(data_fetch(x.data, "k", &base.etag, MIB, &o), STORE_NOT_MODIFIED);
    assert_int_equal(used, CACHE_BLOCK);
    /* Changed meanwhile: they come by the same request. */
    (void)fx_put(&x, "k", MIB, 2);
    memstore_count_reset(x.store);
    assert_int_equal(data_fetch(x.data, "k", &base.etag, MIB, &o), 0);
    store_obj_done(&o);
    expect_requests(&x, 1, 0);
    fx_close(&x);
}

static void failures(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 0);
    (void)fx_put(&x, "k", 1000, 1);
    struct store_obj o;
    memstore_fail(x.store, STORE_GET, 1, 1, -EACCES);
    assert_int_equal(data_fetch(x.data, "k", NULL, 0, &o), -EACCES);
    memstore_fail(x.store, STORE_HEAD, 1, 1, -ETIMEDOUT);
    assert_int_equal(data_fetch(x.data, "k", NULL, UINT64_MAX, &o), -ETIMEDOUT);
    assert_int_equal(data_fetch(x.data, "k", NULL, 0, &o), 0);
    store_obj_done(&o);
    fx_close(&x);
}

static void without_a_cache_the_bytes_stay_in_memory(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 0, 1);
    (void)fx_put(&x, "k", 100 * KIB, 1);
    struct store_obj o;
    assert_int_equal(data_fetch(x.data, "k", NULL, 0, &o), 0);
    struct data_file *f = fx_file(&x, "k", &o);
    char buf[1000];
    assert_int_equal(data_read(f, 50000, buf, 1000), 1000);
    fx_check(buf, 50000, 1000, 1);
    data_file_unref(f);
    store_obj_done(&o);
    expect_requests(&x, 1, 0);
    fx_close(&x);
}

struct opener {
    pthread_t thread;
    struct fx *x;
    int result;
    struct store_obj obj;
};

static void *open_one(void *arg)
{
    struct opener *o = arg;
    o->result = data_fetch(o->x->data, "k", NULL, 1000, &o->obj);
    return NULL;
}

struct hold {
    sem_t come, go;
    unsigned n;
};

static void hold_reply(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)s;
    (void)result;
    struct hold *h = arg;
    if (req->op == STORE_GET && h->n++ == 0) {
        sem_post(&h->come);
        sem_wait(&h->go);
    }
}

/* The first request is answered by the bucket and held on its way back; then the object changes; who opens now must
 * see the change, though a request is under way. All of them together cost one more. */
static void nobody_is_answered_from_before_his_call(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){0}, 2, 0);
    struct store_obj old = fx_put(&x, "k", 1000, 1);
    struct hold h = {0};
    sem_init(&h.come, 0, 0);
    sem_init(&h.go, 0, 0);
    memstore_set_hooks(x.store, NULL, hold_reply, &h);
    struct opener first = {.x = &x}, rest[20];
    assert_int_equal(pthread_create(&first.thread, NULL, open_one, &first), 0);
    sem_wait(&h.come);
    struct store_obj new = fx_put(&x, "k", 1000, 2);
    for (int i = 0; i < 20; i++) {
        rest[i] = (struct opener){.x = &x};
        assert_int_equal(pthread_create(&rest[i].thread, NULL, open_one, &rest[i]), 0);
    }
    sem_post(&h.go);
    pthread_join(first.thread, NULL);
    assert_int_equal(first.result, 0);
    assert_true(store_etag_equal(&first.obj.etag, &old.etag));
    store_obj_done(&first.obj);
    for (int i = 0; i < 20; i++) {
        pthread_join(rest[i].thread, NULL);
        assert_int_equal(rest[i].result, 0);
        assert_true(store_etag_equal(&rest[i].obj.etag, &new.etag));
        assert_int_equal(rest[i].obj.size, 1000);
        store_obj_done(&rest[i].obj);
    }
    assert_true(memstore_count(x.store, STORE_OPS) <= 1 + 20);
    memstore_set_hooks(x.store, NULL, NULL, NULL);
    fx_close(&x);
    sem_destroy(&h.come);
    sem_destroy(&h.go);
}

static void hold_w(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)s;
    (void)result;
    struct hold *h = arg;
    if (strcmp(req->key, "w") == 0) {
        sem_post(&h->come);
        sem_wait(&h->go);
    }
}

static void *open_w(void *arg)
{
    struct opener *o = arg;
    o->result = data_fetch(o->x->data, "w", NULL, 3 * MIB, &o->obj);
    return NULL;
}

static void *open_known(void *arg)
{
    struct opener *o = arg;
    struct store_obj known = o->obj;
    o->obj = (struct store_obj){0};
    o->result = data_fetch(o->x->data, "k", &known.etag, known.size, &o->obj);
    return NULL;
}

/* Most of the memory is taken: who only asks whether what is here is still so does not wait for room for a body. If
 * one comes all the same, he does. */
static void a_question_needs_little_memory(void **state)
{
    (void)state;
    struct fx x;
    fx_open(&x, &(struct data_conf){.mem_limit = 4 * MIB}, 4, 0);
    struct store_obj k = fx_put(&x, "k", 3 * MIB, 1), o;
    fx_put(&x, "w", 3 * MIB, 2);
    assert_int_equal(data_fetch(x.data, "k", NULL, k.size, &o), 0);
    store_obj_done(&o);
    struct hold h = {0};
    sem_init(&h.come, 0, 0);
    sem_init(&h.go, 0, 0);
    memstore_set_hooks(x.store, hold_w, NULL, &h);
    struct opener w = {.x = &x}, again = {.x = &x, .obj = k};
    assert_int_equal(pthread_create(&w.thread, NULL, open_w, &w), 0);
    sem_wait(&h.come);
    memstore_count_reset(x.store);
    assert_int_equal(data_fetch(x.data, "k", &k.etag, k.size, &o), STORE_NOT_MODIFIED);
    expect_requests(&x, 1, 0);
    struct store_obj new = fx_put(&x, "k", 3 * MIB, 3);
    assert_int_equal(pthread_create(&again.thread, NULL, open_known, &again), 0);
    while (budget_waiting(&x.data->memory) == 0)
        usleep(1000);
    sem_post(&h.go);
    pthread_join(w.thread, NULL);
    pthread_join(again.thread, NULL);
    assert_int_equal(w.result, 0);
    assert_int_equal(again.result, 0);
    assert_true(store_etag_equal(&again.obj.etag, &new.etag));
    store_obj_done(&w.obj);
    expect_requests(&x, 2, 1);
    struct data_file *f = fx_file(&x, "k", &again.obj);
    char buf[1000];
    assert_int_equal(data_read(f, 2 * MIB, buf, sizeof(buf)), sizeof(buf));
    fx_check(buf, 2 * MIB, sizeof(buf), 3);
    data_file_unref(f);
    expect_requests(&x, 0, 0);
    store_obj_done(&again.obj);
    memstore_set_hooks(x.store, NULL, NULL, NULL);
    fx_close(&x);
    sem_destroy(&h.come);
    sem_destroy(&h.go);
}

struct first_call {
    struct fx *x;
    pthread_t thread;
    struct store_obj obj;
    bool is_ready;
    int result;
};

static void *first_one(void *arg)
{
    struct first_call *c = arg;
    c->result = data_first(c->x->data, "k", MIB, true, &c->obj, &c->is_ready);
    return NULL;
}

/* More than is needed is not fetched where memory is short; what will be read waits for some. */
static void first_bytes_wait_for_memory(void **state)
{
    (void)state;
    struct fx x;
    struct store_obj obj;
    bool is_ready;
    fx_open(&x, &(struct data_conf){.mem_limit = 4 * MIB}, 2, 0);
    assert_int_equal(data_guess(x.data), 128 * KIB); /* 32 of them at once */
    (void)fx_put(&x, "k", 700 * KIB, 1);
    budget_take(&x.data->memory, 4 * MIB);
    assert_int_equal(data_first(x.data, "k", MIB, false, &obj, &is_ready), -ENOBUFS);
    assert_int_equal(memstore_count(x.store, STORE_GET), 0);
    struct first_call c = {.x = &x};
    assert_int_equal(pthread_create(&c.thread, NULL, first_one, &c), 0);
    while (budget_waiting(&x.data->memory) == 0)
        usleep(1000);
    assert_int_equal(memstore_count(x.store, STORE_GET), 0);
    budget_give(&x.data->memory, 4 * MIB);
    pthread_join(c.thread, NULL);
    assert_int_equal(c.result, 0);
    assert_true(c.is_ready);
    assert_int_equal(c.obj.size, 700 * KIB);
    assert_int_equal(memstore_count(x.store, STORE_GET), 1);
    assert_int_equal(budget_used(&x.data->memory), 0);
    store_obj_done(&c.obj);
    fx_close(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_ones_bring_their_bytes),
        cmocka_unit_test(known_but_not_here),
        cmocka_unit_test(changed_and_gone),
        cmocka_unit_test(empty_objects),
        cmocka_unit_test(large_ones_cost_a_head),
        cmocka_unit_test(asking_takes_little_memory),
        cmocka_unit_test(failures),
        cmocka_unit_test(without_a_cache_the_bytes_stay_in_memory),
        cmocka_unit_test(nobody_is_answered_from_before_his_call),
        cmocka_unit_test(a_question_needs_little_memory),
        cmocka_unit_test(first_bytes_wait_for_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
