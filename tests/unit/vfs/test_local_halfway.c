/* SPDX-License-Identifier: Apache-2.0 */
/* commit=local: an unsent file of several names, of which the bucket has the first and not all others yet (linked.h): the mount
 * ends, another client takes or removes a name, or the bucket refuses what is left. */
#include "localmount.h"

static void assert_nlink(const char *path, unsigned n)
{
    struct stat st;

    assert_int_equal(rig_stat(&rig, path, &st), 0);
    assert_int_equal(st.st_nlink, n);
}

static void later(void)
{
    clock_fake_add(100 * NS_PER_S);
    (void)outbox_run(rig.vfs);
}

static int append_text_to(struct rig *r, const char *path, const char *text)
{
    uint64_t fh;

    assert_int_equal(rig_open_file(r, path, O_WRONLY | O_APPEND, &fh), 0);
    assert_int_equal(vfs_write(r->vfs, &r->ctx, fh, 0, text, strlen(text)), strlen(text));
    return rig_shut(r, fh);
}

/* f is in the bucket, g is not. */
static void half_way(void)
{
    put_text("f", "text");
    set_xattr("f", "user.color", "blue");
    assert_int_equal(rig_link(&rig, "f", "g"), 0);
    memstore_fail(rig.store, STORE_COPY, 1, 1000, -EIO);
    memstore_fail(rig.store, STORE_PUT, 3, 1000, -EIO);
    (void)outbox_run(rig.vfs);
    assert_object("f", "text");
    assert_no_object("g");
    assert_int_equal(entries(), 1);
}

static void healed(struct rig *r)
{
    memstore_clear_faults(r->store);
}

static void the_mount_ends(void **state)
{
    struct vfs_entry e;

    (void)state;
    half_way();
    assert_int_equal(rig_walk(&rig, "g", &e), 0); /* the kernel forgets nothing at the end of a mount */
    assert_int_equal(rig_remount_after(&rig, healed), 0);
    assert_int_equal(kept(), 0);
    assert_file("g", "text");
    later();
    assert_object("g", "text");
    assert_nlink("f", 2);
    assert_int_equal(entries(), 0);
}

/* So are f and g, and h is not. */
static void two_of_three(void)
{
    put_text("f", "text");
    assert_int_equal(rig_link(&rig, "f", "g"), 0);
    assert_int_equal(rig_link(&rig, "f", "h"), 0);
    memstore_fail(rig.store, STORE_COPY, 2, 1000, -EIO);
    memstore_fail(rig.store, STORE_PUT, 6, 1000, -EIO);
    (void)outbox_run(rig.vfs);
    assert_object("g", "text");
    assert_no_object("h");
}

/* Of the names that are known here, one that is not made yet counts, too. */
static void names_count_before_they_are_made(void **state)
{
    (void)state;
    two_of_three();
    assert_nlink("f", 3);
    memstore_clear_faults(rig.store);
    later();
    assert_object("h", "text");
    assert_nlink("g", 3);
}

/* Another client removes the file under the name that it has: the one that was acknowledged here is made all the same. */
static void the_first_name_is_removed(void **state)
{
    (void)state;
    half_way();
    assert_int_equal(memstore_delete(rig.store, "f"), 0);
    memstore_clear_faults(rig.store);
    later();
    later();
    assert_int_equal(entries(), 0);
    assert_object("g", "text");
    assert_no_object("f");
    assert_nlink("g", 1);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_int_equal(rig_remount(&rig), 0);
    assert_file("g", "text");
}

static void the_first_name_is_taken(void **state)
{
    (void)state;
    half_way();
    foreign_put("f", "foreign");
    memstore_clear_faults(rig.store);
    later();
    later();
    assert_int_equal(entries(), 0);
    assert_object("f", "foreign");
    assert_object("g", "text");
    assert_file("f", "foreign");
    assert_nlink("g", 1);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_int_equal(rig_remount(&rig), 0);
    assert_file("g", "text");
}

static void assert_mode(const char *path, mode_t mode)
{
    struct stat st;

    assert_int_equal(rig_stat(&rig, path, &st), 0);
    assert_int_equal(st.st_mode & 07777, mode);
}

