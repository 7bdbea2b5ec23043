/* SPDX-License-Identifier: Apache-2.0 */
/* What is in the bucket is in the next listing, also where a call of this mount has just found that
 * it knew nothing of it. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>

static void assert_listed(const char *names)
{
    char buf[256];

    assert_int_equal(rig_ls(&rig, "", buf, sizeof(buf)), 0);
    assert_string_equal(buf, names);
}

static void source_of_a_refused_rename(void **state)
{
    uint64_t fh;

    (void)state;
    assert_int_equal(rig_put(&rig, "a", "first", 5), 0);
    assert_int_equal(rig_open_file(&rig, "a", O_RDWR, &fh), 0);
    assert_listed("a");
    foreign_put("a", "another file");
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "F", 1), 1);
    assert_int_equal(rig_rename(&rig, "a", "b", 0), -ESTALE);
    assert_listed("a");
    assert_int_equal(rig_shut(&rig, fh), -ESTALE);
}

static void write_a_again(void *arg, struct store *s, const struct store_req *req, int result)
{
    bool *is_done = arg;

    (void)s;
    (void)result;
    if (req->op != STORE_DELETE || strcmp(req->key, "a") != 0 || *is_done)
        return;
    *is_done = true;
    foreign_put("a", "another file");
}

/* The rename is done, and what another client put under the old name stays there. */
static void another_file_under_the_old_name(void **state)
{
    bool is_done = false;

    (void)state;
    assert_int_equal(rig_put(&rig, "a", "first", 5), 0);
    assert_listed("a");
    memstore_set_hooks(rig.store, write_a_again, NULL, &is_done);
    assert_int_equal(rig_rename(&rig, "a", "b", 0), 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_true(is_done);
    assert_listed("a b");
    assert_file("a", "another file");
    assert_file("b", "first");
}

/* Half done, then finished by the thread that mends. */
static void target_of_a_mended_rename(void **state)
{
    (void)state;
    assert_int_equal(rig_put(&rig, "a", "first", 5), 0);
    assert_listed("a");
    memstore_fail(rig.store, STORE_DELETE, 1, 1, -EIO);
    assert_int_equal(rig_rename(&rig, "a", "b", 0), -EIO);
    memstore_clear_faults(rig.store);
    assert_int_equal(rig_mend(&rig), 0);
    assert_no_object("a");
    assert_listed("b");
}

static void assert_mode(const char *path, mode_t mode)
{
    struct stat st;

    assert_int_equal(rig_stat(&rig, path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

static unsigned n_asked; /* about f */

static void count_asked(void *arg, struct store *s, const struct store_req *req, int result)
{
    (void)arg;
    (void)s;
    (void)result;
    n_asked += req->key != NULL && strcmp(req->key, "f") == 0;
}

/* Another mount changes the mode of a file of another one, in the second of its last PUT, after that was asked for
 * here: ETag and Last-Modified stay. A listing does not confirm what was so young when it was seen; one HEAD does for
 * good. */
static void modes_of_one_second(void **state)
{
    struct rig other;

    (void)state;
    assert_int_equal(rig_join(&other, &rig, &rig.conf), 0);
    assert_int_equal(rig_put(&other, "f", "text", 4), 0);
    assert_mode("f", 0644);
    assert_int_equal(rig_chmod(&other, "f", 0600), 0);
    assert_mode("f", 0644); /* within the attribute times */
    clock_fake_add(100 * NS_PER_S);
    assert_listed("f");
    assert_mode("f", 0600);
    memstore_set_hooks(rig.store, count_asked, NULL, NULL);
    for (unsigned k = 0; k < 2; k++) {
        clock_fake_add(100 * NS_PER_S);
        n_asked = 0;
        assert_listed("f");
        assert_mode("f", 0600);
        assert_int_equal(n_asked, 0);
        if (k == 0)
            assert_int_equal(rig_remount(&rig), 0);
    }
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    rig_close(&other);
}

/* The same after a restart of this mount in between. */
static void modes_of_one_second_and_a_restart(void **state)
{
    struct rig other;

    (void)state;
    assert_int_equal(rig_join(&other, &rig, &rig.conf), 0);
    assert_int_equal(rig_put(&other, "f", "text", 4), 0);
    assert_mode("f", 0644);
    assert_int_equal(rig_chmod(&other, "f", 0600), 0);
    assert_int_equal(rig_remount(&rig), 0);
    assert_mode("f", 0644);
    clock_fake_add(100 * NS_PER_S);
    assert_listed("f");
    assert_mode("f", 0600);
    rig_close(&other);
}

/* Seen two seconds later: no change of that second can come any more, and listings confirm it. */
static void seen_when_its_second_is_over(void **state)
{
    struct rig other;

    (void)state;
    assert_int_equal(rig_join(&other, &rig, &rig.conf), 0);
    assert_int_equal(rig_put(&other, "f", "text", 4), 0);
    clock_fake_add(2 * NS_PER_S);
    assert_mode("f", 0644);
    clock_fake_add(100 * NS_PER_S);
    memstore_set_hooks(rig.store, count_asked, NULL, NULL);
    n_asked = 0;
    assert_listed("f");
    assert_mode("f", 0644);
    assert_int_equal(n_asked, 0);
    memstore_set_hooks(rig.store, NULL, NULL, NULL);
    assert_int_equal(rig_chmod(&other, "f", 0600), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_listed("f");
    assert_mode("f", 0600);
    rig_close(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(source_of_a_refused_rename),
        T(another_file_under_the_old_name),
        T(target_of_a_mended_rename),
        T(modes_of_one_second),
        T(modes_of_one_second_and_a_restart),
        T(seen_when_its_second_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
