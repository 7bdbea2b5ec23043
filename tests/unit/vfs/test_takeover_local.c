/* SPDX-License-Identifier: Apache-2.0 */
/* The same as test_takeover_steps under commit=local: what the journal has and what the table has
 * of a file come together. */
#include "takeoversteps.h"

static void local_appends(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "log"},       {.what = APPEND, .name = "one\n"},
        {.what = FLUSH, .name = ""},         {.what = SEND, .name = ""},
        {.what = APPEND, .name = "two\n"},   {.what = FLUSH, .name = ""},
        {.what = APPEND, .name = "three\n"}, {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},       {.what = SEND, .name = ""},
    };

    (void)state;
    t.is_local = true;
    at_each_step(calls, ARRAY_LEN(calls), old_log, log_is_whole);
    t.is_local = false;
}

static void local_new_file(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "log"}, {.what = APPEND, .name = "one\n"},
        {.what = FLUSH, .name = ""},   {.what = RELEASE, .name = ""},
        {.what = OPEN, .name = "log"}, {.what = APPEND, .name = "two\n"},
        {.what = FLUSH, .name = ""},   {.what = RELEASE, .name = ""},
        {.what = SEND, .name = ""},
    };

    (void)state;
    t.is_local = true;
    at_each_step(calls, ARRAY_LEN(calls), nothing, new_is_whole);
    t.is_local = false;
}

static void local_names_are_as_wanted(void)
{
    assert_object("new", "two\n");
    assert_no_object("log");
    assert_no_object("tmp");
    assert_no_object("gone");
}

/* Temporary names that are renamed, over what is unsent, too, and one that is removed. */
static void local_names(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "log"},
        {.what = APPEND, .name = "one\n"},
        {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},
        {.what = RENAME, .name = "log", .new_name = "new"},
        {.what = OPEN, .name = "tmp"},
        {.what = APPEND, .name = "two\n"},
        {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},
        {.what = RENAME, .name = "tmp", .new_name = "new"},
        {.what = OPEN, .name = "gone"},
        {.what = APPEND, .name = "three\n"},
        {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},
        {.what = UNLINK, .name = "gone"},
        {.what = SEND, .name = ""},
    };

    (void)state;
    t.is_local = true;
    at_each_step(calls, ARRAY_LEN(calls), nothing, local_names_are_as_wanted);
    t.is_local = false;
}

static void stored_is_as_wanted(void)
{
    assert_object("new", "zero\none\ntwo\n");
    assert_object("kept", "three\n");
    assert_no_object("log");
}

/* Files that the bucket has in an older version. */
static void local_stored(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "log"},
        {.what = APPEND, .name = "one\n"},
        {.what = FLUSH, .name = ""},
        {.what = SEND, .name = ""},
        {.what = RENAME, .name = "log", .new_name = "new"},
        {.what = APPEND, .name = "two\n"},
        {.what = SEND, .name = ""},
        {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},
        {.what = OPEN, .name = "kept"},
        {.what = APPEND, .name = "lost\n"},
        {.what = FLUSH, .name = ""},
        {.what = CUT, .name = ""},
        {.what = APPEND, .name = "three\n"},
        {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},
        {.what = SEND, .name = ""},
    };

    (void)state;
    t.is_local = true;
    at_each_step(calls, ARRAY_LEN(calls), old_log, stored_is_as_wanted);
    t.is_local = false;
}

static void stored_files(void)
{
    assert_int_equal(rig_put(&rig, "gone", "old\n", 4), 0);
    old_log();
}

static void removals_are_as_wanted(void)
{
    char names[64];

    assert_object("log", "one\n");
    assert_no_object("gone");
    assert_int_equal(rig_ls(&rig, "", names, sizeof(names)), 0);
    assert_string_equal(names, "log");
}

