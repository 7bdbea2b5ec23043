/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that meet each other: a copy and a rename, a lock and a merge, a link and a merge. */
#include <pthread.h>

#include "turn.h"

/* A server that copies under conditions, and deletes without. */
static int setup_weak(void **state)
{
    const struct store_caps caps = {.put_absent = true,
                                    .put_match = true,
                                    .copy_src_match = true,
                                    .copy_dst_match = true,
                                    .copy_dst_absent = true};

    return setup_caps(state, &caps);
}

static uint64_t in, out;
static ssize_t copied;

static void a_copies(void)
{
    copied = vfs_copy_range(a.vfs, &a.ctx, in, 0, out, 0, 8);
}

/* b has looked at the file for the last time and is about to delete it under its old name. What a
 * copies onto it now must not go with it unnoticed. */
static void copy_onto_a_file_that_moves(void **state)
{
    (void)state;
    put_text(&a, "in", "new text");
    put_text(&a, "out", "old");
    in = open_text(&a, "in", O_RDONLY);
    out = open_text(&a, "out", O_RDWR | O_TRUNC);
    before(STORE_DELETE, STORE_DELETE, "out", 1, a_copies);
    assert_int_equal(rig_rename(&b, "out", "moved", 0), 0);
    all_turns_were_taken();
    assert_int_equal(copied, 8);
    assert_int_equal(rig_shut(&a, out), -ESTALE);
    assert_int_equal(lost_and_found(&a), 1);
    assert_int_equal(rig_shut(&a, in), 0);
    assert_object("moved", "old");
}

/* Another client has made a directory of the copy's name since it was created. */
static void copy_onto_a_directorys_name(void **state)
{
    char *data = NULL;

    (void)state;
    put_text(&a, "in", "new text");
    in = open_text(&a, "in", O_RDONLY);
    out = open_text(&a, "out", O_RDWR | O_CREAT);
    foreign_put("out/1", "1");
    clock_fake_add(100 * NS_PER_S);
    a_copies();
    assert_int_equal(copied, 8);
    assert_int_not_equal(memstore_get(a.store, "out", NULL, &data), 0);
    assert_int_equal(rig_shut(&a, out), -EISDIR);
    assert_int_equal(lost_and_found(&a), 1);
    assert_int_equal(rig_shut(&a, in), 0);
}

static int lock_first_byte(uint64_t node, enum lock_type type)
{
    const struct vfs_lock l = {
        .kind = LOCK_POSIX, .type = type, .range = {0, 0}, .owner = 1, .pid = RIG_PID};

    return vfs_lock_set(a.vfs, node, &l, NULL);
}

/* An unlock commits, and by that takes in what others wrote: the kernel's pages are older. */
static void unlock_tells_the_kernel_of_a_merge(void **state)
{
    struct vfs_entry e;
    unsigned before;
    uint64_t fh;

    (void)state;
    put_text(&b, "f", "0123");
    assert_int_equal(rig_walk(&a, "f", &e), 0);
    fh = open_text(&a, "f", O_RDWR);
    assert_int_equal(lock_first_byte(e.node, LOCK_TYPE_WRITE), 0);
    write_text(&a, fh, 0, "A");
    in = open_text(&b, "f", O_RDWR);
    write_text(&b, in, 3, "B");
    assert_int_equal(rig_shut(&b, in), 0);
    before = a.invalidations;
    assert_int_equal(lock_first_byte(e.node, LOCK_TYPE_NONE), 0);
    assert_object("f", "A12B");
    assert_int_equal(a.invalidations, before + 1);
    assert_int_equal(rig_shut(&a, fh), 0);
    vfs_forget(a.vfs, e.node, 1);
}

/* The same of a link, which commits first. */
static void link_tells_the_kernel_of_a_merge(void **state)
{
    unsigned before;
    uint64_t fh;

    (void)state;
    put_text(&b, "f", "0123");
    fh = open_text(&a, "f", O_RDWR);
    write_text(&a, fh, 0, "A");
    in = open_text(&b, "f", O_RDWR);
    write_text(&b, in, 3, "B");
    assert_int_equal(rig_shut(&b, in), 0);
    before = a.invalidations;
    assert_int_equal(rig_link(&a, "f", "g"), 0);
    assert_object("g", "A12B");
    assert_int_equal(a.invalidations, before + 1);
    assert_int_equal(rig_shut(&a, fh), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(copy_onto_a_file_that_moves, setup_weak, teardown),
        T(copy_onto_a_directorys_name),
        T(unlock_tells_the_kernel_of_a_merge),
        T(link_tells_the_kernel_of_a_merge),
    };

    return cmocka_run_group_tests_name("vfs/review", tests, NULL, NULL);
}
