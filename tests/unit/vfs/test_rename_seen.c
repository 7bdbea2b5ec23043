/* SPDX-License-Identifier: Apache-2.0 */
/* What other mounts see of a rename that is under way, or over. */
#include "renametest.h"

static pthread_t b_thread;

/* What is known here of the source may be old: who comes second finds no such file. */
static void second_rename_of_a_file_fails(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_file(&b, "f", "1"); /* b would believe that for a while */
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    assert_int_equal(rig_rename(&b, "f", "h", 0), -ENOENT);
    assert_false(is_object("h"));
    assert_object("g", "1");
}

static int result_of_b;

static void *b_renames(void *arg)
{
    (void)arg;
    result_of_b = rig_rename(&b, "f", "h", 0);
    return NULL;
}

/* a stands on f; b is let go on when it has seen that. */
static void b_begins(void)
{
    uint64_t gets = memstore_count(a.store, STORE_GET);

    once.result = -pthread_create(&b_thread, NULL, b_renames, NULL);
    while (memstore_count(a.store, STORE_GET) < gets + 2)
        sched_yield();
}

static void rename_waits_for_the_one_before(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&a, "f", "1", 1), 0);
    assert_file(&b, "f", "1");
    before(STORE_PUT, "g", b_begins);
    assert_int_equal(rig_rename(&a, "f", "g", 0), 0);
    it_was_done();
    pthread_join(b_thread, NULL);
    assert_int_equal(result_of_b, -ENOENT);
    assert_false(is_object("h"));
    assert_object("g", "1");
}

static struct vfs_stats seen;

static void look_at_a(void)
{
    vfs_stats_get(a.vfs, &seen);
    once.result = intents_look(b.vfs);
}

static void look_at_both(void)
{
    struct stat st;

    look_at_a();
    once.result = once.result ?: rig_stat(&b, "e/1", &st) ?: rig_stat(&a, "e/1", &st);
    if (rig_stat(&b, "d/1", &st) != -ENOENT || rig_stat(&a, "d/1", &st) != -ENOENT)
        once.result = -EEXIST;
}

static void directory_shows_under_one_name(void **state)
{
    char names[64];

    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "d/1", "1", 1), 0);
    after(STORE_PUT, "e/1", look_at_a);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    it_was_done();
    assert_int_equal(seen.renames, 1);
    assert_int_equal(seen.moved_all, 4); /* the marker and the file, twice */
    assert_true(seen.moved_done < 2);
    assert_int_equal(rig_ls(&b, "", names, sizeof(names)), 0);
    assert_string_equal(names, "e"); /* what b has heard last is that it was under way */
    assert_int_equal(rig_rename(&a, "e", "d", 0), 0);
    time_passes();
    before(STORE_DELETE, "d/1", look_at_both);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    it_was_done();
    assert_true(seen.moved_done >= 2);
    vfs_stats_get(a.vfs, &seen);
    assert_int_equal(seen.renames, 0);
}

static const char *look_for;

static void stat_on_b(void)
{
    struct stat st;

    once.result = intents_look(b.vfs) ?: rig_stat(&b, look_for, &st);
    if (once.result == -ENOENT) /* as it must be, so far */
        once.result = 0;
}

/* The rename has returned on a: b, which saw it under way, shows the new names and hides nothing
 * that is put under the old ones. */
static void a_rename_that_is_over_hides_nothing(void **state)
{
    char names[64];
    struct stat st;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
        assert_int_equal(rig_put(&a, "d/1", "1", 1), 0);
        look_for = i == 0 ? "e/1" : "d/1";
        if (i == 0)
            after(STORE_PUT, "e/1", stat_on_b);
        else
            after(STORE_DELETE, "d/1", stat_on_b);
        assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
        it_was_done();
        assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
        assert_int_equal(rig_put(&a, "d/1", "again", 5), 0);
        assert_int_equal(rig_stat(&b, "e/1", &st), 0);
        assert_int_equal(rig_stat(&b, "d/1", &st), 0);
        time_passes();
        assert_int_equal(rig_ls(&b, "", names, sizeof(names)), 0);
        assert_string_equal(names, "d e");
        assert_int_equal(rig_unlink(&a, "e/1") ?: rig_rmdir(&a, "e"), 0);
        assert_int_equal(rig_unlink(&a, "d/1") ?: rig_rmdir(&a, "d"), 0);
        time_passes();
    }
}

static unsigned records_read;

static void count_records(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    records_read += req->op == STORE_GET && strstr(req->key, "intents/dirs/") != NULL;
}

static void list_on_b(void)
{
    char names[64] = "";

    once.result = intents_look(b.vfs);
    memstore_set_hooks(a.store, count_records, NULL, NULL);
    once.result = once.result ?: rig_ls(&b, "", names, sizeof(names));
    if (strcmp(names, "d") != 0)
        once.result = -EEXIST;
}

/* While it is under way, who meets a name that it hides reads its record, once an answer. */
static void what_hiding_costs(void **state)
{
    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    assert_int_equal(rig_put(&a, "d/1", "1", 1) ?: rig_put(&a, "d/2", "2", 1), 0);
    records_read = 0;
    after(STORE_PUT, "e/1", list_on_b);
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    it_was_done();
    assert_int_equal(records_read, 1);
}

/* One file can't be copied: all is as it was, and nothing stands in the way of the next try. */
static void directory_that_cannot_be_copied(void **state)
{
    char path[16];

    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof(path), "d/%d", i);
        assert_int_equal(rig_put(&a, path, "text", 4), 0);
    }
    memstore_fail(a.store, STORE_COPY, 4, 1, -EACCES);
    assert_int_equal(rig_rename(&a, "d", "e", 0), -EACCES);
    memstore_clear_faults(a.store);
    assert_int_equal(intents_mend(b.vfs), 0);
    assert_int_equal(memstore_user_objects(a.store), 7);
    for (int i = 0; i < 6; i++) {
        snprintf(path, sizeof(path), "d/%d", i);
        assert_file(&a, path, "text");
        assert_file(&b, path, "text");
    }
    assert_int_equal(rig_rename(&a, "d", "e", 0), 0);
    assert_false(is_object("d/"));
    assert_int_equal(memstore_user_objects(a.store), 7);
}

static void b_creates_in_d(void)
{
    once.result = rig_put(&b, "d/new", "late", 4);
}

/* Protocol 8: the marker comes back, with what it said. */
static void rmdir_that_raced_a_create(void **state)
{
    struct stat st;
    char names[64];

    (void)state;
    assert_int_equal(rig_mkdir(&a, "d", 0710), 0);
    assert_int_equal(rig_ls(&b, "d", names, sizeof(names)), 0);
    before(STORE_DELETE, "d/", b_creates_in_d);
    assert_int_equal(rig_rmdir(&a, "d"), -ENOTEMPTY);
    it_was_done();
    assert_true(is_object("d/"));
    time_passes();
    assert_int_equal(rig_stat(&b, "d", &st), 0);
    assert_int_equal(st.st_mode & 07777, 0710);
    assert_int_equal(rig_unlink(&a, "d/new"), 0);
    assert_int_equal(rig_rmdir(&a, "d"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(second_rename_of_a_file_fails),
        T(rename_waits_for_the_one_before),
        T(directory_shows_under_one_name),
        T(a_rename_that_is_over_hides_nothing),
        T(what_hiding_costs),
        T(directory_that_cannot_be_copied),
        T(rmdir_that_raced_a_create),
        W(second_rename_of_a_file_fails),
        W(rename_waits_for_the_one_before),
    };

    return cmocka_run_group_tests_name("vfs/rename_seen", tests, NULL, NULL);
}
