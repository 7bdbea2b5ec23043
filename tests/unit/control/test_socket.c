/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket with good clients, hostile ones, and none at all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include "base/err.h"
#include "base/lock.h"
#include "control/control.h"

struct fixture {
    char dir[64], path[96];
    struct control *control;
    struct lock lock;
    struct cond changed;
    bool in_verb, go_on; /* under lock: a verb that waits */
};

static int verb_echo(void *arg, const char *params, struct buf *out)
{
    (void)arg;
    buf_adds(out, params);
    return 0;
}

static int verb_fail(void *arg, const char *params, struct buf *out)
{
    (void)arg;
    buf_adds(out, "half an answer");
    return err_set(-EIO, "cannot: %s\nsecond line", params);
}

static int verb_big(void *arg, const char *params, struct buf *out)
{
    char line[1024];
    size_t n = strcmp(params, "too") == 0 ? CONTROL_TEXT_MAX + 1 : 1u << 20;

    (void)arg;
    memset(line, 'x', sizeof(line));
    while (out->len < n && buf_add(out, line, sizeof(line)) == 0)
        ;
    return 0;
}

static int verb_positive(void *arg, const char *params, struct buf *out)
{
    (void)arg;
    (void)params;
    (void)out;
    return 7;
}

static int verb_wait(void *arg, const char *params, struct buf *out)
{
    struct fixture *f = arg;

    (void)params;
    (void)out;
    lock_take(&f->lock);
    f->in_verb = true;
    cond_broadcast(&f->changed);
    while (!f->go_on)
        cond_wait(&f->changed, &f->lock);
    lock_drop(&f->lock);
    return 0;
}

