/* SPDX-License-Identifier: Apache-2.0 */
/* Renames on a server whose DELETE knows no conditions. */
#include "renametest.h"

static pthread_t b_thread;

static int b_write;
static const char *b_path;

/* Until the PUT has taken effect. */
static void wait_for_newer(void)
{
    struct store_obj obj = {0};

    while (obj.size != 5) {
        store_obj_done(&obj);
        obj = (struct store_obj){0};
        if (memstore_get(a.store, b_path, &obj, NULL) != 0)
            sched_yield();
    }
    store_obj_done(&obj);
}

static void *b_writes(void *arg)
{
    (void)arg;
    b_write = rig_put(&b, b_path, "newer", 5);
    return NULL;
}

/* a has looked at the source and is about to delete it: b's PUT lands first, and its close waits.
 */
static void b_writes_f(void)
{
    b_path = "f";
    once.result = -pthread_create(&b_thread, NULL, b_writes, NULL);
    wait_for_newer();
}

static void weak_overwrite_before_the_delete(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_file(&b, "f", "1");
    before(STORE_DELETE, "f", b_writes_f);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    it_was_done();
    pthread_join(b_thread, NULL);
    assert_int_equal(b_write, 0);
    assert_object("g", "newer");
    assert_false(is_object("f"));
    assert_file(&b, "g", "newer");
    time_passes();
    assert_file(&a, "g", "newer");
}

static void b_writes_d(void)
{
    b_path = "d/1";
    once.result = -pthread_create(&b_thread, NULL, b_writes, NULL);
    wait_for_newer();
}

static void weak_overwrite_in_a_directory(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "d/1", "1", 1), 0);
    assert_file(&b, "d/1", "1");
    before(STORE_DELETE, "d/1", b_writes_d);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    it_was_done();
    pthread_join(b_thread, NULL);
    assert_int_equal(b_write, 0);
    assert_object("e/1", "newer");
    assert_false(is_object("d/1"));
}

/* The rename began and ended between b's PUT and its look: the tombstone tells. */
static void a_renames(void)
{
    once.result = rig_rename(&a, "f", "g", 0);
}

static void weak_rename_between_put_and_look(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_file(&b, "f", "1");
    after(STORE_PUT, "f", a_renames);
    assert_int_equal(rig_put(&b, "f", "newer", 5), 0);
    it_was_done();
    assert_object("g", "newer");
    assert_false(is_object("f"));
}

static int b_unlink;

static void *b_unlinks(void *arg)
{
    (void)arg;
    b_unlink = rig_unlink(&b, "f");
    return NULL;
}

static void b_begins_to_unlink(void)
{
    uint64_t gets = memstore_count(a.store, STORE_GET);

    once.result = -pthread_create(&b_thread, NULL, b_unlinks, NULL);
    while (memstore_count(a.store, STORE_GET) < gets + 2)
        sched_yield();
}

static void weak_unlink_waits(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_file(&b, "f", "1");
    before(STORE_PUT, "g", b_begins_to_unlink);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    it_was_done();
    pthread_join(b_thread, NULL);
    assert_int_equal(b_unlink, -ENOENT);
    assert_object("g", "1");
}

/* Tombstones go after an hour of b's clock. */
static void weak_tombstones_are_swept(void **state)
{
    size_t n;

    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    n = memstore_objects(a.store);
    assert_int_equal(intents_mend(b.vfs), 0);
    clock_fake_add(3500 * NS_PER_S);
    assert_int_equal(intents_mend(b.vfs), 0);
    assert_true(memstore_objects(a.store) >= n - 1); /* a's session may have ended */
    n = memstore_objects(a.store);
    clock_fake_add(200 * NS_PER_S);
    assert_int_equal(intents_mend(b.vfs), 0);
    assert_true(memstore_objects(a.store) <= n - 2); /* the tombstone, and g's emptied claim */
}

/* a's rename is done, but for its intent: c writes under the new name. b, whose PUT landed under
 * the old one before it went, must not put that over what c was told is stored. */
static struct rig c;
static struct once later;
static uint64_t b_fh;
static int c_write;

static void *b_closes(void *arg)
{
    (void)arg;
    b_write = rig_shut(&b, b_fh);
    return NULL;
}

static void b_closes_f(void)
{
    b_path = "f";
    once.result = -pthread_create(&b_thread, NULL, b_closes, NULL);
    wait_for_newer();
}

static void *c_writes(void *arg)
{
    uint64_t fh;

    (void)arg;
    c_write = rig_open_file(&c, "g", O_RDWR, &fh);
    if (c_write == 0 && vfs_write(c.vfs, &c.ctx, fh, 0, "C", 1) != 1)
        c_write = -EIO;
    if (c_write == 0)
        c_write = rig_shut(&c, fh);
    return NULL;
}

/* On a thread of its own: this one holds a's locks, and no mount takes another's on top of its own.
 */
static void c_writes_g(void *arg, struct store *s, const struct store_req *req, int result)
{
    pthread_t t;

    (void)arg;
    (void)s;
    (void)result;
    if (req->op != STORE_DELETE || strcmp(req->key, "f") != 0 ||
        atomic_exchange(&later.is_done, true))
        return;
    if (pthread_create(&t, NULL, c_writes, NULL) == 0)
        pthread_join(t, NULL);
    else
        c_write = -EAGAIN;
}

static void weak_third_writer_of_the_new_name(void **state)
{
    (void)state;
    assert_int_equal(rig_join(&c, &a, NULL), 0);
    assert_int_equal(rig_put(&a, "f", "1234", 4), 0);
    assert_int_equal(rig_open_file(&b, "f", O_RDWR, &b_fh), 0);
    assert_int_equal(vfs_write(b.vfs, &b.ctx, b_fh, 4, "B", 1), 1);
    before(STORE_DELETE, "f", b_closes_f);
    later = (struct once){0};
    memstore_set_hooks(a.store, run_once, c_writes_g, NULL);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    it_was_done();
    pthread_join(b_thread, NULL);
    assert_true(later.is_done);
    assert_int_equal(c_write, 0);
    assert_int_equal(b_write, -ESTALE);
    assert_object("g", "C234");
    assert_int_equal(lost_and_found(&b), 1);
    rig_close(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        W(weak_overwrite_before_the_delete), W(weak_overwrite_in_a_directory),
        W(weak_rename_between_put_and_look), W(weak_unlink_waits),
        W(weak_tombstones_are_swept),        W(weak_third_writer_of_the_new_name),
    };

    return cmocka_run_group_tests_name("vfs/rename_weak", tests, NULL, NULL);
}
