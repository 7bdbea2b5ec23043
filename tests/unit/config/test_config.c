/* SPDX-License-Identifier: Apache-2.0 */
/* Sources, and what all options together say. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include "base/err.h"
#include "base/str.h"
#include "options.h"

static void source(struct config *c, const char *text)
{
    assert_int_equal(config_init(c), 0);
    if (config_source(c, text) != 0)
        fail_msg("%s: %s", text, err_text());
}

static void test_s3_sources(void **state)
{
    static const struct {
        const char *text, *bucket, *prefix, *shown;
    } cases[] = {
        {"images", "images", "", "s3://images"},
        {"images/", "images", "", "s3://images"},
        {"s3://images", "images", "", "s3://images"},
        {"s3://images/", "images", "", "s3://images"},
        {"s3://images/a", "images", "a/", "s3://images/a"},
        {"images/a/b/", "images", "a/b/", "s3://images/a/b"},
        {"s3://my.bucket-1/x y/z", "my.bucket-1", "x y/z/", "s3://my.bucket-1/x y/z"},
        {"Old_Bucket", "Old_Bucket", "", "s3://Old_Bucket"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_config_ struct config c;

        source(&c, cases[i].text);
        assert_int_equal(c.kind, CONFIG_S3);
        assert_string_equal(c.bucket, cases[i].bucket);
        assert_string_equal(c.prefix, cases[i].prefix);
        assert_string_equal(c.source, cases[i].shown);
    }
}

static void test_directory_sources(void **state)
{
    _cleanup_config_ struct config c, root;

    (void)state;
    source(&c, "file:///srv/bucket//");
    assert_int_equal(c.kind, CONFIG_DIR);
    assert_string_equal(c.path, "/srv/bucket");
    assert_string_equal(c.prefix, "");
    assert_string_equal(c.source, "file:///srv/bucket");
    source(&root, "file:///");
    assert_string_equal(root.path, "/");
}

static void test_bad_sources(void **state)
{
    static const char *const bad[] = {
        "",           "ab",          "s3://",         "s3:///a",      "/srv/bucket",     "./bucket",
        "file://srv", "file://",     "http://images", "images//a",    "images/a//b",     "images/../b",
        "images/./b", "images/a/..", "s3://images//", "a bucket",     "fs-1234.efs:/",   "im\nages",
        "S3://images", "images?x",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        _cleanup_config_ struct config c;

        assert_int_equal(config_init(&c), 0);
        err_clear();
        if (config_source(&c, bad[i]) != -EINVAL)
            fail_msg("source \"%s\" was taken", bad[i]);
        assert_string_not_equal(err_text(), "");
    }
}

/* Options to a finished config of s3://images on /images. */
static int finish(struct config *c, const char *list)
{
    int r = config_init(c);

    if (r == 0)
        r = config_options(c, list, false);
    if (r == 0)
        r = config_source(c, "images");
    if (r == 0) {
        c->mountpoint = strdup("/images");
        r = config_finish(c);
    }
    return r;
}

