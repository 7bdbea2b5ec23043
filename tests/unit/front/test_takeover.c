/* SPDX-License-Identifier: Apache-2.0 */
/* A daemon that takes a living mount over, with the kernel's part played here: the other end of a
 * socket is its /dev/fuse. No root is needed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <linux/sockios.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "base/err.h"
#include "fakevfs.h"
#include "fs/front/internal.h"

#define WAIT_MS 600000
#define QUIET_STEPS 30 /* of 10 ms: for what must not come; nothing fails because they are short   \
                        */
#define RESEND_BIT (UINT64_C(1) << 63)
#define NOTIFY_RESEND 7
#define HAS_RESEND (1u << 7)

struct init_request {
    struct fuse_in_header head;
    struct fuse_init_in body;
};

static struct {
    struct vfs vfs;
    struct front *front;
    pthread_t loop;
    int kernel, device;
    char dir[64];
    struct init_request init;
    struct fuse_init_out agreed;
    unsigned fillers;
} t;

static void *loop_main(void *arg)
{
    (void)arg;
    return (void *)(intptr_t)front_run(t.front);
}

/* The daemon before had agreed on this. */
static void agree(void)
{
    t.init =
        (struct init_request){.head = {.len = sizeof(t.init), .opcode = FUSE_INIT, .unique = 2},
                              .body = {.major = 7,
                                       .minor = 36,
                                       .max_readahead = 131072,
                                       .flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES,
                                       .flags2 = HAS_RESEND}};
    t.agreed =
        (struct fuse_init_out){.major = 7, .minor = 36, .flags = FUSE_ASYNC_READ | FUSE_BIG_WRITES};
    t.vfs.kept.blob[0] = &t.init;
    t.vfs.kept.blob_len[0] = sizeof(t.init);
    t.vfs.kept.blob[1] = &t.agreed;
    t.vfs.kept.blob_len[1] = sizeof(t.agreed);
}

