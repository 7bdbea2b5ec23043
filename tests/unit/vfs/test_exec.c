/* SPDX-License-Identifier: Apache-2.0 */
/* A program that runs is not cut off. The kernel refuses writers before it asks us; who opens for
 * reading with O_TRUNC it refuses only after the open, which has truncated by then. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>

static void running_program_is_not_truncated_by_a_reader(void **state)
{
    uint64_t run, fh;

    (void)state;
    assert_int_equal(rig_put(&rig, "prog", "code", 4), 0);
    assert_int_equal(rig_open_file(&rig, "prog", O_RDONLY | VFS_OPEN_EXEC, &run), 0);
    assert_int_equal(rig_open_file(&rig, "prog", O_RDONLY | O_TRUNC, &fh), -ETXTBSY);
    assert_file("prog", "code");
    assert_object("prog", "code");
    assert_int_equal(rig_shut(&rig, run), 0);
    assert_int_equal(rig_open_file(&rig, "prog", O_RDONLY | O_TRUNC, &fh), 0);
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("prog", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(running_program_is_not_truncated_by_a_reader),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
