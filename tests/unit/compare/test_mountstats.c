/* SPDX-License-Identifier: Apache-2.0 */
/* /proc/self/mountstats as the kernel's NFS client writes it, and counters between two looks. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/err.h"
#include "fs/compare/mountstats.h"

#define HEAD(dir)                                                                                  \
    "device 127.0.0.1:/ mounted on " dir " with fstype nfs4 statvers=1.1\n"                        \
    "\topts:\trw,vers=4.1,rsize=1048576,wsize=1048576,namlen=255,hard,proto=tcp,timeo=600,"        \
    "retrans=2,sec=sys\n"                                                                          \
    "\tage:\t1207\n"                                                                               \
    "\timpl_id:\tname='',domain='',date='0,0'\n"                                                   \
    "\tcaps:\tcaps=0x3ffbffff,wtmult=512,dtsize=1048576,bsize=0,namlen=255\n"                      \
    "\tnfsv4:\tbm0=0xfdffbfff,bm1=0x40f9be3e,bm2=0x60803,acl=0x0,sessions,pnfs=not configured\n"   \
    "\tsec:\tflavor=1,pseudoflavor=1\n"                                                            \
    "\tevents:\t10 20 0 0 5 3 40 12 0 1 0 12 0 2 7 0 0 7 0 0 12 0 0 0 0 0 0\n"
#define TAIL                                                                                       \
    "\tRPC iostats version: 1.1  p/v: 100003/4 (nfs)\n"                                            \
    "\txprt:\ttcp 0 0 2 0 11 164 164 0 203 0 4 39 42\n"                                            \
    "\tper-op statistics\n"                                                                        \
    "\t        NULL: 1 1 0 44 24 0 0 0 0\n"

static const char sample[] =
    "device proc mounted on /proc with fstype proc\n"
    "no device mounted on /odd with fstype tmpfs\n" HEAD(
        "/mnt/efs") "\tbytes:\t1000 2000 0 0 1048576 2097152 256 512\n" TAIL
                    "\t        READ: 3 3 0 516 1048900 0 9 9 0\n"
                    "\t       WRITE: 4 5 1 2097900 400 0 30 31 1\n"
                    "\t        OPEN: 7 7 0 2000 2500 1 8 9\n"
                    "\t    SEQUENCE: 20 20 0 2000 2000 0 5 6 0\n"
                    "\n" HEAD("/with\\040blank") "\tbytes:\t1 2 3 4 5 6 7 8\n" TAIL "\n"
                                                 "device /dev/sda1 mounted on / with fstype ext4\n";

static struct counts c;

static void test_a_paragraph(void **state)
{
    (void)state;
    assert_int_equal(mountstats_parse(sample, "/mnt/efs", &c), 0);
    assert_int_equal(c.n, 5);
    assert_int_equal(c.bytes_down, 1048576);
    assert_int_equal(c.bytes_up, 2097152);
    assert_int_equal(counts_get(&c, "READ"), 3);
    assert_int_equal(counts_get(&c, "WRITE"), 4);
    assert_int_equal(counts_get(&c, "OPEN"), 7);
    assert_int_equal(counts_get(&c, "CLOSE"), 0);
    assert_int_equal(counts_total(&c), 1 + 3 + 4 + 7 + 20);
    assert_string_equal(c.op[2].name, "WRITE");
    assert_int_equal(c.op[2].bytes, 2097900 + 400);
    assert_int_equal(mountstats_parse(sample, "/with blank", &c), 0);
    assert_int_equal(c.bytes_down, 5);
    assert_int_equal(c.bytes_up, 6);
}

static void test_what_is_no_nfs(void **state)
{
    (void)state;
    assert_int_equal(mountstats_parse(sample, "/proc", &c), -ENOENT);
    assert_int_equal(mountstats_parse(sample, "/", &c), -ENOENT);
    assert_int_equal(mountstats_parse(sample, "/odd", &c), -ENOENT);
    assert_int_equal(mountstats_parse(sample, "/mnt", &c), -ENOENT);
    assert_int_equal(mountstats_parse(sample, "/mnt/efs/below", &c), -ENOENT);
    assert_int_equal(mountstats_parse("", "/mnt/efs", &c), -ENOENT);
    assert_non_null(strstr(err_text(), "/mnt/efs"));
}

static void test_the_topmost_mount_counts(void **state)
{
    static const char twice[] =
        HEAD("/m") "\tbytes:\t0 0 0 0 1 1 0 0\n" TAIL
                   "\tREAD: 1 1 0 1 1 1 1 1 0\n\n" HEAD("/m") "\tbytes:\t0 0 0 0 9 8 0 0\n" TAIL
                                                              "\tREAD: 5 5 0 1 1 1 1 1 0\n\n";
    static const char hidden[] = HEAD("/m") "\tbytes:\t0 0 0 0 1 1 0 0\n" TAIL "\n"
                                            "device tmpfs mounted on /m with fstype tmpfs\n";

    (void)state;
    assert_int_equal(mountstats_parse(twice, "/m", &c), 0);
    assert_int_equal(counts_get(&c, "READ"), 5);
    assert_int_equal(c.bytes_down, 9);
    assert_int_equal(mountstats_parse(hidden, "/m", &c), -ENOENT);
}

static void test_what_is_not_understood_is_said(void **state)
{
    static const char *const bad[] = {
        HEAD("/m"),                                                      /* cut off */
        HEAD("/m") "\tbytes:\t1 2 3\n" TAIL,                             /* too few */
        HEAD("/m") "\tbytes:\t1 2 3 4 5 x 7 8\n" TAIL,                   /* no number */
        HEAD("/m") "\tbytes:\t1 2 3 4 5 -6 7 8\n" TAIL,                  /* a sign */
        HEAD("/m") TAIL,                                                 /* no bytes */
        HEAD("/m") "\tbytes:\t1 2 3 4 5 6 7 8\n" TAIL "\tREAD: 1 1 0\n", /* too few */
        HEAD("/m") "\tbytes:\t1 2 3 4 5 6 7 8\n" TAIL "\tREAD 1 1 0 1 1 1 1 1\n",
        HEAD("/m") "\tbytes:\t1 2 3 4 5 6 7 8\n" TAIL "\t: 1 1 0 1 1 1 1 1\n",
        HEAD("/m") "\tbytes:\t1 2 3 4 5 6 7 8\n" TAIL
                   "\tREAD: 1 1 0 18446744073709551615 1 1 1 1\n",
        HEAD("/m") "\tbytes:\t1 2 3 4 5 6 7 8\n" TAIL
                   "\tREAD: 18446744073709551616 1 0 1 1 1 1 1\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err_clear();
        assert_int_equal(mountstats_parse(bad[i], "/m", &c), -EBADMSG);
        assert_non_null(strstr(err_text(), "/m"));
    }
}

