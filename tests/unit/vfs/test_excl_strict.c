/* SPDX-License-Identifier: Apache-2.0 */
/* excl=strict on two mounts: of two that open with O_EXCL the second is told at open; the
 * reservation ends with the first commit, with a release, with a failure, and with its mount's
 * death. */
#include "onemount.h"

#include <errno.h>
#include <fcntl.h>

static struct rig other;

static int setup_strict(void **state)
{
    int r = setup(state);

    rig.conf.excl = VFS_EXCL_STRICT;
    if (r == 0)
        r = rig_remount(&rig);
    return r == 0 ? rig_join(&other, &rig, NULL) : r;
}

static int teardown_strict(void **state)
{
    rig_close(&other);
    return teardown(state);
}

static uint64_t begin(struct rig *r, const char *path)
{
    uint64_t fh;

    assert_int_equal(rig_open_file(r, path, O_CREAT | O_EXCL | O_WRONLY, &fh), 0);
    return fh;
}

static void assert_refused(struct rig *r, const char *path)
{
    uint64_t fh;

    assert_int_equal(rig_open_file(r, path, O_CREAT | O_EXCL | O_WRONLY, &fh), -EEXIST);
}

static void assert_free(struct rig *r, const char *path)
{
    assert_int_equal(rig_shut(r, begin(r, path)), 0);
}

/* No reservation stands in the bucket. */
static void assert_none(void)
{
    struct store_req req = {.op = STORE_LIST, .prefix = ".s3efs/reservations/"};
    struct store_rsp rsp = {0};

    assert_int_equal(store_call(rig.store, &req, &rsp), 0);
    assert_int_equal(rsp.list.n, 0);
    store_rsp_done(&rsp);
}

static void the_race_is_decided_at_open(void **state)
{
    uint64_t fh = begin(&rig, "f");

    (void)state;
    assert_refused(&other, "f");
    assert_no_object("f"); /* no placeholder */
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "one", 3), 3);
    assert_refused(&other, "f");
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_object("f", "one");
    assert_none();
    assert_refused(&other, "f");
}

/* Between the kernel's lookup and the reservation the name was made, and its reservation ended. */
static void made_between_lookup_and_open(void **state)
{
    struct vfs_entry e;
    uint64_t fh;

    (void)state;
    assert_int_equal(vfs_lookup(other.vfs, &other.ctx, VFS_ROOT, "f", &e), -ENOENT);
    assert_free(&rig, "f");
    assert_int_equal(vfs_create(other.vfs, &other.ctx, VFS_ROOT, "f", 0644,
                                O_CREAT | O_EXCL | O_WRONLY, &e, &fh),
                     -EEXIST);
    assert_none();
    assert_int_equal(rig_unlink(&rig, "f"), 0);
    clock_fake_add(100 * NS_PER_S);
    assert_free(&other, "f");
}

static void fsync_ends_it(void **state)
{
    uint64_t fh = begin(&rig, "f");

    (void)state;
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "one", 3), 3);
    assert_int_equal(vfs_fsync(rig.vfs, fh), 0);
    assert_none();
    assert_int_equal(rig_shut(&rig, fh), 0);
}

/* Without a commit: the file was unlinked, or close failed for good. */
static void removal_and_release_end_it(void **state)
{
    uint64_t fh = begin(&rig, "f");

    (void)state;
    assert_int_equal(rig_unlink(&rig, "f"), 0); /* however long the file stays open */
    assert_none();
    assert_free(&other, "f");
    assert_int_equal(rig_shut(&rig, fh), 0);
    fh = begin(&rig, "g");
    assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "one", 3), 3);
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(rig_shut(&rig, fh), -EACCES);
    assert_none();
    assert_free(&other, "g");
}

static void a_failed_open_ends_it(void **state)
{
    uint64_t fh;

    (void)state;
    assert_free(&rig, "first");                       /* the session has begun */
    memstore_fail(rig.store, STORE_HEAD, 2, 1, -EIO); /* the one after the lookup's */
    assert_int_equal(rig_open_file(&rig, "f", O_CREAT | O_EXCL | O_WRONLY, &fh), -EIO);
    assert_none();
    memstore_fail(rig.store, STORE_PUT, 1, 1, -EACCES);
    assert_int_equal(rig_open_file(&rig, "f", O_CREAT | O_EXCL | O_WRONLY, &fh), -EACCES);
    assert_no_object("f");
    assert_free(&other, "f");
}

/* The name moves before its first commit: what was reserved is given back at once. */
static void renamed_before_its_commit(void **state)
{
    uint64_t fh = begin(&rig, "f");

    (void)state;
    assert_int_equal(rig_rename(&rig, "f", "g", 0), 0);
    assert_none();
    assert_free(&other, "f");
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_refused(&other, "g");
}

/* kill -9: nobody gives it back, and nobody renews the session. */
static void a_dead_mount_keeps_no_name(void **state)
{
    (void)state;
    (void)begin(&rig, "f");
    assert_refused(&other, "f");
    clock_fake_add(31 * NS_PER_S);
    assert_free(&other, "f");
}

static void others_pay_nothing(void **state)
{
    uint64_t fh;

    (void)state;
    memstore_count_reset(rig.store);
    assert_int_equal(rig_open_file(&rig, "f", O_CREAT | O_WRONLY, &fh), 0); /* no O_EXCL */
    assert_int_equal(rig_shut(&rig, fh), 0);
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 3);
    assert_free(&rig, "first");
    memstore_count_reset(rig.store);
    assert_free(&rig, "g");
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 6); /* PUT, HEAD and DELETE more */
    rig.conf.excl = VFS_EXCL_OPEN;
    assert_int_equal(rig_remount(&rig), 0);
    memstore_count_reset(rig.store);
    assert_free(&rig, "h");
    assert_int_equal(memstore_count(rig.store, STORE_OPS), 3);
}

#define S(f) cmocka_unit_test_setup_teardown(f, setup_strict, teardown_strict)
int main(void)
{
    const struct CMUnitTest tests[] = {
        S(the_race_is_decided_at_open),
        S(made_between_lookup_and_open),
        S(fsync_ends_it),
        S(removal_and_release_end_it),
        S(a_failed_open_ends_it),
        S(renamed_before_its_commit),
        S(a_dead_mount_keeps_no_name),
        S(others_pay_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
