/* SPDX-License-Identifier: Apache-2.0 */
/* state_prefix=: what mounts keep in the bucket stands below it, is shared by mounts of the bucket
 * and of a prefix, and is hidden where it lies inside a mount. */
#include "onemount.h"

#include <errno.h>

#define STATE "shared/.mounts/"

static struct rig sub;

static int setup_state(void **state)
{
    struct vfs_conf conf;
    int r;

    (void)state;
    clock_fake_set(1000 * NS_PER_S, INT64_C(1700000000) * NS_PER_S);
    rig_set_has_fd(NULL);
    rig_set_state_prefix(STATE);
    r = rig_open(&rig, NULL);
    conf = rig.conf;
    conf.prefix = "shared/";
    return r == 0 ? rig_join(&sub, &rig, &conf) : r;
}

static int teardown_state(void **state)
{
    rig_close(&sub);
    rig_set_state_prefix(NULL);
    return teardown(state);
}

static void root_is_below_it(void **state)
{
    struct stat st;

    (void)state;
    assert_int_equal(rig_chmod(&rig, "", 0711), 0);
    assert_no_object(".s3efs/root");
    assert_object(STATE "root", "");
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_stat(&rig, "", &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0711);
}

static void it_is_hidden_in_both_mounts(void **state)
{
    struct vfs_stats vs;
    struct stat st;
    char names[64];

    (void)state;
    foreign_put(STATE "locks/x", "");
    foreign_put("shared/f", "1");
    foreign_put("shared/.mounts-of-mine/f", "1"); /* begins alike, and is the user's */
    assert_int_equal(rig_ls(&rig, "shared", names, sizeof(names)), 0);
    assert_string_equal(names, ".mounts-of-mine f");
    assert_int_equal(rig_ls(&sub, "", names, sizeof(names)), 0);
    assert_string_equal(names, ".mounts-of-mine f");
    assert_int_equal(rig_stat(&rig, "shared/.mounts", &st), -ENOENT);
    assert_int_equal(rig_mkdir(&rig, "shared/.mounts", 0755), -EPERM);
    assert_int_equal(rig_stat(&sub, ".mounts", &st), -ENOENT);
    assert_int_equal(rig_mkdir(&sub, ".mounts", 0755), -EPERM);
    assert_int_equal(rig_mkdir(&rig, ".mounts", 0755),
                     0); /* elsewhere it is a name like any other */
    vfs_stats_get(sub.vfs, &vs);
    assert_int_equal(vs.hidden_keys, 0); /* that is for keys that no path can have */
}

static void it_does_not_move_with_a_directory(void **state)
{
    (void)state;
    foreign_put(STATE "locks/x", "held");
    foreign_put("shared/f", "1");
    foreign_put("other/f", "1");
    assert_int_equal(rig_rename(&rig, "shared", "elsewhere", 0), -EBUSY);
    assert_object(STATE "locks/x", "held");
    assert_object("shared/f", "1");
    assert_int_equal(rig_rename(&rig, "other", "elsewhere", 0), 0);
}

#define S(f) cmocka_unit_test_setup_teardown(f, setup_state, teardown_state)
int main(void)
{
    const struct CMUnitTest tests[] = {
        S(root_is_below_it),
        S(it_is_hidden_in_both_mounts),
        S(it_does_not_move_with_a_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
