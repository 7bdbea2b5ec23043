/* SPDX-License-Identifier: Apache-2.0 */
/* A rename that a dead mount left long ago is finished by nobody but who is told to finish those
 * too; until then each name is shown once, and nobody waits for it. */
#include "dyingmount.h"

#define DAY_NS (24 * 3600 * NS_PER_S)

static struct vfs_conf conf;

static int set_up(void **state)
{
    (void)state;
    rig_set_has_fd(NULL);
    rig_defaults(&conf);
    conf.finish_age_ns = 7 * DAY_NS;
    return 0;
}

/* a dies before its k-th request of this rename; nobody is there for so many days. */
static void dies(const char *from, const char *to, unsigned k, int64_t days)
{
    a_dies_at(k, false);
    assert_true(rig_rename(&a, from, to, 0) < 0);
    assert_true(atomic_load(&gate.n) >= k);
    clock_fake_add(days * DAY_NS);
}

/* Every look there is; the session is watched for its lease time in between. */
static int mend_all(struct rig *r)
{
    int left = 1;

    for (int i = 0; i < 8 && left != 0; i++) {
        left = intents_mend(r->vfs);
        assert_true(left >= 0);
        clock_fake_add(11 * NS_PER_S);
    }
    return left;
}

static bool is_dir_of_b(const char *path)
{
    char names[64];

    return rig_ls(&b, path, names, sizeof(names)) == 0;
}

/* The deaths at which an intent is left, and those at which there is none, for either age. */
static unsigned die_everywhere(const char *from, const char *to, int64_t days,
                               void (*look)(const char *from, const char *to, int left))
{
    unsigned n_left = 0;

    for (unsigned k = 4; k < 30; k++) {
        int left;

        open_both(&conf);
        assert_int_equal(rig_mkdir(&a, "d", 0755), 0);
        assert_int_equal(rig_put(&a, "d/1", "one", 3), 0);
        assert_int_equal(rig_put(&a, "f", "text", 4), 0);
        time_passes();
        a_dies_at(k, false);
        if (rig_rename(&a, from, to, 0) == 0) {
            k = 30;
        } else {
            clock_fake_add(days * DAY_NS);
            left = mend_all(&b);
            time_passes();
            look(from, to, left);
            n_left += left != 0;
        }
        a_dies_at(1, false);
        close_both();
    }
    return n_left;
}

static void is_finished(const char *from, const char *to, int left)
{
    assert_int_equal(left, 0);
    assert_true(is_object(from) != is_object(to) || strcmp(from, "d") == 0);
    assert_true(is_dir_of_b("d") != is_dir_of_b("e"));
}

static void is_left_alone(const char *from, const char *to, int left)
{
    struct rig fsck;
    struct vfs_conf any_age = conf;
    size_t n = memstore_user_objects(b.store);
    bool is_dir = strcmp(from, "d") == 0;

    if (left == 0)
        return; /* there was no intent yet, or none any more */
    if (is_dir) {
        assert_true(is_dir_of_b(from) != is_dir_of_b(to)); /* under one of its names */
        assert_text(&b, is_dir_of_b(from) ? "d/1" : "e/1", "one");
    }
    assert_int_equal(rig_rename(&b, is_dir_of_b("d") || !is_dir ? from : to, "other", 0), -EBUSY);
    assert_int_equal(memstore_user_objects(b.store), n); /* nothing was done */
    any_age.finish_age_ns = 0;
    assert_int_equal(rig_join(&fsck, &b, &any_age), 0);
    assert_int_equal(mend_all(&fsck), 0);
    rig_close(&fsck);
    time_passes();
    assert_int_equal(mend_all(&b), 0);
    is_finished(from, to, 0);
}

static void young_ones_are_finished(void **state)
{
    (void)state;
    assert_int_equal(die_everywhere("f", "g", 6, is_finished), 0);
    assert_int_equal(die_everywhere("d", "e", 6, is_finished), 0);
}

static void old_ones_are_left(void **state)
{
    (void)state;
    assert_true(die_everywhere("f", "g", 8, is_left_alone) >= 2);
    assert_true(die_everywhere("d", "e", 8, is_left_alone) >= 5);
}

/* Whoever wrote it finishes it: it knows what it was doing. */
static void its_own_mount_finishes_it(void **state)
{
    (void)state;
    open_both(&conf);
    assert_int_equal(rig_put(&a, "f", "text", 4), 0);
    assert_int_equal(rig_put(&a, "x", "text", 4), 0);
    dies("f", "g", 7, 8);
    a_dies_at(0, false);
    assert_int_equal(rig_rename(&a, "x", "y", 0), 0); /* its session is another one by now */
    assert_int_equal(mend_all(&a), 0);
    assert_true(is_object("f") != is_object("g"));
    close_both();
}

/* Where DELETE knows no conditions a writer waits for who may delete what it wrote. Nobody will. */
static void writers_do_not_wait(void **state)
{
    struct vfs_conf weak = weak_conf();

    (void)state;
    weak.finish_age_ns = conf.finish_age_ns;
    open_both(&weak);
    assert_int_equal(rig_put(&a, "f", "text", 4), 0);
    assert_text(&b, "f", "text");
    dies("f", "g", 9, 8);
    assert_true(mend_all(&b) != 0);
    assert_true(is_object("f"));
    assert_int_equal(rig_put(&b, "f", "newer", 5), 0);
    assert_text(&b, "f", "newer");
    assert_int_equal(rig_unlink(&b, "f"), 0);
    assert_false(is_object("f"));
    close_both();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(young_ones_are_finished, set_up),
        cmocka_unit_test_setup(old_ones_are_left, set_up),
        cmocka_unit_test_setup(its_own_mount_finishes_it, set_up),
        cmocka_unit_test_setup(writers_do_not_wait, set_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
