/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that a kernel before 6.9 can't send again (unanswered.h). The kernel is the other end of a socket, and says of
 * every request that it waits; one that says of none is a descriptor that can't be written to. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fs/front/unanswered.h"

#define MAX 65536
#define RECORDS 16

static struct {
    int kernel, device;
    int memory; /* as the holder keeps it */
    struct unanswered *u;
    struct {
        uint64_t unique;
        char data[MAX];
        size_t len; /* 0: none */
    } records[RECORDS];
    bool is_lost; /* the table */
    char got[MAX];
} t;

/* --- the table --- */

int vfs_keep_request(struct vfs *v, uint64_t unique, const void *request, size_t len)
{
    (void)v;
    if (t.is_lost)
        return -EIO;
    for (unsigned k = 0; k < RECORDS; k++)
        if (t.records[k].len > 0 && t.records[k].unique == unique)
            t.records[k].len = 0;
    for (unsigned k = 0; k < RECORDS && request != NULL; k++)
        if (t.records[k].len == 0) {
            t.records[k].unique = unique;
            t.records[k].len = len;
            memcpy(t.records[k].data, request, len);
            return 0;
        }
    return request == NULL ? 0 : -ENOSPC;
}

int vfs_kept_requests(struct vfs *v, int (*fn)(void *arg, uint64_t unique, const void *request, size_t len), void *arg)
{
    int r = 0;

    (void)v;
    for (unsigned k = 0; k < RECORDS && r == 0; k++)
        if (t.records[k].len > 0)
            r = fn(arg, t.records[k].unique, t.records[k].data, t.records[k].len);
    return r;
}

static unsigned n_records(void)
{
    unsigned n = 0;

    for (unsigned k = 0; k < RECORDS; k++)
        n += t.records[k].len > 0;
    return n;
}

/* --- the kernel --- */

static void ask(uint32_t opcode, uint64_t unique, const char *text)
{
    char out[256];
    const struct fuse_in_header h = {.len = (uint32_t)(sizeof(h) + strlen(text)), .opcode = opcode, .unique = unique};

    memcpy(out, &h, sizeof(h));
    memcpy(out + sizeof(h), text, strlen(text));
    assert_int_equal(write(t.kernel, out, h.len), h.len);
}

/* --- daemons --- */

static int set_up(void **state)
{
    int ends[2];

    (void)state;
    memset(&t, 0, sizeof(t));
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    t.kernel = ends[0];
    t.device = ends[1];
    if (unanswered_new(0, 4, MAX, &t.u) < 0)
        return -1;
    t.memory = dup(unanswered_fd(t.u));
    return t.memory >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    unanswered_free(t.u);
    close(t.memory);
    close(t.kernel);
    close(t.device);
    return 0;
}

/* Another daemon; the one before it is gone as if it were killed. */
static int next_daemon(unsigned threads, size_t max, int fd)
{
    unanswered_free(t.u);
    t.u = NULL;
    assert_int_equal(unanswered_new(t.memory, threads, max, &t.u), 0);
    return unanswered_take(t.u, NULL, fd);
}

static ssize_t take(void)
{
    return unanswered_read(t.u, NULL, t.device, t.got, sizeof(t.got), PTHREAD_CANCEL_DISABLE);
}

static void *take_main(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)take();
}

static void assert_is(uint64_t unique, const char *text, ssize_t n)
{
    struct fuse_in_header h;

    assert_int_equal(n, sizeof(h) + strlen(text));
    memcpy(&h, t.got, sizeof(h));
    assert_int_equal(h.unique, unique);
    assert_memory_equal(t.got + sizeof(h), text, strlen(text));
}

static void assert_next_is(uint64_t unique, const char *text)
{
    assert_is(unique, text, (ssize_t)unanswered_next(t.u, t.got, sizeof(t.got)));
}

static void assert_none_left(void)
{
    assert_int_equal(unanswered_next(t.u, t.got, sizeof(t.got)), 0);
}

