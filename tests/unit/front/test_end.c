/* SPDX-License-Identifier: Apache-2.0 */
/* How a mount ends, and one that can't begin. */
#include "frontmount.h"

#include <errno.h>
#include <fcntl.h>

static void test_unmount_in_use(void **state)
{
    int fd = open(in("hello"), O_RDONLY);

    (void)state;
    assert_int_equal(front_unmount(t.front, false), -EBUSY);
    assert_non_null(strstr(err_text(), "in use"));
    close(fd);
    lock_take(&t.vfs.lock); /* the kernel lets go when it has told us */
    while (t.vfs.releases < t.vfs.opens)
        cond_wait(&t.vfs.changed, &t.vfs.lock);
    lock_drop(&t.vfs.lock);
    while (front_unmount(t.front, false) == -EBUSY)
        ;
    assert_int_equal(join_loop(), 0);
}

/* As a signal does it: detached while it is used, then the loop is told to end. What is mounted at the place since
 * then is not ours to take away. */
static void test_lazy_end(void **state)
{
    int fd = open(in("hello"), O_RDONLY);
    void *result;
    char got[8];

    (void)state;
    assert_int_equal(front_unmount(t.front, true), 0);
    assert_int_equal(mount("tmpfs", t.dir, "tmpfs", 0, NULL), 0);
    assert_int_equal(pread(fd, got, 5, 0), 5); /* still served */
    while (pthread_tryjoin_np(t.loop, &result) == EBUSY)
        front_exit(t.front);
    t.looping = false;
    assert_int_equal((int)(intptr_t)result, 0);
    front_free(t.front);
    t.front = NULL;
    assert_int_equal(fsync(fd), -1); /* those who still had it open are told */
    assert_int_equal(errno, ENOTCONN);
    close(fd);
    assert_int_equal(umount2(t.dir, 0), 0); /* the tmpfs is still there */
}

/* front_free() of a front whose loop was told to end unmounts. */
static void test_exit_unmounts(void **state)
{
    void *result;

    (void)state;
    while (pthread_tryjoin_np(t.loop, &result) == EBUSY)
        front_exit(t.front);
    t.looping = false;
}

static void test_mount_fails(void **state)
{
    struct front_conf conf = {.mountpoint = "/tmp/s3efs-no-such-directory", .source = "s"};
    struct front *f = NULL;

    (void)state;
    assert_int_equal(front_new(&conf, &f), 0);
    assert_true(front_start(f, &t.vfs) < 0);
    assert_non_null(strstr(err_text(), "/tmp/s3efs-no-such-directory"));
    front_free(f);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_unmount_in_use), TEST(test_lazy_end), TEST(test_exit_unmounts), TEST(test_mount_fails),
    };

    return run(tests, ARRAY_LEN(tests));
}
