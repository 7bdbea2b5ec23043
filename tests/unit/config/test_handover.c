/* SPDX-License-Identifier: Apache-2.0 */
/* What a new program under a living mount is started with (s3efs upgrade). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/err.h"
#include "fs/holder.h"

static struct {
    bool can_follow, is_lost_in_the_pause, is_holder_gone;
    int pauses; /* that did not end yet */
    int second; /* what an upgrade is told that comes in the pause */
    unsigned named;
} t;

static const struct hold living = {.sock = 0};

int hold_next(const struct hold *h, const char *program, const char *token)
{
    (void)h;
    assert_string_equal(program, "/bin/sh");
    assert_string_equal(token, "token");
    t.named++;
    return t.is_holder_gone ? -ECONNRESET : 0;
}

bool hold_can_follow(void)
{
    return t.can_follow;
}

bool front_can_resend(const struct front *f)
{
    (void)f;
    return true;
}

static const char *upgrade_line(void)
{
    static char line[64];

    snprintf(line, sizeof(line), "%d token /bin/sh", VFS_KEEP_FORMAT);
    return line;
}

void front_pause(struct front *f, int64_t ms)
{
    (void)ms;
    t.pauses++;
    t.second = handover(&living, f, upgrade_line());
    if (t.is_lost_in_the_pause)
        t.can_follow = false;
}

void front_go_on(struct front *f)
{
    (void)f;
    t.pauses--;
}

static void nobody_has_started_it(void **state)
{
    struct hold hold;
    char *mountpoint = NULL;

    (void)state;
    assert_int_equal(unsetenv("S3EFS_HOLD"), 0);
    assert_int_equal(hold_from_env(&hold, &mountpoint), 0);
    assert_int_equal(hold.sock, -1);
    assert_int_equal(hold.fuse_fd, -1);
    assert_null(mountpoint);
}

static void a_holder_has_started_it(void **state)
{
    char text[128], *mountpoint = NULL;
    struct hold hold;
    int fd = dup(0);

    (void)state;
    assert_true(fd > 0);
    snprintf(text, sizeof(text), "%d:%d:0:%d:1:0123abcd:/a place:with a colon", fd, fd, fd);
    assert_int_equal(setenv("S3EFS_HOLD", text, 1), 0);
    assert_int_equal(hold_from_env(&hold, &mountpoint), 1);
    assert_int_equal(hold.sock, fd);
    assert_int_equal(hold.fuse_fd, fd);
    assert_int_equal(hold.lock_fd, 0);
    assert_int_equal(hold.requests_fd, fd);
    assert_true(hold.is_trial);
    assert_string_equal(hold.token, "0123abcd");
    assert_string_equal(mountpoint, "/a place:with a colon");
    assert_null(getenv("S3EFS_HOLD"));
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    free(mountpoint);
    close(fd);
}

/* As an ordinary mount it would empty the table of the living one. */
static void what_cannot_be_read_is_an_error(void **state)
{
    static const char *const bad[] = {
        "", "nonsense", "1:2", "1:2:3", "99999:99999:0:0:0:t:/m", "-1:0:0:0:0:t:/m", "0:0:0:0:0:/m",
        "0:0:0:0:t:/m", "0:0:0:0:2:t:/m", "0:0:0:0:0:0123456789012345678901234567890123456789:/m",
    };
    struct hold hold;
    char *mountpoint;

    (void)state;
    for (size_t k = 0; k < ARRAY_LEN(bad); k++) {
        assert_int_equal(setenv("S3EFS_HOLD", bad[k], 1), 0);
        mountpoint = NULL;
        assert_int_equal(hold_from_env(&hold, &mountpoint), -EINVAL);
        assert_null(mountpoint);
    }
}

/* --- the working directory --- */

static char sh[] = "sh", dash_c[] = "-c", looks[] = "test -e marker";
static char *as_found[] = {sh, dash_c, looks, NULL};