static const struct control_verb verbs[] = {
    {"echo", verb_echo}, {"fail", verb_fail}, {"big", verb_big}, {"positive", verb_positive}, {"wait", verb_wait},
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    if (f == NULL)
        return -1;
    lock_init(&f->lock, LOCK_LEAF);
    cond_init(&f->changed);
    strcpy(f->dir, "/tmp/s3efs-test-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(f->path, sizeof(f->path), "%s/run/c.sock", f->dir);
    *state = f;
    if (control_new(f->path, verbs, ARRAY_LEN(verbs), f, &f->control) < 0 || control_start(f->control) < 0)
        return -1;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    char run[96];

    control_free(f->control);
    snprintf(run, sizeof(run), "%s/run", f->dir);
    if (access(f->path, F_OK) == 0 || rmdir(run) < 0 || rmdir(f->dir) < 0)
        return -1; /* the socket must be gone */
    cond_done(&f->changed);
    lock_done(&f->lock);
    free(f);
    return 0;
}

static int raw_connect(const struct fixture *f)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", f->path);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

/* Sends what it is given, whatever the other end makes of it, and reads all that comes. */
static void raw_ask(const struct fixture *f, const void *data, size_t len, char *answer, size_t size)
{
    int fd = raw_connect(f);
    size_t have = 0;
    ssize_t n;

    n = send(fd, data, len, MSG_NOSIGNAL);
    (void)n;
    shutdown(fd, SHUT_WR);
    while (have + 1 < size && (n = recv(fd, answer + have, size - 1 - have, 0)) > 0)
        have += (size_t)n;
    answer[have] = '\0';
    close(fd);
}

static void test_answers(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *text = NULL, *none = NULL, *big = NULL;

    assert_int_equal(control_ask(f->path, "echo two words", 0, &text), 0);
    assert_string_equal(text, "two words\n");
    assert_int_equal(control_ask(f->path, "echo", 0, &none), 0);
    assert_string_equal(none, "");
    assert_int_equal(control_ask(f->path, "big", 60000, &big), 0);
    assert_int_equal(strlen(big), (1u << 20) + 1);
}

static void test_errors_reach_the_client(void **state)
{
    struct fixture *f = *state;
    char *text = NULL;

    assert_int_equal(control_ask(f->path, "fail this", 0, &text), -EREMOTEIO);
    assert_string_equal(err_text(), "cannot: this second line");
    assert_int_equal(control_ask(f->path, "nothing", 0, &text), -EREMOTEIO);
    assert_string_equal(err_text(), "unknown request");
    assert_int_equal(control_ask(f->path, "ech", 0, &text), -EREMOTEIO);
    assert_int_equal(control_ask(f->path, "positive", 0, &text), -EREMOTEIO);
    assert_int_equal(control_ask(f->path, "big too", 0, &text), -EREMOTEIO);
    assert_string_equal(err_text(), "the answer is too long");
    assert_null(text);
}

/* An answer that says "ok" or "error" in its text does not end there. */
static void test_text_is_not_the_result(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *text = NULL;

    assert_int_equal(control_ask(f->path, "echo error: not one", 0, &text), 0);
    assert_string_equal(text, "error: not one\n");
}

static void test_hostile_lines(void **state)
{
    struct fixture *f = *state;
    static char junk[3 * CONTROL_LINE_MAX];
    char answer[512];

    memset(junk, 'a', sizeof(junk));
    raw_ask(f, junk, sizeof(junk), answer, sizeof(answer));
    assert_string_equal(answer, "error: the request is too long\n");
    raw_ask(f, junk, CONTROL_LINE_MAX, answer, sizeof(answer));
    assert_string_equal(answer, "error: the request is too long\n");
    raw_ask(f, "", 0, answer, sizeof(answer));
    assert_string_equal(answer, "error: the request has no end\n");
    raw_ask(f, "echo no end", 11, answer, sizeof(answer));
    assert_string_equal(answer, "error: the request has no end\n");
    raw_ask(f, "ec\0ho\n", 6, answer, sizeof(answer));
    assert_string_equal(answer, "error: bad request\n");
    raw_ask(f, "\n", 1, answer, sizeof(answer));
    assert_string_equal(answer, "error: unknown request\n");
    raw_ask(f, "\xff\xfe\x01 \x80\n", 6, answer, sizeof(answer));
    assert_string_equal(answer, "error: unknown request\n");
    raw_ask(f, "echo a\necho b\n", 14, answer, sizeof(answer));
    assert_string_equal(answer, "a\nok\n");
    test_answers(state); /* and it still serves */
}

static void test_line_of_the_greatest_length(void **state)
{
    struct fixture *f = *state;
    char line[CONTROL_LINE_MAX], *text = NULL;

    memset(line, 'b', sizeof(line));
    memcpy(line, "echo ", 5);
    line[CONTROL_LINE_MAX - 1] = '\0';
    assert_int_equal(control_ask(f->path, line, 0, &text), 0);
    assert_int_equal(strlen(text), CONTROL_LINE_MAX - 5);
    free(text);
}

static void *ask_wait(void *arg)
{
    struct fixture *f = arg;
    char *text = NULL;
    int r = control_ask(f->path, "wait", 0, &text);

    free(text);
    return (void *)(intptr_t)r;
}

static void wait_in_verb(struct fixture *f)
{
    lock_take(&f->lock);
    while (!f->in_verb)
        cond_wait(&f->changed, &f->lock);
    lock_drop(&f->lock);
}

static void let_go(struct fixture *f)
{
    lock_take(&f->lock);
    f->go_on = true;
    cond_broadcast(&f->changed);
    lock_drop(&f->lock);
}

/* A verb that waits (a drain) keeps nobody from a status. */
static void test_a_slow_verb_blocks_nobody(void **state)
{
    struct fixture *f = *state;
    _cleanup_free_ char *text = NULL;
    pthread_t thread;
    void *result;

    assert_int_equal(pthread_create(&thread, NULL, ask_wait, f), 0);
    wait_in_verb(f);
    assert_int_equal(control_ask(f->path, "echo meanwhile", 0, &text), 0);
    assert_string_equal(text, "meanwhile\n");
    let_go(f);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_int_equal((int)(intptr_t)result, 0);
}

static void test_times_out(void **state)
{
    struct fixture *f = *state;
    char *text = NULL;

    assert_int_equal(control_ask(f->path, "wait", 50, &text), -ETIMEDOUT);
    assert_null(text);
    let_go(f);
}

/* More connections than slots: the next one is told so, and a closed one makes room. */
static void test_connections_are_limited(void **state)
{
    struct fixture *f = *state;
    int fds[CONTROL_CLIENTS];
    char *text = NULL;
    int r;

    for (size_t i = 0; i < ARRAY_LEN(fds); i++)
        fds[i] = raw_connect(f); /* accepted in order, before the next one */
    assert_int_equal(control_ask(f->path, "echo x", 0, &text), -EREMOTEIO);
    assert_string_equal(err_text(), "too many requests at once");
    close(fds[0]);
    do { /* until the slot of the closed one is free */
        free(text);
        text = NULL;
        r = control_ask(f->path, "echo x", 0, &text);
    } while (r == -EREMOTEIO);
    assert_int_equal(r, 0);
    free(text);
    for (size_t i = 1; i < ARRAY_LEN(fds); i++)
        close(fds[i]);
}

/* tear_down must not wait for a client that says nothing. */
static void test_a_silent_client_does_not_hold_the_end(void **state)
{
    struct fixture *f = *state;
    int fd = raw_connect(f);
    char c;

    control_free(f->control);
    f->control = NULL;
    assert_true(recv(fd, &c, 1, 0) >= 0);
    close(fd);
}

static void test_who_and_where(void **state)
{
    struct fixture *f = *state;
    char path[256], other[256];
    struct control *second = NULL;
    struct stat st;
    pid_t pid = 0;

    assert_int_equal(control_peer(f->path, &pid), 0);
    assert_int_equal(pid, getpid());
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(control_new(f->path, verbs, 1, f, &second), -EBUSY);
    assert_null(second);
    assert_int_equal(control_path("/images", path, sizeof(path)), 0);
    assert_int_equal(control_path("/image", other, sizeof(other)), 0);
    assert_string_not_equal(path, other);
    assert_int_equal(control_path("/images", path, 10), -ENAMETOOLONG);
}

static void test_nobody_there(void **state)
{
    struct fixture *f = *state;
    char *text = NULL;
    char path[128];
    pid_t pid;

    snprintf(path, sizeof(path), "%s/none.sock", f->dir);
    assert_int_equal(control_ask(path, "echo", 0, &text), -ENOENT);
    assert_int_equal(control_peer(path, &pid), -ENOENT);
}

/* A socket that a killed daemon left is replaced. */
static void test_stale_socket(void **state)
{
    struct fixture *f = *state;
    struct control *second = NULL;
    char path[100], *text = NULL;
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(path, sizeof(path), "%s/run/stale.sock", f->dir);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
    close(fd);
    assert_int_equal(control_ask(path, "echo", 0, &text), -ECONNREFUSED);
    assert_int_equal(control_new(path, verbs, ARRAY_LEN(verbs), f, &second), 0);
    assert_int_equal(control_start(second), 0);
    assert_int_equal(control_ask(path, "echo back", 0, &text), 0);
    free(text);
    control_free(second);
}

static void test_a_directory_of_others_is_refused(void **state)
{
    struct fixture *f = *state;
    struct control *second = NULL;
    char dir[96], path[128];

    snprintf(dir, sizeof(dir), "%s/open", f->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(dir, 0777), 0);
    snprintf(path, sizeof(path), "%s/c.sock", dir);
    assert_int_equal(control_new(path, verbs, 1, f, &second), -EACCES);
    assert_int_equal(rmdir(dir), 0);
}

/* Whatever mask the daemon was started with. */
static void test_umask_zero(void **state)
{
    struct fixture *f = *state;
    struct control *second = NULL;
    char dir[96], path[128];
    mode_t old = umask(0);
    struct stat st;

    snprintf(dir, sizeof(dir), "%s/masked", f->dir);
    snprintf(path, sizeof(path), "%s/c.sock", dir);
    assert_int_equal(control_new(path, verbs, ARRAY_LEN(verbs), f, &second), 0);
    umask(old);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    control_free(second);
    assert_int_equal(rmdir(dir), 0);
}

/* One that was made by somebody else beforehand, or a link in its place, also to one of ours. */
static void test_not_our_directory(void **state)
{
    struct fixture *f = *state;
    struct control *second = NULL;
    char dir[96], path[128], run[96];

    snprintf(dir, sizeof(dir), "%s/theirs", f->dir);
    snprintf(path, sizeof(path), "%s/c.sock", dir);
    snprintf(run, sizeof(run), "%s/run", f->dir);
    assert_int_equal(symlink(run, dir), 0);
    assert_int_equal(control_new(path, verbs, 1, f, &second), -EACCES);
    assert_int_equal(unlink(dir), 0);
    if (geteuid() == 0) {
        assert_int_equal(mkdir(dir, 0700), 0);
        assert_int_equal(chown(dir, 65534, 65534), 0);
        assert_int_equal(control_new(path, verbs, 1, f, &second), -EACCES);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(rmdir(dir), 0);
    } else { /* root's is not ours either */
        assert_int_equal(control_new("/usr/s3efs-test.sock", verbs, 1, f, &second), -EACCES);
    }
    assert_null(second);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_answers),
        TEST(test_errors_reach_the_client),
        TEST(test_text_is_not_the_result),
        TEST(test_hostile_lines),
        TEST(test_line_of_the_greatest_length),
        TEST(test_a_slow_verb_blocks_nobody),
        TEST(test_times_out),
        TEST(test_connections_are_limited),
        TEST(test_a_silent_client_does_not_hold_the_end),
        TEST(test_who_and_where),
        TEST(test_nobody_there),
        TEST(test_stale_socket),
        TEST(test_a_directory_of_others_is_refused),
        TEST(test_umask_zero),
        TEST(test_not_our_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