/* Names of stored files that are removed, and one that a new file gets. */
static void local_removals(void **state)
{
    static const struct step calls[] = {
        {.what = UNLINK, .name = "log"},   {.what = UNLINK, .name = "gone"},
        {.what = OPEN, .name = "log"},     {.what = APPEND, .name = "one\n"},
        {.what = FLUSH, .name = ""},       {.what = RELEASE, .name = ""},
        {.what = SEND, .name = ""},
    };

    (void)state;
    t.is_local = true;
    at_each_step(calls, ARRAY_LEN(calls), stored_files, removals_are_as_wanted);
    t.is_local = false;
}

static void attributes_are_as_wanted(void)
{
    struct store_obj obj = {0};

    assert_object("log", "zero\n");
    assert_int_equal(memstore_get(rig.store, "log", &obj, NULL), 0);
    assert_string_equal(store_hdrs_get(&obj.hdrs, STORE_USER_META "file-permissions"), "0100600");
    assert_non_null(store_hdrs_get(&obj.hdrs, STORE_USER_META "s3efs-xattr"));
    store_obj_done(&obj);
}

/* Of a stored file that nobody has open any more: alone, while it is sent, and again. */
static void local_attributes(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "log"},
        {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},
        {.what = SETXATTR, .name = "user.color"},
        {.what = SEND, .name = ""},
        {.what = CHMOD, .name = ""},
        {.what = SETXATTR, .name = "user.shape"},
        {.what = SEND, .name = ""},
    };

    (void)state;
    t.is_local = true;
    at_each_step(calls, ARRAY_LEN(calls), old_log, attributes_are_as_wanted);
    t.is_local = false;
}

/* One that a mount without the option has left in the journal: the option makes none (symlink(2)). */
static void a_symbolic_link_of_an_earlier_mount(void **state)
{
    struct vfs_entry e = {0};
    char *target = NULL;

    t.is_local = true;
    assert_int_equal(set_up(state), 0);
    rig_set_keeps(false);
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(vfs_symlink(rig.vfs, &rig.ctx, "target", VFS_ROOT, "link", &e), 0);
    assert_no_object("link");
    rig_set_keeps(true);
    assert_int_equal(rig_remount(&rig), 0);
    vfs_keep_begin(rig.vfs, 2);
    assert_int_equal(vfs_lookup(rig.vfs, &rig.ctx, VFS_ROOT, "link", &e), 0);
    vfs_keep_reply(rig.vfs, 2, NULL, 0);
    assert_no_object("link");
    assert_int_equal(rig_crash(&rig), 0);
    assert_int_equal(vfs_readlink(rig.vfs, e.node, &target), 0);
    assert_string_equal(target, "target");
    free(target);
    assert_int_equal(vfs_drain(rig.vfs), 0);
    assert_object("link", "target");
    nothing_waits();
    tear_down(state);
    t.is_local = false;
}

/* A mount without the option has left a file of several names in the journal (the option makes none), and the next ones take
 * each other over, at whichever step of its sending and of the calls on its names. */
static void a_linked_file(void)
{
    struct vfs_entry e = {0};

    rig_set_keeps(false);
    assert_int_equal(rig_remount(&rig), 0);
    assert_int_equal(rig_put(&rig, "log", "one\n", 4), 0);
    assert_int_equal(rig_link(&rig, "log", "new"), 0);
    assert_int_equal(rig_link(&rig, "log", "more"), 0);
    assert_no_object("log");
    rig_set_keeps(true);
    assert_int_equal(rig_remount(&rig), 0);
    vfs_keep_begin(rig.vfs, 1000000);
    assert_int_equal(vfs_lookup(rig.vfs, &rig.ctx, VFS_ROOT, "new", &e), 0);
    assert_int_equal(e.st.st_nlink, 3);
    vfs_keep_reply(rig.vfs, 1000000, NULL, 0);
    assert_no_object("log");
}

