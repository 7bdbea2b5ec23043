/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and paths: plain keys are their own path, no other key ever is, and the odd names are one to
 * one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "dir_int.h"

static void test_table(void **state)
{
    (void)state;
    static const struct {
        const char *key, *plain, *odd;
    } rows[] = {
        {"cats/a.jpg", "cats/a.jpg", "cats%2Fa%2Ejpg"},
        {"a b%20+", "a b%20+", "a%20b%2520%2B"},
        {"dir/", "dir/.s3efs-dir", "dir%2F"},
        {"a/b/", "a/b/.s3efs-dir", "a%2Fb%2F"},
        {"...", "...", "%2E%2E%2E"},
        {"\x01\x7f\xc3\xa9", "\x01\x7f\xc3\xa9", "%01%7F%C3%A9"},
        {"a//b", NULL, "a%2F%2Fb"},
        {"/a", NULL, "%2Fa"},
        {"/", NULL, "%2F"},
        {"a//", NULL, "a%2F%2F"},
        {".", NULL, "%2E"},
        {"a/..", NULL, "a%2F%2E%2E"},
        {"../a", NULL, "%2E%2E%2Fa"},
        {"a/./", NULL, "a%2F%2E%2F"},
        {".s3efs-dir", NULL, "%2Es3efs-dir"},
        {"a/.s3efs-dir", NULL, "a%2F%2Es3efs-dir"},
        {".s3efs-dir/tmp/x", NULL, "%2Es3efs-dir%2Ftmp%2Fx"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct dir_name n;
        char back[STORE_KEY_MAX + 1];
        assert_int_equal(dir_name_make(rows[i].key, &n), 0);
        assert_int_equal(n.is_plain, rows[i].plain != NULL);
        if (n.is_plain)
            assert_string_equal(n.plain, rows[i].plain);
        assert_string_equal(n.odd, rows[i].odd);
        assert_true(dir_odd_decode(n.odd, back));
        assert_string_equal(back, rows[i].key);
    }
}

static void test_limits(void **state)
{
    (void)state;
    struct dir_name n;
    char key[1100];
    memset(key, 'x', sizeof(key));
    key[255] = '\0';
    assert_int_equal(dir_name_make(key, &n), 0);
    assert_true(n.is_plain);
    key[255] = 'x';
    key[256] = '\0';
    assert_int_equal(dir_name_make(key, &n), 0);
    assert_false(n.is_plain);
    key[256] = 'x';
    key[1024] = '\0';
    assert_int_equal(dir_name_make(key, &n), 0);
    key[1024] = 'x';
    key[1025] = '\0';
    assert_int_equal(dir_name_make(key, &n), -ENAMETOOLONG);
    assert_int_equal(dir_name_make("", &n), -EINVAL);
}

/* Whatever the bytes: back to the same key, and each piece is a file name that leads nowhere else.
 */
static void test_random_keys(void **state)
{
    (void)state;
    static const char some[] = "ab/.%+-_\x01\xff 2F";
    srandom(7);
    for (int round = 0; round < 20000; round++) {
        char key[STORE_KEY_MAX + 1], back[STORE_KEY_MAX + 1];
        struct dir_name n;
        size_t len = 1 + (size_t)random() % (round % 10 == 0 ? STORE_KEY_MAX : 12);
        for (size_t i = 0; i < len; i++)
            key[i] = some[(size_t)random() % (sizeof(some) - 1)];
        key[len] = '\0';
        assert_int_equal(dir_name_make(key, &n), 0);
        assert_true(dir_odd_decode(n.odd, back));
        assert_string_equal(back, key);
        for (const char *s = n.odd; *s != '\0';) {
            size_t piece = strcspn(s, "/");
            assert_true(piece > 0 && piece <= 201 && s[0] != '.');
            s += piece;
            assert_int_equal(*s == '/', s[-1] == '+');
            s += *s == '/' ? 1 : 0;
        }
        if (n.is_plain) {
            assert_null(strstr(n.plain, "//"));
            assert_true(n.plain[0] != '/');
            assert_null(strstr(n.plain, "/../"));
        }
    }
}

static void test_foreign_names_are_no_keys(void **state)
{
    (void)state;
    static const char *const names[] = {"%61", "%2f", "a.b", "a%",   "a%2", "%00",
                                        "a+",  "+",   "a b", "a+/b", "",    "%2E/x"};
    char back[STORE_KEY_MAX + 1];
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_false(dir_odd_decode(names[i], back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_random_keys),
        cmocka_unit_test(test_foreign_names_are_no_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
