/* SPDX-License-Identifier: Apache-2.0 */
/* Names that the kernel shall forget. */
#include "frontmount.h"

#include <fcntl.h>

#define FORGET_MS 60000
/* More than the kernel is told of at once. It drops the names, but never what is in use. */
static void test_names_are_forgotten(void **state)
{
    const unsigned n = 600;
    struct stat st;
    char name[32];
    int r = 0, fd = open(in("many/f7"), O_RDONLY);

    (void)state;
    assert_true(fd >= 0);
    for (unsigned i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "many/f%u", i);
        assert_int_equal(stat(in(name), &st), 0);
    }
    lock_take(&t.vfs.lock);
    t.vfs.idle_end = n;
    lock_drop(&t.vfs.lock);
    front_prune(t.front);
    lock_take(&t.vfs.lock);
    while (t.vfs.many_forgotten < n - 1 && r == 0)
        r = cond_wait_ms(&t.vfs.changed, &t.vfs.lock, FORGET_MS);
    assert_int_equal(t.vfs.many_forgotten, n - 1);
    lock_drop(&t.vfs.lock);
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_ino, FAKE_FIRST_MANY + 7);
    close(fd);
    assert_int_equal(stat(in("many/f3"), &st), 0); /* and come back when they are asked for */
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_names_are_forgotten),
        cmocka_unit_test_setup_teardown(test_names_are_forgotten, set_up_older, tear_down),
    };

    return run(tests, ARRAY_LEN(tests));
}
