/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX permissions, rule by rule. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/stat.h>

#include "base/macros.h"
#include "fs/vfs/access.h"

#define R ACCESS_R
#define W ACCESS_W
#define X ACCESS_X

static const gid_t more[] = {30, 40};
static const struct access_user root = {.uid = 0, .gid = 0}, u10 = {10, 20, more, 2},
                                u11 = {11, 21, NULL, 0};

static void owner_group_other(void **state)
{
    static const struct {
        const struct access_user *u;
        mode_t mode;
        uid_t uid;
        gid_t gid;
        unsigned want;
        int result;
    } rows[] = {
        {&u10, S_IFREG | 0600, 10, 99, R | W, 0},   {&u10, S_IFREG | 0600, 10, 99, X, -EACCES},
        {&u10, S_IFREG | 0077, 10, 20, R, -EACCES}, /* the owner's class decides */
        {&u10, S_IFREG | 0040, 11, 20, R, 0},       {&u10, S_IFREG | 0040, 11, 20, W, -EACCES},
        {&u10, S_IFREG | 0707, 11, 20, R, -EACCES}, /* the group's class decides */
        {&u10, S_IFREG | 0020, 11, 30, W, 0},       /* secondary groups */
        {&u10, S_IFREG | 0020, 11, 40, W, 0},       {&u10, S_IFREG | 0020, 11, 50, W, -EACCES},
        {&u10, S_IFREG | 0004, 11, 50, R, 0},       {&u10, S_IFREG | 0004, 11, 50, R | W, -EACCES},
        {&u10, S_IFDIR | 0711, 11, 50, X, 0},       {&u10, S_IFDIR | 0700, 11, 50, X, -EACCES},
        {&root, S_IFREG | 0000, 10, 20, R | W, 0},  {&root, S_IFREG | 0666, 10, 20, X, -EACCES},
        {&root, S_IFREG | 0001, 10, 20, X, 0},      {&root, S_IFDIR | 0000, 10, 20, R | W | X, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct access_file f = {rows[i].mode, rows[i].uid, rows[i].gid};

        if (access_check(rows[i].u, &f, rows[i].want) != rows[i].result)
            fail_msg("row %zu", i);
    }
}

static void names_in_a_directory(void **state)
{
    static const struct {
        const struct access_user *u;
        mode_t mode;
        uid_t dir_uid, uid;
        int result;
    } rows[] = {
        {&u10, 0755, 11, 10, -EACCES}, {&u10, 0753, 11, 11, 0},  /* w and x of others */
        {&u10, 0752, 11, 11, -EACCES}, {&u10, 01777, 11, 10, 0}, /* one's own file */
        {&u10, 01777, 10, 11, 0},                                /* one's own directory */
        {&u10, 01777, 11, 11, -EPERM}, {&root, 01777, 11, 11, 0}, {&root, 0, 11, 11, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct access_file dir = {S_IFDIR | rows[i].mode, rows[i].dir_uid, 99};
        const struct access_file victim = {S_IFREG | 0644, rows[i].uid, 99};

        if (access_name(rows[i].u, &dir, &victim) != rows[i].result)
            fail_msg("row %zu", i);
    }
    {
        const struct access_file dir = {S_IFDIR | 01777, 11, 99};

        assert_int_equal(access_name(&u10, &dir, NULL), 0); /* a new name in a sticky directory */
    }
}

static void chmod_rules(void **state)
{
    const struct access_file mine = {S_IFREG | 0644, 10, 30}, others = {S_IFREG | 0644, 11, 20};
    const struct access_file strange = {S_IFREG | 0644, 10, 50};
    mode_t mode = 02755;

    (void)state;
    assert_int_equal(access_chmod(&u10, &mine, &mode), 0);
    assert_int_equal(mode, 02755);
    assert_int_equal(access_chmod(&u10, &others, &mode), -EPERM);
    assert_int_equal(access_chmod(&u10, &strange, &mode), 0);
    assert_int_equal(mode, 0755); /* not in the file's group */
    mode = 06755;
    assert_int_equal(access_chmod(&root, &strange, &mode), 0);
    assert_int_equal(mode, 06755);
}

static void chown_rules(void **state)
{
    static const struct {
        const struct access_user *u;
        uid_t owner, uid;
        gid_t gid;
        int result;
    } rows[] = {
        {&u10, 10, 11, (gid_t)-1, -EPERM},   {&u10, 10, 10, (gid_t)-1, 0},
        {&u10, 11, 11, (gid_t)-1, -EPERM},   {&u10, 10, (uid_t)-1, 30, 0},
        {&u10, 10, (uid_t)-1, 50, -EPERM},   {&u10, 11, (uid_t)-1, 30, -EPERM},
        {&u10, 10, (uid_t)-1, 20, 0},        {&root, 10, 0, 77, 0},
        {&u10, 10, (uid_t)-1, (gid_t)-1, 0},
    };
    struct access_file f = {S_IFREG | 06755, 10, 20};
    mode_t mode;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        f.uid = rows[i].owner;
        if (access_chown(rows[i].u, &f, rows[i].uid, rows[i].gid, &mode) != rows[i].result)
            fail_msg("row %zu", i);
        if (rows[i].result == 0)
            assert_int_equal(mode, S_IFREG | 0755); /* set-id bits fall */
    }
    f = (struct access_file){S_IFREG | 02644, 10, 20}; /* mandatory locking, not set-group-id */
    assert_int_equal(access_chown(&root, &f, 1, 1, &mode), 0);
    assert_int_equal(mode, S_IFREG | 02644);
    f = (struct access_file){S_IFDIR | 02775, 10, 20};
    assert_int_equal(access_chown(&u10, &f, (uid_t)-1, 30, &mode), 0);
    assert_int_equal(mode, S_IFDIR | 02775);
}

static void utimes_rules(void **state)
{
    const struct access_file mine = {S_IFREG | 0400, 10, 20}, open_one = {S_IFREG | 0666, 11, 21},
                             shut = {S_IFREG | 0644, 11, 21};

    (void)state;
    assert_int_equal(access_utimes(&u10, &mine, false), 0);
    assert_int_equal(access_utimes(&u10, &open_one, true), 0);
    assert_int_equal(access_utimes(&u10, &open_one, false), -EPERM);
    assert_int_equal(access_utimes(&u10, &shut, true), -EACCES);
    assert_int_equal(access_utimes(&root, &shut, false), 0);
}

static void new_files(void **state)
{
    const struct access_file plain = {S_IFDIR | 0777, 11, 21}, setgid = {S_IFDIR | 02777, 11, 21},
                             ours = {S_IFDIR | 02777, 11, 30};
    struct access_file f = {.mode = S_IFREG | 02755};

    (void)state;
    access_new(&u10, &plain, &f);
    assert_int_equal(f.uid, 10);
    assert_int_equal(f.gid, 20);
    assert_int_equal(f.mode, S_IFREG | 02755);
    access_new(&u10, &setgid, &f);
    assert_int_equal(f.gid, 21);
    assert_int_equal(f.mode, S_IFREG | 0755); /* not in that group */
    f.mode = S_IFREG | 02755;
    access_new(&u10, &ours, &f);
    assert_int_equal(f.gid, 30);
    assert_int_equal(f.mode, S_IFREG | 02755);
    f.mode = S_IFDIR | 0755;
    access_new(&u11, &ours, &f);
    assert_int_equal(f.mode, S_IFDIR | 02755);
    assert_int_equal(f.gid, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(owner_group_other), cmocka_unit_test(names_in_a_directory),
        cmocka_unit_test(chmod_rules),       cmocka_unit_test(chown_rules),
        cmocka_unit_test(utimes_rules),      cmocka_unit_test(new_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
