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

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(source_of_a_refused_rename),
        T(another_file_under_the_old_name),
        T(target_of_a_mended_rename),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
