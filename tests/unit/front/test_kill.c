/* SPDX-License-Identifier: Apache-2.0 */
/* Calls whose caller is killed, with libfuse's part played here: a request may be freed by its
 * answer, so none may come while libfuse itself still holds the request. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "../../../fs/front/internal.h"

#define WAIT_STEPS 6000 /* of 10 ms */
#define QUIET_STEPS 30

static struct {
    pthread_mutex_t mutex;
    struct fuse_ctx ctx;
    bool is_interrupted; /* before the call came to be watched */
    bool is_inside;      /* fuse_req_interrupt_func() runs */
    unsigned answers, early;
    int error;
} t = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static unsigned answers(void)
{
    unsigned n;

    pthread_mutex_lock(&t.mutex);
    n = t.answers;
    pthread_mutex_unlock(&t.mutex);
    return n;
}

static void wait_for_answer(int steps)
{
    for (int i = 0; i < steps && answers() == 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

const struct fuse_ctx *fuse_req_ctx(fuse_req_t req)
{
    (void)req;
    return &t.ctx;
}

int fuse_reply_err(fuse_req_t req, int err)
{
    (void)req;
    pthread_mutex_lock(&t.mutex);
    t.answers++;
    t.early += t.is_inside;
    t.error = err;
    pthread_mutex_unlock(&t.mutex);
    return 0;
}

static void set_inside(bool is_inside)
{
    pthread_mutex_lock(&t.mutex);
    t.is_inside = is_inside;
    pthread_mutex_unlock(&t.mutex);
}

/* As libfuse: with the request's lock held, which it drops after. */
void fuse_req_interrupt_func(fuse_req_t req, fuse_interrupt_func_t func, void *data)
{
    set_inside(true);
    if (t.is_interrupted && func != NULL) {
        func(req, data);
        wait_for_answer(QUIET_STEPS); /* for one that must not come */
    }
    set_inside(false);
}

/* A process with SIGKILL pending: it is dead, and nobody has waited for it. */
static pid_t killed(void)
{
    siginfo_t info;
    pid_t pid = fork();

    if (pid == 0)
        for (;;)
            pause();
    assert_true(pid > 0);
    kill(pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    return pid;
}

static int set_up(void **state)
{
    t.ctx = (struct fuse_ctx){.pid = killed()};
    t.is_interrupted = false;
    t.answers = t.early = 0;
    t.error = 0;
    return kill_new((struct kill **)state);
}

static int tear_down(void **state)
{
    kill_free(*state);
    return waitpid(t.ctx.pid, NULL, 0) == t.ctx.pid ? 0 : -1;
}

/* The signal came before the call was looked at: it is answered, but not before libfuse has let go
 * of the request. */
static void interrupted_before(void **state)
{
    struct killable k;

    t.is_interrupted = true;
    kill_watch(*state, (fuse_req_t)&t, 1, &k);
    wait_for_answer(WAIT_STEPS);
    assert_true(kill_unwatch(&k));
    assert_int_equal(t.answers, 1);
    assert_int_equal(t.error, EINTR);
    assert_int_equal(t.early, 0);
    kill_wait(*state, 1);
}

/* Without a signal nothing is answered here. */
static void not_interrupted(void **state)
{
    struct killable k;

    kill_watch(*state, (fuse_req_t)&t, 1, &k);
    assert_false(kill_unwatch(&k));
    assert_int_equal(t.answers, 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
    static const struct CMUnitTest tests[] = {
        TEST(interrupted_before),
        TEST(not_interrupted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
