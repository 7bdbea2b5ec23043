/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's pages between two opens and after another client's change. */
#include "frontmount.h"

#include <fcntl.h>

/* The kernel keeps pages while told so, and drops them when it is told that they are old. */
static void test_invalidation(void **state)
{
    char got[16] = "";
    int fd;

    (void)state;
    lock_take(&t.vfs.lock);
    t.vfs.keep_cache = true;
    lock_drop(&t.vfs.lock);
    fd = open(in("hello"), O_RDONLY);
    assert_int_equal(pread(fd, got, 5, 0), 5);
    fake_set_bytes(&t.vfs, "other");
    assert_int_equal(pread(fd, got, 5, 0), 5);
    assert_string_equal(got, "first");
    front_invalidate(t.front, FAKE_HELLO);
    assert_int_equal(pread(fd, got, 5, 0), 5);
    assert_string_equal(got, "other");
    front_invalidate(t.front, 4711); /* the kernel never heard of it */
    close(fd);
}

/* The size that the kernel believes in goes with the pages. */
static void test_invalidation_grows(void **state)
{
    char got[32] = "";
    int fd;

    (void)state;
    lock_take(&t.vfs.lock);
    t.vfs.keep_cache = true;
    lock_drop(&t.vfs.lock);
    fd = open(in("hello"), O_RDONLY);
    assert_int_equal(pread(fd, got, sizeof(got), 0), 5);
    fake_set_bytes(&t.vfs, "much longer than it was");
    front_invalidate(t.front, FAKE_HELLO);
    assert_int_equal(pread(fd, got, sizeof(got), 0), 23);
    close(fd);
}

static void test_reopen_drops_old_pages(void **state)
{
    char got[16] = "";
    int fd = open(in("hello"), O_RDONLY);

    (void)state;
    assert_int_equal(read(fd, got, 5), 5);
    close(fd);
    fake_set_bytes(&t.vfs, "other");
    fd = open(in("hello"), O_RDONLY);
    assert_int_equal(read(fd, got, 5), 5);
    close(fd);
    assert_string_equal(got, "other");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_invalidation), TEST(test_invalidation_grows), TEST(test_reopen_drops_old_pages),
    };

    return run(tests, ARRAY_LEN(tests));
}