/* And what is asked of the file before it is tried again, by a name that is not made. */
static void the_first_name_is_removed_and_then(void **state)
{
    (void)state;
    for (int k = 0; k < 3; k++) {
        half_way();
        memstore_clear_faults(rig.store);
        assert_int_equal(memstore_delete(rig.store, "f"), 0);
        if (k == 0)
            put_text("g", "newer");
        else if (k == 1)
            assert_int_equal(rig_chmod(&rig, "g", 0600), 0);
        else
            assert_file("g", "text");
        if (k < 2) /* what was answered is in the journal, and the name that went is not */
            assert_int_equal(rig_crash(&rig), 0);
        later();
        later();
        assert_int_equal(entries(), 0);
        assert_xattr("g", "user.color", "blue");
        assert_object("g", k == 0 ? "newer" : "text");
        assert_no_object("f");
        assert_nlink("g", 1);
        assert_mode("g", k == 1 ? 0600 : 0644);
        assert_int_equal(kept(), 0);
        assert_int_equal(rig_unlink(&rig, "g"), 0);
        later();
    }
}

/* Two have written to it since: one here, who was told that it is not in the bucket, and another mount, by the name that was
 * made. The names are made all the same. */
static void written_here_and_there(void **state)
{
    struct rig other = {0};
    char data[64] = "";

    (void)state;
    half_way();
    assert_true(append_text("g", " ours") < 0);
    memstore_clear_faults(rig.store);
    assert_int_equal(rig_join(&other, &rig, NULL), 0);
    assert_int_equal(append_text_to(&other, "f", " theirs"), 0);
    rig_close(&other);
    later();
    later();
    assert_int_equal(entries(), 0);
    assert_true(rig_get(&rig, "g", data, sizeof(data) - 1) > 0);
    assert_non_null(strstr(data, "text"));
    assert_non_null(strstr(data, "ours"));
    assert_non_null(strstr(data, "theirs"));
    assert_object("f", data);
    assert_object("g", data);
    assert_nlink("f", 2);
    assert_int_equal(kept(), 0);
}

/* Then the file is what stands under a name that was made, also where another mount has written by that one meanwhile. */
static void the_first_of_several_is_taken(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        const char *text = k % 2 == 0 ? "text" : "theirs";

        two_of_three();
        memstore_clear_faults(rig.store);
        if (k % 2 == 1) {
            struct rig other = {0};

            assert_int_equal(rig_join(&other, &rig, NULL), 0);
            assert_int_equal(rig_put(&other, "g", text, strlen(text)), 0);
            assert_int_equal(vfs_drain(other.vfs), 0);
            rig_close(&other);
        }
        if (k < 2)
            assert_int_equal(memstore_delete(rig.store, "f"), 0);
        else
            foreign_put("f", "foreign");
        later();
        later();
        assert_int_equal(entries(), 0);
        assert_object("g", text);
        assert_object("h", text);
        clock_fake_add(100 * NS_PER_S);
        assert_nlink("g", 2);
        assert_file("h", text);
        assert_int_equal(rig_unlink(&rig, "g"), 0);
        assert_int_equal(rig_unlink(&rig, "h"), 0);
        later();
        if (k < 2)
            assert_no_object("f");
        else
            assert_int_equal(memstore_delete(rig.store, "f"), 0);
        clock_fake_add(100 * NS_PER_S);
    }
}

/* Looks are refused for a while: no name is lost by that. */
static void refused_for_a_while(void **state)
{
    (void)state;
    half_way();
    memstore_clear_faults(rig.store);
    memstore_fail(rig.store, STORE_GET, 1, 1000, -EACCES);
    memstore_fail(rig.store, STORE_HEAD, 1, 1000, -EACCES);
    later();
    memstore_clear_faults(rig.store);
    later();
    assert_object("f", "text");
    assert_object("g", "text");
    assert_int_equal(entries(), 0);
    assert_int_equal(rig_remount(&rig), 0);
    assert_nlink("g", 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        L(names_count_before_they_are_made),
        L(the_first_name_is_removed),
        L(the_first_name_is_taken),
        L(the_first_name_is_removed_and_then),
        L(written_here_and_there),
        L(the_first_of_several_is_taken),
        L(refused_for_a_while),
        L(the_mount_ends),
    };

    return cmocka_run_group_tests_name("vfs/local_halfway", tests, NULL, NULL);
}
