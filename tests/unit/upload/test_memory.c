/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies in memory stay within their share: commits wait for room and none fails; what is larger than the share is
 * sent from the disk. */
#include "harness.h"

#include <pthread.h>
#include <stdio.h>
#include "base/lock.h"

#define COMMITS 8
#define SIZE MIB
#define LIMIT (2 * MIB + KIB) /* two bodies */

static struct {
    struct up up;
    struct data_file *files[COMMITS];
    struct lock lock;
    struct cond both;
    unsigned puts; /* so far */
    uint64_t most; /* memory of bodies at a PUT */
} t;

/* The first two PUTs wait for each other: both have a body then. */
static void at_put(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_PUT && req->op != STORE_MPU_PART)
        return;
    uint64_t used = upload_memory(t.up.u);
    lock_take(&t.lock);
    t.puts++;
    cond_broadcast(&t.both);
    while (req->op == STORE_PUT && t.puts < 2)
        cond_wait(&t.both, &t.lock);
    if (used > t.most)
        t.most = used;
    lock_drop(&t.lock);
}

static void *commit_main(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    char key[16];
    snprintf(key, sizeof(key), "k%u", i);
    struct store_obj now = {0};
    int r = up_commit(&t.up, key, t.files[i], STORE_IF_ABSENT, NULL, &now);
    store_obj_done(&now);
    return (void *)(intptr_t)r;
}

static void open_limited(const struct upload_conf *conf)
{
    up_open(&t.up, conf, COMMITS, 0);
    lock_init(&t.lock, LOCK_LEAF);
    cond_init(&t.both);
    t.puts = 0;
    t.most = 0;
    memstore_set_hooks(t.up.x.store, at_put, NULL, NULL);
}

static void close_limited(void)
{
    memstore_set_hooks(t.up.x.store, NULL, NULL, NULL);
    assert_int_equal(upload_memory(t.up.u), 0);
    up_close(&t.up);
    cond_done(&t.both);
    lock_done(&t.lock);
}

static void commits_wait_for_room(void **state)
{
    (void)state;
    struct upload_conf conf = up_conf();
    pthread_t threads[COMMITS];
    char key[16];
    conf.mem_limit = LIMIT;
    open_limited(&conf);
    for (unsigned i = 0; i < COMMITS; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        t.files[i] = up_new(&t.up, key, SIZE, i);
    }
    for (unsigned i = 0; i < COMMITS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, commit_main, (void *)(uintptr_t)i), 0);
    for (unsigned i = 0; i < COMMITS; i++) {
        void *r;
        pthread_join(threads[i], &r);
        assert_int_equal((intptr_t)r, 0);
    }
    assert_true(t.most > 0 && t.most <= LIMIT);
    for (unsigned i = 0; i < COMMITS; i++) {
        snprintf(key, sizeof(key), "k%u", i);
        up_expect_fill(&t.up, key, SIZE, i);
        data_file_unref(t.files[i]);
    }
    close_limited();
}

/* Parts larger than the share need none of it. */
static void larger_ones_come_from_the_disk(void **state)
{
    (void)state;
    struct upload_conf conf = up_conf();
    conf.mem_limit = MIB;
    conf.part_threshold = conf.part_size = 5 * MIB;
    open_limited(&conf);
    struct data_file *f = up_new(&t.up, "k", 12 * MIB, 7);
    up_commit_ok(&t.up, "k", f, STORE_IF_ABSENT, NULL);
    assert_true(t.puts >= 2);
    assert_int_equal(t.most, 0);
    up_expect_fill(&t.up, "k", 12 * MIB, 7);
    data_file_unref(f);
    close_limited();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_wait_for_room),
        cmocka_unit_test(larger_ones_come_from_the_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