static void test_times(void **state)
{
    static const struct {
        const char *list;
        int64_t regmin, regmax, dirmin, dirmax;
    } cases[] = {
        {"", 3, 60, 30, 60},
        {"acregmin=100", 100, 100, 30, 60},
        {"acdirmax=5", 3, 60, 5, 5},
        {"acregmax=1", 1, 1, 30, 60},
        {"actimeo=1", 1, 1, 1, 1},
        {"actimeo=1,acregmax=5", 1, 5, 1, 1},
        {"noac", 0, 0, 0, 0},
        {"acregmin=7,noac", 0, 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        _cleanup_config_ struct config c;

        assert_int_equal(finish(&c, cases[i].list), 0);
        assert_int_equal(c.acregmin_s, cases[i].regmin);
        assert_int_equal(c.acregmax_s, cases[i].regmax);
        assert_int_equal(c.acdirmin_s, cases[i].dirmin);
        assert_int_equal(c.acdirmax_s, cases[i].dirmax);
    }
}

static void test_access_point(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    assert_int_equal(finish(&c, ""), 0);
    assert_true(c.default_permissions);
    config_done(&c);
    assert_int_equal(finish(&c, "posix_user=1000:2000,root_creation=0:5:2750"), 0);
    assert_false(c.default_permissions); /* the kernel would check its callers */
    assert_int_equal(c.user.uid, 1000);
    assert_int_equal(c.user.gid, 2000);
    assert_int_equal(c.user.n_groups, 0);
    assert_int_equal(c.uid, 1000); /* of objects that name no owner */
    assert_int_equal(c.gid, 2000);
    assert_int_equal(c.root.uid, 0);
    assert_int_equal(c.root.gid, 5);
    assert_int_equal(c.root.mode, 02750);
    config_done(&c);
    assert_int_equal(finish(&c, "posix_user=1000:2000,uid=5,gid=6"), 0);
    assert_int_equal(c.uid, 5);
    assert_int_equal(c.gid, 6);
    config_done(&c);
    assert_int_equal(finish(&c, "posix_user=0:0:1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16"), 0);
    assert_int_equal(c.user.n_groups, 16);
    assert_int_equal(c.user.groups[15], 16);
}

static void test_contradictions(void **state)
{
    static const char *const bad[] = {
        "acregmin=9,acregmax=3", "acdirmin=9,acdirmax=3", "sse=c",           "sse_c_key_file=/k",
        "sse_kms_key_id=k",      "sse=c,sse_kms_key_id=k", "threads=1",      "mem_limit=1M", "threads=256,mem_limit=32M",
        "max_concurrent_requests=3",
        "soft,timeo=0",          "cache_dir=rel/ative",   "state_prefix=x",  "state_prefix=/x/",
        "state_prefix=a//b/",    "state_prefix=../",
        "posix_user=1000",       "posix_user=a:b",        "posix_user=1:2:",  "posix_user=:1",
        "posix_user=-1:2",       "posix_user=4294967295:1", "posix_user=1:2:3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19",
        "posix_user=1:2,default_permissions",
        "root_creation=1:2",     "root_creation=1:2:9",   "root_creation=1:2:755:3", "root_creation=x:2:755",
        "root_creation=1:2:10000",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        _cleanup_config_ struct config c;

        err_clear();
        if (finish(&c, bad[i]) != -EINVAL)
            fail_msg("%s was taken", bad[i]);
        assert_string_not_equal(err_text(), "");
    }
}

static void test_umask(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    assert_int_equal(finish(&c, "umask=027,file_mode=666,dir_mode=777"), 0);
    assert_int_equal(c.file_mode, 0640);
    assert_int_equal(c.dir_mode, 0750);
}

/* One folder for each source, endpoint and mount point, with a name that tells the source. */
static void test_cache_dir(void **state)
{
    _cleanup_config_ struct config a, b, same, given;

    (void)state;
    assert_int_equal(finish(&a, ""), 0);
    assert_int_equal(finish(&b, "endpoint=http://127.0.0.1:1"), 0);
    assert_int_equal(finish(&same, "ro"), 0);
    assert_int_equal(finish(&given, "cache_dir=/c"), 0);
    assert_non_null(strstr(a.cache_dir, "/s3efs/images-"));
    assert_string_not_equal(a.cache_dir, b.cache_dir);
    assert_string_equal(a.cache_dir, same.cache_dir);
    assert_string_equal(given.cache_dir, "/c");
    if (geteuid() == 0)
        assert_true(str_starts(a.cache_dir, S3EFS_LOCALSTATEDIR "/cache/s3efs/"));
}

static void test_commit(void **state)
{
    struct config c;

    (void)state;
    assert_int_equal(finish(&c, ""), 0);
    assert_int_equal(c.commit, CONFIG_COMMIT_CLOSE);
    config_done(&c);
    assert_int_equal(finish(&c, "commit=local"), 0);
    assert_int_equal(c.commit, CONFIG_COMMIT_LOCAL);
    config_done(&c);
    assert_int_equal(finish(&c, "commit=fsync"), 0);
    assert_int_equal(c.commit, CONFIG_COMMIT_FSYNC);
    config_done(&c);
    assert_int_equal(finish(&c, "commit=local,noac"), -EINVAL);
    config_done(&c);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_s3_sources), cmocka_unit_test(test_directory_sources),
        cmocka_unit_test(test_bad_sources), cmocka_unit_test(test_times),
        cmocka_unit_test(test_access_point), cmocka_unit_test(test_contradictions), cmocka_unit_test(test_umask),
        cmocka_unit_test(test_cache_dir), cmocka_unit_test(test_commit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
