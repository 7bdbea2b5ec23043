/* SPDX-License-Identifier: Apache-2.0 */
/* The drains that a mount ends with, and its end by a signal (the ways to the end are at the top of run.c). */
#include "running.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"
#include "base/origin.h"
#include "holder.h"
#include "status.h"

#define EXIT_GRACE_NS (5 * NS_PER_S)
#define EXIT_STEP_MS 100

static int64_t until(int64_t deadline_ns)
{
    int64_t left = (deadline_ns - clock_boot_ns()) / NS_PER_MS;

    return left < 0 ? 0 : left;
}

struct drain {
    struct run *run;
    bool done; /* under run's lock */
    int result;
    struct err_copy text;
};

static void *drain_main(void *arg)
{
    struct drain *d = arg;
    struct run *run = d->run;
    int r;

    origin_set(ORIGIN_CONTROL);
    err_clear();
    r = err_fold(vfs_drain(run->m.vfs));
    lock_take(&run->lock);
    d->result = r;
    err_copy(&d->text);
    d->done = true;
    cond_broadcast(&run->changed);
    lock_drop(&run->lock);
    return NULL;
}

static int start_drain(struct drain *d)
{
    pthread_attr_t attr;
    pthread_t thread;
    int r;

    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    r = -pthread_create(&thread, &attr, drain_main, d);
    pthread_attr_destroy(&attr);
    return r;
}

/* false: the deadline came first. */
static bool wait_drain(struct run *run, const struct drain *d)
{
    bool done;

    lock_take(&run->lock);
    while (!d->done) {
        int64_t deadline_ns = run->locked.deadline_ns;

        if (deadline_ns == 0)
            cond_wait(&run->changed, &run->lock);
        else if (until(deadline_ns) == 0)
            break;
        else
            (void)cond_wait_ms(&run->changed, &run->lock, until(deadline_ns));
    }
    done = d->done;
    lock_drop(&run->lock);
    return done;
}

/* -ETIMEDOUT: the helper keeps d. */
int run_drain(struct run *run)
{
    struct drain *d = calloc(1, sizeof(*d));
    int r;

    if (d == NULL)
        return err_set(-ENOMEM, "out of memory");
    d->run = run;
    r = start_drain(d);
    if (r < 0) {
        free(d);
        return err_set(r, "no thread to drain: %s", strerror(-r));
    }
    if (!wait_drain(run, d))
        return err_set(-ETIMEDOUT, "not done within drain_timeout=%" PRId64, run->config->drain_timeout_s);
    r = d->result;
    err_restore(&d->text);
    free(d);
    return r;
}

void run_report_unsent(struct run *run)
{
    char cause[ERR_TEXT_MAX], unsent[400];
    struct vfs_unsent u = {0};

    snprintf(cause, sizeof(cause), "%s", err_text());
    status_unsent(&run->m, unsent, sizeof(unsent));
    log_error("mount.unsent", "source=%s mountpoint=%s cause=%s unsent=%s", LOG_Q(run->config->source),
              LOG_Q(run->config->mountpoint), LOG_Q(cause), LOG_Q(unsent));
    if (vfs_unsent_get(run->m.vfs, STATUS_NAMES, &u) < 0)
        return;
    for (size_t i = 0; i < u.n; i++)
        log_warn("mount.unsent_file", "key=%s", LOG_Q(u.keys[i]));
    if (u.files + u.removals > 0)
        log_warn("mount.unsent_kept",
                 "files=%" PRIu64 " removals=%" PRIu64 " effect=\"the next mount with this cache_dir sends them\"", u.files,
                 u.removals);
    vfs_unsent_done(&u);
}

bool run_wait_loop(struct run *run, int64_t deadline_ns, bool push)
{
    bool ended;

    lock_take(&run->lock);
    while (!run->locked.loop_ended && until(deadline_ns) > 0) {
        if (push) {
            lock_drop(&run->lock);
            vfs_let_closes_go(run->m.vfs);
            front_exit(run->m.front);
            lock_take(&run->lock);
        }
        (void)cond_wait_ms(&run->changed, &run->lock, EXIT_STEP_MS);
    }
    ended = run->locked.loop_ended;
    lock_drop(&run->lock);
    return ended;
}

/* --- the end by a signal --- */

/* A mount that lives has bytes to send: it is ended when this daemon has them. */
static bool is_taking_over(const struct run *run)
{
    return run->daemon->hold != NULL && run->daemon->hold->fuse_fd >= 0;
}

static void end_by_signal(struct run *run, int number)
{
    int64_t deadline_ns = clock_boot_ns() + run->config->drain_timeout_s * NS_PER_S;
    bool mounting, is_over;
    int r;

    log_info("mount.signal", "signal=%d drain_timeout=%" PRId64, number, run->config->drain_timeout_s);
    lock_take(&run->lock);
    run->locked.deadline_ns = deadline_ns;
    cond_broadcast(&run->changed); /* the last drain may be waiting already, without a limit */
    while (is_taking_over(run) && !run->locked.mounting && !run->locked.stop_signals && until(deadline_ns) > 0)
        (void)cond_wait_ms(&run->changed, &run->lock, until(deadline_ns));
    mounting = run->locked.mounting;
    is_over = run->locked.stop_signals;
    lock_drop(&run->lock);
    if (is_over)
        return;
    if (!mounting) { /* still asking the bucket: nothing is mounted, or nothing could be taken over in time */
        daemon_failed(run->daemon, EXIT_MOUNT, "ended by a signal before the mount was ready");
        _exit(EXIT_MOUNT);
    }
    if (run_wait_loop(run, 0, false))
        return;
    vfs_let_closes_go(run->m.vfs);
    r = run_drain(run);
    if (front_unmount(run->m.front, true) < 0)
        log_warn("mount.unmount", "cause=%s", LOG_Q(err_text()));
    if (!run_wait_loop(run, deadline_ns + EXIT_GRACE_NS, true) || r == -ETIMEDOUT) {
        err_set(-ETIMEDOUT, "calls did not end within drain_timeout=%" PRId64, run->config->drain_timeout_s);
        run_report_unsent(run);
        _exit(EXIT_UNSENT);
    }
}

void *run_signal_main(void *arg)
{
    struct run *run = arg;
    int number;

    while (sigwait(&run->signals, &number) == 0) {
        bool stop;

        lock_take(&run->lock);
        stop = run->locked.stop_signals;
        lock_drop(&run->lock);
        if (stop)
            return NULL;
        end_by_signal(run, number);
    }
    return NULL;
}
