/* SPDX-License-Identifier: Apache-2.0 */
/* Telling a creator by its system call: the text of /proc, which calls count, which component of
 * the path is meant; and the real thing, children that wait in each of the calls on a fifo. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/macros.h"
#include "fs/vfs/creator.h"

#define HIGH "0x7ffd12345678"

static void text_of_proc(void **state)
{
    static const char *const none[] = {"running\n",
                                       "-1 0x7ffd00000000 0x7f0000000000\n",
                                       "",
                                       "257\n",
                                       "257 0x1 0x2 0x3\n",
                                       "257 0x1 0x2 0x3 0x4 0x5 0x6 zz 0x0\n",
                                       "99999999999999 0x1 0x2 0x3 0x4 0x5 0x6 0x7 0x8\n"};
    struct creator_regs regs;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_int_equal(creator_parse(none[i], &regs), -EINVAL);
    assert_int_equal(
        creator_parse("257 0xffffff9c 0x55e0a0 0xc1 0x1b6 0x0 0x7 " HIGH " 0x7f1\n", &regs), 0);
    assert_int_equal(regs.nr, 257);
    assert_int_equal(regs.arg[0], 0xffffff9c);
    assert_int_equal(regs.arg[5], 7);
    assert_int_equal(regs.sp, 0x7ffd12345678);
}

static void which_calls(void **state)
{
    struct creator_regs regs = {
        .nr = SYS_openat, .arg = {1, 2, 3, 4}, .sp = UINT64_C(0x7ffd12345678)};
    struct creator_open o;

    (void)state;
    assert_int_equal(creator_decode(&regs, &o), 0);
    assert_int_equal(o.path, 2);
    assert_int_equal(o.flags, 3);
    assert_int_equal(o.how, 0);
    regs.nr = SYS_openat2;
    assert_int_equal(creator_decode(&regs, &o), 0);
    assert_int_equal(o.path, 2);
    assert_int_equal(o.how, 3);
#ifdef SYS_open
    regs.nr = SYS_open;
    assert_int_equal(creator_decode(&regs, &o), 0);
    assert_int_equal(o.path, 1);
    assert_int_equal(o.flags, 2);
    regs.nr = SYS_creat;
    assert_int_equal(creator_decode(&regs, &o), 0);
    assert_int_equal(o.path, 1);
    assert_int_equal(o.flags, O_CREAT | O_WRONLY | O_TRUNC);
#endif
    regs.nr = SYS_renameat2;
    assert_int_equal(creator_decode(&regs, &o), 0);
    assert_int_equal(o.path, 4);
    assert_true(o.flags == CREATOR_RENAMES);
#ifdef SYS_rename
    regs.nr = SYS_rename;
    assert_int_equal(creator_decode(&regs, &o), 0);
    assert_int_equal(o.path, 2);
    assert_true(o.flags == CREATOR_RENAMES);
#endif
    for (long nr = 0; nr < 500; nr++) { /* mkdirat, linkat, newfstatat, ...: all others */
        bool is_open = nr == SYS_openat || nr == SYS_openat2 || nr == SYS_renameat2;

#ifdef SYS_open
        is_open = is_open || nr == SYS_open || nr == SYS_creat || nr == SYS_rename;
#endif
#ifdef SYS_renameat
        is_open = is_open || nr == SYS_renameat;
#endif
        regs.nr = nr;
        assert_int_equal(creator_decode(&regs, &o), is_open ? 0 : -EOPNOTSUPP);
    }
#if UINTPTR_MAX > UINT32_MAX
    regs.nr = SYS_openat; /* i386's 257 is remap_file_pages, its 85 readlink */
    regs.sp = UINT64_C(0xffb12345);
    assert_int_equal(creator_decode(&regs, &o), -EOPNOTSUPP);
#endif
}

