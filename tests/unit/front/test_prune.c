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

/* Mounted over names that the vfs wants to be forgotten already; no call is served. */
static int set_up_late(void **state)
{
    struct front_conf conf = {.mountpoint = t.dir, .source = "s", .threads = 8, .ready = on_ready};

    (void)state;
    strcpy(t.dir, "/tmp/s3efs-test-XXXXXX");
    if (mkdtemp(t.dir) == NULL)
        return -1;
    fake_init(&t.vfs);
    t.vfs.idle_end = 4;
    t.vfs.hold_idle = true;
    if (front_new(&conf, &t.front) < 0)
        return -1;
    front_prune(t.front); /* as a replay does: there is no thread that hears it */
    return front_start(t.front, &t.vfs);
}

/* The thread is about to take the names. */
static void wait_held(void)
{
    int r = 0;

    lock_take(&t.vfs.lock);
    while (t.vfs.idle_held == 0 && r == 0)
        r = cond_wait_ms(&t.vfs.changed, &t.vfs.lock, FORGET_MS);
    lock_drop(&t.vfs.lock);
    assert_int_equal(r, 0);
}

static void let_it_take(struct vfs *v)
{
    lock_take(&v->lock);
    v->hold_idle = false;
    cond_broadcast(&v->changed);
    lock_drop(&v->lock);
}

/* The turn that was begun before there was a thread is made, or no other would begin. */
static void test_turn_before_the_thread(void **state)
{
    int r = 0;

    (void)state;
    wait_held();
    let_it_take(&t.vfs);
    lock_take(&t.vfs.lock);
    while (t.vfs.idle_first < t.vfs.idle_end && r == 0)
        r = cond_wait_ms(&t.vfs.changed, &t.vfs.lock, FORGET_MS);
    lock_drop(&t.vfs.lock);
    assert_int_equal(r, 0);
    assert_int_equal(t.vfs.idle_first, 4);
}

static int session_fd, file_fd;
static bool was_free;

/* The session has ended, the thread has not: another file gets the session's number. */
static void take_the_number(struct vfs *v)
{
    was_free = fcntl(session_fd, F_GETFD) < 0;
    if (dup2(file_fd, session_fd) < 0)
        was_free = false;
    let_it_take(v);
}

static void test_thread_outlives_the_session(void **state)
{
    FILE *file = tmpfile();
    struct stat st;

    (void)state;
    assert_non_null(file);
    file_fd = fileno(file);
    session_fd = fuse_session_fd(t.front->session);
    wait_held();
    t.vfs.on_idle_stop = take_the_number;
    front_free(t.front);
    t.front = NULL;
    assert_true(was_free);
    assert_int_equal(t.vfs.idle_first, 4); /* it had something to tell */
    assert_int_equal(fstat(file_fd, &st), 0);
    assert_int_equal(st.st_size, 0); /* and told no file of it */
    close(session_fd);
    fclose(file);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_names_are_forgotten),
        cmocka_unit_test_setup_teardown(test_names_are_forgotten, set_up_older, tear_down),
        cmocka_unit_test_setup_teardown(test_turn_before_the_thread, set_up_late, tear_down),
        cmocka_unit_test_setup_teardown(test_thread_outlives_the_session, set_up_late, tear_down),
    };

    return run(tests, ARRAY_LEN(tests));
}