static void assert_names(const char *names, const char *text, unsigned nlink)
{
    struct stat st, first = {.st_ino = 0};
    char all[64];

    nothing_waits();
    clock_fake_add(100 * NS_PER_S);
    assert_int_equal(rig_ls(&rig, "", all, sizeof(all)), 0);
    assert_string_equal(all, names);
    for (char *rest = all, *name; (name = strtok_r(rest, " ", &rest)) != NULL;) {
        assert_object(name, text);
        assert_int_equal(rig_stat(&rig, name, &st), 0);
        assert_int_equal(st.st_nlink, nlink);
        if (first.st_ino == 0)
            first = st;
        assert_int_equal(st.st_ino, first.st_ino);
    }
}

static void three_names(void)
{
    assert_names("log more new", "one\n", 3);
}

static void sent_links(void **state)
{
    static const struct step calls[] = {{.what = SEND, .name = ""}, {.what = SEND, .name = ""}};

    (void)state;
    t.is_local = true;
    at_each_step(calls, ARRAY_LEN(calls), a_linked_file, three_names);
    t.is_twice = true;
    at_each_step(calls, ARRAY_LEN(calls), a_linked_file, three_names);
    t.is_twice = t.is_local = false;
}

static void three_longer_names(void)
{
    assert_names("log more new", "one\ntwo\n", 3);
}

static void written_links(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "new"}, {.what = APPEND, .name = "two\n"}, {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""}, {.what = SEND, .name = ""},
    };

    (void)state;
    t.is_local = true;
    at_each_step(calls, ARRAY_LEN(calls), a_linked_file, three_longer_names);
    t.is_local = false;
}

static void two_names(void)
{
    assert_names("again new", "one\n", 2);
}

static void removed_links(void **state)
{
    static const struct step calls[] = {
        {.what = UNLINK, .name = "log"},
        {.what = RENAME, .name = "more", .new_name = "again"},
        {.what = SEND, .name = ""},
    };

    (void)state;
    t.is_local = true;
    at_each_step(calls, ARRAY_LEN(calls), a_linked_file, two_names);
    t.is_local = false;
}

/* A try has failed between the names, and then comes the next daemon: who reads the file goes on, and who writes to it. */
static void links_half_way(void **state)
{
    static const int flags[] = {-1, O_RDONLY, O_WRONLY | O_APPEND};

    (void)state;
    t.is_local = true;
    for (unsigned k = 0; k < 2 * ARRAY_LEN(flags); k++) {
        const int how = flags[k / 2];
        uint64_t fh = 0;

        assert_int_equal(set_up(state), 0);
        a_linked_file();
        memstore_fail(rig.store, STORE_COPY, 1 + k % 2, 1000, -EIO);
        vfs_keep_begin(rig.vfs, 1000002);
        if (how >= 0)
            assert_int_equal(rig_open_file(&rig, "new", how, &fh), 0);
        (void)outbox_run(rig.vfs);
        if (how > 0)
            assert_int_equal(vfs_write(rig.vfs, &rig.ctx, fh, 0, "two\n", 4), 4);
        vfs_keep_reply(rig.vfs, 1000002, NULL, 0);
        assert_object("log", "one\n");
        assert_no_object("more");
        assert_int_equal(rig_crash_after(&rig, healed), 0);
        if (how >= 0)
            assert_int_equal(rig_shut(&rig, fh), 0);
        outbox_hurry(rig.vfs);
        (void)outbox_run(rig.vfs);
        assert_names("log more new", how > 0 ? "one\ntwo\n" : "one\n", 3);
        tear_down(state);
    }
    t.is_local = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(local_appends),
        cmocka_unit_test(local_new_file),
        cmocka_unit_test(local_names),
        cmocka_unit_test(a_symbolic_link_of_an_earlier_mount),
        cmocka_unit_test(local_stored),
        cmocka_unit_test(local_removals),
        cmocka_unit_test(local_attributes),
        cmocka_unit_test(sent_links),
        cmocka_unit_test(written_links),
        cmocka_unit_test(removed_links),
        cmocka_unit_test(links_half_way),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
