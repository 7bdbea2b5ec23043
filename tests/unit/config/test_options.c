/* SPDX-License-Identifier: Apache-2.0 */
/* -o text to struct config: every kind of option, right and wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/err.h"
#include "options.h"

static void parse(struct config *c, const char *list)
{
    assert_int_equal(config_init(c), 0);
    if (config_options(c, list, false) != 0)
        fail_msg("%s: %s", list, err_text());
}

/* list is refused, and the text names what and why. */
static void refused(const char *list, const char *part)
{
    _cleanup_config_ struct config c;

    assert_int_equal(config_init(&c), 0);
    err_clear();
    if (config_options(&c, list, false) != -EINVAL)
        fail_msg("%s was taken", list);
    if (strstr(err_text(), part) == NULL)
        fail_msg("%s: \"%s\" does not say \"%s\"", list, err_text(), part);
}

static void test_defaults(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    parse(&c, "");
    assert_int_equal(c.file_mode, 0644);
    assert_int_equal(c.dir_mode, 0755);
    assert_int_equal(c.umask, 0);
    assert_int_equal(c.uid, geteuid());
    assert_int_equal(c.gid, getegid());
    assert_int_equal(c.allow_other, geteuid() == 0);
    assert_true(c.default_permissions);
    assert_false(c.read_only || c.soft || c.noac || c.foreground || c.path_style);
    assert_int_equal(c.acregmin_s, 3);
    assert_int_equal(c.acregmax_s, 60);
    assert_int_equal(c.acdirmin_s, 30);
    assert_int_equal(c.acdirmax_s, 60);
    assert_int_equal(c.drain_timeout_s, 25);
    assert_int_equal(c.threads, 128);
    assert_int_equal(c.mem_limit, UINT64_C(512) << 20);
    assert_string_equal(c.state_prefix, ".s3efs/");
    assert_null(c.endpoint);
    assert_null(c.ignored);
    assert_null(c.kernel_options);
    assert_int_equal(c.weak, CONFIG_WEAK_WARN);
    assert_int_equal(c.sse, CONFIG_SSE_NONE);
}

static void test_ours(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    parse(&c, "endpoint=http://127.0.0.1:9000,region=eu-west-1,profile=p,path_style,ca_bundle=/c,requester_pays,"
              "expected_bucket_owner=123,weak=refuse,sse=aws:kms,sse_kms_key_id=k,storage_class=STANDARD_IA,"
              "commit=close,uid=1000,gid=4294967294,umask=022,file_mode=0666,dir_mode=777,ro,noallow_other,"
              "nodefault_permissions,soft,timeo=50,retrans=1,drain_timeout=7,cache_dir=/x,cache_size=8G,"
              "cache_free=64M,mem_limit=128MiB,threads=16,log=stderr,loglevel=debug,foreground,nosubtype,fsname=pictures");
    assert_string_equal(c.fsname, "pictures");
    assert_string_equal(c.endpoint, "http://127.0.0.1:9000");
    assert_string_equal(c.region, "eu-west-1");
    assert_true(c.path_style && c.requester_pays && c.read_only && c.soft && c.foreground && c.nosubtype);
    assert_string_equal(c.bucket_owner, "123");
    assert_int_equal(c.weak, CONFIG_WEAK_REFUSE);
    assert_int_equal(c.sse, CONFIG_SSE_KMS);
    assert_string_equal(c.sse_kms_key_id, "k");
    assert_string_equal(c.storage_class, "STANDARD_IA");
    assert_int_equal(c.uid, 1000);
    assert_int_equal(c.gid, 4294967294u);
    assert_int_equal(c.umask, 022);
    assert_int_equal(c.file_mode, 0666);
    assert_int_equal(c.dir_mode, 0777);
    assert_false(c.allow_other || c.default_permissions);
    assert_int_equal(config_soft_timeout_ns(&c), INT64_C(10000000000));
    assert_int_equal(c.drain_timeout_s, 7);
    assert_int_equal(c.cache_size, UINT64_C(8) << 30);
    assert_int_equal(c.cache_free, UINT64_C(64) << 20);
    assert_int_equal(c.mem_limit, UINT64_C(128) << 20);
    assert_int_equal(c.threads, 16);
    assert_int_equal(c.log_target, CONFIG_LOG_STDERR);
    assert_int_equal(c.log_level, 3);
    assert_true(config_given(&c, "cache_size"));
    assert_false(config_given(&c, "acregmin"));
}

