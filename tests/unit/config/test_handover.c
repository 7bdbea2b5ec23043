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
#include <unistd.h>
#include "base/err.h"
#include "fs/holder.h"

int hold_next(const struct hold *h, const char *program, const char *token)
{
    (void)h;
    (void)program;
    (void)token;
    return 0;
}

bool front_can_resend(const struct front *f)
{
    (void)f;
    return true;
}

void front_pause(struct front *f, int64_t ms)
{
    (void)f;
    (void)ms;
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
    snprintf(text, sizeof(text), "%d:%d:0:%d:0123abcd:/a place:with a colon", fd, fd, fd);
    assert_int_equal(setenv("S3EFS_HOLD", text, 1), 0);
    assert_int_equal(hold_from_env(&hold, &mountpoint), 1);
    assert_int_equal(hold.sock, fd);
    assert_int_equal(hold.fuse_fd, fd);
    assert_int_equal(hold.lock_fd, 0);
    assert_int_equal(hold.requests_fd, fd);
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
        "", "nonsense", "1:2", "1:2:3", "99999:99999:0:0:t:/m", "-1:0:0:0:t:/m", "0:0:0:0:/m",
        "0:0:0:0:0123456789012345678901234567890123456789:/m",
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_has_started_it),
        cmocka_unit_test(a_holder_has_started_it),
        cmocka_unit_test(what_cannot_be_read_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
