/* SPDX-License-Identifier: Apache-2.0 */
/* Locks through the kernel: what the vfs is asked, and who waits. */
#include "frontmount.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>

static int lock_range(int fd, int cmd, short type, off_t start, off_t len)
{
    struct flock fl = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};

    return fcntl(fd, cmd, &fl);
}

static void fail_lock(int e)
{
    lock_take(&t.vfs.lock);
    t.vfs.fail_lock = e;
    lock_drop(&t.vfs.lock);
}

static void test_locks(void **state)
{
    struct flock fl = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 10};
    struct vfs now;
    int fd = open(in("hello"), O_RDWR);

    (void)state;
    assert_int_equal(lock_range(fd, F_SETLK, F_WRLCK, 5, 10), 0);
    now = fake_look(&t.vfs);
    assert_int_equal(now.lock_seen.kind, LOCK_POSIX);
    assert_int_equal(now.lock_seen.type, LOCK_TYPE_WRITE);
    assert_int_equal(now.lock_seen.range.start, 5);
    assert_int_equal(now.lock_seen.range.end, 14);
    assert_int_equal(now.lock_seen.pid, getpid());
    assert_int_equal(lock_range(fd, F_SETLK, F_UNLCK, 7, 0), 0);
    now = fake_look(&t.vfs);
    assert_int_equal(now.lock_seen.type, LOCK_TYPE_NONE);
    assert_true(now.lock_seen.range.start == 7);
    assert_true(now.lock_seen.range.end == LOCK_END || now.lock_seen.range.end == INT64_MAX);
    lock_take(&t.vfs.lock);
    t.vfs.holder = (struct vfs_lock){.type = LOCK_TYPE_WRITE, .range = {8, LOCK_END}, .pid = getpid()};
    lock_drop(&t.vfs.lock);
    assert_int_equal(fcntl(fd, F_GETLK, &fl), 0);
    assert_int_equal(fl.l_type, F_WRLCK);
    assert_int_equal(fl.l_start, 8);
    assert_int_equal(fl.l_len, 0);
    assert_int_equal(fl.l_pid, getpid());
    fail_lock(EAGAIN);
    assert_int_equal(lock_range(fd, F_SETLK, F_RDLCK, 0, 0), -1);
    assert_int_equal(errno, EAGAIN);
    fail_lock(0);
    assert_int_equal(flock(fd, LOCK_SH), 0);
    now = fake_look(&t.vfs);
    assert_int_equal(now.lock_seen.kind, LOCK_FLOCK);
    assert_int_equal(now.lock_seen.type, LOCK_TYPE_READ);
    close(fd);
    lock_take(&t.vfs.lock); /* RELEASE comes after close() has returned */
    while (t.vfs.flock_closes == 0)
        cond_wait_ms(&t.vfs.changed, &t.vfs.lock, 10);
    assert_int_equal(t.vfs.posix_closes, 1);
    lock_drop(&t.vfs.lock);
}

static void on_signal(int number)
{
    (void)number;
}

static void *wait_for_lock(void *arg)
{
    int r = lock_range(*(int *)arg, F_SETLKW, F_WRLCK, 0, 0);

    return (void *)(intptr_t)(r < 0 ? errno : 0);
}

static struct vfs_lock_wait *parked(void)
{
    struct vfs_lock_wait *w;

    lock_take(&t.vfs.lock);
    while (t.vfs.waiting == NULL)
        cond_wait(&t.vfs.changed, &t.vfs.lock);
    w = t.vfs.waiting;
    t.vfs.waiting = NULL;
    lock_drop(&t.vfs.lock);
    return w;
}

/* More of them than the loop has threads: none is held by a wait. */
static void test_waiting_for_locks(void **state)
{
    const struct sigaction action = {.sa_handler = on_signal};
    enum { WAITERS = 12 };
    pthread_t threads[WAITERS];
    struct vfs_lock_wait *waits[WAITERS];
    int fd = open(in("hello"), O_RDWR);
    void *result;

    (void)state;
    sigaction(SIGUSR2, &action, NULL);
    fail_lock(-1);
    for (unsigned i = 0; i < WAITERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, wait_for_lock, &fd), 0);
        waits[i] = parked();
    }
    pthread_kill(threads[0], SIGUSR2);
    while (!atomic_load(&waits[0]->is_interrupted))
        usleep(1000);
    waits[0]->done(waits[0], -EINTR);
    pthread_join(threads[0], &result);
    assert_int_equal((intptr_t)result, EINTR);
    for (unsigned i = 1; i < WAITERS; i++) {
        waits[i]->done(waits[i], i == 1 ? -EDEADLK : 0);
        pthread_join(threads[i], &result);
        assert_int_equal((intptr_t)result, i == 1 ? EDEADLK : 0);
    }
    close(fd);
}

/* local_lock=all: the kernel does it, and nothing arrives. */
static void test_local_locks(void **state)
{
    struct front_conf conf = {.mountpoint = t.dir, .source = "s", .threads = 8, .ready = on_ready};
    int fd;

    (void)state;
    assert_int_equal(umount2(t.dir, 0), 0);
    assert_int_equal(join_loop(), 0);
    front_free(t.front);
    assert_int_equal(front_new(&conf, &t.front), 0);
    assert_int_equal(front_start(t.front, &t.vfs), 0);
    t.looping = pthread_create(&t.loop, NULL, loop_main, NULL) == 0;
    fail_lock(EIO);
    fd = open(in("hello"), O_RDWR);
    assert_int_equal(lock_range(fd, F_SETLK, F_WRLCK, 0, 0), 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    close(fd);
    assert_int_equal(fake_look(&t.vfs).posix_closes, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_locks), TEST(test_waiting_for_locks), TEST(test_local_locks),
    };

    return run(tests, ARRAY_LEN(tests));
}