static void test_dashes(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    parse(&c, "sse=AWS:KMS,sse-kms-key-id=k,storage-class=GLACIER_IR,cache-dir=/y");
    assert_int_equal(c.sse, CONFIG_SSE_KMS);
    assert_string_equal(c.sse_kms_key_id, "k");
    assert_string_equal(c.storage_class, "GLACIER_IR");
    assert_string_equal(c.cache_dir, "/y");
}

static void test_the_last_one_counts(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    parse(&c, "ro,rw,region=a,region=b,hard,soft,soft,hard,noac,ac");
    assert_false(c.read_only);
    assert_string_equal(c.region, "b");
    assert_int_equal(config_soft_timeout_ns(&c), 0);
    assert_false(c.noac);
}

static void test_commas(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    parse(&c, ",,profile=a\\,b\\\\c,,region=x\\,,");
    assert_string_equal(c.profile, "a,b\\c");
    assert_string_equal(c.region, "x,");
}

/* What the amazon-efs-utils and the NFS client take in an fstab line, on top of ours. */
static void test_an_efs_line(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    parse(&c, "nfsvers=4.1,vers=4,minorversion=1,rsize=1048576,wsize=1048576,hard,timeo=600,retrans=2,noresvport,"
              "tls,iam,_netdev,nofail,auto,user=joe,x-systemd.automount,x-mount.mkdir=0755,comment=images,az=a,"
              "netns=/n,mounttargetip=10.0.0.1,notls,defaults,relatime");
    assert_string_equal(c.ignored, "nfsvers,vers,minorversion,rsize,wsize,noresvport,tls,iam,_netdev,nofail,auto,user,"
                                   "x-systemd.automount,x-mount.mkdir,comment,az,netns,mounttargetip,notls,defaults,"
                                   "relatime");
    assert_int_equal(c.timeo, 600);
    assert_null(c.kernel_options);
}

static void test_for_the_kernel(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    parse(&c, "nodev,nosuid,noexec,noatime,dirsync,sync");
    assert_string_equal(c.kernel_options, "nodev,nosuid,noexec,noatime,dirsync,sync");
    assert_null(c.ignored);
    refused("noexec=1", "takes no value");
}

static void test_believed(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    parse(&c, "sharecache,nosharecache");
    assert_false(c.nocto);
    assert_int_equal(c.lookupcache, CONFIG_LOOKUP_ALL);
    config_done(&c);
    parse(&c, "nocto,lookupcache=none");
    assert_true(c.nocto);
    assert_int_equal(c.lookupcache, CONFIG_LOOKUP_NONE);
    config_done(&c);
    parse(&c, "nocto,cto,lookupcache=positive");
    assert_false(c.nocto);
    assert_int_equal(c.lookupcache, CONFIG_LOOKUP_POSITIVE);
    refused("lookupcache=some", "one of");
    assert_int_equal(c.excl, CONFIG_EXCL_OPEN);
    config_done(&c);
    parse(&c, "excl=close");
    assert_int_equal(c.excl, CONFIG_EXCL_CLOSE);
    config_done(&c);
    parse(&c, "excl=strict");
    assert_int_equal(c.excl, CONFIG_EXCL_STRICT);
}

static void test_actimeo(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    parse(&c, "actimeo=9");
    assert_int_equal(c.acregmin_s, 9);
    assert_int_equal(c.acregmax_s, 9);
    assert_int_equal(c.acdirmin_s, 9);
    assert_int_equal(c.acdirmax_s, 9);
    refused("actimeo=x", "seconds");
}

