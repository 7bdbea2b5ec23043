/* SPDX-License-Identifier: Apache-2.0 */
/* Mount points: names, and what a mount table says of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include "base/err.h"
#include "mountpoint.h"

static bool find(const char *table, const char *path)
{
    char *copy = strdup(table);
    FILE *f = fmemopen(copy, strlen(copy), "r");
    bool ours;

    assert_non_null(f);
    ours = mountpoint_find(f, path);
    fclose(f);
    free(copy);
    return ours;
}

static void test_table(void **state)
{
    static const char table[] =
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "30 22 0:40 / /images rw shared:5 master:1 - fuse.s3efs s3://images rw,user_id=0\n"
        "31 22 0:41 / /with\\040blank rw - fuse.s3efs s3://b rw\n"
        "32 22 0:42 / /covered rw - fuse.s3efs s3://c rw\n"
        "33 32 0:43 / /covered rw - tmpfs tmpfs rw\n"
        "34 22 0:44 / /other rw - fuse.sshfs h:/ rw\n";

    (void)state;
    assert_true(find(table, "/images"));
    assert_true(find(table, "/with blank"));
    assert_false(find(table, "/covered"));
    assert_false(find(table, "/other"));
    assert_false(find(table, "/"));
    assert_false(find(table, "/image"));
    assert_false(find(table, "/images/x"));
}

static void test_broken_tables(void **state)
{
    (void)state;
    assert_false(find("x", "/images"));
    assert_false(find("1 2 3 4 /images\n", "/images"));
    assert_false(find("1 2 3 4 /images rw -\n", "/images"));
    assert_false(find("\n\n - \n", "/images"));
    assert_false(find("1 2 3 4 /im\\9 rw - fuse.s3efs x rw\n", "/images"));
}

static void test_within(void **state)
{
    (void)state;
    assert_true(path_is_within("/a/b", "/a"));
    assert_true(path_is_within("/a", "/a"));
    assert_true(path_is_within("/a", "/"));
    assert_false(path_is_within("/ab", "/a"));
    assert_false(path_is_within("/a", "/a/b"));
}

static void test_check(void **state)
{
    char dir[] = "/tmp/s3efs-test-XXXXXX", file[64], *path = NULL, *through = NULL;
    char link[64];

    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof(file), "%s/file", dir);
    snprintf(link, sizeof(link), "%s/link", dir);
    fclose(fopen(file, "w"));
    assert_int_equal(symlink(dir, link), 0);
    assert_int_equal(mountpoint_canonical(link, &through), 0);
    assert_string_equal(through, dir);
    assert_int_equal(mountpoint_check(through), 0);
    assert_int_equal(mountpoint_check(file), -ENOTDIR);
    assert_non_null(strstr(err_text(), "not a directory"));
    unlink(file);
    assert_int_equal(mountpoint_canonical(file, &path), -ENOENT);
    assert_int_equal(mountpoint_check(file), -ENOENT);
    unlink(link);
    rmdir(dir);
    free(through);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table), cmocka_unit_test(test_broken_tables),
        cmocka_unit_test(test_within), cmocka_unit_test(test_check),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
