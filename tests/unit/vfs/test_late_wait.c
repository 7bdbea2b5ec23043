/* SPDX-License-Identifier: Apache-2.0 */
/* A close that waits for another mount's rename, where DELETE knows no conditions, while a
 * directory is to be renamed on its own mount: nobody else waits for that. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "fs/vfs/rename.h"

#include "twomounts.h"

static int setup_weak(void **state)
{
    const struct store_caps caps = {.put_absent = true, .put_match = true};

    return setup_caps(state, &caps);
}

/* One call of mount a on a thread of its own. */
struct call {
    pthread_t thread;
    int (*run)(void);
    int result;
    atomic_bool is_begun;
};

static void *call_it(void *arg)
{
    struct call *c = arg;

    c->result = c->run();
    return NULL;
}

static void begin(struct call *c)
{
    if (!atomic_exchange(&c->is_begun, true) && pthread_create(&c->thread, NULL, call_it, c) != 0)
        abort();
}

static int end(struct call *c)
{
    pthread_join(c->thread, NULL);
    return c->result;
}

static int write_f(void)
{
    return rig_put(&a, "f", "newer", 5);
}

static int write_x(void)
{
    return rig_put(&a, "x", "more", 4);
}

static int rename_d(void)
{
    return rig_rename(&a, "d", "e", 0);
}

static struct call writer = {.run = write_f};
static struct call renamer = {.run = rename_d};
static struct call bystander = {.run = write_x};
static bool bystander_got_on;

static bool a_is_far(void)
{
    bool is_far;

    lock_take(&a.vfs->tree);
    is_far = a.vfs->locked.n_far > 0;
    lock_drop(&a.vfs->tree);
    return is_far;
}

/* A writer stands in the queue. */
static bool names_are_wanted(void)
{
    if (pthread_rwlock_tryrdlock(&a.vfs->names) != 0)
        return true;
    pthread_rwlock_unlock(&a.vfs->names);
    return false;
}

static void come_between(void *arg, struct store *s, const struct store_req *req, int result)
{
    static atomic_bool is_held;

    (void)arg;
    (void)s;
    (void)result;
    if (req->op == STORE_PUT && strcmp(req->key, "f") == 0 && atomic_load(&writer.is_begun)) {
        begin(&renamer); /* it queues behind this PUT, which then goes on, and waits for b */
        while (!names_are_wanted())
            sched_yield();
    }
    if (req->op != STORE_DELETE || strcmp(req->key, "f") != 0 || atomic_exchange(&is_held, true))
        return;
    begin(&writer); /* b has looked at f, and is about to delete it */
    while (!a_is_far())
        sched_yield();
    begin(&bystander);
    (void)end(&bystander);
    bystander_got_on = a_is_far();
}

static void a_wait_for_others_is_nobody_elses(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_int_equal(rig_put(&a, "x", "1", 1), 0);
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "d/1", "1", 1), 0);
    assert_file(&b, "f", "1");
    memstore_set_hooks(a.store, come_between, NULL, NULL);
    assert_int_equal(rig_rename(&b, "f", "g", 0), 0);
    assert_int_equal(end(&writer), 0);
    assert_int_equal(end(&renamer), 0);
    memstore_set_hooks(a.store, NULL, NULL, NULL);
    assert_true(bystander_got_on);
    assert_int_equal(bystander.result, 0);
    assert_object("x", "more");
    assert_object("g", "newer");
    assert_object("e/1", "1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_wait_for_others_is_nobody_elses, setup_weak, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