static void test_refused(void **state)
{
    (void)state;
    refused("nosuch", "unknown option: nosuch");
    refused("access_key=AKIA", "unknown option: access_key");
    refused("secret_key=x", "unknown option: secret_key");
    refused("Region=x", "unknown option");
    refused("remount", "while it is mounted");
    refused("x", "unknown option: x");
    refused("=5", "unknown option");
    refused("region", "needs a value: region=NAME");
    refused("region=", "needs a value");
    refused("ro=1", "takes no value");
    refused("commit=never", "must be one of close");
    refused("sse=des", "none|aes256|aws:kms|c");
    refused("sse=aes", "must be one of");
    refused("sse=aes256|c", "must be one of");
    refused("weak=", "needs a value");
    refused("cache_size=8X", "size like");
    refused("cache_size=-1", "size like");
    refused("cache_size=99999999999G", "size like");
    refused("uid=joe", "numeric id");
    refused("uid=4294967295", "numeric id");
    refused("uid=-1", "numeric id");
    refused("file_mode=0888", "octal");
    refused("file_mode=1777", "octal");
    refused("timeo=1.5", "number");
    refused("timeo=1000001", "number");
    refused("threads= 4", "number");
    refused("acregmin=-3", "seconds");
    refused("acregmin=99999999999", "seconds");
    refused("ro,,region=a,bad=1,rw", "unknown option: bad");
}

static void test_sloppy(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    assert_int_equal(config_init(&c), 0);
    assert_int_equal(config_options(&c, "nosuch=1,ro,another", true), 0);
    assert_true(c.read_only);
    assert_string_equal(c.ignored, "nosuch,another");
    assert_int_equal(config_options(&c, "uid=x", true), -EINVAL); /* what is known must be right */
}

/* Every option of the table parses in the way its row says, and nothing is left behind. */
static void test_every_row(void **state)
{
    struct config_option o;
    unsigned n = 0;

    (void)state;
    for (; config_option_at(n, &o); n++) {
        _cleanup_config_ struct config c;
        char text[128];

        assert_int_equal(config_init(&c), 0);
        snprintf(text, sizeof(text), "%s%s%s", o.name, o.has_value ? "=" : "",
                 !o.has_value ? "" : o.initial != NULL ? o.initial : "1");
        if (strcmp(o.name, "x-*") == 0)
            snprintf(text, sizeof(text), "x-any.thing=1");
        if (config_options(&c, text, false) != 0)
            fail_msg("%s: %s", text, err_text());
        assert_true(config_given(&c, o.name));
        if (o.has_value)
            refused(o.name, "needs a value");
    }
    assert_true(n > 60);
}

static void test_soft_timeout_is_bounded(void **state)
{
    _cleanup_config_ struct config c;

    (void)state;
    parse(&c, "soft,timeo=1000000,retrans=1000000");
    assert_true(config_soft_timeout_ns(&c) > 0);
    assert_true(config_soft_timeout_ns(&c) <= INT64_C(86400000000000) * 365);
}

static void test_help_names_them_all(void **state)
{
    _cleanup_buf_ struct buf out = BUF_INIT(1 << 20);
    struct config_option o;

    (void)state;
    config_help(&out);
    for (unsigned i = 0; config_option_at(i, &o); i++) {
        if (strstr(buf_str(&out), o.name) == NULL)
            fail_msg("the help has no %s", o.name);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_ours),
        cmocka_unit_test(test_dashes),
        cmocka_unit_test(test_the_last_one_counts),
        cmocka_unit_test(test_commas),
        cmocka_unit_test(test_an_efs_line),
        cmocka_unit_test(test_for_the_kernel),
        cmocka_unit_test(test_believed),
        cmocka_unit_test(test_actimeo),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_sloppy),
        cmocka_unit_test(test_every_row),
        cmocka_unit_test(test_soft_timeout_is_bounded),
        cmocka_unit_test(test_help_names_them_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