static int set_up(void **state)
{
    struct front_conf conf = {.mountpoint = t.dir,
                              .source = "s3://bucket",
                              .subtype = "s3efs",
                              .threads = 4,
                              .takeover = true};
    int ends[2];

    (void)state;
    strcpy(t.dir, "/tmp/s3efs-test-XXXXXX");
    if (mkdtemp(t.dir) == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
        return -1;
    t.kernel = ends[0];
    t.device = ends[1];
    conf.fuse_fd = dup(ends[1]);
    t.fillers = 0;
    fake_init(&t.vfs);
    agree();
    return front_new(&conf, &t.front) == 0 && front_start(t.front, &t.vfs) == 0 ? 0 : -1;
}

static void run(void)
{
    assert_int_equal(pthread_create(&t.loop, NULL, loop_main, NULL), 0);
}

static int tear_down(void **state)
{
    (void)state;
    shutdown(t.kernel, SHUT_RDWR); /* as an unmount: nothing more to read */
    front_exit(t.front);
    pthread_join(t.loop, NULL);
    front_free(t.front);
    close(t.kernel);
    close(t.device);
    fake_done(&t.vfs);
    return rmdir(t.dir);
}

/* --- the kernel --- */

static void ask(uint32_t opcode, uint64_t unique, const void *body, size_t len)
{
    char text[256];
    struct fuse_in_header head = {.len = (uint32_t)(sizeof(head) + len),
                                  .opcode = opcode,
                                  .unique = unique,
                                  .nodeid = FUSE_ROOT_ID};

    memcpy(text, &head, sizeof(head));
    memcpy(text + sizeof(head), body, len);
    assert_int_equal(write(t.kernel, text, head.len), head.len);
}

static void ask_attributes(uint64_t unique)
{
    const struct fuse_getattr_in body = {0};

    ask(FUSE_GETATTR, unique, &body, sizeof(body));
}

static struct fuse_out_header hear(char *body, size_t len)
{
    struct fuse_out_header head = {0};
    struct pollfd fd = {.fd = t.kernel, .events = POLLIN};
    char text[4096];
    ssize_t n;

    assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
    n = read(t.kernel, text, sizeof(text));
    assert_true(n >= (ssize_t)sizeof(head));
    memcpy(&head, text, sizeof(head));
    memcpy(body, text + sizeof(head), len);
    return head;
}

/* No more fits: the daemon's next write waits for hear(). */
static void stuff(void)
{
    const struct fuse_out_header head = {.len = sizeof(head), .unique = 99};

    while (send(t.device, &head, sizeof(head), MSG_DONTWAIT) > 0)
        t.fillers++;
    assert_int_equal(errno, EAGAIN);
    assert_true(t.fillers > 0);
}

static int unread(void)
{
    int n;

    assert_int_equal(ioctl(t.kernel, SIOCOUTQ, &n), 0);
    return n;
}

/* TAKE-3. A request that the new daemon reads before it asks is sent again with the dead one's, and
 * runs twice at once. */
static void the_kernel_is_asked_before_anything_is_read(void **state)
{
    struct fuse_out_header head;
    char body[1];

    (void)state;
    stuff();
    ask_attributes(10);
    run();
    for (int k = 0; k < QUIET_STEPS; k++) {
        assert_true(unread() > 0);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    for (; t.fillers > 0; t.fillers--)
        assert_int_equal(hear(body, 0).unique, 99);
    head = hear(body, 0);
    assert_int_equal(head.unique, 0);
    assert_int_equal(head.error, NOTIFY_RESEND);
    head = hear(body, 0);
    assert_int_equal(head.unique, 10);
    assert_int_equal(head.error, 0);
}

/* TAKE-2 */
static void a_kept_answer_is_given(void **state)
{
    const int32_t error = -ENOSPC;
    struct fuse_out_header head;
    char body[8];

    (void)state;
    memcpy(t.vfs.kept.reply, &error, sizeof(error));
    memcpy(t.vfs.kept.reply + sizeof(error), "whatever", 8);
    t.vfs.kept.len = sizeof(error) + 8;
    t.vfs.kept.unique = 12;
    run();
    assert_int_equal(hear(body, 0).error, NOTIFY_RESEND);
    ask(FUSE_UNLINK, 12 | RESEND_BIT, "hello", 6);
    head = hear(body, 8);
    assert_true(head.unique == (12 | RESEND_BIT));
    assert_int_equal(head.error, -ENOSPC);
    assert_memory_equal(body, "whatever", 8);
}

/* TAKE-1 */
static void an_answer_is_kept_before_it_is_given(void **state)
{
    char body[1];

    (void)state;
    run();
    assert_int_equal(hear(body, 0).error, NOTIFY_RESEND);
    ask(FUSE_UNLINK, 14, "hello", 6);
    assert_int_equal(hear(body, 0).unique, 14);
    assert_int_equal(fake_look(&t.vfs).kept.last, 14);
    ask(FUSE_UNLINK, 16 | RESEND_BIT, "hello", 6);
    assert_true(hear(body, 0).unique == (16 | RESEND_BIT));
    assert_int_equal(fake_look(&t.vfs).kept.last, 16);
}

/* A newer libfuse must not believe in what the kernel was never told. The words are at their places in the protocol. */
static void only_what_was_agreed_on_is_said_again(void **state)
{
    uint32_t in[10 + 16] = {[13] = 3, [14] = 24}; /* behind the header: version, read ahead, flags */
    uint32_t out[16] = {[3] = 6, [8] = 8};

    (void)state;
    take_mask_init(in, sizeof(in), out, sizeof(out));
    assert_int_equal(in[13], 2);
    assert_int_equal(in[14], 8);
    take_mask_init(in, sizeof(in), out, 8 * sizeof(out[0])); /* of an older protocol */
    assert_int_equal(in[13], 2);
    assert_int_equal(in[14], 0);
}

static unsigned unmounts;
int __wrap_umount2(const char *path, int flags);

int __wrap_umount2(const char *path, int flags)
{
    (void)path;
    assert_true((flags & UMOUNT_NOFOLLOW) != 0);
    unmounts++;
    errno = EINVAL;
    return -1;
}

/* /dev/fuse of a mount that is gone polls as broken, and so does a pipe that nobody reads. */
static void end_one(bool is_gone)
{
    struct front_conf conf = {
        .mountpoint = "/nowhere", .source = "s3://bucket", .threads = 4, .takeover = true};
    struct front *f;
    struct vfs vfs;
    int ends[2];

    unmounts = 0;
    fake_init(&vfs);
    vfs.kept.blob_len[0] = vfs.kept.blob_len[1] = sizeof(t.init);
    vfs.kept.blob[0] = vfs.kept.blob[1] = &t.init;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    conf.fuse_fd = ends[1];
    assert_int_equal(front_new(&conf, &f), 0);
    assert_int_equal(front_start(f, &vfs), 0);
    if (is_gone)
        close(ends[0]);
    front_free(f);
    fake_done(&vfs);
    if (!is_gone)
        close(ends[0]);
}

/* By now another mount may be at its path. */
static void what_the_user_has_unmounted_is_left_alone(void **state)
{
    (void)state;
    end_one(false);
    assert_int_equal(unmounts, 1);
    end_one(true);
    assert_int_equal(unmounts, 0);
}

/* An upgrade that is refused at the last moment: more requests than threads that were reading then. */
static void after_a_pause_it_goes_on(void **state)
{
    char body[1];

    (void)state;
    run();
    assert_int_equal(hear(body, 0).error, NOTIFY_RESEND);
    ask_attributes(10);
    assert_int_equal(hear(body, 0).unique, 10);
    front_pause(t.front, 60000);
    front_go_on(t.front);
    for (uint64_t unique = 12; unique < 52; unique += 2) {
        ask_attributes(unique);
        assert_int_equal(hear(body, 0).unique, unique);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_kernel_is_asked_before_anything_is_read, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_kept_answer_is_given, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_answer_is_kept_before_it_is_given, set_up, tear_down),
        cmocka_unit_test(only_what_was_agreed_on_is_said_again),
        cmocka_unit_test(what_the_user_has_unmounted_is_left_alone),
        cmocka_unit_test_setup_teardown(after_a_pause_it_goes_on, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