static void which_component(void **state)
{
    static const struct {
        const char *path;
        uint64_t flags;
        const char *dir, *name;
        bool makes;
    } rows[] = {
        {"f", O_CREAT | O_EXCL, "", "f", true},
        {"f", O_CREAT | O_TRUNC | O_WRONLY, "d", "f", true},
        {"/images/f", O_CREAT | O_EXCL, "", "f", true},
        {"/images/d/f", O_CREAT | O_EXCL, "d", "f", true},
        {"d//./f", O_CREAT | O_EXCL, "d", "f", true},
        {"../f", O_CREAT | O_EXCL, "d", "f", true},
        {"/images/d/f", CREATOR_RENAMES, "d", "f", true},
        /* an existing file would be opened, or nothing made: the answer matters */
        {"f", O_CREAT | O_WRONLY, "", "f", false},
        {"f", O_TRUNC | O_WRONLY, "", "f", false},
        {"f", O_EXCL, "", "f", false},
        {"f", O_RDONLY, "", "f", false},
        /* directories on the way, and names that links lead to */
        {"/images/d/f", O_CREAT | O_EXCL, "", "images", false},
        {"/images/d/f", O_CREAT | O_EXCL, "", "d", false},
        {"d/f", O_CREAT | O_EXCL, "", "other", false},
        {"x/x", O_CREAT | O_EXCL, "", "x", false},
        {"x/y/x", O_CREAT | O_EXCL, "y", "x", false},
        {"l/x", O_CREAT | O_EXCL, "d", "x", false},
        {"/images/d/f", CREATOR_RENAMES, "", "d", false},
        /* no name */
        {"f/", O_CREAT | O_EXCL, "", "f", false},
        {"", O_CREAT | O_EXCL, "", "f", false},
        {"/", O_CREAT | O_EXCL, "", "f", false},
        {"ff", O_CREAT | O_EXCL, "", "f", false},
        {"f", O_CREAT | O_EXCL, "", "ff", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (creator_makes(rows[i].path, rows[i].flags, rows[i].dir, rows[i].name) != rows[i].makes)
            fail_msg("row %zu: %s", i, rows[i].path);
}

static void who_reads(void **state)
{
    static const struct {
        const char *path;
        uint64_t flags;
        const char *dir, *name;
        bool reads;
    } rows[] = {
        {"f", O_RDONLY, "", "f", true},
        {"/images/d/f", O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, "d", "f", true},
        {"f", O_RDONLY | O_EXCL, "", "f", true},
        {"f", O_RDWR, "", "f", false},
        {"f", O_WRONLY, "", "f", false},
        {"f", O_RDONLY | O_CREAT, "", "f", false},
        {"f", O_RDONLY | O_TRUNC, "", "f", false},
        {"f", O_PATH, "", "f", false}, /* no OPEN comes of it */
        {"f", O_RDONLY | O_DIRECTORY, "", "f", false},
        {"/images/d/f", O_RDONLY, "", "d", false},
        {"d/f", O_RDONLY, "other", "f", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (creator_reads(rows[i].path, rows[i].flags, rows[i].dir, rows[i].name) != rows[i].reads)
            fail_msg("row %zu: %s", i, rows[i].path);
}

enum how { OPENAT, OPENAT2, OPEN, CREAT, STAT_THEN_SLEEP };

/* A fifo without a reader: an open for writing waits. */
_Noreturn static void child(const char *fifo, enum how how)
{
    struct open_how oh = {.flags = O_CREAT | O_TRUNC | O_WRONLY, .mode = 0600};

    switch (how) {
    case OPENAT:
        syscall(SYS_openat, AT_FDCWD, fifo, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        break;
    case OPENAT2:
        syscall(SYS_openat2, AT_FDCWD, fifo, &oh, sizeof(oh));
        break;
#ifdef SYS_open
    case OPEN:
        syscall(SYS_open, fifo, O_CREAT | O_TRUNC | O_WRONLY, 0600);
        break;
    case CREAT:
        syscall(SYS_creat, fifo, 0600);
        break;
#else
    case OPEN:
    case CREAT:
#endif
    case STAT_THEN_SLEEP:
        break;
    }
    for (;;)
        pause();
}

#define WAIT_STEPS 120000 /* of a millisecond */

/* Until the child has come to wait where it is going to. */
static int call_of(pid_t pid, const char *fifo, char *path, uint64_t *flags)
{
    int r = -EINVAL;

    for (int i = 0; i < WAIT_STEPS; i++) {
        r = creator_call(pid, path, flags);
        if (r == 0 && strcmp(path, fifo) == 0)
            return 0;
        usleep(1000);
    }
    return r;
}

static void real_calls(void **state)
{
    char dir[] = "/tmp/s3efs-creator-XXXXXX", fifo[64], path[CREATOR_PATH];
    enum how last = OPENAT2;
    uint64_t flags;

    (void)state;
#ifdef SYS_open
    last = CREAT;
#endif
    assert_non_null(mkdtemp(dir));
    snprintf(fifo, sizeof(fifo), "%s/fifo", dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    for (enum how how = OPENAT; how <= last; how++) {
        pid_t pid = fork();

        if (pid == 0)
            child(fifo, how);
        assert_int_equal(call_of(pid, fifo, path, &flags), 0);
        assert_int_equal(flags & (O_CREAT | O_TRUNC | O_EXCL), O_CREAT | O_TRUNC);
        assert_true(creator_makes(path, flags, "", "fifo"));
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
        assert_true(creator_call(pid, path, &flags) < 0); /* who is gone can't be seen */
    }
    unlink(fifo);
    rmdir(dir);
}

static void other_calls_and_ourselves(void **state)
{
    char path[CREATOR_PATH];
    uint64_t flags;
    pid_t pid = fork();
    int r = -EINVAL;

    (void)state;
    if (pid == 0)
        child("", STAT_THEN_SLEEP);
    for (int i = 0; i < WAIT_STEPS && r != -EOPNOTSUPP; i++) { /* pause() is another system call */
        r = creator_call(pid, path, &flags);
        usleep(1000);
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    assert_int_equal(r, -EOPNOTSUPP);
    assert_true(creator_call(getpid(), path, &flags) < 0); /* running, or reading its own text */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_proc),
        cmocka_unit_test(which_calls),
        cmocka_unit_test(which_component),
        cmocka_unit_test(who_reads),
        cmocka_unit_test(real_calls),
        cmocka_unit_test(other_calls_and_ourselves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
