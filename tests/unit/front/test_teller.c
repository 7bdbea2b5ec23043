/* SPDX-License-Identifier: Apache-2.0 */
/* Who writes notifications to the kernel: a teller, so that a daemon which is killed can end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "fakevfs.h"
#include "fs/front/internal.h"

#define WAIT_MS 120000 /* for what comes; only where it does not the time counts */
#define STEP_MS 10
#define RESEND_BIT (UINT64_C(1) << 63)
#define NOTIFY_RESEND 7

/* --- what a teller does: a socket is its /dev/fuse --- */

struct notification {
    struct fuse_out_header head;
    struct fuse_notify_inval_inode_out body;
};

static struct {
    struct tellers *tellers;
    int kernel, device;
    pid_t writer; /* of what hear() has heard last */
} s;

static int set_up(void **state)
{
    int ends[2], on = 1;

    (void)state;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0 ||
        setsockopt(ends[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0)
        return -1;
    s.kernel = ends[0];
    s.device = ends[1];
    return front_tellers_new(&s.tellers);
}

static int tear_down(void **state)
{
    (void)state;
    front_tellers_free(s.tellers);
    close(s.kernel);
    close(s.device);
    return 0;
}

static ssize_t tell(int what, uint64_t node)
{
    struct notification n = {{.len = sizeof(n), .error = what}, {.ino = node}};
    struct iovec iov[2] = {{&n.head, sizeof(n.head)}, {&n.body, sizeof(n.body)}};

    return tellers_write(s.tellers, s.device, iov, 2);
}

static struct notification hear(void)
{
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(struct ucred))];
    } control = {.room = ""};
    struct notification n = {0};
    struct iovec iov = {&n, sizeof(n)};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    struct ucred cred;

    assert_int_equal(recvmsg(s.kernel, &msg, MSG_DONTWAIT), sizeof(n));
    assert_non_null(CMSG_FIRSTHDR(&msg));
    memcpy(&cred, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(cred));
    s.writer = cred.pid;
    return n;
}

/* TELL-3 */
static void pages_and_names_have_a_teller_each(void **state)
{
    struct notification n;
    pid_t pages;

    (void)state;
    assert_int_equal(tell(FUSE_NOTIFY_INVAL_INODE, 7), sizeof(n));
    n = hear();
    assert_int_equal(n.head.error, FUSE_NOTIFY_INVAL_INODE);
    assert_int_equal(n.head.len, sizeof(n));
    assert_int_equal(n.body.ino, 7);
    pages = s.writer;
    assert_true(pages != getpid());
    assert_int_equal(tell(FUSE_NOTIFY_INVAL_ENTRY, 8), sizeof(n));
    assert_int_equal(hear().body.ino, 8);
    assert_true(s.writer != getpid() && s.writer != pages);
}

static void what_the_kernel_says_comes_back(void **state)
{
    (void)state;
    shutdown(s.kernel, SHUT_RDWR);
    signal(SIGPIPE, SIG_IGN); /* not so in a teller, where all signals are blocked */
    assert_int_equal(tell(FUSE_NOTIFY_INVAL_INODE, 7), -1);
    assert_int_equal(errno, EPIPE);
}

/* TELL-4 */
static void one_that_was_killed_is_replaced(void **state)
{
    pid_t first;

    (void)state;
    assert_true(tell(FUSE_NOTIFY_INVAL_INODE, 7) > 0);
    (void)hear();
    first = s.writer;
    kill(first, SIGKILL);
    for (uint64_t node = 8; node < 10; node++) {
        assert_true(tell(FUSE_NOTIFY_INVAL_INODE, node) > 0);
        assert_int_equal(hear().body.ino, node);
        assert_true(s.writer != getpid() && s.writer != first);
    }
}

/* TELL-1. The other end is seen closed when nobody has the device any more. */
static void an_idle_one_does_not_keep_the_device(void **state)
{
    struct pollfd fd = {.events = 0};

    (void)state;
    assert_true(tell(FUSE_NOTIFY_INVAL_INODE, 7) > 0);
    close(s.device);
    s.device = -1;
    fd.fd = s.kernel;
    assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
    assert_true((fd.revents & POLLHUP) != 0);
}

/* --- a daemon that is killed while the kernel waits for a page; a real mount --- */

static struct {
    char dir[64];
    int fuse_fd;
    pid_t daemon;
    pthread_t reader;
    bool has_reader, has_come_again; /* its READ */
    atomic_bool is_read;
    char text[8];
    ssize_t got;
} m;