static void what_was_read_and_not_answered_comes_again(void **state)
{
    pthread_t thread;
    void *n;

    (void)state;
    ask(FUSE_WRITE, 10, "of a thread that is gone by now");
    assert_int_equal(pthread_create(&thread, NULL, take_main, NULL), 0);
    pthread_join(thread, &n);
    assert_true((intptr_t)n > 0);
    ask(FUSE_UNLINK, 8, "name");
    assert_is(8, "name", take());
    for (int life = 0; life < 3; life++) { /* each dies before it has answered */
        assert_int_equal(next_daemon(4, MAX, t.device), 0);
        assert_next_is(8, "name");
        if (life == 1)
            continue; /* and this one before it has served the other */
        assert_next_is(10, "of a thread that is gone by now");
        assert_none_left();
    }
    unanswered_done(t.u, NULL, 8);
    unanswered_done(t.u, NULL, 10);
    assert_int_equal(n_records(), 0);
}

/* UNANS-2 */
static void what_the_kernel_does_not_wait_for_does_not(void **state)
{
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    ask(FUSE_WRITE, 10, "answered");
    assert_is(10, "answered", take());
    assert_int_equal(next_daemon(4, MAX, t.device), 0);
    assert_int_equal(n_records(), 1);
    ask(FUSE_WRITE, 12, "answered, too");
    assert_is(12, "answered, too", take());
    assert_int_equal(next_daemon(4, MAX, ends[0]), 0);
    assert_none_left();
    assert_int_equal(n_records(), 0);
    close(ends[0]);
    close(ends[1]);
}

static void a_slot_that_is_needed_again(void **state)
{
    (void)state;
    ask(FUSE_SETLKW, 10, "answered later, by another thread");
    assert_true(take() > 0);
    ask(FUSE_GETATTR, 12, "");
    assert_true(take() > 0);
    assert_int_equal(n_records(), 1);
    unanswered_done(t.u, NULL, 12);
    assert_int_equal(n_records(), 1);
    ask(FUSE_GETATTR, 14, "");
    assert_true(take() > 0);
    assert_int_equal(n_records(), 1);
    assert_int_equal(next_daemon(4, MAX, t.device), 0);
    assert_next_is(10, "answered later, by another thread");
    assert_next_is(14, "");
    assert_none_left();
    unanswered_done(t.u, NULL, 10);
    unanswered_done(t.u, NULL, 14);
    assert_int_equal(n_records(), 0);
}

static void what_has_no_answer_is_not_kept(void **state)
{
    (void)state;
    ask(FUSE_FORGET, 10, "12345678");
    assert_true(take() > 0);
    ask(FUSE_BATCH_FORGET, 12, "12345678");
    assert_true(take() > 0);
    assert_int_equal(n_records(), 0);
    assert_int_equal(next_daemon(4, MAX, t.device), 0);
    assert_none_left();
}

/* Another program has other limits. */
static void the_memory_is_divided_anew(void **state)
{
    (void)state;
    ask(FUSE_WRITE, 10, "text");
    assert_true(take() > 0);
    assert_int_equal(next_daemon(30, 2 * MAX, t.device), 0);
    assert_next_is(10, "text");
    ask(FUSE_WRITE, 12, "more");
    assert_true(take() > 0);
    assert_int_equal(next_daemon(1, 8192, t.device), 0);
    assert_next_is(10, "text");
    assert_next_is(12, "more");
    assert_none_left();
}

static void memory_that_cannot_be_believed(void **state)
{
    const uint64_t wild = UINT64_MAX / 2;

    (void)state;
    assert_int_equal(pwrite(t.memory, &wild, sizeof(wild), 8), sizeof(wild));
    assert_int_equal(next_daemon(4, MAX, t.device), -EBADMSG);
    assert_int_equal(pwrite(t.memory, "nothing like it", 15, 0), 15);
    assert_int_equal(next_daemon(4, MAX, t.device), 0);
    assert_none_left();
}

/* Nobody comes after this daemon, but it serves what the one before it has left. */
static void the_table_is_lost(void **state)
{
    (void)state;
    ask(FUSE_WRITE, 10, "text");
    assert_true(take() > 0);
    t.is_lost = true;
    assert_int_equal(next_daemon(4, MAX, t.device), 0);
    assert_next_is(10, "text");
    ask(FUSE_SETLKW, 12, "answered later");
    assert_true(take() > 0);
    ask(FUSE_GETATTR, 14, "read all the same");
    assert_is(14, "read all the same", take());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_read_and_not_answered_comes_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_kernel_does_not_wait_for_does_not, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_slot_that_is_needed_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_has_no_answer_is_not_kept, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_memory_is_divided_anew, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_that_cannot_be_believed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_table_is_lost, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
