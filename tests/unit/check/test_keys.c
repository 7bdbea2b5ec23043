/* SPDX-License-Identifier: Apache-2.0 */
/* Names that no mount can show. */
#include "checktest.h"

static void test_fault_of_a_key(void **state)
{
    char long_name[300], long_key[1100];

    (void)state;
    memset(long_name, 'x', sizeof(long_name));
    long_name[255] = '\0';
    assert_null(check_key_fault(long_name));
    long_name[255] = 'x';
    long_name[256] = '\0';
    assert_non_null(strstr(check_key_fault(long_name), "255"));
    memset(long_key, 'y', sizeof(long_key));
    for (size_t i = 200; i < sizeof(long_key); i += 200)
        long_key[i] = '/';
    long_key[1024] = '\0';
    assert_null(check_key_fault(long_key));
    long_key[1024] = 'y';
    long_key[1025] = '\0';
    assert_non_null(strstr(check_key_fault(long_key), "1024"));
    assert_null(check_key_fault(""));
    assert_null(check_key_fault("a"));
    assert_null(check_key_fault("a/b/"));
    assert_null(check_key_fault("...a/..b/.c"));
    assert_non_null(strstr(check_key_fault("a//b"), "empty"));
    assert_non_null(strstr(check_key_fault("/a"), "empty"));
    assert_non_null(strstr(check_key_fault("/"), "empty"));
    assert_non_null(strstr(check_key_fault("a//"), "empty"));
    assert_non_null(strstr(check_key_fault("a/./b"), "\".\""));
    assert_non_null(strstr(check_key_fault(".."), "\"..\""));
    assert_non_null(strstr(check_key_fault("a/../b"), "\"..\""));
    assert_non_null(strstr(check_key_fault("a/.."), "\"..\""));
}

static void test_clean_bucket(void **state)
{
    (void)state;
    put("a/b", "x");
    put("a/", "");
    put("a-b", "y");
    put("a.c/d", "y");
    put(".s3efs/root", "mode 755\n");
    memstore_count_reset(store);
    check(false);
    assert_clean();
    assert_int_equal(result.objects, 4);
    assert_int_equal(result.records, 1);
    assert_int_equal(writes(), 0);
    assert_int_equal(seen.slept_ns, 0);
    assert_int_equal(memstore_count(store, STORE_LIST), 2);
    assert_int_equal(memstore_count(store, STORE_HEAD) + memstore_count(store, STORE_GET), 0);
}

static void test_hidden_keys_are_listed(void **state)
{
    static const char *const keys[] = {"a//b", "/lead", "dot/./x", "dots/../x", "dotted/.."};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        put(keys[i], "bytes");
    put("marker/", "bytes");
    put("fine", "bytes");
    check(true);
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        assert_found(CHECK_HIDDEN_KEY, keys[i], CHECK_LEFT);
    assert_found(CHECK_HIDDEN_KEY, "marker/", CHECK_LEFT);
    assert_int_equal(result.findings, ARRAY_LEN(keys) + 1);
    assert_int_equal(result.left, result.findings);
    assert_null(find_one(CHECK_HIDDEN_KEY, "fine"));
}

/* Between a file's key and those below it others may stand; pages may end there. */
static void test_file_and_directory_of_one_name(void **state)
{
    (void)state;
    memstore_set_page(store, 2);
    put("a", "file");
    put("a-b", "between");
    put("a-b/c", "x");
    put("a.txt", "between");
    put("a/1", "x");
    put("a/2", "x");
    put("ab/1", "x");
    put("b", "x");
    check(false);
    assert_found(CHECK_SHADOWED, "a", CHECK_LEFT);
    assert_found(CHECK_SHADOWED, "a-b", CHECK_LEFT);
    assert_int_equal(seen.n, 2);
}

/* Keys of a mount's prefix are judged from there on, and others not at all. */
static void test_prefix(void **state)
{
    (void)state;
    conf.prefix = "team/";
    put("team/a", "x");
    put("team/x//y", "x");
    put("team/.s3efs/locks/of-another-state-prefix", "x");
    put("other//z", "x");
    put("team/", "");
    check(false);
    assert_found(CHECK_HIDDEN_KEY, "team/x//y", CHECK_LEFT);
    assert_int_equal(seen.n, 1);
    assert_int_equal(result.objects, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fault_of_a_key),
        cmocka_unit_test_setup_teardown(test_clean_bucket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_hidden_keys_are_listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_file_and_directory_of_one_name, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_prefix, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