static void join_reader(void)
{
    if (m.has_reader)
        pthread_join(m.reader, NULL);
    m.has_reader = false;
}

static void pause_a_step(void)
{
    (void)poll(NULL, 0, STEP_MS);
}

static void *loop_main(void *front)
{
    return (void *)(intptr_t)front_run(front);
}

static bool reads_are_held(struct vfs *v)
{
    int waited = 0;

    while (fake_look(v).reads_held == 0 && (waited += STEP_MS) < WAIT_MS)
        pause_a_step();
    return fake_look(v).reads_held > 0;
}

/* Answers everything but reads, and tells the kernel to forget the pages which the first of those
 * has locked. */
_Noreturn static void be_daemon(void)
{
    struct front_conf conf = {.mountpoint = m.dir,
                              .fd = m.fuse_fd,
                              .fuse_fd = -1,
                              .source = "s",
                              .threads = 8,
                              .takeover = true};
    struct front *front;
    struct vfs vfs;
    pthread_t loop;

    fake_init(&vfs);
    vfs.hold_reads = true;
    if (front_tellers_new(&conf.tellers) < 0 || front_new(&conf, &front) < 0 ||
        front_start(front, &vfs) < 0 || pthread_create(&loop, NULL, loop_main, front) != 0 ||
        !reads_are_held(&vfs))
        _exit(1);
    for (;;)
        front_invalidate(front, FAKE_HELLO);
}

static void *read_main(void *arg)
{
    char path[96];
    int fd;

    (void)arg;
    snprintf(path, sizeof(path), "%s/hello", m.dir);
    fd = open(path, O_RDONLY);
    m.got = fd >= 0 ? read(fd, m.text, sizeof(m.text)) : -1;
    if (fd >= 0)
        close(fd);
    atomic_store(&m.is_read, true);
    return NULL;
}

static char state_of(pid_t pid, const char *task)
{
    char path[320], text[512] = "";
    const char *end;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", (int)pid, task);
    f = fopen(path, "re");
    if (f == NULL)
        return '\0';
    (void)!fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    end = strrchr(text, ')');
    return end != NULL && end[1] == ' ' ? end[2] : '\0';
}

static bool has_waiting_task(pid_t pid)
{
    const struct dirent *e;
    char path[64];
    bool waits = false;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
    dir = opendir(path);
    while (dir != NULL && !waits && (e = readdir(dir)) != NULL)
        waits = e->d_name[0] != '.' && state_of(pid, e->d_name) == 'D';
    if (dir != NULL)
        closedir(dir);
    return waits;
}

/* The daemon's, or its tellers'. */
static bool is_waiting(void)
{
    char path[64];
    bool waits = has_waiting_task(m.daemon);
    int pid;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)m.daemon, (int)m.daemon);
    f = fopen(path, "re");
    while (f != NULL && fscanf(f, "%d", &pid) == 1)
        waits = waits || has_waiting_task(pid);
    if (f != NULL)
        fclose(f);
    return waits;
}

#define LONG_ENOUGH 30 /* steps: what waits for a disk goes on sooner */

/* Somebody waits in the kernel, and goes on to do so. */
static void wait_until_it_waits(void)
{
    unsigned in_a_row = 0;

    for (int waited = 0; in_a_row < LONG_ENOUGH && waited < WAIT_MS; waited += STEP_MS) {
        in_a_row = is_waiting() ? in_a_row + 1 : 0;
        pause_a_step();
    }
    assert_int_equal(in_a_row, LONG_ENOUGH);
}

static pid_t wait_end_of(pid_t pid, int *ret_status)
{
    pid_t r = 0;

    for (int waited = 0; (r = waitpid(pid, ret_status, WNOHANG)) == 0 && waited < WAIT_MS;
         waited += STEP_MS)
        pause_a_step();
    return r;
}

static int set_up_mount(void **state)
{
    char options[128];

    (void)state;
    memset(&m, 0, sizeof(m));
    strcpy(m.dir, "/tmp/s3efs-test-XXXXXX");
    m.fuse_fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=0,group_id=0", m.fuse_fd);
    if (m.fuse_fd < 0 || mkdtemp(m.dir) == NULL ||
        mount("s", m.dir, "fuse.s3efs", MS_NOSUID | MS_NODEV, options) < 0)
        return -1;
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    m.daemon = fork();
    if (m.daemon == 0)
        be_daemon();
    m.has_reader = m.daemon > 0 && pthread_create(&m.reader, NULL, read_main, NULL) == 0;
    return m.has_reader ? 0 : -1;
}

