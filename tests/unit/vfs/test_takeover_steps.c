/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that dies at each step of a run of calls, under commit=close (takeoversteps.h). */
#include "takeoversteps.h"

static void appends(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "log"},       {.what = APPEND, .name = "one\n"},
        {.what = FSYNC, .name = ""},         {.what = APPEND, .name = "two\n"},
        {.what = APPEND, .name = "three\n"}, {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},
    };

    (void)state;
    at_each_step(calls, ARRAY_LEN(calls), old_log, log_is_whole);
}

static void appends_to_a_new_file(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "log"}, {.what = APPEND, .name = "lost\n"},
        {.what = CUT, .name = ""},     {.what = APPEND, .name = "one\n"},
        {.what = FLUSH, .name = ""},   {.what = APPEND, .name = "two\n"},
        {.what = FLUSH, .name = ""},   {.what = RELEASE, .name = ""},
    };

    (void)state;
    at_each_step(calls, ARRAY_LEN(calls), nothing, new_is_whole);
}

static void names_are_as_wanted(void)
{
    assert_object("new", "zero\none\ntwo\n");
    assert_no_object("log");
    assert_no_object("link");
    assert_no_object("dir/");
    assert_int_equal(memstore_get(rig.store, "dir2/", NULL, NULL), 0);
}

static void names(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "log"},     {.what = APPEND, .name = "one\n"},
        {.what = FSYNC, .name = ""},       {.what = RENAME, .name = "log", .new_name = "new"},
        {.what = APPEND, .name = "two\n"}, {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},     {.what = MKDIR, .name = "dir"},
        {.what = SYMLINK, .name = "link"}, {.what = UNLINK, .name = "link"},
        {.what = RMDIR, .name = "dir"},    {.what = MKDIR, .name = "dir2"},
    };

    (void)state;
    at_each_step(calls, ARRAY_LEN(calls), old_log, names_are_as_wanted);
}

static void unsent_names_are_as_wanted(void)
{
    assert_object("final", "one\ntwo\n");
    assert_no_object("tmp");
    assert_no_object("new");
    assert_no_object("gone");
}

/* Of files that the bucket does not have yet: it can't tell what became of the call. */
static void unsent_names(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "tmp"},
        {.what = APPEND, .name = "one\n"},
        {.what = RENAME, .name = "tmp", .new_name = "new"},
        {.what = APPEND, .name = "two\n"},
        {.what = RENAME, .name = "new", .new_name = "final"},
        {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},
        {.what = OPEN, .name = "gone"},
        {.what = APPEND, .name = "x"},
        {.what = UNLINK, .name = "gone"},
        {.what = FLUSH, .name = ""},
        {.what = RELEASE, .name = ""},
    };

    (void)state;
    at_each_step(calls, ARRAY_LEN(calls), nothing, unsent_names_are_as_wanted);
}

static void twice_each(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN, .name = "log"}, {.what = APPEND, .name = "one\n"},
        {.what = FSYNC, .name = ""},   {.what = APPEND, .name = "two\nthree\n"},
        {.what = FLUSH, .name = ""},   {.what = RELEASE, .name = ""},
    };

    (void)state;
    t.n_starts = 0;
    t.is_twice = true;
    at_each_step(calls, ARRAY_LEN(calls), old_log, log_is_whole);
    t.is_twice = false;
    assert_true(t.n_starts > 0);
}

static void others_are_as_wanted(void)
{
    char value[8];

    assert_object("new", "one\n");
    assert_object("other", "one\n");
    assert_int_equal(vfs_getxattr(rig.vfs, t.node, "user.a", value, sizeof(value)), 5);
}

static void links_and_attributes(void **state)
{
    static const struct step calls[] = {
        {.what = OPEN_EXCL, .name = "new"},
        {.what = APPEND, .name = "one\n"},
        {.what = FLUSH, .name = ""},
        {.what = SETXATTR, .name = "user.a"},
        {.what = LINK, .name = "", .new_name = "other"},
        {.what = RELEASE, .name = ""},
    };

    (void)state;
    at_each_step(calls, ARRAY_LEN(calls), nothing, others_are_as_wanted);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(appends),    cmocka_unit_test(appends_to_a_new_file),
        cmocka_unit_test(names),      cmocka_unit_test(unsent_names),
        cmocka_unit_test(twice_each), cmocka_unit_test(links_and_attributes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