/* As a new program is started from there: 0, if it finds the file that was there before the mount. */
static int start_from(const char *dir, bool is_pinned)
{
    char marker[128];
    int status = -1, ends[2], fd;
    pid_t pid;

    snprintf(marker, sizeof(marker), "%s/marker", dir);
    fd = open(marker, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct hold h = {.sock = ends[0], .fuse_fd = ends[1]};
        char elsewhere[128];

        if (chdir(dir) < 0)
            _exit(100);
        hold_remember(as_found);
        if (is_pinned)
            hold_pin(dir);
        snprintf(elsewhere, sizeof(elsewhere), "%s-covered", dir);
        if (rename(dir, elsewhere) < 0 || mkdir(dir, 0700) < 0 || chdir("/") < 0)
            _exit(101);
        fd = open("/bin/sh", O_PATH | O_CLOEXEC);
        _exit(hold_exec(&h, fd, "/bin/sh", dir) == -EBUSY ? 102 : 103);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    close(ends[0]);
    close(ends[1]);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void clean_up(const char *dir)
{
    char name[128];

    snprintf(name, sizeof(name), "%s-covered/marker", dir);
    unlink(name);
    snprintf(name, sizeof(name), "%s-covered", dir);
    rmdir(name);
    rmdir(dir);
}

/* Its name leads into the mount by then, whose calls nobody answers: the start would hang. */
static void a_covered_working_directory_is_kept(void **state)
{
    char dir[] = "/tmp/s3efs-test-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(start_from(dir, true), 0);
    clean_up(dir);
}

static void a_covered_working_directory_that_was_not_kept_is_not_entered(void **state)
{
    char dir[] = "/tmp/s3efs-test-XXXXXX";

    (void)state;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(start_from(dir, false), 102);
    clean_up(dir);
}

/* --- the old daemon's end --- */

static void mount_that_can(void)
{
    memset(&t, 0, sizeof(t));
    t.can_follow = true;
}

static void the_daemon_ends_for_the_next(void **state)
{
    int status;
    pid_t pid;

    (void)state;
    mount_that_can();
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0)
        _exit(handover(&living, NULL, upgrade_line()) == 0 ? 0 : 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), EXIT_HANDOVER);
}

/* The holder has let go of it (files of an earlier mount are unsent): nobody would follow. */
static void what_nobody_can_take_over_is_not_handed_over(void **state)
{
    (void)state;
    mount_that_can();
    t.can_follow = false;
    assert_int_equal(handover(&living, NULL, upgrade_line()), -EOPNOTSUPP);
    assert_int_equal(handover(NULL, NULL, upgrade_line()), -EOPNOTSUPP);
    assert_int_equal(t.named, 0);
}

static void a_table_that_is_lost_in_the_pause_keeps_the_daemon(void **state)
{
    (void)state;
    mount_that_can();
    t.is_lost_in_the_pause = true;
    assert_int_equal(handover(&living, NULL, upgrade_line()), -EOPNOTSUPP);
    assert_int_equal(t.named, 0);
    assert_int_equal(t.pauses, 0); /* it goes on */
}

/* Also: the first says how it went, and another can come later. */
static void a_second_upgrade_at_once_is_refused(void **state)
{
    (void)state;
    mount_that_can();
    t.is_holder_gone = true;
    for (int k = 0; k < 2; k++) {
        t.second = 0;
        assert_int_equal(handover(&living, NULL, upgrade_line()), -ECONNRESET);
        assert_int_equal(t.second, -EBUSY);
        assert_int_equal(t.pauses, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_has_started_it),
        cmocka_unit_test(a_holder_has_started_it),
        cmocka_unit_test(what_cannot_be_read_is_an_error),
        cmocka_unit_test(a_covered_working_directory_is_kept),
        cmocka_unit_test(a_covered_working_directory_that_was_not_kept_is_not_entered),
        cmocka_unit_test(the_daemon_ends_for_the_next),
        cmocka_unit_test(what_nobody_can_take_over_is_not_handed_over),
        cmocka_unit_test(a_table_that_is_lost_in_the_pause_keeps_the_daemon),
        cmocka_unit_test(a_second_upgrade_at_once_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