static int tear_down_mount(void **state)
{
    (void)state;
    kill(m.daemon, SIGKILL);
    umount2(m.dir, MNT_FORCE | MNT_DETACH);
    join_reader();
    close(m.fuse_fd);
    while (waitpid(-1, NULL, 0) > 0)
        ;
    return rmdir(m.dir);
}

/* --- the next daemon --- */

static bool is_resent(void)
{
    struct fuse_out_header head = {.len = sizeof(head), .error = NOTIFY_RESEND};

    return write(m.fuse_fd, &head, sizeof(head)) == (ssize_t)sizeof(head);
}

static void answer(uint64_t unique, const void *body, size_t len)
{
    struct fuse_out_header head = {.len = (uint32_t)(sizeof(head) + len), .unique = unique};
    char text[sizeof(head) + sizeof(struct fuse_attr_out)];

    memcpy(text, &head, sizeof(head));
    memcpy(text + sizeof(head), body, len);
    assert_int_equal(write(m.fuse_fd, text, head.len), head.len);
}

static void answer_one(const struct fuse_in_header *in)
{
    const struct fuse_attr_out attributes = {
        .attr = {.ino = FAKE_HELLO, .size = 5, .mode = S_IFREG | 0644, .nlink = 1}};

    switch (in->opcode) {
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        break;
    case FUSE_READ:
        m.has_come_again = m.has_come_again || (in->unique & RESEND_BIT) != 0;
        answer(in->unique, "again", 5);
        break;
    case FUSE_GETATTR:
        answer(in->unique, &attributes, sizeof(attributes));
        break;
    default: /* flush, release */
        answer(in->unique, "", 0);
    }
}

/* Until the reader has what it wants: its page may be dropped before it has seen it, then it asks
 * once more. */
static void serve(void)
{
    static char request[FUSE_MIN_READ_BUFFER + (1 << 20)];
    struct fuse_in_header in;

    assert_int_equal(fcntl(m.fuse_fd, F_SETFL, O_NONBLOCK), 0);
    for (int waited = 0; !atomic_load(&m.is_read) && waited < WAIT_MS;) {
        if (read(m.fuse_fd, request, sizeof(request)) >= (ssize_t)sizeof(in)) {
            memcpy(&in, request, sizeof(in));
            answer_one(&in);
        } else {
            pause_a_step();
            waited += STEP_MS;
        }
    }
    assert_true(atomic_load(&m.is_read));
}

static void kill_it_while_the_kernel_waits(void)
{
    int status = 0;

    wait_until_it_waits();
    kill(m.daemon, SIGKILL);
    assert_int_equal(wait_end_of(m.daemon, &status), m.daemon);
    assert_true(WIFSIGNALED(status));
}

static void wait_for_tellers(void)
{
    int status = 0;

    for (int k = 0; k < 2; k++) {
        assert_true(wait_end_of(-1, &status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

/* TELL-2. Before there is a next daemon, or nobody would start one. */
static void a_daemon_that_is_killed_ends(void **state)
{
    (void)state;
    kill_it_while_the_kernel_waits();
    if (!is_resent()) {
        printf("this kernel can't send requests again: the rest is not looked at\n");
        return;
    }
    serve();
    assert_true(m.has_come_again);
    join_reader();
    assert_int_equal(m.got, 5);
    assert_memory_equal(m.text, "again", 5);
    wait_for_tellers();
}

/* As a holder ends a mount that it gives up: /dev/fuse is still open, here and in the teller. */
static void where_no_daemon_follows_nobody_hangs(void **state)
{
    (void)state;
    kill_it_while_the_kernel_waits();
    assert_int_equal(umount2(m.dir, MNT_FORCE | MNT_DETACH | UMOUNT_NOFOLLOW), 0);
    join_reader();
    assert_int_equal(m.got, -1);
    wait_for_tellers();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pages_and_names_have_a_teller_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_kernel_says_comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_that_was_killed_is_replaced, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_idle_one_does_not_keep_the_device, set_up, tear_down),
    };
    const struct CMUnitTest mounts[] = {
        cmocka_unit_test_setup_teardown(a_daemon_that_is_killed_ends, set_up_mount,
                                        tear_down_mount),
        cmocka_unit_test_setup_teardown(where_no_daemon_follows_nobody_hangs, set_up_mount,
                                        tear_down_mount),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);

    if (geteuid() != 0 || access("/dev/fuse", R_OK | W_OK) != 0) {
        printf("SKIP: the rest needs root and /dev/fuse\n");
        return failed != 0 ? failed : 77;
    }
    return failed + cmocka_run_group_tests(mounts, NULL, NULL);
}