static void test_too_many_operations(void **state)
{
    static char text[65536];
    size_t n =
        (size_t)snprintf(text, sizeof(text), "%s", HEAD("/m") "\tbytes:\t1 2 3 4 5 6 7 8\n" TAIL);

    (void)state;
    for (int i = 0; i < COUNTS_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "\tOP%d: 1 1 0 1 1 1 1 1\n", i);
    assert_int_equal(mountstats_parse(text, "/m", &c), -E2BIG);
}

static void test_between_two_looks(void **state)
{
    static const char later[] =
        HEAD("/mnt/efs") "\tbytes:\t1000 2000 0 0 1048600 2097152 256 512\n" TAIL
                         "\tREAD: 5 5 0 600 1049000 0 9 9 0\n"
                         "\tWRITE: 4 5 1 2097900 400 0 30 31 1\n"
                         "\tOPEN: 8 7 0 2100 2600 1 8 9\n"
                         "\tSEQUENCE: 20 20 0 2000 2000 0 5 6 0\n"
                         "\tCLOSE: 2 2 0 10 10 0 0 0 0\n";
    static struct counts before, after, got;

    (void)state;
    assert_int_equal(mountstats_parse(sample, "/mnt/efs", &before), 0);
    assert_int_equal(mountstats_parse(later, "/mnt/efs", &after), 0);
    assert_int_equal(counts_between(&before, &after, &got), 0);
    assert_int_equal(got.n, 3);
    assert_int_equal(counts_get(&got, "READ"), 2);
    assert_int_equal(counts_get(&got, "OPEN"), 1);
    assert_int_equal(counts_get(&got, "CLOSE"), 2);
    assert_int_equal(got.bytes_down, 24);
    assert_int_equal(got.bytes_up, 0);
    assert_int_equal(counts_between(&after, &before, &got), -ESTALE);
    assert_int_equal(counts_sum(&before, &after), 0);
    assert_int_equal(counts_get(&before, "READ"), 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_paragraph),
        cmocka_unit_test(test_what_is_no_nfs),
        cmocka_unit_test(test_the_topmost_mount_counts),
        cmocka_unit_test(test_what_is_not_understood_is_said),
        cmocka_unit_test(test_too_many_operations),
        cmocka_unit_test(test_between_two_looks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
